/* Product quantizers: layouts, the nearest centroid, what is learnt from few or equal rows, models, and the same bits at
 * every level and number of threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "kern/kern.h"
#include "quant/pq.h"

enum { N = 600, DIM = 24 };
static float rows[N * DIM];
static uint64_t state;

static float unit(void) { return (float)(bits_random(&state) >> 40) * 0x1p-23f - 1; }

static void fill(uint64_t seed, float offset) {
    state = seed;
    for (size_t i = 0; i < N * DIM; i++) rows[i] = offset + unit();
}

static struct quantizer *make(uint32_t bits, uint32_t m, kith_metric metric, uint32_t dim) {
    const struct quantizer_spec spec = {.kind = QUANT_PQ, .bits = bits, .m = m, .seed = 7};
    struct quantizer *quantizer = NULL;
    kith_error err;
    if (quantizer_new(&quantizer, &spec, metric, dim, NULL, &err) != KITH_OK)
        fail_msg("%s", err.text);
    return quantizer;
}

static void train(struct quantizer *quantizer, size_t n, uint32_t threads) {
    const struct quantizer_training how = {.threads = threads};
    kith_error err;
    if (quantizer->ops->train(quantizer, n, rows, &how, &err) != KITH_OK) fail_msg("%s", err.text);
    assert_true(quantizer->trained);
}

/* ---- shapes ---------------------------------------------------------------------------------------------------- */

static void codes_and_blocks_have_their_bytes(void **state_) {
    (void)state_;
    const struct {
        uint32_t bits, m, dim;
        kith_metric metric;
        uint32_t bytes, block_bytes;
    } cases[] = {
        {8, 1, 1, KITH_METRIC_IP, 4, 0},           {8, 24, 24, KITH_METRIC_L2, 28, 0},
        {8, 7, 49, KITH_METRIC_L1, 8, 0},          {4, 1, 3, KITH_METRIC_L2, 8, 64 + 128},
        {4, 5, 25, KITH_METRIC_IP, 4, 128},        {4, 24, 24, KITH_METRIC_L2, 16, 6 * 64 + 128},
        {4, 98, 784, KITH_METRIC_L1, 52, 25 * 64},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct quantizer *q = make(cases[i].bits, cases[i].m, cases[i].metric, cases[i].dim);
        assert_int_equal(q->bytes, cases[i].bytes);
        assert_int_equal(q->block_bytes, cases[i].block_bytes);
        quantizer_free(q);
    }
}

static void wrong_specs_are_refused_with_their_numbers(void **state_) {
    (void)state_;
    const struct {
        uint32_t bits, m;
        const char *says;
    } cases[] = {{6, 8, "6 bits"},
                 {0, 8, "0 bits"},
                 {8, 0, "0 parts"},
                 {8, 7, "7 parts"},
                 {4, 48, "48 parts"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct quantizer_spec spec = {
            .kind = QUANT_PQ, .bits = cases[i].bits, .m = cases[i].m};
        struct quantizer *quantizer = NULL;
        kith_error err;
        assert_int_equal(quantizer_new(&quantizer, &spec, KITH_METRIC_L2, DIM, NULL, &err),
                         KITH_ESPEC);
        assert_null(quantizer);
        assert_non_null(strstr(err.text, cases[i].says));
    }
}

/* ---- what is learnt -------------------------------------------------------------------------------------------- */

/* Rows that have no more different parts than there are centroids are coded without loss. */
static void few_different_parts_are_kept(void **state_) {
    (void)state_;
    fill(3, 0);
    for (size_t i = 16; i < N; i++) memcpy(rows + i * DIM, rows + i % 16 * DIM, DIM * sizeof *rows);
    for (uint32_t bits = 4; bits <= 8; bits += 4)
        for (size_t n = 0; n <= N; n = n < 20 ? n + 1 : n * 5) {
            struct quantizer *q = make(bits, 6, KITH_METRIC_L2, DIM);
            uint8_t code[64];
            float decoded[DIM], left;
            train(q, n, 1);
            for (size_t i = 0; i < n; i++) {
                q->ops->encode(q, 1, rows + i * DIM, NULL, code, &left);
                q->ops->decode(q, code, decoded);
                for (size_t d = 0; d < DIM; d++)
                    if (fabsf(decoded[d] - rows[i * DIM + d]) > 1e-6f)
                        fail_msg("%u bits, %zu rows: row %zu is not what it was", bits, n, i);
                assert_true(left < 1e-5f);
            }
            if (n == 0) {
                q->ops->encode(q, 1, rows, NULL, code, &left);
                q->ops->decode(q, code, decoded);
                for (size_t d = 0; d < DIM; d++) assert_true(decoded[d] == 0);
            }
            quantizer_free(q);
        }
}

static double part_distance(const float *x, const float *y, size_t part) {
    double sum = 0;
    for (size_t d = 0; d < part; d++)
        sum += ((double)x[d] - (double)y[d]) * ((double)x[d] - (double)y[d]);
    return sum;
}

/* Centroids as the model has them. */
static float *centroids_of(const struct quantizer *q) {
    uint8_t *model = malloc(q->ops->model_bytes(q));
    assert_non_null(model);
    q->ops->model_write(q, model);
    memmove(model, model + 16, q->ops->model_bytes(q) - 16);
    return (float *)model;
}

/* The centroid of each part is the nearest there is, but for rounding that is small beside the spread of the rows, however
 * far from the origin they lie; and norms are |r - r~|, rounded up. */
static void each_part_gets_its_nearest_centroid(void **state_) {
    (void)state_;
    const float offsets[] = {0, 100, -40000};
    for (size_t o = 0; o < 3; o++)
        for (uint32_t m = 1; m <= DIM; m = m < 4 ? m + 1 : m < 8 ? 8 : m * 3) {
            fill(11 + m, offsets[o]);
            const uint32_t bits = m % 2 ? 4 : 8, k = 1u << bits, part = DIM / m;
            struct quantizer *q = make(bits, m, KITH_METRIC_IP, DIM);
            static uint8_t codes[N * 64];
            static float norms[N];
            train(q, 300, 1);
            float *centroids = centroids_of(q);
            q->ops->encode(q, N, rows, NULL, codes, norms);
            for (size_t i = 0; i < N; i++) {
                float decoded[DIM];
                double left = 0;
                q->ops->decode(q, codes + i * q->bytes, decoded);
                for (uint32_t j = 0; j < m; j++) {
                    const float *x = rows + i * DIM + j * part;
                    double best = INFINITY, got = part_distance(x, decoded + j * part, part);
                    for (uint32_t c = 0; c < k; c++)
                        best = fmin(best,
                                    part_distance(x, centroids + ((size_t)j * k + c) * part, part));
                    if (got > best + 1e-5 * part) fail_msg("m %u: %g, not %g", m, got, best);
                    left += got;
                }
                assert_true((double)norms[i] >= sqrt(left) &&
                            (double)norms[i] <= sqrt(left) * 1.00001);
            }
            free(centroids);
            quantizer_free(q);
        }
}

/* A code with a centre is that of the difference, with a term of its own. */
static void centres_are_taken_off(void **state_) {
    (void)state_;
    fill(5, 0);
    struct quantizer *q = make(4, 8, KITH_METRIC_L2, DIM);
    float centre[DIM], moved[DIM], decoded[DIM], term;
    uint8_t code[64], other[64];
    train(q, N, 1);
    for (size_t d = 0; d < DIM; d++) centre[d] = 3 * unit();
    for (size_t i = 0; i < 50; i++) {
        for (size_t d = 0; d < DIM; d++) moved[d] = rows[i * DIM + d] - centre[d];
        q->ops->encode(q, 1, rows + i * DIM, centre, code, NULL);
        q->ops->encode(q, 1, moved, NULL, other, NULL);
        assert_memory_equal(code + 4, other + 4, q->bytes - 4);
        q->ops->decode(q, code, decoded);
        double want = 0, length = 0;
        for (size_t d = 0; d < DIM; d++) {
            length += (double)decoded[d] * (double)decoded[d];
            want += (double)decoded[d] * ((double)decoded[d] + 2 * (double)centre[d]);
        }
        memcpy(&term, code, 4);
        assert_true(fabs((double)term - want) <= 1e-6 * fabs(want));
        memcpy(&term, other, 4);
        assert_true(fabs((double)term - length) <= 1e-6 * length);
    }
    quantizer_free(q);
}

/* ---- models ---------------------------------------------------------------------------------------------------- */

static void models_come_back_and_damaged_ones_do_not(void **state_) {
    (void)state_;
    fill(9, 2);
    for (uint32_t bits = 4; bits <= 8; bits += 4) {
        struct quantizer *q = make(bits, 8, KITH_METRIC_L2, DIM),
                         *other = make(bits, 8, KITH_METRIC_L2, DIM);
        kith_error err;
        train(q, N, 1);
        const size_t n = q->ops->model_bytes(q);
        uint8_t *model = malloc(n + 4), code[64], again[64];
        assert_non_null(model);
        q->ops->model_write(q, model);
        for (size_t at = 0; at < 16; at++) {
            model[at] ^= 1;
            assert_int_equal(other->ops->model_read(other, model, n, &err), KITH_ECORRUPT);
            model[at] ^= 1;
        }
        for (int wrong = -4; wrong <= 4; wrong += 8)
            assert_int_equal(other->ops->model_read(other, model, n + (size_t)wrong, &err),
                             KITH_ECORRUPT);
        const float bad[] = {NAN, INFINITY, -INFINITY, 1e30f};
        for (size_t i = 0; i < 4; i++) {
            float kept;
            memcpy(&kept, model + n - 4, 4);
            memcpy(model + n - 4, bad + i, 4);
            assert_int_equal(other->ops->model_read(other, model, n, &err), KITH_ECORRUPT);
            memcpy(model + n - 4, &kept, 4);
        }
        assert_false(other->trained);
        assert_int_equal(other->ops->model_read(other, model, n, &err), KITH_OK);
        assert_true(other->trained);
        for (size_t i = 0; i < N; i++) {
            q->ops->encode(q, 1, rows + i * DIM, NULL, code, NULL);
            other->ops->encode(other, 1, rows + i * DIM, NULL, again, NULL);
            assert_memory_equal(code, again, q->bytes);
        }
        free(model);
        quantizer_free(q);
        quantizer_free(other);
    }
}

static void rows_that_are_not_numbers_are_refused(void **state_) {
    (void)state_;
    fill(1, 0);
    rows[5 * DIM + 7] = NAN;
    struct quantizer *q = make(4, 8, KITH_METRIC_L2, DIM);
    const struct quantizer_training how = {.threads = 1};
    kith_error err;
    assert_int_equal(q->ops->train(q, N, rows, &how, &err), KITH_ENONFINITE);
    assert_int_equal(err.at, 5);
    assert_false(q->trained);
    quantizer_free(q);
}

static void progress_counts_the_parts(void *context, uint64_t done, uint64_t total) {
    uint64_t *last = context;
    assert_int_equal(done, *last + 1);
    assert_int_equal(total, 8);
    *last = done;
}

static void progress_is_told(void **state_) {
    (void)state_;
    fill(1, 0);
    struct quantizer *q = make(4, 8, KITH_METRIC_L2, DIM);
    uint64_t last = 0;
    const struct quantizer_training how = {
        .threads = 1, .progress = progress_counts_the_parts, .context = &last};
    kith_error err;
    assert_int_equal(q->ops->train(q, N, rows, &how, &err), KITH_OK);
    assert_int_equal(last, 8);
    quantizer_free(q);
}

/* ---- the same bits everywhere ------------------------------------------------------------------------------------ */

static uint64_t hash(uint64_t seed, const void *bytes, size_t n) {
    const uint8_t *byte = bytes;
    for (size_t i = 0; i < n; i++) seed = bits_mix(seed ^ byte[i]);
    return seed;
}

/* Of model, codes and all scores, for both sizes of index and every metric. */
static uint64_t hash_everything(uint32_t threads) {
    const kith_metric metrics[] = {KITH_METRIC_L2, KITH_METRIC_IP, KITH_METRIC_L1};
    static uint8_t codes[N * 64];
    static float scores[N + QUANT_BLOCK];
    uint64_t sum = 0;
    fill(21, 0.5f);
    for (size_t i = 0; i < 6; i++) {
        struct quantizer *q = make(i % 2 ? 4 : 8, i < 2 ? 6 : 24, metrics[i / 2], DIM);
        train(q, N, threads);
        float *centroids = centroids_of(q);
        sum = hash(sum, centroids, q->ops->model_bytes(q) - 16);
        free(centroids);
        q->ops->encode(q, N, rows, rows, codes, NULL);
        sum = hash(sum, codes, N * q->bytes);
        const size_t scratch_bytes = q->ops->scorer_bytes(q);
        struct quantizer_scorer *scorer = mem_new(NULL, scratch_bytes);
        assert_non_null(scorer);
        q->ops->scorer_init(q, scorer);
        q->ops->set_query(scorer, rows + 3 * DIM);
        q->ops->rows(scorer, codes, q->bytes, N, scores);
        sum = hash(hash(sum, scores, N * sizeof *scores), &scorer->slack, sizeof scorer->slack);
        if (q->block_bytes) {
            uint8_t *block = mem_new(NULL, q->block_bytes);
            assert_non_null(block);
            q->ops->pack(q, codes, QUANT_BLOCK, block);
            q->ops->blocks(scorer, block, QUANT_BLOCK, INFINITY, scores);
            sum = hash(hash(sum, block, q->block_bytes), scores, QUANT_BLOCK * sizeof *scores);
            mem_free(NULL, block, q->block_bytes);
        }
        mem_free(NULL, scorer, scratch_bytes);
        quantizer_free(q);
    }
    return sum;
}

static uint64_t hash_in_child(const char *isa, uint32_t threads) {
    int ends[2];
    uint64_t sum = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("KITH_ISA", isa, 1);
        sum = hash_everything(threads);
        _exit(write(ends[1], &sum, sizeof sum) == sizeof sum ? 0 : 1);
    }
    int status;
    close(ends[1]);
    assert_int_equal(read(ends[0], &sum, sizeof sum), sizeof sum);
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return sum;
}

/* First of all tests: the parent must not have chosen its kernels. A level that is not here gives the best one's. */
static void levels_and_threads_change_no_bit(void **state_) {
    (void)state_;
    const char *isa[] = {"avx2", "avx512", "avx512vnni", "avx512vbmi", "amx", "neon"};
    const uint64_t want = hash_in_child("scalar", 1);
    assert_true(hash_in_child("scalar", 3) == want);
    for (size_t i = 0; i < sizeof isa / sizeof *isa; i++)
        if (hash_in_child(isa[i], 1 + (uint32_t)i % 2) != want)
            fail_msg("%s differs from scalar", isa[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_and_threads_change_no_bit),
        cmocka_unit_test(codes_and_blocks_have_their_bytes),
        cmocka_unit_test(wrong_specs_are_refused_with_their_numbers),
        cmocka_unit_test(few_different_parts_are_kept),
        cmocka_unit_test(each_part_gets_its_nearest_centroid),
        cmocka_unit_test(centres_are_taken_off),
        cmocka_unit_test(models_come_back_and_damaged_ones_do_not),
        cmocka_unit_test(rows_that_are_not_numbers_are_refused),
        cmocka_unit_test(progress_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
