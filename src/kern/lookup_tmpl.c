/* Sums of table entries that a code names, of 8 or 4 bits each. Included by level.c.
 *
 *   1. Entry i is added to lane i % 16; the lanes are added as kern.h's tree. So all levels give the same bits.
 *   2. Lanes are plain floats: a load and an addition an entry. Gathers are no faster here and far slower where
 *      processors have mended them (docs/kernels.md).
 *   3. Exactly the bytes of a code are read. */

VEC float look_up(const float *tables, size_t m, const uint8_t *code, const int bits) {
    const size_t k = (size_t)1 << bits;
    float lane[16] = {0}, last[16];
    size_t i = 0;
    for (; i + 16 <= m; i += 16, tables += 16 * k, code += 2 * bits) {
        uint64_t word[2] = {0};
        memcpy(word, code, 2 * (size_t)bits);
#pragma GCC unroll 16
        for (int l = 0; l < 16; l++)
            lane[l] += tables[(size_t)l * k + (word[l * bits / 64] >> l * bits % 64 & (k - 1))];
    }
#pragma GCC unroll 16
    for (int l = 0; l < 16; l++) last[l] = lane[l];
    for (size_t l = 0; i < m; i++, l++, tables += k)
        last[l] += tables[bits == 8 ? code[l] : code[l / 2] >> l % 2 * 4 & 15];
    return f32x16_reduce(f32x16_load_f32(last));
}

VEC void look_up_rows(const float *tables, size_t m, const uint8_t *codes, size_t stride, size_t n,
                      float *out, const int bits) {
    for (size_t i = 0; i < n; i++) out[i] = look_up(tables, m, codes + i * stride, bits);
}

VEC void look_up_list(const float *tables, size_t m, const uint8_t *const *codes, size_t n,
                      float *out, const int bits) {
    size_t bytes = (m * (size_t)bits + 7) / 8;
    size_t ahead = kern_list_start((const void *const *)codes, n, bytes);
    for (size_t i = 0; i < n; i++) {
        for (size_t at = 0; i + ahead < n && at < bytes; at += 64) {
            kern_prefetch(codes[i + ahead] + at);
            atomic_signal_fence(memory_order_seq_cst); /* as in kern_list_start() */
        }
        out[i] = look_up(tables, m, codes[i], bits);
    }
}

static void lookup8_rows(const float *tables, size_t m, const uint8_t *codes, size_t stride,
                         size_t n, float *out) {
    look_up_rows(tables, m, codes, stride, n, out, 8);
}
static void lookup4_rows(const float *tables, size_t m, const uint8_t *codes, size_t stride,
                         size_t n, float *out) {
    look_up_rows(tables, m, codes, stride, n, out, 4);
}
static void lookup8_list(const float *tables, size_t m, const uint8_t *const *codes, size_t n,
                         float *out) {
    look_up_list(tables, m, codes, n, out, 8);
}
static void lookup4_list(const float *tables, size_t m, const uint8_t *const *codes, size_t n,
                         float *out) {
    look_up_list(tables, m, codes, n, out, 4);
}

/* ---- tables of 16 made narrow, for the fast scan ---------------------------------------------------------------- */

static float table_span(const float *tables, size_t m, float *low) {
    float widest = 0;
    for (size_t i = 0; i < m; i++) {
        float least[16], most[16];
        memcpy(least, tables + 16 * i, sizeof least);
        memcpy(most, least, sizeof most);
        for (int half = 8; half >= 1; half /= 2)
            for (int l = 0; l < half; l++) {
                least[l] = least[l] < least[l + half] ? least[l] : least[l + half];
                most[l] = most[l] > most[l + half] ? most[l] : most[l + half];
            }
        low[i] = least[0];
        widest = most[0] - least[0] > widest ? most[0] - least[0] : widest;
    }
    return widest;
}

static void table_narrow(const float *tables, size_t m, const float *low, float inverse,
                         uint8_t *out) {
    for (size_t i = 0; i < m; i++) {
        f32x16 code = f32x16_sub(f32x16_load_f32(tables + 16 * i), f32x16_set1(low[i]));
        code = f32x16_max(f32x16_mul(code, f32x16_set1(inverse)), f32x16_zero());
        f32x16_store_u8(out + 16 * i, f32x16_min(code, f32x16_set1(255)));
    }
}
