/*
 * The end of an answer that is too long to be read: OpenAI's say their usage
 * there, behind megabytes of vectors.  An answer_t owns it.
 */

#include "answer.h"

#include <stdlib.h>
#include <string.h>

#include "ai_json.h"


void
answer_pass(answer_t *a)
{
    ai_str_t  whole;

    whole = (ai_str_t) { a->whole_len, a->whole };
    a->unread = 1;
    a->whole = NULL;
    a->whole_len = 0;
    a->whole_size = 0;
    answer_tail(a, whole);
    free((char *) whole.data);
}


void
answer_tail(answer_t *a, ai_str_t bytes)
{
    size_t  keep;

    if (bytes.len > ANSWER_TAIL_MAX) {
        bytes.data += bytes.len - ANSWER_TAIL_MAX;
        bytes.len = ANSWER_TAIL_MAX;
    }

    keep = ANSWER_TAIL_MAX - bytes.len;
    keep = a->tail_len < keep ? a->tail_len : keep;

    if (bytes.len != 0) {
        memmove(a->tail, a->tail + a->tail_len - keep, keep);
        memcpy(a->tail + keep, bytes.data, bytes.len);
        a->tail_len = keep + bytes.len;
    }
}


/* Within a string its quotes would be escaped. */

int
answer_tail_read(const answer_t *a, provider_usage_t *u)
{
    char         text[ANSWER_TAIL_MAX + 1];
    size_t       len;
    ai_str_t     object;
    ai_json_t    j;
    const char  *p, *last;

    static const char  word[] = "\"usage\"";

    last = NULL;
    p = a->tail;

    while ((p = memmem(p, a->tail_len - (size_t) (p - a->tail), word,
                       sizeof(word) - 1)) != NULL)
    {
        last = p++;
    }

    if (last == NULL) {
        return 0;
    }

    len = a->tail_len - (size_t) (last - a->tail);
    text[0] = '{';
    memcpy(text + 1, last, len);
    object = (ai_str_t) { len + 1, text };

    if (ai_json_scan(&j, NULL, object, object.len + 1, PROVIDER_DEPTH_MAX)
        != AI_JSON_OK)
    {
        return 0;
    }

    a->provider->body(u, object);

    return 1;
}
