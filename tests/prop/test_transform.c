/* Learnt transforms against 64-bit arithmetic, a fixture that numpy computed, and their own statements: variances and
 * axes, whitening, subspaces, orthonormal rows, the way back, rank-deficient data, fewer rows than dimensions, OPQ that
 * loses less than what it starts from; and bits that never change, whatever the instruction set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "base/bits.h"
#include "base/file.h"
#include "quant/kmeans.h"
#include "quant/transform.h"

#define ROWS 2000
#define MOST 96

static uint64_t random_state = 23;
static float rows[ROWS * MOST], out[ROWS * MOST], back[ROWS * MOST];
static const struct quantizer_training alone = {.threads = 1};

static float random_unit(void) {
    return (float)((double)(bits_random(&random_state) >> 11) * 0x1p-52 - 1);
}

static void trained(struct transform *t, struct transform_spec spec, size_t n) {
    kith_error err;
    if (transform_init(t, &spec, NULL, &err) || transform_train(t, n, rows, &alone, &err))
        fail_msg("%s", err.text);
}

static double dot(size_t n, const float *a, const float *b) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* n rows in a subspace of `rank` dimensions, later ones of it weaker, off the origin. */
static void random_rows(size_t n, size_t d, size_t rank) {
    static float axes[MOST * MOST];
    for (size_t i = 0; i < rank * d; i++) axes[i] = random_unit();
    for (size_t r = 0; r < n; r++) {
        for (size_t i = 0; i < d; i++) rows[r * d + i] = 1;
        for (size_t k = 0; k < rank; k++) {
            float weight = random_unit() * 4 / (float)(k + 1);
            for (size_t i = 0; i < d; i++) rows[r * d + i] += weight * axes[k * d + i];
        }
    }
}

static void assert_orthonormal_rows(const float *a, size_t n, size_t d) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            assert_true(fabs(dot(d, a + i * d, a + j * d) - (i == j)) < 0x1p-20);
}

/* y is A x + b in 64-bit arithmetic within the law's bound: (d / 16 + 9) 2^-24 of the sum of sizes, and b's rounding. */
static void applying_is_the_matrix_product(void **state) {
    (void)state;
    for (int round = 0; round < 60; round++) {
        uint32_t d_in = 1 + (uint32_t)(bits_random(&random_state) % MOST);
        uint32_t d_out = 1 + (uint32_t)(bits_random(&random_state) % MOST);
        size_t n = 1 + bits_random(&random_state) % 200;
        static float a[MOST * MOST], b[MOST];
        struct transform t;
        struct transform_spec spec = {.kind = TRANSFORM_LINEAR, .d_in = d_in, .d_out = d_out};
        for (size_t i = 0; i < (size_t)d_in * d_out; i++) a[i] = random_unit();
        for (size_t i = 0; i < d_out; i++) b[i] = random_unit();
        for (size_t i = 0; i < n * d_in; i++) rows[i] = random_unit();
        assert_int_equal(transform_init(&t, &spec, NULL, NULL), 0);
        assert_int_equal(transform_set(&t, a, round % 3 ? b : NULL, NULL), 0);
        transform_apply(&t, 1 + (uint32_t)round % 3, n, rows, out);
        for (size_t r = 0; r < n; r++)
            for (size_t j = 0; j < d_out; j++) {
                double want = round % 3 ? (double)b[j] : 0, size = fabs(want);
                for (size_t i = 0; i < d_in; i++) {
                    double term = (double)a[j * d_in + i] * (double)rows[r * d_in + i];
                    want += term;
                    size += fabs(term);
                }
                double bound = (d_in / 16.0 + 10) * 0x1p-24 * size;
                assert_true(fabs((double)out[r * d_out + j] - want) <= bound);
            }
        transform_deinit(&t);
    }
}

/* 50 rows of 6; numpy.linalg.eigh of numpy.cov(bias=True) in 64 bits gave the figures. */
static void pca_is_what_numpy_finds(void **state) {
    (void)state;
    static const double values[6] = {2721.86210593, 168.398605589, 79.890269063,
                                     21.8533381991, 4.11688385587, 1.54299793522};
    static const double first[6] = {0.6634778545,  0.7477891188,  0.0199582184,
                                    -0.0106676758, -0.0092015722, 0.0034309880};
    static const double third[6] = {-0.3645547571, 0.2984362389,  0.7792984037,
                                    0.0557234958,  -0.4093811752, -0.0056199472};
    static const double scale[6] = {8, 4, 2, 1, 0.5, 0.25};
    uint64_t stream = 2026;
    for (size_t r = 0; r < 50; r++) {
        double x[6];
        for (size_t i = 0; i < 6; i++)
            x[i] = ((double)(bits_random(&stream) >> 48) - 32768) / 4096 * scale[i];
        x[1] += x[0];
        x[4] -= 0.5 * x[2];
        for (size_t i = 0; i < 6; i++) rows[r * 6 + i] = (float)(x[i] + (double)(i + 1));
    }
    struct transform t;
    trained(&t, (struct transform_spec){.kind = TRANSFORM_PCA, .d_in = 6, .d_out = 6}, 50);
    for (size_t i = 0; i < 6; i++) {
        assert_true(fabs((double)t.values[i] - values[i]) < 2e-6 * values[0]);
        assert_true(fabs((double)t.a[i] - first[i]) < 2e-6);
        assert_true(fabs((double)t.a[12 + i] - third[i]) < 2e-6);
    }
    transform_deinit(&t);
}

/* Through 0: linear; the values are the mean squares of y; and no subspace keeps more of products, least of all that of
 * the variances where rows are far from 0. */
static void pca_through_0_keeps_products(void **state) {
    (void)state;
    for (int round = 0; round < 8; round++) {
        struct transform through, about;
        struct transform_spec spec = {.kind = TRANSFORM_PCA, .d_in = 20, .d_out = 5, .seed = 3};
        spec.rotate = round % 2;
        random_rows(300, 20, 20);
        trained(&about, spec, 300);
        spec.through_0 = true;
        trained(&through, spec, 300);
        assert_null(through.b);
        assert_null(through.origin);
        assert_orthonormal_rows(through.a, 5, 20);
        transform_apply(&through, 1, 300, rows, out);
        double squares = 0, values = 0, lost = 0, lost_about = 0;
        for (size_t i = 0; i < 300 * 5; i++) squares += (double)out[i] * (double)out[i] / 300;
        for (size_t i = 0; i < 5; i++) values += (double)through.values[i];
        assert_true(fabs(squares - values) < 1e-4 * values);
        transform_reverse(&through, 1, 300, out, back);
        for (size_t i = 0; i < 300 * 20; i++) lost += pow((double)back[i] - (double)rows[i], 2);
        static float other[ROWS * MOST];
        for (size_t r = 0; r < 300; r++) /* onto the axes of variance, through 0 too */
            for (size_t j = 0; j < 5; j++)
                out[r * 5 + j] = (float)dot(20, about.a + j * 20, rows + r * 20);
        for (size_t r = 0; r < 300; r++)
            for (size_t i = 0; i < 20; i++) {
                other[i] = 0;
                for (size_t j = 0; j < 5; j++) other[i] += out[r * 5 + j] * about.a[j * 20 + i];
                lost_about += pow((double)other[i] - (double)rows[r * 20 + i], 2);
            }
        assert_true(lost < lost_about);
        transform_deinit(&about);
        transform_deinit(&through);
    }
}

/* Variances of y are the values, axes are orthogonal in the data, and the way back loses the rest of the variance. */
static void pca_keeps_what_it_says(void **state) {
    (void)state;
    for (int round = 0; round < 24; round++) {
        uint32_t d = 2 + (uint32_t)(bits_random(&random_state) % 60);
        uint32_t d_out = 1 + (uint32_t)(bits_random(&random_state) % d);
        size_t n =
            round % 4 ? 500 : 2 + bits_random(&random_state) % d; /* also fewer rows than d_out */
        size_t rank = round % 3 ? d : 1 + d / 3;
        bool rotate = round % 2;
        struct transform t;
        random_rows(n, d, rank);
        trained(&t,
                (struct transform_spec){
                    .kind = TRANSFORM_PCA, .d_in = d, .d_out = d_out, .rotate = rotate, .seed = 9},
                n);
        assert_orthonormal_rows(t.a, d_out, d);
        transform_apply(&t, 1, n, rows, out);
        transform_reverse(&t, 1, n, out, back);
        double lost = 0, rest = 0, all = 0, kept = 0, share = 0;
        for (size_t i = 0; i < d; i++) {
            assert_true(t.values[i] >= 0 && (i == 0 || t.values[i] <= t.values[i - 1]));
            all += (double)t.values[i];
            rest += i < d_out ? 0 : (double)t.values[i];
            share += i < d_out ? (double)t.values[i] : 0;
        }
        for (size_t i = 0; i < n * d; i++)
            lost += ((double)rows[i] - (double)back[i]) * ((double)rows[i] - (double)back[i]) /
                    (double)n;
        for (size_t i = 0; i < n * d_out; i++) kept += (double)out[i] * (double)out[i] / (double)n;
        assert_true(fabs(lost - rest) < 1e-5 * all && fabs(kept - share) < 1e-5 * all);
        for (size_t j = 0; j < d_out && !rotate; j++) {
            double variance = 0;
            for (size_t r = 0; r < n; r++)
                variance += (double)out[r * d_out + j] * (double)out[r * d_out + j] / (double)n;
            assert_true(fabs(variance - (double)t.values[j]) < 1e-5 * all);
        }
        transform_deinit(&t);
    }
}

/* Whitened rows have the unit covariance on the directions that have variance, and nothing on others; there and back. */
static void whitening_whitens(void **state) {
    (void)state;
    for (int rotate = 0; rotate < 2; rotate++)
        for (size_t rank = 5; rank <= 12; rank += 7) {
            enum { D = 20, N = 1500 };
            struct transform t;
            random_rows(N, D, rank);
            trained(&t,
                    (struct transform_spec){.kind = TRANSFORM_PCA,
                                            .d_in = D,
                                            .d_out = D,
                                            .whiten = true,
                                            .rotate = rotate != 0,
                                            .seed = 2},
                    N);
            transform_apply(&t, 1, N, rows, out);
            double trace = 0, squares = 0;
            for (size_t i = 0; i < D; i++)
                for (size_t j = 0; j < D; j++) {
                    double sum = 0;
                    for (size_t r = 0; r < N; r++)
                        sum += (double)out[r * D + i] * (double)out[r * D + j] / N;
                    trace += i == j ? sum : 0;
                    squares += sum * sum;
                    if (!rotate) assert_true(fabs(sum - (i == j && i < rank)) < 0.01);
                }
            assert_true(fabs(trace - (double)rank) < 0.05 && fabs(squares - (double)rank) < 0.1);
            transform_reverse(&t, 1, N, out, back);
            for (size_t i = 0; i < N * D; i++) assert_true(fabsf(back[i] - rows[i]) < 0.01f);
            transform_deinit(&t);
        }
}

static void one_row_and_equal_rows_are_no_error(void **state) {
    (void)state;
    for (int kind = TRANSFORM_PCA; kind <= TRANSFORM_OPQ; kind++)
        for (int whiten = 0; whiten < 2; whiten++)
            for (size_t n = 1; n <= 300; n += 299) {
                struct transform t;
                for (size_t i = 0; i < n * 12; i++) rows[i] = (float)(i % 12);
                trained(&t,
                        (struct transform_spec){.kind = (enum transform_kind)kind,
                                                .d_in = 12,
                                                .d_out = 12,
                                                .m = 3,
                                                .whiten = whiten && kind == TRANSFORM_PCA},
                        n);
                transform_apply(&t, 1, n, rows, out);
                for (size_t i = 0; i < n * 12; i++) assert_true(isfinite(out[i]));
                if (!t.spec.whiten) assert_orthonormal_rows(t.a, 12, 12);
                transform_reverse(&t, 1, n, out, back);
                for (size_t i = 0; i < n * 12; i++) assert_true(fabsf(back[i] - rows[i]) < 1e-4f);
                transform_deinit(&t);
            }
}

/* Rotations keep lengths and dot products within d 2^-22 of the product of lengths, and come back. */
static void rotations_keep_lengths_and_dots(void **state) {
    (void)state;
    for (int round = 0; round < 30; round++) {
        uint32_t d = 2 + (uint32_t)(bits_random(&random_state) % 80);
        uint32_t d_out = d + (uint32_t)(round % 3 ? 0 : round % 16);
        struct transform t;
        random_rows(20, d, d);
        trained(&t,
                (struct transform_spec){
                    .kind = TRANSFORM_ROTATION, .d_in = d, .d_out = d_out, .seed = (uint64_t)round},
                20);
        transform_apply(&t, 1, 20, rows, out);
        transform_reverse(&t, 1, 20, out, back);
        for (size_t i = 0; i < 20; i++)
            for (size_t j = 0; j <= i; j++) {
                const float *x = rows + i * d, *y = rows + j * d;
                double lengths = sqrt(dot(d, x, x) * dot(d, y, y));
                double off = dot(d_out, out + i * d_out, out + j * d_out) - dot(d, x, y);
                assert_true(fabs(off) <= d * 0x1p-22 * lengths);
            }
        for (size_t i = 0; i < 20 * d; i++) assert_true(fabsf(back[i] - rows[i]) < 1e-3f);
        transform_deinit(&t);
    }
}

/* What a product quantiser of m parts loses of n rows of d. */
static double loss(size_t n, size_t d, size_t m, const float *x) {
    size_t part = d / m;
    double sum = 0;
    static float centroids[16 * MOST];
    for (size_t p = 0; p < m; p++) {
        struct kmeans_rows view = {.n = n, .dim = part, .values = x + p * part, .stride = d};
        struct kmeans_report report;
        assert_int_equal(kmeans_train(&(struct kmeans_options){.n_clusters = 16}, &view, centroids,
                                      &report, NULL, NULL),
                         0);
        sum += report.objective;
    }
    return sum;
}

/* Blocks of strongly dependent dimensions, hidden by a rotation: OPQ finds parts that lose less than those as they come. */
static void opq_loses_less(void **state) {
    (void)state;
    enum { D = 24, M = 6 };
    struct transform hide, t;
    random_rows(ROWS, D, D);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < D; i++)
            rows[r * D + i] = i % 4 == 0
                                  ? random_unit() * (float)(D - i)
                                  : rows[r * D + i - i % 4] * (i % 2 ? 1 : -1) + random_unit() / 9;
    trained(&hide, (struct transform_spec){.kind = TRANSFORM_ROTATION, .d_in = D, .d_out = D},
            ROWS);
    transform_apply(&hide, 1, ROWS, rows, out);
    memcpy(rows, out, sizeof rows);
    trained(&t, (struct transform_spec){.kind = TRANSFORM_OPQ, .d_in = D, .d_out = D, .m = M},
            ROWS);
    assert_orthonormal_rows(t.a, D, D);
    transform_apply(&t, 1, ROWS, rows, out);
    double before = loss(ROWS, D, M, rows), after = loss(ROWS, D, M, out);
    if (!(after < 0.5 * before)) fail_msg("opq loses %f, as they come %f", after, before);
    transform_deinit(&t);
    transform_deinit(&hide);
}

static void bits_never_change(void **state) {
    (void)state;
    static const struct {
        struct transform_spec spec;
        uint32_t crc;
    } known[] = {
        {{.kind = TRANSFORM_PCA, .d_in = 40, .d_out = 17}, 0x1cab3c6c},
        {{.kind = TRANSFORM_PCA, .d_in = 40, .d_out = 9, .whiten = true, .rotate = true},
         0x99619182},
        {{.kind = TRANSFORM_OPQ, .d_in = 40, .d_out = 32, .m = 8, .seed = 1}, 0x2b5107c4},
        {{.kind = TRANSFORM_ROTATION, .d_in = 40, .d_out = 40, .seed = 42}, 0x8b40b916},
        {{.kind = TRANSFORM_NORMALISE, .d_in = 40, .d_out = 40}, 0xe8d7ceeb},
        {{.kind = TRANSFORM_CENTRE, .d_in = 40, .d_out = 40}, 0x4a0dd18c},
    };
    random_state = 99;
    random_rows(600, 40, 40);
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        struct transform t;
        trained(&t, known[k].spec, 600);
        transform_apply(&t, 1, 600, rows, out);
        uint32_t crc = file_crc32c(0, out, 600 * t.spec.d_out * sizeof *out);
        if (crc != known[k].crc) fail_msg("transform %zu: crc 0x%08x", k, crc);
        transform_deinit(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(applying_is_the_matrix_product),
        cmocka_unit_test(pca_is_what_numpy_finds),
        cmocka_unit_test(pca_keeps_what_it_says),
        cmocka_unit_test(pca_through_0_keeps_products),
        cmocka_unit_test(whitening_whitens),
        cmocka_unit_test(one_row_and_equal_rows_are_no_error),
        cmocka_unit_test(rotations_keep_lengths_and_dots),
        cmocka_unit_test(opq_loses_less),
        cmocka_unit_test(bits_never_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
