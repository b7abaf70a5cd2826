/*
 * A block of our own in nginx.conf (ai_provider {}, ai_model {}): reads its
 * lines by a table of commands into one entry.  Owns nothing.
 */

#ifndef NGX_HTTP_AI_CONF_BLOCK_H
#define NGX_HTTP_AI_CONF_BLOCK_H

#include "ngx_http_ai_conf.h"


typedef struct {
    ngx_str_t                   name;
    ngx_uint_t                  min;          /* arguments */
    ngx_uint_t                  max;
    /* NGX_CONF_OK, NGX_CONF_ERROR after logging, or what is wrong. */
    char                     *(*set)(ngx_conf_t *cf, void *entry);
} ngx_http_ai_block_command_t;


/*
 * Reads the block whose "{" was read last; include works inside.  Returns
 * what ngx_conf_parse() returns.  commands end with an empty name.
 */
char *ngx_http_ai_block(ngx_conf_t *cf, ngx_http_ai_block_command_t *commands,
    void *entry);

/*
 * An element by its name, which it begins with; sorted: by ngx_memn2cmp() of
 * names, and searched in halves.  NULL where there is none.
 */
void *ngx_http_ai_find(ngx_array_t *list, ngx_str_t *name, ngx_uint_t sorted);

/* Whether a name can stand in keys, logs and JSON without surprises; slash: it
 * may contain some.  NGX_OK or NGX_DECLINED. */
ngx_int_t ngx_http_ai_name_ok(ngx_str_t *name, ngx_uint_t slash);

/* Where the directive that is being read stands. */
void ngx_http_ai_place(ngx_conf_t *cf, ngx_http_ai_place_t *place);


#endif /* NGX_HTTP_AI_CONF_BLOCK_H */
