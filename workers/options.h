/*
 * The command line (docs/wire.md, 11).  Filled once by main, read by all.
 */

#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdint.h>

#include "redis.h"

#define OPTIONS_ENV_MAX      64     /* patterns in --allow-env */
#define OPTIONS_WORKERS_MAX  256
#define OPTIONS_JOBS_MAX     65536

typedef struct {
    redis_conf_t  redis;
    const char   *postgres;         /* conninfo, NULL: none */
    const char   *ledger_postgres;
    const char   *sign_file;        /* NULL: nothing is verified */
    const char   *master_key;       /* NULL: no tenant's own keys (vault.h) */
    const char   *old_master_key;
    const char   *secrets_dir;      /* NULL: no file: secrets */
    const char   *allow_env[OPTIONS_ENV_MAX + 1];   /* NULL-terminated */
    unsigned      workers;
    unsigned      jobs;             /* slots a process */
    unsigned      drain_sec;
    const char   *log;
    int           log_level;
    const char   *pid_file;         /* NULL: none */
    unsigned      proxy_environment:1;  /* variables name proxies */
    unsigned      metrics_sec;
    uint64_t      child_start_msec; /* not 0: this is a worker process */
    int64_t       parent;           /* pid of its supervisor */
} options_t;

/* 0; -1 after a line on stderr; 1 after --help or --version. */
int options_parse(options_t *opt, int argc, char **argv);

#endif
