/* A chunk against many queries at once.
 *
 *     codes --widen--> bytes --pack--> panels; for TILE_QUERIES queries at a time: scan_u8s8 -> hits within the limit
 *     hits --the scorer's own scores--> heaps
 *
 * Packing a chunk costs what four or five queries cost that read it; tiles then take a query at twice to four times the
 * speed, because loads are shared and sums stay in registers (docs/performance.md).
 *
 *   1. A tile only preselects: a row that is within tau by the scorer's score is a hit. What is offered is that score,
 *      so that answers are those of single queries, to the bit.
 *   2. With u = 2^-24 a tile's estimate and the scorer's are the same sum of term, bias and scale times dot, rounded a
 *      few times more: they are within room + 4 u |term|.
 *   3. Under plain codes tau is compared with the law, which is within slack of the estimate, and its own rounding.
 *      Whole queries among whole rows have estimates that are the law distance: scorer.exact_below. */
#include <math.h>
#include <string.h>

#include "index/ivf_tile.h"

#define FIRST  32u  /* rows, while some query has fewer than its candidates: all of them are hits */
#define LAW    2e-5 /* twice what probe_law_limit gives the law's roundings */
#define TERM_U 0x1p-22

static uint32_t row_bytes(const struct ivf_code *code) {
    if (code->exact) return 0;
    if (code->quantizer)
        return code->quantizer->ops->wide_bytes ? code->quantizer->ops->wide_bytes(code->quantizer)
                                                : 0;
    bool sums = code->metric != KITH_METRIC_L1 && code->metric != KITH_METRIC_COSINE;
    return code->plain.kind == CODE_U8 && sums ? code->plain.bytes : 0;
}

/* ---- scratch ------------------------------------------------------------------------------------- */

static void *part(uint8_t *memory, size_t *at, size_t bytes) {
    uint8_t *here = memory ? memory + *at : NULL;
    *at += bits_round_up(bytes, 64);
    return here;
}

static size_t lay_out(struct tile *tile, size_t n, uint8_t *memory) {
    const size_t bytes = tile->bytes;
    size_t at = 0;
    tile->queries = part(memory, &at, n * bytes);
    tile->scale = part(memory, &at, n * sizeof(float));
    tile->bias = part(memory, &at, n * sizeof(float));
    tile->room = part(memory, &at, n * sizeof(float));
    tile->wide = part(memory, &at, tile->model->code.quantizer ? IVF_CHUNK * bytes : 0);
    tile->panels = part(memory, &at, IVF_CHUNK / KERN_PANEL * kern_get()->panel_bytes(bytes));
    tile->term = part(memory, &at, IVF_CHUNK * sizeof(float));
    tile->gathered = part(memory, &at, TILE_QUERIES * bytes);
    tile->hits = part(memory, &at, TILE_QUERIES * IVF_CHUNK * sizeof(struct kern_hit));
    return at;
}

void tile_open(struct tile *tile, const struct ivf_model *model) {
    *tile = (struct tile){.model = model, .bytes = row_bytes(&model->code)};
}

size_t tile_bytes(const struct tile *tile, size_t n) {
    struct tile measured = *tile;
    return tile->bytes ? lay_out(&measured, n, NULL) : 0;
}

void tile_begin(struct tile *tile, size_t n, uint8_t *memory) {
    if (tile->bytes) lay_out(tile, n, memory);
}

void tile_set_query(struct tile *tile, size_t i, const struct probe *probe) {
    const struct quantizer *quantizer = tile->model->code.quantizer;
    if (tile->bytes == 0) return;
    int8_t *codes = tile->queries + i * tile->bytes;
    if (quantizer) {
        const struct quantizer_wide wide = quantizer->ops->wide_query(
            (const struct quantizer_scorer *)(const void *)probe->quantized, codes);
        tile->scale[i] = wide.scale;
        tile->bias[i] = wide.bias;
        tile->room[i] = wide.room;
    } else {
        memcpy(codes, probe->plain.quantised, tile->bytes);
        tile->scale[i] = probe->plain.scale;
        tile->bias[i] = probe->plain.bias;
        tile->room[i] = probe->plain.slack;
    }
    uint32_t n = tile->bytes;
    while (n > tile->codes && codes[n - 1] == 0) n--;
    tile->codes = n;
}

/* ---- a chunk -------------------------------------------------------------------------------------- */

static void pack(struct tile *tile, const struct ivf_chunk *chunk) {
    const struct ivf_code *code = &tile->model->code;
    struct quantizer_bytes rows = {chunk->codes, code->plain.stride};
    if (code->quantizer) {
        rows = code->quantizer->ops->widen(code->quantizer, chunk->codes, chunk->n, tile->wide,
                                           tile->term);
    } else if (code->plain.term_at) {
        for (uint32_t i = 0; i < chunk->n; i++)
            memcpy(&tile->term[i], rows.at + i * rows.stride + code->plain.term_at, sizeof(float));
    } else {
        memset(tile->term, 0, chunk->n * sizeof(float));
    }
    tile->term_most = 0;
    for (uint32_t i = 0; i < chunk->n; i++)
        tile->term_most = fmaxf(tile->term_most, fabsf(tile->term[i]));
    kern_get()->pack_u8(rows.at, rows.stride, chunk->n, tile->bytes, tile->panels);
}

/* What a tile's estimate of a row does not exceed whose score, with the base, is within tau. */
static float limit_of(const struct tile *tile, uint32_t query, float tau, float base) {
    if (tau == INFINITY) return INFINITY;
    double left = (double)tau - (double)base;
    left += (double)tile->room[query] + TERM_U * (double)tile->term_most;
    left += LAW * (fabs((double)tau) + fabs((double)base) + fabs(left)); /* and of the cast */
    return (float)left;
}

/* Offer the hits, whose distances are now scores, to the heap. */
static void offer_hits(struct probe *probe, const struct ivf_chunk *chunk,
                       const struct kern_hit *hits, uint32_t n, float base) {
    float tau = probe_limit(probe);
    for (uint32_t i = 0; i < n; i++) {
        float dist = base + hits[i].dist;
        if (!(dist <= tau)) continue;
        probe_offer(probe, chunk->row[hits[i].row], dist);
        tau = probe_limit(probe);
    }
}

static void score_quantized(const struct probe *probe, const struct ivf_chunk *chunk,
                            struct kern_hit *hits, uint32_t n) {
    const struct quantizer *quantizer = probe->model->code.quantizer;
    const uint8_t *codes[IVF_CHUNK];
    float score[IVF_CHUNK];
    for (uint32_t i = 0; i < n; i++)
        codes[i] = chunk->codes + hits[i].row * (size_t)quantizer->bytes;
    quantizer->ops->list((const struct quantizer_scorer *)(const void *)probe->quantized, codes, n,
                         score);
    for (uint32_t i = 0; i < n; i++) hits[i].dist = score[i];
}

/* Law distances, of those within tau and the slack. */
static void offer_plain(struct probe *probe, const struct ivf_chunk *chunk,
                        const struct kern_hit *hits, uint32_t n) {
    const struct scorer *scorer = &probe->plain;
    const size_t stride = scorer->code->stride;
    float tau = probe_limit(probe);
    for (uint32_t i = 0; i < n; i++) {
        float dist = hits[i].dist;
        if (!(dist < scorer->exact_below)) {
            if (!(dist <= probe_law_limit(scorer, tau, dist))) continue;
            dist = scorer_exact_one(scorer, chunk->codes + hits[i].row * stride);
        }
        if (!(dist <= tau)) continue;
        probe_offer(probe, chunk->row[hits[i].row], dist);
        tau = probe_limit(probe);
    }
}

static void take_hits(const struct tile *tile, const struct ivf_chunk *chunk, struct probe *probe,
                      struct kern_hit *hits, uint32_t n, float base) {
    if (n == 0) return;
    if (!tile->model->code.quantizer) {
        offer_plain(probe, chunk, hits, n);
        return;
    }
    score_quantized(probe, chunk, hits, n);
    offer_hits(probe, chunk, hits, n, base);
}

/* Queries with their codes side by side. */
struct group {
    const struct tile_pair *pairs;
    size_t n;
    float scale[TILE_QUERIES], bias[TILE_QUERIES], limit[TILE_QUERIES];
    uint32_t n_hits[TILE_QUERIES];
};

static void gather(struct tile *tile, struct group *group) {
    for (size_t i = 0; i < group->n; i++) {
        const uint32_t query = group->pairs[i].query;
        memcpy(tile->gathered + i * tile->bytes, tile->queries + (size_t)query * tile->bytes,
               tile->bytes);
        group->scale[i] = tile->scale[query];
        group->bias[i] = tile->bias[query];
    }
}

static float base_of(const struct probe *probe, float list_dist) {
    return probe->model->code.quantizer ? probe_base(probe, list_dist) : 0;
}

/* Limits as the heaps are now; true where one has none. */
static bool set_limits(const struct tile *tile, struct group *group, const struct probe *probes) {
    bool open = false;
    for (size_t i = 0; i < group->n; i++) {
        const struct tile_pair pair = group->pairs[i];
        const struct probe *probe = &probes[pair.query];
        group->limit[i] =
            limit_of(tile, pair.query, probe_limit(probe), base_of(probe, pair.centre));
        group->n_hits[i] = 0;
        open |= group->limit[i] == INFINITY;
    }
    return open;
}

static void scan_group(struct tile *tile, const struct ivf_chunk *chunk, struct group *group,
                       struct probe *probes) {
    const struct kern *kern = kern_get();
    for (uint32_t row = 0, n; row < chunk->n; row += n) {
        const bool open = set_limits(tile, group, probes);
        n = chunk->n - row;
        n = open && n > FIRST ? FIRST : n;
        const struct kern_scan scan = {.panels = tile->panels +
                                                 row / KERN_PANEL * kern->panel_bytes(tile->bytes),
                                       .term = tile->term + row,
                                       .row0 = row,
                                       .n = n,
                                       .bytes = tile->bytes,
                                       .queries = tile->gathered,
                                       .n_q = group->n,
                                       .scale = group->scale,
                                       .bias = group->bias,
                                       .limit = group->limit,
                                       .hits = tile->hits,
                                       .hits_stride = IVF_CHUNK,
                                       .n_hits = group->n_hits};
        kern->scan_u8s8(&scan);
        for (size_t i = 0; i < group->n; i++) {
            struct probe *probe = &probes[group->pairs[i].query];
            take_hits(tile, chunk, probe, tile->hits + i * IVF_CHUNK, group->n_hits[i],
                      base_of(probe, group->pairs[i].centre));
        }
    }
}

void tile_scan(struct tile *tile, const struct ivf_chunk *chunk, struct probe *probes,
               const struct tile_pair *pairs, size_t n) {
    struct group group;
    pack(tile, chunk);
    for (size_t first = 0; first < n; first += group.n) {
        group.pairs = pairs + first;
        group.n = n - first < TILE_QUERIES ? n - first : TILE_QUERIES;
        gather(tile, &group);
        scan_group(tile, chunk, &group, probes);
    }
}
