/* Making queries ready for one-byte codes: folding, quantising, and what is summed on the way. Included by level.c.
 *
 * Each kernel is a step over sixteen elements that adds to four lanes of sums, and a loop; the last 1..15 elements go
 * through zeros, which add nothing to any sum, and a buffer on the stack. */

struct fold_sums {
    f32x16 a, b, c, d;
};

VEC struct fold_sums fold_sums_zero(void) {
    struct fold_sums s = {f32x16_zero(), f32x16_zero(), f32x16_zero(), f32x16_zero()};
    return s;
}

/* Round to even by pushing the fraction out of the mantissa: |x| is below 2^22. */
VEC f32x16 fold_round(f32x16 x) {
    f32x16 shift = f32x16_set1(0x1.8p23f);
    return f32x16_sub(f32x16_add(x, shift), shift);
}

VEC f32x16 fold_step_l2(struct fold_sums *s, f32x16 query, f32x16 low, f32x16 step) {
    f32x16 half = f32x16_mul(step, f32x16_set1(128));
    f32x16 far = f32x16_sub(query, f32x16_add(low, half));
    f32x16 large = f32x16_add(f32x16_abs(low), f32x16_add(half, half));
    s->a = f32x16_add(s->a, f32x16_mul(far, far));
    s->b = f32x16_add(s->b, f32x16_mul(large, f32x16_add(f32x16_abs(far), half)));
    s->c = f32x16_add(s->c, f32x16_mul(large, large));
    s->d = f32x16_add(s->d, f32x16_mul(half, half));
    return f32x16_mul(far, step);
}

VEC f32x16 fold_step_dot(struct fold_sums *s, f32x16 query, f32x16 low, f32x16 step) {
    f32x16 half = f32x16_mul(step, f32x16_set1(128));
    f32x16 large = f32x16_add(f32x16_abs(low), f32x16_add(half, half));
    s->a = f32x16_add(s->a, f32x16_mul(query, f32x16_add(low, half)));
    s->b = f32x16_add(s->b, f32x16_mul(large, f32x16_abs(query)));
    s->c = f32x16_add(s->c, f32x16_mul(large, large));
    return f32x16_mul(query, step);
}

#define FOLD_QUERY(name, step_fn)                                                                \
    static void name(const float *query, const float *low, const float *step, size_t n,          \
                     float *out, float *sums) {                                                  \
        struct fold_sums s = fold_sums_zero();                                                   \
        size_t i = 0;                                                                            \
        for (; i + 16 <= n; i += 16)                                                             \
            f32x16_store(out + i, step_fn(&s, f32x16_load_f32(query + i),                        \
                                          f32x16_load_f32(low + i), f32x16_load_f32(step + i))); \
        if (i < n) {                                                                             \
            float rest[16];                                                                      \
            f32x16_store(rest, step_fn(&s, f32x16_load_tail_f32(query + i, n - i),               \
                                       f32x16_load_tail_f32(low + i, n - i),                     \
                                       f32x16_load_tail_f32(step + i, n - i)));                  \
            memcpy(out + i, rest, (n - i) * sizeof *out);                                        \
        }                                                                                        \
        f32x16_reduce4(s.a, s.b, s.c, s.d, sums);                                                \
    }
FOLD_QUERY(fold_l2, fold_step_l2)
FOLD_QUERY(fold_dot, fold_step_dot)
#undef FOLD_QUERY

/* values to what is left of them; e is what was taken. */
VEC f32x16 quantise_step(struct fold_sums *s, f32x16 values, float scale, float inverse,
                         f32x16 *e) {
    *e = fold_round(clamp(f32x16_mul(values, f32x16_set1(inverse)), -127, 127));
    f32x16 left = f32x16_fma(*e, f32x16_set1(-scale), values);
    s->a = f32x16_add(s->a, values);
    s->b = f32x16_add(s->b, f32x16_abs(values));
    s->c = f32x16_add(s->c, f32x16_abs(left));
    s->d = f32x16_add(s->d, *e);
    return left;
}

static void quantise(float *values, float scale, float inverse, size_t n, int8_t *out,
                     float *sums) {
    struct fold_sums s = fold_sums_zero();
    f32x16 e;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        f32x16_store(values + i,
                     quantise_step(&s, f32x16_load_f32(values + i), scale, inverse, &e));
        f32x16_store_s8(out + i, e);
    }
    if (i < n) {
        float rest[16];
        int8_t codes[16];
        f32x16 tail = f32x16_load_tail_f32(values + i, n - i);
        f32x16_store(rest, quantise_step(&s, tail, scale, inverse, &e));
        f32x16_store_s8(codes, e);
        memcpy(values + i, rest, (n - i) * sizeof *values);
        memcpy(out + i, codes, n - i);
    }
    f32x16_reduce4(s.a, s.b, s.c, s.d, sums);
}

VEC f32x16 fold_row_step(struct fold_sums *s, f32x16 c, f32x16 weight, f32x16 offset) {
    f32x16 v = f32x16_fma(c, weight, offset), e = fold_round(v);
    s->a = f32x16_add(s->a, v);
    s->b = f32x16_add(s->b, e);
    s->c = f32x16_add(s->c, f32x16_mul(c, offset));
    s->d = f32x16_add(s->d, f32x16_mul(c, f32x16_mul(c, weight)));
    return e;
}

VEC f32x16 fold_row_step_plain(struct fold_sums *s, f32x16 c, f32x16 weight) {
    f32x16 v = f32x16_mul(c, weight), e = fold_round(v);
    s->a = f32x16_add(s->a, v);
    s->b = f32x16_add(s->b, e);
    return e;
}

/* offset NULL: all zeros, and the sums that are left out are 0. */
static void fold_row(const uint8_t *row, const float *weight, const float *offset, size_t n,
                     int8_t *out, float *sums) {
    struct fold_sums s = fold_sums_zero();
    f32x16 middle = f32x16_set1(128);
    size_t i = 0;
    for (; !offset && i + 16 <= n; i += 16) {
        f32x16 c = f32x16_sub(f32x16_load_u8(row + i), middle);
        f32x16_store_s8(out + i, fold_row_step_plain(&s, c, f32x16_load_f32(weight + i)));
    }
    for (; offset && i + 16 <= n; i += 16) {
        f32x16 c = f32x16_sub(f32x16_load_u8(row + i), middle);
        f32x16_store_s8(out + i, fold_row_step(&s, c, f32x16_load_f32(weight + i),
                                               f32x16_load_f32(offset + i)));
    }
    if (i < n) {
        int8_t codes[16];
        f32x16 c = f32x16_sub(f32x16_load_tail_u8(row + i, n - i), middle);
        f32x16 w = f32x16_load_tail_f32(weight + i, n - i);
        f32x16_store_s8(codes,
                        offset ? fold_row_step(&s, c, w, f32x16_load_tail_f32(offset + i, n - i))
                               : fold_row_step_plain(&s, c, w));
        memcpy(out + i, codes, n - i);
    }
    f32x16_reduce4(s.a, s.b, s.c, s.d, sums);
}
