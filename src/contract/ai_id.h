/*
 * Ids: jobs, processes, events, traces.  Values only, nothing is owned.
 */

#ifndef AI_ID_H
#define AI_ID_H

#include "ai_str.h"

#define AI_JOB_ID_LEN       36
#define AI_PROCESS_ID_MAX   64
#define AI_EVENT_ID_MAX     32      /* bytes, a zero byte included */
#define AI_TRACEPARENT_LEN  55
#define AI_TRACEPARENT_MAX  128

typedef struct {
    uint32_t attempt;           /* 1, 2, 3 */
    uint32_t seq;               /* from 1; 0 is the attempt's own event */
} ai_event_id_t;

/*
 * A new job id into buf[AI_JOB_ID_LEN], no zero byte: "job_", 12 hex digits of
 * now_msec (Unix time; its low 48 bits) and 20 random ones.  0 or -1.
 */
int ai_id_job(char *buf, uint64_t now_msec);
/* 1 if id has that form (lower case), else 0. */
int ai_id_job_ok(ai_str_t id);
/* The Unix milliseconds in a job id; 0 where it is none. */
uint64_t ai_id_job_msec(ai_str_t id);

/*
 * "<host>-<pid>-<startms>" with a zero byte behind: the host's other
 * characters than [A-Za-z0-9.-] as '-', its end cut so that all fits into size
 * and AI_PROCESS_ID_MAX.  Returns the length without the zero byte; 0 where
 * not even an empty host fits.
 */
size_t ai_id_process(char *buf, size_t size, const char *host, long pid,
    uint64_t start_msec);

/*
 * "<attempt>-<seq>", decimal, without leading zeros, each below 2^32: 0, or -1
 * and *id untouched.
 */
int ai_id_event_parse(ai_str_t s, ai_event_id_t *id);
/* Writes it with a zero byte behind; returns the length without that byte, or
 * 0 where it does not fit (AI_EVENT_ID_MAX always does). */
size_t ai_id_event_print(char *buf, size_t size, ai_event_id_t id);
/* Less than, equal to, greater than 0, by attempt and then by seq. */
int ai_id_event_cmp(ai_event_id_t a, ai_event_id_t b);

/*
 * W3C Trace Context, 3.2: 1 if s is a valid traceparent.  Of a version above
 * 00 the first 55 bytes are what we know; whatever follows is at most 73
 * visible characters.
 */
int ai_id_traceparent_ok(ai_str_t s);
/* A fresh one (version 00, sampled) into buf[AI_TRACEPARENT_LEN], no zero
 * byte: 0 or -1. */
int ai_id_traceparent(char *buf);

#endif
