/* The orthogonal matrix nearest to a square one, its polar factor: what the Procrustes step of OPQ asks for.
 *
 *   Shape    m[n][n] f32, used up; near[n][n] an orthogonal matrix, which becomes the answer.
 *   Threads  as asked; the same bits at any number of them and at any instruction set (kern.h's law).
 *   Cost     2 n^3 multiply-adds a round, some 18 rounds; 8 n^2 bytes.
 *   Accuracy Elements of R R' - I within 2^-16. To m is added 2^-18 |m| near first (|m| its Frobenius norm): where m is
 *            singular the answer stays what `near` is, and no direction takes more rounds than another.
 *   Errors   KITH_ENOMEM; near is then unchanged. A matrix m of zeros leaves near as it is.
 *   Source   Higham 2008, chapter 8 (Newton-Schulz); Chen & Chow 2014 for its scaling. */
#ifndef KITH_QUANT_POLAR_H
#define KITH_QUANT_POLAR_H

#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>

struct mem_account;

int polar_factor(size_t n, float *m, float *near, uint32_t threads, struct mem_account *owner,
                 kith_error *err);

/* One Newton-Schulz step in double on rows that are nearly orthonormal: afterwards to f32. r[n_rows][n], n_rows <= n. */
int polar_polish(size_t n_rows, size_t n, float *r, uint32_t threads, struct mem_account *owner,
                 kith_error *err);

#endif
