/* kith import: put points into a collection, from JSON lines, or from a file of vectors and one of payloads.
 *
 *     {"id": 7, "vector": [0.1, 0.2], "payload": {"topic": "cats"}}       points, a line each
 *     {"id": "a", "vector": {"image": [0.1, 0.2], "text": [1, 2, 3]}}
 *
 * 1. Points are written in batches of BATCH, each durable when it is written, all of it or nothing.
 * 2. A line that is bad ends the import; nothing of its batch is written, what was written before stays. */
#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "print.h"
#include "progress.h"

#define BATCH ((size_t)1000)

enum { KEY_PAYLOADS = KEY_OWN, KEY_FIELD };

static const struct argp_option options[] = {
    {"payloads", KEY_PAYLOADS, "LINES", 0,
     "With a file of vectors: their payloads, a JSON object a line, whose \"id\" is the point's",
     1},
    {"field", KEY_FIELD, "F", 0,
     "With a file of vectors: the field they are for (default: the unnamed)", 1},
    OPTION_FROM,
    OPTION_JSON,
    {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[2]; /* collection, file */
    const char *payloads, *field;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case KEY_PAYLOADS: a->payloads = arg; return 0;
    case KEY_FIELD: a->field = arg; return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 2);
    case ARGP_KEY_END:
        if (state->arg_num < 1) argp_error(state, "DIR/NAME is missing: the collection");
        if (state->arg_num < 2) argp_error(state, "FILE is missing: the points");
        argument_collection(state, a->names[0]);
        if (a->payloads && is_stream(a->names[1]) && is_stream(a->payloads))
            argp_error(state, "FILE and --payloads cannot both be standard input");
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "DIR/NAME FILE",
    .doc =
        "Put points into a collection, in place of those that have their ids: from FILE.jsonl, a "
        "line {\"id\": 7, \"vector\": [...], \"payload\": {...}} each, or from a file of vectors. "
        "Standard input is JSON lines unless --from says otherwise."};

/* ---- a batch ------------------------------------------------------------------------------------ */

typedef struct batch {
    collection to;
    kith_collection_info info;
    const char *unit; /* "line", "row" */
    size_t n;
    uint64_t first, last; /* of those lines or rows */
    uint64_t written;     /* points */
    kith_point points[BATCH];
    struct json_object *held[BATCH]; /* what a point's payload is of, */
    struct json_object *ids[BATCH];  /* and its id, where that is not the same */
    kith_vector *vectors[BATCH];     /* and their values behind them */
} batch;

static void batch_clear(batch *b) {
    for (size_t i = 0; i < b->n; i++) {
        json_object_put(b->held[i]);
        json_object_put(b->ids[i]);
        free(b->vectors[i]);
    }
    b->n = 0;
}

/* Take the next point, which begins at that line or row, and own what it is made of. */
static kith_point *batch_take(batch *b, uint64_t number, struct json_object *held) {
    if (b->n == 0) b->first = number;
    b->last = number;
    b->held[b->n] = held;
    b->ids[b->n] = NULL;
    b->vectors[b->n] = NULL;
    b->points[b->n] = (kith_point){0};
    return &b->points[b->n++];
}

static int batch_write(batch *b, failure *f) {
    kith_op op = {.kind = KITH_OP_UPSERT, .n_points = b->n, .points = b->points};
    kith_error why;
    if (b->n == 0) return KITH_OK;
    int code = kith_db_write(b->to.db, b->to.name, 1, &op, NULL, &why);
    if (code)
        return failure_set(f, code, "%ss %" PRIu64 " to %" PRIu64 ": %.180s", b->unit, b->first,
                           b->last, why.text);
    b->written += b->n;
    batch_clear(b);
    return KITH_OK;
}

/* ---- points of JSON lines ----------------------------------------------------------------------- */

static int find_field(const batch *b, const char *name, uint32_t *out, kith_error *err) {
    for (uint32_t i = 0; i < b->info.n_fields; i++) {
        *out = i;
        if (strcmp(b->info.fields[i].name, name) == 0) return KITH_OK;
    }
    if (!*name)
        return format_fail(err, KITH_ENOTFOUND, -1, "the collection has no field without a name");
    return format_fail(err, KITH_ENOTFOUND, -1, "the collection has no field \"%.100s\"", name);
}

static int read_values(float *out, size_t dim, struct json_object *array, kith_error *err) {
    if (!json_object_is_type(array, json_type_array))
        return format_fail(err, KITH_ESYNTAX, -1, "a vector is no array of numbers");
    size_t n = json_object_array_length(array);
    if (n != dim)
        return format_fail(err, KITH_EDIM, -1, "%zu values, the field has %zu dimensions", n, dim);
    for (size_t i = 0; i < n; i++) {
        struct json_object *item = json_object_array_get_idx(array, i);
        bool number =
            json_object_is_type(item, json_type_double) || json_object_is_type(item, json_type_int);
        if (!number)
            return format_fail(err, KITH_ESYNTAX, -1, "value %zu: %.40s is not a number", i + 1,
                               json_object_to_json_string(item));
        out[i] = (float)json_object_get_double(item);
        if (!isfinite(out[i]))
            return format_fail(err, KITH_ENONFINITE, -1,
                               "value %zu: %.40s is not finite in float32", i + 1,
                               json_object_to_json_string(item));
    }
    return KITH_OK;
}

/* One vector of a point; its values go to *room, which moves on. */
static int read_vector(const batch *b, kith_vector *out, const char *name,
                       struct json_object *array, float **room, kith_error *err) {
    uint32_t field = 0;
    int code = find_field(b, name, &field, err);
    if (code) return code;
    size_t dim = b->info.fields[field].dim;
    *out = (kith_vector){b->info.fields[field].name, *room, dim};
    *room += dim;
    return read_values((float *)(uintptr_t)out->values, dim, array, err);
}

static int read_vectors(batch *b, kith_point *point, struct json_object *value, kith_error *err) {
    size_t n_values = 0;
    for (uint32_t i = 0; i < b->info.n_fields; i++) n_values += b->info.fields[i].dim;
    kith_vector *all = malloc(b->info.n_fields * sizeof *all + n_values * sizeof(float));
    if (!all) return format_fail(err, KITH_ENOMEM, -1, "no memory for vectors");
    b->vectors[b->n - 1] = all;
    point->vectors = all;
    float *room = (float *)(all + b->info.n_fields);
    if (!json_object_is_type(value, json_type_object))
        return read_vector(b, &all[point->n_vectors++], "", value, &room, err);
    /* Names are unique in an object, and only fields pass, so there is room for all. */
    json_object_object_foreach(value, name, array) {
        int code = read_vector(b, &all[point->n_vectors++], name, array, &room, err);
        if (code) return code;
    }
    return KITH_OK;
}

static int read_payload(kith_point *point, struct json_object *value, kith_error *err) {
    if (!json_object_is_type(value, json_type_object))
        return format_fail(err, KITH_ESYNTAX, -1, "the payload is no object");
    point->payload = json_object_to_json_string_length(
        value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &point->payload_bytes);
    return point->payload ? KITH_OK : format_fail(err, KITH_ENOMEM, -1, "no memory for a payload");
}

static int read_point(batch *b, kith_point *point, struct json_object *item, kith_error *err) {
    struct json_object *id;
    if (!json_object_is_type(item, json_type_object))
        return format_fail(err, KITH_ESYNTAX, -1, "is no object");
    if (!json_object_object_get_ex(item, "id", &id))
        return format_fail(err, KITH_ESYNTAX, -1, "has no \"id\"");
    int code = id_of_json(&point->id, id, err);
    json_object_object_foreach(item, name, value) {
        if (code) return code;
        if (strcmp(name, "vector") == 0)
            code = read_vectors(b, point, value, err);
        else if (strcmp(name, "payload") == 0)
            code = read_payload(point, value, err);
        else if (strcmp(name, "id") != 0)
            code =
                format_fail(err, KITH_ESYNTAX, -1, "\"%.60s\" is not id, vector or payload", name);
    }
    return code;
}

/* Say of which line an error is. */
static int at_line(failure *f, int64_t line, int code, const kith_error *why) {
    return code ? failure_set(f, code, "line %lld: %.200s", (long long)line, why->text) : KITH_OK;
}

static int import_lines(batch *b, json_lines *lines, progress *bar, failure *f) {
    int code = json_lines_open(lines, lines->path, &f->err);
    b->unit = "line";
    while (!code) {
        struct json_object *item;
        kith_error why;
        code = json_lines_next(lines, &item, &f->err);
        if (code || !item) break;
        kith_point *point = batch_take(b, (uint64_t)lines->number, item);
        code = at_line(f, lines->number, read_point(b, point, item, &why), &why);
        if (!code && b->n == BATCH) code = batch_write(b, f);
        progress_update(bar, json_lines_done(lines), lines->n_bytes);
    }
    return code ? code : batch_write(b, f);
}

/* ---- points of vectors -------------------------------------------------------------------------- */

static int id_of_row(kith_id *out, const vectors *v, size_t row, failure *f) {
    kith_error why;
    *out = kith_id_number(v->ids ? (uint64_t)v->ids[row] : row);
    if (!v->words) return KITH_OK;
    int code = kith_id_from_text(out, v->words[row], strlen(v->words[row]), &why);
    return code ? failure_set(f, code, "row %zu: %.200s", row, why.text) : KITH_OK;
}

/* The payload of a row is the next line, without its id, which is the point's. */
static int next_payload(batch *b, kith_point *point, json_lines *lines, size_t row, failure *f) {
    struct json_object *item, *id = NULL;
    kith_error why;
    int code = json_lines_next(lines, &item, &f->err);
    if (code) return code;
    if (!item) return failure_set(f, KITH_EINVAL, "ends before the payload of row %zu", row);
    b->held[b->n - 1] = item;
    if (!json_object_is_type(item, json_type_object))
        return failure_set(f, KITH_ESYNTAX, "line %lld: is no object", (long long)lines->number);
    if (json_object_object_get_ex(item, "id", &id)) code = id_of_json(&point->id, id, &why);
    b->ids[b->n - 1] = json_object_get(id);
    json_object_object_del(item, "id");
    if (!code) code = read_payload(point, item, &why);
    return at_line(f, lines->number, code, &why);
}

static int end_payloads(json_lines *lines, size_t n_rows, failure *f) {
    struct json_object *item;
    int code = json_lines_next(lines, &item, &f->err);
    if (code || !item) return code;
    json_object_put(item);
    return failure_set(f, KITH_EINVAL, "line %lld: there are %zu rows", (long long)lines->number,
                       n_rows);
}

static int take_row(batch *b, const vectors *v, size_t row, const char *field, failure *f) {
    kith_point *point = batch_take(b, row, NULL);
    kith_vector *vector = malloc(sizeof *vector);
    if (!vector) return failure_set(f, KITH_ENOMEM, "no memory for a batch");
    *vector = (kith_vector){field, v->data + row * v->dim, v->dim};
    b->vectors[b->n - 1] = vector;
    point->n_vectors = 1;
    point->vectors = vector;
    return id_of_row(&point->id, v, row, f);
}

static int import_rows(batch *b, const vectors *v, const char *field, json_lines *payloads,
                       progress *bar, failure *f) {
    int code = KITH_OK;
    b->unit = "row";
    for (size_t row = 0; row < v->n && !code; row++) {
        bool last = row + 1 == v->n;
        code = take_row(b, v, row, field, f);
        if (!code && payloads->path) {
            code = next_payload(b, &b->points[b->n - 1], payloads, row, f);
            if (!code && last) code = end_payloads(payloads, v->n, f);
            failure_about(f, payloads->path, code);
        }
        if (!code && (last || b->n == BATCH)) code = batch_write(b, f);
        progress_update(bar, row + 1, v->n);
    }
    return code;
}

static int import_vectors(batch *b, const arguments *a, progress *bar, failure *f) {
    vectors v = {0};
    json_lines payloads = {0};
    const char *field = a->field ? a->field : "";
    char what[KITH_MAX_NAME + 16];
    uint32_t number = 0;
    int code;
    TRY_DONE(failure_about(f, a->names[0], find_field(b, field, &number, &f->err)));
    TRY_DONE(vectors_read(&v, a->names[1], &a->shared.read, &f->err));
    snprintf(what, sizeof what, "field \"%s\"", field);
    TRY_DONE(check_dim(&v, b->info.fields[number].dim, what, &f->err));
    if (a->payloads)
        TRY_DONE(failure_about(f, a->payloads, json_lines_open(&payloads, a->payloads, &f->err)));
    code = import_rows(b, &v, field, &payloads, bar, f);
done:
    json_lines_close(&payloads);
    batch_clear(b); /* before what it borrows */
    vectors_free(&v);
    return code;
}

/* ---- the command -------------------------------------------------------------------------------- */

/* JSON lines: by --from, or else by the name; a stream has none. */
static bool is_lines(const arguments *a) {
    format named = format_of_path(a->names[1]);
    if (a->shared.read.format) return a->shared.read.format == FORMAT_JSONL;
    return is_stream(a->names[1]) || named == FORMAT_JSONL;
}

static int import(batch *b, const arguments *a, failure *f) {
    json_lines lines = {.path = a->names[1]};
    bool points = is_lines(a);
    progress bar;
    int code;
    if (points && (a->payloads || a->field))
        return failure_set(f, KITH_EINVAL,
                           "is JSON lines, which have payloads and fields of their "
                           "own; --payloads and --field go with a file of vectors");
    progress_start(&bar, "import", points ? "bytes" : "rows");
    code = points ? import_lines(b, &lines, &bar, f) : import_vectors(b, a, &bar, f);
    progress_finish(&bar);
    json_lines_close(&lines);
    batch_clear(b);
    return code;
}

static void report(const batch *b, uint64_t n_points, bool json) {
    char texts[2][32];
    if (json) {
        struct json_object *o = json_object_new_object();
        json_add(o, "imported", json_object_new_uint64(b->written));
        json_add(o, "points", json_object_new_uint64(n_points));
        json_print(o, stdout, true);
    } else {
        printf("%s imported, %s points now\n", print_count(texts[0], (double)b->written),
               print_count(texts[1], (double)n_points));
    }
}

static int run(int argc, char **argv) {
    arguments a = {0};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    batch *b = calloc(1, sizeof *b);
    int code;
    if (!b) return failure_exit(&f, KITH_ENOMEM);
    TRY_DONE(failure_about(&f, a.names[0], collection_open(&b->to, a.names[0], false, &f.err)));
    TRY_DONE(failure_about(&f, a.names[0], kith_db_info(b->to.db, b->to.name, &b->info, &f.err)));
    code = import(b, &a, &f);
    if (code && !f.subject) failure_about(&f, a.names[1], code);
    if (code) goto done;
    TRY_DONE(failure_about(&f, a.names[0], kith_db_info(b->to.db, b->to.name, &b->info, &f.err)));
    report(b, b->info.n_points, a.shared.json);
done:
    collection_close(&b->to);
    failure_exit(&f, code);
    if (code && b->written) note("%" PRIu64 " points before were imported", b->written);
    free(b);
    return code ? EXIT_FAILED : EXIT_OK;
}

const command cmd_import = {"import", "put points into a collection", run};
