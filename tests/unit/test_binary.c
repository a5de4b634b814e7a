/* Sign bits: what a bit means, Hamming distances, models. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/mem.h"
#include "quant/binary.h"

enum { N = 301, DIM = 77, BYTES = 16 };

static struct mem_account account;
static float rows[N * DIM];

static struct quantizer *make(bool median, kith_metric metric) {
    const struct quantizer_spec spec = {.kind = QUANT_BINARY, .median = median};
    const struct quantizer_training how = {.threads = 1};
    struct quantizer *made;
    kith_error err;
    if (quantizer_new(&made, &spec, metric, DIM, &account, &err) != KITH_OK)
        fail_msg("%s", err.text);
    assert_int_equal(made->ops->train(made, N, rows, &how, &err), KITH_OK);
    return made;
}

static int fill(void **test) {
    (void)test;
    uint64_t state = 3;
    for (size_t i = 0; i < N * DIM; i++) {
        float x = (float)(bits_random(&state) >> 40) * 0x1p-24f;
        rows[i] = 5 * (float)(i % DIM) + x * x * x;
    }
    return 0;
}

static void a_bit_is_the_side_of_the_cut(void **test) {
    (void)test;
    for (int median = 0; median < 2; median++) {
        struct quantizer *q = make(median, KITH_METRIC_L2);
        float model[3 * DIM], back[DIM];
        uint8_t code[BYTES + 4];
        double mean[2][DIM] = {{0}};
        size_t n[2][DIM] = {{0}};
        assert_int_equal(q->bytes, BYTES + 4);
        assert_int_equal(q->ops->model_bytes(q), sizeof model);
        q->ops->model_write(q, (uint8_t *)model);
        for (size_t r = 0; r < N; r++)
            for (size_t i = 0; i < DIM; i++) {
                int side = rows[r * DIM + i] > model[i];
                mean[side][i] += (double)rows[r * DIM + i];
                n[side][i]++;
            }
        for (size_t r = 0; r < N; r++) {
            q->ops->encode(q, 1, rows + r * DIM, NULL, code, NULL);
            q->ops->decode(q, code, back);
            for (size_t i = 0; i < DIM; i++) {
                int side = rows[r * DIM + i] > model[i];
                assert_int_equal(code[i / 8] >> i % 8 & 1, side);
                assert_true(fabs((double)back[i] - mean[side][i] / (double)n[side][i]) < 1e-4);
            }
            assert_int_equal(code[DIM / 8] >> DIM % 8, 0);
        }
        for (size_t i = 0; i < DIM; i++) {
            if (median) assert_in_range(n[0][i], N / 2, N / 2 + 1);
            if (!median) assert_true(n[0][i] > N / 2 + 5); /* the tail lies above */
        }
        quantizer_free(q);
    }
    assert_int_equal(account.blocks, 0);
}

static void hamming_distances_count_bits(void **test) {
    (void)test;
    struct quantizer *q = make(true, KITH_METRIC_IP);
    static uint8_t codes[N * BYTES];
    const uint8_t *list[N];
    uint32_t by_rows[N], by_list[N];
    assert_int_equal(q->bytes, BYTES);
    q->ops->encode(q, N, rows, NULL, codes, NULL);
    for (size_t r = 0; r < N; r++) list[N - 1 - r] = codes + r * BYTES;
    for (size_t query = 0; query < N; query += 37) {
        binary_hamming_rows(q, codes + query * BYTES, codes, BYTES, N, by_rows);
        binary_hamming_list(q, codes + query * BYTES, list, N, by_list);
        assert_int_equal(by_rows[query], 0);
        for (size_t r = 0; r < N; r++) {
            uint32_t want = 0;
            for (size_t i = 0; i < DIM; i++)
                want += (codes[query * BYTES + i / 8] ^ codes[r * BYTES + i / 8]) >> i % 8 & 1;
            assert_int_equal(by_rows[r], want);
            assert_int_equal(by_list[N - 1 - r], want);
        }
    }
    quantizer_free(q);
}

static void models_travel_and_damage_is_refused(void **test) {
    (void)test;
    struct quantizer *a = make(false, KITH_METRIC_L2), *b = make(true, KITH_METRIC_L2);
    static uint8_t codes[2][N * (BYTES + 4)];
    float model[3 * DIM];
    kith_error err;
    a->ops->model_write(a, (uint8_t *)model);
    assert_int_equal(b->ops->model_read(b, (uint8_t *)model, sizeof model, &err), KITH_OK);
    a->ops->encode(a, N, rows, rows, codes[0], NULL);
    b->ops->encode(b, N, rows, rows, codes[1], NULL);
    assert_memory_equal(codes[0], codes[1], sizeof codes[0]);
    for (size_t table = 0; table < 3; table++) {
        static const float damage[] = {NAN, INFINITY, -INFINITY};
        for (size_t i = 0; i < 3; i++) {
            const float kept = model[table * DIM + 5];
            model[table * DIM + 5] = damage[i];
            assert_int_equal(b->ops->model_read(b, (uint8_t *)model, sizeof model, &err),
                             KITH_ECORRUPT);
            model[table * DIM + 5] = kept;
        }
    }
    assert_int_equal(b->ops->model_read(b, (uint8_t *)model, 8, &err), KITH_ECORRUPT);
    quantizer_free(a);
    quantizer_free(b);
}

static void more_bits_are_refused(void **test) {
    (void)test;
    const struct quantizer_spec spec = {.kind = QUANT_BINARY, .bits = 2};
    struct quantizer *made = NULL;
    kith_error err;
    assert_int_equal(quantizer_new(&made, &spec, KITH_METRIC_L2, DIM, &account, &err), KITH_ESPEC);
    assert_non_null(strstr(err.text, "2 bits"));
    assert_int_equal(account.blocks, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bit_is_the_side_of_the_cut),
        cmocka_unit_test(hamming_distances_count_bits),
        cmocka_unit_test(models_travel_and_damage_is_refused),
        cmocka_unit_test(more_bits_are_refused),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
