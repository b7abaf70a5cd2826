/*
 * Azure OpenAI: OpenAI's API at the address of a deployment, which a model's
 * name is, or in the form "v1", where the body names it.  Owns nothing.
 */

#include "dialect_openai.h"

#include <string.h>


/* Where the URL says none: the newest that is no preview. */
#define AZURE_VERSION  "api-version=2024-10-21"


static int azure_place(ai_buf_t *b, const provider_place_t *p);
static int azure_is_v1(ai_str_t base);


const provider_t  provider_azure = {
    .api = "azure",
    .speaks = "openai",
    .dialect = AI_DIALECT_OPENAI,
    .path = "/chat/completions",
    .place = azure_place,
    .key_header = "api-key: ",
    .request = openai_request,
    .event = openai_event,
    .body = openai_body,
};

const provider_t  provider_azure_embeddings = {
    .api = "azure",
    .op = "embeddings",
    .speaks = "openai",
    .dialect = AI_DIALECT_OPENAI,
    .path = "/embeddings",
    .place = azure_place,
    .key_header = "api-key: ",
    .mute = 1,
    .request = openai_request,
    .event = openai_event,
    .body = openai_body,
};

const provider_t  provider_azure_completions = {
    .api = "azure",
    .op = "completions",
    .speaks = "openai",
    .dialect = AI_DIALECT_OPENAI,
    .path = "/completions",
    .place = azure_place,
    .key_header = "api-key: ",
    .request = openai_request,
    .event = openai_event,
    .body = openai_body,
};


/* A URL that ends in "/v1", or names a deployment, is whole; "/openai" may
 * stand in one or not. */

static int
azure_place(ai_buf_t *b, const provider_place_t *p)
{
    ai_str_t     base;
    const char  *mark;

    base = p->base;
    mark = memchr(base.data, '?', base.len);

    if (mark != NULL) {
        base.len = (size_t) (mark - base.data);
    }

    while (base.len != 0 && base.data[base.len - 1] == '/') {
        base.len--;
    }

    if (azure_is_v1(base)) {
        ai_buf_add_z(b, p->path);
        return 0;
    }

    if (!provider_has(base, "/openai/deployments/")) {

        if (base.len < 7
            || memcmp(base.data + base.len - 7, "/openai", 7) != 0)
        {
            ai_buf_add_z(b, "/openai");
        }

        ai_buf_add_z(b, "/deployments/");

        if (provider_escape(b, p->model, "") != 0) {
            return -1;
        }
    }

    ai_buf_add_z(b, p->path);

    if (!provider_has(p->base, "api-version=")) {
        ai_buf_add_z(b, "?" AZURE_VERSION);
    }

    return 0;
}


static int
azure_is_v1(ai_str_t base)
{
    return base.len > 3 && memcmp(base.data + base.len - 3, "/v1", 3) == 0;
}
