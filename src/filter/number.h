/* Numbers of payloads and filters: whole ones of 64 bits and doubles, compared by what they are worth, never rounded. */
#ifndef KITH_FILTER_NUMBER_H
#define KITH_FILTER_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "json/json.h"

struct number {
    enum json_type type; /* JSON_INT, JSON_UINT or JSON_DOUBLE (finite) */
    union {
        int64_t i;
        uint64_t u; /* above INT64_MAX */
        double d;
    };
};

static inline struct number number_int(int64_t i) {
    return (struct number){.type = JSON_INT, .i = i};
}

/* False when the value is no number. */
static inline bool number_of(struct number *out, struct json_value value) {
    out->type = json_type(value);
    switch (out->type) {
    case JSON_INT: out->i = json_int(value); return true;
    case JSON_UINT: out->u = json_uint(value); return true;
    case JSON_DOUBLE: out->d = json_double(value); return true;
    default: return false;
    }
}

/* Less than, equal to, greater than 0. */
int number_compare(struct number a, struct number b);

/* Four bounds, each there or not: of ranges, of times (microseconds), of counts. */
enum range_bound { RANGE_LT, RANGE_LTE, RANGE_GT, RANGE_GTE, RANGE_BOUNDS };
struct range {
    bool has[RANGE_BOUNDS];
    struct number bound[RANGE_BOUNDS];
};
bool range_holds(const struct range *range, struct number x);

#endif
