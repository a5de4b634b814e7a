/* Every allocation in taking in another engine's index, and in writing one as a FAISS file, fails once: it is said, and
 * nothing is left behind, no index and no file. (An import says so itself, or goes another way, with the same rows.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <kith/foreign.h>
#include <kith/kith.h>

#include "base/mem.h"

static const char *const files[] = {
    "faiss/idmap2.faiss",      "faiss/sq8.faiss",
    "faiss/pq-3-bit.faiss",    "faiss/hnsw-sq8.faiss",
    "faiss/ivf-pq.faiss",      "faiss/ivf-flat.faiss",
    "faiss/ivf-pq-fast.faiss", "faiss/ivf-rabitq-3-bit.faiss",
    "faiss/opq-ivf-pq.faiss",  "faiss/norm.faiss",
    "faiss/refine.faiss",      "hnswlib/ip.hnswlib",
    "usearch/ip-i8.usearch",
};

static void path_of(const char *file, char path[4096]) {
    const char *root = getenv("KITH_SOURCE_ROOT");
    snprintf(path, 4096, "%s/tests/golden/foreign/%s", root ? root : ".", file);
}

static kith_import_options ip(void) {
    kith_import_options options = KITH_IMPORT_OPTIONS_INIT;
    options.metric = KITH_METRIC_IP;
    return options;
}

static void test_import(void **state) {
    (void)state;
    const kith_import_options options = ip();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[4096];
        uint64_t blocks = mem_live_blocks(), nth = 0;
        path_of(files[i], path);
        for (;;) {
            kith_index *index = NULL;
            kith_error err;
            mem_test_fail_at(++nth);
            int code = kith_index_import(&index, path, &options, NULL, &err);
            int reached = mem_test_calls() < nth;
            mem_test_fail_at(0);
            if (code == KITH_OK) assert_int_equal(kith_index_check(index, &err), KITH_OK);
            kith_index_free(index);
            assert_int_equal(mem_live_blocks(), blocks);
            if (reached) break;
            if (code != KITH_OK && code != KITH_ENOMEM)
                fail_msg("%s, allocation %d: %s", files[i], (int)nth, err.text);
        }
        assert_true(nth > 10);
    }
}

static void test_export(void **state) {
    (void)state;
    const kith_import_options options = ip();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[4096], out[] = "/tmp/kith-oom-XXXXXX";
        kith_index *index;
        kith_error err;
        path_of(files[i], path);
        close(mkstemp(out));
        unlink(out);
        assert_int_equal(kith_index_import(&index, path, &options, NULL, &err), KITH_OK);
        uint64_t blocks = mem_live_blocks();
        for (uint64_t nth = 1;; nth++) {
            mem_test_fail_at(nth);
            int code = kith_index_export(index, out, NULL, &err);
            mem_test_fail_at(0);
            assert_int_equal(mem_live_blocks(), blocks);
            if (code == KITH_OK || code == KITH_EUNSUPPORTED) break;
            if (code != KITH_ENOMEM)
                fail_msg("%s, allocation %d: %s", files[i], (int)nth, err.text);
            assert_int_not_equal(access(out, F_OK), 0);
        }
        unlink(out);
        kith_index_free(index);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_import),
                                       cmocka_unit_test(test_export)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
