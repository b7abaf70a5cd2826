/*
 * Answers that are kept.  A keep_t owns its bytes; what all of a process hold
 * has a bound, over which an answer is not kept.
 */

#include "keep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ai_crypto.h"
#include "ai_headers.h"
#include "ai_job.h"
#include "ai_record.h"


#define KEEP_ETAG   32
#define KEEP_WORDS  11

struct keep_s {
    ai_dialect_e  dialect;
    int64_t       ttl_msec;
    size_t        max;
    shape_buf_t   own;
    shape_buf_t   dropped;
    shape_buf_t   head;
    size_t        made;         /* bytes of own that the others tell */
    char         *other[3];     /* o, s, v */
    size_t        len[3];
    char          shape;
    unsigned      over:1;       /* too large, or no memory: it is not kept */
};


static void keep_add(keep_t *k, shape_buf_t *b, ai_str_t s);
static int keep_passes(ai_str_t name);
static char *keep_tagged(ai_str_t bytes, size_t *len);


static const char  keep_shapes[] = "osv";
static size_t      keep_held;


keep_t *
keep_open(ai_str_t wish, ai_dialect_e dialect, char shape)
{
    char        text[AI_JOB_KEEP_MAX + 1];
    keep_t     *k;
    long long   ttl, max;

    if (wish.len == 0 || wish.len > AI_JOB_KEEP_MAX) {
        return NULL;
    }

    memcpy(text, wish.data, wish.len);
    text[wish.len] = '\0';

    if (sscanf(text, "%lld %lld", &ttl, &max) != 2 || ttl <= 0 || max <= 0) {
        return NULL;
    }

    k = calloc(1, sizeof(keep_t));
    if (k == NULL) {
        return NULL;
    }

    k->dialect = dialect;
    k->shape = shape;
    k->ttl_msec = ttl;
    k->max = (size_t) max;

    return k;
}


void
keep_free(keep_t *k)
{
    unsigned  i;

    if (k == NULL) {
        return;
    }

    keep_held -= k->own.size + k->dropped.size;
    free(k->own.data);
    free(k->dropped.data);
    free(k->head.data);

    for (i = 0; i < 3; i++) {
        free(k->other[i]);
    }

    free(k);
}


static void
keep_add(keep_t *k, shape_buf_t *b, ai_str_t s)
{
    size_t  size;

    if (k == NULL || k->over) {
        return;
    }

    if (b->len + s.len > k->max || keep_held > KEEP_ALL_MAX) {
        k->over = 1;
        return;
    }

    size = b->size;
    shape_add(b, s);
    keep_held += b->size - size;

    if (b->failed) {
        k->over = 1;
    }
}


void
keep_bytes(keep_t *k, ai_str_t bytes)
{
    if (k != NULL) {
        keep_add(k, &k->own, bytes);
    }
}


void
keep_dropped(keep_t *k, ai_str_t raw)
{
    if (k != NULL) {
        keep_add(k, &k->dropped, raw);
    }
}


/* What tells of the answer stays, what told of the call goes. */

static int
keep_passes(ai_str_t name)
{
    size_t  i, len;

    static const char *const  not[] = {
        "content-type", "x-ratelimit-", "anthropic-ratelimit-",
        "anthropic-priority-", "retry-after", "openai-processing-ms",
        "x-should-retry"
    };

    for (i = 0; i < sizeof(not) / sizeof(not[0]); i++) {
        len = strlen(not[i]);

        if (name.len >= len && strncasecmp(name.data, not[i], len) == 0) {
            return 0;
        }
    }

    return 1;
}


void
keep_head(keep_t *k, ai_str_t provider, ai_str_t model, ai_str_t headers)
{
    char      mem[KEEP_HEAD_MAX];
    ai_buf_t  b;
    ai_str_t  field, line, name, value;

    if (k == NULL) {
        return;
    }

    ai_buf_init(&b, mem, sizeof(mem));
    ai_record_add_int(&b, "status", 200);
    ai_record_add(&b, "provider", provider);
    ai_record_add(&b, "model", model);

    while (ai_record_next(&headers, &field, &line) == 1) {
        if (ai_headers_split(line, &name, &value) == 0 && keep_passes(name)) {
            ai_record_add(&b, "header", line);
        }
    }

    k->head.len = 0;
    shape_add(&k->head, (ai_str_t) { ai_buf_len(&b), mem });

    if (b.full || k->head.failed) {
        k->over = 1;
    }
}


size_t
keep_size(const keep_t *k)
{
    return k == NULL || k->over ? 0 : k->own.len;
}


void
keep_make(keep_t *k, int stream, ai_str_t whole)
{
    char           *all;
    size_t          len;
    ai_str_t        own, dropped;
    const shape_t  *shape;

    if (k == NULL || k->over) {
        return;
    }

    shape = shape_of(k->dialect);

    if (stream != (k->shape != 'o') || shape == NULL) {
        k->over = 1;
        return;
    }

    own = stream ? (ai_str_t) { k->own.len, k->own.data } : whole;
    dropped = (ai_str_t) { k->dropped.len, k->dropped.data };
    k->made = own.len;

    if (own.len == 0 || own.len > k->max) {
        k->over = 1;
        return;
    }

    if (!stream) {
        k->other[1] = shape->stream(own, 0, &k->len[1]);

        if (shape->without != NULL) {
            k->other[2] = shape->stream(own, 1, &k->len[2]);
        }

        return;
    }

    if (k->shape == 'v') {
        k->other[0] = shape->object(own, &k->len[0]);
        k->other[1] = shape->without(own, &k->len[1]);
        return;
    }

    len = own.len + dropped.len;
    all = malloc(len);

    if (all != NULL) {
        memcpy(all, own.data, own.len);

        if (dropped.len != 0) {
            memcpy(all + own.len, dropped.data, dropped.len);
        }

        k->other[0] = shape->object((ai_str_t) { len, all }, &k->len[0]);
        free(all);
    }

    if (shape->with != NULL) {
        k->other[2] = shape->with(own, dropped, &k->len[2]);
    }
}


/* An ETag and the bytes: malloc, or NULL. */

static char *
keep_tagged(ai_str_t bytes, size_t *len)
{
    char  hex[AI_SHA256_HEX], *text;

    text = malloc(KEEP_ETAG + bytes.len);

    if (text == NULL || ai_sha256_hex(hex, bytes) != 0) {
        free(text);
        return NULL;
    }

    memcpy(text, hex, KEEP_ETAG);
    memcpy(text + KEEP_ETAG, bytes.data, bytes.len);
    *len = KEEP_ETAG + bytes.len;

    return text;
}


int64_t
keep_send(keep_t *k, worker_t *w, unsigned shard, ai_str_t job,
    uint32_t attempt, ai_str_t model, const ai_usage_t *u)
{
    char        number[16], logged[24], line[AI_USAGE_LINE_MAX], log[40];
    char       *tagged[3] = { NULL, NULL, NULL };
    char        hex[AI_SHA256_HEX];
    size_t      len;
    int64_t     ttl;
    ai_buf_t    b;
    ai_str_t    argv[KEEP_WORDS], bytes;
    unsigned    i;
    ai_usage_t  usage;

    if (k == NULL || k->over || k->own.len == 0 || k->own.len != k->made
        || k->head.len == 0 || u->status != 200)
    {
        return 0;
    }

    ai_usage_init(&usage);
    usage.state = ai_str("done");
    usage.status = u->status;
    usage.provider = u->provider;
    usage.model = u->model;
    usage.finish = u->finish;
    usage.input = usage.output = 0;
    usage.cached_read = usage.cached_write = usage.reasoning = 0;
    usage.cost = usage.estimated = 0;
    usage.queue_usec = usage.attempts = 0;
    usage.cause = ai_str("cache");

    ai_buf_init(&b, line, sizeof(line));
    ai_usage_write(&b, &usage);

    argv[0] = job;
    argv[1].data = number;
    argv[1].len = (size_t) snprintf(number, sizeof(number), "%u", attempt);
    argv[2] = (ai_str_t) { strlen(w->id), w->id };
    argv[3] = model;
    argv[4] = (ai_str_t) { ai_buf_len(&b), line };
    argv[5] = (ai_str_t) { k->head.len, k->head.data };
    argv[6] = ai_str("");
    argv[7] = ai_str("0");
    ttl = 0;

    for (i = 0; i < 3; i++) {
        argv[8 + i] = ai_str("");
        bytes = (ai_str_t) { k->len[i], k->other[i] };

        if (k->shape == keep_shapes[i]) {
            bytes = (ai_str_t) { k->own.len, k->own.data };

            if (bytes.len > KEEP_INLINE_MAX) {

                if (ai_sha256_hex(hex, bytes) != 0) {
                    goto done;
                }

                argv[6].data = log;
                argv[6].len = (size_t) snprintf(log, sizeof(log), "%c %.*s",
                                                k->shape, KEEP_ETAG, hex);
                argv[7].data = logged;
                argv[7].len = (size_t) snprintf(logged, sizeof(logged), "%zu",
                                                bytes.len);
                ttl = k->ttl_msec;
            }
        }

        if (bytes.data == NULL || bytes.len > KEEP_INLINE_MAX) {
            continue;
        }

        tagged[i] = keep_tagged(bytes, &len);

        if (tagged[i] != NULL) {
            argv[8 + i] = (ai_str_t) { len, tagged[i] };
        }
    }

    if (b.full
        || redis_script(w->redis, AI_SCRIPT_KEEP, worker_prefix(shard), NULL,
                        NULL, KEEP_WORDS, argv)
           != 0)
    {
        ttl = 0;
    }

done:

    for (i = 0; i < 3; i++) {
        free(tagged[i]);
    }

    return ttl;
}
