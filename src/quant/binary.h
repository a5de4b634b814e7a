/* Sign bits: one bit an element, which says on which side of a cut the value lies.
 *
 * The cut of a dimension is the mean of the values trained on or, with spec.median, their median, which makes both bits
 * equally common. A bit stands for the mean of the values trained on that lie on its side, so r~ is cut plus or minus the
 * mean absolute value where both sides mirror each other. Scores (score(), and the estimates of list() and rows()) are
 * those of r~ with the query in full: a linear code of one bit (linear.h), which has layout, arithmetic and slack. With
 * AVX-512 they cost what Hamming distances do; elsewhere these are several times faster, and a sieve before them.
 *
 * A code: bit i of byte i / 8 is element i, to a multiple of 8 bytes; under L2 the f32 term behind.
 * Model, little-endian f32: cut[dim], low[dim], step[dim]. A set bit stands for low + step.
 * Source docs/papers.md. */
#ifndef KITH_QUANT_BINARY_H
#define KITH_QUANT_BINARY_H

#include "quant/quantizer.h"

/* Hamming distances from a query's bits, which are its own code, to n codes by address or `stride` bytes apart: 0 to dim
 * each. Any thread. */
void binary_hamming_list(const struct quantizer *quantizer, const uint8_t *query,
                         const uint8_t *const *codes, size_t n, uint32_t *out);
void binary_hamming_rows(const struct quantizer *quantizer, const uint8_t *query,
                         const uint8_t *codes, size_t stride, size_t n, uint32_t *out);

#endif
