/* Filters the naive way: from their text, condition by condition, with no code of src/filter. Knows the forms that
 * test_filter.c makes. */
#ifndef KITH_TESTS_PROP_NAIVE_FILTER_H
#define KITH_TESTS_PROP_NAIVE_FILTER_H

#include "json/json.h"

struct naive_point {
    struct json_value payload;
    uint64_t id;
    bool has_vector; /* "image" */
    bool bare;       /* an element of nested: no id, no vector */
};

bool naive_matches(struct json_value filter, const struct naive_point *point);

#endif
