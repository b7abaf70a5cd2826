/*
 * The job's spec (docs/wire.md, 3): one struct, its writer and its reader.
 * After a parse the strings borrow from the record.
 */

#ifndef AI_JOB_H
#define AI_JOB_H

#include "ai_id.h"
#include "ai_record.h"

#define AI_JOB_HEADERS_MAX  64
#define AI_JOB_SPEC_MAX     (128 * 1024)

typedef struct {
    ai_str_t id;
    ai_str_t tenant;
    ai_str_t principal;
    ai_str_t user;
    ai_str_t op;
    ai_str_t dialect;
    ai_str_t model;
    ai_str_t catalog;
    ai_str_t query;
    ai_str_t edge;
    ai_str_t traceparent;
    int64_t  timeout_msec;
    unsigned stream:1;
    unsigned usage_asked:1;
    unsigned resumable:1;
    unsigned background:1;
    unsigned nheaders;
    ai_str_t headers[AI_JOB_HEADERS_MAX];   /* "name: value" */
} ai_job_t;

void ai_job_write(ai_buf_t *b, const ai_job_t *job);
/* 0, or -1: malformed, a name that is not valid, another version. */
int ai_job_parse(ai_str_t spec, ai_job_t *job);
/* The ledger base (docs/wire.md, 6). */
void ai_job_base(ai_buf_t *b, const ai_job_t *job);

#endif
