/*
 * Frames of AWS' event streams: any bytes are one, the beginning of one, or
 * none; and with lengths and CRCs that are right, any headers and payload.
 */

#include "ai_fuzz.h"

#include "ir.h"


static uint32_t
crc(const char *p, size_t len)
{
    int       i;
    uint32_t  n;

    for (n = ~0u; len != 0; len--) {
        n ^= (unsigned char) *p++;

        for (i = 0; i < 8; i++) {
            n = n & 1 ? n >> 1 ^ 0xEDB88320u : n >> 1;
        }
    }

    return ~n;
}


static void
put(char *p, uint32_t n)
{
    p[0] = (char) (n >> 24);
    p[1] = (char) (n >> 16);
    p[2] = (char) (n >> 8);
    p[3] = (char) n;
}


static long
frame(const char *data, size_t size)
{
    long      n;
    ai_str_t  name, payload, all;

    name = ai_str("");
    payload = ai_str("");
    all = (ai_str_t) { size, data };
    n = dialect_bedrock.frame(all, &name, &payload);
    must(n >= -1 && (n < 0 || (size_t) n <= size));

    if (n > 0) {
        must(name.len != 0 && name.data > data
             && name.data + name.len <= data + n);
        must(payload.len == 0 || (payload.data > data
             && payload.data + payload.len <= data + n));
    }

    return n;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char    *p;
    size_t   headers, total;

    (void) frame((const char *) data, size);

    if (size < 2 || size > 70000) {
        return 0;
    }

    headers = (size_t) data[0] << 8 | data[1];
    headers = headers > size - 2 ? size - 2 : headers;
    total = size - 2 + 16;
    p = malloc(total);
    must(p != NULL);
    put(p, (uint32_t) total);
    put(p + 4, (uint32_t) headers);
    put(p + 8, crc(p, 8));
    memcpy(p + 12, data + 2, size - 2);
    put(p + total - 4, crc(p, total - 4));
    must(frame(p, total) == -1 || frame(p, total) == (long) total);
    must(frame(p, total - 1) == 0);
    free(p);

    return 0;
}
