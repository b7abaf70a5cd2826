/*
 * Emits against a Redis that is made up here (redis_script is wrapped), at
 * random: it refuses, is cut off before and after it has done what was asked,
 * loses its last seconds, forgets the job.  What stands in the log at the end
 * is what was said, once and in order, or ends as lost.
 */

#include "ai_unit.h"

#include "emit_in.h"

#define SEEDS       400
#define STEPS       100000
#define LOG_MAX     4096
#define SAID_MAX    (32 * 1024 * 1024)
#define WORDS_MAX   (12 + 2 * AI_EVENT_EMIT_MAX)
#define EMIT_WORDS    5
#define SETTLE_WORDS  11


typedef struct {
    char    type;
    size_t  len;
    char   *data;
} entry_t;

/* The one call that may be unanswered. */
typedef struct {
    redis_reply_pt  cb;
    void           *data;
    unsigned        argc;
    ai_str_t        argv[WORDS_MAX];
    unsigned        settle:1;
    unsigned        done:1;
    unsigned        refused:1;
    char            word[8];
    char            tip[24];
} call_t;

static worker_t   w;
static emit_t    *emit;
static entry_t    entries[LOG_MAX];
static unsigned   nentries, ended, known, lost, over, claiming, connected;
static emit_end_e  why;
static call_t     call;
static int        called;
static char      *said;
static size_t     nsaid;


int __wrap_redis_script(redis_t *rc, ai_script_e script, ai_str_t prefix,
    redis_reply_pt cb, void *data, unsigned argc, const ai_str_t *argv);


static unsigned
below(unsigned n)
{
    return (unsigned) random() % n;
}


int
__wrap_redis_script(redis_t *rc, ai_script_e script, ai_str_t prefix,
    redis_reply_pt cb, void *data, unsigned argc, const ai_str_t *argv)
{
    unsigned  i;

    (void) rc;
    (void) prefix;

    if (!connected) {
        return -1;
    }

    assert_false(called);
    assert_true(argc <= WORDS_MAX);
    memset(&call, 0, sizeof(call));
    called = 1;
    call.cb = cb;
    call.data = data;
    call.argc = argc;
    call.settle = script == AI_SCRIPT_SETTLE;

    for (i = 0; i < argc; i++) {
        call.argv[i] = (ai_str_t) { argv[i].len, malloc(argv[i].len + 1) };
        memcpy((char *) call.argv[i].data, argv[i].data, argv[i].len);
        ((char *) call.argv[i].data)[argv[i].len] = '\0';
    }

    return 0;
}


static void
answer(const char *word)
{
    snprintf(call.word, sizeof(call.word), "%s", word);
    snprintf(call.tip, sizeof(call.tip), "1-%u", nentries);
}


/* As emit.lua and settle.lua do it. */

static void
execute(void)
{
    int        end;
    ai_str_t  *event;
    entry_t   *entry;
    unsigned   i, n, first, seq;

    if (!called || call.done) {
        return;
    }

    call.done = 1;
    first = call.settle ? SETTLE_WORDS : EMIT_WORDS;
    event = &call.argv[first];
    n = (call.argc - first) / 2;
    seq = (unsigned) atoi(call.argv[3].data);

    assert_true(n >= 1 && n <= AI_EVENT_EMIT_MAX
                && (call.argc - first) % 2 == 0);

    for (i = 0; i < n; i++) {
        end = event[2 * i].data[0] == AI_EVENT_END
              || event[2 * i].data[0] == AI_EVENT_ERROR;
        assert_int_equal(end, call.settle && i == n - 1);
    }

    if (below(60) == 0) {
        call.refused = 1;
        return;
    }

    if (!known) {
        answer("GONE");
        return;
    }

    if (ended && (call.settle || seq + n - 1 > nentries)) {
        answer(call.settle ? "DUP" : "FENCED");
        return;
    }

    if (seq > nentries + 1 || (call.settle && seq + n - 1 <= nentries)) {
        answer("GAP");
        return;
    }

    for (i = 0; i < n; i++) {
        entry = &entries[seq + i - 1];

        /* What is told again is what was told. */

        if (seq + i <= nentries) {
            assert_int_equal(entry->type, event[2 * i].data[0]);
            assert_int_equal(entry->len, event[2 * i + 1].len);
            assert_memory_equal(entry->data, event[2 * i + 1].data,
                                entry->len);
            continue;
        }

        assert_true(nentries < LOG_MAX);
        free(entry->data);
        entry->type = event[2 * i].data[0];
        entry->len = event[2 * i + 1].len;
        entry->data = malloc(entry->len + 1);
        memcpy(entry->data, event[2 * i + 1].data, entry->len);
        nentries++;
    }

    ended = call.settle;
    answer("OK");
}


static void
deliver(int cut_off)
{
    call_t     c;
    unsigned   i;
    ai_resp_t  reply, element[2];

    if (!called) {
        return;
    }

    c = call;
    called = 0;
    memset(&reply, 0, sizeof(reply));
    memset(element, 0, sizeof(element));
    reply.type = AI_RESP_ARRAY;
    reply.elements = 2;
    reply.element = element;
    element[0].type = element[1].type = AI_RESP_STRING;
    element[0].str = c.word;
    element[0].len = strlen(c.word);
    element[1].str = c.tip;
    element[1].len = strlen(c.tip);

    if (c.refused) {
        reply.type = AI_RESP_ERROR;
        reply.str = (char *) "OOM";
        reply.len = 3;
    }

    c.cb(NULL, cut_off ? NULL : &reply, c.data);

    for (i = 0; i < c.argc; i++) {
        free((char *) c.argv[i].data);
    }
}


static void
settle(char type, const char *state)
{
    emit_settle_t  s;

    memset(&s, 0, sizeof(s));
    s.state = state;
    s.base = s.at_usec = s.usage = ai_str("1");
    assert_int_equal(emit_settle(emit, type, ai_str("end"), &s), 0);
}


static void
on_drained(void *data)
{
    (void) data;
}


static void
on_cancelled(void *data, ai_str_t reason)
{
    (void) data;
    (void) reason;
    fail_msg("nobody cancels");
}


static void
on_ended(void *data, emit_end_e end)
{
    (void) data;

    switch (end) {

    case EMIT_UNKNOWN:
        assert_false(claiming);
        claiming = 1;
        break;

    case EMIT_LOST:
        lost = 1;
        settle(AI_EVENT_ERROR, "failed");
        break;

    default:
        over = 1;
        why = end;
    }
}


static void
say(void)
{
    char      text[150000];
    size_t    i, len;

    /* A source pauses. */

    if (emit_full(emit)) {
        return;
    }

    len = 1 + (below(20) == 0 ? below(sizeof(text)) : below(600));
    assert_true(nsaid + len <= SAID_MAX);

    for (i = 0; i < len; i++) {
        text[i] = (char) ('a' + below(26));
    }

    assert_int_equal(emit_data(emit, (ai_str_t) { len, text }, below(4) != 0),
                     0);
    memcpy(said + nsaid, text, len);
    nsaid += len;
}


/* It comes back with less. */

static void
restart(void)
{
    unsigned  i;

    deliver(1);

    for (i = 0; i < 5 && nentries > 0 && below(3) != 0; i++) {
        nentries--;
        ended = 0;
        known = known && below(12) != 0;
    }

    connected = 1;

    if (!claiming) {
        emit_again(emit);
    }
}


static void
claim(void)
{
    claiming = 0;

    switch (below(4)) {

    case 0:
        emit_later(emit);
        break;

    default:
        known = 1;
        emit_again(emit);
    }
}


static void
check(void)
{
    size_t    at;
    entry_t  *entry;
    unsigned  i;

    assert_int_equal(why, EMIT_SETTLED);
    assert_true(ended && nentries > 0);

    for (i = 0, at = 0; i < nentries - 1; i++) {
        entry = &entries[i];

        if (entry->type == AI_EVENT_HEAD) {
            assert_int_equal(i, 0);
            continue;
        }

        assert_true(at + entry->len <= nsaid);
        assert_memory_equal(said + at, entry->data, entry->len);
        at += entry->len;
    }

    if (lost) {
        assert_int_equal(entries[i].type, AI_EVENT_ERROR);

    } else {
        assert_int_equal(entries[i].type, AI_EVENT_END);
        assert_int_equal(entries[0].type, AI_EVENT_HEAD);
        assert_int_equal(at, nsaid);
    }
}


static void
answer_of(unsigned seed)
{
    int                          settled, restarts;
    unsigned                     n, dice, steps;
    static const emit_events_t   events = {
        on_drained, on_cancelled, on_ended
    };

    srandom(seed);
    memset(&w, 0, sizeof(w));
    nentries = ended = lost = over = claiming = 0;
    known = connected = 1;
    nsaid = 0;
    settled = 0;
    restarts = below(2) == 0;
    steps = 20 + below(300);

    assert_int_equal(loop_init(&w.loop), 0);
    w.emits = emits_open(&w);
    emit = emit_open(&w, 0, ai_str("job"), ai_str("t"), 1, below(2) == 0,
                     &events, NULL);
    assert_non_null(emit);
    assert_int_equal(emit_head(emit, ai_str("head")), 0);

    for (n = 0; n < STEPS && !over; n++) {
        dice = below(100);

        if (n >= steps && !settled && !lost) {
            settled = 1;
            settle(AI_EVENT_END, "done");
        }

        if (dice < 40) {
            if (!settled && !lost) {
                say();
                continue;
            }

        } else if (dice < 60) {

            /* Some turns come while there is much. */

            w.loop.before = below(2) * 100;
            uv_run(&w.loop.uv, UV_RUN_NOWAIT);

        } else if (dice < 70) {
            execute();
            deliver(0);

        } else if (dice < 80) {
            execute();

        } else if (dice < 83) {
            deliver(1);
            connected = 0;

        } else if (dice < 90) {
            connected = 1;

        } else if (dice < 93 && restarts) {
            restart();

        } else if (dice < 97 && claiming) {
            claim();
        }

        if (!over) {
            emit->retry_at_msec = 0;
            emit_kick(emit);
        }
    }

    assert_true(over);
    check();
    emit_close(emit);
    deliver(1);
    emits_free(w.emits);
    loop_close(&w.loop);
}


static void
log_is_what_was_said(void **state)
{
    unsigned  seed;

    (void) state;

    assert_int_equal(log_open("/dev/null", LOG_ERROR), 0);
    said = malloc(SAID_MAX);
    assert_non_null(said);

    for (seed = 1; seed <= SEEDS; seed++) {
        answer_of(seed);
    }

    for (seed = 0; seed < LOG_MAX; seed++) {
        free(entries[seed].data);
    }

    free(said);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(log_is_what_was_said)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
