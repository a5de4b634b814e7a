/* The in-register scan of 4-bit codes ("fast scan"; André, Kermarrec, Le Scouarnec 2015, 2017). Included by level.c.
 *
 *   block    lines of 64 bytes, four nibbles of each of 32 rows (kern.h has the layout); lut line g has the four tables
 *            that line g is looked up in
 *   1. Sums are whole numbers, so that every order of the additions gives the same; FAST_LINES lines may be added before
 *      the narrow sums of an instruction set could overflow, then fast_sums() adds them to 32-bit lanes.
 *   2. FAST_BLOCKS blocks go together and share what is loaded of the tables.
 *
 * The words, in fast_*.h: fast_acc, fast_zero(), fast_table (a line of the lut), fast_load, fast_step(acc, line, table),
 * fast_sums(acc, rows): adds the sums of rows 0..15 and 16..31 to rows[0] and rows[1]. */

VEC void fast_blocks(const uint8_t *lut, size_t lines, const uint8_t *blocks, size_t stride,
                     i32x16 *rows, const int n_b) {
    for (int b = 0; b < 2 * n_b; b++) rows[b] = i32x16_zero();
    for (size_t from = 0; from < lines; from += FAST_LINES) {
        size_t to = lines - from < FAST_LINES ? lines : from + FAST_LINES;
        fast_acc acc[FAST_BLOCKS];
#pragma GCC unroll 4
        for (int b = 0; b < n_b; b++) acc[b] = fast_zero();
        for (size_t line = from; line < to; line++) {
            fast_table table = fast_load(lut + 64 * line);
#pragma GCC unroll 4
            for (int b = 0; b < n_b; b++)
                acc[b] = fast_step(acc[b], blocks + (size_t)b * stride + 64 * line, table);
        }
#pragma GCC unroll 4
        for (int b = 0; b < n_b; b++) fast_sums(acc[b], rows + 2 * b);
    }
}

VEC void fast_store(const i32x16 *rows, uint32_t *sums, const int n_b) {
    memcpy(sums, rows, (size_t)n_b * KERN_BLOCK * sizeof *sums);
}

static void fastscan_sums(const uint8_t *lut, size_t m, const uint8_t *blocks, size_t stride,
                          size_t n, uint32_t *sums) {
    i32x16 rows[2 * FAST_BLOCKS];
    size_t i = 0;
    for (; i + FAST_BLOCKS <= n; i += FAST_BLOCKS) {
        fast_blocks(lut, m / 4, blocks + i * stride, stride, rows, FAST_BLOCKS);
        fast_store(rows, sums + i * KERN_BLOCK, FAST_BLOCKS);
    }
    for (; i < n; i++) {
        fast_blocks(lut, m / 4, blocks + i * stride, stride, rows, 1);
        fast_store(rows, sums + i * KERN_BLOCK, 1);
    }
}

/* Distances of 16 rows of a block, from row `first` on; returns those within the limit. */
VEC unsigned fast_select(const struct kern_fastscan *scan, const uint8_t *block, size_t first,
                         i32x16 sums, float *dist) {
    f32x16 sum = i32x16_to_f32(sums), scale = f32x16_set1(scan->scale);
    f32x16 far =
        f32x16_add(f32x16_load_f32(block + scan->term + 4 * first), f32x16_set1(scan->bias));
    if (scan->factor) {
        f32x16 factor = f32x16_load_f32(block + scan->factor + 4 * first);
        far = f32x16_fma(factor, f32x16_fma(scale, sum, f32x16_set1(scan->shift)), far);
    } else {
        far = f32x16_fma(scale, sum, far);
    }
    f32x16_store(dist + first, far);
    if (scan->error)
        far = f32x16_fma(f32x16_set1(-scan->margin),
                         f32x16_load_f32(block + scan->error + 4 * first), far);
    return f32x16_le(far, f32x16_set1(scan->limit));
}

VEC void fast_selects(const struct kern_fastscan *scan, size_t i, const int n_b) {
    const uint8_t *block = scan->blocks + i * scan->stride;
    float *dist = scan->dist + i * KERN_BLOCK;
    i32x16 rows[2 * FAST_BLOCKS];
    fast_blocks(scan->lut, scan->m / 4, block, scan->stride, rows, n_b);
    for (int b = 0; b < n_b; b++, block += scan->stride, dist += KERN_BLOCK)
        scan->mask[i + (size_t)b] = fast_select(scan, block, 0, rows[2 * b], dist) |
                                    fast_select(scan, block, 16, rows[2 * b + 1], dist) << 16;
}

static void fastscan(const struct kern_fastscan *scan) {
    size_t i = 0;
    for (; i + FAST_BLOCKS <= scan->n; i += FAST_BLOCKS) fast_selects(scan, i, FAST_BLOCKS);
    for (; i < scan->n; i++) fast_selects(scan, i, 1);
}
