/* Inverted lists: making. */
#include "base/status.h"
#include "index/index.h"

int index_new_ivf(struct kith_index **out, const struct index_spec *spec,
                  const kith_index_options *options, kith_error *err) {
    (void)out, (void)options;
    return FAIL(err, KITH_EUNSUPPORTED, "%u inverted lists", spec->nlist);
}
