/*
 * Ids: jobs, processes, events.  Values only, nothing is owned.
 */

#ifndef AI_ID_H
#define AI_ID_H

#include "ai_str.h"

#define AI_JOB_ID_LEN      36
#define AI_PROCESS_ID_MAX  64
#define AI_EVENT_ID_MAX    32

typedef struct {
    uint32_t attempt;
    uint32_t seq;
} ai_event_id_t;

/* "job_" and 32 hex digits into buf[AI_JOB_ID_LEN] (no zero byte): 0 or -1. */
int ai_id_job(char *buf, uint64_t now_msec);
int ai_id_job_ok(ai_str_t id);
uint64_t ai_id_job_msec(ai_str_t id);

/* host-pid-startms, the host's other characters as '-'; returns the length. */
size_t ai_id_process(char *buf, size_t size, const char *host, long pid,
    uint64_t start_msec);

/* "<attempt>-<seq>": 0 or -1. */
int ai_id_event_parse(ai_str_t s, ai_event_id_t *id);
size_t ai_id_event_print(char *buf, size_t size, ai_event_id_t id);
int ai_id_event_cmp(ai_event_id_t a, ai_event_id_t b);

/* W3C traceparent: 1 if s is a valid one. */
int ai_id_traceparent_ok(ai_str_t s);
/* A fresh one into buf[55]: 0 or -1. */
int ai_id_traceparent(char *buf);

#endif
