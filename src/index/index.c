/* The object behind a kith_index, whatever kind it is: making, freeing, choosing, figures, checking. Files are in
 * index_file.c, the public doors in src/api/index.c. */
#include "index/index.h"

#include <string.h>

#include "base/status.h"
#include "index/effort.h"
#include "index/scan.h"

int index_make(struct kith_index **out, const struct index_spec *spec,
               const kith_index_options *options, kith_error *err) {
    static int (*const makes[])(struct kith_index **, const struct index_spec *,
                                const kith_index_options *,
                                kith_error *) = {[INDEX_FLAT] = index_new_flat,
                                                 [INDEX_GRAPH] = index_new_graph,
                                                 [INDEX_IVF] = index_new_ivf};
    TRY((spec->n_transforms ? index_new_pre : makes[spec->structure])(out, spec, options, err));
    struct kith_index *index = *out;
    factory_print(spec, index->spec, sizeof index->spec);
    index->chooses = spec->chooses;
    index->mem.limit = options->memory_limit;
    pthread_mutex_init(&index->choosing, NULL);
    return KITH_OK;
}

int index_new(struct kith_index **out, uint32_t dim, kith_metric metric, const char *spec,
              const kith_index_options *options, kith_error *err) {
    struct index_spec parsed;
    TRY(factory_parse(spec, &parsed, err));
    parsed.rows.dim = dim;
    parsed.rows.metric = metric;
    TRY(factory_check(&parsed, err));
    int code = index_make(out, &parsed, options, err);
    if (code == KITH_ESPEC && err && err->at < 0)
        err->at = (int64_t)parsed.code_at; /* the quantizer's doing */
    return code;
}

void index_free(struct kith_index *index) {
    if (!index) return;
    index_free(atomic_load_explicit(&index->chosen, memory_order_acquire));
    pthread_mutex_destroy(&index->choosing);
    index->ops->deinit(index);
    mem_free(&index->mem, atomic_load(&index->efforts), sizeof(struct effort_table));
    scan_deinit(&index->rows);
    rows_deinit(&index->rows);
    if (index->map.size) file_map_close(&index->map);
    mem_account_leave(&index->mem, index->object_bytes);
    mem_free(NULL, index, index->object_bytes);
}

struct kith_index *index_real(const struct kith_index *index) {
    struct kith_index *chosen = atomic_load_explicit(&index->chosen, memory_order_acquire);
    return chosen ? chosen : (struct kith_index *)(uintptr_t)index;
}

int index_choose(struct kith_index *index, size_t n, struct kith_index **real,
                 struct kith_index **fresh, kith_error *err) {
    *fresh = NULL;
    *real = index_real(index);
    if (!index->chooses || *real != index) return KITH_OK;
    pthread_mutex_lock(&index->choosing);
    *real = index_real(index);
    int code = KITH_OK;
    if (*real == index) {
        const struct rows_config *config = &index->rows.config;
        char spec[FACTORY_TEXT];
        index_auto(config->dim, n, &index->options, spec);
        code = index_new(fresh, config->dim, config->metric, spec, &index->options, err);
        if (code == KITH_OK) {
            *real = *fresh;
            return KITH_OK;
        }
    }
    pthread_mutex_unlock(&index->choosing);
    return code;
}

void index_chose(struct kith_index *index, struct kith_index *fresh, bool publish) {
    if (publish)
        atomic_store_explicit(&index->chosen, fresh, memory_order_release);
    else
        index_free(fresh);
    pthread_mutex_unlock(&index->choosing);
}

void index_put_component(kith_index_stats *stats, const char *name, uint64_t bytes) {
    uint32_t i = 0, n = stats->n_components;
    while (i < n && strcmp(stats->component[i].name, name) != 0) i++;
    if (bytes == 0 || i == KITH_MAX_COMPONENTS) return;
    stats->component[i] = (kith_component){name, bytes + (i < n ? stats->component[i].bytes : 0)};
    if (i == n) stats->n_components++;
}

static void calibration_stats(const struct kith_index *index, kith_index_stats *stats) {
    struct epoch *epoch = (struct epoch *)(uintptr_t)&index->rows.epoch;
    uint32_t slot = epoch_enter(epoch);
    const struct effort_table *table = atomic_load_explicit(&index->efforts, memory_order_acquire);
    if (table) {
        stats->calibrated_rows = table->rows;
        stats->changed_rows = atomic_load_explicit(&index->changed, memory_order_relaxed);
        index_put_component(stats, "calibration", sizeof *table);
    }
    epoch_leave(epoch, slot);
}

void index_stats(const struct kith_index *index, kith_index_stats *stats) {
    *stats = (kith_index_stats){.spec = index->spec};
    rows_stats(&index->rows, stats);
    index->ops->stats(index, stats);
    index_put_component(stats, "scan scratch", scan_bytes(&index->rows));
    calibration_stats(index, stats);
    index_put_component(stats, "object", index->object_bytes + sizeof(struct store));
    for (uint32_t i = 0; i < stats->n_components; i++) stats->bytes += stats->component[i].bytes;
    stats->heap_bytes =
        atomic_load_explicit(&index->mem.bytes, memory_order_relaxed) + index->object_bytes;
}

int index_check(const struct kith_index *index, kith_error *err) {
    struct kith_index *quiet = (struct kith_index *)(uintptr_t)index;
    if (index->map.size) TRY(index_check_file(index, err));
    index->ops->pause(quiet);
    int code = rows_check(&index->rows, err);
    index->ops->resume(quiet);
    return code == KITH_OK ? index->ops->check(index, err) : code;
}
