/*
 * A service account's assertion: JSON, base64url, RS256.  Owns what it parses
 * while it does, and wipes its copy of the private key.
 */

#include "account.h"

#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "ai_crypto.h"


#define ACCOUNT_SIGN_MAX  1024      /* bytes: an RSA key of 8192 bits */
#define ACCOUNT_SCOPE     "https://www.googleapis.com/auth/cloud-platform"

#define ACCOUNT_GRANT                                                         \
    "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"        \
    "&assertion="


static int account_url_ok(const char *url);
static void account_base64(ai_buf_t *b, const void *data, size_t len);
static void account_key(ai_buf_t *b, const char *name, const char *value);
static int account_sign(ai_buf_t *b, ai_str_t text, const char *pem);
static EVP_PKEY *account_pem(const char *pem);


int
account_is(ai_str_t key)
{
    size_t  i;

    for (i = 0; i < key.len && (unsigned char) key.data[i] <= ' '; i++) {
        /* void */
    }

    return i < key.len && key.data[i] == '{';
}


int
account_own_ok(ai_str_t key)
{
    int          ok;
    json_t      *root, *pem;
    size_t       len, n;
    const char  *uri;

    static const char  https[] = "https://", host[] = ".googleapis.com";

    if (!account_is(key)) {
        return 1;
    }

    root = json_loadb(key.data, key.len, JSON_REJECT_DUPLICATES, NULL);
    uri = json_string_value(json_object_get(root, "token_uri"));
    ok = 1;

    if (uri != NULL) {
        n = sizeof(host) - 1;
        ok = strncmp(uri, https, sizeof(https) - 1) == 0;
        uri += ok ? sizeof(https) - 1 : 0;
        len = strspn(uri, "abcdefghijklmnopqrstuvwxyz0123456789.-");
        ok = ok && len > n && memcmp(uri + len - n, host, n) == 0
             && (uri[len] == '/' || uri[len] == '\0');
    }

    pem = json_object_get(root, "private_key");

    if (json_is_string(pem)) {
        ai_wipe((char *) json_string_value(pem), json_string_length(pem));
    }

    json_decref(root);

    return ok;
}


size_t
account_request(ai_str_t key, int64_t now, char url[ACCOUNT_URL_MAX],
    char body[ACCOUNT_BODY_MAX])
{
    int          ok;
    char         part[4096];
    size_t       begin;
    json_t      *root, *pem;
    ai_buf_t     b, p;
    const char  *uri, *email, *id;

    root = json_loadb(key.data, key.len, JSON_REJECT_DUPLICATES, NULL);
    uri = json_string_value(json_object_get(root, "token_uri"));
    email = json_string_value(json_object_get(root, "client_email"));
    id = json_string_value(json_object_get(root, "private_key_id"));
    pem = json_object_get(root, "private_key");
    ai_buf_init(&b, body, ACCOUNT_BODY_MAX);
    ok = 0;

    if (uri == NULL) {
        uri = "https://oauth2.googleapis.com/token";
    }

    if (email == NULL || !json_is_string(pem) || !account_url_ok(uri)) {
        goto done;
    }

    memcpy(url, uri, strlen(uri) + 1);
    ai_buf_add_z(&b, ACCOUNT_GRANT);
    begin = ai_buf_len(&b);

    ai_buf_init(&p, part, sizeof(part));
    ai_buf_add_z(&p, "{\"alg\":\"RS256\",\"typ\":\"JWT\"");

    if (id != NULL) {
        account_key(&p, "kid", id);
    }

    ai_buf_add_z(&p, "}");
    account_base64(&b, part, ai_buf_len(&p));
    ai_buf_add_z(&b, ".");
    b.full |= p.full;

    ai_buf_init(&p, part, sizeof(part));
    ai_buf_add_z(&p, "{\"scope\":\"" ACCOUNT_SCOPE "\"");
    account_key(&p, "iss", email);
    account_key(&p, "aud", uri);
    ai_buf_add_z(&p, ",\"iat\":");
    ai_buf_add_int(&p, now);
    ai_buf_add_z(&p, ",\"exp\":");
    ai_buf_add_int(&p, now + ACCOUNT_LIFE_SEC);
    ai_buf_add_z(&p, "}");
    account_base64(&b, part, ai_buf_len(&p));
    b.full |= p.full;

    ok = !b.full
         && account_sign(&b, (ai_str_t) { ai_buf_len(&b) - begin,
                                          body + begin },
                         json_string_value(pem));

done:

    if (json_is_string(pem)) {
        ai_wipe((char *) json_string_value(pem), json_string_length(pem));
    }

    json_decref(root);

    return ok && !b.full ? ai_buf_len(&b) : 0;
}


/* An assertion must not be read on its way: plain HTTP is for this host. */

static int
account_url_ok(const char *url)
{
    size_t       i;
    const char  *host;

    static const char *const  local[] = {
        "http://127.0.0.1:", "http://localhost:", "http://[::1]:"
    };

    if (strlen(url) >= ACCOUNT_URL_MAX) {
        return 0;
    }

    for (host = url; *host != '\0'; host++) {
        if (*host <= ' ' || *host > '~') {
            return 0;
        }
    }

    for (i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
        if (strncmp(url, local[i], strlen(local[i])) == 0) {
            return 1;
        }
    }

    return strncmp(url, "https://", 8) == 0 && url[8] != '\0';
}


static void
account_key(ai_buf_t *b, const char *name, const char *value)
{
    ai_buf_add_z(b, ",\"");
    ai_buf_add_z(b, name);
    ai_buf_add_z(b, "\":\"");
    ai_buf_add_json(b, (ai_str_t) { strlen(value), value });
    ai_buf_add_z(b, "\"");
}


static void
account_base64(ai_buf_t *b, const void *data, size_t len)
{
    char                  c[4];
    size_t                i, n;
    uint32_t              v;
    const unsigned char  *p;

    static const char  letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        "abcdefghijklmnopqrstuvwxyz0123456789-_";

    p = data;

    for (i = 0; i < len; i += 3) {
        n = len - i < 3 ? len - i : 3;
        v = (uint32_t) p[i] << 16
            | (n > 1 ? (uint32_t) p[i + 1] << 8 : 0)
            | (n > 2 ? (uint32_t) p[i + 2] : 0);
        c[0] = letters[v >> 18];
        c[1] = letters[v >> 12 & 63];
        c[2] = letters[v >> 6 & 63];
        c[3] = letters[v & 63];
        ai_buf_add(b, c, n + 1);
    }
}


static int
account_sign(ai_buf_t *b, ai_str_t text, const char *pem)
{
    int             ok;
    size_t          len;
    EVP_PKEY       *key;
    EVP_MD_CTX     *md;
    unsigned char   sign[ACCOUNT_SIGN_MAX];

    key = account_pem(pem);
    md = EVP_MD_CTX_new();
    len = sizeof(sign);

    ok = key != NULL && md != NULL
         && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA
         && EVP_PKEY_get_size(key) <= ACCOUNT_SIGN_MAX
         && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1
         && EVP_DigestSign(md, sign, &len, (const unsigned char *) text.data,
                           text.len)
            == 1;

    if (ok) {
        ai_buf_add_z(b, ".");
        account_base64(b, sign, len);
    }

    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    ERR_clear_error();

    return ok;
}


/* Nobody is asked for a passphrase. */

static int
account_no_passphrase(char *buf, int size, int write, void *data)
{
    (void) buf;
    (void) size;
    (void) write;
    (void) data;

    return -1;
}


static EVP_PKEY *
account_pem(const char *pem)
{
    BIO       *bio;
    EVP_PKEY  *key;

    bio = BIO_new_mem_buf(pem, -1);

    if (bio == NULL) {
        return NULL;
    }

    key = PEM_read_bio_PrivateKey(bio, NULL, account_no_passphrase, NULL);
    BIO_free(bio);

    return key;
}
