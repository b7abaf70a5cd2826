/*
 * Load generator: where a request goes and what it says.
 * A target owns its request, which is built once.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "load.h"


#define LOAD_SERIAL  "0000000000000000"


static int load_target_address(load_target_t *t, const char *host, size_t len);
static char *load_target_body(load_target_t *t, size_t *len);
static char *load_target_file(const char *name, size_t *len);


int
load_target_parse(load_target_t *t, const char *s)
{
    size_t               len;
    const char          *eq, *host, *path;
    struct sockaddr_un  *sun;

    eq = strchr(s, '=');

    if (eq == NULL || eq == s || (size_t) (eq - s) >= sizeof(t->name)
        || strncmp(eq + 1, "http://", 7) != 0)
    {
        return -1;
    }

    memset(t->name, 0, sizeof(t->name));
    memcpy(t->name, s, (size_t) (eq - s));
    host = eq + 8;

    if (strncmp(host, "unix:", 5) == 0) {
        host += 5;
        path = strstr(host, ":/");
        sun = (struct sockaddr_un *) &t->addr;

        if (path == NULL || (size_t) (path - host) >= sizeof(sun->sun_path)) {
            return -1;
        }

        sun->sun_family = AF_UNIX;
        memcpy(sun->sun_path, host, (size_t) (path - host));
        t->addr_len = sizeof(*sun);
        strcpy(t->host, "localhost");
        path++;

    } else {
        path = strchr(host, '/');
        len = path ? (size_t) (path - host) : strlen(host);

        if (load_target_address(t, host, len) != 0) {
            return -1;
        }
    }

    if (path == NULL) {
        path = "/";
    }

    if (strlen(path) >= sizeof(t->path)) {
        return -1;
    }

    strcpy(t->path, path);

    return 0;
}


static int
load_target_address(load_target_t *t, const char *host, size_t len)
{
    char                *colon, name[sizeof(t->host)];
    long                 port;
    struct sockaddr_in  *sin;

    if (len >= sizeof(t->host)) {
        return -1;
    }

    memcpy(t->host, host, len);
    t->host[len] = '\0';
    memcpy(name, t->host, len + 1);

    port = 80;
    colon = strchr(name, ':');

    if (colon != NULL) {
        *colon = '\0';
        port = strtol(colon + 1, NULL, 10);
    }

    if (strcmp(name, "localhost") == 0) {
        strcpy(name, "127.0.0.1");
    }

    sin = (struct sockaddr_in *) &t->addr;

    if (port < 1 || port > 65535
        || inet_pton(AF_INET, name, &sin->sin_addr) != 1)
    {
        return -1;
    }

    sin->sin_family = AF_INET;
    sin->sin_port = htons((uint16_t) port);
    t->addr_len = sizeof(*sin);

    return 0;
}


int
load_target_keys(load_target_t *t, const char *name)
{
    char    line[LOAD_LINE], *p;
    FILE   *f;
    size_t  len;

    f = fopen(name, "r");
    p = malloc(LOAD_MAX_KEYS);

    if (f == NULL || p == NULL) {
        fprintf(stderr, "load: cannot read \"%s\"\n", name);
        goto failed;
    }

    t->keys = p;
    t->nkeys = 0;
    t->key_len = 0;

    while (fgets(line, sizeof(line), f) != NULL) {
        len = strcspn(line, "\r\n");

        if (len == 0 || (t->nkeys && len != t->key_len)
            || (t->nkeys + 1) * len > LOAD_MAX_KEYS)
        {
            fprintf(stderr, "load: \"%s\": keys of one length are wanted\n",
                    name);
            goto failed;
        }

        t->key_len = len;
        memcpy(p + t->nkeys++ * len, line, len);
    }

    if (t->nkeys == 0) {
        fprintf(stderr, "load: \"%s\" is empty\n", name);
        goto failed;
    }

    fclose(f);

    return 0;

failed:

    free(p);
    t->keys = NULL;
    t->nkeys = 0;

    if (f != NULL) {
        fclose(f);
    }

    return -1;
}


int
load_target_build(load_target_t *t)
{
    int     n;
    char   *body, *serial;
    size_t  body_len, size;

    body = NULL;
    body_len = 0;

    if (!t->get) {
        body = t->body_file ? load_target_file(t->body_file, &body_len)
                            : load_target_body(t, &body_len);

        if (body == NULL) {
            fprintf(stderr, "load: no body for \"%s\"\n", t->name);
            return -1;
        }
    }

    size = body_len + sizeof(t->path) + sizeof(t->headers) + t->key_len + 1024;
    t->request = malloc(size);

    if (t->request == NULL) {
        free(body);
        return -1;
    }

    n = snprintf(t->request, size,
                 "%s %s HTTP/1.1\r\n"
                 "Host: %s\r\n"
                 "%s%s",
                 t->get ? "GET" : "POST", t->path, t->host, t->headers,
                 t->close ? "Connection: close\r\n" : "");

    if (t->nkeys) {
        n += snprintf(t->request + n, size - (size_t) n,
                      "Authorization: Bearer ");
        t->key_at = (size_t) n;
        n += snprintf(t->request + n, size - (size_t) n, "%.*s\r\n",
                      (int) t->key_len, t->keys);
    }

    if (t->get) {
        n += snprintf(t->request + n, size - (size_t) n, "\r\n");

    } else {
        n += snprintf(t->request + n, size - (size_t) n,
                      "Content-Type: application/json\r\n"
                      "Content-Length: %zu\r\n"
                      "\r\n",
                      body_len);
        memcpy(t->request + n, body, body_len);
    }

    t->request_len = (size_t) n + body_len;

    if (t->unique && !t->get) {
        serial = memmem(t->request + n, body_len, LOAD_SERIAL,
                        sizeof(LOAD_SERIAL) - 1);
        t->serial_at = serial ? (size_t) (serial - t->request) : 0;
    }

    free(body);

    return 0;
}


static char *
load_target_body(load_target_t *t, size_t *len)
{
    int     n;
    char   *p;
    size_t  pad, size;

    pad = t->body_bytes;
    size = pad + 1024;
    p = malloc(size);

    if (p == NULL) {
        return NULL;
    }

    n = snprintf(p, size,
                 "{\"model\":\"%s\",\"max_tokens\":1024,%s%s\"messages\":[{"
                 "\"role\":\"user\",\"content\":\"Say hello. " LOAD_SERIAL,
                 t->model[0] ? t->model : "mock",
                 t->stream ? "\"stream\":true," : "",
                 t->stream && t->include_usage
                 ? "\"stream_options\":{\"include_usage\":true}," : "");

    memset(p + n, 'p', pad);

    n = n + (int) pad;
    n += snprintf(p + n, size - (size_t) n, "\"}]}");

    *len = (size_t) n;

    return p;
}


static char *
load_target_file(const char *name, size_t *len)
{
    char  *p;
    FILE  *f;

    f = fopen(name, "r");

    if (f == NULL) {
        return NULL;
    }

    p = malloc(LOAD_MAX_BODY);

    if (p != NULL) {
        *len = fread(p, 1, LOAD_MAX_BODY, f);
    }

    fclose(f);

    return p;
}
