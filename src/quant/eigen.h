/* Eigenvalues and eigenvectors of a symmetric matrix in 64-bit floats, without LAPACK: docs/decisions/0021.
 *
 *   Shape    a[n][n], both halves filled, symmetric; values[n], falling; vectors[n_vectors][n], row j the unit
 *            eigenvector of values[j], its largest element (the first of equals) positive; n_vectors <= n.
 *   Owns     nothing; a is used up.
 *   Threads  the caller's `threads`; the same bits at any number of them and on any machine (sums have one order; only
 *            + - * / and sqrt are used).
 *   Cost     about 2 n^3 (tridiagonal form) + 3 n^3 (rotations) + 2 n^2 n_vectors (back) multiply-adds; 8 n^2 bytes.
 *   Accuracy |a x - value x| and |value - true| within a few n * 2^-53 * |a|; vectors orthogonal to as much, also where
 *            values coincide.
 *   Errors   KITH_ENOMEM; KITH_ENONFINITE where a is not finite.
 *   Source   Golub & Van Loan 2013, Algorithm 8.3.1 and section 8.3.5; Dubrulle 1970 (EISPACK imtql2). */
#ifndef KITH_QUANT_EIGEN_H
#define KITH_QUANT_EIGEN_H

#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>

struct mem_account;

int eigen_symmetric(size_t n, double *a, double *values, size_t n_vectors, double *vectors,
                    uint32_t threads, struct mem_account *owner, kith_error *err);

/* The parts. a becomes Q T Q'; T has diagonal d[n] and off-diagonal e[n - 1]; Q is the product of n - 2 reflections,
 * left in a (reflect.h, first = 1) with beta[n]; scratch has 3 n doubles. */
void eigen_tridiagonal(size_t n, double *a, double *d, double *e, double *beta, double *scratch,
                       uint32_t threads);
/* Eigenvalues of T, falling, and the eigenvectors of the first n_vectors of them; d and e are used up. */
int eigen_of_tridiagonal(size_t n, double *d, double *e, double *values, size_t n_vectors,
                         double *vectors, uint32_t threads, struct mem_account *owner,
                         kith_error *err);

#endif
