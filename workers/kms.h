/*
 * A program that keeps a master key for us: it wraps data keys and unwraps
 * them.  The contract (docs/operations.md) is
 *
 *     PROGRAM [ARG...] wrap|unwrap
 *
 * standard input two lines, what the key is of and base64; standard output one
 * line of base64; exit code 0.  It is called as its words say, by no shell, and
 * may take KMS_MSEC; then it is killed with all that it started.
 *
 * For any thread, which it blocks.  Owns nothing.
 */

#ifndef KMS_H
#define KMS_H

#include "ai_str.h"

#define KMS_MSEC      5000
#define KMS_WORDS     16            /* program and arguments */
#define KMS_TEXT_MAX  1024          /* of the words */
#define KMS_DATA_MAX  4096          /* bytes in and out, before base64 */
#define KMS_WHY_MAX   160

/* Whether the words name a program by its absolute path: 1 or 0. */
int kms_ok(const char *words);
/*
 * Runs it.  0, and *len bytes in out[KMS_DATA_MAX]; or -1 and why
 * [KMS_WHY_MAX], which holds nothing of what went in or came out.
 */
int kms_run(const char *words, const char *verb, ai_str_t of, ai_str_t in,
    unsigned char *out, size_t *len, char *why);
/* Ends what runs, now and from now on: the process is about to end. */
void kms_stop(void);

#endif
