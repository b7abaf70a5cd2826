/*
 * The job's spec (docs/wire.md, 3): one struct, its writer and its reader.
 * After a parse the strings borrow from the record.
 */

#ifndef AI_JOB_H
#define AI_JOB_H

#include "ai_id.h"
#include "ai_record.h"

#define AI_JOB_VERSION       1
#define AI_JOB_HEADERS_MAX   64
#define AI_JOB_SPEC_MAX      (128 * 1024)
#define AI_JOB_TEXT_MAX      256         /* bytes of principal, user, model */
#define AI_JOB_QUERY_MAX     1024
#define AI_JOB_KEEP_MAX      48
#define AI_JOB_TIMEOUT_MAX   86400000    /* a day, in ms */

/* Empty strings where nothing is known; required is what ai_job_ok says. */
typedef struct {
    ai_str_t id;
    ai_str_t tenant;
    ai_str_t principal;         /* key:<key id>, jwt:<subject>, anonymous */
    ai_str_t user;
    ai_str_t role;              /* what the worker checks again (ai_role.h) */
    ai_str_t scopes;
    ai_str_t op;                /* chat, messages */
    ai_str_t dialect;
    ai_str_t model;             /* as the client asked */
    ai_str_t catalog;           /* SHA-256 in hex */
    ai_str_t digest;            /* SHA-256 in hex of the body, if signed */
    ai_str_t query;             /* without its "?" */
    ai_str_t edge;
    ai_str_t traceparent;
    ai_str_t forward;           /* names of answer headers that pass, too */
    ai_str_t keep;              /* "<ms> <bytes>": its answer is to be kept
                                 * so long, if it is not larger */
    int64_t  timeout_msec;      /* of the whole job after its start */
    unsigned stream:1;
    unsigned usage_asked:1;
    unsigned resumable:1;
    unsigned background:1;
    unsigned strict:1;          /* what cannot be translated refuses it */
    unsigned nheaders;
    ai_str_t headers[AI_JOB_HEADERS_MAX];   /* "name: value" */
} ai_job_t;

/*
 * 1 if a reader will take this job, else 0.  Required: id, tenant, principal,
 * op, dialect, model, catalog, timeout_msec from 1 to AI_JOB_TIMEOUT_MAX; what
 * is there has its form, texts are UTF-8 without control characters, headers
 * are valid and none is of ai_headers_never.  The edge asks it before admit:
 * model and user may come from the client.
 */
int ai_job_ok(const ai_job_t *job);
/* Appends the spec; what is empty is left out.  A job that is not ok, or a
 * spec over AI_JOB_SPEC_MAX, sets b->full. */
void ai_job_write(ai_buf_t *b, const ai_job_t *job);
/* 0, or -1: malformed, over AI_JOB_SPEC_MAX, another version, a field twice,
 * or not ok.  Then *job is not to be used. */
int ai_job_parse(ai_str_t spec, ai_job_t *job);
/* Appends the ledger base (docs/wire.md, 6) of a job that is ok. */
void ai_job_base(ai_buf_t *b, const ai_job_t *job);

#endif
