/* Arena: pieces are zeroed, aligned, apart from each other, and go together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"

static void test_pieces(void **state) {
    (void)state;
    enum { PIECES = 2000 };
    static unsigned char *pieces[PIECES];
    struct mem_account owner = {0};
    struct arena arena = {.owner = &owner};
    for (size_t i = 0; i < PIECES; i++) {
        size_t n = i * 37 % 300;
        pieces[i] = arena_new(&arena, n);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        for (size_t j = 0; j < n; j++) assert_int_equal(pieces[i][j], 0);
        memset(pieces[i], (int)(i % 251), n);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t j = 0; j < i * 37 % 300; j++) assert_int_equal(pieces[i][j], i % 251);
    assert_true(owner.bytes < 2 * PIECES * 160);
    assert_true(owner.blocks < 20);
    assert_non_null(arena_new(&arena, 1 << 20));
    assert_string_equal(arena_copy(&arena, "kithless", 4), "kith");
    arena_deinit(&arena);
    assert_int_equal(owner.bytes, 0);
    assert_string_equal(arena_copy(&arena, "again", 5), "again");
    arena_deinit(&arena);
}

static void test_no_memory(void **state) {
    (void)state;
    struct arena arena = {0};
    assert_null(arena_new(&arena, SIZE_MAX));
    assert_null(arena_new(&arena, SIZE_MAX - 8));
    mem_test_fail_at(1);
    assert_null(arena_new(&arena, 8));
    mem_test_fail_at(0);
    assert_non_null(arena_new(&arena, 8));
    arena_deinit(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pieces),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
