/* An index behind transforms: its answers are those of a plain index over the transformed vectors, to the bit and whatever
 * was added, replaced and removed; which transforms and measures a metric makes of a description; exact until trained;
 * refinement on the originals; the way back; damage behind the transforms; parts made elsewhere. */
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

#include "base/bits.h"
#include "index/pretransform.h"

enum { DIM = 20, N = 400, MORE = 100, N_Q = 30, WIDEST = 64 };

static float rows[(N + MORE) * DIM], queries[N_Q * DIM];
static int64_t named[N + MORE];

static int begin(void **state) {
    uint64_t random = 31;
    (void)state;
    for (size_t i = 0; i < (N + MORE) * DIM; i++) /* whole: distances are often equal */
        rows[i] = (float)(bits_random(&random) % 4) * (i % DIM < 4 ? 4.0f : 1.0f);
    for (size_t i = 0; i < N_Q * DIM; i++) queries[i] = (float)(bits_random(&random) % 4);
    for (int64_t i = 0; i < N + MORE; i++) named[i] = 10 + 7 * ((i * 37) % (N + MORE));
    return 0;
}

static kith_index *make(const char *spec, kith_metric metric) {
    kith_index *index;
    kith_error err;
    if (kith_index_new(&index, DIM, metric, spec, NULL, &err) != KITH_OK)
        fail_msg("%s: %s", spec, err.text);
    return index;
}

static kith_index *make_trained(const char *spec, kith_metric metric) {
    kith_index *index = make(spec, metric);
    kith_error err;
    if (kith_index_train(index, N, rows, NULL, &err) != KITH_OK) fail_msg("%s: %s", spec, err.text);
    return index;
}

/* ---- as over transformed vectors --------------------------------------------------------------- */

static void transform(const struct transform_chain *chain, size_t n, const float *x, float *y) {
    float *scratch = malloc((transform_chain_scratch(chain, n) + 1) * sizeof(float));
    transform_chain_apply(chain, 1, n, x, y, scratch);
    free(scratch);
}

static int thirds(void *context, int64_t id) {
    (void)context;
    return id % 3 == 0;
}

struct answers {
    int64_t ids[N_Q * 60];
    float dists[N_Q * 60];
};

static struct answers ask(const kith_index *index, const float *x, size_t together,
                          const kith_search_params *params) {
    static struct answers answers;
    memset(&answers, 0, sizeof answers);
    kith_error err;
    size_t dim = kith_index_dim(index), k = params->k;
    for (size_t i = 0; i < N_Q; i += together)
        if (kith_index_search(index, together, x + i * dim, params, answers.ids + i * k,
                              answers.dists + i * k, &err) != KITH_OK)
            fail_msg("%s", err.text);
    return answers;
}

static void compare_ranges(const char *spec, const kith_index *a, const float *x,
                           const kith_index *b, const float *y, float radius,
                           const kith_search_params *params) {
    kith_range_result *of_a, *of_b;
    assert_int_equal(kith_index_range_search(a, N_Q, x, radius, params, &of_a, NULL), KITH_OK);
    assert_int_equal(kith_index_range_search(b, N_Q, y, radius, params, &of_b, NULL), KITH_OK);
    for (size_t i = 0; i <= N_Q; i++)
        if (of_a->start[i] != of_b->start[i]) fail_msg("%s: %zu hits of a range", spec, i);
    assert_memory_equal(of_a->ids, of_b->ids, of_a->start[N_Q] * sizeof *of_a->ids);
    assert_memory_equal(of_a->dists, of_b->dists, of_a->start[N_Q] * sizeof *of_a->dists);
    kith_range_result_free(of_a);
    kith_range_result_free(of_b);
}

static void compare(const char *spec, const kith_index *index, const kith_index *plain,
                    const float *y) {
    static const uint32_t counts[] = {1, 6, 60};
    uint64_t bits[(7 * (N + MORE) + 10) / 64 + 1];
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) bits[i] = bits_mix(i);
    for (int filter = 0; filter < 3; filter++)
        for (int c = 0; c < 3; c++)
            for (int exact = 0; exact < 2; exact++) {
                kith_search_params params = KITH_SEARCH_PARAMS_INIT;
                params.k = counts[c];
                params.exact = exact;
                if (filter == 1) params.filter.pass = thirds;
                if (filter == 2)
                    params.filter = (kith_filter){.bits = bits, .n_bits = 64 * sizeof bits / 8};
                size_t together = exact ? N_Q : 1;
                struct answers got = ask(index, queries, together, &params);
                struct answers want = ask(plain, y, together, &params);
                if (memcmp(&got, &want, sizeof got) != 0)
                    fail_msg("%s: other answers (filter %d, k %u)", spec, filter, counts[c]);
                compare_ranges(spec, index, queries, plain, y, want.dists[0], &params);
            }
}

/* Of both indexes: rows replaced, removed, added. */
static void change(kith_index *index, const float *x) {
    size_t dim = kith_index_dim(index);
    assert_int_equal(kith_index_update(index, 30, x + N * dim, named + 50, NULL, NULL), KITH_OK);
    assert_int_equal(kith_index_remove(index, 40, named + 200, NULL), KITH_OK);
    assert_int_equal(kith_index_add(index, 30, x + (N + 30) * dim, named + N, NULL, NULL), KITH_OK);
    assert_int_equal(kith_index_add(index, 5, x + (N + 60) * dim, named + 205, NULL, NULL),
                     KITH_OK);
}

static void test_answers_are_those_of_transformed_vectors(void **state) {
    static const char *const specs[] = {"PCA8,Flat",   "OPQ4_8,Flat",       "RR,Flat",
                                        "RR7,Flat",    "RR30,Flat",         "HR,Flat",
                                        "L2norm,Flat", "PCAW8,L2norm,Flat", "PCAR20,Flat",
                                        "Pad31,Flat",  "Centre,Flat",       "Pad24,Flat,SQ8"};
    static float x[(N + MORE) * WIDEST], y[N_Q * WIDEST];
    (void)state;
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++)
        for (int metric = KITH_METRIC_L2; metric <= KITH_METRIC_L1; metric++) {
            kith_index *index, *plain;
            kith_error err;
            if (kith_index_new(&index, DIM, (kith_metric)metric, specs[s], NULL, &err) != KITH_OK)
                continue; /* test_metrics says which */
            kith_index_free(index);
            index = make_trained(specs[s], (kith_metric)metric);
            const struct transform_chain *chain = index_pre_chain(index);
            assert_non_null(chain);
            transform(chain, N + MORE, rows, x);
            transform(chain, N_Q, queries, y);
            kith_metric inside = index_pre_inner(index)->rows.config.metric;
            uint32_t d_out = chain->d_out;
            assert_int_equal(kith_index_new(&plain, d_out, inside, "Flat", NULL, &err), KITH_OK);
            for (int round = 0; round < 2; round++) { /* ids that are row numbers, and others */
                const int64_t *ids = round ? named : NULL;
                if (round) {
                    kith_index_free(plain);
                    kith_index_free(index);
                    index = make_trained(specs[s], (kith_metric)metric);
                    assert_int_equal(kith_index_new(&plain, d_out, inside, "Flat", NULL, &err),
                                     KITH_OK);
                }
                assert_int_equal(kith_index_add(index, N, rows, ids, NULL, &err), KITH_OK);
                assert_int_equal(kith_index_add(plain, N, x, ids, NULL, &err), KITH_OK);
                compare(specs[s], index, plain, y);
            }
            change(index, rows);
            change(plain, x);
            compare(specs[s], index, plain, y);
            if (kith_index_check(index, &err) != KITH_OK) fail_msg("%s: %s", specs[s], err.text);
            kith_index_free(index);
            kith_index_free(plain);
        }
}

/* ---- what a metric makes of it ------------------------------------------------------------------ */

static void test_metrics(void **state) {
    enum {
        L2 = KITH_METRIC_L2,
        IP = KITH_METRIC_IP,
        COS = KITH_METRIC_COSINE,
        L1 = KITH_METRIC_L1
    };
    static const struct {
        const char *spec;
        int metric, inside; /* -1: refused */
        uint32_t n_steps;
        int64_t at;
    } cases[] = {
        {"PCA8,Flat", L2, L2, 1, 0},
        {"PCA8,Flat", IP, IP, 1, 0},
        {"PCA8,Flat", COS, IP, 2, 0},
        {"PCA20,Flat", COS, COS, 1, 0},
        {"PCAW8,Flat", COS, COS, 1, 0},
        {"L2norm,PCA8,Flat", COS, IP, 2, 0},
        {"RR,PCA8,L2norm,Flat", COS, IP, 4, 0},
        {"RR30,OPQ5,HR,Flat", COS, COS, 3, 0},
        {"RR8,Flat", COS, IP, 2, 0},
        {"Pad30,L2norm,Flat", L1, L1, 2, 0},
        {"Pad30,RR,Flat", L1, -1, 0, 6},
        {"IDMap,HR,Flat", L1, -1, 0, 6},
        {"PCA8,Centre,Flat", IP, -1, 0, 5},
        {"PCA21,Flat", L2, -1, 0, 0},
        {"RR,OPQ3,Flat", L2, -1, 0, 3},
        {"PCA8,PQ3", L2, -1, 0, 5},
        {"L2norm,Linear5,Flat", L2, -1, 0, 7},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kith_index *index = NULL;
        kith_error err = {0};
        int code =
            kith_index_new(&index, DIM, (kith_metric)cases[i].metric, cases[i].spec, NULL, &err);
        if (cases[i].inside < 0) {
            if (code != KITH_ESPEC || err.code != KITH_ESPEC || err.at != cases[i].at)
                fail_msg("%s: %d at %d: %s", cases[i].spec, code, (int)err.at, err.text);
            continue;
        }
        if (code != KITH_OK) fail_msg("%s: %s", cases[i].spec, err.text);
        assert_int_equal(kith_index_train(index, N, rows, NULL, NULL), KITH_OK);
        const struct transform_chain *chain = index_pre_chain(index);
        assert_int_equal(chain->n, cases[i].n_steps);
        assert_int_equal(index_pre_inner(index)->rows.config.metric, cases[i].inside);
        for (uint32_t s = 0; s < chain->n; s++) /* products are of the vectors, not less a mean */
            if (chain->at[s].spec.kind == TRANSFORM_PCA)
                assert_int_equal(chain->at[s].b == NULL, cases[i].metric != L2);
        kith_index_free(index);
    }
}

/* ---- learning ------------------------------------------------------------------------------------ */

static void test_exact_until_trained(void **state) {
    enum { MANY = PRE_TRAIN_ROWS + 10 };
    static float many[MANY * DIM];
    kith_index *index = make("PCA6,HNSW4,SQ8", KITH_METRIC_L2),
               *flat = make("Flat", KITH_METRIC_L2);
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_index_stats stats;
    uint64_t random = 3;
    (void)state;
    for (size_t i = 0; i < MANY * DIM; i++)
        many[i] = (float)(bits_random(&random) >> 40) * 0x1p-24f / (float)(1 + i % DIM);
    assert_int_equal(kith_index_add(index, MANY - 20, many, NULL, NULL, NULL), KITH_OK);
    assert_int_equal(kith_index_add(flat, MANY - 20, many, NULL, NULL, NULL), KITH_OK);
    assert_null(index_pre_inner(index));
    struct answers want = ask(flat, queries, 1, &params), got = ask(index, queries, 1, &params);
    assert_memory_equal(&want, &got, sizeof want);
    assert_int_equal(kith_index_add(index, 20, many + (MANY - 20) * DIM, NULL, NULL, NULL),
                     KITH_OK);
    assert_non_null(index_pre_inner(index));
    kith_index_stats_get(index, &stats);
    assert_int_equal(stats.rows, MANY);
    assert_string_equal(stats.stored, "none");
    assert_string_equal(stats.code, "sq8");
    assert_true(stats.bytes == stats.heap_bytes && stats.bytes < MANY * DIM * sizeof(float) * 3);
    assert_int_equal(kith_index_check(index, NULL), KITH_OK);
    assert_int_equal(kith_index_train(index, N, rows, NULL, NULL), KITH_EINVAL);
    kith_index_free(index);
    kith_index_free(flat);
}

static void test_lists_learn_through_the_chain(void **state) {
    kith_index *index = make_trained("PCA8,IVF10,PQ4,Refine", KITH_METRIC_L2);
    kith_index_stats stats;
    (void)state;
    assert_int_equal(kith_index_add(index, N, rows, named, NULL, NULL), KITH_OK);
    kith_index_stats_get(index, &stats);
    assert_int_equal(stats.lists, 10);
    assert_string_equal(stats.code, "pq");
    assert_string_equal(stats.stored, "u8");
    assert_int_equal(kith_index_train(index, 0, NULL, NULL, NULL), KITH_OK); /* all of it anew */
    assert_int_equal(kith_index_train(index, N / 2, rows, NULL, NULL), KITH_OK);
    assert_int_equal(kith_index_check(index, NULL), KITH_OK);
    kith_index_free(index);
    index = make("PCA8,IVF10,Flat", KITH_METRIC_L2);
    assert_int_equal(kith_index_train(index, 0, NULL, NULL, NULL), KITH_EINVAL);
    assert_int_equal(kith_index_train(index, 5, rows, NULL, NULL), KITH_EINVAL); /* too few */
    assert_int_equal(kith_index_add(index, N, rows, NULL, NULL, NULL), KITH_OK);
    assert_null(index_pre_inner(index)); /* as before */
    assert_int_equal(kith_index_train(index, 0, NULL, NULL, NULL), KITH_OK);
    assert_non_null(index_pre_inner(index));
    kith_index_stats_get(index, &stats);
    assert_int_equal(stats.lists, 10);
    assert_int_equal(kith_index_train(index, N, rows, NULL, NULL), KITH_OK); /* the lists alone */
    assert_int_equal(kith_index_check(index, NULL), KITH_OK);
    kith_index_free(index);
}

static void test_refined(void **state) {
    kith_index *index = make_trained("PCA10,HNSW8,Refine", KITH_METRIC_COSINE);
    kith_index *flat = make("Flat", KITH_METRIC_COSINE);
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    float row[DIM], dist;
    (void)state;
    assert_int_equal(kith_index_add(index, N, rows, named, NULL, NULL), KITH_OK);
    assert_int_equal(kith_index_add(flat, N, rows, named, NULL, NULL), KITH_OK);
    params.k = 10;
    struct answers got = ask(index, queries, N_Q, &params);
    for (size_t i = 0; i < N_Q * 10; i++) {
        assert_int_equal(kith_index_reconstruct(index, got.ids[i], row, NULL), KITH_OK);
        assert_int_equal(kith_distance(KITH_METRIC_COSINE, KITH_TYPE_F32, DIM,
                                       queries + i / 10 * DIM, row, &dist, NULL),
                         KITH_OK);
        assert_true(dist == got.dists[i]);
    }
    params.exact = 1;
    got = ask(index, queries, N_Q, &params);
    struct answers want = ask(flat, queries, N_Q, &params);
    assert_memory_equal(&want, &got, sizeof want);
    kith_index_free(index);
    kith_index_free(flat);
}

static void test_way_back(void **state) {
    static const struct {
        const char *spec;
        double most; /* of a row's error; the whole of a unit vector: direction only */
    } cases[] = {{"RR,Flat", 1e-4}, {"HR,SQfp16", 0.05}, {"PCA20,Flat", 1e-4}, {"PCA16,Flat", 4}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kith_index *index = make_trained(cases[i].spec, KITH_METRIC_L2);
        float row[DIM];
        assert_int_equal(kith_index_add(index, N, rows, named, NULL, NULL), KITH_OK);
        for (size_t r = 0; r < N; r += 9) {
            double off = 0;
            assert_int_equal(kith_index_reconstruct(index, named[r], row, NULL), KITH_OK);
            for (size_t j = 0; j < DIM; j++)
                off += pow((double)row[j] - (double)rows[r * DIM + j], 2);
            if (!(sqrt(off) <= cases[i].most)) fail_msg("%s: %g", cases[i].spec, sqrt(off));
        }
        kith_index_free(index);
    }
}

/* ---- damage, and parts ----------------------------------------------------------------------------- */

static void test_damage_behind_the_transforms(void **state) {
    (void)state;
    for (int keeps = 0; keeps < 2; keeps++) {
        kith_index *index = make_trained(keeps ? "PCA8,Flat,Refine" : "PCA8,Flat", KITH_METRIC_L2);
        kith_error err;
        uint64_t mended = 0;
        assert_int_equal(kith_index_add(index, N, rows, named, NULL, NULL), KITH_OK);
        struct kith_index *inner = (struct kith_index *)(uintptr_t)index_pre_inner(index);
        assert_int_equal(inner->ops->remove(inner, 3, (const int64_t[]){5, 6, 399}, NULL), KITH_OK);
        assert_int_equal(kith_index_check(index, &err), KITH_ECORRUPT);
        assert_non_null(strstr(err.text, "invariant 2"));
        int code = kith_index_repair(index, &mended, &err);
        assert_int_equal(code, keeps ? KITH_OK : KITH_ECORRUPT);
        assert_int_equal(kith_index_check(index, &err), code);
        if (keeps) assert_int_equal(mended, N);
        kith_index_free(index);
    }
}

/* A chain that has no way back: a matrix as other engines' files have them. */
static void make_chain(struct transform_chain *chain) {
    const struct transform_spec spec = {.kind = TRANSFORM_LINEAR, .d_in = DIM, .d_out = 6};
    float a[6 * DIM], b[6];
    for (size_t i = 0; i < 6 * DIM; i++) a[i] = (float)(i * 7 % 5) - 2;
    for (size_t i = 0; i < 6; i++) b[i] = (float)i;
    assert_int_equal(transform_chain_init(chain, DIM, 1, &spec, NULL, NULL), KITH_OK);
    assert_int_equal(transform_set(&chain->at[0], a, b, NULL), KITH_OK);
}

static void test_wrapped(void **state) {
    static float x[N * 6], y[N_Q * 6];
    struct transform_chain chain;
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    char path[64];
    float row[DIM];
    (void)state;
    snprintf(path, sizeof path, "pretransform-%ld.kith", (long)getpid());
    make_chain(&chain);
    transform(&chain, N, rows, x);
    transform(&chain, N_Q, queries, y);
    for (int keeps = 0; keeps < 2; keeps++) {
        kith_index *inner, *plain, *index, *opened;
        kith_error err;
        assert_int_equal(kith_index_new(&inner, 6, KITH_METRIC_IP, "HNSW8", NULL, NULL), KITH_OK);
        assert_int_equal(kith_index_add(inner, N, x, NULL, NULL, NULL), KITH_OK);
        assert_int_equal(kith_index_new(&plain, 6, KITH_METRIC_IP, "HNSW8", NULL, NULL), KITH_OK);
        assert_int_equal(kith_index_add(plain, N, x, named, NULL, NULL), KITH_OK);
        int64_t twice[N] = {0};
        struct pre_parts parts = {.chain = &chain, .inner = inner, .n = N, .ids = twice};
        if (keeps) parts.originals = rows;
        assert_int_equal(index_pre_wrap(&index, &parts, &err), KITH_EDUPLICATE);
        parts.n = N - 1;
        assert_int_equal(index_pre_wrap(&index, &parts, &err), KITH_EINVAL);
        parts.n = N;
        parts.ids = named;
        if (index_pre_wrap(&index, &parts, &err) != KITH_OK) fail_msg("%s", err.text);
        assert_string_equal(index->spec, keeps ? "Linear6,HNSW8,Refine" : "Linear6,HNSW8");
        assert_int_equal(kith_index_save(index, path, NULL), KITH_OK);
        for (int mode = KITH_OPEN_READ; mode <= KITH_OPEN_MAP; mode++) {
            if (kith_index_open(&opened, path, mode, &err) != KITH_OK) fail_msg("%s", err.text);
            assert_int_equal(kith_index_check(opened, NULL), KITH_OK);
            struct answers got = ask(opened, queries, N_Q, &params);
            struct answers again = ask(index, queries, N_Q, &params);
            struct answers want = ask(plain, y, N_Q, &params);
            assert_memory_equal(&got, &again, sizeof got);
            if (!keeps) assert_memory_equal(&got, &want, sizeof got);
            assert_int_equal(kith_index_reconstruct(opened, named[7], row, NULL),
                             keeps ? KITH_OK : KITH_EUNSUPPORTED);
            if (keeps) assert_memory_equal(row, rows + 7 * DIM, sizeof row);
            if (mode == KITH_OPEN_READ) /* it goes on from there */
                assert_int_equal(kith_index_add(opened, 1, rows, NULL, NULL, NULL), KITH_OK);
            kith_index_free(opened);
        }
        kith_index_free(index);
        kith_index_free(plain);
    }
    transform_chain_deinit(&chain);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_are_those_of_transformed_vectors),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_exact_until_trained),
        cmocka_unit_test(test_lists_learn_through_the_chain),
        cmocka_unit_test(test_refined),
        cmocka_unit_test(test_way_back),
        cmocka_unit_test(test_damage_behind_the_transforms),
        cmocka_unit_test(test_wrapped),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
