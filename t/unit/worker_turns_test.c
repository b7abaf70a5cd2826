/*
 * Fuller turns: what may wait is gathered while there is much of it, for the
 * clock's next ms and not longer, and not what somebody waits for.
 */

#include "ai_unit.h"

#include "emit_in.h"

#define TASKS  200000
#define MANY   20               /* ms that had enough before them */
#define LATE   20000            /* ms until the test gives up */


typedef struct {
    loop_task_t  task;
    uint64_t     deferred_msec;
    uint64_t     ran_msec;
    unsigned     turn;
} item_t;

static loop_t    loop;
static item_t    items[TASKS];
static unsigned  deferred, ran, turn, limit;
static unsigned  each;          /* tasks a turn */
static int       late;


static void on_second_idle(uv_idle_t *idle);


static void
on_late(uv_timer_t *timer)
{
    late = 1;
    uv_stop(timer->loop);
}


static void
run_item(void *data)
{
    item_t  *item;

    item = data;
    item->ran_msec = uv_now(&loop.uv);
    item->turn = turn;

    if (++ran == limit) {
        uv_stop(&loop.uv);
    }
}


static void
defer_items(void)
{
    unsigned  i;
    item_t   *item;

    for (i = 0; i < each && deferred < limit; i++) {
        item = &items[deferred++];
        item->task.run = run_item;
        item->task.data = item;
        item->deferred_msec = uv_now(&loop.uv);
        loop_defer(&loop, LOOP_GATHER, &item->task);
    }

    turn++;
}


static void
on_timer(uv_timer_t *timer)
{
    defer_items();

    if (timer->data != NULL) {
        uv_idle_start(timer->data, on_second_idle);
    }
}


/* In the turn behind the timer's, mostly in the same ms. */

static void
on_second_idle(uv_idle_t *idle)
{
    static unsigned  calls;

    if (++calls % 2 == 0) {
        uv_idle_stop(idle);
        defer_items();
    }
}


/* Turns as many as there can be, until some ms had enough before them. */

static void
on_idle(uv_idle_t *idle)
{
    unsigned         n;
    static uint64_t  begun;

    n = deferred;

    if (n == 0) {
        begun = uv_now(&loop.uv);
    }

    if (uv_now(&loop.uv) >= begun + 3 * MANY || n + each >= TASKS) {
        limit = n;
        uv_idle_stop(idle);

        if (ran == limit) {
            uv_stop(&loop.uv);
        }

        return;
    }

    defer_items();
}


static void
begin(unsigned tasks, unsigned a_turn, uv_timer_t *guard)
{
    memset(items, 0, sizeof(items));
    deferred = ran = turn = 0;
    late = 0;
    limit = tasks;
    each = a_turn;

    assert_int_equal(loop_init(&loop), 0);
    uv_timer_init(&loop.uv, guard);
    uv_timer_start(guard, on_late, LATE, 0);
}


/* Of the tasks of one ms those in [first, end). */

static unsigned
same_msec(unsigned first)
{
    unsigned  i;

    for (i = first; i < limit
                    && items[i].deferred_msec == items[first].deferred_msec;
         i++) { /* void */ }

    return i;
}


static void
many_go_once_a_msec(void **state)
{
    unsigned    i, n, end, before, checked, gathered;
    uint64_t    msec;
    uv_idle_t   idle;
    uv_timer_t  guard;

    (void) state;

    begin(TASKS, 1, &guard);
    uv_idle_init(&loop.uv, &idle);
    uv_idle_start(&idle, on_idle);
    loop_run(&loop);
    loop_close(&loop);

    /* The last of them had nothing but the loop's own timer to wake it. */

    assert_int_equal(late, 0);
    assert_int_equal(ran, limit);

    before = checked = gathered = 0;
    msec = 0;

    for (i = 0; i < limit; i = end) {
        end = same_msec(i);

        if (items[i].deferred_msec == msec + 1 && before > LOOP_MANY) {
            checked++;

            for (n = i; n < end; n++) {
                gathered += items[n].ran_msec != items[n].deferred_msec;

                if (items[n].ran_msec == items[n].deferred_msec) {
                    assert_int_equal(items[n].turn, items[i].turn);
                }
            }
        }

        /* One a turn: what came before goes with the first of this ms. */

        if (i != 0) {
            assert_true(items[i - 1].turn <= i + 1);
        }

        before = end - i;
        msec = items[i].deferred_msec;
    }

    assert_true(checked > 0);
    assert_true(gathered > checked);
}


static void
few_wait_for_nobody(void **state)
{
    unsigned    i;
    uv_idle_t   idle;
    uv_timer_t  timer, guard;

    (void) state;

    begin(60, LOOP_MANY / 2, &guard);
    uv_idle_init(&loop.uv, &idle);
    uv_timer_init(&loop.uv, &timer);
    timer.data = &idle;
    uv_timer_start(&timer, on_timer, 0, 2);
    loop_run(&loop);
    loop_close(&loop);

    assert_int_equal(late, 0);

    for (i = 0; i < 60; i++) {
        assert_int_equal(items[i].ran_msec, items[i].deferred_msec);
    }
}


static void
one_full_turn_is_full(void **state)
{
    unsigned    i;
    uv_timer_t  timer, guard;

    (void) state;

    begin(400, 200, &guard);
    uv_timer_init(&loop.uv, &timer);
    timer.data = NULL;
    uv_timer_start(&timer, on_timer, 0, 5);
    loop_run(&loop);
    loop_close(&loop);

    assert_int_equal(late, 0);

    for (i = 0; i < 400; i++) {
        assert_int_equal(items[i].ran_msec, items[i].deferred_msec);
    }
}


/* Emits. */

static worker_t  w;


static emit_t *
opened(void)
{
    emit_t                      *e;
    static const emit_events_t   none;

    memset(&w, 0, sizeof(w));
    assert_int_equal(loop_init(&w.loop), 0);
    e = emit_open(&w, 0, ai_str("job"), ai_str("t"), 1, 0, &none, NULL);
    assert_non_null(e);

    return e;
}


static void
closed(emit_t *e)
{
    emit_close(e);
    loop_close(&w.loop);
}


static int
waits_in(const emit_t *e, loop_stage_e stage)
{
    return e->task.prev != NULL && w.loop.tasks[stage] == &e->task;
}


/* As an acknowledgement does it. */

static void
acknowledge(emit_t *e)
{
    while (e->unacked != NULL) {
        e->acked_seq = e->unacked->seq;
        e->unacked_bytes -= e->unacked->len;
        e->kept_bytes += e->unacked->len;
        e->unacked->sealed = 1;
        e->unacked->acked_msec = uv_now(&w.loop.uv);
        e->unacked = e->unacked->next;
    }

    loop_undefer(&w.loop, &e->task);
}


static void
first_and_end_wait_for_nobody(void **state)
{
    emit_t         *e;
    emit_settle_t   settle;

    (void) state;

    memset(&settle, 0, sizeof(settle));
    settle.state = "done";
    settle.base = settle.at_usec = settle.usage = ai_str("1");

    e = opened();
    assert_int_equal(emit_head(e, ai_str("head")), 0);
    assert_int_equal(emit_data(e, ai_str("first"), 1), 0);
    assert_true(waits_in(e, LOOP_WORK));

    acknowledge(e);
    assert_int_equal(emit_data(e, ai_str("second"), 1), 0);
    assert_true(waits_in(e, LOOP_GATHER));

    assert_int_equal(emit_settle(e, AI_EVENT_END, ai_str("end"), &settle), 0);
    assert_true(waits_in(e, LOOP_WORK));
    closed(e);
}


/* The last event grows where those before it are gone. */

static void
last_event_grows(void **state)
{
    char           big[EMIT_KEEP_BYTES];
    emit_t        *e;
    unsigned       i;
    emit_event_t  *ev;

    (void) state;

    memset(big, 'b', sizeof(big));

    e = opened();

    for (i = 0; i < 3; i++) {
        assert_int_equal(emit_data(e, (ai_str_t) { sizeof(big) / 2 + 1, big },
                                   1),
                         0);
        acknowledge(e);
    }

    assert_int_equal(emit_data(e, ai_str("last "), 1), 0);
    emit_kick(e);
    assert_ptr_not_equal(e->head, e->unacked);
    assert_ptr_equal(e->head->next, e->unacked);
    assert_int_equal(emit_data(e, (ai_str_t) { 1000, big }, 0), 0);
    assert_ptr_equal(e->head->next, e->tail);
    assert_ptr_equal(e->unacked, e->tail);

    e->kept_bytes = EMIT_KEEP_BYTES + 1;
    emit_kick(e);
    assert_ptr_equal(e->head, e->tail);
    assert_int_equal(emit_data(e, (ai_str_t) { 9000, big }, 0), 0);

    ev = e->head;
    assert_ptr_equal(ev, e->tail);
    assert_ptr_equal(ev, e->unacked);
    assert_int_equal(ev->len, 5 + 1000 + 9000);
    assert_memory_equal(ev->data, "last ", 5);
    assert_memory_equal(ev->data + 5, big, 10000);
    closed(e);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(many_go_once_a_msec),
        cmocka_unit_test(few_wait_for_nobody),
        cmocka_unit_test(one_full_turn_is_full),
        cmocka_unit_test(first_and_end_wait_for_nobody),
        cmocka_unit_test(last_event_grows)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
