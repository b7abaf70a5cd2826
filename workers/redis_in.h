/*
 * The inside of a redis_t, for redis.c (the connection and what it hears) and
 * redis_send.c (what is said on it) alone.
 */

#ifndef REDIS_IN_H
#define REDIS_IN_H

#include "redis.h"
#include "redis_net.h"

#define REDIS_COMMAND_MSEC   5000       /* until a reply */
#define REDIS_CHANNELS_MAX   128

typedef enum {
    REDIS_WAITING = 0,          /* for the next try */
    REDIS_CONNECTING,
    REDIS_HANDSHAKE,
    REDIS_READY,
    REDIS_CLOSED
} redis_state_e;

typedef struct {
    redis_reply_pt     cb;
    void              *data;
    uint64_t           deadline_msec;
    const ai_script_t *script;  /* NOSCRIPT is answered by EVAL */
    char              *tail;    /* its command behind the script's name */
    size_t             tail_len;
    unsigned           words;
} redis_pending_t;

typedef struct {
    redis_host_t          master;   /* as a Sentinel said */
    redis_t              *next;     /* of this process' connections */
    unsigned              first;    /* Sentinel to ask first */
    unsigned              asked;    /* Sentinels, since it was ready */
    unsigned              asking:1; /* the peer is a Sentinel */
    unsigned              answered:1;
} sentinel_t;

struct redis_s {
    loop_t               *loop;
    const redis_conf_t   *conf;
    const char           *name;
    const redis_events_t *ev;
    void                 *data;

    redis_net_t           net;
    sentinel_t            sentinel;
    redis_state_e         state;
    ai_resp_reader_t      reader;
    uv_timer_t            timer;
    loop_task_t           flush;

    char                 *out;      /* 0..out_pos sent, ..out_len to send */
    size_t                out_pos;
    size_t                out_len;
    size_t                out_size;

    redis_pending_t      *pending;  /* ring */
    unsigned              pending_first;
    unsigned              pending_count;
    unsigned              pending_size;

    char                 *channels[REDIS_CHANNELS_MAX];
    unsigned              nchannels;

    uint32_t              known;    /* scripts this server has, as bits */

    uint64_t              retry_at_msec;
    uint64_t              heard_at_msec;
    uint64_t              pinged_at_msec;
    unsigned              backoff_msec;
    unsigned              seed;
    char                  run_id[64];
    char                  why[200];     /* it is broken, or empty */
    unsigned              broken:1;
    unsigned              moved:1;      /* the master is another now */
    unsigned              said_lost:1;
};

/* redis.c: ends the connection; why is NULL for redis_close. */
void redis_fail(redis_t *rc, const char *why);
/* Begins to connect, with nothing left of an earlier connection. */
void redis_dial(redis_t *rc, const redis_host_t *host);
/* From a reply's callback: ends it when that has returned. */
void redis_break(redis_t *rc, const char *fmt, ...);
/* The same, for what this error says. */
void redis_refuse(redis_t *rc, const ai_resp_t *reply);
/* The AUTH of a handshake, where there is a password. */
void redis_auth(redis_t *rc, const char *user, const char *password);

/* sentinel.c: for connections that a Sentinel tells where to go. */
/* Into and out of the list of them. */
void sentinel_init(redis_t *rc);
void sentinel_done(redis_t *rc);
/* Begins to connect to a Sentinel. */
void sentinel_connect(redis_t *rc);
/* What to say to it, once connected. */
void sentinel_ask(redis_t *rc);
/* After each reply: 1 where it has named the master, which is being connected
 * to instead now. */
int sentinel_follow(redis_t *rc);
/* The connection is ready: who still talks to another master is cut off. */
void sentinel_ready(redis_t *rc);
/* The try has failed: 1 where another Sentinel is to be asked at once. */
int sentinel_more(redis_t *rc);

/* redis_send.c */
/* A command with a reply within msec, in any state: 0 or -1. */
int redis_send(redis_t *rc, unsigned msec, redis_reply_pt cb, void *data,
    unsigned argc, const ai_str_t *argv);
/* Words whose answer nobody waits for: 0 or -1. */
int redis_write(redis_t *rc, unsigned argc, const ai_str_t *argv);
/* A script that met NOSCRIPT goes again, with its text; p is used up. */
void redis_eval(redis_t *rc, redis_pending_t *p);
/* Writes what is to be sent; data is the redis_t. */
void redis_flush(void *data);

#endif
