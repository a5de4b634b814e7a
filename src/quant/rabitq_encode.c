/* RaBitQ: rows to codes and back, codes to blocks and back.
 *
 * The grid's scale. Rounding |x| t to half-integers v gives, as t grows, every code that could have the smallest angle
 * with x (Gao et al. 2025, section 3.2.2, which walks through all t where v changes). Here the cosine is tried at 16 scales,
 * then at 8, then at 8 to 128 around the best, more for short rows, whose cosine is less smooth:
 * tests/prop/test_rabitq.c holds the loss against the walk. Cosines are compared in f32 sums of kern.h's law; factors are summed in double from the codes. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "quant/folding.h"
#include "quant/rabitq_code.h"
#include "quant/sums.h"

/* Rows nearer to their centre than this in every rotated dimension are coded as lying on it. */
#define SMALLEST 0x1p-100f

/* The best of n scales from, from * ratio, ... (n a multiple of 4). */
static float best_of(const float *x, size_t padded, float top, float from, float ratio, size_t n) {
    const struct kern *kern = kern_get();
    float best = from, scale = from;
    double most = -1;
    for (size_t i = 0; i < n; i += 4) {
        float scales[4], dots[4], squares[4];
        for (int k = 0; k < 4; k++, scale *= ratio) scales[k] = scale;
        kern->lattice_fit(x, padded, scales, top, dots, squares);
        for (int k = 0; k < 4; k++) {
            double cosine = (double)dots[k] * ((double)dots[k] / (double)squares[k]);
            if (cosine > most) {
                most = cosine;
                best = scales[k];
            }
        }
    }
    return best;
}

/* The scale of a rotated row's grid; 0 for one that is coded as zero. */
static float grid_scale(const struct rabitq *r, const float *x) {
    const float largest = kern_get()->max_abs(x, r->padded);
    if (!(largest > SMALLEST) || !(largest < FLT_MAX)) return 0;
    if (r->base.spec.bits == 1) return 0x1p20f / largest; /* signs */
    const float top = (float)((1u << (r->base.spec.bits - 1)) - 1);
    /* From where the largest element reaches half of the grid to where three quarters of it lie beyond. */
    float scale = best_of(x, r->padded, top, 0.49f * (top + 1) / largest, 1.15f, 16);
    scale = best_of(x, r->padded, top, scale * 0.885f, 1.0355f, 8);
    const size_t n = r->padded < 1024 ? 8192 / r->padded / 4 * 4 : 8;
    return best_of(x, r->padded, top, scale * 0.972f, 1 + 0.056f / (float)n, n);
}

/* Sums over a row's code, v its half-integers, s half of their signs, c the rotated centre. */
struct code_sums {
    double len_sq, dot, square, sign_dot, cross, sign_cross; /* x x, x v, v v, x s, c v, c s */
};

/* A line's share; lanes as in sums.h. */
static void add_line(const struct rabitq *r, size_t n, const float *x, const float *centre,
                     const uint8_t *values, double lanes[6][SUMS_LANES]) {
    const double middle = rabitq_middle(r);
    SUMS_LOOP(n, {
        const double value = (double)x[i], v = (double)values[i] - middle;
        const double s = v > 0 ? 0.5 : -0.5;
        lanes[0][lane] += value * value;
        lanes[1][lane] += value * v;
        lanes[2][lane] += v * v;
        lanes[3][lane] += value * s;
    });
    if (!centre) return;
    SUMS_LOOP(n, {
        const double c = (double)centre[i], v = (double)values[i] - middle;
        lanes[4][lane] += c * v;
        lanes[5][lane] += c * (v > 0 ? 0.5 : -0.5);
    });
}

/* Writes the fields of a rotated row. */
static struct code_sums put_row(const struct rabitq *r, const float *x, const float *centre,
                                uint8_t *fields) {
    const float scale = grid_scale(r, x), top = (float)((1u << (r->base.spec.bits - 1)) - 1);
    double lanes[6][SUMS_LANES] = {{0}};
    for (size_t at = 0, n; at < r->padded; at += n) {
        uint8_t values[RABITQ_LINE];
        n = rabitq_line(r, at);
        kern_get()->lattice_code(x + at, n, scale, top, values);
        add_line(r, n, x + at, centre ? centre + at : NULL, values, lanes);
        rabitq_put(r, r->row, values, at, n, fields);
    }
    return (struct code_sums){sums_tree(lanes[0]), sums_tree(lanes[1]), sums_tree(lanes[2]),
                              sums_tree(lanes[3]), sums_tree(lanes[4]), sums_tree(lanes[5])};
}

/* What a row's factors need beside the sums over its code, all with r' itself. */
struct offsets {
    double centre_mean; /* <c, m> */
    double row;         /* IP: <c + m, r'> */
};

static void put_factors(const struct rabitq *r, const struct code_sums *sums,
                        const struct offsets *offsets, uint8_t *code) {
    const double g = rabitq_g(r), left = r->padded - 1.0;
    const bool l2 = r->base.metric == KITH_METRIC_L2;
    const double fixed = l2 ? sums->len_sq + 2 * offsets->centre_mean : -offsets->row;
    const double a = sums->dot > 0 ? sums->len_sq / sums->dot : 0;
    const double sign_a = sums->sign_dot > 0 ? sums->len_sq / sums->sign_dot : 0;
    const double off = sign_a * sign_a * r->padded / 4 - sums->len_sq;
    float factors[RABITQ_FACTORS] = {
        [SIGN_TERM] = (float)(fixed + g * sign_a * sums->sign_cross),
        [SIGN_WEIGHT] = (float)(-g * sign_a),
        [SIGN_ERROR] = off > 0 ? nextafterf((float)(g * sqrt(off / left)), INFINITY) : 0,
        [TERM] = (float)(fixed + g * a * sums->cross),
        [WEIGHT] = (float)(-g * a),
    };
    bool finite = true;
    for (int i = 0; i < RABITQ_FACTORS; i++) finite = finite && isfinite(factors[i]);
    if (!finite) /* beyond f32: farther than anything */
        memcpy(factors, (float[RABITQ_FACTORS]){INFINITY, 0, 0, INFINITY, 0}, sizeof factors);
    memcpy(code, factors, r->fields);
}

/* r~ of a code, in place of room (padded floats): the caller's dim floats are the first ones. */
static void decode_in(const struct rabitq *r, const uint8_t *code, float *room) {
    const float a = -rabitq_factor(code, rabitq_weight_at(r)) / (float)rabitq_g(r);
    const float middle = (float)rabitq_middle(r);
    for (size_t at = 0, n; at < r->padded; at += n) {
        uint8_t values[RABITQ_LINE];
        n = rabitq_line(r, at);
        rabitq_get(r, r->row, code + r->fields, at, n, values);
        for (size_t i = 0; i < n; i++) room[at + i] = a * ((float)values[i] - middle);
    }
    rotation_reverse(&r->rotation, room);
    for (size_t i = 0; i < r->base.dim; i++) room[i] += r->mean[i];
}

/* |r - r~|, upwards: what the rotated row and its code differ by; rounding of x - c - m, of the rotations of both ways (2
 * rotation_error), of a v (u |r'~|) and of the sum with m (u (|m| + 2 |r'~|)). */
static float real_norm(const struct rabitq *r, const struct code_sums *sums, const uint8_t *code) {
    const double a = -(double)rabitq_factor(code, rabitq_weight_at(r)) / rabitq_g(r);
    const double off = a * a * sums->square - 2 * a * sums->dot + sums->len_sq;
    const double lengths = sqrt(sums->len_sq) + fabs(a) * sqrt(sums->square);
    const double rounding = (2 * rotation_error(&r->rotation) + 4 * 0x1p-24) * lengths +
                            2 * 0x1p-24 * sqrt(r->mean_sq) + 0x1p-24 * lengths;
    return folding_root_up(fmax(off, 0) + 0x1p-40 * lengths * lengths, rounding + 0x1p-110);
}

struct room {
    float *raw, *rotated, *centre; /* padded floats each */
};

/* x - c - m, and what the factors need of it. */
static struct offsets centre_row(const struct rabitq *r, const float *x, const float *centre,
                                 float *raw) {
    const float *mean = r->mean;
    const bool l2 = r->base.metric == KITH_METRIC_L2;
    double sum[SUMS_LANES] = {0};
    if (!centre) {
        SUMS_LOOP(r->base.dim, {
            raw[i] = x[i] - mean[i];
            sum[lane] += (double)mean[i] * (double)raw[i];
        });
    } else {
        SUMS_LOOP(r->base.dim, {
            const double from = (double)centre[i] + (double)mean[i];
            raw[i] = (float)((double)x[i] - from);
            sum[lane] += l2 ? (double)centre[i] * (double)mean[i] : from * (double)raw[i];
        });
    }
    const double total = sums_tree(sum);
    return l2 ? (struct offsets){.centre_mean = centre ? total : 0}
              : (struct offsets){.row = total};
}

static void encode_in(const struct rabitq *r, size_t n, const float *x, const float *centre,
                      uint8_t *codes, float *norms, const struct room *room) {
    if (centre) rotation_apply(&r->rotation, centre, room->centre);
    for (size_t i = 0; i < n; i++, x += r->base.dim, codes += r->base.bytes) {
        const struct offsets offsets = centre_row(r, x, centre, room->raw);
        rotation_apply(&r->rotation, room->raw, room->rotated);
        const struct code_sums sums =
            put_row(r, room->rotated, centre ? room->centre : NULL, codes + r->fields);
        put_factors(r, &sums, &offsets, codes);
        if (norms) norms[i] = real_norm(r, &sums, codes);
    }
}

void rabitq_encode(const struct quantizer *quantizer, size_t n, const float *x, const float *centre,
                   uint8_t *codes, float *norms) {
    const struct rabitq *r = rabitq_of(quantizer);
    const size_t padded = r->padded;
    if (padded <= RABITQ_STACK) {
        float raw[RABITQ_STACK], rotated[RABITQ_STACK], rotated_centre[RABITQ_STACK];
        const struct room room = {raw, rotated, rotated_centre};
        encode_in(r, n, x, centre, codes, norms, &room);
        return;
    }
    const struct room room = {r->spare, r->spare + padded, r->spare + 2 * padded};
    pthread_mutex_lock((pthread_mutex_t *)&r->spare_lock);
    encode_in(r, n, x, centre, codes, norms, &room);
    pthread_mutex_unlock((pthread_mutex_t *)&r->spare_lock);
}

void rabitq_decode(const struct quantizer *quantizer, const uint8_t *code, float *out) {
    const struct rabitq *r = rabitq_of(quantizer);
    if (r->padded <= RABITQ_STACK) {
        float room[RABITQ_STACK];
        decode_in(r, code, room);
        memcpy(out, room, quantizer->dim * sizeof *out);
        return;
    }
    pthread_mutex_lock((pthread_mutex_t *)&r->spare_lock);
    decode_in(r, code, r->spare);
    memcpy(out, r->spare, quantizer->dim * sizeof *out);
    pthread_mutex_unlock((pthread_mutex_t *)&r->spare_lock);
}

void rabitq_compose(const struct quantizer *quantizer, const struct rabitq_parts_of_code *parts,
                    uint8_t *code) {
    const struct rabitq *r = rabitq_of(quantizer);
    const bool signs_only = quantizer->spec.bits == 1;
    const float factors[RABITQ_FACTORS] = {
        [SIGN_TERM] = signs_only ? parts->term : parts->sign_term,
        [SIGN_WEIGHT] = signs_only ? parts->weight : parts->sign_weight,
        [SIGN_ERROR] = FLT_MAX,
        [TERM] = parts->term,
        [WEIGHT] = parts->weight};
    memset(code, 0, quantizer->bytes);
    memcpy(code, factors, r->fields);
    for (size_t at = 0; at < r->padded; at += RABITQ_LINE) {
        uint8_t values[RABITQ_LINE] = {0};
        size_t n = rabitq_line(r, at);
        for (size_t i = 0; i < n && at + i < quantizer->dim; i++) values[i] = parts->u[at + i];
        rabitq_put(r, r->row, values, at, n, code + r->fields);
    }
}
