/* Files: what is written is what is mapped, and what goes wrong changes nothing. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/file.h"
#include "base/mem.h"

#define MIB ((size_t)1 << 20)

/* ---- a system that fails (the linker sends the library's calls here) --------------------------- */

static struct {
    size_t room;    /* bytes till the disk is full */
    int full_errno; /* and what it says then */
    int tears;      /* writes are interrupted or short in turn */
    int fsyncs_left, rename_errno;
} system_now;

ssize_t __real_pwrite64(int fd, const void *bytes, size_t n, off_t offset);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t n, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t n, off_t offset);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);

ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t n, off_t offset) {
    if (system_now.tears && system_now.tears++ % 2) {
        errno = EINTR;
        return -1;
    }
    if (system_now.tears) n = n / 2 + 1;
    if (system_now.room == 0) {
        errno = system_now.full_errno;
        return -1;
    }
    if (n > system_now.room) n = system_now.room;
    system_now.room -= n;
    return __real_pwrite64(fd, bytes, n, offset);
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t n, off_t offset) {
    return __wrap_pwrite64(fd, bytes, n, offset);
}

int __wrap_fsync(int fd) {
    if (system_now.fsyncs_left-- > 0) return __real_fsync(fd);
    errno = EIO;
    return -1;
}

int __wrap_rename(const char *from, const char *to) {
    errno = system_now.rename_errno;
    return errno ? -1 : __real_rename(from, to);
}

/* ---- a folder of our own for each case ---------------------------------------------------------- */

static char folder[64];
static char path[128];

static int set_up(void **state) {
    (void)state;
    system_now.room = SIZE_MAX;
    system_now.full_errno = ENOSPC;
    system_now.tears = 0;
    system_now.fsyncs_left = 1000;
    system_now.rename_errno = 0;
    strcpy(folder, "/tmp/kith-file-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/file", folder);
    return 0;
}

static int entries(bool remove_them) {
    int n = 0;
    DIR *open_folder = opendir(folder);
    assert_non_null(open_folder);
    for (struct dirent *entry; (entry = readdir(open_folder)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        n++;
        if (remove_them) unlinkat(dirfd(open_folder), entry->d_name, 0);
    }
    closedir(open_folder);
    return n;
}

static int tear_down(void **state) {
    (void)state;
    entries(true);
    return rmdir(folder);
}

static void write_whole(const char *to, const void *bytes, size_t n) {
    struct file_writer *writer;
    kith_error err = {0};
    assert_int_equal(file_writer_open(&writer, to, &err), KITH_OK);
    assert_int_equal(file_writer_put(writer, bytes, n, &err), KITH_OK);
    assert_int_equal(file_writer_commit(writer, &err), KITH_OK);
}

static void assert_holds(const char *where, const void *bytes, size_t n) {
    struct file_map map;
    kith_error err = {0};
    assert_int_equal(file_map_open(&map, where, &err), KITH_OK);
    assert_int_equal(map.size, n);
    if (n) assert_memory_equal(map.bytes, bytes, n);
    file_map_close(&map);
    assert_null(map.bytes);
}

static uint8_t *random_bytes(size_t n) {
    uint8_t *bytes = malloc(n + 8);
    uint64_t seed = n;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = bits_random(&seed);
        memcpy(bytes + i, &word, 8);
    }
    return bytes;
}

/* ---- when all goes well ------------------------------------------------------------------------- */

static void what_is_written_is_read(void **state) {
    (void)state;
    const size_t sizes[] = {0, 1, 4096, MIB - 1, MIB, MIB + 1, 3 * MIB + 5};
    for (int i = 0; i < 7; i++) {
        uint8_t *bytes = random_bytes(sizes[i]);
        write_whole(path, bytes, sizes[i]);
        assert_holds(path, bytes, sizes[i]);
        free(bytes);
    }
    assert_int_equal(entries(false), 1);
}

/* Pieces, gaps and patches in any order, against an array. */
static void pieces_gaps_and_patches(void **state) {
    (void)state;
    enum { MOST = 6 << 20 };
    uint8_t *model = calloc(MOST, 1), *bytes = random_bytes(MOST);
    uint64_t seed = 31;
    for (int round = 0; round < 6; round++) {
        struct file_writer *writer;
        size_t n = 0;
        system_now.tears = round % 2;
        assert_int_equal(file_writer_open(&writer, path, NULL), KITH_OK);
        while (n < MOST - 3 * MIB) {
            size_t piece = (size_t)(bits_random(&seed) % (bits_random(&seed) % 4 ? 5000 : 2 * MIB));
            assert_int_equal(file_writer_put(writer, bytes + n, piece, NULL), KITH_OK);
            memcpy(model + n, bytes + n, piece);
            n += piece;
            size_t power = (size_t)1 << bits_random(&seed) % 14, end = bits_round_up(n, power);
            assert_int_equal(file_writer_align(writer, power, NULL), KITH_OK);
            memset(model + n, 0, end - n);
            n = end;
            assert_int_equal(file_writer_offset(writer), n);
            size_t length = (size_t)(bits_random(&seed) % (n < MIB ? n + 1 : MIB));
            size_t at = (size_t)(bits_random(&seed) % (n - length + 1));
            assert_int_equal(file_writer_patch(writer, at, bytes + 77, length, NULL), KITH_OK);
            memcpy(model + at, bytes + 77, length);
        }
        kith_error err;
        assert_int_equal(file_writer_patch(writer, n, "x", 1, &err), KITH_EINVAL);
        assert_int_equal(file_writer_patch(writer, UINT64_MAX, "x", 1, &err), KITH_EINVAL);
        assert_int_equal(file_writer_commit(writer, NULL), KITH_OK);
        assert_holds(path, model, n);
    }
    free(model);
    free(bytes);
}

static void the_old_file_stays_till_commit(void **state) {
    (void)state;
    struct file_writer *writer;
    write_whole(path, "old", 3);
    assert_int_equal(file_writer_open(&writer, path, NULL), KITH_OK);
    uint8_t *bytes = random_bytes(2 * MIB);
    assert_int_equal(file_writer_put(writer, bytes, 2 * MIB, NULL), KITH_OK);
    assert_holds(path, "old", 3);
    assert_int_equal(entries(false), 2);
    file_writer_abort(writer);
    file_writer_abort(NULL);
    assert_holds(path, "old", 3);
    assert_int_equal(entries(false), 1);
    free(bytes);
}

static void a_map_outlives_a_replaced_file(void **state) {
    (void)state;
    struct file_map map;
    write_whole(path, "old", 3);
    assert_int_equal(file_map_open(&map, path, NULL), KITH_OK);
    write_whole(path, "new!", 4);
    assert_memory_equal(map.bytes, "old", 3);
    file_map_close(&map);
    assert_holds(path, "new!", 4);
}

static void links_are_followed_and_permissions_kept(void **state) {
    (void)state;
    char link[160];
    struct stat status;
    snprintf(link, sizeof link, "%s/link", folder);
    write_whole(path, "old", 3);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(symlink("file", link), 0);
    write_whole(link, "new", 3);
    assert_holds(path, "new", 3);
    assert_int_equal(lstat(link, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
}

static void a_name_without_a_folder(void **state) {
    (void)state;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    write_whole("file", "here", 4);
    assert_int_equal(chdir(before), 0);
    assert_holds(path, "here", 4);
}

static void two_writers_of_one_path(void **state) {
    (void)state;
    struct file_writer *first, *second;
    assert_int_equal(file_writer_open(&first, path, NULL), KITH_OK);
    assert_int_equal(file_writer_open(&second, path, NULL), KITH_OK);
    assert_int_equal(file_writer_put(first, "first", 5, NULL), KITH_OK);
    assert_int_equal(file_writer_put(second, "second", 6, NULL), KITH_OK);
    assert_int_equal(file_writer_commit(second, NULL), KITH_OK);
    assert_holds(path, "second", 6);
    assert_int_equal(file_writer_commit(first, NULL), KITH_OK);
    assert_holds(path, "first", 5);
}

/* ---- when it does not --------------------------------------------------------------------------- */

static void assert_refused(const char *to, int code) {
    struct file_writer *writer = NULL;
    kith_error err = {0};
    uint64_t blocks = mem_live_blocks();
    assert_int_equal(file_writer_open(&writer, to, &err), code);
    assert_int_equal(err.code, code);
    assert_true(strlen(err.text) > 10);
    assert_null(writer);
    assert_int_equal(mem_live_blocks(), blocks);
}

static void bad_paths_are_refused(void **state) {
    (void)state;
    char long_name[6000], missing[160];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    snprintf(missing, sizeof missing, "%s/none/file", folder);
    assert_refused(missing, KITH_EIO);
    assert_refused(folder, KITH_EIO);
    assert_refused("", KITH_EIO);
    assert_refused(long_name, KITH_EIO);
    assert_refused("/dev/null", KITH_EIO);
    struct stat status;
    assert_int_equal(stat("/dev/null", &status), 0);
    assert_true(S_ISCHR(status.st_mode));
    assert_int_equal(entries(false), 0);
}

static void bad_maps_are_refused(void **state) {
    (void)state;
    struct file_map map = {NULL, 7, NULL};
    kith_error err;
    assert_int_equal(file_map_open(&map, path, &err), KITH_EIO);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "No such file"));
    assert_int_equal(file_map_open(&map, folder, &err), KITH_EIO);
    assert_int_equal(file_map_open(&map, "/dev/zero", &err), KITH_EIO);
    assert_int_equal(map.size, 7);
}

static void without_memory_nothing_is_made(void **state) {
    (void)state;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mem_test_fail_at(nth);
        assert_refused(path, KITH_ENOMEM);
    }
    mem_test_fail_at(0);
    assert_int_equal(entries(false), 0);
}

/* Write 5 MiB where only `room` bytes fit; the old file stays, the space comes back. */
static void fill_the_disk(size_t room, int full_errno) {
    struct file_writer *writer;
    kith_error err = {0};
    uint8_t *bytes = random_bytes(MIB);
    int code = KITH_OK;
    write_whole(path, "old", 3);
    system_now.room = room;
    system_now.full_errno = full_errno;
    uint64_t blocks = mem_live_blocks();
    assert_int_equal(file_writer_open(&writer, path, NULL), KITH_OK);
    for (int i = 0; i < 50 && code == KITH_OK; i++)
        code = file_writer_put(writer, bytes, MIB / 10, &err);
    int first = code;
    if (code != KITH_OK) {
        assert_int_equal(entries(false), 1); /* the temporary is gone at once */
        assert_int_equal(file_writer_put(writer, bytes, 1, NULL), code);
        assert_int_equal(file_writer_patch(writer, 0, bytes, 1, NULL), code);
        assert_int_equal(file_writer_align(writer, 64, NULL), code);
    }
    code = file_writer_commit(writer, first == KITH_OK ? &err : NULL);
    assert_int_equal(code, full_errno == EIO ? KITH_EIO : KITH_ENOSPC);
    if (first != KITH_OK) assert_int_equal(code, first);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, strerror(full_errno)));
    system_now.room = SIZE_MAX;
    assert_holds(path, "old", 3);
    assert_int_equal(entries(false), 1);
    assert_int_equal(mem_live_blocks(), blocks);
    free(bytes);
}

static void a_full_disk_is_no_space(void **state) {
    (void)state;
    fill_the_disk(0, ENOSPC);
    fill_the_disk(MIB + 1000, ENOSPC);
    fill_the_disk(5 * MIB / 10 * 10 - 100, ENOSPC); /* only the last flush, in commit, finds out */
    fill_the_disk(2 * MIB, EDQUOT);
    fill_the_disk(2 * MIB, EFBIG);
    fill_the_disk(2 * MIB, EIO);
}

static void a_failed_sync_or_rename_changes_nothing(void **state) {
    (void)state;
    struct file_writer *writer;
    kith_error err = {0};
    write_whole(path, "old", 3);
    system_now.fsyncs_left = 0;
    assert_int_equal(file_writer_open(&writer, path, NULL), KITH_OK);
    assert_int_equal(file_writer_put(writer, "new", 3, NULL), KITH_OK);
    assert_int_equal(file_writer_commit(writer, &err), KITH_EIO);
    assert_holds(path, "old", 3);

    system_now.fsyncs_left = 1000;
    system_now.rename_errno = EACCES;
    assert_int_equal(file_writer_open(&writer, path, NULL), KITH_OK);
    assert_int_equal(file_writer_commit(writer, &err), KITH_EIO);
    assert_non_null(strstr(err.text, "Permission denied"));
    assert_holds(path, "old", 3);
    assert_int_equal(entries(false), 1);
}

/* The file is in place, but the folder may forget it: said, not hidden. */
static void a_folder_that_cannot_be_synced_is_told(void **state) {
    (void)state;
    struct file_writer *writer;
    kith_error err = {0};
    system_now.fsyncs_left = 1;
    assert_int_equal(file_writer_open(&writer, path, NULL), KITH_OK);
    assert_int_equal(file_writer_put(writer, "new", 3, NULL), KITH_OK);
    assert_int_equal(file_writer_commit(writer, &err), KITH_EIO);
    assert_non_null(strstr(err.text, folder));
    assert_holds(path, "new", 3);
    assert_int_equal(entries(false), 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(what_is_written_is_read),
        CASE(pieces_gaps_and_patches),
        CASE(the_old_file_stays_till_commit),
        CASE(a_map_outlives_a_replaced_file),
        CASE(links_are_followed_and_permissions_kept),
        CASE(a_name_without_a_folder),
        CASE(two_writers_of_one_path),
        CASE(bad_paths_are_refused),
        CASE(bad_maps_are_refused),
        CASE(without_memory_nothing_is_made),
        CASE(a_full_disk_is_no_space),
        CASE(a_failed_sync_or_rename_changes_nothing),
        CASE(a_folder_that_cannot_be_synced_is_told),
    };
    return cmocka_run_group_tests_name("unit_file", tests, NULL, NULL);
}
