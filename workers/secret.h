/*
 * Secrets that a catalog names: env:NAME from an allow-list, file:name from
 * one directory, anything else stands for itself.  Owns what it read, wipes
 * it when it is read again.  Values are never logged.
 */

#ifndef SECRET_H
#define SECRET_H

#include "ai_str.h"

#define SECRET_NAMES_MAX  256       /* files remembered */
#define SECRET_VALUE_MAX  8192      /* bytes */

/* dir may be NULL; allow: patterns, NULL-terminated; both are kept. */
void secret_init(const char *dir, const char *const *allow);

/*
 * The value: 1 and *value, valid until secret_forget; 0 where it is not set,
 * not allowed or not readable.
 */
int secret_get(ai_str_t name, ai_str_t *value);

/* Forgets all files, so that they are read again. */
void secret_forget(void);

/* Whether a pattern (a * at either end) of the list allows a variable. */
int secret_env_allowed(const char *const *allow, ai_str_t name);
/* Whether it may be a file's name: no slash, no leading dot, printable. */
int secret_file_ok(ai_str_t name);

#endif
