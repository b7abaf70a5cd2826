/*
 * Bodies that were made whole: what all of them may take, and that it is given
 * back.
 */

#include "ai_unit.h"

#include "body.h"

#define SIZE  (32 * 1024 * 1024)
#define FIT   (BODY_WHOLE_MAX / SIZE)


/* One that is said to take so much. */

static int
whole(job_t *job, size_t size)
{
    out_t  o;

    memset(job, 0, sizeof(*job));
    memset(&o, 0, sizeof(o));
    out_z(&o, "{\"input\":[]}");
    o.size = size;

    if (body_whole(job, &o) == 0) {
        assert_ptr_equal(job->body.data, o.data);
        assert_int_equal(job->body.len, o.len);
        return 0;
    }

    out_free(&o);

    return -1;
}


static void
bounded(void **state)
{
    job_t     jobs[FIT], more, small;
    unsigned  i, n;

    (void) state;

    for (n = 0; n < 3; n++) {

        for (i = 0; i < FIT; i++) {
            assert_int_equal(whole(&jobs[i], SIZE), 0);
        }

        assert_int_equal(whole(&more, SIZE), -1);
        assert_null(more.expanded);
        assert_int_equal(whole(&small, BODY_WHOLE_FAIR), 0);

        for (i = 0; i < FIT; i++) {
            body_free(&jobs[i]);
            body_free(&jobs[i]);
            assert_null(jobs[i].expanded);
            assert_int_equal(jobs[i].body.len, 12);
        }

        body_free(&small);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(bounded)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
