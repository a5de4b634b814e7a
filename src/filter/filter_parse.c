/* Filters from text: groups, and the conditions that are not on one field. One function for each rule of the grammar in
 * docs/filters.md. */
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "filter/filter_crumb.h"

/* ---- other conditions --------------------------------------------------------------------------- */

/* {"key": path} */
static int read_keyed(struct filter_reader *r, const struct crumb *at, enum filter_kind kind,
                      struct filter_condition **out) {
    struct crumb key;
    TRY(crumb_is_object(r, at));
    if (!crumb_get(at, "key", &key)) return crumb_refuse(r, at, "key is missing");
    TRY(crumb_condition(r, kind, out));
    (*out)->wanted = true;
    return crumb_path(r, &key, &(*out)->path);
}

static int read_empty(struct filter_reader *r, const struct crumb *at,
                      struct filter_condition **out) {
    return read_keyed(r, at, FILTER_EMPTY, out);
}

static int read_null(struct filter_reader *r, const struct crumb *at,
                     struct filter_condition **out) {
    return read_keyed(r, at, FILTER_NULL, out);
}

static int read_id(struct filter_reader *r, const struct crumb *at, kith_id *id) {
    kith_error why = {0};
    uint64_t number;
    if (json_type(at->value) != JSON_STRING) {
        TRY(crumb_count(r, at, 0, &number));
        *id = kith_id_number(number);
        return KITH_OK;
    }
    struct json_text text;
    TRY(crumb_text(r, at, &text));
    if (kith_id_from_text(id, text.bytes, text.n, &why) != KITH_OK)
        return crumb_refuse(r, at, "%s", why.text);
    return KITH_OK;
}

static int read_has_id(struct filter_reader *r, const struct crumb *at,
                       struct filter_condition **out) {
    struct json_walk walk;
    struct crumb element = {.up = at};
    if (json_type(at->value) != JSON_ARRAY) return crumb_refuse(r, at, "an array of ids is wanted");
    TRY(crumb_condition(r, FILTER_HAS_ID, out));
    size_t n = json_count(at->value);
    kith_id *ids = arena_new(&r->filter->arena, n * sizeof *ids);
    if (!ids) return crumb_no_memory(r);
    json_walk_init(&walk, at->value);
    for (; json_next(&walk, NULL, &element.value); element.index++)
        TRY(read_id(r, &element, &ids[element.index]));
    filter_sort_ids(ids, &n);
    (*out)->ids.items = ids;
    (*out)->ids.n = n;
    return KITH_OK;
}

static int read_has_vector(struct filter_reader *r, const struct crumb *at,
                           struct filter_condition **out) {
    TRY(crumb_condition(r, FILTER_HAS_VECTOR, out));
    (*out)->vector.bit = -1;
    return crumb_text(r, at, &(*out)->vector.name);
}

static int read_slice(struct filter_reader *r, const struct crumb *at,
                      struct filter_condition **out) {
    struct crumb total, index;
    TRY(crumb_is_object(r, at));
    if (!crumb_get(at, "total", &total) || !crumb_get(at, "index", &index))
        return crumb_refuse(r, at, "total and index are wanted");
    TRY(crumb_condition(r, FILTER_SLICE, out));
    TRY(crumb_count(r, &total, 1, &(*out)->slice.total));
    TRY(crumb_count(r, &index, 0, &(*out)->slice.index));
    if ((*out)->slice.index >= (*out)->slice.total)
        return crumb_refuse(r, &index, "not below total");
    return KITH_OK;
}

static int read_group(struct filter_reader *r, const struct crumb *at, struct filter_group **out);

/* The path of nested ends in []; it is put there when it is not. */
static int end_in_each(struct filter_reader *r, const struct crumb *key, struct path *path) {
    if (path->steps[path->n - 1].kind == PATH_EACH) return KITH_OK;
    if (path->n == PATH_STEPS) return crumb_refuse(r, key, "more than %d steps", PATH_STEPS);
    struct path_step *steps = arena_new(&r->filter->arena, (path->n + 1) * sizeof *steps);
    if (!steps) return crumb_no_memory(r);
    memcpy(steps, path->steps, path->n * sizeof *steps);
    steps[path->n++].kind = PATH_EACH;
    path->steps = steps;
    return KITH_OK;
}

static int read_nested(struct filter_reader *r, const struct crumb *at,
                       struct filter_condition **out) {
    struct crumb key, filter;
    TRY(crumb_is_object(r, at));
    if (!crumb_get(at, "key", &key)) return crumb_refuse(r, at, "key is missing");
    if (!crumb_get(at, "filter", &filter)) return crumb_refuse(r, at, "filter is missing");
    TRY(crumb_condition(r, FILTER_NESTED, out));
    TRY(crumb_path(r, &key, &(*out)->path));
    TRY(end_in_each(r, &key, &(*out)->path));
    return read_group(r, &filter, &(*out)->group);
}

static const struct {
    const char *name;
    int (*read)(struct filter_reader *r, const struct crumb *at, struct filter_condition **out);
} forms[] = {{"is_empty", read_empty},        {"is_null", read_null},  {"has_id", read_has_id},
             {"has_vector", read_has_vector}, {"nested", read_nested}, {"slice", read_slice}};
enum { FORMS = sizeof forms / sizeof *forms };

static int read_condition(struct filter_reader *r, const struct crumb *at,
                          struct filter_condition **out) {
    struct crumb member;
    TRY(crumb_is_object(r, at));
    if (crumb_get(at, "key", &member)) return filter_read_field(r, at, &member, out);
    for (size_t i = 0; i < FORMS; i++) {
        if (!crumb_get(at, forms[i].name, &member)) continue;
        if (json_count(at->value) > 1)
            return crumb_refuse(r, at, "%s and something else", forms[i].name);
        return forms[i].read(r, &member, out);
    }
    TRY(crumb_condition(r, FILTER_GROUP, out));
    return read_group(r, at, &(*out)->group);
}

/* ---- groups ------------------------------------------------------------------------------------- */

/* One condition, or an array of them. */
static int read_clause(struct filter_reader *r, const struct crumb *at, struct filter_group *group,
                       enum filter_clause clause) {
    struct filter_condition *condition;
    struct json_walk walk;
    struct crumb element = {.up = at};
    if (json_type(at->value) != JSON_ARRAY) {
        TRY(read_condition(r, at, &condition));
        filter_add(group, clause, condition);
        return KITH_OK;
    }
    json_walk_init(&walk, at->value);
    for (; json_next(&walk, NULL, &element.value); element.index++) {
        TRY(read_condition(r, &element, &condition));
        filter_add(group, clause, condition);
    }
    return KITH_OK;
}

static int read_some(struct filter_reader *r, const struct crumb *at, struct filter_group *group) {
    struct crumb conditions, count;
    TRY(crumb_is_object(r, at));
    if (!crumb_get(at, "conditions", &conditions) || !crumb_get(at, "min_count", &count))
        return crumb_refuse(r, at, "conditions and min_count are wanted");
    TRY(crumb_count(r, &count, 1, &group->min_count));
    return read_clause(r, &conditions, group, FILTER_SOME);
}

static int read_group(struct filter_reader *r, const struct crumb *at, struct filter_group **out) {
    struct json_walk walk;
    struct crumb member;
    TRY(crumb_is_object(r, at));
    if (++r->depth > FILTER_DEPTH)
        return crumb_refuse(r, at, "filters more than %d in one another", FILTER_DEPTH);
    struct filter_group *group = filter_new_group(r->filter);
    if (!group) return crumb_no_memory(r);
    json_walk_init(&walk, at->value);
    while (crumb_next(&walk, at, &member)) {
        if (crumb_is(member.name, "must"))
            TRY(read_clause(r, &member, group, FILTER_MUST));
        else if (crumb_is(member.name, "should"))
            TRY(read_clause(r, &member, group, FILTER_SHOULD));
        else if (crumb_is(member.name, "must_not"))
            TRY(read_clause(r, &member, group, FILTER_MUST_NOT));
        else if (crumb_is(member.name, "min_should"))
            TRY(read_some(r, &member, group));
        else
            return crumb_unknown(r, &member,
                                 "must, should, must_not, min_should, and those of one condition");
    }
    r->depth--;
    *out = group;
    return KITH_OK;
}

/* ---- the whole ---------------------------------------------------------------------------------- */

int filter_parse_value(struct filter **out, const struct json_parser *parser,
                       struct json_value value, struct mem_account *owner, kith_error *err) {
    struct crumb root = {.value = value};
    struct filter_reader r = {.filter = filter_new(owner), .parser = parser, .err = err};
    if (!r.filter) return FAIL(err, KITH_ENOMEM, "no memory for a filter");
    int code = read_group(&r, &root, &r.filter->root);
    if (code == KITH_OK)
        *out = r.filter;
    else
        filter_free(r.filter);
    return code;
}

int filter_parse(struct filter **out, const char *text, size_t n, struct mem_account *owner,
                 kith_error *err) {
    struct json_parser *parser;
    struct json_value root;
    kith_error why = {0};
    TRY(json_parser_new(&parser, owner, err));
    int code = json_parse(parser, text, n, JSON_CHECKED, &root, &why);
    if (code == KITH_OK)
        code = filter_parse_value(out, parser, root, owner, err);
    else if (code == KITH_ESYNTAX)
        code = FAIL_AT(err, KITH_EFILTER, why.at, "filter: %s", why.text);
    else if (err)
        *err = why;
    json_parser_free(parser);
    return code;
}
