/*
 * Calls to providers: libcurl's multi interface in libuv's loop.  Owns the
 * connections and the calls under way; a call's URL, headers and body belong
 * to the caller until http_done or http_abort.
 */

#ifndef HTTP_H
#define HTTP_H

#include <curl/curl.h>

#include "aws.h"
#include "worker.h"

#define HTTP_CONNECTIONS_MAX  1024  /* idle ones kept, a process */
#define HTTP_HEADER_MAX       (64 * 1024)   /* bytes of an answer's headers */
#define HTTP_EASY_KEPT        256   /* idle handles kept */

typedef struct http_s  http_t;
typedef struct http_call_s  http_call_t;

typedef enum {
    HTTP_OK = 0,
    HTTP_UNREACHABLE,           /* no name, refused, TLS, lost before a byte */
    HTTP_TIMEOUT,               /* while connecting */
    HTTP_BROKEN,                /* the answer broke off or is malformed */
    HTTP_REFUSED                /* the body callback wanted no more */
} http_status_e;

/* headers and body are kept until the call has ended. */
typedef struct {
    const char        *url;
    struct curl_slist *headers;
    const char        *body;
    size_t             body_len;
    int64_t            connect_msec;
    unsigned           stream:1;
    unsigned           get:1;       /* GET, without a body; else POST */
    const aws_t       *aws;         /* it signs; NULL: nobody does */
    const char        *target;      /* asked for instead of the URL's path;
                                     * NULL: that */
} http_request_t;

/* Called from the loop, never from within http_start or http_abort. */
typedef struct {
    /* One header of the answer, not of a 1xx before it. */
    void (*header)(void *data, ai_str_t name, ai_str_t value);
    /* All headers are here. */
    void (*head)(void *data, int status);
    /* 0, or -1: no more. */
    int  (*body)(void *data, ai_str_t bytes);
    /* The end, once; the call is gone when it returns. */
    void (*done)(void *data, http_status_e status, const char *why);
} http_events_t;

/* NULL: no memory. */
http_t *http_open(worker_t *w);
/* After the last call has ended. */
void http_close(http_t *h);

/* NULL: no memory. */
http_call_t *http_start(http_t *h, const http_request_t *req,
    const http_events_t *ev, void *data);
/* Ends it without done; at once, or, from within its own callbacks, when
 * they return. */
void http_abort(http_call_t *call);
/* Its callbacks get this data from now on. */
void http_give(http_call_t *call, void *data);
/* Stops and starts the bytes; body may be called from within resume, done
 * also while they are stopped, where there are no more. */
void http_pause(http_call_t *call);
void http_resume(http_call_t *call);
/* 1 when it has a connection; when the request has left as a whole. */
int http_begun(const http_call_t *call);
int http_sent(http_call_t *call);

#endif
