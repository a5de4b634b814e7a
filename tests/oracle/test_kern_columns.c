/* Kernels of product quantisation, of every level, against loops that follow their law element by element: columns, the
 * first of the largest, sums of table entries, tables made narrow. Inputs end where memory ends. */
#include "kern_data.h"

#define MAX_ROWS 11
#define MAX_K    256
#define MAX_DIM  70
#define MAX_M    150

static const struct kern *level[8];
static size_t n_levels;

static void check_floats(const struct kern *kern, const char *what, const float *got,
                         const float *want, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!same_float(got[i], want[i]))
            fail_msg("%s %s: %zu of %zu is %a, not %a", kern->name, what, i, n, (double)got[i],
                     (double)want[i]);
}

static void plain_columns(const struct kern_columns *c, bool l1) {
    for (size_t i = 0; i < c->n; i++)
        for (size_t j = 0; j < c->k; j++) {
            if (c->start) c->out[i * c->k + j] = c->start[j];
            for (size_t d = 0; d < c->dim; d++) {
                float x = c->x[i * c->stride + d], y = c->columns[d * c->k + j];
                float *out = c->out + i * c->k + j;
                *out = l1 ? *out + fabsf(x - y) : fmaf(x, y, *out);
            }
        }
}

static void columns_follow_the_law(void **state) {
    (void)state;
    struct guard rows = guard_new(MAX_ROWS * (MAX_DIM + 9) * 4),
                 columns = guard_new(MAX_DIM * MAX_K * 4), out = guard_new(MAX_ROWS * MAX_K * 4);
    static float start[MAX_ROWS * MAX_K + MAX_K], want[MAX_ROWS * MAX_K];
    for (size_t round = 0; round < 200; round++) {
        struct kern_columns c = {.n = random_below(MAX_ROWS + 1), .dim = random_below(MAX_DIM)};
        enum values class = (enum values)(round % VALUE_CLASSES);
        c.k = 16 * (1 + random_below(MAX_K / 16));
        c.stride = c.dim + random_below(10);
        float *x = guard_end(&rows, c.n ? ((c.n - 1) * c.stride + c.dim) * 4 : 0);
        float *y = guard_end(&columns, c.dim * c.k * 4);
        random_row(y, KITH_TYPE_F32, c.dim * c.k, class);
        for (size_t i = 0; i < c.n; i++) random_row(x + i * c.stride, KITH_TYPE_F32, c.dim, class);
        random_row(start, KITH_TYPE_F32, c.n * c.k + c.k, class);
        c.x = x;
        c.columns = y;
        if (random_below(2)) c.start = start;
        for (int l1 = 0; l1 < 2; l1++) {
            memcpy(want, start, sizeof want);
            c.out = want;
            plain_columns(&c, l1);
            c.out = guard_end(&out, c.n * c.k * 4);
            for (size_t i = 0; i < n_levels; i++) {
                memcpy(c.out, start, c.n * c.k * 4);
                (l1 ? level[i]->columns_l1 : level[i]->columns_dot)(&c);
                check_floats(level[i], l1 ? "columns l1" : "columns dot", c.out, want, c.n * c.k);
            }
        }
    }
    guard_free(&rows);
    guard_free(&columns);
    guard_free(&out);
}

static void the_first_of_the_largest_is_found(void **state) {
    (void)state;
    struct guard memory = guard_new(MAX_K * 4);
    for (size_t round = 0; round < 2000; round++) {
        size_t n = 16 * (1 + random_below(MAX_K / 16)), want = 0;
        float *x = guard_end(&memory, n * 4);
        for (size_t i = 0; i < n; i++)
            x[i] = round % 2 ? random_unit() * 1e30f : (float)random_below(9) - 4;
        if (round % 5 == 0) x[random_below(n)] = round % 2 ? INFINITY : -INFINITY;
        for (size_t i = 1; i < n; i++)
            if (x[i] > x[want]) want = i;
        for (size_t i = 0; i < n_levels; i++)
            if (level[i]->largest(x, n) != want)
                fail_msg("%s: %zu of %zu, not %zu", level[i]->name, level[i]->largest(x, n), n,
                         want);
    }
    guard_free(&memory);
}

static float plain_look_up(const float *tables, size_t m, const uint8_t *code, unsigned bits) {
    float lane[16] = {0};
    for (size_t i = 0; i < m; i++) {
        unsigned entry = bits == 8 ? code[i] : (unsigned)code[i / 2] >> i % 2 * 4 & 15u;
        lane[i % 16] += tables[(i << bits) + entry];
    }
    for (int half = 8; half >= 1; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

static void look_ups_follow_the_law(void **state) {
    (void)state;
    struct guard tables = guard_new(MAX_M * 256 * 4), codes = guard_new(MAX_ROWS * (MAX_M + 9));
    float want[MAX_ROWS], got[MAX_ROWS];
    const uint8_t *list[MAX_ROWS];
    for (size_t round = 0; round < 400; round++) {
        unsigned bits = round % 2 ? 8 : 4;
        size_t m = 1 + random_below(round % 7 ? 40 : MAX_M), n = random_below(MAX_ROWS + 1);
        size_t bytes = (m * bits + 7) / 8, stride = bytes + random_below(9);
        float *table = guard_end(&tables, (m << bits) * 4);
        uint8_t *code = guard_end(&codes, n ? (n - 1) * stride + bytes : 0);
        random_row(table, KITH_TYPE_F32, m << bits, (enum values)(round % VALUE_CLASSES));
        for (size_t i = 0; i < n; i++) {
            list[i] = code + i * stride;
            for (size_t b = 0; b < bytes; b++) code[i * stride + b] = (uint8_t)random_below(256);
            want[i] = plain_look_up(table, m, list[i], bits);
        }
        for (size_t i = 0; i < n_levels; i++) {
            const struct kern *kern = level[i];
            (bits == 8 ? kern->lookup8_rows : kern->lookup4_rows)(table, m, code, stride, n, got);
            check_floats(kern, "look-ups of rows", got, want, n);
            (bits == 8 ? kern->lookup8_list : kern->lookup4_list)(table, m, list, n, got);
            check_floats(kern, "look-ups of a list", got, want, n);
        }
    }
    guard_free(&tables);
    guard_free(&codes);
}

static float least_of(const float *table) {
    float least = table[0];
    for (size_t j = 1; j < 16; j++) least = fminf(least, table[j]);
    return least;
}

static void tables_become_narrow(void **state) {
    (void)state;
    struct guard tables = guard_new(MAX_M * 64), lows = guard_new(MAX_M * 4),
                 outs = guard_new(MAX_M * 16);
    static uint8_t want[MAX_M * 16];
    for (size_t round = 0; round < 300; round++) {
        size_t m = 1 + random_below(MAX_M);
        float *table = guard_end(&tables, m * 64), *low = guard_end(&lows, m * 4), widest = 0;
        uint8_t *out = guard_end(&outs, m * 16);
        random_row(table, KITH_TYPE_F32, m * 16, (enum values)(round % 3));
        for (size_t i = 0; i < m * 16; i++)
            widest = fmaxf(widest, table[i] - least_of(table + i / 16 * 16));
        float inverse = 255 / widest * (round % 4 ? 1.0f : 1.5f);
        for (size_t i = 0; i < m * 16; i++)
            want[i] =
                (uint8_t)rintf(fminf((table[i] - least_of(table + i / 16 * 16)) * inverse, 255));
        for (size_t i = 0; i < n_levels; i++) {
            float span = level[i]->table_span(table, m, low);
            check_floats(level[i], "span", &span, &widest, 1);
            level[i]->table_narrow(table, m, low, inverse, out);
            if (memcmp(out, want, m * 16) != 0) fail_msg("%s: narrow tables", level[i]->name);
        }
    }
    guard_free(&tables);
    guard_free(&lows);
    guard_free(&outs);
}

int main(void) {
    n_levels = kern_levels(level, 8);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_follow_the_law),
        cmocka_unit_test(the_first_of_the_largest_is_found),
        cmocka_unit_test(look_ups_follow_the_law),
        cmocka_unit_test(tables_become_narrow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
