/* The vocabulary for NEON (armv8-a, as every aarch64 has): 16 lanes as four registers. The words are described in
 * vec_scalar.h.
 *
 * vfmaq and the conversions round as the law says; vmaxq would answer NaN for NaN, so max and min compare and select.
 * Bytes are widened to 16 bits and multiplied by vmlal, exactly. Tails are copied to the stack first. */
#ifndef KITH_KERN_VEC_NEON_H
#define KITH_KERN_VEC_NEON_H

#include <arm_neon.h>
#include <string.h>

typedef struct {
    float32x4_t v[4];
} f32x16;
typedef struct {
    int32x4_t v[4];
} i32x16;
typedef struct {
    int8x16_t v[4];
} s8x64;

#define NEON_EACH(i) for (int i = 0; i < 4; i++)

VEC f32x16 f32x16_set1(float x) {
    f32x16 r;
    NEON_EACH(i) r.v[i] = vdupq_n_f32(x);
    return r;
}
VEC f32x16 f32x16_zero(void) { return f32x16_set1(0); }

VEC f32x16 f32x16_load_f32(const void *p) {
    f32x16 r;
    NEON_EACH(i) r.v[i] = vreinterpretq_f32_u8(vld1q_u8((const uint8_t *)p + 16 * i));
    return r;
}
VEC f32x16 f32x16_load_f16(const void *p) {
    f32x16 r;
    NEON_EACH(i)
    r.v[i] = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8((const uint8_t *)p + 8 * i)));
    return r;
}
VEC f32x16 f32x16_load_bf16(const void *p) {
    f32x16 r;
    NEON_EACH(i) {
        uint16x4_t half = vreinterpret_u16_u8(vld1_u8((const uint8_t *)p + 8 * i));
        r.v[i] = vreinterpretq_f32_u32(vshll_n_u16(half, 16));
    }
    return r;
}
VEC f32x16 f32x16_load_i8(const void *p) {
    int8x16_t bytes = vld1q_s8(p);
    int16x8_t lo = vmovl_s8(vget_low_s8(bytes)), hi = vmovl_high_s8(bytes);
    f32x16 r = {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(lo))), vcvtq_f32_s32(vmovl_high_s16(lo)),
                 vcvtq_f32_s32(vmovl_s16(vget_low_s16(hi))), vcvtq_f32_s32(vmovl_high_s16(hi))}};
    return r;
}
VEC f32x16 f32x16_load_u8(const void *p) {
    uint8x16_t bytes = vld1q_u8(p);
    uint16x8_t lo = vmovl_u8(vget_low_u8(bytes)), hi = vmovl_high_u8(bytes);
    f32x16 r = {{vcvtq_f32_u32(vmovl_u16(vget_low_u16(lo))), vcvtq_f32_u32(vmovl_high_u16(lo)),
                 vcvtq_f32_u32(vmovl_u16(vget_low_u16(hi))), vcvtq_f32_u32(vmovl_high_u16(hi))}};
    return r;
}

#define NEON_TAIL(type, elem)                                     \
    VEC f32x16 f32x16_load_tail_##type(const void *p, size_t n) { \
        elem buffer[16] = {0};                                    \
        memcpy(buffer, p, n * sizeof *buffer);                    \
        return f32x16_load_##type(buffer);                        \
    }
NEON_TAIL(f32, float)
NEON_TAIL(f16, uint16_t)
NEON_TAIL(bf16, uint16_t)
NEON_TAIL(i8, int8_t)
NEON_TAIL(u8, uint8_t)
#undef NEON_TAIL

#define NEON_MAP(name, expr)              \
    VEC f32x16 name(f32x16 a, f32x16 b) { \
        f32x16 r;                         \
        NEON_EACH(i) r.v[i] = (expr);     \
        return r;                         \
    }
NEON_MAP(f32x16_add, vaddq_f32(a.v[i], b.v[i]))
NEON_MAP(f32x16_sub, vsubq_f32(a.v[i], b.v[i]))
NEON_MAP(f32x16_mul, vmulq_f32(a.v[i], b.v[i]))
NEON_MAP(f32x16_min, vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]))
NEON_MAP(f32x16_max, vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]))
#undef NEON_MAP

VEC f32x16 f32x16_fma(f32x16 a, f32x16 b, f32x16 c) {
    NEON_EACH(i) c.v[i] = vfmaq_f32(c.v[i], a.v[i], b.v[i]);
    return c;
}
VEC f32x16 f32x16_abs(f32x16 a) {
    NEON_EACH(i) a.v[i] = vabsq_f32(a.v[i]);
    return a;
}
VEC unsigned f32x16_le(f32x16 a, f32x16 b) {
    const uint32x4_t bit = {1, 2, 4, 8};
    unsigned mask = 0;
    NEON_EACH(i) mask |= vaddvq_u32(vandq_u32(vcleq_f32(a.v[i], b.v[i]), bit)) << (4 * i);
    return mask;
}
VEC f32x16 f32x16_pick(f32x16 a, f32x16 b, f32x16 x, f32x16 y) {
    NEON_EACH(i) y.v[i] = vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), x.v[i], y.v[i]);
    return y;
}
VEC float f32x16_top(f32x16 a) {
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.v[0], a.v[1]), vmaxq_f32(a.v[2], a.v[3])));
}
VEC void f32x16_store(float *p, f32x16 a) { NEON_EACH(i) vst1q_f32(p + 4 * i, a.v[i]); }
VEC void f32x16_store_f16(uint16_t *p, f32x16 a) {
    NEON_EACH(i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(a.v[i])));
}
VEC void f32x16_store_bf16(uint16_t *p, f32x16 a) {
    NEON_EACH(i) {
        uint32x4_t bits = vreinterpretq_u32_f32(a.v[i]), upper = vshrq_n_u32(bits, 16);
        uint32x4_t bump = vaddq_u32(vandq_u32(upper, vdupq_n_u32(1)), vdupq_n_u32(0x7fff));
        uint32x4_t rounded = vshrq_n_u32(vaddq_u32(bits, bump), 16);
        uint32x4_t quiet = vorrq_u32(upper, vdupq_n_u32(0x40));
        vst1_u16(p + 4 * i, vmovn_u32(vbslq_u32(vceqq_f32(a.v[i], a.v[i]), rounded, quiet)));
    }
}
VEC void f32x16_store_s16(int16_t *p, f32x16 a) {
    NEON_EACH(i) vst1_s16(p + 4 * i, vmovn_s32(vcvtnq_s32_f32(a.v[i])));
}
VEC void f32x16_store_u8(uint8_t *p, f32x16 a) {
    int16_t wide[16];
    f32x16_store_s16(wide, a);
    for (int i = 0; i < 2; i++) vst1_u8(p + 8 * i, vqmovun_s16(vld1q_s16(wide + 8 * i)));
}
VEC void f32x16_store_s8(int8_t *p, f32x16 a) {
    int16_t wide[16];
    f32x16_store_s16(wide, a);
    for (int i = 0; i < 2; i++) vst1_s8(p + 8 * i, vqmovn_s16(vld1q_s16(wide + 8 * i)));
}

/* swapped + x in lower lanes, swapped - x in upper ones: an fma by 1 or -1 rounds as they do. */
VEC f32x16 f32x16_hadamard(f32x16 a) {
    const float32x4_t each = {1, -1, 1, -1}, pairs = {1, 1, -1, -1};
    NEON_EACH(i) {
        a.v[i] = vfmaq_f32(vrev64q_f32(a.v[i]), a.v[i], each);
        a.v[i] = vfmaq_f32(vextq_f32(a.v[i], a.v[i], 2), a.v[i], pairs);
    }
    for (int stride = 1; stride <= 2; stride *= 2) NEON_EACH(i) {
            if (i & stride) continue;
            float32x4_t x = a.v[i], y = a.v[i + stride];
            a.v[i] = vaddq_f32(x, y);
            a.v[i + stride] = vsubq_f32(x, y);
        }
    return a;
}

/* 16 -> 8 -> 4 lanes. */
VEC float32x4_t neon_quarter(f32x16 a) {
    return vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
}
VEC float f32x16_reduce(f32x16 a) {
    float32x4_t four = neon_quarter(a);
    float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
VEC void f32x16_reduce4(f32x16 a, f32x16 b, f32x16 c, f32x16 d, float *out) {
    out[0] = f32x16_reduce(a);
    out[1] = f32x16_reduce(b);
    out[2] = f32x16_reduce(c);
    out[3] = f32x16_reduce(d);
}

VEC i32x16 i32x16_zero(void) {
    i32x16 r;
    NEON_EACH(i) r.v[i] = vdupq_n_s32(0);
    return r;
}
VEC i32x16 i32x16_add(i32x16 a, i32x16 b) {
    NEON_EACH(i)
    a.v[i] = vreinterpretq_s32_u32(
        vaddq_u32(vreinterpretq_u32_s32(a.v[i]), vreinterpretq_u32_s32(b.v[i])));
    return a;
}
VEC f32x16 i32x16_to_f32(i32x16 a) {
    f32x16 r;
    NEON_EACH(i) r.v[i] = vcvtq_f32_s32(a.v[i]);
    return r;
}
VEC uint32_t i32x16_reduce(i32x16 a) {
    uint32_t sum = 0;
    NEON_EACH(i) sum += vaddvq_u32(vreinterpretq_u32_s32(a.v[i]));
    return sum;
}
VEC void i32x16_reduce4(i32x16 a, i32x16 b, i32x16 c, i32x16 d, int32_t *out) {
    out[0] = (int32_t)i32x16_reduce(a);
    out[1] = (int32_t)i32x16_reduce(b);
    out[2] = (int32_t)i32x16_reduce(c);
    out[3] = (int32_t)i32x16_reduce(d);
}

VEC s8x64 s8x64_load(const int8_t *p) {
    s8x64 q;
    NEON_EACH(i) q.v[i] = vld1q_s8(p + 16 * i);
    return q;
}
VEC i32x16 neon_dot16(i32x16 acc, const uint8_t *row, int8x16_t query) {
    uint8x16_t bytes = vld1q_u8(row);
    int16x8_t row_lo = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
    int16x8_t row_hi = vreinterpretq_s16_u16(vmovl_high_u8(bytes));
    int16x8_t lo = vmovl_s8(vget_low_s8(query)), hi = vmovl_high_s8(query);
    acc.v[0] = vmlal_s16(acc.v[0], vget_low_s16(row_lo), vget_low_s16(lo));
    acc.v[1] = vmlal_high_s16(acc.v[1], row_lo, lo);
    acc.v[2] = vmlal_s16(acc.v[2], vget_low_s16(row_hi), vget_low_s16(hi));
    acc.v[3] = vmlal_high_s16(acc.v[3], row_hi, hi);
    return acc;
}
VEC i32x16 i32x16_dot_u8(i32x16 acc, const uint8_t *row, s8x64 query) {
    NEON_EACH(i) acc = neon_dot16(acc, row + 16 * i, query.v[i]);
    return acc;
}
typedef const int8_t *s8x32;
VEC s8x32 s8x32_load(const int8_t *p) { return p; }
VEC i32x16 i32x16_half_u8(i32x16 acc, const uint8_t *row, s8x32 query) {
    acc = neon_dot16(acc, row, vld1q_s8(query));
    return neon_dot16(acc, row + 16, vld1q_s8(query + 16));
}

/* Codes of at most 63 and s8: four products fit 16 bits. */
typedef const int8_t *s8x128;
typedef const int8_t *s8x64h;
VEC s8x128 s8x128_load(const int8_t *p) { return p; }
VEC s8x64h s8x64h_load(const int8_t *p) { return p; }
VEC int32x4_t neon_dot_pair(int32x4_t acc, uint8x16_t a, const int8_t *query_a, uint8x16_t b,
                            const int8_t *query_b) {
    int8x16_t x = vreinterpretq_s8_u8(a), y = vreinterpretq_s8_u8(b);
    int8x16_t p = vld1q_s8(query_a), q = vld1q_s8(query_b);
    int16x8_t sums = vmull_s8(vget_low_s8(x), vget_low_s8(p));
    sums = vmlal_high_s8(sums, x, p);
    sums = vmlal_s8(sums, vget_low_s8(y), vget_low_s8(q));
    return vpadalq_s16(acc, vmlal_high_s8(sums, y, q));
}
VEC uint8x16_t neon_low4(uint8x16_t bytes) { return vandq_u8(bytes, vdupq_n_u8(15)); }
VEC i32x16 i32x16_dot_u4(i32x16 acc, const uint8_t *row, s8x128 query) {
    NEON_EACH(i) {
        uint8x16_t a = vld1q_u8(row + 16 * i);
        acc.v[i] = neon_dot_pair(acc.v[i], neon_low4(a), query + 16 * i, vshrq_n_u8(a, 4),
                                 query + 64 + 16 * i);
    }
    return acc;
}
VEC i32x16 i32x16_half_u4(i32x16 acc, const uint8_t *row, s8x64h query) {
    for (int i = 0; i < 2; i++) {
        uint8x16_t a = vld1q_u8(row + 16 * i);
        acc.v[i] = neon_dot_pair(acc.v[i], neon_low4(a), query + 16 * i, vshrq_n_u8(a, 4),
                                 query + 32 + 16 * i);
    }
    return acc;
}
/* code | the two bits of twos from `from` on, shifted to bits 4, 5. */
VEC uint8x16_t neon_u6(uint8x16_t code, uint8x16_t twos, int from) {
    uint8x16_t moved = vshlq_u8(twos, vdupq_n_s8((int8_t)(4 - from)));
    return vorrq_u8(code, vandq_u8(moved, vdupq_n_u8(0x30)));
}
VEC i32x16 i32x16_dot_u6(i32x16 acc, const uint8_t *row, s8x128 query) {
    NEON_EACH(i) {
        uint8x16_t a = vld1q_u8(row + 16 * i), twos = vld1q_u8(row + 64 + 16 * (i % 2));
        uint8x16_t lower = neon_u6(neon_low4(a), twos, i / 2 * 2);
        uint8x16_t upper = neon_u6(vshrq_n_u8(a, 4), twos, i / 2 * 2 + 4);
        acc.v[i] = neon_dot_pair(acc.v[i], lower, query + 16 * i, upper, query + 64 + 16 * i);
    }
    return acc;
}
VEC i32x16 i32x16_half_u6(i32x16 acc, const uint8_t *row, s8x64h query) {
    uint8x16_t twos = vld1q_u8(row + 32);
    for (int i = 0; i < 2; i++) {
        uint8x16_t a = vld1q_u8(row + 16 * i);
        uint8x16_t lower = neon_u6(neon_low4(a), twos, i * 2);
        uint8x16_t upper = neon_u6(vshrq_n_u8(a, 4), twos, i * 2 + 4);
        acc.v[i] = neon_dot_pair(acc.v[i], lower, query + 16 * i, upper, query + 32 + 16 * i);
    }
    return acc;
}

VEC uint8x16_t neon_u2(uint8x16_t twos, int from) {
    return vandq_u8(vshlq_u8(twos, vdupq_n_s8((int8_t)-from)), vdupq_n_u8(3));
}
VEC i32x16 i32x16_dot_u2(i32x16 acc, const uint8_t *row, s8x128 query) {
    NEON_EACH(i) {
        uint8x16_t twos = vld1q_u8(row + 16 * (i % 2));
        int at = i / 2 * 4;
        const int8_t *q = query + 64 * (i / 2) + 16 * (i % 2);
        acc.v[i] = neon_dot_pair(acc.v[i], neon_u2(twos, at), q, neon_u2(twos, at + 2), q + 32);
    }
    return acc;
}
VEC i32x16 i32x16_half_u2(i32x16 acc, const uint8_t *row, s8x64h query) {
    uint8x16_t twos = vld1q_u8(row);
    for (int i = 0; i < 2; i++)
        acc.v[i] = neon_dot_pair(acc.v[i], neon_u2(twos, 4 * i), query + 32 * i,
                                 neon_u2(twos, 4 * i + 2), query + 32 * i + 16);
    return acc;
}
/* 16 bits to 16 bytes of 0 or 1. */
VEC uint8x16_t neon_u1(const uint8_t *row) {
    const uint8x8_t bit = {1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t spread = vcombine_u8(vdup_n_u8(row[0]), vdup_n_u8(row[1]));
    return vandq_u8(vtstq_u8(spread, vcombine_u8(bit, bit)), vdupq_n_u8(1));
}
VEC i32x16 i32x16_dot_u1(i32x16 acc, const uint8_t *row, s8x64h query) {
    for (int i = 0; i < 2; i++)
        acc.v[i] = neon_dot_pair(acc.v[i], neon_u1(row + 4 * i), query + 32 * i,
                                 neon_u1(row + 4 * i + 2), query + 32 * i + 16);
    return acc;
}

VEC int32x4_t neon_differ(int32x4_t acc, uint8x16_t a, uint8x16_t b) {
    uint16x8_t counts = vpaddlq_u8(vcntq_u8(veorq_u8(a, b)));
    return vreinterpretq_s32_u32(vpadalq_u16(vreinterpretq_u32_s32(acc), counts));
}
VEC i32x16 i32x16_differ(i32x16 acc, const uint8_t *a, const uint8_t *b) {
    NEON_EACH(i) acc.v[i] = neon_differ(acc.v[i], vld1q_u8(a + 16 * i), vld1q_u8(b + 16 * i));
    return acc;
}
VEC i32x16 i32x16_differ_tail(i32x16 acc, const uint8_t *a, const uint8_t *b, size_t n) {
    for (size_t i = 0; i < n; i += 8)
        acc.v[0] = neon_differ(acc.v[0], vcombine_u8(vld1_u8(a + i), vdup_n_u8(0)),
                               vcombine_u8(vld1_u8(b + i), vdup_n_u8(0)));
    return acc;
}

#define INT_STEP 16
VEC i32x16 i32x16_step(i32x16 acc, const void *a, const void *b, size_t n, int is_u8, int metric) {
    uint8_t x[16] = {0}, y[16] = {0};
    memcpy(x, a, n);
    memcpy(y, b, n);
    for (int i = 0; i < 2; i++) {
        uint8x8_t x8 = vld1_u8(x + 8 * i), y8 = vld1_u8(y + 8 * i);
        int16x8_t wide_x =
            is_u8 ? vreinterpretq_s16_u16(vmovl_u8(x8)) : vmovl_s8(vreinterpret_s8_u8(x8));
        int16x8_t wide_y =
            is_u8 ? vreinterpretq_s16_u16(vmovl_u8(y8)) : vmovl_s8(vreinterpret_s8_u8(y8));
        int16x8_t diff = vsubq_s16(wide_x, wide_y);
        int16x8_t left = metric == KERN_DOT ? wide_x : metric == KERN_L2SQ ? diff : vabsq_s16(diff);
        int16x8_t right = metric == KERN_DOT ? wide_y : metric == KERN_L2SQ ? diff : vdupq_n_s16(1);
        acc.v[0] = vmlal_s16(acc.v[0], vget_low_s16(left), vget_low_s16(right));
        acc.v[1] = vmlal_high_s16(acc.v[1], left, right);
    }
    return acc;
}

/* A line: 4 codes of each of 16 rows, row by row: vld4 gives each code of all rows. */
#define PANEL_CODES 4
#define SCAN_Q      2
#define SCAN_P      1
typedef struct {
    int16x8_t lo[4], hi[4];
} panel_line;
VEC panel_line panel_load(const uint8_t *at) {
    uint8x16x4_t codes = vld4q_u8(at);
    panel_line line;
    NEON_EACH(i) {
        line.lo[i] = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes.val[i])));
        line.hi[i] = vreinterpretq_s16_u16(vmovl_high_u8(codes.val[i]));
    }
    return line;
}
VEC i32x16 panel_dot(i32x16 acc, panel_line line, const void *word) {
    const int8_t *query = word;
    NEON_EACH(i) {
        int16x8_t q = vdupq_n_s16(query[i]);
        acc.v[0] = vmlal_s16(acc.v[0], vget_low_s16(line.lo[i]), vget_low_s16(q));
        acc.v[1] = vmlal_high_s16(acc.v[1], line.lo[i], q);
        acc.v[2] = vmlal_s16(acc.v[2], vget_low_s16(line.hi[i]), vget_low_s16(q));
        acc.v[3] = vmlal_high_s16(acc.v[3], line.hi[i], q);
    }
    return acc;
}

/* 6 accumulators of four registers, and room for two rows. */
#define TILE_Q 3
#define TILE_R 2
VEC void tile_store(const f32x16 *acc, float *out, size_t out_stride) {
    for (size_t q = 0; q < TILE_Q; q++)
        for (size_t r = 0; r < TILE_R; r++)
            out[q * out_stride + r] = f32x16_reduce(acc[q * TILE_R + r]);
}

#endif
