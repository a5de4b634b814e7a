/* Scalar quantizers: the table of operations, and models. sq_train.c learns grids; linear.c codes; linear_score.c scores. */
#include "quant/sq.h"

#include <string.h>

#include "base/status.h"
#include "quant/linear.h"
#include "quant/sq_train.h"

static int sq_init(struct quantizer *quantizer, kith_error *err) {
    const struct quantizer_spec *spec = &quantizer->spec;
    if (spec->bits != 4 && spec->bits != 6 && spec->bits != 8)
        return FAIL(err, KITH_ESPEC, "a scalar quantizer of %u bits: there are 4, 6 and 8",
                    spec->bits);
    if (spec->clip != SQ_CLIP_FIT && !(spec->clip >= 0 && spec->clip < 1))
        return FAIL(err, KITH_ESPEC, "share %g of values left outside: must be at least 0, below 1",
                    (double)spec->clip);
    return linear_init((struct linear *)quantizer, spec->bits, err);
}

/* Floats of a table in a model. */
static size_t table_floats(const struct quantizer *quantizer) {
    return quantizer->spec.uniform ? 1 : quantizer->dim;
}

static size_t model_bytes(const struct quantizer *quantizer) {
    return 2 * table_floats(quantizer) * sizeof(float);
}

static void model_write(const struct quantizer *quantizer, uint8_t *out) {
    const struct linear *linear = (const struct linear *)quantizer;
    const size_t bytes = table_floats(quantizer) * sizeof(float);
    memcpy(out, linear->low, bytes);
    memcpy(out + bytes, linear->step, bytes);
}

static int model_read(struct quantizer *quantizer, const uint8_t *in, size_t n, kith_error *err) {
    struct linear *linear = (struct linear *)quantizer;
    const size_t floats = table_floats(quantizer), bytes = floats * sizeof(float);
    if (n != 2 * bytes)
        return FAIL(err, KITH_ECORRUPT, "a scalar quantizer's model of %zu bytes: must have %zu", n,
                    2 * bytes);
    memcpy(linear->low, in, bytes);
    memcpy(linear->step, in + bytes, bytes);
    if (quantizer->spec.uniform) sq_spread(linear);
    if (!linear_sound(linear))
        return FAIL(err, KITH_ECORRUPT, "a scalar quantizer's grid is not one that training makes");
    sq_ready(linear);
    return KITH_OK;
}

const struct quantizer_ops sq_ops = {.name = "sq",
                                     .object_bytes = sizeof(struct linear),
                                     .init = sq_init,
                                     .deinit = linear_deinit,
                                     .train = sq_train,
                                     .encode = linear_encode,
                                     .decode = linear_decode,
                                     .scorer_bytes = linear_scorer_bytes,
                                     .scorer_init = linear_scorer_init,
                                     .set_query = linear_set_query,
                                     .list = linear_list,
                                     .rows = linear_rows,
                                     .score = linear_score,
                                     .wide_bytes = linear_wide_bytes,
                                     .widen = linear_widen,
                                     .wide_query = linear_wide_query,
                                     .model_bytes = model_bytes,
                                     .model_write = model_write,
                                     .model_read = model_read};
