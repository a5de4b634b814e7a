/* Rows of k-means: checks, and random samples without repetition. */
#include "quant/kmeans_rows.h"

#include <float.h>
#include <math.h>

#include "base/bits.h"
#include "base/status.h"
#include "kern/kern.h"

int kmeans_rows_check(const struct kmeans_source *source, size_t begin, size_t end, float *room,
                      kith_error *err) {
    const size_t dim = source->rows->dim;
    const struct kern *kern = kern_get();
    for (size_t i = begin; i < end; i++) {
        const float *row = kmeans_row(source, i, room);
        if (kern->dot_self[KITH_TYPE_F32](row, dim) <= FLT_MAX / 8) continue;
        size_t number = source->sample ? source->sample[i] : i;
        for (size_t j = 0; j < dim; j++)
            if (!isfinite(row[j]))
                return FAIL_AT(err, KITH_ENONFINITE, number, "row %zu: element %zu is %g", number,
                               j, (double)row[j]);
        return FAIL_AT(err, KITH_ERANGE, number, "row %zu: its squared length is over %g", number,
                       (double)(FLT_MAX / 8));
    }
    return KITH_OK;
}

/* Knuth, The Art of Computer Programming 2, 3.4.2, Algorithm S. */
void kmeans_draw(uint64_t *state, size_t n, size_t most, uint32_t *out) {
    for (size_t i = 0, taken = 0; taken < most; i++)
        if (bits_random(state) % (n - i) < most - taken) out[taken++] = (uint32_t)i;
}
