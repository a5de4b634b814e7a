/* The doors of <kith/calibrate.h>: arguments are checked and completed here; measuring is src/index/calibrate.c's. */
#include <kith/calibrate.h>

#include "api/arguments.h"
#include "base/status.h"
#include "index/calibrate.h"

#define DEFAULT_ROWS 2000u

static const uint32_t default_k[] = {1, 10, 100};

static int check_k(const kith_calibrate_options *options, kith_error *err) {
    if (options->n_k > KITH_MAX_CALIBRATED_K)
        return FAIL(err, KITH_EINVAL, "%u k, at most %u", options->n_k, KITH_MAX_CALIBRATED_K);
    for (uint32_t i = 0; i < options->n_k; i++)
        if (options->k[i] < 1 || options->k[i] > CALIBRATE_MAX_K ||
            (i > 0 && options->k[i] <= options->k[i - 1]))
            return FAIL(err, KITH_EINVAL, "k %u of a calibration: they must rise, from 1 to %u",
                        options->k[i], CALIBRATE_MAX_K);
    return KITH_OK;
}

static int read_options(const kith_calibrate_options *given, kith_calibrate_options *options,
                        kith_error *err) {
    *options = (kith_calibrate_options)KITH_CALIBRATE_OPTIONS_INIT;
    TRY(api_copy_sized(options, sizeof *options, given, "kith_calibrate_options", err));
    if (options->n_k && !options->k) return FAIL(err, KITH_EINVAL, "k is NULL");
    if (options->n_k == 0) {
        options->k = default_k;
        options->n_k = sizeof default_k / sizeof *default_k;
    }
    if (options->n_rows == 0) options->n_rows = DEFAULT_ROWS;
    if (!options->queries != !options->n_queries || !options->base != !options->n_base)
        return FAIL(err, KITH_EINVAL,
                    "%zu queries and %zu rows of a base, one of them without vectors",
                    options->n_queries, options->n_base);
    return check_k(options, err);
}

int kith_index_calibrate(kith_index *given, const kith_calibrate_options *given_options,
                         const kith_work *given_work, kith_error *err) {
    kith_calibrate_options options;
    kith_work work;
    if (!given) return FAIL(err, KITH_EINVAL, "index is NULL");
    TRY(read_options(given_options, &options, err));
    TRY(api_read_work(given_work, &work, err));
    struct kith_index *index = index_real(given);
    if (atomic_load_explicit(&index->rows.n_live, memory_order_acquire) == 0)
        return FAIL(err, KITH_EEMPTY, "the index holds no rows");
    TRY(api_check_vectors(index->rows.config.dim, options.n_queries, options.queries, "query",
                          err));
    TRY(api_check_vectors(index->rows.config.dim, options.n_base, options.base, "row of the base",
                          err));
    return index_calibrate(index, &options, &work, err);
}

int kith_index_effort(const kith_index *given, kith_search_params *params, double *expected,
                      kith_error *err) {
    kith_search_params read = KITH_SEARCH_PARAMS_INIT;
    struct effort effort;
    bool exact;
    if (!given || !params) return FAIL(err, KITH_EINVAL, "%s is NULL", given ? "params" : "index");
    TRY(api_copy_sized(&read, sizeof read, params, "kith_search_params", err));
    if (!(read.recall > 0 && read.recall <= 1) || read.k == 0)
        return FAIL(err, KITH_EINVAL, "recall %g of k %u: it must be above 0, at most 1",
                    (double)read.recall, read.k);
    TRY(index_effort(index_real(given), read.k, (double)read.recall, &effort, &exact, err));
    params->ef = effort.ef;
    params->oversample = effort.oversample;
    params->exact = exact;
    params->nprobe = effort.nprobe;
    params->recall = 0;
    if (expected) *expected = (double)effort.recall;
    return KITH_OK;
}
