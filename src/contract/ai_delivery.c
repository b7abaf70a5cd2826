/*
 * Deliveries.  Owns nothing.
 */

#include "ai_delivery.h"

#include <string.h>

#include "ai_id.h"

#define AI_DELIVERY_WORDS      8
#define AI_DELIVERY_HEAD_MAX   256
#define AI_DELIVERY_CAUSE_MAX  32
#define AI_DELIVERY_AT_MAX     16


static int ai_delivery_number(ai_str_t word, int64_t max, int64_t *n);
static int ai_delivery_cause(ai_str_t word, ai_str_t *cause);


/* J<job> <attempt> <cause> <at> <queue> <bytes> <pieces> <length>\n: what
 * follows is a spec of that length and the body. */

int
ai_delivery_parse(ai_str_t text, ai_delivery_t *d)
{
    size_t       room;
    int64_t      attempt, at, bytes, pieces, len;
    ai_str_t     words[AI_DELIVERY_WORDS];
    unsigned     i;
    const char  *p, *end, *stop;

    if (text.len == 0 || text.data[0] != AI_DELIVERY) {
        return -1;
    }

    room = text.len < AI_DELIVERY_HEAD_MAX ? text.len : AI_DELIVERY_HEAD_MAX;
    end = memchr(text.data, '\n', room);

    if (end == NULL) {
        return -1;
    }

    p = text.data + 1;

    for (i = 0; i < AI_DELIVERY_WORDS; i++) {
        stop = memchr(p, ' ', (size_t) (end - p));

        if ((stop == NULL) != (i == AI_DELIVERY_WORDS - 1)) {
            return -1;
        }

        if (stop == NULL) {
            stop = end;
        }

        words[i] = (ai_str_t) { (size_t) (stop - p), p };
        p = stop + 1;
    }

    d->job = words[0];
    d->at_usec = words[3];

    if (!ai_id_job_ok(d->job)
        || ai_delivery_number(words[1], UINT32_MAX, &attempt) != 0
        || attempt == 0
        || ai_delivery_cause(words[2], &d->cause) != 0
        || words[3].len > AI_DELIVERY_AT_MAX
        || ai_delivery_number(words[3], INT64_MAX, &at) != 0
        || ai_delivery_number(words[4], INT64_MAX, &d->queue_usec) != 0
        || ai_delivery_number(words[5], INT64_MAX, &bytes) != 0
        || ai_delivery_number(words[6], UINT32_MAX - 1, &pieces) != 0
        || ai_delivery_number(words[7], INT64_MAX, &len) != 0)
    {
        return -1;
    }

    end++;
    room = text.len - (size_t) (end - text.data);

    if ((uint64_t) len > room) {
        return -1;
    }

    d->attempt = (uint32_t) attempt;
    d->bytes = (size_t) bytes;
    d->pieces = (unsigned) pieces;
    d->spec = (ai_str_t) { (size_t) len, end };
    d->body = (ai_str_t) { room - (size_t) len, end + len };

    return 0;
}


static int
ai_delivery_number(ai_str_t word, int64_t max, int64_t *n)
{
    if (word.len == 0 || word.data[0] < '0' || word.data[0] > '9'
        || ai_str_int(word, n) != 0 || *n > max)
    {
        return -1;
    }

    return 0;
}


static int
ai_delivery_cause(ai_str_t word, ai_str_t *cause)
{
    size_t  i;

    *cause = (ai_str_t) { 0, word.data };

    if (ai_str_eqz(word, "-")) {
        return 0;
    }

    if (word.len == 0 || word.len > AI_DELIVERY_CAUSE_MAX) {
        return -1;
    }

    for (i = 0; i < word.len; i++) {
        if ((word.data[i] < 'a' || word.data[i] > 'z') && word.data[i] != '_')
        {
            return -1;
        }
    }

    *cause = word;

    return 0;
}
