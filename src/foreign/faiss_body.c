/* Bodies: a whole index on the wire, header and what its family has behind it; see the table below.
 *
 *     header   u32 tag, i32 d, i64 ntotal, i64 and i64 without meaning, bool is_trained, i32 metric_type,
 *              f32 metric_arg when metric_type > 1
 *     IxF*     counted f32 vectors, in words
 *     IxPq     PQ, counted codes, i32 search_type, bool encode_signs, i32 polysemous_ht; IxPo the same, IxPQ without the
 *              last three, and both of them L2 whatever they say
 *     IxSQ     SQ, counted codes
 *     IPfs     PQ, i32 implem, i32 bbs, i32 qbs, u64 rows up to whole blocks, u64 M2, counted blocks
 *     Ixr*     RaBitQ, counted codes, counted f32 center, u8 qb
 *     IxM*     index, counted i64 ids
 *     IHN*     HNSW, index
 *     Iw*      u64 nlist, u64 nprobe, index (quantiser), [old: ids], map, the code's own fields, lists [old: codes]
 *       Fl       nothing
 *       PQ       bool by_residual, u64 code_size, PQ
 *       Sq       SQ, u64 code_size, bool by_residual; without it before (IwSQ, IvSQ: true)
 *       Pf       bool by_residual, u64 code_size, i32 bbs, u64 M2, i32 implem, u64 qbs2, PQ
 *       rq rr    RaBitQ, u64 code_size, bool by_residual, u8 qb
 *     IxPT     i32 n, n transforms, index
 *     IxRF     index, index (refine), f32 k_factor
 *
 * Writing works on a copy of each node, so that layouts may set what is implied. */
#include <math.h>

#include "foreign/faiss_wire.h"

#define TAG(s)              FAISS_TAG((s)[0], (s)[1], (s)[2], (s)[3])
#define TRANSFORM_BYTES_MIN 13

static int walk_header(struct wire *wire, struct faiss_node *node) {
    int64_t unused = 1 << 20;
    TRY(wire_i32(wire, &node->d));
    WIRE_CHECK(wire, node->d >= 1 && node->d <= FAISS_DIM_MAX,
               "%d dimensions, 1 to %d are possible", node->d, FAISS_DIM_MAX);
    TRY(wire_i64(wire, &node->ntotal));
    WIRE_CHECK(wire, node->ntotal >= 0, "%lld rows", (long long)node->ntotal);
    TRY(wire_i64(wire, &unused));
    TRY(wire_i64(wire, &unused));
    TRY(wire_bool(wire, &node->is_trained));
    TRY(wire_i32(wire, &node->metric));
    WIRE_CHECK(wire, family_metric_known(node->metric), "metric %d is not known", node->metric);
    if (node->metric > FAISS_L2) TRY(wire_f32(wire, &node->metric_arg));
    return KITH_OK;
}

/* An index inside this one that holds its rows, in its dimensions. */
static int walk_inner(struct wire *wire, const struct faiss_node *node, struct faiss_node **inner) {
    TRY(wire_index(wire, inner));
    WIRE_CHECK(wire, (*inner)->ntotal == node->ntotal && (*inner)->d == node->d,
               "%s of %lld rows of %d holds %s of %lld rows of %d", faiss_kind_name(node->kind),
               (long long)node->ntotal, node->d, faiss_kind_name((*inner)->kind),
               (long long)(*inner)->ntotal, (*inner)->d);
    return KITH_OK;
}

/* ---- codes ------------------------------------------------------------------------------------- */

static int walk_rows(struct wire *wire, struct faiss_node *node, uint64_t code_size, size_t unit) {
    node->codes.n = (uint64_t)node->ntotal;
    node->codes.code_size = code_size;
    return wire_codes(wire, &node->codes, unit);
}

static int walk_pq(struct wire *wire, struct faiss_node *node) {
    TRY(wire_pq(wire, &node->pq, node));
    TRY(walk_rows(wire, node, faiss_pq_code_size(&node->pq), 1));
    if (node->tag == TAG("IxPQ")) {
        node->polysemous_ht = (int32_t)(node->pq.M * node->pq.nbits + 1);
    } else {
        TRY(wire_i32(wire, &node->search_type));
        TRY(wire_bool(wire, &node->encode_signs));
        TRY(wire_i32(wire, &node->polysemous_ht));
    }
    if (node->tag != TAG("IxPq")) node->metric = FAISS_L2;
    return KITH_OK;
}

static int check_fast(struct wire *wire, const struct faiss_node *node) {
    const struct faiss_fast *fast = &node->fast;
    WIRE_CHECK(wire, node->pq.nbits == 4, "fast scan of %llu bits, 4 wanted",
               (unsigned long long)node->pq.nbits);
    WIRE_CHECK(wire, fast->bbs > 0 && fast->bbs % 32 == 0,
               "fast scan in blocks of %d rows, a multiple of 32 wanted", fast->bbs);
    WIRE_CHECK(wire, fast->M2 == (node->pq.M + 1) / 2 * 2,
               "fast scan of %llu numbers a row, %llu wanted", (unsigned long long)fast->M2,
               (unsigned long long)((node->pq.M + 1) / 2 * 2));
    return KITH_OK;
}

static int walk_pq_fast(struct wire *wire, struct faiss_node *node) {
    struct faiss_fast *fast = &node->fast;
    int32_t qbs = (int32_t)fast->qbs;
    TRY(wire_pq(wire, &node->pq, node));
    TRY(wire_i32(wire, &fast->implem));
    TRY(wire_i32(wire, &fast->bbs));
    TRY(wire_i32(wire, &qbs));
    fast->qbs = qbs;
    uint64_t bbs = fast->bbs > 0 ? (uint64_t)fast->bbs : 1;
    uint64_t n_blocks = ((uint64_t)node->ntotal + bbs - 1) / bbs, n_padded = n_blocks * bbs;
    TRY(wire_u64(wire, &n_padded));
    TRY(wire_u64(wire, &fast->M2));
    TRY(check_fast(wire, node));
    WIRE_CHECK(wire, n_padded == n_blocks * bbs, "%llu padded rows for %lld in blocks of %d",
               (unsigned long long)n_padded, (long long)node->ntotal, fast->bbs);
    node->codes.n = n_blocks;
    node->codes.code_size = bbs * (fast->M2 / 2);
    return wire_codes(wire, &node->codes, 1);
}

static int check_qb(struct wire *wire, const struct faiss_rabitq *rabitq) {
    WIRE_CHECK(wire, rabitq->qb <= 8, "queries of %u bits, 0 to 8 are possible", rabitq->qb);
    return KITH_OK;
}

static int walk_rabitq(struct wire *wire, struct faiss_node *node) {
    struct faiss_rabitq *rabitq = &node->rabitq;
    TRY(wire_rabitq(wire, rabitq, node, node->tag == TAG("Ixrr")));
    TRY(walk_rows(wire, node, rabitq->code_size, 1));
    TRY(wire_array(wire, &rabitq->center, sizeof(float), "center"));
    WIRE_CHECK(
        wire, rabitq->center.n == (uint64_t)node->d || (rabitq->center.n == 0 && !node->is_trained),
        "a center of %llu dimensions in an index of %d", (unsigned long long)rabitq->center.n,
        node->d);
    TRY(wire_u8(wire, &rabitq->qb));
    return check_qb(wire, rabitq);
}

/* ---- lists ------------------------------------------------------------------------------------- */

static bool is_old_ivf(const struct faiss_node *node) {
    return (node->tag & 0xffff) == (TAG("Iv..") & 0xffff);
}

static int walk_ivf_header(struct wire *wire, struct faiss_node *node) {
    struct faiss_ivf *ivf = &node->ivf;
    TRY(wire_u64(wire, &ivf->nlist));
    TRY(wire_u64(wire, &ivf->nprobe));
    TRY(wire_index(wire, &ivf->quantizer));
    WIRE_CHECK(wire,
               ivf->nlist >= 1 && ivf->quantizer->d == node->d &&
                   ((uint64_t)ivf->quantizer->ntotal == ivf->nlist ||
                    (ivf->quantizer->ntotal == 0 && node->ntotal == 0)),
               "%llu lists of %d dimensions with %lld centroids of %d",
               (unsigned long long)ivf->nlist, node->d, (long long)ivf->quantizer->ntotal,
               ivf->quantizer->d);
    if (is_old_ivf(node)) TRY(wire_old_ids(wire, ivf));
    return wire_direct_map(wire, ivf);
}

/* The code_size that stands beside a code which implies it. */
static int walk_code_size(struct wire *wire, struct faiss_node *node, uint64_t implied) {
    node->ivf.code_size = implied;
    TRY(wire_u64(wire, &node->ivf.code_size));
    WIRE_CHECK(wire, node->ivf.code_size == implied, "codes of %llu bytes, %llu wanted",
               (unsigned long long)node->ivf.code_size, (unsigned long long)implied);
    return KITH_OK;
}

static int walk_ivf_pq(struct wire *wire, struct faiss_node *node) {
    TRY(wire_bool(wire, &node->ivf.by_residual));
    TRY(wire_u64(wire, &node->ivf.code_size));
    TRY(wire_pq(wire, &node->pq, node));
    WIRE_CHECK(wire, node->ivf.code_size == faiss_pq_code_size(&node->pq),
               "codes of %llu bytes, %llu wanted", (unsigned long long)node->ivf.code_size,
               (unsigned long long)faiss_pq_code_size(&node->pq));
    return KITH_OK;
}

static int walk_ivf_sq(struct wire *wire, struct faiss_node *node) {
    TRY(wire_sq(wire, &node->sq, node));
    TRY(walk_code_size(wire, node, node->sq.code_size));
    if (node->tag == TAG("IwSq")) return wire_bool(wire, &node->ivf.by_residual);
    node->ivf.by_residual = true;
    return KITH_OK;
}

static int walk_ivf_pq_fast(struct wire *wire, struct faiss_node *node) {
    struct faiss_fast *fast = &node->fast;
    TRY(wire_bool(wire, &node->ivf.by_residual));
    TRY(wire_u64(wire, &node->ivf.code_size));
    TRY(wire_i32(wire, &fast->bbs));
    TRY(wire_u64(wire, &fast->M2));
    TRY(wire_i32(wire, &fast->implem));
    TRY(wire_i64(wire, &fast->qbs));
    TRY(wire_pq(wire, &node->pq, node));
    return check_fast(wire, node);
}

static int check_fast_lists(struct wire *wire, const struct faiss_node *node) {
    uint64_t bbs = (uint64_t)node->fast.bbs;
    WIRE_CHECK(wire,
               node->ivf.n_per_block == bbs && node->ivf.block_size == bbs * (node->fast.M2 / 2),
               "list blocks of %llu rows and %llu bytes, %llu and %llu wanted",
               (unsigned long long)node->ivf.n_per_block, (unsigned long long)node->ivf.block_size,
               (unsigned long long)bbs, (unsigned long long)(bbs * (node->fast.M2 / 2)));
    return KITH_OK;
}

static int walk_ivf_rabitq(struct wire *wire, struct faiss_node *node) {
    TRY(wire_rabitq(wire, &node->rabitq, node, node->tag == TAG("Iwrr")));
    TRY(walk_code_size(wire, node, node->rabitq.code_size));
    TRY(wire_bool(wire, &node->ivf.by_residual));
    TRY(wire_u8(wire, &node->rabitq.qb));
    return check_qb(wire, &node->rabitq);
}

static int walk_ivf_code(struct wire *wire, struct faiss_node *node) {
    switch (node->kind) {
    case FAISS_IVF_PQ: return walk_ivf_pq(wire, node);
    case FAISS_IVF_SQ: return walk_ivf_sq(wire, node);
    case FAISS_IVF_PQ_FAST: return walk_ivf_pq_fast(wire, node);
    case FAISS_IVF_RABITQ: return walk_ivf_rabitq(wire, node);
    default: node->ivf.code_size = (uint64_t)node->d * sizeof(float); return KITH_OK;
    }
}

static int walk_ivf(struct wire *wire, struct faiss_node *node) {
    TRY(walk_ivf_header(wire, node));
    TRY(walk_ivf_code(wire, node));
    if (is_old_ivf(node))
        return wire_old_codes(wire, node, node->tag == TAG("IvFl") ? sizeof(float) : 1);
    TRY(wire_lists(wire, node));
    return node->kind == FAISS_IVF_PQ_FAST ? check_fast_lists(wire, node) : KITH_OK;
}

/* ---- indexes around indexes -------------------------------------------------------------------- */

static int walk_id_map(struct wire *wire, struct faiss_node *node) {
    if (!wire->writing) node->map_both_ways = node->tag == TAG("IxM2");
    TRY(walk_inner(wire, node, &node->inner));
    TRY(wire_array(wire, &node->ids, sizeof(int64_t), "ids"));
    WIRE_CHECK(wire, node->ids.n == (uint64_t)node->ntotal, "%llu ids for %lld rows",
               (unsigned long long)node->ids.n, (long long)node->ntotal);
    return KITH_OK;
}

static int walk_hnsw(struct wire *wire, struct faiss_node *node) {
    TRY(wire_graph(wire, &node->graph, node->ntotal));
    TRY(walk_inner(wire, node, &node->inner));
    enum faiss_kind kind = node->inner->kind;
    WIRE_CHECK(wire, kind == FAISS_FLAT || kind == FAISS_PQ || kind == FAISS_SQ,
               "HNSW over %s, not Flat, PQ or SQ", faiss_kind_name(kind));
    return KITH_OK;
}

static int walk_pre_transform(struct wire *wire, struct faiss_node *node) {
    TRY(wire_i32(wire, &node->n_chain));
    WIRE_CHECK(wire, node->n_chain >= 0, "%d transforms", node->n_chain);
    if (!wire->writing) {
        TRY(wire_room(wire, (uint64_t)node->n_chain, TRANSFORM_BYTES_MIN, "transforms"));
        TRY(wire_new(wire, &node->chain, (uint64_t)node->n_chain, sizeof *node->chain));
    }
    int32_t d = node->d;
    for (int32_t i = 0; i < node->n_chain; i++) {
        struct faiss_transform transform = node->chain[i];
        TRY(wire_transform(wire, &transform));
        if (!wire->writing) node->chain[i] = transform;
        WIRE_CHECK(wire, transform.d_in == d, "transform %d takes %d dimensions, gets %d", i,
                   transform.d_in, d);
        d = transform.d_out;
    }
    TRY(wire_index(wire, &node->inner));
    WIRE_CHECK(wire, node->inner->d == d && node->inner->ntotal == node->ntotal,
               "%lld rows transformed to %d dimensions, the index in it has %lld of %d",
               (long long)node->ntotal, d, (long long)node->inner->ntotal, node->inner->d);
    return KITH_OK;
}

static int walk_refine(struct wire *wire, struct faiss_node *node) {
    TRY(walk_inner(wire, node, &node->inner));
    TRY(walk_inner(wire, node, &node->refine));
    TRY(wire_f32(wire, &node->k_factor));
    WIRE_CHECK(wire, isfinite(node->k_factor) && node->k_factor >= 1 && node->k_factor <= 1000,
               "k_factor %g, 1 to 1000 are possible", (double)node->k_factor);
    return KITH_OK;
}

/* ---- the whole --------------------------------------------------------------------------------- */

static int walk_body(struct wire *wire, struct faiss_node *node) {
    switch (node->kind) {
    case FAISS_FLAT: return walk_rows(wire, node, (uint64_t)node->d * sizeof(float), sizeof(float));
    case FAISS_PQ: return walk_pq(wire, node);
    case FAISS_SQ:
        TRY(wire_sq(wire, &node->sq, node));
        return walk_rows(wire, node, node->sq.code_size, 1);
    case FAISS_PQ_FAST: return walk_pq_fast(wire, node);
    case FAISS_RABITQ: return walk_rabitq(wire, node);
    case FAISS_ID_MAP: return walk_id_map(wire, node);
    case FAISS_HNSW: return walk_hnsw(wire, node);
    case FAISS_IVF_FLAT:
    case FAISS_IVF_PQ:
    case FAISS_IVF_SQ:
    case FAISS_IVF_PQ_FAST:
    case FAISS_IVF_RABITQ: return walk_ivf(wire, node);
    case FAISS_PRE_TRANSFORM: return walk_pre_transform(wire, node);
    case FAISS_REFINE: return walk_refine(wire, node);
    }
    return WIRE_FAIL(wire, "index of kind %d", (int)node->kind);
}

/* An index must have what its kind is made of, before its tag can be told. */
static int check_made(struct wire *wire, const struct faiss_node *node) {
    bool inner = node->kind == FAISS_ID_MAP || node->kind == FAISS_HNSW ||
                 node->kind == FAISS_PRE_TRANSFORM || node->kind == FAISS_REFINE;
    bool ivf = node->kind >= FAISS_IVF_FLAT && node->kind <= FAISS_IVF_RABITQ;
    WIRE_CHECK(wire,
               (!inner || node->inner) && (!ivf || node->ivf.quantizer) &&
                   (node->kind != FAISS_REFINE || node->refine),
               "%s without the index in it", faiss_kind_name(node->kind));
    WIRE_CHECK(wire, node->kind != FAISS_PRE_TRANSFORM || node->n_chain <= 0 || node->chain,
               "%d transforms, which are not there", node->n_chain);
    return KITH_OK;
}

static int walk_node(struct wire *wire, struct faiss_node *node) {
    if (wire->writing) {
        TRY(check_made(wire, node));
        node->tag = family_tag(node);
    }
    node->at = wire->at;
    TRY(wire_u32(wire, &node->tag));
    if (!wire->writing) TRY(family_of_tag(wire, node->tag, &node->kind));
    TRY(walk_header(wire, node));
    return walk_body(wire, node);
}

int wire_index(struct wire *wire, struct faiss_node **slot) {
    WIRE_CHECK(wire, wire->depth < FAISS_DEPTH, "indexes nested deeper than %d", FAISS_DEPTH);
    wire->depth++;
    int code;
    if (wire->writing) {
        struct faiss_node copy = **slot;
        code = walk_node(wire, &copy);
    } else {
        TRY(wire_new(wire, slot, 1, sizeof **slot));
        code = walk_node(wire, *slot);
    }
    wire->depth--;
    return code;
}
