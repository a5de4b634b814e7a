/* Old files open for ever: a file of each kind, written by version 1 and kept beside this text, must open by reading and
 * by mapping, pass its check, and hold what it held then. What that was is made again here from the same formula.
 *
 *     test_golden write DIRECTORY      writes the files anew (only when a new version adds some) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <kith/kith.h>

enum { DIM = 10, N = 80, K = 7, N_Q = 12 };

static const struct golden {
    const char *name, *spec;
    kith_metric metric;
    int bytes;   /* values are integers in 0..255 */
    int churned; /* explicit ids, rows removed */
} golden[] = {
    {"flat-l2", "Flat", KITH_METRIC_L2, 0, 0},
    {"flat-cosine-churned", "Flat", KITH_METRIC_COSINE, 0, 1},
    {"flat-u8-euclid", "Flat", KITH_METRIC_EUCLID, 1, 0},
    {"flat-sq8-ip", "Flat,SQ8", KITH_METRIC_IP, 0, 1},
    {"sq8-l2", "SQ8", KITH_METRIC_L2, 0, 0},
    {"sqfp16-l1", "SQfp16", KITH_METRIC_L1, 0, 0},
    {"sqbf16-ip", "SQbf16", KITH_METRIC_IP, 0, 0},
    {"hnsw-l2-churned", "HNSW6", KITH_METRIC_L2, 0, 1},
    {"hnsw-u8-l2", "HNSW6,SQ8", KITH_METRIC_L2, 1, 0},
    {"hnsw-sq8-refine-cosine", "HNSW6,SQ8,Refine", KITH_METRIC_COSINE, 0, 0},
    {"hnsw-sqfp16-ip", "HNSW6,SQfp16", KITH_METRIC_IP, 0, 0},
    {"pca-refine-l2-churned", "PCA7,Flat,Refine", KITH_METRIC_L2, 0, 1},
    {"pca-rotated-cosine", "PCAR6,Flat", KITH_METRIC_COSINE, 0, 0},
    {"hadamard-hnsw-ip", "HR,HNSW6", KITH_METRIC_IP, 0, 0},
    {"opq-l2norm-ip-churned", "OPQ5,L2norm,Pad12,Flat", KITH_METRIC_IP, 0, 1},
};
enum { N_GOLDEN = sizeof golden / sizeof *golden };

/* Whole numbers below 2^15 only, so that every machine makes the same rows. */
static void make_rows(int bytes, size_t n, float *rows) {
    uint32_t state = 12345;
    for (size_t i = 0; i < n * DIM; i++) {
        state = state * 1664525u + 1013904223u;
        rows[i] = bytes ? (float)(state >> 24) : (float)(int32_t)(state >> 17) / 1024.0f - 16.0f;
    }
}

static kith_index *make(const struct golden *kind) {
    static float rows[(N + 20) * DIM];
    kith_index *index;
    kith_error err;
    int64_t ids[N + 20];
    make_rows(kind->bytes, N + 20, rows);
    for (int i = 0; i < N + 20; i++) ids[i] = (int64_t)1000 * ((i * 37) % (N + 20)) + 5;
    assert_int_equal(kith_index_new(&index, DIM, kind->metric, kind->spec, NULL, &err), KITH_OK);
    assert_int_equal(kith_index_train(index, N, rows, NULL, &err), KITH_OK); /* transforms learn */
    assert_int_equal(kith_index_add(index, N, rows, kind->churned ? ids : NULL, NULL, &err),
                     KITH_OK);
    if (kind->churned) {
        assert_int_equal(kith_index_remove(index, 20, ids + 30, &err), KITH_OK);
        assert_int_equal(kith_index_add(index, 20, rows + N * DIM, ids + N, NULL, &err), KITH_OK);
    }
    return index;
}

static const char *golden_path(const struct golden *kind, const char *directory) {
    static char path[4096];
    const char *root = getenv("KITH_SOURCE_ROOT");
    if (directory)
        snprintf(path, sizeof path, "%s/%s.kith", directory, kind->name);
    else
        snprintf(path, sizeof path, "%s/tests/golden/%s.kith", root ? root : ".", kind->name);
    return path;
}

static void ask(const kith_index *index, int exact, int64_t *ids, float *dists) {
    float queries[N_Q * DIM];
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_error err;
    make_rows(0, N_Q, queries);
    params.k = K;
    params.ef = N;
    params.exact = exact;
    for (int i = 0; i < N_Q * DIM; i++) queries[i] += 0.25f;
    assert_int_equal(kith_index_search(index, N_Q, queries, &params, ids, dists, &err), KITH_OK);
}

static void compare(const struct golden *kind, const kith_index *old, const kith_index *made) {
    int64_t old_ids[N_Q * K], ids[N_Q * K];
    float old_dists[N_Q * K], dists[N_Q * K], old_row[DIM], row[DIM];
    kith_index_stats old_stats, stats;
    kith_error err;
    kith_index_stats_get(old, &old_stats);
    kith_index_stats_get(made, &stats);
    assert_string_equal(old_stats.spec, stats.spec);
    assert_string_equal(old_stats.code, stats.code);
    assert_string_equal(old_stats.stored, stats.stored);
    assert_int_equal(old_stats.metric, kind->metric);
    assert_int_equal(old_stats.rows, stats.rows);
    ask(made, 1, ids, dists);
    for (int exact = 0; exact <= 1;
         exact++) { /* with a pool as large as the index a walk finds the same */
        ask(old, exact, old_ids, old_dists);
        assert_memory_equal(old_ids, ids, sizeof ids);
        assert_memory_equal(old_dists, dists, sizeof dists);
    }
    for (int i = 0; i < N + 20; i++) {
        int64_t id = kind->churned ? (int64_t)1000 * i + 5 : i;
        assert_int_equal(kith_index_contains(old, id), kith_index_contains(made, id));
        if (!kith_index_contains(made, id)) continue;
        assert_int_equal(kith_index_reconstruct(old, id, old_row, &err), KITH_OK);
        assert_int_equal(kith_index_reconstruct(made, id, row, &err), KITH_OK);
        assert_memory_equal(old_row, row, sizeof row);
    }
}

static void check_golden(const struct golden *kind) {
    kith_index *made = make(kind);
    float row[DIM];
    kith_error err;
    for (int mode = KITH_OPEN_READ; mode <= KITH_OPEN_MAP; mode++) {
        kith_index *old;
        if (kith_index_open(&old, golden_path(kind, NULL), mode, &err) != KITH_OK)
            fail_msg("%s: %s", kind->name, err.text);
        if (kith_index_check(old, &err) != KITH_OK) fail_msg("%s: %s", kind->name, err.text);
        compare(kind, old, made);
        if (mode == KITH_OPEN_READ) { /* and it goes on from there */
            memset(row, 0, sizeof row);
            assert_int_equal(kith_index_add(old, 1, row, NULL, NULL, &err), KITH_OK);
            assert_int_equal(kith_index_rows(old), kith_index_rows(made) + 1);
        }
        kith_index_free(old);
    }
    kith_index_free(made);
}

static void test_old_files_open(void **state) {
    (void)state;
    for (size_t i = 0; i < N_GOLDEN; i++) check_golden(&golden[i]);
}

static int write_all(const char *directory) {
    for (size_t i = 0; i < N_GOLDEN; i++) {
        kith_index *index = make(&golden[i]);
        kith_error err;
        if (kith_index_save(index, golden_path(&golden[i], directory), &err) != KITH_OK) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
        kith_index_free(index);
    }
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_old_files_open)};
    if (argc == 3 && strcmp(argv[1], "write") == 0) return write_all(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
