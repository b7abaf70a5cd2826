/*
 * Counters of a worker process as a record.  Owns nothing.
 */

#include "metrics.h"

#include "ai_record.h"


void
metrics_write(ai_buf_t *b, const metrics_t *m)
{
#define METRICS_ADD(name, gauge)  ai_record_add_int(b, #name, m->name);
    METRICS_LIST(METRICS_ADD)
#undef METRICS_ADD
}
