/* Bits: words against an array of bools, rounding, and splitmix64's published numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"

static void sets_and_clears_one_bit(void **state) {
    (void)state;
    enum { N = 200 };
    uint64_t bits[4] = {0}, seed = 1;
    bool model[N] = {false};
    assert_int_equal(bits_words(N), 4);
    for (int step = 0; step < 5000; step++) {
        uint64_t i = bits_random(&seed) % N;
        model[i] = bits_random(&seed) & 1;
        if (model[i])
            bits_set(bits, i);
        else
            bits_clear(bits, i);
        for (uint64_t j = 0; j < N; j++) assert_int_equal(bits_test(bits, j), model[j]);
    }
}

static void counts_words(void **state) {
    (void)state;
    assert_int_equal(bits_words(0), 0);
    assert_int_equal(bits_words(1), 1);
    assert_int_equal(bits_words(64), 1);
    assert_int_equal(bits_words(65), 2);
}

static void rounds_up_to_powers(void **state) {
    (void)state;
    assert_int_equal(bits_round_up(0, 64), 0);
    assert_int_equal(bits_round_up(1, 64), 64);
    assert_int_equal(bits_round_up(64, 64), 64);
    assert_int_equal(bits_round_up(65, 64), 128);
    assert_int_equal(bits_round_up(4097, 1), 4097);
}

/* The first numbers of the reference implementation with seed 0. */
static void is_splitmix64(void **state) {
    (void)state;
    uint64_t seed = 0;
    assert_true(bits_random(&seed) == 0xe220a8397b1dcdafu);
    assert_true(bits_random(&seed) == 0x6e789e6aa1b965f4u);
    assert_true(bits_random(&seed) == 0x06c45d188009454fu);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_and_clears_one_bit),
        cmocka_unit_test(counts_words),
        cmocka_unit_test(rounds_up_to_powers),
        cmocka_unit_test(is_splitmix64),
    };
    return cmocka_run_group_tests_name("unit_bits", tests, NULL, NULL);
}
