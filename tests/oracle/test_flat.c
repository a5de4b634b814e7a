/* Exact search against the plain float scan: ids and distances must be the same bits, whatever pre-selects.
 *
 * The plain scan is written out here: kern.h's float law over the vectors that were added (where they are kept as they
 * are), or the scorer's exact distance to each stored row (where they are not), sorted by (distance, id). Data: made-up
 * sets that are hard for bounds (ties, duplicates, outliers, constant dimensions, tiny and huge lengths), and samples
 * of the real sets in $KITH_DATA. Each is searched one query at a time and in batches, with and without filters. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <kith/kith.h>

#include "base/bits.h"
#include "index/index.h"
#include "index/scan.h"

static const kith_metric metrics[] = {KITH_METRIC_L2, KITH_METRIC_EUCLID, KITH_METRIC_IP,
                                      KITH_METRIC_COSINE, KITH_METRIC_L1};
static const char *const specs[] = {"Flat", "Flat,SQ8", "SQ8,Refine(SQfp16)",
                                    "SQ8",  "SQfp16",   "SQbf16"};
enum { N_METRICS = 5, N_SPECS = 6 };
static const char *const metric_names[] = {"l2", "euclid", "ip", "cosine", "l1"};

struct set {
    size_t dim, n, n_q;
    float *rows, *queries;
};

static void set_free(struct set *set) {
    free(set->rows);
    free(set->queries);
}

/* ---- the plain scan ---------------------------------------------------------------------------- */

struct hit {
    float dist;
    int64_t id;
};

static int by_dist(const void *a, const void *b) {
    const struct hit *x = a, *y = b;
    if (x->dist != y->dist) return x->dist < y->dist ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static float law(kith_metric metric, size_t dim, const float *query, const float *row) {
    const struct kern *kern = kern_get();
    if (metric == KITH_METRIC_L1) return kern->pair[KITH_TYPE_F32][KERN_L1](query, row, dim);
    if (metric == KITH_METRIC_L2 || metric == KITH_METRIC_EUCLID)
        return kern->pair[KITH_TYPE_F32][KERN_L2SQ](query, row, dim);
    float dot = kern->pair[KITH_TYPE_F32][KERN_DOT](query, row, dim);
    if (metric == KITH_METRIC_IP) return -dot;
    return -(dot * (code_inverse_length(dim, query) * code_inverse_length(dim, row)));
}

static bool is_kept(const struct kith_index *index) {
    enum code_kind kind = store_exact_code(rows_store(&index->rows))->kind;
    return kind == CODE_F32 || kind == CODE_U8;
}

struct plain {
    const struct kith_index *index;
    const struct set *set;
    const int64_t *ids; /* of rows; NULL: their numbers */
    const uint8_t *gone;
    const kith_filter *filter;
};

static bool passes(const struct plain *plain, int64_t id) {
    const kith_filter *filter = plain->filter;
    if (filter->bits) return (uint64_t)id < filter->n_bits && bits_test(filter->bits, (uint64_t)id);
    return !filter->pass || filter->pass(filter->context, id);
}

static size_t plain_scan(const struct plain *plain, const float *query, struct hit *hits) {
    const struct rows *rows = &plain->index->rows;
    const struct store *store = rows_store(rows);
    const struct code *code = store_exact_code(store);
    struct scorer scorer;
    void *scratch = mem_new(NULL, scorer_bytes(code));
    size_t n = 0;
    scorer_init(&scorer, code, scratch);
    scorer_set_query(&scorer, query);
    for (size_t i = 0; i < plain->set->n; i++) {
        int64_t id = plain->ids ? plain->ids[i] : (int64_t)i;
        if ((plain->gone && plain->gone[i]) || !passes(plain, id)) continue;
        uint32_t row = rows_find(rows, id);
        assert_int_not_equal(row, ROW_NONE);
        hits[n].id = id;
        hits[n++].dist = is_kept(plain->index)
                             ? law(rows->config.metric, plain->set->dim, query,
                                   plain->set->rows + i * plain->set->dim)
                             : scorer_exact_one(&scorer, store_exact_row(store, row));
    }
    mem_free(NULL, scratch, scorer_bytes(code));
    qsort(hits, n, sizeof *hits, by_dist);
    return n;
}

static void compare(const struct plain *plain, const struct hit *want, size_t n_want, size_t k,
                    size_t query, const int64_t *ids, const float *dists) {
    kith_metric metric = plain->index->rows.config.metric;
    for (size_t i = 0; i < k; i++) {
        int64_t id = i < n_want ? want[i].id : KITH_NO_ID;
        float score = code_score(metric, i < n_want ? want[i].dist : INFINITY);
        if (ids[i] == id && dists[i] == score) continue;
        fail_msg(
            "%s, %s, dim %zu: query %zu, place %zu of %zu: id %lld at %.9g, must be %lld at %.9g",
            plain->index->spec, metric_names[metric], plain->set->dim, query, i, k,
            (long long)ids[i], (double)dists[i], (long long)id, (double)score);
    }
}

/* All queries at once, and the first ones alone. */
static void compare_all(const struct plain *plain, size_t k) {
    const struct set *set = plain->set;
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    params.k = (uint32_t)k;
    params.filter = *plain->filter;
    int64_t *ids = malloc(set->n_q * k * sizeof *ids), *one = malloc(k * sizeof *one);
    float *dists = malloc(set->n_q * k * sizeof *dists), *one_dist = malloc(k * sizeof *one_dist);
    struct hit *want = malloc(set->n * sizeof *want);
    kith_error err;
    assert_int_equal(
        kith_index_search(plain->index, set->n_q, set->queries, &params, ids, dists, &err),
        KITH_OK);
    for (size_t i = 0; i < set->n_q; i++) {
        size_t n = plain_scan(plain, set->queries + i * set->dim, want);
        compare(plain, want, n, k, i, ids + i * k, dists + i * k);
        assert_int_equal(kith_index_search(plain->index, 1, set->queries + i * set->dim, &params,
                                           one, one_dist, &err),
                         KITH_OK);
        compare(plain, want, n, k, i, one, one_dist);
    }
    free(ids), free(one), free(dists), free(one_dist), free(want);
}

/* A threshold in the middle of the hits, and exactly at one of them. */
static void compare_range(const struct plain *plain, size_t at) {
    const struct set *set = plain->set;
    struct hit *want = malloc(set->n * sizeof *want);
    size_t n = plain_scan(plain, set->queries, want);
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    params.filter = *plain->filter;
    kith_range_result *got;
    kith_error err;
    if (n > 0) {
        kith_metric metric = plain->index->rows.config.metric;
        float radius = code_score(metric, want[at % n].dist);
        assert_int_equal(
            kith_index_range_search(plain->index, 1, set->queries, radius, &params, &got, &err),
            KITH_OK);
        size_t within = 0;
        while (within < n && want[within].dist <= code_unscore(metric, radius)) within++;
        assert_int_equal(got->start[1], within);
        compare(plain, want, n, within, 0, got->ids, got->dists);
        kith_range_result_free(got);
    }
    free(want);
}

static int every_third(void *context, int64_t id) {
    (void)context;
    return id % 3 == 0;
}

static void compare_filtered(struct plain *plain, size_t k) {
    size_t n_bits = plain->set->n * 2 / 3, words = bits_words(n_bits);
    uint64_t *bits = calloc(words, sizeof *bits), state = 7;
    for (size_t i = 0; i < words; i++) bits[i] = bits_random(&state) & bits_random(&state);
    kith_filter none = {0}, view = {.bits = bits, .n_bits = n_bits}, call = {.pass = every_third};
    kith_filter few = {.bits = bits, .n_bits = 9};
    const kith_filter *const filters[] = {&none, &view, &call, &few};
    for (size_t i = 0; i < 4; i++) {
        plain->filter = filters[i];
        compare_all(plain, k);
        compare_range(plain, 20 * i);
    }
    free(bits);
}

/* ---- one set through every index --------------------------------------------------------------- */

static void check_index(const struct set *set, const char *spec, kith_metric metric, size_t k) {
    kith_index *index;
    kith_error err;
    kith_filter none = {0};
    assert_int_equal(kith_index_new(&index, set->dim, metric, spec, NULL, &err), KITH_OK);
    int code = kith_index_add(index, set->n, set->rows, NULL, NULL, &err);
    if (code != KITH_OK) fail_msg("%s %s: %s", spec, metric_names[metric], err.text);
    struct plain plain = {.index = index, .set = set, .filter = &none};
    compare_filtered(&plain, k);
    plain.filter = &none;
    compare_all(&plain, 1);
    assert_int_equal(kith_index_check(index, &err), KITH_OK);
    kith_index_free(index);
}

static void check_set(const struct set *set, size_t k) {
    for (size_t m = 0; m < N_METRICS; m++)
        for (size_t s = 0; s < N_SPECS; s++)
            check_index(set, specs[s], metrics[m], k < set->n ? k : set->n);
}

/* ---- made-up sets ------------------------------------------------------------------------------ */

static float uniform(uint64_t *state) { return (float)(bits_random(state) >> 40) * 0x1p-24f; }

static float normal(uint64_t *state) {
    float sum = 0;
    for (int i = 0; i < 12; i++) sum += uniform(state);
    return sum - 6;
}

typedef float (*make_fn)(uint64_t *state, size_t row, size_t i);

static float make_normal(uint64_t *state, size_t row, size_t i) {
    (void)row, (void)i;
    return normal(state);
}

static float make_bytes(uint64_t *state, size_t row, size_t i) {
    (void)row, (void)i;
    return floorf(256 * uniform(state));
}

/* Many equal distances: few values. */
static float make_ties(uint64_t *state, size_t row, size_t i) {
    (void)row, (void)i;
    return 0.1f * floorf(3 * uniform(state));
}

/* One row in a hundred is a thousand times as long: sq8's steps are coarse for all others. */
static float make_outliers(uint64_t *state, size_t row, size_t i) {
    (void)i;
    return normal(state) * (row % 100 == 37 ? 1000.0f : 1.0f);
}

/* Most dimensions are constant, and far from 0: the rows differ in their last digits. */
static float make_constant(uint64_t *state, size_t row, size_t i) {
    (void)row;
    float x = normal(state);
    return i % 4 ? 1000.0f : 1000.0f + 0.001f * x;
}

/* Lengths from 1e-18 to 1e15, zero rows among them. */
static float make_lengths(uint64_t *state, size_t row, size_t i) {
    (void)i;
    float x = normal(state);
    return row % 11 == 0 ? 0.0f : x * powf(10, (float)(row % 34) - 18);
}

/* Groups of equal rows, and of rows one digit apart. */
static float make_twins(uint64_t *state, size_t row, size_t i) {
    uint64_t group = bits_mix((row / 8) * 4096 + i);
    float x = (float)(group >> 40) * 0x1p-24f;
    (void)state;
    return row % 8 < 6 || i != row % 7 ? x : nextafterf(x, 2);
}

static struct set set_new(size_t dim, size_t n, size_t n_q, make_fn make) {
    struct set set = {dim, n, n_q, malloc(n * dim * sizeof(float)),
                      malloc(n_q * dim * sizeof(float))};
    uint64_t state = dim * 1000 + n;
    for (size_t i = 0; i < n * dim; i++) set.rows[i] = make(&state, i / dim, i % dim);
    for (size_t i = 0; i < n_q * dim; i++) set.queries[i] = make(&state, n + i / dim, i % dim);
    /* Some queries are rows. */
    for (size_t i = 0; i < n_q; i += 5)
        memcpy(set.queries + i * dim, set.rows + (i * 31 % n) * dim, dim * sizeof(float));
    return set;
}

static void check_made(make_fn make) {
    static const size_t dims[] = {1, 7, 33, 100};
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        struct set set =
            set_new(dims[d], 700, d == 2 ? 80 : 24, make); /* 80: rows are coded on the way */
        check_set(&set, 17);
        set_free(&set);
    }
}

static void test_normal(void **state) {
    (void)state;
    check_made(make_normal);
}

static void test_bytes(void **state) {
    (void)state;
    check_made(make_bytes);
}

static void test_ties(void **state) {
    (void)state;
    check_made(make_ties);
}

static void test_outliers(void **state) {
    (void)state;
    check_made(make_outliers);
}

static void test_constant(void **state) {
    (void)state;
    check_made(make_constant);
}

static void test_twins(void **state) {
    (void)state;
    check_made(make_twins);
}

/* Half floats cannot hold these. */
static void test_lengths(void **state) {
    (void)state;
    struct set set = set_new(19, 500, 20, make_lengths);
    for (size_t m = 0; m < N_METRICS; m++)
        for (size_t s = 0; s < N_SPECS; s++)
            if (!strstr(specs[s], "fp16")) check_index(&set, specs[s], metrics[m], 10);
    set_free(&set);
}

/* Bytes as rows, but not as queries; and the other way round. */
static void test_mixed(void **state) {
    (void)state;
    struct set bytes = set_new(40, 600, 20, make_bytes),
               floats = set_new(40, 600, 20, make_outliers);
    struct set mixed = bytes, other = floats;
    mixed.queries = floats.queries;
    other.queries = bytes.queries;
    check_set(&mixed, 12);
    check_set(&other, 12);
    set_free(&bytes);
    set_free(&floats);
}

/* More results than a block has rows, and as many as there are rows. */
static void test_large_k(void **state) {
    (void)state;
    struct set set = set_new(20, 900, 18, make_normal);
    for (size_t s = 0; s < N_SPECS; s++) {
        check_index(&set, specs[s], KITH_METRIC_L2, 400);
        check_index(&set, specs[s], KITH_METRIC_IP, 900);
    }
    set_free(&set);
}

/* Explicit ids in no order, rows removed, replaced and added again. */
static void check_churned(const char *spec, kith_metric metric) {
    struct set set = set_new(24, 800, 20, make_normal);
    int64_t ids[800];
    uint8_t gone[800] = {0};
    kith_index *index;
    kith_error err;
    kith_filter none = {0};
    for (size_t i = 0; i < set.n; i++) ids[i] = (int64_t)(bits_mix(i) >> 54) * 1000 + (int64_t)i;
    assert_int_equal(kith_index_new(&index, set.dim, metric, spec, NULL, &err), KITH_OK);
    assert_int_equal(kith_index_add(index, 500, set.rows, ids, NULL, &err), KITH_OK);
    for (size_t i = 0; i < 500; i += 3) {
        gone[i] = 1;
        assert_int_equal(kith_index_remove(index, 1, ids + i, &err), KITH_OK);
    }
    assert_int_equal(kith_index_add(index, 300, set.rows + 500 * set.dim, ids + 500, NULL, &err),
                     KITH_OK);
    for (size_t i = 1; i < 500; i += 3) { /* every third row takes the vector of the next */
        memcpy(set.rows + i * set.dim, set.rows + (i + 300) * set.dim, set.dim * sizeof(float));
        assert_int_equal(kith_index_update(index, 1, set.rows + i * set.dim, ids + i, NULL, &err),
                         KITH_OK);
    }
    assert_int_equal(kith_index_check(index, &err), KITH_OK);
    struct plain plain = {.index = index, .set = &set, .filter = &none, .ids = ids, .gone = gone};
    compare_filtered(&plain, 25);
    kith_index_free(index);
    set_free(&set);
}

static void test_churned(void **state) {
    (void)state;
    for (size_t m = 0; m < N_METRICS; m++)
        for (size_t s = 0; s < N_SPECS; s++) check_churned(specs[s], metrics[m]);
}

/* Rows that come later change the code: bytes that are none any more, ranges that grew. */
static void check_growing(const char *spec, kith_metric metric) {
    struct set set = set_new(30, 3000, 20, make_bytes);
    uint64_t state = 5;
    kith_index *index;
    kith_error err;
    kith_filter none = {0};
    assert_int_equal(kith_index_new(&index, set.dim, metric, spec, NULL, &err), KITH_OK);
    for (size_t i = 400 * set.dim; i < set.n * set.dim; i++) /* growing, and no bytes */
        set.rows[i] = normal(&state) * (1 + (float)i / (400 * 30));
    size_t at = 0;
    for (size_t step = 100; at < set.n; at += step, step += 150) {
        if (step > set.n - at) step = set.n - at;
        assert_int_equal(kith_index_add(index, step, set.rows + at * set.dim, NULL, NULL, &err),
                         KITH_OK);
        struct set part = set;
        part.n = at + step;
        struct plain plain = {.index = index, .set = &part, .filter = &none};
        compare_all(&plain, 10);
    }
    assert_int_equal(kith_index_check(index, &err), KITH_OK);
    kith_index_free(index);
    set_free(&set);
}

static void test_growing(void **state) {
    (void)state;
    for (size_t m = 0; m < N_METRICS; m++)
        for (size_t s = 0; s < N_SPECS; s++) check_growing(specs[s], metrics[m]);
}

/* ---- real sets --------------------------------------------------------------------------------- */

static char *data_path(const char *name) {
    static char path[4096];
    const char *data = getenv("KITH_DATA"), *root = getenv("KITH_SOURCE_ROOT");
    if (data)
        snprintf(path, sizeof path, "%s/%s", data, name);
    else
        snprintf(path, sizeof path, "%s/../shared/data/%s", root ? root : ".", name);
    return path;
}

/* f32 rows of .npy (version 1, C order) or .fvecs: at most n of them. */
static float *read_rows(const char *name, size_t most, size_t *n, size_t *dim) {
    FILE *file = fopen(data_path(name), "rb");
    if (!file) return NULL;
    bool npy = strstr(name, ".npy") != NULL;
    uint8_t head[10];
    if (npy) {
        char text[1024] = {0};
        assert_int_equal(fread(head, 1, 10, file), 10);
        size_t length = (size_t)head[8] | (size_t)head[9] << 8;
        assert_true(length < sizeof text && fread(text, 1, length, file) == length);
        assert_non_null(strstr(text, "'<f4'"));
        assert_int_equal(sscanf(strstr(text, "'shape':") + 8, " (%zu, %zu)", n, dim), 2);
    } else {
        int32_t first;
        assert_int_equal(fread(&first, 4, 1, file), 1);
        *dim = (size_t)first;
        fseek(file, 0, SEEK_END);
        *n = (size_t)ftell(file) / (4 + 4 * *dim);
        fseek(file, 0, SEEK_SET);
    }
    *n = *n < most ? *n : most;
    float *rows = malloc(*n * *dim * sizeof(float));
    for (size_t i = 0; i < *n; i++) {
        if (!npy) assert_int_equal(fread(head, 1, 4, file), 4);
        assert_int_equal(fread(rows + i * *dim, sizeof(float), *dim, file), *dim);
    }
    fclose(file);
    return rows;
}

static void check_real(const char *base, const char *queries) {
    struct set set;
    size_t dim;
    set.rows = read_rows(base, 6000, &set.n, &set.dim);
    set.queries = read_rows(queries, 20, &set.n_q, &dim);
    if (set.rows && set.queries) {
        assert_int_equal(set.dim, dim);
        check_set(&set, 10);
    } else {
        print_message("# %s is absent\n", data_path(base));
    }
    set_free(&set);
}

static void test_real(void **state) {
    (void)state;
    check_real("wordnet-sg-100/base.f32.npy", "wordnet-sg-100/queries.f32.npy");
    check_real("glove-twitter-25/base.f32.npy", "glove-twitter-25/queries.f32.npy");
    check_real("sift-5k/base.fvecs", "sift-5k/queries.fvecs");
    check_real("bge-m3-1024/base.f32.npy", "bge-m3-1024/queries.f32.npy");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal),   cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_ties),     cmocka_unit_test(test_outliers),
        cmocka_unit_test(test_constant), cmocka_unit_test(test_twins),
        cmocka_unit_test(test_lengths),  cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_large_k),  cmocka_unit_test(test_churned),
        cmocka_unit_test(test_growing),  cmocka_unit_test(test_real),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
