/*
 * Whether a job and a catalog come from an edge (docs/wire.md, 12), whether
 * a job may begin once more, and signatures of what is for edges.  The keys
 * are the process's; without them everything is good.  For the loop's thread.
 */

#ifndef SIGN_H
#define SIGN_H

#include "ai_delivery.h"
#include "ai_job.h"
#include "ai_sign.h"

/* Times a process begins a job, which has three attempts and may be spared
 * three times. */
#define SIGN_BEGINS_MAX    8
/* After that long nobody gives a job again that was settled: Redis loses 2 s,
 * workers repeat what they said within 3. */
#define SIGN_SETTLED_MSEC  10000
/* How far a job's id, which is its time, may be from the clock here. */
#define SIGN_AGE_MSEC      (3 * 3600 * 1000)
#define SIGN_AGE_BACKGROUND_MSEC  (48 * 3600 * 1000)
/* The last jobs begun are remembered, as many: 2 MB a process. */
#define SIGN_JOBS          65536

/* The keys of a file; NULL: none, ever.  0, or -1 after a line in the log: then
 * those from before are kept. */
int sign_open(const char *file);
void sign_close(void);

/* NULL: the delivery, whose spec is job, is as an edge signed it and may begin
 * or, where it has a cause, end; else why not, in static memory. */
const char *sign_refused(const ai_delivery_t *d, const ai_job_t *job,
    uint64_t wall_msec);
/* The same for what its spec says of the body; for any thread. */
int sign_body_ok(const ai_job_t *job, ai_str_t body);
/* The job was settled here. */
void sign_settled(ai_str_t id, uint64_t wall_msec);

/* Signs a JWKS, a list of models, and a principal, as ai_sign_* do: 1, and line
 * or mac is filled; 0 where there are no keys; -1 where OpenSSL fails. */
int sign_jwks(ai_str_t name, ai_str_t text, char line[AI_SIGN_CATALOG_ADDS]);
int sign_models(ai_str_t name, ai_str_t text,
    char line[AI_SIGN_CATALOG_ADDS]);
int sign_principal(ai_str_t name, const ai_str_t values[AI_SIGN_FIELDS],
    char mac[AI_SHA256_HEX]);

/* NULL, or why the catalog of that name is none of ours. */
const char *sign_catalog_refused(ai_str_t name, ai_str_t mac);
/* The same of a list of models. */
const char *sign_models_refused(ai_str_t name, ai_str_t text, ai_str_t mac);

#endif
