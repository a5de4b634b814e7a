/* The in-register scan of 4-bit codes ("fast scan"; André, Kermarrec, Le Scouarnec 2015, 2017). Included by level.c.
 *
 *   block    lines of 64 bytes, four nibbles of each of 32 rows (kern.h has the layout); lut line g has the four tables
 *            that line g is looked up in
 *   1. Sums are whole numbers, so that every order of the additions gives the same; FAST_LINES lines may be added before
 *      the narrow sums of an instruction set could overflow, then fast_sums() adds them to 32-bit lanes.
 *   2. Lines take FAST_TURNS accumulators in turn, as many as hide how long an addition takes.
 *   3. Blocks go one after the other: one stream of memory, which the hardware's prefetcher follows.
 *
 * The words, in fast_*.h: fast_acc, fast_zero(), fast_step(acc, line, tables), fast_sums(acc, rows), which adds the sums
 * of rows 0..15 and 16..31 to rows[0] and rows[1]. */

/* Sums of rows 0..15 and 16..31 of a block. */
VEC void fast_block(const uint8_t *lut, size_t lines, const uint8_t *block, i32x16 rows[2]) {
    rows[0] = rows[1] = i32x16_zero();
    while (lines > 0) {
        size_t n = lines < FAST_LINES ? lines : FAST_LINES, line = 0;
        fast_acc acc[FAST_TURNS];
        for (int turn = 0; turn < FAST_TURNS; turn++) acc[turn] = fast_zero();
        for (; line + FAST_TURNS <= n; line += FAST_TURNS)
#pragma GCC unroll 4
            for (size_t turn = 0; turn < FAST_TURNS; turn++)
                acc[turn] =
                    fast_step(acc[turn], block + 64 * (line + turn), lut + 64 * (line + turn));
        for (; line < n; line++) acc[0] = fast_step(acc[0], block + 64 * line, lut + 64 * line);
        for (int turn = 0; turn < FAST_TURNS; turn++) fast_sums(acc[turn], rows);
        lines -= n;
        lut += 64 * n;
        block += 64 * n;
    }
}

static void fastscan_sums(const uint8_t *lut, size_t m, const uint8_t *blocks, size_t stride,
                          size_t n, uint32_t *sums) {
    for (size_t i = 0; i < n; i++) {
        i32x16 rows[2];
        fast_block(lut, m / 4, blocks + i * stride, rows);
        memcpy(sums + i * KERN_BLOCK, rows, sizeof rows);
    }
}

/* Distances of 16 rows of a block, from row `first` on; returns those within the limit. */
VEC unsigned fast_select(const struct kern_fastscan *scan, const uint8_t *block, size_t first,
                         i32x16 sums, float *dist) {
    f32x16 sum = i32x16_to_f32(sums), scale = f32x16_set1(scan->scale);
    f32x16 far = f32x16_set1(scan->bias);
    far = scan->term ? f32x16_add(f32x16_load_f32(block + scan->term + 4 * first), far)
                     : f32x16_add(f32x16_zero(), far);
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

static void fastscan(const struct kern_fastscan *given) {
    const struct kern_fastscan scan = *given; /* a copy, which no store below can change */
    for (size_t i = 0; i < scan.n; i++) {
        const uint8_t *block = scan.blocks + i * scan.stride;
        float *dist = scan.dist + i * KERN_BLOCK;
        i32x16 rows[2];
        fast_block(scan.lut, scan.m / 4, block, rows);
        scan.mask[i] = fast_select(&scan, block, 0, rows[0], dist) |
                       fast_select(&scan, block, 16, rows[1], dist) << 16;
    }
}
