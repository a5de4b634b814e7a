/* One-byte kernels of every level against sums of 64 bits: u8 x s8 dots (rows, list), exact pairs, and the batch scan.
 *
 * Rows, queries and panels end where memory ends; all values of both types occur, also the extreme ones alone. */
#include "kern_data.h"

#include <unistd.h>

#define MAX_ROWS  70
#define MAX_Q     40
#define MAX_BYTES 4096

static void fill_bytes(uint8_t *out, size_t n, size_t kind) {
    for (size_t i = 0; i < n; i++)
        out[i] = kind == 0   ? 255
                 : kind == 1 ? 128
                 : kind == 2 ? (uint8_t)(i % 2 ? 255 : 1)
                             : (uint8_t)random_below(256);
}

static int32_t plain_dot(const uint8_t *row, const int8_t *query, size_t n) {
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += row[i] * query[i];
    assert_true(sum >= INT32_MIN && sum <= INT32_MAX);
    return (int32_t)sum;
}

static void u8s8_dots_are_exact(void **state) {
    (void)state;
    const struct kern *level[8];
    size_t n_levels = kern_levels(level, 8);
    struct guard row_memory = guard_new(MAX_ROWS * 66000), query_memory = guard_new(66000);
    int32_t want[MAX_ROWS], got[MAX_ROWS + 1];
    const uint8_t *list[MAX_ROWS];
    for (size_t round = 0; round < 400; round++) {
        size_t bytes = round == 0 ? 65536 : 64 * (1 + random_below(round % 10 ? 16 : 64));
        size_t n = round == 0 ? 3 : random_count(),
               stride = bytes + random_below(3) * random_below(70);
        uint8_t *rows =
            n ? guard_end(&row_memory, (n - 1) * stride + bytes) : (uint8_t *)row_memory.base;
        int8_t *query = guard_end(&query_memory, bytes);
        fill_bytes((uint8_t *)query, bytes, random_below(6));
        for (size_t j = 0; j < n; j++) {
            list[j] = rows + j * stride;
            fill_bytes(rows + j * stride, bytes, random_below(6));
            want[j] = plain_dot(list[j], query, bytes);
        }
        for (size_t i = 0; i < n_levels; i++) {
            got[n] = 77;
            level[i]->dot_u8s8_rows(query, rows, stride, n, bytes, got);
            if (memcmp(got, want, n * sizeof *got) != 0)
                fail_msg("%s rows: %zu rows of %zu bytes", level[i]->name, n, bytes);
            memset(got, 0, n * sizeof *got);
            level[i]->dot_u8s8_list(query, list, n, bytes, got);
            if (memcmp(got, want, n * sizeof *got) != 0)
                fail_msg("%s list: %zu rows of %zu bytes", level[i]->name, n, bytes);
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

/* One scan, its inputs at the ends of guarded memory, against dots and the formula computed one by one. */
struct scan_case {
    struct guard rows, queries, panels, terms;
    float scale[MAX_Q], bias[MAX_Q], limit[MAX_Q];
    struct kern_hit hits[MAX_Q * MAX_ROWS], want[MAX_ROWS];
    uint32_t n_hits[MAX_Q];
    size_t stride;
};

static size_t expected_hits(const struct scan_case *c, const struct kern_scan *scan,
                            const uint8_t *rows, size_t q, struct kern_hit *out) {
    size_t n = 0;
    for (uint32_t j = 0; j < scan->n; j++) {
        int32_t dot = plain_dot(rows + j * c->stride, scan->queries + q * scan->bytes, scan->bytes);
        float dist = fmaf(scan->scale[q], (float)dot, scan->term[j] + scan->bias[q]);
        if (dist <= scan->limit[q]) out[n++] = (struct kern_hit){scan->row0 + j, dist};
    }
    return n;
}

static void check_scan(struct scan_case *c, const struct kern *kern, struct kern_scan *scan,
                       const uint8_t *rows) {
    size_t panels = (scan->n + KERN_PANEL - 1) / KERN_PANEL;
    uint8_t *packed = guard_end(&c->panels, panels * kern->panel_bytes(scan->bytes));
    memset(packed, 0xa5, panels * kern->panel_bytes(scan->bytes));
    kern->pack_u8(rows, c->stride, scan->n, scan->bytes, packed);
    scan->panels = packed;
    memset(c->n_hits, 0, sizeof c->n_hits);
    if (scan->n_q > 1) c->n_hits[1] = 0;
    kern->scan_u8s8(scan);
    for (size_t q = 0; q < scan->n_q; q++) {
        size_t want = expected_hits(c, scan, rows, q, c->want);
        if (c->n_hits[q] != want)
            fail_msg("%s scan: query %zu of %zu, %u rows of %zu bytes: %u hits, not %zu",
                     kern->name, q, scan->n_q, scan->n, scan->bytes, c->n_hits[q], want);
        if (memcmp(c->want, c->hits + q * scan->hits_stride, want * sizeof *c->want) != 0)
            fail_msg("%s scan: query %zu of %zu, %u rows of %zu bytes: other hits", kern->name, q,
                     scan->n_q, scan->n, scan->bytes);
    }
}

static void scans_find_what_the_formula_says(void **state) {
    (void)state;
    const struct kern *level[8];
    size_t n_levels = kern_levels(level, 8);
    static struct scan_case c;
    c.rows = guard_new(MAX_ROWS * (MAX_BYTES + 200));
    c.queries = guard_new(MAX_Q * MAX_BYTES);
    c.panels = guard_new((MAX_ROWS + 15) * 2 * MAX_BYTES);
    c.terms = guard_new((MAX_ROWS + 16) * 4);
    for (size_t round = 0; round < 250; round++) {
        size_t bytes = 64 * (1 + random_below(round % 12 ? 14 : MAX_BYTES / 64));
        size_t n = 1 + random_below(MAX_ROWS), n_q = 1 + random_below(MAX_Q);
        c.stride = bytes + random_below(2) * random_below(190);
        uint8_t *rows = guard_end(&c.rows, (n - 1) * c.stride + bytes);
        int8_t *queries = guard_end(&c.queries, n_q * bytes);
        float *term = guard_end(&c.terms, (n + 15) / 16 * 16 * 4);
        fill_bytes(rows, (n - 1) * c.stride + bytes, random_below(6));
        fill_bytes((uint8_t *)queries, n_q * bytes, random_below(8));
        for (size_t j = 0; j < (n + 15) / 16 * 16; j++)
            term[j] = j < n ? random_unit() * 1e5f : NAN;
        for (size_t q = 0; q < n_q; q++) {
            c.scale[q] = random_unit();
            c.bias[q] = random_unit() * 1e5f;
            c.limit[q] = random_below(8)   ? random_unit() * 1e5f
                         : random_below(2) ? INFINITY
                                           : -INFINITY;
        }
        struct kern_scan scan = {.term = term,
                                 .row0 = (uint32_t)random_below(1000),
                                 .n = (uint32_t)n,
                                 .bytes = bytes,
                                 .queries = queries,
                                 .n_q = n_q,
                                 .scale = c.scale,
                                 .bias = c.bias,
                                 .limit = c.limit,
                                 .hits = c.hits,
                                 .hits_stride = MAX_ROWS,
                                 .n_hits = c.n_hits};
        for (size_t i = 0; i < n_levels; i++) check_scan(&c, level[i], &scan, rows);
    }
    guard_free(&c.rows);
    guard_free(&c.queries);
    guard_free(&c.panels);
    guard_free(&c.terms);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(u8s8_dots_are_exact),
        cmocka_unit_test(pairs_are_exact),
        cmocka_unit_test(scans_find_what_the_formula_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
