/* The oracle of FAISS files; see faiss_oracle.h. Scores are distances inside: a similarity is negated. */
#include "faiss_oracle.h"

#include <math.h>
#include <stdlib.h>

#include "base/bits.h"
#include "foreign/bytes.h"
#include "kern/half.h"

enum { DIM_MAX = 256, POOL_MAX = 64, KSUB = 16, LUT_MAX = 64 * KSUB };

static float f32_at(struct faiss_array array, uint64_t i) { return bytes_f32(array.bytes + 4 * i); }

/* `bits` bits of a little-endian bit stream. */
static uint32_t field(const uint8_t *code, uint64_t i, uint64_t bits) {
    uint32_t value = 0;
    for (uint64_t b = 0; b < bits; b++) {
        uint64_t at = i * bits + b;
        value |= (uint32_t)(code[at / 8] >> at % 8 & 1) << b;
    }
    return value;
}

/* ---- the best k -------------------------------------------------------------------------------- */

static void hits_add(struct oracle_hits *hits, int64_t id, float score) {
    int at = hits->n < hits->k ? hits->n++ : hits->k;
    while (at > 0 && hits->dist[at - 1] > score) {
        if (at < hits->k) {
            hits->id[at] = hits->id[at - 1];
            hits->dist[at] = hits->dist[at - 1];
        }
        at--;
    }
    if (at < hits->k) {
        hits->id[at] = id;
        hits->dist[at] = score;
    }
}

/* ---- codes ------------------------------------------------------------------------------------- */

static void pq_decode(const struct faiss_pq *pq, const uint8_t *code, float *x) {
    uint64_t dsub = pq->d / pq->M;
    for (uint64_t m = 0; m < pq->M; m++)
        for (uint64_t i = 0; i < dsub; i++)
            x[m * dsub + i] =
                f32_at(pq->centroids, ((m << pq->nbits) + field(code, m, pq->nbits)) * dsub + i);
}

static float sq_level(const struct faiss_sq *sq, const uint8_t *code, uint64_t i) {
    switch (sq->qtype) {
    case FAISS_SQ_4BIT:
    case FAISS_SQ_4BIT_UNIFORM: return ((float)field(code, i, 4) + 0.5f) / 15;
    case FAISS_SQ_6BIT: return ((float)field(code, i, 6) + 0.5f) / 63;
    default: return ((float)code[i] + 0.5f) / 255;
    }
}

static float sq_value(const struct faiss_sq *sq, const uint8_t *code, uint64_t i) {
    bool uniform = sq->qtype == FAISS_SQ_8BIT_UNIFORM || sq->qtype == FAISS_SQ_4BIT_UNIFORM;
    switch (sq->qtype) {
    case FAISS_SQ_FP16: return half_from_f16(bytes_u16(code + 2 * i));
    case FAISS_SQ_BF16: return half_from_bf16(bytes_u16(code + 2 * i));
    case FAISS_SQ_8BIT_DIRECT: return code[i];
    case FAISS_SQ_8BIT_DIRECT_SIGNED: return (float)code[i] - 128;
    default:
        return f32_at(sq->trained, uniform ? 0 : i) +
               f32_at(sq->trained, uniform ? 1 : sq->d + i) * sq_level(sq, code, i);
    }
}

static void decode(const struct faiss_node *node, const uint8_t *code, float *x) {
    switch (node->kind) {
    case FAISS_PQ:
    case FAISS_IVF_PQ: pq_decode(&node->pq, code, x); return;
    case FAISS_SQ:
    case FAISS_IVF_SQ:
        for (uint64_t i = 0; i < node->sq.d; i++) x[i] = sq_value(&node->sq, code, i);
        return;
    case FAISS_FLAT:
    case FAISS_IVF_FLAT: memcpy(x, code, (size_t)node->d * sizeof *x); return;
    default: abort();
    }
}

static float score(int32_t metric, int32_t d, const float *q, const float *x) {
    double sum = 0;
    for (int32_t i = 0; i < d; i++) {
        double difference = (double)q[i] - (double)x[i];
        if (metric == FAISS_IP) sum -= (double)q[i] * (double)x[i];
        if (metric == FAISS_L2) sum += difference * difference;
        if (metric == FAISS_L1) sum += fabs(difference);
    }
    return (float)sum;
}

/* The estimate of RaBitQ with more bits: sign and further bits are one number, a grid around the center. */
static double rabitq_fine(const struct faiss_rabitq *rabitq, const uint8_t *code, const float *r,
                          double base) {
    uint64_t d = rabitq->d, bits = rabitq->nb_bits - 1;
    const uint8_t *fine = code + (d + 7) / 8 + 12, *factors = fine + (d * bits + 7) / 8;
    double dot = 0;
    for (uint64_t i = 0; i < d; i++) {
        double level = (double)(field(code, i, 1) << bits) + (double)field(fine, i, bits);
        dot += (double)r[i] * (level - ((double)(1 << bits) - 0.5));
    }
    return base + (double)bytes_f32(factors) + (double)bytes_f32(factors + 4) * dot;
}

static float rabitq_score(const struct faiss_rabitq *rabitq, const uint8_t *code, const float *q,
                          const float *center) {
    uint64_t d = rabitq->d;
    const uint8_t *factors = code + (d + 7) / 8;
    double r_l2sq = 0, q_l2sq = 0, q_dot_c = 0, dot = 0;
    float r[DIM_MAX];
    for (uint64_t i = 0; i < d; i++) {
        r[i] = q[i] - center[i];
        r_l2sq += (double)r[i] * (double)r[i];
        q_l2sq += (double)q[i] * (double)q[i];
        q_dot_c += (double)q[i] * (double)center[i];
        dot += field(code, i, 1) ? (double)r[i] : -(double)r[i];
    }
    bool ip = rabitq->metric == FAISS_IP;
    if (rabitq->nb_bits > 1) {
        double found = rabitq_fine(rabitq, code, r, ip ? q_dot_c : r_l2sq);
        return ip ? (float)-found : fmaxf(0, (float)found);
    }
    double found = (double)bytes_f32(factors) + r_l2sq -
                   2 * (double)bytes_f32(factors + 4) * dot / sqrt((double)d);
    return ip ? (float)(0.5 * (found - q_l2sq)) : fmaxf(0, (float)found);
}

/* ---- fast scan --------------------------------------------------------------------------------- */

/* A query's tables in 8 bits: distance = sum / scale + bias. */
struct tables {
    uint8_t entry[LUT_MAX];
    float scale, bias;
};

static void tables_make(const struct faiss_pq *pq, int32_t metric, const float *q,
                        struct tables *tables) {
    uint64_t dsub = pq->d / pq->M;
    float exact[LUT_MAX], least[64], widest = 0, all = 0, x[DIM_MAX];
    tables->bias = 0;
    for (uint64_t m = 0; m < pq->M; m++) {
        float most = -INFINITY;
        least[m] = INFINITY;
        for (uint64_t c = 0; c < KSUB; c++) {
            for (uint64_t i = 0; i < dsub; i++)
                x[i] = f32_at(pq->centroids, (m * KSUB + c) * dsub + i);
            exact[m * KSUB + c] = score(metric, (int32_t)dsub, q + m * dsub, x);
            least[m] = fminf(least[m], exact[m * KSUB + c]);
            most = fmaxf(most, exact[m * KSUB + c]);
        }
        widest = fmaxf(widest, most - least[m]);
        all += most - least[m];
        tables->bias += least[m];
    }
    tables->scale = fminf(255 / widest, 65535 / all);
    for (uint64_t i = 0; i < pq->M * KSUB; i++)
        tables->entry[i] = (uint8_t)floorf((exact[i] - least[i / KSUB]) * tables->scale + 0.5f);
}

/* Row `row` of blocks of 32. */
static float fast_score(const struct faiss_node *node, const struct tables *tables,
                        const uint8_t *blocks, uint64_t row) {
    const uint8_t *block = blocks + row / 32 * (node->fast.M2 * 16);
    uint64_t lane = row % 16, place = lane < 8 ? 2 * lane : 2 * (lane - 8) + 1, sum = 0;
    for (uint64_t m = 0; m < node->pq.M; m++) {
        uint8_t byte = block[m / 2 * 32 + m % 2 * 16 + place];
        sum += tables->entry[m * KSUB + (row % 32 < 16 ? byte & 15u : byte >> 4)];
    }
    return (float)sum / tables->scale + tables->bias;
}

/* ---- storages: rows that are scored one by one --------------------------------------------------- */

struct asker {
    const struct faiss_node *node;
    const float *q;
    float center[DIM_MAX];
    struct tables tables;
};

static void ask(struct asker *asker, const struct faiss_node *node, const float *q) {
    asker->node = node;
    asker->q = q;
    for (uint64_t i = 0; i < node->rabitq.center.n && i < DIM_MAX; i++)
        asker->center[i] = f32_at(node->rabitq.center, i);
    if (node->kind == FAISS_PQ_FAST || node->kind == FAISS_IVF_PQ_FAST)
        tables_make(&node->pq, node->metric, q, &asker->tables);
}

static float row_score(const struct asker *asker, uint64_t row) {
    const struct faiss_node *node = asker->node;
    const uint8_t *code = node->codes.bytes + row * node->codes.code_size;
    float x[DIM_MAX];
    if (node->kind == FAISS_PQ_FAST)
        return fast_score(node, &asker->tables, node->codes.bytes, row);
    if (node->kind == FAISS_RABITQ)
        return rabitq_score(&node->rabitq, code, asker->q, asker->center);
    decode(node, code, x);
    return score(node->metric, node->d, asker->q, x);
}

static void search_rows(const struct faiss_node *node, const float *q, struct oracle_hits *hits) {
    struct asker asker;
    ask(&asker, node, q);
    for (int64_t row = 0; row < node->ntotal; row++)
        hits_add(hits, row, row_score(&asker, (uint64_t)row));
}

/* ---- the graph --------------------------------------------------------------------------------- */

struct links {
    const uint8_t *bytes;
    uint64_t n;
};

static struct links links_of(const struct faiss_graph *graph, int64_t row, int32_t level) {
    const uint8_t *cum = graph->cum_nneighbor_per_level.bytes + 4 * level;
    uint64_t offset = bytes_u64(graph->offsets.bytes + 8 * row);
    struct links links = {graph->neighbors.bytes + 4 * (offset + (uint64_t)bytes_i32(cum)), 0};
    uint64_t room = (uint64_t)(bytes_i32(cum + 4) - bytes_i32(cum));
    while (links.n < room && bytes_i32(links.bytes + 4 * links.n) >= 0) links.n++;
    return links;
}

static int64_t descend(const struct faiss_graph *graph, const struct asker *asker) {
    int64_t at = graph->entry_point;
    float best = row_score(asker, (uint64_t)at);
    for (int32_t level = graph->max_level; level > 0; level--) {
        for (int64_t from = -1; from != at;) {
            from = at;
            struct links links = links_of(graph, from, level);
            for (uint64_t i = 0; i < links.n; i++) {
                int64_t to = bytes_i32(links.bytes + 4 * i);
                float to_score = row_score(asker, (uint64_t)to);
                if (to_score < best) {
                    best = to_score;
                    at = to;
                }
            }
        }
    }
    return at;
}

/* Malkov & Yashunin 2018, Alg. 2, over one sorted pool of ef. */
static void search_graph(const struct faiss_node *node, const float *q, struct oracle_hits *hits) {
    const struct faiss_graph *graph = &node->graph;
    struct asker asker;
    uint8_t *seen = calloc(1, (size_t)node->ntotal + 1),
            *followed = calloc(1, (size_t)node->ntotal + 1);
    struct oracle_hits pool = {
        0, graph->ef_search > hits->k ? graph->ef_search : hits->k, {0}, {0}};
    if (pool.k > POOL_MAX) abort();
    ask(&asker, node->inner, q);
    int64_t from = descend(graph, &asker);
    hits_add(&pool, from, row_score(&asker, (uint64_t)from));
    seen[from] = 1;
    while (from >= 0) {
        followed[from] = 1;
        struct links links = links_of(graph, from, 0);
        for (uint64_t i = 0; i < links.n; i++) {
            int64_t to = bytes_i32(links.bytes + 4 * i);
            if (!seen[to]) hits_add(&pool, to, row_score(&asker, (uint64_t)to));
            seen[to] = 1;
        }
        from = -1;
        for (int i = pool.n; i-- > 0;)
            if (!followed[pool.id[i]]) from = pool.id[i];
    }
    for (int i = 0; i < pool.n; i++) hits_add(hits, pool.id[i], pool.dist[i]);
    free(seen);
    free(followed);
}

/* ---- lists ------------------------------------------------------------------------------------- */

static void search(const struct faiss_node *node, const float *q, uint64_t nprobe,
                   struct oracle_hits *hits);

static void centroid_of(const struct faiss_node *quantizer, int64_t list, float *x) {
    while (quantizer->inner) quantizer = quantizer->inner;
    decode(quantizer, quantizer->codes.bytes + (uint64_t)list * quantizer->codes.code_size, x);
}

static float list_score(const struct asker *asker, const struct faiss_list *list, uint64_t i,
                        const float *centroid) {
    const struct faiss_node *node = asker->node;
    const uint8_t *code = list->codes + i * node->ivf.code_size;
    float x[DIM_MAX];
    if (node->kind == FAISS_IVF_PQ_FAST) return fast_score(node, &asker->tables, list->codes, i);
    if (node->kind == FAISS_IVF_RABITQ)
        return rabitq_score(&node->rabitq, code, asker->q, centroid);
    decode(node, code, x);
    for (int32_t j = 0; node->ivf.by_residual && j < node->d; j++) x[j] += centroid[j];
    return score(node->metric, node->d, asker->q, x);
}

static void search_lists(const struct faiss_node *node, const float *q, uint64_t nprobe,
                         struct oracle_hits *hits) {
    const struct faiss_ivf *ivf = &node->ivf;
    struct asker asker;
    struct oracle_hits near = {0, (int)nprobe, {0}, {0}};
    if (nprobe > ORACLE_K_MAX) abort();
    if (node->kind == FAISS_IVF_PQ_FAST && ivf->by_residual) abort();
    ask(&asker, node, q);
    search(ivf->quantizer, q, 1, &near);
    for (int at = 0; ivf->lists && at < near.n; at++) {
        const struct faiss_list *list = &ivf->lists[near.id[at]];
        float centroid[DIM_MAX];
        centroid_of(ivf->quantizer, near.id[at], centroid);
        for (uint64_t i = 0; i < list->n; i++)
            hits_add(hits, bytes_i64(list->ids + 8 * i), list_score(&asker, list, i, centroid));
    }
}

/* ---- transforms -------------------------------------------------------------------------------- */

static void hadamard(float *x, int32_t d) {
    for (int32_t step = 1; step < d; step *= 2)
        for (int32_t i = 0; i < d; i++)
            if (!(i & step)) {
                float a = x[i], b = x[i + step];
                x[i] = a + b;
                x[i + step] = a - b;
            }
}

static void apply(const struct faiss_transform *transform, const float *x, float *y) {
    int32_t d_in = transform->d_in, d_out = transform->d_out;
    uint64_t state = transform->seed;
    double norm = 0;
    for (int32_t i = 0; i < d_in; i++) norm += (double)x[i] * (double)x[i];
    for (int32_t i = 0; i < d_out; i++) {
        double sum = transform->have_bias ? (double)f32_at(transform->b, (uint64_t)i) : 0;
        switch (transform->kind) {
        case FAISS_LINEAR:
        case FAISS_ROTATION:
        case FAISS_PCA:
            for (int32_t j = 0; j < d_in; j++)
                sum += (double)f32_at(transform->A, (uint64_t)(i * d_in + j)) * (double)x[j];
            y[i] = (float)sum;
            break;
        case FAISS_REMAP: {
            int32_t from = bytes_i32(transform->map.bytes + 4 * i);
            y[i] = from < 0 ? 0 : x[from];
            break;
        }
        case FAISS_NORMALIZE: y[i] = norm > 0 ? (float)((double)x[i] / sqrt(norm)) : x[i]; break;
        case FAISS_CENTER: y[i] = x[i] - f32_at(transform->mean, (uint64_t)i); break;
        case FAISS_HADAMARD: y[i] = i < d_in ? x[i] : 0; break;
        }
    }
    if (transform->kind != FAISS_HADAMARD) return;
    for (int round = 0; round < 3; round++) {
        for (int32_t i = 0; i < d_out; i++) y[i] = bits_random(&state) & 1 ? y[i] : -y[i];
        hadamard(y, d_out);
    }
    for (int32_t i = 0; i < d_out; i++) y[i] /= (float)d_out * sqrtf((float)d_out);
}

static void search_transformed(const struct faiss_node *node, const float *q,
                               struct oracle_hits *hits) {
    float x[2][DIM_MAX];
    memcpy(x[0], q, (size_t)node->d * sizeof *q);
    for (int32_t i = 0; i < node->n_chain; i++) apply(&node->chain[i], x[i % 2], x[(i + 1) % 2]);
    search(node->inner, x[node->n_chain % 2], node->inner->ivf.nprobe, hits);
}

/* ---- all --------------------------------------------------------------------------------------- */

static void search_refined(const struct faiss_node *node, const float *q,
                           struct oracle_hits *hits) {
    struct oracle_hits first = {0, (int)((float)hits->k * node->k_factor), {0}, {0}};
    struct asker asker;
    search(node->inner, q, node->inner->ivf.nprobe, &first);
    ask(&asker, node->refine, q);
    for (int i = 0; i < first.n; i++)
        hits_add(hits, first.id[i], row_score(&asker, (uint64_t)first.id[i]));
}

static void search(const struct faiss_node *node, const float *q, uint64_t nprobe,
                   struct oracle_hits *hits) {
    switch (node->kind) {
    case FAISS_ID_MAP:
        search(node->inner, q, node->inner->ivf.nprobe, hits);
        for (int i = 0; i < hits->n; i++)
            hits->id[i] = bytes_i64(node->ids.bytes + 8 * hits->id[i]);
        return;
    case FAISS_HNSW: search_graph(node, q, hits); return;
    case FAISS_PRE_TRANSFORM: search_transformed(node, q, hits); return;
    case FAISS_REFINE: search_refined(node, q, hits); return;
    case FAISS_IVF_FLAT:
    case FAISS_IVF_PQ:
    case FAISS_IVF_SQ:
    case FAISS_IVF_PQ_FAST:
    case FAISS_IVF_RABITQ: search_lists(node, q, nprobe, hits); return;
    default: search_rows(node, q, hits);
    }
}

void oracle_search(const struct faiss_node *root, const float *query, int k, int all_lists,
                   struct oracle_hits *hits) {
    *hits = (struct oracle_hits){.k = k};
    search(root, query, all_lists ? root->ivf.nlist : root->ivf.nprobe, hits);
    for (int i = 0; root->metric == FAISS_IP && i < hits->n; i++) hits->dist[i] = -hits->dist[i];
}
