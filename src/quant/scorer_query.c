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
 * slack, with u = 2^-24, T the largest term, F = sum|f|, D = sum|d|, E = 255 g (F + D) >= |g t dot|,
 * L_i = |low_i| + 256 step_i, W_i = |q_i - mid_i| + 128 step_i, is the sum of
 *     127.5 g D                               the quantised query (after scorer_refine: of what it left)
 *     u (3 |bias| + 3 T + 2 E)                rounding of term, bias, their sum, (float)dot, and the result
 *     512 u g (F + D)                         rounding of q - mid, f, t e, d, and in sum(f)
 *     24 u |S|  (IP: 24 u sum |q| L)          rounding in S
 *     4 u sum L W + 4 u^2 sum L^2             L2: rounding of decoded elements and of mid; u8 has none
 *     2 u sum |q| L  (COSINE: + 3 u |L|)      IP: the same; COSINE: rounding of the unit query too
 *     2^-120                                  underflow of any product
 * times 1 + 2^-18, for the second order and for rounding in these sums themselves. COSINE over u8 needs
 * neither mid nor the mean: the real cosine moves by at most |d| / |q|, because |sum d c| <= |d| |c|;
 * plus 8 u, u |f| / |q| for the rounding of d, and (dim / 16 + 16) u for both lengths, sums by the law.
 * A query too short for such a sum gets no bound.
 *
 * A stored row as query (scorer_set_row) skips all this: with f a linear function of its codes, t can be
 * the same for all rows, |d| is taken as t/2, and one pass over the bytes makes e and the sums. */
#include "quant/code.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "quant/folding.h"
#include "quant/code_quantized.h"
#include "quant/scorer.h"
#include "quant/sums.h"

#define U    0x1p-24
#define TINY 0x1p-120
/* Beyond it squares underflow. */
#define LENGTH_MIN_INVERSE 0x1p50f

static double weight_of(const struct code *code) { return scorer_is_l2(code) ? 2 : 1; }

/* Elements from `at` on that go through a folding kernel at once: few enough that its f32 sums err by less
 * than 24 u of the sum of magnitudes. */
static size_t block_of(size_t at, size_t dim) {
    return dim - at < KERN_FOLD_MAX ? dim - at : KERN_FOLD_MAX;
}

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
        SUMS_LOOP(dim, { fixed[lane] -= 128 * (double)query[i]; });
    } else {
        SUMS_LOOP(dim, {
            folded[i] = query[i] - 128;
            fixed[lane] += (double)folded[i] * (double)folded[i];
        });
        fold.term_max = 16384.0 * (double)dim;
    }
    fold.fixed = sums_tree(fixed);
    return fold;
}

static struct fold fold_sq8(struct scorer *scorer) {
    const struct code *code = scorer->code;
    const bool l2 = scorer_is_l2(code);
    struct fold fold = {0};
    for (size_t at = 0, n; at < code->dim; at += n) {
        float sums[4];
        n = block_of(at, code->dim);
        (l2 ? scorer->kern->fold_l2 : scorer->kern->fold_dot)(
            scorer->query + at, code->low + at, code->step + at, n, scorer->folded + at, sums);
        fold.fixed += (double)(l2 ? sums[0] : -sums[0]);
        fold.decode += (double)sums[1];
        fold.reach_sq += (double)sums[2];
        fold.term_max += (double)sums[3];
    }
    return fold;
}

/* No estimate can be trusted: every one is 0, within INFINITY. */
static void give_up(struct scorer *scorer) {
    memset(scorer->quantised, 0, scorer->code->bytes);
    scorer->scale = scorer->bias = scorer->scale_fine = scorer->bias_fine = 0;
    scorer->slack = scorer->slack_fine = INFINITY;
    scorer->settled = true;
}

/* The cosine of u8 rows: the estimate is -(t dot) / (|q| |c|). */
static float cosine_slack(const struct scorer *scorer, const struct folding_level *level,
                          const float *left) {
    const size_t dim = scorer->code->dim;
    double left_sq =
        (double)scorer->kern->dot_self[KITH_TYPE_F32](left, dim) * (1 + 0x1p-11) + TINY;
    double lost = sqrt(left_sq) * (double)scorer->inv;
    double rounding = level->abs_sum * (double)scorer->inv; /* >= |f| / |q| */
    double lengths = ((double)dim / 16 + 16) * (1 + lost);
    return folding_round_up(lost * (1 + 0x1p-11) + U * (8 + 8 * lost + rounding + lengths));
}

static void set_dot_bytes(struct scorer *scorer) {
    const struct code *code = scorer->code;
    const double g = weight_of(code);
    const bool l2 = scorer_is_l2(code);
    const struct fold fold = code->kind == CODE_U8 ? fold_u8(scorer) : fold_sq8(scorer);
    const struct folding_level level =
        folding_quantise(scorer->kern, code->dim, scorer->folded, scorer->quantised);
    scorer->scale = (float)-g * level.scale;
    scorer->settled = false;
    if (code->inv_at) { /* COSINE over u8 */
        scorer->scale *= scorer->inv;
        scorer->slack = scorer->slack_fine = cosine_slack(scorer, &level, scorer->folded);
        if (level.scale == INFINITY || scorer->inv > LENGTH_MIN_INVERSE) give_up(scorer);
        return;
    }
    double bias = fold.fixed + g * (0.5 * level.sum + 127.5 * (double)level.scale * level.codes);
    double dot_max = 255 * g * (level.abs_sum + level.left_abs_sum);
    double rounding = 3 * fabs(bias) + 3 * fold.term_max + 2 * dot_max;
    rounding += 512 * g * (level.abs_sum + level.left_abs_sum);
    rounding += l2 ? 24 * fold.fixed + 4 * fold.decode + 4 * U * fold.reach_sq : 26 * fold.decode;
    if (code->metric == KITH_METRIC_COSINE) rounding += 3 * sqrt(fold.reach_sq);
    scorer->base = bias;
    scorer->bias = (float)bias;
    scorer->rounding = U * rounding + TINY;
    scorer->slack = folding_round_up(127.5 * g * level.left_abs_sum + scorer->rounding);
    scorer->slack_fine = scorer->slack;
    if (!(rounding < (double)FLT_MAX / 8) || level.scale == INFINITY) give_up(scorer);
}

/* out = bytes - 128, eight at a time; they may be the same array. */
static void centre(int8_t *out, const uint8_t *bytes, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        word ^= 0x8080808080808080u;
        memcpy(out + i, &word, 8);
    }
    for (; i < n; i++) out[i] = (int8_t)(bytes[i] ^ 0x80);
}

/* Whole numbers: e = q - 128, t = 1, d = 0, from the query's bytes; bias = sum(e^2) + 256 sum(e) =
 * sum(q^2) - 128^2 dim. slack is 0 where no number that can come up is above 2^24. Where bias and every term + bias are
 * within 2^24, so are the dot and the law's sums of a row that is nearer than that: no rounding, in neither. */
static void set_whole(struct scorer *scorer, const uint8_t *bytes) {
    const uint32_t dim = scorer->code->dim;
    double squares = (double)scorer->kern->int_pair[1][KERN_DOT](bytes, bytes, dim);
    centre(scorer->quantised, bytes, dim);
    double term_max = 16384.0 * dim, dot_max = 255 * 128.0 * dim, dist_max = 65025.0 * dim;
    double bias = squares - term_max;
    scorer->scale = -2;
    scorer->bias = scorer->bias_fine = (float)bias;
    bool exact = dist_max + fabs(bias) <= 0x1p24;
    bool exact_near = bias >= -0x1p24 && bias + term_max <= 0x1p24;
    scorer->exact_below = exact ? INFINITY : exact_near ? 0x1p24f : -INFINITY;
    double rounding = 3 * fabs(bias) + 3 * term_max + 4 * dot_max;
    scorer->slack = scorer->slack_fine = exact ? 0 : folding_round_up(U * rounding);
    scorer->scale_fine = 0;
}

/* The query as bytes; true if that is all it is. */
static bool whole_bytes(const struct scorer *scorer, uint8_t *bytes) {
    const size_t dim = scorer->code->dim;
    float low[KERN_FOLD_MAX], inverse[KERN_FOLD_MAX], back[KERN_FOLD_MAX];
    for (size_t i = 0; i < block_of(0, dim); i++) {
        low[i] = 0;
        inverse[i] = 1;
    }
    for (size_t at = 0, n; at < dim; at += n) {
        const float *query = scorer->query + at;
        unsigned other = 0;
        n = block_of(at, dim);
        scorer->kern->encode_u8(query, low, inverse, n, bytes + at);
        scorer->kern->to_f32[KITH_TYPE_U8](bytes + at, n, back);
        for (size_t i = 0; i < n; i++) other |= (unsigned)(back[i] != query[i]);
        if (other) return false;
    }
    return true;
}

void scorer_set_query(struct scorer *scorer, const float *query) {
    const struct code *code = scorer->code;
    scorer->inv = 1;
    scorer->slack = scorer->slack_fine = scorer->scale_fine = 0;
    scorer->exact_below = -INFINITY;
    scorer->settled = true;
    if (code->quantizer) {
        scorer_set_query_quantized(scorer, query);
        return;
    }
    if (code->metric == KITH_METRIC_COSINE) scorer->inv = code_inverse_length(code->dim, query);
    if (code->metric == KITH_METRIC_COSINE && code->kind == CODE_SQ8) {
        sums_scale(code->dim, query, scorer_unit_scale(code->dim, query), scorer->query);
    } else if (query != scorer->query) {
        memcpy(scorer->query, query, code->dim * sizeof(float));
    }
    if (!scorer_is_byte(code) || code->metric == KITH_METRIC_L1) {
        scorer->exact_below = INFINITY;
        return;
    }
    if (code->kind == CODE_U8 && scorer_is_l2(code) &&
        whole_bytes(scorer, (uint8_t *)scorer->quantised))
        set_whole(scorer, (const uint8_t *)scorer->quantised);
    else
        set_dot_bytes(scorer);
}

void scorer_refine(struct scorer *scorer) {
    const struct code *code = scorer->code;
    scorer->scale_fine = 0;
    scorer->slack_fine = scorer->slack;
    if (scorer->settled) return;
    const double g = weight_of(code);
    const struct folding_level level =
        folding_quantise(scorer->kern, code->dim, scorer->folded, scorer->fine);
    scorer->settled = true;
    if (level.scale == 0) return;
    scorer->scale_fine = (float)-g * level.scale;
    if (code->inv_at) {
        scorer->scale_fine *= scorer->inv;
        scorer->slack_fine = cosine_slack(scorer, &level, scorer->folded);
        return;
    }
    scorer->bias_fine = (float)(scorer->base + 127.5 * g * (double)level.scale * level.codes);
    double rounding = scorer->rounding + U * 512 * g * (level.abs_sum + level.left_abs_sum);
    scorer->slack_fine = folding_round_up(127.5 * g * level.left_abs_sum + rounding);
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
    if (!(scorer->row_scale > FOLDING_SCALE_MIN) || !(reach * 1e6 < (double)FLT_MAX)) {
        scorer->row_scale = 0; /* no fast way: decode, and set as a query */
        return;
    }
    const double scale = (double)scorer->row_scale;
    for (size_t i = 0; i < code->dim; i++) {
        double low = (double)code->low[i], step = (double)code->step[i];
        scorer->row_weight[i] = (float)(step * step / scale);
        scorer->row_offset[i] = l2 ? 0 : (float)((low + 128 * step) * step / scale);
    }
    scorer->row_fixed = l2 ? 0 : mid_sq;
    scorer->row_reach = sqrt(reach);
    double magnitude = (l2 ? 0 : mid_sq) + term + g * 127 * 255 * scale * active;
    double rounding = 64 * U * magnitude + U * (l2 ? decode + 16 * U * reach : 4 * reach) + TINY;
    scorer->row_slack = 127.5 * g * 0.501 * scale * active + rounding;
    scorer->row_rounding = rounding;
}

struct row_sums {
    double value, codes, offset, square; /* sums of v, e, (c-128) offset, (c-128)^2 weight */
};

static struct row_sums quantise_row(const struct scorer *scorer, const uint8_t *row) {
    const size_t dim = scorer->code->dim;
    const bool l2 = scorer_is_l2(scorer->code); /* wants neither of the last two */
    struct row_sums total = {0};
    for (size_t at = 0, n; at < dim; at += n) {
        float sums[4];
        n = block_of(at, dim);
        scorer->kern->fold_row(row + at, scorer->row_weight + at,
                               l2 ? NULL : scorer->row_offset + at, n, scorer->quantised + at,
                               sums);
        total.value += (double)sums[0];
        total.codes += (double)sums[1];
        total.offset += (double)sums[2];
        total.square += (double)sums[3];
    }
    return total;
}

static void set_sq8_row(struct scorer *scorer, const uint8_t *row) {
    const struct code *code = scorer->code;
    const double g = weight_of(code), scale = (double)scorer->row_scale;
    const struct row_sums sums = quantise_row(scorer, row);
    float term = 0; /* of the row itself: its |x - mid|^2 */
    if (code->term_at) memcpy(&term, row + code->term_at, sizeof term);
    double fixed = code->term_at ? (double)term : -(scorer->row_fixed + scale * sums.offset);
    double bias = fixed + g * scale * (0.5 * sums.value + 127.5 * sums.codes);
    double factor = 1, slack = scorer->row_slack;
    if (code->metric == KITH_METRIC_COSINE) {
        double l2sq = scorer->row_fixed + scale * (2 * sums.offset + sums.square);
        factor = l2sq > 0 ? 1 / sqrt(l2sq) : 0;
        slack *= factor;
        slack += (l2sq > 0 ? scorer->row_rounding / l2sq + 8 * U : 2) * scorer->row_reach;
        scorer->inv = (float)factor;
    }
    scorer->scale = (float)(-g * scale * factor);
    scorer->bias = (float)(bias * factor);
    scorer->slack = scorer->slack_fine = folding_round_up(slack);
    scorer->scale_fine = 0;
}

void scorer_set_row(struct scorer *scorer, const uint8_t *row) {
    const struct code *code = scorer->code;
    scorer->settled = true;
    scorer->exact_below = -INFINITY;
    if (code->quantizer) {
        scorer_set_row_quantized(scorer, row);
        return;
    }
    if (code->kind == CODE_U8 && scorer_is_l2(code)) {
        set_whole(scorer, row);
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
