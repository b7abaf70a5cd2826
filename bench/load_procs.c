/*
 * Load generator: what processes used, from /proc.
 * A group is a process and its descendants; new ones count from their birth.
 */

#define _GNU_SOURCE

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"


static void load_procs_find(load_group_t *g);
static void load_procs_children(load_group_t *g, pid_t pid);
static uint64_t load_procs_ticks(pid_t pid);
static uint64_t load_procs_kb(pid_t pid, const char *file, const char *field);


int
load_group_parse(load_group_t *g, const char *s)
{
    long         pid;
    char        *end;
    const char  *eq;

    eq = strchr(s, '=');

    if (eq == NULL || eq == s || (size_t) (eq - s) >= sizeof(g->name)) {
        return -1;
    }

    pid = strtol(eq + 1, &end, 10);

    if (*end != '\0' || pid < 1) {
        return -1;
    }

    memset(g, 0, sizeof(*g));
    memcpy(g->name, s, (size_t) (eq - s));
    g->root = (pid_t) pid;

    return 0;
}


void
load_procs_begin(load_group_t *g, unsigned n)
{
    unsigned  i, k;

    for (i = 0; i < n; i++) {
        load_procs_find(&g[i]);

        g[i].cpu_us = 0;
        g[i].rss_kb = 0;
        g[i].pss_kb = 0;

        for (k = 0; k < g[i].npids; k++) {
            g[i].ticks[k] = load_procs_ticks(g[i].pids[k]);
        }
    }
}


void
load_procs_sample(load_group_t *g, unsigned n)
{
    unsigned       i, k;
    load_group_t   now;

    for (i = 0; i < n; i++) {
        now = g[i];
        load_procs_find(&now);

        g[i].rss_kb = 0;
        g[i].pss_kb = 0;
        g[i].sampled = now.npids;

        for (k = 0; k < now.npids; k++) {
            g[i].rss_kb += load_procs_kb(now.pids[k], "status", "VmRSS:");
            g[i].pss_kb += load_procs_kb(now.pids[k], "smaps_rollup", "Pss:");
        }
    }
}


void
load_procs_end(load_group_t *g, unsigned n)
{
    unsigned      i, k, m;
    uint64_t      ticks, hz, before;
    load_group_t  now;

    hz = (uint64_t) sysconf(_SC_CLK_TCK);

    for (i = 0; i < n; i++) {
        now = g[i];
        load_procs_find(&now);

        g[i].cpu_us = 0;

        for (k = 0; k < now.npids; k++) {
            ticks = load_procs_ticks(now.pids[k]);
            before = 0;

            for (m = 0; m < g[i].npids; m++) {

                if (g[i].pids[m] == now.pids[k]) {
                    before = g[i].ticks[m];
                    break;
                }
            }

            if (ticks > before) {
                g[i].cpu_us += (ticks - before) * 1000000 / hz;
            }
        }
    }
}


static void
load_procs_find(load_group_t *g)
{
    unsigned  i;

    g->pids[0] = g->root;
    g->npids = 1;

    for (i = 0; i < g->npids; i++) {
        load_procs_children(g, g->pids[i]);
    }
}


static void
load_procs_children(load_group_t *g, pid_t pid)
{
    int             child;
    char            path[64];
    DIR            *dir;
    FILE           *f;
    struct dirent  *e;

    snprintf(path, sizeof(path), "/proc/%d/task", (int) pid);

    dir = opendir(path);

    if (dir == NULL) {
        return;
    }

    while ((e = readdir(dir)) != NULL) {

        if (e->d_name[0] == '.') {
            continue;
        }

        snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children",
                 (int) pid, e->d_name);

        f = fopen(path, "r");

        if (f == NULL) {
            continue;
        }

        while (g->npids < LOAD_MAX_PIDS && fscanf(f, "%d", &child) == 1) {
            g->pids[g->npids++] = child;
        }

        fclose(f);
    }

    closedir(dir);
}


static uint64_t
load_procs_ticks(pid_t pid)
{
    char                path[64], buf[1024], *p;
    FILE               *f;
    size_t              n;
    unsigned long long  user, sys;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);

    f = fopen(path, "r");

    if (f == NULL) {
        return 0;
    }

    n = fread(buf, 1, sizeof(buf) - 1, f);
    fclose(f);
    buf[n] = '\0';

    p = strrchr(buf, ')');

    if (p == NULL
        || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u "
                  "%llu %llu", &user, &sys) != 2)
    {
        return 0;
    }

    return user + sys;
}


static uint64_t
load_procs_kb(pid_t pid, const char *file, const char *field)
{
    char                path[64], line[256];
    FILE               *f;
    size_t              len;
    unsigned long long  kb;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, file);

    f = fopen(path, "r");

    if (f == NULL) {
        return 0;
    }

    kb = 0;
    len = strlen(field);

    while (fgets(line, sizeof(line), f) != NULL) {

        if (strncmp(line, field, len) == 0) {
            kb = strtoull(line + len, NULL, 10);
            break;
        }
    }

    fclose(f);

    return kb;
}
