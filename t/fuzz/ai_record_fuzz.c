/*
 * Records and specs: fields lie inside; what was read and written again reads
 * the same.
 */

#include "ai_fuzz.h"

#include "ai_job.h"


static void
job_again(const ai_job_t *job)
{
    unsigned         i;
    ai_buf_t         b;
    static ai_job_t  again;
    static char      mem[AI_RECORD_MAX], base[4096];

    must(ai_job_ok(job));

    ai_buf_init(&b, mem, sizeof(mem));
    ai_job_write(&b, job);

    if (b.full) {
        return;
    }

    must(ai_job_parse((ai_str_t) { ai_buf_len(&b), mem }, &again) == 0);
    must(ai_str_eq(again.id, job->id) && ai_str_eq(again.model, job->model));
    must(ai_str_eq(again.user, job->user) && ai_str_eq(again.edge, job->edge));
    must(again.timeout_msec == job->timeout_msec);
    must(again.stream == job->stream && again.resumable == job->resumable);
    must(again.nheaders == job->nheaders);

    for (i = 0; i < job->nheaders; i++) {
        must(ai_str_eq(again.headers[i], job->headers[i]));
    }

    ai_buf_init(&b, base, sizeof(base));
    ai_job_base(&b, job);
    must(!b.full && memchr(base, '\n', ai_buf_len(&b)) == NULL);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int              rc;
    ai_buf_t         b;
    ai_str_t         record, rest, name, value;
    char             zname[AI_RECORD_NAME_MAX + 1];
    static char      mem[AI_RECORD_MAX];
    static ai_job_t  job;

    record = (ai_str_t) { size, (const char *) data };
    rest = record;
    ai_buf_init(&b, mem, sizeof(mem));

    while ((rc = ai_record_next(&rest, &name, &value)) == 1) {
        must(name.len > 0 && name.len <= AI_RECORD_NAME_MAX);
        must_be_in(name, record);
        must_be_in(value, record);

        memcpy(zname, name.data, name.len);
        zname[name.len] = '\0';
        ai_record_add(&b, zname, value);
        must(ai_record_get(record, zname, &value) == 1);
    }

    must(rc == 0 || rc == -1);

    /* Leading zeros of a length are all that may be lost. */
    if (rc == 0 && !b.full) {
        must(ai_buf_len(&b) <= size);
    }

    if (ai_job_parse(record, &job) == 0) {
        job_again(&job);
    }

    return 0;
}
