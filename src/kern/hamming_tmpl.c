/* Hamming distances between codes of bits. Included by level.c, over the words that count bits.
 *
 *   1. Exactly `bytes` bytes of a row are read, a multiple of 8.
 *   2. Four rows go together; of listed rows, later ones are prefetched line by line (level.h). */

VEC i32x16 hamming_sum(i32x16 acc, const uint8_t *query, const uint8_t *row, size_t bytes) {
    size_t i = 0;
    for (; i + 64 <= bytes; i += 64) acc = i32x16_differ(acc, query + i, row + i);
    return i < bytes ? i32x16_differ_tail(acc, query + i, row + i, bytes - i) : acc;
}

VEC void hamming_four(const uint8_t *query, const uint8_t *const row[4], size_t bytes,
                      uint32_t *out) {
    int32_t sums[4];
    const i32x16 zero = i32x16_zero();
    i32x16_reduce4(hamming_sum(zero, query, row[0], bytes), hamming_sum(zero, query, row[1], bytes),
                   hamming_sum(zero, query, row[2], bytes), hamming_sum(zero, query, row[3], bytes),
                   sums);
    memcpy(out, sums, sizeof sums);
}

static void hamming_rows(const uint8_t *query, const uint8_t *rows, size_t stride, size_t n,
                         size_t bytes, uint32_t *out) {
    for (size_t i = 0; i < n; i += 4) {
        const uint8_t *row[4];
        uint32_t four[4];
        for (size_t r = 0; r < 4; r++) row[r] = rows + (i + r < n ? i + r : n - 1) * stride;
        hamming_four(query, row, bytes, four);
        memcpy(out + i, four, (n - i < 4 ? n - i : 4) * sizeof *out);
    }
}

static void hamming_list(const uint8_t *query, const uint8_t *const *rows, size_t n, size_t bytes,
                         uint32_t *out) {
    size_t ahead = kern_list_start((const void *const *)rows, n, bytes);
    for (size_t i = 0; i < n; i += 4) {
        const uint8_t *row[4];
        uint32_t four[4];
        for (size_t r = 0; r < 4; r++) {
            row[r] = rows[i + r < n ? i + r : n - 1];
            const uint8_t *next = rows[i + ahead + r < n ? i + ahead + r : n - 1];
            for (size_t at = 0; at < bytes; at += 64) {
                kern_prefetch(next + at);
                atomic_signal_fence(memory_order_seq_cst); /* level.h */
            }
            kern_prefetch(next + bytes - 1);
        }
        hamming_four(query, row, bytes, four);
        memcpy(out + i, four, (n - i < 4 ? n - i : 4) * sizeof *out);
    }
}
