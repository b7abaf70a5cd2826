/*
 * Requests that wait for a job's events: what each of them is, and the table
 * by which the bell finds those of a job.  Several may listen to one.
 */

#ifndef NGX_HTTP_AI_OPEN_H
#define NGX_HTTP_AI_OPEN_H

#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_seed.h"
#include "ai_event.h"


typedef enum {
    NGX_HTTP_AI_SUBSCRIBING = 0,              /* the bell does not work yet */
    NGX_HTTP_AI_ADMITTING,
    NGX_HTTP_AI_LISTENING
} ngx_http_ai_stage_e;


typedef enum {
    NGX_HTTP_AI_NO_HEAD = 0,
    NGX_HTTP_AI_SSE,                          /* events as they come */
    NGX_HTTP_AI_WHOLE,                        /* collected to its end */
    NGX_HTTP_AI_PIPE,                         /* too large to collect */
    NGX_HTTP_AI_WRAP                          /* no SSE, sent as one event */
} ngx_http_ai_mode_e;


/* Whether the job's log may grow. */
typedef enum {
    NGX_HTTP_AI_JOB_GONE = 0,                 /* nobody knows it */
    NGX_HTTP_AI_JOB_WAITING,
    NGX_HTTP_AI_JOB_RUNNING,
    NGX_HTTP_AI_JOB_OVER
} ngx_http_ai_state_e;


/*
 * A request that waits for a job's events.  It lies in the request's pool and
 * is closed by the request's cleanup at the latest.
 */
struct ngx_http_ai_open_s {
    ngx_queue_t                 queue;        /* in the edge's table */
    ngx_http_request_t         *request;
    ngx_http_ai_ctx_t          *ctx;
    ngx_http_ai_loc_conf_t     *conf;
    ngx_str_t                   tenant;
    ngx_uint_t                  shard;
    ngx_http_ai_stage_e         stage;

    unsigned                    table:1;
    unsigned                    listening:1;  /* leave when it closes */
    unsigned                    unsure:1;     /* admit may have run */
    unsigned                    begun:1;      /* body script unanswered */
    unsigned                    bulk:1;       /* body is there, no job yet */
    unsigned                    closed:1;

    /* admit */
    ngx_http_ai_redis_cmd_t     cmd;          /* admit, cancel, join, SET */
    ngx_http_ai_redis_cmd_t     set;          /* the body's, before admit */
    ngx_http_ai_seed_t          seed;         /* admit's question */
    ngx_msec_t                  deadline;     /* of the queue; 0: none */
    unsigned                    started:1;    /* something came, or it runs */
    unsigned                    stale:1;      /* looked up again once */
    unsigned                    retry:1;      /* admit is given again */
    unsigned                    lost:1;       /* the reply to an admit was */
    unsigned                    joined:1;     /* not admitted by this one */
    ngx_uint_t                  bodies;       /* times the body had gone */
    ngx_uint_t                  joins;        /* of this edge to the job, as
                                                 far as it knows */
    void                      (*stored)(ngx_http_ai_open_t *open,
                                    ngx_int_t rc);
    ngx_chain_t                *piece;        /* of the body, the next */
    ngx_uint_t                  pieces;       /* stored */

    /* events: the order they are in, and the log */
    ngx_http_ai_redis_cmd_t     range;
    ngx_http_ai_redis_cmd_t     state;
    ngx_msec_t                  heard;        /* last sign of life */
    ngx_uint_t                  kept;         /* times the log was, for a slow
                                                 client */
    ngx_uint_t                  count;        /* entries to ask for */
    ngx_uint_t                  entries;      /* of the last read */
    ngx_uint_t                  taken;        /* and how many were new */
    ngx_msec_t                  down;         /* since when reads fail */
    ngx_http_ai_state_e         state_of;     /* the job's, as of that read */
    ai_event_id_t               tip;
    ngx_str_t                   worker;       /* whose attempt this is */
    ngx_msec_t                  rewound_at;
    unsigned                    rewound:1;    /* Redis does not know of it */
    unsigned                    reading:1;
    unsigned                    again:1;      /* read once more */
    unsigned                    lagging:1;    /* buffers ran full */

    /* stream */
    ngx_event_t                 run;          /* posted: output, end */
    ngx_event_t                 timer;
    ngx_http_ai_mode_e          mode;
    ngx_chain_t                *out;          /* filled, not yet given on */
    ngx_chain_t                *tail;         /* of out, may have room */
    ngx_chain_t                *busy;
    ngx_chain_t                *free;
    ngx_uint_t                  nbufs;
    int64_t                     from;         /* of Responses: the number that
                                                 the client has, and one */
    int64_t                     seen;         /* the same of the last event */
    size_t                      skip;         /* taken of the next event */
    size_t                      collected;
    ngx_msec_t                  header_at;
    ngx_msec_t                  sent_at;
    unsigned                    sse:1;        /* the client wants events */
    unsigned                    ids:1;        /* with id: lines */
    unsigned                    prefixed:1;   /* id: line of the next is out */
    unsigned                    early:1;      /* header without a head */
    unsigned                    header:1;     /* header was sent */
    unsigned                    boundary:1;   /* between two SSE events */
    unsigned                    behind:1;     /* inside what the client has */
    unsigned                    ended:1;      /* end or error was taken */

    ngx_uint_t                  status;       /* of the head */
    ngx_uint_t                  error_status; /* of our own error; 0: table */
    time_t                      retry_after;
    const char                 *cause;        /* of the error it ends with */
    ngx_str_t                   message;
};


/* For init_process, before the bell can ring. */
void ngx_http_ai_open_init(void);
/* The bell rings: events for all that listen to its job. */
void ngx_http_ai_open_events(ai_bell_t *bell);
/* The bell works again: all of the table are told. */
void ngx_http_ai_open_subscribed(void);

/*
 * Makes ctx->open, for ctx->job and the tenant of ctx->principal.  NGX_OK;
 * NGX_BUSY over max_streams; NGX_ERROR without memory.
 */
ngx_int_t ngx_http_ai_open(ngx_http_request_t *r, ngx_http_ai_ctx_t *ctx);
/* Into the table: events of the job come from now on. */
void ngx_http_ai_open_listen(ngx_http_ai_open_t *open);
/* The job's events are those of another one now: its id, from the pool. */
void ngx_http_ai_open_follow(ngx_http_ai_open_t *open, ngx_str_t *job);
/* It has joined this job, and is no more: leaves, unless others listen. */
void ngx_http_ai_open_unfollow(ngx_str_t *job, ngx_uint_t shard,
    ngx_uint_t joins);
/* Out of the table, timers and commands off; leaves the job where it has not
 * ended.  May be called again. */
void ngx_http_ai_open_close(ngx_http_ai_open_t *open);
/* Whether a request of this process listens to it, as Redis knows. */
ngx_uint_t ngx_http_ai_open_listens(ngx_str_t *job);
/* Whether another request of this process than this one listens to its job. */
ngx_uint_t ngx_http_ai_open_shared(ngx_http_ai_open_t *open);


#endif /* NGX_HTTP_AI_OPEN_H */
