/* Crumbs: errors of filter text that say where, and the small values that every rule reads. */
#include "filter/filter_crumb.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"

/* ---- errors ------------------------------------------------------------------------------------- */

static size_t print_place(const struct crumb *at, char *text, size_t room) {
    if (!at->up) return 0;
    size_t n = print_place(at->up, text, room);
    if (n >= room) return n;
    int more = at->name.n ? snprintf(text + n, room - n, "%s%.*s", n ? "." : "",
                                     at->name.n < 40 ? (int)at->name.n : 40, at->name.bytes)
                          : snprintf(text + n, room - n, "[%zu]", at->index);
    return n + (size_t)more;
}

int crumb_refuse(const struct filter_reader *r, const struct crumb *at, const char *format, ...) {
    char place[100] = "", what[120];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    print_place(at, place, sizeof place);
    return FAIL_AT(r->err, KITH_EFILTER, json_offset(r->parser, at->value), "filter%s%s: %s",
                   place[0] ? ", " : "", place, what);
}

int crumb_no_memory(const struct filter_reader *r) {
    return FAIL(r->err, KITH_ENOMEM, "no memory for a filter of %zu conditions",
                r->filter->n_conditions);
}

/* ---- values ------------------------------------------------------------------------------------- */

bool crumb_is(struct json_text name, const char *word) {
    return name.n == strlen(word) && memcmp(name.bytes, word, name.n) == 0;
}

/* The members of `at` that are not null, one after the other into *member. */
bool crumb_next(struct json_walk *walk, const struct crumb *at, struct crumb *member) {
    *member = (struct crumb){.up = at};
    while (json_next(walk, &member->name, &member->value))
        if (json_type(member->value) != JSON_NULL) return true;
    return false;
}

bool crumb_get(const struct crumb *at, const char *name, struct crumb *member) {
    *member = (struct crumb){.up = at, .name = {name, strlen(name)}};
    return json_get(at->value, name, strlen(name), &member->value) &&
           json_type(member->value) != JSON_NULL;
}

int crumb_text(struct filter_reader *r, const struct crumb *at, struct json_text *out) {
    if (json_type(at->value) != JSON_STRING) return crumb_refuse(r, at, "a string is wanted");
    struct json_text text = json_string(at->value);
    const char *copy = arena_copy(&r->filter->arena, text.bytes, text.n);
    if (!copy) return crumb_no_memory(r);
    *out = (struct json_text){copy, text.n};
    return KITH_OK;
}

int crumb_path(struct filter_reader *r, const struct crumb *at, struct path *out) {
    kith_error why = {0};
    if (json_type(at->value) != JSON_STRING)
        return crumb_refuse(r, at, "a path is wanted, as a string");
    struct json_text text = json_string(at->value);
    int code = path_parse(out, text.bytes, text.n, &r->filter->arena, &why);
    if (code == KITH_ENOMEM) return crumb_no_memory(r);
    return code == KITH_OK ? KITH_OK : crumb_refuse(r, at, "%s", why.text);
}

int crumb_count(struct filter_reader *r, const struct crumb *at, uint64_t least, uint64_t *out) {
    enum json_type type = json_type(at->value);
    if (type == JSON_UINT)
        *out = json_uint(at->value);
    else if (type == JSON_INT && json_int(at->value) >= 0)
        *out = (uint64_t)json_int(at->value);
    else
        return crumb_refuse(r, at, "a whole number that is not negative is wanted");
    if (*out < least)
        return crumb_refuse(r, at, "%llu, at least %llu is wanted", (unsigned long long)*out,
                            (unsigned long long)least);
    return KITH_OK;
}

int crumb_flag(struct filter_reader *r, const struct crumb *at, bool *out) {
    if (json_type(at->value) != JSON_BOOL) return crumb_refuse(r, at, "true or false is wanted");
    *out = json_bool(at->value);
    return KITH_OK;
}

int crumb_is_object(struct filter_reader *r, const struct crumb *at) {
    return json_type(at->value) == JSON_OBJECT ? KITH_OK
                                               : crumb_refuse(r, at, "an object is wanted");
}

int crumb_unknown(struct filter_reader *r, const struct crumb *member, const char *known) {
    return crumb_refuse(r, member, "no such member; known are %s", known);
}

int crumb_condition(struct filter_reader *r, enum filter_kind kind, struct filter_condition **out) {
    *out = filter_new_condition(r->filter, kind);
    return *out ? KITH_OK : crumb_no_memory(r);
}
