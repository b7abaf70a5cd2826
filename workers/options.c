/*
 * The command line of ai-workers.  Strings borrow from argv.
 */

#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "secret.h"
#include "vault.h"


#define OPTIONS_DRAIN_MAX    86400
#define OPTIONS_METRICS_MAX  3600


typedef enum {
    OPTION_REDIS = 256,
    OPTION_REDIS_PASSWORD,
    OPTION_SENTINEL_USER,
    OPTION_SENTINEL_PASSWORD,
    OPTION_POSTGRES,
    OPTION_LEDGER_POSTGRES,
    OPTION_SECRETS_DIR,
    OPTION_SIGN_FILE,
    OPTION_MASTER_KEY,
    OPTION_OLD_MASTER_KEY,
    OPTION_ALLOW_ENV,
    OPTION_PROXY,
    OPTION_WORKERS,
    OPTION_JOBS,
    OPTION_DRAIN,
    OPTION_LOG,
    OPTION_LOG_LEVEL,
    OPTION_PID_FILE,
    OPTION_METRICS,
    OPTION_CHILD,
    OPTION_PARENT
} option_e;


static int options_env(options_t *opt, char *list);
static int options_number(const char *name, const char *text, unsigned max,
    unsigned *n);
static int options_password(char *password, size_t size, const char *file);
static int options_master(const options_t *opt);
static int options_exposed(const options_t *opt, const char *spec);
static int options_bad(const char *name, const char *value);


static const struct option  options_long[] = {
    { "redis", required_argument, NULL, OPTION_REDIS },
    { "redis-password-file", required_argument, NULL, OPTION_REDIS_PASSWORD },
    { "redis-sentinel-user", required_argument, NULL, OPTION_SENTINEL_USER },
    { "redis-sentinel-password-file", required_argument, NULL,
      OPTION_SENTINEL_PASSWORD },
    { "postgres", required_argument, NULL, OPTION_POSTGRES },
    { "ledger-postgres", required_argument, NULL, OPTION_LEDGER_POSTGRES },
    { "secrets-dir", required_argument, NULL, OPTION_SECRETS_DIR },
    { "sign-file", required_argument, NULL, OPTION_SIGN_FILE },
    { "master-key", required_argument, NULL, OPTION_MASTER_KEY },
    { "old-master-key", required_argument, NULL, OPTION_OLD_MASTER_KEY },
    { "allow-env", required_argument, NULL, OPTION_ALLOW_ENV },
    { "proxy-environment", no_argument, NULL, OPTION_PROXY },
    { "workers", required_argument, NULL, OPTION_WORKERS },
    { "jobs", required_argument, NULL, OPTION_JOBS },
    { "drain-timeout", required_argument, NULL, OPTION_DRAIN },
    { "log", required_argument, NULL, OPTION_LOG },
    { "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
    { "pid-file", required_argument, NULL, OPTION_PID_FILE },
    { "metrics-interval", required_argument, NULL, OPTION_METRICS },
    { "child", required_argument, NULL, OPTION_CHILD },
    { "parent", required_argument, NULL, OPTION_PARENT },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 }
};

static const char  options_help[] =
"usage: ai-workers --redis URL [option...]\n"
"\n"
"  --redis URL                unix:[user[:pass]@]PATH, rediss://... or\n"
"                             redis://[user[:pass]@]host[:port][/db]\n"
"                             (unix:/run/ngx-ai/redis.sock), or\n"
"                             sentinel://[user[:pass]@]host[:port]\n"
"                             [,host[:port]...]/master[/db], sentinels://...\n"
"  --redis-password-file F    the password, from a file\n"
"  --redis-sentinel-user NAME, --redis-sentinel-password-file F\n"
"                             for Sentinels that ask for them\n"
"  --postgres CONNINFO        for looking keys up\n"
"  --ledger-postgres CONNINFO for the ledger\n"
"  --secrets-dir DIR          where file: secrets lie\n"
"  --sign-file F              keys that jobs are signed with: others are not\n"
"                             run\n"
"  --master-key SPEC          opens tenants' own keys of providers: env:NAME,\n"
"                             file:PATH or kms:NAME=PROGRAM [ARG...]\n"
"  --old-master-key SPEC      the one before it, while aictl rewraps\n"
"  --allow-env NAME[,NAME]    variables that env: may read, * at either end\n"
"                             (*_API_KEY,*_BASE_URL,OLLAMA_HOST)\n"
"  --proxy-environment        provider calls go through the proxies that\n"
"                             http_proxy, https_proxy, all_proxy and no_proxy\n"
"                             name (else these are ignored)\n"
"  --workers N                processes (processors)\n"
"  --jobs N                   slots a process (1024)\n"
"  --drain-timeout S          for running jobs after SIGTERM (30)\n"
"  --log FILE|-               (-: stderr)\n"
"  --log-level L              error, warn, info, debug (info)\n"
"  --pid-file F\n"
"  --metrics-interval S       (5)\n"
"\n"
"SIGTERM, SIGINT drain and stop; a second one stops at once; SIGHUP reads\n"
"secrets and keys again; SIGUSR1 reopens the log.\n";


int
options_parse(options_t *opt, int argc, char **argv)
{
    int          c, rc;
    long         cpus;
    char        *tail;
    const char  *password, *sentinel_password, *sentinel_user;

    memset(opt, 0, sizeof(*opt));
    redis_conf_parse(&opt->redis, "unix:/run/ngx-ai/redis.sock");
    opt->allow_env[0] = "*_API_KEY";
    opt->allow_env[1] = "*_BASE_URL";
    opt->allow_env[2] = "OLLAMA_HOST";
    cpus = sysconf(_SC_NPROCESSORS_ONLN);
    opt->workers = cpus < 1 ? 1 : cpus > OPTIONS_WORKERS_MAX
                                  ? OPTIONS_WORKERS_MAX : (unsigned) cpus;
    opt->jobs = 1024;
    opt->drain_sec = 30;
    opt->log = "-";
    opt->log_level = LOG_INFO;
    opt->metrics_sec = 5;
    password = NULL;
    sentinel_password = NULL;
    sentinel_user = "";
    optind = 1;

    while ((c = getopt_long(argc, argv, "h", options_long, NULL)) != -1) {
        rc = 0;

        switch (c) {

        case OPTION_REDIS:
            if (redis_conf_parse(&opt->redis, optarg) != 0) {
                rc = options_bad("redis", "(not shown)");
            }
            break;

        case OPTION_REDIS_PASSWORD:
            password = optarg;
            break;

        case OPTION_SENTINEL_USER:
            sentinel_user = optarg;
            if (strlen(optarg) >= sizeof(opt->redis.sentinel_user)) {
                rc = options_bad("redis-sentinel-user", optarg);
            }
            break;

        case OPTION_SENTINEL_PASSWORD:
            sentinel_password = optarg;
            break;

        case OPTION_POSTGRES:
            opt->postgres = optarg;
            break;

        case OPTION_LEDGER_POSTGRES:
            opt->ledger_postgres = optarg;
            break;

        case OPTION_SECRETS_DIR:
            opt->secrets_dir = optarg;
            break;

        case OPTION_SIGN_FILE:
            opt->sign_file = optarg;
            break;

        case OPTION_MASTER_KEY:
            opt->master_key = optarg;
            break;

        case OPTION_OLD_MASTER_KEY:
            opt->old_master_key = optarg;
            break;

        case OPTION_ALLOW_ENV:
            rc = options_env(opt, optarg);
            break;

        case OPTION_PROXY:
            opt->proxy_environment = 1;
            break;

        case OPTION_WORKERS:
            rc = options_number("workers", optarg, OPTIONS_WORKERS_MAX,
                                &opt->workers);
            break;

        case OPTION_JOBS:
            rc = options_number("jobs", optarg, OPTIONS_JOBS_MAX, &opt->jobs);
            break;

        case OPTION_DRAIN:
            rc = options_number("drain-timeout", optarg, OPTIONS_DRAIN_MAX,
                                &opt->drain_sec);
            break;

        case OPTION_LOG:
            opt->log = optarg;
            break;

        case OPTION_LOG_LEVEL:
            opt->log_level = log_level(optarg);
            if (opt->log_level == -1) {
                rc = options_bad("log-level", optarg);
            }
            break;

        case OPTION_PID_FILE:
            opt->pid_file = optarg;
            break;

        case OPTION_METRICS:
            rc = options_number("metrics-interval", optarg,
                                OPTIONS_METRICS_MAX, &opt->metrics_sec);
            break;

        case OPTION_CHILD:
            opt->child_start_msec = strtoull(optarg, &tail, 10);
            break;

        case OPTION_PARENT:
            opt->parent = strtoll(optarg, &tail, 10);
            break;

        case 'h':
            fputs(options_help, stdout);
            return 1;

        default:
            return -1;
        }

        if (rc != 0) {
            return -1;
        }
    }

    if (optind < argc) {
        fprintf(stderr, "ai-workers: what is \"%s\"? try --help\n",
                argv[optind]);
        return -1;
    }

    if (options_master(opt) != 0) {
        return -1;
    }

    snprintf(opt->redis.sentinel_user, sizeof(opt->redis.sentinel_user), "%s",
             sentinel_user);

    if (password != NULL
        && options_password(opt->redis.password, sizeof(opt->redis.password),
                            password)
           != 0)
    {
        return -1;
    }

    return sentinel_password == NULL ? 0
           : options_password(opt->redis.sentinel_password,
                              sizeof(opt->redis.sentinel_password),
                              sentinel_password);
}


static int
options_env(options_t *opt, char *list)
{
    char      *word, *rest;
    unsigned   n;

    n = 0;

    for (word = strtok_r(list, ",", &rest);
         word != NULL;
         word = strtok_r(NULL, ",", &rest))
    {
        if (n == OPTIONS_ENV_MAX) {
            return options_bad("allow-env", "more than 64 names");
        }

        opt->allow_env[n++] = word;
    }

    opt->allow_env[n] = NULL;

    return 0;
}


static int
options_number(const char *name, const char *text, unsigned max, unsigned *n)
{
    char  *tail;
    long   value;

    value = strtol(text, &tail, 10);

    if (tail == text || *tail != '\0' || value < 1 || value > (long) max) {
        return options_bad(name, text);
    }

    *n = (unsigned) value;

    return 0;
}


static int
options_password(char *password, size_t size, const char *file)
{
    FILE    *f;
    size_t   n;

    f = fopen(file, "re");
    if (f == NULL) {
        fprintf(stderr, "ai-workers: cannot read %s\n", file);
        return -1;
    }

    n = fread(password, 1, size, f);
    fclose(f);

    if (n == size) {
        fprintf(stderr, "ai-workers: %s is too long\n", file);
        return -1;
    }

    password[n] = '\0';
    password[strcspn(password, "\r\n")] = '\0';

    return 0;
}


/* A master key that cannot be used, or that a catalog could name as a
 * provider's key, is said before anything runs. */

static int
options_master(const options_t *opt)
{
    char      why[VAULT_WHY_MAX];
    vault_t  *v;

    if (opt->master_key == NULL) {

        if (opt->old_master_key != NULL) {
            fprintf(stderr, "ai-workers: --old-master-key is nothing without "
                    "--master-key\n");
            return -1;
        }

        return 0;
    }

    if (opt->postgres == NULL) {
        fprintf(stderr, "ai-workers: --master-key is nothing without "
                "--postgres\n");
        return -1;
    }

    if (options_exposed(opt, opt->master_key)
        || (opt->old_master_key != NULL
            && options_exposed(opt, opt->old_master_key)))
    {
        fprintf(stderr, "ai-workers: a master key must be neither a variable "
                "of --allow-env nor a file in --secrets-dir\n");
        return -1;
    }

    v = vault_open(opt->master_key, opt->old_master_key, why);

    if (v == NULL) {
        fprintf(stderr, "ai-workers: the master key cannot be used: %s\n",
                why);
        return -1;
    }

    vault_close(v);

    return 0;
}


static int
options_exposed(const options_t *opt, const char *spec)
{
    int    rc;
    char  *dir, *file, *slash;

    if (strncmp(spec, "env:", 4) == 0) {
        return secret_env_allowed(opt->allow_env,
                                  (ai_str_t) { strlen(spec + 4), spec + 4 });
    }

    if (strncmp(spec, "file:", 5) != 0 || opt->secrets_dir == NULL) {
        return 0;
    }

    dir = realpath(opt->secrets_dir, NULL);
    file = realpath(spec + 5, NULL);
    slash = file != NULL ? strrchr(file, '/') : NULL;
    rc = 0;

    if (dir != NULL && slash != NULL) {
        *slash = '\0';
        rc = strcmp(dir, file) == 0;
    }

    free(dir);
    free(file);

    return rc;
}


static int
options_bad(const char *name, const char *value)
{
    fprintf(stderr, "ai-workers: bad value for --%s: %s\n", name, value);

    return -1;
}
