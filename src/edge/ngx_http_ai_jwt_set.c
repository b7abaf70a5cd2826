/*
 * Sets of keys stay fresh: files are read again when they change, sets of URLs
 * come through Redis from the workers that fetch them.  Nothing here waits: a
 * file is small and local, and a bad new set leaves the last good one.
 */

#include "ngx_http_ai_jwt.h"
#include "ngx_http_ai_edge.h"
#include "ngx_http_ai_steps.h"


#define NGX_HTTP_AI_JWT_TICK     1000         /* ms */
#define NGX_HTTP_AI_JWT_LOOK     5            /* ticks between looks at files */
#define NGX_HTTP_AI_JWT_CALL     60           /* ticks between calls for URLs */
#define NGX_HTTP_AI_JWT_WANT     30000        /* ms */


static void ngx_http_ai_jwt_tick(ngx_event_t *ev);
static void ngx_http_ai_jwt_look(ngx_http_ai_jwt_set_t *s);
static ngx_int_t ngx_http_ai_jwt_take(ngx_http_ai_jwt_set_t *s,
    ai_str_t text, ngx_log_t *log, ngx_uint_t level, ngx_str_t *name);
static void ngx_http_ai_jwt_get(ngx_http_ai_jwt_set_t *s);
static void ngx_http_ai_jwt_got(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_jwt_call(ngx_http_ai_main_conf_t *amcf);
static void ngx_http_ai_jwt_expire(ngx_str_t *key, char *msec);


ngx_uint_t                   ngx_http_ai_jwt_generation = 1;

static ngx_event_t           ngx_http_ai_jwt_timer;
static ngx_connection_t      ngx_http_ai_jwt_dummy;
static ngx_uint_t            ngx_http_ai_jwt_ticks;


void
ngx_http_ai_jwt_init_process(ngx_cycle_t *cycle)
{
    ngx_event_t  *ev;

    if (ngx_http_ai_edge->amcf->jwt_sets == NULL) {
        return;
    }

    ngx_http_ai_jwt_dummy.fd = (ngx_socket_t) -1;
    ngx_http_ai_jwt_ticks = 0;

    ev = &ngx_http_ai_jwt_timer;
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = ngx_http_ai_jwt_tick;
    ev->data = &ngx_http_ai_jwt_dummy;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_AI_JWT_TICK);
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
    ngx_uint_t                 i, look, call;
    ngx_http_ai_jwt_set_t    **s;
    ngx_http_ai_main_conf_t   *amcf;

    ngx_add_timer(ev, NGX_HTTP_AI_JWT_TICK);

    amcf = ngx_http_ai_edge->amcf;
    s = amcf->jwt_sets->elts;

    look = ngx_http_ai_jwt_ticks % NGX_HTTP_AI_JWT_LOOK == 0;
    call = ngx_http_ai_jwt_ticks % NGX_HTTP_AI_JWT_CALL == 0;
    ngx_http_ai_jwt_ticks++;

    for (i = 0; i < amcf->jwt_sets->nelts; i++) {

        if (s[i]->file.len) {
            if (look) {
                ngx_http_ai_jwt_look(s[i]);
            }

            continue;
        }

        /* What a bell did not say is heard so. */

        if (s[i]->stale || call) {
            ngx_http_ai_jwt_get(s[i]);
        }
    }

    if (call) {
        ngx_http_ai_jwt_call(amcf);
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


void
ngx_http_ai_jwt_subscribed(void)
{
    ngx_uint_t                 i;
    ngx_http_ai_jwt_set_t    **s;
    ngx_http_ai_main_conf_t   *amcf;

    if (ngx_http_ai_edge == NULL || ngx_http_ai_edge->amcf->jwt_sets == NULL) {
        return;
    }

    amcf = ngx_http_ai_edge->amcf;
    s = amcf->jwt_sets->elts;

    for (i = 0; i < amcf->jwt_sets->nelts; i++) {
        if (s[i]->url.len) {
            s[i]->stale = 1;
            ngx_http_ai_jwt_get(s[i]);
        }
    }

    ngx_http_ai_jwt_call(amcf);
}


void
ngx_http_ai_jwt_bell(ngx_http_ai_main_conf_t *amcf, u_char *sha)
{
    ngx_uint_t                i;
    ngx_http_ai_jwt_set_t   **s;

    if (amcf->jwt_sets == NULL) {
        return;
    }

    s = amcf->jwt_sets->elts;

    for (i = 0; i < amcf->jwt_sets->nelts; i++) {
        if (s[i]->url.len && ngx_memcmp(s[i]->sha, sha, AI_SHA256_HEX) == 0) {
            ngx_http_ai_jwt_get(s[i]);
        }
    }
}


static void
ngx_http_ai_jwt_get(ngx_http_ai_jwt_set_t *s)
{
    char       key[AI_KEY_MAX];
    ngx_str_t  argv[2];

    s->stale = 1;

    if (ngx_http_ai_redis_pending(&s->cmd)) {
        s->again = 1;
        return;
    }

    if (!ngx_http_ai_redis_ready(ngx_http_ai_edge->redis,
                                 NGX_HTTP_AI_REDIS_COMMANDS))
    {
        return;
    }

    ngx_str_set(&argv[0], "GET");
    argv[1].data = (u_char *) key;
    argv[1].len = ai_keys_jwks(key, sizeof(key),
                      (ai_str_t) { AI_SHA256_HEX, (const char *) s->sha });

    ngx_memzero(&s->cmd, sizeof(ngx_http_ai_redis_cmd_t));

    s->cmd.handler = ngx_http_ai_jwt_got;
    s->cmd.data = s;

    s->again = 0;

    (void) ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                     NGX_HTTP_AI_REDIS_COMMANDS, &s->cmd, argv,
                                     2);
}


static void
ngx_http_ai_jwt_got(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_jwt_set_t *s = cmd->data;

    ai_str_t    mac, text;
    ai_sign_t  *sign;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        return;
    }

    /* Where there is none a worker fetches it, and rings. */

    s->stale = s->again;

    if (reply->type != AI_RESP_STRING) {
        return;
    }

    text = (ai_str_t) { reply->len, reply->str };
    mac = ai_sign_catalog_cut(&text);
    sign = ngx_http_ai_edge->amcf->redis->sign;

    /* Who can write to Redis must not say who may sign tokens. */

    if (sign != NULL
        && ai_sign_jwks_ok(sign, (ai_str_t) { AI_SHA256_HEX,
                                              (const char *) s->sha },
                           text, mac)
           != 1)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "ai: keys of \"%V\" in Redis are not signed by a key of "
                      "ours (have the workers a --sign-file?)%s", &s->url,
                      s->set != NULL ? "; the last good ones stay" : "");
        ngx_http_ai_jwt_want(s);
        return;
    }

    (void) ngx_http_ai_jwt_take(s, text, ngx_cycle->log, NGX_LOG_ERR,
                                &s->url);
}


/* Workers read from the catalog which URLs there are: this one is in use. */

static void
ngx_http_ai_jwt_call(ngx_http_ai_main_conf_t *amcf)
{
    u_char                   now[NGX_TIME_T_LEN];
    ngx_str_t                argv[4];
    ngx_uint_t               i;
    ngx_http_ai_jwt_set_t  **s;

    s = amcf->jwt_sets->elts;

    for (i = 0; i < amcf->jwt_sets->nelts && s[i]->url.len == 0; i++) {
        /* void */
    }

    if (i == amcf->jwt_sets->nelts
        || !ngx_http_ai_redis_ready(ngx_http_ai_edge->redis,
                                    NGX_HTTP_AI_REDIS_COMMANDS))
    {
        return;
    }

    ngx_str_set(&argv[0], "ZADD");
    ngx_str_set(&argv[1], AI_JWKS_KEY);
    argv[2].data = now;
    argv[2].len = ngx_sprintf(now, "%T", ngx_time()) - now;
    argv[3].data = amcf->catalog_sha;
    argv[3].len = AI_SHA256_HEX;

    (void) ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                     NGX_HTTP_AI_REDIS_COMMANDS, NULL, argv,
                                     4);

    ngx_http_ai_jwt_expire(&argv[1], "172800000");
}


static void
ngx_http_ai_jwt_expire(ngx_str_t *key, char *msec)
{
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "PEXPIRE");
    argv[1] = *key;
    argv[2].data = (u_char *) msec;
    argv[2].len = ngx_strlen(msec);

    (void) ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                     NGX_HTTP_AI_REDIS_COMMANDS, NULL, argv,
                                     3);
}


void
ngx_http_ai_jwt_want(ngx_http_ai_jwt_set_t *s)
{
    ngx_str_t  argv[3];

    if (s->url.len == 0
        || (s->wanted
            && ngx_current_msec - s->wanted_at < NGX_HTTP_AI_JWT_WANT)
        || !ngx_http_ai_redis_ready(ngx_http_ai_edge->redis,
                                    NGX_HTTP_AI_REDIS_COMMANDS))
    {
        return;
    }

    s->wanted = 1;
    s->wanted_at = ngx_current_msec;

    ngx_str_set(&argv[0], "SADD");
    ngx_str_set(&argv[1], AI_JWKS_WANTED_KEY);
    argv[2].data = s->sha;
    argv[2].len = AI_SHA256_HEX;

    (void) ngx_http_ai_redis_command(ngx_http_ai_edge->redis,
                                     NGX_HTTP_AI_REDIS_COMMANDS, NULL, argv,
                                     3);

    ngx_http_ai_jwt_expire(&argv[1], "60000");
}
