/* kith db: make, list, tell about and drop collections.
 *
 *     kith db create DIR/NAME        kith db list DIR        kith db info DIR/NAME        kith db drop DIR/NAME */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "print.h"

enum { KEY_FIELD = KEY_OWN };

static const struct argp_option options[] = {
    {"dim", 'd', "N", 0, "create: dimensions of the vector without a name", 1},
    {"metric", 'm', "METRIC", 0, "create: its metric, l2, euclid, ip, cosine or l1 (default: l2)",
     1},
    {"field", KEY_FIELD, "NAME:DIM:METRIC", 0,
     "create: a vector with a name as well; may be given many times", 1},
    OPTION_JSON,
    {0}};

typedef struct arguments arguments;

typedef struct action {
    const char *name, *wants; /* what the second argument is */
    bool of_collection;       /* it is DIR/NAME, else DIR */
    int (*run)(const arguments *a, failure *f);
} action;

struct arguments {
    shared_options shared;
    const char *names[2]; /* the action's, and what it acts on */
    const action *action;
    kith_vector_field fields[KITH_MAX_FIELDS]; /* names are of copies */
    uint32_t n_fields;
    size_t dim; /* of the unnamed one; 0 when there is none */
};

/* ---- telling ------------------------------------------------------------------------------------ */

static struct json_object *json_info(const char *name, const kith_collection_info *info) {
    struct json_object *o = json_object_new_object(), *fields = json_object_new_array();
    json_add(o, "name", json_text(name));
    json_add(o, "points", json_object_new_uint64(info->n_points));
    json_add(o, "batches", json_object_new_uint64(info->seq));
    json_add(o, "disk_bytes", json_object_new_uint64(info->disk_bytes));
    json_add(o, "memory_bytes", json_object_new_uint64(info->memory_bytes));
    for (uint32_t i = 0; i < info->n_fields; i++) {
        struct json_object *field = json_object_new_object();
        json_add(field, "name", json_text(info->fields[i].name));
        json_add(field, "dim", json_object_new_uint64(info->fields[i].dim));
        json_add(field, "metric", json_text(kith_metric_name(info->fields[i].metric)));
        json_add(field, "vectors", json_object_new_uint64(info->fields[i].n_vectors));
        json_add(field, "indexed", json_object_new_uint64(info->fields[i].n_indexed));
        json_object_array_add(fields, field);
    }
    json_add(o, "fields", fields);
    return o;
}

static void print_info(const kith_collection_info *info) {
    static const char *const columns[] = {"field",    ">dimensions", "metric",
                                          ">vectors", ">indexed",    NULL};
    char texts[3][32];
    fact_list facts = facts_new();
    facts_add(facts, "points", "%s", print_count(texts[0], (double)info->n_points));
    facts_add(facts, "batches", "%s", print_count(texts[0], (double)info->seq));
    facts_add(facts, "on disk", "%s", print_bytes(texts[0], (double)info->disk_bytes));
    facts_add(facts, "in memory", "%s", print_bytes(texts[0], (double)info->memory_bytes));
    facts_print(facts, stdout);
    putchar('\n');
    table *t = table_new(columns);
    for (uint32_t i = 0; i < info->n_fields; i++) {
        const char *name = info->fields[i].name;
        const char *cells[] = {*name ? name : "(unnamed)",
                               print_count(texts[0], (double)info->fields[i].dim),
                               kith_metric_name(info->fields[i].metric),
                               print_count(texts[1], (double)info->fields[i].n_vectors),
                               print_count(texts[2], (double)info->fields[i].n_indexed)};
        table_row(t, cells);
    }
    table_print(t, stdout);
    table_free(t);
}

static int tell(const collection *c, bool json, kith_error *err) {
    kith_collection_info info;
    int code = kith_db_info(c->db, c->name, &info, err);
    if (code) return code;
    if (json)
        json_print(json_info(c->name, &info), stdout, true);
    else
        print_info(&info);
    return KITH_OK;
}

/* ---- the actions -------------------------------------------------------------------------------- */

static int create(const arguments *a, failure *f) {
    collection c;
    int code;
    TRY_DONE(collection_open(&c, a->names[1], true, &f->err));
    TRY_DONE(kith_db_create(c.db, c.name, a->n_fields, a->fields, &f->err));
    code = tell(&c, a->shared.json, &f->err);
done:
    collection_close(&c);
    return code;
}

static int info(const arguments *a, failure *f) {
    collection c;
    int code;
    TRY_DONE(collection_open(&c, a->names[1], false, &f->err));
    code = tell(&c, a->shared.json, &f->err);
done:
    collection_close(&c);
    return code;
}

static int drop(const arguments *a, failure *f) {
    collection c;
    kith_collection_info before;
    char text[32];
    int code;
    TRY_DONE(collection_open(&c, a->names[1], false, &f->err));
    TRY_DONE(kith_db_info(c.db, c.name, &before, &f->err));
    TRY_DONE(kith_db_drop(c.db, c.name, &f->err));
    if (a->shared.json) {
        struct json_object *o = json_object_new_object();
        json_add(o, "dropped", json_text(c.name));
        json_add(o, "points", json_object_new_uint64(before.n_points));
        json_print(o, stdout, true);
    } else {
        printf("%s dropped, %s points\n", c.name, print_count(text, (double)before.n_points));
    }
done:
    collection_close(&c);
    return code;
}

static void list_row(table *t, const char *name, const kith_collection_info *info) {
    char texts[3][32];
    const char *cells[] = {name, print_count(texts[0], (double)info->n_points),
                           print_count(texts[1], (double)info->n_fields),
                           print_bytes(texts[2], (double)info->disk_bytes)};
    table_row(t, cells);
}

static int list(const arguments *a, failure *f) {
    static const char *const columns[] = {"collection", ">points", ">fields", ">on disk", NULL};
    kith_db_options existing = KITH_DB_OPTIONS_INIT;
    existing.no_create = true;
    kith_db *db = NULL;
    char *names = NULL;
    table *t = table_new(columns);
    struct json_object *all = json_object_new_array();
    kith_collection_info found;
    int code;
    TRY_DONE(kith_db_open(&db, a->names[1], &existing, &f->err));
    TRY_DONE(kith_db_list(db, &names, &f->err));
    for (const char *name = names; *name; name += strlen(name) + 1) {
        TRY_DONE(kith_db_info(db, name, &found, &f->err));
        list_row(t, name, &found);
        json_object_array_add(all, json_info(name, &found));
    }
    if (a->shared.json)
        json_print(json_object_get(all), stdout, true);
    else
        table_print(t, stdout);
done:
    json_object_put(all);
    table_free(t);
    kith_text_free(names);
    kith_db_close(db);
    return code;
}

static const action actions[] = {{"create", "DIR/NAME", true, create},
                                 {"list", "DIR", false, list},
                                 {"info", "DIR/NAME", true, info},
                                 {"drop", "DIR/NAME", true, drop}};

/* ---- arguments ---------------------------------------------------------------------------------- */

static const action *find_action(const char *name) {
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i].name, name) == 0) return &actions[i];
    return NULL;
}

static void add_field(struct argp_state *state, arguments *a, kith_vector_field field) {
    if (a->n_fields == KITH_MAX_FIELDS)
        argp_error(state, "%u fields are possible, no more", KITH_MAX_FIELDS);
    a->fields[a->n_fields++] = field;
}

/* NAME:DIM:METRIC, of which the name may have colons. */
static void parse_field(struct argp_state *state, arguments *a, char *text) {
    kith_vector_field field = {.name = text};
    kith_error err;
    char *metric = strrchr(text, ':'),
         *dim = metric ? memrchr(text, ':', (size_t)(metric - text)) : NULL;
    if (!dim || dim == text)
        argp_error(state, "--field: \"%s\" is not NAME:DIM:METRIC, such as image:512:cosine", text);
    *metric++ = *dim++ = '\0';
    field.dim = argument_count(state, "--field", dim, 1, KITH_MAX_DIM);
    if (kith_metric_parse(metric, &field.metric, &err)) argp_error(state, "--field: %s", err.text);
    add_field(state, a, field);
}

static void parse_end(struct argp_state *state, arguments *a) {
    if (state->arg_num < 1) argp_error(state, "what to do is missing: create, list, info or drop");
    a->action = find_action(a->names[0]);
    if (!a->action) argp_error(state, "\"%s\" is not create, list, info or drop", a->names[0]);
    if (state->arg_num < 2) argp_error(state, "%s: %s is missing", a->names[0], a->action->wants);
    if (a->action->of_collection) argument_collection(state, a->names[1]);
    bool creates = a->action->run == create;
    if (!creates && (a->dim || a->n_fields || a->shared.metric_given))
        argp_error(state, "--dim, --metric and --field are for create");
    if (creates && !a->dim && a->shared.metric_given)
        argp_error(state, "--metric goes with --dim; a --field has its own");
    if (creates && a->dim)
        add_field(state, a,
                  (kith_vector_field){.name = "", .dim = a->dim, .metric = a->shared.metric});
    if (creates && !a->n_fields)
        argp_error(state, "create: --dim N is missing, or --field NAME:DIM:METRIC");
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case 'd': a->dim = argument_count(state, "--dim", arg, 1, KITH_MAX_DIM); return 0;
    case KEY_FIELD: parse_field(state, a, arg); return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 2);
    case ARGP_KEY_END: parse_end(state, a); return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "create DIR/NAME\nlist DIR\ninfo DIR/NAME\ndrop DIR/NAME",
    .doc = "Make, list, tell about and drop collections: points with ids, vectors and JSON "
           "payloads, in the database whose folder is DIR. create makes DIR as well."};

static int run(int argc, char **argv) {
    arguments a = {0};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    int code = failure_about(&f, a.names[1], a.action->run(&a, &f));
    return failure_exit(&f, code);
}

const command cmd_db = {"db", "make, list, tell about and drop collections", run};
