/* The inverted-list index as an object: making, freeing, figures, and its table of operations. */
#include "index/ivf.h"
#include "index/ivf_stream.h"

int index_new_ivf(struct kith_index **out, const struct index_spec *spec,
                  const kith_index_options *options, kith_error *err) {
    if (!ivf_balance_is_valid(options->balance))
        return FAIL(err, KITH_EINVAL, "balance %g, must be 0 to 1000", (double)options->balance);
    struct ivf *ivf = mem_new(NULL, sizeof *ivf);
    if (!ivf) return FAIL(err, KITH_ENOMEM, "no memory for an index");
    ivf->index.ops = &ivf_ops;
    ivf->index.object_bytes = sizeof *ivf;
    ivf->index.options = *options;
    ivf->nlist = spec->nlist;
    ivf->coarse_m = spec->m;
    ivf->list_code = spec->list;
    ivf->lone = spec->lone;
    ivf->refine = spec->refine;
    ivf->quantizer = spec->quantizer;
    segs_init(&ivf->list_of, sizeof(uint32_t));
    int code = rows_init(&ivf->index.rows, &spec->rows, &ivf->index.mem, err);
    struct ivf_code tried; /* a quantizer that cannot be is refused now, not when it is trained */
    if (code == KITH_OK) {
        code = ivf_code_init(&tried, ivf, false, err);
        if (code == KITH_OK)
            ivf_code_deinit(&tried, &ivf->index.mem);
        else
            rows_deinit(&ivf->index.rows);
    }
    if (code != KITH_OK) {
        mem_free(NULL, ivf, sizeof *ivf);
        return code;
    }
    pthread_mutex_init(&ivf->writers, NULL);
    *out = &ivf->index;
    return KITH_OK;
}

static void ivf_deinit(struct kith_index *index) {
    struct ivf *ivf = ivf_of(index);
    ivf_spill_free(ivf->spill, &index->mem);
    ivf_model_free(ivf_model_of(ivf), &index->mem);
    segs_deinit(&ivf->list_of, &index->mem);
    pthread_mutex_destroy(&ivf->writers);
}

static void ivf_pause(struct kith_index *index) { pthread_mutex_lock(&ivf_of(index)->writers); }

static void ivf_resume(struct kith_index *index) { pthread_mutex_unlock(&ivf_of(index)->writers); }

/* ---- figures -------------------------------------------------------------------------------------- */

static void put_component(kith_index_stats *stats, const char *name, uint64_t bytes) {
    if (bytes && stats->n_components < KITH_MAX_COMPONENTS)
        stats->component[stats->n_components++] = (kith_component){name, bytes};
}

static void list_stats(const struct ivf_model *model, bool lone, kith_index_stats *stats) {
    uint64_t bytes = model->nlist * sizeof(struct ivf_list *), n = 0, largest = 0;
    for (uint32_t i = 0; i < model->nlist; i++) {
        const struct ivf_list *list = ivf_list_of(model, i);
        bytes += ivf_list_bytes(list, &model->code);
        stats->mapped_bytes += ivf_list_mapped_bytes(list, &model->code);
        n += list ? list->n : 0;
        largest = list && list->n > largest ? list->n : largest;
    }
    if (!lone) {
        stats->lists = model->nlist;
        stats->mean_list = (double)n / model->nlist;
        stats->largest_list = largest;
    }
    put_component(stats, "lists", bytes);
    uint64_t mapped, coarse = ivf_coarse_memory(&model->coarse, &mapped);
    put_component(stats, "centres", sizeof *model + coarse);
    stats->mapped_bytes += mapped;
}

/* Not trained yet: the rows have the vectors. */
static bool ivf_scans(const struct kith_index *index) { return !ivf_model_of(ivf_of(index)); }

static void ivf_stats(const struct kith_index *index, kith_index_stats *stats) {
    const struct ivf *ivf = ivf_of(index);
    struct epoch *epoch = (struct epoch *)(uintptr_t)&index->rows.epoch;
    uint32_t slot = epoch_enter(epoch);
    const struct ivf_model *model = ivf_model_of(ivf);
    if (model) {
        stats->code = model->code.quantizer ? model->code.quantizer->ops->name
                                            : code_name(&model->code.plain);
        if (!ivf->refine) stats->stored = model->code.quantizer ? "none" : stats->code;
        list_stats(model, ivf->lone, stats);
        if (model->code.quantizer)
            put_component(stats, "code model",
                          model->code.quantizer->ops->model_bytes(model->code.quantizer));
    }
    epoch_leave(epoch, slot);
    put_component(stats, "list of row", segs_bytes(&ivf->list_of));
    stats->mapped_bytes += segs_borrowed_bytes(&ivf->list_of);
}

const struct index_ops ivf_ops = {
    .kind = "ivf",
    .deinit = ivf_deinit,
    .train = ivf_train,
    .add = ivf_add,
    .update = ivf_update,
    .remove = ivf_remove,
    .stream = ivf_stream,
    .pause = ivf_pause,
    .resume = ivf_resume,
    .search = ivf_search,
    .scans = ivf_scans,
    .range = ivf_range,
    .reconstruct = ivf_reconstruct,
    .stats = ivf_stats,
    .check = ivf_check,
    .repair = ivf_repair,
    .save = ivf_save,
    .load = ivf_load,
};
