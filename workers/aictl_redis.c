/*
 * aictl's connection to Redis: a blocking socket, TLS where the address says
 * so, and hiredis as the codec (its own TLS came later than the oldest release
 * that we build on).  Owns descriptor, TLS state and reader.
 */

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "aictl_redis_in.h"


#define AICTL_CONNECT_MSEC  5000
#define AICTL_REPLY_SEC     30
#define AICTL_CMD_WORDS     16


/* Connects within AICTL_CONNECT_MSEC; then the descriptor blocks. */

static int
aictl_redis_socket(const struct sockaddr *sa, socklen_t len)
{
    int             fd, flags, error;
    socklen_t       size;
    struct pollfd   pfd;
    struct timeval  tv = { AICTL_REPLY_SEC, 0 };

    fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }

    flags = fcntl(fd, F_GETFL);
    (void) fcntl(fd, F_SETFL, flags | O_NONBLOCK);

    if (connect(fd, sa, len) != 0) {
        pfd.fd = fd;
        pfd.events = POLLOUT;
        error = errno;

        if (error == EINPROGRESS) {
            size = sizeof(error);
            error = ETIMEDOUT;

            if (poll(&pfd, 1, AICTL_CONNECT_MSEC) == 1) {
                (void) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
            }
        }

        if (error) {
            (void) close(fd);
            errno = error;
            return -1;
        }
    }

    (void) fcntl(fd, F_SETFL, flags);
    (void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    (void) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));

    return fd;
}


static int
aictl_redis_connect(aictl_redis_t *r)
{
    int                 rc;
    struct addrinfo     hints, *list, *ai;
    struct sockaddr_un  sun;

    if (r->path[0]) {
        memset(&sun, 0, sizeof(sun));
        sun.sun_family = AF_UNIX;
        memcpy(sun.sun_path, r->path, strlen(r->path));

        r->fd = aictl_redis_socket((struct sockaddr *) &sun, sizeof(sun));

        if (r->fd < 0) {
            aictl_redis_failed(r, "connect", strerror(errno));
        }

        return r->fd < 0 ? -1 : 0;
    }

    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;

    rc = getaddrinfo(r->host.name, r->host.port, &hints, &list);
    if (rc != 0) {
        aictl_redis_failed(r, "resolve", gai_strerror(rc));
        return -1;
    }

    for (ai = list; ai && r->fd < 0; ai = ai->ai_next) {
        r->fd = aictl_redis_socket(ai->ai_addr, ai->ai_addrlen);
    }

    if (r->fd < 0) {
        aictl_redis_failed(r, "connect", strerror(errno));
    }

    freeaddrinfo(list);
    return r->fd < 0 ? -1 : 0;
}


static int
aictl_redis_tls(aictl_redis_t *r)
{
    long           verify;
    unsigned long  error;

    r->ctx = SSL_CTX_new(TLS_client_method());

    if (r->ctx == NULL || SSL_CTX_set_default_verify_paths(r->ctx) != 1) {
        aictl_redis_failed(r, "TLS", "cannot be set up");
        return -1;
    }

    SSL_CTX_set_verify(r->ctx, SSL_VERIFY_PEER, NULL);
    r->ssl = SSL_new(r->ctx);

    if (r->ssl == NULL || SSL_set_fd(r->ssl, r->fd) != 1
        || SSL_set_tlsext_host_name(r->ssl, r->host.name) != 1
        || SSL_set1_host(r->ssl, r->host.name) != 1)
    {
        aictl_redis_failed(r, "TLS", "cannot be set up");
        return -1;
    }

    if (SSL_connect(r->ssl) != 1) {
        verify = SSL_get_verify_result(r->ssl);
        error = ERR_get_error();
        aictl_redis_failed(r, "TLS", verify != X509_V_OK
                           ? X509_verify_cert_error_string(verify)
                           : error ? ERR_reason_error_string(error)
                           : "handshake failed");
        return -1;
    }

    return 0;
}


void
aictl_redis_failed(aictl_redis_t *r, const char *what, const char *why)
{
    (void) snprintf(r->why, sizeof(r->why), "%s: %s",
                    what, why ? why : "unknown");

    if (r->fd >= 0) {
        (void) close(r->fd);
        r->fd = -1;
    }
}


static ssize_t
aictl_redis_io(aictl_redis_t *r, char *in, const char *out, size_t len)
{
    int      n;
    ssize_t  rc;

    if (r->ssl) {
        n = in ? SSL_read(r->ssl, in, (int) len)
               : SSL_write(r->ssl, out, (int) len);
        return n > 0 ? n : -1;
    }

    do {
        rc = in ? recv(r->fd, in, len, 0)
                : send(r->fd, out, len, MSG_NOSIGNAL);
    } while (rc < 0 && errno == EINTR);

    return rc > 0 ? rc : -1;
}


static const char *
aictl_redis_io_error(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK ? "no answer in time"
           : errno ? strerror(errno) : "the connection was closed";
}


redisReply *
aictl_redis_argv(aictl_t *a, int argc, const char **argv, const size_t *lens)
{
    char           *cmd, buf[16384];
    void           *reply;
    size_t          sent;
    ssize_t         n;
    long long       len;
    aictl_redis_t  *r;

    r = a->redis;

    if (r == NULL || r->fd < 0) {
        return NULL;
    }

    len = redisFormatCommandArgv(&cmd, argc, argv, lens);
    if (len < 0) {
        aictl_redis_failed(r, argv[0], "no memory");
        return NULL;
    }

    for (sent = 0; sent < (size_t) len; sent += (size_t) n) {
        errno = 0;
        n = aictl_redis_io(r, NULL, cmd + sent, (size_t) len - sent);

        if (n < 0) {
            redisFreeCommand(cmd);
            aictl_redis_failed(r, argv[0], aictl_redis_io_error());
            return NULL;
        }
    }

    redisFreeCommand(cmd);

    for ( ;; ) {
        if (redisReaderGetReply(r->reader, &reply) != REDIS_OK) {
            aictl_redis_failed(r, argv[0], r->reader->errstr);
            return NULL;
        }

        if (reply) {
            return reply;
        }

        errno = 0;
        n = aictl_redis_io(r, buf, NULL, sizeof(buf));

        if (n < 0) {
            aictl_redis_failed(r, argv[0], aictl_redis_io_error());
            return NULL;
        }

        if (redisReaderFeed(r->reader, buf, (size_t) n) != REDIS_OK) {
            aictl_redis_failed(r, argv[0], "no memory");
            return NULL;
        }
    }
}


static redisReply *
aictl_redis_vcmd(aictl_t *a, const char *fmt, va_list args)
{
    int          argc;
    char         text[2048], *save, *word;
    const char  *argv[AICTL_CMD_WORDS];

    if (vsnprintf(text, sizeof(text), fmt, args) >= (int) sizeof(text)) {
        return NULL;
    }

    argc = 0;

    for (word = strtok_r(text, " ", &save);
         word && argc < AICTL_CMD_WORDS;
         word = strtok_r(NULL, " ", &save))
    {
        argv[argc++] = word;
    }

    return aictl_redis_argv(a, argc, argv, NULL);
}


redisReply *
aictl_redis_cmd(aictl_t *a, const char *fmt, ...)
{
    va_list      args;
    redisReply  *reply;

    va_start(args, fmt);
    reply = aictl_redis_vcmd(a, fmt, args);
    va_end(args);

    return reply;
}


long long
aictl_redis_int(aictl_t *a, const char *fmt, ...)
{
    va_list      args;
    long long    n;
    redisReply  *reply;

    va_start(args, fmt);
    reply = aictl_redis_vcmd(a, fmt, args);
    va_end(args);

    n = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
    freeReplyObject(reply);

    return n;
}


redisReply *
aictl_redis_script(aictl_t *a, ai_script_e script, const char *key, int argc,
    const char **argv)
{
    int                 i;
    size_t              lens[64];
    const char         *words[64];
    redisReply         *reply;
    const ai_script_t  *s;

    s = &ai_scripts[script];

    if (argc < 0 || argc + 4 > 64) {
        return NULL;
    }

    words[0] = "EVALSHA";
    words[1] = s->sha1;
    words[2] = "1";
    words[3] = key;

    for (i = 0; i < argc; i++) {
        words[4 + i] = argv[i];
    }

    for (i = 0; i < argc + 4; i++) {
        lens[i] = strlen(words[i]);
    }

    reply = aictl_redis_argv(a, argc + 4, words, lens);

    if (reply && reply->type == REDIS_REPLY_ERROR
        && strncmp(reply->str, "NOSCRIPT", 8) == 0)
    {
        freeReplyObject(reply);
        words[0] = "EVAL";
        words[1] = s->source;
        lens[0] = 4;
        lens[1] = s->len;
        reply = aictl_redis_argv(a, argc + 4, words, lens);
    }

    return reply;
}


/* The first line of the file that opt names, where it names one. */

static int
aictl_redis_password(aictl_t *a, aictl_opt_e opt, char *password, size_t size)
{
    FILE        *f;
    char        *got;
    const char  *name;

    name = a->opt[opt];

    if (name == NULL) {
        return 0;
    }

    f = fopen(name, "re");
    if (f == NULL) {
        aictl_redis_failed(a->redis, name, strerror(errno));
        return -1;
    }

    got = fgets(password, (int) size, f);
    (void) fclose(f);

    if (got == NULL) {
        aictl_redis_failed(a->redis, name, "is empty");
        return -1;
    }

    password[strcspn(password, "\r\n")] = '\0';
    return 0;
}


int
aictl_redis_step(aictl_t *a, int argc, const char **argv)
{
    redisReply  *reply;

    reply = aictl_redis_argv(a, argc, argv, NULL);

    if (reply && reply->type == REDIS_REPLY_ERROR) {
        aictl_redis_failed(a->redis, argv[0], reply->str);
        freeReplyObject(reply);
        return -1;
    }

    freeReplyObject(reply);
    return reply ? 0 : -1;
}


int
aictl_redis_auth(aictl_t *a, const char *user, const char *password)
{
    if (password[0] == '\0') {
        return 0;
    }

    return user[0] == '\0'
           ? aictl_redis_step(a, 2, (const char *[]) { "AUTH", password })
           : aictl_redis_step(a, 3, (const char *[]) { "AUTH", user,
                                                       password });
}


static int
aictl_redis_handshake(aictl_t *a)
{
    char            db[16];
    aictl_redis_t  *r;

    r = a->redis;

    if (aictl_redis_auth(a, r->user, r->password) != 0) {
        return -1;
    }

    if (r->nsentinels && aictl_sentinel_role(a) != 0) {
        return -1;
    }

    (void) snprintf(db, sizeof(db), "%u", r->db);

    if (r->db && aictl_redis_step(a, 2, (const char *[]) { "SELECT", db })
                 != 0)
    {
        return -1;
    }

    return aictl_redis_step(a, 1, (const char *[]) { "PING" });
}


int
aictl_redis_open(aictl_redis_t *r)
{
    r->reader = redisReaderCreate();

    return r->reader && aictl_redis_connect(r) == 0
           && (!r->tls || aictl_redis_tls(r) == 0) ? 0 : -1;
}


void
aictl_redis_hangup(aictl_redis_t *r)
{
    SSL_free(r->ssl);
    SSL_CTX_free(r->ctx);
    r->ssl = NULL;
    r->ctx = NULL;

    if (r->fd >= 0) {
        (void) close(r->fd);
        r->fd = -1;
    }

    if (r->reader) {
        redisReaderFree(r->reader);
        r->reader = NULL;
    }
}


int
aictl_redis_try(aictl_t *a, char *why, size_t size)
{
    int             rc;
    aictl_redis_t  *r;

    if (a->redis && a->redis->fd >= 0) {
        return AICTL_OK;
    }

    aictl_redis_close(a);

    r = calloc(1, sizeof(*r));
    if (r == NULL) {
        (void) snprintf(why, size, "no memory");
        return AICTL_FAILED;
    }

    r->fd = -1;
    a->redis = r;

    if (aictl_redis_parse(r, a->opt[AICTL_OPT_REDIS]) != 0) {
        (void) snprintf(why, size, "the address of Redis is none: it reads "
                        "unix:PATH, redis://[user[:pass]@]host[:port][/db] or "
                        "sentinel://[user[:pass]@]host[:port][,…]/master");
        aictl_redis_close(a);
        return AICTL_USAGE;
    }

    rc = aictl_redis_password(a, AICTL_OPT_REDIS_PASSWORD_FILE, r->password,
                              sizeof(r->password))
         == 0
         && aictl_redis_password(a, AICTL_OPT_SENTINEL_PASSWORD_FILE,
                                 r->sentinel_password,
                                 sizeof(r->sentinel_password))
            == 0
         && (r->nsentinels == 0 || aictl_sentinel(a) == 0)
         && aictl_redis_open(r) == 0
         && aictl_redis_handshake(a) == 0;

    if (!rc) {
        (void) snprintf(why, size, "Redis at %s cannot be used: %s",
                        r->address, r->why);
        aictl_redis_close(a);
        return AICTL_UNREACHABLE;
    }

    return AICTL_OK;
}


int
aictl_redis(aictl_t *a)
{
    int   rc;
    char  why[1200];

    rc = aictl_redis_try(a, why, sizeof(why));
    if (rc != AICTL_OK) {
        aictl_error("%s", why);
    }

    return rc;
}


const char *
aictl_redis_why(const aictl_t *a)
{
    return a->redis && a->redis->why[0] ? a->redis->why : "not connected";
}


int
aictl_redis_lost(const aictl_t *a)
{
    return a->redis == NULL || a->redis->fd < 0;
}


const char *
aictl_redis_address(const aictl_t *a)
{
    return a->redis ? a->redis->address : "";
}


unsigned
aictl_redis_db(const aictl_t *a)
{
    return a->redis ? a->redis->db : 0;
}


void
aictl_redis_close(aictl_t *a)
{
    aictl_redis_t  *r;

    r = a->redis;
    if (r == NULL) {
        return;
    }

    aictl_redis_hangup(r);

    OPENSSL_cleanse(r->password, sizeof(r->password));
    OPENSSL_cleanse(r->sentinel_password, sizeof(r->sentinel_password));
    free(r);
    a->redis = NULL;
    a->shards = 0;
}


unsigned
aictl_shards(aictl_t *a)
{
    int64_t      n;
    ai_str_t     text;
    redisReply  *reply;

    if (a->shards) {
        return a->shards;
    }

    reply = aictl_redis_cmd(a, "GET %s", AI_SHARDS_KEY);

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        aictl_error("Redis: %s", reply ? reply->str : aictl_redis_why(a));
        freeReplyObject(reply);
        return 0;
    }

    n = 1;

    if (reply->type == REDIS_REPLY_STRING) {
        text = (ai_str_t) { reply->len, reply->str };

        if (ai_str_int(text, &n) != 0 || n < 1 || n > AICTL_SHARDS_MAX) {
            aictl_error("Redis: %s is not a number from 1 to %d",
                        AI_SHARDS_KEY, AICTL_SHARDS_MAX);
            n = 0;
        }
    }

    freeReplyObject(reply);
    a->shards = (unsigned) n;

    return a->shards;
}
