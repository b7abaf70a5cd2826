/*
 * A few Redis commands for one request, asked together, answered once all
 * replies are there: for health and metrics.  Lives in the request's pool.
 */

#ifndef NGX_HTTP_AI_GATHER_H
#define NGX_HTTP_AI_GATHER_H

#include "ngx_http_ai_ctx.h"


#define NGX_HTTP_AI_GATHER_MAX  8


typedef struct ngx_http_ai_gather_s  ngx_http_ai_gather_t;

struct ngx_http_ai_gather_s {
    ngx_http_request_t         *request;
    void                       *data;         /* the caller's */

    /* A reply to command i; NULL: none came.  Valid during the call only. */
    void                      (*reply)(ngx_http_ai_gather_t *g, ngx_uint_t i,
                                       ai_resp_t *reply);

    /* All are there, or time is up.  What it returns finalizes the request,
     * unless it asked more by another ngx_http_ai_gather_run(). */
    ngx_int_t                 (*done)(ngx_http_ai_gather_t *g);

    ngx_uint_t                  pending;      /* 0: nothing under way */
    ngx_event_t                 timer;
    unsigned                    started:1;
    ngx_http_ai_redis_cmd_t     cmds[NGX_HTTP_AI_GATHER_MAX];
};


typedef struct {
    ngx_uint_t                  argc;
    ngx_str_t                  *argv;
} ngx_http_ai_gather_cmd_t;


/*
 * Asks; returns NGX_DONE for the content handler to return, or, where nothing
 * could be asked, what done() returned.
 */
ngx_int_t ngx_http_ai_gather_run(ngx_http_ai_gather_t *g,
    ngx_http_ai_gather_cmd_t *cmds, ngx_uint_t n);


#endif /* NGX_HTTP_AI_GATHER_H */
