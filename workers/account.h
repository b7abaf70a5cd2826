/*
 * A service account's key file, as Google's console gives it, and what it is
 * traded for a token with (RFC 7523).  Nothing of it is ever logged.
 */

#ifndef ACCOUNT_H
#define ACCOUNT_H

#include "ai_str.h"

#define ACCOUNT_URL_MAX   512       /* of where tokens are fetched */
#define ACCOUNT_BODY_MAX  16384     /* of the request for one */
#define ACCOUNT_LIFE_SEC  3600      /* that is asked for */

/* Whether a key is such a file, and no token itself. */
int account_is(ai_str_t key);
/*
 * Whether a key that a tenant brought may be used: 0 for an account whose
 * tokens would be fetched elsewhere than at Google, for it would have us call
 * whatever we can reach.
 */
int account_own_ok(ai_str_t key);

/*
 * Where this account's tokens are fetched, and the request's body, signed now
 * (Unix s): its length; 0: it is no account, or its key is none.  Takes a
 * millisecond or two.  The body is a secret: the caller wipes it.
 */
size_t account_request(ai_str_t key, int64_t now, char url[ACCOUNT_URL_MAX],
    char body[ACCOUNT_BODY_MAX]);

#endif
