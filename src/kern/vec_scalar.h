/* The vocabulary in plain C: 16 lanes as arrays. It is the law that every other vec_*.h must equal bit by bit.
 *
 * The words (all levels have the same):
 *   f32x16   zero, set1, load_{f32,f16,bf16,i8,u8}, load_tail_* (n = 1..15 elements, nothing else is read, the
 *            missing ones are 0), add, sub, mul, fma(a,b,c) = a*b+c rounded once, abs, min, max, le (a 16-bit
 *            mask), pick, top, store, store_{f16,bf16,u8,s8}, reduce4 (four trees of 16 lanes), hadamard (for stride 1, 2, 4,
 *            8: lanes a, b that lie stride apart become a + b, a - b)
 *   i32x16   zero, add, to_f32, reduce4, store
 *   s8x64    64 bytes of a query made ready; dot_u8 adds the products with 64 codes of a row; s8x32, half_u8: 32
 *   s8x128   128 bytes of a query, s8x64h 64 of them for half a line: dot_u1 (of s8x64h), dot_u2,
 *            dot_u4, dot_u6, half_u2, half_u4, half_u6 (kern.h)
 *   bits     differ adds the numbers of bits in which 64 bytes differ, differ_tail those of n = 8, 16, .. 56
 *   panels   panel_dot adds the products of one 64-byte line (16 rows) with one word of a query
 *   tiles    TILE_Q x TILE_R accumulators, tile_store; where registers are few, PARTS parts of 16 lanes (vec_avx2.h)
 * max(a,b) is a > b ? a : b and min is a < b ? a : b, so that a NaN in a gives b. */
#ifndef KITH_KERN_VEC_SCALAR_H
#define KITH_KERN_VEC_SCALAR_H

#include <math.h>
#include <string.h>

#include "kern/half.h"

/* Calls, not copies: as code inlined everywhere, plain C takes a minute to compile. */
#define LAW static __attribute__((noinline, unused))

typedef struct {
    float v[16];
} f32x16;
typedef struct {
    uint32_t v[16];
} i32x16;
typedef const int8_t *s8x64;

VEC f32x16 f32x16_set1(float x) {
    f32x16 a;
    for (int i = 0; i < 16; i++) a.v[i] = x;
    return a;
}
VEC f32x16 f32x16_zero(void) { return f32x16_set1(0); }

LAW f32x16 f32x16_load_tail_f32(const void *p, size_t n) {
    f32x16 a = f32x16_zero();
    memcpy(a.v, p, n * 4);
    return a;
}
LAW f32x16 f32x16_load_tail_f16(const void *p, size_t n) {
    uint16_t half[16] = {0};
    memcpy(half, p, n * 2);
    f32x16 a;
    for (int i = 0; i < 16; i++) a.v[i] = half_from_f16(half[i]);
    return a;
}
LAW f32x16 f32x16_load_tail_bf16(const void *p, size_t n) {
    uint16_t half[16] = {0};
    memcpy(half, p, n * 2);
    f32x16 a;
    for (int i = 0; i < 16; i++) a.v[i] = half_from_bf16(half[i]);
    return a;
}
LAW f32x16 f32x16_load_tail_i8(const void *p, size_t n) {
    const int8_t *byte = p;
    f32x16 a = f32x16_zero();
    for (size_t i = 0; i < n; i++) a.v[i] = byte[i];
    return a;
}
LAW f32x16 f32x16_load_tail_u8(const void *p, size_t n) {
    const uint8_t *byte = p;
    f32x16 a = f32x16_zero();
    for (size_t i = 0; i < n; i++) a.v[i] = byte[i];
    return a;
}
LAW f32x16 f32x16_load_f32(const void *p) { return f32x16_load_tail_f32(p, 16); }
LAW f32x16 f32x16_load_f16(const void *p) { return f32x16_load_tail_f16(p, 16); }
LAW f32x16 f32x16_load_bf16(const void *p) { return f32x16_load_tail_bf16(p, 16); }
LAW f32x16 f32x16_load_i8(const void *p) { return f32x16_load_tail_i8(p, 16); }
LAW f32x16 f32x16_load_u8(const void *p) { return f32x16_load_tail_u8(p, 16); }

#define SCALAR_MAP(name, expr)                        \
    LAW f32x16 name(f32x16 a, f32x16 b) {             \
        f32x16 r;                                     \
        for (int i = 0; i < 16; i++) r.v[i] = (expr); \
        return r;                                     \
    }
SCALAR_MAP(f32x16_add, a.v[i] + b.v[i])
SCALAR_MAP(f32x16_sub, a.v[i] - b.v[i])
SCALAR_MAP(f32x16_mul, a.v[i] * b.v[i])
SCALAR_MAP(f32x16_min, a.v[i] < b.v[i] ? a.v[i] : b.v[i])
SCALAR_MAP(f32x16_max, a.v[i] > b.v[i] ? a.v[i] : b.v[i])
#undef SCALAR_MAP

LAW f32x16 f32x16_fma(f32x16 a, f32x16 b, f32x16 c) {
    for (int i = 0; i < 16; i++) c.v[i] = fmaf(a.v[i], b.v[i], c.v[i]);
    return c;
}
VEC f32x16 f32x16_abs(f32x16 a) {
    for (int i = 0; i < 16; i++) a.v[i] = fabsf(a.v[i]);
    return a;
}
/* Lanes a > b ? x : y; the largest lane, where none is NaN. */
LAW f32x16 f32x16_pick(f32x16 a, f32x16 b, f32x16 x, f32x16 y) {
    for (int i = 0; i < 16; i++) y.v[i] = a.v[i] > b.v[i] ? x.v[i] : y.v[i];
    return y;
}
VEC float f32x16_top(f32x16 a) {
    float top = a.v[0];
    for (int i = 1; i < 16; i++) top = a.v[i] > top ? a.v[i] : top;
    return top;
}
VEC unsigned f32x16_le(f32x16 a, f32x16 b) {
    unsigned mask = 0;
    for (int i = 0; i < 16; i++) mask |= (unsigned)(a.v[i] <= b.v[i]) << i;
    return mask;
}
LAW void f32x16_store(float *p, f32x16 a) { memcpy(p, a.v, sizeof a.v); }
LAW void f32x16_store_f16(uint16_t *p, f32x16 a) {
    for (int i = 0; i < 16; i++) p[i] = half_to_f16(a.v[i]);
}
LAW void f32x16_store_bf16(uint16_t *p, f32x16 a) {
    for (int i = 0; i < 16; i++) p[i] = half_to_bf16(a.v[i]);
}
/* Round to even by pushing the fraction out of the mantissa: |a| is at most 255. */
LAW void f32x16_store_u8(uint8_t *p, f32x16 a) {
    for (int i = 0; i < 16; i++) p[i] = (uint8_t)((a.v[i] + 0x1.8p23f) - 0x1.8p23f);
}
LAW void f32x16_store_s8(int8_t *p, f32x16 a) {
    for (int i = 0; i < 16; i++) p[i] = (int8_t)((a.v[i] + 0x1.8p23f) - 0x1.8p23f);
}
LAW float f32x16_reduce(f32x16 a) {
    for (int half = 8; half >= 1; half /= 2)
        for (int i = 0; i < half; i++) a.v[i] = a.v[i] + a.v[i + half];
    return a.v[0];
}
LAW f32x16 f32x16_hadamard(f32x16 a) {
    for (int stride = 1; stride <= 8; stride *= 2)
        for (int i = 0; i < 16; i++) {
            if (i & stride) continue;
            float x = a.v[i], y = a.v[i + stride];
            a.v[i] = x + y;
            a.v[i + stride] = x - y;
        }
    return a;
}
LAW void f32x16_reduce4(f32x16 a, f32x16 b, f32x16 c, f32x16 d, float *out) {
    out[0] = f32x16_reduce(a);
    out[1] = f32x16_reduce(b);
    out[2] = f32x16_reduce(c);
    out[3] = f32x16_reduce(d);
}

VEC i32x16 i32x16_zero(void) {
    i32x16 a = {{0}};
    return a;
}
VEC i32x16 i32x16_add(i32x16 a, i32x16 b) {
    for (int i = 0; i < 16; i++) a.v[i] += b.v[i];
    return a;
}
VEC f32x16 i32x16_to_f32(i32x16 a) {
    f32x16 r;
    for (int i = 0; i < 16; i++) r.v[i] = (float)(int32_t)a.v[i];
    return r;
}
VEC uint32_t i32x16_reduce(i32x16 a) {
    uint32_t sum = 0;
    for (int i = 0; i < 16; i++) sum += a.v[i];
    return sum;
}
VEC void i32x16_reduce4(i32x16 a, i32x16 b, i32x16 c, i32x16 d, int32_t *out) {
    out[0] = (int32_t)i32x16_reduce(a);
    out[1] = (int32_t)i32x16_reduce(b);
    out[2] = (int32_t)i32x16_reduce(c);
    out[3] = (int32_t)i32x16_reduce(d);
}

VEC s8x64 s8x64_load(const int8_t *p) { return p; }
LAW i32x16 i32x16_dot_u8(i32x16 acc, const uint8_t *row, s8x64 query) {
    for (int i = 0; i < 64; i++) acc.v[i % 16] += (uint32_t)(row[i] * query[i]);
    return acc;
}

typedef const int8_t *s8x32;
VEC s8x32 s8x32_load(const int8_t *p) { return p; }
LAW i32x16 i32x16_half_u8(i32x16 acc, const uint8_t *row, s8x32 query) {
    for (int i = 0; i < 32; i++) acc.v[i % 16] += (uint32_t)(row[i] * query[i]);
    return acc;
}

typedef const int8_t *s8x128;
typedef const int8_t *s8x64h;
VEC s8x128 s8x128_load(const int8_t *p) { return p; }
VEC s8x64h s8x64h_load(const int8_t *p) { return p; }
/* The codes of a line of 2 n codes, or of 4 twos: n is 64, or 32 in half a line. */
VEC int scalar_u4(const uint8_t *row, int n, int code) {
    return row[code % n] >> code / n * 4 & 15;
}
VEC int scalar_u2(const uint8_t *row, int n, int code) {
    return row[code % (n / 2)] >> code / (n / 2) * 2 & 3;
}
LAW i32x16 scalar_dot_u4(i32x16 acc, const uint8_t *row, const int8_t *query, int n) {
    for (int i = 0; i < 2 * n; i++) acc.v[i % 16] += (uint32_t)(scalar_u4(row, n, i) * query[i]);
    return acc;
}
LAW i32x16 scalar_dot_u6(i32x16 acc, const uint8_t *row, const int8_t *query, int n) {
    for (int i = 0; i < 2 * n; i++) {
        int code = scalar_u4(row, n, i) + 16 * scalar_u2(row + n, n, i);
        acc.v[i % 16] += (uint32_t)(code * query[i]);
    }
    return acc;
}
VEC i32x16 i32x16_dot_u4(i32x16 acc, const uint8_t *row, s8x128 query) {
    return scalar_dot_u4(acc, row, query, 64);
}
VEC i32x16 i32x16_half_u4(i32x16 acc, const uint8_t *row, s8x64h query) {
    return scalar_dot_u4(acc, row, query, 32);
}
VEC i32x16 i32x16_dot_u6(i32x16 acc, const uint8_t *row, s8x128 query) {
    return scalar_dot_u6(acc, row, query, 64);
}
VEC i32x16 i32x16_half_u6(i32x16 acc, const uint8_t *row, s8x64h query) {
    return scalar_dot_u6(acc, row, query, 32);
}

LAW i32x16 scalar_dot_u2(i32x16 acc, const uint8_t *row, const int8_t *query, int n) {
    for (int i = 0; i < 2 * n; i++) acc.v[i % 16] += (uint32_t)(scalar_u2(row, n, i) * query[i]);
    return acc;
}
VEC i32x16 i32x16_dot_u2(i32x16 acc, const uint8_t *row, s8x128 query) {
    return scalar_dot_u2(acc, row, query, 64);
}
VEC i32x16 i32x16_half_u2(i32x16 acc, const uint8_t *row, s8x64h query) {
    return scalar_dot_u2(acc, row, query, 32);
}
LAW i32x16 i32x16_dot_u1(i32x16 acc, const uint8_t *row, s8x64h query) {
    for (int i = 0; i < 64; i++) acc.v[i % 16] += (uint32_t)((row[i / 8] >> i % 8 & 1) * query[i]);
    return acc;
}

LAW i32x16 i32x16_differ_tail(i32x16 acc, const uint8_t *a, const uint8_t *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (unsigned left = a[i] ^ b[i]; left; left &= left - 1) acc.v[i % 16]++;
    return acc;
}
VEC i32x16 i32x16_differ(i32x16 acc, const uint8_t *a, const uint8_t *b) {
    return i32x16_differ_tail(acc, a, b, 64);
}

/* Integer pairs: what 16 (or n) elements of two vectors add to a sum. */
#define INT_STEP 16
LAW i32x16 i32x16_step(i32x16 acc, const void *a, const void *b, size_t n, int is_u8, int metric) {
    for (size_t i = 0; i < n; i++) {
        int x = is_u8 ? ((const uint8_t *)a)[i] : ((const int8_t *)a)[i];
        int y = is_u8 ? ((const uint8_t *)b)[i] : ((const int8_t *)b)[i];
        int diff = x - y;
        acc.v[i] += (uint32_t)(metric == KERN_DOT    ? x * y
                               : metric == KERN_L2SQ ? diff * diff
                               : diff < 0            ? -diff
                                                     : diff);
    }
    return acc;
}

/* A line: 4 codes of each of 16 rows, row by row. */
#define PANEL_CODES 4
#define SCAN_Q      2
#define SCAN_P      1
typedef const uint8_t *panel_line;
VEC panel_line panel_load(const uint8_t *line) { return line; }
VEC i32x16 panel_dot(i32x16 acc, panel_line line, const void *word) {
    const int8_t *query = word;
    for (int row = 0; row < 16; row++)
        for (int i = 0; i < 4; i++) acc.v[row] += (uint32_t)(line[row * 4 + i] * query[i]);
    return acc;
}

#define TILE_Q 1
#define TILE_R 4
VEC void tile_store(const f32x16 *acc, float *out, size_t out_stride) {
    (void)out_stride;
    f32x16_reduce4(acc[0], acc[1], acc[2], acc[3], out);
}

#endif
