/* Scalar quantizers: each element of a vector by itself, in 4, 6 or 8 bits, on a grid of 2^bits equally spaced values
 * (linear.h has layout, arithmetic and the proof of slack).
 *
 * What is learnt is the grid of each dimension, or one for all (spec.uniform), by spec.clip:
 *     0             covers what was seen: no element is farther from its value than half a step
 *     0 < clip < 1  covers the values seen but for this share, half of it at each end
 *     SQ_CLIP_FIT   the one of several shares, none included, that leaves the least squared error
 * A range [a, b] has two grids: from a to b with the ends on it, for data that pile up at an end (as zeros do), or its
 * 2^bits equal cells' centres, whose step is shorter. The one is taken that leaves the less squared error. Shares and
 * errors are of at most SQ_SAMPLE rows, spread evenly; ends are of all rows.
 *
 * Model, little-endian f32: low[dim], step[dim]; uniform: low, step.
 * Cost   training: one pass over the rows, and a sort of a sample a dimension; no progress is told. Coding: about 3 ns an
 *        element; a score of B code bytes about B / 100 ns from the cache (docs/performance.md).
 * Source docs/papers.md. */
#ifndef KITH_QUANT_SQ_H
#define KITH_QUANT_SQ_H

#include "quant/quantizer.h"

#define SQ_CLIP_FIT (-1.0f)
#define SQ_SAMPLE   4096u

#endif
