/* Arguments that several doors take: structs that begin with their size, work, vectors. */
#include "api/arguments.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "base/thread.h"
#include "kern/kern.h"

int api_copy_sized(void *to, size_t to_bytes, const void *from, const char *what, kith_error *err) {
    uint32_t size;
    if (!from) return KITH_OK;
    memcpy(&size, from, sizeof size);
    if (size < sizeof size || size > to_bytes)
        return FAIL(err, KITH_EINVAL, "%s.size is %" PRIu32 ", must be %zu: use its _INIT macro",
                    what, size, to_bytes);
    memcpy(to, from, size);
    return KITH_OK;
}

int api_read_work(const kith_work *given, kith_work *work, kith_error *err) {
    *work = (kith_work)KITH_WORK_INIT;
    TRY(api_copy_sized(work, sizeof *work, given, "kith_work", err));
    if (work->threads == 0) work->threads = 1;
    if (work->threads > THREAD_MAX) work->threads = THREAD_MAX;
    return KITH_OK;
}

int api_check_vectors(size_t dim, size_t n, const float *x, const char *what, kith_error *err) {
    kern_pair_fn dot = kern_get()->pair[KITH_TYPE_F32][KERN_DOT];
    for (size_t i = 0; i < n; i++) {
        const float *row = x + i * dim;
        if (dot(row, row, dim) <= FLT_MAX / 8) continue;
        for (size_t j = 0; j < dim; j++)
            if (!isfinite(row[j]))
                return FAIL_AT(err, KITH_ENONFINITE, i, "%s %zu: element %zu is %g", what, i, j,
                               (double)row[j]);
        return FAIL_AT(err, KITH_ERANGE, i, "%s %zu: its squared length is over %g", what, i,
                       (double)(FLT_MAX / 8));
    }
    return KITH_OK;
}
