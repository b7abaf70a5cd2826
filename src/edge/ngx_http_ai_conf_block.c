/*
 * Blocks of our own in nginx.conf; see the header.
 */

#include "ngx_http_ai_conf_block.h"


#define NGX_HTTP_AI_NAME_MAX  128       /* of a provider or model */


typedef struct {
    ngx_http_ai_block_command_t  *commands;
    void                         *entry;
} ngx_http_ai_block_t;


static char *ngx_http_ai_block_line(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf);


char *
ngx_http_ai_block(ngx_conf_t *cf, ngx_http_ai_block_command_t *commands,
    void *entry)
{
    char                 *rv;
    ngx_conf_t            save;
    ngx_http_ai_block_t   block;

    block.commands = commands;
    block.entry = entry;

    save = *cf;
    cf->handler = ngx_http_ai_block_line;
    /* cppcheck-suppress autoVariables; it is put back before block goes */
    cf->handler_conf = (void *) &block;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    return rv;
}


static char *
ngx_http_ai_block_line(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    ngx_http_ai_block_t  *block = conf;

    char                         *rv;
    ngx_str_t                    *value;
    ngx_uint_t                    n;
    ngx_http_ai_block_command_t  *c;

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    if (ngx_strcmp(value[0].data, "include") == 0) {
        if (n != 1) {
            goto arguments;
        }

        return ngx_conf_include(cf, dummy, conf);
    }

    for (c = block->commands; c->name.len; c++) {

        if (ngx_strcmp(value[0].data, c->name.data) != 0) {
            continue;
        }

        if (n < c->min || n > c->max) {
            goto arguments;
        }

        rv = c->set(cf, block->entry);

        if (rv == NGX_CONF_OK || rv == NGX_CONF_ERROR) {
            return rv;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" %s", &value[0], rv);
        return NGX_CONF_ERROR;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "unknown directive \"%V\"",
                       &value[0]);
    return NGX_CONF_ERROR;

arguments:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid number of arguments in \"%V\" directive",
                       &value[0]);
    return NGX_CONF_ERROR;
}


void *
ngx_http_ai_find(ngx_array_t *list, ngx_str_t *name, ngx_uint_t sorted)
{
    ngx_int_t    rc;
    ngx_str_t   *entry;
    ngx_uint_t   i, low, high;

    low = 0;
    high = list->nelts;

    while (low < high) {
        i = sorted ? low + (high - low) / 2 : low;

        entry = (ngx_str_t *) ((u_char *) list->elts + i * list->size);

        rc = ngx_memn2cmp(name->data, entry->data, name->len, entry->len);

        if (rc == 0) {
            return entry;
        }

        if (sorted && rc < 0) {
            high = i;

        } else {
            low = i + 1;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_ai_name_ok(ngx_str_t *name, ngx_uint_t slash)
{
    u_char      ch;
    ngx_uint_t  i;

    if (name->len == 0 || name->len > NGX_HTTP_AI_NAME_MAX) {
        return NGX_DECLINED;
    }

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if (ch <= ' ' || ch >= 0x7f || ch == '"' || ch == '\\'
            || (ch == '/' && !slash))
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


void
ngx_http_ai_place(ngx_conf_t *cf, ngx_http_ai_place_t *place)
{
    place->file = cf->conf_file->file.name.data;
    place->line = cf->conf_file->line;
}
