/* Product quantizers: a vector is cut into m parts of dim / m elements, and each part stands for the nearest of 2^bits
 * centroids that k-means found for that part (Jégou, Douze & Schmid 2011; docs/papers.md has our differences).
 *
 * A code, and a block of 32 rows (bits 4 only; with 8 bits lists keep codes):
 *
 *     0        4 (L2) or 0                          block: 0                    64 ceil(m / 4)
 *     | term   | indexes, in the order of parts     | nibbles as the fast scan  | 32 terms (L2)
 *     | L2 only| 8 bits: a byte each; 4 bits: a     | of kern.h wants them; the |
 *     |        | nibble each, lower half first      | last 4 - m % 4 are zeros  |
 *
 * padded by zeros to a multiple of 4 and of 64. term = |r~|^2 + 2 <c, r~>.
 *
 * A query becomes m tables of 2^bits floats: part j's shares of the score for each centroid, -2 <q_j, r~_j> under L2,
 * -<q_j, r~_j> under IP, sum |q_j - r~_j| under L1. The exact score is term + the sum of the entries that a code names,
 * by kern.h's look-ups. list(), rows() and score() are that, to the bit. For blocks() each table is rounded to a u8 above
 * its own least entry, by one step for all tables: estimates differ from the exact score by at most half a step a part.
 *
 * Slack: all scores are within it of each other and of the real number, but for last roundings: 2^-22 |score|, and of a
 * code with a centre 2^-23 |term|. pq_query.c has the proof.
 *
 * Training learns from a random sample of at most PQ_SAMPLE(bits) rows. Fewer distinct rows than centroids leave centroids
 * that stand for nothing; none at all give the zero vector. Under every metric what is lessened is |r - r~|^2.
 * The model, little-endian: "KPQ1", u32 dim, u32 m, u32 bits, f32 centroids[m][2^bits][dim / m].
 * Cost   encode: 2^bits dim multiply-adds a row; set_query the same; a score: m look-ups; training: 25 times the sample's
 *        coding, on as many threads as there are parts, each with a part of the sample in memory. */
#ifndef KITH_QUANT_PQ_H
#define KITH_QUANT_PQ_H

#include "quant/quantizer.h"

#define PQ_SAMPLE(bits) ((bits) == 8 ? 65536u : 16384u)

#endif
