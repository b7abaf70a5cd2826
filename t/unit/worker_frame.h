/*
 * A frame of AWS' event streams, made from nothing of workers/: a CRC bit by
 * bit.  For unit tests, fuzz targets and the benchmark; owns nothing.
 */

#ifndef WORKER_FRAME_H
#define WORKER_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FRAME_HEADERS_MAX  512      /* of frame_headers */


static inline uint32_t
frame_crc(const char *p, size_t len)
{
    int       i;
    uint32_t  crc;

    for (crc = ~0u; len != 0; len--) {
        crc ^= (unsigned char) *p++;

        for (i = 0; i < 8; i++) {
            crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
        }
    }

    return ~crc;
}


static inline void
frame_int(char *p, uint32_t n)
{
    p[0] = (char) (n >> 24);
    p[1] = (char) (n >> 16);
    p[2] = (char) (n >> 8);
    p[3] = (char) n;
}


/* A frame of raw headers into p, of 16 bytes more than both: its length. */

static inline size_t
frame_put(char *p, const char *headers, size_t hlen, const char *payload,
    size_t plen)
{
    size_t  total;

    total = 16 + hlen + plen;
    frame_int(p, (uint32_t) total);
    frame_int(p + 4, (uint32_t) hlen);
    frame_int(p + 8, frame_crc(p, 8));

    if (hlen != 0) {
        memcpy(p + 12, headers, hlen);
    }

    if (plen != 0) {
        memcpy(p + 12 + hlen, payload, plen);
    }

    frame_int(p + total - 4, frame_crc(p, total - 4));

    return total;
}


static inline size_t
frame_header(char *p, const char *name, const char *value)
{
    size_t  n, v;

    n = strlen(name);
    v = strlen(value);
    *p++ = (char) n;
    memcpy(p, name, n);
    p += n;
    *p++ = 7;
    *p++ = (char) (v >> 8);
    *p++ = (char) v;
    memcpy(p, value, v);

    return n + v + 4;
}


/* The headers of an "event" or "exception" of a type: their length. */

static inline size_t
frame_headers(char p[FRAME_HEADERS_MAX], const char *message, const char *type)
{
    size_t  n;

    n = frame_header(p, message[1] == 'v' ? ":event-type"
                                          : ":exception-type", type);
    n += frame_header(p + n, ":content-type", "application/json");

    return n + frame_header(p + n, ":message-type", message);
}

#endif
