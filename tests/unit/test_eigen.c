/* The symmetric eigen solver and the reflections under it: known spectra, residuals and orthogonality of random, graded
 * and rank-deficient matrices, equal values, the same bits at any number of threads, bits that never change, and what is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "base/bits.h"
#include "base/file.h"
#include "base/mem.h"
#include "quant/eigen.h"
#include "quant/reflect.h"

#define MOST 150

static uint64_t random_state = 11;
static double a[MOST * MOST], used[MOST * MOST], vectors[MOST * MOST], values[MOST];

static double random_unit(void) { return (double)(bits_random(&random_state) >> 11) * 0x1p-52 - 1; }

static double dot(size_t n, const double *x, const double *y) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

static void solve(size_t n, size_t n_vectors, uint32_t threads) {
    memcpy(used, a, n * n * sizeof *a);
    assert_int_equal(eigen_symmetric(n, used, values, n_vectors, vectors, threads, NULL, NULL), 0);
}

/* The header's statements about values and vectors of a. */
static void check(size_t n, size_t n_vectors) {
    double norm = 0;
    for (size_t i = 0; i < n; i++) {
        norm = fmax(norm, fabs(values[i]));
        assert_true(i == 0 || values[i - 1] >= values[i]);
    }
    double bound = 8 * (double)n * 0x1p-53;
    for (size_t j = 0; j < n_vectors; j++) {
        const double *x = vectors + j * n;
        size_t most = 0;
        for (size_t i = 0; i < n; i++) {
            assert_true(fabs(dot(n, a + i * n, x) - values[j] * x[i]) <= bound * norm);
            if (fabs(x[i]) > fabs(x[most])) most = i;
        }
        assert_true(x[most] > 0);
        for (size_t k = 0; k <= j; k++)
            assert_true(fabs(dot(n, x, vectors + k * n) - (j == k)) <= bound);
    }
}

/* a = sum of rank outer products of random vectors, each weight `decay` of the one before. */
static void random_matrix(size_t n, size_t rank, double decay) {
    double x[MOST], weight = 1;
    memset(a, 0, sizeof a);
    for (size_t r = 0; r < rank; r++, weight *= decay) {
        for (size_t i = 0; i < n; i++) x[i] = random_unit();
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) a[i * n + j] += weight * (x[i] * x[j]);
    }
}

static void any_matrix_is_taken_apart(void **state) {
    (void)state;
    static const double decays[] = {1, 0.5, 0.9, -1, 1e-3};
    for (int round = 0; round < 60; round++) {
        size_t n = 1 + bits_random(&random_state) % (round % 10 ? 40 : MOST);
        size_t rank = round % 3 ? 2 * n : 1 + bits_random(&random_state) % n;
        random_matrix(n, rank, decays[round % 5]);
        double trace = 0, sum = 0, size = 0;
        solve(n, n, 1);
        check(n, n);
        for (size_t i = 0; i < n; i++) {
            trace += a[i * n + i];
            sum += values[i];
            size += fabs(values[i]);
        }
        assert_true(fabs(trace - sum) <= 8 * (double)n * 0x1p-53 * size);
    }
}

static void known_spectra(void **state) {
    (void)state;
    const double pi = 3.14159265358979323846;
    for (size_t n = 1; n <= MOST; n += n < 8 ? 1 : 37) {
        memset(a, 0, sizeof a); /* second differences: 2 - 2 cos(k pi / (n + 1)) */
        for (size_t i = 0; i < n; i++) {
            a[i * n + i] = 2;
            if (i + 1 < n) a[i * n + i + 1] = a[(i + 1) * n + i] = -1;
        }
        solve(n, n, 1);
        check(n, n);
        for (size_t j = 0; j < n; j++) {
            double want = 2 - 2 * cos((double)(n - j) * pi / (double)(n + 1));
            assert_true(fabs(values[j] - want) < 1e-13);
        }
        for (size_t i = 0; i < n * n; i++) a[i] = 1; /* all ones: n, and n - 1 zeros */
        solve(n, n, 1);
        check(n, n);
        assert_true(fabs(values[0] - (double)n) < 1e-12);
        for (size_t j = 1; j < n; j++) assert_true(fabs(values[j]) < 1e-12);
        memset(a, 0, sizeof a); /* a diagonal with equal and negative values, exactly */
        for (size_t i = 0; i < n; i++) a[i * n + i] = (double)(i % 3) - 1;
        solve(n, n, 1);
        check(n, n);
        for (size_t j = 0; j < n; j++)
            assert_true(values[j] == (j < n / 3 ? 1 : j < n / 3 + (n + 1) / 3 ? 0 : -1));
        memset(a, 0, sizeof a);
        solve(n, n, 1);
        check(n, n);
        assert_true(values[0] == 0 && values[n - 1] == 0);
    }
}

/* Columns of any size beside each other, and empty ones: what images with a dark border have. */
static void graded_and_empty_columns_converge(void **state) {
    (void)state;
    double size[MOST];
    for (int round = 0; round < 60; round++) {
        size_t n = 2 + bits_random(&random_state) % 60;
        int steepest = round % 3 == 0 ? 40 : round % 3 == 1 ? 160 : 500;
        for (size_t i = 0; i < n; i++)
            size[i] = bits_random(&random_state) % 3 == 0
                          ? 0
                          : ldexp(1, -(int)(bits_random(&random_state) % (unsigned)steepest));
        random_matrix(n, round % 2 ? 2 * n : 3, 1);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) a[i * n + j] *= size[i] * size[j];
        solve(n, n, 1);
        check(n, n);
    }
}

static void scale_does_not_matter(void **state) {
    (void)state;
    static double before[MOST];
    random_matrix(30, 60, 0.9);
    solve(30, 30, 1);
    memcpy(before, values, sizeof values);
    for (int power = -900; power <= 900; power += 300) {
        double scale = ldexp(1, power);
        for (size_t i = 0; i < 900; i++) a[i] *= scale;
        solve(30, 30, 1);
        for (size_t i = 0; i < 30; i++) assert_true(values[i] == before[i] * scale);
        for (size_t i = 0; i < 900; i++) a[i] /= scale;
    }
}

/* The first few vectors are those of a whole solution, and threads change nothing. */
static void parts_and_threads_give_the_same_bits(void **state) {
    (void)state;
    enum { N = 140 };
    static double want_vectors[MOST * MOST], want[MOST];
    random_matrix(N, 2 * N, 0.99);
    solve(N, N, 1);
    memcpy(want, values, sizeof want);
    memcpy(want_vectors, vectors, sizeof want_vectors);
    for (uint32_t threads = 1; threads <= 5; threads++)
        for (size_t n_vectors = 0; n_vectors <= N; n_vectors += 35) {
            memset(vectors, 0, sizeof vectors);
            solve(N, n_vectors, threads);
            assert_memory_equal(values, want, N * sizeof *want);
            assert_memory_equal(vectors, want_vectors, n_vectors * N * sizeof *vectors);
        }
}

static void bits_never_change(void **state) {
    (void)state;
    enum { N = 60 };
    random_state = 5;
    random_matrix(N, N / 2, 0.9);
    solve(N, N, 1);
    uint32_t crc = file_crc32c(file_crc32c(0, values, N * 8), vectors, N * N * 8);
    if (crc != 0x508b33ceu) fail_msg("crc 0x%08x", crc);
}

static void reflections_make_axes_and_keep_lengths(void **state) {
    (void)state;
    for (int round = 0; round < 200; round++) {
        size_t n = 1 + bits_random(&random_state) % 50;
        double x[50], v[50], alpha;
        for (size_t i = 0; i < n; i++) v[i] = x[i] = round % 5 ? random_unit() : (double)(i == 0);
        double beta = reflect_to_axis(n, v, &alpha);
        struct reflections one = {n, 0, 1, v, &beta};
        double length = sqrt(dot(n, x, x));
        assert_true(fabs(fabs(alpha) - length) <= 1e-14 * length);
        reflect_rows(&one, 1, 1, x);
        assert_true(fabs(x[0] - alpha) <= 1e-14 * length);
        for (size_t i = 1; i < n; i++) assert_true(fabs(x[i]) <= 1e-14 * length);
    }
}

static void what_is_not_finite_or_has_no_memory_is_refused(void **state) {
    (void)state;
    kith_error err;
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        random_matrix(10, 10, 1);
        a[37] = a[73] = bad[i];
        assert_int_equal(eigen_symmetric(10, a, values, 10, vectors, 1, NULL, &err),
                         KITH_ENONFINITE);
    }
    uint64_t before = mem_live_blocks();
    for (uint64_t nth = 1; nth <= 4; nth++) {
        random_matrix(10, 10, 1);
        mem_test_fail_at(nth);
        assert_int_equal(eigen_symmetric(10, a, values, 10, vectors, 1, NULL, &err), KITH_ENOMEM);
        assert_int_equal(mem_live_blocks(), before);
    }
    mem_test_fail_at(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reflections_make_axes_and_keep_lengths),
        cmocka_unit_test(any_matrix_is_taken_apart),
        cmocka_unit_test(known_spectra),
        cmocka_unit_test(graded_and_empty_columns_converge),
        cmocka_unit_test(scale_does_not_matter),
        cmocka_unit_test(parts_and_threads_give_the_same_bits),
        cmocka_unit_test(bits_never_change),
        cmocka_unit_test(what_is_not_finite_or_has_no_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
