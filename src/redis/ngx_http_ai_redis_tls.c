/*
 * TLS to the server: nginx's own, with the peer's name checked.
 * The SSL object belongs to the nginx connection.
 */

#include "ngx_http_ai_redis_conn.h"


static ngx_str_t *ngx_http_ai_redis_tls_name(ngx_http_ai_redis_conn_t *conn);
static ngx_uint_t ngx_http_ai_redis_tls_is_addr(ngx_str_t *name);
static ngx_int_t ngx_http_ai_redis_tls_verify(ngx_http_ai_redis_conn_t *conn);


ngx_int_t
ngx_http_ai_redis_tls_start(ngx_http_ai_redis_conn_t *conn,
    ngx_connection_handler_pt handler)
{
    char                      *sni;
    ngx_int_t                  rc;
    ngx_str_t                 *name;
    ngx_connection_t          *c;
    ngx_http_ai_redis_conf_t  *conf;

    c = conn->connection;
    conf = conn->redis->conf;

    if (ngx_ssl_create_connection(conf->ssl, c, NGX_SSL_CLIENT) != NGX_OK) {
        return NGX_ERROR;
    }

    /* A body that is cancelled half-way goes on from a copy. */

    SSL_set_mode(c->ssl->connection, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);

    name = ngx_http_ai_redis_tls_name(conn);

    if (name->len && !ngx_http_ai_redis_tls_is_addr(name)) {
        sni = ngx_pnalloc(c->pool, name->len + 1);
        if (sni == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_cpystrn((u_char *) sni, name->data, name->len + 1);

        if (SSL_set_tlsext_host_name(c->ssl->connection, sni) == 0) {
            return NGX_ERROR;
        }
    }

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = handler;
        return NGX_OK;
    }

    handler(c);

    return NGX_OK;
}


ngx_int_t
ngx_http_ai_redis_tls_check(ngx_http_ai_redis_conn_t *conn)
{
    ngx_connection_t  *c;

    c = conn->connection;

    if (!c->ssl->handshaked) {
        ngx_http_ai_redis_doom(conn, "the TLS handshake failed");
        return NGX_ERROR;
    }

    if (!conn->redis->conf->tls_verify) {
        return NGX_OK;
    }

    return ngx_http_ai_redis_tls_verify(conn);
}


static ngx_int_t
ngx_http_ai_redis_tls_verify(ngx_http_ai_redis_conn_t *conn)
{
    int                matches;
    long               rc;
    X509              *cert;
    char               addr[NGX_SOCKADDR_STRLEN];
    ngx_str_t         *name;
    ngx_connection_t  *c;

    c = conn->connection;

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        ngx_http_ai_redis_doom(conn, "the server's certificate is not valid "
                               "(%l: %s)", rc,
                               X509_verify_cert_error_string(rc));
        return NGX_ERROR;
    }

    name = ngx_http_ai_redis_tls_name(conn);

    if (!ngx_http_ai_redis_tls_is_addr(name)) {
        matches = (ngx_ssl_check_host(c, name) == NGX_OK);

    } else {
        (void) ngx_cpystrn((u_char *) addr, name->data,
                           ngx_min(name->len + 1, sizeof(addr)));

        cert = SSL_get_peer_certificate(c->ssl->connection);
        matches = (cert && X509_check_ip_asc(cert, addr, 0) == 1);
        X509_free(cert);
    }

    if (!matches) {
        ngx_http_ai_redis_doom(conn, "the server's certificate is not for "
                               "\"%V\"", name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_str_t *
ngx_http_ai_redis_tls_name(ngx_http_ai_redis_conn_t *conn)
{
    if (!conn->asking && conn->redis->conf->tls_name.len) {
        return &conn->redis->conf->tls_name;
    }

    return &conn->target->host;
}


static ngx_uint_t
ngx_http_ai_redis_tls_is_addr(ngx_str_t *name)
{
#if (NGX_HAVE_INET6)
    u_char  in6[16];

    if (ngx_inet6_addr(name->data, name->len, in6) == NGX_OK) {
        return 1;
    }
#endif

    return ngx_inet_addr(name->data, name->len) != INADDR_NONE;
}
