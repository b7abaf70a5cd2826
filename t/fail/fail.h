/*
 * Allocations that fail when a test says so.  The file that says it is named
 * by FAIL_PLAN when this is compiled; FAIL_CHILD 1: only in a process that has
 * --child among its arguments.
 */

#ifndef FAIL_H
#define FAIL_H

/* Counts one; 1: it fails.  For any thread. */
int fail_now(void);

#endif
