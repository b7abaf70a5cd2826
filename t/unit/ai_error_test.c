/*
 * The errors against the table that docs/wire.md prints, and their wording.
 * Runs at the root of the repository, where docs is.
 */

#include "ai_unit.h"

#include "ai_error.h"

#define WIRE   "docs/wire.md"
#define CELLS  5

static const ai_error_t  quoting = {
    "x", 400, "t", NULL, "a", "Say \"x\"\n.", 0, 0
};


/* The cells of a Markdown row without blanks and `: how many. */

static int
cells(char *line, char *cell[CELLS])
{
    int    n;
    char  *to;

    for (n = 0; n < CELLS; n++) {
        while (*line && *line != '|') {
            line++;
        }

        if (*line == '\0') {
            break;
        }

        cell[n] = to = ++line;

        while (*line && *line != '|') {
            if (*line != ' ' && *line != '`') {
                *to++ = *line;
            }

            line++;
        }

        if (to < line) {
            *to = '\0';
        }
    }

    return n;
}


static void
as_documented(void **state)
{
    int                found;
    char               line[1024], *cell[CELLS], *code;
    FILE              *f;
    unsigned           n;
    const ai_error_t  *e;

    (void) state;

    f = fopen(WIRE, "r");

    if (f == NULL) {
        fail_msg("no " WIRE ": run this at the root of the repository");
    }

    found = 0;
    n = 0;

    while (fgets(line, sizeof(line), f)) {

        if (strncmp(line, "## ", 3) == 0) {
            found = strncmp(line, "## 10.", 6) == 0;
        }

        if (!found || strncmp(line, "| `", 3) != 0) {
            continue;
        }

        assert_int_equal(cells(line, cell), CELLS);
        code = strchr(cell[2], '/');
        assert_non_null(code);
        *code++ = '\0';

        e = ai_error_row(n++);
        assert_non_null(e);
        assert_string_equal(e->cause, cell[0]);
        assert_int_equal(e->status, atoi(cell[1]));
        assert_string_equal(e->openai_type, cell[2]);
        assert_string_equal(e->anthropic_type, cell[3]);

        if (strcmp(code, "\xE2\x80\x93") == 0) {
            assert_null(e->openai_code);

        } else {
            assert_string_equal(e->openai_code, code);
        }

        assert_ptr_equal(ai_error_find(Z(cell[0])), e);
    }

    fclose(f);

    assert_true(n > 20);
    assert_null(ai_error_row(n));
    assert_null(ai_error_row((unsigned) -1));
}


static void
rows(void **state)
{
    unsigned           i;
    const ai_error_t  *e;

    (void) state;

    for (i = 0; (e = ai_error_row(i)) != NULL; i++) {

        /* 429 and 503 say when to come again, and nothing else does. */
        assert_int_equal(e->retry_after != 0,
                         e->status == 429 || e->status == 503);
        assert_true(e->retry_after <= 60);

        /* What a repeat would be paid for again. */
        assert_int_equal(e->no_retry, strcmp(e->cause, "lost") == 0
                                      || strcmp(e->cause, "attempts") == 0);

        /* A sentence for a stranger: no parts of ours by name. */
        assert_true(strlen(e->message) > 10);
        assert_int_equal(e->message[strlen(e->message) - 1], '.');
        assert_null(strstr(e->message, "edis"));
        assert_null(strstr(e->message, "worker"));
        assert_null(strstr(e->message, "nginx"));
        assert_null(strstr(e->message, "ostgres"));
    }

    assert_null(ai_error_find(EMPTY));
    assert_null(ai_error_find(T("nothing")));
    assert_null(ai_error_find(T("bad_jso")));
    assert_null(ai_error_find(T("bad_json\0")));
}


static void
statuses(void **state)
{
    int  i;

    static const struct {
        int         status;
        const char *cause;
    } want[] = {
        { 400, "bad_request" }, { 401, "unauthenticated" },
        { 402, "bad_request" }, { 403, "forbidden" }, { 404, "not_found" },
        { 405, "method_not_allowed" }, { 408, "timeout_request" },
        { 409, "conflict" }, { 410, "gone" }, { 413, "too_large" },
        { 414, "bad_request" }, { 415, "media_type" },
        { 429, "rate_limited" }, { 494, "bad_request" },
        { 499, "cancelled" }, { 500, "internal" }, { 501, "internal" },
        { 502, "bad_gateway" }, { 503, "unavailable" },
        { 504, "provider_timeout" }, { 507, "internal" },
        { 0, "internal" }, { -1, "internal" }, { 200, "internal" },
        { 302, "internal" }, { 399, "internal" }, { 599, "internal" }
    };

    (void) state;

    for (i = 0; i < (int) (sizeof(want) / sizeof(want[0])); i++) {
        assert_string_equal(ai_error_status(want[i].status)->cause,
                            want[i].cause);
    }

    for (i = -5; i < 1000; i++) {
        assert_non_null(ai_error_status(i));
    }
}


static void
dialects(void **state)
{
    (void) state;

    assert_int_equal(ai_dialect_find(T("openai")), AI_DIALECT_OPENAI);
    assert_int_equal(ai_dialect_find(T("anthropic")), AI_DIALECT_ANTHROPIC);
    assert_int_equal(ai_dialect_find(T("OpenAI")), -1);
    assert_int_equal(ai_dialect_find(T("openai ")), -1);
    assert_int_equal(ai_dialect_find(EMPTY), -1);
    assert_string_equal(ai_dialect_name(AI_DIALECT_OPENAI), "openai");
    assert_string_equal(ai_dialect_name(AI_DIALECT_ANTHROPIC), "anthropic");
    assert_string_equal(ai_dialect_name(AI_DIALECT_LAST), "openai");
    assert_string_equal(ai_dialect_name((ai_dialect_e) -1), "openai");
}


static void
wording_is(int event, ai_dialect_e d, const ai_error_t *e, ai_str_t message,
    ai_str_t id, const char *want, int line)
{
    char      mem[1024];
    size_t    size;
    ai_buf_t  b;

    for (size = 0; size <= strlen(want); size++) {
        ai_buf_init(&b, mem, size);

        if (event) {
            ai_error_event(&b, d, e, message, id, 7);

        } else {
            ai_error_body(&b, d, e, message, id);
        }

        assert_int_equal(b.full, size < strlen(want));
        ai_unit_is((ai_str_t) { ai_buf_len(&b), mem }, want,
                   b.full ? 0 : strlen(want), __FILE__, line);
    }
}

#define body(d, e, message, id, want)  \
    wording_is(0, AI_DIALECT_##d, e, message, id, want, __LINE__)
#define event(d, e, message, id, want)  \
    wording_is(1, AI_DIALECT_##d, e, message, id, want, __LINE__)


static void
wording(void **state)
{
    const ai_error_t  *e;

    (void) state;

    e = ai_error_find(ai_str("model_not_found"));

    body(OPENAI, e, T("No \"x\"."), T("job_1"),
         "{\"error\":{\"message\":\"No \\\"x\\\".\","
         "\"type\":\"invalid_request_error\",\"param\":null,"
         "\"code\":\"model_not_found\"}}");

    event(OPENAI, e, T("No x."), EMPTY,
          "data: {\"error\":{\"message\":\"No x.\","
          "\"type\":\"invalid_request_error\",\"param\":null,"
          "\"code\":\"model_not_found\"}}\n\n");

    body(ANTHROPIC, e, T("a\nb"), T("job_1"),
         "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\","
         "\"message\":\"a\\nb\"},\"request_id\":\"job_1\"}");

    body(ANTHROPIC, e, T("x"), EMPTY,
         "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\","
         "\"message\":\"x\"}}");

    event(ANTHROPIC, e, T("x"), T("a\"b"),
          "event: error\ndata: {\"type\":\"error\",\"error\":{"
          "\"type\":\"not_found_error\",\"message\":\"x\"},"
          "\"request_id\":\"a\\\"b\"}\n\n");

    /* Without a message the table's, without a code null. */

    body(OPENAI, &quoting, EMPTY, T("job_1"),
         "{\"error\":{\"message\":\"Say \\\"x\\\"\\n.\",\"type\":\"t\","
         "\"param\":null,\"code\":null}}");

    body(ANTHROPIC, &quoting, EMPTY, EMPTY,
         "{\"type\":\"error\",\"error\":{\"type\":\"a\","
         "\"message\":\"Say \\\"x\\\"\\n.\"}}");

    /* No byte of a message breaks the frame of an event. */

    event(OPENAI, &quoting, T("\n\ndata: [DONE]\n\n\xFF"), EMPTY,
          "data: {\"error\":{\"message\":\"\\n\\ndata: [DONE]\\n\\n\xEF\xBF\xBD"
          "\",\"type\":\"t\",\"param\":null,\"code\":null}}\n\n");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(as_documented),
        cmocka_unit_test(rows),
        cmocka_unit_test(statuses),
        cmocka_unit_test(dialects),
        cmocka_unit_test(wording)
    };

    return run_group(tests);
}
