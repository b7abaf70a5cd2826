/*
 * Signatures of jobs and catalogs, and the jobs that began here.  Owns the
 * keys and the table.
 */

#include "sign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"


typedef struct {
    uint64_t  bits;             /* of its id */
    uint64_t  settled_msec:56;  /* 0: not yet */
    uint64_t  begins:8;         /* 0: nobody's place */
    uint32_t  next;             /* of its chain */
} sign_job_t;

/* Places are taken in turn, so that only as many jobs that begin as there are
 * places push one out.  Numbers of places are from 1; 0: none. */
typedef struct {
    sign_job_t  jobs[SIGN_JOBS];
    uint32_t    chains[SIGN_JOBS];
    uint32_t    oldest;         /* from 0 */
} sign_table_t;


static uint64_t sign_bits(ai_str_t id);
static sign_job_t *sign_find(uint64_t bits);
static const char *sign_why(int ok);
static sign_job_t *sign_add(uint64_t bits);
static const char *sign_again(ai_str_t id, uint64_t wall_msec);


static struct {
    int            on;          /* read by other threads, set before them */
    ai_sign_t     *keys;
    sign_table_t  *table;
} sign;


int
sign_open(const char *file)
{
    int          fd;
    char         text[AI_SIGN_FILE_MAX + 1];
    ssize_t      n;
    ai_sign_t   *keys;
    const char  *why;

    if (file == NULL) {
        return 0;
    }

    keys = NULL;
    fd = open(file, O_RDONLY|O_CLOEXEC|O_NONBLOCK);
    n = fd == -1 ? -1 : read(fd, text, sizeof(text));
    why = n == -1 ? strerror(errno) : "it is over 8192 bytes long";

    if (fd != -1) {
        close(fd);
    }

    if (n >= 0 && n <= AI_SIGN_FILE_MAX) {
        keys = ai_sign_open((ai_str_t) { (size_t) n, text }, &why);
    }

    ai_wipe(text, sizeof(text));

    if (keys != NULL && sign.table == NULL) {
        sign.table = calloc(1, sizeof(*sign.table));

        if (sign.table == NULL) {
            ai_sign_close(keys);
            keys = NULL;
            why = "no memory";
        }
    }

    if (keys == NULL) {
        log_write(LOG_ERROR, "sign", "%s is no file of keys: %s", file, why);
        return -1;
    }

    ai_sign_close(sign.keys);
    sign.keys = keys;

    if (!sign.on) {
        sign.on = 1;
    }

    return 0;
}


void
sign_close(void)
{
    ai_sign_close(sign.keys);
    free(sign.table);
    memset(&sign, 0, sizeof(sign));
}


const char *
sign_refused(const ai_delivery_t *d, const ai_job_t *job, uint64_t wall_msec)
{
    uint64_t  at, most;

    if (sign.keys == NULL) {
        return NULL;
    }

    switch (ai_sign_spec_ok(sign.keys, d->spec)) {

    case 1:
        break;

    case 0:
        return "its signature is none of our keys'";

    default:
        return "it is not signed (has its edge a \"sign=\" in ai_redis?)";
    }

    if (job->digest.len == 0) {
        return "its signature does not cover its body";
    }

    if (d->cause.len != 0) {
        return NULL;
    }

    at = ai_id_job_msec(job->id);
    most = job->background ? SIGN_AGE_BACKGROUND_MSEC : SIGN_AGE_MSEC;

    if (at + most < wall_msec || wall_msec + most < at) {
        return "its time is too far from the time here";
    }

    return sign_again(job->id, wall_msec);
}


/* Whoever can write to Redis can have it handed over again. */

static const char *
sign_again(ai_str_t id, uint64_t wall_msec)
{
    uint64_t     bits;
    sign_job_t  *job;

    bits = sign_bits(id);
    job = sign_find(bits);

    if (job == NULL) {
        job = sign_add(bits);
    }

    if (job->settled_msec != 0
        && wall_msec > job->settled_msec + SIGN_SETTLED_MSEC)
    {
        return "it was ended here before";
    }

    if (job->begins == SIGN_BEGINS_MAX) {
        return "it has begun here too often";
    }

    job->begins++;

    return NULL;
}


/* Whoever can write to Redis has jobs settled by ids of his choice: those make
 * no place here. */

void
sign_settled(ai_str_t id, uint64_t wall_msec)
{
    sign_job_t  *job;

    if (sign.keys == NULL) {
        return;
    }

    job = sign_find(sign_bits(id));

    if (job != NULL && job->settled_msec == 0) {
        job->settled_msec = wall_msec;
    }
}


/* Nobody without a key chooses the id of a job that begins: its last bits are
 * as good as a hash. */

static uint64_t
sign_bits(ai_str_t id)
{
    char      digit;
    size_t    i;
    uint64_t  bits;

    for (i = id.len - 16, bits = 0; i < id.len; i++) {
        digit = id.data[i];
        bits = bits << 4 | (uint64_t) (digit <= '9' ? digit - '0'
                                                    : digit - 'a' + 10);
    }

    return bits;
}


static sign_job_t *
sign_find(uint64_t bits)
{
    uint32_t     place;
    sign_job_t  *job;

    for (place = sign.table->chains[bits % SIGN_JOBS];
         place != 0;
         place = job->next)
    {
        job = &sign.table->jobs[place - 1];

        if (job->bits == bits) {
            return job;
        }
    }

    return NULL;
}


static sign_job_t *
sign_add(uint64_t bits)
{
    uint32_t       place, *p;
    sign_job_t    *job;
    sign_table_t  *table;

    table = sign.table;
    job = &table->jobs[table->oldest];
    place = ++table->oldest;
    table->oldest %= SIGN_JOBS;

    if (job->begins != 0) {
        p = &table->chains[job->bits % SIGN_JOBS];

        while (*p != place) {
            p = &table->jobs[*p - 1].next;
        }

        *p = job->next;
    }

    p = &table->chains[bits % SIGN_JOBS];

    memset(job, 0, sizeof(*job));
    job->bits = bits;
    job->next = *p;
    *p = place;

    return job;
}


int
sign_body_ok(const ai_job_t *job, ai_str_t body)
{
    char  hex[AI_SHA256_HEX];

    return !sign.on
           || (job->digest.len == AI_SHA256_HEX
               && ai_sha256_hex(hex, body) == 0
               && ai_equal_ct(hex, job->digest.data, sizeof(hex)));
}


int
sign_jwks(ai_str_t name, ai_str_t text, char line[AI_SIGN_CATALOG_ADDS])
{
    return sign.keys == NULL ? 0
           : ai_sign_jwks(sign.keys, name, text, line) == 0 ? 1 : -1;
}


int
sign_models(ai_str_t name, ai_str_t text, char line[AI_SIGN_CATALOG_ADDS])
{
    return sign.keys == NULL ? 0
           : ai_sign_models(sign.keys, name, text, line) == 0 ? 1 : -1;
}


int
sign_principal(ai_str_t name, const ai_str_t values[AI_SIGN_FIELDS],
    char mac[AI_SHA256_HEX])
{
    return sign.keys == NULL ? 0
           : ai_sign_principal(sign.keys, name, values, mac) == 0 ? 1 : -1;
}


const char *
sign_catalog_refused(ai_str_t name, ai_str_t mac)
{
    return sign.keys == NULL ? NULL
           : sign_why(ai_sign_catalog_ok(sign.keys, name, mac));
}


const char *
sign_models_refused(ai_str_t name, ai_str_t text, ai_str_t mac)
{
    return sign.keys == NULL ? NULL
           : sign_why(ai_sign_models_ok(sign.keys, name, text, mac));
}


static const char *
sign_why(int ok)
{
    switch (ok) {

    case 1:
        return NULL;

    case 0:
        return "its signature is none of our keys'";

    default:
        return "it is not signed";
    }
}
