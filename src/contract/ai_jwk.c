/*
 * A JWKS into keys that OpenSSL can use at once.  A set is one allocation and
 * owns its keys' objects.
 */

#include "ai_jwk_in.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "ai_base64.h"
#include "ai_json.h"

#define AI_JWK_TEXT_MAX    2048         /* bytes of one member, unescaped */
#define AI_JWK_DEPTH_MAX   32
#define AI_JWK_EXPONENT    8            /* bytes */
#define AI_JWK_POINT_MAX   66           /* bytes of a coordinate */
#define AI_JWK_ED25519     32
#define AI_JWK_ED25519_SIG 64

#define AI_JWA_HS  (AI_JWA_HS256|AI_JWA_HS384|AI_JWA_HS512)
#define AI_JWA_RS  (AI_JWA_RS256|AI_JWA_RS384|AI_JWA_RS512                   \
                    |AI_JWA_PS256|AI_JWA_PS384|AI_JWA_PS512)

enum {
    AI_JWK_KTY = 0, AI_JWK_USE, AI_JWK_OPS, AI_JWK_ALG, AI_JWK_KID,
    AI_JWK_CRV, AI_JWK_N, AI_JWK_E, AI_JWK_X, AI_JWK_Y, AI_JWK_K
};

struct ai_jwks_s {
    unsigned        nkeys;
    unsigned char   digest[AI_SHA256_LEN];
    ai_jwk_t        keys[AI_JWKS_KEYS_MAX];
    char            kids[AI_JWKS_KEYS_MAX][AI_JWK_KID_MAX];
};

typedef struct {
    const char     *name;
    const char     *group;      /* OpenSSL's */
    unsigned        alg;
    size_t          bytes;      /* of a coordinate, and half a signature */
} ai_jwk_curve_t;

/* A key while it is read. */
typedef struct {
    ai_str_t        text;
    ai_json_t       json;
    const char     *why;        /* no memory, where nothing else is said */
} ai_jwk_read_t;


static int ai_jwks_digest_make(ai_jwks_t *set, ai_str_t text, unsigned algs);
static int ai_jwk_parse(ai_jwk_t *key, char *kid, ai_str_t text,
    unsigned algs, const char **why);
static int ai_jwk_rsa(ai_jwk_t *key, ai_jwk_read_t *read);
static int ai_jwk_rsa_ok(const BIGNUM *n, const BIGNUM *e, const char **why);
static int ai_jwk_roca(const BIGNUM *n);
static int ai_jwk_ec(ai_jwk_t *key, ai_jwk_read_t *read);
static int ai_jwk_okp(ai_jwk_t *key, ai_jwk_read_t *read);
static int ai_jwk_oct(ai_jwk_t *key, ai_jwk_read_t *read);
static int ai_jwk_pkey(ai_jwk_t *key, const char *type, OSSL_PARAM_BLD *bld);
static int ai_jwk_for_verifying(ai_jwk_read_t *read);
static long ai_jwk_string(ai_jwk_read_t *read, unsigned member, char *buf,
    size_t size);
static long ai_jwk_bytes(ai_jwk_read_t *read, unsigned member,
    unsigned char *out, size_t size);
static void ai_jwk_release(ai_jwk_t *key);


static const char *const  ai_jwk_names[] = {
    "kty", "use", "key_ops", "alg", "kid", "crv", "n", "e", "x", "y", "k",
    NULL
};

static const ai_jwk_curve_t  ai_jwk_curves[] = {
    { "P-256", "P-256", AI_JWA_ES256, 32 },
    { "P-384", "P-384", AI_JWA_ES384, 48 },
    { "P-521", "P-521", AI_JWA_ES512, AI_JWK_POINT_MAX }
};


ai_jwks_t *
ai_jwks_parse(ai_str_t text, unsigned algs, ai_jwks_note_t *note)
{
    int              rc;
    size_t           at;
    unsigned         n;
    ai_str_t         keys, value;
    ai_json_t        json;
    ai_jwks_t       *set;
    ai_json_type_e   type;

    static const char *const  names[] = { "keys", NULL };

    memset(note, 0, sizeof(*note));

    rc = ai_json_scan(&json, names, text, AI_JWKS_MAX, AI_JWK_DEPTH_MAX);

    if (rc != AI_JSON_OK) {
        note->why = ai_json_strerror(rc);
        return NULL;
    }

    if (json.fields[0].type != AI_JSON_ARRAY) {
        note->why = "it has no \"keys\"";
        return NULL;
    }

    set = calloc(1, sizeof(*set));

    if (set == NULL || ai_jwks_digest_make(set, text, algs) != 0) {
        free(set);
        note->why = "no memory";
        return NULL;
    }

    keys = (ai_str_t) { json.fields[0].end - json.fields[0].start,
                        text.data + json.fields[0].start };

    for (at = 0, n = 0; ai_json_each(keys, &at, &value, &type); n++) {

        if (n == AI_JWKS_KEYS_MAX) {
            ai_jwks_free(set);
            note->why = "it has too many keys";
            return NULL;
        }

        if (ai_jwk_parse(&set->keys[set->nkeys], set->kids[set->nkeys], value,
                         algs, &note->why)
            != 0)
        {
            ai_jwk_release(&set->keys[set->nkeys]);
            note->skipped++;
            continue;
        }

        set->nkeys++;
    }

    note->usable = set->nkeys;

    if (set->nkeys == 0) {
        ai_jwks_free(set);

        if (note->why == NULL) {
            note->why = "it has no keys";
        }

        return NULL;
    }

    return set;
}


void
ai_jwks_free(ai_jwks_t *set)
{
    unsigned  i;

    if (set == NULL) {
        return;
    }

    for (i = 0; i < set->nkeys; i++) {
        ai_jwk_release(&set->keys[i]);
    }

    free(set);
}


int
ai_jwks_secret(const ai_jwks_t *set)
{
    unsigned  i;

    for (i = 0; i < set->nkeys; i++) {
        if (set->keys[i].algs & AI_JWA_HS) {
            return 1;
        }
    }

    return 0;
}


const unsigned char *
ai_jwks_digest(const ai_jwks_t *set)
{
    return set->digest;
}


int
ai_jwks_url_ok(ai_str_t url)
{
    size_t     i, n;
    ai_str_t   host;

    static const char *const  local[] = { "127.0.0.1", "[::1]", "localhost" };

    if (url.len > AI_JWKS_URL_MAX) {
        return 0;
    }

    for (i = 0; i < url.len; i++) {
        if (url.data[i] <= ' ' || url.data[i] >= 0x7f
            || strchr("\"\\<>^`{|}", url.data[i]) != NULL)
        {
            return 0;
        }
    }

    n = url.len > 8 && memcmp(url.data, "https://", 8) == 0 ? 8
        : url.len > 7 && memcmp(url.data, "http://", 7) == 0 ? 7 : 0;

    if (n == 0) {
        return 0;
    }

    host = (ai_str_t) { 0, url.data + n };

    while (n + host.len < url.len
           && strchr("/?#", host.data[host.len]) == NULL)
    {
        if (host.data[host.len++] == '@') {
            return 0;
        }
    }

    if (host.len == 0 || host.data[0] == ':') {
        return 0;
    }

    if (n == 8) {
        return 1;
    }

    for (i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
        n = strlen(local[i]);

        if (host.len >= n && memcmp(host.data, local[i], n) == 0
            && (host.len == n || host.data[n] == ':'))
        {
            return 1;
        }
    }

    return 0;
}


ai_jwk_t *
ai_jwks_find(ai_jwks_t *set, unsigned alg, ai_str_t kid)
{
    unsigned   i;
    ai_jwk_t  *key, *found;

    found = NULL;

    for (i = 0; i < set->nkeys; i++) {
        key = &set->keys[i];

        if (!(key->algs & alg)
            || (kid.data != NULL
                && (key->kid.data == NULL || !ai_str_eq(key->kid, kid))))
        {
            continue;
        }

        if (found != NULL) {
            return NULL;
        }

        found = key;
    }

    return found;
}


static int
ai_jwks_digest_make(ai_jwks_t *set, ai_str_t text, unsigned algs)
{
    char      both[AI_SHA256_HEX + 16];
    ai_buf_t  b;

    if (ai_sha256_hex(both, text) != 0) {
        return -1;
    }

    ai_buf_init(&b, both, sizeof(both));
    b.pos += AI_SHA256_HEX;
    ai_buf_add_int(&b, algs);

    return ai_sha256(set->digest, (ai_str_t) { ai_buf_len(&b), both });
}


/* 0, or -1 and *why says in words why the key is not used. */

static int
ai_jwk_parse(ai_jwk_t *key, char *kid, ai_str_t text, unsigned algs,
    const char **why)
{
    int             rc;
    long            len;
    char            word[AI_JWK_KID_MAX];
    unsigned        alg, fallback;
    ai_str_t        kty;
    ai_jwk_read_t   read;

    read.text = text;
    read.why = "a key cannot be read for want of memory";
    *why = "a key is malformed";

    if (ai_json_scan(&read.json, ai_jwk_names, text, AI_JWKS_MAX,
                     AI_JWK_DEPTH_MAX) != AI_JSON_OK)
    {
        return -1;
    }

    if (read.json.fields[AI_JWK_KID].type != AI_JSON_NONE) {
        len = ai_jwk_string(&read, AI_JWK_KID, kid, AI_JWK_KID_MAX);

        if (len < 0) {
            *why = "a \"kid\" is no string, or too long";
            return -1;
        }

        key->kid = (ai_str_t) { (size_t) len, kid };
    }

    if (!ai_jwk_for_verifying(&read)) {
        *why = "a key's \"use\" or \"key_ops\" is not for verifying";
        return -1;
    }

    alg = 0;

    if (read.json.fields[AI_JWK_ALG].type != AI_JSON_NONE) {
        len = ai_jwk_string(&read, AI_JWK_ALG, word, sizeof(word));

        if (len >= 0) {
            alg = ai_jwa((ai_str_t) { (size_t) len, word });
        }

        if (alg == 0) {
            *why = "a key's \"alg\" is none that is known here";
            return -1;
        }
    }

    len = ai_jwk_string(&read, AI_JWK_KTY, word, sizeof(word));

    if (len < 0) {
        return -1;
    }

    kty = (ai_str_t) { (size_t) len, word };
    fallback = 0;

    /* What this type of key could verify at all; the rest is what it may. */

    if (ai_str_eqz(kty, "RSA")) {
        key->algs = AI_JWA_RS;
        fallback = AI_JWA_RS256;

    } else if (ai_str_eqz(kty, "oct")) {
        key->algs = AI_JWA_HS;
        fallback = AI_JWA_HS256;

    } else if (ai_str_eqz(kty, "EC")) {
        key->algs = AI_JWA_ES256|AI_JWA_ES384|AI_JWA_ES512;

    } else if (ai_str_eqz(kty, "OKP")) {
        key->algs = AI_JWA_EDDSA;

    } else {
        *why = "a key's \"kty\" is none that is known here";
        return -1;
    }

    key->algs &= alg ? alg : algs ? algs : fallback ? fallback : ~0u;

    if (algs) {
        key->algs &= algs;
    }

    rc = key->algs == 0 ? -1
         : ai_str_eqz(kty, "RSA") ? ai_jwk_rsa(key, &read)
         : ai_str_eqz(kty, "oct") ? ai_jwk_oct(key, &read)
         : ai_str_eqz(kty, "EC") ? ai_jwk_ec(key, &read)
         : ai_jwk_okp(key, &read);

    if (rc != 0) {
        *why = key->algs ? read.why
               : "a key's algorithm is not allowed, or not for its type";
        ERR_clear_error();
    }

    return rc;
}


static int
ai_jwk_rsa(ai_jwk_t *key, ai_jwk_read_t *read)
{
    int              rc;
    long             nlen, elen;
    BIGNUM          *n, *e;
    unsigned char    nbytes[AI_JWK_RSA_MAX / 8 + 1], ebytes[AI_JWK_EXPONENT];
    OSSL_PARAM_BLD  *bld;

    nlen = ai_jwk_bytes(read, AI_JWK_N, nbytes, sizeof(nbytes));
    elen = ai_jwk_bytes(read, AI_JWK_E, ebytes, sizeof(ebytes));

    if (nlen <= 0 || elen <= 0) {
        read->why = "an RSA key's \"n\" or \"e\" is missing, malformed or too "
                    "large";
        return -1;
    }

    rc = -1;
    n = BN_bin2bn(nbytes, (int) nlen, NULL);
    e = BN_bin2bn(ebytes, (int) elen, NULL);
    bld = OSSL_PARAM_BLD_new();

    if (n && e && bld && ai_jwk_rsa_ok(n, e, &read->why) == 0) {
        key->size = ((size_t) BN_num_bits(n) + 7) / 8;

        if (OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1
            && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1
            && ai_jwk_pkey(key, "RSA", bld) == 0)
        {
            rc = ai_jwk_ready(key);
        }
    }

    OSSL_PARAM_BLD_free(bld);
    BN_free(n);
    BN_free(e);

    return rc;
}


static int
ai_jwk_rsa_ok(const BIGNUM *n, const BIGNUM *e, const char **why)
{
    if (BN_num_bits(n) < AI_JWK_RSA_MIN) {
        *why = "an RSA key is shorter than 2048 bits";
        return -1;
    }

    if (BN_num_bits(n) > AI_JWK_RSA_MAX) {
        *why = "an RSA key is longer than 8192 bits";
        return -1;
    }

    /* With an exponent of 1 everybody can sign. */

    if (!BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e)) {
        *why = "an RSA key's \"n\" or \"e\" can be none";
        return -1;
    }

    if (ai_jwk_roca(n)) {
        *why = "an RSA key can be factored (CVE-2017-15361)";
        return -1;
    }

    return 0;
}


/*
 * Primes of a faulty chip are powers of 65537 modulo a product of small primes,
 * so n is, modulo each of them: one key of 2^27 others is by chance.
 */

static int
ai_jwk_roca(const BIGNUM *n)
{
    unsigned  i;
    BN_ULONG  p, power, rest;

    static const unsigned char  primes[] = {
        11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151,
        157
    };

    for (i = 0; i < sizeof(primes); i++) {
        p = primes[i];
        rest = BN_mod_word(n, p);
        power = 1;

        while (power != rest) {
            power = power * 65537 % p;

            if (power == 1) {
                return 0;
            }
        }
    }

    return 1;
}


static int
ai_jwk_ec(ai_jwk_t *key, ai_jwk_read_t *read)
{
    int                    rc;
    long                   len;
    char                   word[16];
    size_t                 i;
    EVP_PKEY_CTX          *ctx;
    unsigned char          point[2 * AI_JWK_POINT_MAX + 1];
    OSSL_PARAM_BLD        *bld;
    const ai_jwk_curve_t  *curve;

    read->why = "an EC key's \"crv\" is none that its algorithm has";
    len = ai_jwk_string(read, AI_JWK_CRV, word, sizeof(word));

    if (len < 0) {
        return -1;
    }

    for (curve = NULL, i = 0;
         i < sizeof(ai_jwk_curves) / sizeof(ai_jwk_curves[0]);
         i++)
    {
        if (ai_str_eqz((ai_str_t) { (size_t) len, word },
                       ai_jwk_curves[i].name))
        {
            curve = &ai_jwk_curves[i];
        }
    }

    if (curve == NULL || !(key->algs & curve->alg)) {
        return -1;
    }

    key->algs = curve->alg;
    key->size = 2 * curve->bytes;

    /* RFC 7518, 6.2.1.2: always as long as the curve's field. */

    point[0] = 0x04;

    if (ai_jwk_bytes(read, AI_JWK_X, point + 1, curve->bytes)
        != (long) curve->bytes
        || ai_jwk_bytes(read, AI_JWK_Y, point + 1 + curve->bytes,
                        curve->bytes)
           != (long) curve->bytes)
    {
        read->why = "an EC key's \"x\" or \"y\" is malformed";
        return -1;
    }

    rc = -1;
    bld = OSSL_PARAM_BLD_new();

    if (bld
        && OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
                                           curve->group, 0)
           == 1
        && OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
                                            point, 2 * curve->bytes + 1)
           == 1)
    {
        read->why = "an EC key's point is not on its curve";

        if (ai_jwk_pkey(key, "EC", bld) == 0) {
            ctx = EVP_PKEY_CTX_new(key->pkey, NULL);

            if (ctx && EVP_PKEY_public_check(ctx) == 1) {
                rc = ai_jwk_ready(key);
            }

            EVP_PKEY_CTX_free(ctx);
        }
    }

    OSSL_PARAM_BLD_free(bld);

    return rc;
}


static int
ai_jwk_okp(ai_jwk_t *key, ai_jwk_read_t *read)
{
    long           len;
    char           word[16];
    unsigned char  x[AI_JWK_ED25519];

    len = ai_jwk_string(read, AI_JWK_CRV, word, sizeof(word));

    if (len < 0 || !ai_str_eqz((ai_str_t) { (size_t) len, word }, "Ed25519"))
    {
        read->why = "an OKP key's \"crv\" is not Ed25519";
        return -1;
    }

    if (ai_jwk_bytes(read, AI_JWK_X, x, sizeof(x)) != (long) sizeof(x)) {
        read->why = "an OKP key's \"x\" is malformed";
        return -1;
    }

    key->size = AI_JWK_ED25519_SIG;
    key->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x,
                                            sizeof(x));

    return key->pkey ? ai_jwk_ready(key) : -1;
}


static int
ai_jwk_oct(ai_jwk_t *key, ai_jwk_read_t *read)
{
    int            rc;
    long           len;
    unsigned       i;
    unsigned char  secret[AI_JWK_TEXT_MAX];

    len = ai_jwk_bytes(read, AI_JWK_K, secret, sizeof(secret));

    if (len < 0) {
        read->why = "an oct key's \"k\" is missing or malformed";
        return -1;
    }

    /* RFC 7518, 3.2: not shorter than the hash. */

    for (i = 0; i < AI_JWA_N; i++) {
        if ((key->algs & 1u << i) && (size_t) len < ai_jwa_rows[i].hash) {
            key->algs &= ~(1u << i);
        }
    }

    rc = -1;

    if (key->algs) {
        rc = ai_jwk_ready_secret(key, secret, (size_t) len);

    } else {
        key->algs = AI_JWA_HS;
        read->why = "an oct key is shorter than its hash";
    }

    ai_wipe(secret, sizeof(secret));

    return rc;
}


static int
ai_jwk_pkey(ai_jwk_t *key, const char *type, OSSL_PARAM_BLD *bld)
{
    int            rc;
    OSSL_PARAM    *params;
    EVP_PKEY_CTX  *ctx;

    params = OSSL_PARAM_BLD_to_param(bld);
    ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);

    rc = params && ctx && EVP_PKEY_fromdata_init(ctx) == 1
         && EVP_PKEY_fromdata(ctx, &key->pkey, EVP_PKEY_PUBLIC_KEY, params)
            == 1
         ? 0 : -1;

    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);

    return rc;
}


/* RFC 7517, 4.2 and 4.3; both may be absent. */

static int
ai_jwk_for_verifying(ai_jwk_read_t *read)
{
    long             len;
    char             word[16];
    size_t           at;
    ai_str_t         ops, op;
    ai_json_type_e   type;
    ai_json_field_t *f;

    if (read->json.fields[AI_JWK_USE].type != AI_JSON_NONE) {
        len = ai_jwk_string(read, AI_JWK_USE, word, sizeof(word));

        if (len < 0 || !ai_str_eqz((ai_str_t) { (size_t) len, word }, "sig"))
        {
            return 0;
        }
    }

    f = &read->json.fields[AI_JWK_OPS];

    if (f->type == AI_JSON_NONE) {
        return 1;
    }

    if (f->type != AI_JSON_ARRAY) {
        return 0;
    }

    ops = (ai_str_t) { f->end - f->start, read->text.data + f->start };

    for (at = 0; ai_json_each(ops, &at, &op, &type); /* void */ ) {
        len = ai_json_unescape(op, word, sizeof(word));

        if (len >= 0
            && ai_str_eqz((ai_str_t) { (size_t) len, word }, "verify"))
        {
            return 1;
        }
    }

    return 0;
}


/* The text of a member that is a string: its length, or -1. */

static long
ai_jwk_string(ai_jwk_read_t *read, unsigned member, char *buf, size_t size)
{
    ai_json_field_t  *f;

    f = &read->json.fields[member];

    if (f->type != AI_JSON_STRING) {
        return -1;
    }

    return ai_json_unescape((ai_str_t) { f->end - f->start,
                                         read->text.data + f->start },
                            buf, size);
}


/* The same, decoded. */

static long
ai_jwk_bytes(ai_jwk_read_t *read, unsigned member, unsigned char *out,
    size_t size)
{
    long           len, n;
    char           text[AI_JWK_TEXT_MAX];
    unsigned char  bytes[ai_base64url_size(AI_JWK_TEXT_MAX)];

    n = -1;
    len = ai_jwk_string(read, member, text, sizeof(text));

    if (len >= 0) {
        n = ai_base64url((ai_str_t) { (size_t) len, text }, bytes);

        if (n > (long) size) {
            n = -1;
        }

        if (n > 0) {
            memcpy(out, bytes, (size_t) n);
        }
    }

    ai_wipe(text, sizeof(text));
    ai_wipe(bytes, sizeof(bytes));

    return n;
}


static void
ai_jwk_release(ai_jwk_t *key)
{
    unsigned  i;

    for (i = 0; i < AI_JWA_N; i++) {
        EVP_PKEY_CTX_free(key->verify[i]);
        EVP_MAC_CTX_free(key->mac[i]);
    }

    EVP_MD_CTX_free(key->md);
    EVP_PKEY_free(key->pkey);

    memset(key, 0, sizeof(*key));
}
