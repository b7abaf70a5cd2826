/*
 * Bytes to the server: a lane's stream of owned blocks and borrowed bodies.
 * The process keeps free blocks; a lane owns its segments until they are
 * answered, and a borrowed body stays its caller's.
 */

#include "ngx_http_ai_redis_conn.h"


#define ngx_http_ai_redis_seg_next(seg)                                       \
    ((ngx_http_ai_redis_seg_t *) (seg)->link.next)

#define ngx_http_ai_redis_seg_data(seg)                                       \
    ((u_char *) (seg) + sizeof(ngx_http_ai_redis_seg_t))

#define NGX_HTTP_AI_REDIS_ROOM                                                \
    (NGX_HTTP_AI_REDIS_BLOCK - sizeof(ngx_http_ai_redis_seg_t))


static ngx_int_t ngx_http_ai_redis_out_spare(ngx_http_ai_redis_t *redis,
    ngx_uint_t nblocks, ngx_uint_t nlinks);
static ngx_http_ai_redis_seg_t *ngx_http_ai_redis_out_block(
    ngx_http_ai_redis_t *redis, ngx_http_ai_redis_lane_t *lane);
static void ngx_http_ai_redis_out_append(ngx_http_ai_redis_lane_t *lane,
    ngx_http_ai_redis_seg_t *seg);
static void ngx_http_ai_redis_out_free(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, ngx_http_ai_redis_seg_t *seg);


void
ngx_http_ai_redis_out_init(ngx_http_ai_redis_lane_t *lane, size_t max)
{
    ngx_memzero(lane, sizeof(ngx_http_ai_redis_lane_t));
    ngx_queue_init(&lane->slots);
    lane->max = max;
}


ngx_int_t
ngx_http_ai_redis_out_reserve(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, size_t bytes, size_t borrowed,
    ngx_uint_t nlinks)
{
    size_t                    room;
    ngx_uint_t                nblocks;
    ngx_http_ai_redis_seg_t  *last;

    if (bytes > lane->max || borrowed > lane->max
        || lane->held + bytes + borrowed > lane->max)
    {
        return NGX_BUSY;
    }

    last = lane->last;
    room = (last && !last->borrowed) ? last->buf.end - last->buf.last : 0;

    if (nlinks == 0) {
        if (bytes <= room) {
            return NGX_OK;
        }

        nblocks = (bytes - room) / NGX_HTTP_AI_REDIS_ROOM + 1;

    } else {
        nblocks = bytes / NGX_HTTP_AI_REDIS_ROOM + nlinks + 2;
    }

    if (redis->nblocks >= nblocks && redis->nlinks >= nlinks) {
        return NGX_OK;
    }

    return ngx_http_ai_redis_out_spare(redis, nblocks, nlinks);
}


static ngx_int_t
ngx_http_ai_redis_out_spare(ngx_http_ai_redis_t *redis, ngx_uint_t nblocks,
    ngx_uint_t nlinks)
{
    ngx_http_ai_redis_seg_t  *seg;

    while (redis->nblocks < nblocks) {
        seg = ngx_alloc(NGX_HTTP_AI_REDIS_BLOCK, redis->log);
        if (seg == NULL) {
            return NGX_ERROR;
        }

        seg->link.next = (ngx_chain_t *) redis->blocks;
        redis->blocks = seg;
        redis->nblocks++;
    }

    while (redis->nlinks < nlinks) {
        seg = ngx_alloc(sizeof(ngx_http_ai_redis_seg_t), redis->log);
        if (seg == NULL) {
            return NGX_ERROR;
        }

        seg->link.next = (ngx_chain_t *) redis->links;
        redis->links = seg;
        redis->nlinks++;
    }

    return NGX_OK;
}


static ngx_http_ai_redis_seg_t *
ngx_http_ai_redis_out_block(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane)
{
    ngx_http_ai_redis_seg_t  *seg;

    seg = redis->blocks;
    redis->blocks = ngx_http_ai_redis_seg_next(seg);
    redis->nblocks--;

    ngx_memzero(seg, sizeof(ngx_http_ai_redis_seg_t));

    seg->buf.start = ngx_http_ai_redis_seg_data(seg);
    seg->buf.end = (u_char *) seg + NGX_HTTP_AI_REDIS_BLOCK;
    seg->buf.pos = seg->buf.start;
    seg->buf.last = seg->buf.start;

    lane->held += NGX_HTTP_AI_REDIS_BLOCK;

    ngx_http_ai_redis_out_append(lane, seg);

    return seg;
}


static void
ngx_http_ai_redis_out_append(ngx_http_ai_redis_lane_t *lane,
    ngx_http_ai_redis_seg_t *seg)
{
    seg->link.buf = &seg->buf;
    seg->buf.temporary = 1;
    seg->begin = lane->taken;
    seg->end = lane->taken;

    if (lane->last) {
        lane->last->link.next = &seg->link;

    } else {
        lane->first = seg;
    }

    lane->last = seg;
}


void
ngx_http_ai_redis_out_copy(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, const void *data, size_t len)
{
    size_t                    n;
    const u_char             *p;
    ngx_http_ai_redis_seg_t  *seg;

    p = data;

    while (len) {
        seg = lane->last;

        if (seg == NULL || seg->borrowed || seg->buf.last == seg->buf.end) {
            seg = ngx_http_ai_redis_out_block(redis, lane);
        }

        n = ngx_min(len, (size_t) (seg->buf.end - seg->buf.last));

        seg->buf.last = ngx_cpymem(seg->buf.last, p, n);
        seg->end += n;
        lane->taken += n;
        p += n;
        len -= n;

        if (lane->out == NULL) {
            lane->out = &seg->link;
        }
    }
}


void
ngx_http_ai_redis_out_size(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, u_char type, size_t n)
{
    char  *p, buf[AI_RESP_HEAD_MAX];

    p = ai_resp_put_head(buf, (char) type, n);

    ngx_http_ai_redis_out_copy(redis, lane, buf, p - buf);
}


void
ngx_http_ai_redis_out_arg(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, const void *data, size_t len)
{
    size_t                    n;
    u_char                   *last;
    ngx_http_ai_redis_seg_t  *seg;

    seg = lane->last;

    if (seg && !seg->borrowed && lane->out
        && (size_t) (seg->buf.end - seg->buf.last)
           >= AI_RESP_HEAD_MAX + len + 2)
    {
        last = (u_char *) ai_resp_put_bulk((char *) seg->buf.last,
                                           (ai_str_t) { len, data });
        n = last - seg->buf.last;
        seg->buf.last = last;
        seg->end += n;
        lane->taken += n;
        return;
    }

    ngx_http_ai_redis_out_size(redis, lane, '$', len);
    ngx_http_ai_redis_out_copy(redis, lane, data, len);
    ngx_http_ai_redis_out_copy(redis, lane, CRLF, 2);
}


void
ngx_http_ai_redis_out_borrow(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, u_char *pos, size_t len)
{
    ngx_http_ai_redis_seg_t  *seg;

    seg = redis->links;
    redis->links = ngx_http_ai_redis_seg_next(seg);
    redis->nlinks--;

    ngx_memzero(seg, sizeof(ngx_http_ai_redis_seg_t));

    seg->borrowed = 1;
    seg->buf.start = pos;
    seg->buf.pos = pos;
    seg->buf.last = pos + len;
    seg->buf.end = pos + len;

    ngx_http_ai_redis_out_append(lane, seg);

    seg->end += len;
    lane->taken += len;
    lane->held += len;

    if (lane->out == NULL) {
        lane->out = &seg->link;
    }
}


void
ngx_http_ai_redis_out_again(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, ngx_http_ai_redis_seg_t *seg,
    uint64_t from, uint64_t to)
{
    uint64_t  end;

    for ( /* void */ ; from < to; seg = ngx_http_ai_redis_seg_next(seg)) {

        end = ngx_min(seg->end, to);

        if (from < end) {
            ngx_http_ai_redis_out_copy(redis, lane,
                                       seg->buf.start + (from - seg->begin),
                                       end - from);
            from = end;
        }
    }
}


ngx_int_t
ngx_http_ai_redis_out_own(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, ngx_http_ai_redis_seg_t *seg, uint64_t to)
{
    size_t   n;
    u_char  *p;

    for ( /* void */ ;
          seg && seg->begin < to;
          seg = ngx_http_ai_redis_seg_next(seg))
    {
        n = seg->buf.last - seg->buf.pos;

        if (!seg->borrowed || n == 0 || seg->end <= lane->sent) {
            continue;
        }

        p = ngx_alloc(n, redis->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, seg->buf.pos, n);

        seg->copy = p;
        seg->buf.start = p;
        seg->buf.pos = p;
        seg->buf.last = p + n;
        seg->buf.end = p + n;
    }

    return NGX_OK;
}


void
ngx_http_ai_redis_out_release(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane)
{
    uint64_t                   limit;
    ngx_queue_t               *q;
    ngx_http_ai_redis_seg_t   *seg;
    ngx_http_ai_redis_slot_t  *slot;

    limit = lane->sent;

    if (!ngx_queue_empty(&lane->slots)) {
        q = ngx_queue_head(&lane->slots);
        slot = ngx_queue_data(q, ngx_http_ai_redis_slot_t, queue);
        limit = ngx_min(limit, slot->begin);
    }

    while (lane->first && lane->first->end <= limit) {
        seg = lane->first;

        if (seg == lane->last) {

            if (limit != lane->taken) {
                return;
            }

            if (!seg->borrowed && !lane->wipe) {
                seg->buf.pos = seg->buf.start;
                seg->buf.last = seg->buf.start;
                seg->begin = lane->taken;
                seg->end = lane->taken;
                return;
            }

            lane->last = NULL;
        }

        lane->first = ngx_http_ai_redis_seg_next(seg);
        ngx_http_ai_redis_out_free(redis, lane, seg);
    }
}


static void
ngx_http_ai_redis_out_free(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, ngx_http_ai_redis_seg_t *seg)
{
    if (seg->borrowed) {
        lane->held -= seg->end - seg->begin;

        if (seg->copy) {
            ngx_free(seg->copy);
        }

        if (redis->nlinks < NGX_HTTP_AI_REDIS_FREE_BLOCKS) {
            seg->link.next = (ngx_chain_t *) redis->links;
            redis->links = seg;
            redis->nlinks++;
            return;
        }

        ngx_free(seg);
        return;
    }

    lane->held -= NGX_HTTP_AI_REDIS_BLOCK;

    if (lane->wipe) {
        ngx_explicit_memzero(seg->buf.start, seg->buf.end - seg->buf.start);
    }

    if (redis->nblocks < NGX_HTTP_AI_REDIS_FREE_BLOCKS) {
        seg->link.next = (ngx_chain_t *) redis->blocks;
        redis->blocks = seg;
        redis->nblocks++;
        return;
    }

    ngx_free(seg);
}


void
ngx_http_ai_redis_out_reset(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane)
{
    ngx_http_ai_redis_seg_t  *seg;

    while (lane->first) {
        seg = lane->first;
        lane->first = ngx_http_ai_redis_seg_next(seg);
        ngx_http_ai_redis_out_free(redis, lane, seg);
    }

    lane->last = NULL;
    lane->out = NULL;
    lane->taken = 0;
    lane->sent = 0;
    lane->wipe = 0;
    lane->broken = 0;
    ngx_memzero(lane->evals, sizeof(lane->evals));
}


void
ngx_http_ai_redis_out_done(ngx_http_ai_redis_t *redis)
{
    ngx_http_ai_redis_seg_t  *seg;

    while (redis->blocks) {
        seg = redis->blocks;
        redis->blocks = ngx_http_ai_redis_seg_next(seg);
        ngx_free(seg);
    }

    while (redis->links) {
        seg = redis->links;
        redis->links = ngx_http_ai_redis_seg_next(seg);
        ngx_free(seg);
    }

    redis->nblocks = 0;
    redis->nlinks = 0;
}
