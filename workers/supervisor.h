/*
 * The supervisor: starts the worker processes, replaces those that crash,
 * passes signals on, ends with them.
 */

#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "options.h"

#define SUPERVISOR_BACKOFF_MIN  100     /* ms until a crashed one is replaced */
#define SUPERVISOR_BACKOFF_MAX  10000
#define SUPERVISOR_STABLE_MSEC  10000   /* one that lived so long resets it */

/* Runs until all processes have ended; argv is passed on to them.  The exit
 * status. */
int supervisor_run(const options_t *opt, int argc, char **argv);

#endif
