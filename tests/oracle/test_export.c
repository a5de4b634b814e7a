/* Indexes of Kith as FAISS files: what is written is read again as an index that gives the same, and, where Python has
 * FAISS, faiss_reads.py asks FAISS itself (the files, queries and answers then lie in $KITH_EXPORT_DIR).
 *
 * Rows are 4,200 of dimension 24, with ids of their own in every second index; every tenth row is removed. Distances agree
 * but for sums in another order; those of quantised lists are estimates in Kith, exact after the way there and back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <kith/foreign.h>
#include <kith/kith.h>

enum { N = 4200, DIM = 24, N_Q = 20, K = 10 };

struct made {
    const char *spec;
    kith_metric metric;
    float tolerance; /* of distances, relative to the k-th */
};

#define ALIKE  2e-5f /* sums in another order */
#define STEPS  1e-2f /* steps of scalar codes, cut to 16 bits; queries of 8 bits */
#define COARSE 5e-2f /* tables of 8 bits */

#define ONLY_THERE "PCA16,IVF16,PQ8,RFlat" /* under cosine */

static const struct made made[] = {
    {"Flat", KITH_METRIC_L2, ALIKE},
    {"Flat", KITH_METRIC_IP, ALIKE},
    {"Flat", KITH_METRIC_COSINE, ALIKE},
    {"Flat", KITH_METRIC_L1, ALIKE},
    {"Flat", KITH_METRIC_EUCLID, ALIKE},
    {"Flat,SQ8", KITH_METRIC_L2, ALIKE},
    {"SQ8", KITH_METRIC_L2, STEPS},
    {"SQ8", KITH_METRIC_COSINE, STEPS},
    {"SQ4", KITH_METRIC_L2, STEPS},
    {"SQ6", KITH_METRIC_IP, STEPS},
    {"SQfp16", KITH_METRIC_L2, ALIKE},
    {"SQbf16", KITH_METRIC_COSINE, ALIKE},
    {"PQ6", KITH_METRIC_L2, ALIKE},
    {"PQ12x4", KITH_METRIC_IP, COARSE},
    {"PQ6,RFlat", KITH_METRIC_L2, ALIKE},
    {"HNSW8", KITH_METRIC_L2, ALIKE},
    {"HNSW8", KITH_METRIC_COSINE, ALIKE},
    {"HNSW8,SQ8", KITH_METRIC_L2, STEPS},
    {"HNSW8,SQ8,Refine", KITH_METRIC_IP, ALIKE},
    {"HNSW8,SQfp16", KITH_METRIC_L2, ALIKE},
    {"HNSW8,PQ6", KITH_METRIC_L2, ALIKE},
    {"IVF16,Flat", KITH_METRIC_L2, ALIKE},
    {"IVF16,Flat", KITH_METRIC_COSINE, ALIKE},
    {"IVF16_HNSW4,Flat", KITH_METRIC_IP, ALIKE},
    {"IVF16,SQ8", KITH_METRIC_L2, STEPS},
    {"IVF16,SQ4", KITH_METRIC_COSINE, STEPS},
    {"IVF16,SQfp16", KITH_METRIC_L2, ALIKE},
    {"IVF16,PQ6", KITH_METRIC_L2, ALIKE},
    {"IVF16,PQ6", KITH_METRIC_IP, ALIKE},
    {"IVF16,PQ12x4,RFlat", KITH_METRIC_L2, ALIKE},
    {"IVF16,RaBitQ4,Refine", KITH_METRIC_L2, ALIKE},
    {"PCA12,IVF16,Flat", KITH_METRIC_L2, ALIKE},
    {"OPQ6,PQ6", KITH_METRIC_IP, ALIKE},
    {"RR24,HNSW8,SQ8", KITH_METRIC_L2, STEPS},
    {ONLY_THERE, KITH_METRIC_COSINE, ALIKE},
    {"HR,Flat", KITH_METRIC_L2, ALIKE},
    {"L2norm,SQ8", KITH_METRIC_L2, STEPS},
    {"Pad32,SQ4", KITH_METRIC_L2, STEPS},
};

static float rows[N * DIM], queries[N_Q * DIM];
static FILE *manifest;

static void fill(void) {
    uint64_t state = 20261122;
    for (size_t i = 0; i < N * DIM + N_Q * DIM; i++) {
        float sum = 0; /* of four, so that values crowd around 0 */
        for (int j = 0; j < 4; j++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            sum += (float)(state >> 40) / 16777216.0f - 0.5f;
        }
        *(i < N * DIM ? &rows[i] : &queries[i - N * DIM]) = sum + (float)(i / DIM % 7) / 8;
    }
}

static void must(int code, const struct made *m, const kith_error *err) {
    if (code != KITH_OK) fail_msg("%s, metric %d: %s", m->spec, (int)m->metric, err->text);
}

static kith_index *build(const struct made *m, bool with_ids) {
    kith_index *index;
    kith_error err;
    int64_t *ids = malloc(N * sizeof *ids), *gone = malloc(N / 10 * sizeof *gone);
    for (int i = 0; i < N; i++) ids[i] = with_ids ? (int64_t)i * 7 + 1000 : i;
    for (int i = 0; i < N / 10; i++) gone[i] = ids[i * 10 + 3];
    must(kith_index_new(&index, DIM, m->metric, m->spec, NULL, &err), m, &err);
    must(kith_index_train(index, N, rows, NULL, &err), m, &err);
    must(kith_index_add(index, N, rows, with_ids ? ids : NULL, NULL, &err), m, &err);
    must(kith_index_remove(index, N / 10, gone, &err), m, &err);
    free(ids);
    free(gone);
    return index;
}

struct found {
    int64_t ids[N_Q * K];
    float dists[N_Q * K];
};

static void search(const struct made *m, const kith_index *index, struct found *found) {
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_error err;
    params.k = K;
    params.ef = 256;
    params.nprobe = 16;
    params.oversample = 8;
    must(kith_index_search(index, N_Q, queries, &params, found->ids, found->dists, &err), m, &err);
}

/* Each place's distance is the same, and where distances are apart so are ids. */
static void compare(const struct made *m, const struct found *a, const struct found *b, bool root) {
    for (int i = 0; i < N_Q * K; i++) {
        float x = a->dists[i], y = root ? sqrtf(b->dists[i]) : b->dists[i];
        float room = m->tolerance * fmaxf(1, fabsf(a->dists[i / K * K + K - 1]));
        if (!(fabsf(x - y) <= room))
            fail_msg("%s, metric %d: query %d, place %d: %lld at %g, there and back %lld at %g",
                     m->spec, (int)m->metric, i / K, i % K, (long long)a->ids[i], (double)x,
                     (long long)b->ids[i], (double)y);
        bool there = false, last = fabsf(x - a->dists[i / K * K + K - 1]) <= 2 * room;
        for (int j = i / K * K; j < i / K * K + K; j++) there |= b->ids[j] == a->ids[i];
        if (!there && !last)
            fail_msg("%s, metric %d: query %d: %lld is lost", m->spec, (int)m->metric, i / K,
                     (long long)a->ids[i]);
    }
}

static void note(const struct made *m, const char *name, const struct found *found) {
    if (!manifest) return;
    fprintf(manifest, "%s\t%s\t%d\t%g\t", name, m->spec, (int)m->metric, (double)m->tolerance);
    for (int i = 0; i < N_Q * K; i++) fprintf(manifest, "%lld ", (long long)found->ids[i]);
    fputs("|", manifest);
    for (int i = 0; i < N_Q * K; i++) fprintf(manifest, " %.9g", (double)found->dists[i]);
    fputs("\n", manifest);
}

static void check(size_t at, const char *folder) {
    const struct made *m = &made[at];
    char path[4096], name[32];
    kith_index *index = build(m, at % 2 == 1), *again;
    struct found found, back;
    kith_error err;
    kith_conversion out = KITH_CONVERSION_INIT, in = KITH_CONVERSION_INIT;
    snprintf(name, sizeof name, "%02zu.faiss", at);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    search(m, index, &found);
    must(kith_index_export(index, path, &out, &err), m, &err);
    assert_string_equal(out.engine, "FAISS");
    if (strcmp(m->spec, ONLY_THERE) == 0) { /* transforms within transforms, which Kith has not */
        assert_int_equal(kith_index_import(&again, path, NULL, &in, &err), KITH_EUNSUPPORTED);
        note(m, name, &found);
        kith_index_free(index);
        return;
    }
    must(kith_index_import(&again, path, NULL, &in, &err), m, &err);
    assert_int_equal(kith_index_rows(again), kith_index_rows(index));
    search(m, again, &back);
    compare(m, &found, &back, m->metric == KITH_METRIC_EUCLID);
    note(m, name, &found);
    if (!manifest) unlink(path);
    kith_index_free(index);
    kith_index_free(again);
}

static void test_there_and_back(void **state) {
    const char *folder = *state;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) check(i, folder);
}

static void test_refused(void **state) {
    const char *folder = *state;
    static const char *const specs[] = {"RaBitQ", "IVF16,RaBitQ2", "Binary", "HNSW8,RaBitQ4"};
    char path[4096];
    snprintf(path, sizeof path, "%s/refused.faiss", folder);
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        const struct made m = {specs[i], KITH_METRIC_L2, 0};
        kith_error err;
        kith_index *index = build(&m, false);
        assert_int_equal(kith_index_export(index, path, NULL, &err), KITH_EUNSUPPORTED);
        assert_non_null(strstr(err.text, "FAISS has no code"));
        assert_int_not_equal(access(path, F_OK), 0);
        kith_index_free(index);
    }
}

int main(void) {
    static char made_folder[] = "/tmp/kith-export-XXXXXX";
    const char *asked = getenv("KITH_EXPORT_DIR"), *folder = asked ? asked : mkdtemp(made_folder);
    char path[4096];
    fill();
    if (asked) {
        snprintf(path, sizeof path, "%s/manifest.tsv", folder);
        manifest = fopen(path, "w");
        snprintf(path, sizeof path, "%s/queries.f32", folder);
        FILE *file = fopen(path, "wb");
        if (!manifest || !file || fwrite(queries, sizeof queries, 1, file) != 1) return 1;
        fclose(file);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_there_and_back, (void *)(uintptr_t)folder),
        cmocka_unit_test_prestate(test_refused, (void *)(uintptr_t)folder)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (manifest) fclose(manifest);
    if (!asked) rmdir(folder);
    return failed;
}
