/*
 * The frames of AWS' event streams: a length, the headers' length, a CRC of
 * both, headers of typed values, a payload, a CRC of all.  Owns nothing.
 */

#include "dialect_bedrock.h"

#include <pthread.h>


#define FRAME_PRELUDE  12
#define FRAME_CRC      4

/* Types of a header's value. */
#define FRAME_BYTES    6
#define FRAME_STRING   7


static void frame_make(void);
static uint32_t frame_int(const char *p);
static uint32_t frame_crc(const char *text, size_t len);
static int frame_header(ai_str_t *rest, ai_str_t *name, ai_str_t *value);


/* Of the polynomial EDB88320: of a byte, and of one that has i others behind
 * it; made once. */
static uint32_t        frame_table[8][256];
static pthread_once_t  frame_made = PTHREAD_ONCE_INIT;


static void
frame_make(void)
{
    unsigned  i, n;
    uint32_t  c;

    for (n = 0; n < 256; n++) {
        c = n;

        for (i = 0; i < 8; i++) {
            c = c >> 1 ^ (0xEDB88320 & -(c & 1));
        }

        frame_table[0][n] = c;
    }

    for (n = 0; n < 256; n++) {
        for (i = 1; i < 8; i++) {
            c = frame_table[i - 1][n];
            frame_table[i][n] = c >> 8 ^ frame_table[0][c & 255];
        }
    }
}


static uint32_t
frame_int(const char *p)
{
    const unsigned char  *u;

    u = (const unsigned char *) p;

    return (uint32_t) u[0] << 24 | (uint32_t) u[1] << 16
           | (uint32_t) u[2] << 8 | u[3];
}


/* By eight bytes at a time: frames may have MBs. */

static uint32_t
frame_crc(const char *text, size_t len)
{
    uint32_t              crc;
    const unsigned char  *p;

    (void) pthread_once(&frame_made, frame_make);
    p = (const unsigned char *) text;
    crc = 0xFFFFFFFF;

    for ( /* void */ ; len >= 8; len -= 8) {
        crc ^= (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
               | (uint32_t) p[3] << 24;
        crc = frame_table[7][crc & 255] ^ frame_table[6][crc >> 8 & 255]
              ^ frame_table[5][crc >> 16 & 255] ^ frame_table[4][crc >> 24]
              ^ frame_table[3][p[4]] ^ frame_table[2][p[5]]
              ^ frame_table[1][p[6]] ^ frame_table[0][p[7]];
        p += 8;
    }

    for ( /* void */ ; len != 0; len--) {
        crc = crc >> 8 ^ frame_table[0][(crc ^ *p++) & 255];
    }

    return ~crc;
}


long
bedrock_frame(ai_str_t bytes, ai_str_t *name, ai_str_t *data)
{
    uint32_t   total, headers;
    ai_str_t   rest, key, value, message, event, exception, code, why;

    if (bytes.len < FRAME_PRELUDE) {
        return 0;
    }

    total = frame_int(bytes.data);
    headers = frame_int(bytes.data + 4);

    if (frame_crc(bytes.data, 8) != frame_int(bytes.data + 8)
        || total < FRAME_PRELUDE + FRAME_CRC || total > BEDROCK_FRAME_MAX
        || headers > BEDROCK_HEADERS_MAX
        || headers > total - FRAME_PRELUDE - FRAME_CRC)
    {
        return -1;
    }

    if (bytes.len < total) {
        return 0;
    }

    if (frame_crc(bytes.data, total - FRAME_CRC)
        != frame_int(bytes.data + total - FRAME_CRC))
    {
        return -1;
    }

    rest = (ai_str_t) { headers, bytes.data + FRAME_PRELUDE };
    message = ai_str("");
    event = ai_str("");
    exception = ai_str("");
    code = ai_str("");
    why = ai_str("");

    while (rest.len != 0) {

        if (frame_header(&rest, &key, &value) != 0) {
            return -1;
        }

        if (ai_str_eqz(key, ":message-type")) {
            message = value;

        } else if (ai_str_eqz(key, ":event-type")) {
            event = value;

        } else if (ai_str_eqz(key, ":exception-type")) {
            exception = value;

        } else if (ai_str_eqz(key, ":error-code")) {
            code = value;

        } else if (ai_str_eqz(key, ":error-message")) {
            why = value;
        }
    }

    *data = (ai_str_t) { total - headers - FRAME_PRELUDE - FRAME_CRC,
                         bytes.data + FRAME_PRELUDE + headers };

    if (ai_str_eqz(message, "event")) {
        *name = event;

    } else if (ai_str_eqz(message, "exception")) {
        *name = exception;

    } else if (ai_str_eqz(message, "error")) {
        *name = code;
        *data = why;

    } else {
        return -1;
    }

    return name->len != 0 ? (long) total : -1;
}


/* One header of rest, which is after it then; a value that is no string is
 * none of those that are asked for. */

static int
frame_header(ai_str_t *rest, ai_str_t *name, ai_str_t *value)
{
    size_t                      len, at;
    unsigned                    type;
    const unsigned char        *p;
    static const unsigned char  sizes[] = { 0, 0, 1, 2, 4, 8, 0, 0, 8, 16 };

    p = (const unsigned char *) rest->data;
    at = 1 + (size_t) p[0];

    if (p[0] == 0 || rest->len < at + 1 || p[at] >= sizeof(sizes)) {
        return -1;
    }

    *name = (ai_str_t) { p[0], rest->data + 1 };
    type = p[at++];
    len = sizes[type];

    if (type == FRAME_BYTES || type == FRAME_STRING) {

        if (rest->len - at < 2) {
            return -1;
        }

        len = (size_t) p[at] << 8 | p[at + 1];
        at += 2;
    }

    if (rest->len - at < len) {
        return -1;
    }

    *value = (ai_str_t) { type == FRAME_STRING ? len : 0, rest->data + at };
    rest->data += at + len;
    rest->len -= at + len;

    return 0;
}
