/* Lists read by register tiles: queries together get the bits that they get one by one, where codes are bytes and where
 * they become bytes, for whole queries and others, near the origin and far from it, in lists of several chunks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <kith/kith.h>

#include "base/bits.h"

enum { ROWS = 4000, N_Q = 150, K = 10, DIM_MAX = 301 };

static float rows[ROWS * DIM_MAX], queries[N_Q * DIM_MAX];

struct shape {
    size_t dim;
    bool whole_rows, whole_queries;
    float offset;
};

static float value(uint64_t *state, bool whole, float offset) {
    float x = (float)(bits_random(state) >> 40) * 0x1p-24f;
    return whole ? (float)(int)(x * 256) : x * 4 + offset;
}

static void fill(const struct shape *shape) {
    uint64_t state = 7;
    for (size_t i = 0; i < ROWS * shape->dim; i++)
        rows[i] = value(&state, shape->whole_rows, shape->offset);
    for (size_t i = 0; i < N_Q * shape->dim; i++)
        queries[i] = value(&state, shape->whole_queries, shape->offset);
}

struct answers {
    int64_t ids[N_Q * K];
    float dists[N_Q * K];
};

static void ask(const kith_index *index, size_t dim, size_t together, uint32_t nprobe,
                struct answers *answers) {
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_error err;
    params.k = K;
    params.nprobe = nprobe;
    for (size_t i = 0; i < N_Q; i += together)
        if (kith_index_search(index, together, queries + i * dim, &params, answers->ids + i * K,
                              answers->dists + i * K, &err) != KITH_OK)
            fail_msg("%s", err.text);
}

static void compare(const struct shape *shape, const char *spec, kith_metric metric) {
    static struct answers one, many;
    kith_index *index;
    kith_error err;
    if (kith_index_new(&index, shape->dim, metric, spec, NULL, &err) != KITH_OK ||
        kith_index_add(index, ROWS, rows, NULL, NULL, &err) != KITH_OK)
        fail_msg("%s: %s", spec, err.text);
    for (uint32_t nprobe = 1; nprobe <= 8; nprobe += 3) {
        ask(index, shape->dim, 1, nprobe, &one);
        ask(index, shape->dim, N_Q, nprobe, &many);
        for (size_t i = 0; i < N_Q * K; i++)
            if (one.ids[i] != many.ids[i] || one.dists[i] != many.dists[i])
                fail_msg("%s, metric %d, dim %zu: query %zu, place %zu: id %lld at %.9g alone, "
                         "%lld at %.9g among others",
                         spec, (int)metric, shape->dim, i / K, i % K, (long long)one.ids[i],
                         (double)one.dists[i], (long long)many.ids[i], (double)many.dists[i]);
    }
    kith_index_free(index);
}

static void test_byte_lists(void **state) {
    (void)state;
    /* 301 x 255^2 is beyond 2^24: some estimates are not exact */
    const struct shape shapes[] = {
        {301, true, true, 0}, {301, true, false, 0}, {64, true, true, 0}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        fill(&shapes[i]);
        for (kith_metric metric = KITH_METRIC_L2; metric <= KITH_METRIC_L1; metric++)
            compare(&shapes[i], "IVF8,Flat", metric);
        compare(&shapes[i], "IVF8,SQ8", KITH_METRIC_L2);
    }
}

static void test_scalar_lists(void **state) {
    (void)state;
    static const char *const specs[] = {"IVF8,SQ8",        "IVF8,SQ4,Refine", "IVF8,SQ6",
                                        "IVF8,SQ8,Refine", "IVF8,SQ4",        "IVF8,Binary,Refine"};
    const struct shape shapes[] = {
        {100, false, false, 0}, {60, false, false, 1000}, {128, false, false, -3}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        fill(&shapes[i]);
        for (size_t s = 0; s < sizeof specs / sizeof *specs; s++)
            for (kith_metric metric = KITH_METRIC_L2; metric <= KITH_METRIC_COSINE; metric++)
                compare(&shapes[i], specs[s], metric);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_lists),
        cmocka_unit_test(test_scalar_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
