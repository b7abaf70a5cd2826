/*
 * The Redis transport of one nginx worker process: three connections in
 * nginx's own event loop.
 * The process owns one ngx_http_ai_redis_t from its init_process to its
 * exit_process; everything here is called from the event loop and never blocks.
 */

#ifndef NGX_HTTP_AI_REDIS_H
#define NGX_HTTP_AI_REDIS_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <ai_resp.h>
#include <ai_scripts.h>
#include <ai_sign.h>


/*
 * Which connection.  Commands on one connection are answered in their order;
 * between connections there is no order.  SUB takes no commands, but for those
 * of the handshake hook.
 */

#define NGX_HTTP_AI_REDIS_COMMANDS   0
#define NGX_HTTP_AI_REDIS_SUB        1
#define NGX_HTTP_AI_REDIS_BULK       2       /* bodies over 256 KB */
#define NGX_HTTP_AI_REDIS_CONNS      3


/* How a command ended. */

#define NGX_HTTP_AI_REDIS_OK         0
#define NGX_HTTP_AI_REDIS_ERROR      1       /* see cmd->error */
#define NGX_HTTP_AI_REDIS_TIMEOUT    2       /* no reply in time; it may have
                                                run if cmd->sent */
#define NGX_HTTP_AI_REDIS_CLOSED     3       /* no connection, or lost; it may
                                                have run if cmd->sent */
#define NGX_HTTP_AI_REDIS_FULL       4       /* over a bound: it has not run */


/* What an error reply says: its first word, as far as anyone acts on it. */

#define NGX_HTTP_AI_REDIS_E_NONE        0
#define NGX_HTTP_AI_REDIS_E_OTHER       1
#define NGX_HTTP_AI_REDIS_E_NOSCRIPT    2
#define NGX_HTTP_AI_REDIS_E_LOADING     3    /* this, READONLY, MASTERDOWN and
                                                NOREPLICAS with Sentinel: the
                                                connection is made anew */
#define NGX_HTTP_AI_REDIS_E_READONLY    4
#define NGX_HTTP_AI_REDIS_E_MASTERDOWN  5
#define NGX_HTTP_AI_REDIS_E_NOREPLICAS  6
#define NGX_HTTP_AI_REDIS_E_OOM         7
#define NGX_HTTP_AI_REDIS_E_MISCONF     8
#define NGX_HTTP_AI_REDIS_E_NOAUTH      9    /* also WRONGPASS, NOPERM */
#define NGX_HTTP_AI_REDIS_E_BUSY        10   /* a script or module is running */
#define NGX_HTTP_AI_REDIS_E_MOVED       11   /* also ASK, CLUSTERDOWN,
                                                CROSSSLOT, TRYAGAIN */
#define NGX_HTTP_AI_REDIS_E_NOGROUP     12
#define NGX_HTTP_AI_REDIS_E_BUSYGROUP   13


/* Bounds.  What passes one fails at once or closes the connection. */

/* Unanswered commands a connection. */
#define NGX_HTTP_AI_REDIS_MAX_PENDING    65536
/* Bytes formatted and not yet answered, a connection. */
#define NGX_HTTP_AI_REDIS_MAX_OUT        (32 * 1024 * 1024)
#define NGX_HTTP_AI_REDIS_MAX_BULK_OUT   (256 * 1024 * 1024)
/* One reply: its bytes, and its elements, nested ones included. */
#define NGX_HTTP_AI_REDIS_MAX_REPLY      (32 * 1024 * 1024)
#define NGX_HTTP_AI_REDIS_MAX_ELEMENTS   131072
/* Arrays in arrays. */
#define NGX_HTTP_AI_REDIS_MAX_DEPTH      AI_RESP_DEPTH_MAX
/* Channels of the subscription. */
#define NGX_HTTP_AI_REDIS_MAX_CHANNELS   16
/* Addresses of one host, and Sentinels. */
#define NGX_HTTP_AI_REDIS_MAX_ADDRS      16
#define NGX_HTTP_AI_REDIS_MAX_SENTINELS  16


typedef struct ngx_http_ai_redis_s      ngx_http_ai_redis_t;
typedef struct ngx_http_ai_redis_cmd_s  ngx_http_ai_redis_cmd_t;


/*
 * The end of a command, called exactly once for each command that was taken,
 * unless it is cancelled, and never from within the call that gave it.
 * reply is valid during the call only; it is NULL for TIMEOUT, CLOSED and FULL.
 * The handler may give and cancel commands, and may free cmd.  A handler that
 * may finalize a request ends with ngx_http_run_posted_requests(c).
 */
typedef void (*ngx_http_ai_redis_handler_pt)(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);


/*
 * One command, in the caller's memory until its handler is called or it is
 * cancelled.  Zeroed, then the first part filled in by the caller; used again
 * only after its end.
 */
struct ngx_http_ai_redis_cmd_s {
    ngx_http_ai_redis_handler_pt   handler;
    void                          *data;
    ngx_msec_t                     timeout;    /* 0: command_timeout; on BULK
                                                  without a byte moving */
    unsigned                       handshake:1;  /* see hooks.handshake */

    unsigned                       sent:1;     /* some of it was written */
    ngx_uint_t                     error;      /* ..._E_*, with ERROR */

    void                          *slot;       /* the transport's */
};


/* A host of the configuration, with the addresses it had then. */
typedef struct {
    ngx_str_t                      host;       /* empty for a Unix socket */
    ngx_str_t                      name;       /* host:port, for messages */
    in_port_t                      port;
    ngx_addr_t                    *addrs;
    ngx_uint_t                     naddrs;
    unsigned                       resolve:1;  /* a name, not an address */
} ngx_http_ai_redis_host_t;


/*
 * The directive:
 *
 *   ai_redis  unix:/path | redis://[user@]host[:port][/db]
 *             | rediss://[user@]host[:port][/db]
 *             [user=NAME] [password=file:PATH] [db=N]
 *             [sentinel=host[:port] ... master=NAME [sentinel_user=NAME]
 *              [sentinel_password=file:PATH]]
 *             [connect_timeout=1s] [command_timeout=1s]
 *             [tls_ca=FILE] [tls_name=NAME] [tls_verify=on|off]
 *             [tls_cert=FILE tls_key=FILE] [sign=file:PATH];
 *
 * With sentinel= the address names no host: redis:// or rediss:// alone, with
 * user and db where wanted (rediss is for the Sentinels, too).
 */
typedef struct {
    ngx_http_ai_redis_host_t       host;
    ngx_array_t                    sentinels;  /* ngx_http_ai_redis_host_t */
    ngx_str_t                      master;

    ngx_str_t                      user;
    ngx_str_t                      password;   /* wiped with the cycle */
    ngx_str_t                      sentinel_user;
    ngx_str_t                      sentinel_password;
    ngx_uint_t                     db;

    ai_sign_t                     *sign;       /* NULL: jobs are not signed */

    ngx_msec_t                     connect_timeout;
    ngx_msec_t                     command_timeout;

    ngx_ssl_t                     *ssl;        /* NULL: no TLS */
    ngx_str_t                      tls_name;   /* empty: the host */
    ngx_flag_t                     tls_verify;

    ngx_http_core_loc_conf_t      *clcf;       /* of http{}: its resolver */
    unsigned                       set:1;      /* the directive was seen */
} ngx_http_ai_redis_conf_t;


/*
 * What the process wants of its connections.  Kept by the transport: strings,
 * array and data live as long as it does.  Any handler may be NULL.
 */
typedef struct {
    /* CLIENT SETNAME; the connection's name is added.  Without blanks. */
    ngx_str_t                      name;

    /*
     * Subscribed to at the start and after each reconnect; read then, so that
     * the handshake of SUB may still set them.
     */
    ngx_str_t                     *channels;
    ngx_uint_t                     nchannels;

    void                          *data;

    /*
     * Connection `which` has finished its own handshake.  Commands given from
     * here with cmd.handshake set, and from their handlers, run before all
     * others; the connection is READY when the last of them is answered.
     * NGX_ERROR, or ngx_http_ai_redis_refuse() later, ends the attempt.
     */
    ngx_int_t                    (*handshake)(ngx_http_ai_redis_t *redis,
                                       ngx_uint_t which, void *data);

    /* A message.  Both strings are valid during the call only. */
    void                         (*message)(ngx_http_ai_redis_t *redis,
                                       ngx_str_t *channel, ngx_str_t *payload,
                                       void *data);

    /* All channels are acknowledged: what was published before is missed. */
    void                         (*subscribed)(ngx_http_ai_redis_t *redis,
                                       void *data);

    /* The subscription is gone; it is being made anew. */
    void                         (*lost)(ngx_http_ai_redis_t *redis,
                                       void *data);
} ngx_http_ai_redis_hooks_t;


typedef enum {
    NGX_HTTP_AI_REDIS_WAITING = 0,             /* for the next attempt */
    NGX_HTTP_AI_REDIS_RESOLVING,
    NGX_HTTP_AI_REDIS_CONNECTING,
    NGX_HTTP_AI_REDIS_SENTINEL,                /* asking who is master */
    NGX_HTTP_AI_REDIS_HANDSHAKE,
    NGX_HTTP_AI_REDIS_READY,
    NGX_HTTP_AI_REDIS_STOPPED
} ngx_http_ai_redis_state_e;


/* One connection, for /health and /metrics.  Holds no secret. */
typedef struct {
    const char                    *name;       /* "commands", "sub", "bulk" */
    ngx_http_ai_redis_state_e      state;
    const char                    *state_name;
    ngx_msec_t                     since;      /* ms in this state */
    ngx_str_t                      address;    /* peer, or empty */
    ngx_str_t                      error;      /* last error, or empty */
    ngx_uint_t                     rtt_usec;   /* last PING, 0: none yet */
    ngx_uint_t                     failures;   /* in a row */
    ngx_uint_t                     pending;    /* unanswered commands */
    size_t                         out_bytes;  /* held for them */
    uint64_t                       connects;   /* times READY */
    uint64_t                       commands;   /* taken */
    uint64_t                       errors;     /* error replies */
    uint64_t                       timeouts;
    uint64_t                       refused;    /* FULL or CLOSED at once */
    uint64_t                       bytes_in;
    uint64_t                       bytes_out;
} ngx_http_ai_redis_info_t;


/*
 * Reads the directive's arguments from cf->args into conf, which the caller
 * zeroed.  Host names are looked up here, and again at run time if http{} has a
 * resolver; an unknown name is an error unless a resolver stands above it.
 * Password files are read here.  Returns NGX_CONF_OK, "is duplicate", or
 * NGX_CONF_ERROR after logging why.
 */
char *ngx_http_ai_redis_parse(ngx_conf_t *cf, ngx_http_ai_redis_conf_t *conf);

/*
 * Begins to connect; from init_process.  Returns NULL without memory, and in
 * any process that serves no requests (cache manager, loader), where the
 * caller goes on without.  conf and hooks are kept, not copied.
 */
ngx_http_ai_redis_t *ngx_http_ai_redis_start(ngx_cycle_t *cycle,
    ngx_http_ai_redis_conf_t *conf, ngx_http_ai_redis_hooks_t *hooks);

/*
 * Closes everything; from exit_process.  No handler is called any more, and
 * redis is gone.  NULL is allowed.
 */
void ngx_http_ai_redis_stop(ngx_http_ai_redis_t *redis);

/*
 * Gives a command: argv[0] is its name.  The arguments are copied.  Written at
 * the end of this turn of the event loop, with all others of the turn.
 *
 * Returns OK: taken, the handler will be called.  FULL or CLOSED: not taken,
 * the handler will not be called.  A command given while the connection is made
 * for the first time, or again after a loss, waits for it within its timeout;
 * once an attempt has failed, commands are refused until it is READY.
 *
 * cmd may be NULL for a command whose reply nobody waits for: an error reply
 * to it is logged.
 */
ngx_uint_t ngx_http_ai_redis_command(ngx_http_ai_redis_t *redis,
    ngx_uint_t which, ngx_http_ai_redis_cmd_t *cmd, ngx_str_t *argv,
    ngx_uint_t argc);

/*
 * The same with a body as argument number at (1 is the one after the name),
 * argv[at] and the rest behind it.  The body's buffers are in memory (of any
 * number and size) and are not copied where they are long: they stay unchanged
 * until the handler is called or the command is cancelled.  cmd is not NULL.
 */
ngx_uint_t ngx_http_ai_redis_command_body(ngx_http_ai_redis_t *redis,
    ngx_uint_t which, ngx_http_ai_redis_cmd_t *cmd, ngx_str_t *argv,
    ngx_uint_t argc, ngx_chain_t *body, ngx_uint_t at);

/*
 * Runs a script of ai_scripts[] on COMMANDS, by its hash, and by its source
 * where the server does not know it: the caller never sees NOSCRIPT unless the
 * server insists.  Keys and arguments are copied; otherwise as _command().
 */
ngx_uint_t ngx_http_ai_redis_eval(ngx_http_ai_redis_t *redis,
    ngx_http_ai_redis_cmd_t *cmd, ai_script_e script, ngx_str_t *keys,
    ngx_uint_t nkeys, ngx_str_t *argv, ngx_uint_t argc);

/*
 * Forgets a command: its handler is not called, its reply is dropped when it
 * comes, its memory and its body are the caller's again.  What was taken is
 * still sent.  Does nothing to a command that is not under way.
 */
void ngx_http_ai_redis_cancel(ngx_http_ai_redis_cmd_t *cmd);

/* Whether cmd was taken and has not ended. */
#define ngx_http_ai_redis_pending(cmd)  ((cmd)->slot != NULL)

/* Whether the connection is READY (for SUB: subscribed to all channels). */
ngx_uint_t ngx_http_ai_redis_ready(ngx_http_ai_redis_t *redis,
    ngx_uint_t which);

/*
 * Milliseconds since the server was last heard on the subscription, which is
 * asked every 300 ms; (ngx_msec_t) -1 while there is none.  Shared memory that
 * the subscription keeps true may be trusted only while this is under 1000.
 */
ngx_msec_t ngx_http_ai_redis_heard(ngx_http_ai_redis_t *redis);

/*
 * Closes the connection for a reason that is logged and retried with backoff;
 * from the handlers of the handshake.  Takes effect after they return.
 */
void ngx_http_ai_redis_refuse(ngx_http_ai_redis_t *redis, ngx_uint_t which,
    const char *reason);

/* Fills info; its strings are valid until the next turn of the event loop. */
void ngx_http_ai_redis_info(ngx_http_ai_redis_t *redis, ngx_uint_t which,
    ngx_http_ai_redis_info_t *info);


#endif
