/* Names of metrics and types: one table, read in both directions. The first name of a metric is the one it is shown by. */
#include <kith/vector.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/status.h"

static const struct {
    kith_metric metric;
    const char *names[5];
} table[] = {
    {KITH_METRIC_L2, {"l2", "sqeuclidean", "l2sq"}},
    {KITH_METRIC_EUCLID, {"euclid", "euclidean"}},
    {KITH_METRIC_IP, {"ip", "dot", "inner"}},
    {KITH_METRIC_COSINE, {"cosine", "cos", "angular"}},
    {KITH_METRIC_L1, {"l1", "manhattan", "cityblock"}},
};
#define N_METRICS (sizeof table / sizeof *table)

int kith_metric_parse(const char *name, kith_metric *out, kith_error *err) {
    char known[160] = "";
    for (size_t i = 0; i < N_METRICS; i++)
        for (const char *const *each = table[i].names; *each != NULL; each++) {
            if (name != NULL && strcasecmp(*each, name) == 0) {
                *out = table[i].metric;
                return KITH_OK;
            }
            size_t used = strlen(known);
            snprintf(known + used, sizeof known - used, "%s%s", used ? " " : "", *each);
        }
    return FAIL(err, KITH_EINVAL, "metric \"%.40s\" is not one of: %s", name ? name : "", known);
}

const char *kith_metric_name(kith_metric metric) {
    for (size_t i = 0; i < N_METRICS; i++)
        if (table[i].metric == metric) return table[i].names[0];
    return "?";
}

int kith_metric_is_similarity(kith_metric metric) {
    return metric == KITH_METRIC_IP || metric == KITH_METRIC_COSINE;
}

size_t kith_type_bytes(kith_type type) {
    switch (type) {
    case KITH_TYPE_F32: return 4;
    case KITH_TYPE_F16:
    case KITH_TYPE_BF16: return 2;
    case KITH_TYPE_I8:
    case KITH_TYPE_U8: return 1;
    }
    return 0;
}
