/*
 * The table of roles and scopes, cell by cell, against a copy written by hand.
 */

#include "ai_unit.h"

#include "ai_role.h"

#define ROLES  4


static void
table(void **state)
{
    size_t  i, k;

    static const char *const  roles[ROLES] = {
        "viewer", "member", "tenant_admin", "platform_admin"
    };

    static const struct {
        const char *right;
        const char *who;            /* y or n, in the order above */
    } rows[] = {
        { "completions", "nyyy" },
        { "tools", "nyyy" },
        { "files", "nyyy" },
        { "models:read", "yyyy" },
        { "jobs:read", "yyyy" },
        { "jobs:write", "nyyy" },
        { "admin:read", "nnyy" },
        { "admin:write", "nnyy" }
    };

    (void) state;

    assert_int_equal(sizeof(rows) / sizeof(rows[0]), AI_RIGHT_LAST);
    assert_null(ai_right_name(AI_RIGHT_LAST));
    assert_null(ai_role_name(ROLES));

    for (i = 0; i < AI_RIGHT_LAST; i++) {
        assert_string_equal(ai_right_name((unsigned) i), rows[i].right);
        assert_int_equal(ai_right_find(Z(rows[i].right)), i);

        for (k = 0; k < ROLES; k++) {
            assert_int_equal(ai_role_allows(Z(roles[k]), EMPTY,
                                            (ai_right_e) i),
                             rows[i].who[k] == 'y' ? AI_ALLOWED
                                                   : AI_ROLE_LACKS);
            assert_int_equal(ai_role_allows(Z(roles[k]), Z(rows[i].right),
                                            (ai_right_e) i),
                             rows[i].who[k] == 'y' ? AI_ALLOWED
                                                   : AI_ROLE_LACKS);
        }

        assert_int_equal(ai_role_allows(EMPTY, EMPTY, (ai_right_e) i),
                         rows[i].who[1] == 'y' ? AI_ALLOWED : AI_ROLE_LACKS);
        assert_int_equal(ai_role_allows(T("root"), EMPTY, (ai_right_e) i),
                         AI_ROLE_LACKS);
    }

    for (k = 0; k < ROLES; k++) {
        assert_int_equal(ai_role_find(Z(roles[k])), k);
        assert_string_equal(ai_role_name((unsigned) k), roles[k]);
    }

    assert_int_equal(ai_role_find(T("Member")), -1);
    assert_int_equal(ai_role_find(T("membe")), -1);
    assert_int_equal(ai_right_find(T("models")), -1);
    assert_int_equal(ai_right_find(EMPTY), -1);
}


static void
scopes(void **state)
{
    (void) state;

    assert_int_equal(ai_role_allows(T("member"), T("tools completions"),
                                    AI_RIGHT_COMPLETIONS), AI_ALLOWED);
    assert_int_equal(ai_role_allows(T("member"), T("  tools  "),
                                    AI_RIGHT_COMPLETIONS), AI_SCOPE_LACKS);
    assert_int_equal(ai_role_allows(T("member"), T("completion"),
                                    AI_RIGHT_COMPLETIONS), AI_SCOPE_LACKS);
    assert_int_equal(ai_role_allows(T("member"), T("completionss"),
                                    AI_RIGHT_COMPLETIONS), AI_SCOPE_LACKS);
    assert_int_equal(ai_role_allows(T("member"), T("   "),
                                    AI_RIGHT_COMPLETIONS), AI_ALLOWED);
    assert_int_equal(ai_role_allows(T("platform_admin"), T("models:read"),
                                    AI_RIGHT_ADMIN_WRITE), AI_SCOPE_LACKS);
    assert_int_equal(ai_role_allows(T("viewer"), T("completions"),
                                    AI_RIGHT_COMPLETIONS), AI_ROLE_LACKS);
    assert_int_equal(ai_role_allows(T("member"), EMPTY, (ai_right_e) 99),
                     AI_ROLE_LACKS);
}


static void
operations(void **state)
{
    size_t  i;

    static const struct {
        const char *op;
        int         right;
    } rows[] = {
        { "chat", AI_RIGHT_COMPLETIONS },
        { "messages", AI_RIGHT_COMPLETIONS },
        { "models", AI_RIGHT_MODELS_READ },
        { "job", AI_RIGHT_JOBS_READ },
        { "events", AI_RIGHT_JOBS_READ },
        { "cancel", AI_RIGHT_JOBS_WRITE },
        { "chats", -1 },
        { "", -1 }
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(ai_right_of(Z(rows[i].op)), rows[i].right);
    }
}


static void
foreign(void **state)
{
    char      text[64], small[12];
    ai_buf_t  b;

    (void) state;

    ai_unit_is(ai_role_mightiest(T("a viewer member b"),
                                 AI_ROLE_PLATFORM_ADMIN), "member", 6,
               __FILE__, __LINE__);
    ai_unit_is(ai_role_mightiest(T("viewer"), AI_ROLE_PLATFORM_ADMIN), "viewer",
               6, __FILE__, __LINE__);
    ai_unit_is(ai_role_mightiest(T("tenant_admin platform_admin member"),
                                 AI_ROLE_PLATFORM_ADMIN),
               "platform_admin", 14, __FILE__, __LINE__);
    ai_unit_is(ai_role_mightiest(T("member platform_admin tenant_admin"),
                                 AI_ROLE_TENANT_ADMIN),
               "tenant_admin", 12, __FILE__, __LINE__);
    assert_int_equal(ai_role_mightiest(T("platform_admin"),
                                       AI_ROLE_TENANT_ADMIN).len, 0);
    assert_int_equal(ai_role_mightiest(T("a b"),
                                       AI_ROLE_PLATFORM_ADMIN).len, 0);
    assert_int_equal(ai_role_mightiest(EMPTY, AI_ROLE_PLATFORM_ADMIN).len, 0);

    ai_buf_init(&b, text, sizeof(text));
    ai_scopes_known(&b, T("openid tools profile  jobs:read email"));
    ai_unit_is((ai_str_t) { ai_buf_len(&b), text }, "tools jobs:read", 15,
               __FILE__, __LINE__);

    ai_buf_init(&b, text, sizeof(text));
    ai_scopes_known(&b, T("openid profile"));
    assert_int_equal(ai_buf_len(&b), 0);

    ai_buf_init(&b, small, sizeof(small));
    ai_scopes_known(&b, T("tools jobs:read"));
    assert_true(b.full);
}


static void
why(void **state)
{
    char      text[160];
    ai_buf_t  b;

    (void) state;

    ai_buf_init(&b, text, sizeof(text));
    ai_role_why(&b, T("member"), AI_SCOPE_LACKS, AI_RIGHT_MODELS_READ);
    ai_buf_add(&b, "", 1);
    assert_string_equal(text,
                        "This credential lacks the scope \"models:read\".");

    ai_buf_init(&b, text, sizeof(text));
    ai_role_why(&b, T("viewer"), AI_ROLE_LACKS, AI_RIGHT_COMPLETIONS);
    ai_buf_add(&b, "", 1);
    assert_string_equal(text, "The role \"viewer\" does not have the scope "
                        "\"completions\".");

    /* What somebody else wrote is not repeated. */
    ai_buf_init(&b, text, sizeof(text));
    ai_role_why(&b, T("<b>"), AI_ROLE_LACKS, AI_RIGHT_COMPLETIONS);
    ai_buf_add(&b, "", 1);
    assert_string_equal(text, "The role of this credential is unknown.");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(scopes),
        cmocka_unit_test(operations),
        cmocka_unit_test(foreign),
        cmocka_unit_test(why)
    };

    return run_group(tests);
}
