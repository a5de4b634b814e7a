/* What is wrong with a parameter is said with the numbers in it: every refused option, search parameter and row, with its
 * code, its place and its whole sentence. A refusal changes nothing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <kith/kith.h>

enum { DIM = 4, N = 20 };

static float rows[N * DIM];

static int make_rows(void **state) {
    (void)state;
    for (int i = 0; i < N * DIM; i++) rows[i] = (float)(i * 7 % 23) + 0.25f;
    return 0;
}

static kith_index *index_of(const char *spec) {
    kith_index *index;
    assert_int_equal(kith_index_new(&index, DIM, KITH_METRIC_L2, spec, NULL, NULL), KITH_OK);
    assert_int_equal(kith_index_add(index, N, rows, NULL, NULL, NULL), KITH_OK);
    return index;
}

static void expect(int got, const kith_error *err, int code, int64_t at, const char *text) {
    assert_string_equal(err->text, text);
    assert_int_equal(got, code);
    assert_int_equal(err->code, code);
    assert_int_equal(err->at, at);
}

/* ---- making ------------------------------------------------------------------------------------ */

static void test_options(void **state) {
    static const struct {
        uint32_t ef_construction;
        float alpha;
        const char *text;
    } cases[] = {
        {65537, 0, "ef_construction 65537, must be 1 to 65536, or 0 for 128"},
        {UINT32_MAX, 1, "ef_construction 4294967295, must be 1 to 65536, or 0 for 128"},
        {64, 0.5f, "alpha 0.5, must be 1 to 2"},
        {64, 2.5f, "alpha 2.5, must be 1 to 2"},
        {64, -1.0f, "alpha -1, must be 1 to 2"},
        {0, NAN, "alpha nan, must be 1 to 2"},
        {0, INFINITY, "alpha inf, must be 1 to 2"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kith_index_options options = KITH_INDEX_OPTIONS_INIT;
        kith_index *index = (kith_index *)(uintptr_t)0x10;
        kith_error err;
        options.ef_construction = cases[i].ef_construction;
        options.alpha = cases[i].alpha;
        int code = kith_index_new(&index, DIM, KITH_METRIC_L2, "HNSW8", &options, &err);
        expect(code, &err, KITH_EINVAL, -1, cases[i].text);
        assert_ptr_equal(index, (void *)(uintptr_t)0x10);
    }
}

/* The least and the greatest values that are allowed, and any seed. */
static void test_options_at_their_limits(void **state) {
    static const kith_index_options cases[] = {
        {.size = sizeof(kith_index_options), .ef_construction = 1, .alpha = 1.0f},
        {.size = sizeof(kith_index_options),
         .ef_construction = 65536,
         .alpha = 2.0f,
         .seed = UINT64_MAX,
         .balance = 1000.0f},
    };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        kith_index *index;
        assert_int_equal(kith_index_new(&index, DIM, KITH_METRIC_L2, "HNSW2", &cases[i], NULL),
                         KITH_OK);
        assert_int_equal(kith_index_add(index, N, rows, NULL, NULL, NULL), KITH_OK);
        assert_int_equal(kith_index_check(index, NULL), KITH_OK);
        kith_index_free(index);
    }
}

static void test_shapes(void **state) {
    kith_index *index;
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    kith_error err;
    (void)state;
    expect(kith_index_new(&index, 0, KITH_METRIC_L2, "HNSW8", NULL, &err), &err, KITH_EDIM, -1,
           "dimension 0, must be 1 to 65536");
    expect(kith_index_new(&index, 65537, KITH_METRIC_L2, "HNSW8", NULL, &err), &err, KITH_EDIM, -1,
           "dimension 65537, must be 1 to 65536");
    expect(kith_index_new(&index, DIM, (kith_metric)9, "HNSW8", NULL, &err), &err, KITH_EINVAL, -1,
           "metric 9 is not known");
    char text[100];
    snprintf(text, sizeof text, "kith_index_options.size is 3, must be %zu: use its _INIT macro",
             sizeof options);
    options.size = 3;
    expect(kith_index_new(&index, DIM, KITH_METRIC_L2, "HNSW8", &options, &err), &err, KITH_EINVAL,
           -1, text);
}

/* The number of links and every other word: where it stands, and what it should be. */
static void test_descriptions(void **state) {
    static const struct {
        const char *spec;
        int64_t at;
        const char *what, *where;
    } cases[] = {
        {"HNSW1", 0, "links of HNSW are 2 to 128", "at offset 0"},
        {"HNSW129", 0, "links of HNSW are 2 to 128", "at offset 0"},
        {"HNSW16,SQ8,SQ8", 11, "cannot stand here", "at offset 11"},
        {"HNSW16,SQ9", 7, "unknown word", "at offset 7"},
        {"Flat,", 5, "a word is missing", "at offset 5"},
        {"Auto,SQ8", 5, "cannot stand here", "at offset 5"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kith_index *index;
        kith_error err;
        char quoted[64];
        snprintf(quoted, sizeof quoted, "\"%s\"", cases[i].spec);
        int code = kith_index_new(&index, DIM, KITH_METRIC_L2, cases[i].spec, NULL, &err);
        assert_int_equal(code, KITH_ESPEC);
        assert_int_equal(err.at, cases[i].at);
        if (!strstr(err.text, cases[i].what) || !strstr(err.text, cases[i].where) ||
            !strstr(err.text, quoted))
            fail_msg("%s: %s", cases[i].spec, err.text);
    }
}

/* ---- searching --------------------------------------------------------------------------------- */

static int pass_all(void *context, int64_t id) {
    (void)context, (void)id;
    return 1;
}

static void test_search_parameters(void **state) {
    static const uint64_t bits = 1;
    kith_search_params cases[10];
    static const struct {
        int code;
        const char *text;
    } wanted[10] = {
        {KITH_EK, "k is 0, must be 1 to 20 here (20 rows)"},
        {KITH_EK, "k is 21, must be 1 to 20 here (20 rows)"},
        {KITH_EINVAL, "ef 65537, at most 65536"},
        {KITH_EINVAL, "oversample -1, must be 0 or more"},
        {KITH_EINVAL, "oversample nan, must be 0 or more"},
        {KITH_EINVAL, "oversample inf, must be 0 or more"},
        {KITH_EFILTER, "a filter is a bit view or a callback, not both"},
        {KITH_EFILTER, "a filter of 77 bits without bits"},
        {KITH_EINVAL, NULL}, /* size too small, too large */
        {KITH_EINVAL, NULL},
    };
    (void)state;
    for (int i = 0; i < 10; i++) cases[i] = (kith_search_params)KITH_SEARCH_PARAMS_INIT;
    cases[0].k = 0;
    cases[1].k = 21;
    cases[2].ef = 65537;
    cases[3].oversample = -1;
    cases[4].oversample = NAN;
    cases[5].oversample = INFINITY;
    cases[6].filter = (kith_filter){.bits = &bits, .n_bits = 64, .pass = pass_all};
    cases[7].filter = (kith_filter){.n_bits = 77};
    cases[8].size = 2;
    cases[9].size = sizeof *cases + 8;
    for (int graph = 0; graph < 2; graph++) {
        kith_index *index = index_of(graph ? "HNSW8,SQ8,Refine" : "Flat,SQ8");
        for (int i = 0; i < 10; i++) {
            int64_t ids[30] = {42};
            float dists[30] = {42};
            char text[100];
            kith_error err;
            snprintf(text, sizeof text,
                     "kith_search_params.size is %u, must be %zu: use its _INIT macro",
                     cases[i].size, sizeof *cases);
            int code = kith_index_search(index, 1, rows, &cases[i], ids, dists, &err);
            expect(code, &err, wanted[i].code, -1, wanted[i].text ? wanted[i].text : text);
            assert_int_equal(ids[0], 42);
            assert_true(dists[0] == 42);
        }
        kith_index_free(index);
    }
}

static void test_queries(void **state) {
    kith_index *index = index_of("HNSW8");
    kith_range_result *range = (kith_range_result *)(uintptr_t)0x10;
    float queries[2 * DIM] = {0};
    int64_t ids[20];
    kith_error err;
    (void)state;
    queries[DIM + 2] = -INFINITY;
    expect(kith_index_search(index, 2, queries, NULL, ids, NULL, &err), &err, KITH_ENONFINITE, 1,
           "query 1: element 2 is -inf");
    queries[DIM + 2] = 1e19f;
    expect(kith_index_search(index, 2, queries, NULL, ids, NULL, &err), &err, KITH_ERANGE, 1,
           "query 1: its squared length is over 4.25353e+37");
    expect(kith_index_range_search(index, 1, queries, NAN, NULL, &range, &err), &err,
           KITH_ENONFINITE, -1, "the radius is not a number");
    assert_ptr_equal(range, (void *)(uintptr_t)0x10);
    kith_index_free(index);
}

/* ---- writing ----------------------------------------------------------------------------------- */

static void test_rows_and_ids(void **state) {
    (void)state;
    for (int graph = 0; graph < 2; graph++) {
        kith_index *index = index_of(graph ? "HNSW8" : "Flat");
        float x[3 * DIM] = {0};
        int64_t ids[3] = {100, 5, 102};
        kith_error err;
        expect(kith_index_add(index, 3, x, ids, NULL, &err), &err, KITH_EDUPLICATE, 1,
               "row 1: id 5 is already present");
        ids[1] = 101, ids[2] = 100;
        expect(kith_index_add(index, 3, x, ids, NULL, &err), &err, KITH_EDUPLICATE, 2,
               "id 100 is given twice, for rows 0 and 2");
        ids[2] = -3;
        expect(kith_index_add(index, 3, x, ids, NULL, &err), &err, KITH_EINVAL, 2,
               "row 2: id -3 is negative");
        ids[2] = 102;
        x[DIM + 3] = NAN;
        expect(kith_index_add(index, 3, x, ids, NULL, &err), &err, KITH_ENONFINITE, 1,
               "row 1: element 3 is nan");
        x[DIM + 3] = 0;
        expect(kith_index_update(index, 3, x, ids, NULL, &err), &err, KITH_ENOTFOUND, 0,
               "row 0: id 100 is not present");
        ids[0] = 3, ids[1] = 77;
        expect(kith_index_remove(index, 2, ids, &err), &err, KITH_ENOTFOUND, 1,
               "id 77 is not present");
        ids[1] = 3;
        expect(kith_index_remove(index, 2, ids, &err), &err, KITH_EDUPLICATE, 1,
               "id 3 is given twice");
        expect(kith_index_reconstruct(index, 77, x, &err), &err, KITH_ENOTFOUND, -1,
               "id 77 is not present");
        expect(kith_index_open(&index, "x", 7, &err), &err, KITH_EINVAL, -1,
               "open mode 7 is none of KITH_OPEN_READ, _MAP, _REPAIR and _CODES");
        assert_int_equal(kith_index_rows(index), N);
        assert_int_equal(kith_index_check(index, NULL), KITH_OK);
        kith_index_free(index);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_options_at_their_limits),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_descriptions),
        cmocka_unit_test(test_search_parameters),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_rows_and_ids),
    };
    return cmocka_run_group_tests(tests, make_rows, NULL);
}
