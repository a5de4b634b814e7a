/* The same answer everywhere: same rows, options and seed give the same file, byte for byte, and the same results, bit for
 * bit, at every instruction set that runs here and at any number of threads.
 *
 *     test_everywhere                  runs itself under each KITH_ISA with 1, 2 and 3 threads, and compares
 *     test_everywhere lives THREADS    prints one line a life of an index: hashes of its file and of its answers
 *
 * A life is what changes an index: a bulk add, one into what is there, a few rows more, removals, replacements. The lines
 * of another machine are compared by cross/everywhere.sh. */
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

#include "base/bits.h"
#include "base/file.h"
#include "kern/kern.h"

enum {
    DIM = 37,
    FIRST = 1300,
    MORE = 500,
    LAST = 30,
    N = FIRST + MORE + LAST,
    QUERIES = 40,
    K = 10
};
enum { LINES_BYTES = 4096 };

static const struct {
    const char *spec;
    kith_metric metric;
    bool whole;
} lives[] = {
    {"Flat", KITH_METRIC_L2, false},
    {"Flat", KITH_METRIC_COSINE, true},
    {"Flat,SQ8", KITH_METRIC_IP, false},
    {"SQ8", KITH_METRIC_COSINE, false},
    {"SQfp16", KITH_METRIC_L1, false},
    {"HNSW8", KITH_METRIC_L2, false},
    {"HNSW8", KITH_METRIC_L2, true},
    {"HNSW8", KITH_METRIC_L1, false},
    {"HNSW8,SQ8", KITH_METRIC_COSINE, false},
    {"HNSW8,SQ8,Refine", KITH_METRIC_L2, false},
    {"HNSW8,SQfp16,Refine", KITH_METRIC_COSINE, false},
    {"HNSW8,SQ8,Refine(SQfp16)", KITH_METRIC_IP, false},
};
enum { LIVES = sizeof lives / sizeof *lives };

static float rows[N * DIM], queries[QUERIES * DIM];

/* ---- one life ---------------------------------------------------------------------------------- */

static void fill(float *x, size_t n, uint64_t seed, bool whole) {
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = bits_random(&seed);
        x[i] = whole ? (float)(bits >> 56) : (float)(bits >> 40) * 0x1p-23f - 1;
    }
}

static uint64_t hash_of(uint64_t hash, const void *bytes, size_t n) {
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++) hash = bits_mix(hash ^ p[i]);
    return hash;
}

static void must(int code, const kith_error *err) {
    if (code == KITH_OK) return;
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

static void live(kith_index *index, uint32_t threads) {
    kith_work work = KITH_WORK_INIT;
    kith_error err;
    int64_t ids[120];
    work.threads = threads;
    must(kith_index_add(index, FIRST, rows, NULL, &work, &err), &err);
    must(kith_index_add(index, MORE, rows + FIRST * DIM, NULL, &work, &err), &err);
    must(kith_index_add(index, LAST, rows + (FIRST + MORE) * DIM, NULL, &work, &err), &err);
    for (int64_t i = 0; i < 120; i++) ids[i] = 7 * i + 1;
    must(kith_index_remove(index, 120, ids, &err), &err);
    for (int64_t i = 0; i < 40; i++) ids[i] = 11 * i;
    for (int64_t i = 0; i < 40; i++) ids[i] += ids[i] % 7 == 1; /* those are gone */
    must(kith_index_update(index, 40, rows + 100 * DIM, ids, &work, &err), &err);
    must(kith_index_add(index, 300, rows, NULL, &work, &err), &err);
}

static uint64_t hash_file(const kith_index *index, uint64_t *bytes) {
    char path[] = "/tmp/kith-everywhere-XXXXXX";
    struct file_map map;
    kith_error err;
    int fd = mkstemp(path);
    if (fd < 0) exit(1);
    close(fd);
    must(kith_index_save(index, path, &err), &err);
    must(file_map_open(&map, path, &err), &err);
    uint64_t hash = hash_of(0, map.bytes, *bytes = map.size);
    file_map_close(&map);
    unlink(path);
    return hash;
}

/* One by one and all at once, by the graph and exactly, under a filter, and within a radius. */
static uint64_t hash_answers(const kith_index *index, uint32_t threads) {
    static int64_t ids[QUERIES * K];
    static float dists[QUERIES * K];
    uint64_t hash = 0, bits[(N + 63) / 64];
    kith_range_result *range;
    kith_error err;
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) bits[i] = 0x9249249249249249u;
    for (int way = 0; way < 6; way++) {
        kith_search_params params = KITH_SEARCH_PARAMS_INIT;
        params.exact = way % 2;
        params.threads = threads;
        if (way >= 4) params.filter = (kith_filter){.bits = bits, .n_bits = N};
        size_t step = way == 2 || way == 3 ? QUERIES : 1;
        for (size_t i = 0; i < QUERIES; i += step)
            must(kith_index_search(index, step, queries + i * DIM, &params, ids + i * K,
                                   dists + i * K, &err),
                 &err);
        hash = hash_of(hash_of(hash, ids, sizeof ids), dists, sizeof dists);
    }
    must(kith_index_range_search(index, 3, queries, dists[K - 1], NULL, &range, &err), &err);
    hash = hash_of(hash, range->ids, range->start[3] * sizeof *range->ids);
    hash = hash_of(hash, range->dists, range->start[3] * sizeof *range->dists);
    kith_range_result_free(range);
    return hash;
}

static int print_lives(uint32_t threads) {
    for (size_t i = 0; i < LIVES; i++) {
        kith_index *index;
        kith_error err;
        uint64_t bytes;
        fill(rows, N * DIM, 1, lives[i].whole);
        fill(queries, QUERIES * DIM, 2, lives[i].whole);
        must(kith_index_new(&index, DIM, lives[i].metric, lives[i].spec, NULL, &err), &err);
        live(index, threads);
        uint64_t file = hash_file(index, &bytes);
        printf("%s %s%s: %llu bytes %016llx, answers %016llx\n", lives[i].spec,
               kith_metric_name(lives[i].metric), lives[i].whole ? " whole" : "",
               (unsigned long long)bytes, (unsigned long long)file,
               (unsigned long long)hash_answers(index, threads));
        kith_index_free(index);
    }
    return 0;
}

/* ---- all of them ------------------------------------------------------------------------------- */

static char self[4096];

static void run_lives(const char *level, unsigned threads, char lines[LINES_BYTES]) {
    char command[4400];
    snprintf(command, sizeof command, "KITH_ISA=%s '%s' lives %u", level, self, threads);
    FILE *out = popen(command, "r");
    assert_true(out != NULL);
    size_t n = fread(lines, 1, LINES_BYTES - 1, out);
    lines[n] = '\0';
    if (pclose(out) != 0) fail_msg("%s failed", command);
}

/* The first line in which two runs differ. */
static void fail_line(const char *level, unsigned threads, const char *want, const char *got) {
    size_t at = 0;
    for (size_t i = 0; want[i] && want[i] == got[i]; i++)
        if (want[i] == '\n') at = i + 1;
    fail_msg("%s with %u threads: %.*s, not %.*s", level, threads, (int)strcspn(got + at, "\n"),
             got + at, (int)strcspn(want + at, "\n"), want + at);
}

static void test_same_everywhere(void **state) {
    static char want[LINES_BYTES], got[LINES_BYTES];
    const struct kern *levels[8];
    size_t n = kern_levels(levels, 8);
    (void)state;
    run_lives("scalar", 1, want);
    for (size_t i = 0, lines = 0; want[i] || lines != LIVES; lines += want[i++] == '\n')
        if (!want[i]) fail_msg("%zu lines of %d", lines, LIVES);
    for (size_t i = 0; i < n; i++)
        for (unsigned threads = 1; threads <= 3; threads++) {
            bool best = i == n - 1;
            if (!best && threads != 1 + (i + 1) % 3)
                continue; /* each level once, the best with all */
            run_lives(levels[i]->name, threads, got);
            if (strcmp(want, got) != 0) fail_line(levels[i]->name, threads, want, got);
        }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_everywhere)};
    if (argc == 3 && strcmp(argv[1], "lives") == 0) return print_lives((uint32_t)atoi(argv[2]));
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
