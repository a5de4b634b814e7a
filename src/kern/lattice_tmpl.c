/* Codes on a scaled grid, for RaBitQ (quant/rabitq.h), and the tables of its fast scan. Included by level.c.
 *
 * A code is one of the 2 top + 2 half-integers -top - 0.5 ... top + 0.5, numbered from 0. Elements scaled by t go to the
 * nearest one; which t is best is found by trying. */

/* floor(x t), at most top, by pushing the fraction out of the mantissa: top is at most 127. */
VEC f32x16 lattice_step(f32x16 x, f32x16 scale, f32x16 top) {
    f32x16 low = f32x16_fma(x, scale, f32x16_set1(-0.5f));
    return fold_round(f32x16_min(low, top));
}

/* One scale: sums of v x and v^2 over v, the coded |x|. */
VEC void lattice_try(f32x16 x, float scale, f32x16 top, f32x16 *dot, f32x16 *square) {
    f32x16 v = f32x16_add(lattice_step(x, f32x16_set1(scale), top), f32x16_set1(0.5f));
    *dot = f32x16_fma(v, x, *dot);
    *square = f32x16_fma(v, v, *square);
}

static void lattice_fit(const float *x, size_t n, const float *scales, float top, float *dots,
                        float *squares) {
    f32x16 limit = f32x16_set1(top), zero = f32x16_zero();
    f32x16 d0 = zero, d1 = zero, d2 = zero, d3 = zero;
    f32x16 s0 = zero, s1 = zero, s2 = zero, s3 = zero;
    for (size_t i = 0; i < n; i += 16) {
        f32x16 size = f32x16_abs(f32x16_load_f32(x + i));
        lattice_try(size, scales[0], limit, &d0, &s0);
        lattice_try(size, scales[1], limit, &d1, &s1);
        lattice_try(size, scales[2], limit, &d2, &s2);
        lattice_try(size, scales[3], limit, &d3, &s3);
    }
    f32x16_reduce4(d0, d1, d2, d3, dots);
    f32x16_reduce4(s0, s1, s2, s3, squares);
}

static void lattice_code(const float *x, size_t n, float scale, float top, uint8_t *out) {
    f32x16 factor = f32x16_set1(scale), middle = f32x16_set1(top + 0.5f);
    for (size_t i = 0; i < n; i += 16) {
        f32x16 place = f32x16_fma(f32x16_load_f32(x + i), factor, middle);
        f32x16_store_u8(out + i, clamp(place, 0, 2 * top + 1));
    }
}

/* Table g holds the sums of the subsets of four elements from 4 g on, entry i those whose bits are in i. */
static void subset_tables(const float *x, size_t n, float scale, const float *low, uint8_t *out) {
    static const float bit[4][16] = {{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1},
                                     {0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1},
                                     {0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1},
                                     {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1}};
    f32x16 b0 = f32x16_load_f32(bit[0]), b1 = f32x16_load_f32(bit[1]);
    f32x16 b2 = f32x16_load_f32(bit[2]), b3 = f32x16_load_f32(bit[3]), factor = f32x16_set1(scale);
    for (size_t i = 0; i < n; i += 4) {
        f32x16 sum = f32x16_fma(f32x16_set1(x[i]), b0, f32x16_set1(-low[i / 4]));
        sum = f32x16_fma(f32x16_set1(x[i + 1]), b1, sum);
        sum = f32x16_fma(f32x16_set1(x[i + 2]), b2, sum);
        sum = f32x16_fma(f32x16_set1(x[i + 3]), b3, sum);
        f32x16_store_u8(out + 4 * i, clamp(f32x16_mul(sum, factor), 0, 255));
    }
}
