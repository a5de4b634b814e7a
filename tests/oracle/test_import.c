/* Files of other engines as indexes of Kith give what the engines gave: ids, and distances but for the order of sums.
 *
 *     exact families, lists at equal nprobe     the same ids and distances at each place
 *     fast scan                                 distances within what tables of 8 bits round off
 *     graphs                                    no place worse at ef 64, for Kith walks the same base level from another entry
 *
 * Then the index is saved by Kith and opened again, read and mapped, and must give the same once more. */
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <unistd.h>
#include <cmocka.h>

#include <kith/foreign.h>
#include <kith/kith.h>

#include "foreign_manifest.h"

#define GRAPH_EF 64u   /* the engines' own answers are of 16, FAISS, and 64 */
#define ROUNDING 2e-5f /* sums in another order */
#define STEPS    2e-4f /* steps of scalar codes, cut to 16 bits */
#define TABLES   2e-2f /* tables of 8 bits, of 4 sub-quantisers */

#define TIMES 8

static struct folder ours, theirs;

struct found {
    int64_t ids[N_Q * K];
    float dists[N_Q * K];
};

/* ---- asking ------------------------------------------------------------------------------------ */

static const char *engine_of(const struct want *want) {
    const char *dot = strrchr(want->file, '.');
    return strcmp(dot, ".faiss") == 0     ? "FAISS"
           : strcmp(dot, ".usearch") == 0 ? "usearch"
                                          : "hnswlib";
}

/* Queries as the engine takes them: usearch's bytes are vectors of length 127, cut off. */
static void queries_of(const struct folder *folder, const struct want *want, size_t dim,
                       float *out) {
    for (size_t q = 0; q < N_Q; q++) {
        const float *from = folder->queries + q * folder->query_dim;
        double l2sq = 0;
        for (size_t i = 0; i < dim; i++) l2sq += (double)from[i] * (double)from[i];
        for (size_t i = 0; i < dim; i++)
            out[q * dim + i] = strstr(want->file, "-i8.")
                                   ? (float)trunc((double)from[i] * 127 / sqrt(l2sq))
                                   : from[i];
    }
}

/* Many queries in one call, which lists share, get what each gets alone. */
static void search_together(const struct want *want, const kith_index *index,
                            const kith_search_params *params, const float *queries,
                            const struct found *found) {
    static float many[TIMES * N_Q * DIM_MAX];
    int64_t ids[TIMES * N_Q * K];
    float dists[TIMES * N_Q * K];
    size_t floats = N_Q * kith_index_dim(index);
    kith_error err;
    for (size_t i = 0; i < TIMES; i++) memcpy(many + i * floats, queries, floats * sizeof *many);
    if (kith_index_search(index, TIMES * N_Q, many, params, ids, dists, &err) != KITH_OK)
        fail_msg("%s: %s", want->file, err.text);
    for (size_t i = 0; i < TIMES; i++) {
        assert_memory_equal(ids + i * N_Q * K, found->ids, sizeof found->ids);
        assert_memory_equal(dists + i * N_Q * K, found->dists, sizeof found->dists);
    }
}

static void search(const struct folder *folder, const struct want *want,
                   const kith_conversion *what, const kith_index *index, struct found *found) {
    float queries[N_Q * DIM_MAX];
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_error err;
    params.k = K;
    params.ef = GRAPH_EF;
    params.oversample = what->k_factor ? (float)what->k_factor : 0;
    params.nprobe = strncmp(what->family, "IVF", 3) == 0 ? UINT32_MAX : what->nprobe;
    queries_of(folder, want, kith_index_dim(index), queries);
    if (kith_index_search(index, N_Q, queries, &params, found->ids, found->dists, &err) != KITH_OK)
        fail_msg("%s: %s", want->file, err.text);
    search_together(want, index, &params, queries, found);
    bool similar = kith_index_metric(index) == KITH_METRIC_IP ||
                   kith_index_metric(index) == KITH_METRIC_COSINE;
    if (similar && strcmp(what->engine, "FAISS") != 0)
        for (int i = 0; i < N_Q * K; i++) found->dists[i] = 1 - found->dists[i];
}

/* ---- comparing --------------------------------------------------------------------------------- */

static float tolerance_of(const struct want *want) {
    if (strstr(want->what, "fs")) return TABLES;
    return strstr(want->what, "SQ") || strstr(want->what, "sq") ? STEPS : ROUNDING;
}

static bool near(float a, float b, float tolerance) {
    return fabsf(a - b) <= tolerance * fmaxf(1, fabsf(b));
}

static void compare(const struct want *want, const kith_conversion *what,
                    const struct found *found) {
    bool graph = what->links != KITH_FATE_NONE,
         falling = strcmp(want->metric, "0") == 0 && !strstr(want->file, "usearch");
    float tolerance = tolerance_of(want);
    for (int i = 0; i < N_Q * K; i++) {
        long long id = want->ids[i / K][i % K];
        float dist = want->dists[i / K][i % K], got = found->dists[i];
        bool no_worse = falling && strcmp(engine_of(want), "FAISS") == 0 ? got > dist : got < dist;
        if (!near(got, dist, tolerance) && !(graph && no_worse))
            fail_msg("%s (%s) as %s: query %d, place %d: %lld at %g, found %lld at %g", want->file,
                     want->what, what->spec, i / K, i % K, id, (double)dist,
                     (long long)found->ids[i], (double)got);
        bool there = false, last = near(found->dists[i / K * K + K - 1], dist, tolerance);
        for (int j = i / K * K; j < i / K * K + K; j++)
            there |= found->ids[j] == id && near(found->dists[j], dist, tolerance);
        if (!there && !last && !graph)
            fail_msg("%s (%s) as %s: query %d, place %d: %lld at %g not found", want->file,
                     want->what, what->spec, i / K, i % K, id, (double)dist);
    }
}

/* ---- one file ---------------------------------------------------------------------------------- */

static void check_saved(const struct folder *folder, const struct want *want,
                        const kith_conversion *what, const kith_index *index,
                        const struct found *found) {
    char path[] = "/tmp/kith-import-XXXXXX";
    kith_error err;
    close(mkstemp(path));
    if (kith_index_save(index, path, &err) != KITH_OK) fail_msg("%s: %s", want->file, err.text);
    for (int mode = KITH_OPEN_READ; mode <= KITH_OPEN_MAP; mode++) {
        kith_index *again;
        struct found same;
        if (kith_index_open(&again, path, mode, &err) != KITH_OK ||
            kith_index_check(again, &err) != KITH_OK)
            fail_msg("%s as %s: %s", want->file, what->spec, err.text);
        search(folder, want, what, again, &same);
        assert_memory_equal(same.ids, found->ids, sizeof same.ids);
        assert_memory_equal(same.dists, found->dists, sizeof same.dists);
        kith_index_free(again);
    }
    unlink(path);
}

static void check_file(const struct folder *folder, const struct want *want) {
    char path[4096];
    kith_index *index;
    kith_error err;
    kith_conversion what = KITH_CONVERSION_INIT;
    kith_import_options options = KITH_IMPORT_OPTIONS_INIT;
    struct found found;
    snprintf(path, sizeof path, "%s/%s", folder->path, want->file);
    if (strcmp(engine_of(want), "hnswlib") == 0)
        options.metric = strcmp(want->metric, "0") == 0 ? KITH_METRIC_IP : KITH_METRIC_L2;
    int code = kith_index_import(&index, path, &options, &what, &err);
    if (code != KITH_OK) fail_msg("%s (%s): %s", want->file, want->what, err.text);
    assert_string_equal(what.engine, engine_of(want));
    long removed = strcmp(what.engine, "FAISS") == 0 ? 0 : 3;
    assert_int_equal(kith_index_rows(index), want->ntotal - removed);
    search(folder, want, &what, index, &found);
    compare(want, &what, &found);
    check_saved(folder, want, &what, index, &found);
    kith_index_free(index);
}

static void test_ours(void **state) {
    (void)state;
    assert_int_equal(ours.n_want, 48);
    for (int i = 0; i < ours.n_want; i++) check_file(&ours, &ours.want[i]);
}

static void test_theirs(void **state) {
    (void)state;
    assert_int_equal(theirs.n_want, 38);
    for (int i = 0; i < theirs.n_want; i++) check_file(&theirs, &theirs.want[i]);
}

int main(void) {
    static char our_path[4096], their_path[4096];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ours), cmocka_unit_test(test_theirs)};
    const struct CMUnitTest alone[] = {cmocka_unit_test(test_ours)};
    folder_paths(our_path, their_path);
    folder_load(&ours, our_path);
    if (folder_load(&theirs, their_path)) return cmocka_run_group_tests(tests, NULL, NULL);
    return cmocka_run_group_tests(alone, NULL, NULL);
}
