/* Every allocation fails once: the call says so, nothing has changed, nothing is lost.
 *
 * An operation is called again and again with the first, the second, … allocation in it failing, until it
 * needs no more. Each time it must answer KITH_ENOMEM (or manage without, and then it has done its work),
 * the index must answer every query as before, pass its check, and hold as many blocks as before but for
 * scratch that a search may keep. In the end, everything freed, not one block is left. */
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

#include <kith/kith.h>

#include "base/mem.h"

enum { DIM = 12, ROWS = 300, K = 10, PROBES = 3, BATCH = 40 };

static const char *const specs[] = {"Flat",
                                    "Flat,SQ8",
                                    "SQ8",
                                    "SQfp16",
                                    "HNSW6",
                                    "HNSW6,SQ8,Refine",
                                    "HNSW6,SQfp16",
                                    "Auto",
                                    "IVF4,Flat",
                                    "IVF4_HNSW2,SQ4,Refine",
                                    "PQ4,Refine(SQ8)",
                                    "PCA6,HNSW6,Refine",
                                    "HR,Flat",
                                    "L2norm,OPQ3,IVF4,PQ3x4fs,Refine(SQfp16)"};
enum { SPECS = sizeof specs / sizeof *specs };

static float smooth[ROWS * DIM], whole[ROWS * DIM], queries[BATCH * DIM];
static int64_t named[ROWS];
static char path[64];

struct bench {
    const char *spec;
    kith_metric metric;
    kith_index *index;
    int64_t answer_ids[PROBES * K];
    float answer_dists[PROBES * K];
    uint64_t rows;
    size_t n_removed;
};

typedef int (*operation)(struct bench *bench, kith_error *err);

static float draw(void) {
    static uint64_t state = 9;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)(state >> 40) * 0x1p-24f;
}

static void ask(const struct bench *bench, int64_t *ids, float *dists) {
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_error err;
    params.exact = 1;
    params.k = K;
    for (int i = 0; i < PROBES * K; i++) ids[i] = KITH_NO_ID, dists[i] = 0;
    if (kith_index_rows(bench->index) < K) return;
    if (kith_index_search(bench->index, PROBES, queries, &params, ids, dists, &err) != KITH_OK)
        fail_msg("%s: a search after a failure: %s", bench->spec, err.text);
}

static void remember(struct bench *bench) {
    ask(bench, bench->answer_ids, bench->answer_dists);
    bench->rows = kith_index_rows(bench->index);
}

/* Where a code stands for the originals, an add or update that fails may leave them coded anew: the same but for a
 * rounding (docs/limits.md, and kith_index_add says so). */
static int same_answers(const struct bench *bench, const char *what, const int64_t *ids,
                        const float *dists) {
    if (!strstr(bench->spec, "Refine(SQ8)") || (!strstr(what, "add") && !strstr(what, "update")))
        return memcmp(ids, bench->answer_ids, sizeof bench->answer_ids) == 0 &&
               memcmp(dists, bench->answer_dists, sizeof bench->answer_dists) == 0;
    for (int i = 0; i < PROBES * K; i++)
        if (!(fabsf(dists[i] - bench->answer_dists[i]) <= 0.01f * dists[i])) return 0;
    return 1;
}

static void expect_unchanged(const struct bench *bench, const char *what, uint64_t nth) {
    int64_t ids[PROBES * K];
    float dists[PROBES * K];
    kith_error err = {0};
    ask(bench, ids, dists);
    if (kith_index_rows(bench->index) != bench->rows || !same_answers(bench, what, ids, dists))
        fail_msg("%s: %s changed the index when allocation %d failed", bench->spec, what, (int)nth);
    if (kith_index_check(bench->index, &err) != KITH_OK)
        fail_msg("%s: %s, allocation %d: %s", bench->spec, what, (int)nth, err.text);
}

/* Run an operation through all of its failures, until it makes no more allocations than succeed.
 * Returns how many failed. */
static uint64_t fail_each(struct bench *bench, const char *what, operation run) {
    kith_error err = {0};
    for (uint64_t nth = 1;; nth++) {
        if (bench->index) remember(bench);
        mem_test_fail_at(nth);
        int code = run(bench, &err);
        uint64_t calls = mem_test_calls();
        mem_test_fail_at(0);
        if (calls < nth) {
            if (code == KITH_OK) return nth - 1;
            fail_msg("%s: %s gave %s: %s", bench->spec, what, kith_code_name(code), err.text);
        }
        if (code == KITH_OK) continue; /* it managed without, and will be repeated */
        if (code != KITH_ENOMEM || err.code != KITH_ENOMEM)
            fail_msg("%s: %s gave %s at allocation %d: %s", bench->spec, what, kith_code_name(code),
                     (int)nth, err.text);
        if (bench->index) expect_unchanged(bench, what, nth);
        if (nth > 10000) fail_msg("%s: %s never ends", bench->spec, what);
    }
}

/* ---- operations --------------------------------------------------------------------------------- */

static int op_new(struct bench *bench, kith_error *err) {
    return kith_index_new(&bench->index, DIM, bench->metric, bench->spec, NULL, err);
}

static int op_train(struct bench *bench, kith_error *err) {
    return kith_index_train(bench->index, 100, whole, NULL, err);
}

static int op_add_whole(struct bench *bench, kith_error *err) {
    return kith_index_add(bench->index, 100, whole, NULL, NULL, err);
}

static int op_add_smooth(struct bench *bench, kith_error *err) {
    return kith_index_add(bench->index, 20, smooth, NULL, NULL, err);
}

static int op_add_named(struct bench *bench, kith_error *err) {
    kith_work work = KITH_WORK_INIT;
    work.threads = 2;
    int code = kith_index_add(bench->index, 200, smooth + (size_t)20 * DIM, named, &work, err);
    return code == KITH_EDUPLICATE
               ? KITH_OK
               : code; /* a failure that only kept lists as they were: added before */
}

static int op_add_one(struct bench *bench, kith_error *err) {
    static int64_t id = 500000;
    int code = kith_index_add(bench->index, 1, smooth + (size_t)250 * DIM, &id, NULL, err);
    id += code == KITH_OK;
    return code;
}

/* Two rows, others each time. */
static int op_remove(struct bench *bench, kith_error *err) {
    int code = kith_index_remove(bench->index, 2, named + bench->n_removed, err);
    if (code == KITH_OK) bench->n_removed += 2;
    return code;
}

static int op_update(struct bench *bench, kith_error *err) {
    return kith_index_update(bench->index, 30, smooth + (size_t)220 * DIM, named + 100, NULL, err);
}

static int odd(void *context, int64_t id) {
    (void)context;
    return (int)(id & 1);
}

static int search(struct bench *bench, size_t n, int exact, int filtered, kith_error *err) {
    static int64_t ids[BATCH * K];
    static float dists[BATCH * K];
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    params.k = K;
    params.ef = 40;
    params.exact = exact;
    if (filtered) params.filter.pass = odd;
    return kith_index_search(bench->index, n, queries, &params, ids, dists, err);
}

static int op_search(struct bench *bench, kith_error *err) { return search(bench, 1, 0, 0, err); }
static int op_batch(struct bench *bench, kith_error *err) {
    return search(bench, BATCH, 0, 0, err);
}
static int op_exact(struct bench *bench, kith_error *err) {
    return search(bench, BATCH, 1, 0, err);
}
static int op_filter(struct bench *bench, kith_error *err) { return search(bench, 2, 0, 1, err); }

static int op_range(struct bench *bench, kith_error *err) {
    kith_range_result *result;
    int code = kith_index_range_search(bench->index, 3, queries, 1e9f, NULL, &result, err);
    if (code == KITH_OK) kith_range_result_free(result);
    return code;
}

static int op_save(struct bench *bench, kith_error *err) {
    return kith_index_save(bench->index, path, err);
}

/* A fresh index, so that every search is a thread's first. */
static int open_as(int mode, operation then, kith_error *err) {
    struct bench opened = {0};
    int code = kith_index_open(&opened.index, path, mode, err);
    if (code != KITH_OK) return code;
    if (then) code = then(&opened, err);
    kith_index_free(opened.index);
    return code;
}

#define OP_FIRST(name, mode, then)                          \
    static int name(struct bench *bench, kith_error *err) { \
        (void)bench;                                        \
        return open_as(mode, then, err);                    \
    }
OP_FIRST(op_read, KITH_OPEN_READ, NULL)
OP_FIRST(op_map, KITH_OPEN_MAP, NULL)
OP_FIRST(op_first_search, KITH_OPEN_READ, op_search)
OP_FIRST(op_first_search_of_map, KITH_OPEN_MAP, op_search)
OP_FIRST(op_first_batch, KITH_OPEN_READ, op_batch)
OP_FIRST(op_first_exact, KITH_OPEN_READ, op_exact)
OP_FIRST(op_first_filter, KITH_OPEN_MAP, op_filter)
OP_FIRST(op_first_range, KITH_OPEN_READ, op_range)

static int op_check(struct bench *bench, kith_error *err) {
    return kith_index_check(bench->index, err);
}

static int op_repair(struct bench *bench, kith_error *err) {
    uint64_t mended = 0;
    return kith_index_repair(bench->index, &mended, err);
}

static int op_reconstruct(struct bench *bench, kith_error *err) {
    float row[DIM];
    return kith_index_reconstruct(bench->index, named[150], row, err);
}

static const struct {
    const char *name;
    operation run;
    int allocates; /* surely */
} operations[] = {
    {"new", op_new, 1},
    {"train", op_train, 0},
    {"the first add", op_add_whole, 1},
    {"a search", op_search, 0},
    {"an add that changes the code", op_add_smooth, 1},
    {"an add with ids", op_add_named, 1},
    {"a batch", op_batch, 0},
    {"an exact batch", op_exact, 0},
    {"a filtered search", op_filter, 0},
    {"a range search", op_range, 1},
    {"save", op_save, 1},
    {"open by reading", op_read, 1},
    {"open by mapping", op_map, 1},
    {"a first search", op_first_search, 1},
    {"a first search of a map", op_first_search_of_map, 1},
    {"a first batch", op_first_batch, 1},
    {"a first exact batch", op_first_exact, 1},
    {"a first filtered search", op_first_filter, 1},
    {"a first range search", op_first_range, 1},
    {"check", op_check, 0},
    {"remove", op_remove, 1},
    {"update", op_update, 1},
    {"add one", op_add_one, 1},
    {"repair", op_repair, 0},
    {"reconstruct", op_reconstruct, 0},
};

static void test_spec(void **state) {
    struct bench bench = {.spec = *(const char *const *)*state};
    bool turns =
        strstr(bench.spec, "PCA") || strstr(bench.spec, "OPQ") || strstr(bench.spec, "HR,");
    kith_metric last = turns ? KITH_METRIC_COSINE : KITH_METRIC_L1;
    for (bench.metric = KITH_METRIC_L2; bench.metric <= last; bench.metric++) {
        uint64_t live = mem_live_blocks();
        bench.index = NULL;
        bench.n_removed = 0;
        for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
            uint64_t failures = fail_each(&bench, operations[i].name, operations[i].run);
            if (operations[i].allocates && failures == 0)
                fail_msg("%s: %s made no allocation", bench.spec, operations[i].name);
        }
        kith_index_free(bench.index);
        assert_int_equal(mem_live_blocks(), live);
    }
    unlink(path);
}

/* ---- without an index ----------------------------------------------------------------------------- */

static int op_matrix(struct bench *bench, kith_error *err) {
    static float out[50 * 60];
    (void)bench;
    return kith_distance_matrix(KITH_METRIC_COSINE, KITH_TYPE_F32, DIM, 50, smooth, 60, whole, out,
                                err);
}

static int op_half_matrix(struct bench *bench, kith_error *err) {
    static uint16_t a[20 * DIM], b[30 * DIM];
    static float out[20 * 30];
    (void)bench;
    return kith_distance_matrix(KITH_METRIC_L2, KITH_TYPE_F16, DIM, 20, a, 30, b, out, err);
}

static int op_half_distances(struct bench *bench, kith_error *err) {
    static uint16_t a[20 * DIM];
    float out[20];
    (void)bench;
    return kith_distances(KITH_METRIC_IP, KITH_TYPE_BF16, DIM, a, 20, a, out, err);
}

static int op_eval(struct bench *bench, kith_error *err) {
    static int64_t got[10 * K], truth[10 * K];
    kith_eval eval;
    (void)bench;
    return kith_eval_knn(10, K, got, K, truth, K, NULL, NULL, 0, &eval, err);
}

static void test_arithmetic(void **unused) {
    (void)unused;
    struct bench bench = {.spec = "arithmetic"};
    uint64_t live = mem_live_blocks();
    assert_true(fail_each(&bench, "matrix", op_matrix) > 0);
    assert_true(fail_each(&bench, "matrix of halves", op_half_matrix) > 0);
    assert_true(fail_each(&bench, "distances of halves", op_half_distances) > 0);
    assert_true(fail_each(&bench, "eval", op_eval) > 0);
    assert_int_equal(mem_live_blocks(), live);
}

/* A save that fails leaves the old file, and no temporary. */
static void test_failed_save_keeps_the_file(void **unused) {
    (void)unused;
    struct bench bench = {.spec = "Flat", .metric = KITH_METRIC_L2};
    kith_error err;
    kith_index *opened;
    assert_int_equal(op_new(&bench, &err), KITH_OK);
    assert_int_equal(op_add_whole(&bench, &err), KITH_OK);
    assert_int_equal(op_save(&bench, &err), KITH_OK);
    assert_int_equal(op_add_smooth(&bench, &err), KITH_OK);
    mem_test_fail_at(1);
    assert_int_equal(op_save(&bench, &err), KITH_ENOMEM);
    mem_test_fail_at(0);
    assert_int_equal(kith_index_open(&opened, path, KITH_OPEN_READ, &err), KITH_OK);
    assert_int_equal(kith_index_rows(opened), 100);
    kith_index_free(opened);
    kith_index_free(bench.index);
    unlink(path);
}

int main(void) {
    static struct CMUnitTest tests[SPECS + 2];
    for (size_t i = 0; i < (size_t)ROWS * DIM; i++) {
        smooth[i] = draw() - 0.3f;
        whole[i] = floorf(draw() * 256);
    }
    for (size_t i = 0; i < (size_t)BATCH * DIM; i++) queries[i] = draw() * (i % 2 ? 1.0f : 200.0f);
    for (int i = 0; i < ROWS; i++) named[i] = 1000 + 7 * (int64_t)((i * 37) % ROWS);
    snprintf(path, sizeof path, "oom-%d.kith", (int)getpid());
    for (size_t i = 0; i < SPECS; i++)
        tests[i] = (struct CMUnitTest){.name = specs[i],
                                       .test_func = test_spec,
                                       .initial_state = (void *)(uintptr_t)&specs[i]};
    tests[SPECS] = (struct CMUnitTest)cmocka_unit_test(test_arithmetic);
    tests[SPECS + 1] = (struct CMUnitTest)cmocka_unit_test(test_failed_save_keeps_the_file);
    return cmocka_run_group_tests_name("oom", tests, NULL, NULL);
}
