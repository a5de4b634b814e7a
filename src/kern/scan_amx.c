/* The batch scan of one-byte codes in AMX tiles: the level above avx512vnni, whose panels it reads as they are.
 *
 *   tiles 0..3  sums: 16 queries x 16 rows of i32; tile 2*t + p is query tile t with panel p
 *   tiles 4, 5  queries: 16 x 64 s8 elements
 *   tiles 6, 7  panels: 16 lines of 64 bytes, which is the layout that tdpbsud wants of its u8 operand
 *
 * A step is 64 codes: four loads and four products of 16,384 multiply-adds each. Queries are copied once per block into
 * whole tiles (so that no stride of theirs can clash in the cache), missing ones as zeros; rows longer than AMX_CODES are
 * summed piece by piece in `dots`. The system must have granted the tiles (cpu_amx). Each call configures them and gives
 * them back. The sums are those of scan_tmpl.c, and selection is the same code.
 *
 * With KERN_AMX_MODEL the instructions come from a model in plain C instead: tests/oracle/test_kern_amx.c compiles this
 * file so, and compares it with scalar on machines that have no tiles. */
#include "kern/level.h"

#ifdef KERN_PLAIN
#include "kern/vec_scalar.h"
#else
#include "kern/vec_avx512.h"
#endif
#include "kern/scan_select.h"

#define AMX_CODES 1024 /* codes of a query packed at a time */
#define AMX_SET   8    /* panels that a packed piece of long queries serves */
#define AMX_Q     32   /* queries of a block */
#define TILE      1024 /* bytes */

struct amx_block {
    _Alignas(64) int8_t words[AMX_CODES / 64 * 2 * TILE]; /* step s, query tile t: tile 2*s + t */
    _Alignas(64) int32_t dots[AMX_SET][AMX_Q][16];
};

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

static void configure(void) {
    struct tile_config config = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        config.row_bytes[t] = 64;
        config.rows[t] = 16;
    }
    _tile_loadconfig(&config);
}

static void pack_queries(const int8_t *queries, size_t stride, size_t n_q, size_t n,
                         struct amx_block *block) {
    for (size_t q = 0; q < AMX_Q; q++)
        for (size_t c = 0; c < n; c += 64) {
            int8_t *to = block->words + (c / 64 * 2 + q / 16) * TILE + q % 16 * 64;
            if (q < n_q)
                memcpy(to, queries + q * stride + c, 64);
            else
                memset(to, 0, 64);
        }
    __asm__ volatile("" ::: "memory"); /* tile loads do not tell gcc what they read */
}

/* dots[p..p+n_p)[16 n_t queries] (+)= n_steps of queries and panels. */
VEC void amx_tile(struct amx_block *block, const uint8_t *lines, size_t panel, size_t n_steps,
                  size_t p, bool first, int n_t, int n_p) {
    int32_t(*dots)[AMX_Q][16] = block->dots + p;
    if (first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, dots[0][0], 64);
        if (n_p > 1) _tile_loadd(1, dots[1][0], 64);
        if (n_t > 1) _tile_loadd(2, dots[0][16], 64);
        if (n_t > 1 && n_p > 1) _tile_loadd(3, dots[1][16], 64);
    }
    for (size_t s = 0; s < n_steps; s++, lines += TILE) {
        const int8_t *words = block->words + s * 2 * TILE;
        _tile_loadd(4, words, 64);
        _tile_loadd(6, lines, 64);
        _tile_dpbsud(0, 4, 6);
        if (n_p > 1) {
            _tile_loadd(7, lines + panel, 64);
            _tile_dpbsud(1, 4, 7);
        }
        if (n_t > 1) {
            _tile_loadd(5, words + TILE, 64);
            _tile_dpbsud(2, 5, 6);
        }
        if (n_t > 1 && n_p > 1) _tile_dpbsud(3, 5, 7);
    }
    _tile_stored(0, dots[0][0], 64);
    if (n_p > 1) _tile_stored(1, dots[1][0], 64);
    if (n_t > 1) _tile_stored(2, dots[0][16], 64);
    if (n_t > 1 && n_p > 1) _tile_stored(3, dots[1][16], 64);
}

static void amx_tiles(struct amx_block *block, const uint8_t *lines, size_t panel, size_t n_steps,
                      size_t p, bool first, int n_t, int n_p) {
    if (n_t == 2 && n_p == 2)
        amx_tile(block, lines, panel, n_steps, p, first, 2, 2);
    else if (n_t == 2)
        amx_tile(block, lines, panel, n_steps, p, first, 2, 1);
    else if (n_p == 2)
        amx_tile(block, lines, panel, n_steps, p, first, 1, 2);
    else
        amx_tile(block, lines, panel, n_steps, p, first, 1, 1);
}

VEC i32x16 load_dot(const int32_t dot[16]) {
    i32x16 x;
    memcpy(&x, dot, sizeof x);
    return x;
}

/* Queries q... (n_q of them, at most AMX_Q) against all panels. */
static void amx_block(const struct kern_scan *scan, size_t q, size_t n_q, struct amx_block *block) {
    size_t panel = scan->bytes * 16, n_panels = (scan->n + 15) / 16;
    int n_t = n_q > 16 ? 2 : 1;
    for (size_t set = 0; set < n_panels; set += AMX_SET) {
        size_t in_set = n_panels - set < AMX_SET ? n_panels - set : AMX_SET;
        for (size_t from = 0; from < scan->bytes; from += AMX_CODES) {
            size_t n = scan->bytes - from < AMX_CODES ? scan->bytes - from : AMX_CODES;
            if (set == 0 || scan->bytes > AMX_CODES)
                pack_queries(scan->queries + q * scan->bytes + from, scan->bytes, n_q, n, block);
            const uint8_t *lines = scan->panels + set * panel + from * 16;
            for (size_t p = 0; p < in_set; p += 2)
                amx_tiles(block, lines + p * panel, panel, n / 64, p, from == 0, n_t,
                          in_set - p > 1 ? 2 : 1);
        }
        for (size_t i = 0; i < n_q; i++)
            for (size_t p = 0; p < in_set; p++)
                scan_select(scan, q + i, (uint32_t)(set + p) * 16, load_dot(block->dots[p][i]));
    }
}

static void scan_u8s8_amx(const struct kern_scan *scan) {
    struct amx_block block;
    configure();
    for (size_t q = 0; q < scan->n_q; q += AMX_Q)
        amx_block(scan, q, scan->n_q - q < AMX_Q ? scan->n_q - q : AMX_Q, &block);
    _tile_release();
}

void kern_fill_amx(struct kern *kern) {
    kern->name = "amx";
    kern->scan_u8s8 = scan_u8s8_amx;
}
