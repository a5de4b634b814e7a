/* The statistics that rabitq.h states: no bias, the deviation and the bound, a quarter of the variance a bit, what
 * blocks() loses, and the grid against the walk over all grids.
 *
 * Randomness is that of the rotation: errors of one row and query are drawn by many seeds. A mean of n errors of known
 * deviation s is within 4 s / sqrt(n) of 0 but once in 16,000 times; seeds are fixed, so a test that passes does so always. */
#include "../unit/rabitq_case.h"

#include "kern/kern.h"
#include "quant/rabitq_code.h"

enum { SEEDS = 400, QUERIES = 4, ROWS = 8 };

struct errors {
    double sum, square; /* of errors over their stated deviation */
    size_t n, within[3];
};
static const double epsilons[3] = {1, (double)RABITQ_EPSILON, 3};

static double distance_to_centre(const struct rabitq_case *c, const float *query) {
    const float *mean = ((const struct rabitq *)c->quantizer)->mean;
    double sum = 0;
    for (size_t j = 0; j < c->dim; j++) {
        double off = (double)query[j] - (double)mean[j] - (c->centre ? (double)c->centre[j] : 0);
        sum += off * off;
    }
    return sqrt(sum);
}

static void add_errors(const struct rabitq_case *c, const float *query, struct errors *errors) {
    const struct quantizer_ops *ops = c->quantizer->ops;
    const double away = distance_to_centre(c, query);
    ops->set_query(c->scorer, query);
    for (size_t i = 0; i < c->n; i++) {
        const double off = (double)ops->score(c->scorer, case_code(c, i)) - case_real(c, query, i);
        const double deviation = away * (double)rabitq_error(c->quantizer, case_code(c, i));
        const double x = off / deviation;
        errors->sum += x;
        errors->square += x * x;
        errors->n++;
        for (int e = 0; e < 3; e++) errors->within[e] += fabs(x) <= epsilons[e];
    }
}

static float *copy(const float *x, size_t n) {
    float *out = malloc(n * sizeof *out);
    memcpy(out, x, n * sizeof *out);
    return out;
}

/* Errors of the same rows and queries by many rotations. */
static struct errors draw_errors(kith_metric metric, unsigned bits, size_t dim, bool centred) {
    struct errors errors = {0};
    float *rows = random_rows(ROWS, dim), *queries = random_rows(QUERIES, dim);
    float *centre = centred ? random_rows(1, dim) : NULL;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rabitq_case c = case_of(case_quantizer(metric, bits, dim, seed), ROWS,
                                       copy(rows, ROWS * dim), centred ? copy(centre, dim) : NULL);
        for (size_t q = 0; q < QUERIES; q++) add_errors(&c, queries + q * dim, &errors);
        case_free(&c);
    }
    free(rows);
    free(queries);
    free(centre);
    return errors;
}

/* Rows share rotations and queries, so that fewer errors are independent than are drawn: as many as there are seeds
 * times queries. */
static void check_errors(const struct errors *errors, const char *what) {
    const double n = (double)errors->n, independent = (double)SEEDS * QUERIES;
    const double mean = errors->sum / n, deviation = sqrt(errors->square / n);
    if (fabs(mean) > 4 / sqrt(independent)) fail_msg("%s: mean error %.4f", what, mean);
    if (fabs(deviation - 0.98) > 0.08)
        fail_msg("%s: deviation %.4f of that stated", what, deviation);
    static const double normal[3] = {0.6827, 0.9426, 0.9973}, less[3] = {0.03, 0.01, 0.002};
    for (int e = 0; e < 3; e++) {
        double share = (double)errors->within[e] / n;
        if (share < normal[e] - less[e] || share > normal[e] + 0.05)
            fail_msg("%s: %.4f within %.1f deviations", what, share, epsilons[e]);
    }
}

static void errors_are_as_stated(void **state) {
    (void)state;
    static const size_t dims[] = {64, 100, 200};
    for (unsigned bits = 1; bits <= 8; bits++)
        for (int ip = 0; ip < 2; ip++)
            for (int centred = 0; centred < 2; centred++) {
                const size_t dim = dims[(bits + (unsigned)centred) % 3];
                struct errors errors =
                    draw_errors(ip ? KITH_METRIC_IP : KITH_METRIC_L2, bits, dim, centred);
                char what[80];
                snprintf(what, sizeof what, "%u bits, %s, dim %zu%s", bits, ip ? "IP" : "L2", dim,
                         centred ? ", a centre" : "");
                check_errors(&errors, what);
            }
}

static void a_bit_quarters_the_variance(void **state) {
    (void)state;
    const size_t dim = 256, n = 200;
    float *rows = random_rows(n, dim);
    double last = 0;
    for (unsigned bits = 1; bits <= 8; bits++) {
        struct rabitq_case c =
            case_of(case_quantizer(KITH_METRIC_L2, bits, dim, 3), n, copy(rows, n * dim), NULL);
        double variance = 0;
        for (size_t i = 0; i < n; i++) {
            double error = (double)rabitq_error(c.quantizer, case_code(&c, i));
            variance += error * error;
        }
        if (bits > 1) assert_true(last / variance > 3.2 && last / variance < 4.7);
        last = variance;
        case_free(&c);
    }
    free(rows);
}

/* Of the rows whose score is within the limit, blocks() may lose one in 35 that lie at it; every score that it gives is
 * that of rows(), and what it passes over is beyond the limit or that few. */
static void blocks_lose_few(void **state) {
    (void)state;
    const size_t dim = 150, n = 3000;
    float *rows = random_rows(n, dim), *queries = random_rows(20, dim);
    float *scores = malloc((n + 31) * sizeof *scores), *blocks = malloc((n + 31) * sizeof *blocks);
    for (unsigned bits = 2; bits <= 8; bits++) {
        struct rabitq_case c =
            case_of(case_quantizer(KITH_METRIC_L2, bits, dim, bits), n, copy(rows, n * dim),
                    bits % 2 ? copy(rows + dim, dim) : NULL);
        const struct quantizer_ops *ops = c.quantizer->ops;
        size_t within = 0, lost = 0, passed = 0;
        for (size_t q = 0; q < 20; q++) {
            const float *query = queries + q * dim;
            ops->set_query(c.scorer, query);
            if (c.centre) {
                double sum = 0;
                for (size_t j = 0; j < dim; j++) {
                    double off = (double)query[j] - (double)c.centre[j];
                    sum += off * off;
                }
                c.scorer->centre_dist = (float)sqrt(sum);
            }
            ops->rows(c.scorer, c.codes, c.quantizer->bytes, n, scores);
            const float limit = scores[random_below(n)];
            ops->blocks(c.scorer, c.blocks, n, limit, blocks);
            for (size_t i = 0; i < n; i++) {
                within += scores[i] <= limit;
                lost += scores[i] <= limit && blocks[i] != scores[i];
                passed += blocks[i] == INFINITY;
                assert_true(blocks[i] == INFINITY || blocks[i] == scores[i]);
            }
        }
        assert_true(within > 1000);
        assert_true((double)lost <= 0.02 * (double)within);
        assert_true(passed > 0);
        case_free(&c);
    }
    free(rows);
    free(queries);
    free(scores);
    free(blocks);
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The largest cosine over every scale: elements step up one after the other (Gao et al. 2025). */
static double best_cosine(const float *x, size_t n, unsigned bits) {
    const size_t top = 1u << (bits - 1);
    double(*steps)[2] = malloc(n * top * sizeof *steps), dot = 0, square = 0, len = 0;
    size_t n_steps = 0;
    for (size_t i = 0; i < n; i++) {
        double size = fabs((double)x[i]);
        for (size_t k = 1; k < top; k++) {
            steps[n_steps][0] = (double)k / size;
            steps[n_steps++][1] = size;
        }
        dot += size / 2;
        square += 0.25;
        len += size * size;
    }
    qsort(steps, n_steps, sizeof *steps, by_value);
    double best = dot / sqrt(square);
    for (size_t s = 0; s < n_steps; s++) {
        const double k = steps[s][0] * steps[s][1]; /* from k - 0.5 to k + 0.5 */
        dot += steps[s][1];
        square += 2 * k;
        best = fmax(best, dot / sqrt(square));
    }
    free(steps);
    return best / sqrt(len);
}

static void the_grid_is_nearly_the_best(void **state) {
    (void)state;
    static const size_t dims[] = {1, 3, 64, 100, 784}; /* 1, 3: few sizes, and one narrow peak */
    for (unsigned bits = 2; bits <= 8; bits++)
        for (size_t d = 0; d < 5; d++) {
            const size_t n = 12, dim = dims[d];
            struct rabitq_case c =
                case_of(case_quantizer(KITH_METRIC_L2, bits, dim, d), n, random_rows(n, dim), NULL);
            const struct rabitq *r = (const struct rabitq *)c.quantizer;
            float *raw = malloc(dim * sizeof *raw), *x = malloc(r->padded * sizeof *x);
            const double usual = 3 * pow(4, -(double)bits); /* 1 - cos^2 of long rows, about */
            double sum = 0;
            for (size_t i = 0; i < n; i++) {
                for (size_t j = 0; j < dim; j++) raw[j] = c.rows[i * dim + j] - r->mean[j];
                rotation_apply(&r->rotation, raw, x);
                double dot = 0, square = 0, len = 0;
                for (size_t at = 0, line; at < r->padded; at += line) {
                    uint8_t values[RABITQ_LINE];
                    line = rabitq_line(r, at);
                    rabitq_get(r, r->row, case_code(&c, i) + r->fields, at, line, values);
                    for (size_t j = 0; j < line; j++) {
                        const double v = (double)values[j] - rabitq_middle(r);
                        dot += v * (double)x[at + j];
                        square += v * v;
                        len += (double)x[at + j] * (double)x[at + j];
                    }
                }
                const double got = dot / sqrt(square * len), best = best_cosine(x, r->padded, bits);
                const double lost = (1 - got * got) - (1 - best * best);
                assert_true(lost > -1e-6 && lost < (dim < 4 ? 2 : 0.25) * usual);
                sum += lost / (double)n;
            }
            assert_true(sum < (dim < 4 ? 2 : 0.04) * usual);
            free(raw);
            free(x);
            case_free(&c);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_as_stated),
        cmocka_unit_test(a_bit_quarters_the_variance),
        cmocka_unit_test(blocks_lose_few),
        cmocka_unit_test(the_grid_is_nearly_the_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
