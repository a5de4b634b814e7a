/* The batch scan of one-byte codes: packed panels of 16 rows, register tiles, selection fused in. Included by level.c.
 *
 *   panel    bytes / PANEL_CODES lines of 64 bytes; line g holds codes g*PANEL_CODES... of rows 0..15, row by row, as
 *            u8 (4 a line) or widened to u16 (2 a line)
 *   words    of a block of queries: word q of line g holds the PANEL_CODES elements of query q that line g is multiplied
 *            with, as s8 or widened to s16; packed on the stack for SCAN_CODES codes at a time
 *   dots     sums of n_q queries with SCAN_SET panels, on the stack, so that rows longer than SCAN_CODES are summed
 *            piece by piece while each packed piece of the queries serves SCAN_SET panels
 *
 * SCAN_Q queries x SCAN_P panels have their 16-lane sums in registers. The words stay in the first cache, the panels
 * come from the second. n_q and n_p are constants once the functions are inlined. */

#define SCAN_SET     8
#define SCAN_CODES   1024
#define WORD_BYTES   (4 / PANEL_CODES) /* of one element of a word */
#define LINES(bytes) ((bytes) / PANEL_CODES)

static size_t panel_bytes(size_t bytes) { return LINES(bytes) * 64; }

#ifdef PANEL_TRANSPOSE

/* One panel of `live` rows, 16 words of each at a time; missing rows are zeros. */
static void pack_panel(const uint8_t *rows, size_t stride, size_t live, size_t bytes,
                       uint8_t *panel) {
    for (size_t c = 0; c < bytes; c += 16 * PANEL_CODES, panel += 16 * 64) {
        __m512i words[16];
#pragma GCC unroll 16
        for (size_t r = 0; r < 16; r++)
            words[r] = r < live ? panel_words(rows + r * stride + c) : (__m512i)i32x16_zero();
        panel_transpose(words, panel);
    }
}

#else

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

static void pack_panel(const uint8_t *rows, size_t stride, size_t live, size_t bytes,
                       uint8_t *panel) {
    if (live < 16) memset(panel, 0, panel_bytes(bytes));
    for (size_t row = 0; row < live; row++) pack_row(rows + row * stride, bytes, row, panel);
}

#endif

static void pack_u8(const uint8_t *rows, size_t stride, size_t n, size_t bytes, uint8_t *panels) {
    for (size_t first = 0; first < n; first += 16, panels += panel_bytes(bytes))
        pack_panel(rows + first * stride, stride, n - first < 16 ? n - first : 16, bytes, panels);
}

/* The words of n codes of n_q queries: where queries are packed as rows are, those of a line are 16 words apart, else
 * n_q. */
#if defined(PANEL_TRANSPOSE) && PANEL_CODES == 4
#define WORD_PLACES(n_q) 16
static void pack_words(const int8_t *queries, size_t stride, size_t n, size_t n_q, char *words) {
    pack_panel((const uint8_t *)queries, stride, n_q, n, (uint8_t *)words);
}
#else
#define WORD_PLACES(n_q) (n_q)
static void pack_words(const int8_t *queries, size_t stride, size_t n, size_t n_q, char *words) {
    for (size_t q = 0; q < n_q; q++)
        for (size_t c = 0; c < n; c += 16) {
#if PANEL_CODES == 2
            int16_t wide[16];
            panel_widen_s8(queries + q * stride + c, wide);
#else
            const int8_t *wide = queries + q * stride + c;
#endif
            for (size_t i = 0; i < 16 / PANEL_CODES; i++)
                memcpy(words + ((c / PANEL_CODES + i) * n_q + q) * 4, (const char *)wide + 4 * i,
                       4);
        }
}
#endif

/* dots[q * SCAN_SET + p] (+)= lines of n_p panels times words of n_q queries. */
VEC void scan_tile(const uint8_t *lines, size_t panel, const char *words, size_t n_lines,
                   bool first, i32x16 *dots, int n_q, int n_p) {
    i32x16 sum[SCAN_Q * SCAN_P];
#pragma GCC unroll 32
    for (int c = 0; c < n_q * n_p; c++) sum[c] = i32x16_zero();
    do {
        panel_line line[SCAN_P];
#pragma GCC unroll 4
        for (int p = 0; p < n_p; p++) line[p] = panel_load(lines + (size_t)p * panel);
#pragma GCC unroll 16
        for (int q = 0; q < n_q; q++)
#pragma GCC unroll 4
            for (int p = 0; p < n_p; p++)
                sum[q * n_p + p] = panel_dot(sum[q * n_p + p], line[p], words + 4 * q);
        lines += 64;
        words += 4 * WORD_PLACES(n_q);
    } while (--n_lines > 0);
#pragma GCC unroll 16
    for (int q = 0; q < n_q; q++)
#pragma GCC unroll 4
        for (int p = 0; p < n_p; p++) {
            i32x16 *dot = dots + q * SCAN_SET + p;
            *dot = first ? sum[q * n_p + p] : i32x16_add(*dot, sum[q * n_p + p]);
        }
}

/* Queries q... (n_q of them) against all panels. */
VEC void scan_block(const struct kern_scan *scan, size_t q, int n_q) {
    size_t panel = panel_bytes(scan->bytes), n_panels = (scan->n + 15) / 16;
    /* Lines past the last code of the queries add nothing. */
    size_t codes = scan->codes ? (scan->codes + 3) / 4 * 4 : scan->bytes;
    i32x16 dots[SCAN_Q * SCAN_SET];
    char words[WORD_PLACES(SCAN_Q) * SCAN_CODES * WORD_BYTES] __attribute__((aligned(64)));
    for (size_t set = 0; set < n_panels; set += SCAN_SET) {
        size_t in_set = n_panels - set < SCAN_SET ? n_panels - set : SCAN_SET;
        for (size_t from = 0; from < codes; from += SCAN_CODES) {
            size_t n = scan->bytes - from < SCAN_CODES ? scan->bytes - from : SCAN_CODES;
            size_t n_lines = LINES(codes - from < SCAN_CODES ? codes - from : SCAN_CODES);
            if (set == 0 || scan->bytes > SCAN_CODES)
                pack_words(scan->queries + q * scan->bytes + from, scan->bytes, n, (size_t)n_q,
                           words);
            const uint8_t *lines = scan->panels + set * panel + LINES(from) * 64;
            size_t p = 0;
            for (; p + SCAN_P <= in_set; p += SCAN_P)
                scan_tile(lines + p * panel, panel, words, n_lines, from == 0, dots + p, n_q,
                          SCAN_P);
            for (; p < in_set; p++)
                scan_tile(lines + p * panel, panel, words, n_lines, from == 0, dots + p, n_q, 1);
        }
        for (size_t i = 0; i < (size_t)n_q; i++)
            for (size_t p = 0; p < in_set; p++)
                scan_select(scan, q + i, (uint32_t)(set + p) * 16, dots[i * SCAN_SET + p]);
    }
}

static void scan_u8s8(const struct kern_scan *scan) {
    size_t q = 0;
    for (; q + SCAN_Q <= scan->n_q; q += SCAN_Q) scan_block(scan, q, SCAN_Q);
#if SCAN_Q > 4
    for (; q + 4 <= scan->n_q; q += 4) scan_block(scan, q, 4);
#endif
    for (; q < scan->n_q; q++) scan_block(scan, q, 1);
}
