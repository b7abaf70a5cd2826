/*
 * The inside of the Redis transport: what its files share and nobody else may
 * include.  A connection owns its socket, its reader and two lanes of commands.
 */

#ifndef NGX_HTTP_AI_REDIS_CONN_H
#define NGX_HTTP_AI_REDIS_CONN_H


#include "ngx_http_ai_redis.h"


#define NGX_HTTP_AI_REDIS_BLOCK        16384   /* an output block, in all */
#define NGX_HTTP_AI_REDIS_FREE_BLOCKS  64      /* kept for reuse */
#define NGX_HTTP_AI_REDIS_FREE_SLOTS   1024
#define NGX_HTTP_AI_REDIS_COPY         2048    /* shorter body parts: copied */

#define NGX_HTTP_AI_REDIS_KEEP         65536   /* of a read buffer */
#define NGX_HTTP_AI_REDIS_TURN         524288  /* bytes read in one turn */

#define NGX_HTTP_AI_REDIS_ERROR_LEN    256     /* of a kept error text */
#define NGX_HTTP_AI_REDIS_NAME_LEN     320     /* a host name and a port */
#define NGX_HTTP_AI_REDIS_STEPS        5       /* of a handshake */

#define NGX_HTTP_AI_REDIS_BACKOFF_MIN  25
#define NGX_HTTP_AI_REDIS_BACKOFF_MAX  2000
#define NGX_HTTP_AI_REDIS_STABLE       1000    /* READY so long: no backoff */
#define NGX_HTTP_AI_REDIS_PING         5000
#define NGX_HTTP_AI_REDIS_SUB_PING     300
#define NGX_HTTP_AI_REDIS_RESOLVE      5000


typedef struct ngx_http_ai_redis_conn_s  ngx_http_ai_redis_conn_t;
typedef struct ngx_http_ai_redis_seg_s   ngx_http_ai_redis_seg_t;


/*
 * A piece of the stream of bytes to the server, [begin, end).  Kept, sent or
 * not, until the commands in it are answered: EVAL takes its arguments from it.
 */
struct ngx_http_ai_redis_seg_s {
    ngx_chain_t                    link;       /* first; link.buf is &buf */
    ngx_buf_t                      buf;
    uint64_t                       begin;
    uint64_t                       end;
    u_char                        *copy;       /* of a body whose owner left */
    unsigned                       borrowed:1;
    /* an owned block's bytes follow */
};


/* One unanswered command. */
typedef struct {
    ngx_queue_t                    queue;
    ngx_http_ai_redis_conn_t      *conn;
    ngx_http_ai_redis_cmd_t       *cmd;        /* NULL: the reply is dropped */
    ngx_http_ai_redis_seg_t       *seg;        /* where begin lies */
    uint64_t                       begin;
    uint64_t                       args;       /* of a script: after its hash */
    uint64_t                       end;
    ngx_msec_t                     deadline;
    ngx_msec_t                     timeout;
    ngx_uint_t                     argc;
    unsigned                       script:8;   /* ai_script_e + 1, or 0 */
    unsigned                       tries:2;
    unsigned                       internal:1; /* does not hold back an exit */
    unsigned                       borrowed:1;
    unsigned                       early:1;    /* in the handshake lane */
} ngx_http_ai_redis_slot_t;


/* A FIFO of commands and the bytes that state them. */
typedef struct {
    ngx_queue_t                    slots;
    ngx_uint_t                     nslots;
    ngx_uint_t                     nwaiting;   /* slots that are not internal */
    ngx_http_ai_redis_seg_t       *first;
    ngx_http_ai_redis_seg_t       *last;
    ngx_chain_t                   *out;        /* unsent from here, or NULL */
    uint64_t                       taken;      /* stream offsets */
    uint64_t                       sent;
    size_t                         held;       /* by the segments, in bytes */
    size_t                         max;
    uint64_t                       evals[AI_SCRIPT_LAST];  /* its last EVAL */
    unsigned                       wipe:1;     /* it carried a password */
    unsigned                       broken:1;   /* a borrowed body is gone */
} ngx_http_ai_redis_lane_t;


struct ngx_http_ai_redis_conn_s {
    /* As in ngx_connection_t, for the debug log of timers. */
    void                          *ident[3];
    ngx_socket_t                   fd;

    ngx_http_ai_redis_t           *redis;
    ngx_uint_t                     which;
    const char                    *name;

    ngx_connection_t              *connection;
    ngx_http_ai_redis_state_e      state;
    ngx_msec_t                     since;
    ngx_log_t                      log;        /* quiet while retrying */

    ai_resp_reader_t               reader;

    ngx_http_ai_redis_lane_t       early;      /* the handshake's */
    ngx_http_ai_redis_lane_t       lane;

    ngx_event_t                    flush;      /* posted, once a turn */
    ngx_event_t                    timer;      /* of the state; cancelable */
    ngx_event_t                    deadline;   /* of the lanes' heads */

    ngx_msec_t                     backoff;
    ngx_uint_t                     failures;
    ngx_msec_t                     heard;      /* when bytes came last */
    ngx_msec_t                     moved;      /* when bytes moved last */
    ngx_msec_t                     warned;     /* of a command's error */

    ngx_http_ai_redis_host_t      *target;
    ngx_http_ai_redis_host_t       master;     /* as a Sentinel said */
    u_char                         master_host[NGX_HTTP_AI_REDIS_NAME_LEN];
    u_char                         master_name[NGX_HTTP_AI_REDIS_NAME_LEN];
    ngx_addr_t                     master_addr;
    ngx_sockaddr_t                 master_sockaddr;
    ngx_uint_t                     sentinel;   /* which to ask first */
    ngx_uint_t                     asked;      /* Sentinels, this attempt */

    ngx_addr_t                    *addrs;
    ngx_uint_t                     naddrs;
    ngx_uint_t                     addr;
    ngx_resolver_ctx_t            *resolving;
    ngx_addr_t                     found[NGX_HTTP_AI_REDIS_MAX_ADDRS];
    ngx_sockaddr_t                 sockaddrs[NGX_HTTP_AI_REDIS_MAX_ADDRS];
    u_char                         texts[NGX_HTTP_AI_REDIS_MAX_ADDRS]
                                        [NGX_SOCKADDR_STRLEN];

    ngx_http_ai_redis_cmd_t        steps[NGX_HTTP_AI_REDIS_STEPS];
    ngx_uint_t                     nsteps;
    ngx_http_ai_redis_cmd_t        ping;
    uint64_t                       ping_usec;

    ngx_uint_t                     pings;      /* SUB: unanswered */
    uint32_t                       acks;       /* SUB: channels, by bit */

    size_t                         error_len;
    u_char                         error[NGX_HTTP_AI_REDIS_ERROR_LEN];
    size_t                         logged_len;
    u_char                         logged[NGX_HTTP_AI_REDIS_ERROR_LEN];

    ngx_http_ai_redis_info_t       info;       /* its counters only */

    unsigned                       doomed:1;   /* closed after dispatch */
    unsigned                       asking:1;   /* the peer is a Sentinel */
    unsigned                       answered:1; /* and has named the master */
    unsigned                       hooked:1;   /* hooks.handshake was called */
    unsigned                       subscribing:1;
};


struct ngx_http_ai_redis_s {
    ngx_http_ai_redis_conf_t      *conf;
    ngx_http_ai_redis_hooks_t     *hooks;
    ngx_log_t                     *log;
    ngx_http_ai_redis_conn_t       conns[NGX_HTTP_AI_REDIS_CONNS];

    ngx_http_ai_redis_seg_t       *blocks;     /* free ones */
    ngx_uint_t                     nblocks;
    ngx_http_ai_redis_seg_t       *links;      /* free borrowed segments */
    ngx_uint_t                     nlinks;
    ngx_queue_t                    slots;      /* free ones */
    ngx_uint_t                     nslots;
};


/* ngx_http_ai_redis.c */

/* Closes a connection for good; with call 0, no handler is called. */
void ngx_http_ai_redis_stop_conn(ngx_http_ai_redis_conn_t *conn,
    ngx_uint_t call);


/* ngx_http_ai_redis_out.c: bytes to the server */

void ngx_http_ai_redis_out_init(ngx_http_ai_redis_lane_t *lane, size_t max);

/*
 * Makes sure that bytes to be copied and nlinks borrowed pieces fit without
 * another allocation.  NGX_BUSY over the bound, NGX_ERROR without memory.
 */
ngx_int_t ngx_http_ai_redis_out_reserve(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, size_t bytes, size_t borrowed,
    ngx_uint_t nlinks);

/* These follow a reserve and cannot fail. */
void ngx_http_ai_redis_out_copy(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, const void *data, size_t len);
void ngx_http_ai_redis_out_size(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, u_char type, size_t n);
void ngx_http_ai_redis_out_arg(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, const void *data, size_t len);
void ngx_http_ai_redis_out_borrow(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, u_char *pos, size_t len);

/* Copies [from, to) of the same lane, beginning to look in seg. */
void ngx_http_ai_redis_out_again(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, ngx_http_ai_redis_seg_t *seg,
    uint64_t from, uint64_t to);

/* Makes the borrowed bytes in [from, to), from seg on, the lane's own. */
ngx_int_t ngx_http_ai_redis_out_own(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane, ngx_http_ai_redis_seg_t *seg, uint64_t to);

/* Frees what was sent and lies before the first unanswered command. */
void ngx_http_ai_redis_out_release(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane);
void ngx_http_ai_redis_out_reset(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_lane_t *lane);
void ngx_http_ai_redis_out_done(ngx_http_ai_redis_t *redis);


/* ngx_http_ai_redis_reply.c: bytes from the server */

void ngx_http_ai_redis_reader_init(ngx_http_ai_redis_conn_t *conn);

/*
 * Gives each reply that conn->reader has whole to ngx_http_ai_redis_dispatch(),
 * until the connection is doomed.
 */
void ngx_http_ai_redis_reader_drain(ngx_http_ai_redis_conn_t *conn);

ngx_uint_t ngx_http_ai_redis_classify(ai_resp_t *reply);

/*
 * The text of an error reply as it may be logged: printable, short, without
 * the arguments that Redis repeats for an unknown command.
 */
ngx_str_t ngx_http_ai_redis_error_text(ai_resp_t *reply, u_char *buf,
    size_t len);


/* ngx_http_ai_redis_cmd.c: commands and their replies */

/* One of the transport's own; argv as in ngx_http_ai_redis_command(). */
ngx_uint_t ngx_http_ai_redis_internal(ngx_http_ai_redis_conn_t *conn,
    ngx_http_ai_redis_cmd_t *cmd, ngx_uint_t early, ngx_str_t *argv,
    ngx_uint_t argc);

void ngx_http_ai_redis_dispatch(ngx_http_ai_redis_conn_t *conn,
    ai_resp_t *reply);

/*
 * Empties a lane: those past their deadline end as TIMEOUT, the others as
 * CLOSED.  With call 0, no handler is called.
 */
void ngx_http_ai_redis_lane_fail(ngx_http_ai_redis_conn_t *conn,
    ngx_http_ai_redis_lane_t *lane, ngx_uint_t call);

void ngx_http_ai_redis_deadline_handler(ngx_event_t *ev);


/* ngx_http_ai_redis_conn.c: sockets, and when to try again */

void ngx_http_ai_redis_state(ngx_http_ai_redis_conn_t *conn,
    ngx_http_ai_redis_state_e state);

/* Begins an attempt. */
void ngx_http_ai_redis_connect(ngx_http_ai_redis_conn_t *conn);

/* Connects to the addresses of conn->target, in turn. */
void ngx_http_ai_redis_connect_target(ngx_http_ai_redis_conn_t *conn);

/*
 * The connection has no future; the reason is kept.  It is closed when the
 * code that is running on it has returned.
 */
void ngx_http_ai_redis_doom(ngx_http_ai_redis_conn_t *conn, const char *fmt,
    ...);

/* Closes the socket, and nothing else. */
void ngx_http_ai_redis_disconnect(ngx_http_ai_redis_conn_t *conn);

/*
 * Acts on a doomed connection: tries the next address where there is one, and
 * otherwise fails what waits and sets the time of the next attempt.
 */
void ngx_http_ai_redis_close(ngx_http_ai_redis_conn_t *conn);

/* The end of the handshake. */
void ngx_http_ai_redis_established(ngx_http_ai_redis_conn_t *conn);

/* The socket is writable for the first time: it is connected, or failed. */
void ngx_http_ai_redis_connected(ngx_http_ai_redis_conn_t *conn);


/* ngx_http_ai_redis_io.c: reading, writing, and the state's timer */

void ngx_http_ai_redis_read_handler(ngx_event_t *rev);
void ngx_http_ai_redis_write_handler(ngx_event_t *wev);
void ngx_http_ai_redis_flush_handler(ngx_event_t *ev);
void ngx_http_ai_redis_timer_handler(ngx_event_t *ev);
void ngx_http_ai_redis_pong(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status);

/* Writes now. */
void ngx_http_ai_redis_flush(ngx_http_ai_redis_conn_t *conn);

/* Writes at the end of this turn of the event loop. */
void ngx_http_ai_redis_post_flush(ngx_http_ai_redis_conn_t *conn);


/* ngx_http_ai_redis_handshake.c: from a connected socket to READY */

void ngx_http_ai_redis_handshake(ngx_http_ai_redis_conn_t *conn);

/* After each reply in a handshake: goes on when the last one has come. */
void ngx_http_ai_redis_handshake_next(ngx_http_ai_redis_conn_t *conn);

/* Asks the next Sentinel; NGX_DECLINED when all were asked. */
ngx_int_t ngx_http_ai_redis_sentinel_next(ngx_http_ai_redis_conn_t *conn);

uint64_t ngx_http_ai_redis_usec(void);


/* ngx_http_ai_redis_sub.c: the subscription */

void ngx_http_ai_redis_subscribe(ngx_http_ai_redis_conn_t *conn);
void ngx_http_ai_redis_sub_dispatch(ngx_http_ai_redis_conn_t *conn,
    ai_resp_t *reply);
void ngx_http_ai_redis_sub_timer(ngx_http_ai_redis_conn_t *conn);


/* ngx_http_ai_redis_sign.c: sign=file:PATH; NGX_ERROR after it was logged */

ngx_int_t ngx_http_ai_redis_sign(ngx_conf_t *cf,
    ngx_http_ai_redis_conf_t *conf, ngx_str_t *value);


/* ngx_http_ai_redis_tls.c */

ngx_int_t ngx_http_ai_redis_tls_start(ngx_http_ai_redis_conn_t *conn,
    ngx_connection_handler_pt handler);

/* After the handshake: NGX_ERROR after ngx_http_ai_redis_doom(). */
ngx_int_t ngx_http_ai_redis_tls_check(ngx_http_ai_redis_conn_t *conn);


#endif
