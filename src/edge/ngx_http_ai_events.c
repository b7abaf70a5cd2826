/*
 * A job's events in their order: from the bell as long as none is missing,
 * else from the log.
 * Nothing is kept: what cannot be taken now is read from the log later.
 */

#include "ngx_http_ai_stream.h"
#include "ngx_http_ai_metrics.h"


/* A log that a slow client reads on outlives its end: so many ms from each of
 * the edge's looks on, for so many looks (an hour). */
#define NGX_HTTP_AI_EVENTS_KEEP      "30000"
#define NGX_HTTP_AI_EVENTS_KEEP_MAX  720


static ngx_int_t ngx_http_ai_events_take(ngx_http_ai_open_t *open,
    ai_event_t *ev, ngx_uint_t log);
static void ngx_http_ai_events_range(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_events_state(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_events_owner(ngx_http_ai_open_t *open,
    ai_str_t attempt, ai_str_t owner);
static void ngx_http_ai_events_taken(ngx_http_ai_open_t *open);
static void ngx_http_ai_events_whole(ngx_http_ai_open_t *open, ai_str_t log);
static void ngx_http_ai_events_failed(ngx_http_ai_open_t *open);


void
ngx_http_ai_events_frames(ngx_http_ai_open_t *open, ai_str_t frames)
{
    int         rc;
    ai_event_t  ev;

    if (open->closed || open->ended || open->cause != NULL) {
        return;
    }

    /* Until the reply to its join it does not know what it wants. */

    if (open->joined && open->stage != NGX_HTTP_AI_LISTENING) {
        return;
    }

    open->heard = ngx_current_msec;

    for ( ;; ) {
        rc = ai_event_next(&frames, &ev);

        if (rc == 0) {
            break;
        }

        if (rc < 0) {
            ngx_log_error(NGX_LOG_ERR, open->request->connection->log, 0,
                          "ai: malformed events of job \"%V\" of tenant "
                          "\"%V\"", &open->ctx->job, &open->tenant);
            ngx_http_ai_events_read(open);
            break;
        }

        if (ngx_http_ai_events_take(open, &ev, 0) != NGX_OK) {
            break;
        }
    }

    ngx_http_ai_stream_post(open);
}


static ngx_int_t
ngx_http_ai_events_take(ngx_http_ai_open_t *open, ai_event_t *ev,
    ngx_uint_t log)
{
    ngx_int_t       rc;
    ngx_uint_t      next;
    ai_event_id_t  *last;

    last = &open->ctx->last;

    if (open->ended || open->cause != NULL
        || ai_id_event_cmp(ev->id, *last) <= 0)
    {
        return NGX_OK;
    }

    if (!log) {

        if (open->lagging) {
            return NGX_AGAIN;
        }

        next = ev->type != AI_EVENT_READ_LOG && !open->reading
               && !open->rewound && !open->down
               && (ev->id.attempt == last->attempt
                   ? ev->id.seq == last->seq + 1
                   : ev->type == AI_EVENT_ATTEMPT
                     || (last->attempt == 0 && ev->id.attempt == 1
                         && ev->id.seq == 1));

        if (!next) {
            ngx_http_ai_events_read(open);
            return NGX_AGAIN;
        }
    }

    open->started = 1;

    if (open->ctx->admitted == 0) {
        open->ctx->admitted = ngx_http_ai_usec();
    }

    rc = ngx_http_ai_take_event(open, ev);

    if (rc == NGX_AGAIN) {
        open->lagging = 1;
        ngx_http_ai_count(lagging);
        return NGX_AGAIN;
    }

    *last = ev->id;

    return NGX_OK;
}


void
ngx_http_ai_events_read(ngx_http_ai_open_t *open)
{
    char                      ev[AI_KEY_MAX], job[AI_KEY_MAX];
    char                      id[AI_EVENT_ID_MAX + 1];
    u_char                    count[NGX_INT_T_LEN];
    ngx_str_t                 argv[7];
    ngx_http_ai_redis_t      *redis;
    ngx_http_ai_redis_cmd_t  *cmd;

    if (open->closed || open->ended || open->cause != NULL) {
        return;
    }

    if (open->reading) {
        open->again = 1;
        return;
    }

    redis = ngx_http_ai_edge->redis;

    /* The owner of an attempt stays the same, unless Redis has lost some time:
     * what is read behind its name is what it said. */

    ngx_str_set(&argv[0], "HMGET");
    ngx_http_ai_edge_key(&argv[1], job, AI_KEY_JOB, open->shard,
                         &open->ctx->job);
    ngx_str_set(&argv[2], "state");
    ngx_str_set(&argv[3], "tip");
    ngx_str_set(&argv[4], "log");
    ngx_str_set(&argv[5], "attempt");
    ngx_str_set(&argv[6], "owner");

    cmd = &open->state;
    ngx_memzero(cmd, sizeof(ngx_http_ai_redis_cmd_t));
    cmd->handler = ngx_http_ai_events_state;
    cmd->data = open;

    open->entries = 0;
    open->taken = 0;
    open->again = 0;

    if (ngx_http_ai_redis_command(redis, NGX_HTTP_AI_REDIS_COMMANDS, cmd,
                                  argv, 7)
        != NGX_HTTP_AI_REDIS_OK)
    {
        ngx_http_ai_events_failed(open);
        return;
    }

    ngx_str_set(&argv[0], "XRANGE");
    ngx_http_ai_edge_key(&argv[1], ev, AI_KEY_EV, open->shard,
                         &open->ctx->job);
    id[0] = '(';
    argv[2].data = (u_char *) id;
    argv[2].len = 1 + ai_id_event_print(id + 1, sizeof(id) - 1,
                                        open->ctx->last);
    ngx_str_set(&argv[3], "+");
    ngx_str_set(&argv[4], "COUNT");
    argv[5].data = count;
    argv[5].len = ngx_sprintf(count, "%ui", open->count) - count;

    cmd = &open->range;
    ngx_memzero(cmd, sizeof(ngx_http_ai_redis_cmd_t));
    cmd->handler = ngx_http_ai_events_range;
    cmd->data = open;

    if (ngx_http_ai_redis_command(redis, NGX_HTTP_AI_REDIS_COMMANDS, cmd,
                                  argv, 6)
        != NGX_HTTP_AI_REDIS_OK)
    {
        ngx_http_ai_redis_cancel(&open->state);
        ngx_http_ai_events_failed(open);
        return;
    }

    open->reading = 1;
    ngx_http_ai_count(log_reads);
}


static void
ngx_http_ai_events_range(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_open_t *open = cmd->data;

    size_t       i, k, bytes;
    uint32_t     tip;
    ai_str_t     id, type;
    ai_event_t   ev;
    ai_resp_t   *entry, *fields;

    if (status != NGX_HTTP_AI_REDIS_OK || reply->type != AI_RESP_ARRAY) {
        ngx_http_ai_events_failed(open);
        return;
    }

    open->reading = 0;
    open->heard = ngx_current_msec;
    open->down = 0;

    if (open->rewound) {
        open->heard -= NGX_HTTP_AI_SILENCE - NGX_HTTP_AI_REWOUND_AGAIN;
        ngx_http_ai_stream_timer(open, NGX_HTTP_AI_REWOUND_AGAIN);
        return;
    }

    open->entries += reply->elements;
    bytes = 0;

    for (i = 0; i < reply->elements; i++) {
        entry = &reply->element[i];
        id = ngx_http_ai_reply_str(entry, 0);

        if (entry->type != AI_RESP_ARRAY || entry->elements != 2
            || ai_id_event_parse(id, &ev.id) != 0)
        {
            continue;
        }

        fields = &entry->element[1];

        if (fields->type != AI_RESP_ARRAY) {
            continue;
        }

        /* The entry's id is that of its last event. */

        tip = ev.id.seq;

        for (k = 0; k + 1 < fields->elements; k += 2) {
            type = ngx_http_ai_reply_str(fields, k);

            if (type.len != 1) {
                continue;
            }

            ev.id.seq = tip - (uint32_t) (fields->elements / 2 - 1 - k / 2);
            ev.type = type.data[0];
            ev.payload = ngx_http_ai_reply_str(fields, k + 1);
            bytes += ev.payload.len;

            if (ngx_http_ai_events_take(open, &ev, 1) != NGX_OK) {
                goto taken;
            }
        }

        open->taken++;
    }

taken:

    /* A client that takes little at a time is read little for; and no reply
     * shall hold up others for long. */

    if (open->lagging) {
        open->count = open->taken + 1;

    } else if (bytes > NGX_HTTP_AI_READ_BYTES) {
        open->count = ngx_max(open->count / 2, 1);

    } else if (open->entries == open->count
               && bytes <= NGX_HTTP_AI_READ_BYTES / 2)
    {
        open->count = ngx_min(open->count * 2, NGX_HTTP_AI_READ_MAX);
    }

    ngx_http_ai_events_taken(open);
}


static void
ngx_http_ai_events_state(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_open_t *open = cmd->data;

    ai_str_t  state;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_redis_cancel(&open->range);
        ngx_http_ai_events_failed(open);
        return;
    }

    state = ngx_http_ai_reply_str(reply, 0);

    open->state_of = state.len == 0 ? NGX_HTTP_AI_JOB_GONE
                     : ai_str_eqz(state, "running") ? NGX_HTTP_AI_JOB_RUNNING
                     : ai_str_eqz(state, "waiting") ? NGX_HTTP_AI_JOB_WAITING
                     : NGX_HTTP_AI_JOB_OVER;

    if (ai_id_event_parse(ngx_http_ai_reply_str(reply, 1), &open->tip) != 0) {
        ngx_memzero(&open->tip, sizeof(ai_event_id_t));
    }

    ngx_http_ai_events_owner(open, ngx_http_ai_reply_str(reply, 3),
                             ngx_http_ai_reply_str(reply, 4));

    if (!open->rewound) {
        ngx_http_ai_events_whole(open, ngx_http_ai_reply_str(reply, 2));
    }
}


/*
 * A Redis that has lost its last seconds may give another worker the attempt
 * that it gave in them: what the client has is not the beginning of what that
 * one says.  Where nobody has it yet, its worker may claim it again.
 */

static void
ngx_http_ai_events_owner(ngx_http_ai_open_t *open, ai_str_t attempt,
    ai_str_t owner)
{
    u_char      *p;
    int64_t      n;
    ngx_uint_t   had;

    had = open->ctx->last.attempt;

    if (ai_str_int(attempt, &n) != 0) {
        n = 0;
    }

    if (had == 0 || n > (int64_t) had
        || open->state_of == NGX_HTTP_AI_JOB_GONE
        || (n < (int64_t) had && open->state_of == NGX_HTTP_AI_JOB_OVER))
    {
        open->rewound = 0;
        return;
    }

    if (n < (int64_t) had) {

        if (!open->rewound) {
            open->rewound = 1;
            open->rewound_at = ngx_current_msec;
        }

        if (ngx_current_msec - open->rewound_at < NGX_HTTP_AI_REWOUND_MAX) {
            return;
        }

    } else {
        open->rewound = 0;

        if (owner.len == 0
            || ai_str_eq(owner, ngx_http_ai_str(&open->worker)))
        {
            return;
        }

        if (open->worker.len == 0) {
            p = ngx_pnalloc(open->request->pool, owner.len);

            if (p != NULL) {
                ngx_memcpy(p, owner.data, owner.len);
                open->worker.data = p;
                open->worker.len = owner.len;
            }

            return;
        }
    }

    ngx_log_error(NGX_LOG_ERR, open->request->connection->log, 0,
                  "ai: Redis has lost attempt %ui of job \"%V\" of tenant "
                  "\"%V\"", had, &open->ctx->job, &open->tenant);
    ngx_http_ai_stream_fail(open, "lost", 0, -1);
}


/* The log was read as far as was asked for. */

static void
ngx_http_ai_events_taken(ngx_http_ai_open_t *open)
{
    ngx_uint_t  more;

    ngx_http_ai_stream_post(open);

    if (open->ended || open->lagging || open->cause != NULL) {
        return;
    }

    if (open->state_of == NGX_HTTP_AI_JOB_GONE) {
        ngx_http_ai_stream_fail(open, "lost", 0, -1);
        return;
    }

    if (open->state_of == NGX_HTTP_AI_JOB_RUNNING) {
        open->started = 1;
    }

    more = ai_id_event_cmp(open->tip, open->ctx->last) > 0;

    if (more && open->entries == 0 && !open->again) {
        ngx_log_error(NGX_LOG_ERR, open->request->connection->log, 0,
                      "ai: the log of job \"%V\" of tenant \"%V\" has gone",
                      &open->ctx->job, &open->tenant);
        ngx_http_ai_stream_fail(open, "lost", 0, -1);
        return;
    }

    if (more || open->again) {
        ngx_http_ai_events_read(open);
        return;
    }

    if (open->state_of == NGX_HTTP_AI_JOB_OVER) {
        /* The client has all of it. */
        open->ended = 1;
    }
}


/* An answer that ended with its first events lies in the job. */

static void
ngx_http_ai_events_whole(ngx_http_ai_open_t *open, ai_str_t log)
{
    ai_bell_t      bell;
    ai_event_t     ev;
    ai_event_id_t  last;

    if (log.len == 0 || ai_bell_parse(log, &bell) != 0) {
        return;
    }

    last = open->ctx->last;

    while (ai_event_next(&bell.frames, &ev) == 1
           && ngx_http_ai_events_take(open, &ev, 1) == NGX_OK)
    {
        /* void */
    }

    if (ai_id_event_cmp(open->ctx->last, last) > 0) {
        open->entries++;
    }
}


static void
ngx_http_ai_events_failed(ngx_http_ai_open_t *open)
{
    ngx_http_ai_count(redis_errors);

    open->reading = 0;

    if (open->down == 0) {
        open->down = ngx_current_msec ? ngx_current_msec : 1;

    } else if (ngx_current_msec - open->down > NGX_HTTP_AI_DOWN_MAX) {
        ngx_http_ai_stream_redis_error(open);
        return;
    }

    /* again in a second */

    open->heard = ngx_current_msec - NGX_HTTP_AI_SILENCE + 1000;
    ngx_http_ai_stream_timer(open, 1000);
}


void
ngx_http_ai_events_keep(ngx_http_ai_open_t *open)
{
    char        key[AI_KEY_MAX];
    ngx_str_t   argv[4];
    ngx_uint_t  i;

    static ai_key_e  keys[] = { AI_KEY_JOB, AI_KEY_EV };

    if (open->kept == NGX_HTTP_AI_EVENTS_KEEP_MAX) {
        return;
    }

    open->kept++;

    ngx_str_set(&argv[0], "PEXPIRE");
    ngx_str_set(&argv[2], NGX_HTTP_AI_EVENTS_KEEP);
    ngx_str_set(&argv[3], "GT");

    for (i = 0; i < 2; i++) {
        ngx_http_ai_edge_key(&argv[1], key, keys[i], open->shard,
                             &open->ctx->job);

        (void) ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                         NGX_HTTP_AI_REDIS_COMMANDS, NULL,
                                         argv, 4);
    }
}
