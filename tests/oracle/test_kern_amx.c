/* The AMX scan, src/kern/scan_amx.c itself, over a model of the tile instructions, against the formula. On a machine with
 * tiles the real one is also compared, as a level like any other, by test_kern_int. */
#define KERN_PLAIN
#include "amx_model.h"
#include "kern_codes.h"

#include "kern/scan_amx.c"

static void the_model_multiplies_as_described(void **state) {
    (void)state;
    uint8_t config[64] = {1}, b[64];
    int8_t a[64];
    int32_t c[16];
    config[16] = config[18] = config[20] = 4; /* 1 x 1 tiles of one word */
    config[48] = config[49] = config[50] = 1;
    memset(&amx, 0, sizeof amx);
    _tile_zero(0);
    assert_int_equal(amx.faults, 1); /* no configuration yet */
    _tile_loadconfig(config);
    memcpy(a, (int8_t[]){-128, 127, -1, 2}, 4);
    memcpy(b, (uint8_t[]){255, 255, 7, 200}, 4);
    _tile_loadd(1, a, 64);
    _tile_loadd(2, b, 64);
    _tile_zero(0);
    _tile_dpbsud(0, 1, 2);
    _tile_stored(0, c, 64);
    assert_int_equal(c[0], -128 * 255 + 127 * 255 - 7 + 400);
    assert_int_equal(amx.faults, 1);
    config[18] = 8; /* A is now wider than B is high */
    _tile_loadconfig(config);
    _tile_dpbsud(0, 1, 2);
    assert_int_equal(amx.faults, 2);
    _tile_release();
    assert_int_equal(amx.configured, 0);
}

static void scans_find_what_the_formula_says(void **state) {
    (void)state;
    const struct kern *scalar;
    kern_levels(&scalar, 1);
    struct kern modelled = *scalar; /* whose panels have the layout of the tiles: 4 codes a line */
    const struct kern *level = &modelled;
    kern_fill_amx(&modelled);
    assert_string_equal(modelled.name, "amx");
    memset(&amx, 0, sizeof amx);
    scan_oracle(&level, 1, 250);
    assert_int_equal(amx.faults, 0);
    assert_int_equal(amx.configured, 0); /* each call gives its tiles back */
    assert_true(amx.products > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_multiplies_as_described),
        cmocka_unit_test(scans_find_what_the_formula_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
