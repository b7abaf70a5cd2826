/*
 * The steps of a request in the order they run, and what the module's table
 * (ngx_http_ai_module.c) registers.  Steps share nothing but the context.
 */

#ifndef NGX_HTTP_AI_STEPS_H
#define NGX_HTTP_AI_STEPS_H

#include "ngx_http_ai_ctx.h"


/* Adds the shared zone of principals (amcf->principals_size bytes) and sets
 * amcf->principals; after the directives were read.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_ai_zone_init(ngx_conf_t *cf, ngx_http_ai_main_conf_t *amcf);

/* init_process and exit_process of the module; nothing is done where no
 * location has ai_pass, and in processes that serve no requests. */
ngx_int_t ngx_http_ai_edge_init_process(ngx_cycle_t *cycle);
void ngx_http_ai_edge_exit_process(ngx_cycle_t *cycle);

/* PREACCESS: who asks.  Never refuses; may suspend. */
ngx_int_t ngx_http_ai_identify_handler(ngx_http_request_t *r);

/* ACCESS: 401 and 403, as satisfy composes them. */
ngx_int_t ngx_http_ai_refuse_handler(ngx_http_request_t *r);

/* Content handler of ai_pass: finds the endpoint and runs it. */
ngx_int_t ngx_http_ai_pass_handler(ngx_http_request_t *r);


#endif /* NGX_HTTP_AI_STEPS_H */
