/* CRC-32C: the values of RFC 3720, B.4, and the fast one against the tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/file.h"

typedef uint32_t crc_function(uint32_t crc, const void *bytes, size_t n);
static crc_function *const both[] = {file_crc32c, file_crc32c_portable};

static void gives_the_published_values(void **state) {
    (void)state;
    uint8_t zeros[32] = {0}, ones[32], rising[32], falling[32];
    memset(ones, 0xff, sizeof ones);
    for (uint8_t i = 0; i < 32; i++) {
        rising[i] = i;
        falling[i] = (uint8_t)(31 - i);
    }
    for (int f = 0; f < 2; f++) {
        assert_int_equal(both[f](0, "123456789", 9), 0xe3069283u);
        assert_int_equal(both[f](0, zeros, 32), 0x8a9136aau);
        assert_int_equal(both[f](0, ones, 32), 0x62a8ab43u);
        assert_int_equal(both[f](0, rising, 32), 0x46dd794eu);
        assert_int_equal(both[f](0, falling, 32), 0x113fdb5cu);
        assert_int_equal(both[f](0, "", 0), 0);
    }
}

static void agrees_at_every_length_and_offset(void **state) {
    (void)state;
    static uint8_t bytes[5000];
    uint64_t seed = 7;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)bits_random(&seed);
    for (size_t n = 0; n < 600; n++)
        for (size_t offset = 0; offset < 9; offset++)
            assert_int_equal(file_crc32c(0, bytes + offset, n),
                             file_crc32c_portable(0, bytes + offset, n));
    assert_int_equal(file_crc32c(5, bytes, 5000), file_crc32c_portable(5, bytes, 5000));
}

static void goes_on_after_any_cut(void **state) {
    (void)state;
    uint8_t bytes[100];
    uint64_t seed = 8;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)bits_random(&seed);
    for (int f = 0; f < 2; f++)
        for (size_t cut = 0; cut <= sizeof bytes; cut++)
            assert_int_equal(both[f](both[f](0, bytes, cut), bytes + cut, sizeof bytes - cut),
                             both[f](0, bytes, sizeof bytes));
}

static void notices_every_flipped_bit(void **state) {
    (void)state;
    uint8_t bytes[64] = {1, 2, 3};
    uint32_t good = file_crc32c(0, bytes, sizeof bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_not_equal(file_crc32c(0, bytes, sizeof bytes), good);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_published_values),
        cmocka_unit_test(agrees_at_every_length_and_offset),
        cmocka_unit_test(goes_on_after_any_cut),
        cmocka_unit_test(notices_every_flipped_bit),
    };
    return cmocka_run_group_tests_name("unit_crc", tests, NULL, NULL);
}
