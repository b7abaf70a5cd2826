/*
 * What the failed calls of a job cost.  The lines belong to its retry_t.
 */

#include "models.h"
#include "retry_in.h"

#include <stdlib.h>
#include <string.h>


void
retry_pay(job_t *job, job_t *lane, const char *state)
{
    char        *lines, line[AI_USAGE_LINE_MAX];
    ai_buf_t     b;
    retry_t     *r;
    ai_usage_t   u;

    r = job->retry;

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
    lines = realloc(r->lines, r->lines_len + 1 + ai_buf_len(&b));

    if (lines == NULL) {
        log_job(LOG_ERROR, "retry", job->spec.tenant, job->spec.id,
                "no memory for what a call cost: %.*s", (int) ai_buf_len(&b),
                line);
        return;
    }

    lines[r->lines_len] = '\n';
    memcpy(lines + r->lines_len + 1, line, ai_buf_len(&b));
    r->lines = lines;
    r->lines_len += 1 + ai_buf_len(&b);
    r->cost += u.cost > 0 ? u.cost : 0;
    r->estimated |= u.estimated == 1;
}


void
retry_usage(const job_t *job, ai_usage_t *u, ai_buf_t *b)
{
    const retry_t  *r;

    r = job->retry;

    if (r == NULL || r->lines == NULL) {
        return;
    }

    ai_buf_add(b, r->lines, r->lines_len);
    ai_buf_add_z(b, "\n");
    ai_usage_write(b, u);

    if (u->cost >= 0) {
        u->cost += r->cost;
    }

    if (r->estimated) {
        u->estimated = 1;
    }
}
