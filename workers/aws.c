/*
 * What libcurl needs to sign a request for AWS.  Owns nothing.
 */

#include "aws.h"

#include <stdio.h>
#include <string.h>


#define AWS_CURL_ENCODES  0x080E00      /* libcurl 8.14.0 */


static int aws_copy(char *to, size_t size, ai_str_t s);
static ai_str_t aws_region(ai_str_t url);


int
aws_key(aws_t *a, ai_str_t key, const char *service, ai_str_t region,
    ai_str_t url)
{
    size_t       i;
    ai_str_t     id, secret;
    const char  *colon;

    memset(a, 0, sizeof(*a));
    colon = key.len != 0 ? memchr(key.data, ':', key.len) : NULL;

    if (colon == NULL) {
        return 0;
    }

    id = (ai_str_t) { (size_t) (colon - key.data), key.data };
    secret = (ai_str_t) { key.len - id.len - 1, colon + 1 };
    colon = secret.len != 0 ? memchr(secret.data, ':', secret.len) : NULL;
    a->token = ai_str("");

    if (colon != NULL) {
        a->token = (ai_str_t) { secret.len - (size_t) (colon - secret.data) - 1,
                                colon + 1 };
        secret.len = (size_t) (colon - secret.data);
    }

    if (region.len == 0) {
        region = aws_region(url);
    }

    for (i = 0; i < region.len; i++) {
        if ((region.data[i] < 'a' || region.data[i] > 'z')
            && (region.data[i] < '0' || region.data[i] > '9')
            && region.data[i] != '-')
        {
            return -1;
        }
    }

    for (i = 0; i < a->token.len; i++) {
        if (a->token.data[i] <= ' ' || a->token.data[i] > '~') {
            return -1;
        }
    }

    if (region.len == 0 || region.len > AWS_REGION_MAX
        || aws_copy(a->id, sizeof(a->id), id) != 0
        || aws_copy(a->secret, sizeof(a->secret), secret) != 0)
    {
        return -1;
    }

    (void) snprintf(a->spec, sizeof(a->spec), "aws:amz:%.*s:%s",
                    (int) region.len, region.data, service);

    return 1;
}


static int
aws_copy(char *to, size_t size, ai_str_t s)
{
    size_t  i;

    if (s.len == 0 || s.len >= size) {
        return -1;
    }

    for (i = 0; i < s.len; i++) {
        if (s.data[i] <= ' ' || s.data[i] > '~') {
            return -1;
        }
    }

    memcpy(to, s.data, s.len);
    to[s.len] = '\0';

    return 0;
}


static ai_str_t
aws_region(ai_str_t url)
{
    size_t       i, n;
    ai_str_t     rest;
    const char  *p, *dot;
    static const char *const  hosts[] = {
        "bedrock-runtime.", "bedrock-runtime-fips."
    };

    p = memmem(url.data, url.len, "://", 3);

    if (p == NULL) {
        return ai_str("");
    }

    rest = (ai_str_t) { url.len - (size_t) (p + 3 - url.data), p + 3 };
    p = memchr(rest.data, '/', rest.len);
    rest.len = p != NULL ? (size_t) (p - rest.data) : rest.len;

    for (i = 0; i < 2; i++) {
        n = strlen(hosts[i]);
        p = memmem(rest.data, rest.len, hosts[i], n);

        if (p == NULL) {
            continue;
        }

        p += n;
        n = rest.len - (size_t) (p - rest.data);
        dot = memchr(p, '.', n);

        return dot != NULL ? (ai_str_t) { (size_t) (dot - p), p } : ai_str("");
    }

    return ai_str("");
}


int
aws_path(unsigned now, char *url, size_t size, char *target,
    size_t target_size)
{
    char        *path, *query, code[4];
    size_t       i, len;
    ai_buf_t     b;
    const char  *p;

    p = strstr(url, "://");
    path = p != NULL ? strchr(p + 3, '/') : NULL;

    if (path == NULL || now >= AWS_CURL_ENCODES) {
        return 0;
    }

    ai_buf_init(&b, target, target_size);
    ai_buf_add_z(&b, path);
    ai_buf_add(&b, "", 1);

    if (b.full) {
        return -1;
    }

    query = strchr(target, '?');
    len = query != NULL ? (size_t) (query - target) : strlen(target);
    ai_buf_init(&b, path, size - (size_t) (path - url));

    for (i = 0; i < len; i++) {
        p = target + i;

        if ((*p >= '0' && *p <= '9')
            || ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z')
            || strchr("-._~/", *p) != NULL)
        {
            ai_buf_add(&b, p, 1);
            continue;
        }

        (void) snprintf(code, sizeof(code), "%%%02X", (unsigned char) *p);
        ai_buf_add_z(&b, code);
    }

    if (query != NULL) {
        ai_buf_add_z(&b, query);
    }

    ai_buf_add(&b, "", 1);

    return b.full ? -1 : 1;
}
