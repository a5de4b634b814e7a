/* Conversions and codes: any element type to f32, f32 to the half types, f32 to one-byte codes. Included by level.c.
 *
 * Sixteen elements at a time; the last 1..15 go through a buffer on the stack, so that nothing beyond n is written. */

#define TO_F32(type, elem)                                                             \
    static void to_f32_##type(const void *in, size_t n, float *out) {                  \
        const elem *x = in;                                                            \
        size_t i = 0;                                                                  \
        for (; i + 16 <= n; i += 16) f32x16_store(out + i, f32x16_load_##type(x + i)); \
        if (i < n) {                                                                   \
            float rest[16];                                                            \
            f32x16_store(rest, f32x16_load_tail_##type(x + i, n - i));                 \
            memcpy(out + i, rest, (n - i) * sizeof *out);                              \
        }                                                                              \
    }
TO_F32(f32, float)
TO_F32(f16, uint16_t)
TO_F32(bf16, uint16_t)
TO_F32(i8, int8_t)
TO_F32(u8, uint8_t)
#undef TO_F32

static void from_f32_f32(const float *in, size_t n, void *out) { memcpy(out, in, n * sizeof *in); }

#define FROM_F32(type)                                                                    \
    static void from_f32_##type(const float *in, size_t n, void *out) {                   \
        uint16_t *x = out;                                                                \
        size_t i = 0;                                                                     \
        for (; i + 16 <= n; i += 16) f32x16_store_##type(x + i, f32x16_load_f32(in + i)); \
        if (i < n) {                                                                      \
            uint16_t rest[16];                                                            \
            f32x16_store_##type(rest, f32x16_load_tail_f32(in + i, n - i));               \
            memcpy(x + i, rest, (n - i) * sizeof *x);                                     \
        }                                                                                 \
    }
FROM_F32(f16)
FROM_F32(bf16)
#undef FROM_F32

VEC f32x16 clamp(f32x16 x, float low, float high) {
    return f32x16_min(f32x16_max(x, f32x16_set1(low)), f32x16_set1(high));
}

/* Clamping before rounding gives what rounding before clamping does, and never overflows. */
static void encode_u8(const float *in, const float *low, const float *inv_step, size_t n,
                      uint8_t *out) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        f32x16 x = f32x16_sub(f32x16_load_f32(in + i), f32x16_load_f32(low + i));
        x = f32x16_mul(x, f32x16_load_f32(inv_step + i));
        f32x16_store_u8(out + i, clamp(x, 0, 255));
    }
    if (i < n) {
        uint8_t rest[16];
        f32x16 x =
            f32x16_sub(f32x16_load_tail_f32(in + i, n - i), f32x16_load_tail_f32(low + i, n - i));
        x = f32x16_mul(x, f32x16_load_tail_f32(inv_step + i, n - i));
        f32x16_store_u8(rest, clamp(x, 0, 255));
        memcpy(out + i, rest, n - i);
    }
}

static void decode_u8(const uint8_t *row, const float *low, const float *step, size_t n,
                      float *out) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        f32x16_store(out + i, f32x16_fma(f32x16_load_u8(row + i), f32x16_load_f32(step + i),
                                         f32x16_load_f32(low + i)));
    if (i < n) {
        float rest[16];
        f32x16_store(rest, f32x16_fma(f32x16_load_tail_u8(row + i, n - i),
                                      f32x16_load_tail_f32(step + i, n - i),
                                      f32x16_load_tail_f32(low + i, n - i)));
        memcpy(out + i, rest, (n - i) * sizeof *out);
    }
}

static void encode_s8(const float *in, float scale, size_t n, int8_t *out) {
    f32x16 factor = f32x16_set1(scale);
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        f32x16_store_s8(out + i, clamp(f32x16_mul(f32x16_load_f32(in + i), factor), -127, 127));
    if (i < n) {
        int8_t rest[16];
        f32x16 x = f32x16_mul(f32x16_load_tail_f32(in + i, n - i), factor);
        f32x16_store_s8(rest, clamp(x, -127, 127));
        memcpy(out + i, rest, n - i);
    }
}

static float max_abs(const float *in, size_t n) {
    f32x16 most = f32x16_zero();
    size_t i = 0;
    for (; i + 16 <= n; i += 16) most = f32x16_max(f32x16_abs(f32x16_load_f32(in + i)), most);
    if (i < n) most = f32x16_max(f32x16_abs(f32x16_load_tail_f32(in + i, n - i)), most);
    float each[16], max = 0;
    f32x16_store(each, most);
    for (i = 0; i < 16; i++) max = each[i] > max ? each[i] : max;
    return max;
}

/* Sums of squares by the law: the dot of a row with itself. */
#define DOT_SELF(type, elem)                                    \
    static float dot_self_##type(const void *row, size_t dim) { \
        const elem *x = row;                                    \
        f32x16 acc = f32x16_zero();                             \
        size_t i = 0;                                           \
        for (; i + 16 <= dim; i += 16) {                        \
            f32x16 a = f32x16_load_##type(x + i);               \
            acc = f32x16_fma(a, a, acc);                        \
        }                                                       \
        if (i < dim) {                                          \
            f32x16 a = f32x16_load_tail_##type(x + i, dim - i); \
            acc = f32x16_fma(a, a, acc);                        \
        }                                                       \
        return f32x16_reduce(acc);                              \
    }
DOT_SELF(f32, float)
DOT_SELF(f16, uint16_t)
DOT_SELF(bf16, uint16_t)
DOT_SELF(i8, int8_t)
DOT_SELF(u8, uint8_t)
#undef DOT_SELF
