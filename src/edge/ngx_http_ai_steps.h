/*
 * The steps of a request in the order they run, and what the module's table
 * (ngx_http_ai_module.c) registers.  Steps share nothing but the context.
 */

#ifndef NGX_HTTP_AI_STEPS_H
#define NGX_HTTP_AI_STEPS_H

#include "ngx_http_ai_ctx.h"


/* Adds the shared zones of principals and, where there are keys for them, of
 * tokens, and sets amcf->principals and amcf->tokens; after the directives were
 * read.  NGX_OK or NGX_ERROR. */
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


/*
 * What follows is called by the steps only.
 */

/* ctx->op */
#define NGX_HTTP_AI_OP_CHAT        0
#define NGX_HTTP_AI_OP_MESSAGES    1
#define NGX_HTTP_AI_OP_MODELS      2
#define NGX_HTTP_AI_OP_JOB         3
#define NGX_HTTP_AI_OP_EVENTS      4
#define NGX_HTTP_AI_OP_CANCEL      5
#define NGX_HTTP_AI_OP_RESPONSES   6
#define NGX_HTTP_AI_OP_RESPONSE    7
#define NGX_HTTP_AI_OP_RESPONSE_ITEMS   8
#define NGX_HTTP_AI_OP_RESPONSE_CANCEL  9
#define NGX_HTTP_AI_OP_EMBEDDINGS  10
#define NGX_HTTP_AI_OP_COMPLETIONS 11
#define NGX_HTTP_AI_OP_COUNT       12
#define NGX_HTTP_AI_OP_CONVERSATIONS       13
#define NGX_HTTP_AI_OP_CONVERSATION        14
#define NGX_HTTP_AI_OP_CONVERSATION_ITEMS  15
#define NGX_HTTP_AI_OP_CONVERSATION_ITEM   16
#define NGX_HTTP_AI_OP_NONE        20         /* no such path */

/* What ai_role, a limit and a job's spec call it. */
ai_str_t ngx_http_ai_op_name(ngx_http_ai_ctx_t *ctx);

/* Responses' state, conversations too: a job without a model, for a worker that
 * asks Postgres. */
ngx_uint_t ngx_http_ai_is_state(ngx_http_ai_ctx_t *ctx);
ngx_int_t ngx_http_ai_state_handler(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);
ngx_uint_t ngx_http_ai_is_conversation(ngx_http_ai_ctx_t *ctx);
ngx_int_t ngx_http_ai_conversation_handler(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);
/* Of a conversation's path, whether it means an item: op, methods, id, item. */
void ngx_http_ai_conversation_item(ngx_http_ai_ctx_t *ctx);
/* Answers with a response in the background that was admitted. */
void ngx_http_ai_state_queued(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx);
/* The events of ctx->job behind one with this number, -1: all.  Holds the
 * request. */
ngx_int_t ngx_http_ai_jobs_follow(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, int64_t after);

/* Fills op, dialect and job from the path, once. */
void ngx_http_ai_endpoint(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx);

/* Fills principal or refusal from what is known of the key. */
void ngx_http_ai_identified(ngx_http_ai_ctx_t *ctx, ngx_uint_t state,
    ngx_http_ai_principal_t *p);
ngx_http_ai_principal_t *ngx_http_ai_identify_anonymous(ngx_pool_t *pool);

/*
 * The tenant of a request whose principal or refusal is known: then principal
 * is of that tenant, or refusal says why there is none.  NGX_DECLINED: done;
 * NGX_AGAIN: the request waits; else an error.
 */
ngx_int_t ngx_http_ai_tenant(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx);
/* What is known of the tenant that was looked up. */
void ngx_http_ai_tenant_known(ngx_http_ai_ctx_t *ctx, ngx_uint_t state,
    ngx_http_ai_principal_t *record);
/* The principal was looked up again, and was of this tenant before. */
void ngx_http_ai_tenant_again(ngx_http_ai_ctx_t *ctx,
    ngx_http_ai_principal_t *was);
/* What admit compares (docs/wire.md, 5: key_id, key_version): NGX_OK, or
 * NGX_ERROR without memory. */
ngx_int_t ngx_http_ai_tenant_versioned(ngx_http_ai_ctx_t *ctx,
    ngx_str_t *name, ngx_str_t *version);

/*
 * Whether the principal may do this from where it is: its networks, role and
 * scopes.  NGX_OK; NGX_DECLINED: refusal says why not, principal stays.
 */
ngx_int_t ngx_http_ai_permit(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx);

/*
 * Fills principal or refusal from a token (ai_jwt_shape), from shared memory
 * where it was verified lately.  NGX_OK, or NGX_ERROR without memory.
 */
ngx_int_t ngx_http_ai_jwt_identify(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx, ai_str_t token);
/*
 * A claim of the token that the principal is of, as text, from the request's
 * pool (ai_jwt_claim in ai_jwt.h says how arrays read, and what a name is): a
 * value of at most 1024 bytes.  NGX_OK; NGX_DECLINED: the principal is of no
 * token, or there is no such claim, or an empty one; NGX_ABORT: it is no text;
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_ai_jwt_claim(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);

/* Says in headers how to ask again, where that is by a token; once. */
ngx_int_t ngx_http_ai_challenge(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);

/* The answer to somebody who was refused; for finalize. */
ngx_int_t ngx_http_ai_refuse(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx);

/* Reads and checks the body, then goes on with admit; returns what a content
 * handler returns. */
ngx_int_t ngx_http_ai_body_read(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);
/* The body is not needed any more. */
void ngx_http_ai_body_free(ngx_http_ai_ctx_t *ctx);

/* Gives the job to the queue; from a handler that holds the request.  Answers
 * the request itself, in any case. */
void ngx_http_ai_admit(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx);

/* GET /v1/jobs/{id}, its events, its cancel; as a content handler. */
ngx_int_t ngx_http_ai_job_handler(ngx_http_request_t *r,
    ngx_http_ai_ctx_t *ctx);
/* Answers with the job as JSON; the request is held, and finalized later. */
void ngx_http_ai_job_show(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx,
    ngx_uint_t status);


#endif /* NGX_HTTP_AI_STEPS_H */
