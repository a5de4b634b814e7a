/* The steps of fast rotations at every level, scalar included, against plain loops bit by bit: products, sums and
 * differences of halves, and the Walsh-Hadamard transform at each size, which is also compared with its matrix in
 * 64-bit arithmetic. Operands end where memory ends. */
#include "kern_data.h"

#define MOST 4096

static void random_floats(float *x, size_t n, enum values class) {
    for (size_t i = 0; i < n; i++) x[i] = random_value(class);
}

static void assert_same(const char *level, const char *what, const float *got, const float *want,
                        size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!same_float(got[i], want[i]))
            fail_msg("%s %s of %zu: element %zu is %a, not %a", level, what, n, i, (double)got[i],
                     (double)want[i]);
}

/* Stages in rising order of stride, as kern.h says. */
static void plain_hadamard(float *x, size_t n) {
    for (size_t stride = 1; stride < n; stride *= 2)
        for (size_t i = 0; i < n; i++) {
            if (i & stride) continue;
            float a = x[i], b = x[i + stride];
            x[i] = a + b;
            x[i + stride] = a - b;
        }
}

static void transforms_are_the_plain_ones(void **state) {
    (void)state;
    const struct kern *level[8];
    size_t n_levels = kern_levels(level, 8);
    struct guard memory = guard_new(4 * MOST);
    static float in[MOST], want[MOST];
    for (size_t n = 64; n <= MOST; n *= 2)
        for (int class = 0; class < VALUE_CLASSES; class ++)
            for (size_t l = 0; l < n_levels; l++) {
                float *x = guard_end(&memory, n * 4);
                random_floats(in, n, (enum values) class);
                memcpy(x, in, n * 4);
                memcpy(want, in, n * 4);
                plain_hadamard(want, n);
                level[l]->hadamard(x, n);
                assert_same(level[l]->name, "hadamard", x, want, n);
            }
    guard_free(&memory);
}

/* The plain loop itself: element (i, j) of the matrix is -1 to the number of ones in i & j. */
static void plain_one_is_the_matrix(void **state) {
    (void)state;
    enum { N = 256 };
    float in[N], out[N];
    random_floats(in, N, UNIT);
    memcpy(out, in, sizeof in);
    plain_hadamard(out, N);
    for (unsigned i = 0; i < N; i++) {
        double sum = 0, size = 0;
        for (unsigned j = 0; j < N; j++) {
            sum += __builtin_parity(i & j) ? -(double)in[j] : (double)in[j];
            size += fabs((double)in[j]);
        }
        assert_true(fabs((double)out[i] - sum) <= 8 * 0x1p-24 * size);
    }
}

static void halves_and_products_are_the_plain_ones(void **state) {
    (void)state;
    const struct kern *level[8];
    size_t n_levels = kern_levels(level, 8);
    struct guard first = guard_new(4 * 2400), second = guard_new(4 * 2400);
    static float want[2400];
    for (int round = 0; round < 300; round++) {
        enum values class = (enum values)(round % VALUE_CLASSES);
        size_t n = random_dim(), half = 16 * (1 + random_below(64));
        for (size_t l = 0; l < n_levels; l++) {
            float *a = guard_end(&first, n * 4), *b = guard_end(&second, n * 4);
            random_floats(a, n, class);
            random_floats(b, n, class);
            for (size_t i = 0; i < n; i++) want[i] = a[i] * b[i];
            level[l]->multiply(a, b, n, round % 2 ? a : b);
            assert_same(level[l]->name, "multiply", round % 2 ? a : b, want, n);

            float *x = guard_end(&first, 2 * half * 4);
            random_floats(x, 2 * half, class);
            for (size_t i = 0; i < half; i++) {
                want[i] = x[i] + x[half + i];
                want[half + i] = x[i] - x[half + i];
            }
            level[l]->butterfly(x, half);
            assert_same(level[l]->name, "butterfly", x, want, 2 * half);
        }
    }
    guard_free(&first);
    guard_free(&second);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_one_is_the_matrix),
        cmocka_unit_test(transforms_are_the_plain_ones),
        cmocka_unit_test(halves_and_products_are_the_plain_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
