/*
 * The ledger writer's Postgres side: statements, what they answer, bad rows.
 * Owns nothing but the statement's text while it is made.
 */

#include "ledger_batch.h"

#include <stdlib.h>
#include <string.h>

#include "ai_crypto.h"


#define LEDGER_RETRY_MIN   500          /* ms after an error; doubles */
#define LEDGER_RETRY_MAX   10000
#define LEDGER_ERROR_MAX   500          /* bytes of an error that are kept */
#define LEDGER_RECORD_HEX  65600


static int ledger_insert(ledger_shard_t *s, unsigned n);
static int ledger_bury(ledger_shard_t *s, const char *error);
static void ledger_on_written(db_t *db, const PGresult *res, void *data);
static void ledger_on_refused(ledger_shard_t *s, const PGresult *res);
static int ledger_is_data_error(const char *sqlstate);
static void ledger_hold(ledger_shard_t *s);
static void ledger_wait(ledger_shard_t *s);


void
ledger_write(ledger_shard_t *s)
{
    int       rc;
    unsigned  n;

    if (s->pos == s->nrows) {
        s->state = LEDGER_WRITTEN;
        ledger_tell(s);
        return;
    }

    if (s->len > s->nrows - s->pos) {
        s->len = s->nrows - s->pos;
    }

    if (s->rows[s->pos].error) {
        rc = ledger_bury(s, s->rows[s->pos].error);

    } else {
        for (n = 1; n < s->len && !s->rows[s->pos + n].error; n++) {
            /* void */
        }

        s->len = n;
        rc = ledger_insert(s, n);
    }

    if (rc == 0) {
        s->state = LEDGER_WRITING;

    } else if (db_ready(s->ledger->db)) {
        ledger_wait(s);

    } else {
        ledger_hold(s);
    }
}


/* Until there is a connection again, which has a backoff of its own. */

static void
ledger_hold(ledger_shard_t *s)
{
    s->state = LEDGER_HOLDING;
    s->retry_msec = 0;
}


static int
ledger_insert(ledger_shard_t *s, unsigned n)
{
    int           rc;
    char         *mem, *p;
    size_t        size;
    unsigned      i;
    const char   *params[LEDGER_COLUMNS];
    ledger_row_t *rows;

    rows = &s->rows[s->pos];

    for (i = 0, size = 0; i < LEDGER_COLUMNS; i++) {
        size += ledger_row_array(NULL, 0, rows, n, i);
    }

    mem = malloc(size);
    if (mem == NULL) {
        return -1;
    }

    for (i = 0, p = mem; i < LEDGER_COLUMNS; i++) {
        params[i] = p;
        p += ledger_row_array(p, size - (size_t) (p - mem), rows, n, i);
    }

    s->burying = 0;
    rc = db_query(s->ledger->db, LEDGER_QUERY_MSEC, ledger_on_written, s,
                  ledger_sql, LEDGER_COLUMNS, params);
    free(mem);

    return rc;
}


/* error as text for a column: whole characters of UTF-8, cut. */

static void
ledger_error_text(char *buf, const char *error)
{
    size_t    n;
    unsigned  len;
    ai_str_t  s = { strlen(error), error };

    for (n = 0; s.len > 0; s.data += len, s.len -= len) {
        len = ai_str_utf8(s);

        if (n + 4 >= LEDGER_ERROR_MAX) {
            break;
        }

        if (len == 0) {
            len = 1;
            buf[n++] = '?';
            continue;
        }

        memcpy(buf + n, s.data, len);
        n += len;
    }

    buf[n] = '\0';
}


static int
ledger_bury(ledger_shard_t *s, const char *error)
{
    int            rc;
    char           text[LEDGER_ERROR_MAX], tenant[64], *record;
    const char    *params[4];
    ledger_row_t  *row;

    row = &s->rows[s->pos];
    record = malloc(LEDGER_RECORD_HEX);

    if (record == NULL
        || ledger_row_record(record, LEDGER_RECORD_HEX,
                             &s->entries->element[s->pos])
           == 0)
    {
        free(record);
        return -1;
    }

    ledger_error_text(text, error);
    params[0] = row->entry.data;
    params[1] = NULL;
    params[2] = record;
    params[3] = text;

    if (ai_keys_tenant_ok(row->tenant)) {
        memcpy(tenant, row->tenant.data, row->tenant.len);
        tenant[row->tenant.len] = '\0';
        params[1] = tenant;
    }

    s->burying = 1;
    rc = db_query(s->ledger->db, LEDGER_QUERY_MSEC, ledger_on_written, s,
                  ledger_bury_sql, 4, params);
    free(record);

    return rc;
}


static void
ledger_on_written(db_t *db, const PGresult *res, void *data)
{
    ledger_t        *l;
    ledger_row_t    *row;
    ledger_shard_t  *s;

    (void) db;

    s = data;
    l = s->ledger;
    s->state = LEDGER_HOLDING;

    if (l->closing) {
        return;
    }

    if (res == NULL) {
        l->w->metrics.ledger_failed_total++;
        ledger_hold(s);
        return;
    }

    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        ledger_on_refused(s, res);
        return;
    }

    s->backoff_msec = 0;
    s->again = 0;

    if (s->burying) {
        row = &s->rows[s->pos];
        l->w->metrics.ledger_dead_total++;
        log_job(LOG_ERROR, "ledger", row->tenant, row->columns[0],
                "outbox entry %s is now a dead letter: %s", row->entry.data,
                row->error);
        s->pos++;

    } else {
        l->w->metrics.ledger_batches_total++;
        l->w->metrics.ledger_rows_total += strtoll(
                                  PQcmdTuples((PGresult *) res), NULL, 10);
        s->pos += s->len;
    }

    s->len *= 2;
    ledger_write(s);
}


/* An error: of the data (halve, then bury), or of the server (wait). */

static void
ledger_on_refused(ledger_shard_t *s, const PGresult *res)
{
    const char  *state;

    state = db_sqlstate(res);
    s->ledger->w->metrics.ledger_failed_total++;

    if (!s->burying && ledger_is_data_error(state)) {

        if (s->len > 1) {
            s->len /= 2;
            ledger_write(s);
            return;
        }

        /* A partition that was being made refuses a row of its month. */
        if (!s->again) {
            s->again = 1;
            ledger_write(s);
            return;
        }

        s->again = 0;
        s->rows[s->pos].error = "refused by Postgres";

        if (ledger_bury(s, PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY))
            == 0)
        {
            s->state = LEDGER_WRITING;

        } else {
            ledger_wait(s);
        }

        return;
    }

    log_write(LOG_ERROR, "ledger", "%s cannot be written, %u records wait: "
              "%s %s", s->burying ? "a dead letter" : "the ledger",
              s->nrows - s->pos, state,
              PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));

    /* A standby: the name may lead to the new primary by now. */
    if (strcmp(state, "25006") == 0) {
        db_reset(s->ledger->db);
    }

    ledger_wait(s);
}


/* Data exceptions, violated constraints, limits of the program. */

static int
ledger_is_data_error(const char *sqlstate)
{
    return strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "23", 2) == 0
           || strncmp(sqlstate, "54", 2) == 0;
}


static void
ledger_wait(ledger_shard_t *s)
{
    uint32_t  random;

    s->state = LEDGER_HOLDING;
    s->backoff_msec = s->backoff_msec ? s->backoff_msec * 2
                                      : LEDGER_RETRY_MIN;
    if (s->backoff_msec > LEDGER_RETRY_MAX) {
        s->backoff_msec = LEDGER_RETRY_MAX;
    }

    if (ai_random(&random, sizeof(random)) != 0) {
        random = 0;
    }

    s->retry_msec = uv_now(&s->ledger->w->loop.uv) + s->backoff_msec / 2
                    + random % (s->backoff_msec / 2);
}
