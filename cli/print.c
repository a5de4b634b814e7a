/* Numbers for people, tables and JSON. */
#include "print.h"

#include <libsmartcols.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CELL_BYTES 32

/* ---- numbers ------------------------------------------------------------------------------------ */

char *print_count(char *text, double value) {
    char digits[CELL_BYTES];
    int n = snprintf(digits, sizeof digits, "%.0f", fmin(fabs(value), 1e18));
    char *out = text;
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0) *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return text;
}

char *print_bytes(char *text, double bytes) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < sizeof units / sizeof *units) bytes /= 1024, unit++;
    snprintf(text, CELL_BYTES, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

char *print_seconds(char *text, double value) {
    if (value < 0.1)
        snprintf(text, CELL_BYTES, "%.1f ms", value * 1e3);
    else if (value < 60)
        snprintf(text, CELL_BYTES, value < 10 ? "%.2f s" : "%.1f s", value);
    else if (value < 3600)
        snprintf(text, CELL_BYTES, "%d min %d s", (int)value / 60, (int)value % 60);
    else
        snprintf(text, CELL_BYTES, "%d h %d min", (int)(value / 3600), (int)value / 60 % 60);
    return text;
}

char *print_number(char *text, double value, int digits) {
    if (isnan(value))
        snprintf(text, CELL_BYTES, "-");
    else if (fabs(value) >= 1000)
        print_count(text, value);
    else
        snprintf(text, CELL_BYTES, "%.*g", digits, value);
    return text;
}

/* ---- tables ------------------------------------------------------------------------------------- */

table *table_new(const char *const *columns) {
    table *t = scols_new_table();
    if (!t) return NULL;
    for (size_t i = 0; columns[i]; i++) {
        bool right = columns[i][0] == '>';
        scols_table_new_column(t, columns[i] + right, 0, right ? SCOLS_FL_RIGHT : 0);
    }
    scols_table_set_column_separator(t, "  ");
    scols_table_enable_nolinesep(t, 0);
    return t;
}

void table_row(table *t, const char *const *cells) {
    struct libscols_line *line = t ? scols_table_new_line(t, NULL) : NULL;
    if (!line) return;
    size_t n = scols_table_get_ncols(t);
    for (size_t i = 0; i < n; i++) scols_line_set_data(line, i, cells[i]);
}

void table_print(table *t, FILE *file) {
    if (!t || scols_table_get_nlines(t) == 0) return;
    char *text = NULL;
    scols_table_enable_maxout(t, 0);
    scols_table_set_termforce(t, SCOLS_TERMFORCE_NEVER);
    if (scols_print_table_to_string(t, &text)) return;
    /* No spaces at the ends of lines. */
    for (char *line = text; line && *line;) {
        char *end = strchrnul(line, '\n');
        size_t n = (size_t)(end - line);
        while (n && line[n - 1] == ' ') n--;
        fprintf(file, "%.*s\n", (int)n, line);
        line = *end ? end + 1 : end;
    }
    free(text);
}

void table_free(table *t) { scols_unref_table(t); }

fact_list facts_new(void) {
    static const char *const columns[] = {"name", "value", NULL};
    fact_list f = {table_new(columns)};
    if (f.t) scols_table_enable_noheadings(f.t, 1);
    return f;
}

void facts_add(fact_list f, const char *name, const char *text, ...) {
    char value[512];
    va_list args;
    va_start(args, text);
    vsnprintf(value, sizeof value, text, args);
    va_end(args);
    const char *cells[] = {name, value};
    table_row(f.t, cells);
}

void facts_print(fact_list f, FILE *file) {
    table_print(f.t, file);
    table_free(f.t);
}

/* ---- JSON ----------------------------------------------------------------------------------------- */

struct json_object *json_number(double value, int digits) {
    char text[CELL_BYTES];
    if (!isfinite(value)) return NULL;
    snprintf(text, sizeof text, "%.*g", digits, value);
    return json_object_new_double_s(value, text);
}

struct json_object *json_float(float value) {
    return json_number((double)value, 9);
}

struct json_object *json_text(const char *text) {
    return text ? json_object_new_string(text) : NULL;
}

struct json_object *json_ids(const int64_t *ids, size_t n) {
    struct json_object *array = json_object_new_array();
    for (size_t i = 0; i < n; i++) json_object_array_add(array, json_object_new_int64(ids[i]));
    return array;
}

struct json_object *json_floats(const float *values, size_t n) {
    struct json_object *array = json_object_new_array();
    for (size_t i = 0; i < n; i++) json_object_array_add(array, json_float(values[i]));
    return array;
}

void json_add(struct json_object *object, const char *key, struct json_object *value) {
    json_object_object_add(object, key, value);
}

bool json_print(struct json_object *object, FILE *file, bool laid_out) {
    int flags =
        JSON_C_TO_STRING_NOSLASHESCAPE |
        (laid_out ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : JSON_C_TO_STRING_PLAIN);
    const char *text = json_object_to_json_string_ext(object, flags);
    bool done = text && fputs(text, file) >= 0 && putc('\n', file) != EOF;
    json_object_put(object);
    return done;
}
