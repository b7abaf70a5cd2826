/*
 * Calling a KMS program: two pipes, a deadline, and nothing left of it
 * afterwards.  Owns whether programs are still to be run.
 */

#include "kms.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "ai_crypto.h"


#define KMS_SLICE_MSEC  50          /* between looks whether to stop */
#define KMS_BASE64_MAX  (KMS_DATA_MAX / 3 * 4 + 8)
#define KMS_LINE_MAX    (KMS_BASE64_MAX + 512)


typedef struct {
    pid_t  pid;
    int    in;                      /* what it reads; -1: all was written */
    int    out;
} kms_child_t;


static int kms_words(char *text, char **argv);
static int kms_spawn(kms_child_t *c, char **argv, char *why);
static int kms_talk(kms_child_t *c, ai_str_t in, char *out, size_t *len,
    uint64_t deadline, char *why);
static int kms_end(kms_child_t *c, int kill_it, uint64_t deadline, char *why);
static int kms_decode(char *text, size_t len, unsigned char *out,
    size_t *n);
static uint64_t kms_now(void);


static atomic_int  kms_stopped;

extern char  **environ;


void
kms_stop(void)
{
    atomic_store(&kms_stopped, 1);
}


int
kms_ok(const char *words)
{
    char    text[KMS_TEXT_MAX], *argv[KMS_WORDS + 2];
    size_t  len;

    len = strlen(words);

    if (len >= sizeof(text)) {
        return 0;
    }

    memcpy(text, words, len + 1);

    return kms_words(text, argv) == 0;
}


/* Splits text at blanks, in place; there is room behind for the verb. */

static int
kms_words(char *text, char **argv)
{
    int    n;
    char  *word, *rest;

    n = 0;

    for (word = strtok_r(text, " ", &rest);
         word != NULL;
         word = strtok_r(NULL, " ", &rest))
    {
        if (n == KMS_WORDS) {
            return -1;
        }

        argv[n++] = word;
    }

    argv[n] = NULL;
    argv[n + 1] = NULL;

    return n != 0 && argv[0][0] == '/' ? 0 : -1;
}


int
kms_run(const char *words, const char *verb, ai_str_t of, ai_str_t in,
    unsigned char *out, size_t *len, char *why)
{
    int           rc, n;
    char          text[KMS_TEXT_MAX], *argv[KMS_WORDS + 2];
    char          line[KMS_LINE_MAX], said[KMS_LINE_MAX];
    size_t        said_len;
    uint64_t      deadline;
    kms_child_t   c;

    if (strlen(words) >= sizeof(text) || in.len > KMS_DATA_MAX
        || of.len > 500)
    {
        (void) snprintf(why, KMS_WHY_MAX, "what it is given is too long");
        return -1;
    }

    memcpy(text, words, strlen(words) + 1);

    if (kms_words(text, argv) != 0) {
        (void) snprintf(why, KMS_WHY_MAX, "it names no program");
        return -1;
    }

    for (n = 0; argv[n] != NULL; n++) { /* void */ }

    argv[n] = (char *) verb;

    memcpy(line, of.data, of.len);
    line[of.len] = '\n';
    n = EVP_EncodeBlock((unsigned char *) line + of.len + 1,
                        (const unsigned char *) in.data, (int) in.len);
    line[of.len + 1 + (size_t) n] = '\n';

    deadline = kms_now() + KMS_MSEC;
    said_len = 0;
    rc = kms_spawn(&c, argv, why);

    if (rc == 0) {
        rc = kms_talk(&c, (ai_str_t) { of.len + (size_t) n + 2, line }, said,
                      &said_len, deadline, why);
        rc = kms_end(&c, rc != 0, deadline, why) != 0 ? -1 : rc;
    }

    if (rc == 0 && kms_decode(said, said_len, out, len) != 0) {
        (void) snprintf(why, KMS_WHY_MAX, "the KMS program did not answer with"
                        " one line of base64");
        rc = -1;
    }

    ai_wipe(line, sizeof(line));
    ai_wipe(said, sizeof(said));

    return rc;
}


/* In a group of its own, with clean signals and no more than its pipes. */

static int
kms_spawn(kms_child_t *c, char **argv, char *why)
{
    int                         rc, in[2], out[2];
    sigset_t                    set;
    posix_spawnattr_t           attr;
    posix_spawn_file_actions_t  files;

    if (pipe2(in, O_CLOEXEC) != 0) {
        (void) snprintf(why, KMS_WHY_MAX, "no pipe: %s", strerror(errno));
        return -1;
    }

    if (pipe2(out, O_CLOEXEC) != 0) {
        (void) snprintf(why, KMS_WHY_MAX, "no pipe: %s", strerror(errno));
        close(in[0]);
        close(in[1]);
        return -1;
    }

    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP
                             |POSIX_SPAWN_SETSIGMASK|POSIX_SPAWN_SETSIGDEF);
    sigemptyset(&set);
    posix_spawnattr_setsigmask(&attr, &set);
    sigaddset(&set, SIGPIPE);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    posix_spawnattr_setsigdefault(&attr, &set);

    rc = posix_spawn_file_actions_adddup2(&files, in[0], 0);

    if (rc == 0) {
        rc = posix_spawn_file_actions_adddup2(&files, out[1], 1);
    }

    /* Libraries' sockets are not all closed by exec. */

    if (rc == 0) {
        rc = posix_spawn_file_actions_addclosefrom_np(&files, 3);
    }

    if (rc == 0) {
        rc = posix_spawn(&c->pid, argv[0], &files, &attr, argv, environ);
    }

    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    close(in[0]);
    close(out[1]);

    if (rc != 0) {
        (void) snprintf(why, KMS_WHY_MAX, "the KMS program cannot be run: %s",
                        strerror(rc));
        close(in[1]);
        close(out[0]);
        return -1;
    }

    c->in = in[1];
    c->out = out[0];
    (void) fcntl(c->in, F_SETFL, O_NONBLOCK);
    (void) fcntl(c->out, F_SETFL, O_NONBLOCK);

    return 0;
}


/* Until it closes its output: 0, or -1 with why. */

static int
kms_talk(kms_child_t *c, ai_str_t in, char *out, size_t *len,
    uint64_t deadline, char *why)
{
    int            n;
    ssize_t        got;
    uint64_t       now, left;
    struct pollfd  fds[2];

    for ( ;; ) {
        now = kms_now();

        if (now >= deadline || atomic_load(&kms_stopped)) {
            (void) snprintf(why, KMS_WHY_MAX, "the KMS program did not answer"
                            " within %d s", KMS_MSEC / 1000);
            return -1;
        }

        left = deadline - now;
        fds[0] = (struct pollfd) { .fd = c->out, .events = POLLIN };
        fds[1] = (struct pollfd) { .fd = c->in, .events = POLLOUT };
        n = poll(fds, c->in != -1 ? 2 : 1,
                 (int) (left < KMS_SLICE_MSEC ? left : KMS_SLICE_MSEC));

        if (n < 0 && errno != EINTR) {
            (void) snprintf(why, KMS_WHY_MAX, "poll: %s", strerror(errno));
            return -1;
        }

        if (n <= 0) {
            continue;
        }

        /* One that answers without reading is none the worse for it. */

        if (c->in != -1 && fds[1].revents != 0) {
            got = write(c->in, in.data, in.len);

            if (got > 0) {
                in.data += got;
                in.len -= (size_t) got;
            }

            if (in.len == 0 || (got < 0 && errno != EAGAIN
                                && errno != EINTR))
            {
                close(c->in);
                c->in = -1;
            }
        }

        if (fds[0].revents == 0) {
            continue;
        }

        got = read(c->out, out + *len, KMS_LINE_MAX - *len);

        if (got == 0) {
            return 0;
        }

        if (got > 0) {
            *len += (size_t) got;
        }

        if ((got < 0 && errno != EAGAIN && errno != EINTR)
            || *len == KMS_LINE_MAX)
        {
            (void) snprintf(why, KMS_WHY_MAX, "the KMS program answers with "
                            "too much");
            return -1;
        }
    }
}


/* Its exit code is 0: 0, or -1 with why, where there is none yet.  Its number
 * is not given back before its group is gone. */

static int
kms_end(kms_child_t *c, int kill_it, uint64_t deadline, char *why)
{
    int        status;
    siginfo_t  info;

    if (c->in != -1) {
        close(c->in);
    }

    close(c->out);

    while (!kill_it) {
        memset(&info, 0, sizeof(info));

        if (waitid(P_PID, (id_t) c->pid, &info, WEXITED|WNOHANG|WNOWAIT) != 0
            || info.si_pid == c->pid)
        {
            break;
        }

        if (kms_now() >= deadline || atomic_load(&kms_stopped)) {
            (void) snprintf(why, KMS_WHY_MAX, "the KMS program did not end "
                            "within %d s", KMS_MSEC / 1000);
            kill_it = 1;
            break;
        }

        (void) poll(NULL, 0, 5);
    }

    (void) kill(-c->pid, SIGKILL);

    while (waitpid(c->pid, &status, 0) == -1) {
        if (errno != EINTR) {
            status = -1;
            break;
        }
    }

    if (kill_it) {
        return -1;
    }

    if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        (void) snprintf(why, KMS_WHY_MAX, "the KMS program failed: %s %d",
                        status != -1 && WIFEXITED(status) ? "exit code"
                                                          : "signal",
                        status != -1 && WIFEXITED(status)
                        ? WEXITSTATUS(status) : WTERMSIG(status));
        return -1;
    }

    return 0;
}


static int
kms_decode(char *text, size_t len, unsigned char *out, size_t *n)
{
    int             got;
    size_t          i, pad;
    unsigned char   buf[KMS_LINE_MAX];

    while (len != 0 && (text[len - 1] == '\n' || text[len - 1] == '\r')) {
        len--;
    }

    if (len == 0 || len % 4 != 0 || len > KMS_BASE64_MAX) {
        return -1;
    }

    pad = text[len - 1] != '=' ? 0 : text[len - 2] != '=' ? 1 : 2;

    for (i = 0; i < len - pad; i++) {
        if (!((text[i] >= 'A' && text[i] <= 'Z')
              || (text[i] >= 'a' && text[i] <= 'z')
              || (text[i] >= '0' && text[i] <= '9')
              || text[i] == '+' || text[i] == '/'))
        {
            return -1;
        }
    }

    got = EVP_DecodeBlock(buf, (unsigned char *) text, (int) len);

    if (got < 0 || (size_t) got < pad || (size_t) got - pad > KMS_DATA_MAX) {
        ai_wipe(buf, sizeof(buf));
        return -1;
    }

    *n = (size_t) got - pad;
    memcpy(out, buf, *n);
    ai_wipe(buf, sizeof(buf));

    return *n != 0 ? 0 : -1;
}


static uint64_t
kms_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}
