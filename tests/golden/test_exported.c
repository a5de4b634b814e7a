/* What Kith writes for FAISS stays what FAISS was seen to read: each golden index, exported, has the bytes of the file kept
 * in exported/.
 *
 *     test_golden_exported write       writes the files anew (tests/oracle/faiss_reads.py then has to pass) */
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

static const char *const names[] = {
    "flat-l2",
    "flat-cosine-churned",
    "flat-u8-euclid",
    "sq8-l2",
    "sqbf16-ip",
    "hnsw-l2-churned",
    "hnsw-sq8-refine-cosine",
    "hnsw-sqfp16-ip",
    "opq-l2norm-ip-churned",
    "pca-refine-l2-churned",
};
enum { N_NAMES = sizeof names / sizeof *names };

static void export(const char *name, const char *to) {
    const char *root = getenv("KITH_SOURCE_ROOT");
    char path[4096];
    kith_index *index;
    kith_error err;
    snprintf(path, sizeof path, "%s/tests/golden/%s.kith", root ? root : ".", name);
    if (kith_index_open(&index, path, KITH_OPEN_MAP, &err) != KITH_OK ||
        kith_index_export(index, to, NULL, &err) != KITH_OK)
        fail_msg("%s: %s", name, err.text);
    kith_index_free(index);
}

static void kept_path(const char *name, char path[4096]) {
    const char *root = getenv("KITH_SOURCE_ROOT");
    snprintf(path, 4096, "%s/tests/golden/exported/%s.faiss", root ? root : ".", name);
}

static size_t read_file(const char *path, uint8_t bytes[65536]) {
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s is not there", path);
    size_t n = fread(bytes, 1, 65536, file);
    fclose(file);
    return n;
}

static void test_bytes(void **state) {
    static uint8_t kept[65536], made[65536];
    (void)state;
    for (int i = 0; i < N_NAMES; i++) {
        char path[4096], out[] = "/tmp/kith-exported-XXXXXX";
        close(mkstemp(out));
        export(names[i], out);
        kept_path(names[i], path);
        size_t n = read_file(path, kept), m = read_file(out, made);
        unlink(out);
        if (n != m || memcmp(kept, made, n) != 0) fail_msg("%s: other bytes than it had", names[i]);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes)};
    if (argc != 2 || strcmp(argv[1], "write") != 0)
        return cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 0; i < N_NAMES; i++) {
        char path[4096];
        kept_path(names[i], path);
        export(names[i], path);
    }
    return 0;
}
