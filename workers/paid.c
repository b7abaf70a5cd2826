/*
 * What the failed calls of a job cost.  Lines are those of a settle: of this
 * attempt's calls as they are, of earlier ones' behind "<attempt> <call> ".
 */

#include "paid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job_in.h"
#include "models.h"
#include "retry.h"


struct paid_s {
    char      *lines;               /* each behind a line end */
    size_t     len;
    unsigned   n;
    unsigned   mine;                /* of these, this attempt's */
    unsigned   asked;               /* replies on their way */
    int64_t    cost;
    unsigned   estimated:1;
};


static int paid_line(job_t *job, ai_str_t line, const ai_usage_t *u);
static void paid_keep(job_t *job, ai_str_t line, unsigned n);
static void paid_on_kept(redis_t *rc, ai_resp_t *reply, void *data);
static void paid_on_asked(redis_t *rc, ai_resp_t *reply, void *data);


void
paid_add(job_t *job, job_t *lane, const char *state)
{
    char        line[AI_USAGE_LINE_MAX];
    ai_buf_t    b;
    ai_str_t    text;
    ai_usage_t  u;

    if (lane->call != NULL) {
        lane->asked = http_sent(lane->call) ? 1 : 0;
    }

    if (lane->done_usec == 0) {
        lane->done_usec = loop_now_usec(&lane->w->loop);
    }

    if (!lane->has_answer || lane->called_usec == 0) {
        return;
    }

    ai_usage_init(&u);
    u.state = (ai_str_t) { strlen(state), state };
    u.status = lane->answer.status != 0 ? lane->answer.status
               : state[0] == 'f' ? 502 : 499;
    u.queue_usec = job->queue_usec;
    u.attempts = lane->calls;
    u.provider = lane->route.provider;
    u.model = lane->route.model;
    u.input = 0;
    u.output = 0;
    u.estimated = 0;

    if (!ai_price_known(&lane->route.price)) {
        models_last(lane->w->models, lane->route.list, lane->route.model,
                    &lane->route.price);
    }

    job_call_usage(lane, &u);

    if (u.input <= 0 && u.output <= 0) {
        return;
    }

    ai_buf_init(&b, line, sizeof(line));
    ai_usage_write(&b, &u);
    text = (ai_str_t) { ai_buf_len(&b), line };

    if (paid_line(job, text, &u) == 0) {
        paid_keep(job, text, job->paid->mine++);

    } else {
        log_job(LOG_ERROR, "paid", job->spec.tenant, job->spec.id,
                "no room for what a call cost: %.*s", (int) text.len, line);
    }
}


static int
paid_line(job_t *job, ai_str_t line, const ai_usage_t *u)
{
    char    *lines;
    paid_t  *p;

    if (job->paid == NULL) {
        job->paid = calloc(1, sizeof(*job->paid));
    }

    p = job->paid;

    if (p == NULL || p->n == PAID_MAX
        || (lines = realloc(p->lines, p->len + 1 + line.len)) == NULL)
    {
        return -1;
    }

    lines[p->len] = '\n';
    memcpy(lines + p->len + 1, line.data, line.len);
    p->lines = lines;
    p->len += 1 + line.len;
    p->cost += u->cost > 0 ? u->cost : 0;
    p->estimated |= u->estimated == 1;
    p->n++;

    return 0;
}


static void
paid_keep(job_t *job, ai_str_t line, unsigned n)
{
    char      attempt[16], number[16];
    ai_str_t  argv[5];

    argv[0] = (ai_str_t) { AI_JOB_ID_LEN, job->id };
    argv[1].data = attempt;
    argv[1].len = (size_t) snprintf(attempt, sizeof(attempt), "%u",
                                    job->attempt);
    argv[2] = (ai_str_t) { strlen(job->w->id), job->w->id };
    argv[3].data = number;
    argv[3].len = (size_t) snprintf(number, sizeof(number), "%u", n);
    argv[4] = line;

    if (redis_script(job->w->redis, AI_SCRIPT_PAY, worker_prefix(job->shard),
                     paid_on_kept, job, 5, argv)
        == 0)
    {
        job->paid->asked++;
        job_ref(job);
    }
}


static void
paid_on_kept(redis_t *rc, ai_resp_t *reply, void *data)
{
    job_t  *job;

    (void) rc;
    (void) reply;

    job = data;
    job->paid->asked--;

    if (job->state == JOB_RETRYING) {
        retry_kick(job);
    }

    job_unref(job);
}


int
paid_kept(const job_t *job)
{
    return job->paid == NULL || job->paid->asked == 0;
}


void
paid_ask(job_t *job)
{
    char      key[AI_KEY_MAX];
    ai_str_t  argv[3];

    if (!job->owing || job->owing_asked) {
        return;
    }

    argv[0] = ai_str("HGET");
    argv[1].data = key;
    argv[1].len = ai_keys_make(key, sizeof(key), AI_KEY_JOB, job->shard,
                               (ai_str_t) { AI_JOB_ID_LEN, job->id });
    argv[2] = ai_str("paid");

    if (redis_command(job->w->redis, paid_on_asked, job, 3, argv) == 0) {
        job->owing_asked = 1;
        job_ref(job);
    }
}


static void
paid_on_asked(redis_t *rc, ai_resp_t *reply, void *data)
{
    job_t  *job;

    (void) rc;

    job = data;
    job->owing_asked = 0;

    if (job->state == JOB_LOADING && reply != NULL) {
        job->owing = 0;
        paid_read(job, redis_str(reply));
        job_loaded(job);
    }

    job_unref(job);
}


void
paid_read(job_t *job, ai_str_t text)
{
    size_t       i;
    int64_t      attempt;
    ai_str_t     line, usage;
    ai_usage_t   u;
    const char  *end, *blank;

    while (text.len != 0) {
        end = memchr(text.data, '\n', text.len);
        line.data = text.data;
        line.len = end != NULL ? (size_t) (end - text.data) : text.len;
        text.data += line.len + (end != NULL);
        text.len -= line.len + (end != NULL);

        usage = line;
        attempt = 0;

        for (i = 0; i < 2; i++) {
            blank = memchr(usage.data, ' ', usage.len);

            if (blank == NULL
                || (i == 0
                    && ai_str_int((ai_str_t) { (size_t) (blank - usage.data),
                                               usage.data }, &attempt) != 0))
            {
                break;
            }

            usage.len -= (size_t) (blank + 1 - usage.data);
            usage.data = blank + 1;
        }

        if (i == 2 && attempt > 0 && attempt < (int64_t) job->attempt
            && line.len < AI_USAGE_LINE_MAX + 32
            && ai_usage_parse(usage, &u) == 0)
        {
            paid_line(job, line, &u);
        }
    }
}


void
paid_usage(const job_t *job, ai_usage_t *u, ai_buf_t *b)
{
    const paid_t  *p;

    p = job->paid;

    if (p == NULL || p->lines == NULL) {
        return;
    }

    ai_buf_add(b, p->lines, p->len);
    ai_buf_add_z(b, "\n");
    ai_usage_write(b, u);

    if (u->cost >= 0) {
        u->cost += p->cost;
    }

    if (p->estimated) {
        u->estimated = 1;
    }
}


void
paid_free(job_t *job)
{
    if (job->paid != NULL) {
        free(job->paid->lines);
        free(job->paid);
        job->paid = NULL;
    }
}
