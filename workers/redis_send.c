/*
 * What is said to Redis: commands, scripts, the bytes that wait to be written.
 * Owns the output buffer and the commands that wait for a reply.
 */

#include "redis_in.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define REDIS_KEEP_SIZE  (256 * 1024)   /* an empty buffer over it goes */


static int redis_room(redis_t *rc, size_t len);
static redis_pending_t *redis_push(redis_t *rc);
static int redis_text(redis_t *rc, redis_pending_t *p);


int
redis_command(redis_t *rc, redis_reply_pt cb, void *data, unsigned argc,
    const ai_str_t *argv)
{
    return redis_command_wait(rc, 0, cb, data, argc, argv);
}


int
redis_command_wait(redis_t *rc, unsigned msec, redis_reply_pt cb, void *data,
    unsigned argc, const ai_str_t *argv)
{
    if (rc->state != REDIS_READY || rc->nchannels != 0) {
        return -1;
    }

    return redis_send(rc, REDIS_COMMAND_MSEC + msec, cb, data, argc, argv);
}


int
redis_commandf(redis_t *rc, redis_reply_pt cb, void *data, const char *fmt,
    ...)
{
    char         numbers[16][24];
    size_t       n;
    va_list      args;
    ai_str_t     argv[64];
    unsigned     argc, nnumbers;
    const char  *z;

    va_start(args, fmt);

    for (argc = 0, nnumbers = 0; *fmt != '\0' && argc < 64; argc++) {
        n = strcspn(fmt, " ");

        if (fmt[0] == '%' && fmt[1] == 's') {
            z = va_arg(args, const char *);
            argv[argc] = (ai_str_t) { strlen(z), z };

        } else if (fmt[0] == '%' && fmt[1] == 'b') {
            argv[argc] = va_arg(args, ai_str_t);

        } else if (fmt[0] == '%' && fmt[1] == 'd' && nnumbers < 16) {
            argv[argc].data = numbers[nnumbers];
            argv[argc].len = (size_t) snprintf(numbers[nnumbers], 24, "%lld",
                                        (long long) va_arg(args, int64_t));
            nnumbers++;

        } else {
            argv[argc] = (ai_str_t) { n, fmt };
        }

        fmt += n;
        fmt += *fmt == ' ';
    }

    va_end(args);

    return redis_command(rc, cb, data, argc, argv);
}


int
redis_send(redis_t *rc, unsigned msec, redis_reply_pt cb, void *data,
    unsigned argc, const ai_str_t *argv)
{
    redis_pending_t  *pending;

    if (argc > REDIS_ARGS_MAX
        || redis_room(rc, ai_resp_size(argc, argv)) != 0)
    {
        return -1;
    }

    pending = redis_push(rc);

    if (pending == NULL) {
        return -1;
    }

    pending->cb = cb;
    pending->data = data;
    pending->deadline_msec = uv_now(&rc->loop->uv) + msec;

    return redis_write(rc, argc, argv);
}


int
redis_write(redis_t *rc, unsigned argc, const ai_str_t *argv)
{
    char  *p;

    if (redis_room(rc, ai_resp_size(argc, argv)) != 0) {
        return -1;
    }

    p = ai_resp_put(rc->out + rc->out_len, argc, argv);
    rc->out_len = (size_t) (p - rc->out);

    return 0;
}


int
redis_script(redis_t *rc, ai_script_e script, ai_str_t prefix,
    redis_reply_pt cb, void *data, unsigned argc, const ai_str_t *argv)
{
    char              *p, *start;
    size_t             size;
    unsigned           i;
    redis_pending_t    first, *pending;
    const ai_script_t *s;

    if (rc->state != REDIS_READY || rc->nchannels != 0
        || argc > REDIS_ARGS_MAX)
    {
        return -1;
    }

    s = &ai_scripts[script];
    size = ai_resp_size(argc, argv) + ai_resp_size(1, &prefix) + 128;

    if (redis_room(rc, size) != 0) {
        return -1;
    }

    start = malloc(size);
    if (start == NULL) {
        return -1;
    }

    p = ai_resp_put_bulk(start, ai_str("1"));
    p = ai_resp_put_bulk(p, prefix);

    for (i = 0; i < argc; i++) {
        p = ai_resp_put_bulk(p, argv[i]);
    }

    memset(&first, 0, sizeof(first));

    first.cb = cb;
    first.data = data;
    first.script = s;
    first.tail = start;
    first.tail_len = (size_t) (p - start);
    first.words = argc + 4;

    if (!(rc->known & (1U << script))) {
        return redis_text(rc, &first);
    }

    pending = redis_push(rc);
    if (pending == NULL) {
        free(start);
        return -1;
    }

    *pending = first;
    pending->deadline_msec = uv_now(&rc->loop->uv) + REDIS_COMMAND_MSEC;

    p = ai_resp_put_head(rc->out + rc->out_len, '*', pending->words);
    p = ai_resp_put_bulk(p, ai_str("EVALSHA"));
    p = ai_resp_put_bulk(p, (ai_str_t) { 40, s->sha1 });
    memcpy(p, start, pending->tail_len);
    rc->out_len = (size_t) (p - rc->out) + pending->tail_len;

    return 0;
}


/* The script with its text; p is used up. */

static int
redis_text(redis_t *rc, redis_pending_t *p)
{
    char             *at;
    redis_pending_t  *pending;

    if (redis_room(rc, p->tail_len + p->script->len + 64) != 0
        || (pending = redis_push(rc)) == NULL)
    {
        free(p->tail);
        p->tail = NULL;
        return -1;
    }

    pending->cb = p->cb;
    pending->data = p->data;
    pending->deadline_msec = uv_now(&rc->loop->uv) + REDIS_COMMAND_MSEC;

    at = ai_resp_put_head(rc->out + rc->out_len, '*', p->words);
    at = ai_resp_put_bulk(at, ai_str("EVAL"));
    at = ai_resp_put_bulk(at, (ai_str_t) { p->script->len, p->script->source });
    memcpy(at, p->tail, p->tail_len);
    rc->out_len = (size_t) (at - rc->out) + p->tail_len;
    free(p->tail);
    p->tail = NULL;
    rc->known |= 1U << (p->script - ai_scripts);

    return 0;
}


/* Whoever has forgotten one has forgotten all. */

void
redis_eval(redis_t *rc, redis_pending_t *p)
{
    rc->known = 0;

    if (redis_text(rc, p) != 0 && p->cb != NULL) {
        p->cb(rc, NULL, p->data);
    }
}


static redis_pending_t *
redis_push(redis_t *rc)
{
    unsigned          i, size;
    redis_pending_t  *ring, *p;

    if (rc->pending_count == rc->pending_size) {

        if (rc->pending_count >= REDIS_PENDING_MAX) {
            return NULL;
        }

        size = rc->pending_size == 0 ? 64 : rc->pending_size * 2;
        ring = malloc(size * sizeof(*ring));

        if (ring == NULL) {
            return NULL;
        }

        for (i = 0; i < rc->pending_count; i++) {
            ring[i] = rc->pending[(rc->pending_first + i) % rc->pending_size];
        }

        free(rc->pending);
        rc->pending = ring;
        rc->pending_first = 0;
        rc->pending_size = size;
    }

    p = &rc->pending[(rc->pending_first + rc->pending_count)
                     % rc->pending_size];
    rc->pending_count++;
    memset(p, 0, sizeof(*p));

    return p;
}


/* Room for len more bytes to write, and a flush at the end of the turn. */

static int
redis_room(redis_t *rc, size_t len)
{
    char    *out;
    size_t   size;

    if (rc->out_pos == rc->out_len) {
        rc->out_pos = 0;
        rc->out_len = 0;
    }

    if (rc->out_len - rc->out_pos + len > REDIS_OUT_MAX) {
        return -1;
    }

    if (rc->out_size - rc->out_len < len && rc->out_pos != 0) {
        memmove(rc->out, rc->out + rc->out_pos, rc->out_len - rc->out_pos);
        rc->out_len -= rc->out_pos;
        rc->out_pos = 0;
    }

    if (rc->out_size - rc->out_len < len) {
        size = rc->out_size == 0 ? 16384 : rc->out_size;

        while (size - rc->out_len < len) {
            size *= 2;
        }

        out = realloc(rc->out, size);
        if (out == NULL) {
            return -1;
        }

        rc->out = out;
        rc->out_size = size;
    }

    loop_defer(rc->loop, LOOP_FLUSH, &rc->flush);

    return 0;
}


void
redis_flush(void *data)
{
    redis_t  *rc;
    ssize_t   n;

    rc = data;

    if (rc->state != REDIS_HANDSHAKE && rc->state != REDIS_READY) {
        return;
    }

    while (rc->out_pos < rc->out_len) {
        n = redis_net_write(&rc->net, rc->out + rc->out_pos,
                            rc->out_len - rc->out_pos);

        if (n == -1) {
            redis_fail(rc, "write failed");
            return;
        }

        if (n == 0) {
            redis_net_want_write(&rc->net, 1);
            return;
        }

        rc->out_pos += (size_t) n;
    }

    redis_net_want_write(&rc->net, 0);

    if (rc->out_size > REDIS_KEEP_SIZE) {
        free(rc->out);
        rc->out = NULL;
        rc->out_size = 0;
    }

    rc->out_pos = 0;
    rc->out_len = 0;
}
