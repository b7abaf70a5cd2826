/*
 * The incremental JSON scanner: one state machine over bytes.  Owns nothing.
 */

#include "ai_json_key.h"

#include <string.h>


typedef enum {
    AI_JSON_S_START = 0,
    AI_JSON_S_FIRST_KEY,        /* behind "{": a key or "}" */
    AI_JSON_S_KEY,              /* behind ",": a key */
    AI_JSON_S_COLON,
    AI_JSON_S_FIRST_VALUE,      /* behind "[": a value or "]" */
    AI_JSON_S_VALUE,
    AI_JSON_S_AFTER,            /* behind a value: "," or the end */
    AI_JSON_S_STRING,
    AI_JSON_S_ESCAPE,
    AI_JSON_S_HEX,
    AI_JSON_S_UTF8,
    AI_JSON_S_LITERAL,
    AI_JSON_S_MINUS,
    AI_JSON_S_ZERO,
    AI_JSON_S_INT,
    AI_JSON_S_DOT,
    AI_JSON_S_FRACTION,
    AI_JSON_S_E,
    AI_JSON_S_E_SIGN,
    AI_JSON_S_EXPONENT,
    AI_JSON_S_DONE,             /* the object is complete */
    AI_JSON_S_ENDED             /* so is the text */
} ai_json_state_e;

enum {
    AI_JSON_IN_VALUE = 0,
    AI_JSON_IN_KEY,
    AI_JSON_IN_TOP_KEY
};


static const unsigned char *ai_json_plain(const unsigned char *p,
    const unsigned char *end);
static int ai_json_token(ai_json_t *j, uint32_t state, unsigned char c,
    uint64_t at);
static int ai_json_value(ai_json_t *j, unsigned char c, uint64_t at);
static int ai_json_close(ai_json_t *j, uint64_t at);
static int ai_json_in_object(const ai_json_t *j);
static void ai_json_value_end(ai_json_t *j, uint64_t end);
static int ai_json_lead(ai_json_t *j, unsigned char c);
static int ai_json_hex(unsigned char c);
static int ai_json_fail(ai_json_t *j, int status, uint64_t at);


static const struct {
    const char      *rest;      /* behind the first byte */
    ai_json_type_e   type;
} ai_json_literals[] = {
    { "rue", AI_JSON_TRUE },
    { "alse", AI_JSON_FALSE },
    { "ull", AI_JSON_NULL }
};


void
ai_json_init(ai_json_t *j, const char *const *names, uint64_t max,
    unsigned depth_max)
{
    static const char *const  none[] = { NULL };

    memset(j, 0, sizeof(ai_json_t));

    if (depth_max == 0 || depth_max > AI_JSON_DEPTH_MAX) {
        depth_max = AI_JSON_DEPTH_MAX;
    }

    j->names = names ? names : none;
    j->max = max;
    j->depth_max = depth_max;
    j->current = -1;
    j->status = AI_JSON_MORE;

    ai_json_key_seed(j);
}


int
ai_json_feed(ai_json_t *j, const char *data, size_t len)
{
    int                   hex, rc;
    size_t                n;
    uint64_t              base;
    uint32_t              state;
    unsigned char         c;
    const unsigned char  *p, *start, *end, *run;

#define ai_json_at(q)  (base + (uint64_t) ((q) - start))

    if (j->status != AI_JSON_MORE) {
        if (j->status == AI_JSON_OK && len) {
            return ai_json_fail(j, AI_JSON_ESYNTAX, j->offset);
        }

        return j->status;
    }

    if (len == 0) {
        return AI_JSON_MORE;
    }

    n = len > j->max - j->offset ? (size_t) (j->max - j->offset) : len;

    base = j->offset;
    start = (const unsigned char *) data;
    p = start;
    end = start + n;
    state = j->state;

    while (p < end) {
        c = *p;

        switch (state) {

        case AI_JSON_S_STRING:
            run = p;
            p = ai_json_plain(p, end);

            if (j->string == AI_JSON_IN_TOP_KEY && p > run) {
                ai_json_key_bytes(j, run, (size_t) (p - run));
            }

            if (p == end) {
                break;
            }

            c = *p;

            if (c == '"') {
                p++;

                if (j->string == AI_JSON_IN_VALUE) {
                    ai_json_value_end(j, ai_json_at(p));
                    state = AI_JSON_S_AFTER;
                    break;
                }

                if (j->string == AI_JSON_IN_TOP_KEY) {
                    rc = ai_json_key_end(j);

                    if (rc != AI_JSON_MORE) {
                        return ai_json_fail(j, rc, j->key_at);
                    }
                }

                state = AI_JSON_S_COLON;
                break;
            }

            if (c == '\\') {

                /* Most stand alone, in texts that have many. */

                if (j->string == AI_JSON_IN_VALUE && end - p >= 2
                    && p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) != NULL)
                {
                    p += 2;
                    break;
                }

                p++;
                state = AI_JSON_S_ESCAPE;
                break;
            }

            if (c < 0x20) {
                return ai_json_fail(j, AI_JSON_ESYNTAX, ai_json_at(p));
            }

            if (ai_json_lead(j, c) != 0) {
                return ai_json_fail(j, AI_JSON_EUTF8, ai_json_at(p));
            }

            if (j->string == AI_JSON_IN_TOP_KEY) {
                ai_json_key_bytes(j, p, 1);
            }

            p++;
            state = AI_JSON_S_UTF8;
            break;

        case AI_JSON_S_UTF8:
            if (c < j->low || c > j->high) {
                return ai_json_fail(j, AI_JSON_EUTF8, ai_json_at(p));
            }

            if (j->string == AI_JSON_IN_TOP_KEY) {
                ai_json_key_bytes(j, p, 1);
            }

            j->low = 0x80;
            j->high = 0xBF;
            p++;

            if (--j->sub == 0) {
                state = AI_JSON_S_STRING;
            }

            break;

        case AI_JSON_S_ESCAPE:
            state = AI_JSON_S_STRING;

            switch (c) {

            case '"':
            case '\\':
            case '/':
                break;

            case 'b':
                c = '\b';
                break;

            case 'f':
                c = '\f';
                break;

            case 'n':
                c = '\n';
                break;

            case 'r':
                c = '\r';
                break;

            case 't':
                c = '\t';
                break;

            case 'u':
                state = AI_JSON_S_HEX;
                j->sub = 4;
                j->codepoint = 0;
                break;

            default:
                return ai_json_fail(j, AI_JSON_ESYNTAX, ai_json_at(p));
            }

            if (state == AI_JSON_S_STRING && j->string == AI_JSON_IN_TOP_KEY) {
                ai_json_key_bytes(j, &c, 1);
            }

            p++;
            break;

        case AI_JSON_S_HEX:
            hex = ai_json_hex(c);

            if (hex < 0) {
                return ai_json_fail(j, AI_JSON_ESYNTAX, ai_json_at(p));
            }

            j->codepoint = j->codepoint << 4 | (unsigned) hex;
            p++;

            if (--j->sub == 0) {
                state = AI_JSON_S_STRING;

                if (j->string == AI_JSON_IN_TOP_KEY) {
                    ai_json_key_unit(j, j->codepoint);
                }
            }

            break;

        case AI_JSON_S_LITERAL:
            if (c != (unsigned char) ai_json_literals[j->literal].rest[j->sub])
            {
                return ai_json_fail(j, AI_JSON_ESYNTAX, ai_json_at(p));
            }

            p++;

            if (ai_json_literals[j->literal].rest[++j->sub] == '\0') {
                ai_json_value_end(j, ai_json_at(p));
                state = AI_JSON_S_AFTER;
            }

            break;

        case AI_JSON_S_MINUS:
            if (c < '0' || c > '9') {
                return ai_json_fail(j, AI_JSON_ESYNTAX, ai_json_at(p));
            }

            state = c == '0' ? AI_JSON_S_ZERO : AI_JSON_S_INT;
            p++;
            break;

        case AI_JSON_S_INT:
        case AI_JSON_S_FRACTION:
        case AI_JSON_S_EXPONENT:
            while (p < end && *p >= '0' && *p <= '9') {
                p++;
            }

            if (p == end) {
                break;
            }

            c = *p;

            /* fall through */

        case AI_JSON_S_ZERO:
            if (c == '.' && (state == AI_JSON_S_INT || state == AI_JSON_S_ZERO))
            {
                state = AI_JSON_S_DOT;
                p++;
                break;
            }

            if ((c == 'e' || c == 'E') && state != AI_JSON_S_EXPONENT) {
                state = AI_JSON_S_E;
                p++;
                break;
            }

            /* A number ends at what does not belong to it. */
            ai_json_value_end(j, ai_json_at(p));
            state = AI_JSON_S_AFTER;
            break;

        case AI_JSON_S_E:
            if (c == '+' || c == '-') {
                state = AI_JSON_S_E_SIGN;
                p++;
                break;
            }

            /* fall through */

        case AI_JSON_S_E_SIGN:
        case AI_JSON_S_DOT:
            if (c < '0' || c > '9') {
                return ai_json_fail(j, AI_JSON_ESYNTAX, ai_json_at(p));
            }

            state = state == AI_JSON_S_DOT ? AI_JSON_S_FRACTION
                                           : AI_JSON_S_EXPONENT;
            p++;
            break;

        default:

            /* Between tokens. */

            if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
                p++;
                break;
            }

            rc = ai_json_token(j, state, c, ai_json_at(p));

            if (rc < 0) {
                return rc;
            }

            state = (uint32_t) rc;
            p++;
        }
    }

    j->state = state;
    j->offset = base + n;

    if (n < len) {
        return ai_json_fail(j, AI_JSON_ESIZE, j->offset);
    }

    return AI_JSON_MORE;
}


int
ai_json_end(ai_json_t *j)
{
    if (j->status != AI_JSON_MORE) {
        return j->status;
    }

    if (j->state != AI_JSON_S_DONE) {
        return ai_json_fail(j, AI_JSON_ESYNTAX, j->offset);
    }

    j->state = AI_JSON_S_ENDED;
    j->status = AI_JSON_OK;

    return AI_JSON_OK;
}


int
ai_json_scan(ai_json_t *j, const char *const *names, ai_str_t text,
    uint64_t max, unsigned depth_max)
{
    ai_json_init(j, names, max, depth_max);
    (void) ai_json_feed(j, text.data, text.len);

    return ai_json_end(j);
}


/* Up to the first byte of a string that needs a closer look, or end. */

static const unsigned char *
ai_json_plain(const unsigned char *p, const unsigned char *end)
{
    unsigned        n;
    uint64_t        x, quote, slash;
    const uint64_t  ones = 0x0101010101010101;
    const uint64_t  tops = 0x8080808080808080;

    for ( ;; ) {

        while (end - p >= 8) {
            memcpy(&x, p, 8);

            quote = x ^ ones * '"';
            slash = x ^ ones * '\\';

            if (((x - ones * 0x20) | (quote - ones) | (slash - ones) | x)
                & tops)
            {
                break;
            }

            p += 8;
        }

        while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') {
            p++;
        }

        if (end - p < 4 || *p < 0x80) {
            return p;
        }

        do {
            n = 3;

            /* Most of the world's letters, without the rarer questions. */

            if (*p <= 0xE0 || *p >= 0xF0 || *p == 0xED
                || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80)
            {
                n = ai_str_utf8((ai_str_t) { (size_t) (end - p),
                                             (const char *) p });
            }

            if (n == 0) {
                return p;
            }

            p += n;

        } while (end - p >= 4 && *p >= 0x80);
    }
}


/* The next state behind c, which is no white space and stands between strings,
 * numbers and literals; or an error. */

static int
ai_json_token(ai_json_t *j, uint32_t state, unsigned char c, uint64_t at)
{
    switch (state) {

    case AI_JSON_S_START:
        if (c != '{') {
            return ai_json_fail(j, memchr("[\"-0123456789tfn", c, 16)
                                   ? AI_JSON_ETYPE : AI_JSON_ESYNTAX, at);
        }

        return ai_json_value(j, c, at);

    case AI_JSON_S_VALUE:
        return ai_json_value(j, c, at);

    case AI_JSON_S_FIRST_VALUE:
        return c == ']' ? ai_json_close(j, at) : ai_json_value(j, c, at);

    case AI_JSON_S_FIRST_KEY:
        if (c == '}') {
            return ai_json_close(j, at);
        }

        /* fall through */

    case AI_JSON_S_KEY:
        if (c != '"') {
            break;
        }

        j->string = AI_JSON_IN_KEY;

        if (j->depth == 1) {
            j->string = AI_JSON_IN_TOP_KEY;
            j->key_at = at;
            ai_json_key_begin(j);
        }

        return AI_JSON_S_STRING;

    case AI_JSON_S_COLON:
        if (c != ':') {
            break;
        }

        return AI_JSON_S_VALUE;

    case AI_JSON_S_AFTER:
        if (c == ',') {
            return ai_json_in_object(j) ? AI_JSON_S_KEY : AI_JSON_S_VALUE;
        }

        if (c != (ai_json_in_object(j) ? '}' : ']')) {
            break;
        }

        return ai_json_close(j, at);

    default:

        /* AI_JSON_S_DONE: nothing may follow. */

        break;
    }

    return ai_json_fail(j, AI_JSON_ESYNTAX, at);
}


/* The next state behind c, which begins a value; or an error. */

static int
ai_json_value(ai_json_t *j, unsigned char c, uint64_t at)
{
    int             state;
    ai_json_type_e  type;

    switch (c) {

    case '{':
    case '[':
        if (j->depth == j->depth_max) {
            return ai_json_fail(j, AI_JSON_EDEPTH, at);
        }

        type = c == '{' ? AI_JSON_OBJECT : AI_JSON_ARRAY;
        state = c == '{' ? AI_JSON_S_FIRST_KEY : AI_JSON_S_FIRST_VALUE;
        break;

    case '"':
        type = AI_JSON_STRING;
        state = AI_JSON_S_STRING;
        j->string = AI_JSON_IN_VALUE;
        break;

    case 't':
    case 'f':
    case 'n':
        j->literal = c == 't' ? 0 : c == 'f' ? 1 : 2;
        j->sub = 0;
        type = ai_json_literals[j->literal].type;
        state = AI_JSON_S_LITERAL;
        break;

    case '-':
        type = AI_JSON_NUMBER;
        state = AI_JSON_S_MINUS;
        break;

    case '0':
        type = AI_JSON_NUMBER;
        state = AI_JSON_S_ZERO;
        break;

    default:
        if (c < '1' || c > '9') {
            return ai_json_fail(j, AI_JSON_ESYNTAX, at);
        }

        type = AI_JSON_NUMBER;
        state = AI_JSON_S_INT;
    }

    if (j->depth == 1 && j->current >= 0) {
        j->fields[j->current].type = type;
        j->fields[j->current].start = at;
    }

    if (type == AI_JSON_OBJECT) {
        j->stack[j->depth / 8] |= (uint8_t) (1u << j->depth % 8);
        j->depth++;

    } else if (type == AI_JSON_ARRAY) {
        j->stack[j->depth / 8] &= (uint8_t) ~(1u << j->depth % 8);
        j->depth++;
    }

    return state;
}


/* The bracket at "at" closes the innermost object or array. */

static int
ai_json_close(ai_json_t *j, uint64_t at)
{
    j->depth--;

    if (j->depth == 0) {
        return AI_JSON_S_DONE;
    }

    ai_json_value_end(j, at + 1);

    return AI_JSON_S_AFTER;
}


static int
ai_json_in_object(const ai_json_t *j)
{
    uint32_t  top;

    top = j->depth - 1;

    return j->stack[top / 8] >> top % 8 & 1;
}


static void
ai_json_value_end(ai_json_t *j, uint64_t end)
{
    if (j->depth == 1 && j->current >= 0) {
        j->fields[j->current].end = end;
    }
}


/* Takes a byte above 0x7F as the first of a character. */

static int
ai_json_lead(ai_json_t *j, unsigned char c)
{
    if (c < 0xC2 || c > 0xF4) {
        return -1;
    }

    j->sub = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
    j->low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    j->high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;

    return 0;
}


static int
ai_json_hex(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


static int
ai_json_fail(ai_json_t *j, int status, uint64_t at)
{
    j->status = status;
    j->offset = at;
    j->error_at = at;

    return status;
}
