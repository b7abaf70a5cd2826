/*
 * ai_jwt_key and ai_jwt_claim: who issues tokens, with which keys, and what
 * their claims are taken for.  Files are read here, so that a bad one is found
 * by nginx -t.  The cycle's pool owns all, and frees the keys.
 */

#include "ngx_http_ai_jwt.h"
#include "ngx_http_ai_steps.h"
#include "ai_keys.h"
#include "ai_role.h"


#define NGX_HTTP_AI_JWT_LEEWAY      30
#define NGX_HTTP_AI_JWT_LEEWAY_MAX  600
#define NGX_HTTP_AI_JWT_URL_MAX     1024
#define NGX_HTTP_AI_JWT_CLAIM_MAX   63


static ngx_int_t ngx_http_ai_conf_jwt_tenant(ngx_conf_t *cf,
    ngx_http_ai_jwt_key_t *key, ngx_str_t *value);
static ngx_int_t ngx_http_ai_conf_jwt_source(ngx_conf_t *cf,
    ngx_http_ai_jwt_set_t *s, ngx_str_t *value, ngx_uint_t url);
static ngx_int_t ngx_http_ai_conf_jwt_algorithms(ngx_conf_t *cf,
    ngx_uint_t *algs, ngx_str_t *list);
static ngx_http_ai_jwt_set_t *ngx_http_ai_conf_jwt_set(ngx_conf_t *cf,
    ngx_http_ai_jwt_set_t *source);
static void ngx_http_ai_conf_jwt_free(void *data);
static void ngx_http_ai_conf_jwt_hash(ai_buf_t *b, ngx_str_t *s);


static ngx_str_t  ngx_http_ai_jwt_names[NGX_HTTP_AI_JWT_CLAIMS] = {
    ngx_string("tenant="),
    ngx_string("user="),
    ngx_string("roles="),
    ngx_string("scopes="),
    ngx_string("models=")
};


static ngx_str_t  ngx_http_ai_jwt_defaults[NGX_HTTP_AI_JWT_CLAIMS] = {
    ngx_string("tenant"),
    ngx_string("sub"),
    ngx_string("roles"),
    ngx_string("scope"),
    ngx_null_string
};


char *
ngx_http_ai_conf_jwt_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_loc_conf_t  *alcf = conf;

    ngx_str_t               *value, *audience, s;
    ngx_uint_t               i;
    ngx_http_ai_jwt_set_t    source;
    ngx_http_ai_jwt_key_t   *key, *other;

    if (alcf->jwt_keys == NGX_CONF_UNSET_PTR) {
        alcf->jwt_keys = ngx_array_create(cf->pool, 2,
                                          sizeof(ngx_http_ai_jwt_key_t));
        if (alcf->jwt_keys == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (alcf->jwt_keys->nelts == NGX_HTTP_AI_JWT_KEYS_MAX) {
        return "stands too often at one level";
    }

    key = ngx_array_push(alcf->jwt_keys);
    if (key == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(key, sizeof(ngx_http_ai_jwt_key_t));
    ngx_memzero(&source, sizeof(ngx_http_ai_jwt_set_t));

    key->leeway = NGX_CONF_UNSET;
    key->role = NGX_CONF_UNSET;

    if (ngx_array_init(&key->audiences, cf->pool, 1, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "file=", 5) == 0) {
            s.data = value[i].data + 5;
            s.len = value[i].len - 5;

            if (ngx_http_ai_conf_jwt_source(cf, &source, &s, 0) != NGX_OK) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "url=", 4) == 0) {
            s.data = value[i].data + 4;
            s.len = value[i].len - 4;

            if (ngx_http_ai_conf_jwt_source(cf, &source, &s, 1) != NGX_OK) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "issuer=", 7) == 0
            && value[i].len > 7 && key->issuer.len == 0)
        {
            key->issuer.data = value[i].data + 7;
            key->issuer.len = value[i].len - 7;
            continue;
        }

        if (ngx_strncmp(value[i].data, "audience=", 9) == 0
            && value[i].len > 9
            && key->audiences.nelts < NGX_HTTP_AI_JWT_AUDIENCES_MAX)
        {
            audience = ngx_array_push(&key->audiences);
            if (audience == NULL) {
                return NGX_CONF_ERROR;
            }

            audience->data = value[i].data + 9;
            audience->len = value[i].len - 9;
            continue;
        }

        if (ngx_strncmp(value[i].data, "tenant=", 7) == 0
            && ngx_http_ai_conf_jwt_tenant(cf, key, &value[i]) == NGX_OK)
        {
            continue;
        }

        if (ngx_strncmp(value[i].data, "role=", 5) == 0
            && key->role == NGX_CONF_UNSET)
        {
            key->role = ai_role_find((ai_str_t) { value[i].len - 5,
                                        (const char *) value[i].data + 5 });
            if (key->role >= 0 && value[i].len > 5) {
                continue;
            }
        }

        if (ngx_strncmp(value[i].data, "leeway=", 7) == 0
            && key->leeway == NGX_CONF_UNSET)
        {
            s.data = value[i].data + 7;
            s.len = value[i].len - 7;

            key->leeway = ngx_parse_time(&s, 1);

            if (key->leeway >= 0 && key->leeway <= NGX_HTTP_AI_JWT_LEEWAY_MAX)
            {
                continue;
            }
        }

        if (ngx_strncmp(value[i].data, "algorithms=", 11) == 0) {
            s.data = value[i].data + 11;
            s.len = value[i].len - 11;

            if (ngx_http_ai_conf_jwt_algorithms(cf, &source.algs, &s)
                != NGX_OK)
            {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid or repeated parameter \"%V\"", &value[i]);
        return NGX_CONF_ERROR;
    }

    if (source.file.len == 0 && source.url.len == 0) {
        return "needs a \"file=\" or a \"url=\"";
    }

    if (key->issuer.len == 0) {
        return "needs an \"issuer=\"";
    }

    /* Whom all tenants are open to is the administrator's to say. */

    if (key->role == NGX_CONF_UNSET) {
        key->role = AI_ROLE_TENANT_ADMIN;
    }

    if (key->role == AI_ROLE_PLATFORM_ADMIN && key->tenants.len) {
        return "with a \"tenant=\" can have no \"role=platform_admin\"";
    }

    /* Everybody can read what lies at a URL. */

    if (source.url.len
        && source.algs & (AI_JWA_HS256|AI_JWA_HS384|AI_JWA_HS512))
    {
        return "can have HS256, HS384 and HS512 with a \"file=\" only";
    }

    other = alcf->jwt_keys->elts;

    for (i = 0; i + 1 < alcf->jwt_keys->nelts; i++) {
        if (other[i].issuer.len == key->issuer.len
            && ngx_memcmp(other[i].issuer.data, key->issuer.data,
                          key->issuer.len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "issuer \"%V\" is duplicate", &key->issuer);
            return NGX_CONF_ERROR;
        }
    }

    if (key->leeway == NGX_CONF_UNSET) {
        key->leeway = NGX_HTTP_AI_JWT_LEEWAY;
    }

    key->set = ngx_http_ai_conf_jwt_set(cf, &source);

    return key->set != NULL ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_http_ai_conf_jwt_claim(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ai_loc_conf_t  *alcf = conf;

    ngx_str_t   *value, *name;
    ngx_uint_t   i, k;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        for (k = 0; k < NGX_HTTP_AI_JWT_CLAIMS; k++) {
            name = &ngx_http_ai_jwt_names[k];

            if (value[i].len > name->len
                && value[i].len <= name->len + NGX_HTTP_AI_JWT_CLAIM_MAX
                && ngx_strncmp(value[i].data, name->data, name->len) == 0)
            {
                break;
            }
        }

        if (k == NGX_HTTP_AI_JWT_CLAIMS || alcf->jwt_claims[k].data != NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid or repeated parameter \"%V\", it must "
                               "be \"tenant=\", \"user=\", \"roles=\", "
                               "\"scopes=\" or \"models=\" with the name of a "
                               "claim", &value[i]);
            return NGX_CONF_ERROR;
        }

        /* Arguments end with a zero byte, and so do names. */

        name = &ngx_http_ai_jwt_names[k];
        alcf->jwt_claims[k].data = value[i].data + name->len;
        alcf->jwt_claims[k].len = value[i].len - name->len;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_ai_merge_jwt(ngx_conf_t *cf, ngx_http_ai_loc_conf_t *prev,
    ngx_http_ai_loc_conf_t *conf)
{
    size_t                  size;
    u_char                 *mem;
    ai_buf_t                b;
    ngx_str_t              *audience;
    ngx_uint_t              i, k;
    ngx_http_ai_jwt_key_t  *key;

    ngx_conf_merge_ptr_value(conf->jwt_keys, prev->jwt_keys, NULL);

    for (i = 0; i < NGX_HTTP_AI_JWT_CLAIMS; i++) {

        if (conf->jwt_claims[i].data == NULL) {
            conf->jwt_claims[i] = prev->jwt_claims[i];
        }

        if (conf->jwt_claims[i].data == NULL) {
            conf->jwt_claims[i] = ngx_http_ai_jwt_defaults[i];
        }
    }

    if (!(conf->auth & NGX_HTTP_AI_AUTH_JWT)) {
        return NGX_CONF_OK;
    }

    if (conf->jwt_keys == NULL) {

        if (!conf->pass) {
            return NGX_CONF_OK;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"ai_auth jwt\" needs an \"ai_jwt_key\" for the "
                      "\"ai_pass\" in %s:%ui", conf->place.file,
                      conf->place.line);
        return NGX_CONF_ERROR;
    }

    /* What was verified under one of these is not so under another. */

    key = conf->jwt_keys->elts;
    size = 0;

    for (i = 0; i < NGX_HTTP_AI_JWT_CLAIMS; i++) {
        size += NGX_INT64_LEN + 1 + conf->jwt_claims[i].len;
    }

    for (i = 0; i < conf->jwt_keys->nelts; i++) {
        audience = key[i].audiences.elts;
        size += 6 * (NGX_INT64_LEN + 1) + key[i].issuer.len
                + key[i].tenants.len + key[i].set->file.len
                + key[i].set->url.len;

        for (k = 0; k < key[i].audiences.nelts; k++) {
            size += NGX_INT64_LEN + 1 + audience[k].len;
        }
    }

    size += conf->jwt_keys->nelts * 3 * (NGX_INT64_LEN + 1);

    mem = ngx_palloc(cf->temp_pool, size);
    if (mem == NULL) {
        return NGX_CONF_ERROR;
    }

    ai_buf_init(&b, (char *) mem, size);

    for (i = 0; i < NGX_HTTP_AI_JWT_CLAIMS; i++) {
        ngx_http_ai_conf_jwt_hash(&b, &conf->jwt_claims[i]);
    }

    for (i = 0; i < conf->jwt_keys->nelts; i++) {
        ngx_http_ai_conf_jwt_hash(&b, &key[i].issuer);
        ngx_http_ai_conf_jwt_hash(&b, &key[i].set->file);
        ngx_http_ai_conf_jwt_hash(&b, &key[i].set->url);
        ai_buf_add_int(&b, key[i].set->algs);
        ai_buf_add_z(&b, " ");
        ai_buf_add_int(&b, key[i].leeway);
        ai_buf_add_z(&b, " ");
        ai_buf_add_int(&b, key[i].role);
        ai_buf_add_z(&b, " ");
        ngx_http_ai_conf_jwt_hash(&b, &key[i].tenants);
        ai_buf_add_int(&b, key[i].audiences.nelts);
        ai_buf_add_z(&b, " ");

        audience = key[i].audiences.elts;

        for (k = 0; k < key[i].audiences.nelts; k++) {
            ngx_http_ai_conf_jwt_hash(&b, &audience[k]);
        }
    }

    if (b.full
        || ai_sha256(conf->jwt_digest,
                     (ai_str_t) { ai_buf_len(&b), b.start }) != 0)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* "tenant=NAME", one more. */

static ngx_int_t
ngx_http_ai_conf_jwt_tenant(ngx_conf_t *cf, ngx_http_ai_jwt_key_t *key,
    ngx_str_t *value)
{
    u_char    *p, *start;
    ngx_str_t  name;

    name.data = value->data + 7;
    name.len = value->len - 7;

    if (!ai_keys_tenant_ok(ngx_http_ai_str(&name))
        || key->tenants.len + 1 + name.len > NGX_HTTP_AI_JWT_TENANTS_MAX)
    {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(cf->pool, key->tenants.len + 1 + name.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    start = p;

    if (key->tenants.len) {
        p = ngx_cpymem(p, key->tenants.data, key->tenants.len);
        *p++ = ' ';
    }

    p = ngx_cpymem(p, name.data, name.len);

    key->tenants.len = p - start;
    key->tenants.data = start;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_conf_jwt_source(ngx_conf_t *cf, ngx_http_ai_jwt_set_t *s,
    ngx_str_t *value, ngx_uint_t url)
{
    if (s->file.len || s->url.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "keys come of one \"file=\" or one \"url=\"");
        return NGX_ERROR;
    }

    if (!url) {
        s->file = *value;

        if (value->len == 0
            || ngx_conf_full_name(cf->cycle, &s->file, 1) != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"file=\" is empty");
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    if (!ai_jwks_url_ok(ngx_http_ai_str(value))) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL \"%V\", it must begin with "
                           "\"https://\", or with \"http://\" and an address "
                           "of this machine, and carry no credentials",
                           value);
        return NGX_ERROR;
    }

    s->url = *value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_conf_jwt_algorithms(ngx_conf_t *cf, ngx_uint_t *algs,
    ngx_str_t *list)
{
    u_char      *p, *end, *comma;
    ai_str_t     name;
    ngx_uint_t   alg;

    p = list->data;
    end = list->data + list->len;

    for ( ;; ) {
        comma = ngx_strlchr(p, end, ',');

        if (comma == NULL) {
            comma = end;
        }

        name = (ai_str_t) { comma - p, (const char *) p };
        alg = ai_jwa(name);

        if (alg == 0 || *algs & alg) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown or repeated algorithm \"%*s\" in "
                               "\"algorithms=\"", name.len, p);
            return NGX_ERROR;
        }

        *algs |= alg;

        if (comma == end) {
            return NGX_OK;
        }

        p = comma + 1;
    }
}


/* The set of this source: found, or made and, of a file, read. */

static ngx_http_ai_jwt_set_t *
ngx_http_ai_conf_jwt_set(ngx_conf_t *cf, ngx_http_ai_jwt_set_t *source)
{
    ngx_uint_t                 i;
    ngx_pool_cleanup_t        *cln;
    ngx_http_ai_jwt_set_t     *s, **sets;
    ngx_http_ai_main_conf_t   *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ai_module);

    if (amcf->jwt_sets == NULL) {
        amcf->jwt_sets = ngx_array_create(cf->pool, 4,
                                          sizeof(ngx_http_ai_jwt_set_t *));
        if (amcf->jwt_sets == NULL) {
            return NULL;
        }
    }

    sets = amcf->jwt_sets->elts;

    for (i = 0; i < amcf->jwt_sets->nelts; i++) {
        s = sets[i];

        if (s->algs == source->algs
            && s->file.len == source->file.len
            && s->url.len == source->url.len
            && ngx_memcmp(s->file.data, source->file.data, s->file.len) == 0
            && ngx_memcmp(s->url.data, source->url.data, s->url.len) == 0)
        {
            return s;
        }
    }

    if (amcf->jwt_sets->nelts == NGX_HTTP_AI_JWT_SETS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "more than %d files and URLs of keys",
                           NGX_HTTP_AI_JWT_SETS_MAX);
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_http_ai_jwt_set_t));
    if (cln == NULL) {
        return NULL;
    }

    s = cln->data;
    *s = *source;

    cln->handler = ngx_http_ai_conf_jwt_free;

    sets = ngx_array_push(amcf->jwt_sets);
    if (sets == NULL) {
        return NULL;
    }

    *sets = s;

    if (s->url.len) {
        return ngx_http_ai_jwt_url(amcf, s) == NGX_OK ? s : NULL;
    }

    if (ngx_http_ai_jwt_read(s, cf->log, NGX_LOG_EMERG) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ai_jwt_key\" has no keys");
        return NULL;
    }

    return s;
}


static void
ngx_http_ai_conf_jwt_free(void *data)
{
    ngx_http_ai_jwt_set_t *s = data;

    ai_jwks_free(s->set);
    s->set = NULL;
}


static void
ngx_http_ai_conf_jwt_hash(ai_buf_t *b, ngx_str_t *s)
{
    ai_buf_add_int(b, s->len);
    ai_buf_add_z(b, " ");
    ai_buf_add_str(b, ngx_http_ai_str(s));
}
