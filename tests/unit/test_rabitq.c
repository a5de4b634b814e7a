/* RaBitQ: codes, blocks and models keep what rabitq.h says of them; scores of every form are within their slack.
 *
 * The statistics of the estimate are in tests/prop/test_rabitq.c. */
#include <sys/wait.h>
#include <unistd.h>

#include "rabitq_case.h"

#include "base/thread.h"
#include "kern/kern.h"
#include "quant/fields.h"
#include "quant/rabitq_code.h"

static const size_t dims[] = {1,  2,  3,  4,  5,  7,  8,  9,  15,  16,  17,  31,  32,
                              33, 48, 63, 64, 65, 66, 70, 96, 127, 128, 200, 784, 1000};
#define N_DIMS (sizeof dims / sizeof *dims)

static struct rabitq_case random_case(kith_metric metric, unsigned bits, size_t n, size_t dim,
                                      bool centred) {
    return case_of(case_quantizer(metric, bits, dim, random_below(1000)), n, random_rows(n, dim),
                   centred ? random_rows(1, dim) : NULL);
}

static void fields_come_back(void **state) {
    (void)state;
    static const unsigned widths[] = {1, 2, 4, 6, 8};
    for (int round = 0; round < 100; round++) {
        const unsigned bits = widths[random_below(5)], shift = (unsigned)random_below(9 - bits);
        const size_t n = 64 * (1 + random_below(9));
        uint8_t values[640], packed[640], back[640] = {0};
        for (size_t i = 0; i < n; i++) values[i] = (uint8_t)random_below(256);
        packed[fields_bytes(bits, n)] = 77;
        fields_put(bits, values, shift, n, packed);
        if (bits < 8) assert_int_equal(packed[fields_bytes(bits, n)], 77);
        fields_add(bits, packed, shift, n, back);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(back[i], ((uint32_t)values[i] >> shift & ((1u << bits) - 1)) << shift);
    }
}

/* The layout in the kernels' own eyes: a dot with a query of a single 1 is that element's value. */
static void fields_are_what_kernels_read(void **state) {
    (void)state;
    const struct kern *kern = kern_get();
    const struct {
        unsigned bits;
        kern_dot_u8s8_rows_fn dot;
    } kinds[] = {{1, kern->dot_u1s8_rows},
                 {2, kern->dot_u2s8_rows},
                 {4, kern->dot_u4s8_rows},
                 {6, kern->dot_u6s8_rows},
                 {8, kern->dot_u8s8_rows}};
    for (size_t k = 0; k < 5; k++) {
        const size_t n = 64 * 5;
        uint8_t values[320], packed[320];
        for (size_t i = 0; i < n; i++) values[i] = (uint8_t)random_below(1u << kinds[k].bits);
        fields_put(kinds[k].bits, values, 0, n, packed);
        for (size_t i = 0; i < n; i++) {
            int8_t query[320] = {0};
            int32_t dot;
            query[i] = 1;
            kinds[k].dot(query, packed, 0, 1, fields_bytes(kinds[k].bits, n), &dot);
            assert_int_equal(dot, values[i]);
        }
    }
}

static void blocks_come_back(void **state) {
    (void)state;
    for (unsigned bits = 1; bits <= 8; bits++)
        for (size_t d = 0; d < N_DIMS; d++) {
            const size_t n = 1 + random_below(70);
            struct rabitq_case c = random_case(KITH_METRIC_L2, bits, n, dims[d], d % 2);
            assert_int_equal(c.quantizer->block_bytes % 64, 0);
            assert_int_equal(c.quantizer->bytes % 4, 0);
            uint8_t *code = malloc(c.quantizer->bytes);
            for (size_t i = 0; i < n; i++) {
                memset(code, 0xee, c.quantizer->bytes);
                c.quantizer->ops->unpack(c.quantizer,
                                         c.blocks + i / QUANT_BLOCK * c.quantizer->block_bytes,
                                         i % QUANT_BLOCK, code);
                assert_memory_equal(code, case_code(&c, i), c.quantizer->bytes);
            }
            free(code);
            case_free(&c);
        }
}

static double length(const float *x, size_t dim) {
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* r - r~ in double; returns its length and its dot product with y. */
static double residual(const struct rabitq_case *c, size_t i, const float *decoded, const float *y,
                       double *dot) {
    double square = 0;
    *dot = 0;
    for (size_t j = 0; j < c->dim; j++) {
        double r = (double)c->rows[i * c->dim + j] - (c->centre ? (double)c->centre[j] : 0);
        double off = r - (double)decoded[j];
        square += off * off;
        *dot += off * (y ? (double)y[j] : 0);
    }
    return sqrt(square);
}

/* Norms are those of decode() and hold; a query's score is off by what r - r~ is off in its direction. */
static void scores_are_those_of_decoded_rows(void **state) {
    (void)state;
    for (unsigned bits = 1; bits <= 8; bits++)
        for (size_t d = 0; d < N_DIMS; d++)
            for (int ip = 0; ip < 2; ip++) {
                const size_t dim = dims[d];
                struct rabitq_case c = random_case(ip ? KITH_METRIC_IP : KITH_METRIC_L2, bits, 3,
                                                   dim, random_below(2));
                float *query = random_rows(1, dim), *decoded = malloc(dim * sizeof *decoded);
                float *away = malloc(dim * sizeof *away);
                const float *mean = ((const struct rabitq *)c.quantizer)->mean;
                for (size_t j = 0; j < dim; j++)
                    away[j] = query[j] - mean[j] - (c.centre ? c.centre[j] : 0);
                c.quantizer->ops->set_query(c.scorer, query);
                for (size_t i = 0; i < 3; i++) {
                    double dot;
                    c.quantizer->ops->decode(c.quantizer, case_code(&c, i), decoded);
                    const double norm = residual(&c, i, decoded, away, &dot);
                    assert_true(norm <= (double)c.norms[i]);
                    /* dimensions beyond dim hold a part of r~, too */
                    if (dim % 64 == 0) assert_true((double)c.norms[i] <= norm * 1.01 + 1e-3);
                    const double score =
                        (double)c.quantizer->ops->score(c.scorer, case_code(&c, i));
                    const double wanted = case_real(&c, query, i) + (ip ? dot : 2 * dot);
                    const double size = length(query, dim) + length(c.rows + i * dim, dim) +
                                        (c.centre ? length(c.centre, dim) : 0);
                    assert_true(fabs(score - wanted) <= 3e-6 * size * size);
                }
                free(query);
                free(decoded);
                free(away);
                case_free(&c);
            }
}

static void check_slack(struct rabitq_case *c, const float *query) {
    const struct quantizer_ops *ops = c->quantizer->ops;
    const size_t room = case_blocks(c) * QUANT_BLOCK;
    float *rows = malloc(room * sizeof *rows), *list = malloc(room * sizeof *list);
    float *blocks = malloc(room * sizeof *blocks);
    const uint8_t **codes = malloc(c->n * sizeof *codes);
    for (size_t i = 0; i < c->n; i++) codes[i] = case_code(c, i);
    ops->set_query(c->scorer, query);
    ops->rows(c->scorer, c->codes, c->quantizer->bytes, c->n, rows);
    ops->list(c->scorer, codes, c->n, list);
    ops->blocks(c->scorer, c->blocks, c->n, INFINITY, blocks);
    for (size_t i = 0; i < c->n; i++) {
        const float score = ops->score(c->scorer, codes[i]);
        const float slack = rabitq_slack(c->scorer, codes[i]);
        assert_true(isfinite(score) && slack >= 0);
        assert_true(slack <= c->scorer->slack);
        assert_true(rows[i] == list[i]);
        assert_true(fabs((double)rows[i] - (double)score) <= (double)slack);
        assert_true(fabs((double)blocks[i] - (double)score) <= (double)slack);
        if (c->quantizer->spec.bits > 1) assert_true(blocks[i] == rows[i]);
    }
    free(rows);
    free(list);
    free(blocks);
    free(codes);
}

static void estimates_are_within_their_slack(void **state) {
    (void)state;
    for (unsigned bits = 1; bits <= 8; bits++)
        for (size_t d = 0; d < N_DIMS; d++)
            for (int ip = 0; ip < 2; ip++) {
                const size_t n = 1 + random_below(300);
                struct rabitq_case c = random_case(ip ? KITH_METRIC_IP : KITH_METRIC_L2, bits, n,
                                                   dims[d], random_below(2));
                float *query = random_rows(1, dims[d]);
                check_slack(&c, query);
                for (size_t j = 0; j < dims[d]; j++) query[j] = j ? 0 : 1000; /* hard to quantise */
                check_slack(&c, query);
                memcpy(query, c.rows, dims[d] * sizeof *query);
                check_slack(&c, query);
                free(query);
                case_free(&c);
            }
}

static void large_dimensions(void **state) {
    (void)state;
    const struct {
        size_t dim;
        unsigned bits;
    } cases[] = {{4096, 1}, {4096, 4}, {4097, 7}, {65536, 8}, {65536, 1}};
    for (size_t i = 0; i < 5; i++) {
        struct rabitq_case c = random_case(i % 2 ? KITH_METRIC_IP : KITH_METRIC_L2, cases[i].bits,
                                           33, cases[i].dim, i % 2);
        float *query = random_rows(1, c.dim), *decoded = malloc(c.dim * sizeof *decoded);
        double dot;
        check_slack(&c, query);
        c.quantizer->ops->decode(c.quantizer, case_code(&c, 7), decoded);
        assert_true(residual(&c, 7, decoded, NULL, &dot) <= (double)c.norms[7]);
        free(query);
        free(decoded);
        case_free(&c);
    }
}

/* Rows that lie on their centre: their code stands for it exactly. */
static void rows_on_the_centre(void **state) {
    (void)state;
    for (unsigned bits = 1; bits <= 8; bits++)
        for (int centred = 0; centred < 2; centred++) {
            const size_t n = 40, dim = 65;
            float *rows = random_rows(n, dim), *query = random_rows(1, dim);
            for (size_t i = 1; i < n; i++) memcpy(rows + i * dim, rows, dim * sizeof *rows);
            float *centre = centred ? malloc(dim * sizeof *centre) : NULL;
            if (centred) memcpy(centre, rows, dim * sizeof *centre);
            struct rabitq_case c =
                case_of(case_quantizer(KITH_METRIC_L2, bits, dim, 5), n, rows, centre);
            c.quantizer->ops->set_query(c.scorer, query);
            const double wanted = case_real(&c, query, 0);
            float blocks[64];
            c.quantizer->ops->blocks(c.scorer, c.blocks, n, INFINITY, blocks);
            for (size_t i = 0; i < n; i++) {
                const double score = (double)c.quantizer->ops->score(c.scorer, case_code(&c, i));
                assert_true(fabs(score - wanted) <= 1e-5 * (fabs(wanted) + 1));
                assert_true(fabs((double)blocks[i] - wanted) <= 1e-5 * (fabs(wanted) + 1));
                assert_true((double)rabitq_error(c.quantizer, case_code(&c, i)) <= 1e-5);
            }
            free(query);
            case_free(&c);
        }
}

/* Beyond what f32 squares hold, rows are far and queries have no estimates; nothing is NaN. */
static void values_beyond_squares(void **state) {
    (void)state;
    for (unsigned bits = 1; bits <= 8; bits += 3) {
        const size_t n = 34, dim = 70;
        float *rows = random_rows(n, dim), *query = random_rows(1, dim), scores[64];
        for (size_t j = 0; j < dim; j++) rows[3 * dim + j] = 1e30f;
        struct quantizer *quantizer = case_quantizer(KITH_METRIC_L2, bits, dim, 5);
        float *zero = calloc(dim, sizeof *zero);
        struct rabitq_case c = case_of(quantizer, 3, rows, zero);
        quantizer->ops->encode(quantizer, 1, rows + 3 * dim, NULL, c.codes, c.norms);
        quantizer->ops->pack(quantizer, c.codes, 3, c.blocks);
        quantizer->ops->set_query(c.scorer, query);
        quantizer->ops->rows(c.scorer, c.codes, quantizer->bytes, 3, scores);
        assert_true(scores[0] == INFINITY && isfinite(scores[1]));
        quantizer->ops->blocks(c.scorer, c.blocks, 3, INFINITY, scores);
        assert_true(scores[0] == INFINITY && isfinite(scores[1]));
        query[0] = 1e25f;
        quantizer->ops->set_query(c.scorer, query);
        assert_true(c.scorer->slack == INFINITY);
        quantizer->ops->rows(c.scorer, c.codes, quantizer->bytes, 3, scores);
        assert_true(!isnan(scores[0]) && !isnan(scores[1]));
        quantizer->ops->blocks(c.scorer, c.blocks, 3, INFINITY, scores);
        assert_true(!isnan(scores[0]) && !isnan(scores[1]));
        free(query);
        case_free(&c);
    }
}

static void what_is_refused(void **state) {
    (void)state;
    struct quantizer *quantizer;
    kith_error err;
    struct quantizer_spec spec = {.kind = QUANT_RABITQ, .bits = 4};
    assert_int_equal(quantizer_new(&quantizer, &spec, KITH_METRIC_L1, 8, NULL, &err), KITH_ESPEC);
    assert_non_null(strstr(err.text, "L1"));
    for (uint32_t bits = 0; bits <= 9; bits += 9) {
        spec.bits = bits;
        assert_int_equal(quantizer_new(&quantizer, &spec, KITH_METRIC_L2, 8, NULL, &err),
                         KITH_ESPEC);
        assert_non_null(strstr(err.text, "1 to 8"));
    }
}

static void models_come_back(void **state) {
    (void)state;
    struct rabitq_case c = random_case(KITH_METRIC_L2, 4, 50, 70, false);
    const struct quantizer_ops *ops = c.quantizer->ops;
    const size_t bytes = ops->model_bytes(c.quantizer);
    uint8_t *model = malloc(bytes), *again = malloc(bytes),
            *codes = malloc(50 * c.quantizer->bytes);
    ops->model_write(c.quantizer, model);
    struct quantizer *other = case_quantizer(KITH_METRIC_L2, 4, 70, 12345);
    assert_false(other->trained);
    assert_int_equal(ops->model_read(other, model, bytes, NULL), KITH_OK);
    assert_true(other->trained);
    ops->model_write(other, again);
    assert_memory_equal(model, again, bytes);
    ops->encode(other, 50, c.rows, NULL, codes, NULL);
    assert_memory_equal(codes, c.codes, 50 * c.quantizer->bytes);
    quantizer_free(other);
    kith_error err;
    assert_int_equal(ops->model_read(c.quantizer, model, bytes - 1, &err), KITH_ECORRUPT);
    const struct {
        size_t at;
        uint8_t byte;
    } damage[] = {{0, 1}, {4, 71}, {19, 0xff}, {20, 2}, {27, 0x7f}};
    for (size_t i = 0; i < 5; i++) {
        memcpy(again, model, bytes);
        again[damage[i].at] = damage[i].byte;
        if (damage[i].at == 27) again[26] = 0xff; /* the mean's first element: not a number */
        assert_int_equal(ops->model_read(c.quantizer, again, bytes, &err), KITH_ECORRUPT);
        assert_true(err.text[0] != 0);
    }
    ops->model_write(c.quantizer, again);
    assert_memory_equal(model, again, bytes);
    free(model);
    free(again);
    free(codes);
    case_free(&c);
}

static void encode_part(void *context, uint32_t worker, size_t begin, size_t end) {
    const struct rabitq_case *c = context;
    (void)worker;
    c->quantizer->ops->encode(c->quantizer, end - begin, c->rows + begin * c->dim, c->centre,
                              c->codes + begin * c->quantizer->bytes, c->norms + begin);
}

/* Whatever threads code which rows, also where they share the room that long rows need. */
static void threads_code_the_same(void **state) {
    (void)state;
    static const size_t sizes[] = {100, 5000};
    for (size_t i = 0; i < 2; i++) {
        struct rabitq_case c = random_case(KITH_METRIC_L2, 4, 60, sizes[i], true);
        const size_t bytes = c.n * c.quantizer->bytes;
        uint8_t *codes = malloc(bytes);
        memcpy(codes, c.codes, bytes);
        memset(c.codes, 0xee, bytes);
        thread_for(4, c.n, 7, encode_part, &c);
        assert_memory_equal(codes, c.codes, bytes);
        free(codes);
        case_free(&c);
    }
}

static void memory_that_cannot_be_had(void **state) {
    (void)state;
    const uint64_t live = mem_live_blocks();
    const struct quantizer_spec spec = {.kind = QUANT_RABITQ, .bits = 4};
    struct mem_account owner = {0};
    for (uint64_t nth = 1;; nth++) {
        struct quantizer *quantizer;
        mem_test_fail_at(nth);
        int code = quantizer_new(&quantizer, &spec, KITH_METRIC_L2, 5000, &owner, NULL);
        const uint64_t calls = mem_test_calls();
        mem_test_fail_at(0);
        if (code == KITH_OK) {
            assert_true(calls < nth);
            quantizer_free(quantizer);
            break;
        }
        assert_int_equal(code, KITH_ENOMEM);
        assert_int_equal(mem_live_blocks(), live);
    }
    assert_int_equal(owner.bytes, 0);
    struct quantizer *quantizer = case_quantizer(KITH_METRIC_L2, 4, 70, 1);
    const struct quantizer_training how = {.threads = 1};
    float *rows = random_rows(9, 70);
    mem_test_fail_at(1);
    assert_int_equal(quantizer->ops->train(quantizer, 9, rows, &how, NULL), KITH_ENOMEM);
    mem_test_fail_at(0);
    assert_false(quantizer->trained);
    free(rows);
    quantizer_free(quantizer);
}

/* ---- The same at every level: children, each with its own KITH_ISA, hash what they make -------- */

static uint64_t digest(void) {
    uint64_t hash = 1;
    case_random = 7;
    for (unsigned bits = 1; bits <= 8; bits++)
        for (size_t d = 0; d < N_DIMS; d += 5) {
            struct rabitq_case c =
                random_case(bits % 2 ? KITH_METRIC_L2 : KITH_METRIC_IP, bits, 70, dims[d], d % 2);
            float *query = random_rows(1, dims[d]), scores[2 * 96];
            c.quantizer->ops->set_query(c.scorer, query);
            c.quantizer->ops->rows(c.scorer, c.codes, c.quantizer->bytes, 70, scores);
            c.quantizer->ops->blocks(c.scorer, c.blocks, 70, scores[0], scores + 96);
            for (size_t i = 0; i < 70 * c.quantizer->bytes; i++) hash = bits_mix(hash ^ c.codes[i]);
            for (size_t i = 0; i < 2 * 96; i++) {
                uint32_t word;
                memcpy(&word, scores + i, 4);
                if (i % 96 < 70) hash = bits_mix(hash ^ word);
            }
            hash = bits_mix(hash ^ (uint64_t)c.scorer->slack);
            free(query);
            case_free(&c);
        }
    return hash;
}

static const char *const isa_names[] = {"scalar",     "avx2",       "avx512",
                                        "avx512vnni", "avx512vbmi", "neon"};
static uint64_t digests[6];

/* Before anything asks for the kernels, whose choice is made once a process. */
static void run_children(void) {
    for (size_t i = 0; i < 6; i++) {
        int ends[2];
        if (pipe(ends) != 0) exit(1);
        pid_t child = fork();
        if (child == 0) {
            setenv("KITH_ISA", isa_names[i], 1);
            uint64_t hash = kern_isa_note()[0] ? 0 : digest();
            _exit(write(ends[1], &hash, sizeof hash) == sizeof hash ? 0 : 1);
        }
        close(ends[1]);
        if (read(ends[0], &digests[i], sizeof digests[i]) != sizeof digests[i]) digests[i] = 1;
        close(ends[0]);
        waitpid(child, NULL, 0);
    }
}

static void every_level_gives_the_same(void **state) {
    (void)state;
    assert_true(digests[0] > 1);
    for (size_t i = 1; i < 6; i++)
        if (digests[i]) assert_true(digests[i] == digests[0]);
}

int main(void) {
    run_children();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_come_back),
        cmocka_unit_test(fields_are_what_kernels_read),
        cmocka_unit_test(blocks_come_back),
        cmocka_unit_test(scores_are_those_of_decoded_rows),
        cmocka_unit_test(estimates_are_within_their_slack),
        cmocka_unit_test(large_dimensions),
        cmocka_unit_test(rows_on_the_centre),
        cmocka_unit_test(values_beyond_squares),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(models_come_back),
        cmocka_unit_test(threads_code_the_same),
        cmocka_unit_test(memory_that_cannot_be_had),
        cmocka_unit_test(every_level_gives_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
