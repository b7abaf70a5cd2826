/*
 * The intermediate form: what every dialect is read into and written from, so
 * that any client's goes to any provider's.  Here stand its schema, its events
 * and the table that a dialect is (docs/dialects.md says what is carried).
 *
 * How a call goes, of a client of dialect C on a provider of dialect P:
 *
 *   request   C.read_request -> ir->request -> P.write_request
 *   object    P.read_answer  -> ir_emit() .. -> collected -> C.write_answer
 *   stream    P.read_event   -> ir_emit() .. -> C.write_event
 *   error     P.read_error   -> ir_error_t   -> C.write_error
 *
 * Nothing is lost without a word.  A request is a tree whose members are marked
 * as they are read (tree.h).  What C has not read, and what C has put into
 * ir->request and P does not read, is noted by its path in the client's body
 * by the core, without a line in any dialect.  So a dialect reads exactly what
 * it carries; what it reads and cannot carry it says by ir_note().  In an
 * answer what a dialect knows to have no meaning elsewhere (a fingerprint, a
 * padding) it names in its table, the rest is noted as well.
 *
 * Texts are escaped ones (tree.h) everywhere, but where "plain" is said.
 *
 * ----------------------------------------------------------------------------
 * ir->request, an object.  All are optional but messages.  A member that is
 * absent says nothing; a reader leaves out what is its dialect's default.
 *
 *   messages          [message], in order
 *     role            "system", "developer", "user", "assistant" or "tool"
 *     name            of who speaks
 *     parts           [part]
 *   tools             [tool], in order
 *     type            "function", or another dialect's word for its own tool,
 *                     whose whole value is then in native
 *     name, description, strict (bool)
 *     schema          any value: of its input, as it stands
 *     cache           marker
 *     native          any value
 *   tool_choice       {type: "auto"|"none"|"required"|"tool"|"allowed", name,
 *                      names: [string], mode: "auto"|"required"}
 *   parallel_tools    bool
 *   format            {type: "json"|"schema", name, description, strict,
 *                      schema}
 *   max_tokens        number, of the answer with its reasoning
 *   temperature, top_p, top_k, min_p, frequency_penalty, presence_penalty,
 *   repetition_penalty, seed, n, top_logprobs   number
 *   logprobs          bool
 *   logit_bias        any value
 *   stop              [string]
 *   reasoning         {mode: "off"|"on"|"adaptive", effort: string, budget:
 *                      number}; effort is one of none minimal low medium high
 *                      xhigh max
 *   verbosity         string
 *   user              string, the end user
 *   metadata          object of strings
 *   cache             marker of the whole
 *   cache_key, cache_retention   string
 *   service_tier      "auto", "default", "flex", "priority", ...
 *   store             bool
 *   modalities        [string];  audio  any value
 *   input             of embeddings: [part], or [[number]] of tokens;
 *                     dimensions number
 *   prompt, suffix    of legacy completions
 *   extra             object: {<dialect's name>: {member: value}}, what only
 *                     this dialect has and its own provider would take
 *
 * A marker is {ttl: string}: a provider's prompt cache may end here.
 *
 * A part is an object; type says which:
 *   text         text, citations [any value]
 *   image        url, or data (base64) and media_type, or file (an id); detail
 *   audio        data and format ("wav", "mp3", ...), or file
 *   video        url, or data and media_type
 *   document     url, or data and media_type, or file, or text, or parts;
 *                title, context, citations (bool)
 *   tool_call    id, name, arguments: a string that is JSON text, or an object
 *   tool_result  id, name, error (bool), parts [part]
 *   reasoning    text, signature, data (all of it encrypted), id, summary
 *                (bool), format: the dialect whose provider can read signature
 *                or data
 *   refusal      text
 *   other        native: any value of one dialect alone; kind its word for it
 * and each may have cache, a marker; tool_call and text may have a signature
 * and its format as reasoning has.
 *
 * ----------------------------------------------------------------------------
 * Answers are events, whether they came as a stream or as an object.  A reader
 * emits them in this order and the core checks it:
 *
 *   IR_START                       first and once
 *   per choice, per part:
 *     IR_PART                      part counts from 0 in its choice, no gaps
 *     IR_DELTA*, IR_SIGNATURE*, IR_CITATION*
 *     IR_PART_END                  at the latest before the choice's IR_FINISH;
 *                                  the core says it where a reader did not: one
 *                                  part of a choice is open at a time, but a
 *                                  late IR_DELTA for an ended tool call passes
 *   IR_LOGPROBS*                   of a choice, between its deltas
 *   IR_FINISH                      once a choice
 *   IR_USAGE*                      cumulative; anywhere behind IR_START
 *   IR_ERROR                       ends all
 *   IR_END                         the stream said that it is whole
 */

#ifndef IR_H
#define IR_H

#include "out.h"
#include "provider.h"
#include "tree.h"

#define IR_CHOICES_MAX   128
#define IR_PARTS_MAX     1024       /* of a choice */
#define IR_NOTES_MAX     16         /* named; more are counted */
#define IR_NOTE_MAX      128        /* bytes of a path */
#define IR_NOTES_BYTES   768
#define IR_COLLECT_MAX   (64 * 1024 * 1024) /* texts of a collected answer */
#define IR_MAX_TOKENS    8192       /* where the provider must be told and the
                                     * client did not say */

typedef struct ir_s  ir_t;
typedef struct dialect_s  dialect_t;

typedef enum {
    IR_TEXT = 0,
    IR_REASONING,
    IR_REDACTED,                /* reasoning, all of it encrypted: data */
    IR_TOOL_CALL,
    IR_REFUSAL,
    IR_IMAGE,                   /* data or a URL as text, media_type as name */
    IR_AUDIO,                   /* the same; its transcript is a text part */
    IR_OTHER                    /* node: one dialect's own */
} ir_kind_e;

typedef enum {
    IR_FINISH_NONE = 0,         /* not finished */
    IR_FINISH_STOP,
    IR_FINISH_SEQUENCE,         /* a stop sequence, text names it */
    IR_FINISH_LENGTH,
    IR_FINISH_CONTEXT,          /* the model's context is full */
    IR_FINISH_TOOLS,
    IR_FINISH_FILTER,
    IR_FINISH_REFUSAL,
    IR_FINISH_PAUSE,            /* to be gone on with by the same request */
    IR_FINISH_OTHER
} ir_finish_e;

/* Tokens, -1 where unknown. */
typedef struct {
    int64_t input;              /* all of it, cached and audio ones too */
    int64_t output;             /* all of it, reasoning too */
    int64_t cached_read;        /* parts of input */
    int64_t cached_write;
    int64_t cached_write_1h;    /* part of cached_write */
    int64_t audio_input;
    int64_t image_input;
    int64_t reasoning;          /* parts of output */
    int64_t audio_output;
    int64_t image_output;
    int64_t prediction_accepted;
    int64_t prediction_rejected;
    int64_t searches;           /* requests of a search tool, no tokens */
} ir_usage_t;

typedef enum {
    IR_START = 0,               /* id, name: model; created (Unix s or 0) */
    IR_PART,                    /* kind; id, name of a call; format; node */
    IR_DELTA,                   /* text (of a call: of its arguments) */
    IR_SIGNATURE,               /* text */
    IR_CITATION,                /* node: {url, title, text, start, end} and
                                 * native, its dialect's own */
    IR_PART_END,
    IR_LOGPROBS,                /* node: as OpenAI's chat completions */
    IR_FINISH,                  /* finish; native: the provider's word; text */
    IR_USAGE,                   /* ir->usage has changed */
    IR_PING,
    IR_ERROR,                   /* ir->error */
    IR_END
} ir_event_e;

typedef struct {
    ir_event_e   type;
    unsigned     choice;
    unsigned     part;
    ir_kind_e    kind;          /* of the part: the core fills it in */
    ir_finish_e  finish;
    int64_t      created;
    ai_str_t     id;
    ai_str_t     name;
    ai_str_t     text;
    ai_str_t     native;
    const char  *format;        /* a dialect's name, or NULL */
    node_t      *node;          /* until the next event only */
} ir_event_t;

/* An answer that is an object, collected from the events of an object, whose
 * texts and nodes it borrows.  Of ir->tree. */

typedef struct ir_part_s  ir_part_t;

struct ir_part_s {
    ir_part_t  *next;
    ir_kind_e   kind;
    ai_str_t    id;
    ai_str_t    name;
    ai_str_t    text;
    ai_str_t    signature;
    const char *format;
    node_t     *citations;      /* array, NULL: none */
    node_t     *node;
    size_t      size;           /* of what text lies in */
};

typedef struct {
    ir_part_t   *first;
    ir_part_t   *last;
    unsigned     parts;
    unsigned     open:1;        /* the last one */
    ir_finish_e  finish;
    ai_str_t     stop;          /* the stop sequence */
    node_t      *logprobs;
} ir_choice_t;

typedef struct {
    ai_str_t     id;
    ai_str_t     model;
    int64_t      created;
    unsigned     nchoices;
    ir_choice_t *choices[IR_CHOICES_MAX];
} ir_answer_t;

typedef struct {
    int         status;         /* HTTP; of one in a stream what it would be */
    const char *cause;          /* a row of ai_error.h that is like it, by its
                                 * status where the dialect knows no better */
    ai_str_t    message;
    ai_str_t    type;           /* the provider's words for it */
    ai_str_t    code;
    ai_str_t    param;
    int64_t     retry_msec;     /* to come again after it; 0: not said */
} ir_error_t;

/* One call.  Dialects read what stands first, and have their state. */
struct ir_s {
    const dialect_t *client;
    const dialect_t *provider;
    tree_t           tree;      /* of the call: requests, objects, states */
    tree_t           event;     /* of one event: gone with the next */
    node_t          *request;

    ai_str_t         model;     /* plain: to be asked */
    ai_str_t         version;   /* plain: of the provider's API, where its
                                 * operator names one; else empty */
    ai_str_t         job;       /* plain: its id, for ids that must be made */
    int64_t          now;       /* Unix s, for answers that have no time */
    unsigned         stream:1;  /* the client wants one */
    unsigned         usage:1;   /* and usage in it */
    unsigned         ask_usage:1;   /* the provider takes stream_options */
    unsigned         official:1;    /* it is the dialect's own maker's */
    unsigned         strict:1;
    unsigned         functions:1;   /* client's: tools are legacy functions */
    unsigned         reasons:1;     /* provider's: it is asked for reasoning */
    unsigned         base64:1;      /* client's: wants vectors so */
    out_t            again;     /* client's: of its request, what its answers
                                 * say again; the core frees it */
    unsigned         calls;     /* client's: legacy calls so far, without ids */

    /* Embeddings: as many as were asked for, each an array of numbers as it
     * stands.  Reader's, of ir->tree. */
    unsigned         inputs;
    unsigned         nvectors;
    size_t           input_bytes;   /* of their texts */
    ai_str_t        *vectors;

    ir_usage_t       usage_now;
    ir_error_t       error;
    ir_finish_e      finish;    /* of choice 0 */
    char             native[PROVIDER_FINISH_MAX];
    uint64_t         text_bytes;
    void            *reader;    /* provider's, client's; zeros at first */
    void            *writer;

    /* The core's. */
    ir_answer_t      answer;
    out_t           *out;       /* of the stream; NULL: it is collected */
    unsigned         begun:1;
    unsigned         ended:1;
    unsigned         failed:1;
    unsigned         refused:1;     /* notes say why */
    unsigned         finished;  /* choices */
    size_t           collected;
    unsigned         nnotes;
    unsigned         notes_len;
    unsigned         notes_told;    /* of them, in the head */
    char             notes[IR_NOTES_BYTES];     /* joined by ", " */
};

/*
 * A dialect.  Functions return 0, or -1: what was read is none of this dialect
 * (a request: ir_refuse() says why; an answer: provider_bad).  No memory shows
 * in the trees' and outs' failed.  A dialect that clients or providers do not
 * speak has NULL there.  For any thread; state is ir->reader, ir->writer.
 */
struct dialect_s {
    const char *name;           /* of ai_dialect_name, or a provider's api,
                                 * or what its provider_t says it speaks */
    const char *task;           /* what is asked for: only a provider's of the
                                 * same can answer; NULL: a chat's turn */
    size_t      reader_size;    /* bytes of state */
    size_t      writer_size;
    /* Members of answers and events that say nothing elsewhere: "x" at the top,
     * "a.b" in it, "a.*.c" in each element of a; NULL ends. */
    const char *const *ignore;

    /* Client's. */
    int  (*read_request)(ir_t *ir, node_t *body);
    int  (*write_answer)(ir_t *ir, const ir_answer_t *a, out_t *out);
    int  (*write_event)(ir_t *ir, const ir_event_t *e, out_t *out);
    int  (*write_error)(ir_t *ir, const ir_error_t *e, out_t *out);
    const char *stream_type;    /* content-type of a stream it writes */
    unsigned    signs:1;        /* a signature of a call has its place in it,
                                 * and one of a text may stand behind it */

    /* Provider's. */
    int  (*write_request)(ir_t *ir, out_t *out);
    int  (*read_answer)(ir_t *ir, node_t *body);
    /* One SSE event (or frame): name may be empty; data NULL where it is no
     * object, then text has it. */
    int  (*read_event)(ir_t *ir, ai_str_t name, node_t *data, ai_str_t text);
    /* A stream's bytes have ended: what is still to be said, where no event is
     * its last.  NULL: nothing. */
    int  (*read_end)(ir_t *ir);
    /* Fills ir->error, body NULL where it is no object.  status is set. */
    void (*read_error)(ir_t *ir, node_t *body);
    /* A stream that is no SSE: the length of the first frame in bytes, of which
     * data is what read_event is to get, name its kind; 0: more is needed, -1:
     * none.  NULL: SSE. */
    long (*frame)(ai_str_t bytes, ai_str_t *name, ai_str_t *data);
    const char *frame_type;     /* its content-type begins so */
    unsigned    lines:1;        /* frames are lines, whose last may lack its
                                 * end */
    /* Members of a client's body that its dialect does not know and this
     * provider's does: in ir->request's extra.  NULL ends; NULL: none. */
    const char *const *extra;
    /* The header that says what an error is: up to a colon it is error.type
     * when read_error is called.  NULL: none. */
    const char *error_header;
};

extern const dialect_t  dialect_openai;
extern const dialect_t  dialect_anthropic;
extern const dialect_t  dialect_gemini;
extern const dialect_t  dialect_vertex;
extern const dialect_t  dialect_ollama;
extern const dialect_t  dialect_cohere;
extern const dialect_t  dialect_responses;
extern const dialect_t  dialect_bedrock;
extern const dialect_t  dialect_completions;
extern const dialect_t  dialect_count;
extern const dialect_t  dialect_gemini_count;
extern const dialect_t  dialect_vertex_count;
extern const dialect_t  dialect_embeddings;
extern const dialect_t  dialect_gemini_embeddings;
extern const dialect_t  dialect_vertex_embeddings;
extern const dialect_t  dialect_ollama_embeddings;
extern const dialect_t  dialect_cohere_embeddings;

/* By name: NULL if there is none. */
const dialect_t *dialect_find(const char *name);
/* The i-th, NULL behind the last. */
const dialect_t *dialect_at(unsigned i);

/* For dialects. */

/* Makes ir->request's member; value NULL: nothing. */
void ir_set(ir_t *ir, const char *name, node_t *value);
/* Moves a member of a client's body there. */
void ir_carry(ir_t *ir, node_t *body, const char *from, const char *to);
/* The request cannot be carried at all: why (plain, for people) and where. */
int ir_refuse(ir_t *ir, const char *why, const node_t *where);
/* This is left out.  What it is may be NULL: "where" is all there is to say. */
void ir_note(ir_t *ir, const node_t *where, const char *what);

/* A part of a message, appended. */
node_t *ir_message(ir_t *ir, const char *role, const node_t *origin);
node_t *ir_part(ir_t *ir, node_t *message, const char *type,
    const node_t *origin);
/* A part's type; one that is unknown is IR_OTHER-like: NULL. */
int ir_is(ir_t *ir, node_t *part, const char *type);
/* "data:<type>;base64,<data>" cut; 1, or 0: it is none. */
int ir_data_url(ai_str_t url, ai_str_t *media_type, ai_str_t *data);
/* The arguments of a call as JSON text in a string, or as a value that is an
 * object: what is none is wrapped, noted and 0 is returned. */
void ir_arguments_string(ir_t *ir, out_t *out, node_t *arguments);
int ir_arguments_object(ir_t *ir, out_t *out, node_t *arguments);
/* The same of an answer's text: empty is {}. */
void ir_text_object(ir_t *ir, out_t *out, ai_str_t text);

/* Events. */
void ir_usage_init(ir_usage_t *u);
void ir_event(ir_event_t *e, ir_event_e type);
/* To the client's writer, or collected: 0, or -1: against the order above, a
 * bound, no memory. */
int ir_emit(ir_t *ir, const ir_event_t *e);
/* Shorter: a part begins (its number), grows, ends; a whole one. */
int ir_emit_part(ir_t *ir, unsigned choice, ir_kind_e kind, ai_str_t id,
    ai_str_t name);
int ir_emit_delta(ir_t *ir, unsigned choice, unsigned part, ai_str_t text);
int ir_emit_end(ir_t *ir, unsigned choice, unsigned part);
int ir_emit_finish(ir_t *ir, unsigned choice, ir_finish_e finish,
    ai_str_t native, ai_str_t stop);
/* Of words: the finish, IR_FINISH_OTHER for what is in no row. */
typedef struct {
    const char  *word;
    ir_finish_e  finish;
} ir_word_t;
ir_finish_e ir_finish(const ir_word_t *words, const node_t *n);
const char *ir_word(const ir_word_t *words, ir_finish_e finish);

/* An error's cause by its status. */
const char *ir_cause(int status);
/* Writes an SSE event around what write() has put between begin and end. */
void ir_sse_begin(out_t *out, const char *event);
void ir_sse_end(out_t *out);

#endif
