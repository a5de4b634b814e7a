/* Field indexes: which rows a condition on one path takes, without a look at payloads.
 *
 *     type       values                                   conditions
 *     keyword    strings                                  match of every kind, range of times, by distinct string
 *     integer    whole numbers of 64 bits                 match value, any, except of whole numbers; range
 *     float      numbers that a double holds              range; match of whole numbers, to be checked
 *     bool       true, false                              match value, any, except of booleans
 *     datetime   strings that are times                   range of times
 *     uuid       strings in the usual spelling of one     match value, any, except of strings
 *     geo        places                                   box, radius, polygon
 *     all                                                 is_empty, is_null
 *
 * An answer is a set of rows that may match and a set that do; they differ where the index cannot tell, and there the payload
 * decides. A value that an index cannot hold and that a condition might take (a number with a fraction in an integer index)
 * puts its row among the odd ones, which are in the first set only. So results do not depend on indexes.
 *
 * Threads: one at a time changes; changes and answers exclude each other, which the caller sees to. A change takes microseconds.
 * field_merge_make only reads, and may run beside answers. */
#ifndef KITH_FILTER_FIELD_H
#define KITH_FILTER_FIELD_H

#include "filter/filter.h"

struct mem_account;

enum field_type {
    FIELD_KEYWORD,
    FIELD_INTEGER,
    FIELD_FLOAT,
    FIELD_BOOL,
    FIELD_DATETIME,
    FIELD_UUID,
    FIELD_GEO,
    FIELD_TYPES
};

/* "keyword", …; NULL, or false, for what is none. */
const char *field_type_name(enum field_type type);
bool field_type_of(enum field_type *out, struct json_text name);

struct field;

int field_new(struct field **out, enum field_type type, const struct path *path,
              struct mem_account *owner, kith_error *err);
void field_free(struct field *field); /* NULL is fine */
enum field_type field_type(const struct field *field);
const struct path *field_path(const struct field *field);
uint64_t field_bytes(const struct field *field);
/* Rows with an indexed value; one more than the greatest row ever added. */
uint64_t field_points(const struct field *field);
uint64_t field_rows(const struct field *field);

/* ---- changes ------------------------------------------------------------------------------------ */

/* Add a row that is not there. KITH_ENOMEM, and nothing has changed. */
int field_add(struct field *field, uint32_t row, struct json_value payload, kith_error *err);
/* Take a row away; the payload is the one it was added with. KITH_ENOMEM, and nothing has changed. */
int field_remove(struct field *field, uint32_t row, struct json_value payload, kith_error *err);

/* Numbers, times and places are kept in two parts, of which the newer is read one by one: when it wants, make its merge, which
 * takes some 100 ms a million rows, and put it in place, which takes none. No change may come between the two. */
struct field_merge;
bool field_wants_merge(const struct field *field);
int field_merge_make(const struct field *field, struct field_merge **out, kith_error *err);
void field_merge_take(struct field *field, struct field_merge *merge);

/* ---- answers ------------------------------------------------------------------------------------ */

/* Whether the index is on the condition's path and knows its form. */
bool field_answers(const struct field *field, const struct filter_condition *condition);

struct field_answer {
    uint64_t *may;   /* out: rows that may match; zeroed bits for field_rows() rows at least */
    uint64_t *does;  /* out: those that do, when not exact; zeroed likewise, and scratch */
    size_t n_words;  /* of each */
    bool exact;      /* out: may is the answer */
    bool complement; /* out: the answer is all rows but these; then it is exact */
};
/* Of a condition that field_answers. Cost: a pass over n_words for each distinct value or a dozen for a range. */
void field_answer(const struct field *field, const struct filter_condition *condition,
                  struct field_answer *answer);
/* About how many rows, in microseconds and without memory; UINT64_MAX where only an answer tells. */
uint64_t field_estimate(const struct field *field, const struct filter_condition *condition);

/* ---- values ------------------------------------------------------------------------------------- */

struct field_value {
    enum json_type type; /* JSON_STRING, JSON_INT, JSON_DOUBLE, JSON_BOOL */
    union {
        struct json_text text; /* keyword, and uuid with hyphens */
        int64_t i;             /* integer, and datetime in microseconds */
        double d;
        bool b;
    };
};
typedef bool (*field_visit_facet)(void *context, const struct field_value *value, uint64_t count);
typedef bool (*field_visit_row)(void *context, const struct field_value *value, uint32_t row);

/* Each distinct value with its rows among bits (NULL: all), those of none left out, in no order, until a call returns true.
 * KITH_EUNSUPPORTED but for keyword, integer, bool, uuid; KITH_ENOMEM. */
int field_facets(const struct field *field, const uint64_t *bits, field_visit_facet visit,
                 void *context, kith_error *err);
/* Each (value, row) by value, then row, from that value on (NULL: the first), or all of it backwards, until a call returns true.
 * KITH_EUNSUPPORTED but for integer, float, datetime; KITH_ENOMEM. */
int field_order(const struct field *field, const struct field_value *from, bool backwards,
                field_visit_row visit, void *context, kith_error *err);

/* ---- bytes -------------------------------------------------------------------------------------- */

/* The whole index as bytes with a checksum: docs/format.md. The bytes are the caller's, to be freed by mem_free(owner, ..., *n). */
int field_save(const struct field *field, uint8_t **bytes, size_t *n, kith_error *err);
/* KITH_EFORMAT, KITH_EVERSION, KITH_ECORRUPT with the byte in err->at; KITH_ENOMEM. */
int field_load(struct field **out, const uint8_t *bytes, size_t n, struct mem_account *owner,
               kith_error *err);

#endif
