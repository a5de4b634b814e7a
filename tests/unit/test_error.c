/* The error table, and how a failure is written down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <kith/kith.h>

#include "base/status.h"

static const int codes[] = {
#define CODE(name, number, text, http, python) number,
    KITH_ERRORS(CODE)
#undef CODE
};
enum { N_CODES = sizeof codes / sizeof codes[0] };

static void numbers_run_from_zero(void **state) {
    (void)state;
    for (int i = 0; i < N_CODES; i++) assert_int_equal(codes[i], i);
}

static void every_code_has_its_words(void **state) {
    (void)state;
    for (int i = 0; i < N_CODES; i++) {
        assert_int_equal(strncmp(kith_code_name(i), "KITH_", 5), 0);
        assert_string_not_equal(kith_code_name(i), "KITH_?");
        assert_true(strlen(kith_code_text(i)) > 4);
        assert_true(strlen(kith_code_python(i)) > 3);
        assert_in_range(kith_code_http(i), i == 0 ? 200 : 400, i == 0 ? 200 : 599);
        for (int j = 0; j < i; j++) assert_string_not_equal(kith_code_name(i), kith_code_name(j));
    }
    assert_string_equal(kith_code_name(KITH_EDIM), "KITH_EDIM");
    assert_string_equal(kith_code_text(KITH_EDIM), "wrong dimension");
    assert_string_equal(kith_code_python(KITH_ENOMEM), "MemoryError");
    assert_int_equal(kith_code_http(KITH_ENOTFOUND), 404);
}

static void other_numbers_are_no_codes(void **state) {
    (void)state;
    const int strange[] = {-1, N_CODES, INT32_MAX, INT32_MIN};
    for (int i = 0; i < 4; i++) {
        assert_string_equal(kith_code_name(strange[i]), "KITH_?");
        assert_string_equal(kith_code_text(strange[i]), "KITH_?");
        assert_int_equal(kith_code_http(strange[i]), 500);
        assert_string_equal(kith_code_python(strange[i]), "RuntimeError");
    }
}

static void fail_fills_the_callers_error(void **state) {
    (void)state;
    kith_error err = {0};
    assert_int_equal(FAIL(&err, KITH_EDIM, "dim %d, index wants %d", 768, 512), KITH_EDIM);
    assert_int_equal(err.code, KITH_EDIM);
    assert_int_equal(err.at, -1);
    assert_string_equal(err.text, "dim 768, index wants 512");
    assert_int_equal(FAIL_AT(&err, KITH_ESPEC, 9, "unknown word"), KITH_ESPEC);
    assert_int_equal(err.at, 9);
    assert_int_equal(FAIL(NULL, KITH_EIO, "nobody listens"), KITH_EIO);
}

static void a_long_sentence_is_cut_and_ended(void **state) {
    (void)state;
    struct {
        kith_error err;
        char after;
    } place = {.after = 77};
    char sentence[1000];
    memset(sentence, 'x', sizeof sentence - 1);
    sentence[sizeof sentence - 1] = '\0';
    FAIL(&place.err, KITH_EIO, "%s", sentence);
    assert_int_equal(strlen(place.err.text), sizeof place.err.text - 1);
    assert_int_equal(place.after, 77);
}

static int fails(kith_error *err) { return FAIL(err, KITH_EK, "k is 0"); }

static int tries(kith_error *err, int *went_on) {
    TRY(KITH_OK);
    TRY(fails(err));
    *went_on = 1;
    return KITH_OK;
}

static int tries_and_cleans_up(kith_error *err, int *cleaned) {
    int code;
    TRY_DONE(fails(err));
    *cleaned = -1;
done:
    ++*cleaned;
    return code;
}

static void try_goes_up_at_once(void **state) {
    (void)state;
    int went_on = 0, cleaned = 0;
    kith_error err;
    assert_int_equal(tries(&err, &went_on), KITH_EK);
    assert_int_equal(went_on, 0);
    assert_int_equal(tries_and_cleans_up(&err, &cleaned), KITH_EK);
    assert_int_equal(cleaned, 1);
}

static void version_has_three_numbers(void **state) {
    (void)state;
    const char *version = kith_version();
    assert_int_equal(strspn(version, "0123456789."), strlen(version));
    assert_non_null(strchr(version, '.'));
    assert_ptr_not_equal(strchr(version, '.'), strrchr(version, '.'));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_run_from_zero),
        cmocka_unit_test(every_code_has_its_words),
        cmocka_unit_test(other_numbers_are_no_codes),
        cmocka_unit_test(fail_fills_the_callers_error),
        cmocka_unit_test(a_long_sentence_is_cut_and_ended),
        cmocka_unit_test(try_goes_up_at_once),
        cmocka_unit_test(version_has_three_numbers),
    };
    return cmocka_run_group_tests_name("unit_error", tests, NULL, NULL);
}
