/*
 * A question that is asked once, however many requests wait for its answer: of
 * a key or a tenant (ngx_http_ai_lookup.c), of counters (ngx_http_ai_seed.c).
 * A question under way belongs to the process; its waiters to their owners,
 * who take them out before they die.
 */

#ifndef NGX_HTTP_AI_QUESTION_H
#define NGX_HTTP_AI_QUESTION_H

#include "ngx_http_ai_conf.h"


/* Those of one kind. */
typedef struct {
    ngx_queue_t                *buckets;      /* static, zeros at first */
    ngx_uint_t                  nbuckets;
    ngx_uint_t                  max;          /* one more is refused */
    ngx_uint_t                  n;
    const char                 *name;         /* of many, for the log */
} ngx_http_ai_questions_t;

/* The first member of what a kind has to know of it. */
typedef struct {
    ngx_queue_t                 queue;        /* in its bucket */
    ngx_queue_t                 waiters;
    u_char                      sha[AI_SHA256_HEX];
    ngx_http_ai_redis_cmd_t     cmd;
    ngx_event_t                 timer;        /* cancelable */
} ngx_http_ai_question_t;

typedef struct {
    ngx_queue_t                 queue;
    unsigned                    waiting:1;
} ngx_http_ai_waiter_t;


/* The one under way for this hash, or NULL. */
ngx_http_ai_question_t *ngx_http_ai_question_find(ngx_http_ai_questions_t *k,
    u_char *sha);

/* Makes one of size bytes, zeros behind what is above, whose timer runs
 * handler with it as data; not yet under way.  NULL: there are too many, which
 * the log says, or no memory.  Ends with ngx_free(), or, once it is under way,
 * ngx_http_ai_question_end(). */
ngx_http_ai_question_t *ngx_http_ai_question_make(ngx_http_ai_questions_t *k,
    size_t size, u_char *sha, ngx_event_handler_pt handler);
/* It has been asked: others find it from now on. */
void ngx_http_ai_question_begin(ngx_http_ai_questions_t *k,
    ngx_http_ai_question_t *q);

/* Gives it a command, whose handler gets q as data.  NGX_OK, or NGX_DECLINED:
 * the handler will not be called. */
ngx_int_t ngx_http_ai_question_send(ngx_http_ai_question_t *q,
    ngx_http_ai_redis_handler_pt handler, ngx_str_t *argv, ngx_uint_t argc);
/* The same: asks the workers (docs/wire.md, ai:lookup): field says what, text
 * whom or what for; charged is its field c, or NULL. */
ngx_int_t ngx_http_ai_question_ask(ngx_http_ai_question_t *q,
    ngx_http_ai_redis_handler_pt handler, char *field, ai_str_t text,
    char *charged);
/* Command and timer off. */
void ngx_http_ai_question_stop(ngx_http_ai_question_t *q);

void ngx_http_ai_question_wait(ngx_http_ai_question_t *q,
    ngx_http_ai_waiter_t *w);
/* May be called when it does not wait. */
void ngx_http_ai_question_leave(ngx_http_ai_waiter_t *w);

/*
 * Ends one: it is stopped and found no more.  Then next gives its waiters one
 * by one, no longer waiting; when there is none more it is freed, and next
 * returns NULL.  Each may be told at once: what it does may take other waiters
 * out, or ask the same anew.
 */
void ngx_http_ai_question_end(ngx_http_ai_questions_t *k,
    ngx_http_ai_question_t *q);
ngx_http_ai_waiter_t *ngx_http_ai_question_next(ngx_http_ai_question_t *q);


#endif /* NGX_HTTP_AI_QUESTION_H */
