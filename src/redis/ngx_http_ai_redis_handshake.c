/*
 * From a connected socket to READY: the one handshake of all connections, and
 * the question to a Sentinel before it.  Owns nothing; writes into the
 * connection's early lane.
 */

#include "ngx_http_ai_redis_conn.h"


static void ngx_http_ai_redis_step(ngx_http_ai_redis_conn_t *conn,
    ngx_http_ai_redis_handler_pt handler, ngx_str_t *argv, ngx_uint_t argc);
static void ngx_http_ai_redis_auth(ngx_http_ai_redis_conn_t *conn,
    ngx_str_t *user, ngx_str_t *password);
static void ngx_http_ai_redis_expect_ok(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_redis_named(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_redis_role(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_redis_first_pong(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static void ngx_http_ai_redis_master(ngx_http_ai_redis_cmd_t *cmd,
    ai_resp_t *reply, ngx_uint_t status);
static ngx_int_t ngx_http_ai_redis_set_master(ngx_http_ai_redis_conn_t *conn,
    ngx_str_t *host, ngx_str_t *port);


void
ngx_http_ai_redis_handshake(ngx_http_ai_redis_conn_t *conn)
{
    u_char                     name[128], db[NGX_INT_T_LEN];
    ngx_str_t                  argv[3];
    ngx_http_ai_redis_t       *redis;
    ngx_http_ai_redis_conf_t  *conf;

    redis = conn->redis;
    conf = redis->conf;

    conn->nsteps = 0;
    conn->hooked = 0;
    conn->heard = ngx_current_msec;
    conn->moved = ngx_current_msec;

    if (conn->asking) {
        ngx_http_ai_redis_auth(conn, &conf->sentinel_user,
                               &conf->sentinel_password);

        ngx_str_set(&argv[0], "SENTINEL");
        ngx_str_set(&argv[1], "GET-MASTER-ADDR-BY-NAME");
        argv[2] = conf->master;
        ngx_http_ai_redis_step(conn, ngx_http_ai_redis_master, argv, 3);
        return;
    }

    ngx_http_ai_redis_auth(conn, &conf->user, &conf->password);

    if (conf->sentinels.nelts) {
        ngx_str_set(&argv[0], "ROLE");
        ngx_http_ai_redis_step(conn, ngx_http_ai_redis_role, argv, 1);
    }

    if (conf->db) {
        ngx_str_set(&argv[0], "SELECT");
        argv[1].data = db;
        argv[1].len = ngx_sprintf(db, "%ui", conf->db) - db;
        ngx_http_ai_redis_step(conn, ngx_http_ai_redis_expect_ok, argv, 2);
    }

    ngx_str_set(&argv[0], "CLIENT");
    ngx_str_set(&argv[1], "SETNAME");
    argv[2].data = name;
    argv[2].len = ngx_slprintf(name, name + sizeof(name), "%V:%P:%s",
                               &redis->hooks->name, ngx_pid, conn->name)
                  - name;
    ngx_http_ai_redis_step(conn, ngx_http_ai_redis_named, argv, 3);

    conn->ping_usec = ngx_http_ai_redis_usec();

    ngx_str_set(&argv[0], "PING");
    ngx_http_ai_redis_step(conn, ngx_http_ai_redis_first_pong, argv, 1);
}


static void
ngx_http_ai_redis_step(ngx_http_ai_redis_conn_t *conn,
    ngx_http_ai_redis_handler_pt handler, ngx_str_t *argv, ngx_uint_t argc)
{
    ngx_http_ai_redis_cmd_t  *cmd;

    cmd = &conn->steps[conn->nsteps++];

    ngx_memzero(cmd, sizeof(ngx_http_ai_redis_cmd_t));
    cmd->handler = handler;
    cmd->data = conn;

    if (ngx_http_ai_redis_internal(conn, cmd, 1, argv, argc)
        != NGX_HTTP_AI_REDIS_OK)
    {
        ngx_http_ai_redis_doom(conn, "no memory for the handshake");
    }
}


static void
ngx_http_ai_redis_auth(ngx_http_ai_redis_conn_t *conn, ngx_str_t *user,
    ngx_str_t *password)
{
    ngx_str_t   argv[3];
    ngx_uint_t  argc;

    if (password->len == 0) {
        return;
    }

    argc = 0;
    ngx_str_set(&argv[argc], "AUTH");
    argc++;

    if (user->len) {
        argv[argc++] = *user;
    }

    argv[argc++] = *password;

    conn->early.wipe = 1;

    ngx_http_ai_redis_step(conn, ngx_http_ai_redis_expect_ok, argv, argc);
}


void
ngx_http_ai_redis_handshake_next(ngx_http_ai_redis_conn_t *conn)
{
    ngx_http_ai_redis_hooks_t  *hooks;

    if (conn->early.nslots || conn->state != NGX_HTTP_AI_REDIS_HANDSHAKE) {
        return;
    }

    if (!conn->hooked) {
        conn->hooked = 1;
        hooks = conn->redis->hooks;

        if (hooks->handshake
            && hooks->handshake(conn->redis, conn->which, hooks->data)
               != NGX_OK)
        {
            ngx_http_ai_redis_doom(conn, "the handshake was not gone on with");
        }

        if (conn->doomed || conn->early.nslots) {
            return;
        }
    }

    if (conn->which == NGX_HTTP_AI_REDIS_SUB) {
        ngx_http_ai_redis_subscribe(conn);
        return;
    }

    ngx_http_ai_redis_established(conn);
}


static void
ngx_http_ai_redis_expect_ok(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    u_char                     buf[128];
    ngx_str_t                  text;
    ngx_http_ai_redis_conn_t  *conn;

    conn = cmd->data;

    if (status == NGX_HTTP_AI_REDIS_ERROR) {
        text = ngx_http_ai_redis_error_text(reply, buf, sizeof(buf));
        ngx_http_ai_redis_doom(conn, "the handshake was refused: %V", &text);
        return;
    }

    if (status == NGX_HTTP_AI_REDIS_OK && reply->type != AI_RESP_STATUS) {
        ngx_http_ai_redis_doom(conn, "an unexpected reply in the handshake");
    }
}


/* A server that does not let us name ourselves is as good as any. */

static void
ngx_http_ai_redis_named(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    u_char                     buf[128];
    ngx_str_t                  text;
    ngx_http_ai_redis_conn_t  *conn;

    conn = cmd->data;

    if (status == NGX_HTTP_AI_REDIS_ERROR) {
        text = ngx_http_ai_redis_error_text(reply, buf, sizeof(buf));
        ngx_log_error(NGX_LOG_INFO, conn->redis->log, 0,
                      "ai_redis: %s: CLIENT SETNAME: %V", conn->name, &text);
    }
}


static void
ngx_http_ai_redis_role(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ai_resp_t                 *role;
    ngx_http_ai_redis_conn_t  *conn;

    conn = cmd->data;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_redis_expect_ok(cmd, reply, status);
        return;
    }

    if (reply->type != AI_RESP_ARRAY || reply->elements < 1
        || reply->element[0].type != AI_RESP_STRING)
    {
        ngx_http_ai_redis_doom(conn, "an unexpected reply in the handshake");
        return;
    }

    role = &reply->element[0];

    if (role->len != sizeof("master") - 1
        || ngx_memcmp(role->str, "master", sizeof("master") - 1) != 0)
    {
        ngx_http_ai_redis_doom(conn, "the server that Sentinel named is not "
                               "the master");
    }
}


static void
ngx_http_ai_redis_first_pong(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_http_ai_redis_conn_t  *conn;

    conn = cmd->data;

    ngx_http_ai_redis_expect_ok(cmd, reply, status);

    if (status == NGX_HTTP_AI_REDIS_OK) {
        conn->info.rtt_usec = ngx_http_ai_redis_usec() - conn->ping_usec;
    }
}


ngx_int_t
ngx_http_ai_redis_sentinel_next(ngx_http_ai_redis_conn_t *conn)
{
    ngx_uint_t                 n;
    ngx_array_t               *sentinels;
    ngx_http_ai_redis_host_t  *hosts;

    sentinels = &conn->redis->conf->sentinels;

    if (conn->asked >= sentinels->nelts) {
        return NGX_DECLINED;
    }

    hosts = sentinels->elts;
    n = (conn->sentinel + conn->asked) % sentinels->nelts;

    conn->asked++;
    conn->asking = 1;
    conn->target = &hosts[n];

    ngx_http_ai_redis_connect_target(conn);

    return NGX_OK;
}


static void
ngx_http_ai_redis_master(ngx_http_ai_redis_cmd_t *cmd, ai_resp_t *reply,
    ngx_uint_t status)
{
    ngx_str_t                  host, port;
    ngx_http_ai_redis_conn_t  *conn;

    conn = cmd->data;

    if (status != NGX_HTTP_AI_REDIS_OK) {
        ngx_http_ai_redis_expect_ok(cmd, reply, status);
        return;
    }

    if (reply->type == AI_RESP_NIL) {
        ngx_http_ai_redis_doom(conn, "Sentinel knows no master \"%V\"",
                               &conn->redis->conf->master);
        return;
    }

    if (reply->type != AI_RESP_ARRAY || reply->elements != 2
        || reply->element[0].type != AI_RESP_STRING
        || reply->element[1].type != AI_RESP_STRING)
    {
        ngx_http_ai_redis_doom(conn, "an unexpected reply of Sentinel");
        return;
    }

    host.data = (u_char *) reply->element[0].str;
    host.len = (size_t) reply->element[0].len;
    port.data = (u_char *) reply->element[1].str;
    port.len = (size_t) reply->element[1].len;

    if (ngx_http_ai_redis_set_master(conn, &host, &port) != NGX_OK) {
        ngx_http_ai_redis_doom(conn, "an unusable address from Sentinel");
        return;
    }

    conn->answered = 1;
}


static ngx_int_t
ngx_http_ai_redis_set_master(ngx_http_ai_redis_conn_t *conn, ngx_str_t *host,
    ngx_str_t *port)
{
    size_t                     i;
    in_addr_t                  in;
    ngx_int_t                  n;
    struct sockaddr_in        *sin;
    ngx_http_ai_redis_host_t  *master;
#if (NGX_HAVE_INET6)
    struct in6_addr            in6;
    struct sockaddr_in6       *sin6;
#endif

    n = ngx_atoi(port->data, port->len);

    if (n < 1 || n > 65535 || host->len == 0
        || host->len > NGX_HTTP_AI_REDIS_NAME_LEN - sizeof("[]:65535"))
    {
        return NGX_ERROR;
    }

    for (i = 0; i < host->len; i++) {
        if (host->data[i] <= ' ' || host->data[i] >= 0x7f) {
            return NGX_ERROR;
        }
    }

    conn->sentinel = (conn->sentinel + conn->asked - 1)
                     % conn->redis->conf->sentinels.nelts;
    conn->asked = 1;

    master = &conn->master;
    ngx_memzero(master, sizeof(ngx_http_ai_redis_host_t));
    ngx_memzero(&conn->master_sockaddr, sizeof(ngx_sockaddr_t));

    ngx_memcpy(conn->master_host, host->data, host->len);
    master->host.data = conn->master_host;
    master->host.len = host->len;
    master->port = (in_port_t) n;
    master->name.data = conn->master_name;
    master->name.len = ngx_snprintf(conn->master_name,
                                    NGX_HTTP_AI_REDIS_NAME_LEN,
                                    ngx_strlchr(host->data,
                                                host->data + host->len, ':')
                                    ? "[%V]:%i" : "%V:%i", host, n)
                       - conn->master_name;

    conn->master_addr.sockaddr = &conn->master_sockaddr.sockaddr;
    conn->master_addr.name = master->name;

    in = ngx_inet_addr(host->data, host->len);

    if (in != INADDR_NONE) {
        sin = &conn->master_sockaddr.sockaddr_in;
        sin->sin_family = AF_INET;
        sin->sin_addr.s_addr = in;
        sin->sin_port = htons((in_port_t) n);
        conn->master_addr.socklen = sizeof(struct sockaddr_in);

        master->addrs = &conn->master_addr;
        master->naddrs = 1;
        return NGX_OK;
    }

#if (NGX_HAVE_INET6)

    if (ngx_inet6_addr(host->data, host->len, in6.s6_addr) == NGX_OK) {
        sin6 = &conn->master_sockaddr.sockaddr_in6;
        sin6->sin6_family = AF_INET6;
        sin6->sin6_addr = in6;
        sin6->sin6_port = htons((in_port_t) n);
        conn->master_addr.socklen = sizeof(struct sockaddr_in6);

        master->addrs = &conn->master_addr;
        master->naddrs = 1;
        return NGX_OK;
    }

#endif

    master->resolve = 1;

    return NGX_OK;
}


uint64_t
ngx_http_ai_redis_usec(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
