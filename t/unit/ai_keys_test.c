/*
 * Every key and channel as docs/wire.md spells it, and the names within.
 */

#include "ai_unit.h"

#include "ai_keys.h"

#define JOB  "job_0199c0ffee010123456789abcdef0123"
#define HEX  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define PROCESS  "web-1.example-4711-1790000000000"
#define TENANT_63  \
    "a0123456789.123456789_123456789-123456789012345678901234567890."
#define A64  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


static void
sharded(void **state)
{
    char    buf[AI_KEY_MAX], small[AI_KEY_MAX];
    size_t  i, len;

    static const struct {
        ai_key_e    key;
        unsigned    shard;
        const char *name;
        const char *want;
    } rows[] = {
        { AI_KEY_JOB, 0, JOB, "ai1:{0}:job:" JOB },
        { AI_KEY_BODY, 7, JOB, "ai1:{7}:body:" JOB },
        { AI_KEY_EV, 15, JOB, "ai1:{15}:ev:" JOB },
        { AI_KEY_ALIVE, 0, "", "ai1:{0}:alive" },
        { AI_KEY_CAPACITY, 0, "", "ai1:{0}:capacity" },
        { AI_KEY_SWEEP, 0, "", "ai1:{0}:sweep" },
        { AI_KEY_WAITING, 0, "", "ai1:{0}:waiting" },
        { AI_KEY_WAITING_BATCH, 0, "", "ai1:{0}:waiting:batch" },
        { AI_KEY_WAITING_LAST, 0, "", "ai1:{0}:waiting:last" },
        { AI_KEY_SUSPECTS, 0, "", "ai1:{0}:suspects" },
        { AI_KEY_OUTBOX, 0, "", "ai1:{0}:outbox" },
        { AI_KEY_BACKLOG, 0, "acme", "ai1:{0}:backlog:acme" },
        { AI_KEY_BACKLOG_BATCH, 0, "acme", "ai1:{0}:backlog:batch:acme" },
        { AI_KEY_BACKLOG_LAST, 0, "acme", "ai1:{0}:backlog:last:acme" },
        { AI_KEY_BACKLOG_BYTES, 0, "", "ai1:{0}:backlog_bytes" },
        { AI_KEY_WEIGHTS, 0, "", "ai1:{0}:weights" },
        { AI_KEY_FAIR, 0, "", "ai1:{0}:fair" },
        { AI_KEY_RUNNING, 0, TENANT_63, "ai1:{0}:running:" TENANT_63 },
        { AI_KEY_HELD, 0, PROCESS, "ai1:{0}:held:" PROCESS },
        { AI_KEY_GRACE, 4294967295, "", "ai1:{4294967295}:grace" },
        { AI_KEY_PV, 0, "k_1-Z.9", "ai1:{0}:pv:k_1-Z.9" },
        { AI_KEY_EDGE_CHANNEL, 0, PROCESS, "ai1:{0}:edge:" PROCESS },
        { AI_KEY_WORKER_CHANNEL, 3, PROCESS, "ai1:{3}:worker:" PROCESS },
        { AI_KEY_LIM, 0, "acme", "ai1:{0}:lim:acme" },
        { AI_KEY_SEEDING, 0, "", "ai1:{0}:lim:seeding" },
        { AI_KEY_SHARED, 0, JOB, "ai1:{0}:shared:" JOB },
        { AI_KEY_CACHE, 0, HEX, "ai1:{0}:cache:" HEX },
        { AI_KEY_CACHED, 0, "", "ai1:{0}:cached" },
        { AI_KEY_CACHE_SUM, 0, "", "ai1:{0}:cache_sum" },
        { AI_KEY_FLIGHT, 0, HEX "s", "ai1:{0}:flight:" HEX "s" },
        { AI_KEY_RESPONSE, 0, HEX, "ai1:{0}:resp:" HEX },
        { AI_KEY_PARK, 0, HEX, "ai1:{0}:park:" HEX },
        { AI_KEY_PARKED, 0, "", "ai1:{0}:parked" },
        { AI_KEY_PARKING, 0, "", "ai1:{0}:parking" }
    };

    (void) state;

    assert_int_equal(sizeof(rows) / sizeof(rows[0]), AI_KEY_PARKING + 1);

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        len = ai_keys_make(buf, sizeof(buf), rows[i].key, rows[i].shard,
                           Z(rows[i].name));
        assert_int_equal(len, strlen(rows[i].want));
        assert_string_equal(buf, rows[i].want);

        assert_int_equal(ai_keys_make(small, len + 1, rows[i].key,
                                      rows[i].shard, Z(rows[i].name)), len);
        assert_int_equal(ai_keys_make(small, len, rows[i].key, rows[i].shard,
                                      Z(rows[i].name)), 0);
    }

    assert_int_equal(ai_keys_make(buf, sizeof(buf), AI_KEY_JOB, 0,
                                  T("job_x")), 0);
    assert_int_equal(ai_keys_make(buf, sizeof(buf), AI_KEY_JOB, 0, EMPTY), 0);
    assert_int_equal(ai_keys_make(buf, sizeof(buf), AI_KEY_BACKLOG, 0,
                                  T("batch:acme")), 0);
    assert_int_equal(ai_keys_make(buf, sizeof(buf), AI_KEY_RUNNING, 0,
                                  T("}x{")), 0);
    assert_int_equal(ai_keys_make(buf, sizeof(buf), AI_KEY_PV, 0, T("a:b")), 0);
    assert_int_equal(ai_keys_make(buf, sizeof(buf), AI_KEY_EDGE_CHANNEL, 0,
                                  T("a b")), 0);
    assert_int_equal(ai_keys_make(buf, sizeof(buf), AI_KEY_WORKER_CHANNEL, 0,
                                  EMPTY), 0);
    assert_int_equal(ai_keys_make(buf, sizeof(buf), (ai_key_e) 99, 0, EMPTY),
                     0);

    /* A name that a key does not want is not looked at. */
    assert_int_equal(ai_keys_make(buf, sizeof(buf), AI_KEY_ALIVE, 0, T("\n")),
                     13);
    assert_string_equal(buf, "ai1:{0}:alive");

    assert_int_equal(ai_keys_prefix(buf, sizeof(buf), 12), 9);
    assert_string_equal(buf, "ai1:{12}:");
    assert_int_equal(ai_keys_prefix(buf, 9, 12), 0);
    assert_int_equal(ai_keys_prefix(buf, 10, 12), 9);
}


static void
global(void **state)
{
    char  buf[AI_KEY_MAX];

    (void) state;

    assert_int_equal(ai_keys_principal(buf, sizeof(buf), T(HEX)), 72);
    assert_string_equal(buf, "ai1:key:" HEX);
    assert_int_equal(ai_keys_principal(buf, 73, T(HEX)), 72);
    assert_int_equal(ai_keys_principal(buf, 72, T(HEX)), 0);
    assert_int_equal(ai_keys_principal(buf, sizeof(buf), T("acme")), 15);
    assert_string_equal(buf, "ai1:tenant:acme");
    assert_int_equal(ai_keys_principal(buf, sizeof(buf), T("Acme")), 0);
    assert_int_equal(ai_keys_principal(buf, sizeof(buf), EMPTY), 0);
    assert_int_equal(ai_keys_principal(buf, sizeof(buf), T(HEX "0")), 0);
    assert_int_equal(ai_keys_make(buf, sizeof(buf), AI_KEY_PV, 0,
                                  T("tenant:acme")), 22);
    assert_string_equal(buf, "ai1:{0}:pv:tenant:acme");
    assert_int_equal(ai_keys_make(buf, sizeof(buf), AI_KEY_PV, 0,
                                  T("tenant:}x")), 0);

    assert_int_equal(ai_keys_catalog(buf, sizeof(buf), T(HEX)), 76);
    assert_string_equal(buf, "ai1:catalog:" HEX);
    assert_int_equal(ai_keys_catalog(buf, sizeof(buf), T(HEX "0")), 0);
    assert_int_equal(ai_keys_catalog(buf, sizeof(buf), EMPTY), 0);

    assert_int_equal(ai_keys_jwks(buf, sizeof(buf), T(HEX)), 73);
    assert_string_equal(buf, "ai1:jwks:" HEX);
    assert_int_equal(ai_keys_jwks(buf, sizeof(buf), T("lease")), 0);

    assert_int_equal(ai_keys_metrics(buf, sizeof(buf), T("w-1-2")), 17);
    assert_string_equal(buf, "ai1:metrics:w-1-2");
    assert_int_equal(ai_keys_metrics(buf, sizeof(buf), T("w 1")), 0);

    assert_string_equal(AI_SHARDS_KEY, "ai1:shards");
    assert_string_equal(AI_LOOKUP_KEY, "ai1:lookup");
    assert_string_equal(AI_JWKS_KEY, "ai1:jwks");
    assert_string_equal(AI_JWKS_LEASE_KEY, "ai1:jwks:lease");
    assert_string_equal(AI_JWKS_WANTED_KEY, "ai1:jwks:wanted");
    assert_string_equal(AI_KEYS_CHANNEL, "ai1:keys");
    assert_string_equal(AI_GLOBAL_PREFIX, "ai1:");
    assert_string_equal(AI_GROUP_WORKERS, "workers");
    assert_string_equal(AI_GROUP_LEDGER, "ledger");
}


static void
shards(void **state)
{
    size_t  i, k;

    /* SHA-256's first eight bytes, big endian, modulo; from another program. */

    static const unsigned  mods[] = { 2, 3, 7, 16, 1000, 4294967295 };

    static const struct {
        const char *tenant;
        unsigned    shard[6];
    } rows[] = {
        { "acme", { 0, 0, 2, 0, 872, 166493262 } },
        { "demo", { 0, 2, 5, 4, 596, 1608694256 } },
        { "a", { 0, 1, 4, 10, 250, 2494775005 } },
        { "tenant-0.x_1", { 0, 0, 6, 8, 224, 1726647069 } }
    };

    (void) state;

    for (i = 0; i < 4; i++) {
        for (k = 0; k < 6; k++) {
            assert_int_equal(ai_keys_shard(Z(rows[i].tenant), mods[k]),
                             rows[i].shard[k]);
        }

        assert_int_equal(ai_keys_shard(Z(rows[i].tenant), 1), 0);
        assert_int_equal(ai_keys_shard(Z(rows[i].tenant), 0), 0);
    }
}


/* Which single byte may stand first, and which later. */

static void
allowed(int (*ok)(ai_str_t s), const char *first, const char *later)
{
    int   c;
    char  name[3];

    for (c = 0; c < 256; c++) {
        name[0] = (char) c;
        assert_int_equal(ok(tight(name, 1)),
                         c && strchr(first, c) != NULL);

        name[0] = 'a';
        name[1] = (char) c;
        assert_int_equal(ok(tight(name, 2)),
                         c && strchr(later, c) != NULL);
    }
}


static void
names(void **state)
{
#define LOWER  "abcdefghijklmnopqrstuvwxyz0123456789"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

    (void) state;

    allowed(ai_keys_tenant_ok, LOWER, LOWER "._-");
    allowed(ai_keys_process_ok, LOWER UPPER ".-", LOWER UPPER ".-");
    allowed(ai_keys_key_id_ok, LOWER UPPER "._-", LOWER UPPER "._-");

    assert_false(ai_keys_tenant_ok(EMPTY));
    assert_int_equal(strlen(TENANT_63), 63);
    assert_true(ai_keys_tenant_ok(T(TENANT_63)));
    assert_false(ai_keys_tenant_ok(T(TENANT_63 "a")));

    assert_false(ai_keys_process_ok(EMPTY));
    assert_true(ai_keys_process_ok(T(A64)));
    assert_false(ai_keys_process_ok(T(A64 "a")));

    assert_false(ai_keys_key_id_ok(EMPTY));
    assert_true(ai_keys_key_id_ok(T(A64)));
    assert_false(ai_keys_key_id_ok(T(A64 "a")));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(sharded),
        cmocka_unit_test(global),
        cmocka_unit_test(shards),
        cmocka_unit_test(names)
    };

    return run_group(tests);
}
