/* One vector with many short ones that are stored by columns. Included by level.c.
 *
 * Lanes are vectors, not elements, so that nothing is padded and nothing reduced however short they are: each lane is a
 * chain over the elements in rising order, which is its law. COLUMNS_R rows times COLUMNS_G groups of 16 vectors have
 * their sums in registers. */

#ifndef COLUMNS_R
#define COLUMNS_R 4
#define COLUMNS_G 1
#endif

/* Rows i... (n_r of them) with vectors j... (16 n_g). */
VEC void columns_block(const struct kern_columns *set, size_t i, size_t j, const int n_r,
                       const int n_g, const int l1) {
    const float *x = set->x + i * set->stride, *columns = set->columns + j;
    const size_t stride = set->stride, k = set->k, dim = set->dim;
    float *out = set->out + i * k + j;
    f32x16 sum[16], column[4];
#pragma GCC unroll 16
    for (int c = 0; c < n_r * n_g; c++) {
        const float *from = set->start ? set->start + j : out + (size_t)(c / n_g) * k;
        sum[c] = f32x16_load_f32(from + 16 * (c % n_g));
    }
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

VEC void columns_rows(const struct kern_columns *set, size_t i, const int n_r, const int most_g,
                      const int l1) {
    size_t j = 0;
    for (; j + 16 * (size_t)most_g <= set->k; j += 16 * (size_t)most_g)
        columns_block(set, i, j, n_r, most_g, l1);
    for (; j < set->k; j += 16) columns_block(set, i, j, n_r, 1, l1);
}

VEC void columns_all(const struct kern_columns *set, const int l1) {
    size_t i = 0;
    for (; i + COLUMNS_R <= set->n; i += COLUMNS_R) columns_rows(set, i, COLUMNS_R, COLUMNS_G, l1);
    for (; i < set->n; i++) columns_rows(set, i, 1, 4, l1);
}

static void columns_dot(const struct kern_columns *set) { columns_all(set, 0); }
static void columns_l1(const struct kern_columns *set) { columns_all(set, 1); }

/* Each lane keeps its largest and where it first was; of the lanes that have the largest of all, the first place counts.
 * Without a branch: where the largest is, nobody can foretell. */
static size_t largest(const float *x, size_t n) {
    static const float first[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    f32x16 best = f32x16_load_f32(x), at = f32x16_load_f32(first), where = at;
    for (size_t i = 16; i < n; i += 16) {
        f32x16 next = f32x16_load_f32(x + i);
        at = f32x16_add(at, f32x16_set1(16));
        where = f32x16_pick(next, best, at, where);
        best = f32x16_max(next, best);
    }
    f32x16 top = f32x16_set1(f32x16_top(best));
    where = f32x16_pick(top, best, f32x16_set1(-0x1p30f), f32x16_sub(f32x16_zero(), where));
    float place = -f32x16_top(where);
    return place < (float)n ? (size_t)place : 0;
}
