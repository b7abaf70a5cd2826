/*
 * What aictl prints: JSON for programs, tables for people.  Takes the
 * references it is given.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aictl.h"


#define AICTL_COLUMNS_MAX  32
#define AICTL_CELL_MAX     128

/* pg_type.oid of the types a result may hold. */
#define AICTL_BOOL_OID     16
#define AICTL_INT8_OID     20
#define AICTL_INT2_OID     21
#define AICTL_INT4_OID     23


void
aictl_print(FILE *f, const char *text)
{
    const unsigned char  *p;

    for (p = (const unsigned char *) text; *p; p++) {
        /* C0, DEL, and C1 as UTF-8 writes it. */
        if (*p == '\n' && p[1]) {
            fputs("\n  ", f);

        } else if (*p < 0x20 || *p == 0x7f) {
            fputc(*p == '\n' || *p == '\t' ? ' ' : '?', f);

        } else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
            fputc('?', f);
            p++;

        } else {
            fputc(*p, f);
        }
    }
}


static int
aictl_print_json(json_t *value)
{
    int  rc;

    rc = json_dumpf(value, stdout,
                    JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_PRESERVE_ORDER);
    json_decref(value);

    if (rc != 0) {
        aictl_error("cannot write the output");
        return AICTL_FAILED;
    }

    putchar('\n');
    return AICTL_OK;
}


/* A value as a cell: one line, without control characters. */

static void
aictl_cell(char *buf, size_t size, const json_t *value)
{
    size_t  i;

    switch (json_typeof(value)) {

    case JSON_STRING:
        (void) snprintf(buf, size, "%s", json_string_value(value));
        break;

    case JSON_INTEGER:
        (void) snprintf(buf, size, "%lld",
                        (long long) json_integer_value(value));
        break;

    case JSON_TRUE:
        (void) snprintf(buf, size, "yes");
        break;

    case JSON_FALSE:
        (void) snprintf(buf, size, "no");
        break;

    default:
        buf[0] = '\0';
    }

    if (buf[0] == '\0') {
        (void) snprintf(buf, size, "-");
    }

    for (i = 0; buf[i]; i++) {
        if ((unsigned char) buf[i] < 0x20 || buf[i] == 0x7f) {
            buf[i] = '?';
        }
    }

    /* A character that was cut goes as a whole. */
    if (i == size - 1) {
        while (i > 0 && ((unsigned char) buf[i - 1] & 0xc0) == 0x80) {
            i--;
        }

        if (i > 0 && ((unsigned char) buf[i - 1] & 0x80)) {
            i--;
        }

        buf[i] = '\0';
    }
}


static int
aictl_width(const char *s)
{
    int  n;

    for (n = 0; *s; s++) {
        if (((unsigned char) *s & 0xc0) != 0x80) {
            n++;
        }
    }

    return n;
}


static void
aictl_put(const char *s, int width, unsigned right, unsigned last)
{
    int  pad;

    pad = width - aictl_width(s);
    if (pad < 0 || (last && !right)) {
        pad = 0;
    }

    if (right) {
        printf("%*s", pad, "");
    }

    aictl_print(stdout, s);

    if (!right) {
        printf("%*s", pad, "");
    }

    fputs(last ? "\n" : "  ", stdout);
}


int
aictl_rows(aictl_t *a, const aictl_column_t *columns, json_t *rows)
{
    int      width[AICTL_COLUMNS_MAX], w;
    char     cell[AICTL_CELL_MAX];
    json_t  *row, *value;
    size_t   i, k, n;

    if (rows == NULL) {
        aictl_error("no memory");
        return AICTL_FAILED;
    }

    if (a->opt[AICTL_OPT_JSON]) {
        return aictl_print_json(rows);
    }

    for (n = 0; n < AICTL_COLUMNS_MAX && columns[n].key; n++) {
        width[n] = aictl_width(columns[n].title);
    }

    json_array_foreach(rows, i, row) {
        for (k = 0; k < n; k++) {
            value = json_object_get(row, columns[k].key);
            aictl_cell(cell, sizeof(cell), value ? value : json_null());

            w = aictl_width(cell);
            if (w > width[k]) {
                width[k] = w;
            }
        }
    }

    for (k = 0; k < n; k++) {
        aictl_put(columns[k].title, width[k], columns[k].right, k + 1 == n);
    }

    json_array_foreach(rows, i, row) {
        for (k = 0; k < n; k++) {
            value = json_object_get(row, columns[k].key);
            aictl_cell(cell, sizeof(cell), value ? value : json_null());
            aictl_put(cell, width[k], columns[k].right, k + 1 == n);
        }
    }

    json_decref(rows);
    return AICTL_OK;
}


int
aictl_object(aictl_t *a, json_t *object)
{
    int          width, w;
    char         cell[AICTL_CELL_MAX];
    json_t      *value;
    const char  *key;

    if (object == NULL) {
        aictl_error("no memory");
        return AICTL_FAILED;
    }

    if (a->opt[AICTL_OPT_JSON]) {
        return aictl_print_json(object);
    }

    width = 0;

    json_object_foreach(object, key, value) {
        w = aictl_width(key);
        width = w > width ? w : width;
    }

    json_object_foreach(object, key, value) {
        aictl_cell(cell, sizeof(cell), value);
        printf("%s:%*s", key, width - aictl_width(key) + 1, "");
        aictl_print(stdout, cell);
        putchar('\n');
    }

    json_decref(object);
    return AICTL_OK;
}


static json_t *
aictl_result_value(const PGresult *res, int row, int column)
{
    json_t      *value;
    const char  *text;

    if (PQgetisnull(res, row, column)) {
        return json_null();
    }

    text = PQgetvalue(res, row, column);

    switch (PQftype(res, column)) {

    case AICTL_BOOL_OID:
        return json_boolean(text[0] == 't');

    case AICTL_INT2_OID:
    case AICTL_INT4_OID:
    case AICTL_INT8_OID:
        return json_integer(strtoll(text, NULL, 10));

    default:
        value = json_string(text);
        return value ? value : json_null();
    }
}


json_t *
aictl_result_rows(const PGresult *res)
{
    int      i, k, n;
    json_t  *rows, *row;

    rows = json_array();
    if (rows == NULL) {
        return NULL;
    }

    n = PQntuples(res);
    if (n > AICTL_ROWS_MAX) {
        aictl_note("only the first %d of %d rows are shown", AICTL_ROWS_MAX,
                   n);
        n = AICTL_ROWS_MAX;
    }

    for (i = 0; i < n; i++) {
        row = json_object();

        for (k = 0; k < PQnfields(res); k++) {
            (void) json_object_set_new(row, PQfname(res, k),
                                       aictl_result_value(res, i, k));
        }

        if (json_array_append_new(rows, row) != 0) {
            json_decref(rows);
            return NULL;
        }
    }

    return rows;
}
