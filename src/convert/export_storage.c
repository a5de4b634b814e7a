/* Kith's codes as FAISS's: floats, halves, bytes, scalar and product quantisers. Ranges and centroids come from a
 * quantizer's model, as files have it; a centre is added to them, so that codes of residuals from it need none. */
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "convert/export.h"
#include "quant/sums.h"

static void set_array(struct faiss_array *array, const void *at, uint64_t n) {
    *array = (struct faiss_array){at, n};
}

/* ---- scalar quantisers ---------------------------------------------------------------------------- */

/* FAISS decodes c to vmin + vdiff (c + 1/2) / M, Kith to low + step c. */
static int describe_grid(struct layout *layout, struct exporting *exporting, uint32_t bits,
                         const float *centre, kith_error *err) {
    static const int32_t type[9] = {[4] = FAISS_SQ_4BIT, [6] = FAISS_SQ_6BIT, [8] = FAISS_SQ_8BIT};
    uint32_t dim = exporting->dim, top = (1u << bits) - 1;
    float *trained = export_new(exporting, 2 * (size_t)dim, sizeof *trained);
    if (!trained) return FAIL(err, KITH_ENOMEM, "no memory for the ranges of %u dimensions", dim);
    for (uint32_t i = 0; i < dim; i++) {
        double low = (double)layout->low[i] + (centre ? (double)centre[i] : 0);
        trained[i] = (float)(low - (double)layout->step[i] / 2);
        trained[dim + i] = layout->step[i] * (float)top;
    }
    layout->kind = FAISS_SQ;
    layout->code_size = ((uint64_t)dim * bits + 7) / 8;
    layout->sq.qtype = type[bits];
    set_array(&layout->sq.trained, trained, 2 * (uint64_t)dim);
    return KITH_OK;
}

static int init_sq(struct layout *layout, struct exporting *exporting, const float *centre,
                   kith_error *err) {
    const struct quantizer *quantizer = layout->quantizer;
    size_t bytes = quantizer->ops->model_bytes(quantizer), dim = exporting->dim;
    float *model = export_new(exporting, bytes, 1);
    layout->low = export_new(exporting, 2 * dim, sizeof(float));
    if (!model || !layout->low)
        return FAIL(err, KITH_ENOMEM, "no memory for the ranges of %zu dimensions", dim);
    layout->step = layout->low + dim;
    quantizer->ops->model_write(quantizer, (uint8_t *)model);
    bool uniform = bytes == 2 * sizeof(float);
    for (size_t i = 0; i < dim; i++) {
        layout->low[i] = model[uniform ? 0 : i];
        layout->step[i] = model[uniform ? 1 : dim + i];
    }
    return describe_grid(layout, exporting, quantizer->spec.bits, centre, err);
}

static void put_field(uint8_t *out, uint64_t i, uint32_t bits, uint32_t value) {
    uint64_t at = i * bits;
    uint32_t shifted = value << at % 8;
    out[at / 8] |= (uint8_t)shifted;
    if (at % 8 + bits > 8) out[at / 8 + 1] |= (uint8_t)(shifted >> 8);
}

static void write_sq(const struct layout *layout, const uint8_t *row, uint8_t *out) {
    const struct quantizer *quantizer = layout->quantizer;
    uint32_t bits = quantizer->spec.bits;
    quantizer->ops->decode(quantizer, row, layout->x);
    memset(out, 0, layout->code_size);
    for (uint32_t i = 0; i < quantizer->dim; i++) {
        float step = layout->step[i];
        float c = step > 0 ? rintf((layout->x[i] - layout->low[i]) / step) : 0;
        put_field(out, i, bits, (uint32_t)c);
    }
}

/* ---- product quantisers --------------------------------------------------------------------------- */

/* pq.h's model: a head of 16 bytes, then the centroids as FAISS has them. */
static int init_pq(struct layout *layout, struct exporting *exporting, const float *centre,
                   kith_error *err) {
    const struct quantizer *quantizer = layout->quantizer;
    const struct quantizer_spec *spec = &quantizer->spec;
    size_t bytes = quantizer->ops->model_bytes(quantizer), part = exporting->dim / spec->m;
    uint8_t *model = export_new(exporting, bytes, 1);
    if (!model) return FAIL(err, KITH_ENOMEM, "no memory for a model of %zu bytes", bytes);
    quantizer->ops->model_write(quantizer, model);
    float *centroids = (float *)(void *)(model + 16);
    size_t k = (size_t)1 << spec->bits;
    for (size_t i = 0; centre && i < spec->m * k * part; i++)
        centroids[i] += centre[i / (k * part) * part + i % part];
    layout->kind = FAISS_PQ;
    layout->pq = (struct faiss_pq){.d = exporting->dim, .M = spec->m, .nbits = spec->bits};
    set_array(&layout->pq.centroids, centroids, spec->m * k * part);
    layout->code_size = faiss_pq_code_size(&layout->pq);
    return KITH_OK;
}

/* ---- which ---------------------------------------------------------------------------------------- */

static void init_plain(struct layout *layout, int32_t qtype, uint64_t code_size) {
    layout->kind = FAISS_SQ;
    layout->sq.qtype = qtype;
    layout->code_size = code_size;
}

static int init_code(struct layout *layout, struct exporting *exporting, kith_error *err) {
    const struct code *code = layout->code;
    uint32_t dim = exporting->dim;
    if (code->kind == CODE_SQ8) {
        layout->low = code->low;
        layout->step = code->step;
        return describe_grid(layout, exporting, 8, NULL, err);
    }
    if (layout->unit) return KITH_OK;
    if (code->kind == CODE_F16) init_plain(layout, FAISS_SQ_FP16, 2 * (uint64_t)dim);
    if (code->kind == CODE_BF16) init_plain(layout, FAISS_SQ_BF16, 2 * (uint64_t)dim);
    return KITH_OK;
}

int layout_init(struct layout *out, struct exporting *exporting, const struct code *code,
                const struct quantizer *quantizer, const float *centre, kith_error *err) {
    uint32_t dim = exporting->dim;
    *out = (struct layout){.kind = FAISS_FLAT,
                           .code_size = dim * sizeof(float),
                           .code = code,
                           .quantizer = code && code->quantizer ? code->quantizer : quantizer,
                           .unit = exporting->metric == KITH_METRIC_COSINE,
                           .x = export_new(exporting, dim, sizeof(float))};
    if (!out->x) return FAIL(err, KITH_ENOMEM, "no memory for a vector of %u dimensions", dim);
    if (exporting->metric == KITH_METRIC_L1) return KITH_OK;
    if (!out->quantizer) return init_code(out, exporting, err);
    out->unit = false; /* codes are of unit vectors already */
    switch (out->quantizer->spec.kind) {
    case QUANT_SQ: return init_sq(out, exporting, centre, err);
    case QUANT_PQ: return init_pq(out, exporting, centre, err);
    default:
        return FAIL(err, KITH_EUNSUPPORTED, "FAISS has no code as Kith's %s",
                    out->quantizer->ops->name);
    }
}

static void write_vector(const struct layout *layout, const uint8_t *row, uint8_t *out) {
    float *x = layout->x;
    size_t dim = layout->code_size / sizeof *x;
    if (layout->code)
        code_decode(layout->code, row, x);
    else
        layout->quantizer->ops->decode(layout->quantizer, row, x);
    if (layout->unit) {
        double l2sq = sums_squares(dim, x);
        sums_scale(dim, x, l2sq > 0 ? 1 / sqrt(l2sq) : 0, x);
    }
    memcpy(out, x, layout->code_size);
}

void layout_write(const struct layout *layout, const uint8_t *row, uint8_t *out) {
    if (layout->kind == FAISS_FLAT)
        write_vector(layout, row, out);
    else if (!layout->quantizer)
        memcpy(out, row, layout->code_size);
    else if (layout->kind == FAISS_SQ)
        write_sq(layout, row, out);
    else /* behind the term, which L2 has */
        memcpy(out, row + (layout->quantizer->metric == KITH_METRIC_L2 ? 4 : 0), layout->code_size);
}

void layout_describe(const struct layout *layout, struct faiss_node *node) {
    node->pq = layout->pq;
    node->sq = layout->sq;
    node->sq.d = (uint64_t)node->d;
    node->sq.code_size = layout->code_size;
    node->polysemous_ht = (int32_t)(layout->pq.M * layout->pq.nbits) + 1;
}

int export_rows(struct exporting *exporting, const struct code *code, const struct segs *rows,
                struct faiss_node **out, kith_error *err) {
    struct layout layout;
    struct faiss_node *node;
    TRY(layout_init(&layout, exporting, code, NULL, NULL, err));
    TRY(export_node(exporting, layout.kind, &node, err));
    uint8_t *codes = export_new(exporting, exporting->n, layout.code_size);
    if (!codes)
        return FAIL(err, KITH_ENOMEM, "no memory for %u rows of %llu bytes", exporting->n,
                    (unsigned long long)layout.code_size);
    for (uint32_t i = 0; i < exporting->n; i++)
        layout_write(&layout, segs_at(rows, exporting->row[i]), codes + i * layout.code_size);
    layout_describe(&layout, node);
    node->codes = (struct faiss_codes){codes, exporting->n, layout.code_size};
    *out = node;
    return KITH_OK;
}
