/* Vector arithmetic of <kith/vector.h>: every metric and type against double arithmetic, the three doors against each
 * other bit by bit, names, zero vectors, bad arguments, and what is said about the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>

#include <kith/vector.h>

#include "base/bits.h"
#include "base/mem.h"
#include "kern/kern.h"

#define N_METRICS 5
#define N_TYPES   5

static uint64_t seed = 5;

static float unit(void) { return (float)((double)(bits_random(&seed) >> 11) * 0x1p-52 - 1.0); }

/* n elements of a type, and their values. */
static void fill(kith_type type, size_t n, void *out, double *values) {
    for (size_t i = 0; i < n; i++) {
        float x = unit() * 4;
        uint8_t byte = (uint8_t)bits_random(&seed);
        if (type == KITH_TYPE_U8 || type == KITH_TYPE_I8) {
            ((uint8_t *)out)[i] = byte;
            values[i] = type == KITH_TYPE_U8 ? byte : (int8_t)byte;
            continue;
        }
        char *at = (char *)out + i * kith_type_bytes(type);
        float back;
        kern_get()->from_f32[type](&x, 1, at);
        kern_get()->to_f32[type](at, 1, &back);
        values[i] = (double)back;
    }
}

static double plain(kith_metric metric, size_t dim, const double *a, const double *b) {
    double dot = 0, aa = 0, bb = 0, squares = 0, sum = 0;
    for (size_t i = 0; i < dim; i++) {
        dot += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
        squares += (a[i] - b[i]) * (a[i] - b[i]);
        sum += fabs(a[i] - b[i]);
    }
    switch (metric) {
    case KITH_METRIC_L2: return squares;
    case KITH_METRIC_EUCLID: return sqrt(squares);
    case KITH_METRIC_IP: return dot;
    case KITH_METRIC_COSINE: return aa == 0 || bb == 0 ? 0 : dot / sqrt(aa * bb);
    default: return sum;
    }
}

static void distances_are_what_doubles_give(void **state) {
    (void)state;
    enum { MAX = 1500 };
    static double a_values[MAX], b_values[MAX];
    static uint64_t a[MAX], b[MAX]; /* room and alignment for any type */
    for (int round = 0; round < 300; round++) {
        size_t dim = round % 10 == 0 ? MAX - (size_t)round : 1 + bits_random(&seed) % 200;
        for (int type = 0; type < N_TYPES; type++) {
            fill((kith_type)type, dim, a, a_values);
            fill((kith_type)type, dim, b, b_values);
            for (int metric = 0; metric < N_METRICS; metric++) {
                float got;
                assert_int_equal(
                    kith_distance((kith_metric)metric, (kith_type)type, dim, a, b, &got, NULL), 0);
                double want = plain((kith_metric)metric, dim, a_values, b_values);
                bool exact = type >= KITH_TYPE_I8 && metric != KITH_METRIC_COSINE;
                if (exact) {
                    assert_true(got == (float)want); /* rounded once */
                    continue;
                }
                double size = metric == KITH_METRIC_COSINE ? 1
                              : metric == KITH_METRIC_IP   ? 16.0 * (double)dim
                                                           : want;
                assert_true(fabs((double)got - want) <= 4e-6 * size);
            }
        }
    }
}

static void the_doors_agree(void **state) {
    (void)state;
    enum { DIM = 70, N_A = 37, N_B = 19 };
    static double ignored[N_A * DIM];
    static uint64_t a[N_A * DIM], b[N_B * DIM];
    static float matrix[N_A * N_B], row[N_B];
    uint64_t blocks = mem_live_blocks();
    for (int type = 0; type < N_TYPES; type++)
        for (int metric = 0; metric < N_METRICS; metric++)
            for (size_t dim = DIM - 8; dim <= DIM; dim++) {
                kith_metric m = (kith_metric)metric;
                kith_type t = (kith_type)type;
                size_t stride = dim * kith_type_bytes(t);
                fill(t, N_A * dim, a, ignored);
                fill(t, N_B * dim, b, ignored);
                memset(b, 0, stride); /* a zero row */
                assert_int_equal(kith_distance_matrix(m, t, dim, N_A, a, N_B, b, matrix, NULL), 0);
                for (size_t i = 0; i < N_A; i++) {
                    const char *query = (const char *)a + i * stride;
                    assert_int_equal(kith_distances(m, t, dim, query, N_B, b, row, NULL), 0);
                    assert_memory_equal(row, matrix + i * N_B, sizeof row);
                    float one;
                    kith_distance(m, t, dim, query, (char *)b + (i % N_B) * stride, &one, NULL);
                    assert_memory_equal(&one, &row[i % N_B], sizeof one);
                }
                if (m == KITH_METRIC_COSINE) assert_true(matrix[0] == 0);
            }
    assert_int_equal(mem_live_blocks(), blocks);
}

static void whole_numbers_are_exact_at_their_ends(void **state) {
    (void)state;
    static uint8_t a[KITH_MAX_DIM], b[KITH_MAX_DIM];
    float got;
    memset(a, 255, sizeof a);
    kith_distance(KITH_METRIC_L2, KITH_TYPE_U8, KITH_MAX_DIM, a, b, &got, NULL);
    assert_true(got == (float)(65536.0 * 65025));
    kith_distance(KITH_METRIC_EUCLID, KITH_TYPE_U8, KITH_MAX_DIM, a, b, &got, NULL);
    assert_true(got == 256 * 255);
    memset(a, 0x80, sizeof a);
    memset(b, 0x7f, sizeof b);
    kith_distance(KITH_METRIC_IP, KITH_TYPE_I8, KITH_MAX_DIM, a, b, &got, NULL);
    assert_true(got == -65536.0f * 128 * 127);
    kith_distance(KITH_METRIC_L1, KITH_TYPE_I8, KITH_MAX_DIM, a, b, &got, NULL);
    assert_true(got == 65536.0f * 255);
}

static void zero_vectors_and_normalising(void **state) {
    (void)state;
    float a[3] = {3, 0, 4}, zero[3] = {0}, out[6], got = 7;
    assert_int_equal(kith_normalized_dot(3, a, zero, &got, NULL), 0);
    assert_true(got == 0);
    kith_normalized_dot(3, zero, zero, &got, NULL);
    assert_true(got == 0);
    kith_normalized_dot(3, a, a, &got, NULL);
    assert_true(fabsf(got - 1) <= FLT_EPSILON);
    kith_distance(KITH_METRIC_IP, KITH_TYPE_F32, 3, a, a, &got, NULL);
    assert_true(got == 25);
    assert_int_equal(kith_normalize(3, 1, a, a, NULL), 0); /* in place */
    assert_true(fabsf(a[0] - 0.6f) <= FLT_EPSILON && a[1] == 0 &&
                fabsf(a[2] - 0.8f) <= FLT_EPSILON);
    float rows[6] = {0, 0, 0, 3e30f, 0, -4e30f}; /* whose squares overflow */
    kith_normalize(3, 2, rows, out, NULL);
    assert_true(out[0] == 0 && out[1] == 0 && out[2] == 0);
    assert_true(fabsf(out[3] - 0.6f) <= FLT_EPSILON && fabsf(out[5] + 0.8f) <= FLT_EPSILON);
    float tiny[2] = {0x1p-140f, 0}; /* whose squares vanish */
    kith_normalize(2, 1, tiny, out, NULL);
    assert_true(out[0] == 1 && out[1] == 0);
    for (int i = 0; i < 200; i++) {
        float x[50], y[50];
        for (int j = 0; j < 50; j++) x[j] = unit();
        kith_normalize(50, 1, x, y, NULL);
        double squares = 0;
        for (int j = 0; j < 50; j++) squares += (double)y[j] * (double)y[j];
        assert_true(fabs(squares - 1) < 1e-6);
    }
}

static void names_of_metrics(void **state) {
    (void)state;
    kith_error err;
    kith_metric metric = KITH_METRIC_L1;
    const struct {
        const char *name;
        kith_metric metric;
    } names[] = {{"l2", KITH_METRIC_L2},         {"SqEuclidean", KITH_METRIC_L2},
                 {"euclid", KITH_METRIC_EUCLID}, {"EUCLIDEAN", KITH_METRIC_EUCLID},
                 {"ip", KITH_METRIC_IP},         {"dot", KITH_METRIC_IP},
                 {"inner", KITH_METRIC_IP},      {"cosine", KITH_METRIC_COSINE},
                 {"Cos", KITH_METRIC_COSINE},    {"angular", KITH_METRIC_COSINE},
                 {"l1", KITH_METRIC_L1},         {"manhattan", KITH_METRIC_L1},
                 {"cityblock", KITH_METRIC_L1}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(kith_metric_parse(names[i].name, &metric, &err), 0);
        assert_int_equal(metric, names[i].metric);
    }
    for (int m = 0; m < N_METRICS; m++) { /* there and back */
        assert_int_equal(kith_metric_parse(kith_metric_name((kith_metric)m), &metric, NULL), 0);
        assert_int_equal(metric, m);
        assert_int_equal(kith_metric_is_similarity((kith_metric)m),
                         m == KITH_METRIC_IP || m == KITH_METRIC_COSINE);
    }
    metric = KITH_METRIC_IP;
    assert_int_equal(kith_metric_parse("hamming", &metric, &err), KITH_EINVAL);
    assert_non_null(strstr(err.text, "hamming"));
    assert_non_null(strstr(err.text, "manhattan"));
    assert_int_equal(metric, KITH_METRIC_IP);
    assert_int_equal(kith_metric_parse(NULL, &metric, NULL), KITH_EINVAL);
    assert_int_equal(kith_metric_parse("", &metric, NULL), KITH_EINVAL);
    assert_string_equal(kith_metric_name((kith_metric)77), "?");
    const size_t bytes[] = {4, 2, 2, 1, 1, 0};
    for (int type = 0; type < 6; type++)
        assert_int_equal(kith_type_bytes((kith_type)type), bytes[type]);
}

static void bad_arguments(void **state) {
    (void)state;
    kith_error err;
    float a[1] = {1}, out = 9;
    assert_int_equal(kith_distance(KITH_METRIC_L2, KITH_TYPE_F32, 0, a, a, &out, &err), KITH_EDIM);
    assert_non_null(strstr(err.text, "dim 0"));
    assert_int_equal(kith_distances(KITH_METRIC_L2, KITH_TYPE_F32, 65537, a, 1, a, &out, &err),
                     KITH_EDIM);
    assert_non_null(strstr(err.text, "65537"));
    assert_int_equal(kith_distance((kith_metric)5, KITH_TYPE_F32, 1, a, a, &out, &err),
                     KITH_EINVAL);
    assert_int_equal(kith_distance((kith_metric)-1, KITH_TYPE_F32, 1, a, a, &out, NULL),
                     KITH_EINVAL);
    assert_int_equal(kith_distance_matrix(KITH_METRIC_L2, (kith_type)5, 1, 1, a, 1, a, &out, &err),
                     KITH_EINVAL);
    assert_int_equal(kith_normalize(0, 1, a, &out, NULL), KITH_EDIM);
    assert_int_equal(kith_normalized_dot(70000, a, a, &out, NULL), KITH_EDIM);
    assert_true(out == 9);
    assert_int_equal(kith_distances(KITH_METRIC_COSINE, KITH_TYPE_F16, 1, a, 0, NULL, &out, &err),
                     0);
    assert_true(out == 9);
    mem_test_fail_at(1);
    assert_int_equal(kith_distance(KITH_METRIC_L2, KITH_TYPE_F16, 1, a, a, &out, &err),
                     KITH_ENOMEM);
    mem_test_fail_at(1);
    assert_int_equal(
        kith_distance_matrix(KITH_METRIC_COSINE, KITH_TYPE_F32, 1, 1, a, 1, a, &out, &err),
        KITH_ENOMEM);
    mem_test_fail_at(0);
    assert_true(out == 9);
    assert_int_equal(kith_distance_matrix(KITH_METRIC_COSINE, KITH_TYPE_F32, 1, 1, a, SIZE_MAX / 4,
                                          a, &out, &err),
                     KITH_ENOMEM);
}

static void the_machine_is_described(void **state) {
    (void)state;
    char text[2000], small[20];
    kith_describe_machine(text, sizeof text);
    assert_non_null(strstr(text, "processor: "));
    assert_non_null(strstr(text, "levels: scalar"));
    assert_non_null(strstr(text, kith_isa()));
    assert_non_null(strstr(text, "AMX tiles: "));
    assert_non_null(strstr(text, "huge pages: "));
    assert_string_equal(kith_isa(), kern_get()->name);
    memset(small, 'x', sizeof small);
    kith_describe_machine(small, 10);
    assert_int_equal(strlen(small), 9);
    assert_int_equal(small[10], 'x');
    assert_memory_equal(small, text, 9);
    kith_describe_machine(small, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_are_what_doubles_give),
        cmocka_unit_test(the_doors_agree),
        cmocka_unit_test(whole_numbers_are_exact_at_their_ends),
        cmocka_unit_test(zero_vectors_and_normalising),
        cmocka_unit_test(names_of_metrics),
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test(the_machine_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
