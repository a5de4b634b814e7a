/* Fast scan for AVX-512. Words: fastscan_tmpl.c.
 *
 * With VBMI (and VNNI) vpermb looks 64 bytes up in all four tables of a line at once, and vpdpbusd adds the four bytes of
 * a row to its 32-bit lane. Without, vpshufb as in fast_avx2.h: a line is transposed so that lane k has nibble k of
 * rows 0 to 15. */
#ifdef __AVX512VBMI__

#define FAST_LINES SIZE_MAX
#define FAST_TURNS 2
typedef struct {
    i32x16 row[2];
} fast_acc;
VEC fast_acc fast_zero(void) { return (fast_acc){{i32x16_zero(), i32x16_zero()}}; }
/* Lower halves of the bytes, and which table each is of; vpermb ignores the rest. */
VEC __m512i avx512_places(__m512i codes) {
    return _mm512_ternarylogic_epi32(codes, _mm512_set1_epi8(15), _mm512_set1_epi32(0x30201000),
                                     0xea);
}
VEC i32x16 avx512_look_up(i32x16 row, __m512i codes, __m512i table) {
    return (i32x16)_mm512_dpbusd_epi32(
        (__m512i)row, _mm512_permutexvar_epi8(avx512_places(codes), table), _mm512_set1_epi8(1));
}
VEC fast_acc fast_step(fast_acc acc, const uint8_t *line, const uint8_t *tables) {
    __m512i codes = _mm512_loadu_si512(line), table = _mm512_loadu_si512(tables);
    acc.row[0] = avx512_look_up(acc.row[0], codes, table);
    acc.row[1] = avx512_look_up(acc.row[1], _mm512_srli_epi16(codes, 4), table);
    return acc;
}
VEC void fast_sums(fast_acc acc, i32x16 *rows) {
    rows[0] = i32x16_add(rows[0], acc.row[0]);
    rows[1] = i32x16_add(rows[1], acc.row[1]);
}

#else

#define FAST_LINES 256 /* one sum of at most 255 a line in each lane */
#define FAST_TURNS 1
typedef struct {
    __m512i all[2], odd[2];
} fast_acc;
VEC fast_acc fast_zero(void) {
    __m512i zero = _mm512_setzero_si512();
    return (fast_acc){{zero, zero}, {zero, zero}};
}
VEC fast_acc fast_step(fast_acc acc, const uint8_t *line, const uint8_t *tables) {
    const __m512i fours =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    const __m512i lanes = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i low = _mm512_set1_epi8(15);
    __m512i codes =
        _mm512_permutexvar_epi32(lanes, _mm512_shuffle_epi8(_mm512_loadu_si512(line), fours));
    __m512i table = _mm512_loadu_si512(tables);
    __m512i r0 = _mm512_shuffle_epi8(table, _mm512_and_si512(codes, low));
    __m512i r1 = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(codes, 4), low));
    acc.all[0] = _mm512_add_epi16(acc.all[0], r0);
    acc.all[1] = _mm512_add_epi16(acc.all[1], r1);
    acc.odd[0] = _mm512_add_epi16(acc.odd[0], _mm512_srli_epi16(r0, 8));
    acc.odd[1] = _mm512_add_epi16(acc.odd[1], _mm512_srli_epi16(r1, 8));
    return acc;
}
/* Eight rows, the sums of the four lanes together. */
VEC __m256i avx512_wide(__m512i sums) {
    __m512i two = _mm512_add_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(sums)),
                                   _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(sums, 1)));
    return _mm256_add_epi32(_mm512_castsi512_si256(two), _mm512_extracti64x4_epi64(two, 1));
}
VEC void fast_sums(fast_acc acc, i32x16 *rows) {
    for (int half = 0; half < 2; half++) {
        __m512i odd = acc.odd[half];
        __m512i even = _mm512_sub_epi16(acc.all[half], _mm512_slli_epi16(odd, 8));
        __m512i a = _mm512_castsi256_si512(avx512_wide(_mm512_unpacklo_epi16(even, odd)));
        __m256i b = avx512_wide(_mm512_unpackhi_epi16(even, odd));
        rows[half] += (i32x16)_mm512_inserti64x4(a, b, 1);
    }
}

#endif
