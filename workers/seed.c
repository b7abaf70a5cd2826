/*
 * Seeding counters.  Owns the connection, the questions at hand and a timer.
 */

#include "seed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ai_crypto.h"
#include "ai_limit.h"
#include "ai_record.h"
#include "db.h"


#define SEED_ENTRY_MAX   48             /* bytes of a stream's id */
#define SEED_ARRAY_MAX   32768          /* bytes of a parameter */
#define SEED_TICKET_MAX  64

#define SEED_SQL                                                              \
    "SELECT place, used FROM ngxai.used($1, $2::text[], $3::timestamptz[],"   \
    " $4::timestamptz[], $5::text[], $6::text[])"


typedef struct seed_s  seed_t;

typedef struct {
    ai_str_t   name;            /* as the counter is called */
    ai_str_t   value;
    char       kind;
    char       window;
    ai_level_e level;
    int64_t    sum;
} seed_counter_t;

/* look (until the outbox has no more of the tenant) -> ask -> set */
struct seed_s {
    seeds_t        *seeds;
    seed_t         *next;
    char            sha[AI_SHA256_HEX];
    char            entry[SEED_ENTRY_MAX];
    char            edge[AI_PROCESS_ID_MAX + 1];
    char           *text;       /* the question; its strings borrow from it */
    ai_str_t        tenant;
    unsigned        ncounters;
    seed_counter_t  counters[AI_LIMIT_LINES];
    char            ticket[SEED_TICKET_MAX];
    int64_t         day;
    int64_t         month;
    uint64_t        since_msec;
    unsigned        tries;
    unsigned        busy:1;     /* a command or query is out */
    unsigned        ready:1;    /* ticket, day and month are there */
    unsigned        gone:1;     /* freed by the reply that is out */
};

struct seeds_s {
    worker_t       *w;
    db_t           *db;         /* NULL: not asked yet, or no Postgres */
    uv_timer_t      timer;
    seed_t         *list;
    unsigned        n;
    unsigned        refs;       /* timer, and questions that wait for Redis */
    unsigned        closing:1;
};


static void seeds_on_timer(uv_timer_t *handle);
static void seeds_on_closed(uv_handle_t *handle);
static void seeds_release(seeds_t *s);
static seed_t *seed_parse(ai_str_t question);
static void seed_free(seed_t *q);
static void seed_step(seed_t *q);
static void seed_look(seed_t *q);
static int seed_replied(seed_t *q);
static void seed_refused(const ai_resp_t *reply);
static void seed_on_look(redis_t *rc, ai_resp_t *reply, void *data);
static void seed_ask(seed_t *q);
static int seed_array(char **p, char *end, const seed_t *q, unsigned what,
    const char **array);
static void seed_time(char *buf, size_t size, const seed_t *q, char window,
    int next);
static void seed_on_sums(db_t *db, const PGresult *res, void *data);
static void seed_set(seed_t *q);
static void seed_on_set(redis_t *rc, ai_resp_t *reply, void *data);
static int seed_over(seed_t *q);
static void seed_answer(seed_t *q, const char *status);
static void seeds_tell(seeds_t *s, ai_str_t sha, ai_str_t edge,
    ai_str_t entry, const char *status);


seeds_t *
seeds_open(worker_t *w)
{
    seeds_t  *s;

    s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }

    s->w = w;
    s->refs = 1;
    uv_timer_init(&w->loop.uv, &s->timer);
    s->timer.data = s;

    return s;
}


int
seeds_idle(const seeds_t *s)
{
    return s->n == 0;
}


void
seeds_close(seeds_t *s)
{
    seed_t  *q;

    s->closing = 1;

    if (s->db) {
        db_close(s->db);
    }

    while ((q = s->list) != NULL) {
        s->list = q->next;

        if (q->busy) {
            q->gone = 1;

        } else {
            seed_free(q);
        }
    }

    uv_close((uv_handle_t *) &s->timer, seeds_on_closed);
}


static void
seeds_on_closed(uv_handle_t *handle)
{
    seeds_release(handle->data);
}


static void
seeds_release(seeds_t *s)
{
    if (--s->refs == 0) {
        free(s);
    }
}


void
seeds_entry(seeds_t *s, ai_str_t entry, ai_str_t question, ai_str_t edge)
{
    char     sha[AI_SHA256_HEX];
    seed_t  *q;

    if (entry.len >= SEED_ENTRY_MAX || s->closing) {
        return;
    }

    if (!ai_keys_process_ok(edge) || ai_sha256_hex(sha, question) != 0) {
        log_write(LOG_WARN, "seed", "an entry of %s is malformed",
                  AI_LOOKUP_KEY);
        seeds_tell(s, ai_str(""), edge, entry, NULL);
        return;
    }

    q = s->w->opt->postgres && s->n < SEED_MAX ? seed_parse(question) : NULL;

    if (q == NULL) {
        log_write(LOG_WARN, "seed", "a question is refused: %s",
                  !s->w->opt->postgres ? "no --postgres"
                  : s->n < SEED_MAX ? "it is malformed" : "there are too many");
        seeds_tell(s, (ai_str_t) { AI_SHA256_HEX, sha }, edge, entry, "down");
        return;
    }

    memcpy(q->sha, sha, AI_SHA256_HEX);
    memcpy(q->entry, entry.data, entry.len);
    memcpy(q->edge, edge.data, edge.len);
    q->seeds = s;
    q->since_msec = uv_now(&s->w->loop.uv);
    q->next = s->list;
    s->list = q;

    if (s->n++ == 0) {
        uv_timer_start(&s->timer, seeds_on_timer, SEED_POLL_MSEC,
                       SEED_POLL_MSEC);
    }

    if (s->db == NULL) {
        s->db = db_open(&s->w->loop, s->w->opt->postgres, "seed", NULL, NULL);
    }

    seed_step(q);
}


static seed_t *
seed_parse(ai_str_t question)
{
    int              rc;
    seed_t          *q;
    ai_str_t         rest, name, value;
    seed_counter_t  *c;

    q = calloc(1, sizeof(*q));
    if (q == NULL) {
        return NULL;
    }

    q->text = malloc(question.len + 1);

    if (q->text == NULL || question.len > AI_LIMIT_SEED_MAX) {
        seed_free(q);
        return NULL;
    }

    memcpy(q->text, question.data, question.len);
    rest = (ai_str_t) { question.len, q->text };
    c = NULL;

    while ((rc = ai_record_next(&rest, &name, &value)) == 1) {

        if (ai_str_eqz(name, "tenant")) {
            q->tenant = value;

        } else if (ai_str_eqz(name, "counter")) {

            if (q->ncounters == AI_LIMIT_LINES) {
                rc = -1;
                break;
            }

            c = &q->counters[q->ncounters++];
            c->name = value;

            if (ai_limit_counter(value, &c->kind, &c->window, &c->level) != 0) {
                rc = -1;
                break;
            }

        } else if (ai_str_eqz(name, "value") && c != NULL) {

            if (memchr(value.data, '\0', value.len)) {
                rc = -1;
                break;
            }

            c->value = value;
        }
    }

    if (rc != 0 || q->ncounters == 0 || !ai_keys_tenant_ok(q->tenant)) {
        seed_free(q);
        return NULL;
    }

    return q;
}


static void
seed_free(seed_t *q)
{
    free(q->text);
    free(q);
}


static void
seeds_on_timer(uv_timer_t *handle)
{
    seed_t   *q, *next;
    seeds_t  *s;

    s = handle->data;

    for (q = s->list; q != NULL; q = next) {
        next = q->next;

        if (!q->busy) {
            seed_step(q);
        }
    }
}


/* What it waits for, if that can be now; it may be gone then. */

static void
seed_step(seed_t *q)
{
    if (seed_over(q)) {
        return;
    }

    if (q->ready) {
        seed_ask(q);

    } else {
        seed_look(q);
    }
}


/* 1 where its time has passed, and it is gone. */

static int
seed_over(seed_t *q)
{
    seeds_t   *s;
    uint64_t   now;

    s = q->seeds;
    now = uv_now(&s->w->loop.uv);

    if (now - q->since_msec < SEED_AWAY_MSEC
        || (s->db && db_ready(s->db)
            && now - q->since_msec < SEED_TIME_MSEC))
    {
        return 0;
    }

    log_write(LOG_WARN, "seed", "tenant %.*s: what it has used is not known",
              (int) q->tenant.len, q->tenant.data);
    seed_answer(q, "down");

    return 1;
}


static void
seed_look(seed_t *q)
{
    seeds_t  *s;

    s = q->seeds;

    if (redis_script(s->w->redis, AI_SCRIPT_SEED,
                     worker_prefix(ai_keys_shard(q->tenant, s->w->shards)),
                     seed_on_look, q, 1, &q->tenant)
        == 0)
    {
        q->busy = 1;
        s->refs++;
    }
}


/* The reply is in: whether it is still wanted. */

static int
seed_replied(seed_t *q)
{
    seeds_t  *s;

    s = q->seeds;
    q->busy = 0;

    if (q->gone) {
        seed_free(q);
        seeds_release(s);
        return -1;
    }

    /* the timer's is left */

    s->refs--;

    return 0;
}


static void
seed_refused(const ai_resp_t *reply)
{
    static log_again_t  again;

    if (reply && reply->type == AI_RESP_ERROR) {
        log_again(&again, LOG_ERROR, "seed", "%s", reply->str);
    }
}


static void
seed_on_look(redis_t *rc, ai_resp_t *reply, void *data)
{
    seed_t    *q;
    ai_str_t   ticket;

    (void) rc;

    q = data;

    if (seed_replied(q) != 0) {
        return;
    }

    if (!redis_word(reply, "READY")) {
        seed_refused(reply);
        return;
    }

    ticket = redis_str(redis_item(reply, 1));

    if (ticket.len >= SEED_TICKET_MAX
        || ai_str_int(redis_str(redis_item(reply, 2)), &q->day) != 0
        || ai_str_int(redis_str(redis_item(reply, 3)), &q->month) != 0)
    {
        return;
    }

    memcpy(q->ticket, ticket.data, ticket.len);
    q->ticket[ticket.len] = '\0';
    q->ready = 1;

    seed_ask(q);
}


static void
seed_ask(seed_t *q)
{
    char        *mem, *p, *end, tenant[AI_TENANT_MAX + 1];
    seeds_t     *s;
    unsigned     i;
    uint64_t     spent;
    const char  *params[6];

    s = q->seeds;

    if (s->db == NULL || !db_ready(s->db)) {
        return;
    }

    mem = malloc(SEED_ARRAY_MAX);
    if (mem == NULL) {
        return;
    }

    memcpy(tenant, q->tenant.data, q->tenant.len);
    tenant[q->tenant.len] = '\0';
    params[0] = tenant;
    p = mem;
    end = mem + SEED_ARRAY_MAX;

    for (i = 1; i < 6; i++) {
        if (seed_array(&p, end, q, i, &params[i]) != 0) {
            free(mem);
            seed_answer(q, "down");
            return;
        }
    }

    spent = uv_now(&s->w->loop.uv) - q->since_msec;

    if (spent < SEED_TIME_MSEC
        && db_query(s->db, (unsigned) (SEED_TIME_MSEC - spent), seed_on_sums,
                    q, SEED_SQL, 6, params)
           == 0)
    {
        q->busy = 1;
        s->refs++;
    }

    free(mem);
}


/* One array of Postgres' text: what is 1 to 5 as the parameters stand. */

static int
seed_array(char **p, char *end, const seed_t *q, unsigned what,
    const char **array)
{
    char                   text[32];
    char                  *o;
    size_t                 i;
    unsigned               k;
    ai_str_t               v;
    const char            *name;
    const seed_counter_t  *c;

    o = *p;
    *array = o;

    if (end - o < 3) {
        return -1;
    }

    *o++ = '{';

    for (k = 0; k < q->ncounters; k++) {
        c = &q->counters[k];

        switch (what) {

        case 1:
            v = (ai_str_t) { 1, &c->kind };
            break;

        case 2:
        case 3:
            seed_time(text, sizeof(text), q, c->window, what == 3);
            v = (ai_str_t) { strlen(text), text };
            break;

        case 4:
            name = ai_level_name(c->level);
            v = (ai_str_t) { strlen(name), name };
            break;

        default:
            v = c->value;
        }

        if ((size_t) (end - o) < 2 * v.len + 6) {
            return -1;
        }

        if (k > 0) {
            *o++ = ',';
        }

        *o++ = '"';

        for (i = 0; i < v.len; i++) {
            if (v.data[i] == '"' || v.data[i] == '\\') {
                *o++ = '\\';
            }

            *o++ = v.data[i];
        }

        *o++ = '"';
    }

    *o++ = '}';
    *o++ = '\0';
    *p = o;

    return 0;
}


/* When its window began, or the next one begins. */

static void
seed_time(char *buf, size_t size, const seed_t *q, char window, int next)
{
    time_t     sec;
    int64_t    month;
    struct tm  tm;

    if (window == 'd') {
        sec = (time_t) (q->day + next) * 86400;
        memset(&tm, 0, sizeof(tm));
        gmtime_r(&sec, &tm);
        strftime(buf, size, "%Y-%m-%d 00:00:00+00", &tm);
        return;
    }

    month = q->month + next;
    (void) snprintf(buf, size, "%04d-%02d-01 00:00:00+00",
                    (int) (month / 12 % 10000), (int) (month % 12) + 1);
}


static void
seed_on_sums(db_t *db, const PGresult *res, void *data)
{
    int        i;
    seed_t    *q;
    int64_t    place, used;
    const char *text[2];

    (void) db;

    q = data;

    if (seed_replied(q) != 0) {
        return;
    }

    if (res == NULL) {
        return;
    }

    if (PQresultStatus(res) != PGRES_TUPLES_OK
        || PQntuples(res) != (int) q->ncounters)
    {
        log_write(LOG_ERROR, "seed", "%s %s", db_sqlstate(res),
                  PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
        seed_answer(q, "down");
        return;
    }

    for (i = 0; i < PQntuples(res); i++) {
        text[0] = PQgetvalue(res, i, 0);
        text[1] = PQgetvalue(res, i, 1);

        if (ai_str_int((ai_str_t) { strlen(text[0]), text[0] }, &place) != 0
            || ai_str_int((ai_str_t) { strlen(text[1]), text[1] }, &used) != 0
            || place < 1 || place > (int64_t) q->ncounters || used < 0)
        {
            seed_answer(q, "down");
            return;
        }

        q->counters[place - 1].sum = used;
    }

    seed_set(q);
}


static void
seed_set(seed_t *q)
{
    char      numbers[2 + AI_LIMIT_LINES][24];
    seeds_t  *s;
    ai_str_t  argv[5 + 2 * AI_LIMIT_LINES];
    unsigned  i, n;

    s = q->seeds;
    n = 0;

    argv[n++] = q->tenant;
    argv[n++] = (ai_str_t) { strlen(q->ticket), q->ticket };
    argv[n].data = numbers[0];
    argv[n++].len = (size_t) snprintf(numbers[0], sizeof(numbers[0]), "%lld",
                                      (long long) q->day);
    argv[n].data = numbers[1];
    argv[n++].len = (size_t) snprintf(numbers[1], sizeof(numbers[1]), "%lld",
                                      (long long) q->month);
    argv[n++] = q->tries >= SEED_TRIES ? ai_str("1") : ai_str("0");

    for (i = 0; i < q->ncounters; i++) {
        argv[n++] = q->counters[i].name;
        argv[n].data = numbers[2 + i];
        argv[n++].len = (size_t) snprintf(numbers[2 + i],
                                          sizeof(numbers[2 + i]), "%lld",
                                          (long long) q->counters[i].sum);
    }

    q->ready = 0;

    if (redis_script(s->w->redis, AI_SCRIPT_SEED,
                     worker_prefix(ai_keys_shard(q->tenant, s->w->shards)),
                     seed_on_set, q, n, argv)
        == 0)
    {
        q->busy = 1;
        s->refs++;
    }
}


static void
seed_on_set(redis_t *rc, ai_resp_t *reply, void *data)
{
    seed_t  *q;

    (void) rc;

    q = data;

    if (seed_replied(q) != 0) {
        return;
    }

    if (redis_word(reply, "OK")) {

        if (q->tries >= SEED_TRIES) {
            log_write(LOG_INFO, "seed", "tenant %.*s has calls that a limit "
                      "of it does not count", (int) q->tenant.len,
                      q->tenant.data);
        }

        seed_answer(q, "ok");
        return;
    }

    seed_refused(reply);
    q->tries++;
}


static void
seed_answer(seed_t *q, const char *status)
{
    seed_t   **p;
    seeds_t   *s;

    s = q->seeds;

    for (p = &s->list; *p != q; p = &(*p)->next) { /* void */ }

    *p = q->next;

    if (--s->n == 0) {
        uv_timer_stop(&s->timer);
    }

    seeds_tell(s, (ai_str_t) { AI_SHA256_HEX, q->sha },
               (ai_str_t) { strlen(q->edge), q->edge },
               (ai_str_t) { strlen(q->entry), q->entry }, status);
    seed_free(q);
}


static void
seeds_tell(seeds_t *s, ai_str_t sha, ai_str_t edge, ai_str_t entry,
    const char *status)
{
    char      channel[AI_KEY_MAX], bell[AI_SHA256_HEX + 16];
    redis_t  *rc;
    ai_buf_t  b;

    rc = s->w->redis;

    if (status != NULL
        && ai_keys_make(channel, sizeof(channel), AI_KEY_EDGE_CHANNEL, 0, edge)
           != 0)
    {
        ai_buf_init(&b, bell, sizeof(bell));
        ai_buf_add_z(&b, "S");
        ai_buf_add_str(&b, sha);
        ai_buf_add_z(&b, " ");
        ai_buf_add_z(&b, status);
        ai_buf_add_z(&b, "\n");

        (void) redis_commandf(rc, NULL, NULL, "PUBLISH %s %b", channel,
                              (ai_str_t) { ai_buf_len(&b), bell });
    }

    (void) redis_commandf(rc, NULL, NULL, "XACK %s %s %b", AI_LOOKUP_KEY,
                          AI_GROUP_WORKERS, entry);
    (void) redis_commandf(rc, NULL, NULL, "XDEL %s %b", AI_LOOKUP_KEY, entry);
}
