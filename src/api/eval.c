/* The door of <kith/eval.h>: arguments are checked here, measuring is done in src/eval/. */
#include <kith/eval.h>

#include "base/status.h"
#include "eval/eval.h"

static int check_arguments(const struct eval_run *run, const kith_eval *out, kith_error *err) {
    if (run->k == 0 || run->k > run->truth_k)
        return FAIL(err, KITH_EK, "k is %zu, the truth has 1 to %zu places a query", run->k,
                    run->truth_k);
    if (run->n == 0) return FAIL(err, KITH_EINVAL, "there are 0 queries to measure");
    if (!run->truth || !out || (!run->got && run->got_k > 0))
        return FAIL(err, KITH_EINVAL, "%s is NULL", !run->truth ? "truth" : !out ? "out" : "got");
    if (!run->got_dists != !run->truth_dists)
        return FAIL(err, KITH_EINVAL, "distances of %s without those of %s",
                    run->got_dists ? "the answers" : "the truth",
                    run->got_dists ? "the truth" : "the answers");
    return KITH_OK;
}

int kith_eval_knn(size_t n, size_t k, const int64_t *got, size_t got_k, const int64_t *truth,
                  size_t truth_k, const float *got_dists, const float *truth_dists, int similarity,
                  kith_eval *out, kith_error *err) {
    struct eval_run run = {.n = n,
                           .k = k,
                           .got = got,
                           .got_dists = got_dists,
                           .got_k = got_k,
                           .truth = truth,
                           .truth_dists = truth_dists,
                           .truth_k = truth_k,
                           .similarity = similarity};
    TRY(check_arguments(&run, out, err));
    struct eval_scratch *scratch = eval_scratch_new(k, n);
    if (!scratch)
        return FAIL(err, KITH_ENOMEM, "no memory to measure %zu queries of %zu places", n, k);
    eval_all(scratch, &run, out);
    eval_scratch_free(scratch);
    return KITH_OK;
}
