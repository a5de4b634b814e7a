/* Fast scan by vpshufb, which looks 16 bytes up in one table a lane. Words: fastscan_tmpl.c.
 *
 * A line is transposed so that each lane has one nibble of all 16 rows: lane order k = 0, 1 | 2, 3; inside a lane rows
 * 0-3, 8-11, 4-7, 12-15. Sums are 16 bits wide: `all` adds pairs of bytes as they are, modulo 2^16, `odd` the upper bytes;
 * what `all` holds of even bytes is all - 256 odd. */
#define FAST_LINES 128 /* two sums of at most 255 a line in each lane */
#define FAST_TURNS 1
typedef struct {
    __m256i all[2], odd[2]; /* of lower and upper nibbles */
} fast_acc;
VEC fast_acc fast_zero(void) {
    __m256i zero = _mm256_setzero_si256();
    return (fast_acc){{zero, zero}, {zero, zero}};
}
VEC void avx2_look_up(fast_acc *acc, __m256i codes, const uint8_t *tables) {
    const __m256i low = _mm256_set1_epi8(15);
    __m256i table = _mm256_loadu_si256((const __m256i *)tables);
    __m256i r0 = _mm256_shuffle_epi8(table, _mm256_and_si256(codes, low));
    __m256i r1 = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(codes, 4), low));
    acc->all[0] = _mm256_add_epi16(acc->all[0], r0);
    acc->all[1] = _mm256_add_epi16(acc->all[1], r1);
    acc->odd[0] = _mm256_add_epi16(acc->odd[0], _mm256_srli_epi16(r0, 8));
    acc->odd[1] = _mm256_add_epi16(acc->odd[1], _mm256_srli_epi16(r1, 8));
}
VEC fast_acc fast_step(fast_acc acc, const uint8_t *line, const uint8_t *tables) {
    const __m256i fours = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    __m256i a = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i *)line), fours);
    __m256i b = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i *)(line + 32)), fours);
    avx2_look_up(&acc, _mm256_permute4x64_epi64(_mm256_unpacklo_epi32(a, b), 0xd8), tables);
    avx2_look_up(&acc, _mm256_permute4x64_epi64(_mm256_unpackhi_epi32(a, b), 0xd8), tables + 32);
    return acc;
}
/* Sums of four rows twice, of both lanes together: rows 0-3, 8-11 or 4-7, 12-15. */
VEC __m256i avx2_wide(__m256i sums) {
    return _mm256_add_epi32(_mm256_cvtepu16_epi32(_mm256_castsi256_si128(sums)),
                            _mm256_cvtepu16_epi32(_mm256_extracti128_si256(sums, 1)));
}
VEC void fast_sums(fast_acc acc, i32x16 *rows) {
    for (int half = 0; half < 2; half++) {
        __m256i odd = acc.odd[half];
        __m256i even = _mm256_sub_epi16(acc.all[half], _mm256_slli_epi16(odd, 8));
        __m256i a = avx2_wide(_mm256_unpacklo_epi16(even, odd));
        __m256i b = avx2_wide(_mm256_unpackhi_epi16(even, odd));
        rows[half].lo += (__v8su)_mm256_permute2x128_si256(a, b, 0x20);
        rows[half].hi += (__v8su)_mm256_permute2x128_si256(a, b, 0x31);
    }
}
