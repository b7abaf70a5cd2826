/*
 * Bytes from the server: replies under limits, and what an error reply says.
 * The reader is its connection's; a reply lives for one dispatch.
 */

#include "ngx_http_ai_redis_conn.h"


typedef struct {
    ngx_str_t    word;
    ngx_uint_t   error;
} ngx_http_ai_redis_word_t;


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


void
ngx_http_ai_redis_reader_init(ngx_http_ai_redis_conn_t *conn)
{
    static const ai_resp_limits_t  limits = {
        NGX_HTTP_AI_REDIS_MAX_REPLY,
        NGX_HTTP_AI_REDIS_MAX_ELEMENTS,
        NGX_HTTP_AI_REDIS_MAX_DEPTH,
        NGX_HTTP_AI_REDIS_KEEP
    };

    ai_resp_init(&conn->reader, &limits);
}


void
ngx_http_ai_redis_reader_drain(ngx_http_ai_redis_conn_t *conn)
{
    ai_resp_t  *reply;

    while (!conn->doomed && !conn->answered) {

        switch (ai_resp_next(&conn->reader, &reply)) {

        case AI_RESP_OK:
            ngx_http_ai_redis_dispatch(conn, reply);
            break;

        case AI_RESP_AGAIN:
            return;

        case AI_RESP_OVER:
            ngx_http_ai_redis_doom(conn, "a reply over %d bytes, %d elements "
                                   "or %d levels",
                                   NGX_HTTP_AI_REDIS_MAX_REPLY,
                                   NGX_HTTP_AI_REDIS_MAX_ELEMENTS,
                                   NGX_HTTP_AI_REDIS_MAX_DEPTH);
            return;

        case AI_RESP_MEMORY:
            ngx_http_ai_redis_doom(conn, "no memory for a reply");
            return;

        default:
            ngx_http_ai_redis_doom(conn, "not a Redis reply");
            return;
        }
    }
}


ngx_uint_t
ngx_http_ai_redis_classify(ai_resp_t *reply)
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
ngx_http_ai_redis_error_text(ai_resp_t *reply, u_char *buf, size_t len)
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
