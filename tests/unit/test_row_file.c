/* Files of rows: what was written is there, in this process and the next, and what is wrong is told with its number. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/row_file.h"

static char folder[64], path[96];

static int enter(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/kith-row-file-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/rows", folder);
    return 0;
}

static int leave(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void fill(uint8_t *row, uint32_t bytes, uint32_t number) {
    for (uint32_t i = 0; i < bytes; i++) row[i] = (uint8_t)(number * 31u + i);
}

static void rows_come_back(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 4, 100, 3072, 262144};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct mem_account owner = {0};
        struct row_file *file;
        uint32_t bytes = sizes[s], last = bytes > 4096 ? 5000 : 70000;
        uint8_t *row = malloc(2 * (size_t)bytes);
        assert_int_equal(row_file_create(&file, path, bytes, &owner, NULL), KITH_OK);
        assert_int_equal(row_file_capacity(file), 0);
        assert_null(row_file_at(file, 0));
        fill(row, bytes, 3);
        fill(row + bytes, bytes, 4);
        assert_int_equal(row_file_write(file, 3, 2, row, NULL), KITH_OK);
        const uint8_t *third = row_file_at(file, 3);
        assert_memory_equal(third, row, bytes);
        fill(row, bytes, last);
        assert_int_equal(row_file_write(file, last, 1, row, NULL), KITH_OK);
        assert_ptr_equal(row_file_at(file, 3), third);
        assert_int_equal(*(const uint8_t *)row_file_at(file, 2), 0);
        assert_int_equal(row_file_sync(file, NULL), KITH_OK);
        assert_true(row_file_bytes(file) < 8u << 20); /* what was skipped takes no space */
        row_file_close(file);
        assert_int_equal(owner.bytes, 0);

        assert_int_equal(row_file_open(&file, path, bytes, false, &owner, NULL), KITH_OK);
        assert_memory_equal(row_file_at(file, last), row, bytes);
        assert_memory_equal((const uint8_t *)row_file_at(file, 3) + bytes, row_file_at(file, 4), 1);
        assert_null(row_file_at(file, row_file_capacity(file)));
        assert_int_equal(row_file_write(file, 0, 1, row, NULL), KITH_EREADONLY);
        row_file_close(file);
        free(row);
    }
}

static void a_reader_follows(void **state) {
    (void)state;
    struct row_file *writer, *reader;
    assert_int_equal(row_file_create(&writer, path, 8, NULL, NULL), KITH_OK);
    assert_int_equal(row_file_open(&reader, path, 8, false, NULL, NULL), KITH_OK);
    assert_int_equal(row_file_write(writer, 1000000, 1, "12345678", NULL), KITH_OK);
    assert_null(row_file_at(reader, 1000000));
    assert_int_equal(row_file_refresh(reader, NULL), KITH_OK);
    assert_memory_equal(row_file_at(reader, 1000000), "12345678", 8);
    row_file_close(reader);
    row_file_close(writer);
}

static void other_files_are_told(void **state) {
    (void)state;
    struct row_file *file;
    kith_error err;
    assert_int_equal(row_file_open(&file, path, 8, true, NULL, &err), KITH_EIO);
    assert_int_equal(row_file_create(&file, path, 8, NULL, NULL), KITH_OK);
    row_file_close(file);
    assert_int_equal(row_file_open(&file, path, 12, true, NULL, &err), KITH_EFORMAT);
    assert_non_null(strstr(err.text, "8 bytes, not 12"));
    FILE *raw = fopen(path, "r+");
    fseek(raw, 13, SEEK_SET);
    fputc(9, raw);
    fclose(raw);
    assert_int_equal(row_file_open(&file, path, 8, true, NULL, &err), KITH_ECORRUPT);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(row_file_open(&file, path, 8, true, NULL, &err), KITH_EFORMAT);
    assert_int_equal(row_file_create(&file, path, 0, NULL, &err), KITH_EINVAL);
}

/* As on a full disk: what cannot be written is an error, what was written stays, and later there may be room. */
static void no_room_is_not_the_end(void **state) {
    (void)state;
    struct row_file *file;
    kith_error err;
    struct rlimit before, limit;
    assert_int_equal(row_file_create(&file, path, 1024, NULL, NULL), KITH_OK);
    uint8_t row[1024];
    fill(row, sizeof row, 1);
    assert_int_equal(row_file_write(file, 0, 1, row, NULL), KITH_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)2 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(row_file_write(file, 100000, 1, row, &err), KITH_ENOSPC);
    assert_memory_equal(row_file_at(file, 0), row, sizeof row);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(row_file_write(file, 100000, 1, row, NULL), KITH_OK);
    assert_memory_equal(row_file_at(file, 100000), row, sizeof row);
    row_file_close(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_come_back, enter, leave),
        cmocka_unit_test_setup_teardown(a_reader_follows, enter, leave),
        cmocka_unit_test_setup_teardown(other_files_are_told, enter, leave),
        cmocka_unit_test_setup_teardown(no_room_is_not_the_end, enter, leave)};
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
