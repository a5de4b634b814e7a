/* Product quantizers: the object, the model as bytes, the table of operations. */
#include "quant/pq.h"

#include <float.h>
#include <math.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"
#include "quant/pq_code.h"

enum { MODEL_MAGIC = 0x3151504b, MODEL_HEAD = 16 }; /* "KPQ1" */

static void lay_out(struct pq *pq) {
    struct quantizer *base = &pq->base;
    const uint32_t m = base->spec.m, bits = base->spec.bits;
    pq->k = 1u << bits;
    pq->part = base->dim / m;
    pq->index_at = base->metric == KITH_METRIC_L2 ? 4 : 0;
    pq->index_bytes = bits == 8 ? m : (m + 1) / 2;
    base->bytes = (uint32_t)bits_round_up(pq->index_at + pq->index_bytes, 4);
    if (bits == 8) return;
    pq->nibbles = (uint32_t)bits_round_up(m, 4);
    pq->term_at = base->metric == KITH_METRIC_L2 ? 16 * pq->nibbles : 0;
    base->block_bytes = 16 * pq->nibbles + 4 * QUANT_BLOCK * (base->metric == KITH_METRIC_L2);
}

/* Floats of centroids, of columns. */
static size_t n_elements(const struct pq *pq) { return (size_t)pq->k * pq->base.dim; }
/* Of all four arrays, which are one piece of memory. */
static size_t n_floats(const struct pq *pq) {
    return 2 * n_elements(pq) + (size_t)pq->base.spec.m * pq->k + pq->base.dim;
}

static void pq_deinit(struct quantizer *quantizer) {
    struct pq *pq = (struct pq *)quantizer;
    mem_slab_free(quantizer->owner, pq->columns, n_floats(pq) * sizeof(float));
}

static int pq_init(struct quantizer *quantizer, kith_error *err) {
    struct pq *pq = (struct pq *)quantizer;
    const uint32_t bits = quantizer->spec.bits, m = quantizer->spec.m;
    if (bits != 4 && bits != 8)
        return FAIL(err, KITH_ESPEC, "a product quantizer of %u bits: there are 4 and 8", bits);
    if (m == 0 || quantizer->dim % m != 0)
        return FAIL(err, KITH_ESPEC,
                    "a product quantizer of %u parts: they must divide dimension %u", m,
                    quantizer->dim);
    lay_out(pq);
    pq->columns = mem_slab(quantizer->owner, n_floats(pq) * sizeof(float));
    if (!pq->columns)
        return FAIL(err, KITH_ENOMEM, "no memory for %u centroids of dim %u", pq->k,
                    quantizer->dim);
    pq->start = pq->columns + n_elements(pq);
    pq->middle = pq->start + (size_t)m * pq->k;
    pq->centroids = pq->middle + quantizer->dim;
    return KITH_OK;
}

/* The mean of a part's centroids; what lies between is within f32 as they are. */
static void find_middle(const struct pq *pq, uint32_t j, float *middle) {
    for (uint32_t d = 0; d < pq->part; d++) {
        double sum = 0;
        for (uint32_t i = 0; i < pq->k; i++) sum += (double)pq_centroid(pq, j, i)[d];
        middle[d] = (float)(sum / pq->k);
    }
}

double pq_ready_part(struct pq *pq, uint32_t j) {
    float *middle = pq->middle + (size_t)j * pq->part;
    float *columns = pq->columns + (size_t)j * pq->part * pq->k;
    const bool l1 = pq->base.metric == KITH_METRIC_L1;
    double longest = 0, offset = 0;
    find_middle(pq, j, middle);
    for (uint32_t d = 0; d < pq->part; d++) offset += (double)middle[d] * (double)middle[d];
    for (uint32_t i = 0; i < pq->k; i++) {
        const float *centroid = pq_centroid(pq, j, i);
        double squares = 0, sizes = 0;
        for (uint32_t d = 0; d < pq->part; d++) {
            float element = centroid[d] - middle[d];
            columns[(size_t)d * pq->k + i] = element;
            squares += (double)element * (double)element;
            sizes += fabs((double)element);
        }
        pq->start[(size_t)j * pq->k + i] = (float)fmax(-0.5 * squares, -(double)FLT_MAX);
        longest = fmax(longest, l1 ? sizes : sqrt(squares));
    }
    return l1 ? longest : (sqrt(offset) + longest) * (sqrt(offset) + longest);
}

void pq_ready(struct pq *pq) {
    double sum = 0;
    for (uint32_t j = 0; j < pq->base.spec.m; j++) sum += pq_ready_part(pq, j);
    pq->reach = pq->base.metric == KITH_METRIC_L1 ? sum : sqrt(sum);
    pq->base.trained = true;
}

/* ---- the model ------------------------------------------------------------------------------------------------- */

static size_t pq_model_bytes(const struct quantizer *quantizer) {
    return MODEL_HEAD + n_elements(pq_of(quantizer)) * sizeof(float);
}

static void model_head(const struct quantizer *quantizer, uint32_t head[4]) {
    head[0] = MODEL_MAGIC;
    head[1] = quantizer->dim;
    head[2] = quantizer->spec.m;
    head[3] = quantizer->spec.bits;
}

static void pq_model_write(const struct quantizer *quantizer, uint8_t *out) {
    uint32_t head[4];
    model_head(quantizer, head);
    memcpy(out, head, MODEL_HEAD);
    memcpy(out + MODEL_HEAD, pq_of(quantizer)->centroids,
           n_elements(pq_of(quantizer)) * sizeof(float));
}

static int pq_model_read(struct quantizer *quantizer, const uint8_t *bytes, size_t n,
                         kith_error *err) {
    struct pq *pq = (struct pq *)quantizer;
    uint32_t head[4], found[4];
    model_head(quantizer, head);
    if (n != pq_model_bytes(quantizer))
        return FAIL(err, KITH_ECORRUPT, "a product quantizer's model of %zu bytes: must have %zu",
                    n, pq_model_bytes(quantizer));
    memcpy(found, bytes, MODEL_HEAD);
    if (memcmp(head, found, MODEL_HEAD) != 0)
        return FAIL(err, KITH_ECORRUPT,
                    "a product quantizer's model of dim %u, %u parts, %u bits: must be %u, %u, %u",
                    found[1], found[2], found[3], head[1], head[2], head[3]);
    /* What training can make: rows whose squared length is finite. Checked before anything changes. */
    const double most = sqrt((double)FLT_MAX);
    for (size_t i = 0; i < n_elements(pq); i++) {
        float element;
        memcpy(&element, bytes + MODEL_HEAD + i * sizeof element, sizeof element);
        if (!(fabs((double)element) <= most))
            return FAIL(err, KITH_ECORRUPT, "element %zu of a product quantizer's model is %g", i,
                        (double)element);
    }
    memcpy(pq->centroids, bytes + MODEL_HEAD, n_elements(pq) * sizeof(float));
    pq_ready(pq);
    return KITH_OK;
}

const struct quantizer_ops pq_ops = {
    .name = "pq",
    .object_bytes = sizeof(struct pq),
    .init = pq_init,
    .deinit = pq_deinit,
    .train = pq_train,
    .encode = pq_encode,
    .decode = pq_decode,
    .scorer_bytes = pq_scorer_bytes,
    .scorer_init = pq_scorer_init,
    .set_query = pq_set_query,
    .list = pq_list,
    .rows = pq_rows,
    .score = pq_score,
    .blocks = pq_blocks,
    .pack = pq_pack,
    .unpack = pq_unpack,
    .model_bytes = pq_model_bytes,
    .model_write = pq_model_write,
    .model_read = pq_model_read,
};
