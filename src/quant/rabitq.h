/* RaBitQ: 1 to 8 bits a dimension, an unbiased estimate of every distance, and a bound on its error.
 *
 * Let r' = x - c - m: c the centre that encode() is given (or 0), m the mean of the rows trained on (of r = x - c where
 * there will be centres, so about 0 then). r' is rotated at random (rotation.h) in P >= dim dimensions; each rotated
 * element becomes a number u of B bits that stands for the half-integer v = u - (2^B - 1) / 2 on a grid whose scale is
 * chosen for each row: the v that makes the smallest angle with r' among those that rounding gives at any scale. With
 *
 *     a = |r'|^2 / <v, r'>,   r'~ = a v,   r~ = m + r'~,
 *
 * <y, r'~> estimates <y, r'> for any y that knows nothing of the rotation: without bias, because r'~ - r' is orthogonal to
 * r' and points into a random direction of the P - 1 that are left, so that its error is about normal with deviation
 * |y| E, E = sqrt((|r'~|^2 - |r'|^2) / (P - 1)). With q' = q - c - m,
 *
 *     L2   |q - x|^2 = |q'|^2 + |r'|^2 - 2 <q', r'>,      IP   -<q, x> = -<q, c + m> - <c + m, r'> - <q', r'>,
 *
 * where only the last dot product is estimated. So what quantizer.h calls the score is not that of r~ alone:
 *
 *     score = bias + term + weight <R (q - m), v>         R the rotation
 *     L2    bias = |m|^2 - 2 <q, m>    term = |r'|^2 + 2 <c, r'~> + 2 <c, m>     weight = -2 a
 *     IP    bias = -<q, m>             term = <c, r'~> - <c + m, r'>             weight = -a
 *
 * The bound. For any row, with g = 2 under L2 and 1 under IP, the real score is within
 *
 *     epsilon g |q'| E        but with probability about 2 (1 - Phi(epsilon)), Phi the normal distribution:
 *                             1.0: 32 %, 1.9: 5.7 %, 3.0: 0.27 %, 4.0: 0.006 %
 *
 * of the score (the paper proves 2 exp(-c epsilon^2); tests/prop/test_rabitq.c counts). blocks() passes over a row when
 * its score by signs alone is more than RABITQ_EPSILON times that above the limit, which loses one in 35 (one side of
 * the bound) of the rows that lie exactly at the limit, and fewer of those that lie within it. It needs |q - c|, which
 * the caller puts into scorer.centre_dist.
 *
 * A code: five floats (bits 1: the first three), then the fields of fields.h, P values in one or two parts.
 *
 *     0         4           8          12    16       20
 *     | s.term  | s.weight  | s.error  | term | weight | upper bits u >> low | lowest bits, u & 1 |
 *
 * s.*: of the signs alone, v = u >= 2^(B-1) ? 0.5 : -0.5; s.error = g E, rounded up. B = 3, 5, 7 have a second part
 * (low = 1), others one. A block: the signs of 32 rows as kern.h's fast scan wants them, five (three) arrays of 32
 * floats in the order of the code, then row by row the B - 1 lower bits of u, as a code of B - 1 bits has them.
 *
 * Slack. Scores of list() and rows() come from the query quantised to s8, from 7 bits on to two s8 one after the other;
 * blocks() looks signs up in tables of u8. |estimate - score| is at most rabitq_slack(), a bound without probability. It
 * grows with |r'~|, which nothing limits, so the scorer's slack is that of rows with |r'~| <= `longest` (twice the
 * length of the longest row trained on) and |term| <= 16 (longest + |q|)^2: a longer row has more, in proportion.
 *
 * The model, little-endian: "RaBQ", u32 dim, u64 seed, f32 longest, u32 flags, f32 m[dim]. Flag 1: R leaves vectors as they
 * are, as in files of other engines, whose codes rabitq_compose takes.
 *
 * Cost of encode: the rotation and about 32 passes over P floats (1 bit: none); of set_query: the rotation, two
 * quantisations, P / 4 tables. Sources and differences: docs/papers.md. */
#ifndef KITH_QUANT_RABITQ_H
#define KITH_QUANT_RABITQ_H

#include "quant/quantizer.h"

#define RABITQ_EPSILON 1.9f

/* Deviations of the scores of a code, for |q'| = 1: the real score is score + N(0, (|q'| error)^2), as said above. */
float rabitq_error(const struct quantizer *quantizer, const uint8_t *code);

/* The bound on |estimate - score| of one code by list(), rows() or, packed, by blocks(). */
float rabitq_slack(const struct quantizer_scorer *scorer, const uint8_t *code);

/* A code from its parts, of which other engines keep the same: a number of `bits` bits for each dimension, and the score
 * less its bias, term + weight <R (q - m), v>, of all bits and of the signs alone (bits 1: of these only). blocks() will not
 * pass over such a row. */
struct rabitq_parts_of_code {
    const uint8_t *u; /* dim */
    float sign_term, sign_weight, term, weight;
};
void rabitq_compose(const struct quantizer *quantizer, const struct rabitq_parts_of_code *parts,
                    uint8_t *code);

#endif
