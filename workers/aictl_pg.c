/*
 * aictl's connection to Postgres.  Opens it on first use, as ngxai_admin
 * whoever the login is, so that a superuser's aictl too is bound by policies.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aictl.h"


/* A libpq message, without its last newline, into why or to stderr. */

static void
aictl_pg_word(char *why, size_t size, const char *what, const char *message)
{
    int  len;

    len = (int) strlen(message);

    while (len > 0 && message[len - 1] == '\n') {
        len--;
    }

    if (why) {
        (void) snprintf(why, size, "%s%.*s", what, len, message);

    } else {
        aictl_error("%s%.*s", what, len, message);
    }
}


static int
aictl_pg_connect(aictl_t *a, const char *conninfo, char *why, size_t size)
{
    const char *const  names[] = { "connect_timeout", "application_name",
                                   "dbname", "client_encoding", NULL };
    const char *const  values[] = { "5", "aictl", conninfo, "UTF8", NULL };

    a->pg = PQconnectdbParams(names, values, 1);

    if (a->pg == NULL || PQstatus(a->pg) != CONNECTION_OK) {
        aictl_pg_word(why, size, "Postgres cannot be reached: ",
                      a->pg ? PQerrorMessage(a->pg) : "no memory");
        PQfinish(a->pg);
        a->pg = NULL;
        return AICTL_UNREACHABLE;
    }

    if (PQserverVersion(a->pg) < 150000) {
        aictl_pg_word(why, size, "Postgres is too old, 15 is needed: ",
                      PQparameterStatus(a->pg, "server_version"));
        PQfinish(a->pg);
        a->pg = NULL;
        return AICTL_FAILED;
    }

    return AICTL_OK;
}


PGresult *
aictl_query_try(aictl_t *a, int nparams, const char *const *params,
    const char *sql, char *why, size_t size)
{
    PGresult        *res;
    ExecStatusType   status;

    res = PQexecParams(a->pg, sql, nparams, NULL, params, NULL, NULL, 0);
    status = PQresultStatus(res);

    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        aictl_pg_word(why, size, "Postgres: ", PQerrorMessage(a->pg));
        PQclear(res);
        return NULL;
    }

    return res;
}


PGresult *
aictl_query(aictl_t *a, int nparams, const char *const *params,
    const char *sql)
{
    return aictl_query_try(a, nparams, params, sql, NULL, 0);
}


int
aictl_exec(aictl_t *a, const char *sql)
{
    PGresult  *res;

    res = aictl_query(a, 0, NULL, sql);
    PQclear(res);

    return res ? AICTL_OK : AICTL_FAILED;
}


static int
aictl_pg_conninfo(const aictl_t *a, const char **conninfo, char *why,
    size_t size)
{
    *conninfo = a->opt[AICTL_OPT_POSTGRES];

    if (*conninfo == NULL) {
        *conninfo = getenv("AI_POSTGRES");
    }

    if (*conninfo == NULL || **conninfo == '\0') {
        aictl_pg_word(why, size, "where Postgres is must be told: "
                      "--postgres CONNINFO or AI_POSTGRES", "");
        return AICTL_USAGE;
    }

    return AICTL_OK;
}


int
aictl_pg_try(aictl_t *a, char *why, size_t size)
{
    int          rc;
    PGresult    *res;
    const char  *conninfo;

    if (a->pg) {
        return AICTL_OK;
    }

    rc = aictl_pg_conninfo(a, &conninfo, why, size);
    if (rc != AICTL_OK) {
        return rc;
    }

    rc = aictl_pg_connect(a, conninfo, why, size);
    if (rc != AICTL_OK) {
        return rc;
    }

    res = PQexec(a->pg, "SET ROLE ngxai_admin; SET statement_timeout = '60s';"
                        " SET TimeZone = 'UTC'");

    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        aictl_pg_word(why, size, "cannot act as ngxai_admin (\"aictl "
                      "migrate\" makes it; the login must be it or have it "
                      "granted): ", PQerrorMessage(a->pg));
        PQclear(res);
        PQfinish(a->pg);
        a->pg = NULL;
        return AICTL_FAILED;
    }

    PQclear(res);
    return AICTL_OK;
}


int
aictl_pg(aictl_t *a)
{
    return aictl_pg_try(a, NULL, 0);
}


int
aictl_pg_owner(aictl_t *a)
{
    int          rc;
    const char  *conninfo;

    conninfo = a->opt[AICTL_OPT_POSTGRES];

    if (conninfo == NULL) {
        conninfo = getenv("AI_POSTGRES_OWNER");
    }

    if (conninfo == NULL || *conninfo == '\0') {
        rc = aictl_pg_conninfo(a, &conninfo, NULL, 0);
        if (rc != AICTL_OK) {
            return rc;
        }
    }

    rc = aictl_pg_connect(a, conninfo, NULL, 0);
    if (rc != AICTL_OK) {
        return rc;
    }

    return aictl_exec(a, "SET TimeZone = 'UTC'");
}
