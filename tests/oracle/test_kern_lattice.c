/* The kernels of RaBitQ's codes and tables: every level against scalar bit by bit, and scalar against their definition in
 * double. */
#include "kern_data.h"

enum { N = 4096 };

static float values[N], low[N / 4];

static void fill(size_t n, enum values class) {
    random_row(values, KITH_TYPE_F32, n, class);
    for (size_t i = 0; i < n / 4; i++) low[i] = random_value(class);
}

static float random_scale(void) { return ldexpf(1 + random_unit() / 2, (int)random_below(20) - 8); }

static float random_top(void) { return (float)((1u << random_below(8)) - 1); }

static void levels_agree(void **state) {
    (void)state;
    const struct kern *level[8];
    size_t n_levels = other_levels(level, 8);
    const struct kern *scalar;
    kern_levels(&scalar, 1);
    static uint8_t want[4 * N], got[4 * N];
    for (size_t round = 0; round < 300; round++) {
        size_t n = 16 * (1 + random_below(round % 10 ? 12 : N / 16));
        enum values class = (enum values)(round % VALUE_CLASSES);
        if (class == EDGES) class = UNIT; /* what is coded is finite */
        fill(n, class);
        float scales[4], sums[8], other[8], top = random_top(), scale = random_scale();
        for (int i = 0; i < 4; i++) scales[i] = random_scale();
        for (size_t l = 0; l < n_levels; l++) {
            scalar->lattice_fit(values, n, scales, top, sums, sums + 4);
            level[l]->lattice_fit(values, n, scales, top, other, other + 4);
            assert_memory_equal(sums, other, sizeof sums);
            scalar->lattice_code(values, n, scale, top, want);
            level[l]->lattice_code(values, n, scale, top, got);
            assert_memory_equal(want, got, n);
            scalar->subset_tables(values, n, scale, low, want);
            level[l]->subset_tables(values, n, scale, low, got);
            assert_memory_equal(want, got, 4 * n);
        }
    }
}

static void codes_are_the_nearest_half_integers(void **state) {
    (void)state;
    const struct kern *kern = kern_get();
    uint8_t codes[N];
    for (size_t round = 0; round < 200; round++) {
        size_t n = 16 * (1 + random_below(20));
        float scale = random_scale(), top = random_top();
        fill(n, UNIT);
        kern->lattice_code(values, n, scale, top, codes);
        double dot = 0, square = 0;
        for (size_t i = 0; i < n; i++) {
            double place = (double)values[i] * (double)scale, v = codes[i] - (double)top - 0.5;
            double room = 0.5 + 1e-4; /* within the grid, nearest; beyond its ends, the end */
            if (fabs(place) <= (double)top + 1)
                assert_true(fabs(v - place) <= room);
            else
                assert_true(v == copysign((double)top + 0.5, place));
            dot += v * (double)values[i];
            square += v * v;
        }
        float scales[4] = {scale, 1, 1, 1}, dots[4], squares[4];
        kern->lattice_fit(values, n, scales, top, dots, squares);
        assert_true(fabs((double)dots[0] - dot) <= 1e-4 * (dot + 1));
        assert_true(fabs((double)squares[0] - square) <= 1e-2 * (square + 1));
    }
}

static void tables_hold_sums_of_subsets(void **state) {
    (void)state;
    const struct kern *kern = kern_get();
    static uint8_t tables[4 * N];
    for (size_t round = 0; round < 200; round++) {
        size_t n = 4 * (1 + random_below(200));
        fill(n, UNIT);
        float scale = 60;
        for (size_t g = 0; g < n / 4; g++) {
            low[g] = 0;
            for (size_t b = 0; b < 4; b++) low[g] += fminf(values[4 * g + b], 0);
        }
        kern->subset_tables(values, n, scale, low, tables);
        for (size_t i = 0; i < 4 * n; i++) {
            double sum = -(double)low[i / 16];
            for (size_t b = 0; b < 4; b++)
                if (i >> b & 1) sum += (double)values[i / 16 * 4 + b];
            assert_true(fabs(sum * (double)scale - tables[i]) <= 0.501);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_agree),
        cmocka_unit_test(codes_are_the_nearest_half_integers),
        cmocka_unit_test(tables_hold_sums_of_subsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
