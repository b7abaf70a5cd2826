/*
 * The key file of ai_redis ... sign=: read where the configuration is, that
 * is by the master.  The keyed contexts are the configuration's; the text is
 * wiped here.
 */

#include "ngx_http_ai_redis_conn.h"


static void ngx_http_ai_redis_unsign(void *data);


ngx_int_t
ngx_http_ai_redis_sign(ngx_conf_t *cf, ngx_http_ai_redis_conf_t *conf,
    ngx_str_t *value)
{
    u_char               text[AI_SIGN_FILE_MAX + 1];
    ssize_t              n;
    ngx_fd_t             fd;
    ngx_str_t            name;
    const char          *why;
    ngx_pool_cleanup_t  *cln;

    if (conf->sign != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "a second \"sign\"");
        return NGX_ERROR;
    }

    if (value->len < 6 || ngx_strncmp(value->data, "file:", 5) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "nginx reads keys from files only: "
                           "\"sign=file:PATH\"");
        return NGX_ERROR;
    }

    name.data = value->data + 5;
    name.len = value->len - 5;

    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (cln == NULL || ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(name.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", &name);
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, text, sizeof(text));

    (void) ngx_close_file(fd);

    if (n == -1 || n > AI_SIGN_FILE_MAX) {
        why = (n == -1) ? "it cannot be read" : "it is over 8192 bytes long";

    } else {
        conf->sign = ai_sign_open((ai_str_t) { n, (char *) text }, &why);
    }

    ngx_explicit_memzero(text, sizeof(text));

    if (conf->sign == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no file of keys: %s", &name, why);
        return NGX_ERROR;
    }

    cln->handler = ngx_http_ai_redis_unsign;
    cln->data = conf->sign;

    return NGX_OK;
}


static void
ngx_http_ai_redis_unsign(void *data)
{
    ai_sign_close(data);
}
