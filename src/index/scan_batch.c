/* Many queries at once. */
#include "index/scan_pass.h"

#include "base/status.h"

bool scan_batch_suits(const struct rows *rows, const struct search_call *call, size_t n) {
    (void)rows, (void)call, (void)n;
    return false;
}

int scan_batch(struct scan_query *query, struct scan_slot *slot, kith_error *err) {
    (void)query, (void)slot;
    return FAIL(err, KITH_EUNSUPPORTED, "no batches");
}
