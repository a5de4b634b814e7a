/* Queries made ready: folding, quantising, and the bound on what that loses.
 *
 * One-byte rows decode to x_i = mid_i + step_i (c_i - 128) with mid_i = low_i + 128 step_i (u8: mid 128,
 * step 1). A query q is folded to f_i = (q_i - mid_i) step_i under L2 and f_i = q_i step_i under IP and
 * COSINE, and quantised to e_i = round(f_i / t), t = max|f| / 127, leaving d_i = f_i - t e_i. Then
 *
 *     sum f (c-128)  =  t sum(e c) + 127.5 sum(d) - 128 sum(f) + sum d (c-127.5)
 *                    =  t sum(e c) - sum(f)/2 - 127.5 t sum(e) + R,     |R| <= 127.5 sum|d|,
 *
 * and with S = sum (q-mid)^2, term = sum step^2 (c-128)^2 (L2) or S = -sum q mid, term = 0 (IP):
 *
 *     dist = S + term - g sum f (c-128)          g = 2 under L2, 1 under IP and COSINE
 *          = fma(-g t, dot(e, c), term + bias) - g R,   bias = S + g/2 sum(f) + 127.5 g t sum(e).
 *
 * Taking out the mean of c keeps R small: codes of a row lie around 128, not around 0.
 *
 * slack, with u = 2^-24, T the largest term, E = 255 g (sum|f| + sum|d|) >= |g t dot|, L_i = |low_i| + 255
 * step_i, W_i = |q_i - mid_i| + 128 step_i, is the sum of
 *     127.5 g sum|d|                          the quantised query (after scorer_refine: of what it left)
 *     u (3 |bias| + 3 T + 2 E)                rounding of term, bias, their sum, (float)dot, and the result
 *     u (256 g sum|f| + 2 |S|)                rounding of q - mid and of its product with step
 *     4 u sum L W + 4 u^2 sum L^2             L2: rounding of decoded elements and of mid; u8 has none
 *     2 u sum |q| L  (COSINE: + 3 u |L|)      IP: the same; COSINE: rounding of the unit query too
 *     2^-120                                  underflow of any product
 * times 1 + 2^-20, for the second order and for sums in double. COSINE over u8 needs neither mid nor the
 * mean: the real cosine moves by at most |d| / |q|, because |sum d c| <= |d| |c|; plus 8 u.
 *
 * A stored row as query (scorer_set_row) skips all this: with f a linear function of its codes, t can be
 * the same for all rows, |d| is taken as t/2, and one pass over the bytes makes e and the sums. */
#include "quant/code.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/scorer.h"
#include "quant/sums.h"

#define U    0x1p-24
#define TINY 0x1p-120
/* Below it 1 / t would leave f32. */
#define SCALE_MIN 0x1p-110f

/* A float that is not below a double of at least 0. */
static float round_up(double x) {
    double more = x * (1 + 0x1p-20);
    return more < (double)FLT_MAX / 2 ? nextafterf((float)more, INFINITY) : INFINITY;
}

static double weight_of(const struct code *code) { return scorer_is_l2(code) ? 2 : 1; }

/* What folding sums up on the way. */
struct fold {
    double fixed;    /* S */
    double decode;   /* sum L W, or sum |q| L */
    double reach_sq; /* sum L^2 */
    double term_max; /* T */
};

static struct fold fold_u8(struct scorer *scorer) {
    struct fold fold = {0};
    const size_t dim = scorer->code->dim;
    const float *query = scorer->query;
    float *folded = scorer->folded;
    double fixed[SUMS_LANES] = {0};
    if (!scorer_is_l2(scorer->code)) {
        memcpy(folded, query, dim * sizeof(float));
        SUMS_LOOP(dim, lane, { fixed[lane] -= 128 * (double)query[i]; });
    } else {
        SUMS_LOOP(dim, lane, {
            folded[i] = query[i] - 128;
            fixed[lane] += (double)folded[i] * (double)folded[i];
        });
        fold.term_max = 16384.0 * (double)dim;
    }
    fold.fixed = sums_tree(fixed);
    return fold;
}

static struct fold fold_sq8_l2(struct scorer *scorer) {
    const float *query = scorer->query, *low = scorer->code->low, *step = scorer->code->step;
    float *folded = scorer->folded;
    double fixed[SUMS_LANES] = {0}, decode[SUMS_LANES] = {0}, reach[SUMS_LANES] = {0},
           term[SUMS_LANES] = {0};
    SUMS_LOOP(scorer->code->dim, lane, {
        float half = 128 * step[i];
        float far = query[i] - (low[i] + half);
        float large = fabsf(low[i]) + 2 * half;
        folded[i] = far * step[i];
        fixed[lane] += (double)far * (double)far;
        decode[lane] += (double)large * (double)(fabsf(far) + half);
        reach[lane] += (double)large * (double)large;
        term[lane] += (double)half * (double)half;
    });
    return (struct fold){sums_tree(fixed), sums_tree(decode), sums_tree(reach), sums_tree(term)};
}

static struct fold fold_sq8_dot(struct scorer *scorer) {
    const float *query = scorer->query, *low = scorer->code->low, *step = scorer->code->step;
    float *folded = scorer->folded;
    double fixed[SUMS_LANES] = {0}, decode[SUMS_LANES] = {0}, reach[SUMS_LANES] = {0};
    SUMS_LOOP(scorer->code->dim, lane, {
        float half = 128 * step[i];
        float large = fabsf(low[i]) + 2 * half;
        folded[i] = query[i] * step[i];
        fixed[lane] -= (double)query[i] * (double)(low[i] + half);
        decode[lane] += (double)large * (double)fabsf(query[i]);
        reach[lane] += (double)large * (double)large;
    });
    return (struct fold){sums_tree(fixed), sums_tree(decode), sums_tree(reach), 0};
}

/* A quantised vector: its scale, and sums over it and over what it leaves. */
struct level {
    float scale;                  /* t; INFINITY where values are too large */
    double sum, abs_sum;          /* f */
    double left_abs_sum, left_sq; /* d */
    double codes;                 /* sum(e) */
};

/* Quantise values to s8 at out; the remainder takes their place. */
static struct level quantise(const struct scorer *scorer, float *values, int8_t *out) {
    const size_t dim = scorer->code->dim;
    const float largest = scorer->kern->max_abs(values, dim);
    struct level level = {.scale = largest / 127};
    if (!(largest < FLT_MAX)) {
        level.scale = INFINITY;
        return level;
    }
    if (level.scale < SCALE_MIN) level.scale = 0;
    scorer->kern->encode_s8(values, level.scale > 0 ? 1 / level.scale : 0, dim, out);
    const double scale = (double)level.scale;
    double sum[SUMS_LANES] = {0}, abs_sum[SUMS_LANES] = {0}, left_abs[SUMS_LANES] = {0},
           left_sq[SUMS_LANES] = {0};
    int32_t codes[SUMS_LANES] = {0};
    SUMS_LOOP(dim, lane, {
        double value = (double)values[i], left = value - scale * (double)out[i];
        sum[lane] += value;
        abs_sum[lane] += fabs(value);
        left_abs[lane] += fabs(left);
        left_sq[lane] += left * left;
        codes[lane] += out[i];
        values[i] = (float)left;
    });
    level.sum = sums_tree(sum);
    level.abs_sum = sums_tree(abs_sum);
    level.left_abs_sum = sums_tree(left_abs);
    level.left_sq = sums_tree(left_sq);
    for (size_t lane = 0; lane < SUMS_LANES; lane++) level.codes += (double)codes[lane];
    return level;
}

/* No estimate can be trusted: every one is 0, within INFINITY. */
static void give_up(struct scorer *scorer) {
    memset(scorer->quantised, 0, scorer->code->bytes);
    scorer->scale = scorer->bias = scorer->scale_fine = scorer->bias_fine = 0;
    scorer->slack = scorer->slack_fine = INFINITY;
    scorer->settled = true;
}

/* The cosine of u8 rows: the estimate is -(t dot) / (|q| |c|). */
static float cosine_slack(const struct scorer *scorer, const struct level *level) {
    double lost = sqrt(level->left_sq) * (double)scorer->inv;
    return round_up(lost + 8 * U * (1 + lost));
}

static void set_dot_bytes(struct scorer *scorer) {
    const struct code *code = scorer->code;
    const double g = weight_of(code);
    const bool l2 = scorer_is_l2(code);
    const struct fold fold = code->kind == CODE_U8 ? fold_u8(scorer)
                             : l2                  ? fold_sq8_l2(scorer)
                                                   : fold_sq8_dot(scorer);
    const struct level level = quantise(scorer, scorer->folded, scorer->quantised);
    scorer->scale = (float)-g * level.scale;
    scorer->settled = false;
    if (code->inv_at) { /* COSINE over u8 */
        scorer->scale *= scorer->inv;
        scorer->slack = scorer->slack_fine = cosine_slack(scorer, &level);
        if (level.scale == INFINITY) give_up(scorer);
        return;
    }
    double bias = fold.fixed + g * (0.5 * level.sum + 127.5 * (double)level.scale * level.codes);
    double dot_max = 255 * g * (level.abs_sum + level.left_abs_sum);
    double rounding = 3 * fabs(bias) + 3 * fold.term_max + 2 * dot_max;
    rounding += 256 * g * level.abs_sum + 2 * fabs(fold.fixed);
    rounding += l2 ? 4 * fold.decode + 4 * U * fold.reach_sq : 2 * fold.decode;
    if (code->metric == KITH_METRIC_COSINE) rounding += 3 * sqrt(fold.reach_sq);
    scorer->base = bias;
    scorer->bias = (float)bias;
    scorer->rounding = U * rounding + TINY;
    scorer->slack = round_up(127.5 * g * level.left_abs_sum + scorer->rounding);
    scorer->slack_fine = scorer->slack;
    if (!(rounding < (double)FLT_MAX / 8) || level.scale == INFINITY) give_up(scorer);
}

/* Whole numbers: e = q - 128, t = 1, d = 0. */
static void set_whole(struct scorer *scorer, int64_t sum, int64_t abs_sum, int64_t squares,
                      int64_t farthest) {
    const int64_t term_max = 16384 * (int64_t)scorer->code->dim, whole = 1 << 24;
    const int64_t bias = squares + 256 * sum, dot_max = 255 * abs_sum;
    scorer->scale = -2;
    scorer->bias = scorer->bias_fine = (float)bias;
    bool exact = term_max <= whole && llabs(bias) <= whole && bias + term_max <= whole &&
                 dot_max <= whole && farthest <= whole;
    double rounding = 3 * fabs((double)bias) + 3 * (double)term_max + 4 * (double)dot_max;
    scorer->slack = scorer->slack_fine = exact ? 0 : round_up(U * rounding);
    scorer->scale_fine = 0;
}

static void set_whole_query(struct scorer *scorer) {
    int64_t sum = 0, abs_sum = 0, squares = 0, farthest = 0;
    const size_t dim = scorer->code->dim;
    for (size_t i = 0; i < dim; i++) {
        int32_t e = (int32_t)scorer->query[i] - 128, far = e < 0 ? 127 - e : 128 + e;
        scorer->quantised[i] = (int8_t)e;
        sum += e;
        abs_sum += e < 0 ? -e : e;
        squares += e * e;
        farthest += far * far;
    }
    set_whole(scorer, sum, abs_sum, squares, farthest);
}

static void set_whole_row(struct scorer *scorer, const uint8_t *row) {
    int32_t sum = 0, squares = 0;
    const int32_t dim = (int32_t)scorer->code->dim;
    int8_t *quantised = scorer->quantised;
    for (int32_t i = 0; i < dim; i++) {
        int32_t e = row[i] - 128;
        quantised[i] = (int8_t)e;
        sum += e;
        squares += e * e;
    }
    set_whole(scorer, sum, 128 * dim, squares, 65025 * (int64_t)dim);
}

void scorer_set_query(struct scorer *scorer, const float *query) {
    const struct code *code = scorer->code;
    scorer->inv = 1;
    scorer->slack = scorer->slack_fine = scorer->scale_fine = 0;
    scorer->settled = true;
    if (code->metric == KITH_METRIC_COSINE) scorer->inv = code_inverse_length(code->dim, query);
    if (code->metric == KITH_METRIC_COSINE && code->kind == CODE_SQ8) {
        double l2sq = sums_squares(code->dim, query);
        sums_scale(code->dim, query, l2sq == 0 ? 0 : 1 / sqrt(l2sq), scorer->query);
    } else if (query != scorer->query) {
        memcpy(scorer->query, query, code->dim * sizeof(float));
    }
    if (!scorer_is_byte(code) || code->metric == KITH_METRIC_L1) return;
    if (code->kind == CODE_U8 && scorer_is_l2(code) && code_is_integral(code->dim, query))
        set_whole_query(scorer);
    else
        set_dot_bytes(scorer);
}

void scorer_refine(struct scorer *scorer) {
    const struct code *code = scorer->code;
    scorer->scale_fine = 0;
    scorer->slack_fine = scorer->slack;
    if (scorer->settled) return;
    const double g = weight_of(code);
    const struct level level = quantise(scorer, scorer->folded, scorer->fine);
    scorer->settled = true;
    if (level.scale == 0) return;
    scorer->scale_fine = (float)-g * level.scale;
    if (code->inv_at) {
        scorer->scale_fine *= scorer->inv;
        scorer->slack_fine = cosine_slack(scorer, &level);
        return;
    }
    scorer->bias_fine = (float)(scorer->base + 127.5 * g * (double)level.scale * level.codes);
    double rounding = scorer->rounding + U * 255 * g * level.abs_sum;
    scorer->slack_fine = round_up(127.5 * g * level.left_abs_sum + rounding);
}

/* ---- A stored sq8 row as the query -------------------------------------------------------------- */

/* f_i / t = (c_i - 128) weight_i + offset_i, with one t for all rows. */
static void prepare_rows(struct scorer *scorer) {
    const struct code *code = scorer->code;
    const bool l2 = scorer_is_l2(code);
    const double g = weight_of(code);
    double largest = 0, active = 0, term = 0, mid_sq = 0, decode = 0, reach = 0;
    for (size_t i = 0; i < code->dim; i++) {
        double low = (double)code->low[i], step = (double)code->step[i];
        double mid = low + 128 * step, large = fabs(low) + 256 * step;
        double f = (l2 ? 0 : fabs(mid)) * step + 128 * step * step;
        largest = f > largest ? f : largest;
        active += step > 0;
        term += 16384 * step * step;
        mid_sq += mid * mid;
        reach += large * large;
        decode += l2 ? 8 * large * 256 * step : 0;
    }
    scorer->row_ready = true;
    scorer->row_scale = (float)(largest / 127);
    if (!(scorer->row_scale > SCALE_MIN) || !(reach * 1e6 < (double)FLT_MAX)) {
        scorer->row_scale = 0; /* no fast way: decode, and set as a query */
        return;
    }
    const double scale = (double)scorer->row_scale;
    for (size_t i = 0; i < (size_t)((code->dim + 15) & ~15u); i++) {
        bool in = i < code->dim;
        double low = in ? (double)code->low[i] : 0, step = in ? (double)code->step[i] : 0;
        scorer->row_weight[i] = (float)(step * step / scale);
        scorer->row_offset[i] = l2 ? 0 : (float)((low + 128 * step) * step / scale);
    }
    scorer->row_fixed = l2 ? 0 : mid_sq;
    scorer->row_reach = sqrt(reach);
    double magnitude = (l2 ? 0 : mid_sq) + term + g * 127 * 255 * scale * active;
    double rounding = 64 * U * magnitude + U * (l2 ? decode + 16 * U * reach : 4 * reach) + TINY;
    scorer->row_slack = 127.5 * g * 0.501 * scale * active + rounding;
    scorer->rounding = rounding;
}

struct row_sums {
    double value, offset, square, codes; /* sums of v, (c-128) offset, (c-128)^2 weight, e */
};

/* One pass: e = round(v) with v = (c-128) weight + offset. Adding and taking away 1.5 * 2^23 rounds to
 * even in any vector unit. */
static struct row_sums quantise_row(const struct scorer *scorer, const uint8_t *row) {
    enum { LANES = 16, BLOCK = 256 };
    const size_t dim = scorer->code->dim;
    const float *weight = scorer->row_weight, *offset = scorer->row_offset;
    int8_t *out = scorer->quantised;
    struct row_sums sums = {0};
    for (size_t begin = 0; begin < dim; begin += BLOCK) {
        size_t end = begin + BLOCK < dim ? begin + BLOCK : dim;
        float value[LANES] = {0}, by_offset[LANES] = {0}, square[LANES] = {0}, codes[LANES] = {0};
        for (size_t i = begin; i < end; i += LANES)
            for (size_t lane = 0; lane < LANES; lane++) {
                float c = (float)(row[i + lane] - 128);
                float by_weight = c * weight[i + lane];
                float v = by_weight + offset[i + lane];
                float e = (v + 0x1.8p23f) - 0x1.8p23f;
                out[i + lane] = (int8_t)(int32_t)e;
                value[lane] += v;
                by_offset[lane] += c * offset[i + lane];
                square[lane] += c * by_weight;
                codes[lane] += e;
            }
        for (size_t lane = 0; lane < LANES; lane++) {
            sums.value += (double)value[lane];
            sums.offset += (double)by_offset[lane];
            sums.square += (double)square[lane];
            sums.codes += (double)codes[lane];
        }
    }
    return sums;
}

static void set_sq8_row(struct scorer *scorer, const uint8_t *row) {
    const struct code *code = scorer->code;
    const double g = weight_of(code), scale = (double)scorer->row_scale;
    const struct row_sums sums = quantise_row(scorer, row);
    double fixed =
        scorer_is_l2(code) ? scale * sums.square : -(scorer->row_fixed + scale * sums.offset);
    double bias = fixed + g * scale * (0.5 * sums.value + 127.5 * sums.codes);
    double factor = 1, slack = scorer->row_slack;
    if (code->metric == KITH_METRIC_COSINE) {
        double l2sq = scorer->row_fixed + scale * (2 * sums.offset + sums.square);
        factor = l2sq > 0 ? 1 / sqrt(l2sq) : 0;
        slack *= factor;
        slack += (l2sq > 0 ? scorer->rounding / l2sq + 8 * U : 2) * scorer->row_reach;
        scorer->inv = (float)factor;
    }
    scorer->scale = (float)(-g * scale * factor);
    scorer->bias = (float)(bias * factor);
    scorer->slack = scorer->slack_fine = round_up(slack);
    scorer->scale_fine = 0;
}

void scorer_set_row(struct scorer *scorer, const uint8_t *row) {
    const struct code *code = scorer->code;
    scorer->settled = true;
    if (code->kind == CODE_U8 && scorer_is_l2(code)) {
        set_whole_row(scorer, row);
        return;
    }
    if (code->kind == CODE_SQ8 && code->metric != KITH_METRIC_L1) {
        if (!scorer->row_ready) prepare_rows(scorer);
        if (scorer->row_scale > 0) {
            set_sq8_row(scorer, row);
            return;
        }
    }
    code_decode(code, row, scorer->query);
    if (scorer_is_byte(code)) {
        scorer_set_query(scorer, scorer->query);
    } else if (code->inv_at) {
        memcpy(&scorer->inv, row + code->inv_at, sizeof scorer->inv);
    }
}
