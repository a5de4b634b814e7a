/* Random payloads, random filters: the program says what the naive evaluator says, and plans over any set of field indexes, in
 * any state that adding, removing, merging, saving and loading leave them in, never say otherwise. The argument is how many
 * rounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/mem.h"
#include "filter/filter_plan.h"
#include "naive_filter.h"

enum { ROWS = 400, FIELDS = 8, TEXT = 1 << 14 };

static uint64_t seed;
static int n_rounds = 60;

static uint32_t draw(uint32_t n) { return (uint32_t)(bits_random(&seed) >> 33) % n; }

struct text {
    char bytes[TEXT];
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    text->n += (size_t)vsnprintf(text->bytes + text->n, TEXT - text->n, format, arguments);
    va_end(arguments);
    if (text->n >= TEXT) fail_msg("no room");
}

/* ---- values ------------------------------------------------------------------------------------- */

static const char *const keys[] = {"k", "i",     "f", "b",   "t",    "u",
                                   "g", "o[].x", "o", "z.y", "i[0]", "none"};
static const char *const strings[] = {"\"\"",    "\"a\"", "\"ab\"", "\"b a\"",
                                      "\"abc\"", "\"c\"", "\"A\""};
static const char *const ints[] = {"0",
                                   "1",
                                   "-1",
                                   "2",
                                   "3",
                                   "9007199254740992",
                                   "9007199254740993",
                                   "9223372036854775807",
                                   "18446744073709551615",
                                   "9223372036854775808"};
static const char *const doubles[] = {"0.0",   "1.0",  "-0.0", "1.5", "-2.25", "9007199254740992.0",
                                      "1e300", "-1e19"};
static const char *const uuids[] = {
    "\"550e8400-e29b-41d4-a716-446655440000\"", "\"550E8400-e29b-41d4-a716-446655440000\"",
    "\"00000000-0000-0000-0000-000000000001\"", "\"550e8400e29b41d4a716446655440000\""};
#define PICK(list) list[draw(sizeof list / sizeof *list)]

static void put_time(struct text *out) {
    put(out, "\"20%02u-0%u-1%uT0%u:00:00Z\"", draw(3), 1 + draw(9), draw(9), draw(9));
}

static void put_place(struct text *out, int spread) {
    put(out, "{\"lon\":%.3f,\"lat\":%.3f}", draw((uint32_t)(spread * 2000)) / 1000.0 - spread,
        draw((uint32_t)(spread * 1000)) / 1000.0 - spread / 2.0);
}

/* A scalar as the field of that key mostly has. */
static void put_scalar(struct text *out, char key) {
    if (draw(9) == 0) key = "kifbtugn"[draw(8)];
    switch (key) {
    case 'k': put(out, "%s", PICK(strings)); break;
    case 'i': put(out, "%s", draw(5) ? PICK(ints) : PICK(doubles)); break;
    case 'f': put(out, "%s", draw(3) ? PICK(doubles) : PICK(ints)); break;
    case 'b': put(out, "%s", draw(2) ? "true" : "false"); break;
    case 't':
        if (draw(5))
            put_time(out);
        else
            put(out, "\"soon\"");
        break;
    case 'u': put(out, "%s", PICK(uuids)); break;
    case 'g': put_place(out, draw(4) ? 170 : 300); break;
    case 'o': put(out, "{\"x\":%s}", PICK(ints)); break;
    default: put(out, "null");
    }
}

static void put_value(struct text *out, char key) {
    if (draw(4) != 0) {
        put_scalar(out, key);
        return;
    }
    put(out, "[");
    for (uint32_t i = 0, n = draw(4); i < n; i++) {
        put(out, "%s", i ? "," : "");
        if (draw(12) == 0)
            put(out, "[1]");
        else
            put_scalar(out, key);
    }
    put(out, "]");
}

static void put_payload(struct text *out) {
    bool first = true;
    out->n = 0;
    put(out, "{");
    for (const char *key = "kifbtugo"; *key; key++) {
        if (draw(6) == 0) continue;
        put(out, "%s\"%c\":", first ? "" : ",", *key);
        put_value(out, *key);
        first = false;
    }
    put(out, "%s\"z\":{\"y\":%s}}", first ? "" : ",", PICK(ints));
}

/* ---- filters ------------------------------------------------------------------------------------ */

static void put_set(struct text *out, char key) {
    put(out, "[");
    for (uint32_t i = 0, n = draw(4); i < n; i++)
        put(out, "%s%s", i ? "," : "",
            draw(12) == 0 ? "true"
            : key == 'k'  ? PICK(strings)
            : key == 'u'  ? PICK(uuids)
                          : PICK(ints));
    put(out, "]");
}

static void put_match(struct text *out, char key) {
    static const char *const texts[] = {"text", "phrase", "prefix", "text_any"};
    static const char *const patterns[] = {"a.*", "[ab ]+", "", "(a|c)b?c?"};
    put(out, "\"match\":{");
    switch (draw(5)) {
    case 0:
        put(out, "\"value\":%s",
            key == 'b'                 ? (draw(2) ? "true" : "false")
            : key == 'i' || key == 'f' ? PICK(ints)
            : key == 'u'               ? PICK(uuids)
                                       : PICK(strings));
        break;
    case 1: put(out, "\"any\":"), put_set(out, key); break;
    case 2: put(out, "\"except\":"), put_set(out, key); break;
    case 3: put(out, "\"%s\":%s", PICK(texts), PICK(strings)); break;
    default: put(out, "\"regex\":\"%s\"", PICK(patterns));
    }
    put(out, "}");
}

static void put_range(struct text *out, bool times) {
    static const char *const below[] = {"lt", "lte"}, *const above[] = {"gt", "gte"};
    int which = (int)draw(3);
    put(out, "\"range\":{");
    for (int side = 0; side < 2; side++) {
        if (which == !side) continue;
        put(out, "%s\"%s\":", side && which == 2 ? "," : "", side ? PICK(below) : PICK(above));
        if (times)
            put_time(out);
        else
            put(out, "%s", draw(2) ? PICK(ints) : PICK(doubles));
    }
    put(out, "}");
}

static void put_shape(struct text *out) {
    double west = draw(300) - 170.0, south = draw(120) - 80.0, wide = 1 + draw(60),
           high = 1 + draw(40);
    switch (draw(3)) {
    case 0:
        put(out,
            "\"geo_bounding_box\":{\"top_left\":{\"lon\":%.4f,\"lat\":%.4f},\"bottom_right\":{\"lon\":%.4f,\"lat\":%.4f}}",
            draw(4) ? west + 0.0005 : 150.0, south + high, west + wide > 180 ? -150.0 : west + wide,
            south);
        break;
    case 1:
        put(out, "\"geo_radius\":{\"center\":");
        put_place(out, 170);
        put(out, ",\"radius\":%u}", 1000 + draw(1u << (10 + draw(14))));
        break;
    default:
        put(out,
            "\"geo_polygon\":{\"exterior\":{\"points\":[{\"lon\":%.4f,\"lat\":%.4f},{\"lon\":%.4f,\"lat\":%.4f},"
            "{\"lon\":%.4f,\"lat\":%.4f},{\"lon\":%.4f,\"lat\":%.4f},{\"lon\":%.4f,\"lat\":%.4f}]}}",
            west + 0.0005, south + 0.0005, west + 9.0005, south + 0.0005, west + 9.0005,
            south + 9.0005, west + 0.0005, south + 9.0005, west + 0.0005, south + 0.0005);
    }
}

static void put_filter(struct text *out, int depth);

static void put_condition(struct text *out, int depth) {
    static const char *const relations[] = {"lt", "lte", "gt", "gte", "eq", "ne"};
    const char *key = PICK(keys);
    char kind = key[0] == 'o' || key[0] == 'z' ? 'i' : key[0];
    uint32_t form = draw(depth > 0 ? 16 : 13);
    if (form >= 14) {
        put_filter(out, depth - 1);
    } else if (form == 13) {
        put(out,
            "{\"nested\":{\"key\":\"%s\",\"filter\":{\"must\":[{\"key\":\"x\",\"match\":{\"value\":%s}},{\"has_id\":[1]}]}}}",
            draw(2) ? "o" : "o[]", PICK(ints));
    } else if (form == 12) {
        put(out, draw(2) ? "{\"has_vector\":\"image\"}" : "{\"has_id\":[1,2,7,300]}");
    } else if (form == 11) {
        put(out, "{\"%s\":{\"key\":\"%s\"}}", draw(2) ? "is_empty" : "is_null", key);
    } else {
        put(out, "{\"key\":\"%s\",", key);
        if (form == 10)
            put(out, "\"values_count\":{\"%s\":%u}", relations[draw(4)], draw(4));
        else if (form == 9)
            put(out, "\"compare\":{\"%s\":\"%s\"}", PICK(relations), PICK(keys));
        else if (form == 8)
            put(out, "\"%s\":%s", draw(2) ? "is_null" : "is_empty", draw(2) ? "true" : "false");
        else if (kind == 'g')
            put_shape(out);
        else if (kind == 't')
            put_range(out, true);
        else if ((kind == 'i' || kind == 'f') && draw(2))
            put_range(out, false);
        else
            put_match(out, kind);
        put(out, "}");
    }
}

static void put_list(struct text *out, int depth, uint32_t n) {
    put(out, "[");
    for (uint32_t i = 0; i < n; i++) put(out, "%s", i ? "," : ""), put_condition(out, depth);
    put(out, "]");
}

static void put_filter(struct text *out, int depth) {
    static const char *const clauses[] = {"must", "should", "must_not"};
    bool first = true;
    put(out, "{");
    for (int i = 0; i < 3; i++) {
        if (draw(2)) continue;
        put(out, "%s\"%s\":", first ? "" : ",", clauses[i]);
        put_list(out, depth, draw(i == 0 ? 3 : 4));
        first = false;
    }
    if (draw(4) == 0) {
        uint32_t n = draw(5);
        put(out, "%s\"min_should\":{\"conditions\":", first ? "" : ",");
        put_list(out, depth, n);
        put(out, ",\"min_count\":%u}", 1 + draw(draw(8) ? 3 : 10));
    }
    put(out, "}");
}

/* ---- a world ------------------------------------------------------------------------------------ */

static struct mem_account account;
static struct json_parser *parser, *filter_parser;
static struct text *payloads; /* [ROWS]; n 0: no such row */
static uint64_t live[ROWS / 64 + 1], images[ROWS / 64 + 1];
static struct field *fields[FIELDS];
static size_t n_fields;

static struct json_value parse(struct json_parser *with, const struct text *text) {
    struct json_value root;
    kith_error err;
    if (json_parse(with, text->bytes, text->n, JSON_CHECKED, &root, &err))
        fail_msg("%s: %s", text->bytes, err.text);
    return root;
}

static void remove_row(uint32_t row) {
    struct json_value payload = parse(parser, &payloads[row]);
    for (size_t i = 0; i < n_fields; i++)
        assert_int_equal(field_remove(fields[i], row, payload, NULL), KITH_OK);
    bits_clear(live, row), bits_clear(images, row);
    payloads[row].n = 0;
}

static void add_row(uint32_t row) {
    put_payload(&payloads[row]);
    struct json_value payload = parse(parser, &payloads[row]);
    for (size_t i = 0; i < n_fields; i++)
        assert_int_equal(field_add(fields[i], row, payload, NULL), KITH_OK);
    bits_set(live, row);
    if (draw(2)) bits_set(images, row);
}

static void change(uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = draw(ROWS);
        if (payloads[row].n) remove_row(row);
        if (draw(4)) add_row(row);
    }
}

static void new_fields(void) {
    static const struct {
        const char *path;
        enum field_type type;
    } usual[] = {{"k", FIELD_KEYWORD}, {"i", FIELD_INTEGER},     {"f", FIELD_FLOAT},
                 {"b", FIELD_BOOL},    {"t", FIELD_DATETIME},    {"u", FIELD_UUID},
                 {"g", FIELD_GEO},     {"o[].x", FIELD_INTEGER}, {"t", FIELD_KEYWORD},
                 {"i", FIELD_FLOAT},   {"z.y", FIELD_FLOAT},     {"u", FIELD_KEYWORD}};
    struct arena arena = {.owner = &account};
    for (n_fields = 0; n_fields < FIELDS; n_fields++) {
        uint32_t which = draw(sizeof usual / sizeof *usual);
        struct path path;
        assert_int_equal(
            path_parse(&path, usual[which].path, strlen(usual[which].path), &arena, NULL), KITH_OK);
        assert_int_equal(field_new(&fields[n_fields], usual[which].type, &path, &account, NULL),
                         KITH_OK);
    }
    arena_deinit(&arena);
}

static void merge_some(void) {
    for (size_t i = 0; i < n_fields; i++) {
        struct field_merge *merge;
        if (draw(2)) continue;
        assert_int_equal(field_merge_make(fields[i], &merge, NULL), KITH_OK);
        field_merge_take(fields[i], merge);
    }
}

static void reload_some(void) {
    for (size_t i = 0; i < n_fields; i++) {
        uint8_t *bytes;
        size_t n;
        kith_error err;
        if (draw(2)) continue;
        assert_int_equal(field_save(fields[i], &bytes, &n, NULL), KITH_OK);
        field_free(fields[i]);
        if (field_load(&fields[i], bytes, n, &account, &err)) fail_msg("%s", err.text);
        mem_free(&account, bytes, n);
    }
}

static bool find_row(void *context, const kith_id *id, uint32_t *row) {
    (void)context;
    *row = (uint32_t)id->number;
    return id->number < ROWS && payloads[*row].n > 0;
}

/* ---- the property ------------------------------------------------------------------------------- */

static void check_filter(struct filter_rows *rows, const struct text *text) {
    struct json_text image = {"image", 5};
    const uint64_t *vectors[] = {images};
    struct filter *filter;
    struct filter_source source = {.n_rows = ROWS,
                                   .live = live,
                                   .fields = fields,
                                   .n_fields = n_fields,
                                   .vectors = vectors,
                                   .n_vectors = 1,
                                   .find_row = find_row};
    kith_error err;
    struct json_value root = parse(filter_parser, text);
    if (filter_parse(&filter, text->bytes, text->n, &account, &err))
        fail_msg("%s: %s", text->bytes, err.text);
    filter_bind_vectors(filter, &image, 1);
    for (uint32_t row = 0; row < ROWS; row++) source.n_live += bits_test(live, row);
    if (filter_plan(filter, &source, rows, &err)) fail_msg("%s", err.text);
    double estimate = filter_estimate(filter, &source);
    assert_true(estimate >= 0 && estimate <= (double)source.n_live + 1e-6);
    uint64_t n_may = 0, n_does = 0;
    for (uint32_t row = 0; row < ROWS; row++) {
        bool may = bits_test(rows->may, row), does = bits_test(rows->does, row);
        n_may += may, n_does += does;
        if (!payloads[row].n) {
            assert_false(may);
            continue;
        }
        kith_id id = kith_id_number(row);
        struct filter_point point = {
            .payload = parse(parser, &payloads[row]), .id = &id, .vectors = bits_test(images, row)};
        struct naive_point naive = {
            .payload = point.payload, .id = row, .has_vector = bits_test(images, row)};
        bool want = naive_matches(root, &naive), got = filter_matches(filter, &point);
        if (want != got)
            fail_msg("seed: %s\n%s\nmatches %d, not %d", text->bytes, payloads[row].bytes, got,
                     want);
        if ((want && !may) || (does && !want) || (rows->exact && may != want))
            fail_msg("%s\n%s\nmay %d, does %d, exact %d, truth %d", text->bytes,
                     payloads[row].bytes, may, does, rows->exact, want);
    }
    assert_int_equal(n_may, rows->n_may);
    assert_int_equal(n_does, rows->n_does);
    filter_free(filter);
}

static void test_filters(void **state) {
    (void)state;
    struct filter_rows rows = {.owner = &account};
    struct text *text = mem_new(&account, sizeof *text);
    for (int round = 0; round < n_rounds; round++) {
        seed = (uint64_t)round * 77777 + 1;
        memset(live, 0, sizeof live), memset(images, 0, sizeof images);
        for (uint32_t row = 0; row < ROWS; row++) payloads[row].n = 0;
        new_fields();
        for (int step = 0; step < 6; step++) {
            change(step == 0 ? 2 * ROWS : draw(60));
            if (draw(2)) merge_some();
            if (draw(2)) reload_some();
            for (int i = 0; i < 4; i++) {
                text->n = 0;
                put_filter(text, 2);
                check_filter(&rows, text);
            }
        }
        for (size_t i = 0; i < n_fields; i++) field_free(fields[i]);
    }
    mem_free(&account, text, sizeof *text);
    filter_rows_deinit(&rows);
}

static int set_up(void **state) {
    (void)state;
    payloads = mem_new(&account, ROWS * sizeof *payloads);
    return !payloads || json_parser_new(&parser, &account, NULL) ||
           json_parser_new(&filter_parser, &account, NULL);
}

static int tear_down(void **state) {
    (void)state;
    mem_free(&account, payloads, ROWS * sizeof *payloads);
    json_parser_free(parser);
    json_parser_free(filter_parser);
    return account.bytes != 0;
}

int main(int argc, char **argv) {
    if (argc > 1) n_rounds = atoi(argv[1]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_filters)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
