/*
 * The scanner says the same however a text is cut; what it accepts has sound
 * members; looks into any text stay inside.
 */

#include "ai_fuzz.h"

#include "ai_json.h"

#define MAX  (1 << 20)

static const char *const  names[] = { "model", "stream", "a", "", NULL };

static const char *const  paths[] = {
    "", "a", "model", "a.0", "a.1.a", "0", "a..model", NULL
};


static void
look(ai_str_t text)
{
    int              i;
    char            *buf;
    long             len;
    int64_t          n;
    ai_str_t         value;
    ai_json_type_e   type;

    for (i = 0; paths[i]; i++) {
        if (!ai_json_path(text, paths[i], &value, &type)) {
            continue;
        }

        must(value.len > 0);
        must_be_in(value, text);

        if (type == AI_JSON_NUMBER) {
            (void) ai_json_int(value, &n);
        }
    }

    (void) ai_json_int(text, &n);

    buf = malloc(text.len + 1);
    must(buf != NULL);
    len = ai_json_unescape(text, buf, text.len);
    must(len <= (long) text.len);
    free(buf);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int               i, rc;
    size_t            at, piece, cut;
    uint64_t          max;
    unsigned          depth;
    ai_str_t          text;
    static ai_json_t  whole, j;

    if (size < 2) {
        return 0;
    }

    /* Two bytes choose the pieces and the limits. */
    piece = data[0] % 16 + 1;
    max = data[0] < 128 ? MAX : data[1];
    depth = data[1] % 8;
    text = (ai_str_t) { size - 2, (const char *) data + 2 };

    rc = ai_json_scan(&whole, names, text, max, depth);

    ai_json_init(&j, names, max, depth);

    for (at = 0; at < text.len; at += cut) {
        cut = text.len - at < piece ? text.len - at : piece;
        (void) ai_json_feed(&j, text.data + at, cut);
    }

    must(ai_json_end(&j) == rc);
    must(j.error_at == whole.error_at && j.offset == whole.offset);
    must(memcmp(j.fields, whole.fields, sizeof(j.fields)) == 0);
    must(whole.offset <= text.len);

    look(text);

    if (rc != AI_JSON_OK) {
        return 0;
    }

    for (i = 0; names[i]; i++) {
        ai_str_t         value, found;
        ai_json_type_e   type;
        ai_json_field_t *f = &whole.fields[i];

        if (f->type == AI_JSON_NONE) {
            continue;
        }

        must(f->member < f->start && f->start < f->end && f->end <= text.len);
        must(text.data[f->member] == '"');
        value = (ai_str_t) { (size_t) (f->end - f->start),
                             text.data + f->start };

        /* A path of one name finds the same. */
        if (*names[i]) {
            must(ai_json_path(text, names[i], &found, &type));
            must(found.data == value.data && found.len == value.len);
            must(type == f->type);
        }
    }

    return 0;
}
