/*
 * Frames of AWS' event streams, one behind the other: the events that a
 * Converse answer would have been.
 */

#ifndef WORKER_FRAMES_H
#define WORKER_FRAMES_H

#include "worker_frame.h"
#include "worker_say.h"

typedef struct {
    char   *data;
    size_t  len;
} frames_t;


/* A frame of raw headers. */

static inline void
frames_raw(frames_t *f, const char *headers, size_t hlen, const char *payload,
    size_t plen)
{
    f->data = realloc(f->data, f->len + 16 + hlen + plen);
    assert_non_null(f->data);
    f->len += frame_put(f->data + f->len, headers, hlen, payload, plen);
}


/* "event" or "exception" of a type. */

static inline void
frames_add(frames_t *f, const char *message, const char *type,
    const char *payload)
{
    char  headers[FRAME_HEADERS_MAX];

    frames_raw(f, headers, frame_headers(headers, message, type), payload,
               strlen(payload));
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
