/* Product codes scored: tables of a query, and look-ups.
 *
 * Table j of a query, for c_i = middle + c'_i, is g <q_j, middle_j> + sum of g q_d c'_d, g = -2 (L2) or -1 (IP), or the sum
 * of |(q_d - middle_d) - c'_d| (L1), a chain of `part` fmas or additions.
 *
 * Slack, with u = 2^-24. (1) An entry's chain of part + 1 roundings, and those of c', q - middle and the start, are at
 * most (part + 4) u times the sum of the terms' sizes, which over all parts is at most g |q| reach (Cauchy-Schwarz twice)
 * or, L1, |q - middle|_1 + reach. (2) So is the sum of entries, each at most that size together: lanes of m / 16 additions
 * and a tree of 4, (m / 16 + 6) u. (3) Real scores are that far from exact ones; twice that is allowed, for roundings of
 * roundings. (4) Narrow tables: each entry is low + step (code + e), |e| <= 0.5 + 2^-14 for the product's rounding:
 * m step 0.501; the sum of lows, from double, one rounding of its size. Last roundings are left out, as pq.h says. */
#include <float.h>
#include <math.h>

#include "base/bits.h"
#include "kern/kern.h"
#include "quant/pq_code.h"
#include "quant/sums.h"

enum { BLOCKS = 32 }; /* scanned at a time: as many masks */

struct pq_scorer {
    struct quantizer_scorer base;
    float step, bias; /* a narrow score is step sum + bias */
    float *tables;    /* [m][k] */
    float *moved;     /* [dim]: what the columns are multiplied with */
    float *low;       /* [m], 4 bits */
    uint8_t *narrow;  /* [nibbles][16], 4 bits */
};

static size_t carve(size_t *at, size_t bytes) {
    const size_t here = *at;
    *at = bits_round_up(here + bytes, 64);
    return here;
}

struct places {
    size_t tables, moved, low, narrow, end;
};

static struct places places_of(const struct pq *pq) {
    const size_t m = pq->base.spec.m, four = pq->k == 16;
    struct places p;
    size_t at = bits_round_up(sizeof(struct pq_scorer), 64);
    p.tables = carve(&at, m * pq->k * sizeof(float));
    p.moved = carve(&at, pq->base.dim * sizeof(float));
    p.low = carve(&at, four * m * sizeof(float));
    p.narrow = carve(&at, four * pq->nibbles * 16);
    p.end = at;
    return p;
}

size_t pq_scorer_bytes(const struct quantizer *quantizer) {
    return places_of(pq_of(quantizer)).end;
}

void pq_scorer_init(const struct quantizer *quantizer, void *scratch) {
    const struct places p = places_of(pq_of(quantizer));
    struct pq_scorer *scorer = scratch;
    *scorer = (struct pq_scorer){.base.quantizer = quantizer,
                                 .tables = (float *)((char *)scratch + p.tables),
                                 .moved = (float *)((char *)scratch + p.moved),
                                 .low = (float *)((char *)scratch + p.low),
                                 .narrow = (uint8_t *)scratch + p.narrow};
    memset((char *)scratch + p.narrow, 0, p.end - p.narrow);
}

/* Exact tables; returns the sum of sizes in (1) of the proof. */
static double make_tables(const struct pq *pq, struct pq_scorer *scorer, const float *query) {
    const struct kern *kern = kern_get();
    const size_t m = pq->base.spec.m, k = pq->k, part = pq->part, dim = pq->base.dim;
    const bool l1 = pq->base.metric == KITH_METRIC_L1;
    const float g = pq->base.metric == KITH_METRIC_L2 ? -2 : -1;
    double sizes = 0;
    for (size_t i = 0; i < dim; i++)
        scorer->moved[i] = l1 ? query[i] - pq->middle[i] : g * query[i];
    for (size_t j = 0; j < m; j++) {
        const float *moved = scorer->moved + j * part, *middle = pq->middle + j * part;
        float *table = scorer->tables + j * k;
        double start = 0;
        for (size_t d = 0; d < part; d++) {
            start += l1 ? 0 : (double)moved[d] * (double)middle[d];
            sizes += l1 ? fabs((double)moved[d]) : 0;
        }
        for (size_t i = 0; i < k; i++) table[i] = (float)start;
        const struct kern_columns c = {.x = moved,
                                       .stride = part,
                                       .n = 1,
                                       .columns = pq->columns + j * part * k,
                                       .k = k,
                                       .dim = part,
                                       .out = table};
        (l1 ? kern->columns_l1 : kern->columns_dot)(&c);
    }
    return l1 ? sizes + pq->reach : sqrt(sums_squares(dim, scorer->moved)) * pq->reach;
}

/* Narrow tables; returns (4) of the proof. */
static double make_narrow(const struct pq *pq, struct pq_scorer *scorer) {
    const struct kern *kern = kern_get();
    const size_t m = pq->base.spec.m;
    const float span = kern->table_span(scorer->tables, m, scorer->low);
    double bias = 0, sizes = 0;
    const float inverse = 255 / span;
    const bool flat = !(inverse <= FLT_MAX); /* all entries alike, or nearly: one code */
    scorer->step = flat ? 0 : span / 255;
    kern->table_narrow(scorer->tables, m, scorer->low, flat ? 0 : inverse, scorer->narrow);
    for (size_t j = 0; j < m; j++) {
        bias += (double)scorer->low[j];
        sizes += fabs((double)scorer->low[j]);
    }
    scorer->bias = (float)bias;
    const double wrong = flat ? (double)span : 0.501 * (double)scorer->step;
    return (double)m * wrong + 0x1p-22 * (sizes + fabs(bias));
}

void pq_set_query(struct quantizer_scorer *base, const float *query) {
    struct pq_scorer *scorer = (struct pq_scorer *)base;
    const struct pq *pq = pq_of(base->quantizer);
    const double sizes = make_tables(pq, scorer, query);
    const double roundings = (double)pq->part + pq->base.spec.m / 16.0 + 10;
    double slack = 2 * roundings * 0x1p-24 * sizes;
    if (pq->k == 16) slack += make_narrow(pq, scorer);
    scorer->base.slack = (float)(slack * (1 + 0x1p-20));
    scorer->base.centre_dist = -1;
}

/* ---- scores ---------------------------------------------------------------------------------------------------- */

static void add_term(const uint8_t *code, float *score) {
    float term;
    memcpy(&term, code, sizeof term);
    *score += term;
}

void pq_rows(const struct quantizer_scorer *base, const uint8_t *codes, size_t stride, size_t n,
             float *scores) {
    const struct pq_scorer *scorer = (const struct pq_scorer *)base;
    const struct pq *pq = pq_of(base->quantizer);
    const struct kern *kern = kern_get();
    (pq->k == 256 ? kern->lookup8_rows : kern->lookup4_rows)(
        scorer->tables, pq->base.spec.m, codes + pq->index_at, stride, n, scores);
    for (size_t i = 0; i < n && pq->index_at; i++) add_term(codes + i * stride, scores + i);
}

/* The kernel wants addresses of indexes: as many as fit the stack at a time. */
void pq_list(const struct quantizer_scorer *base, const uint8_t *const *codes, size_t n,
             float *scores) {
    const struct pq_scorer *scorer = (const struct pq_scorer *)base;
    const struct pq *pq = pq_of(base->quantizer);
    const struct kern *kern = kern_get();
    const kern_lookup_list_fn look_up = pq->k == 256 ? kern->lookup8_list : kern->lookup4_list;
    if (!pq->index_at) {
        look_up(scorer->tables, pq->base.spec.m, codes, n, scores);
        return;
    }
    const uint8_t *indexes[128];
    for (size_t from = 0, now; from < n; from += now) {
        now = n - from < 128 ? n - from : 128;
        for (size_t i = 0; i < now; i++) indexes[i] = codes[from + i] + pq->index_at;
        look_up(scorer->tables, pq->base.spec.m, indexes, now, scores + from);
        for (size_t i = 0; i < now; i++) add_term(codes[from + i], scores + from + i);
    }
}

float pq_score(const struct quantizer_scorer *scorer, const uint8_t *code) {
    float score;
    pq_rows(scorer, code, 0, 1, &score);
    return score;
}

void pq_blocks(const struct quantizer_scorer *base, const uint8_t *blocks, size_t n, float limit,
               float *scores) {
    const struct pq_scorer *scorer = (const struct pq_scorer *)base;
    const struct pq *pq = pq_of(base->quantizer);
    uint32_t within[BLOCKS];
    struct kern_fastscan scan = {.lut = scorer->narrow,
                                 .m = pq->nibbles,
                                 .stride = pq->base.block_bytes,
                                 .term = pq->term_at,
                                 .scale = scorer->step,
                                 .bias = scorer->bias,
                                 .limit = limit,
                                 .mask = within};
    for (size_t left = (n + QUANT_BLOCK - 1) / QUANT_BLOCK; left > 0; left -= scan.n) {
        scan.blocks = blocks;
        scan.n = left < BLOCKS ? left : BLOCKS;
        scan.dist = scores;
        kern_get()->fastscan(&scan);
        blocks += scan.n * scan.stride;
        scores += scan.n * QUANT_BLOCK;
    }
}
