/*
 * GET /v1/models and /v1/models/{id}: what this caller can use now, read from
 * the configuration and the caller's own allow-list.
 */

#ifndef NGX_HTTP_AI_MODELS_H
#define NGX_HTTP_AI_MODELS_H

#include "ngx_http_ai_ctx.h"

/*
 * Answers with the list, or with the one model of this id (of the path, as
 * nginx decoded it).  Anthropic's shape for a request that carries
 * anthropic-version.  Called by the content handler once the principal is
 * known.
 */
ngx_int_t ngx_http_ai_models_handler(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ngx_str_t *id);

/*
 * Whether the caller may ask for this model: the allow-lists of its key and of
 * its tenant's plan, empty for all.
 * NGX_OK, or NGX_DECLINED.
 */
ngx_int_t ngx_http_ai_model_allowed(ngx_http_ai_principal_t *principal,
    ngx_str_t *model);

/*
 * Whether the configuration knows this model: an ai_model, or provider/model
 * of a declared provider.  NGX_OK, or NGX_DECLINED.
 */
ngx_int_t ngx_http_ai_model_known(ngx_http_ai_main_conf_t *amcf,
    ngx_str_t *model);

#endif /* NGX_HTTP_AI_MODELS_H */
