/*
 * The queue's door: a job is given to admit, again where that must be, and
 * watched until a worker has begun it.  ngx_http_ai_admit() itself is a step
 * (ngx_http_ai_steps.h).
 */

#ifndef NGX_HTTP_AI_ADMIT_H
#define NGX_HTTP_AI_ADMIT_H

#include "ngx_http_ai_open.h"


/* What a client is told whose model has no price, where a budget needs one. */
extern ngx_str_t  ngx_http_ai_admit_unpriced;

/* Gives the job to admit, body and all; what it replied before is void. */
void ngx_http_ai_admit_again(ngx_http_ai_open_t *open);

/* The queue's deadline and lost replies, from the timer: msec to the next
 * look, 0 for none. */
ngx_msec_t ngx_http_ai_admit_tick(ngx_http_ai_open_t *open);


#endif /* NGX_HTTP_AI_ADMIT_H */
