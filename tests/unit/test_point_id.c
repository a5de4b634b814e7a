/* Ids of points: every spelling means what it says, prints as it should, and bytes order as ids do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/point_id.h"

static kith_id from(const char *text) {
    kith_id id;
    kith_error err;
    assert_int_equal(kith_id_from_text(&id, text, strlen(text), &err), KITH_OK);
    return id;
}

static void spellings_of_a_uuid(void **state) {
    (void)state;
    static const char *const same[] = {"f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
                                       "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6",
                                       "f81d4fae7dec11d0a76500a0c91e6bf6",
                                       "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}",
                                       "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
                                       "URN:UUID:F81d4fae-7dec-11d0-a765-00a0c91e6bf6"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        kith_id id = from(same[i]);
        char text[KITH_ID_TEXT];
        assert_int_equal(id.kind, KITH_ID_UUID);
        assert_int_equal(kith_id_print(&id, text), 36);
        assert_string_equal(text, same[0]);
    }
    static const char *const strings[] = {"f81d4fae-7dec-11d0-a765-00a0c91e6bf",
                                          "f81d4fae-7dec-11d0-a765-00a0c91e6bfg",
                                          "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
                                          "f81d4fae7-dec-11d0-a765-00a0c91e6bf6",
                                          "7",
                                          "{}"};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        kith_id id = from(strings[i]);
        char text[KITH_ID_TEXT];
        assert_int_equal(id.kind, KITH_ID_STRING);
        kith_id_print(&id, text);
        assert_string_equal(text, strings[i]);
    }
}

static void what_is_no_id(void **state) {
    (void)state;
    struct {
        const char *text;
        size_t length;
        int64_t at;
    } bad[] = {{"", 0, 0},
               {"a\0b", 3, 1},
               {"ab\xff", 3, 2},
               {"\xc0\x80", 2, 0},         /* overlong */
               {"\xed\xa0\x80", 3, 0},     /* a surrogate */
               {"\xf4\x90\x80\x80", 4, 0}, /* past the last code point */
               {"x\xe2\x82", 3, 1}};       /* cut off */
    char longest[514];
    memset(longest, 'x', sizeof longest);
    kith_error err;
    kith_id id = kith_id_number(5);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(kith_id_from_text(&id, bad[i].text, bad[i].length, &err), KITH_EINVAL);
        assert_int_equal(err.at, bad[i].at);
    }
    assert_int_equal(kith_id_from_text(&id, longest, 513, &err), KITH_EINVAL);
    assert_non_null(strstr(err.text, "513"));
    assert_int_equal(id.number, 5);
    assert_int_equal(kith_id_from_text(&id, longest, 512, &err), KITH_OK);
    assert_int_equal(kith_id_from_text(&id, "\xf0\x9f\x8e\x88", 4, &err), KITH_OK);
    kith_id uuid = {KITH_ID_STRING, 32, {0}};
    uuid.string = "f81d4fae7dec11d0a76500a0c91e6bf6";
    assert_int_equal(point_id_check(&uuid, &err), KITH_EINVAL);
    kith_id kind = {9, 0, {0}};
    assert_int_equal(point_id_check(&kind, &err), KITH_EINVAL);
}

static kith_id random_id(uint64_t *seed, char *text) {
    kith_id id = kith_id_number(bits_random(seed) >> (bits_random(seed) % 64));
    uint64_t kind = bits_random(seed) % 3;
    if (kind == 1) {
        id.kind = KITH_ID_UUID;
        for (int i = 0; i < 16; i++) id.uuid[i] = (uint8_t)(bits_random(seed) % 3 * 100);
    } else if (kind == 2) {
        id.kind = KITH_ID_STRING;
        id.length = (uint32_t)(1 + bits_random(seed) % 5);
        id.string = text;
        for (uint32_t i = 0; i < id.length; i++) text[i] = (char)('a' + bits_random(seed) % 2);
    }
    return id;
}

static void bytes_order_as_ids_do(void **state) {
    (void)state;
    uint64_t seed = 7;
    for (int i = 0; i < 20000; i++) {
        char a_text[8], b_text[8];
        kith_id a = random_id(&seed, a_text), b = random_id(&seed, b_text), back;
        uint8_t a_key[POINT_ID_BYTES], b_key[POINT_ID_BYTES];
        size_t n_a = point_id_encode(&a, a_key), n_b = point_id_encode(&b, b_key);
        int order = memcmp(a_key, b_key, n_a < n_b ? n_a : n_b);
        if (!order) order = (n_a > n_b) - (n_a < n_b);
        int want = kith_id_compare(&a, &b);
        assert_int_equal((want > 0) - (want < 0), (order > 0) - (order < 0));
        assert_int_equal(kith_id_compare(&b, &a) > 0, want < 0);
        assert_int_equal(point_id_decode(&back, a_key, n_a, NULL), KITH_OK);
        assert_int_equal(kith_id_compare(&a, &back), 0);
    }
    kith_id id;
    kith_error err;
    assert_int_equal(point_id_decode(&id, (const uint8_t *)"\1abc", 4, &err), KITH_ECORRUPT);
    assert_int_equal(point_id_decode(&id, (const uint8_t *)"", 0, &err), KITH_ECORRUPT);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(spellings_of_a_uuid),
                                       cmocka_unit_test(what_is_no_id),
                                       cmocka_unit_test(bytes_order_as_ids_do)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
