/*
 * Whether an allocation is to fail: a file that the test has open and the
 * processes have mapped says which one, and counts them.
 */

#include "fail.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>


typedef struct {
    unsigned  at;       /* the first that fails, from 1; 0: none */
    unsigned  span;     /* how many do */
    unsigned  asked;    /* so far */
    unsigned  failed;
} fail_plan_t;


static volatile fail_plan_t  *fail_plan;


/* Of the workers only those that run jobs: the supervisor starts them again. */

__attribute__((constructor))
static void
fail_open(int argc, char **argv)
{
    int    i, fd;
    void  *p;

    if (FAIL_CHILD) {
        for (i = 1; i < argc && strcmp(argv[i], "--child") != 0; i++) {
            /* void */
        }

        if (i >= argc) {
            return;
        }
    }

    fd = open(FAIL_PLAN, O_RDWR | O_CLOEXEC);
    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(*fail_plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
             0);
    fail_plan = p == MAP_FAILED ? NULL : p;
}


int
fail_now(void)
{
    unsigned                 at, n;
    volatile fail_plan_t    *plan;

    plan = fail_plan;

    if (plan == NULL || (at = plan->at) == 0) {
        return 0;
    }

    n = __atomic_add_fetch(&plan->asked, 1, __ATOMIC_SEQ_CST);

    if (n < at || n - at >= plan->span) {
        return 0;
    }

    __atomic_add_fetch(&plan->failed, 1, __ATOMIC_SEQ_CST);

    return 1;
}
