/*
 * Health of this edge and of what it stands on; see the header.  The answer
 * is made in the request's pool from replies gathered for it.
 */

#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_gather.h"
#include "ngx_http_ai_health.h"
#include "ai_keys.h"


#define NGX_HTTP_AI_HEALTH_SIZE     16384
#define NGX_HTTP_AI_HEALTH_TEXT     64
/* Sweeps run each second; workers are gone for sure when none ran for this. */
#define NGX_HTTP_AI_HEALTH_SWEPT    10000


typedef enum {
    NGX_HTTP_AI_HEALTH_SHORT = 0,
    NGX_HTTP_AI_HEALTH_READY,
    NGX_HTTP_AI_HEALTH_DETAILED
} ngx_http_ai_health_e;


/* The commands, in the order they are asked. */
typedef enum {
    NGX_HTTP_AI_HEALTH_SWEEP = 0,
    NGX_HTTP_AI_HEALTH_POLICY,
    NGX_HTTP_AI_HEALTH_AOF,
    NGX_HTTP_AI_HEALTH_TIME,
    NGX_HTTP_AI_HEALTH_OUTBOX,
    NGX_HTTP_AI_HEALTH_CAPACITY,
    NGX_HTTP_AI_HEALTH_LAST
} ngx_http_ai_health_cmd_e;


typedef struct {
    ngx_http_ai_gather_t        gather;
    ngx_http_ai_health_e        kind;

    int64_t                     now;          /* ms, of Redis */
    int64_t                     swept;
    int64_t                     slots;
    int64_t                     pressure;
    int64_t                     held;
    int64_t                     outbox;
    int64_t                     workers;
    u_char                      policy[NGX_HTTP_AI_HEALTH_TEXT];
    u_char                      aof[NGX_HTTP_AI_HEALTH_TEXT];
    unsigned                    answered:1;   /* sweep and time */
} ngx_http_ai_health_t;


static ngx_int_t ngx_http_ai_health_ask(ngx_http_request_t *r,
    ngx_http_ai_health_e kind);
static void ngx_http_ai_health_reply(ngx_http_ai_gather_t *g, ngx_uint_t i,
    ai_resp_t *reply);
static void ngx_http_ai_health_sweep(ngx_http_ai_health_t *h,
    ai_resp_t *reply);
static void ngx_http_ai_health_info(u_char *text, ai_resp_t *reply,
    char *name);
static ngx_int_t ngx_http_ai_health_done(ngx_http_ai_gather_t *g);
static void ngx_http_ai_health_details(ai_buf_t *b, ngx_http_ai_health_t *h);
static ngx_uint_t ngx_http_ai_health_check(ai_buf_t *b, const char *name,
    const char *problem);


ngx_int_t
ngx_http_ai_health_handler(ngx_http_request_t *r)
{
    u_char     *p;
    ngx_str_t   name;

    static u_char  alive[] = "{\"status\":\"alive\"}";

    if (r != r->main) {
        return ngx_http_ai_error_subrequest(r, "ai_health");
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_http_ai_error_send(r, "method_not_allowed", NULL, 0, -1);
    }

    for (p = r->uri.data + r->uri.len; p > r->uri.data && p[-1] != '/'; p--) {
        /* void */
    }

    name.data = p;
    name.len = r->uri.data + r->uri.len - p;

    if (name.len == 4 && ngx_strncmp(p, "live", 4) == 0) {
        return ngx_http_ai_send_json(r, NGX_HTTP_OK, alive, sizeof(alive) - 1);
    }

    if (name.len == 5 && ngx_strncmp(p, "ready", 5) == 0) {
        return ngx_http_ai_health_ask(r, NGX_HTTP_AI_HEALTH_READY);
    }

    if (name.len == 8 && ngx_strncmp(p, "detailed", 8) == 0) {
        return ngx_http_ai_health_ask(r, NGX_HTTP_AI_HEALTH_DETAILED);
    }

    return ngx_http_ai_health_ask(r, NGX_HTTP_AI_HEALTH_SHORT);
}


static ngx_int_t
ngx_http_ai_health_ask(ngx_http_request_t *r, ngx_http_ai_health_e kind)
{
    char                      keys[3][AI_KEY_MAX];
    ngx_uint_t                i;
    ngx_str_t                 argv[NGX_HTTP_AI_HEALTH_LAST][2];
    ngx_http_ai_health_t     *h;
    ngx_http_ai_gather_cmd_t  cmds[NGX_HTTP_AI_HEALTH_LAST];

    static const ai_key_e  names[] = { AI_KEY_SWEEP, AI_KEY_OUTBOX,
                                       AI_KEY_CAPACITY };
    static const ngx_uint_t  slots[] = { NGX_HTTP_AI_HEALTH_SWEEP,
                                         NGX_HTTP_AI_HEALTH_OUTBOX,
                                         NGX_HTTP_AI_HEALTH_CAPACITY };

    h = ngx_pcalloc(r->pool, sizeof(ngx_http_ai_health_t));
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h->kind = kind;
    h->gather.request = r;
    h->gather.reply = ngx_http_ai_health_reply;
    h->gather.done = ngx_http_ai_health_done;

    for (i = 0; i < NGX_HTTP_AI_HEALTH_LAST; i++) {
        cmds[i].argv = argv[i];
        cmds[i].argc = 2;
    }

    ngx_str_set(&argv[NGX_HTTP_AI_HEALTH_SWEEP][0], "HGETALL");
    ngx_str_set(&argv[NGX_HTTP_AI_HEALTH_OUTBOX][0], "XLEN");
    ngx_str_set(&argv[NGX_HTTP_AI_HEALTH_CAPACITY][0], "HLEN");
    ngx_str_set(&argv[NGX_HTTP_AI_HEALTH_TIME][0], "TIME");
    cmds[NGX_HTTP_AI_HEALTH_TIME].argc = 1;

    /* Not CONFIG GET: who may ask that reads Redis' passwords, too. */

    ngx_str_set(&argv[NGX_HTTP_AI_HEALTH_POLICY][0], "INFO");
    ngx_str_set(&argv[NGX_HTTP_AI_HEALTH_POLICY][1], "memory");
    ngx_str_set(&argv[NGX_HTTP_AI_HEALTH_AOF][0], "INFO");
    ngx_str_set(&argv[NGX_HTTP_AI_HEALTH_AOF][1], "persistence");

    for (i = 0; i < 3; i++) {
        argv[slots[i]][1].len = ai_keys_make(keys[i], AI_KEY_MAX, names[i], 0,
                                             ai_str(""));
        argv[slots[i]][1].data = (u_char *) keys[i];
    }

    return ngx_http_ai_gather_run(&h->gather, cmds, NGX_HTTP_AI_HEALTH_LAST);
}


static void
ngx_http_ai_health_reply(ngx_http_ai_gather_t *g, ngx_uint_t i,
    ai_resp_t *reply)
{
    ngx_http_ai_health_t  *h = (ngx_http_ai_health_t *) g;

    int64_t  n;

    if (reply == NULL) {
        return;
    }

    n = reply->type == AI_RESP_INTEGER ? reply->integer : 0;

    switch ((ngx_http_ai_health_cmd_e) i) {

    case NGX_HTTP_AI_HEALTH_SWEEP:
        ngx_http_ai_health_sweep(h, reply);
        break;

    case NGX_HTTP_AI_HEALTH_POLICY:
        ngx_http_ai_health_info(h->policy, reply, "\nmaxmemory_policy:");
        break;

    case NGX_HTTP_AI_HEALTH_AOF:
        ngx_http_ai_health_info(h->aof, reply, "\naof_enabled:");
        break;

    case NGX_HTTP_AI_HEALTH_TIME:
        if (reply->type == AI_RESP_ARRAY && reply->elements == 2
            && reply->element[0].type == AI_RESP_STRING
            && ai_str_int((ai_str_t) { reply->element[0].len,
                                       reply->element[0].str }, &n) == 0)
        {
            h->now = n * 1000;
            h->answered = 1;
        }
        break;

    case NGX_HTTP_AI_HEALTH_OUTBOX:
        h->outbox = n;
        break;

    case NGX_HTTP_AI_HEALTH_CAPACITY:
        h->workers = n;
        break;

    case NGX_HTTP_AI_HEALTH_LAST:
        break;
    }
}


static void
ngx_http_ai_health_sweep(ngx_http_ai_health_t *h, ai_resp_t *reply)
{
    size_t       i;
    int64_t      n;
    ai_resp_t   *name, *value;

    if (reply->type != AI_RESP_ARRAY) {
        return;
    }

    for (i = 0; i + 1 < reply->elements; i += 2) {
        name = &reply->element[i];
        value = &reply->element[i + 1];

        if (name->type != AI_RESP_STRING
            || value->type != AI_RESP_STRING
            || ai_str_int((ai_str_t) { value->len, value->str }, &n) != 0)
        {
            continue;
        }

        if (ngx_strcmp(name->str, "last") == 0) {
            h->swept = n;

        } else if (ngx_strcmp(name->str, "slots") == 0) {
            h->slots = n;

        } else if (ngx_strcmp(name->str, "held") == 0) {
            h->held = n;

        } else if (ngx_strcmp(name->str, "pressure") == 0) {
            h->pressure = n;
        }
    }
}


static void
ngx_http_ai_health_info(u_char *text, ai_resp_t *reply, char *name)
{
    u_char  *p, *last;

    if (reply->type != AI_RESP_STRING) {
        return;
    }

    last = (u_char *) reply->str + reply->len;
    p = ngx_strnstr((u_char *) reply->str, name, reply->len);

    if (p == NULL) {
        return;
    }

    p += ngx_strlen(name);
    last = ngx_min(last, p + NGX_HTTP_AI_HEALTH_TEXT - 1);

    while (p < last && *p > ' ') {
        *text++ = *p++;
    }

    *text = '\0';
}


static ngx_int_t
ngx_http_ai_health_done(ngx_http_ai_gather_t *g)
{
    ngx_http_ai_health_t  *h = (ngx_http_ai_health_t *) g;

    u_char               *p;
    ai_buf_t              b;
    ai_str_t              checks;
    ngx_uint_t            bad, status;
    ngx_http_ai_redis_t  *redis;

    p = ngx_pnalloc(g->request->pool, NGX_HTTP_AI_HEALTH_SIZE);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    redis = ngx_http_ai_edge ? ngx_http_ai_edge->redis : NULL;

    /* The checks are written first and moved behind the status they make. */

    ai_buf_init(&b, (char *) p, NGX_HTTP_AI_HEALTH_SIZE / 2);
    bad = 0;

    if (redis == NULL || !h->answered
        || !ngx_http_ai_redis_ready(redis, NGX_HTTP_AI_REDIS_COMMANDS)
        || !ngx_http_ai_redis_ready(redis, NGX_HTTP_AI_REDIS_SUB))
    {
        bad += ngx_http_ai_health_check(&b, "redis", "not reachable");

    } else {
        bad += ngx_http_ai_health_check(&b, "redis", NULL);

        /* Where an ACL forbids INFO, the two cannot be known. */

        bad += ngx_http_ai_health_check(&b, "redis_eviction",
                   h->policy[0] == '\0'
                   || ngx_strcmp(h->policy, "noeviction") == 0
                   ? NULL : "maxmemory-policy must be noeviction");
        bad += ngx_http_ai_health_check(&b, "redis_persistence",
                   h->aof[0] == '\0' || ngx_strcmp(h->aof, "1") == 0
                   ? NULL : "appendonly must be on");
        bad += ngx_http_ai_health_check(&b, "redis_memory",
                   h->pressure == 0 ? NULL : "memory is nearly full");
        bad += ngx_http_ai_health_check(&b, "workers",
                   h->slots > 0
                   && h->now - h->swept < NGX_HTTP_AI_HEALTH_SWEPT
                   ? NULL : "no worker is alive");
    }

    status = bad ? NGX_HTTP_SERVICE_UNAVAILABLE : NGX_HTTP_OK;

    checks.data = (char *) p;
    checks.len = ai_buf_len(&b);

    ai_buf_init(&b, (char *) p + NGX_HTTP_AI_HEALTH_SIZE / 2,
                NGX_HTTP_AI_HEALTH_SIZE / 2);

    ai_buf_add_z(&b, bad ? "{\"status\":\"not ready\""
                         : "{\"status\":\"ready\"");

    if (h->kind != NGX_HTTP_AI_HEALTH_SHORT) {
        ai_buf_add_z(&b, ",\"checks\":{");
        ai_buf_add_str(&b, checks);
        ai_buf_add_z(&b, "}");
    }

    if (h->kind == NGX_HTTP_AI_HEALTH_DETAILED) {
        ngx_http_ai_health_details(&b, h);
    }

    ai_buf_add_z(&b, "}");

    return ngx_http_ai_send_json(g->request, status, (u_char *) b.start,
                                 ai_buf_len(&b));
}


static void
ngx_http_ai_health_details(ai_buf_t *b, ngx_http_ai_health_t *h)
{
    ngx_uint_t                 i;
    ngx_http_ai_redis_t       *redis;
    ngx_http_ai_main_conf_t   *amcf;
    ngx_http_ai_redis_info_t   info;

    amcf = ngx_http_get_module_main_conf(h->gather.request,
                                         ngx_http_ai_module);

    ai_buf_add_z(b, ",\"pid\":");
    ai_buf_add_int(b, ngx_pid);
    ai_buf_add_z(b, ",\"exiting\":");
    ai_buf_add_z(b, ngx_exiting ? "true" : "false");
    ai_buf_add_z(b, ",\"catalog\":\"");
    ai_buf_add(b, amcf->catalog_sha, amcf->catalog.len ? AI_SHA256_HEX : 0);
    ai_buf_add_z(b, "\",\"workers\":");
    ai_buf_add_int(b, h->workers);
    ai_buf_add_z(b, ",\"slots\":");
    ai_buf_add_int(b, h->slots);
    ai_buf_add_z(b, ",\"running\":");
    ai_buf_add_int(b, h->held);
    ai_buf_add_z(b, ",\"outbox\":");
    ai_buf_add_int(b, h->outbox);
    ai_buf_add_z(b, ",\"redis\":[");

    redis = ngx_http_ai_edge ? ngx_http_ai_edge->redis : NULL;

    for (i = 0; redis != NULL && i < NGX_HTTP_AI_REDIS_CONNS; i++) {
        ngx_http_ai_redis_info(redis, i, &info);

        ai_buf_add_z(b, i ? ",{\"connection\":\"" : "{\"connection\":\"");
        ai_buf_add_z(b, info.name);
        ai_buf_add_z(b, "\",\"state\":\"");
        ai_buf_add_z(b, info.state_name);
        ai_buf_add_z(b, "\",\"since_ms\":");
        ai_buf_add_int(b, info.since);
        ai_buf_add_z(b, ",\"address\":\"");
        ai_buf_add_json(b, ngx_http_ai_str(&info.address));
        ai_buf_add_z(b, "\",\"round_trip_us\":");
        ai_buf_add_int(b, info.rtt_usec);
        ai_buf_add_z(b, ",\"pending\":");
        ai_buf_add_int(b, info.pending);
        ai_buf_add_z(b, ",\"failures\":");
        ai_buf_add_int(b, info.failures);
        ai_buf_add_z(b, ",\"error\":\"");
        ai_buf_add_json(b, ngx_http_ai_str(&info.error));
        ai_buf_add_z(b, "\"}");
    }

    ai_buf_add_z(b, "]");
}


static ngx_uint_t
ngx_http_ai_health_check(ai_buf_t *b, const char *name, const char *problem)
{
    ai_buf_add_z(b, ai_buf_len(b) ? ",\"" : "\"");
    ai_buf_add_z(b, name);
    ai_buf_add_z(b, "\":\"");
    ai_buf_add_z(b, problem ? problem : "ok");
    ai_buf_add_z(b, "\"");

    return problem != NULL;
}
