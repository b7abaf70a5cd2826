/*
 * Ids of jobs, processes, events and traces.  Values only, but for the random
 * bytes that each thread has in store: OpenSSL takes as long for a few as for
 * many.  No forked process uses what its parent had.
 */

#include "ai_id.h"

#include <pthread.h>
#include <string.h>

#include "ai_crypto.h"

#define AI_JOB_PREFIX        "job_"
#define AI_JOB_PREFIX_LEN    4
#define AI_JOB_TIME_DIGITS   12
#define AI_JOB_RANDOM_BYTES  10
#define AI_TRACE_ID_BYTES    16
#define AI_SPAN_ID_BYTES     8
#define AI_ID_STORE_BYTES    1024

typedef struct {
    size_t         left;
    unsigned char  bytes[AI_ID_STORE_BYTES];
} ai_id_store_t;


static int ai_id_random(unsigned char *raw, size_t len);
static void ai_id_watch(void);
static void ai_id_forked(void);
static const char *ai_id_event_number(const char *p, const char *end,
    uint32_t *n);
static int ai_id_hex_digit(char c);
static int ai_id_hex_ok(const char *p, size_t len, int *nonzero);
static char *ai_id_hex_add(char *p, const unsigned char *raw, size_t len);


static const char  ai_id_digits[] = "0123456789abcdef";

static pthread_once_t               ai_id_once = PTHREAD_ONCE_INIT;
static int                          ai_id_watched;
static _Thread_local ai_id_store_t  ai_id_store;


int
ai_id_job(char *buf, uint64_t now_msec)
{
    char           *p;
    int             shift;
    unsigned char   raw[AI_JOB_RANDOM_BYTES];

    if (ai_id_random(raw, sizeof(raw)) != 0) {
        return -1;
    }

    memcpy(buf, AI_JOB_PREFIX, AI_JOB_PREFIX_LEN);
    p = buf + AI_JOB_PREFIX_LEN;

    for (shift = 44; shift >= 0; shift -= 4) {
        *p++ = ai_id_digits[now_msec >> shift & 15];
    }

    (void) ai_id_hex_add(p, raw, sizeof(raw));

    return 0;
}


int
ai_id_job_ok(ai_str_t id)
{
    int  nonzero;

    return id.len == AI_JOB_ID_LEN
           && memcmp(id.data, AI_JOB_PREFIX, AI_JOB_PREFIX_LEN) == 0
           && ai_id_hex_ok(id.data + AI_JOB_PREFIX_LEN,
                           id.len - AI_JOB_PREFIX_LEN, &nonzero);
}


uint64_t
ai_id_job_msec(ai_str_t id)
{
    unsigned  i;
    uint64_t  msec;

    if (!ai_id_job_ok(id)) {
        return 0;
    }

    for (msec = 0, i = 0; i < AI_JOB_TIME_DIGITS; i++) {
        msec = msec << 4
               | (unsigned) ai_id_hex_digit(id.data[AI_JOB_PREFIX_LEN + i]);
    }

    return msec;
}


size_t
ai_id_process(char *buf, size_t size, const char *host, long pid,
    uint64_t start_msec)
{
    char      tail[48], c;
    size_t    i, room, tail_len;
    ai_buf_t  b;

    ai_buf_init(&b, tail, sizeof(tail));
    ai_buf_add_z(&b, "-");
    ai_buf_add_int(&b, pid);
    ai_buf_add_z(&b, "-");
    ai_buf_add_int(&b, (int64_t) (start_msec & INT64_MAX));
    tail_len = ai_buf_len(&b);

    if (size > AI_PROCESS_ID_MAX + 1) {
        size = AI_PROCESS_ID_MAX + 1;
    }

    if (size < tail_len + 1) {
        return 0;
    }

    room = size - tail_len - 1;

    for (i = 0; i < room && host[i]; i++) {
        c = host[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '.' || c == '-'))
        {
            c = '-';
        }

        buf[i] = c;
    }

    memcpy(buf + i, tail, tail_len);
    buf[i + tail_len] = '\0';

    return i + tail_len;
}


int
ai_id_event_parse(ai_str_t s, ai_event_id_t *id)
{
    const char     *p, *end;
    ai_event_id_t   parsed;

    end = s.len ? s.data + s.len : s.data;

    p = ai_id_event_number(s.data, end, &parsed.attempt);

    if (p == NULL || p == end || *p != '-') {
        return -1;
    }

    p = ai_id_event_number(p + 1, end, &parsed.seq);

    if (p == NULL || p != end) {
        return -1;
    }

    *id = parsed;

    return 0;
}


size_t
ai_id_event_print(char *buf, size_t size, ai_event_id_t id)
{
    ai_buf_t  b;

    ai_buf_init(&b, buf, size);
    ai_buf_add_int(&b, id.attempt);
    ai_buf_add_z(&b, "-");
    ai_buf_add_int(&b, id.seq);
    ai_buf_add(&b, "", 1);

    return b.full ? 0 : ai_buf_len(&b) - 1;
}


int
ai_id_event_cmp(ai_event_id_t a, ai_event_id_t b)
{
    if (a.attempt != b.attempt) {
        return a.attempt < b.attempt ? -1 : 1;
    }

    return (a.seq > b.seq) - (a.seq < b.seq);
}


int
ai_id_traceparent_ok(ai_str_t s)
{
    int     version, trace, span, flags;
    size_t  i;

    if (s.len < AI_TRACEPARENT_LEN || s.len > AI_TRACEPARENT_MAX
        || s.data[2] != '-' || s.data[35] != '-' || s.data[52] != '-'
        || !ai_id_hex_ok(s.data, 2, &version)
        || !ai_id_hex_ok(s.data + 3, 2 * AI_TRACE_ID_BYTES, &trace)
        || !ai_id_hex_ok(s.data + 36, 2 * AI_SPAN_ID_BYTES, &span)
        || !ai_id_hex_ok(s.data + 53, 2, &flags)
        || !trace || !span || memcmp(s.data, "ff", 2) == 0)
    {
        return 0;
    }

    if (s.len == AI_TRACEPARENT_LEN) {
        return 1;
    }

    if (!version || s.data[AI_TRACEPARENT_LEN] != '-') {
        return 0;
    }

    for (i = AI_TRACEPARENT_LEN; i < s.len; i++) {
        if (s.data[i] <= ' ' || s.data[i] > '~') {
            return 0;
        }
    }

    return 1;
}


int
ai_id_traceparent(char *buf)
{
    char           *p;
    unsigned char   raw[AI_TRACE_ID_BYTES + AI_SPAN_ID_BYTES];

    if (ai_id_random(raw, sizeof(raw)) != 0) {
        return -1;
    }

    /* An id of zeros is not valid. */
    raw[0] |= 1;
    raw[AI_TRACE_ID_BYTES] |= 1;

    memcpy(buf, "00-", 3);
    p = ai_id_hex_add(buf + 3, raw, AI_TRACE_ID_BYTES);
    *p++ = '-';
    p = ai_id_hex_add(p, raw + AI_TRACE_ID_BYTES, AI_SPAN_ID_BYTES);
    memcpy(p, "-01", 3);

    return 0;
}


/* len is at most AI_ID_STORE_BYTES: 0, or -1. */

static int
ai_id_random(unsigned char *raw, size_t len)
{
    ai_id_store_t  *store;

    store = &ai_id_store;

    if (store->left < len) {
        store->left = 0;

        if (pthread_once(&ai_id_once, ai_id_watch) != 0 || !ai_id_watched) {
            return ai_random(raw, len);
        }

        if (ai_random(store->bytes, sizeof(store->bytes)) != 0) {
            return -1;
        }

        store->left = sizeof(store->bytes);
    }

    store->left -= len;
    memcpy(raw, store->bytes + store->left, len);

    return 0;
}


static void
ai_id_watch(void)
{
    ai_id_watched = pthread_atfork(NULL, NULL, ai_id_forked) == 0;
}


static void
ai_id_forked(void)
{
    ai_id_store.left = 0;
}


/* Behind the number, or NULL where there is none. */

static const char *
ai_id_event_number(const char *p, const char *end, uint32_t *n)
{
    uint64_t     u;
    const char  *start;

    start = p;

    for (u = 0; p < end && *p >= '0' && *p <= '9'; p++) {
        u = u * 10 + (unsigned) (*p - '0');

        if (u > UINT32_MAX || (p > start && *start == '0')) {
            return NULL;
        }
    }

    *n = (uint32_t) u;

    return p == start ? NULL : p;
}


static int
ai_id_hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


static int
ai_id_hex_ok(const char *p, size_t len, int *nonzero)
{
    int     digit;
    size_t  i;

    *nonzero = 0;

    for (i = 0; i < len; i++) {
        digit = ai_id_hex_digit(p[i]);

        if (digit < 0) {
            return 0;
        }

        *nonzero |= digit;
    }

    return 1;
}


static char *
ai_id_hex_add(char *p, const unsigned char *raw, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        *p++ = ai_id_digits[raw[i] >> 4];
        *p++ = ai_id_digits[raw[i] & 15];
    }

    return p;
}
