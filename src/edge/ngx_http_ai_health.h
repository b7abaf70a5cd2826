/*
 * /health, /health/live, /health/ready, /health/detailed: whether this edge
 * lives, whether it can serve, and why not.
 */

#ifndef NGX_HTTP_AI_HEALTH_H
#define NGX_HTTP_AI_HEALTH_H

#include "ngx_http_ai_ctx.h"


/* Content handler of ai_health; the path's last part says which. */
ngx_int_t ngx_http_ai_health_handler(ngx_http_request_t *r);


#endif /* NGX_HTTP_AI_HEALTH_H */
