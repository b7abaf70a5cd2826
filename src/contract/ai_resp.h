/*
 * Redis' protocol (RESP2): an incremental reader of replies and a writer of
 * commands.  A reader owns the bytes it was given and one array of nodes, both
 * used again for each reply, so that a reply costs no allocation; its strings
 * lie where they were received.  Everything read is hostile until parsed
 * within the reader's limits.
 */

#ifndef AI_RESP_H
#define AI_RESP_H

#include <stddef.h>
#include <stdint.h>

#include "ai_str.h"

#define AI_RESP_DEPTH_MAX     7         /* arrays in arrays */
#define AI_RESP_ELEMENTS_MAX  (1 << 24)
#define AI_RESP_LINE_MAX      (64 * 1024)   /* bytes of a status or an error */
#define AI_RESP_HEAD_MAX      24        /* bytes of "$<n>\r\n" */

typedef enum {
    AI_RESP_STRING = 1,
    AI_RESP_STATUS,
    AI_RESP_ERROR,
    AI_RESP_INTEGER,
    AI_RESP_NIL,
    AI_RESP_ARRAY
} ai_resp_type_e;

typedef struct ai_resp_s  ai_resp_t;

/* A reply, or an element of one.  What its type does not have is 0. */
struct ai_resp_s {
    ai_resp_type_e type;
    uint32_t       elements;
    int64_t        integer;
    size_t         len;         /* a string, status or error: its bytes */
    char          *str;         /* and a zero byte, not counted, behind them */
    ai_resp_t     *element;     /* element[0..elements - 1] */
};

/* Bounds of one reply. */
typedef struct {
    size_t   bytes;             /* as it came */
    uint32_t elements;          /* of all its arrays; their room is made when
                                 * they are announced, 40 bytes each */
    unsigned depth;             /* at most AI_RESP_DEPTH_MAX; 0: no arrays */
    size_t   keep;              /* memory kept while it waits for bytes; at
                                 * least AI_RESP_READ_SIZE */
} ai_resp_limits_t;

#define AI_RESP_READ_SIZE     16384     /* the buffer's first size */

#define AI_RESP_AGAIN      0            /* more bytes are needed */
#define AI_RESP_OK         1
#define AI_RESP_MALFORMED  -1
#define AI_RESP_OVER       -2           /* a limit */
#define AI_RESP_MEMORY     -3

typedef struct {
    uint32_t next;              /* node to be filled */
    uint32_t left;              /* and how many with it */
} ai_resp_level_t;

/*
 * The buffer: 0 .. start read and forgotten, .. at parsed, .. len received.
 * A reader over zeroed memory is one that ai_resp_free has left.
 */
typedef struct {
    ai_resp_limits_t limits;

    char            *buf;
    size_t           size;
    size_t           start;     /* of the reply at hand */
    size_t           at;
    size_t           len;
    size_t           line;      /* no end of line from at to here */
    size_t           bulk;      /* bytes of the string at hand */
    unsigned         in_bulk:1;
    int              failed;    /* what ai_resp_next has said, for ever */

    ai_resp_t       *nodes;     /* the first is the reply */
    uint32_t         nnodes;
    uint32_t         nodes_size;

    ai_resp_level_t  levels[AI_RESP_DEPTH_MAX];
    unsigned         depth;
} ai_resp_reader_t;

/* Allocates nothing. */
void ai_resp_init(ai_resp_reader_t *r, const ai_resp_limits_t *limits);
/* Frees what it holds; it may be initialised again. */
void ai_resp_free(ai_resp_reader_t *r);

/*
 * Room for bytes: where to put them, and how many in *n (at least 4 KB).  NULL:
 * no memory.  The last reply is gone.
 */
char *ai_resp_room(ai_resp_reader_t *r, size_t *n);
/* n bytes, at most those of ai_resp_room, were put there. */
void ai_resp_fed(ai_resp_reader_t *r, size_t n);

/*
 * The next reply: AI_RESP_OK and *reply, which lives until ai_resp_next,
 * ai_resp_room or ai_resp_free is called; AI_RESP_AGAIN; or an error (negative)
 * after which the stream makes no sense and says the same again.  The bytes
 * may come in any pieces.  What it points to may be written to.
 */
int ai_resp_next(ai_resp_reader_t *r, ai_resp_t **reply);

/*
 * A copy of the reply that ai_resp_next has just given, as one piece of memory
 * to be freed with free().  NULL: no memory.
 */
ai_resp_t *ai_resp_copy(const ai_resp_reader_t *r);

/* The string or status; else, and for NULL, an empty one. */
ai_str_t ai_resp_str(const ai_resp_t *reply);
/* Element i; NULL where there is none. */
const ai_resp_t *ai_resp_item(const ai_resp_t *reply, size_t i);
/* An integer or a decimal string: 0, or -1 and *n untouched. */
int ai_resp_int(const ai_resp_t *reply, int64_t *n);

/*
 * Commands.  These write into memory of the caller's, which has room for
 * ai_resp_size() or, of one part, AI_RESP_HEAD_MAX + the string + 2; they
 * return the end of what they wrote.
 */
size_t ai_resp_size(unsigned argc, const ai_str_t *argv);
char *ai_resp_put(char *p, unsigned argc, const ai_str_t *argv);
/* '*' before n arguments, '$' before n bytes. */
char *ai_resp_put_head(char *p, char type, size_t n);
char *ai_resp_put_bulk(char *p, ai_str_t s);

#endif
