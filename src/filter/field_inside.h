/* What the files of field indexes share. */
#ifndef KITH_FILTER_FIELD_INSIDE_H
#define KITH_FILTER_FIELD_INSIDE_H

#include "base/mem.h"
#include "filter/dict.h"
#include "filter/field.h"
#include "filter/run.h"

/* One value of a payload, as the index keeps it. */
struct field_key {
    struct json_text text; /* dict: borrowed from the payload, or from uuid */
    uint8_t uuid[16];
    struct run_entry entry; /* run */
};

struct field {
    struct mem_account *owner, account; /* account counts the index, and is the owner's */
    enum field_type type;
    struct arena arena; /* the path */
    struct path path;
    struct dict dict;              /* keyword, bool, uuid */
    struct run run;                /* integer, float, datetime, geo */
    struct posting some;           /* rows with a value that is neither null nor [] */
    struct posting nulls;          /* rows with a value that is null */
    struct posting valued, plural; /* rows with one, with two elements or more that are not null */
    /* rows with a value that the index cannot hold, of a type that its conditions take */
    struct posting odd;
    struct posting indexed; /* rows with a value that it holds */
    uint64_t n_rows;
    struct field_key *keys; /* of the payload at hand */
    size_t n_keys, keys_capacity;
};

static inline bool field_is_run(enum field_type type) {
    return type == FIELD_INTEGER || type == FIELD_FLOAT || type == FIELD_DATETIME ||
           type == FIELD_GEO;
}

/* Keys that order as their numbers do. */
static inline uint64_t field_key_int(int64_t i) { return (uint64_t)i ^ (uint64_t)1 << 63; }
static inline int64_t field_int_of(uint64_t key) { return (int64_t)(key ^ (uint64_t)1 << 63); }
uint64_t field_key_double(double d);
double field_double_of(uint64_t key);
/* The number of a key of that type, for comparison with bounds. */
struct number field_number_of(enum field_type type, uint64_t key);

/* The 16 bytes of a UUID in lower case with hyphens; false for any other text. And back: 36 bytes. */
bool field_uuid_of(uint8_t uuid[16], struct json_text text);
void field_uuid_print(const char uuid[16], char text[36]);

/* Ready for its first row. */
int field_make(struct field **out, enum field_type type, struct json_text path,
               struct mem_account *owner, kith_error *err);

#endif
