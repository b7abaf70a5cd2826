/*
 * Leaving a job: Redis is told, again until it has heard it.
 * Entries belong to the process; at its end those left over are settled by the
 * sweep, which sees that this edge has died.
 */

#include "ngx_http_ai_leave.h"
#include "ngx_http_ai_metrics.h"
#include "ngx_http_ai_open.h"


/* Told and not yet heard; one more is left to the sweep. */
#define NGX_HTTP_AI_LEAVE_MAX   65536
/* Told again at a heartbeat. */
#define NGX_HTTP_AI_LEAVE_TURN  1024


typedef struct {
    ngx_queue_t                 queue;
    ngx_http_ai_redis_cmd_t     cmd;
    ngx_uint_t                  shard;
    ngx_uint_t                  joins;
    unsigned                    unsure:1;
    u_char                      job[AI_JOB_ID_LEN];
} ngx_http_ai_leave_t;


static ngx_int_t ngx_http_ai_leave_tell(ngx_http_ai_leave_t *leave);
static ngx_uint_t ngx_http_ai_leave_passes(ngx_uint_t error);
static void ngx_http_ai_leave_told(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);


static ngx_queue_t  ngx_http_ai_leaving;      /* to be told again */
static ngx_queue_t  ngx_http_ai_telling;      /* under way */
static ngx_uint_t   ngx_http_ai_nleaving;


void
ngx_http_ai_leave_init(void)
{
    ngx_queue_init(&ngx_http_ai_leaving);
    ngx_queue_init(&ngx_http_ai_telling);
}


void
ngx_http_ai_leave_done(void)
{
    ngx_uint_t    i;
    ngx_queue_t  *q, *next, *queues[] = { &ngx_http_ai_leaving,
                                          &ngx_http_ai_telling };

    for (i = 0; i < 2; i++) {
        for (q = ngx_queue_head(queues[i]);
             q != ngx_queue_sentinel(queues[i]);
             q = next)
        {
            next = ngx_queue_next(q);
            ngx_free(ngx_queue_data(q, ngx_http_ai_leave_t, queue));
        }

        ngx_queue_init(queues[i]);
    }
}


void
ngx_http_ai_leave(ngx_str_t *job, ngx_uint_t shard, ngx_uint_t unsure,
    ngx_uint_t joins)
{
    ngx_http_ai_leave_t  *leave;

    if (ngx_http_ai_nleaving >= NGX_HTTP_AI_LEAVE_MAX) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "ai: too many jobs to leave, \"%V\" is left to the "
                      "sweep", job);
        return;
    }

    leave = ngx_calloc(sizeof(ngx_http_ai_leave_t), ngx_cycle->log);
    if (leave == NULL) {
        return;
    }

    leave->shard = shard;
    leave->unsure = unsure;
    leave->joins = joins;
    ngx_memcpy(leave->job, job->data, AI_JOB_ID_LEN);

    ngx_http_ai_nleaving++;

    if (ngx_http_ai_leave_tell(leave) != NGX_OK) {
        ngx_queue_insert_tail(&ngx_http_ai_leaving, &leave->queue);
    }
}


void
ngx_http_ai_leave_again(void)
{
    ngx_str_t             job;
    ngx_uint_t            n;
    ngx_queue_t          *q;
    ngx_http_ai_leave_t  *leave;

    for (n = 0; n < NGX_HTTP_AI_LEAVE_TURN; n++) {

        if (ngx_queue_empty(&ngx_http_ai_leaving)) {
            return;
        }

        q = ngx_queue_head(&ngx_http_ai_leaving);
        leave = ngx_queue_data(q, ngx_http_ai_leave_t, queue);

        ngx_queue_remove(q);

        job.data = (u_char *) leave->job;
        job.len = AI_JOB_ID_LEN;

        if (ngx_http_ai_open_listens(&job)) {

            /* Its client came back here before this could be told. */

            ngx_http_ai_nleaving--;
            ngx_free(leave);
            continue;
        }

        if (ngx_http_ai_leave_tell(leave) != NGX_OK) {
            ngx_queue_insert_head(&ngx_http_ai_leaving, q);
            return;
        }
    }
}


static ngx_int_t
ngx_http_ai_leave_tell(ngx_http_ai_leave_t *leave)
{
    char       buf[AI_KEY_MAX];
    u_char     joins[NGX_INT_T_LEN];
    ngx_str_t  key, argv[3];

    ngx_http_ai_edge_prefix(&key, buf, leave->shard);

    argv[0].data = leave->job;
    argv[0].len = AI_JOB_ID_LEN;
    argv[1] = ngx_http_ai_edge->id;
    argv[2].data = joins;
    argv[2].len = ngx_sprintf(joins, "%ui", leave->joins) - joins;

    ngx_memzero(&leave->cmd, sizeof(ngx_http_ai_redis_cmd_t));

    leave->cmd.handler = ngx_http_ai_leave_told;
    leave->cmd.data = leave;

    if (ngx_http_ai_redis_eval(ngx_http_ai_edge->redis, &leave->cmd,
                               AI_SCRIPT_LEAVE, &key, 1, argv, 3)
        != NGX_HTTP_AI_REDIS_OK)
    {
        return NGX_DECLINED;
    }

    ngx_queue_insert_tail(&ngx_http_ai_telling, &leave->queue);

    return NGX_OK;
}


static void
ngx_http_ai_leave_told(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_leave_t *leave = cmd->data;

    int64_t    n;
    ai_str_t   job;
    ngx_str_t  id;

    ngx_queue_remove(&leave->queue);

    if (status == NGX_HTTP_AI_REDIS_TIMEOUT
        || status == NGX_HTTP_AI_REDIS_CLOSED
        || status == NGX_HTTP_AI_REDIS_FULL
        || (status == NGX_HTTP_AI_REDIS_ERROR
            && ngx_http_ai_leave_passes(cmd->error)))
    {
        ngx_http_ai_count(redis_errors);
        ngx_queue_insert_tail(&ngx_http_ai_leaving, &leave->queue);
        return;
    }

    if (status == NGX_HTTP_AI_REDIS_OK && leave->unsure
        && ai_str_eqz(ngx_http_ai_reply_str(reply, 0), "GONE"))
    {
        leave->unsure = 0;
        ngx_queue_insert_tail(&ngx_http_ai_leaving, &leave->queue);
        return;
    }

    if (status == NGX_HTTP_AI_REDIS_OK
        && ai_str_eqz(ngx_http_ai_reply_str(reply, 0), "JOINED"))
    {
        job = ngx_http_ai_reply_str(reply, 1);

        if (ai_id_job_ok(job)
            && ai_str_int(ngx_http_ai_reply_str(reply, 2), &n) == 0 && n > 0)
        {
            id.data = (u_char *) job.data;
            id.len = job.len;
            ngx_http_ai_open_unfollow(&id, leave->shard, n);
        }
    }

    ngx_http_ai_nleaving--;
    ngx_free(leave);
}


/* Whether an error is of the server's state, and not of the command. */

static ngx_uint_t
ngx_http_ai_leave_passes(ngx_uint_t error)
{
    switch (error) {

    case NGX_HTTP_AI_REDIS_E_LOADING:
    case NGX_HTTP_AI_REDIS_E_READONLY:
    case NGX_HTTP_AI_REDIS_E_MASTERDOWN:
    case NGX_HTTP_AI_REDIS_E_NOREPLICAS:
    case NGX_HTTP_AI_REDIS_E_OOM:
    case NGX_HTTP_AI_REDIS_E_MISCONF:
    case NGX_HTTP_AI_REDIS_E_BUSY:
        return 1;

    default:
        return 0;
    }
}
