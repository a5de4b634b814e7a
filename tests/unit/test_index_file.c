/* Index files: what was saved is what is opened, read or mapped; a file that is not whole is refused or reported, bit by
 * bit and byte by byte; and a file that somebody made up may lie, but not crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include <kith/kith.h>

#include "base/bits.h"
#include "base/file.h"

int __wrap_fsync(int fd);

/* Hundreds of files are saved here; that each is synced is another test's question. */
int __wrap_fsync(int fd) {
    (void)fd;
    return 0;
}

enum { DIM = 6, N = 150, K = 8, N_Q = 5 };

static const char *const specs[] = {
    "Flat",
    "Flat,SQ8",
    "SQ8",
    "SQfp16",
    "SQbf16",
    "HNSW4",
    "HNSW4,SQ8",
    "Auto",
    "HNSW4,SQ8,Refine",
    "HNSW4,SQfp16",
    "IVF4,Flat",
    "IVF4_HNSW2,SQ4,Refine",
    "IVF3,SQ6",
    "PQ3x4fs",
    "IVF2,PQ2,Refine(SQfp16)",
    "IVF3,PQ2x4fs,Refine(SQ8)",
    "IVF2,SQ4,Refine(SQ6)",
    "Pad8,SQ8",
    "L2norm,HNSW4,SQfp16,Refine(SQ8)",
    "PCA3,HNSW4",
    "OPQ2,IVF3,PQ2x4fs,Refine",
    "HR,IVF2_HNSW2,Flat,Refine(SQfp16)",
    "PCAWR4,RR6,L2norm,Pad8,Centre,PCAR5,RR5,OPQ5,IVF12_HNSW32,RaBitQ8,"
    "Refine(SQfp16)"};
enum { N_SPECS = sizeof specs / sizeof *specs };

enum content { PLAIN, BYTES, CHURNED, EMPTY, CONTENTS };

static float rows[2 * N * DIM];
static char path[64];    /* where indexes are saved */
static char damaged[64]; /* where damaged files are put: memory, because there are so many */
static int damaged_fd;

static int begin(void **state) {
    uint64_t random = 5;
    (void)state;
    for (size_t i = 0; i < 2 * N * DIM; i++)
        rows[i] = (float)(bits_random(&random) >> 40) * 0x1p-23f - 1;
    snprintf(path, sizeof path, "index-file-%ld.kith", (long)getpid());
    damaged_fd = memfd_create("damaged", 0);
    snprintf(damaged, sizeof damaged, "/proc/self/fd/%d", damaged_fd);
    return 0;
}

static int end(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

/* What rotates does not keep Manhattan distances, and a mean that is taken away changes products. */
static bool suits(const char *spec, kith_metric metric) {
    bool turns = strstr(spec, "PCA") || strstr(spec, "OPQ") || strstr(spec, "HR,");
    bool shifts = strstr(spec, "Centre") != NULL;
    return !(turns && metric == KITH_METRIC_L1) &&
           !(shifts && (metric == KITH_METRIC_IP || metric == KITH_METRIC_COSINE));
}

/* So that files have the section CALB too. */
static void calibrate(kith_index *index, const float *x) {
    static const uint32_t k[] = {1, K};
    kith_calibrate_options how = KITH_CALIBRATE_OPTIONS_INIT;
    kith_error err;
    how.k = k;
    how.n_k = 2;
    how.n_rows = 10;
    how.base = x;
    how.n_base = N;
    if (kith_index_calibrate(index, &how, NULL, &err)) fail_msg("%s", err.text);
}

static kith_index *make(const char *spec, kith_metric metric, enum content content) {
    kith_index *index;
    kith_error err;
    int64_t ids[N];
    float bytes[N * DIM];
    assert_int_equal(kith_index_new(&index, DIM, metric, spec, NULL, &err), KITH_OK);
    if (content == EMPTY) return index;
    for (int i = 0; i < N * DIM; i++) bytes[i] = (float)(i * 61 % 256);
    const float *x = content == BYTES ? bytes : rows;
    assert_int_equal(kith_index_train(index, N, x, NULL, &err), KITH_OK);
    assert_int_equal(kith_index_add(index, N, x, NULL, NULL, &err), KITH_OK);
    calibrate(index, x);
    if (content != CHURNED) return index;
    for (int64_t id = 0; id < N; id += 4)
        assert_int_equal(kith_index_remove(index, 1, &id, &err), KITH_OK);
    for (int i = 0; i < N / 2; i++) ids[i] = (int64_t)(bits_mix((uint64_t)i) >> 2);
    assert_int_equal(kith_index_add(index, N / 2, rows + N * DIM, ids, NULL, &err), KITH_OK);
    for (int64_t id = 1; id < N; id += 8)
        assert_int_equal(kith_index_update(index, 1, rows + (N + id) * DIM, &id, NULL, &err),
                         KITH_OK);
    return index;
}

struct answers {
    int64_t ids[N_Q * K];
    float dists[N_Q * K];
};

static int ask(const kith_index *index, int exact, struct answers *answers) {
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_error err;
    params.k = K;
    params.exact = exact;
    memset(answers, 0, sizeof *answers);
    return kith_index_search(index, N_Q, rows, &params, answers->ids, answers->dists, &err);
}

static uint8_t *read_file(size_t *n) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *n = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*n + 1);
    assert_int_equal(fread(bytes, 1, *n, file), *n);
    fclose(file);
    return bytes;
}

static void write_file(const uint8_t *bytes, size_t n) {
    assert_int_equal(ftruncate(damaged_fd, (off_t)n), 0);
    assert_int_equal(pwrite(damaged_fd, bytes, n, 0), n);
}

/* ---- what was saved is what is opened ---------------------------------------------------------- */

static void compare_ids(const kith_index *a, const kith_index *b) {
    float x[DIM], y[DIM];
    kith_error err;
    for (int64_t id = -2; id < N + 10; id++) {
        assert_int_equal(kith_index_contains(a, id), kith_index_contains(b, id));
        if (!kith_index_contains(a, id)) continue;
        assert_int_equal(kith_index_reconstruct(a, id, x, &err), KITH_OK);
        assert_int_equal(kith_index_reconstruct(b, id, y, &err), KITH_OK);
        assert_memory_equal(x, y, sizeof x);
    }
    for (int i = 0; i < N / 2; i++) {
        int64_t id = (int64_t)(bits_mix((uint64_t)i) >> 2);
        assert_int_equal(kith_index_contains(a, id), kith_index_contains(b, id));
    }
}

static void check_round(const char *spec, kith_metric metric, enum content content) {
    kith_index *index = make(spec, metric, content), *read, *map;
    struct answers want, got;
    kith_index_stats stats, before;
    kith_error err;
    assert_int_equal(kith_index_save(index, path, &err), KITH_OK);
    if (kith_index_open(&read, path, KITH_OPEN_READ, &err) != KITH_OK)
        fail_msg("%s: %s", spec, err.text);
    if (kith_index_open(&map, path, KITH_OPEN_MAP, &err) != KITH_OK)
        fail_msg("%s: %s", spec, err.text);
    for (int exact = 0; exact <= 1; exact++) {
        int code = ask(index, exact, &want);
        assert_int_equal(ask(read, exact, &got), code);
        assert_memory_equal(&want, &got, sizeof want);
        assert_int_equal(ask(map, exact, &got), code);
        assert_memory_equal(&want, &got, sizeof want);
    }
    compare_ids(index, read);
    compare_ids(index, map);
    kith_index_stats_get(index, &before);
    kith_index_stats_get(map, &stats);
    assert_string_equal(before.spec, stats.spec);
    assert_string_equal(before.code, stats.code);
    assert_int_equal(before.rows, stats.rows);
    if (content != EMPTY) assert_true(stats.mapped_bytes > 0);
    if (kith_index_check(read, &err) != KITH_OK) fail_msg("%s read: %s", spec, err.text);
    if (kith_index_check(map, &err) != KITH_OK) fail_msg("%s map: %s", spec, err.text);
    /* A map takes no writes; what was read takes them as if it had never been away. */
    int64_t id = 2;
    assert_int_equal(kith_index_add(map, 1, rows, NULL, NULL, &err), KITH_EREADONLY);
    assert_int_equal(kith_index_remove(map, 1, &id, &err), KITH_EREADONLY);
    assert_int_equal(kith_index_update(map, 1, rows, &id, NULL, &err), KITH_EREADONLY);
    assert_int_equal(kith_index_repair(map, NULL, &err), KITH_EREADONLY);
    size_t n, n_again;
    uint8_t *bytes = read_file(&n), *again;
    assert_int_equal(kith_index_save(map, path, &err), KITH_OK); /* over the file that is mapped */
    again = read_file(&n_again);
    assert_int_equal(n, n_again);
    assert_memory_equal(bytes, again, n);
    free(again);
    assert_int_equal(kith_index_add(index, 40, rows + N * DIM, NULL, NULL, &err), KITH_OK);
    assert_int_equal(kith_index_add(read, 40, rows + N * DIM, NULL, NULL, &err), KITH_OK);
    assert_int_equal(ask(index, 0, &want), KITH_OK);
    assert_int_equal(ask(read, 0, &got), KITH_OK);
    assert_memory_equal(&want, &got, sizeof want);
    compare_ids(index, read);
    free(bytes);
    kith_index_free(index);
    kith_index_free(read);
    kith_index_free(map);
}

static void test_round(void **state) {
    (void)state;
    for (size_t s = 0; s < N_SPECS; s++)
        for (int metric = 0; metric <= KITH_METRIC_L1; metric++)
            for (int content = 0; content < CONTENTS && suits(specs[s], (kith_metric)metric);
                 content++)
                check_round(specs[s], (kith_metric)metric, (enum content)content);
}

static void test_threads_make_the_same_file(void **state) {
    (void)state;
    for (size_t s = 0; s < N_SPECS; s++) {
        uint8_t *bytes[2];
        size_t n[2];
        for (int i = 0; i < 2; i++) {
            kith_index *index;
            kith_error err;
            kith_work work = KITH_WORK_INIT;
            work.threads = i ? 4 : 1;
            assert_int_equal(kith_index_new(&index, DIM, KITH_METRIC_L2, specs[s], NULL, &err),
                             KITH_OK);
            assert_int_equal(kith_index_add(index, 2 * N, rows, NULL, &work, &err), KITH_OK);
            assert_int_equal(kith_index_save(index, path, &err), KITH_OK);
            bytes[i] = read_file(&n[i]);
            kith_index_free(index);
        }
        assert_int_equal(n[0], n[1]);
        assert_memory_equal(bytes[0], bytes[1], n[0]);
        free(bytes[0]);
        free(bytes[1]);
    }
}

static void test_save_refuses(void **state) {
    kith_index *index = make("Flat", KITH_METRIC_L2, PLAIN), *none = NULL;
    kith_error err;
    (void)state;
    assert_int_equal(kith_index_save(index, "/nowhere/to/be/found", &err), KITH_EIO);
    assert_int_equal(kith_index_save(index, NULL, &err), KITH_EINVAL);
    assert_int_equal(kith_index_open(&none, "/nowhere/to/be/found", KITH_OPEN_READ, &err),
                     KITH_EIO);
    assert_int_equal(kith_index_open(&none, path, 7, &err), KITH_EINVAL);
    assert_null(none);
    kith_index_free(index);
}

/* ---- files that are not whole ------------------------------------------------------------------ */

/* Opens and looks at everything; true if some step refused. Answers of an accepted map are not asked to be right. */
static bool refuses(int mode) {
    kith_index *index = NULL;
    kith_error err;
    struct answers got;
    float row[DIM];
    if (kith_index_open(&index, damaged, mode, &err) != KITH_OK) {
        assert_null(index);
        assert_true(err.code != KITH_OK && err.text[0] != '\0');
        return true;
    }
    bool refused = kith_index_check(index, &err) != KITH_OK;
    for (int exact = 0; exact <= 1; exact++) (void)ask(index, exact, &got);
    for (int64_t id = 0; id < N; id += 9)
        if (kith_index_contains(index, id)) (void)kith_index_reconstruct(index, id, row, &err);
    kith_index_free(index);
    return refused;
}

/* A small file of a kind: every bit of it matters. */
static uint8_t *small_file(const char *spec, size_t *n) {
    kith_index *index;
    kith_error err;
    int64_t ids[20];
    for (int i = 0; i < 20; i++) ids[i] = 3 + 7 * ((i * 3) % 20);
    assert_int_equal(kith_index_new(&index, DIM, KITH_METRIC_L2, spec, NULL, &err), KITH_OK);
    assert_int_equal(kith_index_train(index, N, rows, NULL, &err), KITH_OK);
    assert_int_equal(kith_index_add(index, 20, rows, ids, NULL, &err), KITH_OK);
    assert_int_equal(kith_index_remove(index, 2, ids + 4, &err), KITH_OK);
    assert_int_equal(kith_index_save(index, path, &err), KITH_OK);
    kith_index_free(index);
    return read_file(n);
}

static void test_every_flipped_bit_is_found(void **state) {
    static const char *const kinds[] = {"Flat,SQ8", "HNSW4", "IVF3,RaBitQ2", "PCA1,Flat,Refine"};
    (void)state;
    for (size_t s = 0; s < sizeof kinds / sizeof *kinds; s++) {
        size_t n;
        uint8_t *bytes = small_file(kinds[s], &n);
        for (size_t bit = 0; bit < 8 * n; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            write_file(bytes, n);
            if (!refuses(KITH_OPEN_READ))
                fail_msg("%s: bit %zu of byte %zu of %zu is served", kinds[s], bit % 8, bit / 8, n);
            if (bit % 8 == bit / 8 % 8 && !refuses(KITH_OPEN_MAP))
                fail_msg("%s: bit %zu of byte %zu of %zu is mapped unseen", kinds[s], bit % 8,
                         bit / 8, n);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        free(bytes);
    }
}

static void test_every_truncation_is_found(void **state) {
    size_t n;
    uint8_t *bytes = small_file("HNSW4,SQ8,Refine", &n);
    kith_index *index;
    kith_error err;
    (void)state;
    for (size_t length = 0; length < n; length++) {
        write_file(bytes, length);
        for (int mode = KITH_OPEN_READ; mode <= KITH_OPEN_MAP; mode++)
            assert_int_equal(kith_index_open(&index, damaged, mode, &err), KITH_ETRUNCATED);
    }
    bytes[n] = 0;
    write_file(bytes, n + 1);
    assert_int_equal(kith_index_open(&index, damaged, KITH_OPEN_MAP, &err), KITH_ECORRUPT);
    free(bytes);
}

static uint32_t get32(const uint8_t *at) {
    uint32_t x;
    memcpy(&x, at, 4);
    return x;
}

static uint64_t get64(const uint8_t *at) {
    uint64_t x;
    memcpy(&x, at, 8);
    return x;
}

static void put32(uint8_t *at, uint32_t x) { memcpy(at, &x, 4); }

/* Make every checksum right again. */
static void sign(uint8_t *bytes) {
    uint32_t n = get32(bytes + 12);
    uint64_t table = get64(bytes + 24);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *entry = bytes + table + 32 * i;
        put32(entry + 4, file_crc32c(0, bytes + get64(entry + 8), get64(entry + 16)));
    }
    put32(bytes + 32, file_crc32c(0, bytes + table, 32 * n));
    put32(bytes + 36, 0);
    put32(bytes + 36, file_crc32c(0, bytes, 64));
}

static void test_foreign_and_later_files(void **state) {
    size_t n;
    uint8_t *bytes = small_file("Flat", &n);
    kith_index *index;
    kith_error err;
    (void)state;
    write_file((const uint8_t *)"\x89PNG\r\n\x1a\n and more", 18);
    assert_int_equal(kith_index_open(&index, damaged, KITH_OPEN_READ, &err), KITH_EFORMAT);
    write_file((const uint8_t *)"no", 2);
    assert_int_equal(kith_index_open(&index, damaged, KITH_OPEN_READ, &err), KITH_EFORMAT);
    put32(bytes + 8, 2);
    sign(bytes);
    write_file(bytes, n);
    assert_int_equal(kith_index_open(&index, damaged, KITH_OPEN_MAP, &err), KITH_EVERSION);
    assert_non_null(strstr(err.text, "2"));
    free(bytes);
}

/* Someone changes bytes and makes the checksums right: lengths may not lie, contents may, nothing crashes. */
static void test_made_up_files(void **state) {
    uint64_t random = 77;
    (void)state;
    for (size_t s = 0; s < N_SPECS; s++) {
        size_t n;
        uint8_t *bytes = small_file(specs[s], &n), *changed = malloc(n);
        for (int round = 0; round < 400; round++) {
            memcpy(changed, bytes, n);
            uint64_t table = get64(bytes + 24);
            uint32_t sections = get32(bytes + 12);
            for (uint64_t i = bits_random(&random) % 4 + 1; i > 0; i--) {
                /* every section as often as any other, and its beginning most of all */
                const uint8_t *entry = bytes + table + 32 * (bits_random(&random) % (sections + 1));
                bool in_table = entry == bytes + table + 32 * sections;
                uint64_t at = in_table ? table : get64(entry + 8),
                         length = in_table ? 32 * sections : get64(entry + 16);
                if (length == 0) continue;
                uint64_t draw = bits_random(&random);
                uint64_t place = at + (draw & 1 ? draw >> 8 : draw >> 8 & 31) % length;
                changed[place] = draw & 2 ? (uint8_t)(draw >> 4) : draw & 4 ? 0xff : 0;
            }
            if (get64(changed + 24) + 32 * (uint64_t)sections == n) {
                bool signable = true; /* only if the table still points into the file */
                for (uint32_t i = 0; i < sections; i++) {
                    const uint8_t *entry = changed + table + 32 * i;
                    signable &= get64(entry + 8) <= n && get64(entry + 16) <= n - get64(entry + 8);
                }
                if (signable) sign(changed);
            }
            write_file(changed, n);
            (void)refuses(KITH_OPEN_READ);
            (void)refuses(KITH_OPEN_MAP);
        }
        free(bytes);
        free(changed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_threads_make_the_same_file),
        cmocka_unit_test(test_save_refuses),
        cmocka_unit_test(test_every_flipped_bit_is_found),
        cmocka_unit_test(test_every_truncation_is_found),
        cmocka_unit_test(test_foreign_and_later_files),
        cmocka_unit_test(test_made_up_files),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
