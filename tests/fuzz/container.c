/* Index files taken apart and put together, with right checksums, as docs/format.md tells: so that a fuzzer
 * spends its time behind them. */
#include <string.h>

#include "base/file.h"
#include "fuzz.h"

enum { HEADER = 64, ENTRY = 32, SECTIONS_MAX = 64 };

static uint32_t get32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t get64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static void put32(uint8_t *at, uint32_t value) { memcpy(at, &value, sizeof value); }
static void put64(uint8_t *at, uint64_t value) { memcpy(at, &value, sizeof value); }

static void seal(uint8_t *file, uint64_t table, uint32_t n) {
    put32(file + 32, file_crc32c(0, file + table, n * ENTRY));
    put32(file + 36, 0);
    put32(file + 36, file_crc32c(0, file, HEADER));
}

uint8_t *fuzz_container(const uint8_t *sections, size_t n, size_t *size) {
    uint8_t *file = calloc(1, HEADER + n + SECTIONS_MAX * (64 + ENTRY)),
            entries[SECTIONS_MAX * ENTRY];
    size_t at = HEADER, from = 0;
    uint32_t count = 0;
    memset(entries, 0, sizeof entries);
    while (n - from >= 8 && count < SECTIONS_MAX) {
        size_t length = get32(sections + from + 4);
        uint8_t *entry = entries + count++ * ENTRY;
        if (length > n - from - 8) length = n - from - 8;
        memcpy(file + at, sections + from + 8, length);
        put32(entry, get32(sections + from));
        put32(entry + 4, file_crc32c(0, file + at, length));
        put64(entry + 8, at);
        put64(entry + 16, length);
        from += 8 + length;
        at = (at + length + 63) & ~(size_t)63;
    }
    memcpy(file + at, entries, count * ENTRY);
    memcpy(file, "KITHIDX\n", 8);
    put32(file + 8, 1);
    put32(file + 12, count);
    put64(file + 16, at + count * ENTRY);
    put64(file + 24, at);
    seal(file, at, count);
    *size = at + count * ENTRY;
    return file;
}

uint8_t *fuzz_sections(const uint8_t *file, size_t n, size_t *size) {
    uint8_t *out = malloc(n), *to = out;
    const uint8_t *entry = file + get64(file + 24);
    for (uint32_t i = 0; i < get32(file + 12); i++, entry += ENTRY) {
        uint64_t length = get64(entry + 16);
        put32(to, get32(entry));
        put32(to + 4, (uint32_t)length);
        memcpy(to + 8, file + get64(entry + 8), length);
        to += 8 + length;
    }
    *size = (size_t)(to - out);
    return out;
}

void fuzz_mend_checksums(uint8_t *file, size_t size) {
    if (size < HEADER) return;
    memcpy(file, "KITHIDX\n", 8);
    put32(file + 8, 1);
    put64(file + 16, size);
    uint64_t table = get64(file + 24);
    uint32_t count = get32(file + 12);
    if (table > size || count > SECTIONS_MAX || size - table < (uint64_t)count * ENTRY) return;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *entry = file + table + i * ENTRY;
        uint64_t offset = get64(entry + 8), length = get64(entry + 16);
        if (offset <= table && length <= table - offset)
            put32(entry + 4, file_crc32c(0, file + offset, length));
    }
    seal(file, table, count);
}
