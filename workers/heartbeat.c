/*
 * The worker's pulse.  Owns its timers.
 */

#include "heartbeat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ai_record.h"
#include "delivery.h"
#include "job.h"


#define HEARTBEAT_EDGES_MAX  1024   /* a shard; with more none is called dead */


/* What a call about one shard belongs to. */
typedef struct {
    heartbeat_t *hb;
    unsigned     shard;
    unsigned     beats;         /* not answered */
    uint64_t     sent_usec;     /* the first of them, or an earlier one */
    uint64_t     sure_usec;     /* sent, and answered since */
    unsigned     drained:1;     /* it knows, and we hold nothing there */
} heartbeat_shard_t;

struct heartbeat_s {
    worker_t    *w;
    heartbeat_shard_t  shards[WORKER_SHARDS_MAX];
    uv_timer_t   beat;
    uv_timer_t   sweep;
    uv_timer_t   metrics;
    const char  *word;
    uint64_t     last_usec;     /* of a beat, to see the loop's lag */
    unsigned     byes;          /* not answered */
    unsigned     closed;        /* handles */
    unsigned     grace:1;       /* nobody may be called dead now */
    void       (*done)(worker_t *w);
};


static void heartbeat_on_beat(uv_timer_t *timer);
static void heartbeat_beat(heartbeat_t *hb, unsigned shard,
    redis_reply_pt cb);
static void heartbeat_on_reply(redis_t *rc, ai_resp_t *reply, void *data);
static void heartbeat_on_drain(redis_t *rc, ai_resp_t *reply, void *data);
static void heartbeat_on_bye(redis_t *rc, ai_resp_t *reply, void *data);
static void heartbeat_on_sweep(uv_timer_t *timer);
static void heartbeat_on_swept(redis_t *rc, ai_resp_t *reply, void *data);
static void heartbeat_edges(heartbeat_t *hb, unsigned shard);
static void heartbeat_on_alive(redis_t *rc, ai_resp_t *reply, void *data);
static void heartbeat_on_metrics(uv_timer_t *timer);
static int64_t heartbeat_memory(void);
static void heartbeat_on_closed(uv_handle_t *handle);


heartbeat_t *
heartbeat_open(worker_t *w)
{
    unsigned      i;
    heartbeat_t  *hb;

    hb = calloc(1, sizeof(*hb));
    if (hb == NULL) {
        return NULL;
    }

    for (i = 0; i < WORKER_SHARDS_MAX; i++) {
        hb->shards[i].hb = hb;
        hb->shards[i].shard = i;
    }

    hb->w = w;
    hb->word = "up";
    hb->grace = 1;
    uv_timer_init(&w->loop.uv, &hb->beat);
    uv_timer_init(&w->loop.uv, &hb->sweep);
    uv_timer_init(&w->loop.uv, &hb->metrics);
    hb->beat.data = hb;
    hb->sweep.data = hb;
    hb->metrics.data = hb;

    return hb;
}


void
heartbeat_close(heartbeat_t *hb)
{
    uv_close((uv_handle_t *) &hb->beat, heartbeat_on_closed);
    uv_close((uv_handle_t *) &hb->sweep, heartbeat_on_closed);
    uv_close((uv_handle_t *) &hb->metrics, heartbeat_on_closed);
}


static void
heartbeat_on_closed(uv_handle_t *handle)
{
    heartbeat_t  *hb;

    hb = handle->data;

    if (++hb->closed == 3) {
        free(hb);
    }
}


void
heartbeat_start(heartbeat_t *hb)
{
    uint64_t  interval;

    if (hb->byes != 0 || hb->done != NULL) {
        return;
    }

    interval = (uint64_t) hb->w->opt->metrics_sec * 1000;
    hb->last_usec = 0;
    heartbeat_on_beat(&hb->beat);

    uv_timer_start(&hb->beat, heartbeat_on_beat, HEARTBEAT_BEAT_MSEC,
                   HEARTBEAT_BEAT_MSEC);
    uv_timer_start(&hb->sweep, heartbeat_on_sweep, HEARTBEAT_SWEEP_MSEC,
                   HEARTBEAT_SWEEP_MSEC);
    uv_timer_start(&hb->metrics, heartbeat_on_metrics, 0, interval);
}


void
heartbeat_now(heartbeat_t *hb)
{
    if (uv_is_active((uv_handle_t *) &hb->beat)) {
        heartbeat_on_beat(&hb->beat);
    }
}


void
heartbeat_drain(heartbeat_t *hb)
{
    hb->word = "drain";
    heartbeat_on_beat(&hb->beat);
}


int
heartbeat_drained(heartbeat_t *hb)
{
    unsigned  i;

    for (i = 0; i < hb->w->shards; i++) {
        if (!hb->shards[i].drained) {
            break;
        }
    }

    if (i == hb->w->shards) {
        return 1;
    }

    if (hb->shards[i].beats == 0) {
        heartbeat_now(hb);
    }

    return 0;
}


void
heartbeat_bye(heartbeat_t *hb, void (*done)(worker_t *w))
{
    unsigned  i;

    uv_timer_stop(&hb->beat);
    uv_timer_stop(&hb->sweep);
    uv_timer_stop(&hb->metrics);
    hb->word = "bye";
    hb->done = done;
    hb->byes = 1;

    for (i = 0; i < hb->w->shards; i++) {
        heartbeat_beat(hb, i, heartbeat_on_bye);
    }

    if (--hb->byes == 0) {
        done(hb->w);
    }
}


int
heartbeat_sure(const heartbeat_t *hb, unsigned shard)
{
    return loop_now_usec(&hb->w->loop) - hb->shards[shard].sure_usec
           < HEARTBEAT_SURE_MSEC * 1000;
}


static void
heartbeat_on_bye(redis_t *rc, ai_resp_t *reply, void *data)
{
    heartbeat_t  *hb;

    (void) rc;
    (void) reply;

    hb = ((heartbeat_shard_t *) data)->hb;

    if (--hb->byes == 0) {
        hb->done(hb->w);
    }
}


static void
heartbeat_on_beat(uv_timer_t *timer)
{
    int64_t       lag;
    uint64_t      now;
    unsigned      i;
    heartbeat_t  *hb;

    hb = timer->data;
    now = loop_now_usec(&hb->w->loop);

    if (hb->last_usec != 0 && hb->word[0] == 'u') {
        lag = (int64_t) (now - hb->last_usec) - HEARTBEAT_BEAT_MSEC * 1000;

        if (lag > hb->w->metrics.loop_lag_usec_max) {
            hb->w->metrics.loop_lag_usec_max = lag;
        }
    }

    hb->last_usec = now;

    for (i = 0; i < hb->w->shards; i++) {
        heartbeat_beat(hb, i, hb->word[0] == 'd' ? heartbeat_on_drain
                                                 : heartbeat_on_reply);
    }
}


/* Its slots are divided among the shards; without ears it takes nothing. */

static void
heartbeat_beat(heartbeat_t *hb, unsigned shard, redis_reply_pt cb)
{
    char                text[16];
    ai_str_t            argv[4];
    unsigned            slots;
    heartbeat_shard_t  *s;

    slots = 0;
    s = &hb->shards[shard];

    if (hb->word[0] == 'u' && hb->w->hearing) {
        slots = hb->w->opt->jobs / hb->w->shards;
        slots = slots != 0 ? slots : 1;
    }

    argv[0] = ai_str("w");
    argv[1] = (ai_str_t) { strlen(hb->w->id), hb->w->id };
    argv[2].data = text;
    argv[2].len = (size_t) snprintf(text, sizeof(text), "%u", slots);
    argv[3] = (ai_str_t) { strlen(hb->word), hb->word };

    if (redis_script(hb->w->redis, AI_SCRIPT_BEAT, worker_prefix(shard), cb,
                     s, 4, argv)
        != 0)
    {
        return;
    }

    if (cb == heartbeat_on_bye) {
        hb->byes++;

    } else if (s->beats++ == 0) {
        s->sent_usec = loop_now_usec(&hb->w->loop);
    }
}


static void
heartbeat_on_reply(redis_t *rc, ai_resp_t *reply, void *data)
{
    int64_t              grace, held;
    heartbeat_t         *hb;
    heartbeat_shard_t   *shard;
    static log_again_t   again;

    (void) rc;

    shard = data;
    shard->beats--;
    hb = shard->hb;

    if (reply == NULL) {
        return;
    }

    if (!redis_word(reply, "OK")) {
        log_again(&again, LOG_ERROR, "heartbeat", "beat: %.*s",
                  reply->type == AI_RESP_ERROR ? (int) reply->len : 0,
                  reply->type == AI_RESP_ERROR ? reply->str : "");
        return;
    }

    shard->sure_usec = shard->sent_usec;
    hb->grace = redis_int(redis_item(reply, 2), &grace) != 0 || grace != 0;

    if (redis_int(redis_item(reply, 3), &held) == 0) {
        delivery_beat(hb->w->delivery, shard->shard, held);
    }
}


/* From then on it is handed nothing more. */

static void
heartbeat_on_drain(redis_t *rc, ai_resp_t *reply, void *data)
{
    int64_t             held;
    heartbeat_shard_t  *shard;

    shard = data;
    shard->drained = reply != NULL && redis_word(reply, "OK")
                     && redis_int(redis_item(reply, 3), &held) == 0
                     && held == 0;

    heartbeat_on_reply(rc, reply, data);
}


static void
heartbeat_on_sweep(uv_timer_t *timer)
{
    char          numbers[4][16];
    ai_str_t      argv[5];
    unsigned      i, n;
    heartbeat_t  *hb;

    static const unsigned  values[4] = {
        HEARTBEAT_DEAD_MSEC, HEARTBEAT_GRACE_MSEC, HEARTBEAT_SWEEP_MAX,
        HEARTBEAT_MEMORY_PERCENT
    };

    hb = timer->data;
    argv[0] = (ai_str_t) { strlen(hb->w->id), hb->w->id };

    for (n = 0; n < 4; n++) {
        argv[n + 1].data = numbers[n];
        argv[n + 1].len = (size_t) snprintf(numbers[n], 16, "%u", values[n]);
    }

    for (i = 0; i < hb->w->shards; i++) {
        redis_script(hb->w->redis, AI_SCRIPT_SWEEP, worker_prefix(i),
                     heartbeat_on_swept, hb, 5, argv);

        if (!hb->grace) {
            heartbeat_edges(hb, i);
        }
    }
}


static void
heartbeat_on_swept(redis_t *rc, ai_resp_t *reply, void *data)
{
    int64_t             requeued, cancelled, dead;
    static log_again_t  again;

    (void) rc;
    (void) data;

    if (reply == NULL) {
        return;
    }

    if (reply->type == AI_RESP_ERROR) {
        log_again(&again, LOG_ERROR, "heartbeat", "sweep: %.*s",
                  (int) reply->len, reply->str);
        return;
    }

    if (redis_int(redis_item(reply, 2), &requeued) == 0
        && redis_int(redis_item(reply, 3), &cancelled) == 0
        && redis_int(redis_item(reply, 4), &dead) == 0
        && requeued + cancelled + dead != 0)
    {
        log_write(LOG_INFO, "heartbeat",
                  "swept: %lld jobs requeued, %lld cancelled, %lld dead",
                  (long long) requeued, (long long) cancelled,
                  (long long) dead);
    }
}


/* Dead edges, by Redis' clock: this worker's own last beat is the measure. */

static void
heartbeat_edges(heartbeat_t *hb, unsigned shard)
{
    char      key[AI_KEY_MAX];
    ai_str_t  argv[5];

    argv[0] = ai_str("ZRANGE");
    argv[1].data = key;
    argv[1].len = ai_keys_make(key, sizeof(key), AI_KEY_ALIVE, shard,
                               ai_str(""));
    argv[2] = ai_str("0");
    argv[3] = ai_str("-1");
    argv[4] = ai_str("WITHSCORES");

    redis_command(hb->w->redis, heartbeat_on_alive, &hb->shards[shard], 5,
                  argv);
}


static void
heartbeat_on_alive(redis_t *rc, ai_resp_t *reply, void *data)
{
    size_t             i;
    int64_t            own, at;
    unsigned           n;
    ai_str_t           member, edges[HEARTBEAT_EDGES_MAX];
    heartbeat_t       *hb;
    heartbeat_shard_t  *shard;

    (void) rc;

    shard = data;
    hb = shard->hb;
    own = 0;
    n = 0;

    if (reply == NULL || reply->type != AI_RESP_ARRAY) {
        return;
    }

    for (i = 0; i + 1 < reply->elements; i += 2) {
        member = redis_str(&reply->element[i]);

        if (member.len > 2 && member.data[0] == 'w'
            && ai_str_eqz((ai_str_t) { member.len - 2, member.data + 2 },
                          hb->w->id))
        {
            redis_int(&reply->element[i + 1], &own);
        }
    }

    for (i = 0; own != 0 && i + 1 < reply->elements; i += 2) {
        member = redis_str(&reply->element[i]);

        if (member.len < 3 || member.data[0] != 'e'
            || redis_int(&reply->element[i + 1], &at) != 0
            || at < own - HEARTBEAT_DEAD_MSEC)
        {
            continue;
        }

        if (n == HEARTBEAT_EDGES_MAX) {
            own = 0;
            break;
        }

        edges[n++] = (ai_str_t) { member.len - 2, member.data + 2 };
    }

    if (own != 0 && !hb->grace) {
        jobs_edges(hb->w->jobs, shard->shard, edges, n);
    }
}


static void
heartbeat_on_metrics(uv_timer_t *timer)
{
    char          key[AI_KEY_MAX], text[8192], msec[16];
    ai_buf_t      b;
    ai_str_t      argv[5];
    heartbeat_t  *hb;

    hb = timer->data;
    hb->w->metrics.memory_bytes = heartbeat_memory();

    ai_buf_init(&b, text, sizeof(text));
    metrics_write(&b, &hb->w->metrics);
    hb->w->metrics.loop_lag_usec_max = 0;

    argv[0] = ai_str("SET");
    argv[1].data = key;
    argv[1].len = ai_keys_metrics(key, sizeof(key),
                             (ai_str_t) { strlen(hb->w->id), hb->w->id });
    argv[2] = (ai_str_t) { ai_buf_len(&b), text };
    argv[3] = ai_str("PX");
    argv[4].data = msec;
    argv[4].len = (size_t) snprintf(msec, sizeof(msec), "%d",
                                    HEARTBEAT_METRICS_MSEC);

    if (!b.full && argv[1].len != 0) {
        redis_command(hb->w->redis, NULL, NULL, 5, argv);
    }
}


static int64_t
heartbeat_memory(void)
{
    FILE  *f;
    long   size, resident;

    f = fopen("/proc/self/statm", "re");
    if (f == NULL) {
        return 0;
    }

    if (fscanf(f, "%ld %ld", &size, &resident) != 2) {
        resident = 0;
    }

    fclose(f);

    return (int64_t) resident * sysconf(_SC_PAGESIZE);
}
