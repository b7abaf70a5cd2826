/*
 * From a job's events to the client: their order (ngx_http_ai_events.c), what
 * they do (ngx_http_ai_take.c), the output with its back-pressure
 * (ngx_http_ai_stream.c), and answers that are sent whole
 * (ngx_http_ai_answer.c).  Events are only taken in where they
 * come from; output and the end of the request happen in a posted event, once
 * a turn of the event loop.
 */

#ifndef NGX_HTTP_AI_STREAM_H
#define NGX_HTTP_AI_STREAM_H

#include "ngx_http_ai_open.h"


/* No sign of life for so long: the log is read. */
#define NGX_HTTP_AI_SILENCE        5000
/* An attempt that Redis has lost is asked for again, and given up after. */
#define NGX_HTTP_AI_REWOUND_AGAIN  500
#define NGX_HTTP_AI_REWOUND_MAX    10000
/* The log could not be read for so long: the answer ends. */
#define NGX_HTTP_AI_DOWN_MAX       30000
/* Entries of the log a read, at most. */
#define NGX_HTTP_AI_READ_MAX       32
#define NGX_HTTP_AI_READ_FIRST     4
/* Bytes of such a read over which the next asks for fewer. */
#define NGX_HTTP_AI_READ_BYTES     (256 * 1024)
/* An answer is collected up to this, to be sent with its length. */
#define NGX_HTTP_AI_WHOLE_MAX      (256 * 1024)
/* The same for one that becomes an SSE event. */
#define NGX_HTTP_AI_WRAP_MAX       (1024 * 1024)


/* Events, from the bell. */
void ngx_http_ai_events_frames(ngx_http_ai_open_t *open, ai_str_t frames);
/* Reads on from the log; once more, if it is being read. */
void ngx_http_ai_events_read(ngx_http_ai_open_t *open);
/* The rest of the log is wanted yet, by a client that is slow. */
void ngx_http_ai_events_keep(ngx_http_ai_open_t *open);

/* One event that is next in order: NGX_OK, or NGX_AGAIN where there was no
 * room for all of it: then the log is read when there is. */
ngx_int_t ngx_http_ai_take_event(ngx_http_ai_open_t *open, ai_event_t *ev);
/* Copies as much as the buffers take; returns how much that was. */
size_t ngx_http_ai_take_bytes(ngx_http_ai_open_t *open, const char *data,
    size_t len);
/* One link behind what is filled. */
void ngx_http_ai_take_chain(ngx_http_ai_open_t *open, ngx_chain_t *cl);

/* For ngx_http_ai_open(): events and timer, nothing is armed. */
void ngx_http_ai_stream_init(ngx_http_ai_open_t *open);
/* The request waits from now on: for aborts, for the timer. */
void ngx_http_ai_stream_wait(ngx_http_ai_open_t *open);
/* The bell works again. */
void ngx_http_ai_stream_subscribed(ngx_http_ai_open_t *open);
/* Output, or the end, at the end of this turn. */
void ngx_http_ai_stream_post(ngx_http_ai_open_t *open);
/* Ends the answer with an error; status 0 and retry_after -1: the table's. */
void ngx_http_ai_stream_fail(ngx_http_ai_open_t *open, const char *cause,
    ngx_uint_t status, time_t retry_after);
/* The same, with what ai_redis_error says. */
void ngx_http_ai_stream_redis_error(ngx_http_ai_open_t *open);
/* The timer's next run, not later than msec from now. */
void ngx_http_ai_stream_timer(ngx_http_ai_open_t *open, ngx_msec_t msec);

/* Collects: NGX_OK, NGX_DECLINED over the bound, NGX_ERROR without memory. */
ngx_int_t ngx_http_ai_answer_take(ngx_http_ai_open_t *open, ai_str_t data);
/* What was collected is dropped. */
void ngx_http_ai_answer_drop(ngx_http_ai_open_t *open);
/* Turns what was collected into one SSE event in open->out; of an answer that
 * ends with an error it is a part, and has neither id nor name. */
ngx_int_t ngx_http_ai_answer_wrap(ngx_http_ai_open_t *open);

/* The job's spec and ledger base, valid until the next call: NGX_OK, or
 * NGX_DECLINED where the request has more than a spec can hold. */
ngx_int_t ngx_http_ai_spec(ngx_http_ai_open_t *open, ngx_str_t *spec,
    ngx_str_t *base);

/* A header of a head's record, "name: value", to the answer. */
ngx_int_t ngx_http_ai_take_header(ngx_http_request_t *r, ai_str_t line);
/* Whether a request header passes to the provider. */
ngx_uint_t ngx_http_ai_spec_header(ngx_http_ai_loc_conf_t *conf,
    ai_dialect_e dialect, ngx_table_elt_t *h);
/* The ledger base alone; as above. */
ngx_int_t ngx_http_ai_spec_base(ngx_http_ai_ctx_t *ctx, ngx_str_t *base);


#endif /* NGX_HTTP_AI_STREAM_H */
