/*
 * The address of Redis, or of its Sentinels, in one line.  Owns nothing.
 */

#include "aictl_redis_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static int aictl_redis_sentinels(aictl_redis_t *r, const char *s,
    const char *end);


/* Percent-decodes len bytes into buf: 0 or -1. */

static int
aictl_url_decode(char *buf, size_t size, const char *s, size_t len)
{
    char      hex[3];
    char     *end;
    size_t    i, n;

    for (i = 0, n = 0; i < len; i++) {
        if (n + 1 >= size) {
            return -1;
        }

        if (s[i] != '%') {
            buf[n++] = s[i];
            continue;
        }

        if (i + 2 >= len) {
            return -1;
        }

        hex[0] = s[i + 1];
        hex[1] = s[i + 2];
        hex[2] = '\0';
        buf[n] = (char) strtol(hex, &end, 16);

        if (*end || buf[n++] == '\0') {
            return -1;
        }

        i += 2;
    }

    buf[n] = '\0';
    return 0;
}


static int
aictl_redis_userinfo(aictl_redis_t *r, const char *s, size_t len)
{
    const char  *colon;

    colon = memchr(s, ':', len);

    if (colon == NULL) {
        return aictl_url_decode(r->user, sizeof(r->user), s, len);
    }

    if (aictl_url_decode(r->user, sizeof(r->user), s, (size_t) (colon - s))
        != 0)
    {
        return -1;
    }

    colon++;
    return aictl_url_decode(r->password, sizeof(r->password), colon,
                            len - (size_t) (colon - s));
}


static int
aictl_redis_number(const char *s, size_t len, int64_t max, int64_t *n)
{
    ai_str_t  text = { len, s };

    return ai_str_int(text, n) == 0 && *n >= 0 && *n <= max ? 0 : -1;
}


/* host[:port]; an IPv6 address stands in brackets. */

static int
aictl_redis_host(aictl_host_t *host, const char *s, size_t len, int64_t port)
{
    size_t       n;
    const char  *end, *p;

    end = s + len;

    if (len && *s == '[') {
        s++;
        p = memchr(s, ']', (size_t) (end - s));

        if (p == NULL) {
            return -1;
        }

        n = (size_t) (p++ - s);

    } else {
        p = memchr(s, ':', len);
        p = p ? p : end;
        n = (size_t) (p - s);
    }

    if (n == 0 || n >= sizeof(host->name)) {
        return -1;
    }

    memcpy(host->name, s, n);
    host->name[n] = '\0';

    if (p < end
        && (*p != ':'
            || aictl_redis_number(p + 1, (size_t) (end - p - 1), 65535, &port)
               != 0))
    {
        return -1;
    }

    (void) snprintf(host->port, sizeof(host->port), "%d", (int) port);

    return 0;
}


int
aictl_redis_parse(aictl_redis_t *r, const char *url)
{
    int          sentinel;
    size_t       i, len;
    int64_t      n;
    const char  *p, *at, *slash, *end;

    static const char *const  schemes[] = {
        "redis://", "rediss://", "sentinel://", "sentinels://"
    };

    if (strncmp(url, "unix:", 5) == 0) {
        p = url + 5;
        at = strstr(p, "@/");

        if (at && memchr(p, '/', (size_t) (at - p)) == NULL) {
            if (aictl_redis_userinfo(r, p, (size_t) (at - p)) != 0) {
                return -1;
            }

            p = at + 1;
        }

        len = strlen(p);

        if (len == 0 || len >= sizeof(r->path)) {
            return -1;
        }

        memcpy(r->path, p, len + 1);
        (void) snprintf(r->address, sizeof(r->address), "unix:%s", r->path);
        return 0;
    }

    for (i = 0, len = 0; i < 4; i++) {
        len = strlen(schemes[i]);

        if (strncmp(url, schemes[i], len) == 0) {
            break;
        }
    }

    if (i == 4) {
        return -1;
    }

    p = url + len;
    r->tls = i % 2;
    sentinel = i / 2;

    slash = strchr(p, '/');
    end = slash ? slash : p + strlen(p);
    at = memrchr(p, '@', (size_t) (end - p));

    if (at) {
        if (aictl_redis_userinfo(r, p, (size_t) (at - p)) != 0) {
            return -1;
        }

        p = at + 1;
    }

    if (sentinel) {

        if (slash == NULL || aictl_redis_sentinels(r, p, end) != 0) {
            return -1;
        }

        (void) snprintf(r->address, sizeof(r->address), "%s%.*s/%s",
                        schemes[i], (int) (end - p), p, r->master);

        slash = strchr(slash + 1, '/');

    } else {

        if (aictl_redis_host(&r->host, p, (size_t) (end - p), 6379) != 0) {
            return -1;
        }

        (void) snprintf(r->address, sizeof(r->address), "%s%s:%s", schemes[i],
                        r->host.name, r->host.port);
    }

    if (slash && slash[1]) {
        if (aictl_redis_number(slash + 1, strlen(slash + 1), 65535, &n) != 0) {
            return -1;
        }

        r->db = (unsigned) n;
    }

    return 0;
}


/* Hosts, commas between them, up to end; then a slash and the master's name. */

static int
aictl_redis_sentinels(aictl_redis_t *r, const char *s, const char *end)
{
    size_t       len;
    const char  *comma, *name;

    for (name = end + 1; s < end; s = comma + 1) {
        comma = memchr(s, ',', (size_t) (end - s));
        comma = comma ? comma : end;

        if (r->nsentinels == AICTL_SENTINELS_MAX
            || aictl_redis_host(&r->sentinels[r->nsentinels++], s,
                                (size_t) (comma - s), 26379)
               != 0)
        {
            return -1;
        }
    }

    len = strcspn(name, "/");

    if (r->nsentinels == 0 || len == 0 || len >= sizeof(r->master)) {
        return -1;
    }

    memcpy(r->master, name, len);

    return 0;
}
