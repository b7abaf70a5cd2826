/*
 * aictl doctor: runs the checks and prints what they found, the worst last so
 * that it stands above the prompt.
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "aictl_doctor.h"


static const char *const  doctor_words[] = { "ok", "warning", "problem" };


void
doctor_add(doctor_t *d, doctor_level_e level, const char *part,
    const char *todo, const char *fmt, ...)
{
    char     what[1024];
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);

    d->bad += level == DOCTOR_BAD;
    d->warn += level == DOCTOR_WARN;

    (void) json_array_append_new(d->findings,
               json_pack("{s:s, s:s, s:s+, s:s?}", "level",
                         doctor_words[level], "part", part, "what", what, "",
                         "todo", todo));
}


static void
doctor_print(const doctor_t *d)
{
    size_t       i, level;
    json_t      *row;
    const char  *todo;

    for (level = DOCTOR_OK; level <= DOCTOR_BAD; level++) {
        json_array_foreach(d->findings, i, row) {
            if (strcmp(json_string_value(json_object_get(row, "level")),
                       doctor_words[level]) != 0)
            {
                continue;
            }

            printf("%-8s %-9s ", doctor_words[level],
                   json_string_value(json_object_get(row, "part")));
            aictl_print(stdout,
                        json_string_value(json_object_get(row, "what")));
            putchar('\n');

            todo = json_string_value(json_object_get(row, "todo"));

            if (todo) {
                printf("%19s-> ", "");
                aictl_print(stdout, todo);
                putchar('\n');
            }
        }
    }

    if (d->bad == 0 && d->warn == 0) {
        printf("\nNothing is wrong.\n");

    } else {
        printf("\n%u problem%s, %u warning%s.\n", d->bad,
               d->bad == 1 ? "" : "s", d->warn, d->warn == 1 ? "" : "s");
    }
}


int
aictl_doctor(aictl_t *a)
{
    int       rc;
    doctor_t  d;

    memset(&d, 0, sizeof(d));
    d.findings = json_array();

    doctor_redis(a, &d);
    doctor_queue(a, &d);
    doctor_postgres(a, &d);
    doctor_keys(a, &d);

    rc = d.bad ? AICTL_FAILED : AICTL_OK;

    if (a->opt[AICTL_OPT_JSON]) {
        return aictl_rows(a, NULL, d.findings) == AICTL_OK ? rc
                                                           : AICTL_FAILED;
    }

    doctor_print(&d);
    json_decref(d.findings);

    return rc;
}
