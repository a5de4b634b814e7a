/* Float kernels of every level that runs here, against scalar bit by bit; scalar against the law spelt out, and against
 * 64-bit arithmetic within its bound.
 *
 * For each random shape (type, metric, dim, rows, stride, alignment, class of values) pair, rows, list and tile must
 * give the bits of scalar's pair. Queries and rows end where memory ends. */
#include "kern_data.h"

#define MAX_ROWS 31
#define MAX_Q    9
#define OUT_PAD  3 /* beyond the rows of a tile: must stay untouched */

/* The law of kern.h, word by word. */
static float law(const float *a, const float *b, size_t dim, int metric) {
    float lane[16] = {0};
    size_t padded = (dim + 15) / 16 * 16;
    for (size_t i = 0; i < padded; i++) {
        float x = i < dim ? a[i] : 0, y = i < dim ? b[i] : 0, d = x - y;
        float *sum = &lane[i % 16];
        *sum = metric == KERN_DOT    ? fmaf(x, y, *sum)
               : metric == KERN_L2SQ ? fmaf(d, d, *sum)
                                     : *sum + fabsf(d);
    }
    for (int half = 8; half >= 1; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

static void scalar_is_the_law(void **state) {
    (void)state;
    const struct kern *scalar;
    kern_levels(&scalar, 1);
    static float a[70000], b[70000];
    static char row[70000 * 4];
    for (int round = 0; round < 1500; round++) {
        size_t dim = round == 0 ? 65536 : random_dim();
        kith_type type = (kith_type)random_below(KERN_TYPES);
        enum values class = (enum values)random_below(VALUE_CLASSES);
        random_row(a, KITH_TYPE_F32, dim, class);
        random_row(row, type, dim, class);
        scalar->to_f32[type](row, dim, b);
        for (int metric = 0; metric < KERN_METRICS; metric++) {
            float got = scalar->pair[type][metric](a, row, dim);
            if (!same_float(got, law(a, b, dim, metric)))
                fail_msg("%s %s dim %zu: %a, the law says %a", type_names[type],
                         metric_names[metric], dim, (double)got, (double)law(a, b, dim, metric));
        }
    }
}

static void scalar_is_within_its_bound(void **state) {
    (void)state;
    const struct kern *scalar;
    kern_levels(&scalar, 1);
    static float a[70000], b[70000];
    for (int round = 0; round < 600; round++) {
        size_t dim = round == 0 ? 65536 : random_dim();
        enum values class = (enum values)random_below(EDGES);
        random_row(a, KITH_TYPE_F32, dim, class);
        random_row(b, KITH_TYPE_F32, dim, class);
        for (int metric = 0; metric < KERN_METRICS; metric++) {
            double sum = 0, size = 0;
            for (size_t i = 0; i < dim; i++) {
                double d = (double)a[i] - (double)b[i];
                double term = metric == KERN_DOT    ? (double)a[i] * (double)b[i]
                              : metric == KERN_L2SQ ? d * d
                                                    : fabs(d);
                sum += term;
                size += fabs(term);
            }
            /* dim/16 roundings a lane, 4 of the tree, 3 of the term */
            double bound = ((double)(dim / 16) + 9) * 0x1p-24 * size * 1.01 + 1e-40;
            double got = (double)scalar->pair[KITH_TYPE_F32][metric](a, b, dim);
            if (!(fabs(got - sum) <= bound))
                fail_msg("%s dim %zu: %.9g, not within %.3g of %.9g", metric_names[metric], dim,
                         got, bound, sum);
        }
    }
}

struct shape {
    kith_type type;
    int metric;
    size_t dim, n, stride, n_q, q_stride, out_stride;
    const float *queries;
    const char *rows;
};

static void complain(const struct kern *kern, const char *what, const struct shape *s, size_t q,
                     size_t row, float got, float want) {
    fail_msg("%s %s %s %s dim %zu n %zu stride %zu query %zu row %zu: %a, scalar gives %a",
             kern->name, what, type_names[s->type], metric_names[s->metric], s->dim, s->n,
             s->stride, q, row, (double)got, (double)want);
}

static void compare(const struct kern *kern, const struct kern *scalar, const struct shape *s) {
    static float want[MAX_Q][MAX_ROWS], got[MAX_Q * (MAX_ROWS + OUT_PAD)];
    const void *list[MAX_ROWS];
    for (size_t q = 0; q < s->n_q; q++)
        for (size_t j = 0; j < s->n; j++)
            want[q][j] = scalar->pair[s->type][s->metric](s->queries + q * s->q_stride,
                                                          s->rows + j * s->stride, s->dim);
    for (size_t j = 0; j < s->n; j++) {
        list[j] = s->rows + j * s->stride;
        float one = kern->pair[s->type][s->metric](s->queries, list[j], s->dim);
        if (!same_float(one, want[0][j])) complain(kern, "pair", s, 0, j, one, want[0][j]);
    }
    got[s->n] = 12345;
    kern->rows[s->type][s->metric](s->queries, s->rows, s->stride, s->n, s->dim, got);
    for (size_t j = 0; j < s->n; j++)
        if (!same_float(got[j], want[0][j])) complain(kern, "rows", s, 0, j, got[j], want[0][j]);
    kern->list[s->type][s->metric](s->queries, list, s->n, s->dim, got);
    for (size_t j = 0; j < s->n; j++)
        if (!same_float(got[j], want[0][j])) complain(kern, "list", s, 0, j, got[j], want[0][j]);
    assert_true(got[s->n] == 12345);

    for (size_t i = 0; i < MAX_Q * (MAX_ROWS + OUT_PAD); i++) got[i] = 12345;
    kern->tile[s->type][s->metric](s->queries, s->q_stride, s->n_q, s->rows, s->stride, s->n,
                                   s->dim, got, s->out_stride);
    for (size_t q = 0; q < s->n_q; q++)
        for (size_t j = 0; j < s->out_stride; j++) {
            float one = got[q * s->out_stride + j];
            if (j >= s->n)
                assert_true(one == 12345);
            else if (!same_float(one, want[q][j]))
                complain(kern, "tile", s, q, j, one, want[q][j]);
        }
}

static void all_levels(size_t rounds, bool large) {
    const struct kern *scalar, *level[8];
    kern_levels(&scalar, 1);
    size_t n_levels = other_levels(level, 8);
    struct guard row_memory = guard_new(MAX_ROWS * (65536 * 4 + 64)),
                 query_memory = guard_new(MAX_Q * 65600 * 4);
    for (size_t round = 0; round < rounds; round++) {
        struct shape s = {
            .type = (kith_type)(round % KERN_TYPES), .dim = random_dim(), .n = random_count()};
        if (large) {
            s.dim = round % 2 ? 65536 - random_below(40) : 4096 + random_below(3) - 1;
            s.n = 1 + random_below(6);
        }
        enum values class = (enum values)random_below(VALUE_CLASSES);
        s.n_q = large ? 1 + random_below(4) : 1 + random_below(MAX_Q);
        size_t bytes = s.dim * type_bytes[s.type];
        s.stride = bytes + (random_below(2) ? random_below(40) : 0);
        s.q_stride = s.dim + random_below(3);
        s.out_stride = s.n + random_below(OUT_PAD + 1);
        char *rows =
            s.n == 0 ? row_memory.base : guard_end(&row_memory, (s.n - 1) * s.stride + bytes);
        for (size_t j = 0; j < s.n; j++) random_row(rows + j * s.stride, s.type, s.dim, class);
        float *queries = guard_end(&query_memory, ((s.n_q - 1) * s.q_stride + s.dim) * 4);
        for (size_t q = 0; q < s.n_q; q++)
            random_row(queries + q * s.q_stride, KITH_TYPE_F32, s.dim, class);
        s.queries = queries;
        s.rows = rows;
        for (s.metric = 0; s.metric < KERN_METRICS; s.metric++)
            for (size_t i = 0; i < n_levels; i++) compare(level[i], scalar, &s);
    }
    guard_free(&row_memory);
    guard_free(&query_memory);
}

static void every_level_gives_the_bits_of_scalar(void **state) {
    (void)state;
    all_levels(1500, false);
}

static void also_in_large_dimensions(void **state) {
    (void)state;
    all_levels(20, true);
}

static void self_dots_are_dots(void **state) {
    (void)state;
    const struct kern *level[8];
    size_t n_levels = kern_levels(level, 8);
    struct guard memory = guard_new(1200 * 4);
    float decoded[1200];
    for (int round = 0; round < 500; round++) {
        kith_type type = (kith_type)(round % KERN_TYPES);
        size_t dim = random_dim();
        void *row = guard_end(&memory, dim * type_bytes[type]);
        random_row(row, type, dim, (enum values)random_below(VALUE_CLASSES));
        level[0]->to_f32[type](row, dim, decoded);
        float want = level[0]->pair[type][KERN_DOT](decoded, row, dim);
        for (size_t i = 0; i < n_levels; i++)
            assert_true(same_float(level[i]->dot_self[type](row, dim), want));
        float inv = kern_inv_length(level[n_levels - 1], type, row, dim);
        if (want == 0) assert_true(inv == 0);
        if (want > 0) assert_true(same_float(inv, 1.0f / sqrtf(want)));
    }
    guard_free(&memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalar_is_the_law),
        cmocka_unit_test(scalar_is_within_its_bound),
        cmocka_unit_test(every_level_gives_the_bits_of_scalar),
        cmocka_unit_test(also_in_large_dimensions),
        cmocka_unit_test(self_dots_are_dots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
