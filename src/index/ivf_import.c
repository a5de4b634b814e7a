/* Lists that another engine made: its centres, its code's model, and list by list its rows, coded by that model. */
#include <inttypes.h>

#include "index/import.h"
#include "index/ivf.h"

#define RUN 32u /* rows coded at a time */

/* One list on its way in. */
struct intake {
    struct ivf *ivf;
    struct ivf_model *model;
    const struct list_source *source;
    float *x, *around, *decoded, *centre; /* RUN rows, RUN rows, a row, a row */
    uint32_t *row;                        /* of the list at hand, and its codes */
    uint8_t *codes;
};

int ivf_import_bare(struct kith_index *index, kith_error *err) {
    return rows_forget(&index->rows, err);
}

static int read_model(struct ivf_code *code, const struct list_source *source, kith_error *err) {
    const struct quantizer *quantizer = code->quantizer;
    if (!quantizer) return KITH_OK;
    if (!source->residual) code->residual = false;
    if (source->exact) ivf_code_be_exact(code);
    int result = quantizer->ops->model_read(code->quantizer, source->model->bytes,
                                            source->model->n_bytes, err);
    if (result == KITH_ECORRUPT && err) err->code = KITH_EUNSUPPORTED;
    return result == KITH_ECORRUPT ? KITH_EUNSUPPORTED : result;
}

/* x of n rows to codes. Residuals are coded as x + centre less centre, which rounds; the model's own values are met all the
 * same, or it is told. */
static int encode(struct intake *in, uint32_t n, uint32_t list, uint8_t *codes, kith_error *err) {
    const struct ivf_code *code = &in->model->code;
    size_t dim = in->ivf->index.rows.config.dim;
    for (size_t i = 0; i < n * dim; i++)
        in->around[i] = code->residual ? in->x[i] + in->centre[i % dim] : in->x[i];
    TRY(rows_import_check(&in->ivf->index.rows, n, in->around, err));
    ivf_code_encode(code, dim, n, in->around, in->centre, codes);
    if (!code->quantizer) return KITH_OK;
    for (uint32_t i = 0; i < n; i++) {
        code->quantizer->ops->decode(code->quantizer, codes + i * code->row_bytes, in->decoded);
        if (!import_is_same(dim, in->decoded, in->x + i * dim))
            return FAIL_AT(err, KITH_EUNSUPPORTED, list,
                           "list %" PRIu32 ": a code cannot be kept as it is", list);
    }
    return KITH_OK;
}

static int take_list(struct intake *in, uint32_t list, kith_error *err) {
    const struct ivf_code *code = &in->model->code;
    struct mem_account *owner = &in->ivf->index.mem;
    uint32_t length = in->source->length(in->source->context, list);
    struct ivf_list *made;
    if (length == 0) return KITH_OK;
    ivf_centre(in->model, list, in->centre);
    for (uint32_t i = 0, n; i < length; i += n) {
        n = length - i < RUN ? length - i : RUN;
        uint8_t *codes = in->codes + i * code->row_bytes;
        if (in->source->read_codes) {
            in->source->read_codes(in->source->context, code->quantizer, list, i, n, in->row + i,
                                   codes);
            continue;
        }
        in->source->read(in->source->context, list, i, n, in->row + i, in->x);
        TRY(encode(in, n, list, codes, err));
    }
    TRY(ivf_list_new(&made, code, NULL, NULL, 0, in->row, in->codes, length, owner, err));
    for (uint32_t i = 0; i < length; i++)
        atomic_store_explicit(ivf_place(in->ivf, in->row[i]), list, memory_order_relaxed);
    atomic_store_explicit(&in->model->list[list], made, memory_order_relaxed);
    return KITH_OK;
}

/* Scratch for the longest list, and all lists one after the other. */
static int take_lists(struct intake *in, kith_error *err) {
    struct mem_account *owner = &in->ivf->index.mem;
    size_t dim = in->ivf->index.rows.config.dim, longest = 0;
    for (uint32_t i = 0; i < in->model->nlist; i++) {
        uint32_t length = in->source->length(in->source->context, i);
        longest = length > longest ? length : longest;
    }
    size_t floats = (2 * RUN + 2) * dim * sizeof(float);
    size_t row_at = bits_round_up(floats, 64);
    size_t codes_at = bits_round_up(row_at + longest * sizeof(uint32_t), 64);
    size_t bytes = codes_at + longest * in->model->code.row_bytes;
    uint8_t *memory = mem_new(owner, bytes);
    if (!memory) return FAIL(err, KITH_ENOMEM, "no memory for a list of %zu rows", longest);
    in->x = (float *)(void *)memory;
    in->around = in->x + RUN * dim;
    in->decoded = in->around + RUN * dim;
    in->centre = in->decoded + dim;
    in->row = (uint32_t *)(void *)(memory + row_at);
    in->codes = memory + codes_at;
    int code = KITH_OK;
    for (uint32_t i = 0; i < in->model->nlist && code == KITH_OK; i++) code = take_list(in, i, err);
    mem_free(owner, memory, bytes);
    return code;
}

int ivf_import(struct kith_index *index, const struct list_source *source, kith_error *err) {
    struct ivf *ivf = ivf_of(index);
    uint32_t n = atomic_load_explicit(&index->rows.n, memory_order_acquire);
    struct ivf_code how;
    struct intake in = {.ivf = ivf, .source = source};
    TRY(rows_import_check(&index->rows, ivf->nlist, source->centres, err));
    TRY(ivf_code_init(&how, ivf, source->integral, err));
    int code = read_model(&how, source, err);
    if (code == KITH_OK) code = ivf_model_new(&in.model, ivf, ivf->nlist, source->centres, err);
    if (code != KITH_OK) {
        ivf_code_deinit(&how, &index->mem);
        return code;
    }
    in.model->code = how;
    in.model->trained_n = n;
    atomic_store_explicit(&ivf->model, in.model, memory_order_release); /* freed with the index */
    if (n > 0 && !segs_reserve(&ivf->list_of, n, &index->mem))
        return FAIL(err, KITH_ENOMEM, "no memory for the lists of %" PRIu32 " rows", n);
    return take_lists(&in, err);
}
