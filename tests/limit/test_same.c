/* A file that was built of rows that are not held is the one that an add of all of them, and a save, gives: byte for byte,
 * where both have learnt from the same rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "child.h"
#include "index/plan.h"

enum { N = 6000, DIM = 40 };

static char held[64], streamed[64];

struct shape {
    const char *spec;
    kith_metric metric;
    uint64_t limit; /* 0: none */
    uint32_t n;     /* 0: N */
    bool whole;     /* values are whole numbers in 0..255 */
    bool ids;       /* that are not row numbers */
};

static const struct shape shapes[] = {
    {.spec = "Flat"},
    {.spec = "Flat,SQ8"},
    {.spec = "Flat,SQ8", .metric = KITH_METRIC_COSINE, .ids = true},
    {.spec = "Flat,SQ8", .whole = true},
    {.spec = "SQ8", .metric = KITH_METRIC_IP},
    {.spec = "SQfp16", .metric = KITH_METRIC_L1},
    {.spec = "Auto"},
    {.spec = "HNSW8,SQ8,Refine"},
    {.spec = "HNSW8,SQ8,Refine(SQfp16)", .metric = KITH_METRIC_COSINE},
    {.spec = "HNSW8", .whole = true, .ids = true},
    {.spec = "HNSW8,SQ4,Refine", .metric = KITH_METRIC_EUCLID},
    {.spec = "HNSW8,RaBitQ4", .metric = KITH_METRIC_IP},
    {.spec = "HNSW8,SQ4,Refine", .n = 3000}, /* fewer than a quantizer waits for */
    {.spec = "IVF16,Flat"},
    {.spec = "IVF16,Flat", .n = 100}, /* not trained */
    {.spec = "IVF16,SQ8", .ids = true},
    {.spec = "IVF16,SQ8", .whole = true},
    {.spec = "IVF16,SQ8,Refine", .whole = true},
    {.spec = "IVF16,PQ10x4fs,Refine", .metric = KITH_METRIC_COSINE},
    {.spec = "IVF16_HNSW4,RaBitQ,Refine(SQfp16)", .metric = KITH_METRIC_IP},
    {.spec = "IVF16,SQfp16", .metric = KITH_METRIC_L1},
    {.spec = "PQ8,Refine"},
    {.spec = "RaBitQ3", .metric = KITH_METRIC_COSINE},
    {.spec = "Binary,Refine"},
    /* in several blocks, from a smaller sample */
    {.spec = "IVF16,Flat", .limit = 4 * MIB, .n = 30000},
    {.spec = "IVF16,SQ8,Refine", .limit = 5 * MIB, .n = 30000, .ids = true},
    {.spec = "IVF16,PQ8x4fs", .limit = 5 * MIB, .n = 30000, .metric = KITH_METRIC_IP},
    {.spec = "RaBitQ,Refine", .limit = 5 * MIB, .n = 30000},
    {.spec = "Flat,SQ8", .limit = 3 * MIB, .n = 30000, .whole = true},
    {.spec = "HNSW4,SQ8,Refine", .limit = 4 * MIB, .n = 8000},
};

/* Generated rows, perhaps rounded to whole numbers. */
struct source {
    struct generated from;
    bool whole;
};

static int read_source(void *context, uint64_t first, size_t n, float *out, kith_error *err) {
    const struct source *source = context;
    size_t dim = source->from.rows.dim;
    int code = source->from.rows.read((void *)(uintptr_t)&source->from, first, n, out, err);
    for (size_t i = 0; source->whole && i < n * dim; i++) {
        float x = 128 + 16 * out[i];
        out[i] = (float)(int)(x < 0 ? 0 : x > 255 ? 255 : x);
    }
    return code;
}

static void build_held(const struct shape *shape, const kith_rows *rows, uint32_t n_sample) {
    kith_index *index;
    kith_error err;
    size_t dim = rows->dim;
    float *all = malloc(rows->n * dim * sizeof *all),
          *sample = malloc(n_sample * dim * sizeof *all);
    assert_int_equal(rows->read(rows->context, 0, rows->n, all, &err), KITH_OK);
    for (uint64_t i = 0; i < n_sample; i++)
        memcpy(sample + i * dim, all + i * rows->n / n_sample * dim, dim * sizeof *all);
    assert_int_equal(kith_index_new(&index, dim, shape->metric, shape->spec, NULL, &err), KITH_OK);
    if (n_sample && kith_index_train(index, n_sample, sample, NULL, &err) != KITH_OK)
        fail_msg("%s: %s", shape->spec, err.text);
    if (kith_index_add(index, rows->n, all, rows->ids, NULL, &err) != KITH_OK)
        fail_msg("%s: %s", shape->spec, err.text);
    assert_int_equal(kith_index_save(index, held, &err), KITH_OK);
    kith_index_free(index);
    free(all);
    free(sample);
}

static int same_files(const char *a, const char *b) {
    FILE *x = fopen(a, "rb"), *y = fopen(b, "rb");
    int p = 0, q = 0;
    while (x && y && p == q && p != EOF) {
        p = fgetc(x);
        q = fgetc(y);
    }
    int same = x && y && p == q;
    if (x) fclose(x);
    if (y) fclose(y);
    return same;
}

/* The sample that a build of this shape draws; 0 where the index learns from what is added. */
static uint32_t sample_of(const struct shape *shape, const kith_rows *rows) {
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    struct index_plan plan;
    kith_index *index;
    options.memory_limit = shape->limit;
    assert_int_equal(kith_index_new(&index, rows->dim, shape->metric, shape->spec, &options, NULL),
                     KITH_OK);
    assert_int_equal(index_plan(&plan, index, rows->n, 1, NULL), KITH_OK);
    bool lists = index->ops == &ivf_ops && rows->n >= 4096;
    kith_index_free(index);
    return lists ? plan.n_sample : 0;
}

static void files_are_the_same(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct shape *shape = &shapes[i];
        struct source source = {.whole = shape->whole};
        int64_t *ids = malloc(30000 * sizeof *ids);
        kith_index_options options = KITH_INDEX_OPTIONS_INIT;
        kith_build how = KITH_BUILD_INIT;
        kith_work work = KITH_WORK_INIT;
        kith_error err;
        generate(&source.from, shape->n ? shape->n : N, DIM, i);
        for (int64_t j = 0; j < 30000; j++) ids[j] = 7 * (29999 - j);
        kith_rows rows = {.n = source.from.rows.n,
                          .dim = DIM,
                          .read = read_source,
                          .context = &source,
                          .ids = shape->ids ? ids : NULL};
        work.threads = i % 2 ? 2 : 1;
        options.memory_limit = shape->limit;
        how.metric = shape->metric;
        how.spec = shape->spec;
        how.options = &options;
        how.work = shape->limit ? NULL : &work;
        if (kith_index_build(streamed, &rows, &how, &err) != KITH_OK)
            fail_msg("%s: %s", shape->spec, err.text);
        build_held(shape, &rows, sample_of(shape, &rows));
        if (!same_files(held, streamed)) fail_msg("%zu: %s differs", i, shape->spec);
        kith_index *index;
        assert_int_equal(kith_index_open(&index, streamed, KITH_OPEN_READ, &err), KITH_OK);
        assert_int_equal(kith_index_check(index, &err), KITH_OK);
        assert_int_equal(kith_index_rows(index), rows.n);
        kith_index_free(index);
        free(ids);
    }
}

/* Opened with codes in memory and originals mapped, an index answers as ever, and takes no writes. */
static void codes_answer_as_all(void **state) {
    static const char *const specs[] = {"Flat,SQ8",  "HNSW8,SQ8,Refine", "IVF16,PQ10x4fs,Refine",
                                        "IVF16,SQ8", "PQ8,Refine",       "HNSW8"};
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        struct generated from;
        kith_build how = KITH_BUILD_INIT;
        kith_error err;
        generate(&from, N, DIM, i);
        how.spec = specs[i];
        assert_int_equal(kith_index_build(streamed, &from.rows, &how, &err), KITH_OK);
        kith_index *all, *codes;
        assert_int_equal(kith_index_open(&all, streamed, KITH_OPEN_READ, &err), KITH_OK);
        assert_int_equal(kith_index_open(&codes, streamed, KITH_OPEN_CODES, &err), KITH_OK);
        kith_search_params params = KITH_SEARCH_PARAMS_INIT;
        int64_t ids[2][40 * 10];
        float dists[2][40 * 10], *queries = generate_all(&from);
        for (int exact = 0; exact < 2; exact++) {
            params.exact = exact;
            assert_int_equal(kith_index_search(all, 40, queries, &params, ids[0], dists[0], &err),
                             KITH_OK);
            assert_int_equal(kith_index_search(codes, 40, queries, &params, ids[1], dists[1], &err),
                             KITH_OK);
            assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
            assert_memory_equal(dists[0], dists[1], sizeof dists[0]);
        }
        kith_index_stats of_all, of_codes;
        kith_index_stats_get(all, &of_all);
        kith_index_stats_get(codes, &of_codes);
        assert_int_equal(of_all.mapped_bytes, 0);
        bool maps = strstr(specs[i], "Refine") || strcmp(specs[i], "Flat,SQ8") == 0;
        assert_int_equal(of_codes.mapped_bytes, maps ? N * DIM * sizeof(float) : 0);
        assert_int_equal(of_codes.heap_bytes + of_codes.mapped_bytes, of_all.heap_bytes);
        assert_int_equal(kith_index_check(codes, &err), KITH_OK);
        assert_int_equal(kith_index_add(codes, 1, queries, NULL, NULL, &err), KITH_EREADONLY);
        kith_index_free(all);
        kith_index_free(codes);
        free(queries);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(files_are_the_same),
                                       cmocka_unit_test(codes_answer_as_all)};
    snprintf(held, sizeof held, "limit-held-%d.kith", (int)getpid());
    snprintf(streamed, sizeof streamed, "limit-streamed-%d.kith", (int)getpid());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(held);
    unlink(streamed);
    return failed;
}
