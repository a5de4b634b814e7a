/* Packing and unpacking of fields: a line at a time, part by part (a part is 1, 2, 4 or 8 bits; u6 is u4 and u2). */
#include "quant/fields.h"

#include <string.h>

/* 8 bytes of one bit each to the bits of a byte, first byte lowest; and back. */
static uint8_t gather_bits(const uint8_t *values, unsigned shift) {
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++) word |= (uint64_t)(values[i] >> shift & 1u) << 8 * i;
    return (uint8_t)(word * 0x0102040810204080u >> 56);
}

static void put_ones(const uint8_t *values, unsigned shift, size_t n, uint8_t *out) {
    for (size_t i = 0; i < n / 8; i++) out[i] = gather_bits(values + 8 * i, shift);
}

static void add_ones(const uint8_t *in, unsigned shift, size_t n, uint8_t *values) {
    for (size_t i = 0; i < n; i++)
        values[i] |= (uint8_t)(((uint32_t)in[i / 8] >> i % 8 & 1u) << shift);
}

/* A line of n values in n / 4 bytes. */
static void put_twos(const uint8_t *values, unsigned shift, size_t n, uint8_t *out) {
    const size_t w = n / 4;
    for (size_t j = 0; j < w; j++)
        out[j] = (uint8_t)((values[j] >> shift & 3u) | (values[w + j] >> shift & 3u) << 2 |
                           (values[2 * w + j] >> shift & 3u) << 4 |
                           (values[3 * w + j] >> shift & 3u) << 6);
}

static void add_twos(const uint8_t *in, unsigned shift, size_t n, uint8_t *values) {
    const size_t w = n / 4;
    for (size_t k = 0; k < 4; k++)
        for (size_t j = 0; j < w; j++)
            values[k * w + j] |= (uint8_t)((in[j] >> 2 * k & 3u) << shift);
}

/* A line of n values in n / 2 bytes. */
static void put_fours(const uint8_t *values, unsigned shift, size_t n, uint8_t *out) {
    const size_t w = n / 2;
    for (size_t j = 0; j < w; j++)
        out[j] = (uint8_t)((values[j] >> shift & 15u) | (values[w + j] >> shift & 15u) << 4);
}

static void add_fours(const uint8_t *in, unsigned shift, size_t n, uint8_t *values) {
    const size_t w = n / 2;
    for (size_t k = 0; k < 2; k++)
        for (size_t j = 0; j < w; j++)
            values[k * w + j] |= (uint8_t)((in[j] >> 4 * k & 15u) << shift);
}

static size_t line_of(size_t left) { return left < 128 ? 64 : 128; }

void fields_put(unsigned bits, const uint8_t *values, unsigned shift, size_t n, uint8_t *out) {
    for (size_t line; n; n -= line, values += line, out += fields_bytes(bits, line)) {
        line = line_of(n);
        switch (bits) {
        case 1: put_ones(values, shift, line, out); break;
        case 2: put_twos(values, shift, line, out); break;
        case 4: put_fours(values, shift, line, out); break;
        case 6:
            put_fours(values, shift, line, out);
            put_twos(values, shift + 4, line, out + line / 2);
            break;
        default:
            for (size_t j = 0; j < line; j++) out[j] = (uint8_t)(values[j] >> shift);
        }
    }
}

void fields_add(unsigned bits, const uint8_t *in, unsigned shift, size_t n, uint8_t *values) {
    for (size_t line; n; n -= line, values += line, in += fields_bytes(bits, line)) {
        line = line_of(n);
        switch (bits) {
        case 1: add_ones(in, shift, line, values); break;
        case 2: add_twos(in, shift, line, values); break;
        case 4: add_fours(in, shift, line, values); break;
        case 6:
            add_fours(in, shift, line, values);
            add_twos(in + line / 2, shift + 4, line, values);
            break;
        default:
            for (size_t j = 0; j < line; j++) values[j] |= (uint8_t)(in[j] << shift);
        }
    }
}
