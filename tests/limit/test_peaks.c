/* Under hard limits of address space and residence: builds far smaller than their rows, searches of files larger than what
 * they may have in memory, and estimates that are right.
 *
 *     test_limit_peaks         some seconds
 *     test_limit_peaks long    more of it: graphs, 784 dimensions, a million rows */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "child.h"

static char path[64];

struct job {
    struct generated from;
    const char *spec;
    uint64_t limit;
    int open;
    int64_t *found; /* 100 x 10 */
};

static kith_build how_of(const struct job *job, kith_index_options *options) {
    kith_build how = KITH_BUILD_INIT;
    options->memory_limit = job->limit;
    how.spec = job->spec;
    how.options = options;
    return how;
}

static int build(void *context, uint64_t *value, kith_error *err) {
    const struct job *job = context;
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    kith_build how = how_of(job, &options);
    (void)value;
    return kith_index_build(path, &job->from.rows, &how, err);
}

/* A sum of the ids that 100 queries find, and the heap and map of the index. */
static int search(void *context, uint64_t *value, kith_error *err) {
    const struct job *job = context;
    struct generated queries;
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_index *index;
    int64_t ids[100 * 10];
    float *x, dists[100 * 10];
    generate(&queries, 100, job->from.rows.dim, job->from.seed + 1);
    x = generate_all(&queries);
    int code = kith_index_open(&index, path, job->open, err);
    if (code != KITH_OK) return code;
    for (size_t i = 0; i < 100 && code == KITH_OK; i++)
        code = kith_index_search(index, 1, x + i * job->from.rows.dim, &params, ids + i * 10,
                                 dists + i * 10, err);
    *value = 0;
    for (size_t i = 0; i < 1000; i++) *value = *value * 31 + (uint64_t)ids[i];
    kith_index_free(index);
    free(x);
    return code;
}

static int heap_of(void *context, uint64_t *value, kith_error *err) {
    const struct job *job = context;
    kith_index *index;
    kith_index_stats stats;
    int code = kith_index_open(&index, path, job->open, err);
    if (code != KITH_OK) return code;
    kith_index_stats_get(index, &stats);
    *value = stats.heap_bytes;
    kith_index_free(index);
    return code;
}

static uint64_t raw_bytes(const struct job *job) {
    return job->from.rows.n * job->from.rows.dim * sizeof(float);
}

/* Leave nothing of a file in the system's cache: what it has is mapped in pieces of up to 2 MiB when one byte is touched,
 * and counts as resident. */
static void evict(const char *name) {
    int fd = open(name, O_RDONLY);
    if (fd < 0) return;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static uint64_t size_of(const char *name) {
    FILE *file = fopen(name, "rb");
    uint64_t bytes = file && fseek(file, 0, SEEK_END) == 0 ? (uint64_t)ftell(file) : 0;
    if (file) fclose(file);
    return bytes;
}

static void assert_ok(const struct outcome *outcome, const char *spec) {
    if (outcome->code != KITH_OK) fail_msg("%s: %d %s", spec, outcome->code, outcome->text);
}

/* Build within a limit, in an address space that has no room for more, and search what was built. */
static void build_and_search(const char *spec, uint64_t n, size_t dim, uint64_t limit) {
    struct job job = {.spec = spec, .limit = limit};
    generate(&job.from, n, dim, 11);
    assert_true(limit < raw_bytes(&job) / 2);
    struct outcome built = child_run(build, &job, limit + 8 * MIB);
    assert_ok(&built, spec);
    if (built.peak > limit)
        fail_msg("%s: %.1f MiB, the limit is %.1f", spec, (double)built.peak / (double)MIB,
                 (double)limit / (double)MIB);

    if (strncmp(spec, "Flat", 4) == 0) return; /* a scan reads originals, here and there */
    job.open = KITH_OPEN_READ;
    struct outcome all = child_run(search, &job, 0);
    assert_ok(&all, spec);
    job.open = KITH_OPEN_CODES;
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    kith_build how = how_of(&job, &options);
    kith_plan plan = KITH_PLAN_INIT;
    assert_int_equal(kith_index_plan(&plan, n, dim, &how, NULL), KITH_OK);
    evict(path); /* the map counts as address space, touched or not */
    struct outcome codes = child_run(search, &job, size_of(path) + plan.codes_bytes + 12 * MIB);
    assert_ok(&codes, spec);
    assert_int_equal(codes.value, all.value);
    if (codes.peak > plan.codes_bytes + plan.codes_bytes / 6 + 48 * MIB)
        fail_msg("%s: a search has %.1f MiB, its codes %.1f", spec,
                 (double)codes.peak / (double)MIB, (double)plan.codes_bytes / (double)MIB);
    if (strstr(spec, "Refine")) assert_true(codes.peak < all.peak - raw_bytes(&job) / 2);
}

/* An estimate against what was measured, within 15 % and a megabyte. */
static void check_estimate(const char *spec, const char *what, uint64_t told, uint64_t had) {
    uint64_t off = told > had ? told - had : had - told;
    if (off > had * 15 / 100 + MIB)
        fail_msg("%s: %s is estimated at %.1f MiB, and was %.1f", spec, what,
                 (double)told / (double)MIB, (double)had / (double)MIB);
}

static void estimate(const char *spec, uint64_t n, size_t dim, uint64_t limit) {
    struct job job = {.spec = spec, .limit = limit};
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    kith_build how = how_of(&job, &options);
    kith_plan plan = KITH_PLAN_INIT;
    generate(&job.from, n, dim, 12);
    assert_int_equal(kith_index_plan(&plan, n, dim, &how, NULL), KITH_OK);
    struct outcome built = child_run(build, &job, 0);
    assert_ok(&built, spec);
    check_estimate(spec, "the build", plan.build_bytes, built.peak);
    uint64_t bytes = size_of(path);
    check_estimate(spec, "the file", plan.file_bytes, bytes);
    for (int mode = 0; mode < 2; mode++) {
        job.open = mode ? KITH_OPEN_CODES : KITH_OPEN_READ;
        struct outcome opened = child_run(heap_of, &job, 0);
        assert_ok(&opened, spec);
        check_estimate(spec, mode ? "an open of codes" : "an open",
                       mode ? plan.codes_bytes : plan.read_bytes, opened.value);
    }
}

static void builds_and_searches_stay_within(void **state) {
    (void)state;
    build_and_search("IVF256,SQ8,Refine", 200000, 128, 32 * MIB);
    build_and_search("RaBitQ,Refine", 200000, 128, 24 * MIB);
    build_and_search("Flat,SQ8", 100000, 128, 12 * MIB);
    build_and_search("IVF64,Flat", 100000, 128, 12 * MIB);
}

static void estimates_are_right(void **state) {
    (void)state;
    estimate("Flat,SQ8", 60000, 96, 0);
    estimate("IVF64,SQ8,Refine", 60000, 96, 0);
    estimate("IVF64,PQ16x4fs", 60000, 96, 16 * MIB);
    estimate("HNSW8,SQ8,Refine", 8000, 384, 0);
}

static void builds_and_searches_stay_within_long(void **state) {
    (void)state;
    build_and_search("IVF1024,SQ8,Refine", 1000000, 128, 96 * MIB);
    build_and_search("IVF1024_HNSW16,RaBitQ4", 1000000, 128, 96 * MIB);
    build_and_search("HNSW16,SQ8,Refine", 100000, 512, 96 * MIB);
    build_and_search("IVF256,PQ196x4fs,Refine", 60000, 784, 60 * MIB);
}

static void estimates_are_right_long(void **state) {
    static const char *const specs[] = {"Flat",
                                        "SQfp16",
                                        "SQ8",
                                        "HNSW16",
                                        "HNSW16,SQ8",
                                        "HNSW32,SQfp16",
                                        "HNSW16,SQ4,Refine",
                                        "HNSW16,PQ32",
                                        "IVF256,Flat",
                                        "IVF256,SQ8",
                                        "IVF1024_HNSW32,SQ4,Refine",
                                        "IVF256,RaBitQ,Refine",
                                        "PQ32",
                                        "RaBitQ4,Refine"};
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        estimate(specs[i], 60000, 128, 0);
        estimate(specs[i], 60000, 128, 44 * MIB);
        estimate(specs[i], 20000, 784, 0);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest brief[] = {cmocka_unit_test(builds_and_searches_stay_within),
                                       cmocka_unit_test(estimates_are_right)};
    const struct CMUnitTest extended[] = {cmocka_unit_test(builds_and_searches_stay_within_long),
                                          cmocka_unit_test(estimates_are_right_long)};
    if (!child_can_measure()) {
        printf("1..0 # SKIP memory is not measured under a sanitizer\n");
        return 0;
    }
    snprintf(path, sizeof path, "limit-peaks-%d.kith", (int)getpid());
    int failed = argc > 1 && strcmp(argv[1], "long") == 0
                     ? cmocka_run_group_tests(extended, NULL, NULL)
                     : cmocka_run_group_tests(brief, NULL, NULL);
    unlink(path);
    return failed;
}
