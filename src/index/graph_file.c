/* The graph's sections of an index file (docs/format.md): GRPH, LNK0, PRNT, UPAT, UPLK, DEAD.
 *
 * GRPH: u32 m, u32 degree, u32 link stride, u32 alpha (f32 bits), u64 entry (top << 32 | row), u32 rows, u32 upper link
 * rows, u32 dead rows, u32 zero. The other sections hold that many elements. Levels are not stored: they follow from
 * the seed (invariant 3). Whatever the bytes say, a walk stays inside the arrays: see graph_load. */
#include <string.h>

#include "base/status.h"
#include "index/file.h"
#include "index/graph.h"

struct meta {
    uint32_t m, degree, stride, alpha;
    uint64_t entry;
    uint32_t rows, upper, dead, zero;
};

#define TAG_META FILE_TAG('G', 'R', 'P', 'H')

int graph_save(const struct kith_index *index, struct file_sections *out, kith_error *err) {
    const struct graph *graph = graph_of(index);
    struct meta meta = {
        .m = graph->m, .degree = graph->degree, .stride = (uint32_t)graph->links.stride};
    meta.entry = atomic_load(&graph->entry);
    meta.rows = graph_rows_n(graph);
    meta.upper = graph->n_upper;
    meta.dead = graph->n_dead;
    memcpy(&meta.alpha, &graph->alpha, sizeof(meta.alpha));
    TRY(file_sections_put(out, TAG_META, &meta, sizeof(meta), err));
    TRY(file_sections_put_segs(out, FILE_TAG_LINKS, &graph->links, meta.rows, err));
    TRY(file_sections_put_segs(out, FILE_TAG_PARENT, &graph->parent, meta.rows, err));
    TRY(file_sections_put_segs(out, FILE_TAG_UPPER_AT, &graph->upper_at, meta.rows, err));
    TRY(file_sections_put_segs(out, FILE_TAG_UPPER, &graph->upper, meta.upper, err));
    return file_sections_put(out, FILE_TAG_DEAD, graph->dead, graph->n_dead * sizeof(uint32_t),
                             err);
}

static int meta_check(const struct graph *graph, const struct meta *meta, kith_error *err) {
    uint32_t rows = atomic_load(&graph->index.rows.n), entry = (uint32_t)meta->entry;
    if (meta->m != graph->m || meta->degree != graph->degree || meta->stride != graph->links.stride)
        return FAIL(err, KITH_ECORRUPT,
                    "graph of m %u, degree %u, stride %u; the description wants %u, %u, %zu",
                    meta->m, meta->degree, meta->stride, graph->m, graph->degree,
                    graph->links.stride);
    if (meta->rows > rows || meta->dead > meta->rows)
        return FAIL(err, KITH_ECORRUPT, "graph of %u rows, %u dead; the index has %u", meta->rows,
                    meta->dead, rows);
    if (entry != ROW_NONE &&
        (entry >= meta->rows || graph_level_of(graph, entry) != meta->entry >> 32))
        return FAIL(err, KITH_ECORRUPT, "entry %u of %u rows on level %u", entry, meta->rows,
                    (unsigned)(meta->entry >> 32));
    return KITH_OK;
}

/* Opening by map verifies no section that grows with the rows, so walks guard themselves: links at or past rows_n are
 * not followed, and on upper levels neither are rows whose link rows lie outside (graph_walk.c). */
int graph_load(struct kith_index *index, const struct index_file *file, kith_error *err) {
    struct graph *graph = graph_of(index);
    struct mem_account *owner = &index->mem;
    const void *bytes;
    size_t n;
    struct meta meta;
    TRY(index_file_section(file, TAG_META, sizeof(meta), &bytes, &n, err));
    memcpy(&meta, bytes, sizeof(meta));
    TRY(meta_check(graph, &meta, err));
    TRY(index_file_segs(file, FILE_TAG_LINKS, &graph->links, meta.rows, owner, err));
    TRY(index_file_segs(file, FILE_TAG_PARENT, &graph->parent, meta.rows, owner, err));
    TRY(index_file_segs(file, FILE_TAG_UPPER_AT, &graph->upper_at, meta.rows, owner, err));
    TRY(index_file_segs(file, FILE_TAG_UPPER, &graph->upper, meta.upper, owner, err));
    TRY(index_file_section(file, FILE_TAG_DEAD, meta.dead * sizeof(uint32_t), &bytes, &n, err));
    memcpy(&graph->alpha, &meta.alpha, sizeof(meta.alpha));
    graph->n_upper = meta.upper;
    graph->n_room = meta.rows;
    atomic_store(&graph->entry, meta.entry);
    if (meta.dead == 0) return KITH_OK;
    graph->dead = mem_new(owner, n);
    if (!graph->dead) return FAIL(err, KITH_ENOMEM, "no memory for %u dead rows", meta.dead);
    memcpy(graph->dead, bytes, n);
    graph->n_dead = graph->dead_cap = meta.dead;
    return KITH_OK;
}
