/*
 * The byte stream below a Redis connection.  Owns descriptor, TLS state and
 * poll handle; a handle that is being closed owns itself.
 */

#include "redis_net.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>


static void redis_net_resolve(redis_net_t *net);
static void redis_net_on_resolved(uv_getaddrinfo_t *req, int status,
    struct addrinfo *res);
static void redis_net_try(redis_net_t *net);
static int redis_net_start(redis_net_t *net, int family,
    const struct sockaddr *sa, socklen_t len);
static void redis_net_drop(redis_net_t *net);
static void redis_net_on_poll(uv_poll_t *poll, int status, int events);
static void redis_net_connected(redis_net_t *net);
static int redis_net_name(redis_net_t *net);
static void redis_net_handshake(redis_net_t *net);
static void redis_net_update(redis_net_t *net);
static void redis_net_on_closed(uv_handle_t *handle);


void
redis_net_init(redis_net_t *net, loop_t *loop, const redis_conf_t *conf)
{
    memset(net, 0, sizeof(*net));
    net->loop = loop;
    net->conf = conf;
    net->fd = -1;
}


void
redis_net_connect(redis_net_t *net, const redis_host_t *host)
{
    struct sockaddr_un  un;

    net->host = host;
    net->deadline_msec = uv_now(&net->loop->uv) + REDIS_NET_CONNECT_MSEC;

    if (net->conf->tls && net->ctx == NULL) {
        net->ctx = SSL_CTX_new(TLS_client_method());

        if (net->ctx == NULL
            || SSL_CTX_set_default_verify_paths(net->ctx) != 1)
        {
            net->on_fail(net, "TLS cannot be set up");
            return;
        }

        SSL_CTX_set_min_proto_version(net->ctx, TLS1_2_VERSION);
        SSL_CTX_set_verify(net->ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_mode(net->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE
                         |SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                         |SSL_MODE_RELEASE_BUFFERS);
    }

    if (host != NULL) {
        redis_net_resolve(net);
        return;
    }

    memset(&un, 0, sizeof(un));
    un.sun_family = AF_UNIX;
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", net->conf->path);

    if (redis_net_start(net, AF_UNIX, (struct sockaddr *) &un, sizeof(un))
        != 0)
    {
        net->on_fail(net, strerror(errno));
    }
}


static void
redis_net_resolve(redis_net_t *net)
{
    char             port[16];
    struct addrinfo  hints;

    memset(&hints, 0, sizeof(hints));
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    snprintf(port, sizeof(port), "%d", net->host->port);

    net->lookup = malloc(sizeof(*net->lookup));
    if (net->lookup == NULL) {
        net->on_fail(net, "no memory");
        return;
    }

    net->lookup->data = net;

    if (uv_getaddrinfo(&net->loop->uv, net->lookup, redis_net_on_resolved,
                       net->host->name, port, &hints)
        != 0)
    {
        free(net->lookup);
        net->lookup = NULL;
        net->on_fail(net, "its name cannot be looked up");
    }
}


static void
redis_net_on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    redis_net_t  *net;

    net = req->data;
    free(req);

    if (net == NULL) {
        uv_freeaddrinfo(res);
        return;
    }

    net->lookup = NULL;

    if (status != 0) {
        net->on_fail(net, "its name does not resolve");
        return;
    }

    net->addrs = res;
    net->addr = res;
    redis_net_try(net);
}


static void
redis_net_try(redis_net_t *net)
{
    struct addrinfo  *ai;

    while (net->addr != NULL) {
        ai = net->addr;
        net->addr = ai->ai_next;
        net->deadline_msec = uv_now(&net->loop->uv) + REDIS_NET_CONNECT_MSEC;

        if (redis_net_start(net, ai->ai_family, ai->ai_addr, ai->ai_addrlen)
            == 0)
        {
            return;
        }
    }

    net->on_fail(net, strerror(errno));
}


static int
redis_net_start(redis_net_t *net, int family, const struct sockaddr *sa,
    socklen_t len)
{
    int  one;

    net->fd = socket(family, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);
    if (net->fd == -1) {
        return -1;
    }

    if (family != AF_UNIX) {
        one = 1;
        setsockopt(net->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        setsockopt(net->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    }

    if (connect(net->fd, sa, len) == -1 && errno != EINPROGRESS) {
        close(net->fd);
        net->fd = -1;
        return -1;
    }

    net->poll = malloc(sizeof(*net->poll));

    if (net->poll == NULL
        || uv_poll_init(&net->loop->uv, net->poll, net->fd) != 0)
    {
        free(net->poll);
        net->poll = NULL;
        close(net->fd);
        net->fd = -1;
        errno = ENOMEM;
        return -1;
    }

    net->poll->data = net;
    net->events = UV_WRITABLE;
    uv_poll_start(net->poll, net->events, redis_net_on_poll);

    return 0;
}


static void
redis_net_on_poll(uv_poll_t *poll, int status, int events)
{
    redis_net_t  *net;

    net = poll->data;

    if (status < 0) {
        events = UV_READABLE|UV_WRITABLE;
    }

    if (!net->open) {
        if (net->ssl != NULL) {
            redis_net_handshake(net);

        } else {
            redis_net_connected(net);
        }

        return;
    }

    if ((events & UV_WRITABLE) && net->want_write) {
        net->on_write(net);
    }

    if (net->poll == poll && (events & UV_READABLE)) {
        net->on_read(net);
    }
}


static void
redis_net_connected(redis_net_t *net)
{
    int        err;
    socklen_t  len;

    len = sizeof(err);

    if (getsockopt(net->fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1) {
        err = errno;
    }

    if (err != 0) {
        redis_net_drop(net);
        errno = err;

        if (net->addr != NULL) {
            redis_net_try(net);

        } else {
            net->on_fail(net, strerror(err));
        }

        return;
    }

    if (!net->conf->tls) {
        net->open = 1;
        redis_net_update(net);
        net->on_open(net);
        return;
    }

    net->ssl = SSL_new(net->ctx);

    if (net->ssl == NULL || SSL_set_fd(net->ssl, net->fd) != 1
        || redis_net_name(net) != 0)
    {
        net->on_fail(net, "TLS cannot be set up");
        return;
    }

    SSL_set_connect_state(net->ssl);
    redis_net_handshake(net);
}


/* Whom the certificate must name: an address, or a name, which is sent, too. */

static int
redis_net_name(redis_net_t *net)
{
    const char        *host;
    X509_VERIFY_PARAM *param;

    host = net->host->name;
    param = SSL_get0_param(net->ssl);

    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1) {
        return 0;
    }

    return SSL_set_tlsext_host_name(net->ssl, host) == 1
           && X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 ? 0 : -1;
}


static void
redis_net_handshake(redis_net_t *net)
{
    int   rc;
    long  verify;

    ERR_clear_error();
    rc = SSL_do_handshake(net->ssl);

    if (rc == 1) {
        net->open = 1;
        redis_net_update(net);
        net->on_open(net);
        return;
    }

    switch (SSL_get_error(net->ssl, rc)) {

    case SSL_ERROR_WANT_READ:
        net->events = UV_READABLE;
        break;

    case SSL_ERROR_WANT_WRITE:
        net->events = UV_WRITABLE;
        break;

    default:
        verify = SSL_get_verify_result(net->ssl);
        net->on_fail(net, verify != X509_V_OK
                          ? X509_verify_cert_error_string(verify)
                          : "TLS handshake failed");
        return;
    }

    uv_poll_start(net->poll, net->events, redis_net_on_poll);
}


ssize_t
redis_net_read(redis_net_t *net, char *buf, size_t size)
{
    int      rc;
    ssize_t  n;

    if (net->ssl != NULL) {
        ERR_clear_error();
        rc = SSL_read(net->ssl, buf, (int) size);

        if (rc > 0) {
            return rc;
        }

        rc = SSL_get_error(net->ssl, rc);

        return rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE
               ? 0 : -1;
    }

    do {
        n = recv(net->fd, buf, size, 0);
    } while (n == -1 && errno == EINTR);

    if (n > 0) {
        return n;
    }

    return n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : -1;
}


ssize_t
redis_net_write(redis_net_t *net, const char *buf, size_t len)
{
    int      rc;
    ssize_t  n;

    if (net->ssl != NULL) {
        ERR_clear_error();
        rc = SSL_write(net->ssl, buf, len > 16384 ? 16384 : (int) len);

        if (rc > 0) {
            return rc;
        }

        rc = SSL_get_error(net->ssl, rc);

        return rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE
               ? 0 : -1;
    }

    do {
        n = send(net->fd, buf, len, MSG_NOSIGNAL);
    } while (n == -1 && errno == EINTR);

    if (n >= 0) {
        return n;
    }

    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
}


void
redis_net_want_write(redis_net_t *net, int want)
{
    if (net->want_write == (unsigned) want) {
        return;
    }

    net->want_write = want ? 1 : 0;
    redis_net_update(net);
}


static void
redis_net_update(redis_net_t *net)
{
    int  events;

    events = UV_READABLE | (net->want_write ? UV_WRITABLE : 0);

    if (events != net->events) {
        net->events = events;
        uv_poll_start(net->poll, events, redis_net_on_poll);
    }
}


void
redis_net_tick(redis_net_t *net, uint64_t now_msec)
{
    if (net->open || net->fd == -1 || now_msec < net->deadline_msec) {
        return;
    }

    redis_net_drop(net);
    errno = ETIMEDOUT;

    if (net->addr != NULL) {
        redis_net_try(net);

    } else {
        net->on_fail(net, "timed out");
    }
}


static void
redis_net_drop(redis_net_t *net)
{
    if (net->ssl != NULL) {
        SSL_free(net->ssl);
        net->ssl = NULL;
    }

    if (net->poll != NULL) {
        uv_poll_stop(net->poll);
        net->poll->data = NULL;
        uv_close((uv_handle_t *) net->poll, redis_net_on_closed);
        net->poll = NULL;
    }

    if (net->fd != -1) {
        close(net->fd);
        net->fd = -1;
    }

    net->open = 0;
    net->want_write = 0;
    net->events = 0;
}


void
redis_net_close(redis_net_t *net)
{
    redis_net_drop(net);

    if (net->lookup != NULL) {
        net->lookup->data = NULL;
        net->lookup = NULL;
    }

    if (net->addrs != NULL) {
        uv_freeaddrinfo(net->addrs);
        net->addrs = NULL;
        net->addr = NULL;
    }
}


void
redis_net_free(redis_net_t *net)
{
    redis_net_close(net);
    SSL_CTX_free(net->ctx);
    net->ctx = NULL;
}


static void
redis_net_on_closed(uv_handle_t *handle)
{
    free(handle);
}
