/* hnswlib and usearch files: what is not sound is refused, with the byte where and without a leak. (What sound ones mean
 * is shown in tests/oracle/test_foreign.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "foreign/bytes.h"
#include "foreign/foreign.h"
#include "foreign/hnswlib.h"
#include "foreign/usearch.h"

enum { ROOM = 1 << 15, DIM = 8, N = 50, HNSWLIB_HEAD = 96, USEARCH_HEAD = 64 };

struct bytes {
    size_t n;
    uint8_t at[ROOM];
};

static void golden(const char *name, struct bytes *out) {
    char path[4096];
    const char *root = getenv("KITH_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/golden/foreign/%s", root ? root : ".", name);
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s is missing", path);
    out->n = fread(out->at, 1, ROOM, file);
    fclose(file);
}

static int read_either(const char *name, const struct bytes *file, kith_error *err) {
    struct hnswlib_view hnswlib;
    struct usearch_view usearch;
    uint8_t *copy = malloc(file->n + 1);
    memcpy(copy, file->at, file->n);
    int code;
    if (strstr(name, "hnswlib")) {
        code = hnswlib_read(&hnswlib, copy, file->n, NULL, err);
        if (code != KITH_OK) assert_null(hnswlib.upper);
        hnswlib_deinit(&hnswlib, NULL);
    } else {
        code = usearch_read(&usearch, copy, file->n, NULL, err);
        if (code != KITH_OK) assert_null(usearch.node);
        usearch_deinit(&usearch, NULL);
    }
    free(copy);
    return code;
}

static void refuse(const char *name, const struct bytes *file, int want) {
    uint64_t blocks = mem_live_blocks();
    kith_error err = {0};
    int code = read_either(name, file, &err);
    if (code != want || err.code != code || err.text[0] == '\0')
        fail_msg("%s: code %d, %d wanted: %s", name, code, want, err.text);
    assert_true(err.at >= -1 && err.at <= (int64_t)file->n);
    assert_int_equal(mem_live_blocks(), blocks);
}

/* One number of a golden file overwritten; at from the end when negative. */
static void damage(const char *name, int64_t at, size_t n, int64_t value, int want) {
    static struct bytes file;
    golden(name, &file);
    memcpy(file.at + (at < 0 ? (int64_t)file.n + at : at), &value, n);
    refuse(name, &file, want);
}

static void test_truncated(void **state) {
    static const char *const names[] = {"hnswlib/l2.hnswlib", "usearch/cos-f16.usearch"};
    static struct bytes file;
    (void)state;
    for (int i = 0; i < 2; i++) {
        golden(names[i], &file);
        size_t n = file.n, mark = i ? 8 + 2 * DIM * N + USEARCH_HEAD : HNSWLIB_HEAD;
        for (file.n = 0; file.n < n; file.n++)
            refuse(names[i], &file, file.n < mark ? KITH_EFORMAT : KITH_ETRUNCATED);
        file.at[file.n++] = 0;
        refuse(names[i], &file, KITH_ECORRUPT);
    }
}

static void test_hnswlib(void **state) {
    static struct bytes file;
    struct hnswlib_view view;
    const char *name = "hnswlib/l2.hnswlib";
    kith_error err;
    (void)state;
    golden(name, &file);
    assert_int_equal(foreign_recognise(file.at, file.n), FOREIGN_HNSWLIB);
    assert_int_equal(hnswlib_read(&view, file.at, file.n, NULL, &err), KITH_OK);
    assert_int_equal(view.n, N);
    assert_int_equal(view.max_elements, N + 10);
    assert_int_equal(view.vector_bytes, DIM * 4);
    assert_int_equal(view.M, 4);
    assert_int_equal(view.M0, 8);
    assert_int_equal(view.ef_construction, 40);
    assert_int_equal(hnswlib_label(&view, 2), 11);
    assert_true(hnswlib_deleted(&view, 1));
    assert_false(hnswlib_deleted(&view, 2));
    int64_t upper = (int64_t)view.upper[view.entry], row = (int64_t)view.row_bytes;
    int32_t levels = view.max_level;
    hnswlib_deinit(&view, NULL);

    damage(name, 0, 8, 1, KITH_EFORMAT);             /* offsetLevel0 */
    damage(name, 8, 8, N - 1, KITH_EFORMAT);         /* max_elements */
    damage(name, 16, 8, 0, KITH_EFORMAT);            /* n, with an entry */
    damage(name, 24, 8, row + 1, KITH_EFORMAT);      /* row_bytes */
    damage(name, 40, 8, 12, KITH_EFORMAT);           /* offsetData */
    damage(name, 48, 4, -1, KITH_EFORMAT);           /* max_level */
    damage(name, 48, 4, levels + 1, KITH_ECORRUPT);  /* max_level */
    damage(name, 52, 4, N, KITH_EFORMAT);            /* entry */
    damage(name, 56, 8, 0, KITH_EFORMAT);            /* M */
    damage(name, 56, 8, 5, KITH_ECORRUPT);           /* M against the upper links */
    damage(name, HNSWLIB_HEAD, 2, 9, KITH_ECORRUPT); /* links of row 0 */
    damage(name, HNSWLIB_HEAD + 4, 4, N, KITH_ECORRUPT);
    damage(name, upper, 4, 1, KITH_ECORRUPT); /* bytes above level 0 */
    damage(name, upper, 4, -1, KITH_ECORRUPT);
    damage(name, upper + 4, 2, 5, KITH_ECORRUPT); /* links on level 1 */
    damage(name, upper + 8, 4, 1 << 30, KITH_ECORRUPT);
}

/* A link to a row that is not on the link's level. */
static void test_levels(void **state) {
    static struct bytes file;
    struct hnswlib_view view;
    struct usearch_view other;
    uint32_t n, low = 0;
    kith_error err;
    (void)state;
    golden("hnswlib/l2.hnswlib", &file);
    assert_int_equal(hnswlib_read(&view, file.at, file.n, NULL, &err), KITH_OK);
    while (hnswlib_level(&view, low) > 0) low++;
    const uint8_t *links = hnswlib_links(&view, view.entry, 1, &n);
    assert_true(n > 0);
    memcpy(file.at + (links - file.at), &low, 4);
    hnswlib_deinit(&view, NULL);
    refuse("hnswlib", &file, KITH_ECORRUPT);

    golden("usearch/ip-i8.usearch", &file);
    assert_int_equal(usearch_read(&other, file.at, file.n, NULL, &err), KITH_OK);
    for (low = 0; usearch_level(&other, low) > 0;) low++;
    links = usearch_links(&other, other.entry, 1, &n);
    assert_true(n > 0);
    memcpy(file.at + (links - file.at), &low, 4);
    usearch_deinit(&other, NULL);
    refuse("usearch", &file, KITH_ECORRUPT);
}

static void test_usearch(void **state) {
    static struct bytes file;
    struct usearch_view view;
    const char *name = "usearch/cos-f16.usearch";
    kith_error err;
    (void)state;
    golden(name, &file);
    assert_int_equal(foreign_recognise(file.at, file.n), FOREIGN_USEARCH);
    assert_int_equal(usearch_read(&view, file.at, file.n, NULL, &err), KITH_OK);
    assert_int_equal(view.metric, USEARCH_COS);
    assert_int_equal(view.scalar, USEARCH_F16);
    assert_int_equal(view.dim, DIM);
    assert_int_equal(view.n_deleted, 3);
    assert_int_equal(view.version[0], 2);
    assert_int_equal(view.M, 4);
    assert_int_equal(view.M0, 8);
    assert_int_equal(usearch_key(&view, 2), 11);
    assert_true(usearch_deleted(&view, 1));
    int64_t node = (int64_t)view.node[0];
    usearch_deinit(&view, NULL);

    int64_t head = 8 + 2 * DIM * N, graph = head + USEARCH_HEAD;
    damage(name, 0, 4, N + 1, KITH_EFORMAT); /* rows */
    damage(name, head, 1, 'U', KITH_EFORMAT);
    damage(name, head + 7, 2, 3, KITH_EVERSION);
    damage(name, head + 9, 2, 9, KITH_EVERSION);
    damage(name, head + 13, 1, 'h', KITH_EUNSUPPORTED);     /* metric */
    damage(name, head + 14, 1, 1, KITH_EUNSUPPORTED);       /* scalar */
    damage(name, head + 14, 1, USEARCH_F32, KITH_ECORRUPT); /* scalar against bytes */
    damage(name, head + 15, 1, 3, KITH_EUNSUPPORTED);       /* key */
    damage(name, head + 16, 1, 2, KITH_EUNSUPPORTED);       /* slot */
    damage(name, head + 17, 8, N, KITH_ECORRUPT);           /* present */
    damage(name, head + 25, 8, N + 1, KITH_ECORRUPT);       /* deleted */
    damage(name, head + 33, 8, 0, KITH_ECORRUPT);           /* dimensions */
    damage(name, graph, 8, N - 1, KITH_ECORRUPT);           /* size */
    damage(name, graph + 8, 8, 0, KITH_ECORRUPT);           /* connectivity */
    damage(name, graph + 16, 8, -1, KITH_ECORRUPT);
    damage(name, graph + 24, 8, 1 << 20, KITH_ECORRUPT); /* max_level */
    damage(name, graph + 32, 8, N, KITH_ECORRUPT);       /* entry */
    damage(name, graph + 40, 2, -1, KITH_ECORRUPT);      /* level of row 0 */
    damage(name, node + 8, 2, 9, KITH_ECORRUPT);         /* the same, in its node */
    damage(name, node + 10, 4, 9, KITH_ECORRUPT);        /* its links */
    damage(name, node + 14, 4, N, KITH_ECORRUPT);
    damage(name, node, 8, 4, KITH_ECORRUPT); /* row 0 is deleted, is it not? */

    memmove(file.at, file.at + head, file.n - (size_t)head); /* without its vectors */
    file.n -= (size_t)head;
    assert_int_equal(foreign_recognise(file.at, file.n), FOREIGN_USEARCH);
    refuse(name, &file, KITH_EUNSUPPORTED);
}

/* Sizes in 64 bits, and an index without rows. */
static void test_wide_and_empty(void **state) {
    static struct bytes file;
    struct usearch_view view;
    struct hnswlib_view other;
    kith_error err;
    (void)state;
    golden("usearch/l2sq-f32.usearch", &file);
    uint64_t sizes[2] = {bytes_u32(file.at), bytes_u32(file.at + 4)};
    memmove(file.at + 16, file.at + 8, file.n - 8);
    memcpy(file.at, sizes, 16);
    file.n += 8;
    assert_int_equal(usearch_read(&view, file.at, file.n, NULL, &err), KITH_OK);
    assert_int_equal(view.n, N);
    assert_true(view.vectors == file.at + 16);
    usearch_deinit(&view, NULL);

    size_t head = 16 + 4 * DIM * N;
    memset(file.at, 0, 8);
    memmove(file.at + 8, file.at + head, USEARCH_HEAD);
    memset(file.at + 8 + 17, 0, 16);
    memset(file.at + 8 + USEARCH_HEAD, 0, 40);
    file.at[8 + USEARCH_HEAD + 8] = file.at[8 + USEARCH_HEAD + 16] = 16;
    file.n = 8 + USEARCH_HEAD + 40;
    if (usearch_read(&view, file.at, file.n, NULL, &err) != KITH_OK) fail_msg("%s", err.text);
    assert_int_equal(view.n, 0);
    assert_int_equal(view.max_level, -1);
    usearch_deinit(&view, NULL);

    golden("hnswlib/ip.hnswlib", &file);
    memset(file.at + 16, 0, 8);
    memset(file.at + 48, 0xff, 8);
    file.n = HNSWLIB_HEAD;
    if (hnswlib_read(&other, file.at, file.n, NULL, &err) != KITH_OK) fail_msg("%s", err.text);
    assert_int_equal(other.n, 0);
    hnswlib_deinit(&other, NULL);
}

static void test_recognise(void **state) {
    static const char text[200] =
        "neither of them, but long enough to be asked, and then some more";
    (void)state;
    assert_int_equal(foreign_recognise((const uint8_t *)text, sizeof text), FOREIGN_NONE);
    assert_int_equal(foreign_recognise((const uint8_t *)text, 0), FOREIGN_NONE);
    assert_int_equal(foreign_recognise((const uint8_t *)"IxF2", 4), FOREIGN_FAISS);
    assert_string_equal(foreign_engine_name(FOREIGN_USEARCH), "usearch");
    assert_string_equal(foreign_engine_name((enum foreign_engine)9), "none");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncated),      cmocka_unit_test(test_hnswlib),
        cmocka_unit_test(test_levels),         cmocka_unit_test(test_usearch),
        cmocka_unit_test(test_wide_and_empty), cmocka_unit_test(test_recognise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
