/* Quantizers: making and freeing one, whatever its kind. */
#include "quant/quantizer.h"

#include "base/mem.h"
#include "base/status.h"

/* By kind; NULL where a kind is not built. */
static const struct quantizer_ops *const tables[QUANT_KINDS] = {
    [QUANT_SQ] = &sq_ops,
    [QUANT_PQ] = &pq_ops,
    [QUANT_RABITQ] = &rabitq_ops,
    [QUANT_BINARY] = &binary_ops,
};

int quantizer_new(struct quantizer **out, const struct quantizer_spec *spec, kith_metric metric,
                  uint32_t dim, struct mem_account *owner, kith_error *err) {
    const struct quantizer_ops *ops =
        (unsigned)spec->kind < QUANT_KINDS ? tables[spec->kind] : NULL;
    if (!ops) return FAIL(err, KITH_ESPEC, "no quantizer of kind %d", (int)spec->kind);
    if (dim == 0 || dim > KITH_MAX_DIM)
        return FAIL(err, KITH_EDIM, "dimension %u, must be 1 to %u", dim, KITH_MAX_DIM);
    if (metric != KITH_METRIC_L2 && metric != KITH_METRIC_IP && metric != KITH_METRIC_L1)
        return FAIL(err, KITH_EINVAL, "no quantizer scores metric %d", (int)metric);
    struct quantizer *made = mem_new(owner, ops->object_bytes);
    if (!made) return FAIL(err, KITH_ENOMEM, "no memory for a quantizer");
    *made =
        (struct quantizer){.ops = ops, .spec = *spec, .metric = metric, .dim = dim, .owner = owner};
    int code = ops->init(made, err);
    if (code != KITH_OK) {
        mem_free(owner, made, ops->object_bytes);
        return code;
    }
    *out = made;
    return KITH_OK;
}

void quantizer_free(struct quantizer *quantizer) {
    if (!quantizer) return;
    const struct quantizer_ops *ops = quantizer->ops;
    ops->deinit(quantizer);
    mem_free(quantizer->owner, quantizer, ops->object_bytes);
}

float quantizer_oversample(const struct quantizer *quantizer) {
    return quantizer_spec_oversample(&quantizer->spec);
}

float quantizer_spec_oversample(const struct quantizer_spec *spec) {
    uint32_t bits = spec->bits;
    switch (spec->kind) {
    case QUANT_PQ: return bits == 4 ? 8.0f : 4.0f;
    case QUANT_RABITQ: return bits == 1 ? 16.0f : bits < 4 ? 4.0f : 2.0f;
    case QUANT_BINARY: return 16.0f;
    default: return bits < 6 ? 4.0f : 2.0f;
    }
}
