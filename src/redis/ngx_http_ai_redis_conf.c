/*
 * The ai_redis directive: its arguments, addresses, password files and TLS.
 * What it fills belongs to the configuration's pool, and passwords are wiped
 * with it.
 */

#include "ngx_http_ai_redis_conn.h"


#define NGX_HTTP_AI_REDIS_PASSWORD_MAX  4096


typedef struct {
    ngx_str_t    tls_ca;
    ngx_str_t    tls_cert;
    ngx_str_t    tls_key;
    ngx_uint_t   address;
    ngx_uint_t   tls;
    ngx_uint_t   tls_options;
} ngx_http_ai_redis_args_t;


static ngx_int_t ngx_http_ai_redis_address(ngx_conf_t *cf,
    ngx_http_ai_redis_conf_t *conf, ngx_http_ai_redis_args_t *args,
    ngx_str_t *value);
static ngx_int_t ngx_http_ai_redis_option(ngx_conf_t *cf,
    ngx_http_ai_redis_conf_t *conf, ngx_http_ai_redis_args_t *args,
    ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_http_ai_redis_check(ngx_conf_t *cf,
    ngx_http_ai_redis_conf_t *conf, ngx_http_ai_redis_args_t *args);
static const char *ngx_http_ai_redis_check_pairs(
    ngx_http_ai_redis_conf_t *conf, ngx_http_ai_redis_args_t *args);
static ngx_int_t ngx_http_ai_redis_host(ngx_conf_t *cf,
    ngx_http_ai_redis_conf_t *conf, ngx_http_ai_redis_host_t *host,
    ngx_str_t *value, in_port_t port);
static ngx_int_t ngx_http_ai_redis_password(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *password);
static ngx_int_t ngx_http_ai_redis_password_file(ngx_conf_t *cf,
    ngx_str_t *path, ngx_str_t *password);
static void ngx_http_ai_redis_wipe(void *data);
static ngx_int_t ngx_http_ai_redis_tls(ngx_conf_t *cf,
    ngx_http_ai_redis_conf_t *conf, ngx_http_ai_redis_args_t *args);


char *
ngx_http_ai_redis_parse(ngx_conf_t *cf, ngx_http_ai_redis_conf_t *conf)
{
    ngx_str_t                 *value, name, text;
    ngx_uint_t                 i;
    u_char                    *p;
    ngx_http_ai_redis_args_t   args;

    if (conf->set) {
        return "is duplicate";
    }

    ngx_memzero(&args, sizeof(ngx_http_ai_redis_args_t));

    conf->set = 1;
    conf->connect_timeout = 1000;
    conf->command_timeout = 1000;
    conf->tls_verify = 1;
    conf->clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (ngx_array_init(&conf->sentinels, cf->pool, 1,
                       sizeof(ngx_http_ai_redis_host_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (i == 1 && (ngx_strncmp(value[i].data, "unix:", 5) == 0
                       || ngx_strncmp(value[i].data, "redis://", 8) == 0
                       || ngx_strncmp(value[i].data, "rediss://", 9) == 0))
        {
            if (ngx_http_ai_redis_address(cf, conf, &args, &value[i])
                != NGX_OK)
            {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        p = ngx_strlchr(value[i].data, value[i].data + value[i].len, '=');

        if (p == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        name.data = value[i].data;
        name.len = p - value[i].data;
        text.data = p + 1;
        text.len = value[i].len - name.len - 1;

        if (text.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "parameter \"%V\" is empty", &name);
            return NGX_CONF_ERROR;
        }

        if (ngx_http_ai_redis_option(cf, conf, &args, &name, &text)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_ai_redis_check(cf, conf, &args) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (args.tls && ngx_http_ai_redis_tls(cf, conf, &args) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_ai_redis_address(ngx_conf_t *cf, ngx_http_ai_redis_conf_t *conf,
    ngx_http_ai_redis_args_t *args, ngx_str_t *value)
{
    u_char     *p, *last, *at;
    ngx_int_t   n;
    ngx_str_t   part;

    if (value->data[0] == 'u') {
        args->address = 1;
        return ngx_http_ai_redis_host(cf, conf, &conf->host, value, 0);
    }

    args->tls = (value->data[5] == 's');

    p = value->data + (args->tls ? 9 : 8);
    last = value->data + value->len;

    for (at = last; at > p && at[-1] != '@'; at--) { /* void */ }

    if (at > p) {
        part.data = p;
        part.len = at - 1 - p;
        p = at;

        conf->user = part;

        at = ngx_strlchr(part.data, part.data + part.len, ':');

        if (at) {
            conf->user.len = at - part.data;
            part.len -= conf->user.len + 1;
            part.data = at + 1;

            if (ngx_http_ai_redis_password(cf, &part, &conf->password)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    at = ngx_strlchr(p, last, '/');

    if (at) {
        n = ngx_atoi(at + 1, last - at - 1);

        if (n == NGX_ERROR && last - at > 1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the database after the \"/\" must be a number");
            return NGX_ERROR;
        }

        conf->db = (last - at > 1) ? (ngx_uint_t) n : 0;
        last = at;
    }

    if (last == p) {
        return NGX_OK;
    }

    part.data = p;
    part.len = last - p;
    args->address = 1;

    return ngx_http_ai_redis_host(cf, conf, &conf->host, &part, 6379);
}


static ngx_int_t
ngx_http_ai_redis_option(ngx_conf_t *cf, ngx_http_ai_redis_conf_t *conf,
    ngx_http_ai_redis_args_t *args, ngx_str_t *name, ngx_str_t *value)
{
    ngx_int_t                  n;
    ngx_uint_t                 i;
    ngx_http_ai_redis_host_t  *host;

    struct {
        const char   *name;
        ngx_str_t    *to;
        ngx_uint_t    tls;
    } strings[] = {
        { "user", &conf->user, 0 },
        { "master", &conf->master, 0 },
        { "sentinel_user", &conf->sentinel_user, 0 },
        { "tls_name", &conf->tls_name, 1 },
        { "tls_ca", &args->tls_ca, 1 },
        { "tls_cert", &args->tls_cert, 1 },
        { "tls_key", &args->tls_key, 1 },
        { NULL, NULL, 0 }
    };

#define ngx_http_ai_redis_named_as(word)                                      \
    (name->len == sizeof(word) - 1                                            \
     && ngx_strncmp(name->data, word, sizeof(word) - 1) == 0)

    for (i = 0; strings[i].name; i++) {
        if (name->len == ngx_strlen(strings[i].name)
            && ngx_strncmp(name->data, strings[i].name, name->len) == 0)
        {
            *strings[i].to = *value;
            args->tls_options |= strings[i].tls;
            return NGX_OK;
        }
    }

    if (ngx_http_ai_redis_named_as("password")) {
        return ngx_http_ai_redis_password(cf, value, &conf->password);
    }

    if (ngx_http_ai_redis_named_as("sentinel_password")) {
        return ngx_http_ai_redis_password(cf, value, &conf->sentinel_password);
    }

    if (ngx_http_ai_redis_named_as("sign")) {
        return ngx_http_ai_redis_sign(cf, conf, value);
    }

    if (ngx_http_ai_redis_named_as("db")) {
        n = ngx_atoi(value->data, value->len);
        if (n == NGX_ERROR) {
            goto invalid;
        }

        conf->db = n;
        return NGX_OK;
    }

    if (ngx_http_ai_redis_named_as("connect_timeout")
        || ngx_http_ai_redis_named_as("command_timeout"))
    {
        n = ngx_parse_time(value, 0);
        if (n == NGX_ERROR || n == 0) {
            goto invalid;
        }

        if (name->data[2] == 'n') {
            conf->connect_timeout = n;

        } else {
            conf->command_timeout = n;
        }

        return NGX_OK;
    }

    if (ngx_http_ai_redis_named_as("tls_verify")) {
        args->tls_options = 1;

        if (value->len == 2 && ngx_strncmp(value->data, "on", 2) == 0) {
            conf->tls_verify = 1;
            return NGX_OK;
        }

        if (value->len == 3 && ngx_strncmp(value->data, "off", 3) == 0) {
            conf->tls_verify = 0;
            return NGX_OK;
        }

        goto invalid;
    }

    if (ngx_http_ai_redis_named_as("sentinel")) {

        if (conf->sentinels.nelts == NGX_HTTP_AI_REDIS_MAX_SENTINELS) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "more than %d Sentinels",
                               NGX_HTTP_AI_REDIS_MAX_SENTINELS);
            return NGX_ERROR;
        }

        host = ngx_array_push(&conf->sentinels);
        if (host == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(host, sizeof(ngx_http_ai_redis_host_t));

        return ngx_http_ai_redis_host(cf, conf, host, value, 26379);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "unknown parameter \"%V\"", name);

    return NGX_ERROR;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" of \"%V\"", value, name);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_ai_redis_check(ngx_conf_t *cf, ngx_http_ai_redis_conf_t *conf,
    ngx_http_ai_redis_args_t *args)
{
    const char  *err;

    err = NULL;

    if (conf->sentinels.nelts) {

        if (conf->master.len == 0) {
            err = "\"sentinel\" needs \"master\"";

        } else if (args->address) {
            err = "with \"sentinel\" the address names no host: redis:// or "
                  "rediss:// alone";
        }

    } else if (!args->address) {
        err = "an address is needed: unix:, redis:// or rediss://";

    } else if (conf->master.len || conf->sentinel_user.len
               || conf->sentinel_password.len)
    {
        err = "\"master\", \"sentinel_user\" and \"sentinel_password\" need "
              "\"sentinel\"";
    }

    if (err == NULL) {
        err = ngx_http_ai_redis_check_pairs(conf, args);
    }

    if (err) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"ai_redis\": %s", err);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static const char *
ngx_http_ai_redis_check_pairs(ngx_http_ai_redis_conf_t *conf,
    ngx_http_ai_redis_args_t *args)
{
    if (conf->user.len && conf->password.len == 0) {
        return "\"user\" needs \"password\"";
    }

    if (conf->sentinel_user.len && conf->sentinel_password.len == 0) {
        return "\"sentinel_user\" needs \"sentinel_password\"";
    }

    if (args->tls_options && !args->tls) {
        return "\"tls_...\" needs an address with rediss://";
    }

    if ((args->tls_cert.len == 0) != (args->tls_key.len == 0)) {
        return "\"tls_cert\" and \"tls_key\" need each other";
    }

    return NULL;
}


static ngx_int_t
ngx_http_ai_redis_host(ngx_conf_t *cf, ngx_http_ai_redis_conf_t *conf,
    ngx_http_ai_redis_host_t *host, ngx_str_t *value, in_port_t port)
{
    ngx_url_t   u;
    ngx_uint_t  level;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *value;
    u.default_port = port;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in \"%V\"",
                           u.err ? u.err : "error", value);
        return NGX_ERROR;
    }

    if (u.family == AF_UNIX) {
        host->name = *value;
        host->addrs = u.addrs;
        host->naddrs = u.naddrs;
        return NGX_OK;
    }

    host->host = u.host;
    host->port = u.port;
    host->name = *value;

    if (host->host.len > 2 && host->host.data[0] == '[') {
        host->host.data++;
        host->host.len -= 2;
    }

    if (u.naddrs == 0) {
        host->resolve = 1;

        if (ngx_inet_resolve_host(cf->pool, &u) != NGX_OK) {
            level = conf->clcf->resolver ? NGX_LOG_WARN : NGX_LOG_EMERG;

            ngx_conf_log_error(level, cf, 0, "%s in \"%V\"%s",
                               u.err ? u.err : "error", value,
                               conf->clcf->resolver
                               ? "" : " (a \"resolver\" above \"ai_redis\" "
                                      "would look for it later)");

            if (level == NGX_LOG_EMERG) {
                return NGX_ERROR;
            }
        }
    }

    host->addrs = u.addrs;
    host->naddrs = ngx_min(u.naddrs, NGX_HTTP_AI_REDIS_MAX_ADDRS);

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_redis_password(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *password)
{
    ngx_str_t            path;
    ngx_pool_cleanup_t  *cln;

    if (password->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "a second password");
        return NGX_ERROR;
    }

    if (value->len > 4 && ngx_strncmp(value->data, "env:", 4) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "nginx reads secrets from files only: "
                           "\"password=file:PATH\"");
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    if (value->len > 5 && ngx_strncmp(value->data, "file:", 5) == 0) {
        path.data = value->data + 5;
        path.len = value->len - 5;

        if (ngx_http_ai_redis_password_file(cf, &path, password) != NGX_OK) {
            return NGX_ERROR;
        }

    } else {
        *password = *value;

        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "a password in nginx.conf is shown by \"nginx -T\", "
                           "use \"password=file:PATH\"");
    }

    cln->handler = ngx_http_ai_redis_wipe;
    cln->data = password;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_redis_password_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *password)
{
    ssize_t      n;
    ngx_fd_t     fd;
    ngx_str_t    name;
    const char  *err;

    name = *path;

    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(name.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", &name);
        return NGX_ERROR;
    }

    err = NULL;

    password->data = ngx_pcalloc(cf->pool, NGX_HTTP_AI_REDIS_PASSWORD_MAX + 1);
    if (password->data == NULL) {
        (void) ngx_close_file(fd);
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, password->data, NGX_HTTP_AI_REDIS_PASSWORD_MAX + 1);

    if (n == -1) {
        err = "cannot be read";
        n = 0;

    } else if (n > NGX_HTTP_AI_REDIS_PASSWORD_MAX) {
        err = "is too long for a password";
    }

    (void) ngx_close_file(fd);

    while (n && (password->data[n - 1] == LF || password->data[n - 1] == CR)) {
        n--;
    }

    password->len = n;

    if (n == 0 && err == NULL) {
        err = "is empty";
    }

    if (err) {
        ngx_http_ai_redis_wipe(password);
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" %s", &name, err);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_ai_redis_wipe(void *data)
{
    ngx_str_t  *password = data;

    if (password->len) {
        ngx_explicit_memzero(password->data, password->len);
        password->len = 0;
    }
}


static ngx_int_t
ngx_http_ai_redis_tls(ngx_conf_t *cf, ngx_http_ai_redis_conf_t *conf,
    ngx_http_ai_redis_args_t *args)
{
    ngx_pool_cleanup_t  *cln;

    conf->ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (conf->ssl == NULL) {
        return NGX_ERROR;
    }

    conf->ssl->log = cf->log;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    if (ngx_ssl_create(conf->ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = conf->ssl;

    if (args->tls_cert.len
        && ngx_ssl_certificate(cf, conf->ssl, &args->tls_cert, &args->tls_key,
                               NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (args->tls_ca.len) {
        return ngx_ssl_trusted_certificate(cf, conf->ssl, &args->tls_ca, 5);
    }

    if (SSL_CTX_set_default_verify_paths(conf->ssl->ctx) == 0) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      "SSL_CTX_set_default_verify_paths() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}
