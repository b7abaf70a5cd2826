/*
 * Dialects: a request that is sent is JSON again; of an answer's events and
 * bodies nothing is read or cut outside of them.
 */

#include "ai_fuzz.h"

#include "ai_json.h"
#include "ai_sse.h"
#include "provider.h"


static void
request(const provider_t *p, ai_str_t text, unsigned flags)
{
    int                 added;
    char               *out;
    size_t              len;
    static ai_json_t    j;
    provider_request_t  req;

    memset(&req, 0, sizeof(req));
    req.body = text;
    req.model = ai_str("mo\"del");
    req.stream = flags & 1;
    req.usage = flags >> 1 & 1;

    if (p->request(&req, &out, &len, &added) != 0) {
        return;
    }

    if (out == NULL) {
        must(len == text.len);
        return;
    }

    must(ai_json_scan(&j, NULL, (ai_str_t) { len, out }, 1 << 24, 0)
         == AI_JSON_OK);
    free(out);
}


static void
events(const provider_t *p, ai_str_t text, int added)
{
    ai_sse_t            s;
    ai_str_t            raw;
    provider_cut_t      cut;
    provider_usage_t    u;
    provider_verdict_e  verdict;

    ai_sse_init(&s, 1 << 20);
    provider_usage_init(&u);

    if (ai_sse_feed(&s, text.data, text.len) == 0) {
        while (ai_sse_next(&s, &raw)) {
            verdict = p->event(&u, raw, added, &cut);
            must(verdict != PROVIDER_CUT
                 || (cut.start <= cut.end && cut.end <= raw.len));
        }
    }

    must(memchr(u.finish, '\0', sizeof(u.finish)) != NULL);
    ai_sse_free(&s);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned           flags;
    ai_str_t           text;
    const provider_t  *p;
    provider_usage_t   u;

    if (size < 1) {
        return 0;
    }

    flags = data[0];
    p = flags & 1 ? &provider_openai : &provider_anthropic;
    text = (ai_str_t) { size - 1, (const char *) data + 1 };

    request(p, text, flags >> 1);
    events(p, text, flags >> 3 & 1);

    provider_usage_init(&u);
    p->body(&u, text);
    must(memchr(u.finish, '\0', sizeof(u.finish)) != NULL);

    return 0;
}
