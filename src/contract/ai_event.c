/*
 * Bells and the frames they carry.  Owns nothing.
 */

#include "ai_event.h"

#include <string.h>

#include "ai_crypto.h"
#include "ai_keys.h"
#include "ai_record.h"

#define AI_BELL_WORD_MAX  32


static int ai_bell_name(ai_str_t *rest, ai_bell_t *bell, size_t len);
static int ai_bell_word(ai_str_t *rest, ai_str_t *word);


int
ai_bell_parse(ai_str_t message, ai_bell_t *bell)
{
    ai_str_t     rest;
    const char  *end;

    memset(bell, 0, sizeof(ai_bell_t));

    if (message.len == 0) {
        return -1;
    }

    bell->type = (unsigned char) message.data[0];
    rest = (ai_str_t) { message.len - 1, message.data + 1 };

    switch (bell->type) {

    case AI_BELL_EVENTS:
        if (ai_bell_name(&rest, bell, AI_JOB_ID_LEN) != 0
            || !ai_id_job_ok(bell->name) || rest.len == 0
            || rest.data[0] != '\n')
        {
            return -1;
        }

        bell->frames = (ai_str_t) { rest.len - 1, rest.data + 1 };

        return 0;

    case AI_BELL_KEY:
    case AI_BELL_SEED:
        if (ai_bell_name(&rest, bell, AI_SHA256_HEX) != 0
            || !ai_sha256_hex_ok(bell->name)
            || ai_bell_word(&rest, &bell->word) != 0)
        {
            return -1;
        }

        break;

    case AI_BELL_TENANT:
        end = rest.len ? memchr(rest.data, ' ', rest.len) : NULL;

        if (end == NULL
            || ai_bell_name(&rest, bell, (size_t) (end - rest.data)) != 0
            || !ai_keys_tenant_ok(bell->name)
            || ai_bell_word(&rest, &bell->word) != 0)
        {
            return -1;
        }

        break;

    case AI_BELL_CATALOG:
    case AI_BELL_PURGE:
    case AI_BELL_JWKS:
    case AI_BELL_MODELS:
        if (ai_bell_name(&rest, bell, AI_SHA256_HEX) != 0
            || !ai_sha256_hex_ok(bell->name))
        {
            return -1;
        }

        break;

    case AI_BELL_CANCEL:
        if (ai_bell_name(&rest, bell, AI_JOB_ID_LEN) != 0
            || !ai_id_job_ok(bell->name)
            || ai_bell_word(&rest, &bell->word) != 0)
        {
            return -1;
        }

        break;

    default:
        return -1;
    }

    return rest.len == 0 || ai_str_eq(rest, ai_str("\n")) ? 0 : -1;
}


int
ai_event_next(ai_str_t *frames, ai_event_t *ev)
{
    char         type;
    size_t       len, room;
    ai_str_t     id;
    const char  *p, *end;

    if (frames->len == 0) {
        return 0;
    }

    p = frames->data;
    end = p + frames->len;

    room = frames->len < AI_EVENT_ID_MAX ? frames->len : AI_EVENT_ID_MAX;
    p = memchr(p, ' ', room);

    if (p == NULL) {
        return -1;
    }

    id = (ai_str_t) { (size_t) (p - frames->data), frames->data };

    if (ai_id_event_parse(id, &ev->id) != 0 || end - p < 4 || p[2] != ' ') {
        return -1;
    }

    type = p[1];
    p += 3;

    if (*p < '0' || *p > '9') {
        return -1;
    }

    for (len = 0; p < end && *p >= '0' && *p <= '9'; p++) {
        len = len * 10 + (size_t) (*p - '0');

        if (len > frames->len) {
            return -1;
        }
    }

    if (p == end || *p++ != '\n' || len > (size_t) (end - p)) {
        return -1;
    }

    if (type == AI_EVENT_READ_LOG) {
        if (len != 0) {
            return -1;
        }

    } else if (!ai_event_ok(type, len) || ev->id.attempt == 0
               || (ev->id.seq == 0) != (type == AI_EVENT_ATTEMPT))
    {
        return -1;
    }

    ev->type = type;
    ev->payload = (ai_str_t) { len, p };

    p += len;
    *frames = (ai_str_t) { (size_t) (end - p), p };

    return 1;
}


int
ai_event_ok(char type, size_t len)
{
    switch (type) {

    case AI_EVENT_DATA:
    case AI_EVENT_CONTINUE:
        return len <= AI_EVENT_DATA_MAX;

    case AI_EVENT_HEAD:
    case AI_EVENT_END:
    case AI_EVENT_ERROR:
    case AI_EVENT_ATTEMPT:
        return len <= AI_RECORD_MAX;

    default:
        return 0;
    }
}


void
ai_event_write(ai_buf_t *b, const ai_event_t *ev)
{
    char     *mark, id[AI_EVENT_ID_MAX];
    size_t    len;

    mark = b->pos;
    len = ai_id_event_print(id, sizeof(id), ev->id);

    ai_buf_add(b, id, len);
    ai_buf_add(b, " ", 1);
    ai_buf_add(b, &ev->type, 1);
    ai_buf_add(b, " ", 1);
    ai_buf_add_int(b, (int64_t) ev->payload.len);
    ai_buf_add(b, "\n", 1);
    ai_buf_add_str(b, ev->payload);

    if (b->full) {
        b->pos = mark;
    }
}


static int
ai_bell_name(ai_str_t *rest, ai_bell_t *bell, size_t len)
{
    if (rest->len < len) {
        return -1;
    }

    bell->name = (ai_str_t) { len, rest->data };
    *rest = (ai_str_t) { rest->len - len, rest->data + len };

    return 0;
}


/* " <word>": a space and what follows it up to a newline or the end. */

static int
ai_bell_word(ai_str_t *rest, ai_str_t *word)
{
    char    c;
    size_t  i;

    if (rest->len == 0 || rest->data[0] != ' ') {
        return -1;
    }

    for (i = 1; i < rest->len && rest->data[i] != '\n'; i++) {
        c = rest->data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) {
            return -1;
        }
    }

    if (i == 1 || i - 1 > AI_BELL_WORD_MAX) {
        return -1;
    }

    *word = (ai_str_t) { i - 1, rest->data + 1 };
    *rest = (ai_str_t) { rest->len - i, rest->data + i };

    return 0;
}
