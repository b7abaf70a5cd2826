/*
 * What state.c (jobs that read what is stored), state_items.c (a page of it)
 * and state_drop.c (those that delete it) share.
 */

#ifndef STATE_IN_H
#define STATE_IN_H

#include <jansson.h>

#include "job_in.h"
#include "parked.h"
#include "stored.h"

typedef enum {
    STATE_GET = 0,
    STATE_ITEMS,
    STATE_FOLLOW,
    STATE_CANCEL,
    STATE_DELETE
} state_do_e;

typedef struct {
    job_t      *job;
    state_do_e  what;
    char        id[STORED_ID_MAX];
    char        target[AI_JOB_ID_LEN + 1];  /* the job; empty: none known */
    char        after[STORED_ID_MAX];
    char        where[128];     /* to be asked instead */
    int64_t     from;           /* of a stream, -1: its begin */
    int         limit;
    char       *input;          /* an array, of a list */
    size_t      input_len;
    json_t     *list;
    uv_work_t   work;
    uv_timer_t  timer;
    unsigned    looks;          /* at a job that is to end */
    unsigned    timed:1;        /* timer is initialised */
    unsigned    ascending:1;
    unsigned    cancelled:1;
    unsigned    dropped:1;
    unsigned    away:1;         /* Postgres is */
    unsigned    again:1;        /* it was asked twice */
} state_t;

/* state.c */
/* Asks Postgres with tenant, owner and id: 0, and cb follows; or -1. */
int state_query(state_t *s, const char *sql, db_result_pt cb);
/* 0: the job has ended meanwhile, and s is gone. */
int state_alive(state_t *s);
/* Whether the asker may see what is this user's. */
int state_mine(const state_t *s, ai_str_t user);
/* Each answers and ends the job; s is gone.  Takes body. */
void state_end(state_t *s, int status, json_t *body);
void state_missing(state_t *s);
void state_away(state_t *s);
void state_free(state_t *s);

/* state_items.c: the list that the answer is, for any thread; NULL: no memory,
 * or input is none. */
json_t *state_items(const state_t *s);

/* state_drop.c: deletes it. */
void state_drop(state_t *s);

#endif
