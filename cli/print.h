/* What commands print: numbers for people, tables, JSON. */
#ifndef KITH_CLI_PRINT_H
#define KITH_CLI_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <json-c/json.h>

#include <kith/kith.h>

/* ---- numbers for people; each writes at most 32 bytes into text and returns it ------------------- */

char *print_count(char *text, double value);              /* 117,655 */
char *print_bytes(char *text, double bytes);              /* 44.9 MiB */
char *print_seconds(char *text, double value);            /* 0.42 s, 3 min 20 s */
char *print_number(char *text, double value, int digits); /* significant digits, "-" for NaN */

/* ---- tables, by libsmartcols --------------------------------------------------------------------- */

typedef struct libscols_table table;

/* Columns as "name" (left) or ">name" (right), ended by NULL; NULL when there is no memory. */
table *table_new(const char *const *columns);
/* One row of n_columns texts. */
void table_row(table *t, const char *const *cells);
void table_print(table *t, FILE *file);
void table_free(table *t);

/* "name   value" lines. */
typedef struct fact_list {
    table *t;
} fact_list;
fact_list facts_new(void);
void facts_add(fact_list f, const char *name, const char *text, ...)
    __attribute__((format(printf, 3, 4)));
void facts_print(fact_list f, FILE *file);

/* ---- JSON, by json-c ------------------------------------------------------------------------------ */

/* A number with that many significant digits; null for NaN and infinity. */
struct json_object *json_number(double value, int digits);
struct json_object *json_float(float value);
struct json_object *json_text(const char *text);
struct json_object *json_ids(const int64_t *ids, size_t n);
struct json_object *json_floats(const float *values, size_t n);
void json_add(struct json_object *object, const char *key, struct json_object *value);
/* One line, or laid out; frees the object. Returns false when it could not be written. */
bool json_print(struct json_object *object, FILE *file, bool laid_out);

/* ---- an index ------------------------------------------------------------------------------------- */

/* Bytes a vector by component, and the rest that a newcomer wants to know. */
void print_index_facts(fact_list f, const kith_index_stats *stats);
struct json_object *json_index_stats(const kith_index_stats *stats);
void print_memory_table(const kith_index_stats *stats, FILE *file);

/* ---- an effort (print_effort.c): what a recall comes to ------------------------------------------- */

/* Columns "k", "recall", "expected", "ef", "nprobe", "oversample", "scan". */
void effort_row(table *t, const kith_search_params *params, double expected, double recall);
struct json_object *json_effort(const kith_search_params *params, double expected, double recall);

#endif
