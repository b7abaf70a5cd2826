/*
 * The inside of aictl's connection to Redis, for aictl_redis.c (what is said
 * on it), aictl_redis_url.c (its address) and aictl_sentinel.c (which server it
 * is) alone.
 */

#ifndef AICTL_REDIS_IN_H
#define AICTL_REDIS_IN_H

#include <openssl/ssl.h>

#include "aictl.h"

#define AICTL_SENTINELS_MAX  16

typedef struct {
    char               name[256];
    char               port[8];
} aictl_host_t;

struct aictl_redis_s {
    int                fd;
    SSL_CTX           *ctx;
    SSL               *ssl;
    redisReader       *reader;
    unsigned           tls:1;
    unsigned           db;
    aictl_host_t       host;            /* Sentinels: whom they named */
    char               path[108];       /* or empty */
    char               user[128];
    char               password[512];
    char               address[512];    /* to be shown */
    aictl_host_t       sentinels[AICTL_SENTINELS_MAX];
    unsigned           nsentinels;
    char               master[128];
    char               sentinel_password[512];
    char               why[512];
};

/* Fills r, which is zeroed, from an address: 0 or -1. */
int aictl_redis_parse(aictl_redis_t *r, const char *url);

/* Connects to path or host, TLS too: 0, or -1 with why. */
int aictl_redis_open(aictl_redis_t *r);
/* Undoes it; another may follow. */
void aictl_redis_hangup(aictl_redis_t *r);
/* Keeps why, and closes. */
void aictl_redis_failed(aictl_redis_t *r, const char *what, const char *why);
/* One step of a handshake: 0, or -1 with why. */
int aictl_redis_step(aictl_t *a, int argc, const char **argv);
/* Logs in where there is a password: 0, or -1 with why. */
int aictl_redis_auth(aictl_t *a, const char *user, const char *password);

/* Asks the Sentinels in turn and fills host: 0, or -1 with why. */
int aictl_sentinel(aictl_t *a);
/* Is the server that they named the master?  0, or -1 with why. */
int aictl_sentinel_role(aictl_t *a);

#endif
