/* Filters asked of a point: the law. Field indexes and plans may only be faster.
 *
 * Every condition on values is one predicate of a scalar (`scalar_fits`), lifted over arrays and paths in one place
 * (`any_fits`). */
#include <string.h>

#include "filter/datetime.h"
#include "filter/filter.h"

/* ---- texts -------------------------------------------------------------------------------------- */

static bool contains(struct json_text text, struct json_text part) {
    return part.n == 0 || memmem(text.bytes, text.n, part.bytes, part.n) != NULL;
}

static int compare_texts(struct json_text a, struct json_text b) {
    int order = memcmp(a.bytes, b.bytes, a.n < b.n ? a.n : b.n);
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static bool set_has_text(const struct filter_set *set, struct json_text text) {
    size_t low = 0, high = set->n_texts;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = compare_texts(text, set->texts[mid]);
        if (order == 0) return true;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return false;
}

bool filter_text_fits(const struct filter_condition *condition, struct json_text text) {
    int64_t us;
    switch (condition->kind) {
    case FILTER_ANY: return set_has_text(&condition->set, text);
    case FILTER_EXCEPT: return !set_has_text(&condition->set, text);
    case FILTER_TEXT:
    case FILTER_TEXT_ANY:
        for (size_t i = 0; i < condition->texts.n; i++)
            if (contains(text, condition->texts.items[i])) return true;
        return false;
    case FILTER_PREFIX: {
        struct json_text prefix = condition->texts.items[0];
        return text.n >= prefix.n && memcmp(text.bytes, prefix.bytes, prefix.n) == 0;
    }
    case FILTER_REGEX: return regex_matches(condition->regex, text.bytes, text.n);
    case FILTER_DATETIME:
        return datetime_parse(text.bytes, text.n, &us) &&
               range_holds(&condition->range, number_int(us));
    default: return false;
    }
}

/* ---- other scalars ------------------------------------------------------------------------------ */

static bool set_has_number(const struct filter_set *set, struct number number) {
    size_t low = 0, high = number.type == JSON_INT ? set->n_ints : set->n_uints;
    if (number.type == JSON_DOUBLE) return false;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        bool here, below;
        if (number.type == JSON_INT)
            here = set->ints[mid] == number.i, below = set->ints[mid] < number.i;
        else
            here = set->uints[mid] == number.u, below = set->uints[mid] < number.u;
        if (here) return true;
        if (below)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

bool filter_number_fits(const struct filter_condition *condition, struct number number) {
    switch (condition->kind) {
    case FILTER_ANY: return set_has_number(&condition->set, number);
    case FILTER_EXCEPT: return !set_has_number(&condition->set, number);
    case FILTER_RANGE: return range_holds(&condition->range, number);
    default: return false;
    }
}

bool filter_bool_fits(const struct filter_condition *condition, bool value) {
    const struct filter_set *set = &condition->set;
    if (condition->kind != FILTER_ANY && condition->kind != FILTER_EXCEPT) return false;
    return (value ? set->has_true : set->has_false) == (condition->kind == FILTER_ANY);
}

bool filter_place_fits(const struct filter_condition *condition, struct geo_point place) {
    switch (condition->kind) {
    case FILTER_BOX: return geo_in_box(&condition->box, place);
    case FILTER_CIRCLE: return geo_in_circle(&condition->circle, place);
    case FILTER_POLYGON: return geo_in_polygon(&condition->polygon, place);
    case FILTER_EXCEPT: return true; /* an object is none of the set */
    default: return false;
    }
}

static bool scalar_fits(const struct filter_condition *condition, struct json_value value) {
    struct number number;
    struct geo_point place;
    switch (json_type(value)) {
    case JSON_NULL: return false;
    case JSON_BOOL: return filter_bool_fits(condition, json_bool(value));
    case JSON_STRING: return filter_text_fits(condition, json_string(value));
    case JSON_OBJECT:
        if (condition->kind == FILTER_EXCEPT) return true;
        return geo_point_of(&place, value) && filter_place_fits(condition, place);
    case JSON_ARRAY: return condition->kind == FILTER_EXCEPT;
    default: number_of(&number, value); return filter_number_fits(condition, number);
    }
}

static bool any_fits(void *context, struct json_value value) {
    if (json_type(value) != JSON_ARRAY) return scalar_fits(context, value);
    struct json_walk walk;
    json_walk_init(&walk, value);
    while (json_next(&walk, NULL, &value))
        if (scalar_fits(context, value)) return true;
    return false;
}

/* ---- conditions on values as they stand --------------------------------------------------------- */

struct counting {
    const struct filter_condition *condition;
    bool found;
};

static bool count_fits(void *context, struct json_value value) {
    struct counting *counting = context;
    enum json_type type = json_type(value);
    int64_t n = type == JSON_ARRAY ? (int64_t)json_count(value) : type != JSON_NULL;
    counting->found = true;
    return range_holds(&counting->condition->range, number_int(n));
}

/* A place without value counts as one that holds none. */
static bool counts(const struct filter_condition *condition, struct json_value payload) {
    struct counting counting = {.condition = condition};
    return path_each(&condition->path, payload, count_fits, &counting) ||
           (!counting.found && range_holds(&condition->range, number_int(0)));
}

static bool is_something(void *context, struct json_value value) {
    (void)context;
    enum json_type type = json_type(value);
    return type != JSON_NULL && (type != JSON_ARRAY || json_count(value) > 0);
}

static bool is_null(void *context, struct json_value value) {
    (void)context;
    return json_type(value) == JSON_NULL;
}

/* ---- two fields --------------------------------------------------------------------------------- */

static bool relation_holds(enum filter_relation relation, int order) {
    switch (relation) {
    case COMPARE_LT: return order < 0;
    case COMPARE_LTE: return order <= 0;
    case COMPARE_GT: return order > 0;
    case COMPARE_GTE: return order >= 0;
    case COMPARE_EQ: return order == 0;
    default: return order != 0;
    }
}

/* Two scalars: both numbers, both strings, or, for = and !=, both true or false. */
static bool scalars_relate(enum filter_relation relation, struct json_value a,
                           struct json_value b) {
    struct number x, y;
    if (number_of(&x, a)) return number_of(&y, b) && relation_holds(relation, number_compare(x, y));
    if (json_type(a) != json_type(b)) return false;
    if (json_type(a) == JSON_STRING)
        return relation_holds(relation, compare_texts(json_string(a), json_string(b)));
    return json_type(a) == JSON_BOOL && (relation == COMPARE_EQ || relation == COMPARE_NE) &&
           relation_holds(relation, json_bool(a) - json_bool(b));
}

struct comparing {
    const struct filter_condition *condition;
    struct json_value payload, here;
    enum filter_relation relation;
};

static bool there_relates(void *context, struct json_value there) {
    struct comparing *c = context;
    struct json_walk walk;
    if (json_type(there) != JSON_ARRAY) return scalars_relate(c->relation, c->here, there);
    json_walk_init(&walk, there);
    while (json_next(&walk, NULL, &there))
        if (scalars_relate(c->relation, c->here, there)) return true;
    return false;
}

/* Whether one scalar here stands in each of the relations to some scalar there. */
static bool here_relates(struct comparing *c, struct json_value here) {
    c->here = here;
    for (int relation = 0; relation < COMPARE_RELATIONS; relation++) {
        c->relation = (enum filter_relation)relation;
        if (c->condition->compare.has[relation] &&
            !path_each(&c->condition->compare.with[relation], c->payload, there_relates, c))
            return false;
    }
    return true;
}

static bool any_relates(void *context, struct json_value here) {
    struct json_walk walk;
    if (json_type(here) != JSON_ARRAY) return here_relates(context, here);
    json_walk_init(&walk, here);
    while (json_next(&walk, NULL, &here))
        if (here_relates(context, here)) return true;
    return false;
}

/* ---- points ------------------------------------------------------------------------------------- */

static uint64_t rotate(uint64_t x, int n) { return x << n | x >> (64 - n); }

static void sip_round(uint64_t v[4]) {
    v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
    v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
}

/* Aumasson & Bernstein 2012. */
static uint64_t sip_hash(const uint8_t *bytes, size_t n) {
    uint64_t v[4] = {0x736f6d6570736575u, 0x646f72616e646f6du, 0x6c7967656e657261u,
                     0x7465646279746573u};
    for (size_t at = 0; at <= n / 8 * 8; at += 8) {
        uint64_t word = 0;
        size_t left = n - at < 8 ? n - at : 8;
        for (size_t i = 0; i < left; i++) word |= (uint64_t)bytes[at + i] << (8 * i);
        if (left < 8) word |= (uint64_t)n << 56;
        v[3] ^= word;
        sip_round(v), sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t filter_hash_id(const kith_id *id) {
    uint8_t bytes[8];
    if (id->kind == KITH_ID_UUID) return sip_hash(id->uuid, 16);
    if (id->kind == KITH_ID_STRING) return sip_hash((const uint8_t *)id->string, id->length);
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(id->number >> (8 * i));
    return sip_hash(bytes, 8);
}

static bool has_id(const struct filter_condition *condition, const kith_id *id) {
    size_t low = 0, high = id ? condition->ids.n : 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = kith_id_compare(id, &condition->ids.items[mid]);
        if (order == 0) return true;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return false;
}

/* Inside, a point is the element alone. */
static bool element_matches(void *context, struct json_value element) {
    const struct filter_condition *condition = context;
    struct filter_point point = {.payload = element};
    return json_type(element) == JSON_OBJECT && filter_group_matches(condition->group, &point);
}

bool filter_condition_matches(const struct filter_condition *condition,
                              const struct filter_point *point) {
    void *context = (void *)condition; /* visits do not write it */
    struct comparing comparing = {.condition = condition, .payload = point->payload};
    const struct path *path = &condition->path;
    switch (condition->kind) {
    case FILTER_GROUP: return filter_group_matches(condition->group, point);
    case FILTER_NESTED: return path_each(path, point->payload, element_matches, context);
    case FILTER_HAS_ID: return has_id(condition, point->id);
    case FILTER_HAS_VECTOR:
        return condition->vector.bit >= 0 && (point->vectors >> condition->vector.bit & 1);
    case FILTER_SLICE:
        return point->id &&
               filter_hash_id(point->id) % condition->slice.total == condition->slice.index;
    case FILTER_COUNT: return counts(condition, point->payload);
    case FILTER_EMPTY:
        return path_each(path, point->payload, is_something, NULL) != condition->wanted;
    case FILTER_NULL: return path_each(path, point->payload, is_null, NULL) == condition->wanted;
    case FILTER_COMPARE: return path_each(path, point->payload, any_relates, &comparing);
    default: return path_each(path, point->payload, any_fits, context);
    }
}

bool filter_group_matches(const struct filter_group *group, const struct filter_point *point) {
    const struct filter_condition *at;
    uint64_t n = 0;
    for (at = group->clause[FILTER_MUST].first; at; at = at->next)
        if (!filter_condition_matches(at, point)) return false;
    for (at = group->clause[FILTER_MUST_NOT].first; at; at = at->next)
        if (filter_condition_matches(at, point)) return false;
    for (at = group->clause[FILTER_SHOULD].first; at; at = at->next)
        if (filter_condition_matches(at, point)) break;
    if (!at && group->clause[FILTER_SHOULD].n > 0) return false;
    for (at = group->clause[FILTER_SOME].first; at && n < group->min_count; at = at->next)
        n += filter_condition_matches(at, point);
    return n >= group->min_count;
}

bool filter_matches(const struct filter *filter, const struct filter_point *point) {
    return filter_group_matches(filter->root, point);
}
