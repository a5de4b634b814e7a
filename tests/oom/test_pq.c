/* Product quantizers whose making or training runs out of memory at any allocation: they say so, nothing is lost, and the
 * next attempt gives what it always gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/mem.h"
#include "quant/pq.h"

enum { N = 300, DIM = 12 };
static float rows[N * DIM];

/* Make and train one with the nth allocation failing; 0: none does. */
static int attempt(uint64_t nth, struct mem_account *account, uint8_t *model) {
    const struct quantizer_spec spec = {.kind = QUANT_PQ, .bits = 4, .m = 3, .seed = 1};
    const struct quantizer_training how = {.threads = 1};
    struct quantizer *q = NULL;
    kith_error err;
    mem_test_fail_at(nth);
    int code = quantizer_new(&q, &spec, KITH_METRIC_L2, DIM, account, &err);
    if (code == KITH_OK) code = q->ops->train(q, N, rows, &how, &err);
    mem_test_fail_at(0);
    if (code == KITH_OK)
        q->ops->model_write(q, model);
    else
        assert_true(code == KITH_ENOMEM && err.text[0] != 0);
    quantizer_free(q);
    return code;
}

static void every_failure_is_told_and_nothing_lost(void **state) {
    (void)state;
    static uint8_t want[16 + 16 * DIM * 4], got[sizeof want];
    struct mem_account account = {0};
    uint64_t random = 4, failures = 0;
    for (size_t i = 0; i < N * DIM; i++) rows[i] = (float)(bits_random(&random) % 1000);
    assert_int_equal(attempt(0, &account, want), KITH_OK);
    const uint64_t live = mem_live_blocks();
    while (attempt(failures + 1, &account, got) != KITH_OK) {
        failures++;
        assert_int_equal(account.bytes, 0);
        assert_int_equal(mem_live_blocks(), live);
    }
    assert_memory_equal(got, want, sizeof want);
    assert_true(failures >= 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_failure_is_told_and_nothing_lost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
