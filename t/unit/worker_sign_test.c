/*
 * Jobs that come again: what a worker remembers of those that began.
 */

#include "ai_unit.h"

#include <unistd.h>

#include "log.h"
#include "sign.h"


#define KEY   "0123456789abcdef0123456789abcdef"
#define WALL  1700000000000u

static ai_sign_t  *edge;


/* Delivers the job whose id ends with these bits; what sign_refused says. */

static const char *
begin(uint64_t bits)
{
    char           id[64], text[2048];
    ai_buf_t       b;
    ai_job_t       job, read;
    ai_delivery_t  d;

    memset(&job, 0, sizeof(job));
    memset(&d, 0, sizeof(d));
    snprintf(id, sizeof(id), "job_%012llx0000%016llx",
             (unsigned long long) WALL, (unsigned long long) bits);

    job.id = Z(id);
    job.tenant = Z("t");
    job.principal = Z("anonymous");
    job.op = Z("chat");
    job.dialect = Z("openai");
    job.model = Z("p/m");
    job.catalog = Z("abababababababababababababababab"
                    "abababababababababababababababab");
    job.digest = job.catalog;
    job.timeout_msec = 1000;

    ai_buf_init(&b, text, sizeof(text));
    ai_job_write(&b, &job);
    ai_sign_spec(edge, &b, text);
    assert_false(b.full);

    d.spec = (ai_str_t) { ai_buf_len(&b), text };
    assert_int_equal(ai_job_parse(d.spec, &read), 0);

    return sign_refused(&d, &read, WALL);
}


static void
settle(uint64_t bits)
{
    char  id[64];

    snprintf(id, sizeof(id), "job_%012llx0000%016llx",
             (unsigned long long) WALL, (unsigned long long) bits);
    sign_settled(Z(id), WALL - SIGN_SETTLED_MSEC - 1);
}


static void
begin_all(uint64_t bits)
{
    unsigned  i;

    for (i = 0; i < SIGN_BEGINS_MAX; i++) {
        assert_null(begin(bits));
    }

    assert_non_null(begin(bits));
}


/* Whoever can write to Redis chooses which captured jobs come in turn, and the
 * ids of jobs that are refused and settled. */

static void
nobody_makes_it_forget(void **state)
{
    unsigned  i, k;

    (void) state;

    for (i = 0; i < SIGN_BEGINS_MAX; i++) {
        for (k = 0; k < 16; k++) {
            assert_null(begin(0x1234 + ((uint64_t) k << 20)));
        }
    }

    for (k = 0; k < 16; k++) {
        assert_non_null(begin(0x1234 + ((uint64_t) k << 20)));
    }

    begin_all(0x77);
    settle(0x77 + ((uint64_t) 1 << 40));
    assert_non_null(begin(0x77));

    begin_all(0);
}


static void
settled(void **state)
{
    (void) state;

    assert_null(begin(0x99));
    settle(0x99);
    assert_non_null(begin(0x99));
}


/* As many as are remembered, and one more. */

static void
the_oldest_goes(void **state)
{
    uint64_t  i, first;

    (void) state;

    first = (uint64_t) 1 << 50;
    begin_all(first);

    for (i = 1; i < SIGN_JOBS; i++) {
        assert_null(begin(first + i * 3));
    }

    assert_non_null(begin(first));
    assert_null(begin(first - 1));
    assert_null(begin(first));
    assert_null(begin(first + 6));

    for (i = 1; i < SIGN_BEGINS_MAX; i++) {
        assert_null(begin(first + 9));
    }

    assert_non_null(begin(first + 9));
}


static int
opened(void **state)
{
    int          fd;
    char         path[] = "/tmp/sign-XXXXXX";
    const char  *why;

    (void) state;

    edge = ai_sign_open(Z(KEY), &why);
    fd = mkstemp(path);

    if (edge == NULL || fd == -1
        || write(fd, KEY, sizeof(KEY) - 1) != sizeof(KEY) - 1)
    {
        return -1;
    }

    close(fd);
    fd = sign_open(path);
    unlink(path);

    return fd;
}


static int
closed(void **state)
{
    (void) state;

    sign_close();
    ai_sign_close(edge);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(nobody_makes_it_forget, opened,
                                        closed),
        cmocka_unit_test_setup_teardown(settled, opened, closed),
        cmocka_unit_test_setup_teardown(the_oldest_goes, opened, closed),
    };

    return run_group(tests);
}
