/*
 * The interface of a provider's dialect: request in, bytes out, usage out.
 * A dialect is one constant table; it owns nothing and keeps no state but
 * the provider_usage_t of the call.
 */

#ifndef PROVIDER_H
#define PROVIDER_H

#include "ai_error.h"
#include "ai_str.h"

#define PROVIDER_BODY_MAX    (64 * 1024 * 1024)     /* a request's, bytes */
#define PROVIDER_DEPTH_MAX   512                    /* its JSON */
#define PROVIDER_MODEL_MAX   512                    /* a model's name */
#define PROVIDER_PATH_MAX    (PROVIDER_MODEL_MAX * 3 + 512) /* of a URL */
#define PROVIDER_FINISH_MAX  48

typedef struct {
    ai_str_t body;              /* as the client sent it */
    ai_str_t model;             /* to be asked */
    unsigned stream:1;
    unsigned usage:1;           /* ask for usage in the stream */
} provider_request_t;

/* What a call has shown so far; counts are -1 where unknown. */
typedef struct {
    int64_t  input;
    int64_t  output;
    int64_t  cached_read;
    int64_t  cached_write;
    int64_t  reasoning;
    int64_t  cached_write_1h;   /* part of cached_write */
    int64_t  audio_input;       /* parts of input and output */
    int64_t  audio_output;
    int64_t  image_input;
    int64_t  image_output;
    uint64_t text_bytes;        /* of the answer's text, for an estimate */
    char     finish[PROVIDER_FINISH_MAX];
    unsigned complete:1;        /* the stream said that it ends */
    unsigned error:1;           /* the provider reported one in a 200 */
    unsigned broken:1;          /* the body is no JSON object */
} provider_usage_t;

typedef enum {
    PROVIDER_PASS = 0,          /* the event goes on as it is */
    PROVIDER_DROP,              /* the client did not ask for it */
    PROVIDER_CUT,               /* without the bytes cut..cut_end */
    PROVIDER_BROKEN             /* it begins as a JSON object and is none */
} provider_verdict_e;

typedef struct {
    size_t start;
    size_t end;
} provider_cut_t;

/* What of a call its URL may depend on; grows as dialects need it. */
typedef struct {
    ai_str_t base;              /* the provider's URL; it may have a query */
    ai_str_t model;             /* to be asked */
    const char *path;           /* provider_t's */
    unsigned stream:1;
} provider_place_t;

typedef struct {
    const char   *api;          /* in the catalog */
    const char   *op;           /* a job's, which this is for alone; NULL: for
                                 * all that it has no other provider_t for */
    const char   *speaks;       /* name of its dialect_t, NULL: api */
    ai_dialect_e  dialect;      /* AI_DIALECT_LAST: no client speaks it; then
                                 * request, event and body are NULL */
    const char   *path;         /* behind the URL; a version ("/v1") that the
                                 * URL ends in stands instead of the path's */
    /* Where path depends on the call: adds it, which may end in a query: 0, or
     * -1: no model has such a name (provider_escape). */
    int         (*place)(ai_buf_t *b, const provider_place_t *p);
    const char   *key_header;   /* "name: " before the key */
    const char   *version;      /* header it must have, NULL: none */
    unsigned      mute:1;       /* its answers have no text */
    unsigned      free:1;       /* nobody is charged for them */
    unsigned      accounts:1;   /* a key may be a service account's (account.h),
                                 * which is traded for a token */
    const char   *aws;          /* the service that a key of AWS' signs for
                                 * (aws.h), NULL: none */

    /*
     * The body to send: 0 and *out (malloc, or NULL: the body as it is) with
     * *len; *added: it asks for usage that the client did not; -1: no JSON
     * object that names a model, -2: no memory.  For any thread.
     */
    int (*request)(const provider_request_t *req, char **out, size_t *len,
        int *added);
    /* One whole SSE event; added as request said it. */
    provider_verdict_e (*event)(provider_usage_t *u, ai_str_t raw, int added,
        provider_cut_t *cut);
    /* A whole answer that is no stream.  For any thread. */
    void (*body)(provider_usage_t *u, ai_str_t body);
} provider_t;

extern const provider_t  provider_openai;
extern const provider_t  provider_anthropic;
extern const provider_t  provider_azure;
extern const provider_t  provider_openai_embeddings;
extern const provider_t  provider_openai_completions;
extern const provider_t  provider_azure_embeddings;
extern const provider_t  provider_azure_completions;
extern const provider_t  provider_anthropic_count;
extern const provider_t  provider_gemini_count;
extern const provider_t  provider_vertex_count;
extern const provider_t  provider_gemini_embeddings;
extern const provider_t  provider_vertex_embeddings;
extern const provider_t  provider_ollama_embeddings;
extern const provider_t  provider_cohere_embeddings;
extern const provider_t  provider_gemini;
extern const provider_t  provider_vertex;
extern const provider_t  provider_ollama;
extern const provider_t  provider_cohere;
extern const provider_t  provider_responses;
extern const provider_t  provider_bedrock;

/* By the catalog's api: NULL if unknown (echo is none of these). */
const provider_t *provider_find(ai_str_t api);
/* The one of that api for a job's op; where it has none of its own, as
 * provider_find. */
const provider_t *provider_for(ai_str_t api, ai_str_t op);
/* Whether it takes the bytes of such a client as they are. */
int provider_same(const provider_t *p, ai_dialect_e dialect, ai_str_t op);
/* The one whose answers a client of this dialect gets. */
const provider_t *provider_of(ai_dialect_e dialect);
void provider_usage_init(provider_usage_t *u);

/* The URL of a call, base, path and queries (query: one more, or empty): 0, or
 * -1: as place says.  It is not whole where b is full. */
int provider_url(ai_buf_t *b, const provider_t *p,
    const provider_place_t *place, ai_str_t query);

/* For dialects. */

/* Adds a name to a path: letters, digits, "-._~" and those of also as they are,
 * others as %XX; 0, or -1: it is empty, or has a segment "." or "..". */
int provider_escape(ai_buf_t *b, ai_str_t name, const char *also);

typedef struct {
    size_t start;               /* bytes of the body that go */
    size_t end;
    char   text[PROVIDER_MODEL_MAX * 6 + 8];    /* what comes instead */
    size_t len;
} provider_edit_t;

/* The body with edits (ascending, not overlapping): malloc, or NULL. */
char *provider_apply(ai_str_t body, const provider_edit_t *edits, unsigned n,
    size_t *len);
/* An edit that makes the string at start..end the model; 0 where it is. */
int provider_edit_model(provider_edit_t *e, ai_str_t body, size_t start,
    size_t end, ai_str_t model);
/* A count at a path of a JSON text, or otherwise. */
int64_t provider_count(ai_str_t json, const char *path, int64_t otherwise);
/* Tokens of the output, reasoning included, out of four counts (-1: not told):
 * some leave it out of their output, which their total then shows. */
int64_t provider_output(int64_t input, int64_t output, int64_t reasoning,
    int64_t total);
/* A short string at a path into buf (cut): 1 or 0. */
int provider_word(ai_str_t json, const char *path, char *buf, size_t size);
/* Bytes of the string at a path, quotes aside. */
size_t provider_text(ai_str_t json, const char *path);
/* The data of an event's one data line; 0 where it has none or many. */
int provider_data(ai_str_t raw, ai_str_t *event, ai_str_t *data);
int provider_has(ai_str_t s, const char *word);

#endif
