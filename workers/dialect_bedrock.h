/*
 * What the files of AWS Bedrock's Converse share: requests out
 * (dialect_bedrock_write.c, its parts in dialect_bedrock_part.c, its settings
 * in dialect_bedrock_config.c), a provider's answers
 * (dialect_bedrock_answer.c), citations of both (dialect_bedrock_cite.c), the
 * frames of its streams
 * (dialect_bedrock_frame.c), the tables (dialect_bedrock.c).  No client speaks
 * it.
 */

#ifndef DIALECT_BEDROCK_H
#define DIALECT_BEDROCK_H

#include "ir.h"

#define BEDROCK_FRAME_MAX    (16 * 1024 * 1024) /* bytes, all of it */
#define BEDROCK_HEADERS_MAX  (128 * 1024)       /* of a frame */
#define BEDROCK_NAMES_MAX    64     /* documents' names that are compared */
#define BEDROCK_ID_MAX       64     /* of a call */

/* What is known of a model by a word in its id. */
typedef struct {
    const char *word;           /* NULL: of all others */
    const char *top_k;          /* its member of additionalModelRequestFields */
    const char *effort;         /* the same */
    unsigned    claude:1;
    unsigned    nova:1;
    unsigned    nova2:1;        /* which reasons */
    unsigned    cache:1;        /* it takes cache points, */
    unsigned    cache_tools:1;  /* behind tools, too */
    unsigned    structured:1;   /* strict tools, JSON schemas */
} bedrock_model_t;

/* A request's turns while they are written. */
typedef struct {
    ir_t                  *ir;
    out_t                 *o;
    const bedrock_model_t *model;
    char                   role;    /* of the open turn: 'u'ser, 'a'ssistant */
    char                   before;  /* of the one before it; 0: none */
    size_t                 mark;    /* where it begins */
    size_t                 empty;   /* its length without a part */
    unsigned               documents;
    unsigned               nnames;
    ai_str_t               names[BEDROCK_NAMES_MAX];
} bedrock_contents_t;

/* A stream's state. */
typedef struct {
    int64_t      index;         /* of the block that is open */
    int          part;          /* one more than its number, 0: none */
    ir_kind_e    kind;
    unsigned     told:1;        /* of a call: something */
} bedrock_reader_t;

const bedrock_model_t *bedrock_model(const ir_t *ir);

int bedrock_write_request(ir_t *ir, out_t *o);
/* A part of an open turn, or of a result (inside); what has no place there
 * stays unread. */
void bedrock_part(bedrock_contents_t *c, node_t *p, int inside);
/* A text that says nothing is refused there. */
int bedrock_is_blank(ai_str_t text);
/* A cache may end here: what is written is an element behind the one that from
 * is. */
void bedrock_cache(ir_t *ir, out_t *o, node_t *from);
/* bytes of it, base64, in quotes. */
void bedrock_base64(out_t *o, ai_str_t bytes);

/* Tools, by need those of the history; settings. */
void bedrock_tools(ir_t *ir, out_t *o);
void bedrock_config(ir_t *ir, out_t *o);

/* A citation as an event. */
int bedrock_cite(ir_t *ir, tree_t *t, int part, node_t *c);
/* A text with its citations: 1, or 0: it has none that can stand there. */
int bedrock_write_cited(ir_t *ir, out_t *o, node_t *p, node_t *text);

int bedrock_read_answer(ir_t *ir, node_t *body);
int bedrock_read_event(ir_t *ir, ai_str_t name, node_t *data, ai_str_t text);
void bedrock_read_error(ir_t *ir, node_t *body);

/* dialect_t's frame: name is the event's type or the exception's. */
long bedrock_frame(ai_str_t bytes, ai_str_t *name, ai_str_t *data);

#endif
