/*
 * What an answer shows before it says a word: whether an event is one of the
 * greetings with which every dialect begins, whose fault an error inside a
 * 200 is, and when the provider wants to be asked again.  Owns nothing; for
 * any thread.
 */

#ifndef HELLO_H
#define HELLO_H

#include <stdint.h>

#include "ai_str.h"

/*
 * One whole SSE event of any client dialect: 1 where nothing of the answer is
 * in it: a comment, a ping, a first chunk with a role, the start of a message
 * or of an empty block of text.  Whatever is not known says something: 0.
 */
int hello_is(ai_str_t raw);
/* An event, or a body, that is an error: the status that it would have had
 * outside of a 200; 0: it does not say. */
int hello_status(ai_str_t raw);
/* A header of an answer: where it says so, ms until the next try (the longest
 * wins; -1 on entry: none yet), and no_retry. */
void hello_wish(ai_str_t name, ai_str_t value, int64_t *msec,
    unsigned *no_retry);

#endif
