/* Filters from text, the conditions on a field: match, ranges, places, counts, and the comparison with another field. */
#include <string.h>

#include "base/status.h"
#include "filter/datetime.h"
#include "filter/filter_crumb.h"

/* ---- match -------------------------------------------------------------------------------------- */

static int add_to_set(struct filter_reader *r, const struct crumb *at, struct filter_set *set) {
    switch (json_type(at->value)) {
    case JSON_STRING: return crumb_text(r, at, &set->texts[set->n_texts++]);
    case JSON_INT: set->ints[set->n_ints++] = json_int(at->value); return KITH_OK;
    case JSON_UINT: set->uints[set->n_uints++] = json_uint(at->value); return KITH_OK;
    case JSON_BOOL:
        *(json_bool(at->value) ? &set->has_true : &set->has_false) = true;
        return KITH_OK;
    default: return crumb_refuse(r, at, "a string, a whole number, true or false is wanted");
    }
}

/* Room for n members of each type. */
static int make_set(struct filter_reader *r, size_t n, struct filter_set *set) {
    struct arena *arena = &r->filter->arena;
    set->texts = arena_new(arena, n * sizeof *set->texts);
    set->ints = arena_new(arena, n * sizeof *set->ints);
    set->uints = arena_new(arena, n * sizeof *set->uints);
    return set->texts && set->ints && set->uints ? KITH_OK : crumb_no_memory(r);
}

static int read_set(struct filter_reader *r, const struct crumb *at, struct filter_set *set) {
    struct json_walk walk;
    struct crumb element = {.up = at};
    if (json_type(at->value) != JSON_ARRAY) return crumb_refuse(r, at, "an array is wanted");
    TRY(make_set(r, json_count(at->value), set));
    json_walk_init(&walk, at->value);
    for (; json_next(&walk, NULL, &element.value); element.index++)
        TRY(add_to_set(r, &element, set));
    filter_sort_set(set);
    return KITH_OK;
}

static int read_texts(struct filter_reader *r, const struct crumb *at,
                      struct filter_condition *condition) {
    condition->texts.items = arena_new(&r->filter->arena, sizeof(struct json_text));
    if (!condition->texts.items) return crumb_no_memory(r);
    condition->texts.n = 1;
    return crumb_text(r, at, &condition->texts.items[0]);
}

/* The words between ASCII space of a text. */
static int read_words(struct filter_reader *r, const struct crumb *at,
                      struct filter_condition *condition) {
    static const char space[] = " \t\n\v\f\r";
    struct json_text text;
    TRY(crumb_text(r, at, &text));
    struct json_text *words = arena_new(&r->filter->arena, (text.n / 2 + 1) * sizeof *words);
    if (!words) return crumb_no_memory(r);
    size_t n = 0;
    for (size_t i = 0; i < text.n;) {
        size_t start = i;
        while (i < text.n && !memchr(space, text.bytes[i], sizeof space - 1)) i++;
        if (i > start)
            words[n++] = (struct json_text){text.bytes + start, i - start};
        else
            i++;
    }
    condition->texts.items = words;
    condition->texts.n = n;
    return KITH_OK;
}

static int read_regex(struct filter_reader *r, const struct crumb *at,
                      struct filter_condition *condition) {
    kith_error why = {0};
    struct json_text pattern;
    TRY(crumb_text(r, at, &pattern));
    int code = filter_set_regex(r->filter, condition, pattern, &why);
    if (code == KITH_ENOMEM) return crumb_no_memory(r);
    return code == KITH_OK ? KITH_OK : crumb_refuse(r, at, "%s", why.text);
}

static int read_match(struct filter_reader *r, const struct crumb *at,
                      struct filter_condition *condition) {
    struct json_walk walk;
    struct crumb member, more;
    static const char known[] = "value, any, except, text, text_any, phrase, prefix, regex";
    TRY(crumb_is_object(r, at));
    json_walk_init(&walk, at->value);
    if (!crumb_next(&walk, at, &member)) return crumb_refuse(r, at, "one of %s is wanted", known);
    if (crumb_next(&walk, at, &more))
        return crumb_refuse(r, &more, "a second member; match has one");
    if (crumb_is(member.name, "value")) {
        condition->kind = FILTER_ANY;
        TRY(make_set(r, 1, &condition->set));
        return add_to_set(r, &member, &condition->set);
    }
    if (crumb_is(member.name, "any") || crumb_is(member.name, "except")) {
        condition->kind = crumb_is(member.name, "any") ? FILTER_ANY : FILTER_EXCEPT;
        return read_set(r, &member, &condition->set);
    }
    if (crumb_is(member.name, "text_any")) {
        condition->kind = FILTER_TEXT_ANY;
        return read_words(r, &member, condition);
    }
    if (crumb_is(member.name, "regex")) {
        condition->kind = FILTER_REGEX;
        return read_regex(r, &member, condition);
    }
    bool prefix = crumb_is(member.name, "prefix");
    if (!prefix && !crumb_is(member.name, "text") && !crumb_is(member.name, "phrase"))
        return crumb_unknown(r, &member, known);
    condition->kind = prefix ? FILTER_PREFIX : FILTER_TEXT;
    return read_texts(r, &member, condition);
}

/* ---- ranges ------------------------------------------------------------------------------------- */

static const char *const bound_names[RANGE_BOUNDS] = {"lt", "lte", "gt", "gte"};

static int find_bound(struct filter_reader *r, const struct crumb *member, size_t *which) {
    for (size_t i = 0; i < RANGE_BOUNDS; i++) {
        if (crumb_is(member->name, bound_names[i])) {
            *which = i;
            return KITH_OK;
        }
    }
    return crumb_unknown(r, member, "lt, lte, gt, gte");
}

/* All bounds numbers, or all of them times. */
static int read_range(struct filter_reader *r, const struct crumb *at,
                      struct filter_condition *condition) {
    struct json_walk walk;
    struct crumb member;
    struct range *range = &condition->range;
    size_t n_times = 0, n = 0, which = 0;
    TRY(crumb_is_object(r, at));
    json_walk_init(&walk, at->value);
    for (; crumb_next(&walk, at, &member); n++) {
        TRY(find_bound(r, &member, &which));
        range->has[which] = true;
        if (json_type(member.value) == JSON_STRING) {
            struct json_text text = json_string(member.value);
            int64_t us;
            if (!datetime_parse(text.bytes, text.n, &us))
                return crumb_refuse(r, &member, "not a time");
            range->bound[which] = number_int(us);
            n_times++;
        } else if (!number_of(&range->bound[which], member.value)) {
            return crumb_refuse(r, &member, "a number, or a time as a string, is wanted");
        }
        if (n_times != 0 && n_times != n + 1)
            return crumb_refuse(r, &member, "numbers and times in one range");
    }
    condition->kind = n_times ? FILTER_DATETIME : FILTER_RANGE;
    return KITH_OK;
}

static int read_counts(struct filter_reader *r, const struct crumb *at,
                       struct filter_condition *condition) {
    struct json_walk walk;
    struct crumb member;
    TRY(crumb_is_object(r, at));
    json_walk_init(&walk, at->value);
    while (crumb_next(&walk, at, &member)) {
        size_t which = 0;
        uint64_t count;
        TRY(find_bound(r, &member, &which));
        TRY(crumb_count(r, &member, 0, &count));
        condition->range.has[which] = true;
        condition->range.bound[which] = number_int(count > INT64_MAX ? INT64_MAX : (int64_t)count);
    }
    condition->kind = FILTER_COUNT;
    return KITH_OK;
}

/* ---- places ------------------------------------------------------------------------------------- */

static int read_place(struct filter_reader *r, const struct crumb *at, struct geo_point *out) {
    if (!geo_point_of(out, at->value))
        return crumb_refuse(r, at, "a place is wanted: lon of -180 to 180, lat of -90 to 90");
    return KITH_OK;
}

static int read_named_place(struct filter_reader *r, const struct crumb *at, const char *name,
                            struct geo_point *out) {
    struct crumb member;
    if (!crumb_get(at, name, &member)) return crumb_refuse(r, at, "%s is missing", name);
    return read_place(r, &member, out);
}

static int read_box(struct filter_reader *r, const struct crumb *at,
                    struct filter_condition *condition) {
    TRY(crumb_is_object(r, at));
    condition->kind = FILTER_BOX;
    TRY(read_named_place(r, at, "top_left", &condition->box.top_left));
    return read_named_place(r, at, "bottom_right", &condition->box.bottom_right);
}

static int read_circle(struct filter_reader *r, const struct crumb *at,
                       struct filter_condition *condition) {
    struct crumb radius;
    struct number number;
    TRY(crumb_is_object(r, at));
    struct geo_point centre = {0};
    condition->kind = FILTER_CIRCLE;
    TRY(read_named_place(r, at, "center", &centre));
    if (!crumb_get(at, "radius", &radius)) return crumb_refuse(r, at, "radius is missing");
    if (!number_of(&number, radius.value) || !(json_double(radius.value) >= 0))
        return crumb_refuse(r, &radius, "metres are wanted, not negative");
    condition->circle = geo_circle_of(centre, json_double(radius.value));
    return KITH_OK;
}

static int read_ring(struct filter_reader *r, const struct crumb *at, struct geo_ring *ring) {
    struct crumb list, element;
    struct json_walk walk;
    if (!crumb_get(at, "points", &list) || json_type(list.value) != JSON_ARRAY)
        return crumb_refuse(r, at, "points are missing, an array");
    size_t n = json_count(list.value);
    if (n < 4)
        return crumb_refuse(r, &list, "%zu points; a ring has 4 at least, the last its first", n);
    struct geo_point *points = arena_new(&r->filter->arena, n * sizeof *points);
    if (!points) return crumb_no_memory(r);
    json_walk_init(&walk, list.value);
    element = (struct crumb){.up = &list};
    for (; json_next(&walk, NULL, &element.value); element.index++)
        TRY(read_place(r, &element, &points[element.index]));
    if (points[0].lon != points[n - 1].lon || points[0].lat != points[n - 1].lat)
        return crumb_refuse(r, &list, "the ring is not closed: its last point is not its first");
    *ring = (struct geo_ring){n, points};
    return KITH_OK;
}

static int read_polygon(struct filter_reader *r, const struct crumb *at,
                        struct filter_condition *condition) {
    struct crumb outside, holes, hole;
    struct json_walk walk;
    size_t n = 1;
    TRY(crumb_is_object(r, at));
    condition->kind = FILTER_POLYGON;
    if (!crumb_get(at, "exterior", &outside)) return crumb_refuse(r, at, "exterior is missing");
    bool pierced = crumb_get(at, "interiors", &holes);
    if (pierced && json_type(holes.value) != JSON_ARRAY)
        return crumb_refuse(r, &holes, "an array is wanted");
    if (pierced) n += json_count(holes.value);
    struct geo_ring *rings = arena_new(&r->filter->arena, n * sizeof *rings);
    if (!rings) return crumb_no_memory(r);
    TRY(read_ring(r, &outside, &rings[0]));
    if (pierced) {
        hole = (struct crumb){.up = &holes};
        json_walk_init(&walk, holes.value);
        for (; json_next(&walk, NULL, &hole.value); hole.index++)
            TRY(read_ring(r, &hole, &rings[1 + hole.index]));
    }
    condition->polygon = (struct geo_polygon){n, rings};
    return KITH_OK;
}

/* ---- fields ------------------------------------------------------------------------------------- */

static int read_compare(struct filter_reader *r, const struct crumb *at,
                        struct filter_condition *condition) {
    static const char *const names[COMPARE_RELATIONS] = {"lt", "lte", "gt", "gte", "eq", "ne"};
    struct json_walk walk;
    struct crumb member;
    bool any = false;
    TRY(crumb_is_object(r, at));
    json_walk_init(&walk, at->value);
    while (crumb_next(&walk, at, &member)) {
        size_t which = 0;
        while (which < COMPARE_RELATIONS && !crumb_is(member.name, names[which])) which++;
        if (which == COMPARE_RELATIONS)
            return crumb_unknown(r, &member, "lt, lte, gt, gte, eq, ne");
        TRY(crumb_path(r, &member, &condition->compare.with[which]));
        condition->compare.has[which] = any = true;
    }
    condition->kind = FILTER_COMPARE;
    return any ? KITH_OK : crumb_refuse(r, at, "one of lt, lte, gt, gte, eq, ne is wanted");
}

static int read_inline_empty(struct filter_reader *r, const struct crumb *at,
                             struct filter_condition *condition) {
    condition->kind = FILTER_EMPTY;
    return crumb_flag(r, at, &condition->wanted);
}

static int read_inline_null(struct filter_reader *r, const struct crumb *at,
                            struct filter_condition *condition) {
    condition->kind = FILTER_NULL;
    return crumb_flag(r, at, &condition->wanted);
}

static const struct {
    const char *name;
    int (*read)(struct filter_reader *r, const struct crumb *at,
                struct filter_condition *condition);
} field_members[] = {
    {"match", read_match},           {"range", read_range},         {"geo_bounding_box", read_box},
    {"geo_radius", read_circle},     {"geo_polygon", read_polygon}, {"values_count", read_counts},
    {"is_empty", read_inline_empty}, {"is_null", read_inline_null}, {"compare", read_compare}};
enum { FIELD_MEMBERS = sizeof field_members / sizeof *field_members };
static const char field_known[] =
    "match, range, geo_bounding_box, geo_radius, geo_polygon, values_count, "
    "is_empty, is_null, compare";

int filter_read_field(struct filter_reader *r, const struct crumb *at, const struct crumb *key,
                      struct filter_condition **out) {
    struct json_walk walk;
    struct crumb member;
    struct filter_condition *condition;
    bool any = false;
    TRY(crumb_condition(r, FILTER_ANY, &condition));
    TRY(crumb_path(r, key, &condition->path));
    json_walk_init(&walk, at->value);
    while (crumb_next(&walk, at, &member)) {
        size_t which = 0;
        if (crumb_is(member.name, "key")) continue;
        while (which < FIELD_MEMBERS && !crumb_is(member.name, field_members[which].name)) which++;
        if (which == FIELD_MEMBERS) return crumb_unknown(r, &member, field_known);
        if (any)
            return crumb_refuse(r, &member,
                                "a second condition on the key; put each in an object of its own");
        TRY(field_members[which].read(r, &member, condition));
        any = true;
    }
    if (!any)
        return crumb_refuse(r, at, "At least one field condition must be specified: %s",
                            field_known);
    r->filter->kinds |= 1u << condition->kind;
    *out = condition;
    return KITH_OK;
}
