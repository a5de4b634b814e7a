/* Every allocation in parsing a filter, and in changing a payload, fails once: it says so and leaves nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "filter/filter.h"
#include "filter/payload.h"

static const char text[] =
    "{\"must\":[{\"key\":\"a\",\"match\":{\"any\":[\"x\",1,18446744073709551615]}},{\"has_id\":[\"b\",2]},"
    "{\"key\":\"a\",\"match\":{\"text_any\":\"b c\"}},{\"key\":\"a\",\"match\":{\"regex\":\"b+\"}},"
    "{\"key\":\"a.b[].c\",\"range\":{\"lt\":1}},{\"has_vector\":\"v\"},{\"key\":\"a\",\"compare\":{\"lt\":\"b\"}},"
    "{\"nested\":{\"key\":\"n\",\"filter\":{\"should\":{\"is_null\":{\"key\":\"x\"}}}}},"
    "{\"key\":\"g\",\"geo_polygon\":{\"exterior\":{\"points\":[{\"lon\":0,\"lat\":0},{\"lon\":1,\"lat\":0},"
    "{\"lon\":1,\"lat\":1},{\"lon\":0,\"lat\":0}]},\"interiors\":[]}}]}";

static int parse(struct mem_account *owner, kith_error *err) {
    struct filter *filter = NULL;
    int code = filter_parse(&filter, text, sizeof text - 1, owner, err);
    if (code == KITH_OK) filter_free(filter);
    return code;
}

static int edit(struct mem_account *owner, kith_error *err) {
    struct payload_editor *editor = NULL;
    struct arena arena = {.owner = owner};
    struct path path;
    struct json_text old = {"{\"a\":[{\"b\":1}]}", 15}, patch = {"{\"c\":2}", 7}, out;
    int code = payload_editor_new(&editor, owner, err);
    if (code == KITH_OK) code = path_parse(&path, "a[]", 3, &arena, err);
    if (code == KITH_OK) code = payload_store(editor, old, &out, err);
    if (code == KITH_OK) code = payload_merge(editor, old, patch, &path, &out, err);
    if (code == KITH_OK) code = payload_remove(editor, old, &path, 1, &out, err);
    payload_editor_free(editor);
    arena_deinit(&arena);
    return code;
}

static void fail_each(int (*run)(struct mem_account *owner, kith_error *err), uint64_t least) {
    uint64_t blocks = mem_live_blocks(), nth = 0;
    struct mem_account owner = {0};
    int code;
    do {
        kith_error err = {0};
        mem_test_fail_at(++nth);
        code = run(&owner, &err);
        mem_test_fail_at(0);
        if (code != KITH_OK && (code != KITH_ENOMEM || err.code != KITH_ENOMEM))
            fail_msg("%s", err.text);
        assert_int_equal(mem_live_blocks(), blocks);
        assert_int_equal(owner.bytes, 0);
    } while (code != KITH_OK);
    assert_true(nth > least);
}

static void test_parse(void **state) {
    (void)state;
    fail_each(parse, 6);
}

static void test_edit(void **state) {
    (void)state;
    fail_each(edit, 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_edit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
