/*
 * What workers fetch for the edges, which fetch nothing: sets of keys, lists of
 * models.  It lies in Redis under a name that the catalog has; each process
 * keeps what it made of the last good one.
 */

#ifndef NGX_HTTP_AI_FETCHED_H
#define NGX_HTTP_AI_FETCHED_H

#include "ai_event.h"
#include "ngx_http_ai_conf.h"


struct ngx_http_ai_fetched_s {

    /* of whom it is for, before it is added */
    u_char                      sha[AI_SHA256_HEX];   /* its name */
    u_char                      bell;         /* AI_BELL_* that says it */
    size_t                    (*key)(char *buf, size_t size, ai_str_t hex);
    int                       (*ok)(ai_sign_t *sign, ai_str_t name,
                                    ai_str_t text, ai_str_t mac);
    /* A text that Redis has, during the call only; ours: it is signed so, where
     * signatures are asked for. */
    void                      (*take)(ngx_http_ai_fetched_t *f, ai_str_t text,
                                      ngx_uint_t ours);
    void                       *data;

    ngx_http_ai_redis_cmd_t     cmd;
    ngx_msec_t                  wanted_at;    /* a refresh was asked for */
    unsigned                    stale:1;      /* to be read from Redis */
    unsigned                    again:1;      /* changed while it was */
    unsigned                    wanted:1;
    ngx_http_ai_fetched_t      *next;
};


/* At the configuration, all above filled in; f lives as long as amcf. */
void ngx_http_ai_fetched_add(ngx_http_ai_main_conf_t *amcf,
    ngx_http_ai_fetched_t *f);

/* Keeps all fresh in this process; nothing is done where there is nothing. */
void ngx_http_ai_fetched_init_process(ngx_cycle_t *cycle);
void ngx_http_ai_fetched_exit_process(void);
/* The subscription stands anew: changes may have been missed. */
void ngx_http_ai_fetched_subscribed(void);
/* A worker has written what has this name, 64 hex digits. */
void ngx_http_ai_fetched_bell(u_char bell, u_char *sha);
/* Something is missing in it: asks the workers for a new one, at most each
 * 30 s. */
void ngx_http_ai_fetched_want(ngx_http_ai_fetched_t *f);


#endif /* NGX_HTTP_AI_FETCHED_H */
