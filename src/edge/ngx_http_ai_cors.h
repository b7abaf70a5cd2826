/*
 * Cross-origin requests: ai_cors, which answers preflights and adds the
 * headers by which a browser lets a page read an answer.
 */

#ifndef NGX_HTTP_AI_CORS_H
#define NGX_HTTP_AI_CORS_H

#include "ngx_http_ai_ctx.h"


/* The directive's slot. */
char *ngx_http_ai_conf_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Adds the filter; in postconfiguration. */
ngx_int_t ngx_http_ai_cors_init(ngx_conf_t *cf);

/* NGX_DECLINED: no preflight.  Else it is answered; as a phase's handler. */
ngx_int_t ngx_http_ai_cors_preflight(ngx_http_request_t *r,
    ngx_http_ai_loc_conf_t *alcf);


#endif /* NGX_HTTP_AI_CORS_H */
