/*
 * Where Redis is, from its address in one line.  Owns nothing.
 */

#include "redis.h"

#include <string.h>


static int redis_conf_user(redis_conf_t *conf, const char *s, size_t len);
static int redis_conf_host(redis_host_t *host, const char *s, size_t len,
    int port);
static int redis_conf_sentinels(redis_conf_t *conf, const char *s,
    const char *end);
static int redis_conf_number(const char *s, size_t len, long max);


int
redis_conf_parse(redis_conf_t *conf, const char *url)
{
    int          sentinel;
    size_t       i, len;
    const char  *p, *at, *end;

    static const char *const  schemes[] = {
        "redis://", "rediss://", "sentinel://", "sentinels://"
    };

    memset(conf, 0, sizeof(*conf));

    if (strncmp(url, "unix:", 5) == 0) {
        p = url + 5;
        at = strstr(p, "@/");

        if (at != NULL && memchr(p, '/', (size_t) (at - p)) == NULL) {
            if (redis_conf_user(conf, p, (size_t) (at - p)) != 0) {
                return -1;
            }

            p = at + 1;
        }

        len = strlen(p);

        if (len == 0 || len >= sizeof(conf->path)) {
            return -1;
        }

        memcpy(conf->path, p, len + 1);
        return 0;
    }

    for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        len = strlen(schemes[i]);

        if (strncmp(url, schemes[i], len) == 0) {
            break;
        }
    }

    if (i == sizeof(schemes) / sizeof(schemes[0])) {
        return -1;
    }

    p = url + len;
    conf->tls = i % 2;
    sentinel = i / 2;

    at = strrchr(p, '@');

    if (at != NULL) {
        if (redis_conf_user(conf, p, (size_t) (at - p)) != 0) {
            return -1;
        }

        p = at + 1;
    }

    end = p + strcspn(p, "/");

    if (sentinel) {
        return redis_conf_sentinels(conf, p, end);
    }

    if (redis_conf_host(&conf->host, p, (size_t) (end - p), 6379) != 0) {
        return -1;
    }

    if (end[0] == '\0' || end[1] == '\0') {
        return 0;
    }

    conf->db = redis_conf_number(end + 1, strlen(end + 1), 65535);

    return conf->db == -1 ? -1 : 0;
}


static int
redis_conf_user(redis_conf_t *conf, const char *s, size_t len)
{
    size_t       n;
    const char  *colon;

    colon = memchr(s, ':', len);
    n = colon == NULL ? len : (size_t) (colon - s);

    if (n >= sizeof(conf->user)) {
        return -1;
    }

    memcpy(conf->user, s, n);

    if (colon == NULL) {
        return 0;
    }

    n = len - n - 1;

    if (n >= sizeof(conf->password)) {
        return -1;
    }

    memcpy(conf->password, colon + 1, n);

    return 0;
}


static int
redis_conf_host(redis_host_t *host, const char *s, size_t len, int port)
{
    size_t       n;
    const char  *end, *colon;

    end = s + len;

    if (len != 0 && *s == '[') {
        s++;
        colon = memchr(s, ']', (size_t) (end - s));

        if (colon == NULL) {
            return -1;
        }

        n = (size_t) (colon - s);
        colon++;

    } else {
        colon = memchr(s, ':', len);
        colon = colon == NULL ? end : colon;
        n = (size_t) (colon - s);
    }

    if (n == 0 || n >= sizeof(host->name)) {
        return -1;
    }

    memcpy(host->name, s, n);
    host->name[n] = '\0';
    host->port = port;

    if (colon == end) {
        return 0;
    }

    host->port = *colon == ':' ? redis_conf_number(colon + 1,
                                     (size_t) (end - colon - 1), 65535) : -1;

    return host->port < 1 ? -1 : 0;
}


/* Hosts, commas between them; then the master's name and perhaps a number. */

static int
redis_conf_sentinels(redis_conf_t *conf, const char *s, const char *end)
{
    size_t       n;
    const char  *comma, *tail;

    tail = end;

    while (s < end) {
        comma = memchr(s, ',', (size_t) (end - s));
        comma = comma == NULL ? end : comma;

        if (conf->nsentinels == REDIS_SENTINELS_MAX
            || redis_conf_host(&conf->sentinels[conf->nsentinels++], s,
                               (size_t) (comma - s), 26379)
               != 0)
        {
            return -1;
        }

        s = comma + 1;
    }

    if (conf->nsentinels == 0 || *tail == '\0') {
        return -1;
    }

    tail++;
    n = strcspn(tail, "/");

    if (n == 0 || n >= sizeof(conf->master)) {
        return -1;
    }

    memcpy(conf->master, tail, n);
    tail += n;

    if (tail[0] == '\0' || tail[1] == '\0') {
        return 0;
    }

    conf->db = redis_conf_number(tail + 1, strlen(tail + 1), 65535);

    return conf->db == -1 ? -1 : 0;
}


/* From 0 to max, or -1. */

static int
redis_conf_number(const char *s, size_t len, long max)
{
    long    n;
    size_t  i;

    n = 0;

    for (i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9' || n > max) {
            return -1;
        }

        n = n * 10 + (s[i] - '0');
    }

    return len == 0 || n > max ? -1 : (int) n;
}
