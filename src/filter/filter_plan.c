/* Plans: Boolean algebra over pairs of sets.
 *
 *     and   may & may      does & does          or   may | may      does | does
 *     not   live & ~does   live & ~may          unknown   live, none
 *
 * Each group works in four sets of its own on a stack of sets: its two, and two for the condition at hand. While a pair is
 * exact only `may` is kept. */
#include "filter/filter_plan.h"

#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"

enum { COUNT_MOST = 8 }; /* min_count above it is left to payloads */

struct pair {
    uint64_t *may, *does;
    bool exact;
};

struct planner {
    const struct filter_source *source;
    struct filter_rows *rows;
    size_t n_words, n_sets; /* of the stack, in use */
};

/* ---- sets --------------------------------------------------------------------------------------- */

/* Sets that a group and all in it need at once. */
static size_t group_sets(const struct filter_group *group) {
    size_t deepest = 0, own = 4;
    for (int clause = 0; clause < FILTER_CLAUSES; clause++) {
        const struct filter_condition *at = group->clause[clause].first;
        for (; at; at = at->next) {
            size_t inner = at->kind == FILTER_GROUP ? group_sets(at->group) : 0;
            if (inner > deepest) deepest = inner;
        }
    }
    if (group->min_count > 1 && group->min_count <= COUNT_MOST) own += 2 * group->min_count;
    return own + deepest;
}

static uint64_t *take_set(struct planner *p) { return p->rows->room + p->n_words * p->n_sets++; }

static struct pair take_pair(struct planner *p) {
    struct pair pair = {.exact = true};
    pair.may = take_set(p);
    pair.does = take_set(p);
    return pair;
}

static void clear_pair(struct planner *p, struct pair *pair) {
    memset(pair->may, 0, p->n_words * sizeof *pair->may);
    memset(pair->does, 0, p->n_words * sizeof *pair->does);
    pair->exact = true;
}

static void blur(struct planner *p, struct pair *pair) {
    if (pair->exact) memcpy(pair->does, pair->may, p->n_words * sizeof *pair->may);
    pair->exact = false;
}

static const uint64_t *does_of(const struct pair *pair) {
    return pair->exact ? pair->may : pair->does;
}

static void pair_and(struct planner *p, struct pair *to, const struct pair *with) {
    if (!with->exact) blur(p, to);
    if (!to->exact) {
        const uint64_t *does = does_of(with);
        for (size_t i = 0; i < p->n_words; i++) to->does[i] &= does[i];
    }
    for (size_t i = 0; i < p->n_words; i++) to->may[i] &= with->may[i];
}

static void pair_and_not(struct planner *p, struct pair *to, const struct pair *with) {
    const uint64_t *does = does_of(with);
    if (!with->exact) blur(p, to);
    if (!to->exact)
        for (size_t i = 0; i < p->n_words; i++) to->does[i] &= ~with->may[i];
    for (size_t i = 0; i < p->n_words; i++) to->may[i] &= ~does[i];
}

static void pair_or(struct planner *p, struct pair *to, const struct pair *with) {
    if (!with->exact) blur(p, to);
    if (!to->exact) {
        const uint64_t *does = does_of(with);
        for (size_t i = 0; i < p->n_words; i++) to->does[i] |= does[i];
    }
    for (size_t i = 0; i < p->n_words; i++) to->may[i] |= with->may[i];
}

/* to |= a & b */
static void pair_or_and(struct planner *p, struct pair *to, const struct pair *a,
                        const struct pair *b) {
    if (!a->exact || !b->exact) blur(p, to);
    if (!to->exact) {
        const uint64_t *x = does_of(a), *y = does_of(b);
        for (size_t i = 0; i < p->n_words; i++) to->does[i] |= x[i] & y[i];
    }
    for (size_t i = 0; i < p->n_words; i++) to->may[i] |= a->may[i] & b->may[i];
}

static void set_live(struct planner *p, struct pair *pair) {
    memcpy(pair->may, p->source->live, p->n_words * sizeof *pair->may);
    pair->exact = true;
}

/* ---- conditions --------------------------------------------------------------------------------- */

static void plan_group(struct planner *p, const struct filter_group *group, struct pair *out);

static void plan_ids(struct planner *p, const struct filter_condition *condition,
                     struct pair *out) {
    for (size_t i = 0; i < condition->ids.n; i++) {
        uint32_t row;
        if (p->source->find_row(p->source->context, &condition->ids.items[i], &row) &&
            row < p->source->n_rows)
            bits_set(out->may, row);
    }
}

static const struct field *find_field(const struct filter_source *source,
                                      const struct filter_condition *condition) {
    const struct field *found = NULL;
    for (size_t i = 0; i < source->n_fields;
         i++) /* float is the one type that may be unsure of what another knows */
        if (field_answers(source->fields[i], condition) &&
            (!found || field_type(found) == FIELD_FLOAT))
            found = source->fields[i];
    return found;
}

static void plan_field(struct planner *p, const struct field *field,
                       const struct filter_condition *condition, struct pair *out) {
    struct field_answer answer = {.may = out->may, .does = out->does, .n_words = p->n_words};
    field_answer(field, condition, &answer);
    out->exact = answer.exact;
    for (size_t i = 0; i < p->n_words && answer.complement; i++)
        out->may[i] = p->source->live[i] & ~out->may[i];
}

static void plan_condition(struct planner *p, const struct filter_condition *condition,
                           struct pair *out) {
    const struct filter_source *source = p->source;
    if (condition->kind == FILTER_GROUP) {
        plan_group(p, condition->group, out);
        return;
    }
    clear_pair(p, out);
    const struct field *field = find_field(source, condition);
    if (field) {
        plan_field(p, field, condition, out);
    } else if (condition->kind == FILTER_HAS_ID && source->find_row) {
        plan_ids(p, condition, out);
    } else if (condition->kind == FILTER_HAS_VECTOR && source->vectors) {
        int bit = condition->vector.bit;
        if (bit >= 0 && (size_t)bit < source->n_vectors)
            memcpy(out->may, source->vectors[bit], p->n_words * sizeof *out->may);
    } else {
        set_live(p, out);
        out->exact = false; /* does is none */
    }
}

/* ---- groups ------------------------------------------------------------------------------------- */

static void plan_any(struct planner *p, const struct filter_list *list, struct pair *found,
                     struct pair *one) {
    clear_pair(p, found);
    for (const struct filter_condition *at = list->first; at; at = at->next) {
        plan_condition(p, at, one);
        pair_or(p, found, one);
    }
}

/* reached[j]: rows that at least j + 1 of the conditions so far take. */
static void plan_some(struct planner *p, const struct filter_group *group, struct pair *out,
                      struct pair *one) {
    struct pair reached[COUNT_MOST];
    size_t n = group->min_count;
    if (n > COUNT_MOST) {
        blur(p, out);
        memset(out->does, 0, p->n_words * sizeof *out->does);
        return;
    }
    for (size_t j = 0; j < n; j++) {
        reached[j] = take_pair(p);
        clear_pair(p, &reached[j]);
    }
    for (const struct filter_condition *at = group->clause[FILTER_SOME].first; at; at = at->next) {
        plan_condition(p, at, one);
        for (size_t j = n - 1; j > 0; j--) pair_or_and(p, &reached[j], &reached[j - 1], one);
        pair_or(p, &reached[0], one);
    }
    pair_and(p, out, &reached[n - 1]);
}

static void plan_group(struct planner *p, const struct filter_group *group, struct pair *out) {
    const struct filter_condition *at;
    size_t mark = p->n_sets;
    struct pair one = take_pair(p), found = take_pair(p);
    set_live(p, out);
    for (at = group->clause[FILTER_MUST].first; at; at = at->next) {
        plan_condition(p, at, &one);
        pair_and(p, out, &one);
    }
    for (at = group->clause[FILTER_MUST_NOT].first; at; at = at->next) {
        plan_condition(p, at, &one);
        pair_and_not(p, out, &one);
    }
    if (group->clause[FILTER_SHOULD].n > 0) {
        plan_any(p, &group->clause[FILTER_SHOULD], &found, &one);
        pair_and(p, out, &found);
    }
    if (group->min_count > 0) plan_some(p, group, out, &one);
    p->n_sets = mark;
}

/* ---- the whole ---------------------------------------------------------------------------------- */

static uint64_t count_bits(const uint64_t *bits, size_t n_words) {
    uint64_t n = 0;
    for (size_t i = 0; i < n_words; i++) n += (uint64_t)__builtin_popcountll(bits[i]);
    return n;
}

void filter_rows_deinit(struct filter_rows *rows) {
    mem_free(rows->owner, rows->room, rows->room_words * sizeof *rows->room);
    *rows = (struct filter_rows){.owner = rows->owner};
}

static int make_room(struct filter_rows *rows, size_t words, kith_error *err) {
    if (words <= rows->room_words) return KITH_OK;
    uint64_t *room = mem_new(rows->owner, words * sizeof *room);
    if (!room)
        return FAIL(err, KITH_ENOMEM, "no memory to plan a filter: %zu bytes",
                    words * sizeof *room);
    mem_free(rows->owner, rows->room, rows->room_words * sizeof *rows->room);
    rows->room = room;
    rows->room_words = words;
    return KITH_OK;
}

int filter_plan(const struct filter *filter, const struct filter_source *source,
                struct filter_rows *rows, kith_error *err) {
    struct planner p = {.source = source, .rows = rows, .n_words = bits_words(source->n_rows)};
    for (size_t i = 0; i < source->n_fields; i++)
        if (field_rows(source->fields[i]) > source->n_rows)
            return FAIL(err, KITH_EINVAL, "field index %zu has %llu rows, the collection %llu", i,
                        (unsigned long long)field_rows(source->fields[i]),
                        (unsigned long long)source->n_rows);
    TRY(make_room(rows, p.n_words * (group_sets(filter->root) + 2), err));
    struct pair all = take_pair(&p);
    plan_group(&p, filter->root, &all);
    rows->may = all.may;
    rows->does = does_of(&all);
    rows->exact = all.exact;
    rows->n_words = p.n_words;
    rows->n_may = count_bits(rows->may, p.n_words);
    rows->n_does = all.exact ? rows->n_may : count_bits(rows->does, p.n_words);
    rows->exact = rows->n_may == rows->n_does; /* does is within may */
    if (rows->exact) rows->does = rows->may;
    return KITH_OK;
}

/* ---- estimates ---------------------------------------------------------------------------------- */

/* The share of points that a group takes. */
static double share_of_group(const struct filter_group *group, const struct filter_source *source);

static double share_of(const struct filter_condition *condition,
                       const struct filter_source *source) {
    double n = (double)source->n_live;
    if (condition->kind == FILTER_GROUP) return share_of_group(condition->group, source);
    if (condition->kind == FILTER_HAS_ID)
        return (double)condition->ids.n < n ? (double)condition->ids.n / n : 1;
    const struct field *field = find_field(source, condition);
    uint64_t rows = field ? field_estimate(field, condition) : UINT64_MAX;
    if (rows == UINT64_MAX) return 0.5;
    return (double)rows < n ? (double)rows / n : 1;
}

static double share_of_group(const struct filter_group *group, const struct filter_source *source) {
    const struct filter_condition *at;
    double share = 1, none = 1;
    for (at = group->clause[FILTER_MUST].first; at; at = at->next) share *= share_of(at, source);
    for (at = group->clause[FILTER_MUST_NOT].first; at; at = at->next)
        share *= 1 - share_of(at, source);
    for (at = group->clause[FILTER_SHOULD].first; at; at = at->next)
        none *= 1 - share_of(at, source);
    return group->clause[FILTER_SHOULD].n > 0 ? share * (1 - none) : share;
}

double filter_estimate(const struct filter *filter, const struct filter_source *source) {
    return source->n_live ? share_of_group(filter->root, source) * (double)source->n_live : 0;
}
