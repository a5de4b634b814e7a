/* The vocabulary for AVX2 with FMA and F16C: 16 lanes as two registers. The words are described in vec_scalar.h.
 *
 * Tails are read by masked loads (f32) or by overlapping smaller loads, so that no byte beyond them is touched.
 * vpmaddubsw saturates (255*127*2 > 32767), so bytes are widened to 16 bits and multiplied by vpmaddwd, exactly. */
#ifndef KITH_KERN_VEC_AVX2_H
#define KITH_KERN_VEC_AVX2_H

#include <immintrin.h>
#include <string.h>

typedef struct {
    __m256 lo, hi;
} f32x16;
/* Not __m256i, whose elements are 64 bits wide: gcc copies the sums of a loop when the type changes on the way.
 * Unsigned, so that sums wrap. */
typedef struct {
    __v8su lo, hi;
} i32x16;
/* Even and odd bytes of 64, as 16-bit numbers. */
typedef struct {
    __m256i even[2], odd[2];
} s8x64;

#define PAIR(type, lo_, hi_) ((type){.lo = (lo_), .hi = (hi_)})

VEC f32x16 f32x16_set1(float x) { return PAIR(f32x16, _mm256_set1_ps(x), _mm256_set1_ps(x)); }
VEC f32x16 f32x16_zero(void) { return PAIR(f32x16, _mm256_setzero_ps(), _mm256_setzero_ps()); }

/* n = 1..15 bytes, zeros above. */
VEC __m128i avx2_bytes(const void *p, size_t n) {
    const unsigned char *byte = p;
    uint64_t lo = 0, hi = 0;
    if (n >= 8) {
        memcpy(&lo, byte, 8);
        memcpy(&hi, byte + n - 8, 8);
        hi = n == 8 ? 0 : hi >> (8 * (16 - n));
    } else if (n >= 4) {
        uint32_t first, last;
        memcpy(&first, byte, 4);
        memcpy(&last, byte + n - 4, 4);
        lo = first | (uint64_t)last << (8 * (n - 4));
    } else {
        lo = byte[0] | (uint64_t)byte[n / 2] << (8 * (n / 2)) |
             (uint64_t)byte[n - 1] << (8 * (n - 1));
    }
    return _mm_set_epi64x((long long)hi, (long long)lo);
}
/* The first n = 1..15 of 16 two-byte elements. */
VEC void avx2_halves(const void *p, size_t n, __m128i *lo, __m128i *hi) {
    const uint16_t *half = p;
    *lo = n >= 8 ? _mm_loadu_si128(p) : avx2_bytes(half, n * 2);
    *hi = n > 8 ? avx2_bytes(half + 8, n * 2 - 16) : _mm_setzero_si128();
}

VEC f32x16 avx2_bf16(__m128i lo, __m128i hi) {
    __m256i wide_lo = _mm256_slli_epi32(_mm256_cvtepu16_epi32(lo), 16);
    __m256i wide_hi = _mm256_slli_epi32(_mm256_cvtepu16_epi32(hi), 16);
    return PAIR(f32x16, _mm256_castsi256_ps(wide_lo), _mm256_castsi256_ps(wide_hi));
}
VEC f32x16 avx2_i8(__m128i bytes) {
    __m256i lo = _mm256_cvtepi8_epi32(bytes);
    __m256i hi = _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8));
    return PAIR(f32x16, _mm256_cvtepi32_ps(lo), _mm256_cvtepi32_ps(hi));
}
VEC f32x16 avx2_u8(__m128i bytes) {
    __m256i lo = _mm256_cvtepu8_epi32(bytes);
    __m256i hi = _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8));
    return PAIR(f32x16, _mm256_cvtepi32_ps(lo), _mm256_cvtepi32_ps(hi));
}

VEC f32x16 f32x16_load_f32(const void *p) {
    const float *x = p;
    return PAIR(f32x16, _mm256_loadu_ps(x), _mm256_loadu_ps(x + 8));
}
VEC f32x16 f32x16_load_f16(const void *p) {
    const __m128i *x = p;
    return PAIR(f32x16, _mm256_cvtph_ps(_mm_loadu_si128(x)),
                _mm256_cvtph_ps(_mm_loadu_si128(x + 1)));
}
VEC f32x16 f32x16_load_bf16(const void *p) {
    const __m128i *x = p;
    return avx2_bf16(_mm_loadu_si128(x), _mm_loadu_si128(x + 1));
}
VEC f32x16 f32x16_load_i8(const void *p) { return avx2_i8(_mm_loadu_si128(p)); }
VEC f32x16 f32x16_load_u8(const void *p) { return avx2_u8(_mm_loadu_si128(p)); }

VEC f32x16 f32x16_load_tail_f32(const void *p, size_t n) {
    const float *x = p;
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i count = _mm256_set1_epi32((int)n);
    __m256i count_hi = _mm256_sub_epi32(count, _mm256_set1_epi32(8));
    return PAIR(f32x16, _mm256_maskload_ps(x, _mm256_cmpgt_epi32(count, lane)),
                n > 8 ? _mm256_maskload_ps(x + 8, _mm256_cmpgt_epi32(count_hi, lane))
                      : _mm256_setzero_ps());
}
VEC f32x16 f32x16_load_tail_f16(const void *p, size_t n) {
    __m128i lo, hi;
    avx2_halves(p, n, &lo, &hi);
    return PAIR(f32x16, _mm256_cvtph_ps(lo), _mm256_cvtph_ps(hi));
}
VEC f32x16 f32x16_load_tail_bf16(const void *p, size_t n) {
    __m128i lo, hi;
    avx2_halves(p, n, &lo, &hi);
    return avx2_bf16(lo, hi);
}
VEC f32x16 f32x16_load_tail_i8(const void *p, size_t n) { return avx2_i8(avx2_bytes(p, n)); }
VEC f32x16 f32x16_load_tail_u8(const void *p, size_t n) { return avx2_u8(avx2_bytes(p, n)); }

VEC f32x16 f32x16_add(f32x16 a, f32x16 b) {
    return PAIR(f32x16, _mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi));
}
VEC f32x16 f32x16_sub(f32x16 a, f32x16 b) {
    return PAIR(f32x16, _mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi));
}
VEC f32x16 f32x16_mul(f32x16 a, f32x16 b) {
    return PAIR(f32x16, _mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi));
}
VEC f32x16 f32x16_min(f32x16 a, f32x16 b) {
    return PAIR(f32x16, _mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi));
}
VEC f32x16 f32x16_max(f32x16 a, f32x16 b) {
    return PAIR(f32x16, _mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi));
}
VEC f32x16 f32x16_fma(f32x16 a, f32x16 b, f32x16 c) {
    return PAIR(f32x16, _mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi));
}
VEC f32x16 f32x16_abs(f32x16 a) {
    __m256 sign = _mm256_set1_ps(-0.0f);
    return PAIR(f32x16, _mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi));
}
VEC unsigned f32x16_le(f32x16 a, f32x16 b) {
    unsigned lo = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a.lo, b.lo, _CMP_LE_OQ));
    unsigned hi = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a.hi, b.hi, _CMP_LE_OQ));
    return lo | hi << 8;
}
VEC f32x16 f32x16_pick(f32x16 a, f32x16 b, f32x16 x, f32x16 y) {
    return PAIR(f32x16, _mm256_blendv_ps(y.lo, x.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_GT_OQ)),
                _mm256_blendv_ps(y.hi, x.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_GT_OQ)));
}
VEC float f32x16_top(f32x16 a) {
    __m256 eight = _mm256_max_ps(a.lo, a.hi);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
VEC void f32x16_store(float *p, f32x16 a) {
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}
VEC void f32x16_store_f16(uint16_t *p, f32x16 a) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(a.lo, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(p + 8), _mm256_cvtps_ph(a.hi, _MM_FROUND_TO_NEAREST_INT));
}
VEC __m256i avx2_to_bf16(__m256 a) {
    __m256i bits = _mm256_castps_si256(a);
    __m256i upper = _mm256_srli_epi32(bits, 16);
    __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
    __m256i bump = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, bump), 16);
    __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
    __m256 is_nan = _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
    return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(is_nan));
}
VEC void f32x16_store_bf16(uint16_t *p, f32x16 a) {
    __m256i both = _mm256_packus_epi32(avx2_to_bf16(a.lo), avx2_to_bf16(a.hi));
    _mm256_storeu_si256((__m256i *)p, _mm256_permute4x64_epi64(both, 0xd8));
}
VEC __m128i avx2_round16(__m256 a) {
    __m256i rounded = _mm256_cvtps_epi32(a);
    return _mm_packs_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
}
VEC void f32x16_store_u8(uint8_t *p, f32x16 a) {
    _mm_storeu_si128((__m128i *)p, _mm_packus_epi16(avx2_round16(a.lo), avx2_round16(a.hi)));
}
VEC void f32x16_store_s8(int8_t *p, f32x16 a) {
    _mm_storeu_si128((__m128i *)p, _mm_packs_epi16(avx2_round16(a.lo), avx2_round16(a.hi)));
}

/* 16 -> 8 -> 4 lanes. */
VEC __m128 avx2_quarter(f32x16 a) {
    __m256 eight = _mm256_add_ps(a.lo, a.hi);
    return _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
}
VEC float f32x16_reduce(f32x16 a) {
    __m128 four = avx2_quarter(a);
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
VEC void f32x16_reduce4(f32x16 a, f32x16 b, f32x16 c, f32x16 d, float *out) {
    __m128 a4 = avx2_quarter(a), b4 = avx2_quarter(b), c4 = avx2_quarter(c), d4 = avx2_quarter(d);
    __m128 ab = _mm_add_ps(_mm_movelh_ps(a4, b4), _mm_movehl_ps(b4, a4));
    __m128 cd = _mm_add_ps(_mm_movelh_ps(c4, d4), _mm_movehl_ps(d4, c4));
    __m128 even = _mm_shuffle_ps(ab, cd, 0x88), odd = _mm_shuffle_ps(ab, cd, 0xdd);
    _mm_storeu_ps(out, _mm_add_ps(even, odd));
}

/* swapped + x in lower lanes, swapped - x in upper ones: an fma by 1 or -1 rounds as they do. */
VEC __m256 avx2_hadamard(__m256 x) {
    const __m256 each = _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1);
    const __m256 pairs = _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1);
    const __m256 quads = _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1);
    x = _mm256_fmadd_ps(x, each, _mm256_permute_ps(x, 0xb1));
    x = _mm256_fmadd_ps(x, pairs, _mm256_permute_ps(x, 0x4e));
    return _mm256_fmadd_ps(x, quads, _mm256_permute2f128_ps(x, x, 0x01));
}
VEC f32x16 f32x16_hadamard(f32x16 a) {
    __m256 lo = avx2_hadamard(a.lo), hi = avx2_hadamard(a.hi);
    return PAIR(f32x16, _mm256_add_ps(lo, hi), _mm256_sub_ps(lo, hi));
}

VEC i32x16 i32x16_zero(void) {
    return PAIR(i32x16, (__v8su)_mm256_setzero_si256(), (__v8su)_mm256_setzero_si256());
}
VEC i32x16 i32x16_add(i32x16 a, i32x16 b) { return PAIR(i32x16, a.lo + b.lo, a.hi + b.hi); }
VEC f32x16 i32x16_to_f32(i32x16 a) {
    return PAIR(f32x16, _mm256_cvtepi32_ps((__m256i)a.lo), _mm256_cvtepi32_ps((__m256i)a.hi));
}
VEC __m128i avx2_quarter_i32(i32x16 a) {
    __m256i eight = (__m256i)(a.lo + a.hi);
    return _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
}
VEC void i32x16_reduce4(i32x16 a, i32x16 b, i32x16 c, i32x16 d, int32_t *out) {
    __m128i ab = _mm_hadd_epi32(avx2_quarter_i32(a), avx2_quarter_i32(b));
    __m128i cd = _mm_hadd_epi32(avx2_quarter_i32(c), avx2_quarter_i32(d));
    _mm_storeu_si128((__m128i *)out, _mm_hadd_epi32(ab, cd));
}
VEC uint32_t i32x16_reduce(i32x16 a) {
    __m128i four = avx2_quarter_i32(a);
    four = _mm_hadd_epi32(four, four);
    return (uint32_t)_mm_cvtsi128_si32(_mm_hadd_epi32(four, four));
}

VEC s8x64 s8x64_load(const int8_t *p) {
    s8x64 q;
    for (int i = 0; i < 2; i++) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(p + 32 * i));
        q.even[i] = _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8);
        q.odd[i] = _mm256_srai_epi16(bytes, 8);
    }
    return q;
}
VEC __m256i avx2_dot32(const uint8_t *row, __m256i even, __m256i odd) {
    __m256i bytes = _mm256_loadu_si256((const __m256i *)row);
    __m256i row_even = _mm256_and_si256(bytes, _mm256_set1_epi16(0xff));
    __m256i row_odd = _mm256_srli_epi16(bytes, 8);
    return _mm256_add_epi32(_mm256_madd_epi16(row_even, even), _mm256_madd_epi16(row_odd, odd));
}
VEC i32x16 i32x16_dot_u8(i32x16 acc, const uint8_t *row, s8x64 q) {
    return PAIR(i32x16, acc.lo + (__v8su)avx2_dot32(row, q.even[0], q.odd[0]),
                acc.hi + (__v8su)avx2_dot32(row + 32, q.even[1], q.odd[1]));
}

/* Half a line: 32 codes. */
typedef struct {
    __m256i even, odd;
} s8x32;
VEC s8x32 s8x32_load(const int8_t *p) {
    __m256i bytes = _mm256_loadu_si256((const __m256i *)p);
    return (s8x32){_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)};
}
VEC i32x16 i32x16_half_u8(i32x16 acc, const uint8_t *row, s8x32 q) {
    acc.lo += (__v8su)avx2_dot32(row, q.even, q.odd);
    return acc;
}

/* Codes of at most 63 and s8: two products fit 16 bits, and two such sums. */
typedef struct {
    __m256i v[4];
} s8x128;
typedef struct {
    __m256i v[2];
} s8x64h;
VEC s8x64h s8x64h_load(const int8_t *p) {
    const __m256i *at = (const __m256i *)p;
    return (s8x64h){{_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1)}};
}
VEC s8x128 s8x128_load(const int8_t *p) {
    const __m256i *at = (const __m256i *)p;
    return (s8x128){{_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1), _mm256_loadu_si256(at + 2),
                     _mm256_loadu_si256(at + 3)}};
}
VEC __v8su avx2_dot_pair(__m256i a, __m256i query_a, __m256i b, __m256i query_b) {
    __m256i sums =
        _mm256_add_epi16(_mm256_maddubs_epi16(a, query_a), _mm256_maddubs_epi16(b, query_b));
    return (__v8su)_mm256_madd_epi16(sums, _mm256_set1_epi16(1));
}
VEC __m256i avx2_low4(__m256i bytes) { return _mm256_and_si256(bytes, _mm256_set1_epi8(15)); }
VEC __m256i avx2_load32(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
VEC i32x16 i32x16_dot_u4(i32x16 acc, const uint8_t *row, s8x128 q) {
    __m256i a = avx2_load32(row), b = avx2_load32(row + 32);
    acc.lo += avx2_dot_pair(avx2_low4(a), q.v[0], avx2_low4(_mm256_srli_epi16(a, 4)), q.v[2]);
    acc.hi += avx2_dot_pair(avx2_low4(b), q.v[1], avx2_low4(_mm256_srli_epi16(b, 4)), q.v[3]);
    return acc;
}
VEC i32x16 i32x16_half_u4(i32x16 acc, const uint8_t *row, s8x64h q) {
    __m256i a = avx2_load32(row);
    acc.lo += avx2_dot_pair(avx2_low4(a), q.v[0], avx2_low4(_mm256_srli_epi16(a, 4)), q.v[1]);
    return acc;
}
/* The lower 4 bits of each byte of nibbles, and bits 4, 5 of upper. */
VEC __m256i avx2_u6(__m256i nibbles, __m256i upper) {
    return _mm256_or_si256(avx2_low4(nibbles), _mm256_and_si256(upper, _mm256_set1_epi8(0x30)));
}
VEC i32x16 i32x16_dot_u6(i32x16 acc, const uint8_t *row, s8x128 q) {
    __m256i a = avx2_load32(row), b = avx2_load32(row + 32), twos = avx2_load32(row + 64);
    __m256i c0 = avx2_u6(a, _mm256_slli_epi16(twos, 4));
    __m256i c1 = avx2_u6(b, _mm256_slli_epi16(twos, 2));
    __m256i c2 = avx2_u6(_mm256_srli_epi16(a, 4), twos);
    __m256i c3 = avx2_u6(_mm256_srli_epi16(b, 4), _mm256_srli_epi16(twos, 2));
    acc.lo += avx2_dot_pair(c0, q.v[0], c2, q.v[2]);
    acc.hi += avx2_dot_pair(c1, q.v[1], c3, q.v[3]);
    return acc;
}
VEC i32x16 i32x16_half_u6(i32x16 acc, const uint8_t *row, s8x64h q) {
    __m256i a = avx2_load32(row);
    __m256i twos = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(row + 32)));
    __m256i c0 = avx2_u6(a, _mm256_sllv_epi64(twos, _mm256_setr_epi64x(4, 4, 2, 2)));
    __m256i c1 =
        avx2_u6(_mm256_srli_epi16(a, 4), _mm256_srlv_epi64(twos, _mm256_setr_epi64x(0, 0, 2, 2)));
    acc.lo += avx2_dot_pair(c0, q.v[0], c1, q.v[1]);
    return acc;
}

VEC __m256i avx2_u2(__m256i twos, __m256i shift) {
    return _mm256_and_si256(_mm256_srlv_epi64(twos, shift), _mm256_set1_epi8(3));
}
VEC i32x16 i32x16_dot_u2(i32x16 acc, const uint8_t *row, s8x128 q) {
    const __m256i mask = _mm256_set1_epi8(3);
    __m256i twos = avx2_load32(row);
    __m256i c0 = _mm256_and_si256(twos, mask);
    __m256i c1 = _mm256_and_si256(_mm256_srli_epi16(twos, 2), mask);
    __m256i c2 = _mm256_and_si256(_mm256_srli_epi16(twos, 4), mask);
    __m256i c3 = _mm256_and_si256(_mm256_srli_epi16(twos, 6), mask);
    acc.lo += avx2_dot_pair(c0, q.v[0], c1, q.v[1]);
    acc.hi += avx2_dot_pair(c2, q.v[2], c3, q.v[3]);
    return acc;
}
VEC i32x16 i32x16_half_u2(i32x16 acc, const uint8_t *row, s8x64h q) {
    __m256i twos = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)row));
    acc.lo += avx2_dot_pair(avx2_u2(twos, _mm256_setr_epi64x(0, 0, 2, 2)), q.v[0],
                            avx2_u2(twos, _mm256_setr_epi64x(4, 4, 6, 6)), q.v[1]);
    return acc;
}
/* 32 bits to 32 bytes of 0 or 1. */
VEC __m256i avx2_u1(const uint8_t *row) {
    const __m256i byte =
        _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201u);
    int32_t word;
    memcpy(&word, row, 4);
    __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(word), byte);
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit),
                            _mm256_set1_epi8(1));
}
VEC i32x16 i32x16_dot_u1(i32x16 acc, const uint8_t *row, s8x64h q) {
    acc.lo += avx2_dot_pair(avx2_u1(row), q.v[0], avx2_u1(row + 4), q.v[1]);
    return acc;
}

/* Set bits of each word of 64. */
VEC __v8su avx2_count(__m256i x) {
    const __m256i table =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    __m256i lower = _mm256_shuffle_epi8(table, avx2_low4(x));
    __m256i upper = _mm256_shuffle_epi8(table, avx2_low4(_mm256_srli_epi16(x, 4)));
    return (__v8su)_mm256_sad_epu8(_mm256_add_epi8(lower, upper), _mm256_setzero_si256());
}
VEC i32x16 i32x16_differ(i32x16 acc, const uint8_t *a, const uint8_t *b) {
    acc.lo += avx2_count(_mm256_xor_si256(avx2_load32(a), avx2_load32(b)));
    acc.hi += avx2_count(_mm256_xor_si256(avx2_load32(a + 32), avx2_load32(b + 32)));
    return acc;
}
/* The first n of 8, 16, 24 or 32 bytes. */
VEC __m256i avx2_words(const uint8_t *p, int n) {
    __m256i from = _mm256_setr_epi64x(0, 8, 16, 24);
    return _mm256_maskload_epi64((const long long *)(const void *)p,
                                 _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), from));
}
VEC i32x16 i32x16_differ_tail(i32x16 acc, const uint8_t *a, const uint8_t *b, size_t n) {
    int first = n < 32 ? (int)n : 32;
    acc.lo += avx2_count(_mm256_xor_si256(avx2_words(a, first), avx2_words(b, first)));
    if (n > 32) {
        __m256i x = avx2_words(a + 32, (int)n - 32);
        acc.hi += avx2_count(_mm256_xor_si256(x, avx2_words(b + 32, (int)n - 32)));
    }
    return acc;
}

#define INT_STEP 16
VEC i32x16 i32x16_step(i32x16 acc, const void *a, const void *b, size_t n, int is_u8, int metric) {
    __m128i x = n == 16 ? _mm_loadu_si128(a) : avx2_bytes(a, n);
    __m128i y = n == 16 ? _mm_loadu_si128(b) : avx2_bytes(b, n);
    __m256i wide_x = is_u8 ? _mm256_cvtepu8_epi16(x) : _mm256_cvtepi8_epi16(x);
    __m256i wide_y = is_u8 ? _mm256_cvtepu8_epi16(y) : _mm256_cvtepi8_epi16(y);
    __m256i diff = _mm256_sub_epi16(wide_x, wide_y);
    __m256i sum = metric == KERN_DOT ? _mm256_madd_epi16(wide_x, wide_y)
                  : metric == KERN_L2SQ
                      ? _mm256_madd_epi16(diff, diff)
                      : _mm256_madd_epi16(_mm256_abs_epi16(diff), _mm256_set1_epi16(1));
    acc.lo += (__v8su)sum;
    return acc;
}

/* A line: 2 codes of each of 16 rows, widened to 16 bits; a word: 2 query elements of 16 bits. */
#define PANEL_CODES 2
#define SCAN_Q      2
#define SCAN_P      2
typedef struct {
    __m256i lo, hi;
} panel_line;
VEC panel_line panel_load(const uint8_t *at) {
    const __m256i *half = (const __m256i *)at;
    panel_line line = PAIR(panel_line, _mm256_loadu_si256(half), _mm256_loadu_si256(half + 1));
    __asm__("" : "+x"(line.lo), "+x"(line.hi)); /* in registers: else gcc loads them once a query */
    return line;
}
VEC i32x16 panel_dot(i32x16 acc, panel_line line, const void *word) {
    int32_t pair;
    memcpy(&pair, word, 4);
    __m256i query = _mm256_set1_epi32(pair);
    return PAIR(i32x16, acc.lo + (__v8su)_mm256_madd_epi16(line.lo, query),
                acc.hi + (__v8su)_mm256_madd_epi16(line.hi, query));
}
VEC void panel_widen_u8(const uint8_t *in, uint16_t *out) {
    _mm256_storeu_si256((__m256i *)out, _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)in)));
}
VEC void panel_widen_s8(const int8_t *in, int16_t *out) {
    _mm256_storeu_si256((__m256i *)out, _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)in)));
}

/* Tiles go by halves, of which 6 accumulators, 2 rows and a query fit the registers beside the other 6 accumulators. */
#define PART  f32x8
#define PARTS 2
typedef __m256 f32x8;
VEC f32x8 *part_of(f32x16 *whole, size_t part) { return part ? &whole->hi : &whole->lo; }
VEC f32x8 f32x8_load_f32(const float *p) { return _mm256_loadu_ps(p); }
VEC f32x8 f32x8_load_f16(const uint16_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
VEC f32x8 f32x8_load_bf16(const uint16_t *p) {
    __m256i half = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(half, 16));
}
VEC f32x8 f32x8_load_i8(const int8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
VEC f32x8 f32x8_load_u8(const uint8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
VEC f32x8 part_query(const float *p) {
    f32x8 y = _mm256_loadu_ps(p);
    __asm__("" : "+x"(y)); /* in a register: else gcc loads it once a row */
    return y;
}
VEC f32x8 f32x8_add(f32x8 a, f32x8 b) { return _mm256_add_ps(a, b); }
VEC f32x8 f32x8_sub(f32x8 a, f32x8 b) { return _mm256_sub_ps(a, b); }
VEC f32x8 f32x8_abs(f32x8 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
VEC f32x8 f32x8_fma(f32x8 a, f32x8 b, f32x8 c) { return _mm256_fmadd_ps(a, b, c); }
#define TILE_Q 3
#define TILE_R 2
VEC void tile_store(const f32x16 *acc, float *out, size_t out_stride) {
    float sum[8];
    f32x16_reduce4(acc[0], acc[1], acc[2], acc[3], sum);
    f32x16_reduce4(acc[4], acc[5], acc[4], acc[5], sum + 4);
    for (int i = 0; i < 3; i++) memcpy(out + (size_t)i * out_stride, sum + 2 * i, 8);
}

#endif
