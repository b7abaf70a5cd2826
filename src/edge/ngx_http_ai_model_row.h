/*
 * A model as /v1/models shows it: context, price, in the caller's dialect.
 */

#ifndef NGX_HTTP_AI_MODEL_ROW_H
#define NGX_HTTP_AI_MODEL_ROW_H

#include "ngx_http_ai_conf.h"


#define NGX_HTTP_AI_MODEL_ROW_ROOM  256       /* a row without its names */


typedef struct {
    ngx_str_t                   id;
    ngx_str_t                   owner;

    /* filled */
    int64_t                     context;      /* tokens; 0: not known */
    int64_t                     output;
    const ai_price_t           *price;        /* of the configuration; NULL:
                                                 of is it */
    int64_t                     of[AI_PRICE_KINDS];   /* -1: not known */
    unsigned                    priced:1;
} ngx_http_ai_model_row_t;


/* What is known of the model id. */
void ngx_http_ai_model_row_fill(ngx_http_ai_main_conf_t *amcf,
    ngx_http_ai_model_row_t *row);
/* Bytes that it takes at most. */
size_t ngx_http_ai_model_row_size(ngx_http_ai_model_row_t *row);
/* Appends it as an object; created: when it is said to be made. */
void ngx_http_ai_model_row_write(ai_buf_t *b, ai_dialect_e dialect,
    ngx_http_ai_model_row_t *row, time_t created);


#endif /* NGX_HTTP_AI_MODEL_ROW_H */
