/*
 * ai-workers: the supervisor, or, started by it, one worker process.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ai_crypto.h"
#include "log.h"
#include "options.h"
#include "sign.h"
#include "supervisor.h"
#include "worker.h"


static options_t  main_options;


int
main(int argc, char **argv)
{
    int  rc;

    rc = options_parse(&main_options, argc, argv);

    if (rc != 0) {
        return rc == 1 ? 0 : 2;
    }

    if (log_open(main_options.log, (log_level_e) main_options.log_level)
        != 0)
    {
        fprintf(stderr, "ai-workers: %s: %s\n", main_options.log,
                strerror(errno));
        return 2;
    }

    ai_crypto_open();

    if (sign_open(main_options.sign_file) != 0) {
        fprintf(stderr, "ai-workers: --sign-file %s: see the log\n",
                main_options.sign_file);
        return 2;
    }

    /* Until the loop listens: who asks for a reload does not mean an end. */

    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);

    if (main_options.child_start_msec != 0) {
        return worker_run(&main_options);
    }

    return supervisor_run(&main_options, argc, argv);
}
