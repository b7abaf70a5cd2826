/*
 * The job's spec.  Owns nothing.
 */

#include "ai_job.h"

#include <string.h>

#include "ai_crypto.h"
#include "ai_headers.h"
#include "ai_keys.h"
#include "ai_role.h"

#define AI_JOB_WORD_MAX  32

typedef enum {
    AI_JOB_STR = 0,
    AI_JOB_STREAM,
    AI_JOB_USAGE_ASKED,
    AI_JOB_RESUMABLE,
    AI_JOB_BACKGROUND,
    AI_JOB_STRICT,
    AI_JOB_TIMEOUT,
    AI_JOB_HEADER
} ai_job_kind_e;

typedef struct {
    const char    *name;
    ai_job_kind_e  kind;
    size_t         offset;
} ai_job_field_t;


static int ai_job_set(ai_job_t *job, const ai_job_field_t *f, ai_str_t value);
static int ai_job_flag(ai_str_t value);
static int ai_job_principal_ok(ai_str_t s);
static int ai_job_word_ok(ai_str_t s);
static int ai_job_query_ok(ai_str_t s);


#define AI_JOB_VERSION_BIT  (1u << 31)

/* In the order they are written; v goes first. */
static const ai_job_field_t  ai_job_fields[] = {
    { "id", AI_JOB_STR, offsetof(ai_job_t, id) },
    { "tenant", AI_JOB_STR, offsetof(ai_job_t, tenant) },
    { "principal", AI_JOB_STR, offsetof(ai_job_t, principal) },
    { "user", AI_JOB_STR, offsetof(ai_job_t, user) },
    { "role", AI_JOB_STR, offsetof(ai_job_t, role) },
    { "scopes", AI_JOB_STR, offsetof(ai_job_t, scopes) },
    { "op", AI_JOB_STR, offsetof(ai_job_t, op) },
    { "dialect", AI_JOB_STR, offsetof(ai_job_t, dialect) },
    { "model", AI_JOB_STR, offsetof(ai_job_t, model) },
    { "catalog", AI_JOB_STR, offsetof(ai_job_t, catalog) },
    { "digest", AI_JOB_STR, offsetof(ai_job_t, digest) },
    { "query", AI_JOB_STR, offsetof(ai_job_t, query) },
    { "edge", AI_JOB_STR, offsetof(ai_job_t, edge) },
    { "traceparent", AI_JOB_STR, offsetof(ai_job_t, traceparent) },
    { "forward", AI_JOB_STR, offsetof(ai_job_t, forward) },
    { "keep", AI_JOB_STR, offsetof(ai_job_t, keep) },
    { "stream", AI_JOB_STREAM, 0 },
    { "usage_asked", AI_JOB_USAGE_ASKED, 0 },
    { "resumable", AI_JOB_RESUMABLE, 0 },
    { "background", AI_JOB_BACKGROUND, 0 },
    { "strict", AI_JOB_STRICT, 0 },
    { "timeout", AI_JOB_TIMEOUT, 0 },
    { "header", AI_JOB_HEADER, 0 }
};

#define AI_JOB_FIELDS  (sizeof(ai_job_fields) / sizeof(ai_job_fields[0]))


int
ai_job_ok(const ai_job_t *job)
{
    unsigned  i;
    ai_str_t  name, value;

    if (!ai_id_job_ok(job->id)
        || !ai_keys_tenant_ok(job->tenant)
        || !ai_job_principal_ok(job->principal)
        || !ai_str_text_ok(job->user, AI_JOB_TEXT_MAX)
        || !ai_str_text_ok(job->role, AI_ROLE_MAX)
        || !ai_str_text_ok(job->scopes, AI_SCOPES_MAX)
        || !ai_job_word_ok(job->op)
        || !ai_job_word_ok(job->dialect)
        || job->model.len == 0
        || !ai_str_text_ok(job->model, AI_JOB_TEXT_MAX)
        || !ai_sha256_hex_ok(job->catalog)
        || (job->digest.len && !ai_sha256_hex_ok(job->digest))
        || !ai_job_query_ok(job->query)
        || (job->edge.len && !ai_keys_process_ok(job->edge))
        || (job->traceparent.len && !ai_id_traceparent_ok(job->traceparent))
        || !ai_headers_list_ok(job->forward)
        || !ai_str_text_ok(job->keep, AI_JOB_KEEP_MAX)
        || job->timeout_msec < 1
        || job->timeout_msec > AI_JOB_TIMEOUT_MAX
        || job->nheaders > AI_JOB_HEADERS_MAX)
    {
        return 0;
    }

    for (i = 0; i < job->nheaders; i++) {
        if (ai_headers_split(job->headers[i], &name, &value) != 0
            || ai_headers_never(name))
        {
            return 0;
        }
    }

    return 1;
}


void
ai_job_write(ai_buf_t *b, const ai_job_t *job)
{
    char                  *mark;
    size_t                 i;
    unsigned               n;
    ai_str_t               value;
    const ai_job_field_t  *f;

    if (!ai_job_ok(job)) {
        b->full = 1;
        return;
    }

    mark = b->pos;

    ai_record_add_int(b, "v", AI_JOB_VERSION);

    for (i = 0; i < AI_JOB_FIELDS; i++) {
        f = &ai_job_fields[i];

        switch (f->kind) {

        case AI_JOB_STR:
            memcpy(&value, (const char *) job + f->offset, sizeof(ai_str_t));

            if (value.len) {
                ai_record_add(b, f->name, value);
            }

            break;

        case AI_JOB_STREAM:
            ai_record_add_int(b, f->name, job->stream);
            break;

        case AI_JOB_USAGE_ASKED:
            ai_record_add_int(b, f->name, job->usage_asked);
            break;

        case AI_JOB_RESUMABLE:
            ai_record_add_int(b, f->name, job->resumable);
            break;

        case AI_JOB_BACKGROUND:
            ai_record_add_int(b, f->name, job->background);
            break;

        case AI_JOB_STRICT:
            ai_record_add_int(b, f->name, job->strict);
            break;

        case AI_JOB_TIMEOUT:
            ai_record_add_int(b, f->name, job->timeout_msec);
            break;

        case AI_JOB_HEADER:
            for (n = 0; n < job->nheaders; n++) {
                ai_record_add(b, f->name, job->headers[n]);
            }

            break;
        }
    }

    if (b->full || b->pos - mark > AI_JOB_SPEC_MAX) {
        b->full = 1;
        b->pos = mark;
    }
}


int
ai_job_parse(ai_str_t spec, ai_job_t *job)
{
    int       rc;
    size_t    i;
    int64_t   version;
    uint32_t  seen, bit;
    ai_str_t  name, value;

    memset(job, 0, sizeof(ai_job_t));

    if (spec.len > AI_JOB_SPEC_MAX) {
        return -1;
    }

    seen = 0;

    while ((rc = ai_record_next(&spec, &name, &value)) == 1) {

        if (ai_str_eq(name, ai_str("v"))) {
            if ((seen & AI_JOB_VERSION_BIT) || ai_str_int(value, &version) != 0
                || version != AI_JOB_VERSION)
            {
                return -1;
            }

            seen |= AI_JOB_VERSION_BIT;
            continue;
        }

        for (i = 0; i < AI_JOB_FIELDS; i++) {
            if (ai_str_eqz(name, ai_job_fields[i].name)) {
                break;
            }
        }

        if (i == AI_JOB_FIELDS) {
            continue;
        }

        bit = 1u << i;

        if (ai_job_set(job, &ai_job_fields[i], value) != 0
            || ((seen & bit) && ai_job_fields[i].kind != AI_JOB_HEADER))
        {
            return -1;
        }

        seen |= bit;
    }

    return rc == 0 && (seen & AI_JOB_VERSION_BIT) && ai_job_ok(job) ? 0 : -1;
}


void
ai_job_base(ai_buf_t *b, const ai_job_t *job)
{
    char      *mark;
    size_t     i;
    ai_str_t   columns[5] = {
        job->principal, job->user, job->op, job->dialect, job->model
    };

    mark = b->pos;

    for (i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {

        if (i > 0) {
            ai_buf_add(b, "\t", 1);
        }

        ai_buf_add_str(b, columns[i].len ? columns[i] : ai_str("-"));
    }

    if (b->full) {
        b->pos = mark;
    }
}


static int
ai_job_set(ai_job_t *job, const ai_job_field_t *f, ai_str_t value)
{
    int  flag;

    flag = ai_job_flag(value);

    switch (f->kind) {

    case AI_JOB_STR:
        memcpy((char *) job + f->offset, &value, sizeof(ai_str_t));
        return 0;

    case AI_JOB_TIMEOUT:
        return ai_str_int(value, &job->timeout_msec);

    case AI_JOB_HEADER:
        if (job->nheaders == AI_JOB_HEADERS_MAX) {
            return -1;
        }

        job->headers[job->nheaders++] = value;
        return 0;

    case AI_JOB_STREAM:
        job->stream = flag == 1;
        break;

    case AI_JOB_USAGE_ASKED:
        job->usage_asked = flag == 1;
        break;

    case AI_JOB_RESUMABLE:
        job->resumable = flag == 1;
        break;

    case AI_JOB_BACKGROUND:
        job->background = flag == 1;
        break;

    case AI_JOB_STRICT:
        job->strict = flag == 1;
        break;
    }

    return flag < 0 ? -1 : 0;
}


static int
ai_job_flag(ai_str_t value)
{
    if (value.len != 1 || (value.data[0] != '0' && value.data[0] != '1')) {
        return -1;
    }

    return value.data[0] - '0';
}


static int
ai_job_principal_ok(ai_str_t s)
{
    if (ai_str_eq(s, ai_str("anonymous"))) {
        return 1;
    }

    if (s.len > 4 && memcmp(s.data, "key:", 4) == 0) {
        return ai_keys_key_id_ok((ai_str_t) { s.len - 4, s.data + 4 });
    }

    return s.len > 4 && memcmp(s.data, "jwt:", 4) == 0
           && ai_str_text_ok(s, AI_JOB_TEXT_MAX);
}


static int
ai_job_word_ok(ai_str_t s)
{
    char    c;
    size_t  i;

    if (s.len == 0 || s.len > AI_JOB_WORD_MAX) {
        return 0;
    }

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) {
            return 0;
        }
    }

    return 1;
}


static int
ai_job_query_ok(ai_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] <= ' ' || s.data[i] > '~' || s.data[i] == '#') {
            return 0;
        }
    }

    return s.len <= AI_JOB_QUERY_MAX;
}
