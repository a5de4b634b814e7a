/* Fast scan by tbl. Words: fastscan_tmpl.c. ld4 gives each of the four nibbles of all 16 rows; sums are 16 bits wide. */
#define FAST_LINES 64 /* four sums of at most 255 a line in each lane */
#define FAST_TURNS 1
typedef struct {
    uint16x8_t sum[4]; /* rows 0-7, 8-15, 16-23, 24-31 */
} fast_acc;
VEC fast_acc fast_zero(void) {
    uint16x8_t zero = vdupq_n_u16(0);
    return (fast_acc){{zero, zero, zero, zero}};
}
VEC fast_acc fast_step(fast_acc acc, const uint8_t *line, const uint8_t *tables) {
    uint8x16x4_t codes = vld4q_u8(line);
    NEON_EACH(k) {
        uint8x16_t table = vld1q_u8(tables + 16 * k);
        uint8x16_t r0 = vqtbl1q_u8(table, vandq_u8(codes.val[k], vdupq_n_u8(15)));
        uint8x16_t r1 = vqtbl1q_u8(table, vshrq_n_u8(codes.val[k], 4));
        acc.sum[0] = vaddw_u8(acc.sum[0], vget_low_u8(r0));
        acc.sum[1] = vaddw_high_u8(acc.sum[1], r0);
        acc.sum[2] = vaddw_u8(acc.sum[2], vget_low_u8(r1));
        acc.sum[3] = vaddw_high_u8(acc.sum[3], r1);
    }
    return acc;
}
VEC void fast_sums(fast_acc acc, i32x16 *rows) {
    for (int i = 0; i < 8; i++) {
        uint16x8_t sum = acc.sum[i / 2];
        uint32x4_t wide = i % 2 ? vmovl_high_u16(sum) : vmovl_u16(vget_low_u16(sum));
        int32x4_t *to = &rows[i / 4].v[i % 4];
        *to = vreinterpretq_s32_u32(vaddq_u32(vreinterpretq_u32_s32(*to), wide));
    }
}
