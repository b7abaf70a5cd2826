/*
 * Frames of AWS' event streams: any bytes are one, the beginning of one, or
 * none; and with lengths and CRCs that are right, any headers and payload.
 */

#include "ai_fuzz.h"

#include "../unit/worker_frame.h"
#include "ir.h"


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
    must(frame_put(p, (const char *) data + 2, headers,
                   (const char *) data + 2 + headers, size - 2 - headers)
         == total);
    must(frame(p, total) == -1 || frame(p, total) == (long) total);
    must(frame(p, total - 1) == 0);
    free(p);

    return 0;
}
