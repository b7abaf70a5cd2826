/*
 * Secrets from allowed variables and from one directory.  Owns the values of
 * files; wipes them before it frees them.
 */

#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ai_crypto.h"
#include "log.h"


#define SECRET_NAME_MAX  128


typedef struct {
    char    name[SECRET_NAME_MAX + 1];
    char   *value;
    size_t  len;
} secret_file_t;


static int secret_env(ai_str_t name, ai_str_t *value);
static int secret_file(ai_str_t name, ai_str_t *value);
static int secret_read(secret_file_t *file);


static struct {
    const char         *dir;
    const char *const  *allow;
    secret_file_t       files[SECRET_NAMES_MAX];
    unsigned            nfiles;
} secrets;


void
secret_init(const char *dir, const char *const *allow)
{
    secrets.dir = dir;
    secrets.allow = allow;
}


int
secret_get(ai_str_t name, ai_str_t *value)
{
    if (name.len > 4 && memcmp(name.data, "env:", 4) == 0) {
        name.data += 4;
        name.len -= 4;
        return secret_env(name, value);
    }

    if (name.len > 5 && memcmp(name.data, "file:", 5) == 0) {
        name.data += 5;
        name.len -= 5;
        return secret_file(name, value);
    }

    *value = name;

    return name.len != 0;
}


static int
secret_env(ai_str_t name, ai_str_t *value)
{
    char         z[SECRET_NAME_MAX + 1];
    const char  *env;

    if (name.len > SECRET_NAME_MAX
        || !secret_env_allowed(secrets.allow, name))
    {
        return 0;
    }

    memcpy(z, name.data, name.len);
    z[name.len] = '\0';
    env = getenv(z);

    if (env == NULL || *env == '\0' || strlen(env) > SECRET_VALUE_MAX) {
        return 0;
    }

    *value = (ai_str_t) { strlen(env), env };

    return 1;
}


int
secret_env_allowed(const char *const *allow, ai_str_t name)
{
    size_t       len;
    const char  *p;

    if (name.len == 0 || memchr(name.data, '=', name.len) != NULL
        || memchr(name.data, '\0', name.len) != NULL)
    {
        return 0;
    }

    for ( /* void */ ; *allow != NULL; allow++) {
        p = *allow;
        len = strlen(p);

        if (len > 1 && p[0] == '*') {
            p++;
            len--;

            if (name.len >= len
                && memcmp(name.data + name.len - len, p, len) == 0)
            {
                return 1;
            }

        } else if (len > 1 && p[len - 1] == '*') {
            len--;

            if (name.len >= len && memcmp(name.data, p, len) == 0) {
                return 1;
            }

        } else if (ai_str_eqz(name, p)) {
            return 1;
        }
    }

    return 0;
}


int
secret_file_ok(ai_str_t name)
{
    size_t  i;

    if (name.len == 0 || name.len > SECRET_NAME_MAX || name.data[0] == '.') {
        return 0;
    }

    for (i = 0; i < name.len; i++) {
        if (name.data[i] <= ' ' || name.data[i] > '~' || name.data[i] == '/') {
            return 0;
        }
    }

    return 1;
}


static int
secret_file(ai_str_t name, ai_str_t *value)
{
    unsigned        i;
    secret_file_t  *file;

    if (secrets.dir == NULL || !secret_file_ok(name)) {
        return 0;
    }

    for (i = 0; i < secrets.nfiles; i++) {
        file = &secrets.files[i];

        if (ai_str_eqz(name, file->name)) {
            *value = (ai_str_t) { file->len, file->value };
            return file->value != NULL;
        }
    }

    if (secrets.nfiles == SECRET_NAMES_MAX) {
        secret_forget();
    }

    file = &secrets.files[secrets.nfiles];
    memcpy(file->name, name.data, name.len);
    file->name[name.len] = '\0';

    if (secret_read(file) != 0) {
        return 0;
    }

    secrets.nfiles++;
    *value = (ai_str_t) { file->len, file->value };

    return 1;
}


/* A file that is missing is looked for again at the next job. */

static int
secret_read(secret_file_t *file)
{
    int          fd;
    char         path[4096], buf[SECRET_VALUE_MAX + 1];
    ssize_t      n;
    struct stat  st;

    if (snprintf(path, sizeof(path), "%s/%s", secrets.dir, file->name)
        >= (int) sizeof(path))
    {
        return -1;
    }

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NONBLOCK);
    if (fd == -1) {
        log_write(LOG_WARN, "secret", "file:%s cannot be read: %s",
                  file->name, strerror(errno));
        return -1;
    }

    n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode)
        ? read(fd, buf, sizeof(buf)) : -1;
    close(fd);

    if (n > 0 && n <= SECRET_VALUE_MAX) {
        while (n > 0 && (unsigned char) buf[n - 1] <= ' ') {
            n--;
        }
    }

    if (n <= 0 || n > SECRET_VALUE_MAX
        || (file->value = malloc((size_t) n)) == NULL)
    {
        ai_wipe(buf, sizeof(buf));
        log_write(LOG_WARN, "secret", "file:%s is no secret", file->name);
        return -1;
    }

    memcpy(file->value, buf, (size_t) n);
    file->len = (size_t) n;
    ai_wipe(buf, sizeof(buf));

    return 0;
}


void
secret_forget(void)
{
    unsigned        i;
    secret_file_t  *file;

    for (i = 0; i < secrets.nfiles; i++) {
        file = &secrets.files[i];
        ai_wipe(file->value, file->len);
        free(file->value);
        memset(file, 0, sizeof(*file));
    }

    secrets.nfiles = 0;
}
