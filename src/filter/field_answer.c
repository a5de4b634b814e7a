/* Field indexes: conditions answered. One function for each way to find rows: by key, by distinct text, by stretch, by place. */
#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "filter/field.h"
#include "filter/field_inside.h"

static bool only_texts(const struct filter_set *set) {
    return set->n_ints == 0 && set->n_uints == 0 && !set->has_false && !set->has_true;
}

static bool only_numbers(const struct filter_set *set) {
    return set->n_texts == 0 && !set->has_false && !set->has_true;
}

static bool only_bools(const struct filter_set *set) {
    return set->n_texts == 0 && set->n_ints == 0 && set->n_uints == 0;
}

static bool answers_set(enum field_type type, const struct filter_condition *condition) {
    switch (type) {
    case FIELD_KEYWORD:
    case FIELD_UUID: return only_texts(&condition->set);
    case FIELD_INTEGER: return only_numbers(&condition->set);
    case FIELD_FLOAT: return condition->kind == FILTER_ANY && only_numbers(&condition->set);
    case FIELD_BOOL: return only_bools(&condition->set);
    default: return false;
    }
}

bool field_answers(const struct field *field, const struct filter_condition *condition) {
    enum field_type type = field->type;
    switch (condition->kind) {
    case FILTER_EMPTY:
    case FILTER_NULL: break;
    case FILTER_ANY:
    case FILTER_EXCEPT:
        if (!answers_set(type, condition)) return false;
        break;
    case FILTER_TEXT:
    case FILTER_TEXT_ANY:
    case FILTER_PREFIX:
    case FILTER_REGEX:
        if (type != FIELD_KEYWORD) return false;
        break;
    case FILTER_DATETIME:
        if (type != FIELD_KEYWORD && type != FIELD_DATETIME) return false;
        break;
    case FILTER_RANGE:
        if (type != FIELD_INTEGER && type != FIELD_FLOAT) return false;
        break;
    case FILTER_BOX:
    case FILTER_CIRCLE:
    case FILTER_POLYGON:
        if (type != FIELD_GEO) return false;
        break;
    default: return false;
    }
    return path_equal(&field->path, &condition->path);
}

/* ---- runs --------------------------------------------------------------------------------------- */

/* The first entry of main whose number does not hold in the part of the range, which does up to there (`holds_first`), or not. */
static size_t find_edge(const struct field *field, const struct range *part, bool holds_first) {
    size_t low = 0, n = field->run.main.n;
    while (n > 0) {
        size_t half = n / 2;
        struct number number = field_number_of(field->type, field->run.main.keys[low + half]);
        if (range_holds(part, number) == holds_first)
            low += half + 1, n -= half + 1;
        else
            n = half;
    }
    return low;
}

/* The stretch of main that a range takes. */
static void find_stretch(const struct field *field, const struct range *range, size_t *from,
                         size_t *to) {
    struct range below = *range, above = *range;
    below.has[RANGE_GT] = below.has[RANGE_GTE] = false;
    above.has[RANGE_LT] = above.has[RANGE_LTE] = false;
    *from = find_edge(field, &above, false);
    *to = find_edge(field, &below, true);
    if (*to < *from) *to = *from;
}

static void answer_range(const struct field *field, const struct filter_condition *condition,
                         struct field_answer *answer) {
    const struct run *run = &field->run;
    size_t from, to;
    find_stretch(field, &condition->range, &from, &to);
    run_or(run, from, to, answer->may);
    posting_and_not(&run->gone, answer->may); /* before any that came later */
    for (size_t i = 0; i < run->n_fresh; i++)
        if (range_holds(&condition->range, field_number_of(field->type, run->fresh[i].key)))
            bits_set(answer->may, run->fresh[i].row);
}

/* Rows of one of the keys. */
static void or_number(const struct field *field, uint64_t key, uint64_t *bits) {
    size_t to = key == UINT64_MAX ? field->run.main.n : run_find(&field->run, key + 1);
    run_or(&field->run, run_find(&field->run, key), to, bits);
}

static uint64_t set_key(const struct field *field, int64_t i) {
    return field->type == FIELD_FLOAT ? field_key_double((double)i) : field_key_int(i);
}

static void or_numbers(const struct field *field, const struct filter_set *set,
                       struct field_answer *answer) {
    const struct run *run = &field->run;
    for (size_t i = 0; i < set->n_ints; i++)
        or_number(field, set_key(field, set->ints[i]), answer->may);
    posting_and_not(&run->gone, answer->may); /* before any that came later */
    for (size_t i = 0; i < run->n_fresh; i++) {
        bool found = false;
        if (field->type == FIELD_INTEGER) { /* the set ascends */
            struct filter_condition any = {.kind = FILTER_ANY, .set = *set};
            found = filter_number_fits(&any, field_number_of(FIELD_INTEGER, run->fresh[i].key));
        } else {
            for (size_t j = 0; j < set->n_ints && !found; j++)
                found = set_key(field, set->ints[j]) == run->fresh[i].key;
        }
        if (found) bits_set(answer->may, run->fresh[i].row);
    }
}

/* ---- places ------------------------------------------------------------------------------------- */

enum inside { NONE, ALL, PART };

/* How the box around a node lies to the shape, as far as is quick to tell: PART is always true. */
static enum inside box_in_box(const struct geo_box *box, const struct geo_bounds *b) {
    double west = box->top_left.lon, east = box->bottom_right.lon;
    if (b->south >= box->top_left.lat || b->north <= box->bottom_right.lat) return NONE;
    if (west <= east ? b->east <= west || b->west >= east : b->east <= west && b->west >= east)
        return NONE;
    bool across =
        west <= east ? b->west > west && b->east < east : b->west > west || b->east < east;
    return across && b->south > box->bottom_right.lat && b->north < box->top_left.lat ? ALL : PART;
}

/* By the triangle inequality, through the sphere; the slack is far above what rounding may do. */
static enum inside box_in_circle(const struct geo_circle *circle, const struct geo_bounds *b) {
    const double slack = 1e-9;
    struct geo_point middle = {(b->west + b->east) / 2, (b->south + b->north) / 2};
    double chord = geo_chord(circle, middle), reach = geo_bounds_reach(b) + slack;
    if (chord - reach > circle->chord) return NONE;
    return chord + reach < circle->chord ? ALL : PART;
}

/* Places of one node against a circle. Its cosines lie between two, so that x and x - x^3 / 6 for sin x bound the haversine without
 * a sine; the law decides what they leave open. */
static void or_circle(const struct run_main *main, const struct geo_circle *circle, size_t node,
                      uint64_t *bits) {
    const double half = 0.017453292519943295 / 2, slack = 1e-9;
    const struct geo_bounds *b = &main->boxes[node];
    double low = cos(b->south * 2 * half), high = cos(b->north * 2 * half);
    double least = circle->cos_lat * fmin(low, high);
    double most = circle->cos_lat * (b->south <= 0 && b->north >= 0 ? 1 : fmax(low, high));
    double limit = circle->chord * circle->chord / 4;
    size_t i, to;
    run_stretch(main, node, &i, &to);
    for (; i < to; i++) {
        struct geo_point p = main->places[i];
        double u = (p.lat - circle->centre.lat) * half, v = (p.lon - circle->centre.lon) * half;
        double uu = u * u, vv = v * v;
        bool inside = uu + most * vv < limit * (1 - slack);
        if (!inside &&
            (vv >= 1 || uu * (1 - uu / 3) + least * vv * (1 - vv / 3) <= limit * (1 + slack)))
            inside = geo_in_circle(circle, p);
        if (inside) bits_set(bits, main->rows[i]);
    }
}

/* Where no edge comes near the box, it is all on one side. */
static enum inside box_in_polygon(const struct geo_polygon *polygon, const struct geo_bounds *b) {
    for (size_t r = 0; r < polygon->n_rings; r++) {
        const struct geo_ring *ring = &polygon->rings[r];
        for (size_t i = 0; i + 1 < ring->n; i++) {
            struct geo_point p = ring->points[i], q = ring->points[i + 1];
            if (fmax(p.lon, q.lon) >= b->west && fmin(p.lon, q.lon) <= b->east &&
                fmax(p.lat, q.lat) >= b->south && fmin(p.lat, q.lat) <= b->north)
                return PART;
        }
    }
    struct geo_point middle = {(b->west + b->east) / 2, (b->south + b->north) / 2};
    return geo_in_polygon(polygon, middle) ? ALL : NONE;
}

static enum inside box_inside(const struct filter_condition *condition,
                              const struct geo_bounds *b) {
    if (condition->kind == FILTER_BOX) return box_in_box(&condition->box, b);
    if (condition->kind == FILTER_CIRCLE) return box_in_circle(&condition->circle, b);
    return box_in_polygon(&condition->polygon, b);
}

/* Into bits (NULL: only counted; a node that lies in part counts by half). */
static uint64_t or_places(const struct run *run, const struct filter_condition *condition,
                          size_t node, uint64_t *bits) {
    const struct run_main *main = &run->main;
    size_t from, to;
    run_stretch(main, node, &from, &to);
    if (from >= to) return 0;
    enum inside inside = box_inside(condition, &main->boxes[node]);
    if (inside == NONE) return 0;
    if (inside == ALL) {
        if (bits) run_or(run, from, to, bits);
        return to - from;
    }
    if (node < main->n_leaves)
        return or_places(run, condition, 2 * node, bits) +
               or_places(run, condition, 2 * node + 1, bits);
    if (bits && condition->kind == FILTER_CIRCLE)
        or_circle(main, &condition->circle, node, bits);
    else
        for (size_t i = from; bits && i < to; i++)
            if (filter_place_fits(condition, main->places[i])) bits_set(bits, main->rows[i]);
    return (to - from) / 2;
}

static void answer_places(const struct field *field, const struct filter_condition *condition,
                          struct field_answer *answer) {
    const struct run *run = &field->run;
    if (run->main.n) or_places(run, condition, 1, answer->may);
    posting_and_not(&run->gone, answer->may); /* before any that came later */
    for (size_t i = 0; i < run->n_fresh; i++)
        if (filter_place_fits(condition, run->fresh[i].place))
            bits_set(answer->may, run->fresh[i].row);
}

/* ---- texts -------------------------------------------------------------------------------------- */

static void or_key(const struct field *field, struct json_text key, uint64_t *bits) {
    const struct posting *rows = dict_find(&field->dict, key);
    if (rows) posting_or(rows, bits);
}

static void or_texts(const struct field *field, const struct filter_set *set, uint64_t *bits) {
    for (size_t i = 0; i < set->n_texts; i++) {
        uint8_t uuid[16];
        if (field->type == FIELD_KEYWORD)
            or_key(field, set->texts[i], bits);
        else if (field_uuid_of(uuid, set->texts[i]))
            or_key(field, (struct json_text){(const char *)uuid, 16}, bits);
    }
}

static void answer_texts(const struct field *field, const struct filter_condition *condition,
                         struct field_answer *answer) {
    for (uint32_t i = 0; i < field->dict.n; i++) {
        const struct dict_entry *entry = &field->dict.entries[i];
        if (entry->rows.n > 0 && filter_text_fits(condition, dict_key(&field->dict, entry)))
            posting_or(&entry->rows, answer->may);
    }
}

/* ---- sets --------------------------------------------------------------------------------------- */

/* Whether a value that the index does not hold may be in the set. */
static bool may_be_odd(const struct field *field, const struct filter_set *set) {
    uint8_t uuid[16];
    if (field->odd.n == 0) return false;
    if (field->type == FIELD_INTEGER) return set->n_uints > 0;
    if (field->type == FIELD_FLOAT) return true;
    for (size_t i = 0; i < set->n_texts; i++)
        if (!field_uuid_of(uuid, set->texts[i])) return true;
    return false;
}

/* may: rows with a value in the set that the index holds. */
static void or_set(const struct field *field, const struct filter_set *set,
                   struct field_answer *answer) {
    if (field->type == FIELD_INTEGER || field->type == FIELD_FLOAT) {
        or_numbers(field, set, answer);
    } else if (field->type == FIELD_BOOL) {
        if (set->has_false) or_key(field, (struct json_text){"\0", 1}, answer->may);
        if (set->has_true) or_key(field, (struct json_text){"\1", 1}, answer->may);
    } else {
        or_texts(field, set, answer->may);
    }
}

/* A float index does not know whether 1 was 1 or 1.0: what it finds may match, and nothing certainly does. */
static void answer_any(const struct field *field, const struct filter_condition *condition,
                       struct field_answer *answer) {
    bool odd = may_be_odd(field, &condition->set);
    or_set(field, &condition->set, answer);
    answer->exact = !odd && field->type != FIELD_FLOAT;
    if (answer->exact) return;
    if (field->type != FIELD_FLOAT)
        memcpy(answer->does, answer->may, answer->n_words * sizeof *answer->may);
    if (odd) posting_or(&field->odd, answer->may);
}

/* Rows with a value, but those whose one value is in the set; those with several may have one that is not. */
static void answer_except(const struct field *field, const struct filter_condition *condition,
                          struct field_answer *answer) {
    uint64_t *may = answer->may, *does = answer->does, unsure = 0;
    or_set(field, &condition->set, answer);
    posting_or(&field->valued, does);
    if (may_be_odd(field, &condition->set)) {
        posting_and_not(&field->odd, does);
        for (size_t i = 0; i < answer->n_words; i++) does[i] &= ~may[i];
        posting_or(&field->valued, may); /* a row that was hit has a value */
        answer->exact = false;
        return;
    }
    for (size_t i = 0; i < answer->n_words; i++) does[i] &= ~may[i];
    posting_and(&field->plural, may, answer->n_words);
    for (size_t i = 0; i < answer->n_words; i++) {
        unsure |= may[i];
        may[i] |= does[i];
    }
    answer->exact = unsure == 0;
}

void field_answer(const struct field *field, const struct filter_condition *condition,
                  struct field_answer *answer) {
    answer->exact = true;
    answer->complement = false;
    switch (condition->kind) {
    case FILTER_EMPTY:
        posting_or(&field->some, answer->may);
        answer->complement = condition->wanted;
        break;
    case FILTER_NULL:
        posting_or(&field->nulls, answer->may);
        answer->complement = !condition->wanted;
        break;
    case FILTER_ANY: answer_any(field, condition, answer); break;
    case FILTER_EXCEPT: answer_except(field, condition, answer); break;
    case FILTER_RANGE:
        answer_range(field, condition, answer);
        if (field->odd.n == 0) break;
        answer->exact = false;
        memcpy(answer->does, answer->may, answer->n_words * sizeof *answer->may);
        posting_or(&field->odd, answer->may);
        break;
    case FILTER_DATETIME:
        if (field->type == FIELD_DATETIME)
            answer_range(field, condition, answer);
        else
            answer_texts(field, condition, answer);
        break;
    case FILTER_BOX:
    case FILTER_CIRCLE:
    case FILTER_POLYGON: answer_places(field, condition, answer); break;
    default: answer_texts(field, condition, answer);
    }
}

/* ---- estimates ---------------------------------------------------------------------------------- */

static uint64_t estimate_set(const struct field *field, const struct filter_set *set) {
    uint64_t sum = 0;
    for (size_t i = 0; i < set->n_texts; i++) {
        uint8_t uuid[16];
        struct json_text key = set->texts[i];
        if (field->type == FIELD_UUID && field_uuid_of(uuid, key))
            key = (struct json_text){(const char *)uuid, 16};
        const struct posting *rows = dict_find(&field->dict, key);
        sum += rows ? rows->n : 0;
    }
    for (int value = 0; value < 2; value++) {
        const struct posting *rows = NULL;
        if (value ? set->has_true : set->has_false)
            rows = dict_find(&field->dict, (struct json_text){value ? "\1" : "\0", 1});
        sum += rows ? rows->n : 0;
    }
    for (size_t i = 0; i < set->n_ints; i++) {
        uint64_t key = set_key(field, set->ints[i]);
        size_t to = key == UINT64_MAX ? field->run.main.n : run_find(&field->run, key + 1);
        sum += to - run_find(&field->run, key);
    }
    return sum;
}

static bool fresh_fits(const struct field *field, const struct filter_condition *condition,
                       const struct run_entry *entry) {
    if (field->type == FIELD_GEO) return filter_place_fits(condition, entry->place);
    return range_holds(&condition->range, field_number_of(field->type, entry->key));
}

/* Of n entries of main: fresh like main, unless there is more of it. */
static uint64_t with_fresh(const struct field *field, const struct filter_condition *condition,
                           uint64_t n) {
    const struct run *run = &field->run;
    if (run->main.n >= run->n_fresh && run->main.n > 0) {
        double live = (double)run->main.n - run->gone.n + (double)run->n_fresh;
        return live > 0 ? (uint64_t)((double)n * live / (double)run->main.n) : 0;
    }
    for (size_t i = 0; i < run->n_fresh; i++) n += fresh_fits(field, condition, &run->fresh[i]);
    return n;
}

uint64_t field_estimate(const struct field *field, const struct filter_condition *condition) {
    uint64_t set;
    size_t from, to;
    switch (condition->kind) {
    case FILTER_EMPTY: return condition->wanted ? UINT64_MAX : field->some.n;
    case FILTER_NULL: return condition->wanted ? field->nulls.n : UINT64_MAX;
    case FILTER_ANY: return estimate_set(field, &condition->set);
    case FILTER_EXCEPT:
        set = estimate_set(field, &condition->set);
        return set < field->valued.n ? field->valued.n - set : 0;
    case FILTER_RANGE:
    case FILTER_DATETIME:
        if (!field_is_run(field->type)) return UINT64_MAX;
        find_stretch(field, &condition->range, &from, &to);
        return with_fresh(field, condition, to - from);
    case FILTER_BOX:
    case FILTER_CIRCLE:
    case FILTER_POLYGON:
        set = field->run.main.n ? or_places(&field->run, condition, 1, NULL) : 0;
        return with_fresh(field, condition, set);
    default: return UINT64_MAX;
    }
}
