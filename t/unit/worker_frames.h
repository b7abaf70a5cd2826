/*
 * Frames of AWS' event streams, made here from nothing of workers/: a CRC bit
 * by bit, and the events that a Converse answer would have been.
 */

#ifndef WORKER_FRAMES_H
#define WORKER_FRAMES_H

#include "worker_say.h"

typedef struct {
    char   *data;
    size_t  len;
} frames_t;


static inline uint32_t
frames_crc(const char *p, size_t len)
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
frames_int(char *p, uint32_t n)
{
    p[0] = (char) (n >> 24);
    p[1] = (char) (n >> 16);
    p[2] = (char) (n >> 8);
    p[3] = (char) n;
}


/* A frame of raw headers. */

static inline void
frames_raw(frames_t *f, const char *headers, size_t hlen, const char *payload,
    size_t plen)
{
    char    *p;
    size_t   total;

    total = 16 + hlen + plen;
    f->data = realloc(f->data, f->len + total);
    assert_non_null(f->data);
    p = f->data + f->len;
    f->len += total;
    frames_int(p, (uint32_t) total);
    frames_int(p + 4, (uint32_t) hlen);
    frames_int(p + 8, frames_crc(p, 8));
    memcpy(p + 12, headers, hlen);

    if (plen != 0) {
        memcpy(p + 12 + hlen, payload, plen);
    }

    frames_int(p + total - 4, frames_crc(p, total - 4));
}


static inline size_t
frames_header(char *p, const char *name, const char *value)
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


/* "event" or "exception" of a type. */

static inline void
frames_add(frames_t *f, const char *message, const char *type,
    const char *payload)
{
    char    headers[512];
    size_t  n;

    n = frames_header(headers, message[1] == 'v' ? ":event-type"
                                                 : ":exception-type", type);
    n += frames_header(headers + n, ":content-type", "application/json");
    n += frames_header(headers + n, ":message-type", message);
    frames_raw(f, headers, n, payload, strlen(payload));
}


static inline void
frames_json(frames_t *f, const char *type, json_t *payload)
{
    char  *text;

    text = json_dumps(payload, JSON_COMPACT);
    assert_non_null(text);
    frames_add(f, "event", type, text);
    free(text);
    json_decref(payload);
}


static inline void
frames_delta(frames_t *f, size_t index, json_t *delta)
{
    frames_json(f, "contentBlockDelta",
                json_pack("{s:o,s:i,s:s}", "delta", delta,
                          "contentBlockIndex", (int) index, "p", "abcdef"));
}


/* A text in two deltas, cut where a character begins. */

static inline void
frames_text(frames_t *f, size_t index, const char *outer, const char *name,
    const char *text)
{
    size_t       cut, i, n;
    json_t      *d;

    cut = strlen(text) / 2;

    while (cut != 0 && ((unsigned char) text[cut] & 0xC0) == 0x80) {
        cut--;
    }

    for (i = 0; i < 2; i++) {
        n = i == 0 ? cut : strlen(text) - cut;
        d = json_pack("{s:s%}", name, i == 0 ? text : text + cut, n);
        frames_delta(f, index, outer != NULL
                               ? json_pack("{s:o}", outer, d) : d);
    }
}


/* The stream that would have said what this answer says. */

static inline void
frames_of(frames_t *f, json_t *answer)
{
    char         *text;
    size_t        i;
    json_t       *b, *content, *n;

    content = json_object_get(json_object_get(json_object_get(answer,
                                              "output"), "message"),
                              "content");
    frames_add(f, "event", "messageStart",
               "{\"role\":\"assistant\",\"p\":\"abc\"}");

    json_array_foreach(content, i, b) {

        if ((n = json_object_get(b, "text")) != NULL) {
            frames_text(f, i, NULL, "text", json_string_value(n));

        } else if ((n = json_object_get(b, "toolUse")) != NULL) {
            frames_json(f, "contentBlockStart",
                        json_pack("{s:{s:{s:O,s:O}},s:i}", "start", "toolUse",
                                  "toolUseId",
                                  json_object_get(n, "toolUseId"), "name",
                                  json_object_get(n, "name"),
                                  "contentBlockIndex", (int) i));
            text = json_dumps(json_object_get(n, "input"), JSON_COMPACT);
            frames_text(f, i, "toolUse", "input", text);
            free(text);

        } else if ((n = json_object_get(b, "reasoningContent")) != NULL) {

            if (json_object_get(n, "redactedContent") != NULL) {
                frames_delta(f, i, json_pack("{s:O}", "reasoningContent", n));

            } else {
                n = json_object_get(n, "reasoningText");
                frames_text(f, i, "reasoningContent", "text",
                            say_z(n, "text"));

                if (say_z(n, "signature") != NULL) {
                    frames_delta(f, i, json_pack("{s:{s:O}}",
                                 "reasoningContent", "signature",
                                 json_object_get(n, "signature")));
                }
            }

        } else {
            fail_msg("a block that the test does not know");
        }

        frames_json(f, "contentBlockStop",
                    json_pack("{s:i}", "contentBlockIndex", (int) i));
    }

    frames_json(f, "messageStop",
                json_pack("{s:O}", "stopReason",
                          json_object_get(answer, "stopReason")));
    frames_json(f, "metadata",
                json_pack("{s:O,s:O}", "usage",
                          json_object_get(answer, "usage"), "metrics",
                          json_object_get(answer, "metrics")));
}


#endif
