/*
 * Where Redis is, from its address in one line.  Owns nothing.
 */

#include "redis.h"

#include <stdlib.h>
#include <string.h>


int
redis_conf_parse(redis_conf_t *conf, const char *url)
{
    const char  *p, *at, *end, *colon;
    char        *tail;
    size_t       len;
    long         n;

    memset(conf, 0, sizeof(*conf));

    if (strncmp(url, "unix:", 5) == 0) {
        len = strlen(url + 5);

        if (len == 0 || len >= sizeof(conf->path)) {
            return -1;
        }

        memcpy(conf->path, url + 5, len + 1);
        return 0;
    }

    if (strncmp(url, "redis://", 8) == 0) {
        p = url + 8;

    } else if (strncmp(url, "rediss://", 9) == 0) {
        p = url + 9;
        conf->tls = 1;

    } else {
        return -1;
    }

    at = strrchr(p, '@');

    if (at != NULL) {
        colon = memchr(p, ':', (size_t) (at - p));

        if (colon == NULL) {
            colon = at;
        }

        if ((size_t) (colon - p) >= sizeof(conf->user)) {
            return -1;
        }

        memcpy(conf->user, p, (size_t) (colon - p));

        if (colon < at) {
            len = (size_t) (at - colon - 1);

            if (len >= sizeof(conf->password)) {
                return -1;
            }

            memcpy(conf->password, colon + 1, len);
        }

        p = at + 1;
    }

    if (*p == '[') {
        end = strchr(++p, ']');

        if (end == NULL) {
            return -1;
        }

        colon = end + 1;

    } else {
        end = p + strcspn(p, ":/");
        colon = end;
    }

    len = (size_t) (end - p);

    if (len == 0 || len >= sizeof(conf->host)) {
        return -1;
    }

    memcpy(conf->host, p, len);
    conf->port = 6379;

    if (*colon == ':') {
        n = strtol(colon + 1, &tail, 10);

        if (tail == colon + 1 || n < 1 || n > 65535) {
            return -1;
        }

        conf->port = (int) n;
        colon = tail;
    }

    if (*colon == '/' && colon[1] != '\0') {
        n = strtol(colon + 1, &tail, 10);

        if (*tail != '\0' || n < 0 || n > 65535) {
            return -1;
        }

        conf->db = (int) n;
        return 0;
    }

    return *colon == '\0' || *colon == '/' ? 0 : -1;
}
