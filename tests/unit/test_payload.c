/* Paths and payloads: what a path leads to, what a selector shows, what a change leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"
#include "filter/payload.h"

static struct mem_account account;
static struct arena arena = {.owner = &account};
static struct payload_editor *editor;
static struct json_parser *parser;
static struct json_writer *writer;

static int set_up(void **state) {
    (void)state;
    return payload_editor_new(&editor, &account, NULL) ||
           json_parser_new(&parser, &account, NULL) || json_writer_new(&writer, &account, NULL);
}

static int tear_down(void **state) {
    (void)state;
    payload_editor_free(editor);
    json_parser_free(parser);
    json_writer_free(writer);
    arena_deinit(&arena);
    return account.bytes != 0;
}

static struct json_text text_of(const char *text) { return (struct json_text){text, strlen(text)}; }

static struct json_value parse(const char *text) {
    struct json_value root;
    kith_error err;
    if (json_parse(parser, text, strlen(text), JSON_CHECKED, &root, &err)) fail_msg("%s", err.text);
    return root;
}

static struct path path_of(const char *text) {
    struct path path;
    kith_error err;
    if (path_parse(&path, text, strlen(text), &arena, &err)) fail_msg("%s", err.text);
    return path;
}

static void expect(const char *what, struct json_text got, const char *want) {
    if (got.n != strlen(want) || memcmp(got.bytes, want, got.n) != 0)
        fail_msg("%s: %.*s, not %s", what, (int)got.n, got.bytes, want);
}

static bool collect(void *context, struct json_value value) {
    json_put_value(context, value);
    return false;
}

static bool stop(void *context, struct json_value value) {
    ++*(int *)context;
    return json_type(value) == JSON_INT;
}

static void test_path_reads(void **state) {
    (void)state;
    static const struct {
        const char *path, *values;
    } cases[] = {{"a", "[{\"b\":[1,{\"c\":2},null]}]"},
                 {"a.b", "[[1,{\"c\":2},null]]"},
                 {"a.b[]", "[1,{\"c\":2},null]"},
                 {"a.b[1].c", "[2]"},
                 {"a.b[].c", "[2]"},
                 {"a.b.c", "[]"},
                 {"a.b[3]", "[]"},
                 {"a[]", "[]"},
                 {"x", "[]"},
                 {"\"x.y\".\"z w\"", "[5]"},
                 {"list[].v", "[1,[2,3],4]"},
                 {"list[].v[]", "[2,3]"},
                 {"n", "[null]"},
                 {"\xc3\xa4", "[true]"}};
    const char *payload = "{\"a\":{\"b\":[1,{\"c\":2},null]},\"x.y\":{\"z w\":5},\"n\":null,"
                          "\"list\":[{\"v\":1},{\"v\":[2,3]},{},{\"v\":4}],\"\xc3\xa4\":true}";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct path path = path_of(cases[i].path);
        struct json_text got;
        json_writer_reset(writer);
        json_begin_array(writer);
        assert_false(path_each(&path, parse(payload), collect, writer));
        json_end_array(writer);
        assert_int_equal(json_writer_text(writer, &got, NULL), KITH_OK);
        expect(cases[i].path, got, cases[i].values);
    }
    struct path path = path_of("list[].v");
    int n = 0;
    assert_true(
        path_each(&path, parse("{\"list\":[{\"v\":\"s\"},{\"v\":1},{\"v\":2}]}"), stop, &n));
    assert_int_equal(n, 2);
}

static void test_path_errors(void **state) {
    (void)state;
    static const struct {
        const char *path;
        int64_t at;
    } bad[] = {{"", 0},     {"[0]", 0},     {".a", 0},   {"a.", 2},
               {"a..b", 2}, {"a[x]", 2},    {"a[1", 3},  {"a b", 1},
               {"\"a", 2},  {"\"a\\\"", 2}, {"a[]b", 3}, {"a[4294967296]", 11}};
    char deep[2 * PATH_STEPS + 2] = "a";
    struct path path;
    kith_error err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int code = path_parse(&path, bad[i].path, strlen(bad[i].path), &arena, &err);
        if (code != KITH_ESYNTAX || err.at != bad[i].at || !strstr(err.text, "Invalid json path"))
            fail_msg("%s: code %d at %d: %s", bad[i].path, code, (int)err.at, err.text);
    }
    for (int i = 0; i < PATH_STEPS; i++) strcat(deep, ".a");
    assert_int_equal(path_parse(&path, deep, strlen(deep), &arena, &err), KITH_ESYNTAX);
    assert_int_equal(path_parse(&path, deep, strlen(deep) - 2, &arena, &err), KITH_OK);
    struct path one = path_of("a.b[1][]"), other = path_of("\"a\".\"b\"[01][]");
    assert_true(path_equal(&one, &other));
    other = path_of("a.b[][]");
    assert_false(path_equal(&one, &other));
}

static void test_selection(void **state) {
    (void)state;
    static const struct {
        const char *selector, *left;
    } cases[] = {
        {"true", "{\"a\":{\"b\":1,\"c\":[{\"d\":2,\"e\":3},4]},\"f\":5}"},
        {"false", "{}"},
        {"[]", "{}"},
        {"[\"f\",\"nothing\"]", "{\"f\":5}"},
        {"[\"a.b\"]", "{\"a\":{\"b\":1}}"},
        {"{\"include\":[\"a\"]}", "{\"a\":{\"b\":1,\"c\":[{\"d\":2,\"e\":3},4]}}"},
        {"[\"a.c[].d\"]", "{\"a\":{\"c\":[{\"d\":2},4]}}"},
        {"[\"a.c.d\"]", "{\"a\":{\"c\":[]}}"},
        {"[\"a.c[0]\"]", "{\"a\":{\"c\":[]}}"},
        {"{\"exclude\":[\"a\"]}", "{\"f\":5}"},
        {"{\"exclude\":[\"a.c[].e\",\"f\"]}", "{\"a\":{\"b\":1,\"c\":[{\"d\":2},4]}}"},
        {"{\"exclude\":[\"a.c[]\"]}", "{\"a\":{\"b\":1,\"c\":[]},\"f\":5}"},
        {"{\"exclude\":[\"a.c.d\",\"a.c[0].d\"]}",
         "{\"a\":{\"b\":1,\"c\":[{\"d\":2,\"e\":3},4]},\"f\":5}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct payload_selector selector;
        struct json_text got;
        kith_error err;
        if (payload_selector_parse(&selector, parse(cases[i].selector), &arena, &err))
            fail_msg("%s: %s", cases[i].selector, err.text);
        json_writer_reset(writer);
        payload_select(&selector, parse("{\"a\":{\"b\":1,\"c\":[{\"d\":2,\"e\":3},4]},\"f\":5}"),
                       writer);
        assert_int_equal(json_writer_text(writer, &got, NULL), KITH_OK);
        expect(cases[i].selector, got, cases[i].left);
    }
    static const char *const bad[] = {"1",
                                      "[1]",
                                      "{}",
                                      "{\"include\":1}",
                                      "{\"includes\":[]}",
                                      "{\"include\":[],\"exclude\":[]}",
                                      "[\"a.\"]",
                                      "null"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct payload_selector selector;
        int code = payload_selector_parse(&selector, parse(bad[i]), &arena, NULL);
        if (code != KITH_EINVAL && code != KITH_ESYNTAX) fail_msg("%s: %d", bad[i], code);
    }
}

static void test_store(void **state) {
    (void)state;
    struct json_text out;
    kith_error err;
    assert_int_equal(payload_store(editor, text_of(" { \"a\" : 1.0 , \"b\":[ ] }"), &out, &err),
                     KITH_OK);
    expect("store", out, "{\"a\":1.0,\"b\":[]}");
    assert_int_equal(payload_store(editor, text_of(""), &out, &err), KITH_OK);
    expect("nothing", out, "{}");
    assert_int_equal(payload_store(editor, text_of("null"), &out, &err), KITH_OK);
    expect("null", out, "{}");
    assert_int_equal(payload_store(editor, text_of("[]"), &out, &err), KITH_EINVAL);
    assert_int_equal(payload_store(editor, text_of("{\"a\":1,\"a\":2}"), &out, &err), KITH_ESYNTAX);
    assert_int_equal(err.at, 7);
}

static void test_merge(void **state) {
    (void)state;
    static const struct {
        const char *old, *at, *patch, *merged;
    } cases[] = {
        {"{\"a\":1,\"b\":2}", NULL, "{\"b\":3,\"c\":4}", "{\"a\":1,\"b\":3,\"c\":4}"},
        {"{\"a\":1,\"b\":null}", NULL, "{\"a\":null,\"x\":null}", "{\"b\":null}"},
        {"{\"a\":{\"x\":1}}", NULL, "{\"a\":{\"y\":2}}", "{\"a\":{\"y\":2}}"},
        {"{\"a\":{\"x\":1}}", "a", "{\"y\":2}", "{\"a\":{\"x\":1,\"y\":2}}"},
        {"{}", "a.b", "{\"y\":2}", "{\"a\":{\"b\":{\"y\":2}}}"},
        {"{\"a\":7}", "a.b", "{\"y\":2}", "{\"a\":{\"b\":{\"y\":2}}}"},
        {"{\"a\":[{\"x\":1},2]}", "a[]", "{\"y\":3}", "{\"a\":[{\"x\":1,\"y\":3},{\"y\":3}]}"},
        {"{\"a\":[{\"x\":1},2]}", "a[0]", "{\"x\":null}", "{\"a\":[{},2]}"},
        {"{\"a\":[1]}", "a[1]", "{\"y\":3}", "{\"a\":[1]}"},
        {"{\"a\":5}", "a[]", "{\"y\":3}", "{\"a\":[]}"},
        {"{}", "a[0].b", "{\"y\":3}", "{\"a\":[]}"},
        {"{\"a\":{\"b\":[{},{\"c\":1}]}}", "a.b[].c", "{\"d\":[]}",
         "{\"a\":{\"b\":[{\"c\":{\"d\":[]}},{\"c\":{\"d\":[]}}]}}"},
        {"", NULL, "{\"y\":18446744073709551615}", "{\"y\":18446744073709551615}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct path at;
        struct json_text out;
        kith_error err;
        if (cases[i].at) at = path_of(cases[i].at);
        if (payload_merge(editor, text_of(cases[i].old), text_of(cases[i].patch),
                          cases[i].at ? &at : NULL, &out, &err))
            fail_msg("%s", err.text);
        expect(cases[i].old, out, cases[i].merged);
    }
    struct json_text out;
    assert_int_equal(payload_merge(editor, text_of("{}"), text_of("[]"), NULL, &out, NULL),
                     KITH_EINVAL);
}

static void test_remove(void **state) {
    (void)state;
    static const struct {
        const char *old, *paths[2], *left;
    } cases[] = {
        {"{\"a\":1,\"b\":{\"c\":2,\"d\":3}}", {"a", "b.c"}, "{\"b\":{\"d\":3}}"},
        {"{\"a\":[{\"b\":1,\"c\":2},{\"b\":3},4]}", {"a[].b"}, "{\"a\":[{\"c\":2},{},4]}"},
        {"{\"a\":[{\"b\":1},{\"b\":3}]}", {"a[1].b"}, "{\"a\":[{\"b\":1},{}]}"},
        {"{\"a\":[1,2]}", {"a[0]"}, "{\"a\":[1,2]}"},
        {"{\"a\":[1,2]}", {"a[]"}, "{\"a\":[]}"},
        {"{\"a\":[{\"b\":1}]}", {"a.b", "x.y"}, "{\"a\":[{\"b\":1}]}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct path paths[2];
        struct json_text out;
        kith_error err;
        size_t n = 0;
        for (; n < 2 && cases[i].paths[n]; n++) paths[n] = path_of(cases[i].paths[n]);
        if (payload_remove(editor, text_of(cases[i].old), paths, n, &out, &err))
            fail_msg("%s", err.text);
        expect(cases[i].old, out, cases[i].left);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_reads), cmocka_unit_test(test_path_errors),
        cmocka_unit_test(test_selection),  cmocka_unit_test(test_store),
        cmocka_unit_test(test_merge),      cmocka_unit_test(test_remove)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
