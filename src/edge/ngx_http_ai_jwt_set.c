/*
 * Sets of keys stay fresh: files are read again when they change, sets of URLs
 * are fetched by workers.  Nothing here waits: a file is small and local, and a
 * bad new set leaves the last good one.
 */

#include "ngx_http_ai_jwt.h"
#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_steps.h"


#define NGX_HTTP_AI_JWT_LOOK  5000            /* ms between looks at files */


static void ngx_http_ai_jwt_tick(ngx_event_t *ev);
static void ngx_http_ai_jwt_look(ngx_http_ai_jwt_set_t *s);
static ngx_int_t ngx_http_ai_jwt_take(ngx_http_ai_jwt_set_t *s,
    ai_str_t text, ngx_log_t *log, ngx_uint_t level, ngx_str_t *name);
static void ngx_http_ai_jwt_fetched(ngx_http_ai_fetched_t *f, ai_str_t text,
    ngx_uint_t ours);


ngx_uint_t                   ngx_http_ai_jwt_generation = 1;

static ngx_event_t           ngx_http_ai_jwt_timer;
static ngx_connection_t      ngx_http_ai_jwt_dummy;


void
ngx_http_ai_jwt_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                i;
    ngx_event_t              *ev;
    ngx_array_t              *sets;
    ngx_http_ai_jwt_set_t   **s;

    sets = ngx_http_ai_edge->amcf->jwt_sets;

    if (sets == NULL) {
        return;
    }

    s = sets->elts;

    for (i = 0; i < sets->nelts && s[i]->file.len == 0; i++) { /* void */ }

    if (i == sets->nelts) {
        return;
    }

    ngx_http_ai_jwt_dummy.fd = (ngx_socket_t) -1;

    ev = &ngx_http_ai_jwt_timer;
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = ngx_http_ai_jwt_tick;
    ev->data = &ngx_http_ai_jwt_dummy;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_AI_JWT_LOOK);
}


void
ngx_http_ai_jwt_exit_process(void)
{
    if (ngx_http_ai_jwt_timer.timer_set) {
        ngx_del_timer(&ngx_http_ai_jwt_timer);
    }
}


static void
ngx_http_ai_jwt_tick(ngx_event_t *ev)
{
    ngx_uint_t                i;
    ngx_array_t              *sets;
    ngx_http_ai_jwt_set_t   **s;

    ngx_add_timer(ev, NGX_HTTP_AI_JWT_LOOK);

    sets = ngx_http_ai_edge->amcf->jwt_sets;
    s = sets->elts;

    for (i = 0; i < sets->nelts; i++) {
        if (s[i]->file.len) {
            ngx_http_ai_jwt_look(s[i]);
        }
    }
}


static void
ngx_http_ai_jwt_look(ngx_http_ai_jwt_set_t *s)
{
    struct stat  sb;

    if (stat((char *) s->file.data, &sb) == -1) {

        if (s->size != -1) {
            s->size = -1;
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                          "ai: the keys of \"%V\" stay what they were: stat() "
                          "failed", &s->file);
        }

        return;
    }

    if (sb.st_mtim.tv_sec == s->mtime.tv_sec
        && sb.st_mtim.tv_nsec == s->mtime.tv_nsec
        && sb.st_size == s->size
        && sb.st_ino == s->uniq)
    {
        return;
    }

    /* Looked at once, whether it is good or not. */

    s->mtime = sb.st_mtim;
    s->size = sb.st_size;
    s->uniq = sb.st_ino;

    (void) ngx_http_ai_jwt_read(s, ngx_cycle->log, NGX_LOG_ERR);
}


ngx_int_t
ngx_http_ai_jwt_read(ngx_http_ai_jwt_set_t *s, ngx_log_t *log,
    ngx_uint_t level)
{
    int           fd;
    char         *text;
    size_t        len;
    ssize_t       n;
    ngx_int_t     rc;
    struct stat   sb;

    /* A pipe or a device must not hold the process. */

    fd = open((char *) s->file.data, O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_NOCTTY);

    if (fd == -1) {
        ngx_log_error(level, log, ngx_errno,
                      "ai: keys cannot be read, open() \"%V\" failed",
                      &s->file);
        return NGX_ERROR;
    }

    rc = NGX_ERROR;
    text = NULL;

    if (fstat(fd, &sb) == -1 || !S_ISREG(sb.st_mode)) {
        ngx_log_error(level, log, 0, "ai: \"%V\" is no regular file",
                      &s->file);
        goto done;
    }

    if (sb.st_size > AI_JWKS_MAX) {
        ngx_log_error(level, log, 0,
                      "ai: keys of \"%V\" are over %d bytes", &s->file,
                      AI_JWKS_MAX);
        goto done;
    }

    text = ngx_alloc(AI_JWKS_MAX + 1, log);
    if (text == NULL) {
        goto done;
    }

    for (len = 0; len <= AI_JWKS_MAX; len += n) {
        n = read(fd, text + len, AI_JWKS_MAX + 1 - len);

        if (n == -1) {
            ngx_log_error(level, log, ngx_errno,
                          "ai: keys cannot be read, read() \"%V\" failed",
                          &s->file);
            goto wipe;
        }

        if (n == 0) {
            break;
        }
    }

    s->mtime = sb.st_mtim;
    s->size = sb.st_size;
    s->uniq = sb.st_ino;

    rc = ngx_http_ai_jwt_take(s, (ai_str_t) { len, text }, log, level,
                              &s->file);

wipe:

    ai_wipe(text, AI_JWKS_MAX + 1);
    ngx_free(text);

done:

    close(fd);

    return rc;
}


/* Puts a new set in the place of the old one, if it is one. */

static ngx_int_t
ngx_http_ai_jwt_take(ngx_http_ai_jwt_set_t *s, ai_str_t text, ngx_log_t *log,
    ngx_uint_t level, ngx_str_t *name)
{
    ai_jwks_t       *set;
    ai_jwks_note_t   note;

    set = ai_jwks_parse(text, s->algs, &note);

    if (set != NULL && s->url.len && ai_jwks_secret(set)) {
        ai_jwks_free(set);
        set = NULL;
        note.why = "it holds a secret, which everybody can fetch";
    }

    if (set == NULL) {
        ngx_log_error(level, log, 0, "ai: no set of keys in \"%V\": %s%s",
                      name, note.why,
                      s->set != NULL ? "; the last good one stays" : "");
        return NGX_ERROR;
    }

    if (s->set != NULL
        && ngx_memcmp(ai_jwks_digest(s->set), ai_jwks_digest(set),
                      AI_SHA256_LEN) == 0)
    {
        ai_jwks_free(set);
        return NGX_OK;
    }

    if (note.skipped) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "ai: %ui keys of \"%V\" are not used: %s",
                      (ngx_uint_t) note.skipped, name, note.why);
    }

    if (s->set != NULL) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "ai: keys of \"%V\" have changed, there are %ui now",
                      name, (ngx_uint_t) note.usable);
    }

    ai_jwks_free(s->set);
    s->set = set;

    ngx_http_ai_jwt_generation++;

    return NGX_OK;
}


ngx_int_t
ngx_http_ai_jwt_url(ngx_http_ai_main_conf_t *amcf, ngx_http_ai_jwt_set_t *s)
{
    ngx_http_ai_fetched_t  *f;

    f = &s->fetched;

    if (ai_sha256_hex((char *) f->sha, ngx_http_ai_str(&s->url)) != 0) {
        return NGX_ERROR;
    }

    f->bell = AI_BELL_JWKS;
    f->key = ai_keys_jwks;
    f->ok = ai_sign_jwks_ok;
    f->take = ngx_http_ai_jwt_fetched;
    f->data = s;

    ngx_http_ai_fetched_add(amcf, f);

    return NGX_OK;
}


static void
ngx_http_ai_jwt_fetched(ngx_http_ai_fetched_t *f, ai_str_t text,
    ngx_uint_t ours)
{
    ngx_http_ai_jwt_set_t *s = f->data;

    if (!ours) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "ai: keys of \"%V\" in Redis are not signed by a key of "
                      "ours (have the workers a --sign-file?)%s", &s->url,
                      s->set != NULL ? "; the last good ones stay" : "");
        ngx_http_ai_fetched_want(f);
        return;
    }

    (void) ngx_http_ai_jwt_take(s, text, ngx_cycle->log, NGX_LOG_ERR,
                                &s->url);
}


void
ngx_http_ai_jwt_want(ngx_http_ai_jwt_set_t *s)
{
    if (s->url.len) {
        ngx_http_ai_fetched_want(&s->fetched);
    }
}
