/* kith add: put vectors into an index that exists. */
#include "cli.h"

#include <stdlib.h>

#include "clock.h"
#include "print.h"
#include "progress.h"

enum { KEY_IDS = KEY_OWN, KEY_REPLACE };

static const struct argp_option options[] = {
    {"ids", KEY_IDS, "IDS", 0, "Take the ids of the rows from file IDS", 1},
    {"replace", KEY_REPLACE, NULL, 0, "Replace the vectors of ids that are present already", 1},
    {"output", 'o', "OUT", 0, "Write the index to OUT (default: over FILE)", 10},
    OPTION_THREADS,
    OPTION_FROM,
    OPTION_JSON,
    {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[2];
    const char *ids, *output;
    bool replace;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case KEY_IDS: a->ids = arg; return 0;
    case KEY_REPLACE: a->replace = true; return 0;
    case 'o': a->output = arg; return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 2);
    case ARGP_KEY_END:
        if (state->arg_num < 1) argp_error(state, "FILE is missing: the index");
        if (state->arg_num < 2) argp_error(state, "VECTORS is missing: what to add");
        if (is_stream(a->names[0]) && is_stream(a->names[1]))
            argp_error(state, "FILE and VECTORS cannot both be standard input");
        if (!a->output) a->output = a->names[0];
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "FILE VECTORS",
    .doc = "Add the vectors of VECTORS to the index FILE. Without ids they get "
           "the next numbers after the highest id ever used."};

/* Rows whose id is present are moved to the front of the new order; *n_present counts them. */
typedef struct split {
    float *rows;
    int64_t *ids;
    size_t n_present;
} split;

static int split_present(const kith_index *index, const vectors *v, const int64_t *ids, split *out,
                         kith_error *err) {
    out->rows = malloc(v->n * v->dim * sizeof *out->rows);
    out->ids = malloc(v->n * sizeof *out->ids);
    if (!out->rows || !out->ids)
        return format_fail(err, KITH_ENOMEM, -1, "no memory for %zu rows", v->n);
    size_t place = 0;
    for (int present = 1; present >= 0; present--) {
        for (size_t i = 0; i < v->n; i++) {
            if ((kith_index_contains(index, ids[i]) != 0) != (present == 1)) continue;
            out->ids[place] = ids[i];
            for (size_t j = 0; j < v->dim; j++)
                out->rows[place * v->dim + j] = v->data[i * v->dim + j];
            place++;
        }
        if (present) out->n_present = place;
    }
    return KITH_OK;
}

static int add_rows(kith_index *index, const vectors *v, const int64_t *ids, const arguments *a,
                    size_t *n_replaced, kith_error *err) {
    progress bar;
    progress_start(&bar, "add", "rows");
    kith_work work = KITH_WORK_INIT;
    work.threads = a->shared.threads;
    work.progress = progress_update;
    work.context = &bar;
    split parts = {0};
    int code;
    if (!a->replace || !ids) {
        code = kith_index_add(index, v->n, v->data, ids, &work, err);
    } else {
        code = split_present(index, v, ids, &parts, err);
        size_t n = parts.n_present;
        if (!code && n) code = kith_index_update(index, n, parts.rows, parts.ids, &work, err);
        if (!code && n < v->n)
            code =
                kith_index_add(index, v->n - n, parts.rows + n * v->dim, parts.ids + n, &work, err);
        *n_replaced = n;
    }
    progress_finish(&bar);
    free(parts.rows);
    free(parts.ids);
    return code;
}

static void report(FILE *file, bool json, size_t n_added, size_t n_replaced, uint64_t rows) {
    char texts[3][32];
    if (json) {
        struct json_object *o = json_object_new_object();
        json_add(o, "added", json_object_new_uint64(n_added));
        json_add(o, "replaced", json_object_new_uint64(n_replaced));
        json_add(o, "rows", json_object_new_uint64(rows));
        json_print(o, file, true);
    } else if (n_replaced) {
        fprintf(file, "%s added, %s replaced, %s rows now\n",
                print_count(texts[0], (double)n_added), print_count(texts[1], (double)n_replaced),
                print_count(texts[2], (double)rows));
    } else {
        fprintf(file, "%s added, %s rows now\n", print_count(texts[0], (double)n_added),
                print_count(texts[2], (double)rows));
    }
}

static int run(int argc, char **argv) {
    arguments a = {0};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    vectors v = {0};
    id_table list = {0};
    kith_index *index = NULL;
    int code;
    TRY_DONE(
        failure_about(&f, a.names[0], index_file_open(&index, a.names[0], KITH_OPEN_READ, &f.err)));
    TRY_DONE(failure_about(&f, a.names[1], vectors_read(&v, a.names[1], &a.shared.read, &f.err)));
    TRY_DONE(
        failure_about(&f, a.names[1], check_dim(&v, kith_index_dim(index), "the index", &f.err)));
    const int64_t *ids = v.ids;
    if (a.ids) {
        TRY_DONE(failure_about(&f, a.ids, id_list_read(&list, a.ids, NULL, &f.err)));
        if (list.n != v.n) {
            f.subject = a.ids;
            code = failure_set(&f, KITH_EINVAL, "%zu ids for %zu rows", list.n, v.n);
            goto done;
        }
        ids = list.ids;
    }
    size_t n_replaced = 0;
    TRY_DONE(failure_about(&f, a.names[1], add_rows(index, &v, ids, &a, &n_replaced, &f.err)));
    TRY_DONE(failure_writing(&f, a.output, index_file_save(index, a.output, &f.err)));
    report(is_stream(a.output) ? stderr : stdout, a.shared.json, v.n - n_replaced, n_replaced,
           kith_index_rows(index));
done:
    kith_index_free(index);
    id_table_free(&list);
    vectors_free(&v);
    return failure_exit(&f, code);
}

const command cmd_add = {"add", "put vectors into an index", run};
