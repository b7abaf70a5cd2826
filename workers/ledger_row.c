/*
 * Rows of the ledger out of outbox entries: the text of a column goes to
 * Postgres as it stands, after it was checked here.
 */

#include "ledger_row.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ai_id.h"
#include "ai_keys.h"
#include "ai_record.h"
#include "ai_usage.h"


#define LEDGER_BASE     5               /* columns of the base */
#define LEDGER_USAGE    24              /* columns of a usage line */
#define LEDGER_RECORD   32768           /* bytes of an entry as a record */
#define LEDGER_REQUESTS_MAX  1000000    /* a record, of the script hits */
#define LEDGER_AT_MIN   1577836800000000LL      /* 2020, in microseconds */
#define LEDGER_AT_MAX   7258118400000000LL      /* 2200 */

typedef enum {
    LEDGER_JOB = 0,
    LEDGER_ATTEMPT,
    LEDGER_CALL,
    LEDGER_AT,
    LEDGER_TENANT,
    LEDGER_PRINCIPAL,
    LEDGER_STATE = LEDGER_PRINCIPAL + LEDGER_BASE,
    LEDGER_REQUESTS = LEDGER_STATE + LEDGER_USAGE
} ledger_column_e;


const char  ledger_sql[] =
    "INSERT INTO ngxai.ledger (job, attempt, call, at, tenant, principal,"
    " user_name, op, dialect, model, state, status, provider, provider_model,"
    " request_id, finish, input, output, cached_read, cached_write, reasoning,"
    " cost, estimated, ttft, duration, queue, attempts, cause,"
    " cached_write_1h, audio_input, audio_output, image_input, image_output,"
    " own_key, requests)"
    " SELECT * FROM unnest($1::text[], $2::smallint[], $3::smallint[],"
    " $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[],"
    " $9::text[], $10::text[], $11::text[], $12::smallint[], $13::text[],"
    " $14::text[], $15::text[], $16::text[], $17::bigint[], $18::bigint[],"
    " $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[],"
    " $23::boolean[], $24::bigint[], $25::bigint[], $26::bigint[],"
    " $27::integer[], $28::text[], $29::bigint[], $30::bigint[],"
    " $31::bigint[], $32::bigint[], $33::bigint[], $34::boolean[],"
    " $35::integer[])"
    " ON CONFLICT DO NOTHING";

const char  ledger_bury_sql[] =
    "INSERT INTO ngxai.dead_letters (entry, tenant, record, error)"
    " VALUES ($1, $2, $3::bytea, $4) ON CONFLICT DO NOTHING";


/* Tab-separated text into columns; "-", empty and missing are NULL. */

static void
ledger_row_split(ai_str_t text, ai_str_t *columns, unsigned n)
{
    size_t       len;
    unsigned     i;
    const char  *tab;

    for (i = 0; i < n && text.data != NULL; i++) {
        tab = memchr(text.data, '\t', text.len);
        len = tab ? (size_t) (tab - text.data) : text.len;

        if (len > 0 && !(len == 1 && text.data[0] == '-')) {
            columns[i] = (ai_str_t) { len, text.data };
        }

        text.data = tab ? tab + 1 : NULL;
        text.len -= tab ? len + 1 : len;
    }
}


static int
ledger_row_small(ai_str_t text)
{
    int64_t  n;

    return ai_str_int(text, &n) == 0 && n >= 0 && n <= 32767;
}


static int
ledger_row_requests(ai_str_t text)
{
    int64_t  n;

    return ai_str_int(text, &n) == 0 && n >= 1 && n <= LEDGER_REQUESTS_MAX;
}


/* Microseconds as a time that Postgres reads exactly. */

static int
ledger_row_at(ledger_row_t *row, ai_str_t text)
{
    int        len;
    time_t     sec;
    int64_t    usec;
    struct tm  tm;

    if (ai_str_int(text, &usec) != 0 || usec < LEDGER_AT_MIN
        || usec > LEDGER_AT_MAX)
    {
        return -1;
    }

    sec = (time_t) (usec / 1000000);

    if (gmtime_r(&sec, &tm) == NULL) {
        return -1;
    }

    len = (int) strftime(row->at, sizeof(row->at), "%Y-%m-%d %H:%M:%S", &tm);
    len += snprintf(row->at + len, sizeof(row->at) - (size_t) len, ".%06d+00",
                    (int) (usec % 1000000));
    row->columns[LEDGER_AT] = (ai_str_t) { (size_t) len, row->at };

    return 0;
}


static void
ledger_row_fields(ledger_row_t *row, const ai_resp_t *fields, ai_str_t *base,
    ai_str_t *usage, ai_str_t *at)
{
    size_t            i;
    ai_str_t          value;
    const ai_resp_t   *name;

    for (i = 0; i + 1 < fields->elements; i += 2) {
        name = &fields->element[i];

        if (name->str == NULL || name->len != 1
            || fields->element[i + 1].str == NULL)
        {
            continue;
        }

        value = (ai_str_t) { fields->element[i + 1].len,
                             fields->element[i + 1].str };

        switch (name->str[0]) {

        case 'j':
            row->columns[LEDGER_JOB] = value;
            break;

        case 'a':
            row->columns[LEDGER_ATTEMPT] = value;
            break;

        case 'c':
            row->columns[LEDGER_CALL] = value;
            break;

        case 't':
            *at = value;
            break;

        case 'n':
            row->columns[LEDGER_TENANT] = value;
            row->tenant = value;
            break;

        case 'b':
            *base = value;
            break;

        case 'u':
            *usage = value;
            break;

        case 'r':
            row->columns[LEDGER_REQUESTS] = value;
            break;

        default:
            break;
        }
    }
}


int
ledger_row_parse(ledger_row_t *row, const ai_resp_t *entry)
{
    unsigned     i;
    ai_str_t     base, usage, at;
    ai_usage_t   u;

    memset(row, 0, sizeof(*row));

    if (entry->type != AI_RESP_ARRAY || entry->elements != 2
        || entry->element[0].str == NULL || entry->element[0].len > 64)
    {
        return -1;
    }

    row->entry = (ai_str_t) { entry->element[0].len, entry->element[0].str };

    if (entry->element[1].type != AI_RESP_ARRAY) {
        row->error = "the entry has no fields";
        return 0;
    }

    memset(&base, 0, sizeof(base));
    memset(&usage, 0, sizeof(usage));
    memset(&at, 0, sizeof(at));
    row->columns[LEDGER_REQUESTS] = ai_str("1");
    ledger_row_fields(row, &entry->element[1], &base, &usage, &at);

    if (!ai_id_job_ok(row->columns[LEDGER_JOB])) {
        row->error = "j is no job id";

    } else if (!ledger_row_small(row->columns[LEDGER_ATTEMPT])) {
        row->error = "a is no attempt";

    } else if (!ledger_row_small(row->columns[LEDGER_CALL])) {
        row->error = "c is no call";

    } else if (ledger_row_at(row, at) != 0) {
        row->error = "t is no time";

    } else if (!ai_keys_tenant_ok(row->columns[LEDGER_TENANT])) {
        row->error = "n is no tenant";

    } else if (usage.data == NULL || ai_usage_parse(usage, &u) != 0) {
        row->error = "u is no usage line";

    } else if (!ledger_row_requests(row->columns[LEDGER_REQUESTS])) {
        row->error = "r is no number of requests";
    }

    if (row->error) {
        return 0;
    }

    if (usage.len && usage.data[usage.len - 1] == '\n') {
        usage.len--;
    }

    ledger_row_split(base, &row->columns[LEDGER_PRINCIPAL], LEDGER_BASE);
    ledger_row_split(usage, &row->columns[LEDGER_STATE], LEDGER_USAGE);

    /* A zero byte would end the statement's parameter. */
    for (i = LEDGER_PRINCIPAL; i < LEDGER_STATE; i++) {
        if (row->columns[i].data
            && memchr(row->columns[i].data, '\0', row->columns[i].len))
        {
            row->error = "b has a zero byte";
        }
    }

    return 0;
}


size_t
ledger_row_array(char *buf, size_t size, const ledger_row_t *rows, unsigned n,
    unsigned column)
{
    char      *p;
    size_t     len, k;
    ai_str_t   s;
    unsigned   i;

    /* Braces and zero byte; a value at worst all escaped, quoted, a comma. */
    for (len = 3, i = 0; i < n; i++) {
        s = rows[i].columns[column];
        len += s.data ? 2 * s.len + 3 : sizeof("NULL");
    }

    if (len > size) {
        return len;
    }

    p = buf;
    *p++ = '{';

    for (i = 0; i < n; i++) {
        s = rows[i].columns[column];

        if (i > 0) {
            *p++ = ',';
        }

        if (s.data == NULL) {
            memcpy(p, "NULL", 4);
            p += 4;
            continue;
        }

        *p++ = '"';

        for (k = 0; k < s.len; k++) {
            if (s.data[k] == '"' || s.data[k] == '\\') {
                *p++ = '\\';
            }

            *p++ = s.data[k];
        }

        *p++ = '"';
    }

    *p++ = '}';
    *p = '\0';

    return len;
}


size_t
ledger_row_record(char *buf, size_t size, const ai_resp_t *entry)
{
    char               mem[LEDGER_RECORD];
    size_t             i, len;
    ai_buf_t           b;
    const ai_resp_t   *fields, *name, *value;
    static const char  digits[] = "0123456789abcdef";

    ai_buf_init(&b, mem, sizeof(mem));
    fields = &entry->element[1];

    for (i = 0; fields->type == AI_RESP_ARRAY && i + 1 < fields->elements;
         i += 2)
    {
        name = &fields->element[i];
        value = &fields->element[i + 1];

        if (name->str && value->str) {
            ai_record_add(&b, name->str,
                          (ai_str_t) { value->len, value->str });
            b.full = 0;
        }
    }

    len = ai_buf_len(&b);

    if (size < 2 * len + 3) {
        return 0;
    }

    buf[0] = '\\';
    buf[1] = 'x';

    for (i = 0; i < len; i++) {
        buf[2 + 2 * i] = digits[(unsigned char) mem[i] >> 4];
        buf[3 + 2 * i] = digits[(unsigned char) mem[i] & 15];
    }

    buf[2 + 2 * len] = '\0';
    return 2 + 2 * len;
}
