/*
 * What admit found to be out of date, asked for anew; then admit is given once
 * more, or the answer ends with an error.  For ngx_http_ai_admit.c only; each
 * may end the request before it returns.
 */

#ifndef NGX_HTTP_AI_RECHECK_H
#define NGX_HTTP_AI_RECHECK_H

#include "ngx_http_ai_open.h"


/* STALE: the principal changed while the request came; once a request. */
void ngx_http_ai_recheck_principal(ngx_http_ai_open_t *open);

/* SEED: counters that nobody has filled: the ledger says what they are.
 * missing: as admit replies, valid during the call only. */
void ngx_http_ai_recheck_counters(ngx_http_ai_open_t *open, ai_str_t missing);
/* The ledger did not say it, or not in time. */
void ngx_http_ai_recheck_unseeded(ngx_http_ai_open_t *open);


#endif /* NGX_HTTP_AI_RECHECK_H */
