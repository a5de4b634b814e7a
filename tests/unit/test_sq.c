/* Scalar quantizers: layout, grids, models, and what specifications are refused. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/mem.h"
#include "quant/quantizer.h"
#include "quant/sq.h"

static uint64_t state = 7;
static struct mem_account account;

static float normal(void) {
    double sum = -6;
    for (int i = 0; i < 12; i++) sum += (double)(bits_random(&state) >> 40) * 0x1p-24;
    return (float)sum;
}

static struct quantizer *make(uint32_t bits, bool uniform, float clip, kith_metric metric,
                              uint32_t dim) {
    const struct quantizer_spec spec = {
        .kind = QUANT_SQ, .bits = bits, .uniform = uniform, .clip = clip};
    struct quantizer *made;
    kith_error err;
    if (quantizer_new(&made, &spec, metric, dim, &account, &err) != KITH_OK)
        fail_msg("%s", err.text);
    return made;
}

static void train(struct quantizer *quantizer, size_t n, const float *rows) {
    const struct quantizer_training how = {.threads = 1};
    kith_error err;
    assert_int_equal(quantizer->ops->train(quantizer, n, rows, &how, &err), KITH_OK);
    assert_true(quantizer->trained);
}

static float *normals(size_t n) {
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = normal();
    return x;
}

/* Mean squared error over n rows, and the greatest one of an element. */
static double error_of(const struct quantizer *quantizer, size_t n, const float *x, double *most) {
    const size_t dim = quantizer->dim;
    uint8_t *code = malloc(quantizer->bytes);
    float *back = malloc(dim * sizeof *back);
    double sum = 0;
    *most = 0;
    for (size_t r = 0; r < n; r++) {
        quantizer->ops->encode(quantizer, 1, x + r * dim, NULL, code, NULL);
        quantizer->ops->decode(quantizer, code, back);
        for (size_t i = 0; i < dim; i++) {
            double left = fabs((double)x[r * dim + i] - (double)back[i]);
            sum += left * left;
            *most = left > *most ? left : *most;
        }
    }
    free(code);
    free(back);
    return sum / (double)(n * dim);
}

static void layouts_are_those_of_the_header(void **test) {
    (void)test;
    static const struct {
        uint32_t bits, dim, l2, ip;
    } layouts[] = {
        {4, 1, 32, 32},     {4, 56, 32, 32},   {4, 57, 36, 32},    {4, 64, 36, 32},
        {4, 100, 64, 64},   {4, 120, 64, 64},  {4, 121, 68, 64},   {4, 128, 68, 64},
        {4, 784, 416, 416}, {6, 1, 48, 48},    {6, 48, 48, 48},    {6, 49, 52, 48},
        {6, 112, 96, 96},   {6, 113, 100, 96}, {6, 784, 624, 624}, {8, 1, 32, 32},
        {8, 28, 32, 32},    {8, 29, 36, 32},   {8, 784, 800, 800}, {8, 1024, 1028, 1024}};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        for (int metric = 0; metric < 2; metric++) {
            struct quantizer *q = make(layouts[i].bits, false, 0,
                                       metric ? KITH_METRIC_IP : KITH_METRIC_L2, layouts[i].dim);
            assert_int_equal(q->bytes, metric ? layouts[i].ip : layouts[i].l2);
            assert_int_equal(q->block_bytes, 0);
            quantizer_free(q);
        }
    assert_int_equal(account.blocks, 0);
}

static void nothing_beyond_a_code_is_written(void **test) {
    (void)test;
    for (uint32_t bits = 4; bits <= 8; bits += 2)
        for (uint32_t dim = 1; dim < 270; dim += dim < 140 ? 1 : 13) {
            float *x = normals(3 * (size_t)dim);
            struct quantizer *q = make(bits, false, 0, KITH_METRIC_L2, dim);
            uint8_t *codes = malloc(3 * q->bytes + 8), again[4];
            train(q, 3, x);
            memset(codes, 0xa5, 3 * q->bytes + 8);
            q->ops->encode(q, 3, x, NULL, codes + 4, NULL);
            memset(again, 0xa5, 4);
            assert_memory_equal(codes, again, 4);
            assert_memory_equal(codes + 4 + 3 * q->bytes, again, 4);
            free(codes);
            free(x);
            quantizer_free(q);
        }
}

static void no_element_is_farther_than_half_a_step(void **test) {
    (void)test;
    enum { N = 500, DIM = 24 };
    float *x = normals(N * DIM);
    for (size_t r = 0; r < N; r++) x[r * DIM + 3] = r % 3 ? 0 : x[r * DIM + 3]; /* piled up */
    for (uint32_t bits = 4; bits <= 8; bits += 2)
        for (int uniform = 0; uniform < 2; uniform++) {
            struct quantizer *q = make(bits, uniform, 0, KITH_METRIC_L2, DIM);
            float model[2 * DIM];
            double most, widest = 0;
            train(q, N, x);
            q->ops->model_write(q, (uint8_t *)model);
            const size_t tables = uniform ? 1 : DIM;
            assert_int_equal(q->ops->model_bytes(q), 8 * tables);
            for (size_t i = 0; i < tables; i++) widest = fmax(widest, (double)model[tables + i]);
            error_of(q, N, x, &most);
            assert_true(most <= widest * 0.5 * (1 + 1e-6));
            quantizer_free(q);
        }
    free(x);
}

static void more_bits_err_less(void **test) {
    (void)test;
    enum { N = 800, DIM = 33 };
    float *x = normals(N * DIM);
    double most;
    for (int uniform = 0; uniform < 2; uniform++)
        for (int fit = 0; fit < 2; fit++) {
            double before = INFINITY;
            for (uint32_t bits = 4; bits <= 8; bits += 2) {
                struct quantizer *q =
                    make(bits, uniform, fit ? SQ_CLIP_FIT : 0, KITH_METRIC_IP, DIM);
                train(q, N, x);
                double error = error_of(q, N, x, &most);
                assert_true(error < before / 8);
                before = error;
                quantizer_free(q);
            }
        }
    free(x);
}

static void fitted_ranges_err_less(void **test) {
    (void)test;
    enum { N = 4000, DIM = 8 };
    float *x = normals(N * DIM);
    double most, error[2];
    for (size_t i = 0; i < N * DIM; i++) x[i] = x[i] * x[i] * x[i]; /* heavy tails */
    for (int fit = 0; fit < 2; fit++) {
        struct quantizer *q = make(4, false, fit ? SQ_CLIP_FIT : 0, KITH_METRIC_L2, DIM);
        train(q, N, x);
        error[fit] = error_of(q, N, x, &most);
        quantizer_free(q);
    }
    assert_true(error[1] < 0.7 * error[0]);
    free(x);
}

static void a_share_is_left_outside(void **test) {
    (void)test;
    enum { N = 4000 };
    float *x = normals(N), model[2];
    struct quantizer *q = make(8, false, 0.1f, KITH_METRIC_L2, 1);
    train(q, N, x);
    q->ops->model_write(q, (uint8_t *)model);
    size_t outside = 0;
    for (size_t i = 0; i < N; i++)
        outside += x[i] < model[0] - 0.51f * model[1] || x[i] > model[0] + 255.51f * model[1];
    assert_in_range(outside, N / 10 - N / 100, N / 10 + N / 100);
    quantizer_free(q);
    free(x);
}

static void constant_and_no_data_cost_nothing(void **test) {
    (void)test;
    enum { DIM = 20 };
    float x[4 * DIM], back[DIM], norm;
    for (size_t i = 0; i < 4 * DIM; i++) x[i] = (float)(i % DIM) - 3.25f;
    for (uint32_t bits = 4; bits <= 8; bits += 2) {
        struct quantizer *q = make(bits, false, SQ_CLIP_FIT, KITH_METRIC_L2, DIM);
        uint8_t code[64];
        train(q, 4, x);
        q->ops->encode(q, 1, x, NULL, code, &norm);
        q->ops->decode(q, code, back);
        assert_memory_equal(back, x, sizeof back);
        assert_true(norm < 1e-12f);
        train(q, 0, NULL);
        q->ops->encode(q, 1, x, NULL, code, &norm);
        q->ops->decode(q, code, back);
        for (size_t i = 0; i < DIM; i++) assert_true(back[i] == 0);
        quantizer_free(q);
    }
}

static void models_travel(void **test) {
    (void)test;
    enum { N = 300, DIM = 70 };
    float *x = normals(N * DIM);
    for (uint32_t bits = 4; bits <= 8; bits += 2)
        for (int uniform = 0; uniform < 2; uniform++) {
            struct quantizer *a = make(bits, uniform, SQ_CLIP_FIT, KITH_METRIC_L2, DIM);
            struct quantizer *b = make(bits, uniform, SQ_CLIP_FIT, KITH_METRIC_L2, DIM);
            uint8_t model[8 * DIM], *codes = malloc(2 * N * a->bytes);
            kith_error err;
            train(a, N, x);
            const size_t bytes = a->ops->model_bytes(a);
            a->ops->model_write(a, model);
            assert_int_equal(b->ops->model_read(b, model, bytes, &err), KITH_OK);
            assert_true(b->trained);
            a->ops->encode(a, N, x, x + DIM, codes, NULL);
            b->ops->encode(b, N, x, x + DIM, codes + N * a->bytes, NULL);
            assert_memory_equal(codes, codes + N * a->bytes, N * a->bytes);
            free(codes);
            quantizer_free(a);
            quantizer_free(b);
        }
    free(x);
}

static void refuse(struct quantizer *q, const float *model, size_t bytes) {
    kith_error err = {0};
    q->trained = false;
    assert_int_equal(q->ops->model_read(q, (const uint8_t *)model, bytes, &err), KITH_ECORRUPT);
    assert_true(strlen(err.text) > 0);
    assert_false(q->trained);
}

static void damaged_models_are_refused(void **test) {
    (void)test;
    enum { DIM = 3 };
    static const float good[2 * DIM] = {1, 2, 3, 0.5f, 0, 0.25f};
    static const struct {
        size_t at;
        float value;
    } damage[] = {{0, NAN},   {1, INFINITY}, {2, -INFINITY}, {3, NAN},
                  {3, -0.5f}, {3, INFINITY}, {4, -0.0f},     {4, 1e-40f},
                  {5, 0.1f},  {5, 0x1p127f}, {0, FLT_MAX}};
    kith_error err;
    struct quantizer *q = make(4, false, 0, KITH_METRIC_L2, DIM);
    assert_int_equal(q->ops->model_read(q, (const uint8_t *)good, sizeof good, &err), KITH_OK);
    refuse(q, good, sizeof good - 1);
    refuse(q, good, 0);
    refuse(q, good, 2 * sizeof(float));
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        float model[2 * DIM];
        memcpy(model, good, sizeof good);
        model[damage[i].at] = damage[i].value;
        refuse(q, model, sizeof model);
    }
    quantizer_free(q);
}

static void wrong_specifications_are_named(void **test) {
    (void)test;
    static const struct {
        struct quantizer_spec spec;
        const char *says;
    } wrong[] = {{{.kind = QUANT_SQ, .bits = 0}, "0 bits"},
                 {{.kind = QUANT_SQ, .bits = 5}, "5 bits"},
                 {{.kind = QUANT_SQ, .bits = 16}, "16 bits"},
                 {{.kind = QUANT_SQ, .bits = 8, .clip = 1}, "1"},
                 {{.kind = QUANT_SQ, .bits = 8, .clip = -0.5f}, "-0.5"},
                 {{.kind = QUANT_SQ, .bits = 8, .clip = NAN}, "nan"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct quantizer *made = NULL;
        kith_error err;
        assert_int_equal(quantizer_new(&made, &wrong[i].spec, KITH_METRIC_L2, 8, &account, &err),
                         KITH_ESPEC);
        assert_non_null(strstr(err.text, wrong[i].says));
        assert_null(made);
    }
    assert_int_equal(account.blocks, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_are_those_of_the_header),
        cmocka_unit_test(nothing_beyond_a_code_is_written),
        cmocka_unit_test(no_element_is_farther_than_half_a_step),
        cmocka_unit_test(more_bits_err_less),
        cmocka_unit_test(fitted_ranges_err_less),
        cmocka_unit_test(a_share_is_left_outside),
        cmocka_unit_test(constant_and_no_data_cost_nothing),
        cmocka_unit_test(models_travel),
        cmocka_unit_test(damaged_models_are_refused),
        cmocka_unit_test(wrong_specifications_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
