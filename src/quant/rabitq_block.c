/* RaBitQ: codes to blocks of 32 rows and back.
 *
 *     0          factors_at         extra_at
 *     | signs    | arrays of 32     | row 0: lower bits | row 1 | ... | zeros to 64
 *
 * Signs lie as the fast scan reads them (kern.h): line g, 64 bytes, has dimensions 16 g to 16 g + 15 of all rows; byte 4 j +
 * k of it is the nibble of dimensions 16 g + 4 k ... + 3 of row j in its lower half and of row 16 + j in its upper. */
#include <string.h>

#include "quant/rabitq_code.h"

/* Four nibbles in the lower halves of four bytes, from and to 16 bits. */
static uint32_t spread(uint32_t bits) {
    uint32_t halves = (bits | bits << 8) & 0x00ff00ffu;
    return (halves | halves << 4) & 0x0f0f0f0fu;
}
static uint32_t gather(uint32_t nibbles) {
    uint32_t halves = (nibbles | nibbles >> 4) & 0x00ff00ffu;
    return (halves | halves >> 8) & 0xffffu;
}

/* Where row i's word of line g lies, and how far up in each byte. */
static size_t word_at(size_t g, size_t i) { return 64 * g + 4 * (i % 16); }
static unsigned word_shift(size_t i) { return i < 16 ? 0 : 4; }

static uint32_t load_word(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void rabitq_signs(const uint8_t *lines, size_t n, size_t i, uint8_t *fields) {
    for (size_t g = 0; g < n / 16; g++) {
        uint32_t nibbles = load_word(lines + word_at(g, i)) >> word_shift(i) & 0x0f0f0f0fu;
        uint32_t bits = gather(nibbles);
        fields[2 * g] = (uint8_t)bits;
        fields[2 * g + 1] = (uint8_t)(bits >> 8);
    }
}

static void put_signs(const uint8_t *fields, size_t n, size_t i, uint8_t *lines) {
    for (size_t g = 0; g < n / 16; g++) {
        uint32_t nibbles = spread(fields[2 * g] | (uint32_t)fields[2 * g + 1] << 8)
                           << word_shift(i);
        for (size_t k = 0; k < 4; k++) lines[word_at(g, i) + k] |= (uint8_t)(nibbles >> 8 * k);
    }
}

void rabitq_pack(const struct quantizer *quantizer, const uint8_t *codes, size_t n,
                 uint8_t *block) {
    const struct rabitq *r = rabitq_of(quantizer);
    const unsigned top = quantizer->spec.bits - 1;
    memset(block, 0, quantizer->block_bytes);
    for (size_t i = 0; i < n; i++, codes += quantizer->bytes) {
        uint8_t *extra = block + r->extra_at + i * r->extra_bytes;
        for (size_t f = 0; f < r->fields / 4; f++)
            memcpy(block + r->factors_at + 4 * (QUANT_BLOCK * f + i), codes + 4 * f, 4);
        for (size_t at = 0, line; at < r->padded; at += line) {
            uint8_t values[RABITQ_LINE], signs[RABITQ_LINE / 8];
            line = rabitq_line(r, at);
            rabitq_get(r, r->row, codes + r->fields, at, line, values);
            fields_put(1, values, top, line, signs);
            put_signs(signs, line, i, block + at * 4);
            if (top) rabitq_put(r, r->extra, values, at, line, extra);
        }
    }
}

void rabitq_unpack(const struct quantizer *quantizer, const uint8_t *block, size_t i,
                   uint8_t *code) {
    const struct rabitq *r = rabitq_of(quantizer);
    const unsigned top = quantizer->spec.bits - 1;
    const uint8_t *extra = block + r->extra_at + i * r->extra_bytes;
    for (size_t f = 0; f < r->fields / 4; f++)
        memcpy(code + 4 * f, block + r->factors_at + 4 * (QUANT_BLOCK * f + i), 4);
    for (size_t at = 0, line; at < r->padded; at += line) {
        uint8_t values[RABITQ_LINE] = {0}, signs[RABITQ_LINE / 8];
        line = rabitq_line(r, at);
        if (top) rabitq_get(r, r->extra, extra, at, line, values);
        rabitq_signs(block + at * 4, line, i, signs);
        fields_add(1, signs, top, line, values);
        rabitq_put(r, r->row, values, at, line, code + r->fields);
    }
}
