/*
 * What the parts of the mock provider share: options, request, connection.
 * The event loop (mock.c) owns every connection and both of its buffers.
 */

#ifndef MOCK_H
#define MOCK_H


#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>


#define MOCK_MAX_HEADER   (64 * 1024)          /* request line and headers */
#define MOCK_MAX_BODY     (32 * 1024 * 1024)   /* decoded request body */
#define MOCK_MAX_OUT      (80 * 1024 * 1024)   /* answer not yet taken */
#define MOCK_MAX_CHUNKS   1000000
#define MOCK_MAX_BYTES    (1024 * 1024)        /* content of one chunk */
#define MOCK_MAX_LINE     (64 * 1024 * 1024)   /* "line" and "header" */
#define MOCK_MAX_MS       600000
#define MOCK_MODEL_LEN    128

/* a chunk's content begins with ~RECEIVED.SEQUENCE.SENT~, all in hex */
#define MOCK_MARK_LEN     44

#define MOCK_NEVER        UINT32_MAX


typedef enum {
    MOCK_OK = 0,
    MOCK_AGAIN,                 /* more has to happen first */
    MOCK_DONE,                  /* the answer is complete */
    MOCK_STALL,                 /* nothing more will be said */
    MOCK_CUT,                   /* close in an orderly way, now */
    MOCK_RST,                   /* reset the connection, now */
    MOCK_ERROR
} mock_rc_e;


typedef enum {
    MOCK_UNKNOWN = 0,
    MOCK_OPENAI,
    MOCK_ANTHROPIC,
    MOCK_MODELS,
    MOCK_STATS
} mock_api_e;


typedef struct {
    uint64_t      ttft_ns;
    uint64_t      interval_ns;
    uint64_t      drip_ns;      /* per byte; 0: as fast as the peer takes it */
    uint32_t      chunks;
    uint32_t      bytes;
    uint32_t      status;
    uint32_t      retry_after;  /* seconds */
    uint32_t      header;       /* bytes of a padding header; 0: none */
    uint32_t      line;         /* bytes of the first chunk's content */

    /* after this many chunks; MOCK_NEVER */
    uint32_t      stall;
    uint32_t      cut;
    uint32_t      rst;
    uint32_t      error;
    uint32_t      malformed;

    unsigned      done:1;       /* the end marker is sent */
    unsigned      usage:1;      /* usage is reported where it is due */
} mock_opts_t;


typedef struct {
    char         *data;
    size_t        pos;          /* 0 .. pos: taken */
    size_t        len;          /* pos .. len: waiting */
    size_t        cap;
} mock_buf_t;


typedef struct {
    mock_opts_t   opts;
    mock_api_e    api;
    const char   *refusal;      /* why the request is answered with 400 */
    size_t        header_len;
    size_t        body_len;     /* Content-Length, or decoded so far */
    size_t        chunk_left;   /* of a chunked body: rest of this chunk */
    size_t        model_len;
    char          model[MOCK_MODEL_LEN];
    unsigned      chunk_step:2;
    unsigned      chunked:1;
    unsigned      expect:1;
    unsigned      keepalive:1;
    unsigned      http10:1;
    unsigned      stream:1;
    unsigned      include_usage:1;
} mock_request_t;


typedef struct {
    uint64_t      requests;     /* received whole */
    uint64_t      completed;    /* answered as far as the options said */
    uint64_t      aborted;      /* the peer hung up before that */
    uint64_t      open;         /* being answered now */
    uint64_t      connections;  /* accepted since the start */
    uint64_t      connected;    /* open now */
    uint64_t      refused;      /* not accepted: the table was full */
} mock_stats_t;


typedef struct {
    mock_request_t  req;
    mock_buf_t      in;
    mock_buf_t      out;
    uint64_t        received_ns;
    uint64_t        due_ns;     /* of the timer; 0: not in the heap */
    uint64_t        next_ns;    /* when the next chunk is due */
    uint64_t        number;     /* of the request, in this process */
    int64_t         created;
    uint32_t        sent;       /* chunks */
    uint32_t        heap_index;
    uint32_t        events;     /* what epoll watches */
    int             fd;
    mock_rc_e       outcome;    /* not MOCK_OK: no more bytes will be made */
    unsigned        answering:1;
    unsigned        started:1;  /* the head is in the buffer */
    unsigned        blocked:1;  /* the socket is full */
    unsigned        ready:1;    /* had its turn, is not done */
    unsigned        malformed:1;
    unsigned        closing:1;  /* closed before this turn of the loop ended */
} mock_conn_t;


typedef struct {
    mock_conn_t   **conns;      /* the first is due first; room for all */
    unsigned        n;
} mock_heap_t;


typedef struct {
    struct sockaddr_storage  addr;
    socklen_t                len;
    int                      fd;
} mock_listen_t;


/* mock_request.c */

void mock_opts_init(mock_opts_t *o);

/*
 * "name=number,name,..." of len bytes over what *o holds.
 * Returns NULL, or what is wrong with it (a constant).
 */
const char *mock_opts_parse(mock_opts_t *o, const char *p, size_t len);

/*
 * Reads on in c->in.  MOCK_AGAIN: the header is not complete; MOCK_OK: it is,
 * and c->req says what it asks; MOCK_ERROR: close.
 */
mock_rc_e mock_request_header(mock_conn_t *c, const mock_opts_t *defaults);

/*
 * After the header: MOCK_AGAIN until the body is there, MOCK_OK with stream,
 * model and so on filled in and *used set to the bytes of c->in that the
 * request took, MOCK_ERROR.
 */
mock_rc_e mock_request_body(mock_conn_t *c, size_t *used);


/* mock_answer.c */

/*
 * Puts into c->out what is due at now_ns.  MOCK_AGAIN: come again at
 * c->next_ns; MOCK_DONE, MOCK_STALL, MOCK_CUT, MOCK_RST; MOCK_ERROR: no memory.
 */
mock_rc_e mock_answer(mock_conn_t *c, uint64_t now_ns,
    const mock_stats_t *stats);


/* mock_buf.c */

/* Room for n more bytes behind len, within MOCK_MAX_OUT; 0 or -1. */
int mock_buf_reserve(mock_buf_t *b, size_t n);

/* Appends at most 1023 bytes; MOCK_OK or MOCK_ERROR. */
mock_rc_e mock_printf(mock_buf_t *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


/* mock_timer.c */

/* Sets the one timer of a connection; 0 takes it away. */
void mock_timer(mock_heap_t *h, mock_conn_t *c, uint64_t due_ns);


/* mock_listen.c */

/* "A.B.C.D:PORT" (0: any free one) or "unix:PATH"; 0 or -1. */
int mock_listen_parse(mock_listen_t *l, const char *s);

/* Sets l->fd, and the port it got in l->addr; 0, or -1 after a message. */
int mock_listen_open(mock_listen_t *l, int reuseport);


#endif /* MOCK_H */
