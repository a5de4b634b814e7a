/* listbench: how rows should be shared out among inverted lists. Makes the tables of decisions 0037 and 0038.
 *
 *   listbench [-s SET] [-l LISTS] [-t THREADS]       one set, or all; LISTS centres (256)
 *
 * For each way of placing rows: how many rows a query reads, duplicates counted, until the lists that it has read hold
 * 0.90, 0.95, 0.98 and 0.99 of its ten true neighbours on average (an ideal code: what is read is ranked rightly), taken
 * linearly between one nprobe and the next; the 99th percentile of rows read over the mean there; the largest list over the mean; bytes of the lists over those of single placing.
 * Rows read are what a scan costs whatever the code.
 *
 *     single          a row is in the list of its nearest centre
 *     balanced b      k-means with lists of at most (1 + b) times the mean (kmeans_balance), rows placed in the same way
 *     bound b         centres as single, rows placed by kmeans_balance
 *     spill           and in the list of the second nearest
 *     soar L          and in the list that minimises |r'|^2 + L (r'.r / |r|)^2, r' the second residual (Sun et al. 2023),
 *                     among the 16 nearest
 *     half spill, half soar    only the half of the rows whose second distance is nearest to their first */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quant/kmeans.h"
#include "vectors.h"

enum { K = 10, NEAR = 16, TARGETS = 4 };

static const double target[TARGETS] = {0.90, 0.95, 0.98, 0.99};

static const struct set {
    const char *name, *base, *queries;
    kith_metric metric;
} sets[] = {
    {"mnist-784", "mnist-784/base.u8.npy.gz", "mnist-784/queries.u8.npy.gz", KITH_METRIC_L2},
    {"wordnet-sg-100", "wordnet-sg-100/base.f32.npy", "wordnet-sg-100/queries.f32.npy",
     KITH_METRIC_COSINE},
    {"glove-twitter-25", "glove-twitter-25/base.f32.npy", "glove-twitter-25/queries.f32.npy",
     KITH_METRIC_L2},
};

static uint32_t threads = 2;

/* A set, its centres and its truth. */
struct bench {
    struct vectors base, queries;
    kith_metric metric; /* L2 or IP */
    int64_t *truth;     /* queries x K */
    size_t nlist;
    float *centres;
    struct kmeans_set *set;
    uint32_t *near; /* base x NEAR */
    float *dist;
    uint32_t *order; /* queries x nlist */
};

/* Where rows are: list_a, and list_b or UINT32_MAX. */
struct placing {
    uint32_t *a, *b;
};

static void need(int code, const kith_error *err) {
    if (code == KITH_OK) return;
    fprintf(stderr, "%s: %s\n", kith_code_name(code), err->text);
    exit(1);
}

static struct kmeans_rows rows_of(const struct vectors *vectors) {
    return (struct kmeans_rows){.n = vectors->n, .dim = vectors->dim, .values = vectors->x};
}

static void to_unit(struct vectors *vectors) {
    for (size_t i = 0; i < vectors->n; i++) {
        float *x = vectors->x + i * vectors->dim, sum = 0;
        for (size_t j = 0; j < vectors->dim; j++) sum += x[j] * x[j];
        for (size_t j = 0; j < vectors->dim; j++) x[j] /= sqrtf(sum);
    }
}

static void find_truth(struct bench *bench) {
    kith_index *flat = index_of(&bench->base, bench->metric, "Flat", threads);
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_error err;
    params.k = K;
    params.threads = threads;
    bench->truth = malloc(bench->queries.n * K * sizeof *bench->truth);
    need(kith_index_search(flat, bench->queries.n, bench->queries.x, &params, bench->truth, NULL,
                           &err),
         &err);
    kith_index_free(flat);
}

/* Centres by k-means, what is near each row, and for each query all lists by distance. */
static void learn(struct bench *bench, double balance) {
    const struct kmeans_options options = {.n_clusters = bench->nlist,
                                           .n_iterations = 10,
                                           .spherical = bench->metric == KITH_METRIC_IP,
                                           .balance = balance,
                                           .seed = 42,
                                           .threads = threads};
    const struct kmeans_rows base = rows_of(&bench->base), queries = rows_of(&bench->queries);
    kith_error err;
    if (bench->set) kmeans_set_free(bench->set);
    need(kmeans_train(&options, &base, bench->centres, NULL, NULL, &err), &err);
    need(kmeans_set_new(&bench->set, bench->metric, bench->nlist, base.dim, bench->centres, NULL,
                        &err),
         &err);
    const struct kmeans_found near = {NEAR, bench->near, bench->dist};
    need(kmeans_find(bench->set, &base, &near, threads, &err), &err);
    const struct kmeans_found order = {bench->nlist, bench->order, NULL};
    need(kmeans_find(bench->set, &queries, &order, threads, &err), &err);
}

/* ---- placing -------------------------------------------------------------------------------------- */

static void place_single(const struct bench *bench, const struct placing *to) {
    for (size_t i = 0; i < bench->base.n; i++) {
        to->a[i] = bench->near[i * NEAR];
        to->b[i] = UINT32_MAX;
    }
}

static void place_balanced(const struct bench *bench, double slack, const struct placing *to) {
    const struct kmeans_rows base = rows_of(&bench->base);
    float *dist = malloc(base.n * sizeof *dist);
    kith_error err;
    need(kmeans_balance(bench->set, &base, slack, threads, to->a, dist, &err), &err);
    for (size_t i = 0; i < base.n; i++) to->b[i] = UINT32_MAX;
    free(dist);
}

/* The second list of row i by the loss of SOAR; lambda 0 takes the second nearest. */
static uint32_t second_list(const struct bench *bench, size_t i, double lambda) {
    size_t dim = bench->base.dim;
    const float *x = vectors_at(&bench->base, i);
    const float *first = bench->centres + bench->near[i * NEAR] * dim;
    double length = 0, best = INFINITY;
    uint32_t which = 0;
    for (size_t j = 0; j < dim; j++) length += (double)((x[j] - first[j]) * (x[j] - first[j]));
    for (size_t p = 1; p < NEAR; p++) {
        const float *centre = bench->centres + bench->near[i * NEAR + p] * dim;
        double l2sq = 0, along = 0;
        for (size_t j = 0; j < dim; j++) {
            l2sq += (double)((x[j] - centre[j]) * (x[j] - centre[j]));
            along += (double)((x[j] - centre[j]) * (x[j] - first[j]));
        }
        double loss = l2sq + (length > 0 ? lambda * along * along / length : 0);
        if (loss >= best) continue;
        best = loss;
        which = bench->near[i * NEAR + p];
    }
    return which;
}

static int by_gap(const void *a, const void *b) {
    const float *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void place_twice(const struct bench *bench, double lambda, double share,
                        const struct placing *to) {
    size_t n = bench->base.n;
    float *gap = malloc(n * sizeof *gap), *sorted = malloc(n * sizeof *gap);
    for (size_t i = 0; i < n; i++)
        sorted[i] = gap[i] = bench->dist[i * NEAR + 1] - bench->dist[i * NEAR];
    qsort(sorted, n, sizeof *sorted, by_gap);
    float most = sorted[(size_t)(share * (double)(n - 1))];
    place_single(bench, to);
    for (size_t i = 0; i < n; i++)
        if (gap[i] <= most) to->b[i] = second_list(bench, i, lambda);
    free(gap);
    free(sorted);
}

/* ---- measuring ------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b) {
    const size_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Of each query: how many of its neighbours the list that comes in place p is the first to hold. */
static void count_found(const struct bench *bench, const struct placing *at, uint32_t *found) {
    uint32_t *place = malloc(bench->nlist * sizeof *place);
    memset(found, 0, bench->nlist * sizeof *found);
    for (size_t q = 0; q < bench->queries.n; q++) {
        for (size_t p = 0; p < bench->nlist; p++)
            place[bench->order[q * bench->nlist + p]] = (uint32_t)p;
        for (size_t i = 0; i < K; i++) {
            size_t row = (size_t)bench->truth[q * K + i];
            uint32_t a = place[at->a[row]];
            uint32_t b = at->b[row] == UINT32_MAX ? a : place[at->b[row]];
            found[a < b ? a : b]++;
        }
    }
    free(place);
}

struct reading {
    double recall, mean, p99_over_mean; /* of rows read */
};

static void report(const struct bench *bench, const char *name, const struct placing *at) {
    size_t nlist = bench->nlist, n_q = bench->queries.n, total = 0, largest = 0, t = 0;
    size_t *size = calloc(nlist, sizeof *size), *read = calloc(n_q, sizeof *read);
    size_t *sorted = malloc(n_q * sizeof *sorted);
    uint32_t *found = malloc(nlist * sizeof *found);
    for (size_t i = 0; i < bench->base.n; i++) {
        size[at->a[i]]++;
        if (at->b[i] != UINT32_MAX) size[at->b[i]]++;
    }
    for (size_t c = 0; c < nlist; c++) {
        total += size[c];
        largest = size[c] > largest ? size[c] : largest;
    }
    count_found(bench, at, found);
    printf("| %-14s | %4.2f | %4.2f |", name, (double)largest * (double)nlist / (double)total,
           (double)total / (double)bench->base.n);
    struct reading before = {0};
    for (size_t p = 0; p < nlist && t < TARGETS; p++) {
        struct reading now = {.recall = before.recall + (double)found[p] / (double)(n_q * K)};
        for (size_t q = 0; q < n_q; q++) {
            read[q] += size[bench->order[q * nlist + p]];
            now.mean += (double)read[q] / (double)n_q;
        }
        if (now.recall >= target[t]) {
            memcpy(sorted, read, n_q * sizeof *sorted);
            qsort(sorted, n_q, sizeof *sorted, by_size);
            now.p99_over_mean = (double)sorted[n_q * 99 / 100] / now.mean;
        }
        for (; t < TARGETS && now.recall >= target[t]; t++) {
            double part = (target[t] - before.recall) / (now.recall - before.recall);
            printf(" %5.1f: %6.0f, %4.2f |", (double)p + part,
                   before.mean + part * (now.mean - before.mean), now.p99_over_mean);
        }
        before = now;
    }
    printf("\n");
    fflush(stdout);
    free(size);
    free(read);
    free(sorted);
    free(found);
}

static void run_ways(struct bench *bench) {
    size_t n = bench->base.n;
    struct placing at = {malloc(n * sizeof *at.a), malloc(n * sizeof *at.b)};
    static const double bounds[] = {0.2, 0.5, 1.0}, lambdas[] = {0.5, 1.0, 2.0};
    char name[32];
    learn(bench, 0);
    place_single(bench, &at);
    report(bench, "single", &at);
    for (size_t i = 0; i < 3; i++) {
        place_balanced(bench, bounds[i], &at);
        snprintf(name, sizeof name, "bound %.1f", bounds[i]);
        report(bench, name, &at);
    }
    place_twice(bench, 0, 1, &at);
    report(bench, "spill", &at);
    for (size_t i = 0; i < 3; i++) {
        place_twice(bench, lambdas[i], 1, &at);
        snprintf(name, sizeof name, "soar %.1f", lambdas[i]);
        report(bench, name, &at);
    }
    place_twice(bench, 0, 0.5, &at);
    report(bench, "half spill", &at);
    place_twice(bench, 1, 0.5, &at);
    report(bench, "half soar 1", &at);
    for (size_t i = 0; i < 3; i++) {
        learn(bench, bounds[i]);
        place_single(bench, &at);
        snprintf(name, sizeof name, "learnt %.1f", bounds[i]);
        report(bench, name, &at);
        place_balanced(bench, bounds[i], &at);
        snprintf(name, sizeof name, "balanced %.1f", bounds[i]);
        report(bench, name, &at);
    }
    free(at.a);
    free(at.b);
}

static void run_set(const struct set *set, size_t nlist) {
    struct bench bench = {
        .nlist = nlist, .metric = set->metric == KITH_METRIC_COSINE ? KITH_METRIC_IP : set->metric};
    if (!vectors_read_data(&bench.base, set->base, SIZE_MAX) ||
        !vectors_read_data(&bench.queries, set->queries, 1000)) {
        printf("%s: not below KITH_DATA\n", set->name);
        return;
    }
    if (set->metric == KITH_METRIC_COSINE) {
        to_unit(&bench.base);
        to_unit(&bench.queries);
    }
    find_truth(&bench);
    bench.centres = malloc(nlist * bench.base.dim * sizeof(float));
    bench.near = malloc(bench.base.n * NEAR * sizeof *bench.near);
    bench.dist = malloc(bench.base.n * NEAR * sizeof *bench.dist);
    bench.order = malloc(bench.queries.n * nlist * sizeof *bench.order);
    printf(
        "\n%s, %zu lists\n| way | largest | bytes | nprobe: rows read, p99 / mean at recall 0.90 | 0.95 | 0.98 "
        "| 0.99 |\n",
        set->name, nlist);
    run_ways(&bench);
    kmeans_set_free(bench.set);
    free(bench.truth);
    free(bench.centres);
    free(bench.near);
    free(bench.dist);
    free(bench.order);
    vectors_free(&bench.base);
    vectors_free(&bench.queries);
}

int main(int argc, char **argv) {
    const char *only = "";
    size_t nlist = 256;
    for (int option; (option = getopt(argc, argv, "s:l:t:")) != -1;) {
        if (option == 's') only = optarg;
        if (option == 'l') nlist = (size_t)strtoul(optarg, NULL, 10);
        if (option == 't') threads = (uint32_t)strtoul(optarg, NULL, 10);
        if (option == '?') return 2;
    }
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (strstr(sets[i].name, only)) run_set(&sets[i], nlist);
    return 0;
}
