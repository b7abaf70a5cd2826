/*
 * What tests of the scanner share: every cut of a text says what the whole
 * says, and what is refused is refused where it goes wrong.
 */

#ifndef AI_JSON_UNIT_H
#define AI_JSON_UNIT_H

#include "ai_unit.h"

#include "ai_json.h"

#define MAX  (1 << 20)

static const char *const  names[] = { "model", "stream", "a", "", NULL };


static inline int
scan(ai_str_t text)
{
    static ai_json_t  j;

    return ai_json_scan(&j, names, text, MAX, 0);
}


static inline void
feed_cut(ai_json_t *j, ai_str_t text, size_t cut, uint64_t max, unsigned depth)
{
    int  rc;

    ai_json_init(j, names, max, depth);
    rc = ai_json_feed(j, text.data, cut);
    assert_int_equal(rc, j->status);
    assert_int_equal(ai_json_feed(j, NULL, 0), rc);
    rc = ai_json_feed(j, text.data + cut, text.len - cut);
    assert_int_equal(rc, j->status);
    (void) ai_json_end(j);
}


static inline void
same(const ai_json_t *a, const ai_json_t *b)
{
    assert_int_equal(a->status, b->status);
    assert_true(a->error_at == b->error_at);
    assert_true(a->offset == b->offset);
    assert_memory_equal(a->fields, b->fields, sizeof(a->fields));
}


/* Every cut in two, and every byte by itself, says what the whole says. */

static inline void
every_cut(ai_str_t text, uint64_t max, unsigned depth)
{
    size_t            i;
    static ai_json_t  whole, cut;

    (void) ai_json_scan(&whole, names, text, max, depth);
    assert_int_equal(ai_json_end(&whole), whole.status);

    for (i = 0; i <= text.len; i++) {
        feed_cut(&cut, text, i, max, depth);
        same(&whole, &cut);
    }

    ai_json_init(&cut, names, max, depth);

    for (i = 0; i < text.len; i++) {
        (void) ai_json_feed(&cut, tight(text.data + i, 1).data, 1);
    }

    (void) ai_json_end(&cut);
    same(&whole, &cut);
}


typedef struct {
    const char  *text;
    int          status;
    uint64_t     at;                          /* offset of what is wrong */
} ai_json_bad_t;


static inline void
refused(const ai_json_bad_t *bad, size_t n)
{
    int               rc;
    size_t            i;
    static ai_json_t  j;

    for (i = 0; i < n; i++) {
        rc = ai_json_scan(&j, names, Z(bad[i].text), MAX, 0);

        if (rc != bad[i].status || j.error_at != bad[i].at) {
            fail_msg("%s: %d at %llu", bad[i].text, rc,
                     (unsigned long long) j.error_at);
        }

        every_cut(Z(bad[i].text), MAX, 0);
    }
}


#endif
