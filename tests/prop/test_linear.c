/* Scalar quantizers and sign bits on data that break bounds: scores within slack of each other and of the real numbers,
 * residual norms never too small, the same bits by every way and at every instruction set.
 *
 * The oracle is long double arithmetic over decode()'s floats. The digest of all models, codes, estimates and scores is
 * compared with what it was when it was written, so that no machine, instruction set (the test runs under several) or
 * later change gives other bits unnoticed; a failure prints the new one. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/mem.h"
#include "quant/quantizer.h"
#include "quant/sq.h"

enum { ROWS = 60, QUERIES = 8 };

#define DIGEST 0x6e88951c83096d6du

enum shape { NORMAL, SKEWED, CONSTANT, OFFSET, LARGE, TINY, SPARSE, HEAVY, ZERO, SHAPES };
static const char *const shape_name[SHAPES] = {"normal", "skewed", "constant", "offset", "large",
                                               "tiny",   "sparse", "heavy",    "zero"};
static const uint32_t dims[] = {1, 3, 28, 29, 56, 64, 65, 100, 120, 124, 128, 129, 257, 784};
static const struct quantizer_spec specs[] = {
    {.kind = QUANT_SQ, .bits = 4},
    {.kind = QUANT_SQ, .bits = 6, .clip = SQ_CLIP_FIT},
    {.kind = QUANT_SQ, .bits = 8, .clip = 0.05f},
    {.kind = QUANT_SQ, .bits = 4, .uniform = true, .clip = SQ_CLIP_FIT},
    {.kind = QUANT_SQ, .bits = 8, .uniform = true},
    {.kind = QUANT_BINARY},
    {.kind = QUANT_BINARY, .median = true},
};
enum { SPECS = sizeof specs / sizeof *specs, DIMS = sizeof dims / sizeof *dims };

static uint64_t state = 1, digest = 1;

static float uniform(void) { return (float)(bits_random(&state) >> 40) * 0x1p-24f; }

static float normal(void) {
    float sum = -6;
    for (int i = 0; i < 12; i++) sum += uniform();
    return sum;
}

static float value_of(enum shape shape, uint32_t i) {
    const float x = normal();
    switch (shape) {
    case SKEWED: return x * (i == 0 ? 1000.0f : 1.0f) * (i % 7 == 3 ? 0.01f : 1.0f);
    case CONSTANT: return i % 2 ? 3.25f : x;
    case OFFSET: return 1e4f + x;
    case LARGE: return x * 1e15f;
    case TINY: return x * 1e-20f;
    case SPARSE: return uniform() < 0.8f ? 0 : x;
    case HEAVY: return x * x * x * x * x;
    case ZERO: return 0;
    default: return x;
    }
}

static void add_digest(const void *bytes, size_t n) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++) digest = bits_mix(digest ^ at[i]);
}

struct fixture {
    struct quantizer *q;
    struct quantizer_scorer *scorer;
    float *rows, *centre, *decoded, *largest, norms[ROWS]; /* largest |decoded| of an element */
    uint8_t *codes;
    char what[120];
};

static struct fixture make(const struct quantizer_spec *spec, kith_metric metric, uint32_t dim,
                           enum shape shape, bool centred) {
    const struct quantizer_training how = {.threads = 1};
    struct fixture f = {.rows = malloc(ROWS * dim * sizeof(float)),
                        .decoded = malloc(ROWS * dim * sizeof(float)),
                        .largest = calloc(dim, sizeof(float)),
                        .centre = centred ? malloc(dim * sizeof(float)) : NULL};
    float *residuals = malloc(ROWS * dim * sizeof(float));
    kith_error err;
    for (uint32_t i = 0; centred && i < dim; i++) f.centre[i] = value_of(shape, i);
    for (uint32_t i = 0; i < ROWS * dim; i++) {
        f.rows[i] = value_of(shape, i % dim);
        residuals[i] = f.rows[i] - (centred ? f.centre[i % dim] : 0);
    }
    snprintf(f.what, sizeof f.what,
             "kind %d, %u bits, uniform %d, metric %d, dim %u, %s, centre %d", (int)spec->kind,
             spec->bits, spec->uniform, (int)metric, dim, shape_name[shape], centred);
    if (quantizer_new(&f.q, spec, metric, dim, NULL, &err) != KITH_OK) fail_msg("%s", err.text);
    assert_int_equal(f.q->ops->train(f.q, ROWS, residuals, &how, &err), KITH_OK);
    f.codes = malloc(ROWS * (size_t)f.q->bytes);
    f.q->ops->encode(f.q, ROWS, f.rows, f.centre, f.codes, f.norms);
    for (size_t r = 0; r < ROWS; r++)
        f.q->ops->decode(f.q, f.codes + r * f.q->bytes, f.decoded + r * dim);
    for (uint32_t i = 0; i < ROWS * dim; i++)
        f.largest[i % dim] = fmaxf(f.largest[i % dim], fabsf(f.decoded[i]));
    f.scorer = aligned_alloc(64, bits_round_up(f.q->ops->scorer_bytes(f.q), 64));
    f.q->ops->scorer_init(f.q, f.scorer);
    free(residuals);
    return f;
}

static void drop(struct fixture *f) {
    quantizer_free(f->q);
    free(f->rows);
    free(f->decoded);
    free(f->centre);
    free(f->largest);
    free(f->codes);
    free(f->scorer);
}

static void check_norms(const struct fixture *f) {
    const uint32_t dim = f->q->dim;
    for (size_t r = 0; r < ROWS; r++) {
        long double sum = 0, length = 0;
        for (uint32_t i = 0; i < dim; i++) {
            long double x = f->rows[r * dim + i] - (f->centre ? (long double)f->centre[i] : 0);
            sum += (x - f->decoded[r * dim + i]) * (x - f->decoded[r * dim + i]);
            length += x * x + (long double)f->decoded[r * dim + i] * f->decoded[r * dim + i];
        }
        if (!(f->norms[r] >= sqrtl(sum)) ||
            !(f->norms[r] <= sqrtl(sum) * (1 + 1e-5L) + 1e-9L * sqrtl(length) + 1e-37L))
            fail_msg("%s: norm %g, really %Lg", f->what, (double)f->norms[r], sqrtl(sum));
    }
}

/* The score that quantizer.h defines, over decoded floats, and a magnitude that nothing summed in it is beyond. */
static long double real_score(const struct fixture *f, const float *query, size_t r,
                              long double *magnitude) {
    const uint32_t dim = f->q->dim;
    long double sum = 0;
    *magnitude = 0;
    for (uint32_t i = 0; i < dim; i++) {
        long double y = f->decoded[r * dim + i], q = query[i], c = f->centre ? f->centre[i] : 0, t;
        switch (f->q->metric) {
        case KITH_METRIC_L2: t = y * y + 2 * c * y - 2 * q * y; break;
        case KITH_METRIC_IP: t = -q * y; break;
        default: t = fabsl(q - y);
        }
        sum += t;
        *magnitude += 4 * (f->largest[i] + fabsl(q)) * (f->largest[i] + fabsl(c));
    }
    if (f->q->metric == KITH_METRIC_L1) *magnitude = sum;
    return sum;
}

static void check_query(const struct fixture *f, const float *query) {
    const struct quantizer_ops *ops = f->q->ops;
    float by_rows[ROWS], by_list[ROWS];
    const uint8_t *list[ROWS];
    for (size_t r = 0; r < ROWS; r++) list[r] = f->codes + (ROWS - 1 - r) * f->q->bytes;
    ops->set_query(f->scorer, query);
    ops->rows(f->scorer, f->codes, f->q->bytes, ROWS, by_rows);
    ops->list(f->scorer, list, ROWS, by_list);
    for (size_t r = 0; r < ROWS; r++) {
        const float score = ops->score(f->scorer, list[ROWS - 1 - r]), estimate = by_rows[r];
        long double magnitude, real = real_score(f, query, r, &magnitude);
        if (memcmp(&by_rows[r], &by_list[ROWS - 1 - r], 4) != 0)
            fail_msg("%s: rows and list differ", f->what);
        if (fabs((double)estimate - (double)score) >
            (double)f->scorer->slack + 0x1p-23 * fabs((double)score))
            fail_msg("%s: estimate %g, score %g, slack %g", f->what, (double)estimate,
                     (double)score, (double)f->scorer->slack);
        if (fabsl(score - real) > 0x1p-24L * (f->q->dim / 16.0L + 16) * magnitude + 1e-37L)
            fail_msg("%s: score %g, really %Lg of %Lg", f->what, (double)score, real, magnitude);
        add_digest(&estimate, 4);
        add_digest(&score, 4);
    }
    assert_true(f->q->metric != KITH_METRIC_L1 || f->scorer->slack == 0);
    add_digest(&f->scorer->slack, 4);
}

static void check_one(const struct quantizer_spec *spec, kith_metric metric, uint32_t dim,
                      enum shape shape, bool centred) {
    struct fixture f = make(spec, metric, dim, shape, centred);
    uint8_t *model = malloc(f.q->ops->model_bytes(f.q));
    float *query = malloc(dim * sizeof *query);
    f.q->ops->model_write(f.q, model);
    add_digest(model, f.q->ops->model_bytes(f.q));
    add_digest(f.codes, ROWS * (size_t)f.q->bytes);
    check_norms(&f);
    for (int i = 0; i < QUERIES; i++) {
        for (uint32_t j = 0; j < dim; j++)
            query[j] = i == 0   ? 0
                       : i == 1 ? f.rows[j]
                       : i == 2 ? value_of(shape, j) * 50
                                : value_of(shape, j);
        check_query(&f, query);
    }
    free(query);
    free(model);
    drop(&f);
}

static void scores_lie_within_their_slack(void **test) {
    (void)test;
    static const kith_metric metrics[] = {KITH_METRIC_L2, KITH_METRIC_IP, KITH_METRIC_L1};
    for (int s = 0; s < SPECS; s++)
        for (int shape = 0; shape < SHAPES; shape++)
            for (int m = 0; m < 3; m++)
                for (int centred = 0; centred < (metrics[m] == KITH_METRIC_L1 ? 1 : 2); centred++) {
                    uint32_t dim = dims[bits_random(&state) % DIMS];
                    check_one(&specs[s], metrics[m], dim, (enum shape)shape, centred);
                }
    if (digest != DIGEST) print_error("digest 0x%llxu\n", (unsigned long long)digest);
    assert_true(digest == DIGEST);
}

static void slack_is_worth_having(void **test) {
    (void)test;
    for (int s = 0; s < SPECS; s++)
        for (int metric = 0; metric < 2; metric++) {
            struct fixture f =
                make(&specs[s], metric ? KITH_METRIC_IP : KITH_METRIC_L2, 100, NORMAL, false);
            double length = 0;
            for (uint32_t i = 0; i < ROWS * 100; i++)
                length += (double)f.rows[i] * (double)f.rows[i] / ROWS;
            f.q->ops->set_query(f.scorer, f.rows);
            assert_true(f.scorer->slack > 0 && (double)f.scorer->slack < 0.05 * length);
            drop(&f);
        }
}

static void values_past_f32_give_no_estimate(void **test) {
    (void)test;
    float query[64];
    struct fixture f = make(&specs[0], KITH_METRIC_L2, 64, NORMAL, false);
    for (int i = 0; i < 64; i++) query[i] = FLT_MAX;
    f.q->ops->set_query(f.scorer, query);
    assert_true(f.scorer->slack == INFINITY);
    float estimate;
    f.q->ops->rows(f.scorer, f.codes, f.q->bytes, 1, &estimate);
    assert_true(isfinite(estimate));
    drop(&f);
}

static void threads_change_nothing(void **test) {
    (void)test;
    enum { N = 700, DIM = 130 };
    float *rows = malloc(N * DIM * sizeof *rows);
    uint8_t *models[2];
    for (size_t i = 0; i < N * DIM; i++) rows[i] = normal();
    for (int s = 0; s < SPECS; s++) {
        size_t bytes = 0;
        for (uint32_t many = 0; many < 2; many++) {
            const struct quantizer_training how = {.threads = many ? 4 : 1};
            struct quantizer *q;
            kith_error err;
            assert_int_equal(quantizer_new(&q, &specs[s], KITH_METRIC_L2, DIM, NULL, &err),
                             KITH_OK);
            assert_int_equal(q->ops->train(q, N, rows, &how, &err), KITH_OK);
            bytes = q->ops->model_bytes(q);
            models[many] = malloc(bytes);
            q->ops->model_write(q, models[many]);
            quantizer_free(q);
        }
        assert_memory_equal(models[0], models[1], bytes);
        free(models[0]);
        free(models[1]);
    }
    free(rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_lie_within_their_slack),
        cmocka_unit_test(slack_is_worth_having),
        cmocka_unit_test(values_past_f32_give_no_estimate),
        cmocka_unit_test(threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
