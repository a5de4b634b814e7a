/* Vectors as they come from outside: checked, and made what is stored and searched. */
#ifndef KITH_DB_VECTOR_H
#define KITH_DB_VECTOR_H

#include "db/collection.h"

/* KITH_EDIM, KITH_ENONFINITE (err->at: place), KITH_ERANGE a length whose square f32 cannot hold eight times. *divisor: what
 * its values are to be divided by: its length under COSINE (1 where it is 0), else 1. */
int vector_check(const struct vector_field *field, const float *values, size_t dim, double *divisor,
                 kith_error *err);
void vector_divide(float *out, const float *values, size_t dim, double divisor);

#endif
