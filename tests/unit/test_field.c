/* Field indexes large enough for their trees, against linear scans; facets, order, files, and no memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/file.h"
#include "base/mem.h"
#include "filter/field.h"

enum { ROWS = 40000, WORDS = ROWS / 64 };

static struct mem_account account;
static struct json_parser *parser;
static int64_t ints[ROWS][2]; /* a row has one value, each third two */
static struct geo_point places[ROWS];
static bool present[ROWS];
static uint64_t seed;

static int set_up(void **state) {
    (void)state;
    return json_parser_new(&parser, &account, NULL);
}

static int tear_down(void **state) {
    (void)state;
    json_parser_free(parser);
    return account.bytes != 0;
}

static struct json_value payload_of(uint32_t row) {
    char text[200];
    struct json_value root;
    kith_error err;
    int n = snprintf(
        text, sizeof text,
        "{\"i\":[%lld%s%lld],\"g\":{\"lon\":%.17g,\"lat\":%.17g},\"k\":\"w%lld\",\"b\":%s}",
        (long long)ints[row][0], row % 3 ? "," : ",", (long long)ints[row][row % 3 ? 0 : 1],
        places[row].lon, places[row].lat, (long long)ints[row][0] % 50, row % 2 ? "true" : "false");
    if (json_parse(parser, text, (size_t)n, JSON_CHECKED, &root, &err)) fail_msg("%s", err.text);
    return root;
}

static struct field *new_field(enum field_type type, const char *text) {
    struct arena arena = {.owner = &account};
    struct field *field;
    struct path path;
    assert_int_equal(path_parse(&path, text, strlen(text), &arena, NULL), KITH_OK);
    assert_int_equal(field_new(&field, type, &path, &account, NULL), KITH_OK);
    arena_deinit(&arena);
    return field;
}

static double share(void) { return (double)(bits_random(&seed) >> 11) * 0x1p-53; }

static void fill(struct field *field) {
    seed = 11;
    for (uint32_t row = 0; row < ROWS; row++) {
        ints[row][0] = (int64_t)(bits_random(&seed) % 3000) - 1500;
        ints[row][1] = (int64_t)(bits_random(&seed) % 3000) - 1500;
        /* half in two towns, half anywhere */
        double spread = row % 4 ? 0.2 : 1;
        places[row] = (struct geo_point){(share() - 0.5) * 360 * spread + (row % 4 == 1 ? 100 : 0),
                                         (share() - 0.5) * 180 * spread};
        present[row] = true;
        assert_int_equal(field_add(field, row, payload_of(row), NULL), KITH_OK);
    }
}

static void merge(struct field *field) {
    struct field_merge *made;
    assert_int_equal(field_merge_make(field, &made, NULL), KITH_OK);
    field_merge_take(field, made);
}

/* A tenth goes, half of that comes back with other values. */
static void change(struct field *field) {
    for (uint32_t row = 0; row < ROWS; row++) {
        if (bits_random(&seed) % 10 || !present[row]) continue;
        assert_int_equal(field_remove(field, row, payload_of(row), NULL), KITH_OK);
        present[row] = row % 2;
        if (!present[row]) continue;
        ints[row][0] = ints[row][1] = (int64_t)(bits_random(&seed) % 3000) - 1500;
        places[row].lon = -places[row].lon;
        assert_int_equal(field_add(field, row, payload_of(row), NULL), KITH_OK);
    }
}

static void expect_answer(const struct field *field, const struct filter_condition *condition) {
    static uint64_t may[WORDS], does[WORDS];
    struct field_answer answer = {.may = may, .does = does, .n_words = WORDS};
    uint64_t n = 0;
    memset(may, 0, sizeof may), memset(does, 0, sizeof does);
    assert_true(field_answers(field, condition));
    field_answer(field, condition, &answer);
    assert_true(answer.exact && !answer.complement);
    for (uint32_t row = 0; row < ROWS; row++) {
        bool want = present[row];
        if (want && condition->kind == FILTER_RANGE)
            want = range_holds(&condition->range, number_int(ints[row][0])) ||
                   (row % 3 == 0 && range_holds(&condition->range, number_int(ints[row][1])));
        else if (want)
            want = filter_place_fits(condition, places[row]);
        if (want != bits_test(may, row)) fail_msg("row %u: %d, not %d", row, !want, want);
        n += want;
    }
    uint64_t estimate = field_estimate(field, condition);
    assert_true(estimate <= 3 * n + ROWS / 4 && n <= 3 * estimate + ROWS / 4);
}

static void test_ranges(void **state) {
    (void)state;
    struct field *field = new_field(FIELD_INTEGER, "i");
    struct arena arena = {.owner = &account};
    struct filter_condition condition = {.kind = FILTER_RANGE};
    path_parse(&condition.path, "i", 1, &arena, NULL);
    fill(field);
    for (int step = 0; step < 4; step++) {
        for (int i = 0; i < 30; i++) {
            for (int bound = 0; bound < RANGE_BOUNDS; bound++) {
                condition.range.has[bound] = bits_random(&seed) % 3 == 0;
                condition.range.bound[bound] =
                    number_int((int64_t)(bits_random(&seed) % 3200) - 1600);
            }
            expect_answer(field, &condition);
        }
        if (step == 0 || step == 2) merge(field);
        if (step == 1) change(field);
    }
    arena_deinit(&arena);
    field_free(field);
}

static void test_places(void **state) {
    (void)state;
    struct field *field = new_field(FIELD_GEO, "g");
    struct arena arena = {.owner = &account};
    struct filter_condition condition = {.kind = FILTER_BOX};
    path_parse(&condition.path, "g", 1, &arena, NULL);
    fill(field);
    for (int step = 0; step < 4; step++) {
        for (int i = 0; i < 60; i++) {
            struct geo_point a = {share() * 360 - 180, share() * 180 - 90},
                             b = {share() * 360 - 180, a.lat - share() * 60};
            struct geo_point corner[] = {a, {b.lon, a.lat}, {b.lon, b.lat - 5}, a};
            struct geo_ring ring = {4, corner};
            condition.kind = i % 3 == 0 ? FILTER_BOX : i % 3 == 1 ? FILTER_CIRCLE : FILTER_POLYGON;
            if (condition.kind == FILTER_BOX)
                condition.box = (struct geo_box){a, b};
            else if (condition.kind == FILTER_CIRCLE)
                condition.circle = geo_circle_of(a, exp(share() * 17));
            else
                condition.polygon = (struct geo_polygon){1, &ring};
            expect_answer(field, &condition);
        }
        if (step == 0 || step == 2) merge(field);
        if (step == 1) change(field);
    }
    arena_deinit(&arena);
    field_free(field);
}

/* ---- values ------------------------------------------------------------------------------------- */

static bool add_facet(void *context, const struct field_value *value, uint64_t count) {
    uint64_t *counts = context;
    if (value->type == JSON_STRING) {
        char text[8] = "";
        int n;
        memcpy(text, value->text.bytes, value->text.n);
        assert_int_equal(sscanf(text, "w%d", &n), 1);
        counts[n + 50] += count;
    } else {
        counts[value->type == JSON_BOOL ? value->b : value->i + 1500] += count;
    }
    return false;
}

static void test_facets(void **state) {
    (void)state;
    static const struct {
        enum field_type type;
        const char *path;
    } kinds[] = {{FIELD_KEYWORD, "k"}, {FIELD_INTEGER, "i"}, {FIELD_BOOL, "b"}};
    static uint64_t got[3001], want[3001], bits[WORDS];
    for (size_t kind = 0; kind < 3; kind++) {
        struct field *field = new_field(kinds[kind].type, kinds[kind].path);
        fill(field);
        if (kind == 1) merge(field);
        change(field);
        memset(got, 0, sizeof got), memset(want, 0, sizeof want);
        for (size_t i = 0; i < WORDS; i++) bits[i] = bits_random(&seed);
        for (uint32_t row = 0; row < ROWS; row++) {
            if (!present[row] || !bits_test(bits, row)) continue;
            want[kind == 0 ? ints[row][0] % 50 + 50 : kind == 1 ? ints[row][0] + 1500 : row % 2]++;
            if (kind == 1 && row % 3 == 0 && ints[row][0] != ints[row][1])
                want[ints[row][1] + 1500]++;
        }
        assert_int_equal(field_facets(field, bits, add_facet, got, NULL), KITH_OK);
        assert_memory_equal(got, want, sizeof got);
        field_free(field);
    }
    struct field *places_field = new_field(FIELD_GEO, "g");
    assert_int_equal(field_facets(places_field, NULL, add_facet, got, NULL), KITH_EUNSUPPORTED);
    assert_int_equal(field_order(places_field, NULL, false, NULL, NULL, NULL), KITH_EUNSUPPORTED);
    field_free(places_field);
}

struct order {
    int64_t last;
    uint32_t last_row, n, stop_at;
    bool backwards;
};

static bool check_order(void *context, const struct field_value *value, uint32_t row) {
    struct order *order = context;
    if (order->n++ > 0) {
        bool ascends = value->i > order->last || (value->i == order->last && row > order->last_row);
        assert_int_equal(ascends, !order->backwards);
    }
    order->last = value->i;
    order->last_row = row;
    return order->n == order->stop_at;
}

static void test_order(void **state) {
    (void)state;
    struct field *field = new_field(FIELD_INTEGER, "i");
    fill(field);
    merge(field);
    change(field);
    for (int i = 0; i < 8; i++) {
        struct field_value from = {.type = JSON_INT, .i = 137};
        struct order order = {.backwards = i & 1, .stop_at = i & 4 ? 10 : 0};
        uint32_t want = 0;
        assert_int_equal(field_order(field, i & 2 ? &from : NULL, i & 1, check_order, &order, NULL),
                         KITH_OK);
        for (uint32_t row = 0; row < ROWS; row++)
            for (int j = 0; j < 2 && present[row]; j++)
                if ((j == 0 || (row % 3 == 0 && ints[row][1] != ints[row][0])) &&
                    (!(i & 2) || (i & 1 ? ints[row][j] <= 137 : ints[row][j] >= 137)))
                    want++;
        assert_int_equal(order.n, i & 4 ? 10 : want);
    }
    field_free(field);
}

/* ---- bytes -------------------------------------------------------------------------------------- */

static void test_damage(void **state) {
    (void)state;
    static const char *const paths[FIELD_TYPES] = {"k", "i", "i", "b", "t", "u", "g"};
    for (int type = 0; type < FIELD_TYPES; type++) {
        struct field *field = new_field((enum field_type)type, paths[type]), *loaded;
        uint8_t *bytes, *again;
        size_t n, n_again;
        kith_error err;
        for (uint32_t row = 0; row < 40; row++) {
            ints[row][0] = row / 3, ints[row][1] = 7, places[row] = (struct geo_point){row, row};
            assert_int_equal(field_add(field, row, payload_of(row), NULL), KITH_OK);
        }
        assert_int_equal(field_save(field, &bytes, &n, NULL), KITH_OK);
        assert_int_equal(field_load(&loaded, bytes, n, &account, &err), KITH_OK);
        assert_int_equal(field_points(loaded), field_points(field));
        assert_int_equal(field_rows(loaded), 40);
        assert_int_equal(field_save(loaded, &again, &n_again, NULL), KITH_OK);
        assert_int_equal(n, n_again);
        assert_memory_equal(bytes, again, n);
        field_free(loaded);
        mem_free(&account, again, n_again);
        for (size_t i = 0; i < n;
             i++) { /* every byte is under the checksum, the magic or the version */
            bytes[i] ^= 0x10;
            int code = field_load(&loaded, bytes, n, &account, &err);
            assert_true(code == KITH_ECORRUPT || code == KITH_EFORMAT || code == KITH_EVERSION);
            bytes[i] ^= 0x10;
        }
        for (size_t i = 0; i < n;
             i++) /* with a checksum that is right: refused or sound, never worse */
            for (int bit = 0; bit < 8; bit += 3) {
                uint32_t crc;
                bytes[i] ^= (uint8_t)(1 << bit);
                if (i >= 12) crc = file_crc32c(0, bytes + 12, n - 12), memcpy(bytes + 8, &crc, 4);
                if (field_load(&loaded, bytes, n, &account, &err) == KITH_OK) field_free(loaded);
                bytes[i] ^= (uint8_t)(1 << bit);
            }
        for (size_t shorter = 0; shorter < n; shorter++)
            assert_int_not_equal(field_load(&loaded, bytes, shorter, &account, &err), KITH_OK);
        mem_free(&account, bytes, n);
        field_free(field);
    }
}

/* ---- no memory ---------------------------------------------------------------------------------- */

static void test_no_memory(void **state) {
    (void)state;
    static const char *const paths[] = {"k", "i", "g"};
    static const enum field_type types[] = {FIELD_KEYWORD, FIELD_INTEGER, FIELD_GEO};
    uint64_t n_failed = 0;
    for (int kind = 0; kind < 3; kind++) {
        struct field *field = new_field(types[kind], paths[kind]), *loaded = NULL;
        for (uint32_t row = 0; row < 600; row++) {
            ints[row][0] = row, ints[row][1] = 7,
            places[row] = (struct geo_point){row % 100, row % 80};
            struct json_value payload = payload_of(row);
            for (uint64_t nth = 1;; nth++) {
                uint64_t points = field_points(field);
                mem_test_fail_at(nth);
                int code = field_add(field, row, payload, NULL);
                mem_test_fail_at(0);
                if (code == KITH_OK) break;
                assert_int_equal(code, KITH_ENOMEM);
                assert_int_equal(field_points(field), points);
                n_failed++;
            }
        }
        uint64_t before = account.bytes;
        for (uint64_t nth = 1; !loaded; nth++) {
            struct field_merge *made;
            uint8_t *bytes = NULL;
            size_t n = 0;
            mem_test_fail_at(nth);
            int code = field_merge_make(field, &made, NULL);
            if (code == KITH_OK)
                code = (field_merge_take(field, made), before = account.bytes,
                        field_save(field, &bytes, &n, NULL));
            if (code == KITH_OK) code = field_load(&loaded, bytes, n, &account, NULL);
            mem_test_fail_at(0);
            if (bytes) mem_free(&account, bytes, n);
            if (code != KITH_OK) assert_int_equal(code, KITH_ENOMEM);
            if (code != KITH_OK) assert_int_equal(account.bytes, before);
        }
        assert_int_equal(field_points(loaded), 600);
        field_free(loaded);
        field_free(field);
    }
    assert_true(n_failed > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges), cmocka_unit_test(test_places),
        cmocka_unit_test(test_facets), cmocka_unit_test(test_order),
        cmocka_unit_test(test_damage), cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
