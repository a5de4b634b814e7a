/* Every allocation in reading a foreign file fails once: the reader says so, and leaves nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "foreign/faiss.h"
#include "foreign/hnswlib.h"
#include "foreign/usearch.h"

/* Opened, the account charged for what was taken, and closed. */
static int faiss(const struct file_map *map, struct mem_account *owner, kith_error *err) {
    struct faiss_node *root;
    int code = faiss_read(&root, map->bytes, map->size, owner, err);
    if (code == KITH_OK) assert_true(owner->bytes > 0);
    faiss_free(root, owner);
    return code;
}

static int hnswlib(const struct file_map *map, struct mem_account *owner, kith_error *err) {
    struct hnswlib_view view;
    int code = hnswlib_read(&view, map->bytes, map->size, owner, err);
    hnswlib_deinit(&view, owner);
    return code;
}

static int usearch(const struct file_map *map, struct mem_account *owner, kith_error *err) {
    struct usearch_view view;
    int code = usearch_read(&view, map->bytes, map->size, owner, err);
    usearch_deinit(&view, owner);
    return code;
}

static const struct {
    const char *name;
    int (*read)(const struct file_map *map, struct mem_account *owner, kith_error *err);
    uint64_t allocations;
} files[] = {
    {"faiss/flat-ip.faiss", faiss, 1},
    {"faiss/opq-ivf-pq.faiss", faiss, 5}, /* three indexes, a chain, lists */
    {"faiss/ivf-pq-fast.faiss", faiss, 3},
    {"faiss/old-ivf-pq.faiss", faiss, 3},
    {"faiss/refine.faiss", faiss, 3},
    {"hnswlib/l2.hnswlib", hnswlib, 1},
    {"usearch/ip-i8.usearch", usearch, 1},
};

static void test_reading(void **state) {
    (void)state;
    const char *root = getenv("KITH_SOURCE_ROOT");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[4096];
        struct file_map map;
        struct mem_account owner = {0};
        kith_error err;
        uint64_t blocks = mem_live_blocks(), nth = 0;
        snprintf(path, sizeof path, "%s/tests/golden/foreign/%s", root ? root : ".", files[i].name);
        if (file_map_open(&map, path, &err) != KITH_OK) fail_msg("%s", err.text);
        for (;;) {
            mem_test_fail_at(++nth);
            int code = files[i].read(&map, &owner, &err);
            mem_test_fail_at(0);
            assert_int_equal(mem_live_blocks(), blocks);
            assert_int_equal(owner.bytes, 0);
            if (code == KITH_OK) break;
            assert_int_equal(code, KITH_ENOMEM);
        }
        assert_int_equal(nth, files[i].allocations + 1);
        file_map_close(&map);
    }
}

static void test_opening(void **state) {
    (void)state;
    const char *root = getenv("KITH_SOURCE_ROOT");
    char path[4096];
    struct faiss_file file;
    kith_error err;
    uint64_t blocks = mem_live_blocks();
    snprintf(path, sizeof path, "%s/tests/golden/foreign/faiss/pca.faiss", root ? root : ".");
    mem_test_fail_at(2);
    assert_int_equal(faiss_open(&file, path, NULL, &err), KITH_ENOMEM);
    mem_test_fail_at(0);
    assert_int_equal(mem_live_blocks(), blocks);
    assert_int_equal(faiss_open(&file, path, NULL, &err), KITH_OK);
    faiss_close(&file, NULL);
    assert_int_equal(mem_live_blocks(), blocks);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reading),
                                       cmocka_unit_test(test_opening)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
