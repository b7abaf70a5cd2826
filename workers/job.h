/*
 * A job in a worker: its states and what it holds in each.  The jobs_t owns
 * all jobs; a job lives until it has ended and its last callback is back.
 *
 * Bounds of one job: its request (as the edge let it in, kept until the
 * provider has it, or, where another may be asked, until the first word), what
 * its hedge holds, EMIT_HIGH_BYTES unacknowledged and what one read brings,
 * EMIT_KEEP_BYTES kept, one SSE event or ANSWER_USAGE_MAX of a body.
 */

#ifndef JOB_H
#define JOB_H

#include "ai_delivery.h"
#include "answer.h"
#include "catalog.h"
#include "emit.h"
#include "http.h"
#include "own.h"
#include "target.h"
#include "token.h"
#include "translate.h"

#define JOB_LOOP_MAX  (64 * 1024)   /* larger texts are parsed elsewhere */
#define JOB_TRANSLATE_MAX  (16 * 1024)  /* and requests that are translated:
                                         * calls of results are looked for */
#define JOB_CLOSE_MSEC  50      /* for a provider to end a complete stream, */
#define JOB_ERROR_MSEC  1000    /* or one that had an error */

/* A state is a list of jobs_t; a job is in one. */
typedef enum {
    JOB_CLAIMING = 0,           /* held, but what it is must be asked for */
    JOB_LOADING,                /* body and catalog are on their way */
    JOB_PREPARING,              /* its request is being edited */
    JOB_RETRYING,               /* a call failed; the next one is due */
    JOB_CALLING,                /* the provider is asked */
    JOB_READING,                /* the answer's usage is being read */
    JOB_RECALLING,              /* what an earlier attempt said is being read */
    JOB_ENDING,                 /* settle is to be sent or answered */
    JOB_DEAD,                   /* waits for its last callback */
    JOB_STATES
} job_state_e;

typedef struct jobs_s  jobs_t;
typedef struct job_s  job_t;
typedef struct call_s  call_t;
typedef struct echo_s  echo_t;
typedef struct recall_s  recall_t;
typedef struct retry_s  retry_t;
typedef struct paid_s  paid_t;
struct stored_s;

struct job_s {
    jobs_t           *jobs;
    worker_t         *w;
    job_t            *next;
    job_t           **prev;
    job_t            *hash_next;
    job_state_e       state;
    unsigned          refs;     /* callbacks on their way */

    char              id[AI_JOB_ID_LEN + 1];
    unsigned          shard;
    uint32_t          attempt;

    char             *delivery; /* spec, body and times lie in it */
    ai_resp_t        *stored;   /* a body over 8 KB */
    char             *text;     /* or one in pieces, bytes long */
    size_t            bytes;
    unsigned          pieces;   /* 0: it is whole */
    unsigned          piece;    /* those that are here */
    job_t            *body_next;
    job_t           **body_prev;    /* NULL: not in bodies_t */
    ai_job_t          spec;
    ai_str_t          body;
    ai_str_t          at_usec;
    int64_t           queue_usec;

    catalog_wait_t    wait;
    catalog_t        *catalog;
    route_t           route;
    target_t         *target;   /* of a call that is measured */
    const provider_t *provider;
    ai_dialect_e      dialect;  /* the client's */
    uv_work_t         work;
    char             *request;  /* the edited body, NULL: body */
    size_t            request_len;
    int               request_added;
    int               request_rc;
    int               forged;   /* body is not what the spec says, */
    int               checked;  /* or is: both are a thread's to write */
    translate_t      *translate;    /* NULL: bytes pass */
    struct stored_s  *response; /* of op responses (stored.h) */
    char             *expanded; /* its body, made whole (body.h), */
    size_t            expanded_size;    /* and what that takes */

    emit_t           *emit;
    answer_t          answer;
    provider_usage_t  read;     /* of a whole answer, while it is read */
    http_call_t      *call;
    token_wait_t      token;    /* before it, of providers that need one */
    own_wait_t        own;      /* and of tenants that may have keys */
    echo_t           *echo;
    recall_t         *recall;
    retry_t          *retry;    /* NULL: no call has failed */
    paid_t           *paid;     /* NULL: nothing that failed costs */
    job_t            *hedge;    /* its second call, until that is freed */
    job_t            *parent;   /* this is one, of that job */
    unsigned          calls;    /* of providers, in this attempt */
    unsigned          key;      /* which of the provider's */
    uint64_t          permit;   /* to try an open breaker, 0: none */
    unsigned          retry_after;  /* s, of its end; 0: as always */
    const char       *refusal;  /* cause, of a spec that was not taken */
    const char       *ending;   /* of claim's END, or where unended */
    const char       *ending_state;
    const char       *ending_message;
    struct curl_slist *headers;

    uint64_t          deadline_msec;    /* of the whole job, 0: none */
    uint64_t          owned_usec;       /* it was known to be this worker's */
    uint64_t          heard_msec;       /* the provider, last */
    uint64_t          began_usec;       /* its first call */
    uint64_t          called_usec;
    uint64_t          first_usec;
    uint64_t          token_usec;       /* the first, where it is measured */
    uint64_t          rate_msec;        /* its bytes are counted since, */
    uint64_t          rate_bytes;       /* those it had then */
    uint64_t          done_usec;
    size_t            guess;            /* bytes, of a count's estimate */

    unsigned          refused:1;        /* its claim; said once */
    unsigned          unended:1;        /* no memory for its end so far, or no
                                         * list of prices */
    unsigned          counted:1;        /* its end, in the metrics */
    unsigned          waiting:1;        /* for claim's or GET's reply */
    unsigned          has_body:1;
    unsigned          owing:1;          /* for what earlier attempts paid */
    unsigned          owing_asked:1;
    unsigned          has_answer:1;     /* answer is initialised */
    unsigned          shed:1;           /* request and body are let go */
    unsigned          noted:1;          /* how this call went */
    unsigned          hedged:1;         /* once */
    unsigned          awaits:1;         /* what its hedge says is being read */
    unsigned          ever_called:1;
    unsigned          asked:1;          /* the provider had all of a request
                                         * that it did not answer in full */
    unsigned          unknown:1;        /* what earlier attempts used */
    unsigned          paused:1;
    unsigned          estimate:1;       /* its count is one; nobody is asked */
    unsigned          cancelled:1;
    unsigned          left:1;           /* leave was sent for a dead edge */
    unsigned          own_asked:1;      /* its tenant's keys, before the first
                                         * call */
    unsigned          own_away:1;       /* and nobody knows of any */
    unsigned          own_key:1;        /* an earlier attempt called with one */
};

/* NULL: no memory. */
jobs_t *jobs_open(worker_t *w);
/* All jobs are gone without a word: bye sends them elsewhere. */
void jobs_close(jobs_t *jobs);
/* After the loop has run out. */
void jobs_free(jobs_t *jobs);

/* A delivery, which points into text, which is the job's now: begins it, unless
 * this attempt is here already.  An older one ends without a word.  sure: it is
 * this worker's still; else, and where it had the job before, that is asked
 * first. */
void jobs_deliver(jobs_t *jobs, unsigned shard, char *text,
    const ai_delivery_t *d, int sure);
/* The worker holds this job: asks for it where it is not here. */
void jobs_found(jobs_t *jobs, unsigned shard, ai_str_t id, ai_str_t tenant);
/* Those that hold a slot; those of one shard. */
unsigned jobs_count(const jobs_t *jobs);
unsigned jobs_held(const jobs_t *jobs, unsigned shard);
/* Redis is there again: what waits for it goes on, cancels are read. */
void jobs_ready(jobs_t *jobs);
/* It may have lost its last seconds: what is kept of each job goes again. */
void jobs_restarted(jobs_t *jobs);
/* The worker's bell: X. */
void jobs_cancel(jobs_t *jobs, ai_str_t id, ai_str_t reason);
/* End of the drain: what has emitted ends as lost, the rest is let go. */
void jobs_abort(jobs_t *jobs);
/* Edges that live, of one shard: jobs of others are left (leave). */
void jobs_edges(jobs_t *jobs, unsigned shard, const ai_str_t *edges,
    unsigned n);

/* For body.c, call.c and echo.c. */

/* Holds a job through a stretch of code that may end it. */
void job_ref(job_t *job);
void job_unref(job_t *job);

/* Its client speaks another dialect than its provider: 0, or -1: it has
 * failed. */
int job_translate(job_t *job);

/* Whether the job is this worker's for sure: 1, or 0: that is asked, and to be
 * tried again.  Who slept may have lost it. */
int job_ours(job_t *job);
/* Begins a call of job->route, whatever was called before; fails by itself. */
void job_try(job_t *job);
/* What the last call took, and what it costs; u has its defaults. */
void job_call_usage(const job_t *job, ai_usage_t *u);

/* Fails with an x event; message NULL: the table's.  state is 'failed'. */
void job_fail(job_t *job, const char *cause, const char *message);
/* Its body is not what its edge signed. */
void job_forged(job_t *job);
/* The provider's answer is whole. */
void job_done(job_t *job);
/* A stream has said its last event, or an error, and the provider has not
 * closed it yet. */
int job_complete(const job_t *job);
/* Bytes of the answer: 0, or -1: the job has ended. */
int job_bytes(job_t *job, ai_str_t bytes);

/* What follows its bytes: 0, or -1: the job has ended. */
int job_flow(job_t *job);
/* Its answer has been read. */
void job_whole(job_t *job);
/* For stored.c: the body stands for itself now; the response is stored, or
 * cannot be. */
void job_expanded(job_t *job);
void job_stored(job_t *job);

/* Begins the provider call of a prepared job; fails the job by itself. */
void call_begin(job_t *job);
/* Ends it at once, if there is one. */
void call_abort(job_t *job);
void call_pause(job_t *job);
void call_resume(job_t *job);

/* Whether its target has no way to count, so that it is not asked. */
int job_estimates(const job_t *job);
/* A count that is an estimate.  count_prepare makes it, for any thread: 0, -1
 * it has too many members, -2 no memory; then the job is answered by it. */
int count_prepare(job_t *job);
void count_begin(job_t *job);

/* The built-in provider.  echo_prepare finds what to say, for any thread: 0,
 * -1 it cannot be read, -2 no memory. */
int echo_prepare(job_t *job);
int echo_begin(job_t *job);
void echo_abort(job_t *job);
void echo_resume(job_t *job);

#endif
