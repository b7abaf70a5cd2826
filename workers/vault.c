/*
 * Master keys, data keys and what they seal.  Owns the master keys.
 */

#include "vault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ai_crypto.h"


#define VAULT_MASTERS   2
#define VAULT_HEX       (2 * AI_SEAL_KEY)
#define VAULT_FILE_MAX  256         /* bytes of a file with a key */
#define VAULT_OF_MAX    512         /* what a seal is bound to */
#define VAULT_KMS_MAX   40          /* of a KMS' name, as the table has it */


typedef struct {
    char           name[VAULT_NAME_MAX];
    unsigned char  key[AI_SEAL_KEY];
    char          *kms;             /* words; NULL: key is the key */
} vault_master_t;

struct vault_s {
    vault_master_t  masters[VAULT_MASTERS];     /* the current one first */
    unsigned        n;
};


static int vault_master(vault_master_t *m, const char *spec, char *why);
static int vault_kms(vault_master_t *m, const char *text, char *why);
static int vault_file(const char *path, char *text, char *why);
static int vault_hex(vault_master_t *m, const char *text, char *why);
static const vault_master_t *vault_find(const vault_t *v, ai_str_t name);
static ai_str_t vault_of(char buf[VAULT_OF_MAX], const char *what,
    const ai_str_t *words, unsigned n);


vault_t *
vault_open(const char *spec, const char *old, char *why)
{
    vault_t  *v;

    v = calloc(1, sizeof(*v));

    if (v == NULL) {
        (void) snprintf(why, VAULT_WHY_MAX, "no memory");
        return NULL;
    }

    v->n = 1;

    if (vault_master(&v->masters[0], spec, why) != 0) {
        vault_close(v);
        return NULL;
    }

    if (old != NULL && *old != '\0') {
        v->n = 2;

        if (vault_master(&v->masters[1], old, why) != 0) {
            vault_close(v);
            return NULL;
        }

        if (strcmp(v->masters[0].name, v->masters[1].name) == 0) {
            (void) snprintf(why, VAULT_WHY_MAX, "the old master key is the "
                            "current one, %s", v->masters[0].name);
            vault_close(v);
            return NULL;
        }
    }

    return v;
}


void
vault_close(vault_t *v)
{
    unsigned  i;

    if (v == NULL) {
        return;
    }

    for (i = 0; i < VAULT_MASTERS; i++) {
        free(v->masters[i].kms);
    }

    ai_wipe(v, sizeof(*v));
    free(v);
}


const char *
vault_current(const vault_t *v)
{
    return v->masters[0].name;
}


static int
vault_master(vault_master_t *m, const char *spec, char *why)
{
    int          rc;
    char         text[VAULT_FILE_MAX + 1];
    const char  *env;

    if (strncmp(spec, "kms:", 4) == 0) {
        return vault_kms(m, spec + 4, why);
    }

    if (strncmp(spec, "env:", 4) == 0) {
        env = getenv(spec + 4);

        if (env == NULL || *env == '\0') {
            (void) snprintf(why, VAULT_WHY_MAX, "the variable %.64s is not "
                            "set", spec + 4);
            return -1;
        }

        return vault_hex(m, env, why);
    }

    if (strncmp(spec, "file:", 5) == 0) {
        rc = vault_file(spec + 5, text, why);

        if (rc == 0) {
            rc = vault_hex(m, text, why);
        }

        ai_wipe(text, sizeof(text));
        return rc;
    }

    /* Not shown: it may be a key. */

    (void) snprintf(why, VAULT_WHY_MAX, "a master key reads env:NAME, "
                    "file:PATH or kms:NAME=PROGRAM [ARG...]");
    return -1;
}


static int
vault_kms(vault_master_t *m, const char *text, char *why)
{
    size_t       len;
    const char  *words;

    len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-");
    words = text + len + 1;

    if (len == 0 || len > VAULT_KMS_MAX
        || text[len] != '=' || !kms_ok(words))
    {
        (void) snprintf(why, VAULT_WHY_MAX, "a KMS reads kms:NAME=PROGRAM "
                        "[ARG...], the name of a-z 0-9 . _ -, the program "
                        "with its whole path");
        return -1;
    }

    (void) snprintf(m->name, sizeof(m->name), "kms:%.*s", (int) len, text);
    m->kms = strdup(words);

    if (m->kms == NULL) {
        (void) snprintf(why, VAULT_WHY_MAX, "no memory");
        return -1;
    }

    return 0;
}


static int
vault_file(const char *path, char *text, char *why)
{
    int      fd;
    ssize_t  n;

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NONBLOCK);

    if (fd == -1) {
        (void) snprintf(why, VAULT_WHY_MAX, "%.128s: %s", path,
                        strerror(errno));
        return -1;
    }

    n = read(fd, text, VAULT_FILE_MAX);
    close(fd);

    if (n < 0) {
        (void) snprintf(why, VAULT_WHY_MAX, "%.128s cannot be read", path);
        return -1;
    }

    while (n > 0 && (unsigned char) text[n - 1] <= ' ') {
        n--;
    }

    text[n] = '\0';

    return 0;
}


/* The name of a key says nothing of it but that it is this one. */

static int
vault_hex(vault_master_t *m, const char *text, char *why)
{
    char                of[32 + AI_SEAL_KEY];
    unsigned char       sha[AI_SHA256_LEN];
    static const char   what[] = "ngx-ai master key 1\n";

    if (strlen(text) != VAULT_HEX
        || ai_unhex(m->key, (ai_str_t) { VAULT_HEX, text }) != 0)
    {
        (void) snprintf(why, VAULT_WHY_MAX, "a master key is 64 hex digits "
                        "(openssl rand -hex 32)");
        return -1;
    }

    memcpy(of, what, sizeof(what) - 1);
    memcpy(of + sizeof(what) - 1, m->key, AI_SEAL_KEY);

    if (ai_sha256(sha, (ai_str_t) { sizeof(what) - 1 + AI_SEAL_KEY, of })
        != 0)
    {
        ai_wipe(of, sizeof(of));
        (void) snprintf(why, VAULT_WHY_MAX, "OpenSSL fails");
        return -1;
    }

    ai_wipe(of, sizeof(of));
    memcpy(m->name, "key:", 4);
    ai_hex(m->name + 4, sha, 8);
    m->name[20] = '\0';

    return 0;
}


static const vault_master_t *
vault_find(const vault_t *v, ai_str_t name)
{
    unsigned  i;

    for (i = 0; i < v->n; i++) {
        if (ai_str_eqz(name, v->masters[i].name)) {
            return &v->masters[i];
        }
    }

    return NULL;
}


/* Lines, so none can be taken for another: names have no line end. */

static ai_str_t
vault_of(char buf[VAULT_OF_MAX], const char *what, const ai_str_t *words,
    unsigned n)
{
    unsigned  i;
    ai_buf_t  b;

    ai_buf_init(&b, buf, VAULT_OF_MAX);
    ai_buf_add_z(&b, what);

    for (i = 0; i < n; i++) {
        if (words[i].len == 0
            || memchr(words[i].data, '\n', words[i].len) != NULL)
        {
            return ai_str("");
        }

        ai_buf_add_z(&b, "\n");
        ai_buf_add_str(&b, words[i]);
    }

    return (ai_str_t) { b.full ? 0 : ai_buf_len(&b), buf };
}


int
vault_wrap(const vault_t *v, ai_str_t tenant, ai_str_t data_key,
    const unsigned char key[AI_SEAL_KEY], unsigned char *out, size_t *len,
    char *why)
{
    char                   buf[VAULT_OF_MAX];
    ai_str_t               of, words[3];
    unsigned char          again[AI_SEAL_KEY];
    const vault_master_t  *m;

    m = &v->masters[0];

    if (m->kms != NULL) {
        (void) snprintf(buf, sizeof(buf), "tenant=%.*s data_key=%.*s",
                        (int) tenant.len, tenant.data, (int) data_key.len,
                        data_key.data);

        if (kms_run(m->kms, "wrap", (ai_str_t) { strlen(buf), buf },
                    (ai_str_t) { AI_SEAL_KEY, (const char *) key }, out, len,
                    why)
            != 0)
        {
            return -1;
        }

        /* What cannot be unwrapped is not kept. */

        if (vault_unwrap(v, (ai_str_t) { strlen(m->name), m->name }, tenant,
                         data_key,
                         (ai_str_t) { *len, (const char *) out }, again, why)
            != 0)
        {
            return -1;
        }

        if (!ai_equal_ct(again, key, AI_SEAL_KEY)) {
            ai_wipe(again, sizeof(again));
            (void) snprintf(why, VAULT_WHY_MAX, "the KMS program does not "
                            "unwrap what it wrapped");
            return -1;
        }

        ai_wipe(again, sizeof(again));
        return 0;
    }

    words[0] = tenant;
    words[1] = data_key;
    words[2] = (ai_str_t) { strlen(m->name), m->name };
    of = vault_of(buf, "ngx-ai data key 1", words, 3);
    *len = AI_SEAL_KEY + AI_SEAL_MORE;

    if (of.len == 0
        || ai_seal(m->key, of,
                   (ai_str_t) { AI_SEAL_KEY, (const char *) key }, out)
           != 0)
    {
        (void) snprintf(why, VAULT_WHY_MAX, "OpenSSL fails");
        return -1;
    }

    return 0;
}


int
vault_unwrap(const vault_t *v, ai_str_t master, ai_str_t tenant,
    ai_str_t data_key, ai_str_t wrapped, unsigned char key[AI_SEAL_KEY],
    char *why)
{
    int                    rc;
    char                   buf[VAULT_OF_MAX];
    size_t                 len;
    ai_str_t               of, words[3];
    unsigned char          out[VAULT_WRAPPED_MAX];
    const vault_master_t  *m;

    memset(key, 0, AI_SEAL_KEY);
    m = vault_find(v, master);

    if (m == NULL) {
        (void) snprintf(why, VAULT_WHY_MAX, "it was wrapped by the master key "
                        "%.*s, not by %s%s%s", (int) master.len, master.data,
                        v->masters[0].name, v->n > 1 ? " or " : "",
                        v->n > 1 ? v->masters[1].name : "");
        return -1;
    }

    if (wrapped.len > sizeof(out)) {
        (void) snprintf(why, VAULT_WHY_MAX, "its data key is too long");
        return -1;
    }

    if (m->kms != NULL) {
        (void) snprintf(buf, sizeof(buf), "tenant=%.*s data_key=%.*s",
                        (int) tenant.len, tenant.data, (int) data_key.len,
                        data_key.data);
        rc = kms_run(m->kms, "unwrap", (ai_str_t) { strlen(buf), buf },
                     wrapped, out, &len, why);

        if (rc == 0 && len != AI_SEAL_KEY) {
            (void) snprintf(why, VAULT_WHY_MAX, "the KMS program's answer is "
                            "no data key");
            rc = -1;
        }

    } else {
        words[0] = tenant;
        words[1] = data_key;
        words[2] = master;
        of = vault_of(buf, "ngx-ai data key 1", words, 3);
        rc = of.len != 0
             && ai_unseal(m->key, of, wrapped, out) == AI_SEAL_KEY ? 0 : -1;

        if (rc != 0) {
            (void) snprintf(why, VAULT_WHY_MAX, "its data key does not open: "
                            "it was changed, or is another tenant's");
        }
    }

    if (rc == 0) {
        memcpy(key, out, AI_SEAL_KEY);
    }

    ai_wipe(out, sizeof(out));

    return rc;
}


int
vault_seal(const unsigned char key[AI_SEAL_KEY], const vault_place_t *place,
    ai_str_t secret, unsigned char *out)
{
    char      buf[VAULT_OF_MAX];
    ai_str_t  of, words[4];

    words[0] = place->tenant;
    words[1] = place->provider;
    words[2] = place->id;
    words[3] = place->data_key;
    of = vault_of(buf, "ngx-ai provider key 1", words, 4);

    return of.len != 0 && secret.len <= VAULT_SECRET_MAX
           ? ai_seal(key, of, secret, out) : -1;
}


long
vault_unseal(const unsigned char key[AI_SEAL_KEY], const vault_place_t *place,
    ai_str_t sealed, unsigned char *out)
{
    char      buf[VAULT_OF_MAX];
    ai_str_t  of, words[4];

    words[0] = place->tenant;
    words[1] = place->provider;
    words[2] = place->id;
    words[3] = place->data_key;
    of = vault_of(buf, "ngx-ai provider key 1", words, 4);

    return of.len != 0 && sealed.len <= VAULT_SECRET_MAX + AI_SEAL_MORE
           ? ai_unseal(key, of, sealed, out) : -1;
}
