/* Exact search over samples of the real sets in $KITH_DATA: words, glosses, image descriptors, sentence embeddings. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "plain_scan.h"

static char *data_path(const char *name) {
    static char path[4096];
    const char *data = getenv("KITH_DATA"), *root = getenv("KITH_SOURCE_ROOT");
    if (data)
        snprintf(path, sizeof path, "%s/%s", data, name);
    else
        snprintf(path, sizeof path, "%s/../shared/data/%s", root ? root : ".", name);
    return path;
}

/* f32 rows of .npy (version 1, C order) or .fvecs: at most n of them. */
static float *read_rows(const char *name, size_t most, size_t *n, size_t *dim) {
    FILE *file = fopen(data_path(name), "rb");
    if (!file) return NULL;
    bool npy = strstr(name, ".npy") != NULL;
    uint8_t head[10];
    if (npy) {
        char text[1024] = {0};
        assert_int_equal(fread(head, 1, 10, file), 10);
        size_t length = (size_t)head[8] | (size_t)head[9] << 8;
        assert_true(length < sizeof text && fread(text, 1, length, file) == length);
        assert_non_null(strstr(text, "'<f4'"));
        assert_int_equal(sscanf(strstr(text, "'shape':") + 8, " (%zu, %zu)", n, dim), 2);
    } else {
        int32_t first;
        assert_int_equal(fread(&first, 4, 1, file), 1);
        *dim = (size_t)first;
        fseek(file, 0, SEEK_END);
        *n = (size_t)ftell(file) / (4 + 4 * *dim);
        fseek(file, 0, SEEK_SET);
    }
    *n = *n < most ? *n : most;
    float *rows = malloc(*n * *dim * sizeof(float));
    for (size_t i = 0; i < *n; i++) {
        if (!npy) assert_int_equal(fread(head, 1, 4, file), 4);
        assert_int_equal(fread(rows + i * *dim, sizeof(float), *dim, file), *dim);
    }
    fclose(file);
    return rows;
}

static void check_real(const char *base, const char *queries) {
    struct set set;
    size_t dim;
    set.rows = read_rows(base, 6000, &set.n, &set.dim);
    set.queries = read_rows(queries, 20, &set.n_q, &dim);
    assert_non_null(set.rows);
    assert_non_null(set.queries);
    assert_int_equal(set.dim, dim);
    check_set(&set, 10);
    set_free(&set);
}

#define TEST(name, folder, ext)                                  \
    static void test_##name(void **state) {                      \
        (void)state;                                             \
        check_real(folder "/base." ext, folder "/queries." ext); \
    }
TEST(wordnet, "wordnet-sg-100", "f32.npy")
TEST(glove, "glove-twitter-25", "f32.npy")
TEST(sift, "sift-5k", "fvecs")
TEST(bge, "bge-m3-1024", "f32.npy")

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_wordnet), cmocka_unit_test(test_glove),
                                       cmocka_unit_test(test_sift), cmocka_unit_test(test_bge)};
    if (access(data_path("README.md"), R_OK) != 0) {
        printf("1..0 # SKIP no data at %s\n", data_path(""));
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
