/*
 * A connection to Redis in libuv's loop: commands with callbacks in order,
 * scripts, subscriptions; reconnects by itself, to the master that a Sentinel
 * names where there are some.
 *
 * A redis_t owns its socket, buffers and the commands that wait for replies;
 * a reply lies in the connection's buffer for the time of its callback, which
 * may take a copy.  Nothing blocks.  All calls from the loop's thread.
 */

#ifndef REDIS_H
#define REDIS_H

#include "ai_resp.h"
#include "ai_scripts.h"
#include "ai_str.h"
#include "loop.h"

#define REDIS_OUT_MAX      (64 * 1024 * 1024)   /* unwritten bytes */
#define REDIS_PENDING_MAX  65536                /* commands without a reply */
#define REDIS_ARGS_MAX     256                  /* words of a command */
#define REDIS_REPLY_MAX    (64 * 1024 * 1024)   /* bytes of a reply */
#define REDIS_ITEMS_MAX    262144               /* its elements */

#define REDIS_SENTINELS_MAX  16

typedef struct {
    char         name[256];
    int          port;
} redis_host_t;

typedef struct {
    redis_host_t host;          /* or empty: path, or Sentinels */
    char         path[108];
    char         user[128];
    char         password[512];
    int          db;
    redis_host_t sentinels[REDIS_SENTINELS_MAX];
    unsigned     nsentinels;
    char         master[128];   /* as the Sentinels name it */
    char         sentinel_user[128];
    char         sentinel_password[512];
    unsigned     tls:1;         /* to Sentinels, too */
} redis_conf_t;

typedef struct redis_s  redis_t;

/*
 * reply: what Redis answered (an error too: AI_RESP_ERROR), or NULL where
 * the connection was lost first: then nobody knows whether it was done.
 */
typedef void (*redis_reply_pt)(redis_t *rc, ai_resp_t *reply, void *data);

/* Each may be NULL. */
typedef struct {
    /* Handshake done; restarted: another server than before (its run id). */
    void (*ready)(redis_t *rc, int restarted, void *data);
    /* Lost; pending commands have had their NULL. */
    void (*lost)(redis_t *rc, void *data);
    /* A message of a channel this connection subscribed to. */
    void (*message)(redis_t *rc, ai_str_t channel, ai_str_t payload,
        void *data);
    /* All its channels are subscribed to, again where it had been lost. */
    void (*subscribed)(redis_t *rc, void *data);
} redis_events_t;

/* unix:[user[:pass]@]PATH, redis://[user[:pass]@]host[:port][/db], rediss://,
 * sentinel://[user[:pass]@]host[:port][,...]/master[/db], sentinels://: 0 or
 * -1.  User and password are Redis', not the Sentinels'. */
int redis_conf_parse(redis_conf_t *conf, const char *url);

/*
 * Begins to connect and keeps on; conf and ev are kept, not copied, name is
 * a constant ("commands").  A blocking read needs a connection of its own.
 * NULL: no memory.
 */
redis_t *redis_open(loop_t *loop, const redis_conf_t *conf, const char *name,
    const redis_events_t *ev, void *data);
/* Closes for good; pending commands get their NULL now.  Not from within one
 * of its own callbacks' stack twice; frees itself later. */
void redis_close(redis_t *rc);
int redis_ready(const redis_t *rc);

/*
 * Sends a command: 0, or -1 where the connection is not ready or full (the
 * callback is then not called).  argv is copied.  cb may be NULL.
 * Commands of one connection are answered in order.
 */
int redis_command(redis_t *rc, redis_reply_pt cb, void *data, unsigned argc,
    const ai_str_t *argv);
/* A command as a format: words divided by single spaces, %s a zero-ended
 * word, %b an ai_str_t, %d an int64_t.  No other conversions. */
int redis_commandf(redis_t *rc, redis_reply_pt cb, void *data,
    const char *fmt, ...);
/*
 * EVALSHA script 1 prefix argv...; with its text (EVAL) the first time on a
 * connection, lest NOSCRIPT put it behind what was sent after it, and after
 * NOSCRIPT once more.
 */
int redis_script(redis_t *rc, ai_script_e script, ai_str_t prefix,
    redis_reply_pt cb, void *data, unsigned argc, const ai_str_t *argv);
/* Like redis_command, for one that may take msec (a blocking read). */
int redis_command_wait(redis_t *rc, unsigned msec, redis_reply_pt cb,
    void *data, unsigned argc, const ai_str_t *argv);
/* Subscribes now and after each reconnect; channel is copied.  A connection
 * that subscribes takes no commands.  0 or -1. */
int redis_subscribe(redis_t *rc, ai_str_t channel);

/* In a reply callback: a copy of the reply, to be freed with free().  NULL: no
 * memory. */
ai_resp_t *redis_take(redis_t *rc);

/* Reading replies without trusting their shape (ai_resp.h). */
#define redis_str   ai_resp_str
#define redis_item  ai_resp_item
#define redis_int   ai_resp_int
/* First element of a script's reply is this word. */
int redis_word(const ai_resp_t *reply, const char *word);

#endif
