/*
 * Where Redis is, as Sentinels say: each connection asks them, one after the
 * other, before it goes to the master.  Owns the list of the connections that
 * do so.
 */

#include "redis_in.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"


#define SENTINEL_MSEC  2000         /* until its answer */


static void sentinel_on_master(redis_t *rc, ai_resp_t *reply, void *data);


static redis_t  *sentinel_list;


void
sentinel_init(redis_t *rc)
{
    rc->sentinel.first = (unsigned) rand_r(&rc->seed) % rc->conf->nsentinels;
    rc->sentinel.next = sentinel_list;
    sentinel_list = rc;
}


void
sentinel_done(redis_t *rc)
{
    redis_t  **at;

    for (at = &sentinel_list; *at != NULL; at = &(*at)->sentinel.next) {
        if (*at == rc) {
            *at = rc->sentinel.next;
            return;
        }
    }
}


void
sentinel_connect(redis_t *rc)
{
    unsigned     i;
    sentinel_t  *s;

    s = &rc->sentinel;
    i = (s->first + s->asked) % rc->conf->nsentinels;

    s->asked++;
    s->asking = 1;
    s->answered = 0;
    redis_dial(rc, &rc->conf->sentinels[i]);
}


void
sentinel_ask(redis_t *rc)
{
    ai_str_t  argv[3];

    redis_auth(rc, rc->conf->sentinel_user, rc->conf->sentinel_password);

    argv[0] = ai_str("SENTINEL");
    argv[1] = ai_str("GET-MASTER-ADDR-BY-NAME");
    argv[2] = (ai_str_t) { strlen(rc->conf->master), rc->conf->master };
    redis_send(rc, SENTINEL_MSEC, sentinel_on_master, NULL, 3, argv);
}


static void
sentinel_on_master(redis_t *rc, ai_resp_t *reply, void *data)
{
    int64_t   port;
    ai_str_t  host;

    (void) data;

    if (reply == NULL) {
        return;
    }

    if (reply->type == AI_RESP_ERROR) {
        redis_refuse(rc, reply);
        return;
    }

    if (reply->type == AI_RESP_NIL) {
        redis_break(rc, "Sentinel knows no master \"%s\"", rc->conf->master);
        return;
    }

    host = redis_str(redis_item(reply, 0));

    if (host.len == 0 || host.len >= sizeof(rc->sentinel.master.name)
        || memchr(host.data, '\0', host.len) != NULL
        || redis_int(redis_item(reply, 1), &port) != 0
        || port < 1 || port > 65535)
    {
        redis_break(rc, "an unusable address from Sentinel");
        return;
    }

    memcpy(rc->sentinel.master.name, host.data, host.len);
    rc->sentinel.master.name[host.len] = '\0';
    rc->sentinel.master.port = (int) port;
    rc->sentinel.answered = 1;
}


int
sentinel_follow(redis_t *rc)
{
    if (!rc->sentinel.answered) {
        return 0;
    }

    rc->sentinel.answered = 0;
    rc->sentinel.asking = 0;

    redis_net_close(&rc->net);
    redis_dial(rc, &rc->sentinel.master);

    return 1;
}


void
sentinel_ready(redis_t *rc)
{
    redis_t       *peer;
    sentinel_t    *s;
    redis_host_t  *mine, *other;

    s = &rc->sentinel;
    mine = &s->master;

    s->first = (s->first + s->asked - 1) % rc->conf->nsentinels;
    s->asked = 0;

    log_write(LOG_INFO, "redis", "%s: the master is %s:%d", rc->name,
              mine->name, mine->port);

    for (peer = sentinel_list; peer != NULL; peer = peer->sentinel.next) {
        other = &peer->sentinel.master;

        if (peer->state == REDIS_READY
            && (other->port != mine->port
                || strcmp(other->name, mine->name) != 0))
        {
            peer->moved = 1;
        }
    }
}


int
sentinel_more(redis_t *rc)
{
    rc->sentinel.answered = 0;

    if (rc->sentinel.asked == 0) {
        return 0;
    }

    if (rc->sentinel.asked < rc->conf->nsentinels) {
        return 1;
    }

    rc->sentinel.asked = 0;

    return 0;
}
