/* The graph index as an object: making, freeing, figures, and its table of operations. */
#include "base/status.h"
#include "index/graph.h"

/* Decision 0010. */
#define DEFAULT_ALPHA           1.1f
#define DEFAULT_EF_CONSTRUCTION 128u

static void graph_deinit(struct kith_index *index) {
    struct graph *graph = graph_of(index);
    for (uint32_t i = 0; i < EPOCH_SLOTS; i++) {
        if (graph->context[i]) {
            context_deinit(graph->context[i], graph);
            mem_free(&index->mem, graph->context[i], sizeof(struct graph_context));
        }
    }
    segs_deinit(&graph->links, &index->mem);
    segs_deinit(&graph->upper_at, &index->mem);
    segs_deinit(&graph->upper, &index->mem);
    segs_deinit(&graph->parent, &index->mem);
    mem_free(&index->mem, graph->dead, graph->dead_cap * sizeof(uint32_t));
    pthread_rwlock_destroy(&graph->writers);
    pthread_mutex_destroy(&graph->removals);
    pthread_mutex_destroy(&graph->guard);
}

/* A share of 1/m of each level's rows is on the next: whole-number limits, so that every machine agrees. */
static void levels_init(struct graph *graph) {
    graph->level_limit[0] = UINT64_MAX;
    for (uint32_t level = 1; level < GRAPH_LEVELS; level++)
        graph->level_limit[level] = graph->level_limit[level - 1] / graph->m;
}

int index_new_graph(struct kith_index **out, const struct index_spec *spec,
                    const kith_index_options *options, kith_error *err) {
    if (options->ef_construction > GRAPH_MAX_EF)
        return FAIL(err, KITH_EINVAL, "ef_construction %u, must be 1 to %u, or 0 for %u",
                    options->ef_construction, GRAPH_MAX_EF, DEFAULT_EF_CONSTRUCTION);
    if (options->alpha != 0.0f && !(options->alpha >= 1.0f && options->alpha <= 2.0f))
        return FAIL(err, KITH_EINVAL, "alpha %g, must be 1 to 2", (double)options->alpha);
    struct graph *graph = mem_new(NULL, sizeof(*graph));
    if (!graph) return FAIL(err, KITH_ENOMEM, "no memory for an index");
    graph->index.ops = &graph_ops;
    graph->index.object_bytes = sizeof(*graph);
    graph->index.options = *options;
    if (options->ef_construction == 0)
        graph->index.options.ef_construction = DEFAULT_EF_CONSTRUCTION;
    graph->m = spec->m;
    graph->degree = 2 * spec->m;
    graph->alpha = options->alpha > 0.0f ? options->alpha : DEFAULT_ALPHA;
    levels_init(graph);
    segs_init(&graph->links, bits_round_up(graph->degree * sizeof(uint32_t), 64));
    segs_init(&graph->upper_at, sizeof(uint32_t));
    segs_init(&graph->upper, graph->m * sizeof(uint32_t));
    segs_init(&graph->parent, sizeof(uint32_t));
    atomic_store(&graph->entry, entry_pack(ROW_NONE, 0));
    int code = rows_init(&graph->index.rows, &spec->rows, &graph->index.mem, err);
    if (code != KITH_OK) {
        mem_free(NULL, graph, sizeof(*graph));
        return code;
    }
    thread_rwlock_init(&graph->writers);
    pthread_mutex_init(&graph->removals, NULL);
    pthread_mutex_init(&graph->guard, NULL);
    *out = &graph->index;
    return KITH_OK;
}

static void add_component(kith_index_stats *stats, const char *name, uint64_t bytes) {
    if (stats->n_components < KITH_MAX_COMPONENTS)
        stats->component[stats->n_components++] = (kith_component){name, bytes};
}

static void graph_stats(const struct kith_index *index, kith_index_stats *stats) {
    const struct graph *graph = graph_of(index);
    pthread_mutex_t *guard = (pthread_mutex_t *)(uintptr_t)&graph->guard;
    uint64_t entry = atomic_load(&graph->entry), links = 0, rows = 0;
    uint32_t buffer[2 * GRAPH_MAX_M], n = graph_rows_n(graph);
    for (uint32_t row = 0; row < n; row++) {
        if (!rows_is_live(&index->rows, row)) continue;
        links += link_row_read(graph, row, 0, buffer);
        rows++;
    }
    stats->max_degree = graph->degree;
    stats->levels = (uint32_t)entry == ROW_NONE ? 0 : (uint32_t)(entry >> 32) + 1;
    stats->mean_degree = rows > 0 ? (double)links / (double)rows : 0.0;
    stats->removed = graph->n_dead;
    pthread_mutex_lock(guard);
    add_component(stats, "links", segs_bytes(&graph->links));
    add_component(stats, "upper links", segs_bytes(&graph->upper) + segs_bytes(&graph->upper_at));
    add_component(stats, "tree", segs_bytes(&graph->parent));
    stats->mapped_bytes += segs_borrowed_bytes(&graph->links) + segs_borrowed_bytes(&graph->upper) +
                           segs_borrowed_bytes(&graph->upper_at) +
                           segs_borrowed_bytes(&graph->parent);
    pthread_mutex_unlock(guard);
    add_component(stats, "dead list", graph->dead_cap * sizeof(uint32_t));
    add_component(stats, "search scratch", atomic_load(&graph->context_bytes));
}

void graph_pause(struct kith_index *index) {
    struct graph *graph = graph_of(index);
    pthread_mutex_lock(&graph->removals);
    pthread_rwlock_wrlock(&graph->writers);
}

void graph_resume(struct kith_index *index) {
    struct graph *graph = graph_of(index);
    pthread_rwlock_unlock(&graph->writers);
    pthread_mutex_unlock(&graph->removals);
}

const struct index_ops graph_ops = {
    .kind = "hnsw",
    .deinit = graph_deinit,
    .add = graph_add,
    .update = graph_update,
    .stream = graph_stream,
    .pause = graph_pause,
    .resume = graph_resume,
    .remove = graph_remove,
    .search = graph_search,
    .stats = graph_stats,
    .check = graph_check,
    .repair = graph_repair,
    .save = graph_save,
    .load = graph_load,
};
