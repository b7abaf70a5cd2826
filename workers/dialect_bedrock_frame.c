/*
 * The frames of AWS' event streams: a length, the headers' length, a CRC of
 * both, headers of typed values, a payload, a CRC of all.  Owns nothing.
 */

#include "dialect_bedrock.h"


#define FRAME_PRELUDE  12
#define FRAME_CRC      4

/* Types of a header's value. */
#define FRAME_BYTES    6
#define FRAME_STRING   7


static uint32_t frame_int(const char *p);
static uint32_t frame_crc(const char *p, size_t len);
static int frame_header(ai_str_t *rest, ai_str_t *name, ai_str_t *value);


/* By four bits at a time, of the polynomial EDB88320. */
static const uint32_t  frame_table[16] = {
    0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
    0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
    0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C
};


static uint32_t
frame_int(const char *p)
{
    const unsigned char  *u;

    u = (const unsigned char *) p;

    return (uint32_t) u[0] << 24 | (uint32_t) u[1] << 16
           | (uint32_t) u[2] << 8 | u[3];
}


static uint32_t
frame_crc(const char *p, size_t len)
{
    uint32_t  crc;

    crc = 0xFFFFFFFF;

    for ( /* void */ ; len != 0; len--) {
        crc ^= (unsigned char) *p++;
        crc = crc >> 4 ^ frame_table[crc & 15];
        crc = crc >> 4 ^ frame_table[crc & 15];
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
