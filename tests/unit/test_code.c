/* Codes: layout, what encoding loses, what training covers, and the user's values of distances. */
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
#include "quant/code.h"

enum { N = 50, DIM_MAX = 600 };
static const uint32_t dims[] = {1, 3, 16, 60, 61, 64, 100, 255, 256, 257, 600};
static uint64_t state = 7;
static float rows[N * DIM_MAX], decoded[DIM_MAX];
static _Alignas(64) uint8_t coded[8 * DIM_MAX];

static float uniform(void) { return (float)(bits_random(&state) >> 40) * 0x1p-24f; }

static void fill(size_t dim, float low, float high, int whole) {
    for (size_t i = 0; i < N * dim; i++) {
        float x = low + (high - low) * uniform();
        rows[i] = whole ? floorf(x) : x;
    }
}

static struct code make(enum code_kind kind, kith_metric metric, uint32_t dim) {
    struct code code;
    assert_int_equal(code_init(&code, kind, metric, dim, NULL, NULL), KITH_OK);
    return code;
}

static void test_layout(void **unused) {
    (void)unused;
    for (enum code_kind kind = 0; kind < CODE_KINDS; kind++)
        for (kith_metric metric = 0; metric <= KITH_METRIC_L1; metric++)
            for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
                struct code code = make(kind, metric, dims[d]);
                bool byte = kind >= CODE_U8, cosine = metric == KITH_METRIC_COSINE;
                assert_true(code.bytes >= dims[d] && code.bytes <= code.stride);
                bool l2 = metric == KITH_METRIC_L2 || metric == KITH_METRIC_EUCLID;
                assert_int_equal(code.term_at != 0, byte && l2);
                assert_int_equal(code.inv_at != 0, cosine && kind != CODE_SQ8);
                if (byte) {
                    assert_int_equal(code.bytes % 64, 0);
                    assert_int_equal(code.stride % 64, 0);
                    uint32_t own = code.term_at + code.inv_at;
                    assert_true(own == 0 || own == code.stride - 4);
                    assert_true(own == 0 || own >= dims[d]);
                    assert_true(code.stride < dims[d] + 64 + (own ? 4 : 0));
                } else if (!cosine) {
                    assert_int_equal(code.stride, code.bytes);
                } else {
                    assert_true(code.inv_at >= code.bytes && code.inv_at + 4 <= code.stride);
                }
                code_deinit(&code, NULL);
            }
}

static void test_bad_arguments(void **unused) {
    (void)unused;
    struct code code = {.dim = 9};
    kith_error err;
    assert_int_equal(code_init(&code, CODE_SQ8, KITH_METRIC_L2, 0, NULL, &err), KITH_EDIM);
    assert_int_equal(code_init(&code, CODE_SQ8, KITH_METRIC_L2, 65537, NULL, &err), KITH_EDIM);
    assert_non_null(strstr(err.text, "65537"));
    assert_int_equal(code_init(&code, CODE_KINDS, KITH_METRIC_L2, 8, NULL, &err), KITH_EINVAL);
    assert_int_equal(code_init(&code, CODE_F32, (kith_metric)5, 8, NULL, &err), KITH_EINVAL);
    uint64_t live = mem_live_blocks();
    for (uint64_t nth = 1; nth <= 3; nth++) {
        mem_test_fail_at(nth);
        assert_int_equal(code_init(&code, CODE_SQ8, KITH_METRIC_L2, 8, NULL, &err), KITH_ENOMEM);
        mem_test_fail_at(0);
        assert_int_equal(mem_live_blocks(), live);
    }
    assert_int_equal(code.dim, 9);
}

/* |x - decoded| never passes what encode returned, and not by much the half step that rounding costs. */
static void check_residuals(const struct code *code) {
    uint32_t dim = code->dim;
    for (int r = 0; r < N; r++) {
        const float *row = rows + (size_t)r * dim;
        float err = code_encode(code, row, coded);
        code_decode(code, coded, decoded);
        long double sum = 0, steps = 0, scale = 1, by = 1, length = 0, other = 0;
        for (uint32_t i = 0; i < dim; i++) {
            length += (long double)row[i] * (long double)row[i];
            other += (long double)decoded[i] * (long double)decoded[i];
        }
        if (code->metric == KITH_METRIC_COSINE) {
            scale = length == 0 ? 0 : 1 / sqrtl(length);
            by = code->kind == CODE_SQ8 ? 1 : other == 0 ? 0 : 1 / sqrtl(other);
        }
        for (uint32_t i = 0; i < dim; i++) {
            long double off = scale * (long double)row[i] - by * (long double)decoded[i];
            sum += off * off;
            if (code->step)
                steps += 0.251L * (long double)code->step[i] * (long double)code->step[i];
        }
        assert_true(sqrtl(sum) <= (long double)err || code->kind == CODE_F32 ||
                    code->kind == CODE_U8);
        if (code->step) assert_true((long double)err <= sqrtl(steps) * 1.01L + 1e-5L);
        if (code->kind == CODE_F32 || code->kind == CODE_U8) {
            assert_true(err == 0);
            assert_memory_equal(decoded, row, dim * sizeof(float));
        }
        if (code->inv_at) {
            float inv;
            memcpy(&inv, coded + code->inv_at, sizeof inv);
            assert_true(fabsl((long double)inv * sqrtl(other) - 1) < 4e-6L);
        }
    }
}

static void test_encode_states_its_loss(void **unused) {
    (void)unused;
    for (enum code_kind kind = 0; kind < CODE_KINDS; kind++)
        for (kith_metric metric = 0; metric <= KITH_METRIC_L1; metric++)
            for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
                struct code code = make(kind, metric, dims[d]);
                fill(dims[d], kind == CODE_U8 ? 1 : -3, kind == CODE_U8 ? 256 : 5, kind == CODE_U8);
                code_train(&code, N, rows);
                for (int r = 0; r < N; r++)
                    assert_true(code_covers(&code, rows + (size_t)r * dims[d]));
                check_residuals(&code);
                code_deinit(&code, NULL);
            }
}

static void test_training_covers_extremes(void **unused) {
    (void)unused;
    static const float high[] = {1e-42f, 1e-30f, 1, 1e30f, 3e38f};
    for (size_t h = 0; h < sizeof high / sizeof *high; h++) {
        struct code code = make(CODE_SQ8, KITH_METRIC_L2, 4);
        float two[8] = {-high[h], high[h], 0, 5, high[h], -high[h], high[h] / 2, 5};
        code_train(&code, 2, two);
        assert_true(code_covers(&code, two) && code_covers(&code, two + 4));
        assert_true(code.step[3] == 0 && code.inv_step[3] == 0 && code.low[3] == 5);
        float beyond[4] = {0, 0, 0, 5.5f};
        assert_false(code_covers(&code, beyond));
        float err = code_encode(&code, beyond, coded);
        assert_true(err >= 0.5f);
        code_decode(&code, coded, decoded);
        assert_true(decoded[3] == 5);
        code_deinit(&code, NULL);
    }
}

/* Out of range elements are clipped to the nearest end. */
static void test_clipping(void **unused) {
    (void)unused;
    struct code code = make(CODE_SQ8, KITH_METRIC_L2, 2);
    float two[4] = {0, 0, 255, 255}, outside[2] = {-100, 1e30f};
    code_train(&code, 2, two);
    assert_false(code_covers(&code, outside));
    float err = code_encode(&code, outside, coded);
    assert_int_equal(coded[0], 0);
    assert_int_equal(coded[1], 255);
    assert_true(err >= 9.9e29f && err <= 1.1e30f);
    code_deinit(&code, NULL);
    struct code half = make(CODE_F16, KITH_METRIC_L2, 2);
    assert_true(code_encode(&half, outside, coded) == INFINITY);
    code_deinit(&half, NULL);
}

static void test_zero_vectors(void **unused) {
    (void)unused;
    float zero[20] = {0}, ones[20], dist;
    for (int i = 0; i < 20; i++) ones[i] = 1;
    for (enum code_kind kind = 0; kind < CODE_KINDS; kind++) {
        struct code code = make(kind, KITH_METRIC_COSINE, 20);
        code_train(&code, 1, zero);
        assert_true(code_encode(&code, zero, coded) == 0);
        void *scratch = mem_new(NULL, scorer_bytes(&code));
        struct scorer scorer;
        scorer_init(&scorer, &code, scratch);
        scorer_set_query(&scorer, ones);
        const uint8_t *row = coded;
        scorer_exact_list(&scorer, &row, 1, &dist);
        assert_true(dist == 0);
        scorer_set_query(&scorer, zero);
        assert_true(fabsf(scorer_one(&scorer, coded)) <= scorer.slack);
        scorer_set_row(&scorer, coded);
        assert_true(fabsf(scorer_one(&scorer, coded)) <= scorer.slack);
        mem_free(NULL, scratch, scorer_bytes(&code));
        code_deinit(&code, NULL);
    }
}

static void test_integral(void **unused) {
    (void)unused;
    float x[2000];
    for (int i = 0; i < 2000; i++) x[i] = (float)(i % 256);
    assert_true(code_is_integral(2000, x));
    assert_true(code_is_integral(0, x));
    const float bad[] = {0.5f, -1, 256, 254.99999f, NAN, INFINITY, -INFINITY, 1e20f, 1e-40f};
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++)
        for (int at = 0; at < 2000; at += 333) {
            float kept = x[at];
            x[at] = bad[b];
            assert_false(code_is_integral(2000, x));
            x[at] = kept;
        }
}

static void test_scores(void **unused) {
    (void)unused;
    assert_true(code_score(KITH_METRIC_L2, 4) == 4);
    assert_true(code_score(KITH_METRIC_EUCLID, 4) == 2);
    assert_true(code_score(KITH_METRIC_EUCLID, -1e-9f) == 0);
    assert_true(code_score(KITH_METRIC_IP, 4) == -4);
    assert_true(code_score(KITH_METRIC_COSINE, -0.5f) == 0.5f);
    assert_true(code_score(KITH_METRIC_L1, 3) == 3);
    assert_true(code_unscore(KITH_METRIC_EUCLID, -1) < 0);
    assert_true(code_unscore(KITH_METRIC_EUCLID, 0) == 0);
    for (int i = 0; i < 20000; i++) {
        float radius = uniform() * (float)pow(10, i % 30 - 15);
        float dist = code_unscore(KITH_METRIC_EUCLID, radius);
        assert_true(sqrtf(dist) <= radius);
        assert_true(sqrtf(nextafterf(dist, INFINITY)) > radius);
    }
    assert_true(code_unscore(KITH_METRIC_EUCLID, FLT_MAX) == FLT_MAX);
}

static void test_names(void **unused) {
    (void)unused;
    assert_string_equal(code_kind_name(CODE_F32), "f32");
    assert_string_equal(code_kind_name(CODE_SQ8), "sq8");
    assert_string_equal(code_kind_name(CODE_KINDS), "?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_encode_states_its_loss),
        cmocka_unit_test(test_training_covers_extremes),
        cmocka_unit_test(test_clipping),
        cmocka_unit_test(test_zero_vectors),
        cmocka_unit_test(test_integral),
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("code", tests, NULL, NULL);
}
