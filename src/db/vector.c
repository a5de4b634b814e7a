/* Vectors from outside. Lengths are summed in double, in order, so that every machine stores the same bits. */
#include "db/vector.h"

#include <float.h>
#include <math.h>

int vector_check(const struct vector_field *field, const float *values, size_t dim, double *divisor,
                 kith_error *err) {
    *divisor = 1;
    if (!values || dim != field->dim)
        return FAIL(err, KITH_EDIM, "a vector of %zu dimensions; field \"%.100s\" wants %u",
                    values ? dim : 0, field->name, field->dim);
    double sum = 0;
    for (size_t d = 0; d < dim; d++) {
        if (!isfinite(values[d]))
            return FAIL_AT(err, KITH_ENONFINITE, d, "value %zu of a vector is not finite", d);
        sum += (double)values[d] * (double)values[d];
    }
    if (sum > (double)FLT_MAX / 8)
        return FAIL(err, KITH_ERANGE, "a vector of length %g; at most %g", sqrt(sum),
                    sqrt((double)FLT_MAX / 8));
    if (field->metric == KITH_METRIC_COSINE && sum > 0) *divisor = sqrt(sum);
    return KITH_OK;
}

void vector_divide(float *out, const float *values, size_t dim, double divisor) {
    for (size_t d = 0; d < dim; d++) out[d] = (float)((double)values[d] / divisor);
}
