/*
 * Names, headers and texts from outside: what passes is harmless, and what is
 * written into JSON is JSON.
 */

#include "ai_fuzz.h"

#include "ai_headers.h"
#include "ai_json.h"
#include "ai_keys.h"


static int
clean(ai_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] == '\r' || s.data[i] == '\n' || s.data[i] == '\0') {
            return 0;
        }
    }

    return 1;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                d;
    char              *mem, key[AI_KEY_MAX];
    ai_buf_t           b;
    ai_str_t           text, name, value;
    static ai_json_t   j;

    text = (ai_str_t) { size, (const char *) data };

    if (ai_headers_split(text, &name, &value) == 0) {
        must_be_in(name, text);
        must_be_in(value, text);
        must(name.len > 0 && clean(name) && clean(value));
    }

    mem = malloc(6 * size + 1024);
    must(mem != NULL);

    for (d = 0; d < AI_DIALECT_LAST; d++) {
        must(!ai_headers_never(text) || !ai_headers_in((ai_dialect_e) d, text));
        must(!ai_headers_never(text)
             || !ai_headers_out((ai_dialect_e) d, text));

        ai_buf_init(&b, mem, size);
        ai_headers_query(&b, (ai_dialect_e) d, text);
        must(!b.full);

        /* Whatever a message says, an error is one JSON object. */
        ai_buf_init(&b, mem, 6 * size + 1024);
        ai_error_body(&b, (ai_dialect_e) d, ai_error_row(size % 20), text,
                      text.len < 64 ? text : ai_str("job"));
        must(!b.full);
        must(ai_json_scan(&j, NULL, (ai_str_t) { ai_buf_len(&b), mem },
                          1 << 24, 0) == AI_JSON_OK);
    }

    free(mem);

    if (ai_keys_make(key, sizeof(key), AI_KEY_RUNNING, 0, text)) {
        must(ai_keys_tenant_ok(text) && clean(text));
    }

    (void) ai_str_text_ok(text, 256);

    return 0;
}
