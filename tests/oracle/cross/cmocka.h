/* As much of cmocka as the kernel oracles need, for a cross compiler that has no cmocka: the first failure ends the
 * program. TAP on stdout. */
#ifndef KITH_TESTS_CROSS_CMOCKA_H
#define KITH_TESTS_CROSS_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};
#define cmocka_unit_test(f) \
    { #f, f }

#define fail_msg(...)                                   \
    do {                                                \
        printf("not ok - %s:%d: ", __FILE__, __LINE__); \
        printf(__VA_ARGS__);                            \
        printf("\n");                                   \
        exit(1);                                        \
    } while (0)
#define assert_true(condition)                        \
    do {                                              \
        if (!(condition)) fail_msg("%s", #condition); \
    } while (0)
#define assert_int_equal(a, b)       assert_true((long long)(a) == (long long)(b))
#define assert_string_equal(a, b)    assert_true(strcmp((a), (b)) == 0)
#define assert_memory_equal(a, b, n) assert_true(memcmp((a), (b), (n)) == 0)

#define cmocka_run_group_tests(tests, setup, teardown) \
    cross_run((tests), sizeof(tests) / sizeof *(tests))

static inline int cross_run(const struct CMUnitTest *tests, size_t n) {
    printf("1..%zu\n", n);
    for (size_t i = 0; i < n; i++) {
        tests[i].run(NULL);
        printf("ok %zu - %s\n", i + 1, tests[i].name);
        fflush(stdout);
    }
    return 0;
}

#endif
