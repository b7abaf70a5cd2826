/*
 * Bytes from the server: hiredis' reader under limits, and what an error reply
 * says.  The reader is its connection's; a reply lives for one dispatch.
 */

#include "ngx_http_ai_redis_conn.h"


#if (HIREDIS_MAJOR >= 1)
#define NGX_HTTP_AI_REDIS_COUNT  size_t
#else
#define NGX_HTTP_AI_REDIS_COUNT  int
#endif


typedef struct {
    ngx_str_t    word;
    ngx_uint_t   error;
} ngx_http_ai_redis_word_t;


static void *ngx_http_ai_redis_create_string(const redisReadTask *task,
    char *str, size_t len);
static void *ngx_http_ai_redis_create_array(const redisReadTask *task,
    NGX_HTTP_AI_REDIS_COUNT elements);
static ngx_int_t ngx_http_ai_redis_reader_over(ngx_http_ai_redis_conn_t *conn);


/* hiredis' own, which its reader does not offer by name. */
static redisReplyObjectFunctions  ngx_http_ai_redis_functions;


static ngx_http_ai_redis_word_t  ngx_http_ai_redis_words[] = {
    { ngx_string("NOSCRIPT"), NGX_HTTP_AI_REDIS_E_NOSCRIPT },
    { ngx_string("LOADING"), NGX_HTTP_AI_REDIS_E_LOADING },
    { ngx_string("READONLY"), NGX_HTTP_AI_REDIS_E_READONLY },
    { ngx_string("MASTERDOWN"), NGX_HTTP_AI_REDIS_E_MASTERDOWN },
    { ngx_string("NOREPLICAS"), NGX_HTTP_AI_REDIS_E_NOREPLICAS },
    { ngx_string("OOM"), NGX_HTTP_AI_REDIS_E_OOM },
    { ngx_string("MISCONF"), NGX_HTTP_AI_REDIS_E_MISCONF },
    { ngx_string("NOAUTH"), NGX_HTTP_AI_REDIS_E_NOAUTH },
    { ngx_string("WRONGPASS"), NGX_HTTP_AI_REDIS_E_NOAUTH },
    { ngx_string("NOPERM"), NGX_HTTP_AI_REDIS_E_NOAUTH },
    { ngx_string("BUSY"), NGX_HTTP_AI_REDIS_E_BUSY },
    { ngx_string("MOVED"), NGX_HTTP_AI_REDIS_E_MOVED },
    { ngx_string("ASK"), NGX_HTTP_AI_REDIS_E_MOVED },
    { ngx_string("CLUSTERDOWN"), NGX_HTTP_AI_REDIS_E_MOVED },
    { ngx_string("CROSSSLOT"), NGX_HTTP_AI_REDIS_E_MOVED },
    { ngx_string("TRYAGAIN"), NGX_HTTP_AI_REDIS_E_MOVED },
    { ngx_string("NOGROUP"), NGX_HTTP_AI_REDIS_E_NOGROUP },
    { ngx_string("BUSYGROUP"), NGX_HTTP_AI_REDIS_E_BUSYGROUP },
    { ngx_null_string, NGX_HTTP_AI_REDIS_E_OTHER }
};


ngx_int_t
ngx_http_ai_redis_reader_init(ngx_http_ai_redis_conn_t *conn)
{
    conn->reader = redisReaderCreate();
    if (conn->reader == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_ai_redis_functions.createArray == NULL) {
        ngx_http_ai_redis_functions = *conn->reader->fn;
    }

    conn->functions = ngx_http_ai_redis_functions;
    conn->functions.createString = ngx_http_ai_redis_create_string;
    conn->functions.createArray = ngx_http_ai_redis_create_array;

    conn->reader->fn = &conn->functions;
    conn->reader->privdata = &conn->limits;

    ngx_memzero(&conn->limits, sizeof(conn->limits));

    return NGX_OK;
}


/*
 * A reader that gets NULL from these gives up as if without memory, before it
 * has made room for what the server announced.
 */

static void *
ngx_http_ai_redis_create_string(const redisReadTask *task, char *str,
    size_t len)
{
    ngx_http_ai_redis_limits_t  *limits = task->privdata;

    limits->bytes += len;

    if (limits->bytes > NGX_HTTP_AI_REDIS_MAX_REPLY) {
        limits->over = 1;
        return NULL;
    }

    return ngx_http_ai_redis_functions.createString(task, str, len);
}


static void *
ngx_http_ai_redis_create_array(const redisReadTask *task,
    NGX_HTTP_AI_REDIS_COUNT elements)
{
    ngx_uint_t                   depth;
    const redisReadTask         *parent;
    ngx_http_ai_redis_limits_t  *limits = task->privdata;

    depth = 1;

    for (parent = task->parent; parent; parent = parent->parent) {
        depth++;
    }

    if (depth > NGX_HTTP_AI_REDIS_MAX_DEPTH) {
        return NULL;
    }

    if ((size_t) elements > NGX_HTTP_AI_REDIS_MAX_ELEMENTS - limits->elements)
    {
        limits->over = 1;
        return NULL;
    }

    limits->elements += (ngx_uint_t) elements;

    return ngx_http_ai_redis_functions.createArray(task, elements);
}


void
ngx_http_ai_redis_reader_feed(ngx_http_ai_redis_conn_t *conn, u_char *data,
    size_t n)
{
    void  *reply;

    if (redisReaderFeed(conn->reader, (char *) data, n) != REDIS_OK) {
        ngx_http_ai_redis_doom(conn, "no memory for a reply");
        return;
    }

    while (!conn->doomed && !conn->answered) {

        if (redisReaderGetReply(conn->reader, &reply) != REDIS_OK) {
            if (conn->limits.over) {
                ngx_http_ai_redis_doom(conn, "a reply over %d bytes or %d "
                                       "elements",
                                       NGX_HTTP_AI_REDIS_MAX_REPLY,
                                       NGX_HTTP_AI_REDIS_MAX_ELEMENTS);
                return;
            }

            ngx_http_ai_redis_doom(conn, "not a Redis reply");
            return;
        }

        if (reply == NULL) {
            if (ngx_http_ai_redis_reader_over(conn) != NGX_OK) {
                ngx_http_ai_redis_doom(conn, "a reply over %d bytes",
                                       NGX_HTTP_AI_REDIS_MAX_REPLY);
            }

            return;
        }

        conn->limits.bytes = 0;
        conn->limits.elements = 0;

        ngx_http_ai_redis_dispatch(conn, reply);

        freeReplyObject(reply);
    }
}


static ngx_int_t
ngx_http_ai_redis_reader_over(ngx_http_ai_redis_conn_t *conn)
{
    size_t   n;
    u_char  *p, *lf;

    n = conn->reader->len - conn->reader->pos;

    if (conn->limits.bytes + n > NGX_HTTP_AI_REDIS_MAX_REPLY) {
        return NGX_ERROR;
    }

    if (n <= NGX_HTTP_AI_REDIS_LINE) {
        return NGX_OK;
    }

    /*
     * Only a bulk string, behind the line with its length, may be that long:
     * what has no end of line is read again from its start each time.
     */

    p = (u_char *) conn->reader->buf + conn->reader->pos;
    lf = ngx_strlchr(p, p + NGX_INT64_LEN + 3, LF);

    if (lf == NULL || lf == p || lf[-1] != CR) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_ai_redis_classify(redisReply *reply)
{
    size_t                     n, len;
    ngx_http_ai_redis_word_t  *w;

    len = (size_t) reply->len;

    for (n = 0; n < len && reply->str[n] != ' '; n++) { /* void */ }

    for (w = ngx_http_ai_redis_words; w->word.len; w++) {
        if (w->word.len == n
            && ngx_memcmp(w->word.data, reply->str, n) == 0)
        {
            return w->error;
        }
    }

    return NGX_HTTP_AI_REDIS_E_OTHER;
}


ngx_str_t
ngx_http_ai_redis_error_text(redisReply *reply, u_char *buf, size_t len)
{
    u_char     *p, *args;
    size_t      i;
    ngx_str_t   text;

    text.len = ngx_min(len, (size_t) reply->len);
    text.data = buf;

    for (i = 0; i < text.len; i++) {
        p = (u_char *) &reply->str[i];
        buf[i] = (*p >= ' ' && *p < 0x7f) ? *p : '?';
    }

    args = ngx_strlcasestrn(buf, buf + text.len, (u_char *) ", with args",
                            sizeof(", with args") - 2);
    if (args) {
        text.len = args - buf;
    }

    return text;
}
