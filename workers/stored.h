/*
 * Responses that are kept in Postgres: what a request says of state, the
 * responses it stands on, and what it was answered.
 *
 * A stores_t owns the connection of a worker process, a stored_t what is kept
 * of one job; all calls happen in the loop's thread.
 */

#ifndef STORED_H
#define STORED_H

#include "db.h"
#include "worker.h"

#define STORED_ID_MAX     129           /* bytes of an id, with its zero */
#define STORED_ID_CHARS   "ABCDEFGHIJKLMNOPQRSTUVWXYZ" \
                          "abcdefghijklmnopqrstuvwxyz0123456789_-"
#define STORED_MAX        (16 * 1024 * 1024)    /* of a response; a larger one
                                                 * is not stored */
#define STORED_CHAIN_MAX  1000          /* responses one may stand on, */
#define STORED_BYTES_MAX  (32 * 1024 * 1024)    /* and their bytes */
#define STORED_DAYS       30
#define STORED_CONVERSATIONS  100000    /* of a tenant, about */
#define STORED_ITEMS      10000         /* of a conversation, */
#define STORED_ITEMS_BYTES  (16 * 1024 * 1024)  /* and their bytes; the last
                                                 * response may go beyond */
#define STORED_NAME_MSEC  "21600000"    /* a provider's id leads to the job */
#define STORED_TIME_MSEC  3000          /* for Postgres to answer */
#define STORES_AWAY_MSEC  2000          /* to be there again */
#define STORES_WAIT_MAX   256           /* queries that wait for that */
#define STORES_BYTES_MAX  (64 * 1024 * 1024)    /* of queries without an
                                                 * answer */
#define STORES_PARAMS     12

struct job_s;

typedef struct stores_s  stores_t;
typedef struct stored_s  stored_t;

/* NULL: no memory. */
stores_t *stores_open(worker_t *w);
void stores_close(stores_t *s);
/* As db_query, of at most STORES_PARAMS texts; waits for a connection that is
 * just being made. */
int stores_query(stores_t *s, db_result_pt cb, void *data, const char *sql,
    int nparams, const char *const *params);
/* 1: there is a connection. */
int stores_ready(const stores_t *s);
/* 1: Postgres has been away for longer than a query waits. */
int stores_away(const stores_t *s);
/* 0: there is no Postgres at all, nor will be. */
int stores_any(const stores_t *s);
/* What could not be stored yet (parked.h). */
struct parked_s *stores_parked(const stores_t *s);

/* What a job's body says of state, as job->response: 0; -1 no memory.  It is a
 * valid text. */
int stored_open(struct job_s *job);
void stored_free(stored_t *s);
/* Whether this is one of our ids: resp_ and what a job has. */
int stored_ours(ai_str_t id);

/* It must be made whole, or is in the background: then it cannot pass as it is
 * to a provider of Responses. */
int stored_bound(const stored_t *s, int same);
/* Asks for what it stands on: 1, and job_expanded(job, rc) follows; 0: nothing;
 * -1: it has failed. */
int stored_expand(struct job_s *job);
/* The key under which Redis knows the job of a response that is not named
 * after it: its length. */
size_t stored_key(const struct job_s *job, ai_str_t id, char *key,
    size_t size);
/* One event of a stream, or a part of it. */
void stored_bytes(stored_t *s, ai_str_t bytes);
/* The answer is whole (whole: where it was an object) and goes to Postgres: 1,
 * and job_stored(job) follows; 0: nothing is to be stored. */
int stored_put(struct job_s *job, ai_str_t whole);

/* Whose responses a job may see: zero-ended, of static memory. */
const char *stored_owner(const struct job_s *job);

/* Jobs that only read or change state (op responses_read, responses_write, and
 * the same of conversations): begins it, and it ends by itself.  0: it is none
 * of these. */
int state_begin(struct job_s *job);
/* Ends one so, from JOB_PREPARING; where: a Location, or NULL. */
void state_answer(struct job_s *job, int status, ai_str_t text,
    const char *where);
/* The same of /v1/conversations. */
void conversation_begin(struct job_s *job);

#endif
