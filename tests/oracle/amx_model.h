/* A model in plain C of the AMX instructions that src/kern/scan_amx.c uses, from Intel's description of each
 * (Architecture Instruction Set Extensions Programming Reference, chapter 3): tile registers as bytes, the shapes of the
 * configuration checked at every use, so that what would fault there fails here.
 *
 *   1. LDTILECFG zeroes all tiles; TILERELEASE leaves no configuration; every other instruction needs one.
 *   2. TILELOADD zeroes the rows it does not load. TILESTORED writes rows x row_bytes and nothing else.
 *   3. TDPBSUD: C[m][n] += sum of 4 products s8 A[m][4k+i] * u8 B[k][4n+i], for all k; modulo 2^32. */
#ifndef KITH_TESTS_AMX_MODEL_H
#define KITH_TESTS_AMX_MODEL_H

#include <stdint.h>
#include <string.h>

struct amx_model {
    int configured;
    uint16_t row_bytes[8];
    uint8_t rows[8];
    uint8_t tile[8][16][64];
    uint64_t products, faults; /* counted, for the test */
};
static struct amx_model amx;

static inline void amx_need(int condition) {
    if (!condition) amx.faults++;
}

static inline void amx_loadconfig(const void *memory) {
    const uint8_t *config = memory;
    memset(amx.tile, 0, sizeof amx.tile);
    amx_need(config[0] == 1 && config[1] == 0);
    for (int i = 2; i < 16; i++) amx_need(config[i] == 0);
    for (int t = 0; t < 16; t++) {
        uint16_t row_bytes;
        memcpy(&row_bytes, config + 16 + 2 * t, 2);
        uint8_t rows = config[48 + t];
        amx_need(row_bytes <= 64 && rows <= 16 && (row_bytes == 0) == (rows == 0) &&
                 (t < 8 || rows == 0));
        if (t < 8) {
            amx.row_bytes[t] = row_bytes;
            amx.rows[t] = rows;
        }
    }
    amx.configured = 1;
}

static inline void amx_release(void) {
    memset(&amx.tile, 0, sizeof amx.tile);
    amx.configured = 0;
}

static inline void amx_zero(int t) {
    amx_need(amx.configured && amx.rows[t] > 0);
    memset(amx.tile[t], 0, sizeof amx.tile[t]);
}

static inline void amx_loadd(int t, const void *base, size_t stride) {
    amx_need(amx.configured && amx.rows[t] > 0);
    memset(amx.tile[t], 0, sizeof amx.tile[t]);
    for (size_t row = 0; row < amx.rows[t]; row++)
        memcpy(amx.tile[t][row], (const char *)base + row * stride, amx.row_bytes[t]);
}

static inline void amx_stored(int t, void *base, size_t stride) {
    amx_need(amx.configured && amx.rows[t] > 0);
    for (size_t row = 0; row < amx.rows[t]; row++)
        memcpy((char *)base + row * stride, amx.tile[t][row], amx.row_bytes[t]);
}

static inline void amx_dpbsud(int c, int a, int b) {
    amx_need(amx.configured && c != a && c != b && a != b);
    amx_need(amx.rows[c] == amx.rows[a] && amx.row_bytes[c] == amx.row_bytes[b] &&
             amx.row_bytes[a] == 4 * amx.rows[b]);
    for (int m = 0; m < amx.rows[c]; m++)
        for (int n = 0; n < amx.row_bytes[c] / 4; n++) {
            uint32_t sum;
            memcpy(&sum, amx.tile[c][m] + 4 * n, 4);
            for (int k = 0; k < amx.rows[b]; k++)
                for (int i = 0; i < 4; i++)
                    sum +=
                        (uint32_t)((int8_t)amx.tile[a][m][4 * k + i] * amx.tile[b][k][4 * n + i]);
            memcpy(amx.tile[c][m] + 4 * n, &sum, 4);
        }
    amx.products++;
}

#define _tile_loadconfig(memory)      amx_loadconfig(memory)
#define _tile_release()               amx_release()
#define _tile_zero(t)                 amx_zero(t)
#define _tile_loadd(t, base, stride)  amx_loadd((t), (base), (stride))
#define _tile_stored(t, base, stride) amx_stored((t), (base), (stride))
#define _tile_dpbsud(c, a, b)         amx_dpbsud((c), (a), (b))

#endif
