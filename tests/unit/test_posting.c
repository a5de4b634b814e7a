/* Postings against an array of flags, through all forms; and no memory leaves them as they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/mem.h"
#include "filter/posting.h"

enum { UNIVERSE = 300000, WORDS = UNIVERSE / 64 + 1 };

static uint64_t model[WORDS], bits[WORDS], mask[WORDS];
static uint32_t rows[UNIVERSE];

static void check(const struct posting *posting) {
    uint32_t n = 0, in_mask = 0;
    memset(bits, 0, sizeof bits);
    posting_or(posting, bits);
    assert_memory_equal(bits, model, sizeof bits);
    posting_list(posting, rows);
    for (uint32_t row = 0; row < UNIVERSE; row++) {
        if (!bits_test(model, row)) continue;
        assert_int_equal(rows[n], row);
        n++;
        in_mask += bits_test(mask, row);
    }
    assert_int_equal(posting->n, n);
    assert_int_equal(posting_count_in(posting, mask), in_mask);
    memcpy(bits, mask, sizeof bits);
    posting_and(posting, bits, WORDS);
    for (size_t i = 0; i < WORDS; i++) assert_true(bits[i] == (mask[i] & model[i]));
    memcpy(bits, mask, sizeof bits);
    posting_and_not(posting, bits);
    for (size_t i = 0; i < WORDS; i++) assert_true(bits[i] == (mask[i] & ~model[i]));
}

/* Rows of a stretch come and go, mostly the one, then mostly the other. */
static void churn(struct posting *posting, struct mem_account *owner, uint64_t *seed,
                  uint32_t first, uint32_t span) {
    for (int phase = 0; phase < 2; phase++) {
        for (uint32_t i = 0; i < span; i++) {
            uint32_t row = first + (uint32_t)(bits_random(seed) % span);
            bool add = bits_random(seed) % 8 != (uint64_t)phase &&
                       (phase == 0 || bits_random(seed) % 8 == 0);
            if (add) {
                assert_true(posting_add(posting, owner, row));
                bits_set(model, row);
            } else {
                posting_remove(posting, owner, row);
                bits_clear(model, row);
            }
            assert_int_equal(posting_has(posting, row), add);
        }
        check(posting);
    }
}

static void test_churn(void **state) {
    (void)state;
    static const uint32_t spans[] = {3, 40, 400, 5000, 70000, UNIVERSE};
    struct mem_account owner = {0};
    uint64_t seed = 3;
    for (size_t i = 0; i < WORDS; i++) mask[i] = bits_random(&seed);
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        struct posting posting = {0};
        memset(model, 0, sizeof model);
        for (int round = 0; round < 4; round++)
            churn(&posting, &owner, &seed,
                  (uint32_t)(bits_random(&seed) % (UNIVERSE - spans[i] + 1)), spans[i]);
        for (uint32_t row = 0; row < UNIVERSE; row++) posting_remove(&posting, &owner, row);
        assert_int_equal(posting.n, 0);
        assert_int_equal(owner.bytes, 0);
    }
}

/* Bits need not reach beyond the word of the last row. */
static void test_ends(void **state) {
    (void)state;
    struct posting posting = {0};
    uint64_t *few = mem_new(NULL, bits_words(65536 + 6000) * sizeof *few);
    for (uint32_t row = 65536; row < 65536 + 6000; row++)
        assert_true(posting_add(&posting, NULL, row));
    posting_or(&posting, few);
    assert_true(bits_test(few, 65536) && bits_test(few, 65536 + 5999) && !bits_test(few, 65535));
    posting_and(&posting, few, bits_words(65536 + 6000));
    posting_and_not(&posting, few);
    for (size_t i = 0; i < bits_words(65536 + 6000); i++) assert_true(few[i] == 0);
    mem_free(NULL, few, bits_words(65536 + 6000) * sizeof *few);
    posting_deinit(&posting, NULL);
}

static void test_no_memory(void **state) {
    (void)state;
    struct mem_account owner = {0};
    struct posting posting = {0};
    uint32_t n_failed = 0;
    for (uint32_t row = 0; row < 20000; row += 1 + row % 3) {
        uint32_t n = posting.n;
        mem_test_fail_at(1);
        bool added = posting_add(&posting, &owner, row);
        mem_test_fail_at(0);
        assert_int_equal(posting.n, n + added);
        assert_int_equal(posting_has(&posting, row), added);
        n_failed += !added;
        assert_true(added || posting_add(&posting, &owner, row));
    }
    assert_true(n_failed > 5);
    posting_deinit(&posting, &owner);
    assert_int_equal(owner.bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_churn), cmocka_unit_test(test_ends),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
