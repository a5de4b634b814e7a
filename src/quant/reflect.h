/* Householder reflections: what the eigen solver leaves behind, and what random rotations are made of.
 *
 * Reflection k is H_k = I - beta[k] v v', v of n - first - k elements, acting on elements first + k .. n - 1; v lies at
 * the end of row k of `v`: v + k * n + first + k. The product H_0 H_1 ... H_(count-1) is orthogonal.
 *
 * Threads: constant while in use. Cost: 2 n multiply-adds a reflection and row; allocates nothing. The same bits at any
 * number of threads and on any machine: sums are those of quant/sums.h. */
#ifndef KITH_QUANT_REFLECT_H
#define KITH_QUANT_REFLECT_H

#include <stddef.h>
#include <stdint.h>

struct reflections {
    size_t n, first, count; /* first + count <= n */
    const double *v;        /* rows of n */
    const double *beta;     /* count; 0: H_k is I */
};

/* Make v the direction of a reflection that sends x to (alpha, 0, ..., 0): in place, v is x on entry, of n >= 1 elements.
 * Returns beta, 0 where x is already so but for elements below 2^-450. */
double reflect_to_axis(size_t n, double *v, double *alpha);

/* Replace each of n_rows rows x (n doubles, n apart) by H_0 H_1 ... H_(count-1) x. */
void reflect_rows(const struct reflections *reflections, uint32_t threads, size_t n_rows,
                  double *rows);

#endif
