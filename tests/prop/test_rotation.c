/* Fast rotations: any dimension and seed keeps lengths, dot products and the vector itself within the stated bound, and
 * looks random; and the bits of a seed never change, because files keep only the seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>

#include "base/bits.h"
#include "base/file.h"
#include "base/mem.h"
#include "quant/rotation.h"

static uint64_t random_state = 3;

static double random_unit(void) { return (double)(bits_random(&random_state) >> 11) * 0x1p-52 - 1; }

static double dot(size_t n, const float *a, const float *b) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static double length_of_difference(size_t n, const float *a, const float *b) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(sum);
}

/* Dense, one element, a few elements, all equal; of any size. */
static void random_vector(size_t n, float *x) {
    uint64_t how = bits_random(&random_state) % 4, at = bits_random(&random_state) % n;
    double scale = ldexp(1, (int)(bits_random(&random_state) % 120) - 60);
    for (size_t i = 0; i < n; i++) {
        double value = how == 0   ? random_unit()
                       : how == 1 ? (double)(i == at)
                       : how == 2 ? (bits_random(&random_state) % 20 ? 0 : random_unit())
                                  : 1;
        x[i] = (float)(scale * value);
    }
}

static void lengths_and_dots_are_kept(void **state) {
    (void)state;
    static float x[4096], y[4096], rx[4096], ry[4096];
    for (int round = 0; round < 400; round++) {
        uint32_t dim = 1 + (uint32_t)(bits_random(&random_state) % (round % 4 ? 300 : 4000));
        struct rotation r;
        assert_int_equal(rotation_init(&r, dim, bits_random(&random_state), NULL, NULL), 0);
        assert_true(r.padded % 64 == 0 && r.padded >= dim && r.padded < dim + 64);
        random_vector(dim, x);
        random_vector(dim, y);
        rotation_apply(&r, x, rx);
        rotation_apply(&r, y, ry);
        double bound = rotation_error(&r), xx = sqrt(dot(dim, x, x)), yy = sqrt(dot(dim, y, y));
        assert_true(fabs(sqrt(dot(r.padded, rx, rx)) - xx) <= bound * xx);
        double off = fabs(dot(r.padded, rx, ry) - dot(dim, x, y));
        assert_true(off <= (2 * bound + bound * bound) * xx * yy);
        rotation_reverse(&r, rx);
        assert_true(length_of_difference(dim, rx, x) <= 2 * bound * xx);
        for (uint32_t i = dim; i < r.padded; i++)
            assert_true(fabs((double)rx[i]) <= 2 * bound * xx);
        rotation_deinit(&r, NULL);
    }
}

/* Over seeds, each element of a rotated unit vector has the mean square that invariant 4 states, and the elements of all
 * have the fourth moment of a normal distribution, within what so many samples allow. */
static void energy_is_spread(void **state) {
    (void)state;
    static const uint32_t dims[] = {64, 128, 192, 448, 512, 784, 960};
    enum { SEEDS = 4000 };
    static float x[1024], y[1024];
    static double square[1024];
    for (size_t k = 0; k < sizeof dims / sizeof *dims; k++)
        for (int which = 0; which < 3; which++) {
            uint32_t dim = dims[k], padded = (uint32_t)bits_round_up(dim, 64);
            double fourth = 0;
            memset(square, 0, sizeof square);
            memset(x, 0, sizeof x);
            x[which == 0 ? 0 : which == 1 ? dim / 2 : dim - 1] = 1;
            for (uint64_t seed = 0; seed < SEEDS; seed++) {
                struct rotation r;
                assert_int_equal(rotation_init(&r, dim, bits_mix(seed), NULL, NULL), 0);
                rotation_apply(&r, x, y);
                for (uint32_t i = 0; i < padded; i++) {
                    double value = (double)y[i] * (double)y[i] * padded;
                    square[i] += value / SEEDS;
                    fourth += value * value / SEEDS / padded;
                }
                rotation_deinit(&r, NULL);
            }
            /* a mean of 4,000 squares is off by 0.022 standard deviations, and the worst of 1,000 by 5 of these */
            for (uint32_t i = 0; i < padded; i++)
                if (fabs(square[i] - 1) > 0.07 + 0.125)
                    fail_msg("dim %u, element %u: mean square %f / p", dim, i, square[i]);
            if (fabs(fourth - 3) > 0.3) fail_msg("dim %u: fourth moment %f", dim, fourth);
        }
}

static void bits_never_change(void **state) {
    (void)state;
    static const struct {
        uint32_t dim, crc;
    } known[] = {{1, 0x48a015fa},   {64, 0x68f99ce3},   {100, 0x55cf8748},
                 {784, 0x9a4caa57}, {1024, 0x9d3a7b95}, {1536, 0x7460ba7e}};
    static float x[2048], y[2048];
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        struct rotation r;
        uint64_t values = known[k].dim;
        assert_int_equal(rotation_init(&r, known[k].dim, 42, NULL, NULL), 0);
        for (uint32_t i = 0; i < known[k].dim; i++)
            x[i] = (float)((double)(bits_random(&values) >> 40) * 0x1p-23 - 1);
        rotation_apply(&r, x, y);
        uint32_t crc = file_crc32c(0, y, r.padded * sizeof *y);
        if (crc != known[k].crc) fail_msg("dim %u: crc 0x%08x", known[k].dim, crc);
        rotation_deinit(&r, NULL);
    }
}

static void other_seeds_are_other_rotations(void **state) {
    (void)state;
    static float x[128], a[128], b[128];
    struct rotation r;
    random_vector(100, x);
    x[0] += x[0] == 0 ? 1 : 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_int_equal(rotation_init(&r, 100, seed, NULL, NULL), 0);
        rotation_apply(&r, x, a);
        rotation_deinit(&r, NULL);
        assert_int_equal(rotation_init(&r, 100, seed + 1, NULL, NULL), 0);
        rotation_apply(&r, x, b);
        rotation_deinit(&r, NULL);
        double length = sqrt(dot(100, x, x));
        assert_true(length_of_difference(128, a, b) > length / 2);
    }
}

static void bad_dimensions_and_no_memory_are_refused(void **state) {
    (void)state;
    struct rotation r;
    kith_error err;
    assert_int_equal(rotation_init(&r, 0, 1, NULL, &err), KITH_EDIM);
    assert_int_equal(rotation_init(&r, 65537, 1, NULL, &err), KITH_EDIM);
    rotation_deinit(&r, NULL);
    mem_test_fail_at(1);
    assert_int_equal(rotation_init(&r, 784, 1, NULL, &err), KITH_ENOMEM);
    rotation_deinit(&r, NULL);
    mem_test_fail_at(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_and_dots_are_kept),
        cmocka_unit_test(energy_is_spread),
        cmocka_unit_test(bits_never_change),
        cmocka_unit_test(other_seeds_are_other_rotations),
        cmocka_unit_test(bad_dimensions_and_no_memory_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
