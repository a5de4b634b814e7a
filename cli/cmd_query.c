/* kith query: the nearest points of a collection, to vectors or to one of its points, of those that a filter takes. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "print.h"

enum { KEY_VECTOR = KEY_OWN, KEY_LIKE, KEY_FILTER, KEY_OFFSET, KEY_FIELD, KEY_PAYLOAD };

static const struct argp_option options[] = {
    {"vector", KEY_VECTOR, "V", 0, "What to be near to: [0.1, ...], or @FILE, each row a query", 1},
    {"like", KEY_LIKE, "ID", 0, "Instead: the vector of this point, which is left out", 1},
    {"field", KEY_FIELD, "F", 0, "The field that is searched (default: the unnamed)", 1},
    {"filter", KEY_FILTER, "JSON", 0, "Only the points that this filter takes", 2},
    {NULL, 'k', "K", 0, "Points a query (default: 10)", 3},
    {"offset", KEY_OFFSET, "N", 0, "Leave out the N nearest", 3},
    {"payload", KEY_PAYLOAD, "SELECTOR", 0,
     "What to show of payloads: true (default), false, [\"a.b\"], or include, exclude in an object",
     4},
    OPTION_FROM,
    OPTION_JSON,
    {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[1];
    const char *vector, *like;
    kith_query query;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case KEY_VECTOR: a->vector = arg; return 0;
    case KEY_LIKE: a->like = arg; return 0;
    case KEY_FIELD: a->query.field = arg; return 0;
    case KEY_FILTER: a->query.filter = arg; return 0;
    case 'k': a->query.limit = argument_count(state, "-k", arg, 1, UINT32_MAX); return 0;
    case KEY_OFFSET:
        a->query.offset = argument_count(state, "--offset", arg, 0, UINT32_MAX);
        return 0;
    case KEY_PAYLOAD: a->query.payload = arg; return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 1);
    case ARGP_KEY_END:
        if (state->arg_num < 1) argp_error(state, "DIR/NAME is missing: the collection");
        argument_collection(state, a->names[0]);
        if (!a->vector == !a->like) argp_error(state, "one of --vector and --like is wanted");
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "DIR/NAME",
    .doc = "Find the points of a collection that are nearest to a vector."};

/* ---- answers ------------------------------------------------------------------------------------ */

static void print_json(size_t query, const kith_hits *hits) {
    struct json_object *o = json_object_new_object(), *all = json_object_new_array();
    for (size_t i = 0; i < hits->n; i++)
        json_object_array_add(all, json_point(&hits->hits[i], true));
    json_add(o, "query", json_object_new_uint64(query));
    json_add(o, "hits", all);
    json_print(o, stdout, false);
}

static void add_rows(table *t, size_t query, size_t offset, const kith_hits *hits) {
    for (size_t i = 0; i < hits->n; i++) {
        const kith_hit *hit = &hits->hits[i];
        char id[KITH_ID_TEXT], texts[3][32];
        kith_id_print(&hit->id, id);
        snprintf(texts[0], sizeof texts[0], "%zu", query);
        snprintf(texts[1], sizeof texts[1], "%zu", offset + i + 1);
        print_number(texts[2], (double)hit->score, 6);
        const char *cells[] = {texts[0], texts[1], id, texts[2], hit->payload ? hit->payload : ""};
        table_row(t, cells);
    }
}

/* Every query; like has one, of no vector. */
static int query_all(const collection *c, const arguments *a, const vectors *v, kith_error *err) {
    static const char *const columns[] = {">query", ">rank", "id", ">score", "payload", NULL};
    kith_query query = a->query;
    size_t n = a->like ? 1 : v->n;
    table *t = table_new(columns);
    int code = KITH_OK;
    for (size_t i = 0; i < n && !code; i++) {
        kith_hits *hits = NULL;
        if (!a->like) {
            query.vector = v->data + i * v->dim;
            query.dim = v->dim;
        }
        code = kith_db_query(c->db, c->name, &query, &hits, err);
        if (!code && a->shared.json) print_json(i, hits);
        if (!code && !a->shared.json) add_rows(t, i, query.offset, hits);
        kith_hits_free(hits);
    }
    if (!code) table_print(t, stdout);
    table_free(t);
    return code;
}

static int read_vector(vectors *out, const arguments *a, failure *f) {
    static const read_options lines = {.format = FORMAT_JSONL};
    if (*a->vector == '@')
        return failure_about(f, a->vector + 1,
                             vectors_read(out, a->vector + 1, &a->shared.read, &f->err));
    blob text = {.data = (const uint8_t *)a->vector, .n = strlen(a->vector)};
    return failure_about(f, "--vector", vectors_parse(out, text, NULL, &lines, &f->err));
}

static int run(int argc, char **argv) {
    arguments a = {.query = KITH_QUERY_INIT};
    a.query.payload = "true";
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    a.shared.read.dataset = "test";
    failure f = {0};
    collection c = {0};
    vectors v = {0};
    kith_id like;
    int code;
    if (a.vector) TRY_DONE(read_vector(&v, &a, &f));
    if (a.like) {
        TRY_DONE(failure_about(&f, "--like", id_of_text(&like, a.like, &f.err)));
        a.query.like = &like;
    }
    TRY_DONE(failure_about(&f, a.names[0], collection_open(&c, a.names[0], false, &f.err)));
    code = failure_about(&f, a.names[0], query_all(&c, &a, &v, &f.err));
done:
    collection_close(&c);
    vectors_free(&v);
    return failure_exit(&f, code);
}

const command cmd_query = {"query", "find the nearest points of a collection", run};
