/*
 * aictl: the command line of an installation; this file finds the command and
 * its options.  Owns the aictl_t and closes what commands opened.
 */

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aictl.h"


typedef struct {
    const char *name;
    const char *value;          /* NULL: a flag */
    const char *help;
} aictl_option_t;


static const aictl_option_t  aictl_options[AICTL_OPT_LAST] = {
    [AICTL_OPT_REDIS] = { "redis", "URL",
        "Redis: unix:[user@]PATH, redis://[user[:pass]@]host:port[/db], "
        "rediss://… or sentinel://host:port[,…]/master (AI_REDIS)" },
    [AICTL_OPT_REDIS_PASSWORD_FILE] = { "redis-password-file", "FILE",
        "password of Redis (AI_REDIS_PASSWORD_FILE)" },
    [AICTL_OPT_SENTINEL_USER] = { "redis-sentinel-user", "NAME",
        "user of Sentinel (AI_REDIS_SENTINEL_USER)" },
    [AICTL_OPT_SENTINEL_PASSWORD_FILE] = { "redis-sentinel-password-file",
        "FILE", "password of it (AI_REDIS_SENTINEL_PASSWORD_FILE)" },
    [AICTL_OPT_SIGN_FILE] = { "sign-file", "FILE",
        "keys that edges and workers share; without it keys work, after a "
        "look-up by the workers (AI_SIGN_FILE)" },
    [AICTL_OPT_POSTGRES] = { "postgres", "CONNINFO",
        "Postgres, as libpq takes it (AI_POSTGRES)" },
    [AICTL_OPT_JSON] = { "json", NULL, "print JSON" },
    [AICTL_OPT_HELP] = { "help", NULL, "print this" },
    [AICTL_OPT_DIR] = { "dir", "DIR",
        "folder of the migrations (AI_MIGRATIONS)" },
    [AICTL_OPT_CHECK] = { "check", NULL,
        "change nothing; exit 1 if something is to be done" },
    [AICTL_OPT_TENANT] = { "tenant", "NAME", "the tenant it is about" },
    [AICTL_OPT_NAME] = { "name", "TEXT", "what the key is for" },
    [AICTL_OPT_USER] = { "user", "NAME", "user it belongs to; made if new" },
    [AICTL_OPT_MODELS] = { "models", "\"A B\"",
        "models it may use; all without this" },
    [AICTL_OPT_SCOPES] = { "scopes", "\"A B\"",
        "of what its role may, only this; all without it" },
    [AICTL_OPT_ROLE] = { "role", "NAME",
        "member (the default), viewer, tenant_admin or platform_admin" },
    [AICTL_OPT_EXPIRES] = { "expires", "DAYS", "days until it expires" },
    [AICTL_OPT_NETWORKS] = { "networks", "\"A B\"",
        "networks it may be used from, as 10.0.0.0/8; all without this" },
    [AICTL_OPT_PLAN] = { "plan", "NAME", "its ai_plan of nginx.conf" },
    [AICTL_OPT_WEIGHT] = { "weight", "N",
        "its share among waiting tenants, 1 to 1000" },
    [AICTL_OPT_SINCE] = { "since", "WHEN",
        "30d, 12h or a date as 2026-01-31 (default 30d)" },
    [AICTL_OPT_UNTIL] = { "until", "WHEN", "as --since (default now)" },
    [AICTL_OPT_BY] = { "by", "COLUMNS",
        "of tenant,user,key,model,provider,own,day,month (default "
        "tenant,model)" },
    [AICTL_OPT_LIMIT] = { "limit", "N", "at most so many (default 1000)" },
    [AICTL_OPT_MODEL] = { "model", "NAME", "the model, as it was asked for" },
    [AICTL_OPT_KEY] = { "key", "SHA256", "the one answer of this hash" },
    [AICTL_OPT_REPRICE] = { "reprice", NULL,
        "what it would cost by the prices of now; changes nothing" },
    [AICTL_OPT_FILE] = { "file", "FILE",
        "where the provider's key stands (standard input)" },
    [AICTL_OPT_MASTER_KEY] = { "master-key", "SPEC",
        "env:NAME, file:PATH or kms:NAME=\"PROGRAM [ARG…]\" "
        "(AI_MASTER_KEY)" },
    [AICTL_OPT_OLD_MASTER_KEY] = { "old-master-key", "SPEC",
        "the one before it, while there is a rotation "
        "(AI_OLD_MASTER_KEY)" },
};


static const aictl_command_t  aictl_commands[] = {
    { "migrate", NULL, 0, "", "Bring the database's schema up to date.",
      AICTL_BIT(DIR) | AICTL_BIT(CHECK), 0, aictl_migrate },

    { "tenant", "create", 1, "NAME", "Create a tenant.",
      AICTL_BIT(PLAN) | AICTL_BIT(WEIGHT), 0, aictl_tenant_create },
    { "tenant", "list", 0, "", "List the tenants.", 0, 0, aictl_tenant_list },
    { "tenant", "set", 1, "NAME", "Change a tenant's plan or weight.",
      AICTL_BIT(PLAN) | AICTL_BIT(WEIGHT), 0, aictl_tenant_set },
    { "tenant", "disable", 1, "NAME", "Refuse a tenant's keys from now on.",
      0, 0, aictl_tenant_state },
    { "tenant", "enable", 1, "NAME", "Accept a tenant's keys again.",
      0, 0, aictl_tenant_state },

    { "user", "list", 0, "", "List a tenant's users.",
      AICTL_BIT(TENANT), AICTL_BIT(TENANT), aictl_user_list },
    { "user", "disable", 1, "NAME", "Refuse a user's keys from now on.",
      AICTL_BIT(TENANT), AICTL_BIT(TENANT), aictl_user_state },
    { "user", "enable", 1, "NAME", "Accept a user's keys again.",
      AICTL_BIT(TENANT), AICTL_BIT(TENANT), aictl_user_state },

    { "key", "create", 0, "", "Create an API key and print it, once.",
      AICTL_BIT(TENANT) | AICTL_BIT(NAME) | AICTL_BIT(USER)
      | AICTL_BIT(MODELS) | AICTL_BIT(SCOPES) | AICTL_BIT(ROLE)
      | AICTL_BIT(EXPIRES) | AICTL_BIT(NETWORKS), AICTL_BIT(TENANT),
      aictl_key_create },
    { "key", "list", 0, "", "List API keys.",
      AICTL_BIT(TENANT), 0, aictl_key_list },
    { "key", "revoke", 1, "ID", "Revoke an API key, for ever.",
      0, 0, aictl_key_revoke },
    { "key", "sync", 0, "", "Write all keys and tenants to Redis again.",
      AICTL_BIT(TENANT), 0, aictl_key_sync },

    { "provider-key", "set", 1, "PROVIDER",
      "Keep a tenant's own key of a provider, in place of the one it had.",
      AICTL_BIT(TENANT) | AICTL_BIT(FILE) | AICTL_VAULT, AICTL_BIT(TENANT),
      aictl_own_set },
    { "provider-key", "list", 0, "",
      "List tenants' own keys; no key is shown.", AICTL_BIT(TENANT), 0,
      aictl_own_list },
    { "provider-key", "remove", 1, "PROVIDER",
      "Forget a tenant's own key of a provider.",
      AICTL_BIT(TENANT), AICTL_BIT(TENANT), aictl_own_remove },
    { "provider-key", "check", 0, "", "Say which of them do not open.",
      AICTL_BIT(TENANT) | AICTL_VAULT, 0, aictl_own_check },
    { "provider-key", "rotate", 0, "",
      "Seal tenants' own keys by new data keys.",
      AICTL_BIT(TENANT) | AICTL_VAULT, 0, aictl_own_rotate },
    { "provider-key", "rewrap", 0, "",
      "Wrap the data keys that the old master key wraps by the current one.",
      AICTL_VAULT, 0, aictl_own_rewrap },

    { "usage", NULL, 0, "", "Sum up usage and cost.",
      AICTL_BIT(TENANT) | AICTL_BIT(SINCE) | AICTL_BIT(UNTIL)
      | AICTL_BIT(BY) | AICTL_BIT(REPRICE), 0, aictl_usage },
    { "jobs", NULL, 0, "",
      "Count running and waiting jobs by tenant, or list a tenant's.",
      AICTL_BIT(TENANT) | AICTL_BIT(LIMIT), 0, aictl_jobs },
    { "queue", NULL, 0, "", "Show depth, slots, leases and the outbox.",
      0, 0, aictl_queue },
    { "cache", "purge", 0, "", "Forget kept answers; all without options.",
      AICTL_BIT(TENANT) | AICTL_BIT(MODEL) | AICTL_BIT(KEY), 0,
      aictl_cache_purge },
    { "doctor", NULL, 0, "", "Say what is wrong with this installation.",
      AICTL_BIT(DIR), 0, aictl_doctor },

    { NULL, NULL, 0, NULL, NULL, 0, 0, NULL }
};


static const char  aictl_exits[] =
    "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 Redis or Postgres "
    "cannot be reached.\n";


static void
aictl_say(const char *fmt, va_list args)
{
    char  buf[4096];

    (void) vsnprintf(buf, sizeof(buf), fmt, args);

    fputs("aictl: ", stderr);
    aictl_print(stderr, buf);
    fputc('\n', stderr);
}


void
aictl_error(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    aictl_say(fmt, args);
    va_end(args);
}


void
aictl_note(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    aictl_say(fmt, args);
    va_end(args);
}


static void
aictl_help_options(unsigned bits)
{
    int       n;
    unsigned  i;

    for (i = 0; i < AICTL_OPT_LAST; i++) {
        if (!(bits & (1u << i))) {
            continue;
        }

        n = printf("  --%s%s%s", aictl_options[i].name,
                   aictl_options[i].value ? " " : "",
                   aictl_options[i].value ? aictl_options[i].value : "");

        printf("%*s%s\n", n < 30 ? 30 - n : 1, "", aictl_options[i].help);
    }
}


static int
aictl_help(void)
{
    int                     n;
    const aictl_command_t  *c;

    printf("Usage: aictl [OPTION…] COMMAND [ARGUMENT…]\n\n"
           "Manages an ngx-ai installation.\n\nCommands:\n");

    for (c = aictl_commands; c->noun; c++) {
        n = printf("  %s%s%s%s%s", c->noun, c->verb ? " " : "",
                   c->verb ? c->verb : "", *c->synopsis ? " " : "",
                   c->synopsis);
        printf("%*s%s\n", n < 26 ? 26 - n : 1, "", c->summary);
    }

    printf("\nOptions of every command:\n");
    aictl_help_options(AICTL_COMMON);
    printf("\n%s\"aictl COMMAND --help\" says more.\n", aictl_exits);

    return AICTL_OK;
}


static int
aictl_help_command(const aictl_command_t *c)
{
    unsigned  i;

    printf("Usage: aictl %s%s%s%s%s", c->noun, c->verb ? " " : "",
           c->verb ? c->verb : "", *c->synopsis ? " " : "", c->synopsis);

    for (i = 0; i < AICTL_OPT_LAST; i++) {
        if (c->required & (1u << i)) {
            printf(" --%s %s", aictl_options[i].name, aictl_options[i].value);
        }
    }

    printf("%s\n\n%s\n\nOptions:\n",
           (c->options & ~c->required) ? " [OPTION…]" : "", c->summary);
    aictl_help_options(c->options);
    aictl_help_options(AICTL_COMMON);
    printf("\n%s", aictl_exits);

    return AICTL_OK;
}


static int
aictl_usage_error(const char *what, const char *which)
{
    aictl_error("%s %s; try \"aictl --help\"", what, which);
    return AICTL_USAGE;
}


/*
 * Takes the options out of argv wherever they stand; what is left are words.
 * Returns their number or -1.
 */

static int
aictl_parse(aictl_t *a, int argc, char **argv, const char **words, int max)
{
    int          i, n, plain;
    unsigned     o;
    size_t       len;
    const char  *name, *eq;

    n = 0;
    plain = 0;

    for (i = 1; i < argc; i++) {

        if (plain || argv[i][0] != '-' || argv[i][1] == '\0') {
            if (n == max) {
                aictl_usage_error("too many arguments:", argv[i]);
                return -1;
            }

            words[n++] = argv[i];
            continue;
        }

        if (strcmp(argv[i], "--") == 0) {
            plain = 1;
            continue;
        }

        if (strcmp(argv[i], "-h") == 0) {
            a->opt[AICTL_OPT_HELP] = "";
            continue;
        }

        name = argv[i] + 2;
        eq = strchr(argv[i], '=');
        len = eq ? (size_t) (eq - name) : strlen(name);

        for (o = 0; o < AICTL_OPT_LAST; o++) {
            if (argv[i][1] == '-' && strlen(aictl_options[o].name) == len
                && strncmp(aictl_options[o].name, name, len) == 0)
            {
                break;
            }
        }

        if (o == AICTL_OPT_LAST) {
            aictl_usage_error("unknown option", argv[i]);
            return -1;
        }

        if (aictl_options[o].value == NULL) {
            if (eq) {
                aictl_usage_error("no value goes with", argv[i]);
                return -1;
            }

            a->opt[o] = "";

        } else if (eq) {
            a->opt[o] = eq + 1;

        } else if (i + 1 < argc) {
            a->opt[o] = argv[++i];

        } else {
            aictl_usage_error("a value is missing behind", argv[i]);
            return -1;
        }
    }

    return n;
}


static const aictl_command_t *
aictl_find(const char **words, int nwords)
{
    const aictl_command_t  *c;

    for (c = aictl_commands; c->noun; c++) {
        if (strcmp(c->noun, words[0]) == 0
            && (c->verb == NULL
                || (nwords > 1 && strcmp(c->verb, words[1]) == 0)))
        {
            return c;
        }
    }

    return NULL;
}


static int
aictl_check(const aictl_t *a, const aictl_command_t *c)
{
    unsigned  i;

    for (i = 0; i < AICTL_OPT_LAST; i++) {
        if (a->opt[i] && !((c->options | AICTL_COMMON) & (1u << i))) {
            return aictl_usage_error("this command does not take",
                                     aictl_options[i].name);
        }

        if (a->opt[i] == NULL && (c->required & (1u << i))) {
            return aictl_usage_error("missing option:",
                                     aictl_options[i].name);
        }
    }

    if (a->nargs < c->nargs) {
        return aictl_usage_error("missing argument:", c->synopsis);
    }

    if (a->nargs > c->nargs) {
        return aictl_usage_error("too many arguments for", c->noun);
    }

    return AICTL_OK;
}


static void
aictl_environment(aictl_t *a)
{
    size_t  i;

    static const struct {
        aictl_opt_e   opt;
        const char   *name;
    } vars[] = {
        { AICTL_OPT_REDIS, "AI_REDIS" },
        { AICTL_OPT_REDIS_PASSWORD_FILE, "AI_REDIS_PASSWORD_FILE" },
        { AICTL_OPT_SENTINEL_USER, "AI_REDIS_SENTINEL_USER" },
        { AICTL_OPT_SENTINEL_PASSWORD_FILE,
          "AI_REDIS_SENTINEL_PASSWORD_FILE" },
        { AICTL_OPT_SIGN_FILE, "AI_SIGN_FILE" },
        { AICTL_OPT_MASTER_KEY, "AI_MASTER_KEY" },
        { AICTL_OPT_OLD_MASTER_KEY, "AI_OLD_MASTER_KEY" }
    };

    for (i = 0; i < sizeof(vars) / sizeof(vars[0]); i++) {
        if (a->opt[vars[i].opt] == NULL) {
            a->opt[vars[i].opt] = getenv(vars[i].name);
        }
    }

    if (a->opt[AICTL_OPT_REDIS] == NULL) {
        a->opt[AICTL_OPT_REDIS] = "redis://127.0.0.1:6379";
    }
}


int
main(int argc, char **argv)
{
    int                     i, n, used, rc;
    aictl_t                 a;
    const char             *words[AICTL_ARGS_MAX + 3];
    const aictl_command_t  *c;

    memset(&a, 0, sizeof(a));
    (void) signal(SIGPIPE, SIG_IGN);

    n = aictl_parse(&a, argc, argv, words, AICTL_ARGS_MAX + 2);
    if (n < 0) {
        return AICTL_USAGE;
    }

    if (n == 0) {
        return a.opt[AICTL_OPT_HELP] ? aictl_help()
               : aictl_usage_error("a command is missing", "");
    }

    c = aictl_find(words, n);
    if (c == NULL) {
        return aictl_usage_error("unknown command", words[0]);
    }

    if (a.opt[AICTL_OPT_HELP]) {
        return aictl_help_command(c);
    }

    a.verb = c->verb;
    used = c->verb ? 2 : 1;

    for (i = used; i < n; i++) {
        if (a.nargs == AICTL_ARGS_MAX) {
            return aictl_usage_error("too many arguments for", c->noun);
        }

        a.arg[a.nargs++] = words[i];
    }

    rc = aictl_check(&a, c);
    if (rc != AICTL_OK) {
        return rc;
    }

    aictl_environment(&a);

    rc = c->run(&a);

    if (a.pg) {
        PQfinish(a.pg);
    }

    aictl_redis_close(&a);
    ai_sign_close(a.sign);

    if (fflush(stdout) != 0 && rc == AICTL_OK) {
        aictl_error("cannot write: %s", strerror(errno));
        rc = AICTL_FAILED;
    }

    return rc;
}
