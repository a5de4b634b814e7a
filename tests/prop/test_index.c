/* Any sequence of operations leaves an index that answers as the model does.
 *
 * Each trial draws a few hundred random operations from a seed and makes them on an index and on the model:
 * adds with and without ids, adds that must fail whole, removals, updates, searches of every kind, range
 * searches, saving and opening (by reading: the index that is gone on with; by mapping: searched, and found
 * to be read-only), check, repair. After each the two are compared.
 *   Exact searches, and all searches of a flat index, must give the model's ids in the model's order. Where
 *   the index keeps a coarser code than was given, the model searches what the index says it stores.
 *   A graph, or inverted lists, must give ids that are there, once each, that pass, in order, with their right distances, as
 *   many as there are, and 95 in a hundred of the model's over a trial.
 * A failure names the trial and the step; a trial is as many operations long as the argument says. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "model.h"

enum { BITS = 1 << 16 };
enum data { SMOOTH, WHOLE, TURNING, CLUMPED }; /* TURNING: whole numbers until they no longer are */

struct trial {
    const char *spec;
    kith_metric metric;
    size_t dim;
    enum data data;
    bool lossy; /* stores less than it was given */
};

static const struct trial trials[] = {
    {"Flat", KITH_METRIC_L2, 7, SMOOTH, false},
    {"Flat", KITH_METRIC_COSINE, 20, SMOOTH, false},
    {"Flat", KITH_METRIC_IP, 33, CLUMPED, false},
    {"Flat", KITH_METRIC_L1, 5, TURNING, false},
    {"Flat", KITH_METRIC_EUCLID, 18, TURNING, false},
    {"Flat", KITH_METRIC_COSINE, 16, WHOLE, false},
    {"Flat,SQ8", KITH_METRIC_L2, 24, SMOOTH, false},
    {"Flat,SQ8", KITH_METRIC_COSINE, 40, CLUMPED, false},
    {"Flat,SQ8", KITH_METRIC_IP, 12, TURNING, false},
    {"Flat,SQ8", KITH_METRIC_L1, 12, SMOOTH, false},
    {"SQ8", KITH_METRIC_L2, 16, SMOOTH, true},
    {"SQfp16", KITH_METRIC_EUCLID, 9, SMOOTH, true},
    {"SQbf16", KITH_METRIC_IP, 9, SMOOTH, true},
    {"HNSW8", KITH_METRIC_L2, 12, SMOOTH, false},
    {"HNSW8", KITH_METRIC_COSINE, 10, CLUMPED, false},
    {"HNSW16", KITH_METRIC_L1, 8, TURNING, false},
    {"HNSW16,SQ8,Refine", KITH_METRIC_L2, 16, SMOOTH, false},
    {"HNSW8,SQ8,Refine", KITH_METRIC_COSINE, 16, TURNING, false},
    {"HNSW12,SQfp16,Refine", KITH_METRIC_IP, 16, SMOOTH, false},
    {"HNSW16,SQ8", KITH_METRIC_EUCLID, 12, WHOLE, false},
    {"HNSW16,SQfp16", KITH_METRIC_L2, 12, SMOOTH, true},
    {"Auto", KITH_METRIC_L2, 6, SMOOTH, false},
    {"IVF4,Flat", KITH_METRIC_L2, 10, SMOOTH, false},
    {"IVF8,Flat", KITH_METRIC_COSINE, 10, CLUMPED, false},
    {"IVF4,Flat", KITH_METRIC_L1, 8, TURNING, false},
    {"IVF8_HNSW4,Flat", KITH_METRIC_EUCLID, 12, TURNING, false},
    {"IVF4,SQfp16", KITH_METRIC_IP, 9, SMOOTH, true},
    {"IVF4,SQ8", KITH_METRIC_COSINE, 16, WHOLE, false},
    {"IVF8,SQ8,Refine", KITH_METRIC_L2, 16, SMOOTH, false},
    {"IVF8,SQ8,Refine", KITH_METRIC_COSINE, 16, TURNING, false},
    {"IVF8,SQ4,Refine", KITH_METRIC_L2, 16, SMOOTH, false},
    {"IVF4,RaBitQ4,Refine", KITH_METRIC_IP, 20, SMOOTH, false},
    {"RaBitQ,Refine", KITH_METRIC_L2, 24, SMOOTH, false},
    {"SQ4,Refine(Flat)", KITH_METRIC_L1, 8, SMOOTH, false},
    {"IVF4,SQ4,Refine(SQ8)", KITH_METRIC_L2, 12, SMOOTH, true},
    {"Pad16,Flat", KITH_METRIC_L2, 10, TURNING, false},
    {"Pad12,Flat", KITH_METRIC_L1, 8, WHOLE, false},
    {"Pad20,Flat,SQ8", KITH_METRIC_COSINE, 20, CLUMPED, false},
    {"PCA10,Flat,Refine", KITH_METRIC_L2, 12, SMOOTH, false},
    {"HR,HNSW8,Refine(SQfp16)", KITH_METRIC_COSINE, 12, SMOOTH, true},
    {"OPQ4,IVF4,PQ4x4fs,Refine", KITH_METRIC_EUCLID, 16, CLUMPED, false},
    {"RR,SQ8,Refine", KITH_METRIC_IP, 16, SMOOTH, false},
    {"PCAR12,L2norm,HNSW12,Refine", KITH_METRIC_COSINE, 16, TURNING, false},
    {"Pad16,HNSW8", KITH_METRIC_L1, 9, SMOOTH, false},
    {"PCAW14,IVF4,Flat,Refine", KITH_METRIC_L2, 16, SMOOTH, false},
};

struct run {
    const struct trial *trial;
    struct model model;
    kith_index *index;
    uint64_t state;
    int number, step;
    bool graph, turned; /* graph: or lists, what need not find all */
    char path[64];
    double found, wanted;
    int n_compared;
};

static uint64_t draw(struct run *run) {
    uint64_t x = run->state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static size_t below(struct run *run, size_t n) { return (size_t)(draw(run) % n); }
static float uniform(struct run *run) { return (float)(draw(run) >> 40) * 0x1p-24f; }

#define EXPECT(run, what)                                                                     \
    do {                                                                                      \
        if (!(what))                                                                          \
            fail_msg("trial %d (%s, %s), step %d: not %s", (run)->number, (run)->trial->spec, \
                     kith_metric_name((run)->trial->metric), (run)->step, #what);             \
    } while (0)
#define EXPECT_CODE(run, got, want)                                                           \
    do {                                                                                      \
        int expect_got = (got);                                                               \
        if (expect_got != (want))                                                             \
            fail_msg("trial %d (%s, %s), step %d: %s gave %s, not %s: %s", (run)->number,     \
                     (run)->trial->spec, kith_metric_name((run)->trial->metric), (run)->step, \
                     #got, kith_code_name(expect_got), kith_code_name(want), err.text);       \
    } while (0)

static void draw_row(struct run *run, float *row) {
    enum data data = run->trial->data;
    bool whole = data == WHOLE || (data == TURNING && !run->turned);
    for (size_t i = 0; i < run->trial->dim; i++) {
        float x = uniform(run) - 0.5f;
        if (data == CLUMPED) x = x * 0.1f + (float)((draw(run) >> 60) == 0) * 3;
        row[i] = whole ? floorf(uniform(run) * 256) : x;
    }
    if (below(run, 30) == 0 && run->model.n) /* twins */
        memcpy(row, run->model.rows, run->trial->dim * sizeof(float));
}

/* What the index really keeps of a row becomes the model's. */
static void settle(struct run *run, int64_t id) {
    size_t at = model_find(&run->model, id), dim = run->trial->dim;
    float kept[64];
    kith_error err = {0};
    EXPECT_CODE(run, kith_index_reconstruct(run->index, id, kept, &err), KITH_OK);
    for (size_t i = 0; i < dim; i++) {
        float given = run->model.rows[at * dim + i];
        EXPECT(run, run->trial->lossy ? fabsf(kept[i] - given) < 0.05f * (1 + fabsf(given))
                                      : kept[i] == given);
    }
}

/* A lossy index may code its rows anew when its ranges grow: the model takes what is kept now. */
static void resettle(struct run *run) {
    if (!run->trial->lossy) return;
    for (size_t i = 0; i < run->model.n; i++)
        EXPECT(run, kith_index_reconstruct(run->index, run->model.ids[i],
                                           run->model.rows + i * run->trial->dim, NULL) == KITH_OK);
}

static void do_add(struct run *run) {
    size_t n = 1 + below(run, below(run, 8) == 0 ? 200 : 9), dim = run->trial->dim;
    float *rows = malloc(n * dim * sizeof(float));
    int64_t *ids = malloc(n * sizeof(int64_t));
    kith_error err = {0};
    bool named = below(run, 2);
    for (size_t i = 0; i < n; i++) {
        draw_row(run, rows + i * dim);
        ids[i] = run->model.next_id + (int64_t)(named ? 2 * i + 1 : i);
    }
    EXPECT_CODE(run, kith_index_add(run->index, n, rows, named ? ids : NULL, NULL, &err), KITH_OK);
    for (size_t i = 0; i < n; i++) model_put(&run->model, ids[i], rows + i * dim);
    settle(run, ids[0]);
    settle(run, ids[n - 1]);
    free(rows);
    free(ids);
}

/* A bad row, id or length in the middle of good ones: nothing is added. */
static void do_bad_add(struct run *run) {
    enum { N = 4 };
    float rows[N * 64];
    int64_t ids[N], next = run->model.next_id + 1000;
    kith_error err = {0};
    for (size_t i = 0; i < N; i++) {
        draw_row(run, rows + i * run->trial->dim);
        ids[i] = next + (int64_t)i;
    }
    int want = KITH_EDUPLICATE;
    switch (below(run, 4)) {
    case 0: ids[3] = ids[1]; break;
    case 1: ids[2] = -5, want = KITH_EINVAL; break;
    case 2: rows[2 * run->trial->dim] = NAN, want = KITH_ENONFINITE; break;
    default:
        if (run->model.n == 0) return;
        ids[2] = run->model.ids[below(run, run->model.n)];
    }
    EXPECT_CODE(run, kith_index_add(run->index, N, rows, ids, NULL, &err), want);
    EXPECT(run, !kith_index_contains(run->index, ids[0]));
}

static void do_remove(struct run *run) {
    if (run->model.n < 20) return;
    size_t n = 1 + below(run, run->model.n / 4 < 40 ? run->model.n / 4 : 40);
    int64_t ids[41];
    kith_error err = {0};
    size_t from = below(run, run->model.n);
    for (size_t i = 0; i < n; i++) ids[i] = run->model.ids[(from + i) % run->model.n];
    ids[n] = run->model.next_id + 7;
    EXPECT_CODE(run, kith_index_remove(run->index, n + 1, ids, &err), KITH_ENOTFOUND);
    ids[n] = ids[0];
    EXPECT_CODE(run, kith_index_remove(run->index, n + 1, ids, &err), KITH_EDUPLICATE);
    EXPECT(run, kith_index_contains(run->index, ids[0]));
    EXPECT_CODE(run, kith_index_remove(run->index, n, ids, &err), KITH_OK);
    for (size_t i = 0; i < n; i++) {
        model_drop(&run->model, ids[i]);
        EXPECT(run, !kith_index_contains(run->index, ids[i]));
    }
}

static void do_update(struct run *run) {
    if (run->model.n == 0) return;
    size_t n = 1 + below(run, run->model.n < 9 ? run->model.n : 9), dim = run->trial->dim;
    size_t from = below(run, run->model.n);
    int64_t ids[9];
    float rows[9 * 64];
    kith_error err = {0};
    for (size_t i = 0; i < n; i++) {
        ids[i] = run->model.ids[(from + i) % run->model.n];
        draw_row(run, rows + i * dim);
    }
    EXPECT_CODE(run, kith_index_update(run->index, n, rows, ids, NULL, &err), KITH_OK);
    for (size_t i = 0; i < n; i++) model_put(&run->model, ids[i], rows + i * dim);
    settle(run, ids[0]);
}

static int odd(void *context, int64_t id) {
    (void)context;
    return (int)(id % 2);
}

static void draw_filter(struct run *run, kith_filter *filter, uint64_t *bits) {
    size_t kind = below(run, 4), one_in = 1 + below(run, 12);
    if (kind == 0) filter->pass = odd;
    if (kind != 1) return;
    size_t n_bits = (size_t)run->model.next_id - below(run, (size_t)run->model.next_id / 2 + 1);
    if (n_bits > BITS) n_bits = BITS;
    memset(bits, 0, BITS / 8);
    for (size_t i = 0; i < n_bits; i++)
        if (below(run, one_in) == 0) bits[i / 64] |= (uint64_t)1 << (i % 64);
    filter->bits = bits;
    filter->n_bits = n_bits;
}

/* The answer of a graph that need not be the model's, but must be sound. */
static void compare_near(struct run *run, const float *query, const kith_filter *filter, size_t k,
                         const int64_t *ids, const float *dists, const struct model_hit *hits,
                         size_t n_hits) {
    size_t want = n_hits < k ? n_hits : k, found = 0;
    for (size_t i = 0; i < k; i++) {
        EXPECT(run, (ids[i] == KITH_NO_ID) == (i >= want));
        if (i >= want) continue;
        size_t at = model_find(&run->model, ids[i]);
        EXPECT(run, at < run->model.n && model_passes(filter, ids[i]));
        const float *row = run->model.rows + at * run->trial->dim;
        EXPECT(run, dists[i] == model_dist(&run->model, query, row));
        for (size_t j = 0; j < i; j++) EXPECT(run, ids[j] != ids[i]);
        found += model_key(&run->model, query, row) <= hits[want - 1].key;
    }
    run->found += (double)found;
    run->wanted += (double)want;
}

static void compare_exact(struct run *run, size_t k, const int64_t *ids, const float *dists,
                          const struct model_hit *hits, size_t n_hits) {
    for (size_t i = 0; i < k; i++) {
        if (i >= n_hits) {
            EXPECT(run, ids[i] == KITH_NO_ID && isinf(dists[i]));
            EXPECT(run, (dists[i] > 0) != kith_metric_is_similarity(run->trial->metric));
            continue;
        }
        EXPECT(run, dists[i] == hits[i].dist);
        EXPECT(run, ids[i] == hits[i].id);
    }
    run->n_compared++;
}

static void do_search(struct run *run) {
    if (run->model.n == 0) return;
    size_t dim = run->trial->dim, n = below(run, 4) == 0 ? 1 + below(run, 30) : 1;
    size_t k = 1 + below(run, run->model.n < 30 ? run->model.n : 30);
    float *queries = malloc(n * dim * sizeof(float)), *dists = malloc(n * k * sizeof(float));
    int64_t *ids = malloc(n * k * sizeof(int64_t));
    struct model_hit *hits = malloc(run->model.n * sizeof *hits);
    uint64_t bits[BITS / 64];
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_error err = {0};
    params.k = (uint32_t)k;
    params.ef = 150;
    params.nprobe = 7;
    params.exact = run->graph && below(run, 4) == 0;
    params.threads = (uint32_t)(1 + below(run, 2));
    draw_filter(run, &params.filter, bits);
    for (size_t i = 0; i < n; i++) draw_row(run, queries + i * dim);
    resettle(run);
    EXPECT_CODE(run, kith_index_search(run->index, n, queries, &params, ids, dists, &err), KITH_OK);
    for (size_t i = 0; i < n; i++) {
        size_t n_hits = model_search(&run->model, queries + i * dim, &params.filter, hits);
        if (run->graph && !params.exact)
            compare_near(run, queries + i * dim, &params.filter, k, ids + i * k, dists + i * k,
                         hits, n_hits);
        else
            compare_exact(run, k, ids + i * k, dists + i * k, hits, n_hits);
    }
    free(queries);
    free(dists);
    free(ids);
    free(hits);
}

static void do_range(struct run *run) {
    if (run->model.n == 0) return;
    float query[64];
    struct model_hit *hits = malloc(run->model.n * sizeof *hits);
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_range_result *result = NULL;
    uint64_t bits[BITS / 64];
    kith_error err = {0};
    draw_row(run, query);
    draw_filter(run, &params.filter, bits);
    resettle(run);
    size_t n_hits = model_search(&run->model, query, &params.filter, hits), within = 0;
    float radius = n_hits ? hits[below(run, n_hits)].dist : 0;
    bool similar = kith_metric_is_similarity(run->trial->metric);
    while (within < n_hits && (similar ? hits[within].dist >= radius : hits[within].dist <= radius))
        within++;
    EXPECT_CODE(run, kith_index_range_search(run->index, 1, query, radius, &params, &result, &err),
                KITH_OK);
    EXPECT(run, result->n == 1 && result->start[0] == 0 && result->start[1] == within);
    for (size_t i = 0; i < within; i++)
        EXPECT(run, result->ids[i] == hits[i].id && result->dists[i] == hits[i].dist);
    kith_range_result_free(result);
    free(hits);
}

static void do_save_and_open(struct run *run) {
    kith_index *opened = NULL;
    kith_error err = {0};
    EXPECT_CODE(run, kith_index_save(run->index, run->path, &err), KITH_OK);
    EXPECT_CODE(run, kith_index_open(&opened, run->path, KITH_OPEN_MAP, &err), KITH_OK);
    kith_index *own = run->index;
    run->index = opened;
    EXPECT_CODE(run, kith_index_check(opened, &err), KITH_OK);
    do_search(run);
    do_range(run);
    if (run->model.n)
        EXPECT_CODE(run, kith_index_remove(opened, 1, run->model.ids, &err), KITH_EREADONLY);
    kith_index_free(opened);
    kith_index_free(own);
    EXPECT_CODE(run, kith_index_open(&run->index, run->path, KITH_OPEN_READ, &err), KITH_OK);
}

static void do_check(struct run *run) {
    kith_error err = {0};
    uint64_t mended = 0;
    kith_index_stats stats;
    EXPECT_CODE(run, kith_index_check(run->index, &err), KITH_OK);
    if (below(run, 3) == 0) {
        EXPECT_CODE(run, kith_index_repair(run->index, &mended, &err), KITH_OK);
        EXPECT(run, mended == 0);
    }
    kith_index_stats_get(run->index, &stats);
    EXPECT(run, stats.rows == run->model.n);
    for (size_t i = 0; i < run->model.n; i += 7)
        EXPECT(run, kith_index_contains(run->index, run->model.ids[i]));
}

static void operate(struct run *run) {
    size_t what = below(run, 100);
    if (what < 26)
        do_add(run);
    else if (what < 31)
        do_bad_add(run);
    else if (what < 42)
        do_remove(run);
    else if (what < 52)
        do_update(run);
    else if (what < 82)
        do_search(run);
    else if (what < 90)
        do_range(run);
    else if (what < 94)
        do_save_and_open(run);
    else
        do_check(run);
    EXPECT(run, kith_index_rows(run->index) == run->model.n);
}

/* What is learnt beforehand need not come from the rows that are added. */
static void train(struct run *run) {
    enum { N = 500 };
    float *rows = malloc(N * run->trial->dim * sizeof(float));
    kith_error err = {0};
    for (size_t i = 0; i < N; i++) draw_row(run, rows + i * run->trial->dim);
    EXPECT_CODE(run, kith_index_train(run->index, N, rows, NULL, &err), KITH_OK);
    free(rows);
}

static void run_trial(int number, int steps, uint64_t seed) {
    const struct trial *trial = &trials[number];
    struct run run = {.trial = trial, .number = number, .state = seed};
    kith_error err = {0};
    run.model = model_make(trial->dim, trial->metric);
    run.graph =
        strstr(trial->spec, "HNSW") || strstr(trial->spec, "IVF") || strstr(trial->spec, ",Refine");
    snprintf(run.path, sizeof run.path, "prop-%d-%d.kith", (int)getpid(), number);
    EXPECT_CODE(&run,
                kith_index_new(&run.index, trial->dim, trial->metric, trial->spec, NULL, &err),
                KITH_OK);
    if (number % 2 && trial->spec[0] != 'H') train(&run);
    for (run.step = 0; run.step < steps; run.step++) {
        run.turned = run.step > steps / 2;
        operate(&run);
    }
    if (run.graph && run.found < 0.95 * run.wanted)
        fail_msg("trial %d (%s): recall %.3f", number, trial->spec, run.found / run.wanted);
    EXPECT(&run, run.n_compared > 0);
    kith_index_free(run.index);
    model_free(&run.model);
    unlink(run.path);
}

static int n_steps = 400;

static void test_trial(void **state) {
    int number = *(int *)*state;
    run_trial(number, n_steps, 1 + (uint64_t)number * 1000);
}

int main(int argc, char **argv) {
    enum { N = sizeof trials / sizeof *trials };
    static int number[N];
    static char name[N][64];
    struct CMUnitTest tests[N];
    if (argc > 1) n_steps = atoi(argv[1]);
    for (int i = 0; i < N; i++) {
        number[i] = i;
        snprintf(name[i], sizeof name[i], "%d_%s_%s", i, trials[i].spec,
                 kith_metric_name(trials[i].metric));
        tests[i] = (struct CMUnitTest){
            .name = name[i], .test_func = test_trial, .initial_state = &number[i]};
    }
    return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
