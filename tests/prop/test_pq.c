/* Product quantizers over random shapes, metrics, centres and data (around the origin, far from it, tiny, huge): every
 * form of a score agrees with the real number within what pq.h says, blocks give codes back, and the error falls as parts
 * and bits are added. The argument is how many rounds. */
#include <float.h>
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
#include "quant/pq.h"

enum { MAX_N = 400, MAX_DIM = 130, QUERIES = 3 };

static uint64_t state = 20261122;
static size_t rounds = 60;
static float rows[MAX_N * MAX_DIM], centre[MAX_DIM], query[MAX_DIM];

static size_t below(size_t n) { return (size_t)(bits_random(&state) % n); }
static float unit(void) { return (float)(bits_random(&state) >> 40) * 0x1p-23f - 1; }

struct shape {
    uint32_t bits, m, dim;
    kith_metric metric;
    size_t n;
    float scale, offset;
    bool centred;
};

static struct shape random_shape(void) {
    const kith_metric metrics[] = {KITH_METRIC_L2, KITH_METRIC_IP, KITH_METRIC_L1};
    const float scales[] = {1, 0x1p-60f, 0x1p40f, 255};
    struct shape s = {.bits = below(2) ? 4 : 8, .metric = metrics[below(3)]};
    const uint32_t part = (uint32_t)(below(3) ? 1 + below(6) : 1 + below(MAX_DIM));
    s.m = 1 + (uint32_t)below(MAX_DIM / part);
    s.dim = s.m * part;
    s.n = below(4) ? 1 + below(MAX_N) : 1 + below(20);
    s.scale = scales[below(4)];
    s.offset = below(3) ? 0 : s.scale * 1000;
    s.centred = s.metric != KITH_METRIC_L1 && below(2);
    return s;
}

static struct quantizer *make(const struct shape *s) {
    const struct quantizer_spec spec = {.kind = QUANT_PQ, .bits = s->bits, .m = s->m, .seed = 3};
    const struct quantizer_training how = {.threads = 1};
    struct quantizer *q = NULL;
    kith_error err;
    for (size_t i = 0; i < s->n * s->dim; i++) rows[i] = s->offset + s->scale * unit();
    for (size_t d = 0; d < s->dim; d++) centre[d] = 3 * s->scale * unit();
    if (quantizer_new(&q, &spec, s->metric, s->dim, NULL, &err) != KITH_OK ||
        q->ops->train(q, s->n, rows, &how, &err) != KITH_OK)
        fail_msg("%s", err.text);
    return q;
}

/* The score that quantizer.h defines, of r~, in double; and how large its last roundings may be. */
static double real_score(const struct quantizer *q, const struct shape *s, const uint8_t *code,
                         double *last) {
    float decoded[MAX_DIM];
    double dot = 0, l1 = 0, term = 0;
    q->ops->decode(q, code, decoded);
    for (size_t d = 0; d < s->dim; d++) {
        const double r = (double)decoded[d], c = s->centred ? (double)centre[d] : 0;
        dot += (double)query[d] * r;
        l1 += fabs((double)query[d] - r);
        term += r * (r + 2 * c);
    }
    const double score = s->metric == KITH_METRIC_L1   ? l1
                         : s->metric == KITH_METRIC_IP ? -dot
                                                       : term - 2 * dot;
    *last = 0x1p-22 * fabs(score) + (s->metric == KITH_METRIC_L2 ? 0x1p-23 * fabs(term) : 0);
    return score;
}

struct store {
    uint8_t *codes, *blocks;
    struct quantizer_scorer *scorer;
    size_t code_bytes, blocks_bytes, scorer_bytes;
    float scores[MAX_N + QUANT_BLOCK], again[MAX_N + QUANT_BLOCK];
};

static void check_scores(const struct quantizer *q, const struct shape *s, struct store *t) {
    const uint8_t *list[MAX_N];
    const double slack = (double)t->scorer->slack;
    q->ops->rows(t->scorer, t->codes, q->bytes, s->n, t->scores);
    for (size_t i = 0; i < s->n; i++) list[i] = t->codes + (s->n - 1 - i) * q->bytes;
    q->ops->list(t->scorer, list, s->n, t->again);
    for (size_t i = 0; i < s->n; i++) {
        const uint8_t *code = t->codes + i * q->bytes;
        double last, real = real_score(q, s, code, &last);
        assert_true(t->again[s->n - 1 - i] == t->scores[i]);
        assert_true(q->ops->score(t->scorer, code) == t->scores[i]);
        if (!(fabs((double)t->scores[i] - real) <= slack + last))
            fail_msg("%u bits, m %u, dim %u, metric %d: score %g, really %g, slack %g", s->bits,
                     s->m, s->dim, (int)s->metric, (double)t->scores[i], real, slack);
    }
    if (!q->block_bytes) return;
    q->ops->blocks(t->scorer, t->blocks, s->n, INFINITY, t->again);
    for (size_t i = 0; i < s->n; i++) {
        double last, real = real_score(q, s, t->codes + i * q->bytes, &last);
        if (!(fabs((double)t->again[i] - real) <= slack + last))
            fail_msg("block, m %u, dim %u, metric %d: %g, really %g, slack %g", s->m, s->dim,
                     (int)s->metric, (double)t->again[i], real, slack);
    }
}

static void make_store(const struct quantizer *q, const struct shape *s, struct store *t) {
    const size_t n_blocks = (s->n + QUANT_BLOCK - 1) / QUANT_BLOCK;
    t->code_bytes = s->n * q->bytes;
    t->blocks_bytes = n_blocks * q->block_bytes;
    t->scorer_bytes = q->ops->scorer_bytes(q);
    t->codes = mem_new(NULL, t->code_bytes);
    t->blocks = mem_new(NULL, t->blocks_bytes);
    t->scorer = mem_new(NULL, t->scorer_bytes);
    assert_true(t->codes && t->blocks && t->scorer);
    q->ops->encode(q, s->n, rows, s->centred ? centre : NULL, t->codes, NULL);
    for (size_t b = 0; b < n_blocks && q->block_bytes; b++) {
        const size_t first = b * QUANT_BLOCK,
                     n = s->n - first < QUANT_BLOCK ? s->n - first : QUANT_BLOCK;
        uint8_t *block = t->blocks + b * q->block_bytes, code[2 * MAX_DIM + 8];
        memset(block, 0xa5, q->block_bytes);
        q->ops->pack(q, t->codes + first * q->bytes, n, block);
        for (size_t i = 0; i < QUANT_BLOCK; i++) {
            static const uint8_t none[2 * MAX_DIM + 8];
            memset(code, 0xa5, sizeof code);
            q->ops->unpack(q, block, i, code);
            assert_memory_equal(code, i < n ? t->codes + (first + i) * q->bytes : none, q->bytes);
        }
    }
    q->ops->scorer_init(q, t->scorer);
}

static void scores_keep_to_their_slack(void **state_) {
    (void)state_;
    static struct store t;
    for (size_t round = 0; round < rounds; round++) {
        const struct shape s = random_shape();
        struct quantizer *q = make(&s);
        make_store(q, &s, &t);
        for (size_t i = 0; i < QUERIES; i++) {
            for (size_t d = 0; d < s.dim; d++)
                query[d] = i == 0 ? rows[d] : (s.offset + s.scale * unit()) * (i == 2 ? 20 : 1);
            q->ops->set_query(t.scorer, query);
            assert_true(t.scorer->slack >= 0 && t.scorer->slack < INFINITY);
            check_scores(q, &s, &t);
        }
        mem_free(NULL, t.codes, t.code_bytes);
        mem_free(NULL, t.blocks, t.blocks_bytes);
        mem_free(NULL, t.scorer, t.scorer_bytes);
        quantizer_free(q);
    }
}

/* Slack is no excuse: over the usual range it is a small part of how far scores are apart. */
static void slack_is_small(void **state_) {
    (void)state_;
    static struct store t;
    for (uint32_t bits = 4; bits <= 8; bits += 4) {
        const struct shape s = {
            .bits = bits, .m = 32, .dim = 128, .n = MAX_N, .scale = 1, .metric = KITH_METRIC_L2};
        struct quantizer *q = make(&s);
        make_store(q, &s, &t);
        for (size_t d = 0; d < s.dim; d++) query[d] = unit();
        q->ops->set_query(t.scorer, query);
        q->ops->rows(t.scorer, t.codes, q->bytes, s.n, t.scores);
        float least = INFINITY, most = -INFINITY;
        for (size_t i = 0; i < s.n; i++) {
            least = fminf(least, t.scores[i]);
            most = fmaxf(most, t.scores[i]);
        }
        if (!(t.scorer->slack < (bits == 8 ? 1e-4f : 0.05f) * (most - least)))
            fail_msg("%u bits: slack %g of %g", bits, (double)t.scorer->slack,
                     (double)(most - least));
        mem_free(NULL, t.codes, t.code_bytes);
        mem_free(NULL, t.blocks, t.blocks_bytes);
        mem_free(NULL, t.scorer, t.scorer_bytes);
        quantizer_free(q);
    }
}

static double error_of(uint32_t bits, uint32_t m, uint32_t dim) {
    const struct shape s = {
        .bits = bits, .m = m, .dim = dim, .n = MAX_N, .scale = 1, .metric = KITH_METRIC_IP};
    static float norms[MAX_N];
    static uint8_t codes[MAX_N * 2 * MAX_DIM];
    state = 5; /* the same rows each time */
    struct quantizer *q = make(&s);
    q->ops->encode(q, s.n, rows, NULL, codes, norms);
    double sum = 0;
    for (size_t i = 0; i < s.n; i++) sum += (double)norms[i] * (double)norms[i];
    quantizer_free(q);
    return sum;
}

static void errors_fall_with_parts_and_bits(void **state_) {
    (void)state_;
    for (uint32_t bits = 4; bits <= 8; bits += 4) {
        double before = INFINITY;
        for (uint32_t m = 1; m <= 64; m *= 2) {
            const double error = error_of(bits, m, 64);
            if (!(error < 0.98 * before))
                fail_msg("%u bits, m %u: %g after %g", bits, m, error, before);
            before = error;
            if (bits == 8) assert_true(error < 0.9 * error_of(4, m, 64));
        }
    }
}

int main(int argc, char **argv) {
    if (argc > 1) rounds = strtoul(argv[1], NULL, 10);
    if (argc > 2) state = strtoull(argv[2], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_keep_to_their_slack),
        cmocka_unit_test(slack_is_small),
        cmocka_unit_test(errors_fall_with_parts_and_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
