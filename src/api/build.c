/* The doors of <kith/build.h>: arguments are checked and completed here; src/index/build.c and plan.c do the work. */
#include <kith/build.h>

#include <string.h>

#include "api/arguments.h"
#include "base/status.h"
#include "index/plan.h"

/* What a caller left out, filled in. */
struct completed {
    kith_build how;
    kith_index_options options;
    kith_work work;
};

static int complete(struct completed *out, uint64_t n, size_t dim, const kith_build *given,
                    kith_error *err) {
    *out = (struct completed){.how = KITH_BUILD_INIT, .options = KITH_INDEX_OPTIONS_INIT};
    if (dim == 0 || dim > KITH_MAX_DIM)
        return FAIL(err, KITH_EDIM, "dimension %zu, must be 1 to %u", dim, KITH_MAX_DIM);
    if (n > KITH_MAX_ROWS)
        return FAIL(err, KITH_EFULL, "%llu rows, at most %u fit", (unsigned long long)n,
                    KITH_MAX_ROWS);
    TRY(api_copy_sized(&out->how, sizeof out->how, given, "kith_build", err));
    if ((unsigned)out->how.metric > KITH_METRIC_L1)
        return FAIL(err, KITH_EINVAL, "metric %d is not known", (int)out->how.metric);
    TRY(api_copy_sized(&out->options, sizeof out->options, out->how.options, "kith_index_options",
                       err));
    TRY(api_read_work(out->how.work, &out->work, err));
    out->options.size = sizeof out->options;
    out->how.options = &out->options;
    if (!out->how.spec) out->how.spec = "Auto";
    return KITH_OK;
}

int kith_index_build(const char *path, const kith_rows *rows, const kith_build *how,
                     kith_error *err) {
    struct completed whole;
    if (!path || !rows || !rows->read)
        return FAIL(err, KITH_EINVAL, "%s is NULL", !path ? "path" : !rows ? "rows" : "rows.read");
    if (rows->n == 0) return FAIL(err, KITH_EEMPTY, "there are no rows to build of");
    TRY(complete(&whole, rows->n, rows->dim, how, err));
    return index_build(path, rows, &whole.how, &whole.work, err);
}

int kith_index_plan(kith_plan *out, uint64_t n, size_t dim, const kith_build *how,
                    kith_error *err) {
    struct completed whole;
    kith_plan made = KITH_PLAN_INIT;
    if (!out) return FAIL(err, KITH_EINVAL, "out is NULL");
    if (out->size < sizeof out->size || out->size > sizeof made)
        return FAIL(err, KITH_EINVAL, "kith_plan.size is %u, must be %zu: use KITH_PLAN_INIT",
                    out->size, sizeof made);
    if (n == 0) return FAIL(err, KITH_EEMPTY, "there are no rows to plan for");
    TRY(complete(&whole, n, dim, how, err));
    TRY(index_estimate(&made, n, dim, &whole.how, whole.work.threads, err));
    made.size = out->size;
    memcpy(out, &made, out->size);
    return KITH_OK;
}
