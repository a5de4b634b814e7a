/* The sections of an index behind transforms (docs/format.md): TRNS, the trained chain as quant/transform_file.c writes it,
 * and then all sections of the inner index, their tags in small letters. Without TRNS the index has not learnt, and its
 * rows hold the vectors. The description says what chain and inner index must be. */
#include <string.h>

#include "index/file.h"
#include "index/pretransform.h"

static int save_chain(const struct transform_chain *chain, struct file_sections *out,
                      kith_error *err) {
    size_t bytes = transform_chain_bytes(chain);
    uint8_t *written = mem_new(NULL, bytes);
    if (!written) return FAIL(err, KITH_ENOMEM, "no memory for transforms of %zu bytes", bytes);
    transform_chain_write(chain, written);
    int code = file_sections_put(out, FILE_TAG_TRANSFORMS, written, bytes, err);
    mem_free(NULL, written, bytes);
    return code;
}

int pre_save(const struct kith_index *index, struct file_sections *out, kith_error *err) {
    const struct pre_model *model = pre_model_of(pre_of(index));
    if (!model) return KITH_OK;
    TRY(save_chain(&model->chain, out, err));
    file_sections_nest(out, true);
    model->inner->ops->pause(model->inner);
    int code = index_put_sections(model->inner, out, err);
    model->inner->ops->resume(model->inner);
    file_sections_nest(out, false);
    return code;
}

/* ---- loading ---------------------------------------------------------------------------------------------------- */

static bool chain_fits(const struct pre *pre, const struct transform_chain *chain) {
    if (chain->n != pre->n_steps || !transform_chain_trained(chain)) return false;
    for (uint32_t i = 0; i < chain->n; i++) {
        const struct transform_spec *is = &chain->at[i].spec, *wanted = &pre->step[i];
        if (is->kind != wanted->kind || is->d_in != wanted->d_in || is->d_out != wanted->d_out)
            return false;
    }
    return true;
}

static bool inner_fits(const struct pre *pre, const struct kith_index *inner) {
    char text[FACTORY_TEXT];
    factory_print(&pre->inner, text, sizeof text);
    return inner->rows.config.dim == pre->inner.rows.dim &&
           inner->rows.config.metric == pre->inner.rows.metric && strcmp(inner->spec, text) == 0;
}

static int load_chain(struct pre *pre, struct pre_model *model, const struct index_file *file,
                      kith_error *err) {
    const void *bytes;
    size_t n;
    TRY(index_file_section(file, FILE_TAG_TRANSFORMS, SIZE_MAX, &bytes, &n, err));
    TRY(transform_chain_read(&model->chain, bytes, n, &pre->index.mem, err));
    if (chain_fits(pre, &model->chain)) return KITH_OK;
    return FAIL(err, KITH_ECORRUPT, "section TRNS holds other transforms than \"%s\" tells of",
                pre->index.spec);
}

static int load_inner(struct pre *pre, struct pre_model *model, const struct index_file *file,
                      kith_error *err) {
    struct index_file nested = *file;
    nested.nested = true;
    TRY(index_load_sections(&model->inner, &nested, false, err));
    if (!inner_fits(pre, model->inner))
        return FAIL(err, KITH_ECORRUPT,
                    "section indx tells of \"%s\" behind the transforms of \"%s\"",
                    model->inner->spec, pre->index.spec);
    return pre_join(pre, model->inner, err);
}

int pre_load(struct kith_index *index, const struct index_file *file, kith_error *err) {
    struct pre *pre = pre_of(index);
    bool bare = store_is_bare(rows_store(&index->rows));
    if (!index_file_has(file, FILE_TAG_TRANSFORMS))
        return bare || !pre_learns(pre)
                   ? FAIL(err, KITH_ECORRUPT, "section TRNS is missing, and rows have no vectors")
                   : KITH_OK;
    struct pre_model *model = mem_new(&index->mem, sizeof *model);
    if (!model) return FAIL(err, KITH_ENOMEM, "no memory for transforms");
    int code = load_chain(pre, model, file, err);
    if (code == KITH_OK) code = load_inner(pre, model, file, err);
    if (code != KITH_OK) {
        pre_model_free(model, &index->mem);
        return code;
    }
    pre_model_free(atomic_exchange_explicit(&pre->model, model, memory_order_acq_rel), &index->mem);
    pre->stale = index->rows.n_dead > 0;
    return KITH_OK;
}
