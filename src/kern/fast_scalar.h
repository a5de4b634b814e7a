/* Fast scan in plain C: the law of the other fast_*.h. Words: fastscan_tmpl.c. */
#define FAST_LINES SIZE_MAX
#define FAST_TURNS 1
typedef struct {
    i32x16 row[2];
} fast_acc;
VEC fast_acc fast_zero(void) {
    fast_acc acc = {{{{0}}, {{0}}}};
    return acc;
}
LAW fast_acc fast_step(fast_acc acc, const uint8_t *line, const uint8_t *tables) {
    for (int row = 0; row < 16; row++)
        for (int k = 0; k < 4; k++) {
            acc.row[0].v[row] += tables[16 * k + (line[4 * row + k] & 15)];
            acc.row[1].v[row] += tables[16 * k + (line[4 * row + k] >> 4)];
        }
    return acc;
}
VEC void fast_sums(fast_acc acc, i32x16 *rows) {
    rows[0] = i32x16_add(rows[0], acc.row[0]);
    rows[1] = i32x16_add(rows[1], acc.row[1]);
}
