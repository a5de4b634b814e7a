/* Filters: every example of docs/filters.md, what is refused and where, and the law's parts one by one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "filter/datetime.h"
#include "filter/filter.h"

static struct mem_account account;
static struct json_parser *parser;

static int set_up(void **state) {
    (void)state;
    return json_parser_new(&parser, &account, NULL);
}

static int tear_down(void **state) {
    (void)state;
    json_parser_free(parser);
    return account.bytes != 0;
}

/* ---- the page ----------------------------------------------------------------------------------- */

/* "id 7", "id some-text" or "vector name" before a payload; returns where the payload begins. */
static const char *read_point(const char *line, struct filter_point *point, kith_id *id) {
    char word[64];
    int n = 0;
    if (sscanf(line, "id %63s%n", word, &n) == 1) {
        char *end;
        *id = kith_id_number(strtoull(word, &end, 10));
        const char *text = strstr(line, word);
        if (*end && kith_id_from_text(id, text, strlen(word), NULL)) fail_msg("%s", word);
        point->id = id;
    } else if (sscanf(line, "vector %63s%n", word, &n) == 1) {
        point->vectors = strcmp(word, "image") == 0 ? 2 : 1;
    }
    return line + n;
}

static void test_page(void **state) {
    (void)state;
    static const struct json_text vectors[] = {{"text", 4}, {"image", 5}};
    const char *root = getenv("KITH_SOURCE_ROOT");
    char path[4096], line[4096];
    struct filter *filter = NULL;
    int n_filters = 0, n_points = 0;
    kith_error err;
    snprintf(path, sizeof path, "%s/docs/filters.md", root ? root : ".");
    FILE *page = fopen(path, "r");
    if (!page) fail_msg("cannot read %s", path);
    for (bool inside = false; fgets(line, sizeof line, page);) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "```", 3) == 0) inside = strcmp(line, "```text") == 0;
        if (inside && strncmp(line, "filter ", 7) == 0) {
            filter_free(filter);
            if (filter_parse(&filter, line + 7, strlen(line + 7), &account, &err))
                fail_msg("%s: %s", line, err.text);
            filter_bind_vectors(filter, vectors, 2);
            n_filters++;
        } else if (inside && line[0] != '`') {
            struct filter_point point = {0};
            kith_id id;
            const char *payload = read_point(line + 7, &point, &id);
            bool want = strncmp(line, "yes", 3) == 0;
            if (json_parse(parser, payload, strlen(payload), JSON_CHECKED, &point.payload, &err))
                fail_msg("%s: %s", line, err.text);
            if (filter_matches(filter, &point) != want) fail_msg("filter %d: %s", n_filters, line);
            n_points++;
        }
    }
    fclose(page);
    filter_free(filter);
    assert_true(n_filters > 40 && n_points > 100);
}

/* ---- errors ------------------------------------------------------------------------------------- */

static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *text, *place, *what;
        const char *at; /* begins where the error is */
    } bad[] = {
        {"[]", "filter: ", "object", "[]"},
        {"{\"must\":[1]}", "must[0]", "object", "1]"},
        {"{\"musst\":[]}", "musst", "no such member", "[]"},
        {"{\"must\":{\"key\":1}}", "must.key", "path", "1}"},
        {"{\"must\":{\"key\":\"a..b\",\"match\":{\"value\":1}}}", "must.key", "Invalid json path",
         "\"a..b"},
        {"{\"must\":{\"key\":\"a\"}}", "must", "At least one field condition must be specified",
         "{\"key"},
        {"{\"must\":{\"key\":\"a\",\"mach\":{}}}", "must.mach", "no such member", "{}"},
        {"{\"must\":{\"key\":\"a\",\"match\":{}}}", "must.match", "one of value", "{}"},
        {"{\"must\":{\"key\":\"a\",\"match\":{\"value\":1.5}}}", "must.match.value", "whole number",
         "1.5"},
        {"{\"must\":{\"key\":\"a\",\"match\":{\"value\":[]}}}", "must.match.value", "whole number",
         "[]"},
        {"{\"must\":{\"key\":\"a\",\"match\":{\"any\":[\"x\",null]}}}", "must.match.any[1]",
         "string", "null"},
        {"{\"must\":{\"key\":\"a\",\"match\":{\"value\":1,\"text\":\"x\"}}}", "must.match.text",
         "second", "\"x\""},
        {"{\"must\":{\"key\":\"a\",\"match\":{\"regex\":\"a(b\"}}}", "must.match.regex", "missing",
         "\"a(b"},
        {"{\"must\":{\"key\":\"a\",\"match\":{\"regex\":\"((a{100}){100}){100}\"}}}",
         "must.match.regex", "", "\"(("},
        {"{\"must\":[{},{\"key\":\"a\",\"range\":{\"lt\":true}}]}", "must[1].range.lt", "number",
         "true"},
        {"{\"must\":{\"key\":\"a\",\"range\":{\"less\":1}}}", "must.range.less", "no such member",
         "1}"},
        {"{\"must\":{\"key\":\"a\",\"range\":{\"lt\":\"soon\"}}}", "must.range.lt", "not a time",
         "\"soon"},
        {"{\"must\":{\"key\":\"a\",\"range\":{\"lt\":\"2024-01-01\",\"gt\":1}}}", "must.range.gt",
         "numbers and times", "1}"},
        {"{\"must\":{\"key\":\"a\",\"is_null\":true,\"is_empty\":true}}", "must.is_empty", "second",
         "true}}"},
        {"{\"must\":{\"key\":\"a\",\"values_count\":{\"lt\":-1}}}", "must.values_count.lt",
         "not negative", "-1"},
        {"{\"must\":{\"key\":\"a\",\"geo_radius\":{\"center\":{\"lon\":1,\"lat\":91},\"radius\":1}}}",
         "must.geo_radius.center", "place", "{\"lon"},
        {"{\"must\":{\"key\":\"a\",\"geo_radius\":{\"center\":{\"lon\":1,\"lat\":9}}}}",
         "must.geo_radius", "radius is missing", "{\"center"},
        {"{\"must\":{\"key\":\"a\",\"geo_polygon\":{\"exterior\":{\"points\":[]}}}}",
         "must.geo_polygon.exterior.points", "4 at least", "[]"},
        {"{\"must\":{\"key\":\"a\",\"geo_polygon\":{\"exterior\":{\"points\":[{\"lon\":0,\"lat\":0},{\"lon\":1,\"lat\":0},"
         "{\"lon\":1,\"lat\":1},{\"lon\":0,\"lat\":1}]}}}}",
         "must.geo_polygon.exterior.points", "not closed", "[{"},
        {"{\"must\":{\"key\":\"a\",\"compare\":{}}}", "must.compare", "one of lt", "{}"},
        {"{\"must\":{\"key\":\"a\",\"compare\":{\"eq\":\"[\"}}}", "must.compare.eq",
         "Invalid json path", "\"["},
        {"{\"must\":{\"has_id\":[1,-1]}}", "must.has_id[1]", "not negative", "-1"},
        {"{\"must\":{\"has_id\":[\"\"]}}", "must.has_id[0]", "", "\"\""},
        {"{\"must\":{\"has_id\":[1],\"is_null\":{\"key\":\"a\"}}}", "must", "something else",
         "{\"has"},
        {"{\"must\":{\"slice\":{\"total\":2,\"index\":2}}}", "must.slice.index", "below total",
         "2}}"},
        {"{\"must\":{\"nested\":{\"key\":\"a\"}}}", "must.nested", "filter is missing", "{\"key"},
        {"{\"must\":{\"nested\":{\"key\":\"a\",\"filter\":{\"must\":{\"key\":\"b\"}}}}}",
         "must.nested.filter.must", "At least", "{\"key\":\"b\""},
        {"{\"min_should\":{\"conditions\":[],\"min_count\":0}}", "min_should.min_count",
         "at least 1", "0}"},
        {"{\"must\":[{\"key\":\"a\",\"match\":{\"value\":1}},]}", "", "JSON", "]}"},
        {"{\"must\":[],\"must\":[]}", "", "twice", "\"must\":[]}"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct filter *filter;
        kith_error err = {0};
        int code = filter_parse(&filter, bad[i].text, strlen(bad[i].text), &account, &err);
        const char *at = strstr(bad[i].text + 1 * (bad[i].text[0] != '['), bad[i].at);
        if (code != KITH_EFILTER || err.code != code || !at || err.at != at - bad[i].text ||
            !strstr(err.text, bad[i].place) || !strstr(err.text, bad[i].what))
            fail_msg("%s: code %d at %d: %s", bad[i].text, code, (int)err.at, err.text);
    }
}

static void test_depth(void **state) {
    (void)state;
    for (int depth = FILTER_DEPTH; depth <= FILTER_DEPTH + 1; depth++) {
        char text[FILTER_DEPTH * 16] = "";
        struct filter *filter;
        kith_error err;
        for (int i = 1; i < depth; i++) strcat(text, "{\"must\":");
        strcat(text, "{}");
        for (int i = 1; i < depth; i++) strcat(text, "}");
        int code = filter_parse(&filter, text, strlen(text), &account, &err);
        assert_int_equal(code, depth == FILTER_DEPTH ? KITH_OK : KITH_EFILTER);
        if (code == KITH_OK) {
            assert_int_equal(filter_check(filter, &err), KITH_OK);
            filter_free(filter);
        }
    }
}

/* ---- calls -------------------------------------------------------------------------------------- */

static void test_calls(void **state) {
    (void)state;
    struct filter *filter = filter_new(&account);
    struct filter_condition *some = filter_new_condition(filter, FILTER_ANY);
    struct filter_condition *outer = filter_new_condition(filter, FILTER_GROUP);
    int64_t ints[] = {5, -3, 5, 9};
    assert_int_equal(path_parse(&some->path, "a", 1, &filter->arena, NULL), KITH_OK);
    some->set.ints = ints;
    some->set.n_ints = 4;
    filter_sort_set(&some->set);
    assert_int_equal(some->set.n_ints, 3);
    outer->group = filter_new_group(filter);
    filter_add(outer->group, FILTER_MUST_NOT, some);
    filter_add(filter->root, FILTER_MUST, outer);
    assert_int_equal(filter_check(filter, NULL), KITH_OK);
    assert_true(filter_reads_payload(filter));
    struct filter_point point = {0};
    static const char *const payloads[] = {"{\"a\":9}", "{\"a\":4}", "{\"a\":[1,-3]}"};
    for (int i = 0; i < 3; i++) {
        json_parse(parser, payloads[i], strlen(payloads[i]), JSON_CHECKED, &point.payload, NULL);
        assert_int_equal(filter_matches(filter, &point), i == 1);
    }
    for (int i = 0; i < FILTER_DEPTH; i++) {
        struct filter_condition *inner = filter_new_condition(filter, FILTER_GROUP);
        inner->group = filter_new_group(filter);
        filter_add(outer->group, FILTER_MUST, inner);
        outer = inner;
    }
    assert_int_equal(filter_check(filter, NULL), KITH_EFILTER);
    filter_free(filter);
}

/* ---- parts -------------------------------------------------------------------------------------- */

static void test_datetime(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {{"1970-01-01", 0},
                {"1970-01-01T00:00:00.000001Z", 1},
                {"1969-12-31T23:59:59.999999Z", -1},
                {"2000-02-29T00:00Z", 951782400000000},
                {"2024-05-06T07:08:09.123456789+02:00", 1714972089123456},
                {"2024-05-06 05:08:09.123456", 1714972089123456},
                {"2024-05-06t07:08:09z", 1714979289000000},
                {"2024-05-06T07:08:09-0530", 1714999089000000},
                {"2024-05-06T07:08:09+02", 1714972089000000},
                {"2016-12-31T23:59:60Z", 1483228800000000},
                {"0000-01-01", -62167219200000000},
                {"9999-12-31T23:59:59.999999Z", 253402300799999999}};
    static const char *const bad[] = {"",
                                      "2024",
                                      "2024-13-01",
                                      "2024-00-01",
                                      "2024-02-30",
                                      "2023-02-29",
                                      "1900-02-29",
                                      "2024-1-1",
                                      "2024-01-01T",
                                      "2024-01-01T24:00",
                                      "2024-01-01T1:00",
                                      "2024-01-01T10",
                                      "2024-01-01T10:60",
                                      "2024-01-01T10:00:61",
                                      "2024-01-01T10:00:00.",
                                      "2024-01-01T10:00:00+",
                                      "2024-01-01T10:00+24:00",
                                      "2024-01-01T10:00+01:60",
                                      "2024-01-01T10:00Zx",
                                      " 2024-01-01",
                                      "2024-01-01 ",
                                      "2024/01/01"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t us = 0;
        if (!datetime_parse(good[i].text, strlen(good[i].text), &us) || us != good[i].us)
            fail_msg("%s: %lld", good[i].text, (long long)us);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t us;
        if (datetime_parse(bad[i], strlen(bad[i]), &us)) fail_msg("%s is a time", bad[i]);
    }
}

static void test_numbers(void **state) {
    (void)state;
    /* ascending */
    const struct number order[] = {{JSON_DOUBLE, .d = -1e300},
                                   {JSON_DOUBLE, .d = -0x1.0000000000001p63},
                                   {JSON_INT, .i = INT64_MIN},
                                   {JSON_INT, .i = -2},
                                   {JSON_DOUBLE, .d = -1.5},
                                   {JSON_INT, .i = -1},
                                   {JSON_DOUBLE, .d = -0.5},
                                   {JSON_INT, .i = 0},
                                   {JSON_DOUBLE, .d = 0.5},
                                   {JSON_INT, .i = 9007199254740992},
                                   {JSON_INT, .i = 9007199254740993},
                                   {JSON_DOUBLE, .d = 9007199254740994.0},
                                   {JSON_INT, .i = INT64_MAX},
                                   {JSON_DOUBLE, .d = 0x1p63},
                                   {JSON_UINT, .u = (1ull << 63) + 1},
                                   {JSON_UINT, .u = UINT64_MAX},
                                   {JSON_DOUBLE, .d = 0x1p64},
                                   {JSON_DOUBLE, .d = 1e300}};
    enum { N = sizeof order / sizeof *order };
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            if (number_compare(order[i], order[j]) != (i > j) - (i < j))
                fail_msg("%d and %d", i, j);
    assert_int_equal(
        number_compare((struct number){JSON_INT, .i = 4}, (struct number){JSON_DOUBLE, .d = 4.0}),
        0);
    assert_int_equal(number_compare((struct number){JSON_DOUBLE, .d = 0x1p63},
                                    (struct number){JSON_UINT, .u = 1ull << 63}),
                     0);
}

static void test_geo(void **state) {
    (void)state;
    struct geo_point berlin = {13.405, 52.52}, paris = {2.3522, 48.8566},
                     antipode = {-166.595, -52.52};
    struct geo_circle near = geo_circle_of(berlin, 877000), far = geo_circle_of(berlin, 878500);
    assert_true(!geo_in_circle(&near, paris) && geo_in_circle(&far, paris));
    near = geo_circle_of(berlin, 0), far = geo_circle_of(berlin, 20015200);
    assert_true(!geo_in_circle(&near, berlin) && geo_in_circle(&far, antipode));
    /* whatever is within bounds is within their reach */
    uint64_t seed = 5;
    for (int i = 0; i < 20000; i++) {
        double draw[6];
        for (int j = 0; j < 6; j++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            draw[j] = (double)(seed >> 11) * 0x1p-53;
        }
        struct geo_bounds b = {draw[0] * 360 - 180, 0, draw[1] * 180 - 90, 0};
        b.east = b.west + (180 - b.west) * draw[2] * draw[2];
        b.north = b.south + (90 - b.south) * draw[3] * draw[3];
        struct geo_circle middle =
            geo_circle_of((struct geo_point){(b.west + b.east) / 2, (b.south + b.north) / 2}, 1);
        struct geo_point p = {b.west + (b.east - b.west) * draw[4],
                              b.south + (b.north - b.south) * draw[5]};
        assert_true(geo_chord(&middle, p) <= geo_bounds_reach(&b) + 1e-12);
    }
}

/* The values of OpenSSL: printf abc | openssl mac -macopt hexkey:00…00 -macopt size:8 -in - SIPHASH, little-endian. */
static void test_hash(void **state) {
    (void)state;
    kith_id number = kith_id_number(7), text, uuid;
    assert_int_equal(kith_id_from_text(&text, "abc", 3, NULL), KITH_OK);
    assert_int_equal(kith_id_from_text(&uuid, "550e8400e29b41d4a716446655440000", 32, NULL),
                     KITH_OK);
    assert_true(filter_hash_id(&text) == 0x3fc884964770eedeu);
    assert_true(filter_hash_id(&number) == 0xb6ea513a7ef62bf0u);
    assert_true(filter_hash_id(&uuid) == 0xf5d0ca21ba34d504u);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),     cmocka_unit_test(test_errors),
        cmocka_unit_test(test_depth),    cmocka_unit_test(test_calls),
        cmocka_unit_test(test_datetime), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_geo),      cmocka_unit_test(test_hash)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
