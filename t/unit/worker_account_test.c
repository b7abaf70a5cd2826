/*
 * A service account's key file becomes a signed request for a token; what is
 * none becomes nothing.
 */

#include "ai_unit.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "account.h"
#include "ai_base64.h"


#define GRANT  "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3A"       \
               "jwt-bearer&assertion="

static EVP_PKEY  *pkey;
static char       url[ACCOUNT_URL_MAX];
static char       body[ACCOUNT_BODY_MAX];


static char *
pem_of(EVP_PKEY *key)
{
    BIO   *bio;
    char  *data, *copy;
    long   len;

    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL,
                                              NULL), 1);
    len = BIO_get_mem_data(bio, &data);
    copy = strndup(data, (size_t) len);
    BIO_free(bio);

    return copy;
}


/* A key file with one member changed; value NULL: without it. */

static char *
file(EVP_PKEY *key, const char *name, const char *value)
{
    char    *pem, *text;
    json_t  *o;

    pem = pem_of(key);
    o = json_pack("{ssssssssss}", "type", "service_account", "client_email",
                  "a@p.iam.gserviceaccount.com", "private_key_id", "k\"1",
                  "private_key", pem, "token_uri",
                  "https://oauth2.googleapis.com/token");
    free(pem);

    if (name != NULL && value != NULL) {
        json_object_set_new(o, name, json_string(value));

    } else if (name != NULL) {
        json_object_del(o, name);
    }

    text = json_dumps(o, 0);
    json_decref(o);

    return text;
}


static size_t
request(char *text)
{
    size_t  n;

    n = account_request(Z(text), 1700000000, url, body);
    free(text);

    return n;
}


static json_t *
part(ai_str_t s)
{
    long     n;
    char    *out;
    json_t  *o;

    out = malloc(ai_base64url_size(s.len));
    n = ai_base64url(s, out);
    assert_true(n > 0);
    o = json_loadb(out, (size_t) n, 0, NULL);
    assert_non_null(o);
    free(out);

    return o;
}


static void
is_signed(void **state)
{
    long             n;
    size_t           len;
    json_t          *o;
    ai_str_t         head, claims, sign;
    EVP_MD_CTX      *md;
    const char      *p, *end;
    unsigned char    raw[1024];

    (void) state;

    len = request(file(pkey, NULL, NULL));
    assert_true(len > sizeof(GRANT));
    assert_string_equal(url, "https://oauth2.googleapis.com/token");
    assert_memory_equal(body, GRANT, sizeof(GRANT) - 1);

    p = body + sizeof(GRANT) - 1;
    end = body + len;
    head = (ai_str_t) { (size_t) ((const char *) memchr(p, '.', len) - p), p };
    p += head.len + 1;
    claims.data = p;
    claims.len = (size_t) ((const char *) memchr(p, '.', (size_t) (end - p))
                           - p);
    sign.data = p + claims.len + 1;
    sign.len = (size_t) (end - sign.data);

    o = part(head);
    assert_string_equal(json_string_value(json_object_get(o, "alg")),
                        "RS256");
    assert_string_equal(json_string_value(json_object_get(o, "kid")), "k\"1");
    json_decref(o);

    o = part(claims);
    assert_string_equal(json_string_value(json_object_get(o, "iss")),
                        "a@p.iam.gserviceaccount.com");
    assert_string_equal(json_string_value(json_object_get(o, "aud")),
                        "https://oauth2.googleapis.com/token");
    assert_string_equal(json_string_value(json_object_get(o, "scope")),
                        "https://www.googleapis.com/auth/cloud-platform");
    assert_int_equal(json_integer_value(json_object_get(o, "iat")),
                     1700000000);
    assert_int_equal(json_integer_value(json_object_get(o, "exp")),
                     1700003600);
    json_decref(o);

    n = ai_base64url(sign, raw);
    assert_true(n == 256);
    md = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, pkey),
                     1);
    assert_int_equal(EVP_DigestVerify(md, raw, (size_t) n,
                                      (const unsigned char *) head.data,
                                      head.len + 1 + claims.len), 1);
    EVP_MD_CTX_free(md);
}


static void
what_is_none(void **state)
{
    EVP_PKEY  *ec;

    (void) state;

    assert_true(account_is(T(" \n{\"type\":1}")));
    assert_false(account_is(T("ya29.token")));
    assert_false(account_is(EMPTY));

    assert_int_equal(request(strdup("{")), 0);
    assert_int_equal(request(strdup("{}")), 0);
    assert_int_equal(request(file(pkey, "private_key", NULL)), 0);
    assert_int_equal(request(file(pkey, "private_key", "no key")), 0);
    assert_int_equal(request(file(pkey, "private_key", "")), 0);
    assert_int_equal(request(file(pkey, "client_email", NULL)), 0);
    assert_int_equal(request(file(pkey, "token_uri", "http://h/t")), 0);
    assert_int_equal(request(file(pkey, "token_uri", "https://")), 0);
    assert_int_equal(request(file(pkey, "token_uri", "https://h/ t")), 0);
    assert_int_equal(request(file(pkey, "token_uri", "file:///etc/x")), 0);
    assert_true(request(file(pkey, "token_uri", "http://127.0.0.1:1/t")) > 0);
    assert_true(request(file(pkey, "private_key_id", NULL)) > 0);
    assert_true(request(file(pkey, "token_uri", NULL)) > 0);
    assert_string_equal(url, "https://oauth2.googleapis.com/token");

    ec = EVP_EC_gen("P-256");
    assert_int_equal(request(file(ec, NULL, NULL)), 0);
    EVP_PKEY_free(ec);
}


/* What a tenant brings makes us call nobody but Google. */

static void
whose(void **state)
{
    size_t  i;

    static const char *const  good[] = {
        "sk-1", "{\"token_uri\":\"https://oauth2.googleapis.com/token\"}",
        "{}", "{"
    };
    static const char *const  bad[] = {
        "https://h/t", "http://127.0.0.1:6379/", "http://localhost:1/t",
        "http://oauth2.googleapis.com/token", "https://evilgoogleapis.com/t",
        "https://x.googleapis.com:8443/t", "https://x.googleapis.com@h/t",
        "https://.googleapis.com.h/", "https://h/.googleapis.com/t",
        "https://h#.googleapis.com/", "https://h\\\\.googleapis.com/",
        "https://googleapis.com%2eh/", ""
    };
    char  text[128];

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(account_own_ok((ai_str_t) { strlen(good[i]), good[i] }));
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void) snprintf(text, sizeof(text), " {\"token_uri\":\"%s\"}",
                        bad[i]);
        assert_false(account_own_ok((ai_str_t) { strlen(text), text }));
    }
}


int
main(void)
{
    int                      rc;
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(is_signed),
        cmocka_unit_test(what_is_none),
        cmocka_unit_test(whose),
    };

    pkey = EVP_RSA_gen(2048);
    rc = run_group(tests);
    EVP_PKEY_free(pkey);

    return rc;
}
