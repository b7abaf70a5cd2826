/*
 * Counters of all edges, and /metrics in Prometheus' text format: the shared
 * zone, what Redis says, and the counters the workers left there.
 */

#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_error.h"
#include "ngx_http_ai_gather.h"
#include "ngx_http_ai_metrics.h"
#include "ai_keys.h"
#include "ai_record.h"


#define NGX_HTTP_AI_METRICS_SIZE      (512 * 1024)
#define NGX_HTTP_AI_METRICS_WORKERS   64      /* shown; more are not */
#define NGX_HTTP_AI_METRICS_RECORD    4096    /* bytes of one worker's */
#define NGX_HTTP_AI_GAUGES            9


typedef struct {
    u_char                      id[AI_PROCESS_ID_MAX];
    size_t                      id_len;
    u_char                      record[NGX_HTTP_AI_METRICS_RECORD];
    size_t                      len;
} ngx_http_ai_metrics_worker_t;


typedef struct {
    const char                  *field;         /* of P sweep */
    const char                  *name;
    const char                  *class;
    const char                  *help;
} ngx_http_ai_gauge_t;


typedef struct {
    const char                  *name;
    const char                  *help;
    size_t                       offset;      /* of an ngx_atomic_t */
} ngx_http_ai_counter_t;


typedef struct {
    ngx_http_ai_gather_t          gather;
    unsigned                      second:1;   /* the records were asked for */
    unsigned                      up:1;
    int64_t                       sweep[NGX_HTTP_AI_GAUGES];
    int64_t                       jain;         /* in millionths */
    int64_t                       outbox;
    ngx_uint_t                    nworkers;
    ngx_http_ai_metrics_worker_t *workers;
} ngx_http_ai_metrics_page_t;


static ngx_int_t ngx_http_ai_metrics_init_zone(ngx_shm_zone_t *zone,
    void *data);
static void ngx_http_ai_metrics_reply(ngx_http_ai_gather_t *g, ngx_uint_t i,
    ai_resp_t *reply);
static void ngx_http_ai_metrics_sweep(ngx_http_ai_metrics_page_t *page,
    ai_str_t field, int64_t value);
static ngx_int_t ngx_http_ai_metrics_done(ngx_http_ai_gather_t *g);
static ngx_int_t ngx_http_ai_metrics_records(ngx_http_ai_metrics_page_t *page);
static void ngx_http_ai_metrics_edge(ai_buf_t *b);
static void ngx_http_ai_metrics_redis(ai_buf_t *b,
    ngx_http_ai_metrics_page_t *page);
static void ngx_http_ai_metrics_workers(ai_buf_t *b,
    ngx_http_ai_metrics_page_t *page);
static void ngx_http_ai_metrics_name(ai_buf_t *b, ai_str_t field);
static void ngx_http_ai_metrics_head(ai_buf_t *b, const char *name,
    const char *type, const char *help);
static void ngx_http_ai_metrics_one(ai_buf_t *b, const char *name,
    const char *type, const char *help, int64_t value);
static void ngx_http_ai_metrics_histogram(ai_buf_t *b, const char *name,
    const char *help, ngx_http_ai_histogram_t *h);
static void ngx_http_ai_metrics_seconds(ai_buf_t *b, int64_t usec);


ngx_http_ai_metrics_t  *ngx_http_ai_metrics;


/* In µs: from what a cache takes to what a reasoning model does. */

static const uint64_t  ngx_http_ai_bounds[NGX_HTTP_AI_BUCKETS] = {
    250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000,
    1000000, 2500000, 10000000, 60000000, 300000000
};


static const char  *ngx_http_ai_classes[] = {
    "unknown", "1xx", "2xx", "3xx", "4xx", "5xx"
};


static const ngx_http_ai_counter_t  ngx_http_ai_counters[] = {
    { "ngx_ai_streams_total", "Answers given as a stream.",
      offsetof(ngx_http_ai_metrics_t, streams) },
    { "ngx_ai_disconnects_total",
      "Clients that left before their answer ended.",
      offsetof(ngx_http_ai_metrics_t, disconnects) },
    { "ngx_ai_resumed_total", "Streams that a client came back for.",
      offsetof(ngx_http_ai_metrics_t, resumed) },
    { "ngx_ai_log_reads_total", "Reads of a job's event log.",
      offsetof(ngx_http_ai_metrics_t, log_reads) },
    { "ngx_ai_lagging_total", "Times a client was slower than its stream.",
      offsetof(ngx_http_ai_metrics_t, lagging) },
    { "ngx_ai_heartbeats_total", "Heartbeats sent into silent streams.",
      offsetof(ngx_http_ai_metrics_t, heartbeats) },
    { "ngx_ai_request_body_bytes_total", "Bytes of request bodies.",
      offsetof(ngx_http_ai_metrics_t, bytes_in) },
    { "ngx_ai_response_bytes_total", "Bytes of answers.",
      offsetof(ngx_http_ai_metrics_t, bytes_out) },
    { "ngx_ai_principal_hits_total", "Keys found in shared memory.",
      offsetof(ngx_http_ai_metrics_t, principal_hits) },
    { "ngx_ai_principal_misses_total", "Keys not found in shared memory.",
      offsetof(ngx_http_ai_metrics_t, principal_misses) },
    { "ngx_ai_cache_hot_hits_total", "Kept answers given from shared memory.",
      offsetof(ngx_http_ai_metrics_t, cache_hot) },
    { "ngx_ai_cache_hits_total", "Kept answers given from Redis.",
      offsetof(ngx_http_ai_metrics_t, cache_hits) },
    { "ngx_ai_joined_total", "Requests that joined a call under way.",
      offsetof(ngx_http_ai_metrics_t, cache_joined) },
    { "ngx_ai_lookups_refused_total",
      "Unknown keys of addresses that had presented too many.",
      offsetof(ngx_http_ai_metrics_t, lookups_refused) },
    { "ngx_ai_token_hits_total", "JWTs that shared memory knew.",
      offsetof(ngx_http_ai_metrics_t, token_hits) },
    { "ngx_ai_tokens_verified_total", "JWTs whose signature was verified.",
      offsetof(ngx_http_ai_metrics_t, tokens_verified) },
    { "ngx_ai_tokens_refused_total", "JWTs that were refused.",
      offsetof(ngx_http_ai_metrics_t, tokens_refused) },
    { "ngx_ai_redis_errors_total", "Redis commands of edges that failed.",
      offsetof(ngx_http_ai_metrics_t, redis_errors) }
};


/* What the sweeper leaves in Redis; of one name the rows are neighbours. */

static const ngx_http_ai_gauge_t  ngx_http_ai_gauges[NGX_HTTP_AI_GAUGES] = {
    { "slots", "ngx_ai_slots", NULL, "Jobs all living workers take at once." },
    { "held", "ngx_ai_slots_used", NULL, "Slots held by jobs." },
    { "pressure", "ngx_ai_redis_memory_pressure", NULL,
      "Whether Redis is nearly full." },
    { "interactive_jobs", "ngx_ai_waiting_jobs", "interactive",
      "Jobs that wait for a slot." },
    { "batch_jobs", "ngx_ai_waiting_jobs", "batch", NULL },
    { "last_jobs", "ngx_ai_waiting_jobs", "last", NULL },
    { "interactive_tenants", "ngx_ai_waiting_tenants", "interactive",
      "Tenants with jobs that wait for a slot." },
    { "batch_tenants", "ngx_ai_waiting_tenants", "batch", NULL },
    { "last_tenants", "ngx_ai_waiting_tenants", "last", NULL }
};


ngx_int_t
ngx_http_ai_metrics_zone(ngx_conf_t *cf, ngx_http_ai_main_conf_t *amcf)
{
    ngx_str_t  name = ngx_string("ai_metrics");

    amcf->metrics = ngx_shared_memory_add(cf, &name,
                                          ngx_align(sizeof(
                                              ngx_http_ai_metrics_t),
                                              ngx_pagesize) + 8 * ngx_pagesize,
                                          &ngx_http_ai_module);
    if (amcf->metrics == NULL) {
        return NGX_ERROR;
    }

    amcf->metrics->init = ngx_http_ai_metrics_init_zone;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ai_metrics_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t  *shpool;

    if (data == NULL) {
        shpool = (ngx_slab_pool_t *) zone->shm.addr;

        data = zone->shm.exists ? shpool->data
                                : ngx_slab_calloc(shpool,
                                      sizeof(ngx_http_ai_metrics_t));
        if (data == NULL) {
            return NGX_ERROR;
        }

        shpool->data = data;
    }

    zone->data = data;

    return NGX_OK;
}


ngx_int_t
ngx_http_ai_metrics_init_module(ngx_cycle_t *cycle)
{
    ngx_http_ai_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_ai_module);

    ngx_http_ai_metrics = (amcf != NULL && amcf->metrics != NULL)
                          ? amcf->metrics->data : NULL;

    return NGX_OK;
}


void
ngx_http_ai_metrics_init_process(void)
{
    ngx_http_ai_metrics->active[ngx_process_slot] = 0;
}


void
ngx_http_ai_observe(ngx_http_ai_histogram_t *h, uint64_t usec)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_AI_BUCKETS; i++) {
        if (usec <= ngx_http_ai_bounds[i]) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&h->buckets[i], 1);
    (void) ngx_atomic_fetch_add(&h->sum, (ngx_atomic_int_t) usec);
}


void
ngx_http_ai_observe_answer(uint64_t began, uint64_t first, uint64_t ended)
{
    if (ended) {
        ngx_http_ai_observe(&ngx_http_ai_metrics->duration, ended - began);
    }

    if (first) {
        ngx_http_ai_observe(&ngx_http_ai_metrics->ttft, first - began);
    }
}


ngx_int_t
ngx_http_ai_metrics_handler(ngx_http_request_t *r)
{
    char                         keys[3][AI_KEY_MAX];
    ngx_str_t                    argv[3][2];
    ngx_uint_t                   i;
    ngx_http_ai_gather_cmd_t     cmds[3];
    ngx_http_ai_metrics_page_t  *page;

    static const ai_key_e  names[] = { AI_KEY_CAPACITY, AI_KEY_SWEEP,
                                       AI_KEY_OUTBOX };
    static char           *verbs[] = { "HKEYS", "HGETALL", "XLEN" };

    if (r != r->main) {
        return ngx_http_ai_error_subrequest(r, "ai_metrics");
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_http_ai_error_send(r, "method_not_allowed", NULL, 0, -1);
    }

    if (ngx_http_ai_metrics == NULL) {
        return NGX_HTTP_NOT_FOUND;
    }

    page = ngx_pcalloc(r->pool, sizeof(ngx_http_ai_metrics_page_t));
    if (page == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    page->jain = 1000000;
    page->gather.request = r;
    page->gather.reply = ngx_http_ai_metrics_reply;
    page->gather.done = ngx_http_ai_metrics_done;

    for (i = 0; i < 3; i++) {
        argv[i][0].data = (u_char *) verbs[i];
        argv[i][0].len = ngx_strlen(verbs[i]);
        argv[i][1].data = (u_char *) keys[i];
        argv[i][1].len = ai_keys_make(keys[i], AI_KEY_MAX, names[i], 0,
                                      ai_str(""));
        cmds[i].argv = argv[i];
        cmds[i].argc = 2;
    }

    return ngx_http_ai_gather_run(&page->gather, cmds, 3);
}


static void
ngx_http_ai_metrics_reply(ngx_http_ai_gather_t *g, ngx_uint_t i,
    ai_resp_t *reply)
{
    ngx_http_ai_metrics_page_t  *page = (ngx_http_ai_metrics_page_t *) g;

    size_t                         k;
    int64_t                        n;
    ai_resp_t                     *e;
    ngx_http_ai_metrics_worker_t  *w;

    if (reply == NULL) {
        return;
    }

    if (page->second) {

        for (k = 0; reply->type == AI_RESP_ARRAY && k < reply->elements
                    && k < page->nworkers; k++)
        {
            e = &reply->element[k];
            w = &page->workers[k];

            if (e->type == AI_RESP_STRING && e->len <= sizeof(w->record)) {
                ngx_memcpy(w->record, e->str, e->len);
                w->len = e->len;
            }
        }

        return;
    }

    page->up = 1;

    if (i == 2 && reply->type == AI_RESP_INTEGER) {
        page->outbox = reply->integer;
        return;
    }

    if (reply->type != AI_RESP_ARRAY) {
        return;
    }

    if (i == 1) {
        for (k = 0; k + 1 < reply->elements; k += 2) {
            e = &reply->element[k + 1];

            if (reply->element[k].type != AI_RESP_STRING
                || e->type != AI_RESP_STRING
                || ai_str_int((ai_str_t) { e->len, e->str }, &n) != 0)
            {
                continue;
            }

            e = &reply->element[k];
            ngx_http_ai_metrics_sweep(page, (ai_str_t) { e->len, e->str }, n);
        }

        return;
    }

    page->workers = ngx_pcalloc(g->request->pool,
                                ngx_min(reply->elements,
                                        NGX_HTTP_AI_METRICS_WORKERS)
                                * sizeof(ngx_http_ai_metrics_worker_t) + 1);
    if (page->workers == NULL) {
        return;
    }

    for (k = 0; k < reply->elements
                && page->nworkers < NGX_HTTP_AI_METRICS_WORKERS; k++)
    {
        e = &reply->element[k];

        if (e->type == AI_RESP_STRING
            && ai_keys_process_ok((ai_str_t) { e->len, e->str }))
        {
            w = &page->workers[page->nworkers++];
            ngx_memcpy(w->id, e->str, e->len);
            w->id_len = e->len;
        }
    }
}


static void
ngx_http_ai_metrics_sweep(ngx_http_ai_metrics_page_t *page, ai_str_t field,
    int64_t value)
{
    ngx_uint_t  i;

    if (ai_str_eqz(field, "jain")) {
        page->jain = value;
        return;
    }

    for (i = 0; i < NGX_HTTP_AI_GAUGES; i++) {
        if (ai_str_eqz(field, ngx_http_ai_gauges[i].field)) {
            page->sweep[i] = value;
            return;
        }
    }
}


static ngx_int_t
ngx_http_ai_metrics_done(ngx_http_ai_gather_t *g)
{
    ngx_http_ai_metrics_page_t  *page = (ngx_http_ai_metrics_page_t *) g;

    u_char              *p;
    ai_buf_t             b;
    ngx_http_request_t  *r;

    r = g->request;

    if (!page->second && page->nworkers) {
        return ngx_http_ai_metrics_records(page);
    }

    p = ngx_pnalloc(r->pool, NGX_HTTP_AI_METRICS_SIZE);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ai_buf_init(&b, (char *) p, NGX_HTTP_AI_METRICS_SIZE);
    ngx_http_ai_metrics_edge(&b);
    ngx_http_ai_metrics_redis(&b, page);
    ngx_http_ai_metrics_workers(&b, page);

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        r->keepalive = 0;
    }

    r->headers_out.status = NGX_HTTP_OK;

    return ngx_http_ai_send(r, "text/plain; version=0.0.4; charset=utf-8", p,
                            ai_buf_len(&b));
}


static ngx_int_t
ngx_http_ai_metrics_records(ngx_http_ai_metrics_page_t *page)
{
    char                           keys[NGX_HTTP_AI_METRICS_WORKERS]
                                       [AI_KEY_MAX];
    ngx_str_t                      argv[NGX_HTTP_AI_METRICS_WORKERS + 1];
    ngx_uint_t                     i;
    ngx_http_ai_gather_cmd_t       cmd;
    ngx_http_ai_metrics_worker_t  *w;

    page->second = 1;

    ngx_str_set(&argv[0], "MGET");

    for (i = 0; i < page->nworkers; i++) {
        w = &page->workers[i];

        argv[i + 1].data = (u_char *) keys[i];
        argv[i + 1].len = ai_keys_metrics(keys[i], AI_KEY_MAX,
                                          (ai_str_t) { w->id_len,
                                                       (char *) w->id });
    }

    cmd.argv = argv;
    cmd.argc = page->nworkers + 1;

    return ngx_http_ai_gather_run(&page->gather, &cmd, 1);
}


static void
ngx_http_ai_metrics_edge(ai_buf_t *b)
{
    int64_t                       active;
    ngx_uint_t                    i, k;
    const ai_error_t             *e;
    ngx_http_ai_metrics_t        *m;
    const ngx_http_ai_counter_t  *c;

    m = ngx_http_ai_metrics;
    active = 0;

    for (i = 0; i < NGX_MAX_PROCESSES; i++) {
        active += (int64_t) m->active[i];
    }

    ngx_http_ai_metrics_head(b, "ngx_ai_requests_total", "counter",
                             "Requests of API clients by dialect and class "
                             "of status.");

    for (i = 0; i < AI_DIALECT_LAST; i++) {
        for (k = 1; k < 6; k++) {
            ai_buf_add_z(b, "ngx_ai_requests_total{dialect=\"");
            ai_buf_add_z(b, ai_dialect_name(i));
            ai_buf_add_z(b, "\",status=\"");
            ai_buf_add_z(b, ngx_http_ai_classes[k]);
            ai_buf_add_z(b, "\"} ");
            ai_buf_add_int(b, m->requests[i][k]);
            ai_buf_add_z(b, "\n");
        }
    }

    ngx_http_ai_metrics_head(b, "ngx_ai_errors_total", "counter",
                             "Errors the gateway itself made, by cause.");

    for (i = 0; i < NGX_HTTP_AI_ERRORS; i++) {
        e = ai_error_row(i);
        if (e == NULL) {
            break;
        }

        ai_buf_add_z(b, "ngx_ai_errors_total{cause=\"");
        ai_buf_add_z(b, e->cause);
        ai_buf_add_z(b, "\"} ");
        ai_buf_add_int(b, m->errors[i]);
        ai_buf_add_z(b, "\n");
    }

    ngx_http_ai_metrics_one(b, "ngx_ai_active_jobs", "gauge",
                            "Jobs whose answer a client waits for.",
                            active);
    for (i = 0; i < sizeof(ngx_http_ai_counters)
                    / sizeof(ngx_http_ai_counters[0]); i++)
    {
        c = &ngx_http_ai_counters[i];

        ngx_http_ai_metrics_one(b, c->name, "counter", c->help,
                            *(ngx_atomic_t *) ((u_char *) m + c->offset));
    }

    ngx_http_ai_metrics_histogram(b, "ngx_ai_request_duration_seconds",
                                  "From the request to its answer's end.",
                                  &m->duration);
    ngx_http_ai_metrics_histogram(b, "ngx_ai_time_to_first_byte_seconds",
                                  "From the request to its answer's first "
                                  "byte.", &m->ttft);
    ngx_http_ai_metrics_histogram(b, "ngx_ai_queue_time_seconds",
                                  "From admit to the worker's start.",
                                  &m->queue);
}


static void
ngx_http_ai_metrics_redis(ai_buf_t *b, ngx_http_ai_metrics_page_t *page)
{
    ngx_uint_t                  i;
    const ngx_http_ai_gauge_t  *g;

    ngx_http_ai_metrics_one(b, "ngx_ai_redis_up", "gauge",
                            "Whether Redis answers this edge.", page->up);

    if (!page->up) {
        return;
    }

    for (i = 0; i < NGX_HTTP_AI_GAUGES; i++) {
        g = &ngx_http_ai_gauges[i];

        if (g->help != NULL) {
            ngx_http_ai_metrics_head(b, g->name, "gauge", g->help);
        }

        ai_buf_add_z(b, g->name);

        if (g->class != NULL) {
            ai_buf_add_z(b, "{class=\"");
            ai_buf_add_z(b, g->class);
            ai_buf_add_z(b, "\"}");
        }

        ai_buf_add_z(b, " ");
        ai_buf_add_int(b, page->sweep[i]);
        ai_buf_add_z(b, "\n");
    }

    ngx_http_ai_metrics_head(b, "ngx_ai_fairness_jain", "gauge",
                             "Jain's index of the slots tenants had by what "
                             "was due to them.");
    ai_buf_add_z(b, "ngx_ai_fairness_jain ");
    ngx_http_ai_metrics_seconds(b, page->jain);
    ai_buf_add_z(b, "\n");

    ngx_http_ai_metrics_one(b, "ngx_ai_outbox_length", "gauge",
                            "Ledger records on their way to Postgres.",
                            page->outbox);
}


/*
 * All workers' samples of one counter stand together, as the format wants, and
 * only whole counters are shown where the page is full.
 */

static void
ngx_http_ai_metrics_workers(ai_buf_t *b, ngx_http_ai_metrics_page_t *page)
{
    char                           name[AI_RECORD_NAME_MAX + 1], *mark;
    int64_t                        n;
    ngx_uint_t                     i;
    ai_str_t                       record, rest, field, value, same;
    ngx_http_ai_metrics_worker_t  *w, *first;

    first = NULL;

    for (i = 0; i < page->nworkers && first == NULL; i++) {
        if (page->workers[i].len) {
            first = &page->workers[i];
        }
    }

    if (first == NULL) {
        return;
    }

    record = (ai_str_t) { first->len, (char *) first->record };
    rest = record;

    while (!b->full && ai_record_next(&rest, &field, &value) == 1) {

        ngx_memcpy(name, field.data, field.len);
        name[field.len] = '\0';

        /* No name twice, nor one that another is turned into. */

        if (ngx_strstr(name, "_seconds") != NULL
            || ai_record_get(record, name, &same) != 1
            || same.data != value.data)
        {
            continue;
        }

        mark = b->pos;

        ai_buf_add_z(b, "# HELP ");
        ngx_http_ai_metrics_name(b, field);
        ai_buf_add_z(b, " Of a worker process: ");
        ai_buf_add_str(b, field);
        ai_buf_add_z(b, ".\n# TYPE ");
        ngx_http_ai_metrics_name(b, field);
        ai_buf_add_z(b, field.len > 6
                        && ngx_strcmp(name + field.len - 6, "_total") == 0
                        ? " counter\n" : " gauge\n");

        for (i = 0; i < page->nworkers; i++) {
            w = &page->workers[i];

            if (ai_record_get((ai_str_t) { w->len, (char *) w->record }, name,
                              &value) != 1
                || ai_str_int(value, &n) != 0)
            {
                continue;
            }

            ngx_http_ai_metrics_name(b, field);
            ai_buf_add_z(b, "{worker=\"");
            ai_buf_add(b, w->id, w->id_len);
            ai_buf_add_z(b, "\"} ");

            if (ngx_strstr(name, "_usec") != NULL) {
                ngx_http_ai_metrics_seconds(b, n);

            } else {
                ai_buf_add_int(b, n);
            }

            ai_buf_add_z(b, "\n");
        }

        if (b->full) {
            b->pos = mark;
        }
    }
}


/* Prometheus counts in base units: µs fields are shown as seconds. */

static void
ngx_http_ai_metrics_name(ai_buf_t *b, ai_str_t field)
{
    u_char  *usec;

    ai_buf_add_z(b, "ngx_ai_worker_");

    usec = ngx_strnstr((u_char *) field.data, "_usec", field.len);

    if (usec == NULL) {
        ai_buf_add_str(b, field);
        return;
    }

    ai_buf_add(b, field.data, (char *) usec - field.data);
    ai_buf_add_z(b, "_seconds");
    ai_buf_add(b, usec + 5, field.data + field.len - (char *) usec - 5);
}


static void
ngx_http_ai_metrics_head(ai_buf_t *b, const char *name, const char *type,
    const char *help)
{
    ai_buf_add_z(b, "# HELP ");
    ai_buf_add_z(b, name);
    ai_buf_add_z(b, " ");
    ai_buf_add_z(b, help);
    ai_buf_add_z(b, "\n# TYPE ");
    ai_buf_add_z(b, name);
    ai_buf_add_z(b, " ");
    ai_buf_add_z(b, type);
    ai_buf_add_z(b, "\n");
}


static void
ngx_http_ai_metrics_one(ai_buf_t *b, const char *name, const char *type,
    const char *help, int64_t value)
{
    ngx_http_ai_metrics_head(b, name, type, help);
    ai_buf_add_z(b, name);
    ai_buf_add_z(b, " ");
    ai_buf_add_int(b, value);
    ai_buf_add_z(b, "\n");
}


static void
ngx_http_ai_metrics_histogram(ai_buf_t *b, const char *name, const char *help,
    ngx_http_ai_histogram_t *h)
{
    int64_t     count;
    ngx_uint_t  i;

    ngx_http_ai_metrics_head(b, name, "histogram", help);

    count = 0;

    for (i = 0; i <= NGX_HTTP_AI_BUCKETS; i++) {
        count += h->buckets[i];

        ai_buf_add_z(b, name);
        ai_buf_add_z(b, "_bucket{le=\"");

        if (i < NGX_HTTP_AI_BUCKETS) {
            ngx_http_ai_metrics_seconds(b, ngx_http_ai_bounds[i]);

        } else {
            ai_buf_add_z(b, "+Inf");
        }

        ai_buf_add_z(b, "\"} ");
        ai_buf_add_int(b, count);
        ai_buf_add_z(b, "\n");
    }

    ai_buf_add_z(b, name);
    ai_buf_add_z(b, "_sum ");
    ngx_http_ai_metrics_seconds(b, h->sum);
    ai_buf_add_z(b, "\n");
    ai_buf_add_z(b, name);
    ai_buf_add_z(b, "_count ");
    ai_buf_add_int(b, count);
    ai_buf_add_z(b, "\n");
}


static void
ngx_http_ai_metrics_seconds(ai_buf_t *b, int64_t usec)
{
    u_char  text[2 * NGX_INT64_LEN], *last;

    last = ngx_sprintf(text, "%L.%06L", usec / 1000000, usec % 1000000);

    ai_buf_add(b, text, last - text);
}
