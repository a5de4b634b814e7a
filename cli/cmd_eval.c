/* kith eval: compare answers with the truth. */
#include "cli.h"

#include <math.h>

#include "print.h"

enum { KEY_GOT_DISTANCES = KEY_OWN, KEY_GT_DISTANCES };

static const struct argp_option options[] = {
    {NULL, 'k', "K", 0, "Compare the first K ids of each row (default: all that both files have)",
     1},
    {"got-distances", KEY_GOT_DISTANCES, "D", 0,
     "Distances of the answers, so that ties count right", 2},
    {"gt-distances", KEY_GT_DISTANCES, "D", 0, "Distances of the truth", 2},
    {"metric", 'm', "METRIC", 0,
     "Tells whether larger distances are nearer (default: the order in the truth tells)", 3},
    OPTION_FROM,
    OPTION_JSON,
    {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[2];
    const char *got_distances, *gt_distances;
    size_t k;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case 'k': a->k = (size_t)argument_count(state, "-k", arg, 1, UINT32_MAX); return 0;
    case KEY_GOT_DISTANCES: a->got_distances = arg; return 0;
    case KEY_GT_DISTANCES: a->gt_distances = arg; return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 2);
    case ARGP_KEY_END:
        if (state->arg_num < 1) argp_error(state, "GOT is missing: the ids that a search returned");
        if (state->arg_num < 2) argp_error(state, "GT is missing: the true ids");
        if (!a->got_distances != !a->gt_distances)
            argp_error(state, "--got-distances and --gt-distances belong together");
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "GOT GT",
    .doc = "Compare the ids in GOT with the true ones in GT, row by row."};

typedef struct inputs {
    id_table got, truth;
    vectors got_dists, truth_dists;
    size_t n, k;
} inputs;

static int read_distances(vectors *out, const char *path, const id_table *ids, failure *f) {
    read_options as = {.dataset = "distances"};
    int code = failure_about(f, path, vectors_read(out, path, &as, &f->err));
    if (code || (out->n == ids->n && out->dim == ids->k)) return code;
    f->subject = path;
    return failure_set(f, KITH_EDIM, "%zu rows of %zu distances for %zu rows of %zu ids", out->n,
                       out->dim, ids->n, ids->k);
}

static int read_inputs(const arguments *a, inputs *in, failure *f) {
    int code;
    TRY_DONE(failure_about(f, a->names[0],
                           id_table_read(&in->got, a->names[0], &a->shared.read, &f->err)));
    TRY_DONE(failure_about(f, a->names[1],
                           id_table_read(&in->truth, a->names[1], &a->shared.read, &f->err)));
    if (a->got_distances) {
        TRY_DONE(read_distances(&in->got_dists, a->got_distances, &in->got, f));
        TRY_DONE(read_distances(&in->truth_dists, a->gt_distances, &in->truth, f));
    }
    in->n = in->got.n < in->truth.n ? in->got.n : in->truth.n;
    if (in->got.n != in->truth.n)
        note("%zu rows of answers, %zu of truth; the first %zu are compared", in->got.n,
             in->truth.n, in->n);
    in->k = a->k ? a->k : in->got.k < in->truth.k ? in->got.k : in->truth.k;
    if (in->k > in->truth.k) {
        f->subject = a->names[1];
        code = failure_set(f, KITH_EK, "k of %zu; a row has %zu true ids", in->k, in->truth.k);
    } else if (in->k > in->got.k) {
        f->subject = a->names[0];
        code = failure_set(f, KITH_EK, "k of %zu; a row has %zu ids", in->k, in->got.k);
    }
done:
    return code;
}

/* Larger is nearer, by --metric or because the true distances fall. */
static int is_similarity(const arguments *a, const inputs *in) {
    if (a->shared.metric_given) return kith_metric_is_similarity(a->shared.metric);
    const vectors *d = &in->truth_dists;
    for (size_t i = 0; i < d->n; i++)
        for (size_t j = 1; j < d->dim; j++)
            if (d->data[i * d->dim + j] != d->data[i * d->dim + j - 1])
                return d->data[i * d->dim + j] < d->data[i * d->dim + j - 1];
    return 0;
}

static void report(const kith_eval *e, const inputs *in, bool json) {
    char texts[2][32];
    bool ties = !isnan(e->recall_ties);
    if (json) {
        struct json_object *o = json_object_new_object();
        json_add(o, "queries", json_object_new_uint64(in->n));
        json_add(o, "k", json_object_new_uint64(in->k));
        json_add(o, "recall", json_number(e->recall, 6));
        json_add(o, "recall_ties", json_number(e->recall_ties, 6));
        json_add(o, "recall_p5", json_number(e->recall_p5, 6));
        json_add(o, "map", json_number(e->map, 6));
        json_add(o, "ndcg", json_number(e->ndcg, 6));
        json_add(o, "mrr", json_number(e->mrr, 6));
        json_print(o, stdout, true);
        return;
    }
    fact_list f = facts_new();
    facts_add(f, "queries", "%s", print_count(texts[0], (double)in->n));
    facts_add(f, "k", "%s", print_count(texts[0], (double)in->k));
    facts_add(f, "recall", "%.4f", e->recall);
    if (ties) facts_add(f, "recall, ties counted", "%.4f", e->recall_ties);
    facts_add(f, "recall of the 5th percentile", "%.4f", e->recall_p5);
    facts_add(f, "MAP", "%.4f", e->map);
    facts_add(f, "nDCG", "%.4f", e->ndcg);
    facts_add(f, "MRR", "%.4f", e->mrr);
    facts_print(f, stdout);
}

static int run(int argc, char **argv) {
    arguments a = {0};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    inputs in = {0};
    kith_eval e;
    int code;
    TRY_DONE(read_inputs(&a, &in, &f));
    TRY_DONE(kith_eval_knn(in.n, in.k, in.got.ids, in.got.k, in.truth.ids, in.truth.k,
                           in.got_dists.data, in.truth_dists.data, is_similarity(&a, &in), &e,
                           &f.err));
    report(&e, &in, a.shared.json);
done:
    vectors_free(&in.got_dists);
    vectors_free(&in.truth_dists);
    id_table_free(&in.got);
    id_table_free(&in.truth);
    return failure_exit(&f, code);
}

const command cmd_eval = {"eval", "compare answers with the truth: recall, MAP, nDCG, MRR", run};
