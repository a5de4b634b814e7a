/* JSON: what is read is what stands there, what is wrong is told with its byte, what is written reads back the same. */
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
#include "json/json.h"

static struct json_parser *parser;
static struct json_writer *writer;
static struct mem_account account;

static int set_up(void **state) {
    (void)state;
    return json_parser_new(&parser, &account, NULL) || json_writer_new(&writer, &account, NULL);
}

static int tear_down(void **state) {
    (void)state;
    json_parser_free(parser);
    json_writer_free(writer);
    return account.bytes != 0 || account.blocks != 0;
}

static struct json_value parse(const char *text) {
    struct json_value root;
    kith_error err;
    if (json_parse(parser, text, strlen(text), JSON_CHECKED, &root, &err) != KITH_OK)
        fail_msg("%s: %s", text, err.text);
    return root;
}

static struct json_value member(struct json_value object, const char *name) {
    struct json_value value;
    if (!json_get(object, name, strlen(name), &value)) fail_msg("no member %s", name);
    return value;
}

static void expect_text(struct json_text text, const char *want) {
    if (text.n != strlen(want) || memcmp(text.bytes, want, text.n) != 0)
        fail_msg("%.*s, not %s", (int)text.n, text.bytes, want);
}

static void expect_written(const char *want) {
    struct json_text text;
    kith_error err;
    if (json_writer_text(writer, &text, &err) != KITH_OK) fail_msg("%s", err.text);
    expect_text(text, want);
}

static void test_values(void **state) {
    (void)state;
    struct json_value root = parse(
        "{\"null\":null,\"no\":false,\"yes\":true,\"int\":-9223372036854775808,\"one\":1,"
        "\"uint\":18446744073709551615,\"double\":1.0,\"big\":1e300,\"text\":\"\\u0061\\n\\u00e9\","
        "\"array\":[1,[],{}],\"object\":{\"a\":{\"b\":2}},\"zero\":\"a\\u0000b\"}");
    struct json_value value;
    assert_int_equal(json_type(root), JSON_OBJECT);
    assert_int_equal(json_count(root), 12);
    assert_int_equal(json_type(member(root, "null")), JSON_NULL);
    assert_int_equal(json_type(member(root, "no")), JSON_BOOL);
    assert_false(json_bool(member(root, "no")));
    assert_true(json_bool(member(root, "yes")));
    assert_int_equal(json_type(member(root, "int")), JSON_INT);
    assert_true(json_int(member(root, "int")) == INT64_MIN);
    assert_true(json_double(member(root, "int")) == -0x1p63);
    assert_int_equal(json_type(member(root, "one")), JSON_INT);
    assert_int_equal(json_type(member(root, "uint")), JSON_UINT);
    assert_true(json_uint(member(root, "uint")) == UINT64_MAX);
    assert_true(json_double(member(root, "uint")) == 0x1p64);
    assert_int_equal(json_type(member(root, "double")), JSON_DOUBLE);
    assert_true(json_double(member(root, "big")) == 1e300);
    expect_text(json_string(member(root, "text")), "a\n\xc3\xa9");
    assert_int_equal(json_string(member(root, "zero")).n, 3);
    assert_memory_equal(json_string(member(root, "zero")).bytes, "a\0b", 3);
    assert_int_equal(json_count(member(root, "array")), 3);
    assert_true(json_at(member(root, "array"), 2, &value));
    assert_int_equal(json_type(value), JSON_OBJECT);
    assert_false(json_at(member(root, "array"), 3, &value));
    assert_false(json_at(root, 0, &value));
    assert_false(json_get(root, "nul", 3, &value));
    assert_false(json_get(member(root, "array"), "a", 1, &value));
    assert_int_equal(json_int(member(member(member(root, "object"), "a"), "b")), 2);
}

static void test_walk(void **state) {
    (void)state;
    struct json_walk walk;
    struct json_text name;
    struct json_value value;
    char seen[16] = "";
    json_walk_init(&walk, parse("{\"a\":[1,2],\"b\":{\"x\":3},\"c\":4.5}"));
    while (json_next(&walk, &name, &value)) strncat(seen, name.bytes, name.n);
    assert_string_equal(seen, "abc");
    json_walk_init(&walk, parse("7"));
    assert_false(json_next(&walk, &name, &value));
    assert_int_equal(json_count(parse("7")), 0);
    assert_int_equal(json_count(parse("{}")), 0);
}

static void test_faults(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t at;
        const char *what;
    } bad[] = {{"", 0, "no value"},
               {" \n", 2, "no value"},
               {"{\"a\":tru}", 5, "not a value"},
               {"[1 2]", 3, "comma"},
               {"[1,]", 3, "not a value"},
               {"{\"a\":1,}", 7, "name"},
               {"{\"a\" 1}", 5, "colon"},
               {"[01]", 1, "begins with 0"},
               {"[1.]", 1, "point"},
               {"[1e]", 1, "exponent"},
               {"[NaN]", 1, "not a value"},
               {"\"\\q\"", 1, "escape"},
               {"\"\\ud800x\"", 1, "surrogate"},
               {"\"\\u12g4\"", 1, "hexadecimal"},
               {"\"a\x01\"", 2, "control"},
               {"\"a", 0, "without its end"},
               {"\"\xff\"", 1, "UTF-8"},
               {"18446744073709551616", 0, "64 bits"},
               {"-9223372036854775809", 0, "64 bits"},
               {"1e309", 0, "double"},
               {"1.7976931348623159e308", 0, "double"},
               {"[1]]", 3, "after"},
               {"1 2", 2, "after"},
               {"[{\"a\":1,\"b\":2,\"\\u0061\":3}]", 14, "\"a\" stands twice"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct json_value root;
        kith_error err = {0};
        int code = json_parse(parser, bad[i].text, strlen(bad[i].text), JSON_CHECKED, &root, &err);
        if (code != KITH_ESYNTAX || err.at != bad[i].at || !strstr(err.text, bad[i].what))
            fail_msg("%s: code %d at %d: %s", bad[i].text, code, (int)err.at, err.text);
    }
    assert_true(json_double(parse("1.7976931348623157e308")) == 1.7976931348623157e308);
    assert_true(json_double(parse("0.00000000000000000000000001e330")) == 1e304);
}

static void test_depth(void **state) {
    (void)state;
    char text[2 * JSON_DEPTH + 3];
    struct json_value root;
    kith_error err;
    for (size_t n = JSON_DEPTH; n <= JSON_DEPTH + 1; n++) {
        memset(text, '[', n);
        memset(text + n, ']', n);
        int code = json_parse(parser, text, 2 * n, JSON_CHECKED, &root, &err);
        assert_int_equal(code, n == JSON_DEPTH ? KITH_OK : KITH_ESYNTAX);
    }
    assert_int_equal(err.at, JSON_DEPTH);
}

/* Many members: names are compared by sorting; one that comes twice is still found. */
static void test_many_members(void **state) {
    (void)state;
    enum { MEMBERS = 5000 };
    static char text[MEMBERS * 16];
    size_t n = 0;
    struct json_value root;
    kith_error err;
    text[n++] = '{';
    for (int i = 0; i < MEMBERS; i++)
        n += (size_t)sprintf(text + n, "%s\"k%d\":%d", i ? "," : "", i, i);
    text[n++] = '}';
    text[n] = '\0';
    root = parse(text);
    assert_int_equal(json_count(root), MEMBERS);
    assert_int_equal(json_int(member(root, "k4999")), 4999);
    char *last = strstr(text, "\"k4999\"");
    memcpy(last, "\"k4321\"", 7);
    assert_int_equal(json_parse(parser, text, n, JSON_CHECKED, &root, &err), KITH_ESYNTAX);
    assert_int_equal(err.at, last - text);
    assert_int_equal(json_parse(parser, text, n, JSON_TRUSTED, &root, &err), KITH_OK);
}

static void test_offsets(void **state) {
    (void)state;
    const char *text = " { \"a\" : [ 1, -2.5 , \"x\\\"]\" ], \"b\":{ \"c\" : true} } ";
    struct json_value root = parse(text), value;
    assert_int_equal(json_offset(parser, root), 1);
    assert_int_equal(json_offset(parser, member(root, "a")), strchr(text, '[') - text);
    json_at(member(root, "a"), 1, &value);
    assert_int_equal(json_offset(parser, value), strchr(text, '-') - text);
    json_at(member(root, "a"), 2, &value);
    assert_int_equal(json_offset(parser, value), strstr(text, "\"x") - text);
    assert_int_equal(json_offset(parser, member(member(root, "b"), "c")),
                     strstr(text, "true") - text);
    assert_int_equal(json_offset(parser, parse("12")), 0);
}

static void test_floats(void **state) {
    (void)state;
    float out[3];
    size_t n;
    struct json_value bad, root = parse("[0.1, 1, -2.5e3, 18446744073709551615]");
    assert_true(json_floats(root, out, 3, &n, &bad));
    assert_int_equal(n, 4);
    assert_true(out[0] == 0.1f && out[1] == 1.0f && out[2] == -2500.0f);
    root = parse("[1, null]");
    assert_false(json_floats(root, out, 3, &n, &bad));
    assert_int_equal(json_type(bad), JSON_NULL);
    assert_false(json_floats(parse("[1e39]"), out, 3, &n, &bad));
    assert_true(json_floats(parse("[]"), out, 3, &n, &bad));
    assert_int_equal(n, 0);
}

static void test_minify(void **state) {
    (void)state;
    const char *text = " { \"a b\" : [ 1.0 , 2 ] ,\n\"c\":\"\\u0061 \\\" x\" } ";
    char out[64];
    size_t n = json_minify(text, strlen(text), out);
    expect_text((struct json_text){out, n}, "{\"a b\":[1.0,2],\"c\":\"\\u0061 \\\" x\"}");
}

static void test_writing(void **state) {
    (void)state;
    json_begin_object(writer);
    json_put_name(writer, "i", 1);
    json_put_int(writer, INT64_MIN);
    json_put_name(writer, "u", 1);
    json_put_uint(writer, UINT64_MAX);
    json_put_name(writer, "f", 1);
    json_begin_array(writer);
    json_put_float(writer, 0.1f);
    json_put_float(writer, 1.0f);
    json_put_double(writer, 0.1);
    json_put_double(writer, -0.0);
    json_put_double(writer, 1e300);
    json_end_array(writer);
    json_put_name(writer, "raw", 3);
    json_put_raw(writer, "{\"x\":[1]}", 9);
    json_put_name(writer, "s", 1);
    json_put_string(writer, "\"\\\n\x01\xc3\xa9\0", 7);
    json_put_name(writer, "n", 1);
    json_put_null(writer);
    json_put_name(writer, "b", 1);
    json_put_bool(writer, true);
    json_end_object(writer);
    expect_written("{\"i\":-9223372036854775808,\"u\":18446744073709551615,"
                   "\"f\":[0.1,1.0,0.1,-0.0,1e+300],\"raw\":{\"x\":[1]},"
                   "\"s\":\"\\\"\\\\\\n\\u0001\xc3\xa9\\u0000\",\"n\":null,\"b\":true}");
    json_writer_reset(writer);
    json_put_value(writer, parse("{\"a\":[1,1.0,18446744073709551615,\"\\u0000\",{}],\"b\":[]}"));
    expect_written("{\"a\":[1,1.0,18446744073709551615,\"\\u0000\",{}],\"b\":[]}");
}

/* Calls in an order that makes no JSON are told once, at the end. */
static void test_misuse(void **state) {
    (void)state;
    for (int which = 0; which < 9; which++) {
        struct json_text text;
        kith_error err;
        int want = KITH_EINVAL;
        json_writer_reset(writer);
        switch (which) {
        case 0: json_end_array(writer); break;
        case 1: json_begin_object(writer), json_end_array(writer); break;
        case 2: json_begin_object(writer), json_put_null(writer); break;
        case 3: json_begin_array(writer), json_put_name(writer, "a", 1); break;
        case 4: json_put_null(writer), json_put_null(writer); break;
        case 5: json_begin_array(writer); break;
        case 6: json_put_string(writer, "\xff", 1); break;
        case 7: json_put_float(writer, INFINITY), want = KITH_ENONFINITE; break;
        default:
            for (int i = 0; i <= JSON_DEPTH; i++) json_begin_array(writer);
        }
        if (json_writer_text(writer, &text, &err) != want)
            fail_msg("misuse %d: %s", which, err.text);
    }
    json_writer_reset(writer);
    json_put_null(writer);
    expect_written("null");
}

static void test_shrink(void **state) {
    (void)state;
    uint64_t before;
    static char text[100000];
    memset(text, ' ', sizeof text);
    text[0] = '1';
    parse("1");
    before = account.bytes;
    struct json_value root;
    assert_int_equal(json_parse(parser, text, sizeof text, JSON_CHECKED, &root, NULL), KITH_OK);
    assert_true(account.bytes > before + sizeof text);
    json_parser_shrink(parser, 4096);
    assert_true(account.bytes < before);
    assert_int_equal(json_int(parse("12")), 12);
}

/* An owner's limit holds for what simdjson takes by itself. */
static void test_limit(void **state) {
    (void)state;
    struct mem_account small = {.limit = 50000};
    struct json_parser *limited;
    static char text[20000];
    struct json_value root;
    kith_error err;
    memset(text, ' ', sizeof text);
    text[0] = '1';
    assert_int_equal(json_parser_new(&limited, &small, NULL), KITH_OK);
    assert_int_equal(json_parse(limited, text, sizeof text, JSON_CHECKED, &root, &err),
                     KITH_ENOMEM);
    assert_int_equal(json_parse(limited, text, 100, JSON_CHECKED, &root, &err), KITH_OK);
    json_parser_free(limited);
    assert_int_equal(small.bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),       cmocka_unit_test(test_walk),
        cmocka_unit_test(test_faults),       cmocka_unit_test(test_depth),
        cmocka_unit_test(test_many_members), cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_floats),       cmocka_unit_test(test_minify),
        cmocka_unit_test(test_writing),      cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_shrink),       cmocka_unit_test(test_limit)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
