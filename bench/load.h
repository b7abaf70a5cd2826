/*
 * What the parts of the load generator share.
 * load.c owns targets and process groups, a run (load_run.c) its connections.
 */

#ifndef LOAD_H
#define LOAD_H


#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>


#define LOAD_MAX_TARGETS   16
#define LOAD_MAX_CONNS     20000
#define LOAD_MAX_HEADERS   4096                /* of one request, bytes */
#define LOAD_MAX_BODY      (32 * 1024 * 1024)
#define LOAD_MAX_GROUPS    16
#define LOAD_MAX_PIDS      256                 /* of one group */
#define LOAD_MAX_ROUNDS    100
#define LOAD_MAX_KEYS      (16 * 1024 * 1024)  /* bytes of their file */
#define LOAD_LINE          1024                /* the rest of a line is lost */
#define LOAD_NAME          32

/* ~RECEIVED.SEQUENCE.SENT~ in hex: what the mock puts into its content */
#define LOAD_MARK_LEN      44

#define LOAD_SUB_BITS      7
#define LOAD_HIST_SLOTS    ((64 - LOAD_SUB_BITS) << LOAD_SUB_BITS)


/* Nanoseconds; a slot is at most 1/128 of its value wide. */

typedef struct {
    uint64_t      n;
    uint64_t      max;
    uint32_t      slots[LOAD_HIST_SLOTS];
} load_hist_t;


typedef struct {
    char                     name[LOAD_NAME];
    char                     host[128];
    char                     path[512];
    char                     model[128];
    char                     headers[LOAD_MAX_HEADERS];
    char                    *body_file;
    size_t                   body_bytes;   /* of the prompt, 0: short */
    struct sockaddr_storage  addr;
    socklen_t                addr_len;
    char                    *request;
    size_t                   request_len;
    size_t                   serial_at;    /* 16 digits to replace; 0: none */
    char                    *keys;         /* nkeys of key_len bytes each */
    size_t                   nkeys;        /* 0: no Authorization of ours */
    size_t                   key_len;
    size_t                   key_at;       /* always before serial_at */
    size_t                   key_next;
    unsigned                 stream:1;
    unsigned                 include_usage:1;
    unsigned                 get:1;
    unsigned                 close:1;      /* a connection a request */
    unsigned                 unique:1;
    int                      status;       /* to be answered; 0: 2xx */
} load_target_t;


typedef struct {
    uint64_t      requests;      /* answered as expected, whole */
    uint64_t      status_errors; /* answered otherwise, whole */
    uint64_t      broken;        /* refused, cut off, reset, not HTTP */
    uint64_t      timeouts;
    uint64_t      unended;       /* streams without their end marker */
    uint64_t      stream_errors; /* streams with an error in them */
    uint64_t      chunks;        /* marks seen */
    uint64_t      gaps;          /* marks out of sequence */
    uint64_t      short_streams; /* other than the expected number of chunks */
    uint64_t      bytes;
    int           last_status;   /* the last one that was not 2xx */
    load_hist_t   latency;       /* request sent .. answer complete */
    load_hist_t   ttft;          /* request sent .. first chunk */
    load_hist_t   added_ttft;    /* less what the mock took */
    load_hist_t   delay;         /* chunk sent by the mock .. received */
    load_hist_t   interval;      /* between the chunks of a stream */
} load_result_t;


typedef enum {
    LOAD_IDLE = 0,
    LOAD_CONNECTING,
    LOAD_SENDING,
    LOAD_HEAD,
    LOAD_BODY
} load_state_e;


typedef struct {
    load_target_t  *target;
    load_result_t  *result;
    uint64_t        start_ns;    /* the request began to be sent */
    uint64_t        retry_ns;    /* when idle: start then; 0: never */
    uint64_t        chunk_ns;    /* when the last one came */
    uint64_t        left;        /* of the body, or of a chunk of it */
    const char     *key;         /* of this request; NULL: none */
    size_t          sent;
    size_t          line_len;
    uint32_t        chunks;
    int             fd;
    int             status;
    load_state_e    state;
    unsigned        chunk_step:3;
    unsigned        chunked:1;
    unsigned        length:1;    /* Content-Length was there */
    unsigned        close:1;
    unsigned        out:1;       /* watched for EPOLLOUT */
    unsigned        first_line:1;
    unsigned        ended:1;
    unsigned        failed:1;
    char            serial[17];
    char            line[LOAD_LINE];
} load_conn_t;


typedef enum {
    LOAD_LATENCY,
    LOAD_THROUGHPUT,
    LOAD_STREAMS
} load_mode_e;


typedef struct {
    char          name[LOAD_NAME];
    pid_t         root;
    unsigned      npids;
    pid_t         pids[LOAD_MAX_PIDS];
    uint64_t      ticks[LOAD_MAX_PIDS];
    uint64_t      cpu_us;        /* between load_procs_begin and _end */
    uint64_t      rss_kb;        /* sum over the group, at the sample */
    uint64_t      pss_kb;        /* the same, shared pages counted once */
    unsigned      sampled;       /* processes */
} load_group_t;


typedef struct {
    load_mode_e     mode;
    unsigned        conns;
    unsigned        ntargets;
    load_target_t  *targets;     /* latency: all; otherwise one */
    load_result_t  *results;     /* one a target */
    uint64_t        requests;    /* latency: of each target */
    uint64_t        warmup;
    uint32_t        expect;      /* chunks of a stream; 0: any number */
    double          seconds;
    double          ramp;        /* the first starts are spread over it */
    double          timeout;     /* of one request */
    double          pause;       /* latency: before every turn, seconds */
    double          sample;      /* when groups are sampled; 0: half-way */
    unsigned        open;        /* out: answers under way at the sample */
    double          elapsed;     /* out */
    load_group_t   *groups;
    unsigned        ngroups;
} load_run_t;


/* load_target.c */

/* "NAME=URL", URL "http://HOST:PORT/PATH" or "http://unix:SOCKET:/PATH". */
int load_target_parse(load_target_t *t, const char *s);

/* A file of keys of one length, one a line; -1 after a message. */
int load_target_keys(load_target_t *t, const char *name);

/* Builds t->request; -1 after a message. */
int load_target_build(load_target_t *t);


/* load_conn.c */

/* Starts a request, connecting first where needed; -1: it failed already. */
int load_conn_start(load_conn_t *c, int epoll, uint64_t serial);

/*
 * After an event of epoll: 1 when the request has ended, well or not
 * (counted in c->result, c->failed set), 0 when there is more to come.
 */
int load_conn_event(load_conn_t *c, int epoll, uint32_t events,
    uint32_t expect);

/* Ends what is under way without counting it. */
void load_conn_close(load_conn_t *c);

uint64_t load_now(void);


/* load_run.c */

/* 0, or -1 after a message. */
int load_run(load_run_t *run);


/* load_hist.c */

void load_hist_add(load_hist_t *h, uint64_t ns);

/* An upper bound of the q-quantile (0 .. 1), in microseconds. */
double load_hist_us(const load_hist_t *h, double q);


/* load_procs.c */

/* "NAME=PID": the process and all that descend from it. */
int load_group_parse(load_group_t *g, const char *s);

void load_procs_begin(load_group_t *g, unsigned n);
void load_procs_sample(load_group_t *g, unsigned n);
void load_procs_end(load_group_t *g, unsigned n);


#endif /* LOAD_H */
