/*
 * Addresses of Redis, the command line, tasks of the loop.
 */

#include "ai_unit.h"

#include "log.h"
#include "loop.h"
#include "options.h"


static void
redis_addresses(void **state)
{
    size_t        i;
    redis_conf_t  c;

    static const char *const  bad[] = {
        "", "unix:", "/tmp/x", "http://x", "redis://", "redis://:6379",
        "redis://h:0", "redis://h:65536", "redis://h:x", "redis://h/x",
        "redis://h:1x", "redis://[::1", "redis://h/-1", "redis://h/65536",
        "sentinel://h", "sentinel:///m", "sentinel://h//1",
        "sentinel://a,,b/m", "sentinel://a:0/m", "sentinel://a/m/x",
        "sentinel://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17/m", "s://h",
        "://h", "sentinelss://h/m"
    };

    (void) state;

    assert_int_equal(redis_conf_parse(&c, "unix:/run/r.sock"), 0);
    assert_string_equal(c.path, "/run/r.sock");
    assert_string_equal(c.host.name, "");
    assert_string_equal(c.user, "");

    assert_int_equal(redis_conf_parse(&c, "unix:me@/run/r@/s.sock"), 0);
    assert_string_equal(c.path, "/run/r@/s.sock");
    assert_string_equal(c.user, "me");

    assert_int_equal(redis_conf_parse(&c, "unix:/run/r@/s.sock"), 0);
    assert_string_equal(c.path, "/run/r@/s.sock");
    assert_string_equal(c.user, "");

    assert_int_equal(redis_conf_parse(&c, "redis://h"), 0);
    assert_string_equal(c.host.name, "h");
    assert_int_equal(c.host.port, 6379);
    assert_int_equal(c.db, 0);
    assert_int_equal(c.tls, 0);

    assert_int_equal(redis_conf_parse(&c, "rediss://u:p@ss@h.example:7/3"), 0);
    assert_string_equal(c.user, "u");
    assert_string_equal(c.password, "p@ss");
    assert_string_equal(c.host.name, "h.example");
    assert_int_equal(c.host.port, 7);
    assert_int_equal(c.db, 3);
    assert_int_equal(c.tls, 1);

    assert_int_equal(redis_conf_parse(&c, "redis://:pw@[::1]:8/"), 0);
    assert_string_equal(c.user, "");
    assert_string_equal(c.password, "pw");
    assert_string_equal(c.host.name, "::1");
    assert_int_equal(c.host.port, 8);

    assert_int_equal(redis_conf_parse(&c, "sentinels://u:p@a,[::2]:7,b:8/m/3"),
                     0);
    assert_int_equal(c.tls, 1);
    assert_string_equal(c.user, "u");
    assert_string_equal(c.password, "p");
    assert_int_equal(c.nsentinels, 3);
    assert_string_equal(c.sentinels[0].name, "a");
    assert_int_equal(c.sentinels[0].port, 26379);
    assert_string_equal(c.sentinels[1].name, "::2");
    assert_int_equal(c.sentinels[1].port, 7);
    assert_string_equal(c.sentinels[2].name, "b");
    assert_string_equal(c.master, "m");
    assert_int_equal(c.db, 3);

    assert_int_equal(redis_conf_parse(&c, "sentinel://a/m"), 0);
    assert_int_equal(c.tls, 0);
    assert_int_equal(c.db, 0);
    assert_string_equal(c.master, "m");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (redis_conf_parse(&c, bad[i]) != -1) {
            print_error("\"%s\" was taken\n", bad[i]);
            fail();
        }
    }
}


static void
command_line(void **state)
{
    char       list[] = "A_KEY,B_*";
    char      *good[] = { "ai-workers", "--redis", "redis://h:1",
                          "--workers", "3", "--jobs", "7", "--allow-env",
                          list, "--drain-timeout", "9", "--log-level",
                          "debug", NULL };
    char      *none[] = { "ai-workers", NULL };
    size_t     i;
    options_t  o;

    static char *const  bad[][2] = {
        { "--workers", "0" }, { "--workers", "257" }, { "--jobs", "x" },
        { "--jobs", "65537" }, { "--redis", "x" }, { "--log-level", "loud" },
        { "--redis-password-file", "/nonexistent/file" },
        { "word", "other" }, { "--no-such", "1" }
    };

    (void) state;

    assert_int_equal(options_parse(&o, 13, good), 0);
    assert_string_equal(o.redis.host.name, "h");
    assert_int_equal(o.workers, 3);
    assert_int_equal(o.jobs, 7);
    assert_int_equal(o.drain_sec, 9);
    assert_int_equal(o.log_level, LOG_DEBUG);
    assert_string_equal(o.allow_env[0], "A_KEY");
    assert_string_equal(o.allow_env[1], "B_*");
    assert_null(o.allow_env[2]);

    assert_int_equal(options_parse(&o, 1, none), 0);
    assert_int_equal(o.jobs, 1024);
    assert_int_equal(o.drain_sec, 30);
    assert_string_equal(o.allow_env[0], "*_API_KEY");
    assert_true(o.workers >= 1);

    assert_non_null(freopen("/dev/null", "w", stderr));

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char  *argv[] = { "ai-workers", bad[i][0], bad[i][1], NULL };

        assert_int_equal(options_parse(&o, 3, argv), -1);
    }
}


/* Tasks. */

static char         order[16];
static loop_t       loop;
static loop_task_t  tasks[3];


static void
note(void *data)
{
    strcat(order, data);

    if (*(char *) data == 'a' && strlen(order) < 3) {
        loop_defer(&loop, LOOP_WORK, &tasks[0]);
    }
}


static void
stop(uv_timer_t *timer)
{
    (void) timer;

    loop_stop(&loop);
}


static void
tasks_run_once_in_order(void **state)
{
    uv_timer_t  timer;

    (void) state;

    assert_int_equal(loop_init(&loop), 0);
    tasks[0] = (loop_task_t) { .run = note, .data = "a" };
    tasks[1] = (loop_task_t) { .run = note, .data = "b" };
    tasks[2] = (loop_task_t) { .run = note, .data = "f" };

    loop_defer(&loop, LOOP_FLUSH, &tasks[2]);
    loop_defer(&loop, LOOP_WORK, &tasks[0]);
    loop_defer(&loop, LOOP_WORK, &tasks[1]);
    loop_defer(&loop, LOOP_WORK, &tasks[0]);
    loop_undefer(&loop, &tasks[1]);
    loop_undefer(&loop, &tasks[1]);

    uv_timer_init(&loop.uv, &timer);
    uv_timer_start(&timer, stop, 10, 0);
    loop_run(&loop);
    loop_close(&loop);

    /* a defers itself: that waits for the next turn. */
    assert_string_equal(order, "afa");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(redis_addresses),
        cmocka_unit_test(command_line),
        cmocka_unit_test(tasks_run_once_in_order),
    };

    return run_group(tests);
}
