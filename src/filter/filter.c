/* Filters: programs made and freed, by calls; filter_parse.c makes them from text, filter_match.c asks them. */
#include "filter/filter.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

struct filter_regexes {
    struct filter_regexes *next;
    struct regex *regex;
};

struct filter *filter_new(struct mem_account *owner) {
    struct filter *filter = mem_new(owner, sizeof *filter);
    if (!filter) return NULL;
    filter->arena.owner = owner;
    filter->root = filter_new_group(filter);
    if (filter->root) return filter;
    filter_free(filter);
    return NULL;
}

void filter_free(struct filter *filter) {
    if (!filter) return;
    for (struct filter_regexes *at = filter->regexes; at; at = at->next) regex_free(at->regex);
    struct mem_account *owner = filter->arena.owner;
    arena_deinit(&filter->arena);
    mem_free(owner, filter, sizeof *filter);
}

struct filter_group *filter_new_group(struct filter *filter) {
    return arena_new(&filter->arena, sizeof(struct filter_group));
}

struct filter_condition *filter_new_condition(struct filter *filter, enum filter_kind kind) {
    struct filter_condition *condition = arena_new(&filter->arena, sizeof *condition);
    if (!condition) return NULL;
    condition->kind = kind;
    filter->kinds |= 1u << kind;
    filter->n_conditions++;
    return condition;
}

void filter_add(struct filter_group *group, enum filter_clause clause,
                struct filter_condition *condition) {
    struct filter_list *list = &group->clause[clause];
    if (list->last)
        list->last->next = condition;
    else
        list->first = condition;
    list->last = condition;
    list->n++;
}

int filter_set_regex(struct filter *filter, struct filter_condition *condition,
                     struct json_text pattern, kith_error *err) {
    struct filter_regexes *link = arena_new(&filter->arena, sizeof *link);
    if (!link) return FAIL(err, KITH_ENOMEM, "no memory for a regex");
    TRY(regex_new(&link->regex, pattern.bytes, pattern.n, err));
    link->next = filter->regexes;
    filter->regexes = link;
    condition->regex = link->regex;
    return KITH_OK;
}

/* ---- sets --------------------------------------------------------------------------------------- */

static int order_texts(const void *a, const void *b) {
    const struct json_text *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

static int order_ints(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int order_uints(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int order_ids(const void *a, const void *b) { return kith_id_compare(a, b); }

/* Ascending, each once. */
static void sort_once(void *items, size_t *n, size_t bytes,
                      int (*order)(const void *a, const void *b)) {
    char *at = items;
    size_t kept = 0;
    if (*n < 2) return;
    qsort(items, *n, bytes, order);
    for (size_t i = 1; i < *n; i++)
        if (order(at + kept * bytes, at + i * bytes) != 0)
            memmove(at + ++kept * bytes, at + i * bytes, bytes);
    *n = kept + 1;
}

void filter_sort_set(struct filter_set *set) {
    sort_once(set->texts, &set->n_texts, sizeof *set->texts, order_texts);
    sort_once(set->ints, &set->n_ints, sizeof *set->ints, order_ints);
    sort_once(set->uints, &set->n_uints, sizeof *set->uints, order_uints);
}

void filter_sort_ids(kith_id *ids, size_t *n) { sort_once(ids, n, sizeof *ids, order_ids); }

/* ---- walks over a program ----------------------------------------------------------------------- */

static bool has_group(const struct filter_condition *condition) {
    return condition->kind == FILTER_GROUP || condition->kind == FILTER_NESTED;
}

static size_t depth_of(const struct filter_group *group, size_t limit) {
    size_t deepest = 0;
    if (limit == 0) return 1;
    for (int clause = 0; clause < FILTER_CLAUSES; clause++) {
        const struct filter_condition *at = group->clause[clause].first;
        for (; at; at = at->next) {
            size_t depth = has_group(at) ? depth_of(at->group, limit - 1) : 0;
            if (depth > deepest) deepest = depth;
        }
    }
    return deepest + 1;
}

int filter_check(const struct filter *filter, kith_error *err) {
    if (depth_of(filter->root, FILTER_DEPTH) > FILTER_DEPTH)
        return FAIL(err, KITH_EFILTER, "filter: groups more than %d in one another", FILTER_DEPTH);
    return KITH_OK;
}

static void bind_group(struct filter_group *group, const struct json_text *names, size_t n) {
    for (int clause = 0; clause < FILTER_CLAUSES; clause++) {
        for (struct filter_condition *at = group->clause[clause].first; at; at = at->next) {
            if (has_group(at)) bind_group(at->group, names, n);
            if (at->kind != FILTER_HAS_VECTOR) continue;
            at->vector.bit = -1;
            for (size_t i = 0; i < n; i++)
                if (order_texts(&names[i], &at->vector.name) == 0) at->vector.bit = (int)i;
        }
    }
}

void filter_bind_vectors(struct filter *filter, const struct json_text *names, size_t n) {
    bind_group(filter->root, names, n < 64 ? n : 64);
}

bool filter_condition_reads_payload(const struct filter_condition *condition) {
    if (condition->kind == FILTER_GROUP) {
        for (int clause = 0; clause < FILTER_CLAUSES; clause++) {
            const struct filter_condition *at = condition->group->clause[clause].first;
            for (; at; at = at->next)
                if (filter_condition_reads_payload(at)) return true;
        }
        return false;
    }
    return condition->kind != FILTER_HAS_ID && condition->kind != FILTER_HAS_VECTOR &&
           condition->kind != FILTER_SLICE;
}

bool filter_reads_payload(const struct filter *filter) {
    struct filter_condition root = {.kind = FILTER_GROUP, .group = filter->root};
    return filter_condition_reads_payload(&root);
}
