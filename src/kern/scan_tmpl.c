/* The batch scan of one-byte codes: packed panels of 16 rows, register tiles, selection fused in. Included by level.c.
 *
 *   panel    bytes / PANEL_CODES lines of 64 bytes; line g holds codes g*PANEL_CODES... of rows 0..15, row by row, as
 *            u8 (4 a line) or widened to u16 (2 a line)
 *   word     the PANEL_CODES query elements that a line is multiplied with: 4 bytes, as s8 or widened to s16
 *
 * SCAN_Q queries x SCAN_P panels have their 16-lane sums in registers. The queries of a block stay in the first cache,
 * the panels come from the second. Widened queries live on the stack, WIDE_CODES elements of each at a time. */

#define LINES(bytes) ((bytes) / PANEL_CODES)

static size_t panel_bytes(size_t bytes) { return LINES(bytes) * 64; }

/* Words of one row's codes to lane `row` of the lines. */
static void pack_row(const uint8_t *codes, size_t bytes, size_t row, uint8_t *panel) {
    uint32_t word;
    for (size_t c = 0; c < bytes; c += 16) {
#if PANEL_CODES == 2
        uint16_t wide[16];
        panel_widen_u8(codes + c, wide);
#else
        const uint8_t *wide = codes + c;
#endif
        for (size_t i = 0; i < 16 / PANEL_CODES; i++) {
            memcpy(&word, (const char *)wide + 4 * i, 4);
            memcpy(panel + (c / PANEL_CODES + i) * 64 + row * 4, &word, 4);
        }
    }
}

static void pack_u8(const uint8_t *rows, size_t stride, size_t n, size_t bytes, uint8_t *panels) {
    for (size_t first = 0; first < n; first += 16, panels += panel_bytes(bytes)) {
        size_t live = n - first < 16 ? n - first : 16;
        if (live < 16) memset(panels, 0, panel_bytes(bytes));
        for (size_t row = 0; row < live; row++)
            pack_row(rows + (first + row) * stride, bytes, row, panels);
    }
}

/* Add lines of n_p panels times the words of n_q queries. n_q and n_p are constants after inlining. */
VEC void scan_sum(i32x16 *acc, const uint8_t *lines, size_t panel, const char *words,
                  size_t words_stride, size_t n_lines, int n_q, int n_p) {
    i32x16 sum[SCAN_Q * SCAN_P];
    for (int c = 0; c < n_q * n_p; c++) sum[c] = acc[c];
    for (size_t g = 0; g < n_lines; g++) {
        panel_line line[SCAN_P];
        for (int p = 0; p < n_p; p++) line[p] = panel_load(lines + (size_t)p * panel + g * 64);
        for (int q = 0; q < n_q; q++)
            for (int p = 0; p < n_p; p++)
                sum[q * n_p + p] =
                    panel_dot(sum[q * n_p + p], line[p], words + (size_t)q * words_stride + g * 4);
    }
    for (int c = 0; c < n_q * n_p; c++) acc[c] = sum[c];
}

#if PANEL_CODES == 2
#define WIDE_CODES 1024
/* Widen n codes of n_q queries, WIDE_CODES elements apart. */
static void scan_widen(const struct kern_scan *scan, size_t q, int n_q, size_t from, size_t n,
                       int16_t *wide) {
    for (int i = 0; i < n_q; i++)
        for (size_t c = 0; c < n; c += 16)
            panel_widen_s8(scan->queries + (q + (size_t)i) * scan->bytes + from + c,
                           wide + i * WIDE_CODES + c);
}
#endif

/* Queries q.. (n_q of them) against the panels from p on (n_p of them). `wide` holds the first WIDE_CODES codes. */
VEC void scan_tile(const struct kern_scan *scan, size_t q, size_t p, int16_t *wide, int n_q,
                   int n_p) {
    size_t panel = panel_bytes(scan->bytes);
    const uint8_t *lines = scan->panels + p * panel;
    i32x16 acc[SCAN_Q * SCAN_P];
    for (int c = 0; c < n_q * n_p; c++) acc[c] = i32x16_zero();
#if PANEL_CODES == 2
    for (size_t from = 0; from < scan->bytes; from += WIDE_CODES) {
        size_t n = scan->bytes - from < WIDE_CODES ? scan->bytes - from : WIDE_CODES;
        if (scan->bytes > WIDE_CODES) scan_widen(scan, q, n_q, from, n, wide);
        scan_sum(acc, lines + LINES(from) * 64, panel, (const char *)wide, WIDE_CODES * 2, LINES(n),
                 n_q, n_p);
    }
#else
    (void)wide;
    scan_sum(acc, lines, panel, (const char *)scan->queries + q * scan->bytes, scan->bytes,
             LINES(scan->bytes), n_q, n_p);
#endif
    for (int i = 0; i < n_q; i++)
        for (int j = 0; j < n_p; j++)
            scan_select(scan, q + (size_t)i, (uint32_t)(p + (size_t)j) * 16, acc[i * n_p + j]);
}

VEC void scan_block(const struct kern_scan *scan, size_t q, int n_q) {
    size_t n_panels = (scan->n + 15) / 16, p = 0;
#if PANEL_CODES == 2
    int16_t wide[SCAN_Q * WIDE_CODES];
    if (scan->bytes <= WIDE_CODES) scan_widen(scan, q, n_q, 0, scan->bytes, wide);
#else
    int16_t *wide = NULL;
#endif
    for (; p + SCAN_P <= n_panels; p += SCAN_P) scan_tile(scan, q, p, wide, n_q, SCAN_P);
    for (; p < n_panels; p++) scan_tile(scan, q, p, wide, n_q, 1);
}

static void scan_u8s8(const struct kern_scan *scan) {
    size_t q = 0;
    for (; q + SCAN_Q <= scan->n_q; q += SCAN_Q) scan_block(scan, q, SCAN_Q);
#if SCAN_Q > 4
    for (; q + 4 <= scan->n_q; q += 4) scan_block(scan, q, 4);
#endif
    for (; q < scan->n_q; q++) scan_block(scan, q, 1);
}
