/*
 * Answers: what all of a process hold together.
 */

#include "ai_unit.h"

#include "answer.h"

#define MANY  96
#define BODY  (3 * 1024 * 1024)
#define PIECE 16384


static const route_t  route;
static answer_t       answers[MANY];
static char           piece[PIECE];


static void
begin(const char *type)
{
    unsigned  i;

    for (i = 0; i < MANY; i++) {
        answer_init(&answers[i], NULL, provider_find(Z("openai")),
                    AI_DIALECT_OPENAI, &route);
        answer_header(&answers[i], Z("content-type"), Z(type));
        answer_head(&answers[i], 200);
    }

    memset(piece, 'x', sizeof(piece));
}


static void
end(void)
{
    unsigned  i;

    for (i = 0; i < MANY; i++) {
        answer_free(&answers[i]);
    }
}


/* How many take all their bytes, which come in turns; *most: what all held. */

static unsigned
feed(size_t *most)
{
    int       rc[MANY];
    size_t    n, held;
    unsigned  i, taken;

    memset(rc, 0, sizeof(rc));
    *most = 0;

    for (n = 0; n < BODY; n += PIECE) {
        held = 0;

        for (i = 0; i < MANY; i++) {
            if (rc[i] == 0) {
                rc[i] = answer_bytes(&answers[i], (ai_str_t) { PIECE, piece });
            }

            held += answers[i].sse.size + answers[i].whole_size;
        }

        *most = held > *most ? held : *most;
    }

    for (i = 0, taken = 0; i < MANY; i++) {
        taken += rc[i] == 0;
        assert_true(rc[i] == 0 || rc[i] == -4);
    }

    return taken;
}


/* It has gone out: only its usage is not known. */

static void
a_body_never_fails_for_memory(void **state)
{
    size_t    most;
    unsigned  i, unread, round;

    (void) state;

    /* Twice: what is held is given back. */

    for (round = 0; round < 2; round++) {
        begin("application/json");
        assert_int_equal(feed(&most), MANY);
        assert_in_range(most, 64 * 1024 * 1024, 160 * 1024 * 1024);

        for (i = 0, unread = 0; i < MANY; i++) {
            unread += answer_unread(&answers[i]) == 0;
            assert_int_equal(answer_finish(&answers[i]), 1);
        }

        assert_in_range(unread, 1, MANY - 16);
        end();
    }
}


static void
an_event_does(void **state)
{
    size_t    most;
    unsigned  taken, round;

    (void) state;

    for (round = 0; round < 2; round++) {
        begin("text/event-stream");
        taken = feed(&most);
        assert_in_range(taken, 16, MANY - 1);
        end();
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_body_never_fails_for_memory),
        cmocka_unit_test(an_event_does),
    };

    return run_group(tests);
}
