/* Every estimate lies within its stated slack of the real distance to the decoded row.
 *
 * The oracle is long double arithmetic over code_decode's floats. Data are chosen to break bounds: constant
 * dimensions, one dimension a thousand times the others, a large common offset, values near the ends of
 * f32, whole numbers, zeros; queries beside a row, at random, far outside the trained ranges, zero, and
 * whole. At every instruction set the estimates are the same bits. */
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
#include "quant/code.h"

enum { ROWS = 40, QUERIES = 10 };

enum shape {
    NORMAL,
    SKEWED,
    CONSTANT,
    OFFSET,
    HUGE_VALUES,
    TINY_VALUES,
    WHOLE,
    WHOLE_SPARSE,
    ZERO,
    SHAPES
};
static const char *const shape_name[SHAPES] = {"normal", "skewed", "constant", "offset", "huge",
                                               "tiny",   "whole",  "sparse",   "zero"};
static const uint32_t dims[] = {1, 2, 15, 16, 17, 60, 63, 64, 65, 100, 257, 784};

static uint64_t state = 1;

static float uniform(void) { return (float)(bits_random(&state) >> 40) * 0x1p-24f; }

static float normal(void) {
    float sum = -6;
    for (int i = 0; i < 12; i++) sum += uniform();
    return sum;
}

static float value_of(enum shape shape, uint32_t i) {
    switch (shape) {
    case SKEWED: return normal() * (i == 0 ? 1000.0f : 1.0f) * (i % 7 == 3 ? 0.01f : 1.0f);
    case CONSTANT: return i % 2 ? 3.25f : normal();
    case OFFSET: return 1000 + normal();
    case HUGE_VALUES: return normal() * 1e15f;
    case TINY_VALUES: return normal() * 1e-20f;
    case WHOLE: return floorf(uniform() * 256);
    case WHOLE_SPARSE: return uniform() < 0.8f ? 0 : floorf(uniform() * 256);
    case ZERO: return 0;
    default: return normal();
    }
}

static void fill(enum shape shape, uint32_t dim, float *x) {
    for (uint32_t i = 0; i < dim; i++) x[i] = value_of(shape, i);
}

struct fixture {
    struct code code;
    struct scorer scorer;
    void *scratch;
    float *rows, *queries, *decoded;
    uint8_t *codes;
    const uint8_t *list[ROWS];
};

static void make_queries(struct fixture *f, enum shape shape) {
    uint32_t dim = f->code.dim;
    for (int q = 0; q < QUERIES; q++) {
        float *query = f->queries + (size_t)q * dim;
        fill(shape, dim, query);
        for (uint32_t i = 0; i < dim; i++) {
            if (q == 0) query[i] = f->rows[i] * 1.001f;
            if (q == 1) query[i] = query[i] * 50 + 1;
            if (q == 2) query[i] = 0;
            if (q == 3) query[i] = floorf(uniform() * 256);
            if (q == 4) query[i] = i % 2 ? 255.0f : 0.0f;
            if (q == 5) query[i] = normal();
        }
    }
}

static void setup(struct fixture *f, enum code_kind kind, kith_metric metric, uint32_t dim,
                  enum shape shape) {
    assert_int_equal(code_init(&f->code, kind, metric, dim, NULL, NULL), KITH_OK);
    f->rows = malloc(sizeof(float) * ROWS * dim);
    f->queries = malloc(sizeof(float) * QUERIES * dim);
    f->decoded = malloc(sizeof(float) * ROWS * dim);
    f->codes = mem_new(NULL, (size_t)ROWS * f->code.stride);
    f->scratch = mem_new(NULL, scorer_bytes(&f->code));
    for (int r = 0; r < ROWS; r++)
        fill(r == 7 && kind == CODE_U8 ? ZERO : shape, dim, f->rows + (size_t)r * dim);
    code_train(&f->code, ROWS, f->rows);
    for (int r = 0; r < ROWS; r++) {
        uint8_t *row = f->codes + (size_t)r * f->code.stride;
        code_encode(&f->code, f->rows + (size_t)r * dim, row);
        code_decode(&f->code, row, f->decoded + (size_t)r * dim);
        f->list[r] = row;
    }
    make_queries(f, shape);
    scorer_init(&f->scorer, &f->code, f->scratch);
}

static void teardown(struct fixture *f) {
    mem_free(NULL, f->scratch, scorer_bytes(&f->code));
    mem_free(NULL, f->codes, (size_t)ROWS * f->code.stride);
    free(f->rows);
    free(f->queries);
    free(f->decoded);
    code_deinit(&f->code, NULL);
}

static long double length(const float *x, uint32_t dim) {
    long double sum = 0;
    for (uint32_t i = 0; i < dim; i++) sum += (long double)x[i] * (long double)x[i];
    return sqrtl(sum);
}

/* The real distance of a query to a decoded row; an sq8 row under COSINE is not scaled again. */
static long double real_dist(const struct code *code, const float *query, const float *decoded,
                             bool scale_query) {
    long double sum = 0;
    for (uint32_t i = 0; i < code->dim; i++) {
        long double a = (long double)query[i], b = (long double)decoded[i];
        if (code->metric == KITH_METRIC_L1)
            sum += fabsl(a - b);
        else if (code->metric == KITH_METRIC_IP || code->metric == KITH_METRIC_COSINE)
            sum -= a * b;
        else
            sum += (a - b) * (a - b);
    }
    if (code->metric != KITH_METRIC_COSINE) return sum;
    long double by = scale_query ? length(query, code->dim) : 1;
    if (code->kind != CODE_SQ8) by *= length(decoded, code->dim);
    return by == 0 ? 0 : sum / by;
}

static int n_checked, n_fine_better, n_fine;

static void expect_within(const struct fixture *f, enum shape shape, const char *what, int row,
                          float got, long double real, float slack) {
    n_checked++;
    if (slack == INFINITY) return;
    if (fabsl((long double)got - real) <= (long double)slack) return;
    fail_msg(
        "%s %s metric %d dim %u %s row %d: estimate %.9g, real %.9Lg, off by %.4Lg, slack %.4g",
        what, code_kind_name(f->code.kind), (int)f->code.metric, f->code.dim, shape_name[shape],
        row, (double)got, real, fabsl((long double)got - real), (double)slack);
}

/* The float law errs too: (dim / 16 + 8) roundings of the sum of magnitudes. */
static float law_slack(const struct fixture *f, const float *query, const float *decoded) {
    long double sum = 0;
    uint32_t dim = f->code.dim;
    for (uint32_t i = 0; i < dim; i++) {
        long double a = fabsl((long double)query[i]) + fabsl((long double)decoded[i]);
        sum += f->code.metric == KITH_METRIC_L1 ? a : a * a;
    }
    if (f->code.metric == KITH_METRIC_COSINE) {
        long double a = length(query, dim), b = length(decoded, dim);
        bool tiny = (a > 0 && a < 1e-15L) || (b > 0 && b < 1e-15L); /* squares underflow */
        return tiny ? INFINITY : (float)(dim / 16 + 16) * 0x1p-22f;
    }
    return (float)(sum * (dim / 16 + 8) * 0x1p-24L) * 1.01f + 1e-37f;
}

static void check_query(struct fixture *f, enum shape shape, const float *query) {
    const struct code *code = &f->code;
    float list[ROWS], rows[ROWS], fine[ROWS], fine_rows[ROWS], exact[ROWS], exact_rows[ROWS];
    scorer_set_query(&f->scorer, query);
    scorer_list(&f->scorer, f->list, ROWS, list);
    scorer_rows(&f->scorer, f->codes, ROWS, rows);
    scorer_exact_list(&f->scorer, f->list, ROWS, exact);
    scorer_exact_rows(&f->scorer, f->codes, ROWS, exact_rows);
    assert_memory_equal(list, rows, sizeof list);
    assert_memory_equal(exact, exact_rows, sizeof exact);
    bool estimated = f->scorer.slack > 0;
    scorer_refine(&f->scorer);
    scorer_list_fine(&f->scorer, f->list, ROWS, fine);
    scorer_rows_fine(&f->scorer, f->codes, ROWS, fine_rows);
    assert_memory_equal(fine, fine_rows, sizeof fine);
    assert_true(f->scorer.slack_fine <= f->scorer.slack);
    n_fine += f->scorer.scale_fine != 0;
    n_fine_better += f->scorer.scale_fine != 0 && f->scorer.slack_fine * 50 < f->scorer.slack;
    for (int r = 0; r < ROWS; r++) {
        const float *decoded = f->decoded + (size_t)r * code->dim;
        long double real = real_dist(code, query, decoded, true);
        if (!isfinite((float)real)) continue;
        assert_true(scorer_one(&f->scorer, f->list[r]) == list[r] || isnan(list[r]));
        assert_true(scorer_exact_one(&f->scorer, f->list[r]) == exact[r] || isnan(exact[r]));
        float law = law_slack(f, query, decoded);
        if (isfinite(law)) expect_within(f, shape, "exact", r, exact[r], real, law);
        if (!estimated) {
            assert_memory_equal(&list[r], &exact[r], sizeof list[r]);
            continue;
        }
        expect_within(f, shape, "coarse", r, list[r], real, f->scorer.slack);
        expect_within(f, shape, "fine", r, fine[r], real, f->scorer.slack_fine);
    }
}

static void check_rows_as_queries(struct fixture *f, enum shape shape) {
    float list[ROWS];
    for (int q = 0; q < ROWS; q += 13) {
        const float *query = f->decoded + (size_t)q * f->code.dim;
        scorer_set_row(&f->scorer, f->list[q]);
        scorer_list(&f->scorer, f->list, ROWS, list);
        for (int r = 0; r < ROWS; r++) {
            const float *decoded = f->decoded + (size_t)r * f->code.dim;
            long double real = real_dist(&f->code, query, decoded, true);
            if (!isfinite((float)real)) continue;
            float slack = f->scorer.slack > 0 ? f->scorer.slack : law_slack(f, query, decoded);
            expect_within(f, shape, "row", r, list[r], real, slack);
        }
    }
}

static void test_within_slack(enum code_kind kind, kith_metric metric) {
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (enum shape shape = 0; shape < SHAPES; shape++) {
            bool whole = shape == WHOLE || shape == WHOLE_SPARSE || shape == ZERO;
            if (kind == CODE_U8 && !whole) continue;
            struct fixture f;
            setup(&f, kind, metric, dims[d], shape);
            for (int q = 0; q < QUERIES; q++)
                check_query(&f, shape, f.queries + (size_t)q * dims[d]);
            check_rows_as_queries(&f, shape);
            teardown(&f);
        }
}

static void test_estimates_lie_within_slack(void **unused) {
    (void)unused;
    for (enum code_kind kind = 0; kind < CODE_KINDS; kind++)
        for (kith_metric metric = KITH_METRIC_L2; metric <= KITH_METRIC_L1; metric++)
            test_within_slack(kind, metric);
    assert_true(n_checked > 50000);
    /* The second level is worth its dot: all but the queries where rounding rules. */
    assert_true(n_fine > 500);
    assert_true(n_fine_better * 2 > n_fine);
}

/* Whole numbers: exact wherever no sum passes 2^24, whatever slack says; slack 0 in low dimensions. */
static void test_whole_numbers_are_exact(void **unused) {
    (void)unused;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        struct fixture f;
        setup(&f, CODE_U8, KITH_METRIC_L2, dims[d], WHOLE_SPARSE);
        for (int q = 0; q < QUERIES; q++) {
            float *query = f.queries + (size_t)q * dims[d], got[ROWS];
            fill(WHOLE_SPARSE, dims[d], query);
            scorer_set_query(&f.scorer, query);
            scorer_list(&f.scorer, f.list, ROWS, got);
            if (dims[d] <= 128) assert_true(f.scorer.slack == 0);
            for (int r = 0; r < ROWS; r++)
                assert_true((long double)got[r] ==
                            real_dist(&f.code, query, f.rows + (size_t)r * dims[d], false));
        }
        teardown(&f);
    }
}

/* The worst row for a query: every code at the end that its remainder pulls to. The estimate then errs by
 * nearly all of slack, and by no more. */
static void test_worst_row_reaches_slack(void **unused) {
    (void)unused;
    static const kith_metric metrics[] = {KITH_METRIC_L2, KITH_METRIC_IP, KITH_METRIC_COSINE};
    for (size_t m = 0; m < 3; m++)
        for (int way = -1; way <= 1; way += 2) {
            struct fixture f;
            setup(&f, CODE_SQ8, metrics[m], 200, NORMAL);
            float corner[200], got;
            uint8_t *row = f.codes;
            scorer_set_query(&f.scorer, f.queries + 9 * 200);
            for (int i = 0; i < 200; i++) {
                bool up = (float)way * f.scorer.folded[i] > 0;
                corner[i] = f.code.low[i] + (up ? 255 * f.code.step[i] : 0);
                row[i] = up ? 255 : 0;
            }
            if (metrics[m] == KITH_METRIC_L2) code_encode(&f.code, corner, row);
            code_decode(&f.code, row, f.decoded);
            got = scorer_one(&f.scorer, row);
            long double off =
                fabsl((long double)got - real_dist(&f.code, f.queries + 9 * 200, f.decoded, true));
            assert_true(off <= (long double)f.scorer.slack);
            assert_true(off >= 0.98L * (long double)f.scorer.slack);
            teardown(&f);
        }
}

/* The bound is of use, too: on the typical case it is a small part of the distances. */
static void test_slack_is_small(void **unused) {
    (void)unused;
    struct fixture f;
    setup(&f, CODE_SQ8, KITH_METRIC_L2, 100, NORMAL);
    const float *query = f.queries + 9 * 100;
    scorer_set_query(&f.scorer, query);
    scorer_refine(&f.scorer);
    float dist = (float)real_dist(&f.code, query, f.decoded, false);
    assert_true(f.scorer.slack < 0.2f * dist);
    assert_true(f.scorer.slack_fine < 0.001f * dist);
    teardown(&f);
}

/* Every number that a scorer makes of a query or a row, at each instruction set. */
static void check_levels(struct fixture *f, const struct kern *const *level, size_t n) {
    struct {
        float list[ROWS], fine[ROWS], exact[ROWS], row[ROWS], slack[3];
    } first, now;
    memset(&now, 0, sizeof now);
    for (size_t i = 0; i < n; i++) {
        f->scorer.kern = level[i];
        scorer_set_query(&f->scorer, f->queries + (size_t)9 * f->code.dim);
        scorer_refine(&f->scorer);
        now.slack[0] = f->scorer.slack, now.slack[1] = f->scorer.slack_fine;
        scorer_list(&f->scorer, f->list, ROWS, now.list);
        scorer_rows_fine(&f->scorer, f->codes, ROWS, now.fine);
        scorer_exact_rows(&f->scorer, f->codes, ROWS, now.exact);
        scorer_set_row(&f->scorer, f->list[3]);
        now.slack[2] = f->scorer.slack;
        scorer_list(&f->scorer, f->list, ROWS, now.row);
        if (i == 0) first = now;
        if (memcmp(&first, &now, sizeof now))
            fail_msg("%s and %s differ on %s under metric %d, dim %u", level[0]->name,
                     level[i]->name, code_kind_name(f->code.kind), (int)f->code.metric,
                     f->code.dim);
    }
}

static void test_levels_agree(void **unused) {
    (void)unused;
    const struct kern *level[16];
    size_t n = kern_levels(level, 16);
    assert_true(n >= 1);
    for (enum code_kind kind = 0; kind < CODE_KINDS; kind++)
        for (kith_metric metric = KITH_METRIC_L2; metric <= KITH_METRIC_L1; metric++)
            for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
                struct fixture f;
                setup(&f, kind, metric, dims[d], kind == CODE_U8 ? WHOLE : NORMAL);
                check_levels(&f, level, n);
                teardown(&f);
            }
}

/* Values whose squares leave f32 make no promise they cannot keep. */
static void test_overflow_gives_up(void **unused) {
    (void)unused;
    struct fixture f;
    setup(&f, CODE_SQ8, KITH_METRIC_L2, 17, NORMAL);
    float query[17], dist[ROWS];
    for (int i = 0; i < 17; i++) query[i] = 1e30f;
    scorer_set_query(&f.scorer, query);
    assert_true(f.scorer.slack == INFINITY);
    scorer_list(&f.scorer, f.list, ROWS, dist);
    for (int r = 0; r < ROWS; r++) assert_true(isfinite(dist[r]));
    teardown(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_estimates_lie_within_slack),
        cmocka_unit_test(test_whole_numbers_are_exact),
        cmocka_unit_test(test_worst_row_reaches_slack),
        cmocka_unit_test(test_slack_is_small),
        cmocka_unit_test(test_levels_agree),
        cmocka_unit_test(test_overflow_gives_up),
    };
    return cmocka_run_group_tests_name("scorer", tests, NULL, NULL);
}
