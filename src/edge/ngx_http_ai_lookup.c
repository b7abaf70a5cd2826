/*
 * Keys that shared memory does not know: asked of Redis once for all requests
 * that wait, and of a worker where Redis does not know them either.
 * A look-up under way belongs to the process; its waiters to their owners.
 */

#include "ngx_http_ai_lookup.h"
#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_metrics.h"
#include "ngx_http_ai_unknown.h"
#include "ai_keys.h"


/* Keys looked up at a time; one more is refused. */
#define NGX_HTTP_AI_LOOKUP_MAX      4096
#define NGX_HTTP_AI_LOOKUP_BUCKETS  256
/* Of those, how many may wait for a worker: Redis is asked all the while. */
#define NGX_HTTP_AI_LOOKUP_ASKED    2048
/* How long a worker may take to ask the database. */
#define NGX_HTTP_AI_LOOKUP_TIMEOUT  2000


typedef struct {
    ngx_http_ai_question_t      question;
    u_char                      tenant[AI_TENANT_MAX];
    size_t                      tenant_len;   /* 0: a key */
    uint32_t                    address;      /* of who asked first */
    ngx_atomic_uint_t           epoch;
    unsigned                    asked:1;      /* a worker is, or may be */
    unsigned                    told:1;       /* it has looked */
} ngx_http_ai_search_t;


static ai_str_t ngx_http_ai_lookup_name(ngx_http_ai_search_t *s);
static ngx_int_t ngx_http_ai_lookup_begin(ngx_http_ai_search_t *s);
static ngx_int_t ngx_http_ai_lookup_read(ngx_http_ai_search_t *s);
static void ngx_http_ai_lookup_read_done(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static ngx_int_t ngx_http_ai_lookup_charge(ngx_http_ai_search_t *s);
static void ngx_http_ai_lookup_unasked(ngx_http_ai_search_t *s);
static void ngx_http_ai_lookup_ask(ngx_http_ai_search_t *s);
static void ngx_http_ai_lookup_asked(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_lookup_timeout(ngx_event_t *ev);
static ngx_uint_t ngx_http_ai_lookup_signed(ngx_http_ai_search_t *s,
    ai_resp_t *reply);
static ngx_uint_t ngx_http_ai_lookup_parse(ngx_http_ai_search_t *s,
    ai_resp_t *reply, ngx_http_ai_principal_t *p);
static void ngx_http_ai_lookup_end(ngx_http_ai_search_t *s, ngx_uint_t state,
    ngx_http_ai_principal_t *p);


static ngx_queue_t  ngx_http_ai_lookup_buckets[NGX_HTTP_AI_LOOKUP_BUCKETS];
static ngx_uint_t   ngx_http_ai_nasked;

static ngx_http_ai_questions_t  ngx_http_ai_lookups = {
    ngx_http_ai_lookup_buckets, NGX_HTTP_AI_LOOKUP_BUCKETS,
    NGX_HTTP_AI_LOOKUP_MAX, 0, "keys are being looked up"
};


ngx_int_t
ngx_http_ai_lookup(ngx_http_ai_lookup_t *l, u_char *sha)
{
    ngx_http_ai_search_t  *s;

    s = (ngx_http_ai_search_t *)
        ngx_http_ai_question_find(&ngx_http_ai_lookups, sha);

    if (s == NULL) {
        s = (ngx_http_ai_search_t *)
            ngx_http_ai_question_make(&ngx_http_ai_lookups,
                                      sizeof(ngx_http_ai_search_t), sha,
                                      ngx_http_ai_lookup_timeout);
        if (s == NULL) {
            return NGX_DECLINED;
        }

        s->address = ngx_http_ai_unknown_address(l->address);

        if (l->tenant != NULL) {
            s->tenant_len = ngx_min(l->tenant->len, AI_TENANT_MAX);
            ngx_memcpy(s->tenant, l->tenant->data, s->tenant_len);
        }

        if (ngx_http_ai_lookup_begin(s) != NGX_OK) {
            ngx_free(s);
            return NGX_DECLINED;
        }

        ngx_http_ai_question_begin(&ngx_http_ai_lookups, &s->question);
    }

    ngx_http_ai_question_wait(&s->question, &l->waiter);

    return NGX_OK;
}


void
ngx_http_ai_lookup_cancel(ngx_http_ai_lookup_t *l)
{
    ngx_http_ai_question_leave(&l->waiter);
}


ngx_int_t
ngx_http_ai_lookup_tenant(u_char *sha, ai_str_t tenant)
{
    char      text[AI_TENANT_MARK_LEN + AI_TENANT_MAX];
    ai_buf_t  b;

    ai_buf_init(&b, text, sizeof(text));
    ai_buf_add_z(&b, AI_TENANT_MARK);
    ai_buf_add_str(&b, tenant);

    return !b.full
           && ai_sha256_hex((char *) sha,
                            (ai_str_t) { ai_buf_len(&b), text }) == 0
           ? NGX_OK : NGX_ERROR;
}


void
ngx_http_ai_lookup_bell(u_char *sha, ai_str_t status)
{
    ngx_http_ai_search_t  *s;

    s = (ngx_http_ai_search_t *)
        ngx_http_ai_question_find(&ngx_http_ai_lookups, sha);

    if (s == NULL || !s->asked) {
        return;
    }

    ngx_http_ai_question_stop(&s->question);

    if (ai_str_eqz(status, "none")) {
        ngx_http_ai_zone_put(ngx_http_ai_edge->amcf->principals,
                             s->question.sha, s->epoch,
                             NGX_HTTP_AI_KEY_UNKNOWN, NULL);
        ngx_http_ai_lookup_end(s, NGX_HTTP_AI_KEY_UNKNOWN, NULL);
        return;
    }

    s->told = 1;

    if (!ai_str_eqz(status, "ok") || ngx_http_ai_lookup_read(s) != NGX_OK) {
        ngx_http_ai_lookup_end(s, NGX_HTTP_AI_KEY_DOWN, NULL);
    }
}


/* What it is called in Redis. */

static ai_str_t
ngx_http_ai_lookup_name(ngx_http_ai_search_t *s)
{
    return s->tenant_len
           ? (ai_str_t) { s->tenant_len, (const char *) s->tenant }
           : (ai_str_t) { AI_SHA256_HEX, (const char *) s->question.sha };
}


/* Redis' answer, and where it has none a worker's, for one command; by HGETALL
 * where no worker may be asked. */

static ngx_int_t
ngx_http_ai_lookup_begin(ngx_http_ai_search_t *s)
{
    ai_str_t   name;
    ngx_int_t  rc;
    ngx_str_t  queue, argv[3];

    rc = ngx_http_ai_lookup_charge(s);

    if (rc == NGX_DECLINED) {
        return ngx_http_ai_lookup_read(s);
    }

    s->epoch = ngx_http_ai_zone_epoch(ngx_http_ai_edge->amcf->principals);
    name = ngx_http_ai_lookup_name(s);

    ngx_str_set(&queue, AI_LOOKUP_KEY);
    argv[0].data = (u_char *) name.data;
    argv[0].len = name.len;
    argv[1] = ngx_http_ai_edge->id;
    argv[2].data = (u_char *) (rc == NGX_OK ? "1" : "0");
    argv[2].len = 1;

    s->question.cmd.handler = ngx_http_ai_lookup_read_done;
    s->question.cmd.data = s;

    if (ngx_http_ai_redis_eval(ngx_http_ai_edge->redis, &s->question.cmd,
                               AI_SCRIPT_FIND, &queue, 1, argv, 3)
        != NGX_HTTP_AI_REDIS_OK)
    {
        ngx_http_ai_lookup_unasked(s);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_lookup_read(ngx_http_ai_search_t *s)
{
    char       key[AI_KEY_MAX];
    ngx_str_t  argv[2];

    s->epoch = ngx_http_ai_zone_epoch(ngx_http_ai_edge->amcf->principals);

    ngx_str_set(&argv[0], "HGETALL");
    argv[1].data = (u_char *) key;
    argv[1].len = ai_keys_principal(key, sizeof(key),
                                    ngx_http_ai_lookup_name(s));

    return ngx_http_ai_question_send(&s->question,
                                     ngx_http_ai_lookup_read_done, argv, 2);
}


static void
ngx_http_ai_lookup_read_done(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_search_t *s = cmd->data;

    ngx_uint_t               state, find;
    ngx_http_ai_principal_t  p;

    if (status != NGX_HTTP_AI_REDIS_OK
        || reply->type != AI_RESP_ARRAY)
    {
        ngx_http_ai_count(redis_errors);

        if (!s->told) {
            find = s->asked;
            ngx_http_ai_lookup_unasked(s);

            /* A full Redis, which runs no such script, may still be read. */

            if (find && status == NGX_HTTP_AI_REDIS_ERROR
                && ngx_http_ai_lookup_read(s) == NGX_OK)
            {
                return;
            }
        }

        ngx_http_ai_lookup_end(s, NGX_HTTP_AI_KEY_DOWN, NULL);
        return;
    }

    if (reply->elements == 0) {

        if (s->told) {
            ngx_http_ai_lookup_end(s, NGX_HTTP_AI_KEY_DOWN, NULL);

        } else if (s->asked) {
            ngx_add_timer(&s->question.timer, NGX_HTTP_AI_LOOKUP_TIMEOUT);

        } else {
            ngx_http_ai_lookup_ask(s);
        }

        return;
    }

    if (!s->told) {
        ngx_http_ai_lookup_unasked(s);
    }

    if (!ngx_http_ai_lookup_signed(s, reply)) {

        /* As one that is missing: a worker asks Postgres, and signs. */

        if (!s->told) {
            ngx_http_ai_lookup_ask(s);
            return;
        }

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "ai: the record of a %s in Redis is not signed by a key "
                      "of ours (have the workers a --sign-file?)",
                      s->tenant_len ? "tenant" : "key");
        ngx_http_ai_lookup_end(s, NGX_HTTP_AI_KEY_DOWN, NULL);
        return;
    }

    state = ngx_http_ai_lookup_parse(s, reply, &p);

    if (state != NGX_HTTP_AI_KEY_DOWN) {
        ngx_http_ai_zone_put(ngx_http_ai_edge->amcf->principals,
                             s->question.sha, s->epoch, state,
                             state == NGX_HTTP_AI_KEY_ACTIVE ? &p : NULL);
    }

    ngx_http_ai_lookup_end(s, state, &p);
}


/* Whether a worker may be asked, and then it counts as asked. */

static ngx_int_t
ngx_http_ai_lookup_charge(ngx_http_ai_search_t *s)
{
    ngx_int_t  rc;

    if (ngx_http_ai_nasked == NGX_HTTP_AI_LOOKUP_ASKED) {
        return NGX_DECLINED;
    }

    rc = ngx_http_ai_zone_charge(ngx_http_ai_edge->amcf->principals,
                                 s->address);

    if (rc != NGX_DECLINED) {
        s->asked = 1;
        ngx_http_ai_nasked++;
    }

    return rc;
}


/* No worker was. */

static void
ngx_http_ai_lookup_unasked(ngx_http_ai_search_t *s)
{
    if (s->asked) {
        s->asked = 0;
        ngx_http_ai_nasked--;
        ngx_http_ai_zone_refund(ngx_http_ai_edge->amcf->principals,
                                s->address);
    }
}


static void
ngx_http_ai_lookup_ask(ngx_http_ai_search_t *s)
{
    ngx_int_t  rc;

    rc = ngx_http_ai_lookup_charge(s);

    if (rc == NGX_DECLINED) {
        ngx_http_ai_count(lookups_refused);
        ngx_http_ai_lookup_end(s, NGX_HTTP_AI_KEY_DOWN, NULL);
        return;
    }

    if (ngx_http_ai_question_ask(&s->question, ngx_http_ai_lookup_asked,
                                 s->tenant_len ? "t" : "k",
                                 ngx_http_ai_lookup_name(s),
                                 rc == NGX_OK ? "1" : "0")
        != NGX_OK)
    {
        ngx_http_ai_lookup_end(s, NGX_HTTP_AI_KEY_DOWN, NULL);
        return;
    }

    ngx_add_timer(&s->question.timer, NGX_HTTP_AI_LOOKUP_TIMEOUT);
}


static void
ngx_http_ai_lookup_asked(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_search_t *s = cmd->data;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_count(redis_errors);
        ngx_http_ai_lookup_end(s, NGX_HTTP_AI_KEY_DOWN, NULL);
    }
}


static void
ngx_http_ai_lookup_timeout(ngx_event_t *ev)
{
    ngx_http_ai_search_t *s = ev->data;

    ngx_http_ai_lookup_end(s, NGX_HTTP_AI_KEY_DOWN, NULL);
}


/* Whether it is as a worker wrote it, where edges and workers share a key:
 * who can write to Redis must not say who is let in. */

static ngx_uint_t
ngx_http_ai_lookup_signed(ngx_http_ai_search_t *s, ai_resp_t *reply)
{
    int         at;
    size_t      i;
    ai_str_t    name, value, mac, values[AI_SIGN_FIELDS];
    ai_sign_t  *sign;

    sign = ngx_http_ai_edge->amcf->redis->sign;

    if (sign == NULL) {
        return 1;
    }

    mac = ai_str("");

    for (i = 0; i < AI_SIGN_FIELDS; i++) {
        values[i] = ai_str("");
    }

    for (i = 0; i + 1 < reply->elements; i += 2) {
        name = ngx_http_ai_reply_str(reply, i);
        value = ngx_http_ai_reply_str(reply, i + 1);
        at = ai_sign_field(name);

        if (at != -1) {
            values[at] = value;

        } else if (ai_str_eqz(name, "mac")) {
            mac = value;
        }
    }

    return ai_sign_principal_ok(sign, ngx_http_ai_lookup_name(s), values, mac)
           == 1;
}


/* Fields that are not there stay empty; a tenant that could not be in a key
 * makes the whole unusable. */

static ngx_uint_t
ngx_http_ai_lookup_parse(ngx_http_ai_search_t *s, ai_resp_t *reply,
    ngx_http_ai_principal_t *p)
{
    size_t      i;
    int64_t     n;
    ai_str_t    name, value, state, tenant_state;
    ngx_str_t  *field;

    ngx_memzero(p, sizeof(ngx_http_ai_principal_t));

    p->weight = 1;
    state = ai_str("");
    tenant_state = ai_str("");

    for (i = 0; i + 1 < reply->elements; i += 2) {
        name = ngx_http_ai_reply_str(reply, i);
        value = ngx_http_ai_reply_str(reply, i + 1);

        if (ai_str_eqz(name, "state")) {
            state = value;
            continue;
        }

        if (ai_str_eqz(name, "tenant_state")) {
            tenant_state = value;
            continue;
        }

        if (ai_str_eqz(name, "weight")) {
            if (ai_str_int(value, &n) == 0 && n > 0 && n <= 1000000) {
                p->weight = n;
            }

            continue;
        }

        if (ai_str_eqz(name, "expires")) {
            /* What cannot be read has passed. */
            p->expires = ai_str_int(value, &n) == 0 && n >= 0 ? n : 1;
            continue;
        }

        field = ai_str_eqz(name, "id") ? &p->id
                : ai_str_eqz(name, "v") ? &p->version
                : ai_str_eqz(name, "tenant") ? &p->tenant
                : ai_str_eqz(name, "user") ? &p->user
                : ai_str_eqz(name, "role") ? &p->role
                : ai_str_eqz(name, "scopes") ? &p->scopes
                : ai_str_eqz(name, "models") ? &p->models
                : ai_str_eqz(name, "plan") ? &p->plan
                : ai_str_eqz(name, "networks") ? &p->networks
                : NULL;

        if (field != NULL) {
            field->data = (u_char *) value.data;
            field->len = value.len;
        }
    }

    if (s->tenant_len) {

        if (ai_str_eqz(state, "disabled")) {
            return NGX_HTTP_AI_KEY_DISABLED;
        }

        tenant_state = state;
        p->tenant.data = s->tenant;
        p->tenant.len = s->tenant_len;
    }

    if (ai_str_eqz(state, "unknown")) {
        return NGX_HTTP_AI_KEY_UNKNOWN;
    }

    if (ai_str_eqz(state, "revoked")) {
        return NGX_HTTP_AI_KEY_REVOKED;
    }

    if (!ai_str_eqz(state, "active")
        || !ai_keys_tenant_ok(ngx_http_ai_str(&p->tenant)))
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "ai: the record of a %s in Redis cannot be read",
                      s->tenant_len ? "tenant" : "key");
        return NGX_HTTP_AI_KEY_DOWN;
    }

    if (!ai_str_eqz(tenant_state, "active")) {
        return NGX_HTTP_AI_KEY_DISABLED;
    }

    return NGX_HTTP_AI_KEY_ACTIVE;
}


static void
ngx_http_ai_lookup_end(ngx_http_ai_search_t *s, ngx_uint_t state,
    ngx_http_ai_principal_t *p)
{
    ngx_http_ai_lookup_t  *l;
    ngx_http_ai_waiter_t  *w;

    ngx_http_ai_question_end(&ngx_http_ai_lookups, &s->question);

    if (s->asked) {
        ngx_http_ai_nasked--;

        if (state != NGX_HTTP_AI_KEY_UNKNOWN && state != NGX_HTTP_AI_KEY_DOWN)
        {
            ngx_http_ai_zone_refund(ngx_http_ai_edge->amcf->principals,
                                    s->address);
        }
    }

    while ((w = ngx_http_ai_question_next(&s->question)) != NULL) {
        l = ngx_queue_data(w, ngx_http_ai_lookup_t, waiter);
        l->handler(l, state, state == NGX_HTTP_AI_KEY_ACTIVE ? p : NULL);
    }
}
