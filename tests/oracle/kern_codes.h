/* One-byte codes for the kernel oracles: bytes with extreme values, sums of 64 bits, and the batch scan's oracle.
 *
 * scan_oracle() runs random scans on the given levels: rows, queries, panels and terms end where memory ends; hits must
 * be those that dots and the formula give one by one, in order, and nothing else. */
#ifndef KITH_TESTS_KERN_CODES_H
#define KITH_TESTS_KERN_CODES_H

#include "kern_data.h"

#define MAX_ROWS  150
#define MAX_Q     40
#define MAX_BYTES 4096

static inline void fill_bytes(uint8_t *out, size_t n, size_t kind) {
    for (size_t i = 0; i < n; i++)
        out[i] = kind == 0   ? 255
                 : kind == 1 ? 128
                 : kind == 2 ? (uint8_t)(i % 2 ? 255 : 1)
                             : (uint8_t)random_below(256);
}

static inline int32_t plain_dot(const uint8_t *row, const int8_t *query, size_t n) {
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += row[i] * query[i];
    assert_true(sum >= INT32_MIN && sum <= INT32_MAX);
    return (int32_t)sum;
}

/* One scan, its inputs at the ends of guarded memory, against dots and the formula computed one by one. */
struct scan_case {
    struct guard rows, queries, panels, terms;
    float scale[MAX_Q], bias[MAX_Q], limit[MAX_Q];
    struct kern_hit hits[MAX_Q * MAX_ROWS], want[MAX_ROWS];
    uint32_t n_hits[MAX_Q];
    size_t stride;
};

static inline size_t expected_hits(const struct scan_case *c, const struct kern_scan *scan,
                                   const uint8_t *rows, size_t q, struct kern_hit *out) {
    size_t n = 0;
    for (uint32_t j = 0; j < scan->n; j++) {
        int32_t dot = plain_dot(rows + j * c->stride, scan->queries + q * scan->bytes, scan->bytes);
        float dist = fmaf(scan->scale[q], (float)dot, scan->term[j] + scan->bias[q]);
        if (dist <= scan->limit[q]) out[n++] = (struct kern_hit){scan->row0 + j, dist};
    }
    return n;
}

static inline void check_scan(struct scan_case *c, const struct kern *kern, struct kern_scan *scan,
                              const uint8_t *rows) {
    size_t panels = (scan->n + KERN_PANEL - 1) / KERN_PANEL;
    uint8_t *packed = guard_end(&c->panels, panels * kern->panel_bytes(scan->bytes));
    memset(packed, 0xa5, panels * kern->panel_bytes(scan->bytes));
    kern->pack_u8(rows, c->stride, scan->n, scan->bytes, packed);
    scan->panels = packed;
    memset(c->n_hits, 0, sizeof c->n_hits);
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

static inline void scan_oracle(const struct kern *const *level, size_t n_levels, size_t rounds) {
    static struct scan_case c;
    c.rows = guard_new(MAX_ROWS * (MAX_BYTES + 200));
    c.queries = guard_new(MAX_Q * MAX_BYTES);
    c.panels = guard_new((MAX_ROWS + 15) * 2 * MAX_BYTES);
    c.terms = guard_new((MAX_ROWS + 16) * 4);
    for (size_t round = 0; round < rounds; round++) {
        size_t bytes = 64 * (1 + random_below(round % 12 ? 14 : MAX_BYTES / 64));
        size_t n = 1 + random_below(MAX_ROWS), n_q = 1 + random_below(MAX_Q);
        c.stride = bytes + random_below(2) * random_below(190);
        uint8_t *rows = guard_end(&c.rows, (n - 1) * c.stride + bytes);
        int8_t *queries = guard_end(&c.queries, n_q * bytes);
        float *term = guard_end(&c.terms, (n + 15) / 16 * 16 * 4);
        fill_bytes(rows, (n - 1) * c.stride + bytes, random_below(6));
        fill_bytes((uint8_t *)queries, n_q * bytes, random_below(8));
        size_t codes = random_below(2) * (1 + random_below(bytes)); /* 0: no promise */
        for (size_t q = 0; codes && q < n_q; q++)
            memset(queries + q * bytes + codes, 0, bytes - codes);
        for (size_t j = 0; j < (n + 15) / 16 * 16; j++)
            term[j] = j < n ? random_unit() * 1e5f : -1e30f; /* tempting */
        for (size_t q = 0; q < n_q; q++) {
            c.scale[q] = random_unit();
            c.bias[q] = random_unit() * 1e5f;
            size_t some = random_below(n); /* whose distance is the limit: it still counts */
            int32_t dot = plain_dot(rows + some * c.stride, queries + q * bytes, bytes);
            switch (random_below(6)) {
            case 0: c.limit[q] = INFINITY; break;
            case 1: c.limit[q] = -INFINITY; break;
            case 2: c.limit[q] = random_unit() * 1e5f; break;
            default: c.limit[q] = fmaf(c.scale[q], (float)dot, term[some] + c.bias[q]);
            }
        }
        struct kern_scan scan = {.term = term,
                                 .row0 = (uint32_t)random_below(1000),
                                 .n = (uint32_t)n,
                                 .bytes = bytes,
                                 .codes = codes,
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

#endif
