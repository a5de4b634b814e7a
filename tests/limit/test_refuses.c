/* Limits that are too small, inputs that are wrong, and memory that is not there: said with numbers, and nothing changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "child.h"

enum { N = 5000, DIM = 32 };

static char path[64];

struct bad {
    struct generated from;
    uint64_t reads, bad_row; /* calls; the row that has a NaN, N: none */
    int code;                /* what reading answers */
};

static int read_bad(void *context, uint64_t first, size_t n, float *out, kith_error *err) {
    struct bad *bad = context;
    bad->reads++;
    if (bad->code != KITH_OK) {
        if (err) {
            err->code = bad->code;
            snprintf(err->text, sizeof err->text, "the tape is torn");
        }
        return bad->code;
    }
    int code = bad->from.rows.read(&bad->from, first, n, out, err);
    if (bad->bad_row >= first && bad->bad_row < first + n)
        out[(bad->bad_row - first) * DIM + 3] = 0.0f / (float)(n > UINT32_MAX);
    return code;
}

static kith_rows rows_of(struct bad *bad, uint64_t n, size_t dim) {
    *bad = (struct bad){.bad_row = UINT64_MAX};
    generate(&bad->from, n, dim, 1);
    return (kith_rows){.n = n, .dim = dim, .read = read_bad, .context = bad};
}

static int build(const kith_rows *rows, const char *spec, uint64_t limit, kith_error *err) {
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    kith_build how = KITH_BUILD_INIT;
    options.memory_limit = limit;
    how.spec = spec;
    how.options = &options;
    return kith_index_build(path, rows, &how, err);
}

static void assert_says(const kith_error *err, const char *text) {
    if (!strstr(err->text, text)) fail_msg("\"%s\" does not say \"%s\"", err->text, text);
}

static void a_limit_says_what_is_needed_and_what_fits(void **state) {
    (void)state;
    kith_error err;
    struct bad bad;
    kith_rows rows = rows_of(&bad, 1000000, 784);
    assert_int_equal(build(&rows, "HNSW16,SQ8", 500 * MIB, &err), KITH_ENOMEM);
    assert_says(&err, "HNSW16,SQ8 of 1000000 x 784 needs ");
    assert_says(&err, "memory_limit is 500.0 MiB");
    assert_says(&err, "within it: IVF2048,SQ8,Refine (");
    assert_int_equal(bad.reads, 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(build(&rows, "Flat", 10000, &err), KITH_ENOMEM);
    assert_says(&err, "nothing known fits it");
}

static void wrong_input_is_named(void **state) {
    (void)state;
    kith_error err;
    struct bad bad;
    int64_t ids[N];
    kith_rows rows = rows_of(&bad, N, DIM);
    bad.bad_row = 4321;
    assert_int_equal(build(&rows, "IVF16,SQ8", 9 * MIB, &err), KITH_ENONFINITE);
    assert_int_equal(err.at, 4321);
    rows = rows_of(&bad, N, DIM);
    bad.code = KITH_EIO;
    assert_int_equal(build(&rows, "Flat", 0, &err), KITH_EIO);
    assert_says(&err, "the tape is torn");
    rows = rows_of(&bad, N, DIM);
    for (int i = 0; i < N; i++) ids[i] = i / 2 * 2 + 7;
    rows.ids = ids;
    assert_int_equal(build(&rows, "HNSW8", 0, &err), KITH_EDUPLICATE);
    assert_int_equal(err.at, 1);
    ids[0] = -5;
    assert_int_equal(build(&rows, "HNSW8", 0, &err), KITH_EINVAL);
    rows = rows_of(&bad, 0, DIM);
    assert_int_equal(build(&rows, "Flat", 0, &err), KITH_EEMPTY);
    kith_plan plan = KITH_PLAN_INIT;
    assert_int_equal(kith_index_plan(&plan, 0, DIM, NULL, &err), KITH_EEMPTY);
    rows = rows_of(&bad, N, 0);
    assert_int_equal(build(&rows, "Flat", 0, &err), KITH_EDIM);
    rows = rows_of(&bad, N, DIM);
    assert_int_equal(build(&rows, "Nonsense", 0, &err), KITH_ESPEC);
    assert_int_equal(kith_index_build("/nowhere/x.kith", &rows, NULL, &err), KITH_EIO);
    assert_int_equal(kith_index_build(NULL, &rows, NULL, &err), KITH_EINVAL);
    assert_int_equal(access(path, F_OK), -1);
}

/* Every allocation fails once; what was at the path stays. */
static void every_allocation_fails_once(void **state) {
    static const char *const specs[] = {"Flat,SQ8", "HNSW4,SQ8,Refine", "IVF4,SQ8,Refine", "PQ4"};
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        kith_error err;
        struct bad bad;
        int64_t ids[N];
        kith_rows rows = rows_of(&bad, N, DIM);
        for (int j = 0; j < N; j++) ids[j] = 2 * j;
        rows.ids = ids;
        int code = KITH_ENOMEM;
        uint64_t live = mem_live_blocks();
        for (uint64_t nth = 1; code != KITH_OK; nth += nth < 60 ? 1 : nth / 8) {
            mem_test_fail_at(nth);
            code = build(&rows, specs[i], 0, &err);
            mem_test_fail_at(0);
            if (code != KITH_OK && code != KITH_ENOMEM)
                fail_msg("%s, allocation %d: %s", specs[i], (int)nth, err.text);
            assert_int_equal(mem_live_blocks(), live);
            if (code != KITH_OK) assert_int_equal(access(path, F_OK), -1);
        }
        assert_int_equal(unlink(path), 0);
    }
}

/* ---- a ceiling ---------------------------------------------------------------------------------- */

static void an_index_stays_below_its_ceiling(void **state) {
    static const char *const specs[] = {"Flat", "HNSW8,SQ8,Refine", "IVF16,SQ8",
                                        "IVF16_HNSW4,PQ8,Refine"};
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        kith_index_options options = KITH_INDEX_OPTIONS_INIT;
        kith_index_stats stats;
        kith_index *index;
        kith_error err;
        struct generated from;
        generate(&from, 20 * N, DIM, i);
        float *x = generate_all(&from);
        options.memory_limit = 4 * MIB;
        assert_int_equal(kith_index_new(&index, DIM, KITH_METRIC_L2, specs[i], &options, &err),
                         KITH_OK);
        uint64_t rows = 0;
        int code = KITH_OK;
        for (; code == KITH_OK && rows < 20 * N; rows = kith_index_rows(index)) {
            code = kith_index_add(index, 1000, x + rows * DIM, NULL, NULL, &err);
            kith_index_stats_get(index, &stats);
            assert_true(stats.heap_bytes <= options.memory_limit);
        }
        assert_int_equal(code, KITH_ENOMEM);
        assert_says(&err, "(memory_limit 4194304: ");
        assert_true(rows >= 5000 && kith_index_rows(index) == rows);
        assert_int_equal(kith_index_check(index, &err), KITH_OK);
        /* what is there is found, and room that removal makes is room again */
        int64_t ids[2000];
        kith_search_params params = KITH_SEARCH_PARAMS_INIT;
        params.k = 1;
        params.nprobe = 16;
        if (kith_index_search(index, 1, x, &params, ids, NULL, &err) == KITH_OK)
            assert_int_equal(ids[0], 0);
        for (int64_t j = 0; j < 2000; j++) ids[j] = j;
        assert_int_equal(kith_index_remove(index, 2000, ids, &err), KITH_OK);
        assert_int_equal(kith_index_rows(index), rows - 2000);
        kith_index_free(index);
        free(x);
    }
}

static void scratch_of_searches_is_counted(void **state) {
    (void)state;
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    kith_index *index;
    kith_error err;
    struct generated from;
    generate(&from, N, DIM, 9);
    float *x = generate_all(&from), dists[64 * 10];
    int64_t ids[64 * 10];
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_index_stats stats;
    assert_int_equal(kith_index_new(&index, DIM, KITH_METRIC_L2, "Flat", &options, &err), KITH_OK);
    assert_int_equal(kith_index_add(index, N, x, NULL, NULL, &err), KITH_OK);
    kith_index_stats_get(index, &stats);
    kith_index_free(index);
    options.memory_limit =
        stats.heap_bytes + N * sizeof(uint32_t) + 4096; /* an add's row numbers */
    assert_int_equal(kith_index_new(&index, DIM, KITH_METRIC_L2, "Flat", &options, &err), KITH_OK);
    assert_int_equal(kith_index_add(index, N, x, NULL, NULL, &err), KITH_OK);
    assert_int_equal(kith_index_search(index, 64, x, &params, ids, dists, &err), KITH_ENOMEM);
    assert_says(&err, "more wanted)");
    assert_int_equal(kith_index_search(index, 1, x, &params, ids, dists, &err), KITH_OK);
    assert_int_equal(ids[0], 0);
    kith_index_free(index);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_says_what_is_needed_and_what_fits),
        cmocka_unit_test(wrong_input_is_named),
        cmocka_unit_test(every_allocation_fails_once),
        cmocka_unit_test(an_index_stays_below_its_ceiling),
        cmocka_unit_test(scratch_of_searches_is_counted),
    };
    snprintf(path, sizeof path, "limit-refused-%d.kith", (int)getpid());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
