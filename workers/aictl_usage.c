/*
 * aictl usage: sums over the ledger, grouped as asked.
 */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aictl.h"
#include "ai_usage.h"


#define AICTL_BY_MAX  7

/* Saturating, as the cost of a call is. */
#define AICTL_SUM(column)                                                     \
    " least(coalesce(sum(" column "), 0), 9223372036854775807)::bigint"

typedef struct {
    const char *name;
    const char *sql;
    const char *title;
} aictl_by_t;

static const aictl_by_t  aictl_by[AICTL_BY_MAX] = {
    { "tenant", "tenant", "TENANT" },
    { "user", "user_name", "USER" },
    { "key", "principal", "KEY" },
    { "model", "model", "MODEL" },
    { "provider", "provider", "PROVIDER" },
    { "day", "to_char(at, 'YYYY-MM-DD')", "DAY" },
    { "month", "to_char(at, 'YYYY-MM')", "MONTH" },
};

static const aictl_column_t  aictl_sums[] = {
    { "jobs", "JOBS", 1 }, { "calls", "CALLS", 1 },
    { "failed", "FAILED", 1 }, { "input", "INPUT", 1 },
    { "cached", "CACHED", 1 }, { "output", "OUTPUT", 1 },
    { "cost_usd", "USD", 1 }, { NULL, NULL, 0 }
};

#define AICTL_NSUMS  (sizeof(aictl_sums) / sizeof(aictl_sums[0]))


/*
 * "30d" into an interval, a date as it is; kind is what stands before it in
 * SQL.
 */

static int
aictl_usage_when(const char *text, const char *option, char *buf, size_t size,
    const char **kind)
{
    size_t       n;
    const char  *unit;

    n = strspn(text, "0123456789");

    if (n > 0 && n < 6 && text[n] && text[n + 1] == '\0') {
        unit = text[n] == 'd' ? "days" : text[n] == 'h' ? "hours"
               : text[n] == 'm' ? "minutes" : NULL;

        if (unit) {
            (void) snprintf(buf, size, "%.*s %s", (int) n, text, unit);
            *kind = "now() - ";
            return AICTL_OK;
        }
    }

    if (n == 4 && text[n] == '-' && strlen(text) < size
        && strspn(text, "0123456789-:.TZ+ ") == strlen(text))
    {
        (void) snprintf(buf, size, "%s", text);
        *kind = "";
        return AICTL_OK;
    }

    aictl_error("--%s reads 30d, 12h, 15m or a date as 2026-01-31", option);
    return AICTL_USAGE;
}


/* The bound as SQL: before now, or a date. */

static void
aictl_usage_bound(char *buf, size_t size, const char *kind, int param)
{
    (void) snprintf(buf, size, "%s$%d::%s", kind, param,
                    *kind ? "interval" : "timestamptz");
}


/* Finds the columns of --by, in its order: their number or -1. */

static int
aictl_usage_by(const char *text, const aictl_by_t **by)
{
    int          n;
    size_t       i, len;
    const char  *p;

    n = 0;

    for (p = text; *p; p += len + (p[len] == ',')) {
        len = strcspn(p, ",");

        for (i = 0; i < AICTL_BY_MAX; i++) {
            if (strlen(aictl_by[i].name) == len
                && strncmp(aictl_by[i].name, p, len) == 0)
            {
                break;
            }
        }

        if (i == AICTL_BY_MAX || n == AICTL_BY_MAX) {
            aictl_error("--by has no column \"%.*s\"; it knows tenant, user, "
                        "key, model, provider, day, month", (int) len, p);
            return -1;
        }

        by[n++] = &aictl_by[i];
    }

    return n;
}


static void
aictl_usage_money(json_t *row)
{
    char    text[32];
    size_t  len;

    len = ai_money_print(text, sizeof(text) - 1,
                         json_integer_value(json_object_get(row, "cost")));
    text[len] = '\0';

    (void) json_object_set_new(row, "cost_usd", json_string(text));
}


/* The last row of the table: sums of the columns that are numbers. */

static json_t *
aictl_usage_total(const json_t *rows, const char *label)
{
    size_t       i, k;
    json_t      *row, *total;
    long long    sum, n;
    const char  *key;
    static const char *const  keys[] = {
        "jobs", "calls", "failed", "input", "cached", "output", "cost"
    };

    total = json_pack("{s:s}", label, "total");

    for (k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
        key = keys[k];
        sum = 0;

        json_array_foreach(rows, i, row) {
            n = json_integer_value(json_object_get(row, key));
            sum = n > LLONG_MAX - sum ? LLONG_MAX : sum + n;
        }

        (void) json_object_set_new(total, key, json_integer(sum));
    }

    aictl_usage_money(total);
    return total;
}


int
aictl_usage(aictl_t *a)
{
    int                n, i, rc;
    char               sql[2048], since[64], until[64], list[512];
    char               from[64], to[64];
    json_t            *rows, *row;
    size_t             k, len;
    PGresult          *res;
    const char        *params[3], *opt, *kinds[2];
    aictl_column_t     columns[AICTL_BY_MAX + AICTL_NSUMS];
    const aictl_by_t  *by[AICTL_BY_MAX];

    opt = a->opt[AICTL_OPT_SINCE];
    rc = aictl_usage_when(opt ? opt : "30d", "since", since, sizeof(since),
                          &kinds[0]);

    if (rc == AICTL_OK) {
        opt = a->opt[AICTL_OPT_UNTIL];
        rc = aictl_usage_when(opt ? opt : "0m", "until", until, sizeof(until),
                              &kinds[1]);
    }

    if (rc != AICTL_OK) {
        return rc;
    }

    opt = a->opt[AICTL_OPT_BY];
    n = aictl_usage_by(opt && *opt ? opt : "tenant,model", by);
    if (n <= 0) {
        return AICTL_USAGE;
    }

    rc = aictl_pg(a);
    if (rc != AICTL_OK) {
        return rc;
    }

    for (i = 0, len = 0; i < n; i++) {
        len += (size_t) snprintf(list + len, sizeof(list) - len,
                                 "%s AS \"%s\", ", by[i]->sql, by[i]->name);
        columns[i] = (aictl_column_t) { by[i]->name, by[i]->title, 0 };
    }

    memcpy(columns + n, aictl_sums, sizeof(aictl_sums));
    aictl_usage_bound(from, sizeof(from), kinds[0], 1);
    aictl_usage_bound(to, sizeof(to), kinds[1], 2);

    (void) snprintf(sql, sizeof(sql),
        "SELECT %s count(DISTINCT job) + sum(requests - 1) AS jobs,"
        " sum(requests) AS calls,"
        " coalesce(sum(requests) FILTER (WHERE state = 'failed'), 0)"
        " AS failed,"
        AICTL_SUM("input") " AS input," AICTL_SUM("cached_read") " AS cached,"
        AICTL_SUM("output") " AS output," AICTL_SUM("cost") " AS cost"
        " FROM ngxai.ledger WHERE at >= %s AND at < %s"
        " AND ($3::text IS NULL OR tenant = $3)"
        " GROUP BY", list, from, to);

    for (i = 1; i <= n; i++) {
        len = strlen(sql);
        (void) snprintf(sql + len, sizeof(sql) - len, "%s %d",
                        i > 1 ? "," : "", i);
    }

    len = strlen(sql);
    (void) snprintf(sql + len, sizeof(sql) - len, " ORDER BY");

    for (i = 1; i <= n; i++) {
        len = strlen(sql);
        (void) snprintf(sql + len, sizeof(sql) - len, "%s %d",
                        i > 1 ? "," : "", i);
    }

    params[0] = since;
    params[1] = until;
    params[2] = a->opt[AICTL_OPT_TENANT];

    res = aictl_query(a, 3, params, sql);
    if (res == NULL) {
        return AICTL_FAILED;
    }

    rows = aictl_result_rows(res);
    PQclear(res);

    json_array_foreach(rows, k, row) {
        aictl_usage_money(row);
    }

    if (a->opt[AICTL_OPT_JSON] == NULL) {
        (void) json_array_append_new(rows,
                                     aictl_usage_total(rows, by[0]->name));
    }

    return aictl_rows(a, columns, rows);
}
