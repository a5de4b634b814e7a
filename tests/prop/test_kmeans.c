/* k-means against a plain one: Lloyd's loop over all rows and all centroids, by kern.h's law written out here.
 *
 * Of random shapes of data, options and seeds, centroids and report must be the plain one's bits, whatever was skipped,
 * at any number of threads; the objective never rises. Found neighbours must be those of a whole scan, with its
 * distances and its order. meson runs this for several instruction sets. The argument is how many rounds. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "quant/kmeans_rows.h"
#include "quant/sums.h"

enum { FLOATS = 60000, ROWS_MAX = 4000, K_MAX = 150 };
static uint64_t state = 1;
static unsigned rounds = 40;
static float rows[FLOATS], got[FLOATS], want[FLOATS];

static size_t below(size_t n) { return (size_t)(bits_random(&state) % n); }
static float uniform(void) { return (float)(bits_random(&state) >> 40) * 0x1p-24f; }
static float bell(void) { return uniform() + uniform() + uniform() + uniform() - 2; }

/* ---- data -------------------------------------------------------------------------------------- */

struct shape {
    size_t n, dim, k;
    const char *name;
};

static void copy_row(const struct shape *shape, size_t to, size_t from) {
    if (to != from)
        memcpy(rows + to * shape->dim, rows + from * shape->dim, shape->dim * sizeof(float));
}

static struct shape make_rows(void) {
    static const char *const names[] = {"bell", "lumps", "grid",    "copies", "huge",
                                        "tiny", "far",   "one way", "zeros"};
    struct shape shape = {.dim = 1 + below(below(2) ? 300 : 20)};
    const size_t kind = below(sizeof names / sizeof *names), most = FLOATS / shape.dim;
    shape.n = 1 + below(most < ROWS_MAX ? most : ROWS_MAX);
    shape.k = 1 + below(shape.n < K_MAX ? shape.n : K_MAX);
    shape.name = names[kind];
    const size_t n_places = 1 + below(100);
    for (size_t i = 0; i < shape.n; i++) {
        uint64_t place = below(n_places) * 7919;
        for (size_t j = 0; j < shape.dim; j++) {
            float x = bell();
            if (kind == 1) x += 4 * (float)(bits_mix(place + j) >> 40) * 0x1p-24f;
            if (kind == 2) x = (float)below(3);
            if (kind == 4) x *= 1e17f / (float)shape.dim;
            if (kind == 5) x *= 1e-21f;
            if (kind == 6 && below(1000) == 0) x *= 1e6f;
            if (kind == 7) x = 100 + 0.001f * x;
            if (kind == 8 && i % 3) x = 0;
            rows[i * shape.dim + j] = x;
        }
        if (kind == 3 && below(3)) copy_row(&shape, i, below(i + 1));
    }
    return shape;
}

/* ---- the plain one ----------------------------------------------------------------------------- */

static float law(bool dot, const float *a, const float *b, size_t dim) {
    float lane[16] = {0};
    for (size_t i = 0; i < dim; i++) {
        float diff = a[i] - b[i];
        lane[i % 16] = dot ? fmaf(a[i], b[i], lane[i % 16]) : fmaf(diff, diff, lane[i % 16]);
    }
    for (int half = 8; half >= 1; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return dot ? -lane[0] : lane[0];
}

struct plain {
    const struct kmeans_options *options;
    size_t n, dim, k;
    const float *row[ROWS_MAX];
    float *centroids;
    uint32_t assign[ROWS_MAX];
    float dist[ROWS_MAX];
    size_t size[K_MAX];
    struct kmeans_report report;
};

static void plain_mean(struct plain *plain, size_t c) {
    static double sum[FLOATS];
    float *centroid = plain->centroids + c * plain->dim;
    memset(sum, 0, plain->dim * sizeof *sum);
    for (size_t i = 0; i < plain->n; i++)
        for (size_t j = 0; plain->assign[i] == c && j < plain->dim; j++)
            sum[j] += (double)plain->row[i][j];
    double scale = 1 / (double)plain->size[c], squares = 0;
    for (size_t j = 0; j < plain->dim; j++) squares += sum[j] * sum[j];
    if (plain->options->spherical && !(squares > 0)) return;
    if (plain->options->spherical) scale = 1 / sqrt(squares);
    for (size_t j = 0; j < plain->dim; j++) centroid[j] = (float)(sum[j] * scale);
}

static void plain_assign(struct plain *plain) {
    memset(plain->size, 0, sizeof plain->size);
    for (size_t i = 0; i < plain->n; i++) {
        plain->dist[i] = INFINITY;
        for (size_t c = 0; c < plain->k; c++) {
            float dist = law(plain->options->spherical, plain->row[i],
                             plain->centroids + c * plain->dim, plain->dim);
            if (dist >= plain->dist[i]) continue;
            plain->dist[i] = dist;
            plain->assign[i] = (uint32_t)c;
        }
        plain->size[plain->assign[i]]++;
    }
}

/* Rows drawn by their distances to empty clusters. L2 only: spherical rounds end at the first empty cluster. */
static void plain_repair(struct plain *plain, uint64_t *draws) {
    size_t n_empty = 0, c = 0;
    double total = 0, sum = 0;
    for (size_t i = 0; i < plain->k; i++) n_empty += plain->size[i] == 0;
    if (n_empty == 0) return;
    for (size_t i = 0; i < plain->n; i++) total += (double)plain->dist[i];
    double next = total / (double)n_empty * ((double)(bits_random(draws) >> 11) * 0x1p-53);
    for (size_t i = 0; i < plain->n; i++) {
        sum += (double)plain->dist[i];
        if (plain->dist[i] == 0 || sum <= next || plain->size[plain->assign[i]] < 2) continue;
        while (c < plain->k && plain->size[c]) c++;
        if (c == plain->k) return;
        plain->size[plain->assign[i]]--;
        plain->size[c] = 1;
        plain->assign[i] = (uint32_t)c;
        plain->report.repairs++;
        next += total / (double)n_empty;
    }
}

/* False where an empty cluster came up under spherical training. */
static bool plain_train(struct plain *plain, const struct shape *shape) {
    static uint32_t before[ROWS_MAX], sample[ROWS_MAX];
    const struct kmeans_options *options = plain->options;
    uint64_t draws = bits_mix(options->seed);
    size_t most = options->max_rows_per_centroid * plain->k;
    plain->n = most < shape->n ? most : shape->n;
    if (plain->n < shape->n) kmeans_draw(&draws, shape->n, plain->n, sample);
    for (size_t i = 0; i < plain->n; i++)
        plain->row[i] = rows + (plain->n < shape->n ? sample[i] : i) * plain->dim;
    kmeans_draw(&draws, plain->n, plain->k, sample);
    for (size_t c = 0; c < plain->k; c++) {
        const float *x = plain->row[sample[c]];
        double squares = options->spherical ? sums_squares(plain->dim, x) : 1;
        double scale = options->spherical && squares > 0 ? 1 / sqrt(squares) : 1;
        sums_scale(plain->dim, x, scale, plain->centroids + c * plain->dim);
    }
    memset(before, 0xff, sizeof before);
    plain->report = (struct kmeans_report){.n_rows = plain->n};
    for (;;) {
        plain_assign(plain);
        for (size_t c = 0; options->spherical && c < plain->k; c++)
            if (plain->size[c] == 0) return false;
        plain_repair(plain, &draws);
        plain->report.iterations++;
        if (memcmp(before, plain->assign, plain->n * sizeof *before) == 0) return true;
        memcpy(before, plain->assign, plain->n * sizeof *before);
        for (size_t c = 0; c < plain->k; c++)
            if (plain->size[c]) plain_mean(plain, c);
        if (plain->report.iterations == options->n_iterations) return true;
    }
}

/* ---- training ---------------------------------------------------------------------------------- */

static bool falls(void *context, uint32_t iteration, double objective) {
    double *last = context;
    if (iteration > 1 && objective > *last + 1e-5 * fabs(*last) + 1e-36)
        fail_msg("iteration %u: the objective rose from %.9g to %.9g", iteration, *last, objective);
    *last = objective;
    return true;
}

static void read_row(void *context, size_t row, float *out) {
    const struct kmeans_rows *from = context;
    memcpy(out, from->values + row * from->dim, from->dim * sizeof(float));
}

static void test_training_is_the_plain_one(void **unused) {
    (void)unused;
    static struct plain plain;
    unsigned compared = 0;
    for (unsigned round = 0; round < rounds; round++) {
        const struct shape shape = make_rows();
        double last;
        struct kmeans_options options = {.n_clusters = shape.k,
                                         .n_iterations = 1 + (uint32_t)below(14),
                                         .max_rows_per_centroid = below(3) ? 1000 : 5,
                                         .spherical = below(3) == 0,
                                         .seed = below(1000),
                                         .threads = 1 + (uint32_t)below(4),
                                         .progress = falls,
                                         .context = &last};
        struct kmeans_rows source = {.n = shape.n, .dim = shape.dim, .values = rows};
        struct kmeans_rows decoded = {shape.n, shape.dim, NULL, 0, read_row, &source};
        struct kmeans_report report;
        kith_error err;
        if (kmeans_train(&options, below(2) ? &source : &decoded, got, &report, NULL, &err))
            fail_msg("round %u, %s: %s", round, shape.name, err.text);
        plain =
            (struct plain){.options = &options, .dim = shape.dim, .k = shape.k, .centroids = want};
        if (!plain_train(&plain, &shape)) continue;
        if (memcmp(got, want, shape.k * shape.dim * sizeof(float)) ||
            report.iterations != plain.report.iterations || report.repairs != plain.report.repairs)
            fail_msg("round %u, %s%s: other centroids than the plain k-means of %zu x %zu in %zu, "
                     "%u iterations",
                     round, shape.name, options.spherical ? ", spherical" : "", shape.n, shape.dim,
                     shape.k, report.iterations);
        compared++;
    }
    assert_true(compared > rounds / 2);
}

/* ---- finding ----------------------------------------------------------------------------------- */

struct key {
    float dist;
    uint32_t which;
};

static int nearer(const void *a, const void *b) {
    const struct key *x = a, *y = b;
    if (x->dist != y->dist) return x->dist < y->dist ? -1 : 1;
    return (x->which > y->which) - (x->which < y->which);
}

static void expect_nearest(bool dot, const struct shape *shape, size_t row, size_t most,
                           const uint32_t *which, const float *dist) {
    static struct key keys[ROWS_MAX];
    for (size_t c = 0; c < shape->k; c++)
        keys[c] = (struct key){law(dot, rows + row * shape->dim, want + c * shape->dim, shape->dim),
                               (uint32_t)c};
    qsort(keys, shape->k, sizeof *keys, nearer);
    for (size_t j = 0; j < most; j++)
        if (which[j] != keys[j].which || !(dist[j] == keys[j].dist))
            fail_msg("%s, %s: row %zu, place %zu of %zu: %u at %.9g, not %u at %.9g", shape->name,
                     dot ? "IP" : "L2", row, j, most, which[j], (double)dist[j], keys[j].which,
                     (double)keys[j].dist);
}

static void test_found_are_the_nearest(void **unused) {
    (void)unused;
    static uint32_t which[FLOATS];
    static float dist[FLOATS];
    for (unsigned round = 0; round < rounds; round++) {
        const struct shape shape = make_rows();
        const bool dot = below(2);
        struct kmeans_rows source = {.n = shape.n, .dim = shape.dim, .values = rows};
        if (source.n > 200) source.n = 1 + below(200);
        struct kmeans_found found = {1 + below(below(2) ? shape.k : 1), which, dist};
        struct kmeans_set *set;
        kith_error err;
        for (size_t c = 0; c < shape.k; c++)
            memcpy(want + c * shape.dim, rows + below(shape.n) * shape.dim,
                   shape.dim * sizeof(float));
        if (kmeans_set_new(&set, dot ? KITH_METRIC_IP : KITH_METRIC_L2, shape.k, shape.dim, want,
                           NULL, &err) ||
            kmeans_find(set, &source, &found, 1 + (uint32_t)below(3), &err))
            fail_msg("round %u, %s: %s", round, shape.name, err.text);
        for (size_t i = 0; i < source.n; i++)
            expect_nearest(dot, &shape, i, found.most, which + i * found.most,
                           dist + i * found.most);
        /* without memory of its own */
        size_t n = source.n < KMEANS_BLOCK ? source.n : KMEANS_BLOCK;
        void *scratch = aligned_alloc(64, bits_round_up(kmeans_find_bytes(set, n, found.most), 64));
        memset(which, 0xff, sizeof which);
        kmeans_find_block(set, n, rows, &found, scratch);
        for (size_t i = 0; i < n; i++)
            expect_nearest(dot, &shape, i, found.most, which + i * found.most,
                           dist + i * found.most);
        free(scratch);
        kmeans_set_free(set);
    }
}

int main(int argc, char **argv) {
    if (argc > 1) rounds = (unsigned)strtoul(argv[1], NULL, 10);
    if (argc > 2) state = strtoul(argv[2], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training_is_the_plain_one),
        cmocka_unit_test(test_found_are_the_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
