/* Paths: places in a payload, such as  city  address.street  tags[0]  rooms[].price  "a.b"."x y"
 *
 *     path  = key { "." key | "[" digits "]" | "[]" }
 *     key   = letters, digits, "_", "-" and any character beyond ASCII  |  '"' anything but '"' and '\' '"'
 *
 * `.key` goes into objects alone and `[N]`, `[]` into arrays alone: a.b finds nothing in an array of objects, a[].b does. So a
 * path leads to any number of values: none, one, or with [] many. null is a value. */
#ifndef KITH_FILTER_PATH_H
#define KITH_FILTER_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>

#include "json/json.h"

struct arena;

#define PATH_STEPS 64 /* at most */

enum path_kind { PATH_KEY, PATH_INDEX, PATH_EACH };

struct path_step {
    enum path_kind kind;
    uint32_t index;       /* of PATH_INDEX */
    struct json_text key; /* of PATH_KEY, without quotes */
};

struct path {
    size_t n; /* 1 at least */
    struct path_step *steps;
    struct json_text text; /* as it was written, ended by a NUL */
};

/* All of it from the arena. KITH_ESYNTAX with the byte of the path in err->at, KITH_ENOMEM. */
int path_parse(struct path *out, const char *text, size_t n, struct arena *arena, kith_error *err);
/* The same steps, however written. */
bool path_equal(const struct path *a, const struct path *b);

/* Shows each value that the path leads to, in order, until one call returns true; whether one did. */
typedef bool (*path_visit)(void *context, struct json_value value);
bool path_each(const struct path *path, struct json_value root, path_visit visit, void *context);

#endif
