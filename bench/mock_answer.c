/*
 * Mock provider: what is said, in the two dialects, faults included.
 * Fills the connection's output buffer; when it is sent is the loop's affair.
 */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mock.h"


#define MOCK_TURN_BYTES   (256 * 1024)   /* made before the socket is tried */
#define MOCK_FRAME_LEN    (sizeof("00000000\r\n") - 1)

#define model_args(req)                                                       \
    (int) ((req)->model_len ? (req)->model_len : 4),                          \
    (req)->model_len ? (req)->model : "mock"


static mock_rc_e mock_answer_start(mock_conn_t *c, uint64_t now_ns,
    const mock_stats_t *stats);
static mock_rc_e mock_answer_whole(mock_conn_t *c, uint64_t now_ns);
static mock_rc_e mock_answer_error(mock_conn_t *c, uint32_t status,
    const char *message);
static mock_rc_e mock_answer_stats(mock_conn_t *c, const mock_stats_t *stats);
static mock_rc_e mock_answer_fault(mock_conn_t *c);
static mock_rc_e mock_head(mock_conn_t *c, uint32_t status, const char *type,
    size_t length);
static mock_rc_e mock_stream_first(mock_conn_t *c);
static mock_rc_e mock_stream_chunk(mock_conn_t *c, uint64_t now_ns);
static mock_rc_e mock_stream_error(mock_conn_t *c);
static mock_rc_e mock_stream_last(mock_conn_t *c);
static mock_rc_e mock_content(mock_conn_t *c, uint32_t seq, uint64_t now_ns,
    size_t len);
static int mock_frame_open(mock_conn_t *c, size_t *at);
static mock_rc_e mock_frame_close(mock_conn_t *c, size_t at);
static const char *mock_reason(uint32_t status);


mock_rc_e
mock_answer(mock_conn_t *c, uint64_t now_ns, const mock_stats_t *stats)
{
    size_t           at;
    mock_rc_e        rc;
    mock_request_t  *req = &c->req;

    if (!c->started) {
        rc = mock_answer_start(c, now_ns, stats);

        if (rc != MOCK_OK) {
            return rc;
        }
    }

    for ( ;; ) {
        rc = mock_answer_fault(c);

        if (rc != MOCK_OK) {
            return rc;
        }

        if (c->next_ns > now_ns) {
            return MOCK_AGAIN;
        }

        if (c->out.len - c->out.pos >= MOCK_TURN_BYTES) {
            c->next_ns = now_ns;
            return MOCK_AGAIN;
        }

        if (mock_frame_open(c, &at) != 0) {
            return MOCK_ERROR;
        }

        if (c->sent < req->opts.chunks) {

            if ((c->sent == 0 && mock_stream_first(c) != MOCK_OK)
                || mock_stream_chunk(c, now_ns) != MOCK_OK
                || mock_frame_close(c, at) != MOCK_OK)
            {
                return MOCK_ERROR;
            }

            c->sent++;

            if (c->sent < req->opts.chunks) {
                c->next_ns += req->opts.interval_ns;
            }

            continue;
        }

        if (mock_stream_last(c) != MOCK_OK
            || mock_frame_close(c, at) != MOCK_OK)
        {
            return MOCK_ERROR;
        }

        if (!req->http10
            && mock_printf(&c->out, "0\r\n\r\n") != MOCK_OK)
        {
            return MOCK_ERROR;
        }

        return MOCK_DONE;
    }
}


/* MOCK_OK: the head of a stream is made and its chunks are to follow. */

static mock_rc_e
mock_answer_start(mock_conn_t *c, uint64_t now_ns, const mock_stats_t *stats)
{
    mock_request_t  *req = &c->req;

    if (req->refusal != NULL) {
        return mock_answer_error(c, 400, req->refusal);
    }

    if (req->api == MOCK_STATS) {
        return mock_answer_stats(c, stats);
    }

    if (req->api == MOCK_UNKNOWN) {
        return mock_answer_error(c, 404, "no such path");
    }

    if (c->next_ns == 0) {
        c->created = time(NULL);
        c->next_ns = c->received_ns + req->opts.ttft_ns;

        if (!req->stream && req->opts.status == 200) {
            c->next_ns += req->opts.interval_ns * req->opts.chunks;
        }
    }

    if (c->next_ns > now_ns) {
        return MOCK_AGAIN;
    }

    if (req->opts.status != 200) {
        return mock_answer_error(c, req->opts.status, "as the options asked");
    }

    if (req->opts.stall == 0) {
        return MOCK_STALL;
    }

    if (req->opts.cut == 0) {
        return MOCK_CUT;
    }

    if (req->opts.rst == 0) {
        return MOCK_RST;
    }

    if (!req->stream || req->api == MOCK_MODELS) {
        return mock_answer_whole(c, now_ns);
    }

    c->started = 1;

    return mock_head(c, 200, "text/event-stream; charset=utf-8", SIZE_MAX);
}


static mock_rc_e
mock_answer_whole(mock_conn_t *c, uint64_t now_ns)
{
    char             start[512], end[512];
    size_t           start_len, end_len, content;
    uint64_t         input;
    mock_request_t  *req = &c->req;

    content = (size_t) req->opts.chunks * req->opts.bytes;

    if (req->opts.line > content) {
        content = req->opts.line;
    }

    if (content < MOCK_MARK_LEN) {
        content = MOCK_MARK_LEN;
    }

    if (content > MOCK_MAX_LINE) {
        content = MOCK_MAX_LINE;
    }

    input = req->body_len / 4 + 1;

    if (req->opts.error != MOCK_NEVER) {
        return mock_answer_error(c, 200, "an error with status 200");
    }

    if (req->opts.malformed != MOCK_NEVER) {
        start_len = (size_t) sprintf(start, "{\"id\":\"mock\",\"model\":");

        if (mock_head(c, 200, "application/json", start_len) != MOCK_OK
            || mock_printf(&c->out, "%s", start) != MOCK_OK)
        {
            return MOCK_ERROR;
        }

        return MOCK_DONE;
    }

    switch (req->api) {

    case MOCK_MODELS:
        content = 0;
        start_len = (size_t) sprintf(start,
            "{\"object\":\"list\",\"data\":[{\"id\":\"mock\","
            "\"object\":\"model\",\"created\":1700000000,"
            "\"owned_by\":\"mock\"}]}");
        end_len = 0;
        break;

    case MOCK_ANTHROPIC:
        start_len = (size_t) sprintf(start,
            "{\"id\":\"msg_mock%08lx\",\"type\":\"message\","
            "\"role\":\"assistant\",\"model\":\"%.*s\",\"content\":[{"
            "\"type\":\"text\",\"text\":\"",
            (unsigned long) c->number, model_args(req));

        end_len = (size_t) sprintf(end,
            "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null");

        if (req->opts.usage) {
            end_len += (size_t) sprintf(end + end_len,
                ",\"usage\":{\"input_tokens\":%lu,"
                "\"cache_creation_input_tokens\":0,"
                "\"cache_read_input_tokens\":0,\"output_tokens\":%u,"
                "\"service_tier\":\"standard\"}",
                (unsigned long) input, req->opts.chunks);
        }

        end[end_len++] = '}';
        break;

    default:
        start_len = (size_t) sprintf(start,
            "{\"id\":\"chatcmpl-mock%08lx\",\"object\":\"chat.completion\","
            "\"created\":%ld,\"model\":\"%.*s\",\"choices\":[{\"index\":0,"
            "\"message\":{\"role\":\"assistant\",\"content\":\"",
            (unsigned long) c->number, (long) c->created, model_args(req));

        end_len = (size_t) sprintf(end,
            "\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
            "\"finish_reason\":\"stop\"}]");

        if (req->opts.usage) {
            end_len += (size_t) sprintf(end + end_len,
                ",\"usage\":{\"prompt_tokens\":%lu,\"completion_tokens\":%u,"
                "\"total_tokens\":%lu,\"prompt_tokens_details\":{"
                "\"cached_tokens\":0,\"audio_tokens\":0}}",
                (unsigned long) input, req->opts.chunks,
                (unsigned long) input + req->opts.chunks);
        }

        end_len += (size_t) sprintf(end + end_len,
            ",\"service_tier\":\"default\","
            "\"system_fingerprint\":\"fp_mock\"}");
        break;
    }

    if (mock_head(c, 200, "application/json", start_len + content + end_len)
        != MOCK_OK
        || mock_buf_reserve(&c->out, start_len + content + end_len) != 0)
    {
        return MOCK_ERROR;
    }

    memcpy(c->out.data + c->out.len, start, start_len);
    c->out.len += start_len;

    if (content > 0 && mock_content(c, 0, now_ns, content) != MOCK_OK) {
        return MOCK_ERROR;
    }

    if (req->opts.stall != MOCK_NEVER) {
        return MOCK_STALL;
    }

    if (req->opts.cut != MOCK_NEVER) {
        return MOCK_CUT;
    }

    if (req->opts.rst != MOCK_NEVER) {
        return MOCK_RST;
    }

    memcpy(c->out.data + c->out.len, end, end_len);
    c->out.len += end_len;

    return MOCK_DONE;
}


static mock_rc_e
mock_answer_error(mock_conn_t *c, uint32_t status, const char *message)
{
    int          n;
    char         body[512];
    const char  *type;

    if (c->req.api == MOCK_ANTHROPIC) {
        type = status == 429 ? "rate_limit_error"
               : status == 529 ? "overloaded_error"
               : status == 401 ? "authentication_error"
               : status == 403 ? "permission_error"
               : status == 404 ? "not_found_error"
               : status >= 500 || status == 200 ? "api_error"
               : "invalid_request_error";

        n = sprintf(body,
            "{\"type\":\"error\",\"error\":{\"type\":\"%s\","
            "\"message\":\"%s\"},\"request_id\":\"req_mock%08lx\"}",
            type, message, (unsigned long) c->number);

    } else {
        type = status == 429 ? "rate_limit_exceeded"
               : status >= 500 || status == 200 ? "server_error"
               : "invalid_request_error";

        n = sprintf(body,
            "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,"
            "\"code\":%s}}", message, type,
            status == 429 ? "\"rate_limit_exceeded\"" : "null");
    }

    if (mock_head(c, status, "application/json", (size_t) n) != MOCK_OK) {
        return MOCK_ERROR;
    }

    if (status == 204 || status == 304) {
        return MOCK_DONE;
    }

    return mock_printf(&c->out, "%s", body) == MOCK_OK ? MOCK_DONE
                                                       : MOCK_ERROR;
}


static mock_rc_e
mock_answer_stats(mock_conn_t *c, const mock_stats_t *stats)
{
    int   n;
    char  body[512];

#define value(name)                                                           \
    (unsigned long long) __atomic_load_n(&stats->name, __ATOMIC_RELAXED)

    n = sprintf(body,
        "{\"requests\":%llu,\"completed\":%llu,\"aborted\":%llu,"
        "\"open\":%llu,\"connections\":%llu,\"connected\":%llu,"
        "\"refused\":%llu}\n",
        value(requests), value(completed), value(aborted), value(open),
        value(connections), value(connected), value(refused));

#undef value

    if (mock_head(c, 200, "application/json", (size_t) n) != MOCK_OK
        || mock_printf(&c->out, "%s", body) != MOCK_OK)
    {
        return MOCK_ERROR;
    }

    return MOCK_DONE;
}


/* What the options want to go wrong after this many chunks of a stream. */

static mock_rc_e
mock_answer_fault(mock_conn_t *c)
{
    size_t              at;
    const mock_opts_t  *o = &c->req.opts;

    if (c->sent == o->malformed && !c->malformed) {
        c->malformed = 1;

        if (mock_frame_open(c, &at) != 0
            || mock_printf(&c->out, "data: {\"id\":\"mock\",\"delta\":{\"\n\n")
               != MOCK_OK
            || mock_frame_close(c, at) != MOCK_OK)
        {
            return MOCK_ERROR;
        }
    }

    if (c->sent == o->error) {
        return mock_stream_error(c);
    }

    if (c->sent == o->stall) {
        return MOCK_STALL;
    }

    if (c->sent == o->cut) {
        return MOCK_CUT;
    }

    if (c->sent == o->rst) {
        return MOCK_RST;
    }

    return MOCK_OK;
}


static mock_rc_e
mock_head(mock_conn_t *c, uint32_t status, const char *type, size_t length)
{
    mock_request_t  *req = &c->req;

    c->started = 1;

    if (length == SIZE_MAX && req->http10) {
        req->keepalive = 0;
    }

    if (mock_printf(&c->out,
            "HTTP/1.1 %u %s\r\n"
            "Server: mock\r\n"
            "Content-Type: %s\r\n"
            "%s: req_mock%08lx\r\n",
            status, mock_reason(status), type,
            req->api == MOCK_ANTHROPIC ? "request-id" : "x-request-id",
            (unsigned long) c->number)
        != MOCK_OK)
    {
        return MOCK_ERROR;
    }

    if ((status == 429 || status == 503 || status == 529)
        && mock_printf(&c->out, "Retry-After: %u\r\n", req->opts.retry_after)
           != MOCK_OK)
    {
        return MOCK_ERROR;
    }

    if (req->opts.header > 0) {

        if (mock_printf(&c->out, "X-Pad: ") != MOCK_OK
            || mock_buf_reserve(&c->out, req->opts.header) != 0)
        {
            return MOCK_ERROR;
        }

        memset(c->out.data + c->out.len, 'h', req->opts.header);
        c->out.len += req->opts.header;

        if (mock_printf(&c->out, "\r\n") != MOCK_OK) {
            return MOCK_ERROR;
        }
    }

    if (length != SIZE_MAX) {

        if (status != 204 && status != 304
            && mock_printf(&c->out, "Content-Length: %zu\r\n", length)
               != MOCK_OK)
        {
            return MOCK_ERROR;
        }

    } else if (!req->http10
               && mock_printf(&c->out, "Transfer-Encoding: chunked\r\n")
                  != MOCK_OK)
    {
        return MOCK_ERROR;
    }

    return mock_printf(&c->out, "%s\r\n",
                       req->keepalive
                       ? (req->http10 ? "Connection: keep-alive\r\n" : "")
                       : "Connection: close\r\n");
}


static mock_rc_e
mock_stream_first(mock_conn_t *c)
{
    mock_request_t  *req = &c->req;

    if (req->api == MOCK_ANTHROPIC) {
        return mock_printf(&c->out,
            "event: message_start\n"
            "data: {\"type\":\"message_start\",\"message\":{"
            "\"id\":\"msg_mock%08lx\",\"type\":\"message\","
            "\"role\":\"assistant\",\"model\":\"%.*s\",\"content\":[],"
            "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{"
            "\"input_tokens\":%lu,\"cache_creation_input_tokens\":0,"
            "\"cache_read_input_tokens\":0,\"output_tokens\":1}}}\n\n"
            "event: content_block_start\n"
            "data: {\"type\":\"content_block_start\",\"index\":0,"
            "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
            "event: ping\n"
            "data: {\"type\":\"ping\"}\n\n",
            (unsigned long) c->number, model_args(req),
            (unsigned long) req->body_len / 4 + 1);
    }

    return mock_printf(&c->out,
        "data: {\"id\":\"chatcmpl-mock%08lx\","
        "\"object\":\"chat.completion.chunk\",\"created\":%ld,"
        "\"model\":\"%.*s\",\"system_fingerprint\":\"fp_mock\","
        "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
        "\"content\":\"\",\"refusal\":null},\"logprobs\":null,"
        "\"finish_reason\":null}]%s}\n\n",
        (unsigned long) c->number, (long) c->created, model_args(req),
        req->include_usage ? ",\"usage\":null" : "");
}


static mock_rc_e
mock_stream_chunk(mock_conn_t *c, uint64_t now_ns)
{
    size_t           len;
    mock_rc_e        rc;
    mock_request_t  *req = &c->req;

    len = req->opts.bytes;

    if (c->sent == 0 && req->opts.line > len) {
        len = req->opts.line;
    }

    if (req->api == MOCK_ANTHROPIC) {
        rc = mock_printf(&c->out,
            "event: content_block_delta\n"
            "data: {\"type\":\"content_block_delta\",\"index\":0,"
            "\"delta\":{\"type\":\"text_delta\",\"text\":\"");

    } else {
        rc = mock_printf(&c->out,
            "data: {\"id\":\"chatcmpl-mock%08lx\","
            "\"object\":\"chat.completion.chunk\",\"created\":%ld,"
            "\"model\":\"%.*s\",\"system_fingerprint\":\"fp_mock\","
            "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"",
            (unsigned long) c->number, (long) c->created, model_args(req));
    }

    if (rc != MOCK_OK || mock_content(c, c->sent, now_ns, len) != MOCK_OK) {
        return MOCK_ERROR;
    }

    if (req->api == MOCK_ANTHROPIC) {
        return mock_printf(&c->out, "\"}}\n\n");
    }

    return mock_printf(&c->out,
        "\"},\"logprobs\":null,\"finish_reason\":null}]%s}\n\n",
        req->include_usage ? ",\"usage\":null" : "");
}


static mock_rc_e
mock_stream_error(mock_conn_t *c)
{
    size_t     at;
    mock_rc_e  rc;

    if (mock_frame_open(c, &at) != 0) {
        return MOCK_ERROR;
    }

    if (c->req.api == MOCK_ANTHROPIC) {
        rc = mock_printf(&c->out,
            "event: error\n"
            "data: {\"type\":\"error\",\"error\":{"
            "\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n");

    } else {
        rc = mock_printf(&c->out,
            "data: {\"error\":{\"message\":\"The server had an error\","
            "\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n");
    }

    if (rc != MOCK_OK
        || mock_frame_close(c, at) != MOCK_OK
        || (!c->req.http10 && mock_printf(&c->out, "0\r\n\r\n") != MOCK_OK))
    {
        return MOCK_ERROR;
    }

    return MOCK_DONE;
}


static mock_rc_e
mock_stream_last(mock_conn_t *c)
{
    mock_rc_e        rc;
    mock_request_t  *req = &c->req;

    if (req->api == MOCK_ANTHROPIC) {
        rc = mock_printf(&c->out,
            "event: content_block_stop\n"
            "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
            "event: message_delta\n"
            "data: {\"type\":\"message_delta\",\"delta\":{"
            "\"stop_reason\":\"end_turn\",\"stop_sequence\":null}");

        if (rc == MOCK_OK && req->opts.usage) {
            rc = mock_printf(&c->out, ",\"usage\":{\"output_tokens\":%u}",
                             req->opts.chunks);
        }

        if (rc == MOCK_OK) {
            rc = mock_printf(&c->out, "}\n\n");
        }

        if (rc == MOCK_OK && req->opts.done) {
            rc = mock_printf(&c->out,
                "event: message_stop\n"
                "data: {\"type\":\"message_stop\"}\n\n");
        }

        return rc;
    }

    rc = mock_printf(&c->out,
        "data: {\"id\":\"chatcmpl-mock%08lx\","
        "\"object\":\"chat.completion.chunk\",\"created\":%ld,"
        "\"model\":\"%.*s\",\"system_fingerprint\":\"fp_mock\","
        "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,"
        "\"finish_reason\":\"stop\"}]%s}\n\n",
        (unsigned long) c->number, (long) c->created, model_args(req),
        req->include_usage ? ",\"usage\":null" : "");

    if (rc == MOCK_OK && req->include_usage && req->opts.usage) {
        rc = mock_printf(&c->out,
            "data: {\"id\":\"chatcmpl-mock%08lx\","
            "\"object\":\"chat.completion.chunk\",\"created\":%ld,"
            "\"model\":\"%.*s\",\"system_fingerprint\":\"fp_mock\","
            "\"choices\":[],\"usage\":{\"prompt_tokens\":%lu,"
            "\"completion_tokens\":%u,\"total_tokens\":%lu,"
            "\"prompt_tokens_details\":{\"cached_tokens\":0}}}\n\n",
            (unsigned long) c->number, (long) c->created, model_args(req),
            (unsigned long) req->body_len / 4 + 1, req->opts.chunks,
            (unsigned long) req->body_len / 4 + 1 + req->opts.chunks);
    }

    if (rc == MOCK_OK && req->opts.done) {
        rc = mock_printf(&c->out, "data: [DONE]\n\n");
    }

    return rc;
}


static mock_rc_e
mock_content(mock_conn_t *c, uint32_t seq, uint64_t now_ns, size_t len)
{
    int                i;
    char              *p;
    uint64_t           v[3];
    static const char  hex[] = "0123456789abcdef";

    if (len < MOCK_MARK_LEN) {
        len = MOCK_MARK_LEN;
    }

    if (mock_buf_reserve(&c->out, len) != 0) {
        return MOCK_ERROR;
    }

    p = c->out.data + c->out.len;

    v[0] = c->received_ns;
    v[1] = seq;
    v[2] = now_ns;

    p[0] = '~';
    p[17] = '.';
    p[26] = '.';
    p[43] = '~';

    for (i = 0; i < 16; i++) {
        p[16 - i] = hex[(v[0] >> (4 * i)) & 15];
        p[42 - i] = hex[(v[2] >> (4 * i)) & 15];
    }

    for (i = 0; i < 8; i++) {
        p[25 - i] = hex[(v[1] >> (4 * i)) & 15];
    }

    memset(p + MOCK_MARK_LEN, 'x', len - MOCK_MARK_LEN);

    c->out.len += len;

    return MOCK_OK;
}


/* A fixed-width chunk size is put in when the chunk's end is known. */

static int
mock_frame_open(mock_conn_t *c, size_t *at)
{
    *at = c->out.len;

    if (c->req.http10) {
        return 0;
    }

    if (mock_buf_reserve(&c->out, MOCK_FRAME_LEN) != 0) {
        return -1;
    }

    c->out.len += MOCK_FRAME_LEN;

    return 0;
}


static mock_rc_e
mock_frame_close(mock_conn_t *c, size_t at)
{
    char    size[MOCK_FRAME_LEN + 1];
    size_t  len;

    if (c->req.http10) {
        return MOCK_OK;
    }

    len = c->out.len - at - MOCK_FRAME_LEN;

    if (len == 0) {
        c->out.len = at;
        return MOCK_OK;
    }

    snprintf(size, sizeof(size), "%08x\r\n", (unsigned) len);
    memcpy(c->out.data + at, size, MOCK_FRAME_LEN);

    return mock_printf(&c->out, "\r\n");
}


static const char *
mock_reason(uint32_t status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 429:
        return "Too Many Requests";
    case 500:
        return "Internal Server Error";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 529:
        return "Overloaded";
    default:
        return "Status";
    }
}
