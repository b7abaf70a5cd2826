/*
 * Who speaks with a job's provider: a dialect of its own, or, where the client
 * speaks another, a translation.  The job owns its translate_t.
 */

#include "job_in.h"
#include "retry.h"
#include "stored.h"

#include <string.h>
#include <strings.h>


#define JOB_OP_MAX  32


static const dialect_t *job_client(const job_t *job);
static int job_fits(const dialect_t *client, const dialect_t *provider);
static int job_official(const job_t *job);
static ai_str_t job_version(const job_t *job);


/* Who speaks with its target, and through what. */

int
job_dress(job_t *job)
{
    const struct stored_s  *response;

    if (ai_str_eqz(job->route.api, "echo")) {

        /* It says no more dialects than two. */

        if (job->dialect == AI_DIALECT_OPENAI
            || job->dialect == AI_DIALECT_ANTHROPIC)
        {
            job->provider = provider_of(job->dialect);

            if (provider_same(job->provider, job->dialect, job->spec.op)) {
                return 0;
            }
        }

        job->provider = &provider_openai;

        return job_translate(job);
    }

    job->provider = provider_for(job->route.api, job->spec.op);
    response = job->parent != NULL ? job->parent->response : job->response;

    return job->provider != NULL
           && provider_same(job->provider, job->dialect, job->spec.op)
           && (response == NULL || !stored_bound(response, 1))
           ? 0 : job_translate(job);
}


int
job_translate(job_t *job)
{
    const dialect_t   *client, *provider;
    translate_call_t   call;

    client = job_client(job);
    provider = job->provider == NULL ? NULL
               : dialect_find(job->provider->speaks != NULL
                              ? job->provider->speaks : job->provider->api);

    if (client == NULL || provider == NULL || client->read_request == NULL
        || provider->write_request == NULL
        || !job_fits(client, provider))
    {
        if (retry_failed(job, RETRY_UNFIT)) {
            return -1;
        }

        if (ai_str_eqz(job->spec.op, "count_tokens") && !job->spec.strict) {
            job->estimate = 1;
            job->provider = &provider_anthropic_count;
            return 0;
        }

        job_fail(job, "bad_request",
                 "This model does not speak the API of this endpoint.");
        return -1;
    }

    memset(&call, 0, sizeof(call));
    call.client = client;
    call.provider = provider;
    call.model = job->route.model;
    call.version = job_version(job);
    call.job = (ai_str_t) { AI_JOB_ID_LEN, job->id };
    call.now = (int64_t) (loop_wall_usec() / 1000000);
    call.stream = job->spec.stream;
    call.usage = job->spec.usage_asked;
    call.ask_usage = job->route.stream_usage;
    call.official = job_official(job);
    call.strict = job->spec.strict;

    translate_close(job->translate);
    job->translate = translate_open(&call);

    if (job->translate == NULL) {
        job_fail(job, "internal", NULL);
        return -1;
    }

    return 0;
}


/* An operation that is none of its dialect's own turns has its own. */

static const dialect_t *
job_client(const job_t *job)
{
    char      op[JOB_OP_MAX];
    ai_buf_t  b;

    ai_buf_init(&b, op, sizeof(op) - 1);
    ai_buf_add_str(&b, job->spec.op);
    *b.pos = '\0';

    return ai_str_eqz(job->spec.op, "embeddings")
           || ai_str_eqz(job->spec.op, "completions")
           || ai_str_eqz(job->spec.op, "count_tokens")
           ? dialect_find(op) : dialect_find(ai_dialect_name(job->dialect));
}


static int
job_fits(const dialect_t *client, const dialect_t *provider)
{
    return client->task == NULL || provider->task == NULL
           ? client->task == provider->task
           : strcmp(client->task, provider->task) == 0;
}


/* What the provider's header of a version is set to. */

static ai_str_t
job_version(const job_t *job)
{
    size_t         i, len;
    const char    *z, *own;
    const json_t  *item;

    own = job->provider->version;

    if (own == NULL) {
        return ai_str("");
    }

    len = (size_t) (strchr(own, ':') + 1 - own);

    json_array_foreach(json_object_get(job->route.conf, "headers"), i, item) {
        z = json_string_value(item);

        if (z != NULL && strncasecmp(z, own, len) == 0) {
            z += len + strspn(z + len, " ");
            return (ai_str_t) { strlen(z), z };
        }
    }

    return ai_str("");
}


/* Whether it is the maker of the dialect, who knows all of it and nothing
 * else. */

static int
job_official(const job_t *job)
{
    char      url[CATALOG_URL_MAX];
    ai_str_t  base;

    if (ai_str_eqz(job->route.api, "azure")) {
        return 1;
    }

    if (catalog_url(&job->route, url) != 0) {
        return 0;
    }

    base = (ai_str_t) { strlen(url), url };

    return provider_has(base, "://api.openai.com")
           || provider_has(base, ".openai.azure.com")
           || provider_has(base, "://api.anthropic.com");
}
