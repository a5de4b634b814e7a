/* Every allocation in parsing and writing JSON fails once, simdjson's own too: the call says so, nothing is left behind, and
 * the next call works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "json/json.h"

static uint64_t n_new, fail_new; /* calls of C++'s new; the one that fails */

/* operator new[](size_t, std::nothrow) and operator new(size_t, std::nothrow): simdjson's only ways to memory; and back, so
 * that both come from one heap. Seen from outside, or the library would find those of C++. */
#define OPERATOR __attribute__((visibility("default")))
OPERATOR void *_ZnamRKSt9nothrow_t(size_t n, const void *tag);
OPERATOR void *_ZnwmRKSt9nothrow_t(size_t n, const void *tag);
OPERATOR void _ZdaPv(void *p);
OPERATOR void _ZdlPv(void *p);
OPERATOR void _ZdlPvm(void *p, size_t n);

void *_ZnamRKSt9nothrow_t(size_t n, const void *tag) {
    (void)tag;
    return ++n_new == fail_new ? NULL : malloc(n ? n : 1);
}
void *_ZnwmRKSt9nothrow_t(size_t n, const void *tag) { return _ZnamRKSt9nothrow_t(n, tag); }
void _ZdaPv(void *p) { free(p); }
void _ZdlPv(void *p) { free(p); }
void _ZdlPvm(void *p, size_t n) {
    (void)n;
    free(p);
}

static const char text[] = "{\"a\":[1,2.5,\"x\"],\"b\":{\"c\":null},\"d\":true,\"e\":1,\"f\":2}";

static int parse_and_write(struct mem_account *owner, kith_error *err) {
    struct json_parser *parser = NULL;
    struct json_writer *writer = NULL;
    struct json_value root;
    struct json_text out = {0};
    int code = json_parser_new(&parser, owner, err);
    if (code == KITH_OK) code = json_parse(parser, text, sizeof text - 1, JSON_CHECKED, &root, err);
    if (code == KITH_OK) code = json_writer_new(&writer, owner, err);
    if (code == KITH_OK) {
        json_begin_array(writer);
        for (int i = 0; i < 100; i++) json_put_value(writer, root); /* its room grows thrice */
        json_end_array(writer);
        code = json_writer_text(writer, &out, err);
    }
    if (code == KITH_OK) assert_int_equal(out.n, 100 * (sizeof text - 1) + 101);
    json_parser_free(parser);
    json_writer_free(writer);
    return code;
}

static void test_ours(void **state) {
    (void)state;
    uint64_t blocks = mem_live_blocks(), nth = 0;
    struct mem_account owner = {0};
    kith_error err;
    int code;
    do {
        mem_test_fail_at(++nth);
        code = parse_and_write(&owner, &err);
        mem_test_fail_at(0);
        assert_true(code == KITH_OK || (code == KITH_ENOMEM && err.code == KITH_ENOMEM));
        assert_int_equal(mem_live_blocks(), blocks);
        assert_int_equal(owner.bytes, 0);
    } while (code != KITH_OK);
    assert_true(nth > 6);
}

static void test_theirs(void **state) {
    (void)state;
    struct mem_account owner = {0};
    kith_error err;
    int code;
    do {
        n_new = 0;
        fail_new++;
        code = parse_and_write(&owner, &err);
        assert_true(code == KITH_OK || (code == KITH_ENOMEM && err.code == KITH_ENOMEM));
        assert_int_equal(owner.bytes, 0);
    } while (code != KITH_OK);
    assert_true(fail_new > 4);
}

/* A parser that had no memory for a long text still parses short ones. */
static void test_after(void **state) {
    (void)state;
    struct json_parser *parser;
    struct json_value root;
    static char longer[50000];
    memset(longer, ' ', sizeof longer);
    longer[0] = '1';
    fail_new = 0;
    assert_int_equal(json_parser_new(&parser, NULL, NULL), KITH_OK);
    assert_int_equal(json_parse(parser, text, sizeof text - 1, JSON_CHECKED, &root, NULL), KITH_OK);
    for (uint64_t nth = 1; nth <= 3; nth++) {
        n_new = 0;
        fail_new = nth;
        assert_int_equal(json_parse(parser, longer, sizeof longer, JSON_CHECKED, &root, NULL),
                         KITH_ENOMEM);
        fail_new = 0;
        assert_int_equal(json_parse(parser, text, sizeof text - 1, JSON_CHECKED, &root, NULL),
                         KITH_OK);
        assert_int_equal(json_count(root), 5);
    }
    json_parser_free(parser);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ours), cmocka_unit_test(test_theirs),
                                       cmocka_unit_test(test_after)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
