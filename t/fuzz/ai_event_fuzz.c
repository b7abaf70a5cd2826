/*
 * Bells and frames: what is read lies inside and is written the same again.
 */

#include "ai_fuzz.h"

#include "ai_delivery.h"
#include "ai_event.h"


static void
frames(ai_str_t text)
{
    int          rc;
    ai_buf_t     b;
    ai_str_t     rest, again;
    ai_event_t   ev, copy;
    static char  mem[1 << 20];

    rest = text;

    while ((rc = ai_event_next(&rest, &ev)) == 1) {
        must_be_in(ev.payload, text);

        ai_buf_init(&b, mem, sizeof(mem));
        ai_event_write(&b, &ev);

        if (!b.full) {
            again = (ai_str_t) { ai_buf_len(&b), mem };
            must(ai_event_next(&again, &copy) == 1 && again.len == 0);
            must(copy.type == ev.type);
            must(ai_id_event_cmp(copy.id, ev.id) == 0);
            must(ai_str_eq(copy.payload, ev.payload));
        }
    }

    must(rc == 0 || rc == -1);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ai_str_t       text;
    ai_bell_t      bell;
    ai_event_id_t  id;
    ai_delivery_t  d;

    text = (ai_str_t) { size, (const char *) data };

    frames(text);

    if (ai_bell_parse(text, &bell) == 0) {
        must_be_in(bell.name, text);
        must_be_in(bell.word, text);
        must_be_in(bell.frames, text);
        frames(bell.frames);
    }

    if (ai_delivery_parse(text, &d) == 0) {
        must_be_in(d.job, text);
        must_be_in(d.cause, text);
        must_be_in(d.at_usec, text);
        must_be_in(d.spec, text);
        must_be_in(d.body, text);
        must(d.body.data + d.body.len == text.data + text.len);
    }

    if (ai_id_event_parse(text, &id) == 0) {
        char  print[AI_EVENT_ID_MAX];

        must(ai_id_event_print(print, sizeof(print), id) == size);
        must(memcmp(print, data, size) == 0);
    }

    (void) ai_id_job_msec(text);
    (void) ai_id_traceparent_ok(text);

    return 0;
}
