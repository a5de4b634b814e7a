/* The vocabulary for AVX-512 (F, BW, DQ, VL): one register of 16 lanes. The words are described in vec_scalar.h.
 *
 * Tails are masked loads: lanes that are masked out are not touched in memory. With VNNI, bytes are multiplied four at
 * a time by vpdpbusd (u8 x s8, exact: no saturation); without, they are widened to 16 bits for vpmaddwd. */
#ifndef KITH_KERN_VEC_AVX512_H
#define KITH_KERN_VEC_AVX512_H

#include <immintrin.h>
#include <string.h>

typedef __m512 f32x16;
/* Not __m512i, whose elements are 64 bits wide: gcc copies the sums of a loop when the type changes on the way.
 * Unsigned, so that sums wrap. */
typedef __v16su i32x16;

VEC f32x16 f32x16_set1(float x) { return _mm512_set1_ps(x); }
VEC f32x16 f32x16_zero(void) { return _mm512_setzero_ps(); }
VEC __mmask16 avx512_first(size_t n) { return (__mmask16)((1u << n) - 1); }

VEC f32x16 avx512_bf16(__m256i half) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
VEC f32x16 avx512_i8(__m128i bytes) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)); }
VEC f32x16 avx512_u8(__m128i bytes) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)); }

VEC f32x16 f32x16_load_f32(const void *p) { return _mm512_loadu_ps(p); }
VEC f32x16 f32x16_load_f16(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256(p)); }
VEC f32x16 f32x16_load_bf16(const void *p) { return avx512_bf16(_mm256_loadu_si256(p)); }
VEC f32x16 f32x16_load_i8(const void *p) { return avx512_i8(_mm_loadu_si128(p)); }
VEC f32x16 f32x16_load_u8(const void *p) { return avx512_u8(_mm_loadu_si128(p)); }

VEC f32x16 f32x16_load_tail_f32(const void *p, size_t n) {
    return _mm512_maskz_loadu_ps(avx512_first(n), p);
}
VEC f32x16 f32x16_load_tail_f16(const void *p, size_t n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(avx512_first(n), p));
}
VEC f32x16 f32x16_load_tail_bf16(const void *p, size_t n) {
    return avx512_bf16(_mm256_maskz_loadu_epi16(avx512_first(n), p));
}
VEC f32x16 f32x16_load_tail_i8(const void *p, size_t n) {
    return avx512_i8(_mm_maskz_loadu_epi8(avx512_first(n), p));
}
VEC f32x16 f32x16_load_tail_u8(const void *p, size_t n) {
    return avx512_u8(_mm_maskz_loadu_epi8(avx512_first(n), p));
}

VEC f32x16 f32x16_add(f32x16 a, f32x16 b) { return _mm512_add_ps(a, b); }
VEC f32x16 f32x16_sub(f32x16 a, f32x16 b) { return _mm512_sub_ps(a, b); }
VEC f32x16 f32x16_mul(f32x16 a, f32x16 b) { return _mm512_mul_ps(a, b); }
VEC f32x16 f32x16_min(f32x16 a, f32x16 b) { return _mm512_min_ps(a, b); }
VEC f32x16 f32x16_max(f32x16 a, f32x16 b) { return _mm512_max_ps(a, b); }
VEC f32x16 f32x16_fma(f32x16 a, f32x16 b, f32x16 c) { return _mm512_fmadd_ps(a, b, c); }
VEC f32x16 f32x16_abs(f32x16 a) { return _mm512_abs_ps(a); }
VEC unsigned f32x16_le(f32x16 a, f32x16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }

VEC f32x16 f32x16_pick(f32x16 a, f32x16 b, f32x16 x, f32x16 y) {
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), x);
}
VEC float f32x16_top(f32x16 a) { return _mm512_reduce_max_ps(a); }

VEC void f32x16_store(float *p, f32x16 a) { _mm512_storeu_ps(p, a); }
VEC void f32x16_store_f16(uint16_t *p, f32x16 a) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
VEC void f32x16_store_bf16(uint16_t *p, f32x16 a) {
    __m512i bits = _mm512_castps_si512(a);
    __m512i upper = _mm512_srli_epi32(bits, 16);
    __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
    __m512i bump = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, bump), 16);
    __mmask16 is_nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, is_nan, upper, _mm512_set1_epi32(0x40));
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(rounded));
}
VEC void f32x16_store_u8(uint8_t *p, f32x16 a) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a)));
}
VEC void f32x16_store_s8(int8_t *p, f32x16 a) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a)));
}

VEC float f32x16_reduce(f32x16 a) {
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
/* The 4 remaining lanes of a, b, c, d after the trees 16 -> 8 -> 4, one in each quarter. */
VEC f32x16 avx512_quarters(f32x16 a, f32x16 b, f32x16 c, f32x16 d) {
    __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    return _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
}
VEC void f32x16_reduce4(f32x16 a, f32x16 b, f32x16 c, f32x16 d, float *out) {
    __m512 four = avx512_quarters(a, b, c, d);
    __m512 two = _mm512_add_ps(four, _mm512_permute_ps(four, 0x4e));
    __m512 one = _mm512_add_ps(two, _mm512_permute_ps(two, 0xb1));
    __m512i first = _mm512_castsi128_si512(_mm_setr_epi32(0, 4, 8, 12));
    _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_permutexvar_ps(first, one)));
}

/* swapped + x in lower lanes, swapped - x in upper ones: an fma by 1 or -1 rounds as they do. */
#define HADAMARD_RADIX 8
VEC f32x16 f32x16_hadamard(f32x16 x) {
    const __m512 one = _mm512_set1_ps(1), less = _mm512_set1_ps(-1);
    x = _mm512_fmadd_ps(x, _mm512_mask_mov_ps(one, 0xaaaa, less), _mm512_permute_ps(x, 0xb1));
    x = _mm512_fmadd_ps(x, _mm512_mask_mov_ps(one, 0xcccc, less), _mm512_permute_ps(x, 0x4e));
    x = _mm512_fmadd_ps(x, _mm512_mask_mov_ps(one, 0xf0f0, less), _mm512_shuffle_f32x4(x, x, 0xb1));
    return _mm512_fmadd_ps(x, _mm512_mask_mov_ps(one, 0xff00, less),
                           _mm512_shuffle_f32x4(x, x, 0x4e));
}

VEC i32x16 i32x16_zero(void) { return (i32x16)_mm512_setzero_si512(); }
VEC i32x16 i32x16_add(i32x16 a, i32x16 b) { return a + b; }
VEC f32x16 i32x16_to_f32(i32x16 a) { return _mm512_cvtepi32_ps((__m512i)a); }
VEC uint32_t i32x16_reduce(i32x16 a) {
    __m256i upper = _mm512_extracti64x4_epi64((__m512i)a, 1);
    __m256i eight = _mm256_add_epi32(_mm512_castsi512_si256((__m512i)a), upper);
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}
VEC void i32x16_reduce4(i32x16 a_, i32x16 b_, i32x16 c_, i32x16 d_, int32_t *out) {
    __m512i a = (__m512i)a_, b = (__m512i)b_, c = (__m512i)c_, d = (__m512i)d_;
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    __m512i abcd = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i eight =
        _mm256_add_epi32(_mm512_castsi512_si256(abcd), _mm512_extracti64x4_epi64(abcd, 1));
    _mm_storeu_si128((__m128i *)out, _mm_add_epi32(_mm256_castsi256_si128(eight),
                                                   _mm256_extracti128_si256(eight, 1)));
}

#define INT_STEP 32
VEC i32x16 i32x16_step(i32x16 acc, const void *a, const void *b, size_t n, int is_u8, int metric) {
    __mmask32 mask = n == 32 ? ~(__mmask32)0 : ((__mmask32)1 << n) - 1;
    __m256i x = n == 32 ? _mm256_loadu_si256(a) : _mm256_maskz_loadu_epi8(mask, a);
    __m256i y = n == 32 ? _mm256_loadu_si256(b) : _mm256_maskz_loadu_epi8(mask, b);
    __m512i wide_x = is_u8 ? _mm512_cvtepu8_epi16(x) : _mm512_cvtepi8_epi16(x);
    __m512i wide_y = is_u8 ? _mm512_cvtepu8_epi16(y) : _mm512_cvtepi8_epi16(y);
    __m512i diff = _mm512_sub_epi16(wide_x, wide_y);
    __m512i sum = metric == KERN_DOT ? _mm512_madd_epi16(wide_x, wide_y)
                  : metric == KERN_L2SQ
                      ? _mm512_madd_epi16(diff, diff)
                      : _mm512_madd_epi16(_mm512_abs_epi16(diff), _mm512_set1_epi16(1));
    return acc + (i32x16)sum;
}

typedef __m512i panel_line;
VEC panel_line panel_load(const uint8_t *line) { return _mm512_loadu_si512(line); }
VEC __m512i avx512_word(const void *word) {
    int32_t lane;
    memcpy(&lane, word, 4);
    return _mm512_set1_epi32(lane);
}

/* Word g of row r to lane r of line g: pairs, then fours inside quarters, then the quarters themselves. */
#define PANEL_TRANSPOSE 1
VEC void panel_transpose(const __m512i row[16], uint8_t *lines) {
    __m512i two[16], four[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        two[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
        two[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16;
         i += 4) { /* four[i + k]: words k, 4 + k, 8 + k, 12 + k of rows i..i+3 */
        four[i] = _mm512_unpacklo_epi64(two[i], two[i + 2]);
        four[i + 1] = _mm512_unpackhi_epi64(two[i], two[i + 2]);
        four[i + 2] = _mm512_unpacklo_epi64(two[i + 1], two[i + 3]);
        four[i + 3] = _mm512_unpackhi_epi64(two[i + 1], two[i + 3]);
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        __m512i a = _mm512_shuffle_i32x4(four[k], four[4 + k], 0x44);
        __m512i b = _mm512_shuffle_i32x4(four[k], four[4 + k], 0xee);
        __m512i c = _mm512_shuffle_i32x4(four[8 + k], four[12 + k], 0x44);
        __m512i d = _mm512_shuffle_i32x4(four[8 + k], four[12 + k], 0xee);
        _mm512_storeu_si512(lines + 64 * k, _mm512_shuffle_i32x4(a, c, 0x88));
        _mm512_storeu_si512(lines + 64 * (4 + k), _mm512_shuffle_i32x4(a, c, 0xdd));
        _mm512_storeu_si512(lines + 64 * (8 + k), _mm512_shuffle_i32x4(b, d, 0x88));
        _mm512_storeu_si512(lines + 64 * (12 + k), _mm512_shuffle_i32x4(b, d, 0xdd));
    }
}

#ifdef __AVX512VNNI__

typedef __m512i s8x64;
VEC s8x64 s8x64_load(const int8_t *p) { return _mm512_loadu_si512(p); }
VEC i32x16 i32x16_dot_u8(i32x16 acc, const uint8_t *row, s8x64 q) {
    return (i32x16)_mm512_dpbusd_epi32((__m512i)acc, _mm512_loadu_si512(row), q);
}
/* A line: 4 codes of each of 16 rows; a word: 4 query bytes. */
#define PANEL_CODES 4
#define SCAN_Q      12
#define SCAN_P      2
VEC __m512i panel_words(const uint8_t *codes) { return _mm512_loadu_si512(codes); }
VEC i32x16 panel_dot(i32x16 acc, panel_line line, const void *word) {
    return (i32x16)_mm512_dpbusd_epi32((__m512i)acc, line, avx512_word(word));
}

#else

/* Even and odd bytes of 64, as 16-bit numbers. */
typedef struct {
    __m512i even, odd;
} s8x64;
VEC s8x64 s8x64_load(const int8_t *p) {
    __m512i bytes = _mm512_loadu_si512(p);
    s8x64 q = {_mm512_srai_epi16(_mm512_slli_epi16(bytes, 8), 8), _mm512_srai_epi16(bytes, 8)};
    return q;
}
VEC i32x16 i32x16_dot_u8(i32x16 acc, const uint8_t *row, s8x64 q) {
    __m512i bytes = _mm512_loadu_si512(row);
    __m512i even = _mm512_and_si512(bytes, _mm512_set1_epi16(0xff));
    __m512i odd = _mm512_srli_epi16(bytes, 8);
    __m512i sum = _mm512_add_epi32(_mm512_madd_epi16(even, q.even), _mm512_madd_epi16(odd, q.odd));
    return acc + (i32x16)sum;
}
/* A line: 2 codes of each of 16 rows, widened to 16 bits; a word: 2 query elements of 16 bits. */
#define PANEL_CODES 2
#define SCAN_Q      12
#define SCAN_P      2
VEC __m512i panel_words(const uint8_t *codes) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)codes));
}
VEC i32x16 panel_dot(i32x16 acc, panel_line line, const void *word) {
    return acc + (i32x16)_mm512_madd_epi16(line, avx512_word(word));
}
VEC void panel_widen_s8(const int8_t *in, int16_t *out) {
    _mm256_storeu_si256((__m256i *)out, _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)in)));
}

#endif

/* Half a line: 32 codes, widened. */
typedef __m512i s8x32;
VEC s8x32 s8x32_load(const int8_t *p) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p));
}
VEC i32x16 i32x16_half_u8(i32x16 acc, const uint8_t *row, s8x32 q) {
    __m512i wide = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)row));
    return acc + (i32x16)_mm512_madd_epi16(wide, q);
}

/* Codes of at most 63 and s8: without VNNI, two products fit 16 bits, and two such sums. */
typedef struct {
    __m512i lower, upper;
} s8x128;
typedef __m512i s8x64h;
VEC s8x64h s8x64h_load(const int8_t *p) { return _mm512_loadu_si512(p); }
VEC s8x128 s8x128_load(const int8_t *p) { return (s8x128){s8x64h_load(p), s8x64h_load(p + 64)}; }
VEC i32x16 avx512_dot_small(i32x16 acc, __m512i codes, __m512i query) {
#ifdef __AVX512VNNI__
    return (i32x16)_mm512_dpbusd_epi32((__m512i)acc, codes, query);
#else
    __m512i sums = _mm512_maddubs_epi16(codes, query);
    return acc + (i32x16)_mm512_madd_epi16(sums, _mm512_set1_epi16(1));
#endif
}
VEC i32x16 avx512_dot_pair(i32x16 acc, __m512i lower, __m512i upper, s8x128 query) {
#ifdef __AVX512VNNI__
    return avx512_dot_small(avx512_dot_small(acc, lower, query.lower), upper, query.upper);
#else
    __m512i sums = _mm512_add_epi16(_mm512_maddubs_epi16(lower, query.lower),
                                    _mm512_maddubs_epi16(upper, query.upper));
    return acc + (i32x16)_mm512_madd_epi16(sums, _mm512_set1_epi16(1));
#endif
}
VEC i32x16 i32x16_dot_u4(i32x16 acc, const uint8_t *row, s8x128 query) {
    const __m512i mask = _mm512_set1_epi8(15);
    __m512i bytes = _mm512_loadu_si512(row);
    __m512i lower = _mm512_and_si512(bytes, mask);
    __m512i upper = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), mask);
    return avx512_dot_pair(acc, lower, upper, query);
}
/* 32 bytes; lower halves in the lower 256 bits, upper halves in the others. */
VEC __m512i avx512_half_u4(const uint8_t *row) {
    __m256i bytes = _mm256_loadu_si256((const __m256i *)row);
    __m512i both =
        _mm512_inserti64x4(_mm512_castsi256_si512(bytes), _mm256_srli_epi16(bytes, 4), 1);
    return _mm512_and_si512(both, _mm512_set1_epi8(15));
}
VEC i32x16 i32x16_half_u4(i32x16 acc, const uint8_t *row, s8x64h query) {
    return avx512_dot_small(acc, avx512_half_u4(row), query);
}
/* lower | upper & 0x30, where each word of twos is rotated so that the wanted bits of every byte are its bits 4, 5. */
VEC __m512i avx512_u6(__m512i lower, __m512i twos, __m512i rotation) {
    __m512i upper = _mm512_rolv_epi64(twos, rotation);
    return _mm512_ternarylogic_epi64(lower, upper, _mm512_set1_epi8(0x30), 0xf8);
}
VEC i32x16 i32x16_dot_u6(i32x16 acc, const uint8_t *row, s8x128 query) {
    const __m512i mask = _mm512_set1_epi8(15);
    const __m512i first = _mm512_setr_epi64(4, 4, 4, 4, 2, 2, 2, 2);
    const __m512i second = _mm512_setr_epi64(0, 0, 0, 0, 62, 62, 62, 62);
    __m512i bytes = _mm512_loadu_si512(row);
    __m512i twos = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(row + 64)));
    __m512i lower = _mm512_and_si512(bytes, mask);
    __m512i upper = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), mask);
    return avx512_dot_pair(acc, avx512_u6(lower, twos, first), avx512_u6(upper, twos, second),
                           query);
}
VEC i32x16 i32x16_half_u6(i32x16 acc, const uint8_t *row, s8x64h query) {
    const __m512i rotation = _mm512_setr_epi64(4, 4, 2, 2, 0, 0, 62, 62);
    __m512i twos = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(row + 32)));
    return avx512_dot_small(acc, avx512_u6(avx512_half_u4(row), twos, rotation), query);
}

VEC __m512i avx512_u2(__m512i twos, __m512i shift) {
    return _mm512_and_si512(_mm512_srlv_epi64(twos, shift), _mm512_set1_epi8(3));
}
VEC i32x16 i32x16_dot_u2(i32x16 acc, const uint8_t *row, s8x128 query) {
    const __m512i first = _mm512_setr_epi64(0, 0, 0, 0, 2, 2, 2, 2);
    const __m512i second = _mm512_setr_epi64(4, 4, 4, 4, 6, 6, 6, 6);
    __m512i twos = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)row));
    return avx512_dot_pair(acc, avx512_u2(twos, first), avx512_u2(twos, second), query);
}
VEC i32x16 i32x16_half_u2(i32x16 acc, const uint8_t *row, s8x64h query) {
    __m512i twos = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)row));
    return avx512_dot_small(acc, avx512_u2(twos, _mm512_setr_epi64(0, 0, 2, 2, 4, 4, 6, 6)), query);
}
VEC i32x16 i32x16_dot_u1(i32x16 acc, const uint8_t *row, s8x64h query) {
    uint64_t bits;
    memcpy(&bits, row, 8);
    return avx512_dot_small(acc, _mm512_maskz_set1_epi8(_cvtu64_mask64(bits), 1), query);
}

/* 8 accumulators, 2 groups of columns and a row's element. */
#define COLUMNS_R 4
#define COLUMNS_G 2

/* Set bits of each word of 32 (VPOPCNTDQ) or 64 bits. */
VEC i32x16 avx512_count(__m512i x) {
#ifdef __AVX512VPOPCNTDQ__
    return (i32x16)_mm512_popcnt_epi32(x);
#else
    const __m512i mask = _mm512_set1_epi8(15);
    const __m512i table =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    __m512i lower = _mm512_shuffle_epi8(table, _mm512_and_si512(x, mask));
    __m512i upper = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(x, 4), mask));
    return (i32x16)_mm512_sad_epu8(_mm512_add_epi8(lower, upper), _mm512_setzero_si512());
#endif
}
VEC i32x16 i32x16_differ(i32x16 acc, const uint8_t *a, const uint8_t *b) {
    return acc + avx512_count(_mm512_xor_si512(_mm512_loadu_si512(a), _mm512_loadu_si512(b)));
}
VEC i32x16 i32x16_differ_tail(i32x16 acc, const uint8_t *a, const uint8_t *b, size_t n) {
    __mmask8 words = (__mmask8)((1u << n / 8) - 1);
    return acc + avx512_count(_mm512_xor_si512(_mm512_maskz_loadu_epi64(words, a),
                                               _mm512_maskz_loadu_epi64(words, b)));
}

/* 16 accumulators, 4 query and 4 row registers. */
#define TILE_Q 4
#define TILE_R 4
VEC void tile_store(const f32x16 *acc, float *out, size_t out_stride) {
    f32x16 four[4]; /* quarter i of four[r]: what is left of query i and row r */
    for (int r = 0; r < 4; r++)
        four[r] = avx512_quarters(acc[r], acc[4 + r], acc[8 + r], acc[12 + r]);
    f32x16 r01 = _mm512_add_ps(_mm512_shuffle_ps(four[0], four[1], 0x44),
                               _mm512_shuffle_ps(four[0], four[1], 0xee));
    f32x16 r23 = _mm512_add_ps(_mm512_shuffle_ps(four[2], four[3], 0x44),
                               _mm512_shuffle_ps(four[2], four[3], 0xee));
    f32x16 all =
        _mm512_add_ps(_mm512_shuffle_ps(r01, r23, 0x88), _mm512_shuffle_ps(r01, r23, 0xdd));
    _mm_storeu_ps(out, _mm512_castps512_ps128(all));
    _mm_storeu_ps(out + out_stride, _mm512_extractf32x4_ps(all, 1));
    _mm_storeu_ps(out + 2 * out_stride, _mm512_extractf32x4_ps(all, 2));
    _mm_storeu_ps(out + 3 * out_stride, _mm512_extractf32x4_ps(all, 3));
}

#endif
