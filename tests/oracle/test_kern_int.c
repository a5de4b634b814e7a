/* Integer kernels of every level against sums of 64 bits: codes of 8, 6, 4, 2 and 1 bits x s8 (rows, list), exact pairs, and the
 * batch scan.
 *
 * Rows, queries and panels end where memory ends; all values of both types occur, also the extreme ones alone. */
#include "kern_codes.h"

/* Code i of a row, as kern.h lays them out. */
static int plain_code(const uint8_t *row, size_t bytes, size_t bits, size_t i) {
    if (bits == 8) return row[i];
    if (bits == 1) return row[i / 8] >> i % 8 & 1;
    size_t line = i / 128 * (16 * bits), n = bytes - line < 16 * bits ? 32 : 64;
    size_t j = i % 128;
    row += line;
    if (bits == 2) return row[j % (n / 2)] >> j / (n / 2) * 2 & 3;
    int code = row[j % n] >> j / n * 4 & 15;
    return bits == 4 ? code : code | (row[n + j % (n / 2)] >> j / (n / 2) * 2 & 3) << 4;
}

static int32_t plain_dot_codes(const uint8_t *row, const int8_t *query, size_t bytes, size_t bits) {
    int64_t sum = 0;
    for (size_t i = 0; i < bytes * 8 / bits; i++) sum += plain_code(row, bytes, bits, i) * query[i];
    assert_true(sum >= INT32_MIN && sum <= INT32_MAX);
    return (int32_t)sum;
}

static kern_dot_u8s8_rows_fn rows_of(const struct kern *k, size_t bits) {
    return bits == 8   ? k->dot_u8s8_rows
           : bits == 6 ? k->dot_u6s8_rows
           : bits == 4 ? k->dot_u4s8_rows
           : bits == 2 ? k->dot_u2s8_rows
                       : k->dot_u1s8_rows;
}
static kern_dot_u8s8_list_fn list_of(const struct kern *k, size_t bits) {
    return bits == 8   ? k->dot_u8s8_list
           : bits == 6 ? k->dot_u6s8_list
           : bits == 4 ? k->dot_u4s8_list
           : bits == 2 ? k->dot_u2s8_list
                       : k->dot_u1s8_list;
}

/* Rows of `bits` bits a code, `line` bytes at least: a multiple of it. */
static void dots_are_exact(size_t bits, size_t line) {
    const struct kern *level[8];
    size_t n_levels = kern_levels(level, 8), most = 65536 / (8 * line / bits) * line;
    struct guard row_memory = guard_new(MAX_ROWS * 66000), query_memory = guard_new(66000);
    int32_t want[MAX_ROWS], got[MAX_ROWS + 1];
    const uint8_t *list[MAX_ROWS];
    for (size_t round = 0; round < 400; round++) {
        size_t bytes = round == 0 ? most : line * (1 + random_below(round % 10 ? 16 : 64));
        size_t n = round == 0 ? 3 : random_count(),
               stride = bytes + random_below(3) * random_below(70);
        uint8_t *rows =
            n ? guard_end(&row_memory, (n - 1) * stride + bytes) : (uint8_t *)row_memory.base;
        int8_t *query = guard_end(&query_memory, bytes * 8 / bits);
        fill_bytes((uint8_t *)query, bytes * 8 / bits, random_below(6));
        for (size_t j = 0; j < n; j++) {
            list[j] = rows + j * stride;
            fill_bytes(rows + j * stride, bytes, random_below(6));
            want[j] = plain_dot_codes(list[j], query, bytes, bits);
        }
        for (size_t i = 0; i < n_levels; i++) {
            const struct kern *k = level[i];
            got[n] = 77;
            rows_of(k, bits)(query, rows, stride, n, bytes, got);
            if (memcmp(got, want, n * sizeof *got) != 0)
                fail_msg("%s rows: %zu rows of %zu bytes, %zu bits", k->name, n, bytes, bits);
            memset(got, 0, n * sizeof *got);
            list_of(k, bits)(query, list, n, bytes, got);
            if (memcmp(got, want, n * sizeof *got) != 0)
                fail_msg("%s list: %zu rows of %zu bytes, %zu bits", k->name, n, bytes, bits);
            assert_int_equal(got[n], 77);
        }
    }
    guard_free(&row_memory);
    guard_free(&query_memory);
}

static void u8s8_dots_are_exact(void **state) {
    (void)state;
    dots_are_exact(8, 32);
}
static void u6s8_dots_are_exact(void **state) {
    (void)state;
    dots_are_exact(6, 48);
}
static void u4s8_dots_are_exact(void **state) {
    (void)state;
    dots_are_exact(4, 32);
}

static void u2s8_dots_are_exact(void **state) {
    (void)state;
    dots_are_exact(2, 16);
}
static void u1s8_dots_are_exact(void **state) {
    (void)state;
    dots_are_exact(1, 8);
}

static uint32_t plain_hamming(const uint8_t *a, const uint8_t *b, size_t bytes) {
    uint32_t n = 0;
    for (size_t i = 0; i < 8 * bytes; i++) n += ((a[i / 8] ^ b[i / 8]) >> i % 8) & 1;
    return n;
}

static void hamming_distances_are_exact(void **state) {
    (void)state;
    const struct kern *level[8];
    size_t n_levels = kern_levels(level, 8);
    struct guard row_memory = guard_new(MAX_ROWS * 8300), query_memory = guard_new(8192);
    uint32_t want[MAX_ROWS], got[MAX_ROWS + 1];
    const uint8_t *list[MAX_ROWS];
    for (size_t round = 0; round < 400; round++) {
        size_t bytes = round == 0 ? 8192 : 8 * (1 + random_below(round % 10 ? 20 : 200));
        size_t n = random_count(), stride = bytes + random_below(3) * random_below(70);
        uint8_t *rows =
            n ? guard_end(&row_memory, (n - 1) * stride + bytes) : (uint8_t *)row_memory.base;
        uint8_t *query = guard_end(&query_memory, bytes);
        fill_bytes(query, bytes, random_below(6));
        for (size_t j = 0; j < n; j++) {
            list[j] = rows + j * stride;
            fill_bytes(rows + j * stride, bytes, random_below(6));
            if (j % 3 == 1) memcpy(rows + j * stride, query, bytes);
            want[j] = plain_hamming(query, list[j], bytes);
        }
        for (size_t i = 0; i < n_levels; i++) {
            got[n] = 77;
            level[i]->hamming_rows(query, rows, stride, n, bytes, got);
            if (memcmp(got, want, n * sizeof *got) != 0)
                fail_msg("%s hamming rows: %zu rows of %zu bytes", level[i]->name, n, bytes);
            memset(got, 0, n * sizeof *got);
            level[i]->hamming_list(query, list, n, bytes, got);
            if (memcmp(got, want, n * sizeof *got) != 0)
                fail_msg("%s hamming list: %zu rows of %zu bytes", level[i]->name, n, bytes);
            assert_int_equal(got[n], 77);
        }
    }
    guard_free(&row_memory);
    guard_free(&query_memory);
}

static uint32_t plain_pair(const uint8_t *a, const uint8_t *b, size_t dim, bool is_u8, int metric) {
    int64_t sum = 0;
    for (size_t i = 0; i < dim; i++) {
        int x = is_u8 ? a[i] : (int8_t)a[i], y = is_u8 ? b[i] : (int8_t)b[i];
        sum += metric == KERN_DOT ? x * y : metric == KERN_L2SQ ? (x - y) * (x - y) : abs(x - y);
    }
    return (uint32_t)sum;
}

static void pairs_are_exact(void **state) {
    (void)state;
    const struct kern *level[8];
    size_t n_levels = kern_levels(level, 8);
    struct guard memory_a = guard_new(65536), memory_b = guard_new(65536);
    for (size_t round = 0; round < 1500; round++) {
        size_t dim = round < 4 ? 65536 : random_dim();
        uint8_t *a = guard_end(&memory_a, dim), *b = guard_end(&memory_b, dim);
        fill_bytes(a, dim, round < 4 ? round % 2 : random_below(6));
        fill_bytes(b, dim, round < 4 ? round / 2 : random_below(6));
        for (int is_u8 = 0; is_u8 < 2; is_u8++)
            for (int metric = 0; metric < KERN_METRICS; metric++) {
                uint32_t want = plain_pair(a, b, dim, is_u8, metric);
                for (size_t i = 0; i < n_levels; i++)
                    if (level[i]->int_pair[is_u8][metric](a, b, dim) != want)
                        fail_msg("%s %s %s dim %zu", level[i]->name, is_u8 ? "u8" : "i8",
                                 metric_names[metric], dim);
            }
    }
    guard_free(&memory_a);
    guard_free(&memory_b);
}

static void scans_find_what_the_formula_says(void **state) {
    (void)state;
    const struct kern *level[8];
    scan_oracle(level, kern_levels(level, 8), 250);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(u8s8_dots_are_exact), cmocka_unit_test(u6s8_dots_are_exact),
        cmocka_unit_test(u4s8_dots_are_exact), cmocka_unit_test(u2s8_dots_are_exact),
        cmocka_unit_test(u1s8_dots_are_exact), cmocka_unit_test(hamming_distances_are_exact),
        cmocka_unit_test(pairs_are_exact),     cmocka_unit_test(scans_find_what_the_formula_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
