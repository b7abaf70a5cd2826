/*
 * The byte stream below a Redis connection: Unix socket, TCP or TLS, in
 * libuv's loop.  Owns descriptor, TLS state and poll handle.
 */

#ifndef REDIS_NET_H
#define REDIS_NET_H

#include <openssl/ssl.h>
#include <sys/types.h>

#include "redis.h"

#define REDIS_NET_CONNECT_MSEC  2000        /* an address */

typedef struct redis_net_s  redis_net_t;

struct redis_net_s {
    loop_t             *loop;
    const redis_conf_t *conf;
    const redis_host_t *host;       /* NULL: conf's path */
    SSL_CTX            *ctx;
    SSL                *ssl;
    uv_poll_t          *poll;
    uv_getaddrinfo_t   *lookup;
    struct addrinfo    *addrs;
    struct addrinfo    *addr;       /* being tried */
    int                 fd;
    int                 events;
    uint64_t            deadline_msec;
    unsigned            open:1;     /* ready for bytes */
    unsigned            want_write:1;

    /* To its owner: open for bytes; something to read; room to write. */
    void              (*on_open)(redis_net_t *net);
    void              (*on_read)(redis_net_t *net);
    void              (*on_write)(redis_net_t *net);
    void              (*on_fail)(redis_net_t *net, const char *why);
    void               *data;
};

void redis_net_init(redis_net_t *net, loop_t *loop, const redis_conf_t *conf);
/* Begins, to host (kept, not copied) or to conf's path; ends in on_open or
 * on_fail, both also from within. */
void redis_net_connect(redis_net_t *net, const redis_host_t *host);
/* Bytes read; 0 nothing now; -1 closed or broken. */
ssize_t redis_net_read(redis_net_t *net, char *buf, size_t size);
/* Bytes written; 0 nothing now (on_write follows); -1 broken. */
ssize_t redis_net_write(redis_net_t *net, const char *buf, size_t len);
/* Whether on_write is wanted. */
void redis_net_want_write(redis_net_t *net, int want);
/* Checks the time of a connect; call it some times a second. */
void redis_net_tick(redis_net_t *net, uint64_t now_msec);
/* Closes the connection; connect may follow. */
void redis_net_close(redis_net_t *net);
/* Frees what outlives a connection. */
void redis_net_free(redis_net_t *net);

#endif
