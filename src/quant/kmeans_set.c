/* Centroids made ready to be scanned: coding, packing, queries, the scan. What the bounds rest on is in kmeans_set.h.
 *
 * While training moves the centroids, the code's ranges stay as long as they do: means lie inside what the first
 * centroids spanned, or not far outside. Only when the largest coding error has doubled are the ranges learnt anew. */
#include "quant/kmeans_set.h"

#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"
#include "quant/sums.h"

#define GROUP_BYTES ((size_t)256 << 10) /* of panels scanned at once: a part of the second cache */
#define GROUP_MAX   512u

/* ---- panels ------------------------------------------------------------------------------------ */

static size_t packed_bytes(const struct kmeans_set *set, size_t n) {
    return bits_round_up(n, KERN_PANEL) / KERN_PANEL * set->kern->panel_bytes(set->code.bytes);
}

static size_t term_bytes(size_t n) { return bits_round_up(n, KERN_PANEL) * sizeof(float); }

int kmeans_panels_init(struct kmeans_panels *panels, const struct kmeans_set *set, size_t room,
                       kith_error *err) {
    *panels = (struct kmeans_panels){.room = room};
    panels->coded = mem_new(set->owner, room * set->code.stride);
    panels->term = mem_new(set->owner, term_bytes(room));
    panels->packed = mem_slab(set->owner, packed_bytes(set, room));
    panels->which = mem_new(set->owner, room * sizeof *panels->which);
    if (panels->coded && panels->term && panels->packed && panels->which) return KITH_OK;
    kmeans_panels_deinit(panels, set);
    return FAIL(err, KITH_ENOMEM, "no memory for %zu coded centroids of %zu dimensions", room,
                set->dim);
}

void kmeans_panels_deinit(struct kmeans_panels *panels, const struct kmeans_set *set) {
    mem_free(set->owner, panels->coded, panels->room * set->code.stride);
    mem_free(set->owner, panels->term, term_bytes(panels->room));
    mem_slab_free(set->owner, panels->packed, packed_bytes(set, panels->room));
    mem_free(set->owner, panels->which, panels->room * sizeof *panels->which);
    *panels = (struct kmeans_panels){0};
}

static uint64_t panels_bytes(const struct kmeans_set *set, size_t room) {
    return room * (set->code.stride + sizeof(uint32_t)) + term_bytes(room) +
           packed_bytes(set, room);
}

uint64_t kmeans_set_bytes(const struct kmeans_set *set) {
    return sizeof *set + code_bytes(&set->code) + panels_bytes(set, set->all.room);
}

static void pack(struct kmeans_panels *panels, const struct kmeans_set *set) {
    set->kern->pack_u8(panels->coded, set->code.stride, panels->n, set->code.bytes, panels->packed);
}

void kmeans_panels_pick(struct kmeans_panels *panels, const struct kmeans_set *set) {
    const size_t stride = set->code.stride;
    for (size_t i = 0; i < panels->n; i++) {
        uint32_t c = panels->which[i];
        memcpy(panels->coded + i * stride, set->all.coded + c * stride, stride);
        panels->term[i] = set->all.term[c];
    }
    pack(panels, set);
}

/* ---- the set ----------------------------------------------------------------------------------- */

int kmeans_set_init(struct kmeans_set *set, kith_metric metric, size_t k, size_t dim,
                    const float *centroids, struct mem_account *owner, kith_error *err) {
    *set = (struct kmeans_set){.kern = kern_get(), .k = k, .dim = dim, .centroids = centroids};
    if (metric != KITH_METRIC_L2 && metric != KITH_METRIC_IP)
        return FAIL(err, KITH_EINVAL, "k-means knows L2 and IP, not metric %d", (int)metric);
    if (dim < 1 || dim > 65536) return FAIL(err, KITH_EDIM, "dim %zu, 1 to 65536 is allowed", dim);
    if (k < 1 || k > INT32_MAX)
        return FAIL(err, KITH_EINVAL, "%zu centroids, 1 to %d are allowed", k, INT32_MAX);
    set->ip = metric == KITH_METRIC_IP;
    set->law = set->ip ? KERN_DOT : KERN_L2SQ;
    set->rho = ((double)dim / 16 + 16) * 0x1p-24 * 1.01;
    set->owner = owner;
    TRY(code_init(&set->code, CODE_SQ8, metric, (uint32_t)dim, owner, err));
    size_t group = GROUP_BYTES / set->code.bytes / KERN_PANEL * KERN_PANEL;
    set->group = group > GROUP_MAX ? GROUP_MAX : group < KERN_PANEL ? KERN_PANEL : group;
    int code = kmeans_panels_init(&set->all, set, k, err);
    if (code != KITH_OK) code_deinit(&set->code, owner);
    set->all.n = k;
    for (size_t c = 0; code == KITH_OK && c < k; c++) set->all.which[c] = (uint32_t)c;
    return code;
}

void kmeans_set_deinit(struct kmeans_set *set) {
    kmeans_panels_deinit(&set->all, set);
    code_deinit(&set->code, set->owner);
}

static void encode(struct kmeans_set *set) {
    const struct code *code = &set->code;
    set->err = 0;
    for (size_t c = 0; c < set->k; c++) {
        uint8_t *coded = set->all.coded + c * code->stride;
        double err = (double)code_encode(code, set->centroids + c * set->dim, coded);
        set->err = err > set->err ? err : set->err;
        if (code->term_at) memcpy(&set->all.term[c], coded + code->term_at, sizeof(float));
    }
}

static double longest(const struct kmeans_set *set) {
    double most = 0;
    for (size_t c = 0; c < set->k; c++) {
        double squares = sums_squares(set->dim, set->centroids + c * set->dim);
        most = squares > most ? squares : most;
    }
    return sqrt(most) * (1 + 0x1p-40);
}

bool kmeans_set_update(struct kmeans_set *set) {
    bool trained = set->err_trained > 0;
    if (trained) encode(set);
    bool stale = !trained || set->err > 2 * set->err_trained;
    if (stale) {
        code_train(&set->code, set->k, set->centroids);
        encode(set);
        set->err_trained = set->err + KMEANS_TINY;
    }
    if (set->ip) set->longest = longest(set);
    pack(&set->all, set);
    return stale;
}

/* ---- queries ----------------------------------------------------------------------------------- */

void kmeans_set_query(const struct kmeans_set *set, struct scorer *scorer, const float *row,
                      const struct kmeans_queries *queries, size_t i) {
    scorer_set_query(scorer, row);
    memcpy(queries->codes + i * set->code.bytes, scorer->quantised, set->code.bytes);
    queries->scale[i] = scorer->scale;
    queries->bias[i] = scorer->bias;
    queries->slack[i] = scorer->slack;
    if (queries->reach) queries->reach[i] = kmeans_up(sqrt(sums_squares(set->dim, row)));
}

void kmeans_set_scan(const struct kmeans_set *set, const struct kmeans_panels *panels, size_t first,
                     size_t n, const struct kmeans_queries *queries,
                     const struct kmeans_hits *out) {
    const size_t panel = set->kern->panel_bytes(set->code.bytes);
    struct kern_scan scan = {.panels = panels->packed + first / KERN_PANEL * panel,
                             .term = panels->term + first,
                             .row0 = (uint32_t)first,
                             .n = (uint32_t)n,
                             .bytes = set->code.bytes,
                             .codes = set->dim,
                             .queries = queries->codes,
                             .n_q = queries->n,
                             .scale = queries->scale,
                             .bias = queries->bias,
                             .limit = out->limit,
                             .hits = out->hits,
                             .hits_stride = out->stride,
                             .n_hits = out->n_hits};
    set->kern->scan_u8s8(&scan);
}

void kmeans_set_law(const struct kmeans_set *set, const float *row, const uint32_t *which, size_t n,
                    float *dist) {
    const void *at[KMEANS_LIST];
    if (n == 0) return;
    for (size_t i = 0; i < n; i++) at[i] = set->centroids + which[i] * set->dim;
    set->kern->list[KITH_TYPE_F32][set->law](row, at, n, set->dim, dist);
    for (size_t i = 0; set->ip && i < n; i++) dist[i] = -dist[i];
}
