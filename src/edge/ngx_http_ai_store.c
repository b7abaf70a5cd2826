/*
 * A body over 256 KB goes to Redis in pieces, each a block of the request's,
 * with one of them unanswered at a time.  Owns nothing.
 */

#include "ngx_http_ai_store.h"


static void ngx_http_ai_store_begun(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static ngx_int_t ngx_http_ai_store_piece(ngx_http_ai_open_t *open);
static void ngx_http_ai_store_taken(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_store_failed(ngx_http_ai_open_t *open,
    ngx_http_ai_redis_cmd_t *cmd, ngx_uint_t status);


ngx_int_t
ngx_http_ai_store(ngx_http_ai_open_t *open, ngx_http_ai_store_pt done)
{
    char       prefix[AI_KEY_MAX];
    ngx_str_t  key;

    open->stored = done;
    open->piece = open->ctx->body;
    open->pieces = 0;

    ngx_http_ai_edge_prefix(&key, prefix, open->shard);

    ngx_memzero(&open->cmd, sizeof(ngx_http_ai_redis_cmd_t));

    open->cmd.handler = ngx_http_ai_store_begun;
    open->cmd.data = open;

    if (ngx_http_ai_redis_eval(ngx_http_ai_edge->redis, &open->cmd,
                               AI_SCRIPT_BODY, &key, 1, &open->ctx->job, 1)
        != NGX_HTTP_AI_REDIS_OK)
    {
        return NGX_ERROR;
    }

    open->begun = !open->lost;

    return NGX_OK;
}


static void
ngx_http_ai_store_begun(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_open_t *open = cmd->data;

    ai_str_t  word;

    open->begun = 0;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_store_failed(open, cmd, status);
        return;
    }

    word = ngx_http_ai_reply_str(reply, 0);

    if (ai_str_eqz(word, "ADMITTED")) {

        for ( /* void */ ; open->piece; open->piece = open->piece->next) {
            open->pieces++;
        }

        open->stored(open, NGX_DONE);
        return;
    }

    if (!ai_str_eqz(word, "OK")) {
        open->stored(open, NGX_ERROR);
        return;
    }

    open->bulk = !open->lost;

    if (ngx_http_ai_store_piece(open) != NGX_OK) {
        open->stored(open, NGX_ERROR);
    }
}


static ngx_int_t
ngx_http_ai_store_piece(ngx_http_ai_open_t *open)
{
    char         key[AI_KEY_MAX];
    ngx_str_t    argv[2];
    ngx_chain_t  piece;

    ngx_str_set(&argv[0], "RPUSHX");
    ngx_http_ai_edge_key(&argv[1], key, AI_KEY_BODY, open->shard,
                         &open->ctx->job);

    piece.buf = open->piece->buf;
    piece.next = NULL;

    ngx_memzero(&open->cmd, sizeof(ngx_http_ai_redis_cmd_t));

    open->cmd.handler = ngx_http_ai_store_taken;
    open->cmd.data = open;

    if (ngx_http_ai_redis_command_body(ngx_http_ai_edge->redis,
                                       NGX_HTTP_AI_REDIS_BULK, &open->cmd,
                                       argv, 2, &piece, 2)
        != NGX_HTTP_AI_REDIS_OK)
    {
        return NGX_ERROR;
    }

    open->piece = open->piece->next;
    open->pieces++;

    return NGX_OK;
}


static void
ngx_http_ai_store_taken(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_open_t *open = cmd->data;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_store_failed(open, cmd, status);
        return;
    }

    /* the list begins with an empty element */

    if (reply->type != AI_RESP_INTEGER
        || reply->integer != (long long) open->pieces + 1)
    {
        open->stored(open, NGX_ERROR);
        return;
    }

    if (open->piece == NULL) {
        open->stored(open, NGX_OK);
        return;
    }

    if (ngx_http_ai_store_piece(open) != NGX_OK) {
        open->stored(open, NGX_ERROR);
    }
}


static void
ngx_http_ai_store_failed(ngx_http_ai_open_t *open,
    ngx_http_ai_redis_cmd_t *cmd, ngx_uint_t status)
{
    if (status == NGX_HTTP_AI_REDIS_ERROR
        && cmd->error == NGX_HTTP_AI_REDIS_E_OOM)
    {
        open->stored(open, NGX_DECLINED);
        return;
    }

    open->stored(open, NGX_ERROR);
}
