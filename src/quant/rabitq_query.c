/* RaBitQ: a query made ready, and scores of codes.
 *
 * y = R (q - m) is written as t e + t' e' + d, e and e' of s8 (bits < 7: e alone), so that with S = sum(e), u the numbers of
 * a code and h = (2^B - 1) / 2
 *
 *     <y, v> = t (e.u - h S) + t' (e'.u - h S') + <d, v>,          score = bias + term + weight <y, v>,
 *
 * e.u being exact, and the rest double until the end. Against score(), with z = 2^-24, g and a of rabitq.h, |weight v| =
 * g |r'~|, the error is at most the sum of
 *     g |r'~| |d|                                     the quantised query
 *     z (P / 16 + 8) g |r'~| |y|                      score's own f32 dot, rounding in d
 *     4 z (|bias| + |term| + g |r'~| |y|)             rounding of both results
 * and for signs from tables, whose steps are D wide and off by at most 0.51 D for each of P / 4 groups,
 *     g |r'~| (0.255 D sqrt(P) + 32 z |y|) + 8 z (|bias| + |term| + g |r'~| |y|)
 * since 1 bit has |weight| = 2 g |r'~| / sqrt(P); times 1 + 2^-10 for the second order and the lengths themselves.
 *
 * Whether blocks() reads a row's lower bits is decided by signs alone, within RABITQ_EPSILON deviations of |q'| E; the
 * rounding of the tables has a deviation of its own, at most D sqrt(P) / 2 in the place of |q'|, and both are added as
 * squares. Rows that signs let pass are judged again once their lower bits are summed, and only those that are left have
 * their signs summed exactly. */
#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "kern/kern.h"
#include "quant/folding.h"
#include "quant/rabitq_code.h"
#include "quant/sums.h"

#define Z 0x1p-24
/* Queries this long have no scores: squares would leave f32. */
#define TOO_LONG 0x1p60
/* The sum of n rounding errors of at most half a step is over TABLE_CHANCE sqrt(4 n) steps with probability 0.0027
 * (Hoeffding 1963): 2 exp(-8 TABLE_CHANCE^2). */
#define TABLE_CHANCE 0.909

enum {
    RUN = 256,      /* codes scored at once */
    BLOCKS = 2,     /* blocks scanned at once */
    SURVIVORS = 64, /* rows of blocks whose lower bits are read at once */
    QUERY_LEVELS = 2,
    FINE_BITS = 7 /* from so many on, two s8 a dimension */
};

struct query_level {
    int8_t *codes; /* padded */
    double scale, sum;
};

struct rabitq_scorer {
    struct quantizer_scorer base;
    const struct kern *kern;
    float *query;    /* y: padded */
    uint8_t *tables; /* padded / 4 of 16 */
    uint8_t *signs;  /* SURVIVORS times padded / 8 */
    float *spare;    /* padded */
    struct query_level level[QUERY_LEVELS];
    unsigned levels;           /* 0: the query is too long for estimates, which are all 0 then */
    double bias, length, left; /* |y|, |d| */
    float table_step, table_shift;
};

static void fetch(const uint8_t *bytes, size_t n) {
    for (size_t at = 0; at < n; at += 64) {
        __builtin_prefetch(bytes + at, 0, 2);
        atomic_signal_fence(memory_order_seq_cst); /* else gcc 12 keeps only the first */
    }
}

static size_t aligned(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

size_t rabitq_scorer_bytes(const struct quantizer *quantizer) {
    const size_t padded = rabitq_of(quantizer)->padded;
    return aligned(sizeof(struct rabitq_scorer)) + padded * (4 + 4 + 4 + QUERY_LEVELS) +
           SURVIVORS * padded / 8;
}

void rabitq_scorer_init(const struct quantizer *quantizer, void *scratch) {
    const size_t padded = rabitq_of(quantizer)->padded;
    struct rabitq_scorer *scorer = scratch;
    uint8_t *at = (uint8_t *)scratch + aligned(sizeof *scorer);
    *scorer = (struct rabitq_scorer){.base = {.quantizer = quantizer, .slack = INFINITY},
                                     .kern = kern_get()};
    scorer->query = (float *)(void *)at;
    scorer->spare = scorer->query + padded;
    scorer->tables = at + 8 * padded;
    scorer->level[0].codes = (int8_t *)(at + 12 * padded);
    scorer->level[1].codes = scorer->level[0].codes + padded;
    scorer->signs = at + 14 * padded;
}

/* ---- Making ready ---------------------------------------------------------------------------- */

/* q - m to spare, and the bias. */
static void centre_query(struct rabitq_scorer *scorer, const struct rabitq *r, const float *query) {
    const float *mean = r->mean;
    double dot[SUMS_LANES] = {0};
    SUMS_LOOP(r->base.dim, {
        scorer->spare[i] = query[i] - mean[i];
        dot[lane] += (double)mean[i] * (double)query[i];
    });
    scorer->bias =
        r->base.metric == KITH_METRIC_L2 ? r->mean_sq - 2 * sums_tree(dot) : -sums_tree(dot);
    rotation_apply(&r->rotation, scorer->spare, scorer->query);
    scorer->length = sqrt(sums_squares(r->padded, scorer->query));
}

static void quantise(struct rabitq_scorer *scorer, const struct rabitq *r) {
    memcpy(scorer->spare, scorer->query, r->padded * sizeof(float));
    scorer->levels = r->base.spec.bits >= FINE_BITS ? 2 : 1;
    for (unsigned i = 0; i < scorer->levels; i++) {
        struct query_level *level = &scorer->level[i];
        const struct folding_level made =
            folding_quantise(scorer->kern, r->padded, scorer->spare, level->codes);
        level->scale = (double)made.scale;
        level->sum = made.codes;
    }
    scorer->left = sqrt(sums_squares(r->padded, scorer->spare));
}

static void make_tables(struct rabitq_scorer *scorer, const struct rabitq *r) {
    const float *y = scorer->query;
    float *low = scorer->spare, widest = 0;
    double lows = 0, sum = 0;
    for (size_t g = 0; g < r->padded / 4; g++, y += 4) {
        float below = 0, above = 0;
        for (int i = 0; i < 4; i++) {
            below += y[i] < 0 ? y[i] : 0;
            above += y[i] > 0 ? y[i] : 0;
        }
        low[g] = below;
        widest = above - below > widest ? above - below : widest;
        lows += (double)below;
        sum += (double)below + (double)above;
    }
    scorer->table_step = widest / 255;
    if (scorer->table_step < FOLDING_SCALE_MIN) scorer->table_step = 0;
    const float inverse = scorer->table_step > 0 ? 1 / scorer->table_step : 0;
    scorer->kern->subset_tables(scorer->query, r->padded, inverse, low, scorer->tables);
    scorer->table_shift = (float)(lows - sum / 2); /* v is the sign's half: 1/2 less */
}

/* The bound of this file's head, for a row with |r'~| and term as given. */
static float slack_of(const struct rabitq_scorer *scorer, const struct rabitq *r, double length,
                      double term) {
    if (scorer->levels == 0) return INFINITY;
    const double part = rabitq_g(r) * length, p = r->padded;
    const double size = fabs(scorer->bias) + fabs(term) + part * scorer->length;
    const double dots = part * (scorer->left + Z * (p / 16 + 8) * scorer->length) + 4 * Z * size;
    const double step = scorer->table_step > 0 ? (double)scorer->table_step : 2 * scorer->length;
    const double tables = part * (0.255 * step * sqrt(p) + 32 * Z * scorer->length) + 8 * Z * size;
    return folding_round_up((r->base.spec.bits == 1 ? fmax(dots, tables) : dots) * (1 + 0x1p-10) +
                            0x1p-120);
}

void rabitq_set_query(struct quantizer_scorer *base, const float *query) {
    struct rabitq_scorer *scorer = (struct rabitq_scorer *)base;
    const struct rabitq *r = rabitq_of(base->quantizer);
    base->centre_dist = -1;
    centre_query(scorer, r, query);
    scorer->levels = 0;
    base->slack = INFINITY;
    if (!(scorer->length < TOO_LONG) || !(fabs(scorer->bias) < (double)FLT_MAX / 8)) return;
    quantise(scorer, r);
    make_tables(scorer, r);
    const double longest = (double)r->longest, reach = longest + scorer->length + sqrt(r->mean_sq);
    if (longest > 0) base->slack = slack_of(scorer, r, longest, 16 * reach * reach);
}

/* ---- Scores of codes ------------------------------------------------------------------------- */

static kern_dot_u8s8_list_fn list_of(const struct kern *kern, unsigned bits) {
    switch (bits) {
    case 1: return kern->dot_u1s8_list;
    case 2: return kern->dot_u2s8_list;
    case 4: return kern->dot_u4s8_list;
    case 6: return kern->dot_u6s8_list;
    default: return kern->dot_u8s8_list;
    }
}

static kern_dot_u8s8_rows_fn rows_of(const struct kern *kern, unsigned bits) {
    switch (bits) {
    case 1: return kern->dot_u1s8_rows;
    case 2: return kern->dot_u2s8_rows;
    case 4: return kern->dot_u4s8_rows;
    case 6: return kern->dot_u6s8_rows;
    default: return kern->dot_u8s8_rows;
    }
}

/* The dots of n rows of fields with a query level, times the weight of each part; n at most RUN. */
static void list_dots(const struct rabitq_scorer *scorer, struct rabitq_parts parts,
                      const int8_t *query, const uint8_t **fields, size_t n, int32_t *dots) {
    const size_t padded = rabitq_of(scorer->base.quantizer)->padded;
    const size_t bytes = fields_bytes(parts.high, padded);
    list_of(scorer->kern, parts.high)(query, (const uint8_t *const *)fields, n, bytes, dots);
    if (!parts.low) return;
    int32_t low[RUN];
    for (size_t i = 0; i < n; i++) fields[i] += bytes;
    scorer->kern->dot_u1s8_list(query, (const uint8_t *const *)fields, n, padded / 8, low);
    for (size_t i = 0; i < n; i++) {
        fields[i] -= bytes;
        dots[i] = 2 * dots[i] + low[i];
    }
}

static void rows_dots(const struct rabitq_scorer *scorer, struct rabitq_parts parts,
                      const int8_t *query, const uint8_t *fields, size_t stride, size_t n,
                      int32_t *dots) {
    const size_t padded = rabitq_of(scorer->base.quantizer)->padded;
    const size_t bytes = fields_bytes(parts.high, padded);
    rows_of(scorer->kern, parts.high)(query, fields, stride, n, bytes, dots);
    if (!parts.low) return;
    int32_t low[RUN];
    scorer->kern->dot_u1s8_rows(query, fields + bytes, stride, n, padded / 8, low);
    for (size_t i = 0; i < n; i++) dots[i] = 2 * dots[i] + low[i];
}

/* <y, u - middle> of fields u, from their dots with the levels. */
static inline double level_sums(const struct rabitq_scorer *scorer, double middle, int32_t dot,
                                int32_t dot_fine) {
    const struct query_level *a = &scorer->level[0], *b = &scorer->level[1];
    const double sum = a->scale * ((double)dot - middle * a->sum);
    return scorer->levels > 1 ? sum + b->scale * ((double)dot_fine - middle * b->sum) : sum;
}

static inline float finish(const struct rabitq_scorer *scorer, double middle, double term,
                           double weight, int32_t dot, int32_t dot_fine) {
    return (float)(scorer->bias + term + weight * level_sums(scorer, middle, dot, dot_fine));
}

void rabitq_list(const struct quantizer_scorer *base, const uint8_t *const *codes, size_t n,
                 float *scores) {
    const struct rabitq_scorer *scorer = (const struct rabitq_scorer *)base;
    const struct rabitq *r = rabitq_of(base->quantizer);
    const double middle = rabitq_middle(r);
    const unsigned term = rabitq_term_at(r), weight = rabitq_weight_at(r);
    int32_t dots[QUERY_LEVELS][RUN] = {{0}};
    const uint8_t *fields[RUN];
    for (size_t run; n; n -= run, codes += run, scores += run) {
        run = n < RUN ? n : RUN;
        for (size_t i = 0; i < run; i++) fields[i] = codes[i] + r->fields;
        for (unsigned k = 0; k < scorer->levels; k++)
            list_dots(scorer, r->row, scorer->level[k].codes, fields, run, dots[k]);
        for (size_t i = 0; i < run; i++)
            scores[i] = scorer->levels
                            ? finish(scorer, middle, rabitq_factor(codes[i], term),
                                     rabitq_factor(codes[i], weight), dots[0][i], dots[1][i])
                            : 0;
    }
}

void rabitq_rows(const struct quantizer_scorer *base, const uint8_t *codes, size_t stride, size_t n,
                 float *scores) {
    const struct rabitq_scorer *scorer = (const struct rabitq_scorer *)base;
    const struct rabitq *r = rabitq_of(base->quantizer);
    const double middle = rabitq_middle(r);
    const unsigned term = rabitq_term_at(r), weight = rabitq_weight_at(r);
    int32_t dots[QUERY_LEVELS][RUN] = {{0}};
    for (size_t run; n; n -= run, codes += run * stride, scores += run) {
        run = n < RUN ? n : RUN;
        for (unsigned k = 0; k < scorer->levels; k++)
            rows_dots(scorer, r->row, scorer->level[k].codes, codes + r->fields, stride, run,
                      dots[k]);
        for (size_t i = 0; i < run; i++) {
            const uint8_t *code = codes + i * stride;
            scores[i] = scorer->levels ? finish(scorer, middle, rabitq_factor(code, term),
                                                rabitq_factor(code, weight), dots[0][i], dots[1][i])
                                       : 0;
        }
    }
}

/* Half-integers of a code to spare; returns the sum of their squares. */
static double code_values(const struct rabitq *r, const uint8_t *code, float *out) {
    const float middle = (float)rabitq_middle(r);
    double square = 0;
    for (size_t at = 0, n; at < r->padded; at += n) {
        uint8_t values[RABITQ_LINE];
        n = rabitq_line(r, at);
        rabitq_get(r, r->row, code + r->fields, at, n, values);
        for (size_t i = 0; i < n; i++) {
            float v = (float)values[i] - middle;
            square += (double)v * (double)v;
            if (out) out[at + i] = v;
        }
    }
    return square;
}

float rabitq_score(const struct quantizer_scorer *base, const uint8_t *code) {
    const struct rabitq_scorer *scorer = (const struct rabitq_scorer *)base;
    const struct rabitq *r = rabitq_of(base->quantizer);
    code_values(r, code, scorer->spare);
    const double dot = (double)scorer->kern->pair[KITH_TYPE_F32][KERN_DOT](
        scorer->query, scorer->spare, r->padded);
    const double weight = (double)rabitq_factor(code, rabitq_weight_at(r));
    const double term = (double)rabitq_factor(code, rabitq_term_at(r));
    return (float)(scorer->bias + term + (weight != 0 ? weight * dot : 0));
}

float rabitq_slack(const struct quantizer_scorer *base, const uint8_t *code) {
    const struct rabitq_scorer *scorer = (const struct rabitq_scorer *)base;
    const struct rabitq *r = rabitq_of(base->quantizer);
    const double a = -(double)rabitq_factor(code, rabitq_weight_at(r)) / rabitq_g(r);
    return slack_of(scorer, r, a * sqrt(code_values(r, code, NULL)),
                    (double)rabitq_factor(code, rabitq_term_at(r)));
}

float rabitq_error(const struct quantizer *quantizer, const uint8_t *code) {
    const struct rabitq *r = rabitq_of(quantizer);
    const double error = (double)rabitq_factor(code, SIGN_ERROR), g = rabitq_g(r);
    if (quantizer->spec.bits == 1) return (float)error;
    const double left = r->padded - 1.0;
    const double sign_a = (double)rabitq_factor(code, SIGN_WEIGHT) / g;
    const double a = (double)rabitq_factor(code, WEIGHT) / g;
    const double row_sq = sign_a * sign_a * r->padded / 4 - error * error / (g * g) * left;
    const double off = a * a * code_values(r, code, NULL) - row_sq;
    return off > 0 ? (float)(g * sqrt(off / left)) : 0;
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

/* Rows of blocks that signs have not ruled out. */
struct survivors {
    size_t n;
    const uint8_t *block[SURVIVORS];
    const uint8_t *extra[SURVIVORS];
    uint8_t row[SURVIVORS];
    float sign_score[SURVIVORS];
    float *score[SURVIVORS];
};

static double block_factor(const struct rabitq *r, const struct survivors *rows, size_t i,
                           unsigned which) {
    return (double)rabitq_factor(rows->block[i] + r->factors_at,
                                 QUANT_BLOCK * which + rows->row[i]);
}

/* The least that the score may be, but for what the tables' rounding makes of it by chance: the signs' part as the tables
 * have it, the rest by dots. */
static double least_score(const struct rabitq_scorer *scorer, const struct rabitq *r,
                          const struct survivors *rows, size_t i, int32_t dot, int32_t dot_fine) {
    const double weight = block_factor(r, rows, i, WEIGHT), half = 1u << (r->base.spec.bits - 1);
    const double sign_weight = block_factor(r, rows, i, SIGN_WEIGHT);
    const double fixed = scorer->bias + block_factor(r, rows, i, SIGN_TERM);
    const double signs = sign_weight != 0 ? ((double)rows->sign_score[i] - fixed) / sign_weight : 0;
    const double extra = level_sums(scorer, (half - 1) / 2, dot, dot_fine);
    const double tables = TABLE_CHANCE * sqrt((double)r->padded) * (double)scorer->table_step;
    return scorer->bias + block_factor(r, rows, i, TERM) +
           weight * (half * (signs + tables) + extra);
}

/* All bits of them, where the lower ones do not rule them out: the same sums, and so the same scores, as list() has. */
static void score_survivors(const struct rabitq_scorer *scorer, const struct rabitq *r, float limit,
                            struct survivors *rows) {
    const size_t sign_bytes = r->padded / 8;
    const double middle = rabitq_middle(r);
    const int32_t half = 1 << (r->base.spec.bits - 1);
    int32_t dots[QUERY_LEVELS][SURVIVORS] = {{0}}, signs[QUERY_LEVELS][SURVIVORS] = {{0}};
    uint8_t kept[SURVIVORS];
    size_t n = 0;
    for (unsigned k = 0; k < scorer->levels; k++)
        list_dots(scorer, r->extra, scorer->level[k].codes, rows->extra, rows->n, dots[k]);
    for (size_t i = 0; i < rows->n; i++) {
        if (least_score(scorer, r, rows, i, dots[0][i], dots[1][i]) > (double)limit) continue;
        rabitq_signs(rows->block[i], r->padded, rows->row[i], scorer->signs + n * sign_bytes);
        kept[n++] = (uint8_t)i;
    }
    for (unsigned k = 0; k < scorer->levels; k++)
        scorer->kern->dot_u1s8_rows(scorer->level[k].codes, scorer->signs, sign_bytes, n,
                                    sign_bytes, signs[k]);
    for (size_t j = 0; j < n; j++) {
        const size_t i = kept[j];
        *rows->score[i] =
            finish(scorer, middle, block_factor(r, rows, i, TERM), block_factor(r, rows, i, WEIGHT),
                   dots[0][i] + half * signs[0][j], dots[1][i] + half * signs[1][j]);
    }
    rows->n = 0;
}

/* The rows of the mask are to be scored; all others are beyond the limit. */
static void add_survivors(const struct rabitq_scorer *scorer, const struct rabitq *r,
                          const uint8_t *block, uint32_t mask, float limit, float *scores,
                          struct survivors *rows) {
    float by_signs[QUANT_BLOCK];
    memcpy(by_signs, scores, sizeof by_signs);
    for (unsigned i = 0; i < QUANT_BLOCK; i++) scores[i] = INFINITY;
    for (; mask; mask &= mask - 1) {
        const unsigned i = (unsigned)__builtin_ctz(mask);
        if (rows->n == SURVIVORS) score_survivors(scorer, r, limit, rows);
        const size_t at = rows->n++;
        rows->block[at] = block;
        rows->extra[at] = block + r->extra_at + (size_t)i * r->extra_bytes;
        rows->row[at] = (uint8_t)i;
        rows->sign_score[at] = by_signs[i];
        rows->score[at] = scores + i;
        fetch(rows->extra[at], r->extra_bytes);
    }
}

/* The scan by signs of n blocks, at most BLOCKS; scores of signs to scores. */
static void scan_signs(const struct rabitq_scorer *scorer, const struct rabitq *r,
                       const uint8_t *blocks, size_t n, float limit, float *scores,
                       uint32_t *mask) {
    const double mean = sqrt(r->mean_sq), from = (double)scorer->base.centre_dist;
    const double away = from < 0 ? scorer->length : from + mean;
    const double tables = (double)scorer->table_step * sqrt((double)r->padded) / 2;
    const size_t array = QUANT_BLOCK * sizeof(float);
    const struct kern_fastscan scan = {
        .lut = scorer->tables,
        .blocks = blocks,
        .m = r->padded / 4,
        .stride = r->base.block_bytes,
        .n = n,
        .term = r->factors_at + SIGN_TERM * array,
        .factor = r->factors_at + SIGN_WEIGHT * array,
        .error = r->factors_at + SIGN_ERROR * array,
        .scale = scorer->table_step,
        .shift = scorer->table_shift,
        .bias = (float)scorer->bias,
        .margin = (float)((double)RABITQ_EPSILON * sqrt(away * away + tables * tables)),
        .limit = limit,
        .dist = scores,
        .mask = mask,
    };
    scorer->kern->fastscan(&scan);
}

/* Blocks are one stream only where there are no lower bits between their signs: ahead of that scan they are fetched. */
void rabitq_blocks(const struct quantizer_scorer *base, const uint8_t *blocks, size_t n,
                   float limit, float *scores) {
    const struct rabitq_scorer *scorer = (const struct rabitq_scorer *)base;
    const struct rabitq *r = rabitq_of(base->quantizer);
    const size_t stride = r->base.block_bytes;
    struct survivors rows = {.n = 0};
    uint32_t mask[BLOCKS];
    n = (n + QUANT_BLOCK - 1) / QUANT_BLOCK;
    if (scorer->levels == 0) {
        memset(scores, 0, n * QUANT_BLOCK * sizeof *scores);
        return;
    }
    for (size_t run; n; n -= run) {
        run = n < BLOCKS ? n : BLOCKS;
        for (size_t b = run; r->extra_bytes && b < n && b < 2 * run; b++)
            fetch(blocks + b * stride, r->extra_at);
        scan_signs(scorer, r, blocks, run, limit, scores, mask);
        for (size_t b = 0; b < run; b++, blocks += stride, scores += QUANT_BLOCK)
            if (r->extra_bytes) add_survivors(scorer, r, blocks, mask[b], limit, scores, &rows);
    }
    if (rows.n) score_survivors(scorer, r, limit, &rows);
}
