/* Filters: conditions on points, parsed once into a program and asked of any number of points.
 *
 *     struct filter *filter;                      filter_parse(&filter, text, n, owner, err);
 *     struct filter_point point = {payload, &id, vectors};
 *     if (filter_matches(filter, &point)) ...
 *
 * A program is a tree of groups. A group holds when all of `must` hold, none of `must_not`, at least one of `should` if there
 * are any, and at least min_count of `some`. docs/filters.md has the grammar, with an example of each form.
 *
 * Invariants
 *   1. A condition looks at the values that its path leads to. Conditions on single values look at the elements of a value
 *      that is an array, one level deep, and hold when any value fits. COUNT, EMPTY and NULL look at the values themselves.
 *   2. The verdict depends on the point and the program alone; never on indexes, nor on the order of conditions.
 *   3. Groups are at most FILTER_DEPTH in one another, so that walks over a program may recurse.
 * A program that is built is not changed; any number of threads may ask it at once. */
#ifndef KITH_FILTER_FILTER_H
#define KITH_FILTER_FILTER_H

#include <kith/id.h>

#include "base/arena.h"
#include "filter/geo.h"
#include "filter/number.h"
#include "filter/path.h"
#include "filter/regex.h"

#define FILTER_DEPTH 64

enum filter_kind {
    FILTER_GROUP,
    FILTER_ANY,      /* match value, any: in the set */
    FILTER_EXCEPT,   /* match except: not null and not in the set */
    FILTER_TEXT,     /* match text, phrase: contains */
    FILTER_TEXT_ANY, /* match text_any: contains one of the words */
    FILTER_PREFIX,
    FILTER_REGEX,
    FILTER_RANGE,    /* numbers */
    FILTER_DATETIME, /* range of times */
    FILTER_BOX,
    FILTER_CIRCLE,
    FILTER_POLYGON,
    FILTER_COUNT,   /* values_count */
    FILTER_EMPTY,   /* is_empty */
    FILTER_NULL,    /* is_null */
    FILTER_COMPARE, /* with the values of another path */
    FILTER_NESTED,
    FILTER_HAS_ID,
    FILTER_HAS_VECTOR,
    FILTER_SLICE,
    FILTER_KINDS
};

struct filter_condition;

/* Conditions in the order they were added. */
struct filter_list {
    struct filter_condition *first, *last;
    size_t n;
};

enum filter_clause { FILTER_MUST, FILTER_SHOULD, FILTER_MUST_NOT, FILTER_SOME, FILTER_CLAUSES };

struct filter_group {
    struct filter_list clause[FILTER_CLAUSES];
    uint64_t min_count; /* of FILTER_SOME */
};

/* Strings ascending by bytes, then length; whole numbers ascending; each once. */
struct filter_set {
    size_t n_texts, n_ints, n_uints;
    struct json_text *texts;
    int64_t *ints;
    uint64_t *uints; /* above INT64_MAX */
    bool has_false, has_true;
};

/* <, <=, >, >=, =, != between a value here and a value there of the same type. */
enum filter_relation {
    COMPARE_LT,
    COMPARE_LTE,
    COMPARE_GT,
    COMPARE_GTE,
    COMPARE_EQ,
    COMPARE_NE,
    COMPARE_RELATIONS
};

struct filter_condition {
    enum filter_kind kind;
    struct filter_condition *next; /* of the list it is in */
    struct path path;              /* of conditions on the payload */
    union {
        struct filter_group *group; /* GROUP, NESTED */
        struct filter_set set;      /* ANY, EXCEPT */
        struct {                    /* TEXT and PREFIX one, TEXT_ANY any number */
            size_t n;
            struct json_text *items;
        } texts;
        struct regex *regex;
        struct range range; /* RANGE, DATETIME in microseconds, COUNT */
        struct geo_box box;
        struct geo_circle circle;
        struct geo_polygon polygon;
        bool wanted; /* EMPTY, NULL: true is what the name says, false its opposite */
        struct {     /* COMPARE: the relations that must all hold of one pair */
            bool has[COMPARE_RELATIONS];
            struct path with[COMPARE_RELATIONS];
        } compare;
        struct { /* HAS_ID: ascending */
            size_t n;
            kith_id *items;
        } ids;
        struct { /* HAS_VECTOR */
            struct json_text name;
            int bit; /* -1: there is no such vector */
        } vector;
        struct { /* SLICE */
            uint64_t total, index;
        } slice;
    };
};

struct filter_regexes; /* made for one program, freed with it */

struct filter {
    struct arena arena; /* everything but what RE2 keeps */
    struct filter_group *root;
    struct filter_regexes *regexes;
    uint32_t kinds; /* a bit for each kind that is somewhere in it */
    size_t n_conditions;
};

/* ---- text --------------------------------------------------------------------------------------- */

/* KITH_EFILTER: which member, why, and its byte in err->at. KITH_ENOMEM. */
int filter_parse(struct filter **out, const char *text, size_t n, struct mem_account *owner,
                 kith_error *err);
/* The same of a value in a larger text: the parser's last. err->at is its byte in that text. */
int filter_parse_value(struct filter **out, const struct json_parser *parser,
                       struct json_value value, struct mem_account *owner, kith_error *err);
void filter_free(struct filter *filter); /* NULL is fine */

/* ---- calls -------------------------------------------------------------------------------------- */

/* An empty program, which every point matches; filter->root is its group. All of the following are NULL, or false, when
 * memory is short. What they make belongs to the program. */
struct filter *filter_new(struct mem_account *owner);
struct filter_group *filter_new_group(struct filter *filter);
/* To be filled by the caller as its kind asks, then added; sets and ids by the two functions below. */
struct filter_condition *filter_new_condition(struct filter *filter, enum filter_kind kind);
void filter_add(struct filter_group *group, enum filter_clause clause,
                struct filter_condition *condition);
/* A set's members may be filled in any order, and more than once; this makes it what filter_set promises. */
void filter_sort_set(struct filter_set *set);
void filter_sort_ids(kith_id *ids, size_t *n);
/* A regex for a condition of that kind. */
int filter_set_regex(struct filter *filter, struct filter_condition *condition,
                     struct json_text pattern, kith_error *err);
/* Depth and contents of a program that was built by calls: KITH_EFILTER where it breaks invariant 3. */
int filter_check(const struct filter *filter, kith_error *err);

/* Which bit of filter_point.vectors is which vector; to be called before a program with has_vector is asked. */
void filter_bind_vectors(struct filter *filter, const struct json_text *names, size_t n);

/* ---- points ------------------------------------------------------------------------------------- */

struct filter_point {
    struct json_value payload; /* an object */
    const kith_id *id;         /* NULL: has_id and slice do not hold */
    uint64_t vectors;          /* a bit for each vector that the point has */
};
bool filter_matches(const struct filter *filter, const struct filter_point *point);
/* Whether the payload is looked at; if not, point.payload need not be given. */
bool filter_reads_payload(const struct filter *filter);
bool filter_condition_reads_payload(const struct filter_condition *condition);

/* Parts of a program, for plans. */
bool filter_group_matches(const struct filter_group *group, const struct filter_point *point);
bool filter_condition_matches(const struct filter_condition *condition,
                              const struct filter_point *point);
/* One value of that type against a condition, for field indexes: false where the condition is about other types. */
bool filter_text_fits(const struct filter_condition *condition, struct json_text text);
bool filter_number_fits(const struct filter_condition *condition, struct number number);
bool filter_bool_fits(const struct filter_condition *condition, bool value);
bool filter_place_fits(const struct filter_condition *condition, struct geo_point place);

/* SipHash-2-4 under the zero key of an id: 8 bytes of a number, little-endian, 16 of a UUID, those of a string. */
uint64_t filter_hash_id(const kith_id *id);

#endif
