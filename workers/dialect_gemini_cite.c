/*
 * Google's generateContent: what stands beside the text of an answer, where it
 * is from and how likely it was.  Owns nothing.
 */

#include "dialect_gemini.h"

#include <string.h>


#define GEMINI_STEPS_MAX  (32 * 1024 * 1024)


static int gemini_steps(ir_t *ir, size_t n);
static int gemini_supports(ir_t *ir, tree_t *t, node_t *grounding,
    unsigned choice, unsigned part, int index, ai_str_t text, size_t chars);
static int gemini_sources(ir_t *ir, tree_t *t, node_t *candidate,
    unsigned choice, unsigned part, ai_str_t text, size_t chars);
static int gemini_source(ir_t *ir, tree_t *t, node_t *from, node_t *segment,
    unsigned choice, unsigned part, ai_str_t text, size_t chars);
static node_t *gemini_chunk(tree_t *t, node_t *chunks, int64_t i);
static node_t *gemini_sources_of(tree_t *t, node_t *candidate);
static void gemini_token(tree_t *t, out_t *o, node_t *token);


/* Whether there may be so many more, in one answer. */

static int
gemini_steps(ir_t *ir, size_t n)
{
    gemini_reader_t  *r;

    r = ir->reader;
    r->steps += n < GEMINI_STEPS_MAX ? n : GEMINI_STEPS_MAX;

    return r->steps < GEMINI_STEPS_MAX;
}


/* Characters of the text's first bytes, as they are unescaped. */

size_t
gemini_chars(ai_str_t s, size_t bytes)
{
    size_t    i, n, at;
    unsigned  code, k;

    n = 0;
    at = 0;

    for (i = 0; i < s.len && at < bytes; i++) {

        if (s.data[i] != '\\') {
            at++;
            n += ((unsigned char) s.data[i] & 0xC0) != 0x80;
            continue;
        }

        n++;

        if (++i >= s.len || s.data[i] != 'u') {
            at++;
            continue;
        }

        code = 0;

        for (k = 1; k <= 4 && i + k < s.len; k++) {
            code = code * 16
                   + (unsigned) (s.data[i + k] <= '9' ? s.data[i + k] - '0'
                                 : (s.data[i + k] | 0x20) - 'a' + 10);
        }

        i += 4;
        at += code < 0x80 ? 1 : code < 0x800 ? 2 : 3;

        /* A pair is one character, of four bytes. */

        if (code >= 0xD800 && code < 0xDC00 && i + 6 < s.len
            && s.data[i + 1] == '\\' && s.data[i + 2] == 'u')
        {
            at++;
            i += 6;
        }
    }

    return n;
}


int
gemini_cite(ir_t *ir, tree_t *t, node_t *candidate, unsigned choice,
    unsigned part, int index, ai_str_t text, size_t chars)
{
    int      n, more;
    node_t  *grounding;

    grounding = node_peek(t, candidate, "groundingMetadata");
    n = gemini_supports(ir, t, grounding, choice, part, index, text, chars);

    if (n < 0 || index >= 0) {
        return n;
    }

    more = gemini_sources(ir, t, candidate, choice, part, text, chars);

    return more < 0 ? -1 : n + more;
}


/* Which sources bear which of its passages, or all of it. */

static int
gemini_supports(ir_t *ir, tree_t *t, node_t *grounding, unsigned choice,
    unsigned part, int index, ai_str_t text, size_t chars)
{
    int      n;
    node_t  *chunks, *s, *all, *segment, *i, *chunk;

    chunks = node_peek(t, grounding, "groundingChunks");
    all = node_first(t, node_peek(t, grounding, "groundingSupports"));
    n = 0;

    for (s = all; s != NULL && gemini_steps(ir, 1); s = s->next) {
        segment = node_peek(t, s, "segment");

        if (index >= 0
            && node_int(node_peek(t, segment, "partIndex"), 0) != index)
        {
            continue;
        }

        i = node_first(t, node_peek(t, s, "groundingChunkIndices"));

        for ( /* void */ ; i != NULL; i = i->next) {
            chunk = gemini_chunk(t, chunks, node_int(i, -1));

            if (chunk == NULL
                || !gemini_steps(ir, (size_t) node_int(i, 0)))
            {
                continue;
            }

            if (gemini_source(ir, t, chunk, segment, choice, part, text,
                              chars)
                != 0)
            {
                return -1;
            }

            n++;
        }
    }

    for (chunk = all == NULL && index < 0 ? node_first(t, chunks) : NULL;
         chunk != NULL;
         chunk = chunk->next)
    {
        if (gemini_source(ir, t, node_first(t, chunk), NULL, choice, part,
                          text, chars)
            != 0)
        {
            return -1;
        }

        n++;
    }

    return n;
}


/* {"web": {..}}: what is in it. */

static node_t *
gemini_chunk(tree_t *t, node_t *chunks, int64_t i)
{
    node_t  *n;

    if (i < 0 || i > 1024) {
        return NULL;
    }

    for (n = node_first(t, chunks); n != NULL && i > 0; n = n->next) {
        i--;
    }

    return node_first(t, n);
}


/* Recited from somewhere, which is not the same, but is said so too. */

static node_t *
gemini_sources_of(tree_t *t, node_t *candidate)
{
    node_t  *from, *all;

    from = node_peek(t, candidate, "citationMetadata");
    all = node_peek(t, from, "citationSources");

    return all != NULL ? all : node_peek(t, from, "citations");
}


static int
gemini_sources(ir_t *ir, tree_t *t, node_t *candidate, unsigned choice,
    unsigned part, ai_str_t text, size_t chars)
{
    int      n;
    node_t  *s;

    n = 0;

    for (s = node_first(t, gemini_sources_of(t, candidate)); s != NULL;
         s = s->next)
    {
        if (node_peek(t, s, "uri") == NULL) {
            continue;
        }

        if (gemini_source(ir, t, s, s, choice, part, text, chars) != 0) {
            return -1;
        }

        n++;
    }

    return n;
}


/* Places are bytes there, characters here. */

static int
gemini_source(ir_t *ir, tree_t *t, node_t *from, node_t *segment,
    unsigned choice, unsigned part, ai_str_t text, size_t chars)
{
    node_t      *to, *uri, *title;
    int64_t      start, end;
    ir_event_t   e;

    to = node_object(t);
    uri = node_peek(t, from, "uri");
    title = node_peek(t, from, "title");

    if (uri != NULL) {
        node_set(to, "url", node_string(t, node_text(uri)));
    }

    if (title != NULL) {
        node_set(to, "title", node_string(t, node_text(title)));
    }

    node_set(to, "text",
             node_string(t, node_text(node_peek(t, segment, "text"))));
    start = node_int(node_peek(t, segment, "startIndex"), 0);
    end = node_int(node_peek(t, segment, "endIndex"), 0);

    if (text.len != 0 && end > start && start >= 0
        && gemini_steps(ir, (size_t) end * 2))
    {
        node_set(to, "start",
                 node_integer(t, (int64_t) (chars + gemini_chars(text,
                                                       (size_t) start))));
        node_set(to, "end",
                 node_integer(t, (int64_t) (chars + gemini_chars(text,
                                                       (size_t) end))));
    }

    node_set(to, "native", node_move(t, from));

    ir_event(&e, IR_CITATION);
    e.choice = choice;
    e.part = part;
    e.node = to;

    return ir_emit(ir, &e);
}


/* What a search was asked, and how it must be shown, stays to be named. */

void
gemini_cited(ir_t *ir, tree_t *t, node_t *candidate)
{
    size_t   queries;
    node_t  *grounding;

    grounding = node_get(t, candidate, "groundingMetadata");
    node_whole(node_get(t, grounding, "groundingSupports"));
    node_whole(node_get(t, grounding, "groundingChunks"));
    node_whole(node_get(t, candidate, "citationMetadata"));
    queries = node_count(t, node_peek(t, grounding, "webSearchQueries"));

    if (queries != 0) {
        ir->usage_now.searches = (int64_t) queries;
    }
}


/* The likelihood of each token, as OpenAI says it. */

int
gemini_logprobs(ir_t *ir, tree_t *t, node_t *candidate, unsigned choice)
{
    out_t        o;
    node_t      *result, *chosen, *top, *n, *made;
    ai_str_t     text;
    ir_event_t   e;

    result = node_get_type(t, candidate, "logprobsResult", AI_JSON_OBJECT);

    if (result == NULL) {
        return 0;
    }

    node_whole(result);
    memset(&o, 0, sizeof(o));
    out_open(&o, '{');
    out_key(&o, "content");
    out_open(&o, '[');
    chosen = node_first(t, node_peek(t, result, "chosenCandidates"));
    top = node_first(t, node_peek(t, result, "topCandidates"));

    for ( /* void */ ; chosen != NULL; chosen = chosen->next) {
        out_item(&o);
        out_open(&o, '{');
        gemini_token(t, &o, chosen);
        out_key(&o, "top_logprobs");
        out_open(&o, '[');
        n = node_first(t, node_peek(t, top, "candidates"));

        for ( /* void */ ; n != NULL; n = n->next) {
            out_item(&o);
            out_open(&o, '{');
            gemini_token(t, &o, n);
            out_close(&o, '}');
        }

        out_z(&o, "]}");
        top = top != NULL ? top->next : NULL;
    }

    out_z(&o, "],\"refusal\":null}");
    text = o.failed ? ai_str("") : tree_copy(t, (ai_str_t) { o.len, o.data });
    t->failed |= o.failed;
    out_free(&o);
    made = text.len != 0 ? tree_parse(t, text) : NULL;

    if (made == NULL) {
        return -1;
    }

    ir_event(&e, IR_LOGPROBS);
    e.choice = choice;
    e.node = made;

    return ir_emit(ir, &e);
}


static void
gemini_token(tree_t *t, out_t *o, node_t *token)
{
    size_t    i;
    node_t   *p;
    ai_str_t  bytes;

    out_key_escaped(o, "token", node_text(node_peek(t, token, "token")));
    p = node_peek(t, token, "logProbability");

    if (p != NULL && p->type == AI_JSON_NUMBER) {
        out_key_node(o, t, "logprob", p);

    } else {
        out_key_int(o, "logprob", 0);
    }

    out_key(o, "bytes");
    out_open(o, '[');
    bytes = text_decode(t, node_text(node_peek(t, token, "token")));

    for (i = 0; i < bytes.len; i++) {
        out_item(o);
        out_int(o, (unsigned char) bytes.data[i]);
    }

    out_close(o, ']');
}
