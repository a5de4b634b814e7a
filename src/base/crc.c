/* CRC-32C (Castagnoli): polynomial 0x1edc6f41, reflected, all ones before and after.
 *
 * ISA-L's crc32_iscsi where the build has it (it leaves the inversions to its caller), else eight tables read side by
 * side ("slicing by 8", Kounavis & Berry 2008). Both give 0xe3069283 for "123456789", the check value of the
 * standard; tests hold them against each other. */
#include "base/file.h"

#include <pthread.h>
#include <string.h>

#ifdef HAVE_ISAL
#include <isa-l/crc.h>
#endif

#define CRC_POLYNOMIAL 0x82f63b78u

static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_fill(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (CRC_POLYNOMIAL & (0u - (crc & 1u)));
        table[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (uint32_t t = 1; t < 8; t++)
            table[t][i] = (table[t - 1][i] >> 8) ^ table[0][table[t - 1][i] & 255u];
}

uint32_t file_crc32c_portable(uint32_t crc, const void *bytes, size_t n) {
    pthread_once(&table_once, table_fill);
    const uint8_t *p = bytes;
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                              (uint32_t)p[3] << 24);
        crc = table[7][low & 255u] ^ table[6][low >> 8 & 255u] ^ table[5][low >> 16 & 255u] ^
              table[4][low >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^
              table[0][p[7]];
    }
    for (; n > 0; n--, p++) crc = (crc >> 8) ^ table[0][(crc ^ *p) & 255u];
    return ~crc;
}

#ifdef HAVE_ISAL
uint32_t file_crc32c(uint32_t crc, const void *bytes, size_t n) {
    const size_t most = (size_t)1 << 30; /* its length is an int */
    unsigned char *p = (unsigned char *)(uintptr_t)bytes;
    crc = ~crc;
    while (n > 0) {
        size_t piece = n < most ? n : most;
        crc = crc32_iscsi(p, (int)piece, crc);
        p += piece;
        n -= piece;
    }
    return ~crc;
}
#else
uint32_t file_crc32c(uint32_t crc, const void *bytes, size_t n) {
    return file_crc32c_portable(crc, bytes, n);
}
#endif
