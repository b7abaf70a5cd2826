/*
 * aictl usage: sums over the ledger, grouped as asked.
 */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aictl_usage.h"
#include "ai_usage.h"


/* Saturating, as the cost of a call is. */
#define AICTL_SUM(column)                                                     \
    " least(coalesce(sum(" column "), 0), 9223372036854775807)::bigint"

static const aictl_by_t  aictl_by[AICTL_BY_MAX] = {
    { "tenant", "tenant", "TENANT" },
    { "user", "user_name", "USER" },
    { "key", "principal", "KEY" },
    { "model", "model", "MODEL" },
    { "provider", "provider", "PROVIDER" },
    { "own", "coalesce(own_key, false)", "OWN KEY" },
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
                        "key, model, provider, own, day, month", (int) len, p);
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
aictl_usage_asked(aictl_t *a, aictl_usage_t *u)
{
    int          rc;
    const char  *opt, *kind;

    opt = a->opt[AICTL_OPT_SINCE];
    rc = aictl_usage_when(opt ? opt : "30d", "since", u->since,
                          sizeof(u->since), &kind);

    if (rc != AICTL_OK) {
        return rc;
    }

    aictl_usage_bound(u->from, sizeof(u->from), kind, 1);

    opt = a->opt[AICTL_OPT_UNTIL];
    rc = aictl_usage_when(opt ? opt : "0m", "until", u->until,
                          sizeof(u->until), &kind);

    if (rc != AICTL_OK) {
        return rc;
    }

    aictl_usage_bound(u->to, sizeof(u->to), kind, 2);

    opt = a->opt[AICTL_OPT_BY];
    u->n = aictl_usage_by(opt && *opt ? opt : "tenant,model", u->by);

    return u->n <= 0 ? AICTL_USAGE : aictl_pg(a);
}


void
aictl_usage_order(char *sql, size_t size, const char *word, int n)
{
    int     i;
    size_t  len;

    len = strlen(sql);
    (void) snprintf(sql + len, size - len, " %s BY", word);

    for (i = 1; i <= n; i++) {
        len = strlen(sql);
        (void) snprintf(sql + len, size - len, "%s %d", i > 1 ? "," : "", i);
    }
}


size_t
aictl_usage_columns(const aictl_usage_t *u, char *list, size_t size,
    aictl_column_t *columns)
{
    int     i;
    size_t  len;

    for (i = 0, len = 0; i < u->n; i++) {
        len += (size_t) snprintf(list + len, size - len, "%s AS \"%s\", ",
                                 u->by[i]->sql, u->by[i]->name);
        columns[i] = (aictl_column_t) { u->by[i]->name, u->by[i]->title, 0 };
    }

    return len;
}


int
aictl_usage(aictl_t *a)
{
    int              rc;
    char             sql[2048], list[512];
    json_t          *rows, *row;
    size_t           k;
    PGresult        *res;
    const char      *params[3];
    aictl_usage_t    u;
    aictl_column_t   columns[AICTL_BY_MAX + AICTL_NSUMS];

    rc = aictl_usage_asked(a, &u);
    if (rc != AICTL_OK) {
        return rc;
    }

    if (a->opt[AICTL_OPT_REPRICE]) {
        return aictl_reprice(a, &u);
    }

    (void) aictl_usage_columns(&u, list, sizeof(list), columns);
    memcpy(columns + u.n, aictl_sums, sizeof(aictl_sums));

    (void) snprintf(sql, sizeof(sql),
        "SELECT %s count(DISTINCT job) + sum(requests - 1) AS jobs,"
        " sum(requests) AS calls,"
        " coalesce(sum(requests) FILTER (WHERE state = 'failed'), 0)"
        " AS failed,"
        AICTL_SUM("input") " AS input," AICTL_SUM("cached_read") " AS cached,"
        AICTL_SUM("output") " AS output," AICTL_SUM("cost") " AS cost"
        " FROM ngxai.ledger WHERE at >= %s AND at < %s"
        " AND ($3::text IS NULL OR tenant = $3)", list, u.from, u.to);

    aictl_usage_order(sql, sizeof(sql), "GROUP", u.n);
    aictl_usage_order(sql, sizeof(sql), "ORDER", u.n);

    params[0] = u.since;
    params[1] = u.until;
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
                                     aictl_usage_total(rows, u.by[0]->name));
    }

    return aictl_rows(a, columns, rows);
}
