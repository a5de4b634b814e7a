/* RaBitQ: its object, training, and the model as bytes. rabitq.h has the mathematics and the layouts. */
#include "quant/rabitq.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"
#include "quant/rabitq_code.h"
#include "quant/sums.h"

enum { MODEL_MAGIC = 0x51426152, MODEL_HEAD = 24, MODEL_AS_THEY_ARE = 1 }; /* "RaBQ" */

static const struct rabitq_parts parts_of[9] = {{0, 0}, {1, 0}, {2, 0}, {2, 1}, {4, 0},
                                                {4, 1}, {6, 0}, {6, 1}, {8, 0}};

static void lay_out(struct rabitq *r) {
    const uint32_t bits = r->base.spec.bits, padded = r->padded;
    const uint32_t factors = bits == 1 ? SIGN_ERROR + 1 : RABITQ_FACTORS;
    r->row = parts_of[bits];
    r->extra = parts_of[bits - 1];
    r->fields = 4 * factors;
    r->base.bytes = r->fields + padded / 8 * bits;
    r->factors_at = padded / 8 * QUANT_BLOCK;
    r->extra_at = r->factors_at + r->fields * QUANT_BLOCK;
    r->extra_bytes = padded / 8 * (bits - 1);
    r->base.block_bytes =
        (uint32_t)bits_round_up(r->extra_at + (size_t)r->extra_bytes * QUANT_BLOCK, 64);
}

static size_t spare_bytes(const struct rabitq *r) {
    return r->padded > RABITQ_STACK ? 3 * (size_t)r->padded * sizeof(float) : 0;
}

static void rabitq_deinit(struct quantizer *quantizer) {
    struct rabitq *r = (struct rabitq *)quantizer;
    if (r->spare) mem_free(quantizer->owner, r->spare, spare_bytes(r));
    if (r->mean) mem_free(quantizer->owner, r->mean, quantizer->dim * sizeof(float));
    rotation_deinit(&r->rotation, quantizer->owner);
    pthread_mutex_destroy(&r->spare_lock);
}

static int rabitq_init(struct quantizer *quantizer, kith_error *err) {
    struct rabitq *r = (struct rabitq *)quantizer;
    const uint32_t bits = quantizer->spec.bits, dim = quantizer->dim;
    if (bits < 1 || bits > 8)
        return FAIL(err, KITH_ESPEC, "RaBitQ with %u bits a dimension, must be 1 to 8", bits);
    if (quantizer->metric == KITH_METRIC_L1)
        return FAIL(err, KITH_ESPEC, "RaBitQ estimates dot products: it has no L1 distance");
    TRY(rotation_init(&r->rotation, dim, quantizer->spec.seed, quantizer->owner, err));
    pthread_mutex_init(&r->spare_lock, NULL);
    r->padded = r->rotation.padded;
    lay_out(r);
    r->mean = mem_new(quantizer->owner, dim * sizeof(float));
    if (r->mean && spare_bytes(r)) r->spare = mem_new(quantizer->owner, spare_bytes(r));
    if (!r->mean || (spare_bytes(r) && !r->spare)) {
        rabitq_deinit(quantizer);
        return FAIL(err, KITH_ENOMEM, "no memory for a RaBitQ quantizer of dim %u", dim);
    }
    return KITH_OK;
}

/* The mean, in double, and how far the farthest row is from it. One thread: it costs two reads of the rows. */
static int rabitq_train(struct quantizer *quantizer, size_t n, const float *rows,
                        const struct quantizer_training *how, kith_error *err) {
    struct rabitq *r = (struct rabitq *)quantizer;
    const size_t dim = quantizer->dim;
    double *sum = mem_new(quantizer->owner, dim * sizeof *sum);
    if (!sum) return FAIL(err, KITH_ENOMEM, "no memory for the mean of %zu dimensions", dim);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < dim; j++) sum[j] += (double)rows[i * dim + j];
    for (size_t j = 0; j < dim; j++) r->mean[j] = n ? (float)(sum[j] / (double)n) : 0;
    mem_free(quantizer->owner, sum, dim * sizeof *sum);
    double farthest = 0;
    for (size_t i = 0; i < n; i++)
        farthest = fmax(farthest, sums_residual(dim, rows + i * dim, 1, r->mean, 1));
    r->mean_sq = sums_squares(dim, r->mean);
    r->longest = fminf((float)(2 * sqrt(farthest)), FLT_MAX);
    quantizer->trained = true;
    if (how->progress) how->progress(how->context, n, n);
    return KITH_OK;
}

static size_t rabitq_model_bytes(const struct quantizer *quantizer) {
    return MODEL_HEAD + quantizer->dim * sizeof(float);
}

static void put_u32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> 8 * i);
}
static uint32_t get_u32(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}
static void put_f32(uint8_t *at, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u32(at, bits);
}
static float get_f32(const uint8_t *at) {
    uint32_t bits = get_u32(at);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void rabitq_model_write(const struct quantizer *quantizer, uint8_t *out) {
    const struct rabitq *r = rabitq_of(quantizer);
    put_u32(out, MODEL_MAGIC);
    put_u32(out + 4, quantizer->dim);
    put_u32(out + 8, (uint32_t)r->rotation.seed);
    put_u32(out + 12, (uint32_t)(r->rotation.seed >> 32));
    put_f32(out + 16, r->longest);
    put_u32(out + 20, r->rotation.rounds ? 0 : MODEL_AS_THEY_ARE);
    for (size_t i = 0; i < quantizer->dim; i++) put_f32(out + MODEL_HEAD + 4 * i, r->mean[i]);
}

static int check_model(const struct quantizer *quantizer, const uint8_t *bytes, size_t n,
                       kith_error *err) {
    const size_t wanted = rabitq_model_bytes(quantizer);
    if (n != wanted)
        return FAIL(err, KITH_ECORRUPT, "a RaBitQ model of %zu bytes, dim %u has %zu", n,
                    quantizer->dim, wanted);
    if (get_u32(bytes) != MODEL_MAGIC || get_u32(bytes + 4) != quantizer->dim ||
        get_u32(bytes + 20) > MODEL_AS_THEY_ARE)
        return FAIL(err, KITH_ECORRUPT, "not a RaBitQ model of dim %u", quantizer->dim);
    const float longest = get_f32(bytes + 16);
    if (!(longest >= 0 && longest <= FLT_MAX))
        return FAIL(err, KITH_ECORRUPT, "a RaBitQ model whose longest row is %g", (double)longest);
    for (size_t i = 0; i < quantizer->dim; i++)
        if (!isfinite(get_f32(bytes + MODEL_HEAD + 4 * i)))
            return FAIL(err, KITH_ECORRUPT, "element %zu of a RaBitQ model's mean is not finite",
                        i);
    return KITH_OK;
}

static int rabitq_model_read(struct quantizer *quantizer, const uint8_t *bytes, size_t n,
                             kith_error *err) {
    struct rabitq *r = (struct rabitq *)quantizer;
    TRY(check_model(quantizer, bytes, n, err));
    const uint64_t seed = get_u32(bytes + 8) | (uint64_t)get_u32(bytes + 12) << 32;
    struct rotation rotation;
    if (get_u32(bytes + 20) == MODEL_AS_THEY_ARE)
        rotation_init_none(&rotation, quantizer->dim);
    else
        TRY(rotation_init(&rotation, quantizer->dim, seed, quantizer->owner, err));
    rotation_deinit(&r->rotation, quantizer->owner);
    r->rotation = rotation;
    quantizer->spec.seed = seed;
    for (size_t i = 0; i < quantizer->dim; i++) r->mean[i] = get_f32(bytes + MODEL_HEAD + 4 * i);
    r->mean_sq = sums_squares(quantizer->dim, r->mean);
    r->longest = get_f32(bytes + 16);
    quantizer->trained = true;
    return KITH_OK;
}

const struct quantizer_ops rabitq_ops = {
    .name = "rabitq",
    .object_bytes = sizeof(struct rabitq),
    .init = rabitq_init,
    .deinit = rabitq_deinit,
    .train = rabitq_train,
    .encode = rabitq_encode,
    .decode = rabitq_decode,
    .scorer_bytes = rabitq_scorer_bytes,
    .scorer_init = rabitq_scorer_init,
    .set_query = rabitq_set_query,
    .list = rabitq_list,
    .rows = rabitq_rows,
    .score = rabitq_score,
    .blocks = rabitq_blocks,
    .pack = rabitq_pack,
    .unpack = rabitq_unpack,
    .model_bytes = rabitq_model_bytes,
    .model_write = rabitq_model_write,
    .model_read = rabitq_model_read,
};
