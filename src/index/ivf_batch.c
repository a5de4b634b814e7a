/* Several queries at once, list by list: a chunk is read from memory once for all queries that want its list.
 *
 *     queries --coarse--> (list, query) pairs --counting sort--> for each list, for each chunk: its queries
 *
 * Lists whose codes are bytes, or can be, are scored in register tiles (ivf_tile.c), in one round. Others in two, the
 * nearest lists of each query first, so that all heaps are near their end when the many others come.
 * A query that has fewer than k rows after its lists goes on alone. Results are those of single queries. */
#include "base/clock.h"
#include "index/ivf_tile.h"

#define BATCH_BYTES   ((size_t)32 << 20) /* of scratch, for queries together */
#define FIRST_SHARE   8u    /* one list in so many is read in the first round, at least one */
#define PREVIEW_BYTES 8192u /* of rows that a query's ceiling comes from */
#define TILE_MIN      4u    /* queries of a list, from which packing it pays */

struct batch {
    const struct scan_query *query;
    const struct probe *common;
    struct probe *probe; /* n */
    struct tile tile;
    size_t first, n; /* of query's */
    uint32_t nprobe;
    size_t block;    /* queries whose lists are found together */
    uint8_t *coarse; /* scratch of that */
    uint32_t *list;  /* n x nprobe */
    float *dist;     /* of their centres */
    float *x;        /* n queries as they are coded; not written where that is as they are */
    uint32_t
        *start; /* nlist + 1: where a list's part of pair begins, after sort_pairs where it ends */
    struct tile_pair *pair; /* n x nprobe */
    uint8_t *scratch;       /* of probes */
};

/* Pairs of places [from, to) of every query, by list. */
static void sort_pairs(struct batch *batch, uint32_t from, uint32_t to) {
    uint32_t nlist = batch->common->model->nlist, at = 0;
    for (uint32_t list = 0; list <= nlist; list++) batch->start[list] = 0;
    for (size_t q = 0; q < batch->n; q++)
        for (uint32_t place = from; place < to; place++)
            batch->start[batch->list[q * batch->nprobe + place]]++;
    for (uint32_t list = 0; list <= nlist; list++) {
        uint32_t n = batch->start[list];
        batch->start[list] = at;
        at += n;
    }
    for (size_t q = 0; q < batch->n; q++)
        for (uint32_t place = from; place < to; place++) {
            size_t at_pair = q * batch->nprobe + place;
            batch->pair[batch->start[batch->list[at_pair]]++] =
                (struct tile_pair){(uint32_t)q, batch->dist[at_pair]};
        }
}

static void scan_chunk(struct batch *batch, const struct ivf_chunk *chunk,
                       const struct tile_pair *pair, size_t n) {
    if (batch->tile.bytes && n >= TILE_MIN) {
        tile_scan(&batch->tile, chunk, batch->probe, pair, n);
        return;
    }
    for (size_t i = 0; i < n; i++) probe_scan(&batch->probe[pair[i].query], chunk, pair[i].centre);
}

static int scan_round(struct batch *batch, uint32_t from, uint32_t to, kith_error *err) {
    const struct ivf_model *model = batch->common->model;
    const uint64_t deadline = batch->query->call->deadline;
    sort_pairs(batch, from, to);
    for (uint32_t i = 0, at = 0; i < model->nlist; at = batch->start[i], i++) {
        const struct ivf_list *list = ivf_list_of(model, i);
        if (deadline && clock_ns() > deadline) {
            scan_deadline_fail(err);
            return KITH_EDEADLINE;
        }
        for (uint32_t c = 0; list && c < list->n_chunks && at < batch->start[i]; c++)
            scan_chunk(batch, &list->chunk[c], batch->pair + at, batch->start[i] - at);
    }
    return KITH_OK;
}

static int find_lists(struct batch *batch, kith_error *err) {
    const struct ivf_coarse *coarse = &batch->common->model->coarse;
    const size_t nprobe = batch->nprobe;
    for (size_t q = 0, n; q < batch->n; q += n) {
        n = batch->n - q < batch->block ? batch->n - q : batch->block;
        const struct kmeans_found found = {nprobe, batch->list + q * nprobe,
                                           batch->dist + q * nprobe};
        TRY(ivf_coarse_find(coarse, n, batch->probe[q].x, &found, batch->coarse, err));
    }
    return KITH_OK;
}

/* Some rows of its nearest list give each query a ceiling, so that few rows of the lists that come before that one are
 * hits. They come again in their turn: the heap begins empty. */
static void find_ceilings(struct batch *batch) {
    const struct ivf_model *model = batch->common->model;
    const uint32_t wanted = batch->common->heap.k;
    const size_t rows = PREVIEW_BYTES / model->code.row_bytes;
    for (size_t q = 0; q < batch->n; q++) {
        struct probe *probe = &batch->probe[q];
        const struct ivf_list *list = ivf_list_of(model, batch->list[q * batch->nprobe]);
        if (!list || list->n_chunks == 0) continue;
        struct ivf_chunk some = list->chunk[0];
        size_t most = rows > 2 * (size_t)wanted ? rows : 2 * (size_t)wanted;
        some.n = some.n < most ? some.n : (uint32_t)most;
        probe_scan(probe, &some, batch->dist[q * batch->nprobe]);
        if (probe->heap.n == wanted) probe->ceiling = heap_limit(&probe->heap);
        probe->heap.n = 0;
    }
}

static int scan_rounds(struct batch *batch, kith_error *err) {
    uint32_t first = (batch->nprobe + FIRST_SHARE - 1) / FIRST_SHARE;
    TRY(find_lists(batch, err));
    if (batch->tile.bytes) {
        first = batch->nprobe;
        find_ceilings(batch);
    }
    TRY(scan_round(batch, 0, first, err));
    return first < batch->nprobe ? scan_round(batch, first, batch->nprobe, err) : KITH_OK;
}

/* Parts of the slot's scratch, and with memory where they are; returns how many bytes. */
static size_t lay_out(struct batch *batch, uint8_t *memory) {
    const struct ivf_model *model = batch->common->model;
    size_t n = batch->n, pairs = n * batch->nprobe, each = probe_bytes(batch->common, 0);
    size_t x_bytes =
        ivf_code_scales(&model->code) ? n * batch->query->rows->config.dim * sizeof(float) : 0;
    size_t list = bits_round_up(n * sizeof(struct probe), 64);
    size_t dist = bits_round_up(list + pairs * sizeof(uint32_t), 64);
    size_t start = bits_round_up(dist + pairs * sizeof(float), 64);
    size_t pair = bits_round_up(start + (model->nlist + (size_t)1) * sizeof(uint32_t), 64);
    size_t x = bits_round_up(pair + pairs * sizeof(struct tile_pair), 64);
    size_t coarse = bits_round_up(x + x_bytes, 64);
    size_t tile =
        bits_round_up(coarse + ivf_coarse_bytes(&model->coarse, batch->block, batch->nprobe), 64);
    size_t scratch = bits_round_up(tile + tile_bytes(&batch->tile, n), 64);
    if (!memory) return scratch + n * each;
    batch->probe = (struct probe *)(void *)memory;
    batch->coarse = memory + coarse;
    batch->list = (uint32_t *)(void *)(memory + list);
    batch->dist = (float *)(void *)(memory + dist);
    batch->start = (uint32_t *)(void *)(memory + start);
    batch->pair = (struct tile_pair *)(void *)(memory + pair);
    batch->x = (float *)(void *)(memory + x);
    batch->scratch = memory + scratch;
    tile_begin(&batch->tile, n, memory + tile);
    return scratch + n * each;
}

static void begin_queries(struct batch *batch) {
    const size_t dim = batch->query->rows->config.dim, each = probe_bytes(batch->common, 0);
    for (size_t q = 0; q < batch->n; q++) {
        const float *query = batch->query->queries + (batch->first + q) * dim;
        batch->probe[q] = *batch->common;
        probe_begin(&batch->probe[q], query, batch->x + q * dim, 0, batch->scratch + q * each);
        tile_set_query(&batch->tile, q, &batch->probe[q]);
    }
}

/* A query that its lists left short, by itself. */
static int search_alone(const struct scan_query *all, size_t q, struct scan_slot *slot,
                        kith_error *err) {
    size_t dim = all->rows->config.dim, k = all->call->k;
    struct scan_query one = *all;
    struct probe probe;
    one.queries += q * dim;
    TRY(probe_init(&probe, all->context, &one, slot, err));
    TRY(probe_lists(&probe, err));
    probe_finish(&probe, all->ids + q * k, all->dists ? all->dists + q * k : NULL);
    return KITH_OK;
}

/* Those left short are marked by their first id, and come last: they use the same scratch. */
static int search_some(struct batch *batch, struct scan_slot *slot, kith_error *err) {
    const struct scan_query *query = batch->query;
    size_t k = query->call->k, last = batch->first + batch->n;
    if (!scan_slot_grow(query->rows, &slot->batch, &slot->batch_bytes, lay_out(batch, NULL)))
        return FAIL(err, KITH_ENOMEM, "no memory to search with %zu queries at once", batch->n);
    lay_out(batch, slot->batch);
    begin_queries(batch);
    TRY(scan_rounds(batch, err));
    for (size_t q = batch->first; q < last; q++) {
        struct probe *probe = &batch->probe[q - batch->first];
        if (probe->heap.n < k)
            query->ids[q * k] = KITH_NO_ID;
        else
            probe_finish(probe, query->ids + q * k, query->dists ? query->dists + q * k : NULL);
    }
    for (size_t q = batch->first; q < last; q++)
        if (query->ids[q * k] == KITH_NO_ID) TRY(search_alone(query, q, slot, err));
    return KITH_OK;
}

int ivf_batch(struct scan_query *query, struct scan_slot *slot, kith_error *err) {
    struct probe common;
    struct batch batch = {.query = query, .common = &common};
    probe_open(&common, query->context, query->call);
    batch.nprobe = probe_count(common.model, query->call);
    tile_open(&batch.tile, common.model);
    batch.block = ivf_coarse_block(&common.model->coarse, batch.nprobe);
    size_t most = BATCH_BYTES / (probe_bytes(&common, 0) + sizeof common + batch.nprobe * 16u);
    most = most < 1 ? 1 : most;
    for (; batch.first < query->n; batch.first += batch.n) {
        batch.n = query->n - batch.first < most ? query->n - batch.first : most;
        TRY(search_some(&batch, slot, err));
    }
    return KITH_OK;
}
