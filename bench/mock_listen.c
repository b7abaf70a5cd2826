/*
 * Mock provider: addresses to listen on.
 * The caller owns the descriptors that are opened here.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "mock.h"


int
mock_listen_parse(mock_listen_t *l, const char *s)
{
    char                 host[64];
    long                 port;
    const char          *colon;
    struct sockaddr_in  *sin;
    struct sockaddr_un  *sun;

    if (strncmp(s, "unix:", 5) == 0) {
        sun = (struct sockaddr_un *) &l->addr;

        if (strlen(s + 5) >= sizeof(sun->sun_path)) {
            return -1;
        }

        sun->sun_family = AF_UNIX;
        strcpy(sun->sun_path, s + 5);
        l->len = sizeof(*sun);

        return 0;
    }

    colon = strrchr(s, ':');

    if (colon == NULL || (size_t) (colon - s) >= sizeof(host)) {
        return -1;
    }

    memcpy(host, s, (size_t) (colon - s));
    host[colon - s] = '\0';

    port = strtol(colon + 1, NULL, 10);
    sin = (struct sockaddr_in *) &l->addr;

    if (port < 0 || port > 65535
        || inet_pton(AF_INET, host, &sin->sin_addr) != 1)
    {
        return -1;
    }

    sin->sin_family = AF_INET;
    sin->sin_port = htons((uint16_t) port);
    l->len = sizeof(*sin);

    return 0;
}


int
mock_listen_open(mock_listen_t *l, int reuseport)
{
    int        on;
    socklen_t  len;

    l->fd = socket(l->addr.ss_family,
                   SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (l->fd == -1) {
        perror("mock: socket");
        return -1;
    }

    on = 1;
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));

    if (reuseport) {
        setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    }

    len = l->len;

    if (bind(l->fd, (struct sockaddr *) &l->addr, l->len) != 0
        || listen(l->fd, 4096) != 0
        || (l->addr.ss_family == AF_INET
            && getsockname(l->fd, (struct sockaddr *) &l->addr, &len) != 0))
    {
        perror("mock: bind");
        return -1;
    }

    return 0;
}
