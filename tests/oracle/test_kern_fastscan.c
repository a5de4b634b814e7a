/* The fast scan of every level against sums one by one: any number of nibbles and blocks, all tables at 255 and at random,
 * blocks and tables that end where memory ends, at every alignment; distances and masks bit by bit. */
#include "kern_data.h"

#define MAX_M      2100
#define MAX_BLOCKS 9
#define TRAILER    384

struct fast_case {
    struct guard blocks, lut;
    struct kern_fastscan scan;
    uint32_t sums[MAX_BLOCKS * KERN_BLOCK + 1], mask[MAX_BLOCKS];
    float dist[MAX_BLOCKS * KERN_BLOCK];
};

static void plain_sums(const struct kern_fastscan *scan, uint32_t *sums) {
    for (size_t i = 0; i < scan->n * KERN_BLOCK; i++) {
        const uint8_t *block = scan->blocks + i / KERN_BLOCK * scan->stride;
        size_t row = i % KERN_BLOCK;
        sums[i] = 0;
        for (size_t m = 0; m < scan->m; m++) {
            uint8_t both = block[m / 4 * 64 + row % 16 * 4 + m % 4];
            sums[i] += scan->lut[16 * m + (row < 16 ? both & 15u : both >> 4u)];
        }
    }
}

static float row_value(const struct kern_fastscan *scan, size_t offset, size_t i) {
    float value;
    memcpy(&value, scan->blocks + i / KERN_BLOCK * scan->stride + offset + i % KERN_BLOCK * 4, 4);
    return value;
}

static void plain_select(const struct kern_fastscan *scan, const uint32_t *sums, float *dist,
                         uint32_t *mask) {
    memset(mask, 0, scan->n * sizeof *mask);
    for (size_t i = 0; i < scan->n * KERN_BLOCK; i++) {
        float far = (scan->term ? row_value(scan, scan->term, i) : 0) + scan->bias;
        dist[i] = scan->factor ? fmaf(row_value(scan, scan->factor, i),
                                      fmaf(scan->scale, (float)sums[i], scan->shift), far)
                               : fmaf(scan->scale, (float)sums[i], far);
        float low =
            scan->error ? fmaf(-scan->margin, row_value(scan, scan->error, i), dist[i]) : dist[i];
        if (low <= scan->limit) mask[i / KERN_BLOCK] |= 1u << i % KERN_BLOCK;
    }
}

/* A random scan whose blocks and tables end where memory ends. */
static void make_case(struct fast_case *c, size_t round) {
    struct kern_fastscan *scan = &c->scan;
    size_t m = 4 * random_below(round % 8 ? 30 : MAX_M / 4 + 1), n = random_below(MAX_BLOCKS + 1);
    size_t stride = 16 * m + TRAILER + random_below(3) * random_below(70);
    uint8_t *blocks = guard_end(&c->blocks, n ? (n - 1) * stride + 16 * m + TRAILER : 0);
    uint8_t *lut = guard_end(&c->lut, 16 * m);
    for (size_t i = 0; i < 16 * m; i++) lut[i] = round % 5 == 0 ? 255 : (uint8_t)random_below(256);
    *scan = (struct kern_fastscan){.lut = lut, .blocks = blocks, .m = m, .stride = stride, .n = n};
    if (m && random_below(4)) scan->term = 16 * m + 256 * random_below(2);
    if (m && random_below(2)) scan->factor = 16 * m + 128;
    if (m && random_below(2)) scan->error = 16 * m + 256;
    scan->scale = random_unit(), scan->shift = random_unit() * 500, scan->bias = random_unit() * 90;
    scan->margin = random_unit() + 1, scan->limit = random_unit() * 50 * (float)m;
    for (size_t i = 0; i < n; i++) {
        uint8_t *block = blocks + i * stride;
        for (size_t b = 0; b < 16 * m; b++) block[b] = (uint8_t)random_below(256);
        for (size_t b = 16 * m; b < 16 * m + TRAILER; b += 4) {
            float value = random_value(round % 4 ? UNIT : EDGES);
            memcpy(block + b, &value, 4);
        }
    }
}

static void check_level(struct fast_case *c, const struct kern *kern, const uint32_t *sums,
                        const float *dist, const uint32_t *mask) {
    struct kern_fastscan *scan = &c->scan;
    size_t rows = scan->n * KERN_BLOCK;
    memset(c->sums, 0xa5, sizeof c->sums);
    kern->fastscan_sums(scan->lut, scan->m, scan->blocks, scan->stride, scan->n, c->sums);
    if (memcmp(c->sums, sums, rows * sizeof *sums) != 0)
        fail_msg("%s sums: %zu blocks of %zu nibbles", kern->name, scan->n, scan->m);
    assert_int_equal(c->sums[rows], 0xa5a5a5a5u);
    scan->dist = c->dist;
    scan->mask = c->mask;
    kern->fastscan(scan);
    if (memcmp(c->mask, mask, scan->n * sizeof *mask) != 0)
        fail_msg("%s masks: %zu blocks of %zu nibbles", kern->name, scan->n, scan->m);
    for (size_t i = 0; i < rows; i++)
        if (!same_float(c->dist[i], dist[i]))
            fail_msg("%s dist %zu: %a, not %a", kern->name, i, (double)c->dist[i], (double)dist[i]);
}

static void scans_are_exact(void **state) {
    (void)state;
    static struct fast_case c;
    static uint32_t sums[MAX_BLOCKS * KERN_BLOCK], mask[MAX_BLOCKS];
    static float dist[MAX_BLOCKS * KERN_BLOCK];
    const struct kern *level[8];
    size_t n_levels = kern_levels(level, 8), n_within = 0, n_beyond = 0;
    c.blocks = guard_new(MAX_BLOCKS * (16 * MAX_M + TRAILER + 200));
    c.lut = guard_new(16 * MAX_M);
    for (size_t round = 0; round < 600; round++) {
        make_case(&c, round);
        plain_sums(&c.scan, sums);
        plain_select(&c.scan, sums, dist, mask);
        for (size_t i = 0; i < c.scan.n; i++) n_within += mask[i] != 0, n_beyond += ~mask[i] != 0;
        for (size_t i = 0; i < n_levels; i++) check_level(&c, level[i], sums, dist, mask);
    }
    assert_true(n_within > 100 && n_beyond > 100);
    guard_free(&c.blocks);
    guard_free(&c.lut);
}

/* The longest row there may be, all at 255. */
static void sums_reach_their_limit(void **state) {
    (void)state;
    const struct kern *level[8];
    size_t n_levels = kern_levels(level, 8), m = 65536;
    uint8_t *lut = malloc(16 * m), *block = calloc(1, 16 * m);
    assert_true(lut && block);
    memset(lut, 255, 16 * m);
    uint32_t sums[KERN_BLOCK];
    for (size_t i = 0; i < n_levels; i++) {
        level[i]->fastscan_sums(lut, m, block, 16 * m, 1, sums);
        for (size_t row = 0; row < KERN_BLOCK; row++) assert_int_equal(sums[row], m * 255);
    }
    free(lut);
    free(block);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scans_are_exact),
        cmocka_unit_test(sums_reach_their_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
