/* Integer sums of one-byte elements: u8 codes with s8 queries, and exact i8 or u8 pairs. Included once by level.c.
 *
 *   1. Whole numbers modulo 2^32: any order of the additions gives the same result.
 *   2. The u8 x s8 kernels read exactly `bytes` bytes of each row, 64 at a time, in unmasked loads.
 *   3. Four listed rows go together; later ones are prefetched line by line (level.h). Consecutive rows are one stream. */

VEC void dot_four(const int8_t *query, const uint8_t *const row[4], const uint8_t *const next[4],
                  size_t bytes, int32_t *out) {
    const uint8_t *r0 = row[0], *r1 = row[1], *r2 = row[2], *r3 = row[3];
    const uint8_t *n0 = next[0], *n1 = next[1], *n2 = next[2], *n3 = next[3];
    i32x16 a0 = i32x16_zero(), a1 = a0, a2 = a0, a3 = a0;
    for (size_t i = 0; i < bytes; i += 64) {
        kern_prefetch(n0 + i);
        kern_prefetch(n1 + i);
        kern_prefetch(n2 + i);
        kern_prefetch(n3 + i);
        s8x64 q = s8x64_load(query + i);
        a0 = i32x16_dot64(a0, r0 + i, q);
        a1 = i32x16_dot64(a1, r1 + i, q);
        a2 = i32x16_dot64(a2, r2 + i, q);
        a3 = i32x16_dot64(a3, r3 + i, q);
    }
    i32x16_reduce4(a0, a1, a2, a3, out);
}

VEC i32x16 dot_sum(const int8_t *query, const uint8_t *row, size_t bytes) {
    i32x16 a = i32x16_zero(), b = a;
    size_t i = 0;
    for (; i + 128 <= bytes; i += 128) {
        a = i32x16_dot64(a, row + i, s8x64_load(query + i));
        b = i32x16_dot64(b, row + i + 64, s8x64_load(query + i + 64));
    }
    if (i < bytes) a = i32x16_dot64(a, row + i, s8x64_load(query + i));
    return i32x16_add(a, b);
}

/* One row after the other: one stream of memory, which the hardware's prefetcher follows. */
static void dot_u8s8_rows(const int8_t *query, const uint8_t *rows, size_t stride, size_t n,
                          size_t bytes, int32_t *out) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4, rows += 4 * stride) {
        i32x16 a0 = dot_sum(query, rows, bytes), a1 = dot_sum(query, rows + stride, bytes);
        i32x16 a2 = dot_sum(query, rows + 2 * stride, bytes);
        i32x16 a3 = dot_sum(query, rows + 3 * stride, bytes);
        i32x16_reduce4(a0, a1, a2, a3, out + i);
    }
    if (i < n) {
        const uint8_t *row[4];
        int32_t rest[4];
        for (size_t r = 0; r < 4; r++) row[r] = rows + (i + r < n ? r : n - i - 1) * stride;
        dot_four(query, row, row, bytes, rest);
        for (size_t r = 0; i + r < n; r++) out[i + r] = rest[r];
    }
}

static void dot_u8s8_list(const int8_t *query, const uint8_t *const *rows, size_t n, size_t bytes,
                          int32_t *out) {
    const uint8_t *row[4], *next[4];
    size_t ahead = kern_list_start((const void *const *)rows, n, bytes), i = 0;
    for (; i + 4 <= n; i += 4) {
        for (size_t r = 0; r < 4; r++) {
            row[r] = rows[i + r];
            next[r] = rows[i + ahead + r < n ? i + ahead + r : i + r];
        }
        dot_four(query, row, next, bytes, out + i);
    }
    if (i < n) {
        int32_t rest[4];
        for (size_t r = 0; r < 4; r++) row[r] = rows[i + r < n ? i + r : n - 1];
        dot_four(query, row, row, bytes, rest);
        for (size_t r = 0; i + r < n; r++) out[i + r] = rest[r];
    }
}

VEC uint32_t int_sum(const void *a, const void *b, size_t dim, int is_u8, int metric) {
    const char *x = a, *y = b;
    i32x16 acc = i32x16_zero();
    size_t i = 0;
    for (; i + INT_STEP <= dim; i += INT_STEP)
        acc = i32x16_step(acc, x + i, y + i, INT_STEP, is_u8, metric);
    if (i < dim) acc = i32x16_step(acc, x + i, y + i, dim - i, is_u8, metric);
    return i32x16_reduce(acc);
}

#define INT_PAIR(name, is_u8, metric)                                \
    static uint32_t name(const void *a, const void *b, size_t dim) { \
        return int_sum(a, b, dim, is_u8, metric);                    \
    }
INT_PAIR(int_i8_l2sq, 0, KERN_L2SQ)
INT_PAIR(int_i8_dot, 0, KERN_DOT)
INT_PAIR(int_i8_l1, 0, KERN_L1)
INT_PAIR(int_u8_l2sq, 1, KERN_L2SQ)
INT_PAIR(int_u8_dot, 1, KERN_DOT)
INT_PAIR(int_u8_l1, 1, KERN_L1)
#undef INT_PAIR
