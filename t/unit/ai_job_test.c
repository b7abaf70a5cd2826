/*
 * The job's spec: what is written, what is read, every field at its bounds.
 */

#include "ai_unit.h"

#include "ai_job.h"

#define JOB  "job_0199c0ffee010123456789abcdef0123"
#define HEX  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define TRACE  "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

#define MIN_SPEC                                                             \
    "v 1\n1\nid 36\n" JOB "\ntenant 4\nacme\nprincipal 9\nanonymous\n"       \
    "op 4\nchat\ndialect 6\nopenai\nmodel 9\necho/echo\n"                    \
    "catalog 64\n" HEX "\n"
#define TIMEOUT  "timeout 6\n600000\n"


static const char  full_spec[] =
    "v 1\n1\nid 36\n" JOB "\ntenant 4\nacme\nprincipal 7\nkey:k-1\n"
    "user 3\nbob\nop 8\nmessages\ndialect 9\nanthropic\n"
    "model 15\nclaude-sonnet-4\ncatalog 64\n" HEX "\nquery 9\nbeta=true\n"
    "edge 7\nweb-1-2\ntraceparent 55\n" TRACE
    "\nforward 7\nx-a x-b\nkeep 9\n60000 100\nstream 1\n1\n"
    "usage_asked 1\n0\nresumable 1\n1\nbackground 1\n0\n"
    "strict 1\n0\n" TIMEOUT
    "header 29\nanthropic-version: 2023-06-01\nheader 6\nx-a: b\n";


static void
full_job(ai_job_t *job)
{
    memset(job, 0, sizeof(ai_job_t));

    job->id = ai_str(JOB);
    job->tenant = ai_str("acme");
    job->principal = ai_str("key:k-1");
    job->user = ai_str("bob");
    job->op = ai_str("messages");
    job->dialect = ai_str("anthropic");
    job->model = ai_str("claude-sonnet-4");
    job->catalog = ai_str(HEX);
    job->query = ai_str("beta=true");
    job->edge = ai_str("web-1-2");
    job->traceparent = ai_str(TRACE);
    job->forward = ai_str("x-a x-b");
    job->keep = ai_str("60000 100");
    job->timeout_msec = 600000;
    job->stream = 1;
    job->resumable = 1;
    job->headers[job->nheaders++] = ai_str("anthropic-version: 2023-06-01");
    job->headers[job->nheaders++] = ai_str("x-a: b");
}


static void
writes(void **state)
{
    char       mem[4096];
    size_t     size;
    ai_buf_t   b;
    ai_job_t   job;

    (void) state;

    full_job(&job);
    ai_buf_init(&b, mem, sizeof(mem));
    ai_job_write(&b, &job);
    is_buf(&b, full_spec);
    assert_false(b.full);

    for (size = 0; size < sizeof(full_spec) - 1; size++) {
        ai_buf_init(&b, mem, size);
        ai_job_write(&b, &job);
        assert_true(b.full);
        assert_int_equal(ai_buf_len(&b), 0);
    }

    job.tenant = ai_str("Acme");
    ai_buf_init(&b, mem, sizeof(mem));
    ai_job_write(&b, &job);
    assert_true(b.full);
    assert_int_equal(ai_buf_len(&b), 0);
}


static void
reads(void **state)
{
    int        i;
    char       spec[1024];
    ai_job_t   job;

    static const char *const  flags[] = {
        "stream", "usage_asked", "resumable", "background", "strict"
    };

    (void) state;

    assert_int_equal(ai_job_parse(T(full_spec), &job), 0);
    is_str(job.id, JOB);
    is_str(job.tenant, "acme");
    is_str(job.principal, "key:k-1");
    is_str(job.user, "bob");
    is_str(job.op, "messages");
    is_str(job.dialect, "anthropic");
    is_str(job.model, "claude-sonnet-4");
    is_str(job.catalog, HEX);
    is_str(job.query, "beta=true");
    is_str(job.edge, "web-1-2");
    is_str(job.traceparent, TRACE);
    assert_int_equal(job.timeout_msec, 600000);
    assert_int_equal(job.stream, 1);
    assert_int_equal(job.usage_asked, 0);
    assert_int_equal(job.resumable, 1);
    assert_int_equal(job.background, 0);
    assert_int_equal(job.nheaders, 2);
    is_str(job.headers[0], "anthropic-version: 2023-06-01");
    is_str(job.headers[1], "x-a: b");

    /* What is not required may be absent; what is unknown is skipped. */
    assert_int_equal(ai_job_parse(T(MIN_SPEC TIMEOUT "news 1\nx\nnews 1\ny\n"),
                                  &job), 0);
    assert_int_equal(job.user.len, 0);
    assert_int_equal(job.edge.len, 0);
    assert_int_equal(job.nheaders, 0);
    assert_int_equal(job.stream, 0);

    for (i = 0; i < 5; i++) {
        sprintf(spec, "%s%s 1\n1\n", MIN_SPEC TIMEOUT, flags[i]);
        assert_int_equal(ai_job_parse(Z(spec), &job), 0);
        assert_int_equal(job.stream, i == 0);
        assert_int_equal(job.usage_asked, i == 1);
        assert_int_equal(job.resumable, i == 2);
        assert_int_equal(job.background, i == 3);
        assert_int_equal(job.strict, i == 4);
    }
}


static void
refuses(void **state)
{
    size_t    i;
    ai_job_t  job;

    static const char *const  bad[] = {
        "", MIN_SPEC, TIMEOUT,
        MIN_SPEC TIMEOUT "x", MIN_SPEC TIMEOUT TIMEOUT,
        MIN_SPEC TIMEOUT "v 1\n1\n", MIN_SPEC TIMEOUT "op 4\nchat\n",
        MIN_SPEC "timeout 1\n0\n", MIN_SPEC "timeout 2\n-1\n",
        MIN_SPEC "timeout 0\n\n", MIN_SPEC "timeout 2\n1s\n",
        MIN_SPEC "timeout 8\n86400001\n",
        MIN_SPEC TIMEOUT "stream 1\n2\n", MIN_SPEC TIMEOUT "stream 0\n\n",
        MIN_SPEC TIMEOUT "stream 2\n01\n", MIN_SPEC TIMEOUT "stream 1\nx\n",
        MIN_SPEC TIMEOUT "stream 1\n1\nstream 1\n1\n",
        MIN_SPEC TIMEOUT "usage_asked 1\n/\n",
        MIN_SPEC TIMEOUT "resumable 1\n-\n",
        MIN_SPEC TIMEOUT "background 4\ntrue\n",
        MIN_SPEC TIMEOUT "header 3\nx-a\n",
        MIN_SPEC TIMEOUT "header 16\ncookie: a=secret\n",
        MIN_SPEC TIMEOUT "header 8\nx-a: b\nc\n"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (ai_job_parse(Z(bad[i]), &job) != -1) {
            fail_msg("a spec (%zu): %s", i, bad[i]);
        }
    }

    assert_int_equal(ai_job_parse(T(MIN_SPEC "timeout 8\n86400000\n"), &job),
                     0);
    assert_int_equal(ai_job_parse(T(MIN_SPEC "timeout 1\n1\n"), &job), 0);
}


/* Leaves out or replaces the n-th line pair of the shortest spec. */

static void
required(void **state)
{
    char         spec[1024], name[33];
    size_t       len;
    ai_job_t     job;
    const char  *p, *next;

    static const char  whole[] = MIN_SPEC TIMEOUT;

    (void) state;

    assert_int_equal(ai_job_parse(T(whole), &job), 0);

    for (p = whole; *p; p = next) {
        next = strchr(strchr(p, '\n') + 1, '\n') + 1;

        len = (size_t) (p - whole);
        memcpy(spec, whole, len);
        memcpy(spec + len, next, strlen(next));
        assert_int_equal(ai_job_parse(tight(spec, len + strlen(next)), &job),
                         -1);

        /* empty */
        sscanf(p, "%32s", name);
        len += (size_t) sprintf(spec + len, "%s 0\n\n", name);
        memcpy(spec + len, next, strlen(next));
        assert_int_equal(ai_job_parse(tight(spec, len + strlen(next)), &job),
                         -1);
    }

    assert_int_equal(ai_job_parse(T("v 1\n2\n" TIMEOUT), &job), -1);
    memcpy(spec, whole, sizeof(whole));
    spec[4] = '2';
    assert_int_equal(ai_job_parse(Z(spec), &job), -1);
}


static void
forms(void **state)
{
    unsigned  i;
    ai_job_t  job, good;
    char      text[2048];

    (void) state;

#define ok(field, value)                                                     \
    job = good;                                                              \
    job.field = value;                                                       \
    assert_true(ai_job_ok(&job))
#define not_ok(field, value)                                                 \
    job = good;                                                              \
    job.field = value;                                                       \
    assert_false(ai_job_ok(&job))

    full_job(&good);
    memset(text, 'x', sizeof(text));
    assert_true(ai_job_ok(&good));

    not_ok(id, T("job_0"));
    not_ok(tenant, T("a b"));
    not_ok(catalog, T("none"));

    ok(principal, T("anonymous"));
    ok(principal, T("jwt:auth0|5f7c\xC3\xA9"));
    not_ok(principal, EMPTY);
    not_ok(principal, T("anonymous "));
    not_ok(principal, T("key:"));
    not_ok(principal, T("key:a b"));
    not_ok(principal, T("jwt:"));
    not_ok(principal, T("jwt:a\tb"));
    not_ok(principal, T("root"));
    memcpy(text, "jwt:", 4);
    ok(principal, tight(text, 256));
    not_ok(principal, tight(text, 257));
    memset(text, 'x', 4);

    ok(user, EMPTY);
    ok(user, T("b\xC3\xB6" "b"));
    ok(user, tight(text, 256));
    not_ok(user, tight(text, 257));
    not_ok(user, T("b\nob"));
    not_ok(user, T("b\xFFob"));

    ok(model, T("openai/gpt-4o"));
    ok(model, tight(text, 256));
    not_ok(model, tight(text, 257));
    not_ok(model, EMPTY);
    not_ok(model, T("a\0b"));
    not_ok(model, T("a\tb"));

    ok(op, T("responses_2"));
    not_ok(op, EMPTY);
    not_ok(op, T("Chat"));
    not_ok(op, T("a-b"));
    ok(op, tight(text, 32));
    not_ok(op, tight(text, 33));
    ok(dialect, T("gemini"));
    not_ok(dialect, EMPTY);
    not_ok(dialect, T("open ai"));

    ok(query, EMPTY);
    ok(query, tight(text, 1024));
    not_ok(query, tight(text, 1025));
    not_ok(query, T("a=b c"));
    not_ok(query, T("a=b#c"));
    not_ok(query, T("a=\r\n"));
    not_ok(query, T("a=\xC3\xA9"));
    not_ok(query, T("a=\x7f"));

    ok(edge, EMPTY);
    not_ok(edge, T("a b"));
    ok(traceparent, EMPTY);
    not_ok(traceparent, T("00-1-2-3"));

    ok(timeout_msec, 1);
    not_ok(timeout_msec, 0);
    not_ok(timeout_msec, -1);
    ok(timeout_msec, 86400000);
    not_ok(timeout_msec, 86400001);

    ok(headers[1], T("X-B: c"));
    ok(headers[1], T("x-b: "));
    not_ok(headers[1], EMPTY);
    not_ok(headers[1], T(": c"));
    not_ok(headers[1], T("x-b : c"));
    not_ok(headers[1], T("x-b: c\r\nx-c: d"));
    not_ok(headers[1], T("Authorization: Bearer x"));
    not_ok(headers[1], T("x-ai-job: 1"));

    job = good;

    for (i = 0; i < AI_JOB_HEADERS_MAX; i++) {
        job.headers[i] = ai_str("x-a: b");
    }

    job.nheaders = AI_JOB_HEADERS_MAX;
    assert_true(ai_job_ok(&job));
    job.nheaders = AI_JOB_HEADERS_MAX + 1;
    assert_false(ai_job_ok(&job));
}


static void
bounds(void **state)
{
    char       *mem, *header;
    unsigned    i;
    ai_buf_t    b;
    ai_job_t    job, parsed;

    (void) state;

    mem = malloc(AI_RECORD_MAX);
    header = malloc(8200);
    assert_non_null(mem);
    assert_non_null(header);

    full_job(&job);
    job.nheaders = 0;

    ai_buf_init(&b, mem, AI_RECORD_MAX);
    ai_job_write(&b, &job);

    for (i = 0; i < AI_JOB_HEADERS_MAX; i++) {
        ai_record_add(&b, "header", ai_str("x-a: b"));
    }

    assert_int_equal(
        ai_job_parse((ai_str_t) { ai_buf_len(&b), mem }, &parsed), 0);
    assert_int_equal(parsed.nheaders, AI_JOB_HEADERS_MAX);

    ai_record_add(&b, "header", ai_str("x-a: b"));
    assert_int_equal(
        ai_job_parse((ai_str_t) { ai_buf_len(&b), mem }, &parsed), -1);

    /* 16 headers of 8 KB do not fit in a spec, 15 do. */

    memset(header, 'x', 8200);
    memcpy(header, "x-a: ", 5);

    for (i = 0; i < 16; i++) {
        job.headers[i] = (ai_str_t) { 8197, header };
    }

    job.nheaders = 15;
    ai_buf_init(&b, mem, AI_RECORD_MAX);
    ai_job_write(&b, &job);
    assert_false(b.full);
    assert_true(ai_buf_len(&b) <= AI_JOB_SPEC_MAX);
    assert_int_equal(
        ai_job_parse((ai_str_t) { ai_buf_len(&b), mem }, &parsed), 0);

    /* Unknown fields up to the bound, and one byte over. */
    i = (unsigned) (AI_JOB_SPEC_MAX - ai_buf_len(&b) - strlen("n 0000\n\n"));
    assert_in_range(i, 1000, 8197);
    ai_record_add(&b, "n", (ai_str_t) { i, header });
    assert_int_equal(ai_buf_len(&b), AI_JOB_SPEC_MAX);
    assert_int_equal(
        ai_job_parse((ai_str_t) { ai_buf_len(&b), mem }, &parsed), 0);
    ai_record_add(&b, "n", EMPTY);
    assert_int_equal(
        ai_job_parse((ai_str_t) { ai_buf_len(&b), mem }, &parsed), -1);

    job.nheaders = 16;
    ai_buf_init(&b, mem, AI_RECORD_MAX);
    ai_job_write(&b, &job);
    assert_true(b.full);
    assert_int_equal(ai_buf_len(&b), 0);

    free(mem);
    free(header);
}


static void
base(void **state)
{
    char      mem[256];
    size_t    size;
    ai_buf_t  b;
    ai_job_t  job;

    static const char  want[] =
        "key:k-1\tbob\tmessages\tanthropic\tclaude-sonnet-4";

    (void) state;

    full_job(&job);
    ai_buf_init(&b, mem, sizeof(mem));
    ai_job_base(&b, &job);
    is_buf(&b, want);

    job.user = EMPTY;
    ai_buf_init(&b, mem, sizeof(mem));
    ai_job_base(&b, &job);
    is_buf(&b, "key:k-1\t-\tmessages\tanthropic\tclaude-sonnet-4");

    full_job(&job);

    for (size = 0; size < sizeof(want) - 1; size++) {
        ai_buf_init(&b, mem, size);
        ai_job_base(&b, &job);
        assert_true(b.full);
        assert_int_equal(ai_buf_len(&b), 0);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(writes),
        cmocka_unit_test(reads),
        cmocka_unit_test(refuses),
        cmocka_unit_test(required),
        cmocka_unit_test(forms),
        cmocka_unit_test(bounds),
        cmocka_unit_test(base)
    };

    return run_group(tests);
}
