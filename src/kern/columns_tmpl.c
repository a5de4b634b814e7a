/* One vector with many short ones that are stored by columns. Included by level.c.
 *
 * Lanes are vectors, not elements, so that nothing is padded and nothing reduced however short they are: each lane is a
 * chain over the elements in rising order, which is its law. COLUMNS_R rows times COLUMNS_G groups of 16 vectors have
 * their sums in registers. */

#ifndef COLUMNS_R
#define COLUMNS_R 4
#define COLUMNS_G 1
#endif

VEC void columns_block(const float *x, size_t stride, const float *columns, size_t k, size_t dim,
                       float *out, const int n_r, const int n_g, const int l1) {
    f32x16 sum[16], column[4];
#pragma GCC unroll 16
    for (int c = 0; c < n_r * n_g; c++)
        sum[c] = f32x16_load_f32(out + (size_t)(c / n_g) * k + 16 * (c % n_g));
    for (size_t d = 0; d < dim; d++) {
#pragma GCC unroll 4
        for (int g = 0; g < n_g; g++) column[g] = f32x16_load_f32(columns + d * k + 16 * g);
#pragma GCC unroll 4
        for (int r = 0; r < n_r; r++) {
            f32x16 value = f32x16_set1(x[(size_t)r * stride + d]);
#pragma GCC unroll 4
            for (int g = 0; g < n_g; g++) {
                f32x16 *to = &sum[r * n_g + g];
                *to = l1 ? f32x16_add(*to, f32x16_abs(f32x16_sub(value, column[g])))
                         : f32x16_fma(value, column[g], *to);
            }
        }
    }
#pragma GCC unroll 16
    for (int c = 0; c < n_r * n_g; c++)
        f32x16_store(out + (size_t)(c / n_g) * k + 16 * (c % n_g), sum[c]);
}

VEC void columns_rows(const float *x, size_t stride, const float *columns, size_t k, size_t dim,
                      float *out, const int n_r, const int most_g, const int l1) {
    size_t j = 0;
    for (; j + 16 * (size_t)most_g <= k; j += 16 * (size_t)most_g)
        columns_block(x, stride, columns + j, k, dim, out + j, n_r, most_g, l1);
    for (; j < k; j += 16) columns_block(x, stride, columns + j, k, dim, out + j, n_r, 1, l1);
}

VEC void columns_all(const struct kern_columns *c, const int l1) {
    size_t i = 0;
    for (; i + COLUMNS_R <= c->n; i += COLUMNS_R)
        columns_rows(c->x + i * c->stride, c->stride, c->columns, c->k, c->dim, c->out + i * c->k,
                     COLUMNS_R, COLUMNS_G, l1);
    for (; i < c->n; i++)
        columns_rows(c->x + i * c->stride, c->stride, c->columns, c->k, c->dim, c->out + i * c->k,
                     1, 4, l1);
}

static void columns_dot(const struct kern_columns *c) { columns_all(c, 0); }
static void columns_l1(const struct kern_columns *c) { columns_all(c, 1); }

static size_t largest(const float *x, size_t n) {
    f32x16 best = f32x16_load_f32(x);
    for (size_t i = 16; i < n; i += 16) best = f32x16_max(best, f32x16_load_f32(x + i));
    float lane[16];
    f32x16_store(lane, best);
    for (int half = 8; half >= 1; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] = lane[i] > lane[i + half] ? lane[i] : lane[i + half];
    best = f32x16_set1(lane[0]);
    for (size_t i = 0; i < n; i += 16) {
        unsigned mask = f32x16_le(best, f32x16_load_f32(x + i));
        if (mask) return i + (unsigned)__builtin_ctz(mask);
    }
    return 0;
}
