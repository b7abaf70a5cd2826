/*
 * Master keys of every kind, whose a key is, and KMS programs that do not do
 * what they should.
 */

#include "ai_unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vault.h"

#define ONE  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define TWO  "100102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"


static char  dir[] = "/tmp/ngx-ai-vault-XXXXXX";
static char  why[VAULT_WHY_MAX];


static int
setup(void **state)
{
    (void) state;

    return mkdtemp(dir) != NULL ? 0 : -1;
}


static int
teardown(void **state)
{
    char  cmd[128];

    (void) state;

    (void) snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);

    return system(cmd);
}


static const char *
put(const char *name, const char *text)
{
    FILE         *f;
    static char   path[128];

    (void) snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, 0700), 0);

    return path;
}


static vault_t *
file(const char *name, const char *text)
{
    char  spec[160];

    (void) snprintf(spec, sizeof(spec), "file:%s", put(name, text));

    return vault_open(spec, NULL, why);
}


/* A vault of a KMS program of this text. */

static vault_t *
kms(const char *name, const char *text)
{
    char      spec[200];
    vault_t  *v;

    (void) snprintf(spec, sizeof(spec), "kms:%s=%s  key-7", name,
                    put(name, text));
    v = vault_open(spec, NULL, why);
    assert_non_null(v);

    return v;
}


static void
specs(void **state)
{
    unsigned  i;
    vault_t  *v;

    static const char *const  bad[] = {
        "", "env:", "env:NGXAI_T_UNSET", "file:", "file:/nowhere/at/all",
        "kms:", "kms:x", "kms:x=", "kms:x=relative", "kms:=/bin/true",
        "kms:UP=/bin/true", "kms:x= ", ONE, ("key:" ONE),
        "kms:aaaaaaaaaabbbbbbbbbbccccccccccdddddddddde=/bin/true"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        why[0] = '\0';
        assert_null(vault_open(bad[i], NULL, why));
        assert_true(why[0] != '\0');
        assert_null(strstr(why, ONE));
    }

    v = vault_open("kms:aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd=/bin/true",
                   NULL, why);
    assert_non_null(v);
    assert_int_equal(strlen(vault_current(v)), 44);
    vault_close(v);

    assert_null(file("short", "0011"));
    assert_null(file("long", ONE "00"));
    assert_null(file("odd", "x" ONE));
    assert_null(file("empty", ""));
    assert_null(strstr(why, "0011"));

    v = file("one", ONE "\n");
    assert_non_null(v);
    assert_int_equal(strlen(vault_current(v)), 20);
    assert_memory_equal(vault_current(v), "key:", 4);
    setenv("NGXAI_T_ONE", ONE, 1);
    setenv("NGXAI_T_TWO", TWO, 1);

    /* By either way one key has one name. */

    {
        vault_t  *e, *two;

        e = vault_open("env:NGXAI_T_ONE", "", why);
        assert_non_null(e);
        assert_string_equal(vault_current(e), vault_current(v));
        two = vault_open("env:NGXAI_T_TWO", NULL, why);
        assert_non_null(two);
        assert_string_not_equal(vault_current(two), vault_current(v));
        vault_close(two);
        vault_close(e);
    }

    vault_close(v);
    assert_null(vault_open("env:NGXAI_T_ONE", "env:NGXAI_T_ONE", why));
    assert_null(vault_open("env:NGXAI_T_ONE", "env:NGXAI_T_UNSET", why));
    vault_close(NULL);
}


static void
masters(void **state)
{
    size_t         len;
    vault_t       *one, *two, *both;
    ai_str_t       name;
    unsigned char  key[AI_SEAL_KEY], got[AI_SEAL_KEY];
    unsigned char  out[VAULT_WRAPPED_MAX];

    (void) state;

    one = vault_open("env:NGXAI_T_ONE", NULL, why);
    two = vault_open("env:NGXAI_T_TWO", NULL, why);
    both = vault_open("env:NGXAI_T_TWO", "env:NGXAI_T_ONE", why);
    memset(key, 'k', sizeof(key));
    assert_int_equal(vault_wrap(one, T("acme"), T("dk_1"), key, out, &len,
                                why), 0);
    name = (ai_str_t) { strlen(vault_current(one)), vault_current(one) };

    assert_int_equal(vault_unwrap(one, name, T("acme"), T("dk_1"),
                                  (ai_str_t) { len, (char *) out }, got, why),
                     0);
    assert_memory_equal(got, key, sizeof(key));
    assert_int_equal(vault_unwrap(both, name, T("acme"), T("dk_1"),
                                  (ai_str_t) { len, (char *) out }, got, why),
                     0);

    /* Another master key, tenant or id; or it says that it is another's. */

    assert_int_equal(vault_unwrap(two, name, T("acme"), T("dk_1"),
                                  (ai_str_t) { len, (char *) out }, got, why),
                     -1);
    assert_non_null(strstr(why, vault_current(one)));
    assert_non_null(strstr(why, vault_current(two)));
    assert_int_equal(got[0], 0);
    assert_int_equal(vault_unwrap(one, name, T("acmf"), T("dk_1"),
                                  (ai_str_t) { len, (char *) out }, got, why),
                     -1);
    assert_int_equal(vault_unwrap(one, name, T("acme"), T("dk_2"),
                                  (ai_str_t) { len, (char *) out }, got, why),
                     -1);
    name = (ai_str_t) { strlen(vault_current(two)), vault_current(two) };
    assert_int_equal(vault_unwrap(both, name, T("acme"), T("dk_1"),
                                  (ai_str_t) { len, (char *) out }, got, why),
                     -1);
    assert_int_equal(vault_unwrap(both, name, T("acme\ndk_1"), T("x"),
                                  (ai_str_t) { len, (char *) out }, got, why),
                     -1);

    vault_close(one);
    vault_close(two);
    vault_close(both);
}


static void
places(void **state)
{
    unsigned       i;
    vault_place_t  place, other;
    unsigned char  key[AI_SEAL_KEY], out[64], sealed[64];
    ai_str_t      *field[4];

    (void) state;

    memset(key, 'k', sizeof(key));
    place.tenant = T("acme");
    place.provider = T("openai");
    place.id = T("pk_1");
    place.data_key = T("dk_1");
    assert_int_equal(vault_seal(key, &place, T("sk-secret"), sealed), 0);
    assert_int_equal(vault_unseal(key, &place,
                                  (ai_str_t) { 9 + AI_SEAL_MORE,
                                               (char *) sealed }, out), 9);
    assert_memory_equal(out, "sk-secret", 9);

    for (i = 0; i < 4; i++) {
        other = place;
        field[0] = &other.tenant;
        field[1] = &other.provider;
        field[2] = &other.id;
        field[3] = &other.data_key;
        *field[i] = T("other");
        assert_int_equal(vault_unseal(key, &other,
                                      (ai_str_t) { 9 + AI_SEAL_MORE,
                                                   (char *) sealed }, out),
                         -1);
        *field[i] = EMPTY;
        assert_int_equal(vault_seal(key, &other, T("x"), sealed + 40), -1);
    }

    /* Names that run into each other are others. */

    other = place;
    other.tenant = T("acmeo");
    other.provider = T("penai");
    assert_int_equal(vault_unseal(key, &other,
                                  (ai_str_t) { 9 + AI_SEAL_MORE,
                                               (char *) sealed }, out), -1);
}


/* Base64 twice is a wrap that can be undone. */

#define GOOD  "#!/bin/sh\nread of; read text\n"                               \
              "test ! -e /proc/self/fd/77 || exit 77\n"                       \
              "echo \"$1 $2 $of\" >> $0.log\n"                                \
              "case $2 in wrap) printf %s \"$text\" | base64 -w0;;\n"         \
              "unwrap) printf %s \"$text\" | base64 -d;; esac\n"


static void
programs(void **state)
{
    char           path[128], log[512];
    FILE          *f;
    size_t         len;
    vault_t       *v;
    unsigned char  key[AI_SEAL_KEY], got[AI_SEAL_KEY];
    unsigned char  out[VAULT_WRAPPED_MAX];

    (void) state;

    /* Not closed by exec, as sockets of libraries. */

    assert_int_equal(dup2(2, 77), 77);
    v = kms("good", GOOD);
    assert_string_equal(vault_current(v), "kms:good");
    memset(key, 0x9c, sizeof(key));
    assert_int_equal(vault_wrap(v, T("acme"), T("dk_1"), key, out, &len, why),
                     0);
    assert_int_equal(len, 44);
    assert_int_equal(vault_unwrap(v, T("kms:good"), T("acme"), T("dk_1"),
                                  (ai_str_t) { len, (char *) out }, got, why),
                     0);
    assert_memory_equal(got, key, sizeof(key));
    vault_close(v);
    close(77);

    /* Its words, whose the key is; no shell has read them. */

    (void) snprintf(path, sizeof(path), "%s/good.log", dir);
    f = fopen(path, "r");
    assert_non_null(f);
    log[fread(log, 1, sizeof(log) - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(log, "key-7 wrap tenant=acme data_key=dk_1\n"
                             "key-7 unwrap tenant=acme data_key=dk_1\n"
                             "key-7 unwrap tenant=acme data_key=dk_1\n");
}


static void
failures(void **state)
{
    unsigned       i;
    size_t         len;
    vault_t       *v;
    unsigned char  key[AI_SEAL_KEY], out[VAULT_WRAPPED_MAX];

    static const struct {
        const char  *name;
        const char  *text;
        const char  *why;
    } bad[] = {
        { "fails", "#!/bin/sh\necho no >&2; exit 3\n", "exit code 3" },
        { "dies", "#!/bin/sh\nkill -9 $$\n", "signal 9" },
        { "says-nothing", "#!/bin/sh\nexit 0\n", "one line of base64" },
        { "garbage", "#!/bin/sh\necho 'an error: <html>'\n",
          "one line of base64" },
        { "lines", "#!/bin/sh\necho AAAA; echo BBBB\n",
          "one line of base64" },
        { "much", "#!/bin/sh\ncat /dev/zero\n", "too much" },
        { "deaf", "#!/bin/sh\nexec 0<&-; echo AAAA\n", "no data key" },
        { "other", "#!/bin/sh\necho "
          "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
          "does not unwrap" },
        { "no-program", "\x7f" "ELF", "cannot be run" }
    };

    (void) state;

    memset(key, 's', sizeof(key));

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        v = kms(bad[i].name, bad[i].text);
        assert_int_equal(vault_wrap(v, T("acme"), T("dk_1"), key, out, &len,
                                    why), -1);

        if (strstr(why, bad[i].why) == NULL) {
            fail_msg("%s: %s", bad[i].name, why);
        }

        assert_null(strstr(why, "html"));
        vault_close(v);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(specs),
        cmocka_unit_test(masters),
        cmocka_unit_test(places),
        cmocka_unit_test(programs),
        cmocka_unit_test(failures),
    };

    signal(SIGPIPE, SIG_IGN);

    return cmocka_run_group_tests(tests, setup, teardown);
}
