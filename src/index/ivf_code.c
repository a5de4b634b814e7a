/* Codes of inverted lists: a plain code of the vector (f32, f16, bf16, u8), or a quantizer's code of the residual. */
#include <math.h>
#include <string.h>

#include "index/ivf.h"
#include "quant/sums.h"

static bool is_l2(kith_metric metric) {
    return metric == KITH_METRIC_L2 || metric == KITH_METRIC_EUCLID;
}

static int init_quantizer(struct ivf_code *code, const struct ivf *ivf, kith_error *err) {
    const struct rows_config *rows = &ivf->index.rows.config;
    struct mem_account *owner = (struct mem_account *)(uintptr_t)&ivf->index.mem;
    struct quantizer_spec spec = ivf->quantizer;
    spec.seed = ivf->index.options.seed;
    code->unit = rows->metric == KITH_METRIC_COSINE;
    code->metric = code->unit            ? KITH_METRIC_IP
                   : is_l2(rows->metric) ? KITH_METRIC_L2
                                         : rows->metric;
    TRY(quantizer_new(&code->quantizer, &spec, code->metric, rows->dim, owner, err));
    code->residual = code->metric != KITH_METRIC_L1;
    code->blocks = code->quantizer->block_bytes > 0;
    code->row_bytes = code->quantizer->bytes;
    return KITH_OK;
}

int ivf_code_init(struct ivf_code *code, const struct ivf *ivf, bool integral, kith_error *err) {
    const struct rows_config *rows = &ivf->index.rows.config;
    bool lossless = integral && (ivf->list_code < CODE_KINDS ||
                                 (ivf->quantizer.kind == QUANT_SQ && ivf->quantizer.bits == 8));
    *code = (struct ivf_code){.metric = rows->metric};
    if (ivf->list_code == CODE_QUANTIZED && !lossless) return init_quantizer(code, ivf, err);
    TRY(code_init(&code->plain, lossless ? CODE_U8 : ivf->list_code, rows->metric, rows->dim, NULL,
                  err));
    code->row_bytes = code->plain.stride;
    return KITH_OK;
}

void ivf_code_be_exact(struct ivf_code *code) {
    code->exact = true;
    code->blocks = false;
}

void ivf_code_deinit(struct ivf_code *code, struct mem_account *owner) {
    if (code->quantizer)
        quantizer_free(code->quantizer);
    else
        code_deinit(&code->plain, owner);
}

void ivf_code_vector(const struct ivf_code *code, size_t dim, const float *x, float *out) {
    if (!ivf_code_scales(code)) {
        if (out != x) memcpy(out, x, dim * sizeof *out);
        return;
    }
    double l2sq = sums_squares(dim, x);
    sums_scale(dim, x, l2sq > 0 ? 1 / sqrt(l2sq) : 0, out);
}

int ivf_code_train(struct ivf_code *code, size_t n, const float *residuals, const kith_work *work,
                   kith_error *err) {
    if (!code->quantizer) return KITH_OK;
    const struct quantizer_training how = {
        .threads = work->threads, .progress = work->progress, .context = work->context};
    return code->quantizer->ops->train(code->quantizer, n, residuals, &how, err);
}

void ivf_code_encode(const struct ivf_code *code, size_t dim, size_t n, const float *x,
                     const float *centre, uint8_t *codes) {
    if (code->quantizer) {
        code->quantizer->ops->encode(code->quantizer, n, x, code->residual ? centre : NULL, codes,
                                     NULL);
        return;
    }
    for (size_t i = 0; i < n; i++)
        (void)code_encode(&code->plain, x + i * dim, codes + i * code->row_bytes);
}

size_t ivf_code_bytes(const struct ivf_code *code, uint32_t n) {
    if (!code->blocks) return n * code->row_bytes;
    return (n + QUANT_BLOCK - 1) / QUANT_BLOCK * (size_t)code->quantizer->block_bytes;
}

void ivf_code_pack(const struct ivf_code *code, const uint8_t *codes, uint32_t n, uint8_t *chunk) {
    if (!code->blocks) {
        memcpy(chunk, codes, n * code->row_bytes);
        return;
    }
    for (uint32_t i = 0; i < n; i += QUANT_BLOCK, chunk += code->quantizer->block_bytes) {
        uint32_t some = n - i < QUANT_BLOCK ? n - i : QUANT_BLOCK;
        code->quantizer->ops->pack(code->quantizer, codes + i * code->row_bytes, some, chunk);
    }
}

void ivf_code_unpack(const struct ivf_code *code, const uint8_t *chunk, uint32_t i, uint8_t *out) {
    if (!code->blocks) {
        memcpy(out, chunk + i * code->row_bytes, code->row_bytes);
        return;
    }
    const uint8_t *block = chunk + i / QUANT_BLOCK * (size_t)code->quantizer->block_bytes;
    code->quantizer->ops->unpack(code->quantizer, block, i % QUANT_BLOCK, out);
}

void ivf_code_decode(const struct ivf_code *code, size_t dim, const uint8_t *row,
                     const float *centre, float *out) {
    if (!code->quantizer) {
        code_decode(&code->plain, row, out);
        return;
    }
    code->quantizer->ops->decode(code->quantizer, row, out);
    for (size_t j = 0; code->residual && j < dim; j++) out[j] += centre[j];
}
