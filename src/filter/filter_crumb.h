/* Reading filter text: what filter_parse.c (groups, conditions) and filter_parse_field.c (conditions on a field) share.
 *
 * Where the reader stands is a chain of crumbs on the C stack, from the member it reads up to the root; an error prints the
 * chain ("must[1].range.lt") and looks the member's byte up in the text. A null member counts as one that is not there. */
#ifndef KITH_FILTER_FILTER_CRUMB_H
#define KITH_FILTER_FILTER_CRUMB_H

#include "filter/filter.h"

struct filter_reader {
    struct filter *filter;
    const struct json_parser *parser;
    kith_error *err;
    size_t depth; /* groups around the reader */
};

/* A value and how it was reached. */
struct crumb {
    const struct crumb *up;
    struct json_text name; /* of a member; empty: element `index` */
    size_t index;
    struct json_value value;
};

/* All that return int: KITH_OK, KITH_EFILTER with place and byte, or KITH_ENOMEM. */
int crumb_refuse(const struct filter_reader *r, const struct crumb *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int crumb_no_memory(const struct filter_reader *r);
int crumb_unknown(struct filter_reader *r, const struct crumb *member, const char *known);

bool crumb_is(struct json_text name, const char *word);
/* The members of `at` that are not null, one after the other. */
bool crumb_next(struct json_walk *walk, const struct crumb *at, struct crumb *member);
/* One of them; false when there is none. */
bool crumb_get(const struct crumb *at, const char *name, struct crumb *member);

/* What the value has to be; texts and paths are copied into the program. */
int crumb_is_object(struct filter_reader *r, const struct crumb *at);
int crumb_text(struct filter_reader *r, const struct crumb *at, struct json_text *out);
int crumb_path(struct filter_reader *r, const struct crumb *at, struct path *out);
int crumb_count(struct filter_reader *r, const struct crumb *at, uint64_t least, uint64_t *out);
int crumb_flag(struct filter_reader *r, const struct crumb *at, bool *out);
int crumb_condition(struct filter_reader *r, enum filter_kind kind, struct filter_condition **out);

/* filter_parse_field.c: {"key": path, one condition on the values there}; key is that member. */
int filter_read_field(struct filter_reader *r, const struct crumb *at, const struct crumb *key,
                      struct filter_condition **out);

#endif
