/*
 * A provider's answer on its way to the client.  Owns headers, a stream's
 * unfinished event and a whole body until they are handed on.
 */

#include "answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ai_headers.h"
#include "hello.h"
#include "stored.h"


static int answer_passes(const answer_t *a, ai_str_t name);
static int answer_is(ai_str_t name, const char *z);
static int answer_good(const answer_t *a);
static int answer_emit_head(answer_t *a);
static void answer_translated(answer_t *a);
static int answer_emit(answer_t *a, ai_str_t bytes, int begins);
static int answer_events(answer_t *a);
static int answer_event(answer_t *a, ai_str_t raw);
static int answer_said(answer_t *a, ai_str_t text);
static int answer_waits(answer_t *a, ai_str_t raw, ai_str_t one,
    ai_str_t two);
static int answer_failed(const answer_t *a);
static int answer_stream(answer_t *a, ai_str_t bytes);
static int answer_whole(answer_t *a, ai_str_t bytes);
static int answer_flow(answer_t *a);
static int answer_hold(answer_t *a, size_t held);


static size_t  answer_held;


void
answer_init(answer_t *a, emit_t *emit, const provider_t *provider,
    ai_dialect_e dialect, const route_t *route)
{
    memset(a, 0, sizeof(*a));
    a->emit = emit;
    a->provider = provider;
    a->dialect = dialect;
    a->conf = route->conf;
    a->name = route->provider;
    a->model = route->model;
    a->retry_msec = -1;
    ai_sse_init(&a->sse, ANSWER_EVENT_MAX);
    provider_usage_init(&a->usage);
    a->usage.output = provider != NULL && provider->mute ? 0 : -1;
}


void
answer_free(answer_t *a)
{
    answer_hold(a, 0);
    ai_sse_free(&a->sse);
    keep_free(a->keep);
    a->keep = NULL;
    free(a->headers);
    free(a->whole);
    free(a->hello);
    a->headers = NULL;
    a->whole = NULL;
    a->hello = NULL;
}


/* Headers. */

void
answer_header(answer_t *a, ai_str_t name, ai_str_t value)
{
    size_t    n;
    unsigned  no_retry;

    no_retry = 0;

    if (answer_is(name, "x-request-id") || answer_is(name, "request-id")) {
        n = value.len < sizeof(a->request_id) ? value.len
                                              : sizeof(a->request_id) - 1;
        memcpy(a->request_id, value.data, n);
        a->request_id[n] = '\0';
    }

    if (a->translate != NULL) {
        translate_header(a->translate, name, value);
    }

    if (a->hold) {
        hello_wish(name, value, &a->retry_msec, &no_retry);
        a->no_retry |= no_retry;
    }

    if (answer_is(name, "content-type")) {
        if (a->typed) {
            return;
        }

        a->typed = 1;
        a->sse_type = value.len >= 17
                      && strncasecmp(value.data, "text/event-stream", 17)
                         == 0;

        if (a->translate != NULL) {
            a->sse_type = translate_is_stream(a->translate, value);
            return;
        }

    } else if (!answer_passes(a, name)) {
        return;
    }

    a->retry |= answer_is(name, "retry-after");

    answer_say(a, name, value);
}


void
answer_say(answer_t *a, ai_str_t name, ai_str_t value)
{
    char      *headers, length[24];
    size_t     n, size, need;
    ai_buf_t   b, len;

    if (!ai_headers_valid(name, value)) {
        return;
    }

    n = name.len + 2 + value.len;
    need = a->headers_len + n + 40;

    if (need > ANSWER_HEADERS_MAX) {
        return;
    }

    if (need > a->headers_size) {
        size = a->headers_size == 0 ? 512 : a->headers_size;

        while (size < need) {
            size *= 2;
        }

        headers = realloc(a->headers, size);
        if (headers == NULL) {
            a->incomplete = 1;
            return;
        }

        a->headers = headers;
        a->headers_size = size;
    }

    ai_buf_init(&len, length, sizeof(length));
    ai_buf_add_int(&len, (int64_t) n);

    ai_buf_init(&b, a->headers + a->headers_len,
                a->headers_size - a->headers_len);
    ai_buf_add_z(&b, "header ");
    ai_buf_add(&b, length, ai_buf_len(&len));
    ai_buf_add_z(&b, "\n");
    ai_buf_add_str(&b, name);
    ai_buf_add_z(&b, ": ");
    ai_buf_add_str(&b, value);
    ai_buf_add_z(&b, "\n");

    if (!b.full) {
        a->headers_len += ai_buf_len(&b);
    }
}


/* The dialect's table, and names without a colon in the provider's list. */

static int
answer_passes(const answer_t *a, ai_str_t name)
{
    size_t         i;
    const char    *z;
    const json_t  *item;

    if (ai_headers_never(name)) {
        return 0;
    }

    if (ai_headers_out(a->dialect, name)
        || ai_headers_listed(a->forward, name))
    {
        return 1;
    }

    json_array_foreach(json_object_get(a->conf, "headers"), i, item) {
        z = json_string_value(item);

        if (z != NULL && strchr(z, ':') == NULL && answer_is(name, z)) {
            return 1;
        }
    }

    return 0;
}


static int
answer_is(ai_str_t name, const char *z)
{
    return name.len == strlen(z) && strncasecmp(name.data, z, name.len) == 0;
}


void
answer_head(answer_t *a, int status)
{
    a->status = status;

    /* An error is a body, whatever it says it is. */

    if (!answer_good(a)) {
        a->sse_type = 0;
    }
}


static int
answer_good(const answer_t *a)
{
    return a->status >= 200 && a->status <= 299;
}


static int
answer_emit_head(answer_t *a)
{
    char      *mem;
    int        rc;
    size_t     size;
    ai_buf_t   b;

    if (a->head || a->emit == NULL) {
        return 0;
    }

    if (a->translate != NULL) {
        answer_translated(a);
    }

    if (a->incomplete) {
        return -1;
    }

    size = a->headers_len + a->name.len + a->model.len + 320;
    mem = malloc(size);
    if (mem == NULL) {
        return -1;
    }

    ai_buf_init(&b, mem, size);
    ai_record_add_int(&b, "status", a->status);
    ai_record_add_int(&b, "stream", a->sse_type);
    ai_record_add(&b, "provider", a->name);
    ai_record_add(&b, "model", a->model);

    if (a->own) {
        ai_record_add(&b, "own_key", ai_str("1"));
    }

    ai_record_add(&b, "worker", emit_worker(a->emit));
    ai_record_add_int(&b, "attempts", a->calls);
    ai_record_add_int(&b, "waited", (int64_t) (emit_now_usec(a->emit)
                                               - a->began_usec));
    ai_buf_add(&b, a->headers, a->headers_len);

    rc = b.full ? -1 : emit_head(a->emit,
                                 (ai_str_t) { ai_buf_len(&b), mem });
    free(mem);
    keep_head(a->keep, a->name, a->model,
              (ai_str_t) { a->headers_len, a->headers });
    free(a->headers);
    a->headers = NULL;
    a->headers_len = 0;
    a->head = 1;

    return rc;
}


/* What the client gets is no more what the provider said it was. */

static void
answer_translated(answer_t *a)
{
    char         seconds[24];
    int64_t      msec;
    ai_buf_t     b;
    ai_str_t     dropped;
    const char  *type;

    type = translate_type(a->translate, a->sse_type);
    answer_say(a, ai_str("content-type"), (ai_str_t) { strlen(type), type });
    msec = translate_retry(a->translate);

    if (msec > 0 && !a->retry) {
        ai_buf_init(&b, seconds, sizeof(seconds));
        ai_buf_add_int(&b, (msec + 999) / 1000);
        answer_say(a, ai_str("retry-after"),
                   (ai_str_t) { ai_buf_len(&b), seconds });
    }

    dropped = translate_dropped(a->translate);

    if (dropped.len != 0) {
        answer_say(a, ai_str("x-ai-dropped"), dropped);
    }
}


static int
answer_emit(answer_t *a, ai_str_t bytes, int begins)
{
    keep_bytes(a->keep, bytes);

    if (a->stored != NULL && a->sse_type) {
        stored_bytes(a->stored, bytes);
    }

    return a->emit == NULL ? 0 : emit_data(a->emit, bytes, begins);
}


/* Bytes. */

int
answer_bytes(answer_t *a, ai_str_t bytes)
{
    int  rc;

    a->bytes += bytes.len;

    if (a->bytes > ANSWER_MAX) {
        return -4;
    }

    if (!a->sse_type) {
        rc = answer_whole(a, bytes);

    } else if (a->translate != NULL) {
        rc = answer_stream(a, bytes);

    } else {
        rc = ai_sse_feed(&a->sse, bytes.data, bytes.len);

        if (rc == 0) {
            rc = answer_events(a);
        }

        ai_sse_trim(&a->sse);
    }

    if (rc != 0) {
        return rc;
    }

    if (answer_failed(a)) {
        return -3;
    }

    if (answer_hold(a, a->sse.size + a->whole_size
                       + (a->translate != NULL ? translate_held(a->translate)
                                               : 0))
        == 0)
    {
        return 0;
    }

    /* At once, so that the others have what this one gives up. */

    answer_hold(a, 0);

    if (a->sse_type || a->translate != NULL) {
        ai_sse_free(&a->sse);
        return -4;
    }

    answer_pass(a);

    return 0;
}


/*
 * What all answers of the process hold has a bound; a small one is let be.  A
 * body that is not small has gone out, and is held for its usage alone.
 */

static int
answer_hold(answer_t *a, size_t held)
{
    answer_held += held;
    answer_held -= a->held;
    a->held = held;

    return answer_held > ANSWER_ALL_MAX && held > ANSWER_FAIR ? -4 : 0;
}


static int
answer_events(answer_t *a)
{
    int       rc;
    ai_str_t  raw;

    while (ai_sse_next(&a->sse, &raw) == 1) {
        rc = answer_event(a, raw);

        if (rc != 0) {
            return rc;
        }
    }

    return 0;
}


static int
answer_event(answer_t *a, ai_str_t raw)
{
    ai_str_t            one, two;
    provider_cut_t      cut;
    provider_verdict_e  verdict;

    verdict = a->provider->event(&a->usage, raw, a->added, &cut);
    one = raw;
    two = ai_str("");

    switch (verdict) {

    case PROVIDER_DROP:
        keep_dropped(a->keep, raw);
        return 0;

    case PROVIDER_BROKEN:
        return -2;

    case PROVIDER_CUT:
        one.len = cut.start;
        two = (ai_str_t) { raw.len - cut.end, raw.data + cut.end };
        break;

    default:
        break;
    }

    if ((!a->token || a->hedged) && answer_waits(a, raw, one, two)) {
        return 0;
    }

    if (answer_emit_head(a) != 0 || answer_emit(a, one, 1) != 0) {
        return -1;
    }

    return two.len == 0 ? 0 : answer_emit(a, two, 0);
}


/* What is said in the client's dialect: whole events, one at a time. */

static int
answer_said(answer_t *a, ai_str_t text)
{
    ai_str_t     one;
    const char  *end;

    while (text.len != 0) {
        end = memmem(text.data, text.len, "\n\n", 2);
        one.data = text.data;
        one.len = end != NULL ? (size_t) (end + 2 - text.data) : text.len;
        text.data += one.len;
        text.len -= one.len;

        if ((!a->token || a->hedged)
            && answer_waits(a, one, one, ai_str("")))
        {
            continue;
        }

        if (answer_emit_head(a) != 0 || answer_emit(a, one, 1) != 0) {
            return -1;
        }
    }

    return 0;
}


/*
 * Before the first word: whether this event, of which one and two go out, is
 * to wait for it.  One that waits lies in hello behind its length.
 */

static int
answer_waits(answer_t *a, ai_str_t raw, ai_str_t one, ai_str_t two)
{
    char    *p;
    size_t   n, most;

    if (a->usage.error) {
        a->error_status = hello_status(raw);

    } else if (a->usage.text_bytes != 0 || a->usage.complete
               || a->usage.finish[0] != '\0' || (a->hold && !hello_is(raw)))
    {
        a->token = 1;
    }

    if (!a->hold) {
        return 0;
    }

    n = one.len + two.len;
    most = a->hedged ? ANSWER_HEDGE_MAX : ANSWER_HELLO_MAX;
    p = (a->token && !a->hedged)
        || a->hello_len + sizeof(n) + n > most ? NULL
        : realloc(a->hello, a->hello_len + sizeof(n) + n);

    if (p == NULL && a->hedged) {
        a->usage.error = 1;
        return 1;
    }

    if (p == NULL) {
        answer_release(a);
        return 0;
    }

    a->hello = p;
    p += a->hello_len;
    memcpy(p, &n, sizeof(n));
    memcpy(p + sizeof(n), one.data, one.len);
    memcpy(p + sizeof(n) + one.len, two.data, two.len);
    a->hello_len += sizeof(n) + n;

    return 1;
}


static int
answer_failed(const answer_t *a)
{
    return a->hold && a->sse_type && a->usage.error;
}


int
answer_release(answer_t *a)
{
    int     rc;
    size_t  at, n;

    rc = 0;
    a->hold = 0;

    for (at = 0; at < a->hello_len; at += n) {
        memcpy(&n, a->hello + at, sizeof(n));
        at += sizeof(n);

        if (answer_emit_head(a) != 0
            || answer_emit(a, (ai_str_t) { n, a->hello + at }, 1) != 0)
        {
            rc = -1;
        }
    }

    free(a->hello);
    a->hello = NULL;
    a->hello_len = 0;

    return rc;
}


static int
answer_stream(answer_t *a, ai_str_t bytes)
{
    int       rc;
    ai_str_t  text;

    rc = translate_bytes(a->translate, bytes, &text);
    translate_usage(a->translate, &a->usage);

    return answer_said(a, text) == 0 ? rc : -1;
}


static int
answer_whole(answer_t *a, ai_str_t bytes)
{
    char    *whole;
    size_t   size, need, most;

    need = a->whole_len + bytes.len;
    most = a->stored != NULL ? STORED_MAX : ANSWER_USAGE_MAX;

    if (a->translate != NULL && need > TRANSLATE_ANSWER_MAX) {
        return -4;
    }

    if (!a->unread && (need <= most || a->translate != NULL)) {

        if (need > a->whole_size) {
            size = a->whole_size == 0 ? 2048 : a->whole_size;

            while (size < need) {
                size *= 2;
            }

            whole = realloc(a->whole, size);
            if (whole == NULL) {
                return -1;
            }

            a->whole = whole;
            a->whole_size = size;
        }

        memcpy(a->whole + a->whole_len, bytes.data, bytes.len);
        a->whole_len = need;

    } else if (!a->unread) {
        answer_pass(a);
    }

    if (a->unread) {
        answer_tail(a, bytes);
    }

    if (a->flowing) {
        return answer_emit(a, bytes, 0);
    }

    return a->translate == NULL && need > ANSWER_WHOLE_MAX ? answer_flow(a) : 0;
}


/* A body goes out; once it has begun to, its later pieces follow. */

static int
answer_flow(answer_t *a)
{
    if (a->flowing) {
        return 0;
    }

    a->flowing = 1;
    a->hold = a->hedged;

    if (answer_emit_head(a) != 0) {
        return -1;
    }

    return answer_emit(a, (ai_str_t) { a->whole_len, a->whole }, 1);
}


size_t
answer_unread(const answer_t *a)
{
    return a->sse_type ? keep_size(a->keep) : a->whole_len;
}


void
answer_read(const answer_t *a, provider_usage_t *u)
{
    ai_str_t  whole;

    whole = (ai_str_t) { a->whole_len, a->whole };

    if (a->translate != NULL) {

        if (!a->sse_type) {
            u->broken = translate_answer(a->translate, a->status, whole) != 0;
            whole = translate_said(a->translate);
        }

        translate_usage(a->translate, u);

    } else if (!a->sse_type && a->whole_len != 0) {
        a->provider->body(u, (ai_str_t) { a->whole_len, a->whole });

    } else if (a->unread && !a->sse_type) {
        (void) answer_tail_read(a, u);
    }

    keep_make(a->keep, a->sse_type, whole);
}


int
answer_finish(answer_t *a)
{
    int       rc;
    ai_str_t  raw, text;

    if (!a->sse_type) {

        /* What is good and empty says so. */

        if (answer_good(a)
            && (a->usage.broken || (a->bytes == 0 && a->status != 204)))
        {
            return 0;
        }

        if (a->translate != NULL) {
            text = translate_said(a->translate);

            return !a->usage.broken && answer_emit_head(a) == 0
                   && answer_emit(a, text, 1) == 0 ? 1 : -1;
        }

        return answer_flow(a) == 0 ? 1 : -1;
    }

    if (a->translate != NULL) {
        rc = translate_end(a->translate, &text);
        translate_usage(a->translate, &a->usage);

        if (answer_said(a, text) != 0) {
            return -1;
        }

        if (answer_failed(a)) {
            return -3;
        }

        return rc == 1 && (answer_release(a) != 0 || answer_emit_head(a) != 0)
               ? -1 : rc;
    }

    if (ai_sse_rest(&a->sse, &raw) == 1) {
        rc = answer_event(a, raw);

        if (rc != 0) {
            return rc;
        }
    }

    if (answer_failed(a)) {
        return -3;
    }

    if (!a->usage.complete && !a->usage.error && a->usage.finish[0] == '\0') {
        return 0;
    }

    return answer_release(a) == 0 && answer_emit_head(a) == 0 ? 1 : -1;
}


void
answer_usage(const answer_t *a, size_t request_bytes, ai_usage_t *u)
{
    int64_t                  guess;
    const provider_usage_t  *p;

    p = &a->usage;
    u->input = p->input;
    u->output = p->output;
    u->cached_read = p->cached_read;
    u->cached_write = p->cached_write;
    u->reasoning = p->reasoning;
    u->cached_write_1h = p->cached_write_1h;
    u->audio_input = p->audio_input;
    u->audio_output = p->audio_output;
    u->image_input = p->image_input;
    u->image_output = p->image_output;
    u->estimated = 0;

    if (!answer_good(a) && u->input < 0 && u->output <= 0) {
        u->input = 0;
        u->output = 0;
        return;
    }

    if (u->input < 0) {
        u->input = (int64_t) (request_bytes + 3) / 4;
        u->estimated = 1;
    }

    /* A stream that broke off has told its first count only. */

    guess = (int64_t) (p->text_bytes + 3) / 4;

    if (a->sse_type && !p->complete && p->finish[0] == '\0') {
        u->output = u->output > guess ? u->output : guess;
        u->estimated = 1;
        return;
    }

    if (u->output < 0) {
        u->output = guess;

        if (p->text_bytes == 0 && !a->sse_type) {
            u->output = (int64_t) (a->bytes + 3) / 4;
        }

        u->estimated = 1;
    }
}
