/* The index behind transforms as an object: making, freeing, models, figures, and its table of operations. */
#include "index/pretransform.h"

#include <string.h>

/* ---- models ------------------------------------------------------------------------------------------------ */

int pre_join(const struct pre *pre, struct kith_index *inner, kith_error *err) {
    struct mem_account *owner = (struct mem_account *)(uintptr_t)&pre->index.mem;
    if (mem_account_join(&inner->mem, owner, inner->object_bytes)) return KITH_OK;
    return FAIL(err, KITH_ENOMEM, "no memory for the index behind the transforms");
}

int pre_model_new(struct pre_model **out, const struct pre *pre, kith_error *err) {
    struct mem_account *owner = (struct mem_account *)(uintptr_t)&pre->index.mem;
    kith_index_options options = pre->index.options;
    options.memory_limit = 0; /* the account that it joins has one */
    struct pre_model *model = mem_new(owner, sizeof *model);
    if (!model) return FAIL(err, KITH_ENOMEM, "no memory for transforms");
    int code = transform_chain_init(&model->chain, pre->index.rows.config.dim, pre->n_steps,
                                    pre->step, owner, err);
    if (code == KITH_OK) code = index_make(&model->inner, &pre->inner, &options, err);
    if (code == KITH_OK) code = pre_join(pre, model->inner, err);
    if (code != KITH_OK) {
        pre_model_free(model, owner);
        return code;
    }
    *out = model;
    return KITH_OK;
}

void pre_model_free(struct pre_model *model, struct mem_account *owner) {
    if (!model) return;
    index_free(model->inner);
    transform_chain_deinit(&model->chain);
    mem_free(owner, model, sizeof *model);
}

bool pre_learns(const struct pre *pre) {
    bool learns = false;
    for (uint32_t i = 0; i < pre->n_steps; i++) {
        enum transform_kind kind = pre->step[i].kind;
        learns |= kind == TRANSFORM_PCA || kind == TRANSFORM_OPQ || kind == TRANSFORM_CENTRE ||
                  kind == TRANSFORM_LINEAR;
    }
    return learns;
}

void pre_let_go(struct pre *pre) {
    if (pre_model_of(pre) && !pre->keeps && !store_is_bare(rows_store(&pre->index.rows)))
        (void)rows_forget(&pre->index.rows, NULL);
}

const struct transform_chain *index_pre_chain(const struct kith_index *index) {
    const struct pre_model *model = index->ops == &pre_ops ? pre_model_of(pre_of(index)) : NULL;
    return model ? &model->chain : NULL;
}

const struct kith_index *index_pre_inner(const struct kith_index *index) {
    const struct pre_model *model = index->ops == &pre_ops ? pre_model_of(pre_of(index)) : NULL;
    return model ? model->inner : NULL;
}

/* ---- life -------------------------------------------------------------------------------------------------- */

static int init_rows(struct pre *pre, const struct index_spec *spec, kith_error *err) {
    struct rows_config config = {.dim = spec->rows.dim,
                                 .metric = spec->rows.metric,
                                 .walk = spec->keeps ? spec->kept : CODE_F32,
                                 .orig = spec->keeps ? spec->kept : CODE_F32,
                                 .keep_orig = true,
                                 .may_forget = !spec->keeps,
                                 .quantizer = spec->kept_quantizer,
                                 .orig_quantizer = spec->kept_quantizer};
    return rows_init(&pre->index.rows, &config, &pre->index.mem, err);
}

/* A model is made now, and thrown away where it has to learn first: what cannot be is refused here. */
static int init_model(struct pre *pre, const struct index_spec *spec, kith_error *err) {
    struct pre_model *model;
    int code = pre_model_new(&model, pre, err);
    if (code == KITH_ESPEC && err && err->at < 0) err->at = (int64_t)spec->code_at;
    if (code != KITH_OK) return code;
    if (pre_learns(pre)) {
        pre_model_free(model, &pre->index.mem);
        return KITH_OK;
    }
    atomic_store_explicit(&pre->model, model, memory_order_release);
    return pre->keeps ? KITH_OK : rows_forget(&pre->index.rows, err);
}

int index_new_pre(struct kith_index **out, const struct index_spec *spec,
                  const kith_index_options *options, kith_error *err) {
    struct pre *pre = mem_new(NULL, sizeof *pre);
    if (!pre) return FAIL(err, KITH_ENOMEM, "no memory for an index");
    pre->index.ops = &pre_ops;
    pre->index.object_bytes = sizeof *pre;
    pre->index.options = *options;
    pre->keeps = spec->keeps;
    int code = pre_plan(pre, spec, options, err);
    if (code == KITH_OK) code = init_rows(pre, spec, err);
    if (code == KITH_OK) {
        code = init_model(pre, spec, err);
        if (code != KITH_OK) {
            pre_model_free(pre_model_of(pre), &pre->index.mem);
            rows_deinit(&pre->index.rows);
        }
    }
    if (code != KITH_OK) {
        mem_free(NULL, pre, sizeof *pre);
        return code;
    }
    pthread_mutex_init(&pre->writers, NULL);
    *out = &pre->index;
    return KITH_OK;
}

static void pre_deinit(struct kith_index *index) {
    struct pre *pre = pre_of(index);
    pre_model_free(pre_model_of(pre), &index->mem);
    pthread_mutex_destroy(&pre->writers);
}

static void pre_pause(struct kith_index *index) { pthread_mutex_lock(&pre_of(index)->writers); }

static void pre_resume(struct kith_index *index) { pthread_mutex_unlock(&pre_of(index)->writers); }

/* ---- figures ----------------------------------------------------------------------------------------------- */

/* The inner index's vectors are this one's codes. */
static void inner_stats(const struct kith_index *inner, kith_index_stats *stats) {
    kith_index_stats in;
    index_stats(inner, &in);
    for (uint32_t i = 0; i < in.n_components; i++) {
        const char *name = in.component[i].name;
        index_put_component(stats, strcmp(name, "vectors") == 0 ? "codes" : name,
                            in.component[i].bytes);
    }
    stats->code = in.code;
    stats->max_degree = in.max_degree;
    stats->levels = in.levels;
    stats->mean_degree = in.mean_degree;
    stats->lists = in.lists;
    stats->mean_list = in.mean_list;
    stats->largest_list = in.largest_list;
    stats->mapped_bytes += in.mapped_bytes;
}

/* Nothing was learnt yet: the rows have the vectors. */
static bool pre_scans(const struct kith_index *index) { return !pre_model_of(pre_of(index)); }

static void pre_stats(const struct kith_index *index, kith_index_stats *stats) {
    const struct pre *pre = pre_of(index);
    struct epoch *epoch = (struct epoch *)(uintptr_t)&index->rows.epoch;
    uint32_t slot = epoch_enter(epoch);
    const struct pre_model *model = pre_model_of(pre);
    if (model) {
        if (!pre->keeps) stats->stored = "none";
        index_put_component(stats, "transforms",
                            sizeof *model + transform_chain_held(&model->chain));
        inner_stats(model->inner, stats);
    }
    epoch_leave(epoch, slot);
}

const struct index_ops pre_ops = {
    .kind = "pretransform",
    .deinit = pre_deinit,
    .train = pre_train,
    .add = pre_add,
    .update = pre_update,
    .remove = pre_remove,
    .pause = pre_pause,
    .resume = pre_resume,
    .search = pre_search,
    .scans = pre_scans,
    .range = pre_range,
    .reconstruct = pre_reconstruct,
    .stats = pre_stats,
    .check = pre_check,
    .repair = pre_repair,
    .save = pre_save,
    .load = pre_load,
};
