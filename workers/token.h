/*
 * Tokens of service accounts: fetched once for all jobs that want one, kept
 * until shortly before they end and renewed before that, while jobs still use
 * the one that is there.  Tokens and keys are wiped and never logged.
 */

#ifndef TOKEN_H
#define TOKEN_H

#include "worker.h"

#define TOKENS_MAX           64         /* accounts of a worker */
#define TOKEN_MAX            8192       /* bytes of one */
#define TOKEN_ANSWER_MAX     (32 * 1024)    /* of an answer with one */
#define TOKEN_FETCH_MSEC     10000      /* and so what a job waits */
#define TOKEN_CONNECT_MSEC   5000
#define TOKEN_EARLY_MSEC     300000     /* it is renewed so long before its end,
                                         * half its life at most */
#define TOKEN_SPARE_MSEC     20000      /* and not used any more, a quarter */
#define TOKEN_RETRY_MSEC     1000       /* after a failure, doubled with each */
#define TOKEN_RETRY_MAX      30000
#define TOKEN_REFUSED_MSEC   5000       /* it is kept so long all the same */
#define TOKEN_IDLE_MSEC      7200000    /* not asked for: it goes */

typedef struct tokens_s  tokens_t;

/* Embedded in a job that waits for one. */
typedef struct token_wait_s  token_wait_t;

struct token_wait_s {
    /* cause NULL: ask again, it is there; else a row of ai_error.h. */
    void           (*done)(void *data, const char *cause);
    void            *data;
    token_wait_t    *next;
    token_wait_t   **prev;      /* NULL: does not wait */
};

/* NULL: no memory.  After http_open. */
tokens_t *tokens_open(worker_t *w);
/* Ends what is under way, waiters are not called; before http_close. */
void tokens_close(tokens_t *ts);
/* After the loop was closed. */
void tokens_free(tokens_t *ts);

/*
 * The token of an account (account.h): 1 and *token, valid in this turn of the
 * loop; 0: wait->done is called, not before this returns; -1 and *cause: there
 * is none now.
 */
int token_get(tokens_t *ts, ai_str_t account, token_wait_t *wait,
    ai_str_t *token, const char **cause);
/* Takes a waiter back. */
void token_forget(token_wait_t *wait);
/* The provider does not take this token: another is fetched for the next. */
void token_refused(tokens_t *ts, ai_str_t account);

#endif
