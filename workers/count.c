/*
 * The count of a request's tokens where its provider has no way to ask for it:
 * an estimate, which the answer says it is.  Owns nothing.
 */

#include "body.h"

#include <string.h>

#include "out.h"
#include "tree.h"


static size_t count_bytes(tree_t *t, node_t *n, unsigned depth);


#define COUNT_DEPTH_MAX  64


int
count_prepare(job_t *job)
{
    tree_t   t;
    node_t  *root;
    int      rc;

    tree_init(&t);
    root = tree_parse(&t, job->request != NULL
                          ? (ai_str_t) { job->request_len, job->request }
                          : job->body);
    job->guess = root != NULL
                 ? count_bytes(&t, node_peek(&t, root, "system"), 0)
                   + count_bytes(&t, node_peek(&t, root, "messages"), 0)
                   + count_bytes(&t, node_peek(&t, root, "tools"), 0)
                 : 0;

    /* The texts of a request fit; its members may be too many. */

    rc = !t.failed ? 0 : t.nodes >= TREE_NODES_MAX ? -1 : -2;
    tree_free(&t);

    return rc;
}


void
count_begin(job_t *job)
{
    char      text[64];
    ai_buf_t  b;

    ai_buf_init(&b, text, sizeof(text));
    ai_buf_add_z(&b, "{\"input_tokens\":");
    ai_buf_add_int(&b, (int64_t) (job->guess + 3) / 4);
    ai_buf_add_z(&b, "}");

    answer_header(&job->answer, ai_str("content-type"),
                  ai_str("application/json"));
    answer_say(&job->answer, ai_str("x-ai-estimated"),
               ai_str("input_tokens"));
    answer_head(&job->answer, 200);

    if (job_bytes(job, (ai_str_t) { ai_buf_len(&b), text }) == 0) {
        job_done(job);
    }
}


/* Of texts, names and numbers; what is encoded (images, signatures) is not
 * text. */

static size_t
count_bytes(tree_t *t, node_t *n, unsigned depth)
{
    size_t   sum;
    node_t  *m;

    if (n == NULL || depth == COUNT_DEPTH_MAX) {
        return 0;
    }

    if (n->type != AI_JSON_OBJECT && n->type != AI_JSON_ARRAY) {
        return n->text.len;
    }

    sum = 0;

    for (m = node_first(t, n); m != NULL; m = m->next) {
        if (!ai_str_eqz(m->key, "data") && !ai_str_eqz(m->key, "signature")
            && !ai_str_eqz(m->key, "type") && !ai_str_eqz(m->key, "role"))
        {
            sum += m->key.len + count_bytes(t, m, depth + 1);
        }
    }

    return sum;
}
