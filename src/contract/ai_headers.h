/*
 * Which headers pass: one table a dialect, in and out, and what never does
 * (hop-by-hop, RFC 9110 7.6.1; cookies; credentials).  Constant tables; any
 * thread may call.  Names are compared without regard to case.
 *
 * content-type is in no table: edge and worker each make their own of it.
 */

#ifndef AI_HEADERS_H
#define AI_HEADERS_H

#include "ai_error.h"

#define AI_HEADER_NAME_MAX   64
#define AI_HEADER_VALUE_MAX  8192

/*
 * A client's request header that goes to the provider: 1 or 0.  What passes
 * changes the answer or names the call.  What does not, and why:
 * openai-organization, openai-project: the provider's key is the operator's,
 * and so is the account that is charged; user-agent, x-stainless-*, x-app:
 * they describe the client's machine; accept: the worker knows what it reads.
 * ai_forward_header adds to it.
 */
int ai_headers_in(ai_dialect_e d, ai_str_t name);
/*
 * A provider's answer header that goes to the client: what its SDKs read, and
 * the ids its support asks for.  openai-organization and
 * anthropic-organization-id name the operator's account, cf-ray and the like
 * the provider's network: they stay.
 */
int ai_headers_out(ai_dialect_e d, ai_str_t name);
/*
 * One that no directive may let pass, in either direction: 1 or 0.  Also 1 for
 * what is no header name at all.
 */
int ai_headers_never(ai_str_t name);
/* One of ours (x-ai-*) that a worker's head says: 1 or 0. */
int ai_headers_said(ai_str_t name);
/*
 * 1 if name is a token (RFC 9110, 5.6.2) of 1 to AI_HEADER_NAME_MAX bytes and
 * value at most AI_HEADER_VALUE_MAX bytes without control characters but tab,
 * and without a space or tab at its ends.  Bytes above 0x7F are allowed.
 */
int ai_headers_valid(ai_str_t name, ai_str_t value);
/*
 * Cuts a "name: value" line of a record: 0, or -1 where it is none or not
 * valid by the above.  name and value borrow from line.
 */
int ai_headers_split(ai_str_t line, ai_str_t *name, ai_str_t *value);
/*
 * Appends the query arguments that pass, in order, each at most once, joined
 * by "&"; nothing where none does.  query is without its "?".
 */
void ai_headers_query(ai_buf_t *b, ai_dialect_e d, ai_str_t query);

#define AI_HEADER_LIST_MAX   1024

/*
 * Lists of names as a job's spec carries them: separated by one space.
 *
 * ai_headers_list_ok: 1 if every name is a token that may pass and the whole
 * has at most AI_HEADER_LIST_MAX bytes; the empty list is.
 * ai_headers_listed: 1 if name is in the list, whatever its case.
 */
int ai_headers_list_ok(ai_str_t list);
int ai_headers_listed(ai_str_t list, ai_str_t name);

#endif
