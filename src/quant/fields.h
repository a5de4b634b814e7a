/* Packed fields: values of 1, 2, 4, 6 or 8 bits, laid out as the dot kernels of kern.h read them.
 *
 *   u1   value j is bit j % 8 of byte j / 8
 *   u2   lines of 128 values: value j, 32 + j, 64 + j, 96 + j are bits 0-1, 2-3, 4-5, 6-7 of byte j, j < 32
 *   u4, u6, u8 as kern.h says
 *
 * n is a multiple of 64. A last line of 64 values is half a line: the same with every count above halved. Bytes: n * bits
 * / 8. Values lie one a byte. */
#ifndef KITH_QUANT_FIELDS_H
#define KITH_QUANT_FIELDS_H

#include <stddef.h>
#include <stdint.h>

static inline size_t fields_bytes(unsigned bits, size_t n) { return n * bits / 8; }

/* bits of the values from `shift` on; what lies above them is ignored. */
void fields_put(unsigned bits, const uint8_t *values, unsigned shift, size_t n, uint8_t *out);
/* values[i] |= field << shift */
void fields_add(unsigned bits, const uint8_t *in, unsigned shift, size_t n, uint8_t *values);

#endif
