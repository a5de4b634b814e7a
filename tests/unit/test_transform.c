/* Transforms: what each kind does to rows, what is refused, the same bits at any number of threads, files there and back
 * and damaged, chains, and an allocation that fails at each step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "base/bits.h"
#include "base/mem.h"
#include "quant/transform.h"

#define ROWS 400
#define MOST 72

static uint64_t random_state = 17;
static float rows[ROWS * MOST], out[ROWS * MOST], back[ROWS * MOST];
static const struct quantizer_training alone = {.threads = 1};

static float random_unit(void) {
    return (float)((double)(bits_random(&random_state) >> 11) * 0x1p-52 - 1);
}

/* Rows of falling variance along mixed directions, around a mean that is not 0. */
static void random_rows(size_t n, size_t d) {
    float mix[MOST];
    for (size_t i = 0; i < d; i++) mix[i] = random_unit();
    for (size_t r = 0; r < n; r++) {
        float shared = random_unit();
        for (size_t i = 0; i < d; i++)
            rows[r * d + i] = 2 + random_unit() / (float)(i + 1) + 3 * shared * mix[i];
    }
}

static void init(struct transform *t, struct transform_spec spec) {
    kith_error err;
    if (transform_init(t, &spec, NULL, &err) != KITH_OK) fail_msg("%s", err.text);
}

static double distance(size_t n, const float *a, const float *b) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(sum);
}

static double dot(size_t n, const float *a, const float *b) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static void simple_kinds_do_what_they_say(void **state) {
    (void)state;
    struct transform t;
    random_rows(ROWS, 20);
    memset(rows, 0, 20 * sizeof *rows);
    init(&t, (struct transform_spec){.kind = TRANSFORM_NORMALISE, .d_in = 20, .d_out = 20});
    transform_apply(&t, 1, ROWS, rows, out);
    assert_true(transform_reversible(&t));
    for (size_t r = 0; r < ROWS; r++) {
        double length = sqrt(dot(20, out + r * 20, out + r * 20));
        assert_true(r == 0 ? length == 0 : fabs(length - 1) < 1e-7);
    }
    rows[0] = 1e30f; /* its square is no f32 */
    rows[21] = 1e-30f;
    transform_apply(&t, 1, 1, rows, out);
    assert_true(out[0] == 1);
    transform_deinit(&t);

    init(&t, (struct transform_spec){.kind = TRANSFORM_PAD, .d_in = 20, .d_out = 33});
    transform_apply(&t, 1, ROWS / 2, rows, out);
    for (size_t r = 0; r < ROWS / 2; r++) {
        assert_memory_equal(out + r * 33, rows + r * 20, 80);
        for (size_t i = 20; i < 33; i++) assert_true(out[r * 33 + i] == 0);
    }
    transform_deinit(&t);

    random_rows(ROWS, 20);
    init(&t, (struct transform_spec){.kind = TRANSFORM_CENTRE, .d_in = 20, .d_out = 20});
    assert_false(t.trained);
    assert_int_equal(transform_train(&t, ROWS, rows, &alone, NULL), 0);
    transform_apply(&t, 1, ROWS, rows, out);
    for (size_t i = 0; i < 20; i++) {
        double sum = 0;
        for (size_t r = 0; r < ROWS; r++) sum += (double)out[r * 20 + i];
        assert_true(fabs(sum / ROWS) < 1e-6);
    }
    transform_reverse(&t, 1, ROWS, out, back);
    assert_true(distance(ROWS * 20, back, rows) < 1e-4);
    transform_deinit(&t);
}

static void hadamard_keeps_products_and_comes_back(void **state) {
    (void)state;
    for (uint32_t d = 1; d <= MOST; d += 13) {
        struct transform t;
        random_rows(50, d);
        uint32_t n_out = transform_hadamard_dim(d);
        init(&t, (struct transform_spec){
                     .kind = TRANSFORM_HADAMARD, .d_in = d, .d_out = n_out, .seed = d});
        transform_apply(&t, 1, 50, rows, out);
        for (size_t r = 1; r < 50; r++)
            assert_true(fabs(dot(n_out, out, out + r * n_out) - dot(d, rows, rows + r * d)) < 1e-4);
        transform_reverse(&t, 1, 50, out, back);
        assert_true(distance(50 * d, back, rows) < 1e-4);
        transform_deinit(&t);
    }
}

static void a_given_matrix_is_applied(void **state) {
    (void)state;
    struct transform t;
    float a[12], b[3], turn[4] = {0.6f, -0.8f, 0.8f, 0.6f}, by[2] = {5, -1};
    for (int i = 0; i < 12; i++) a[i] = random_unit();
    for (int i = 0; i < 3; i++) b[i] = random_unit();
    random_rows(100, 4);
    init(&t, (struct transform_spec){.kind = TRANSFORM_LINEAR, .d_in = 4, .d_out = 3});
    assert_int_equal(transform_train(&t, 100, rows, &alone, NULL), KITH_EINVAL);
    assert_int_equal(transform_set(&t, a, b, NULL), 0);
    assert_int_equal(transform_train(&t, 100, rows, &alone, NULL), 0);
    assert_false(transform_reversible(&t));
    transform_apply(&t, 1, 100, rows, out);
    for (size_t r = 0; r < 100; r++)
        for (size_t j = 0; j < 3; j++)
            assert_true(fabs(dot(4, a + j * 4, rows + r * 4) + (double)b[j] -
                             (double)out[r * 3 + j]) < 1e-5);
    a[5] = NAN;
    assert_int_equal(transform_set(&t, a, b, NULL), KITH_ENONFINITE);
    transform_deinit(&t);

    init(&t, (struct transform_spec){.kind = TRANSFORM_LINEAR, .d_in = 2, .d_out = 2});
    assert_int_equal(transform_set(&t, turn, by, NULL), 0);
    assert_true(transform_reversible(&t));
    transform_apply(&t, 1, 200, rows, out);
    transform_reverse(&t, 1, 200, out, back);
    assert_true(distance(400, back, rows) < 1e-4);
    transform_deinit(&t);
}

static void bad_specs_are_refused(void **state) {
    (void)state;
    static const struct {
        struct transform_spec spec;
        int code;
    } bad[] = {
        {{.kind = TRANSFORM_PCA, .d_in = 4, .d_out = 5}, KITH_ESPEC},
        {{.kind = TRANSFORM_OPQ, .d_in = 4, .d_out = 4, .m = 3}, KITH_ESPEC},
        {{.kind = TRANSFORM_OPQ, .d_in = 4, .d_out = 4, .m = 0}, KITH_ESPEC},
        {{.kind = TRANSFORM_NORMALISE, .d_in = 4, .d_out = 5}, KITH_ESPEC},
        {{.kind = TRANSFORM_CENTRE, .d_in = 4, .d_out = 3}, KITH_ESPEC},
        {{.kind = TRANSFORM_PAD, .d_in = 4, .d_out = 3}, KITH_ESPEC},
        {{.kind = TRANSFORM_HADAMARD, .d_in = 4, .d_out = 4}, KITH_ESPEC},
        {{.kind = TRANSFORM_HADAMARD, .d_in = 8193, .d_out = 8256}, KITH_EDIM},
        {{.kind = TRANSFORM_KINDS, .d_in = 4, .d_out = 4}, KITH_ESPEC},
        {{.kind = TRANSFORM_PCA, .d_in = 0, .d_out = 0}, KITH_EDIM},
        {{.kind = TRANSFORM_ROTATION, .d_in = 8193, .d_out = 4}, KITH_EDIM},
        {{.kind = TRANSFORM_ROTATION, .d_in = 4, .d_out = 8193}, KITH_EDIM},
        {{.kind = TRANSFORM_PAD, .d_in = 4, .d_out = 65537}, KITH_EDIM},
    };
    struct transform t;
    kith_error err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(transform_init(&t, &bad[i].spec, NULL, &err), bad[i].code);
        assert_true(strlen(err.text) > 10);
        transform_deinit(&t);
    }
}

static void bad_rows_are_refused_and_change_nothing(void **state) {
    (void)state;
    static const float values[] = {NAN, INFINITY, -INFINITY, 1e20f, 3e38f};
    static const enum transform_kind kinds[] = {TRANSFORM_PCA, TRANSFORM_OPQ, TRANSFORM_CENTRE};
    kith_error err;
    struct transform t;
    for (size_t k = 0; k < 3; k++) {
        random_rows(50, 8);
        init(&t, (struct transform_spec){.kind = kinds[k], .d_in = 8, .d_out = 8, .m = 2});
        assert_int_equal(transform_train(&t, 0, rows, &alone, &err), KITH_EEMPTY);
        assert_int_equal(transform_train(&t, 50, rows, &alone, &err), 0);
        transform_apply(&t, 1, 1, rows, out);
        for (int v = 0; v < 5; v++) {
            random_rows(50, 8);
            rows[17 * 8 + 3] = values[v];
            assert_int_equal(transform_train(&t, 50, rows, &alone, &err),
                             v < 3 ? KITH_ENONFINITE : KITH_ERANGE);
            assert_int_equal(err.at, 17);
            assert_true(t.trained);
        }
        rows[0] = NAN; /* applying does not mind */
        transform_apply(&t, 1, 1, rows, back);
        assert_true(isnan(back[0]));
        transform_deinit(&t);
    }
}

/* Every kind with its options, trained. */
static const struct transform_spec every[] = {
    {.kind = TRANSFORM_PCA, .d_in = 24, .d_out = 10},
    {.kind = TRANSFORM_PCA, .d_in = 24, .d_out = 24, .whiten = true},
    {.kind = TRANSFORM_PCA, .d_in = 24, .d_out = 8, .rotate = true, .seed = 3},
    {.kind = TRANSFORM_PCA, .d_in = 24, .d_out = 12, .whiten = true, .rotate = true, .seed = 4},
    {.kind = TRANSFORM_OPQ, .d_in = 24, .d_out = 24, .m = 4, .seed = 5},
    {.kind = TRANSFORM_OPQ, .d_in = 24, .d_out = 12, .m = 3, .seed = 6},
    {.kind = TRANSFORM_OPQ, .d_in = 24, .d_out = 30, .m = 5, .seed = 7},
    {.kind = TRANSFORM_ROTATION, .d_in = 24, .d_out = 24, .seed = 8},
    {.kind = TRANSFORM_ROTATION, .d_in = 24, .d_out = 7, .seed = 9},
    {.kind = TRANSFORM_ROTATION, .d_in = 24, .d_out = 40, .seed = 10},
    {.kind = TRANSFORM_NORMALISE, .d_in = 24, .d_out = 24},
    {.kind = TRANSFORM_CENTRE, .d_in = 24, .d_out = 24},
    {.kind = TRANSFORM_PAD, .d_in = 24, .d_out = 32},
    {.kind = TRANSFORM_PCA, .d_in = 24, .d_out = 10, .through_0 = true},
    {.kind = TRANSFORM_PCA, .d_in = 24, .d_out = 9, .whiten = true, .through_0 = true},
    {.kind = TRANSFORM_HADAMARD, .d_in = 24, .d_out = 64, .seed = 11},
    {.kind = TRANSFORM_OPQ, .d_in = 24, .d_out = 12, .m = 3, .seed = 6, .through_0 = true},
};
#define N_EVERY (sizeof every / sizeof *every)

static void threads_change_no_bit(void **state) {
    (void)state;
    random_rows(ROWS, 24);
    for (size_t k = 0; k < N_EVERY; k++) {
        size_t n_out = every[k].d_out;
        for (uint32_t threads = 1; threads <= 4; threads++) {
            struct transform t;
            struct quantizer_training how = {.threads = threads};
            init(&t, every[k]);
            assert_int_equal(transform_train(&t, ROWS, rows, &how, NULL), 0);
            float *to = threads == 1 ? out : back;
            transform_apply(&t, threads, ROWS, rows, to);
            if (threads > 1) assert_memory_equal(out, back, ROWS * n_out * sizeof *out);
            transform_apply(&t, threads, 1, rows, back); /* one row is a row of many */
            assert_memory_equal(out, back, n_out * sizeof *out);
            transform_deinit(&t);
        }
    }
}

static void files_there_and_back(void **state) {
    (void)state;
    random_rows(ROWS, 24);
    for (size_t k = 0; k < 2 * N_EVERY; k++) {
        struct transform t, read;
        size_t taken;
        init(&t, every[k / 2]);
        if (k % 2) assert_int_equal(transform_train(&t, ROWS, rows, &alone, NULL), 0);
        size_t n = transform_bytes(&t);
        uint8_t *bytes = malloc(n), *again = malloc(n);
        transform_write(&t, bytes);
        assert_int_equal(transform_read(&read, bytes, n, &taken, NULL, NULL), 0);
        assert_int_equal(taken, n);
        assert_int_equal(transform_bytes(&read), n);
        transform_write(&read, again);
        assert_memory_equal(bytes, again, n);
        assert_int_equal(read.trained, t.trained);
        assert_int_equal(transform_reversible(&read), transform_reversible(&t));
        if (t.trained) {
            size_t n_out = t.spec.d_out;
            transform_apply(&t, 1, 100, rows, out);
            transform_apply(&read, 1, 100, rows, back);
            assert_memory_equal(out, back, 100 * n_out * sizeof *out);
            transform_reverse(&t, 1, 50, out, back);
            transform_reverse(&read, 1, 50, out, back + 50 * 24);
            assert_memory_equal(back, back + 50 * 24, 50 * 24 * sizeof *back);
        }
        transform_deinit(&read);
        for (size_t less = 0; less < n; less += 1 + less / 7)
            assert_int_equal(transform_read(&read, bytes, less, &taken, NULL, NULL), KITH_ECORRUPT);
        free(bytes);
        free(again);
        transform_deinit(&t);
    }
}

/* Any damage is refused or gives a transform that works. */
static void damaged_bytes_are_refused_or_sound(void **state) {
    (void)state;
    random_rows(ROWS, 24);
    uint64_t before = mem_live_blocks(), refused = 0;
    for (size_t k = 0; k < N_EVERY; k++) {
        struct transform t, read;
        init(&t, every[k]);
        assert_int_equal(transform_train(&t, ROWS, rows, &alone, NULL), 0);
        size_t n = transform_bytes(&t);
        uint8_t *bytes = malloc(n);
        for (int round = 0; round < 300; round++) {
            transform_write(&t, bytes);
            size_t at = bits_random(&random_state) % (round % 2 ? 32 : n);
            bytes[at] ^= (uint8_t)(1u << bits_random(&random_state) % 8);
            int code = transform_read(&read, bytes, n, NULL, NULL, NULL);
            assert_true(code == KITH_OK || code == KITH_ECORRUPT);
            refused += code != KITH_OK;
            if (code != KITH_OK) continue;
            if (read.trained && read.spec.d_in <= MOST && read.spec.d_out <= MOST)
                transform_apply(&read, 1, 1, rows, out);
            transform_deinit(&read);
        }
        free(bytes);
        transform_deinit(&t);
    }
    assert_true(refused > 500);
    assert_int_equal(mem_live_blocks(), before);
}

static void chains_are_one_after_the_other(void **state) {
    (void)state;
    const struct transform_spec specs[] = {
        {.kind = TRANSFORM_CENTRE, .d_in = 24, .d_out = 24},
        {.kind = TRANSFORM_PCA, .d_in = 24, .d_out = 16},
        {.kind = TRANSFORM_ROTATION, .d_in = 16, .d_out = 16, .seed = 1},
        {.kind = TRANSFORM_NORMALISE, .d_in = 16, .d_out = 16},
        {.kind = TRANSFORM_PAD, .d_in = 16, .d_out = 20},
    };
    random_rows(ROWS, 24);
    static float step[2][ROWS * MOST], scratch[2 * ROWS * MOST];
    for (uint32_t n = 0; n <= 5; n++) {
        struct transform_chain chain, read;
        assert_int_equal(transform_chain_init(&chain, 24, n, specs, NULL, NULL), 0);
        assert_int_equal(transform_chain_trained(&chain), n == 0);
        assert_int_equal(transform_chain_train(&chain, ROWS, rows, &alone, NULL), 0);
        assert_true(transform_chain_trained(&chain) && transform_chain_reversible(&chain));
        assert_true(transform_chain_scratch(&chain, ROWS) <= 2 * ROWS * MOST);
        transform_chain_apply(&chain, 2, ROWS, rows, out, scratch);
        const float *at = rows;
        for (uint32_t i = 0; i < n; i++) {
            transform_apply(&chain.at[i], 1, ROWS, at, step[i % 2]);
            at = step[i % 2];
        }
        assert_memory_equal(at, out, ROWS * chain.d_out * sizeof *out);
        size_t bytes = transform_chain_bytes(&chain);
        uint8_t *file = malloc(bytes);
        transform_chain_write(&chain, file);
        assert_int_equal(transform_chain_read(&read, file, bytes, NULL, NULL), 0);
        transform_chain_apply(&read, 1, ROWS, rows, back, scratch);
        assert_memory_equal(back, out, ROWS * chain.d_out * sizeof *out);
        transform_chain_deinit(&read);
        for (size_t less = 0; less < bytes; less += 1 + less / 5)
            assert_int_equal(transform_chain_read(&read, file, less, NULL, NULL), KITH_ECORRUPT);
        transform_chain_reverse(&chain, 1, ROWS, out, back, scratch);
        if (n == 1) assert_true(distance(ROWS * 24, back, rows) < 1e-3);
        free(file);
        transform_chain_deinit(&chain);
    }
    struct transform_chain chain;
    struct transform_spec apart[2] = {specs[1], specs[0]};
    assert_int_equal(transform_chain_init(&chain, 24, 2, apart, NULL, NULL), KITH_ESPEC);
    assert_int_equal(transform_chain_init(&chain, 24, 9, specs, NULL, NULL), KITH_ESPEC);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    random_rows(100, 24);
    uint64_t before = mem_live_blocks();
    for (size_t k = 0; k < N_EVERY; k++) {
        int code = KITH_ENOMEM;
        for (uint64_t nth = 1; code != KITH_OK; nth += 1 + nth / 8) {
            struct transform t = {0};
            mem_test_fail_at(nth);
            code = transform_init(&t, &every[k], NULL, NULL);
            if (code == KITH_OK) code = transform_train(&t, 100, rows, &alone, NULL);
            assert_true(code == KITH_OK || code == KITH_ENOMEM);
            transform_deinit(&t);
            assert_int_equal(mem_live_blocks(), before);
            assert_true(nth < 5000);
        }
    }
    mem_test_fail_at(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_kinds_do_what_they_say),
        cmocka_unit_test(hadamard_keeps_products_and_comes_back),
        cmocka_unit_test(a_given_matrix_is_applied),
        cmocka_unit_test(bad_specs_are_refused),
        cmocka_unit_test(bad_rows_are_refused_and_change_nothing),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(files_there_and_back),
        cmocka_unit_test(damaged_bytes_are_refused_or_sound),
        cmocka_unit_test(chains_are_one_after_the_other),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
