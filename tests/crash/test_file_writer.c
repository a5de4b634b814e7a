/* Replacing a file, killed before and after every system call that the writer makes.
 *
 * A child replaces OLD by NEW while the linker sends its calls here; at the k-th one it kills itself, before the call or
 * after it, for each k till it gets through. The parent then finds OLD or NEW, whole, and NEW if the child had been told
 * that the commit succeeded.
 *
 * What the killed left beside the file is gone with the next write, and what a living writer has is not.
 *
 * A loss of power is rehearsed on the record of the calls: what a file holds is safe once it was synced, what a folder
 * says is safe once the folder was. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

enum { NEW_BYTES = (5 << 20) / 2, OLD_BYTES = 1000, RECORD = 64 };

/* ---- the calls ---------------------------------------------------------------------------------- */

/* Shared with the child. */
static struct {
    int calls, kill_at; /* 2k: before the k-th call, 2k + 1: after it */
    bool committed;
    char record[RECORD]; /* a letter a call */
} * watch;
static bool watching; /* the child alone */

static void moment(int which, char letter) {
    if (!watching) return;
    if (which == 0 && watch->calls < RECORD - 1) watch->record[watch->calls] = letter;
    if (watch->kill_at == 2 * watch->calls + which) raise(SIGKILL);
    watch->calls += which;
}

/* Define __wrap_NAME: the moment before, the call, the moment after. */
#define WATCH(type, name, letter, parameters, arguments) \
    type __real_##name parameters;                       \
    type __wrap_##name parameters;                       \
    type __wrap_##name parameters {                      \
        moment(0, letter);                               \
        type result = __real_##name arguments;           \
        moment(1, letter);                               \
        return result;                                   \
    }

WATCH(int, open, 'o', (const char *path, int flags, mode_t mode), (path, flags, mode))
WATCH(int, open64, 'o', (const char *path, int flags, mode_t mode), (path, flags, mode))
WATCH(ssize_t, pwrite, 'w', (int fd, const void *bytes, size_t n, off_t offset),
      (fd, bytes, n, offset))
WATCH(ssize_t, pwrite64, 'w', (int fd, const void *bytes, size_t n, off_t offset),
      (fd, bytes, n, offset))
WATCH(int, fsync, 's', (int fd), (fd))
WATCH(int, rename, 'r', (const char *from, const char *to), (from, to))
WATCH(int, close, 'c', (int fd), (fd))
WATCH(int, unlink, 'u', (const char *path), (path))

/* ---- the files ---------------------------------------------------------------------------------- */

static char folder[64], path[128];
static uint8_t *old_bytes, *new_bytes;

static int write_bytes(const uint8_t *bytes, size_t n) {
    struct file_writer *writer;
    uint8_t head[64];
    memset(head, 0, sizeof head);
    if (file_writer_open(&writer, path, NULL) != KITH_OK) return 1;
    int code = file_writer_put(writer, head, sizeof head, NULL);
    for (size_t at = 64; at < n && code == KITH_OK; at += 100000)
        code = file_writer_put(writer, bytes + at, n - at < 100000 ? n - at : 100000, NULL);
    if (code == KITH_OK) code = file_writer_patch(writer, 0, bytes, 64, NULL);
    if (code != KITH_OK) {
        file_writer_abort(writer);
        return code;
    }
    return file_writer_commit(writer, NULL);
}

static bool holds(const uint8_t *bytes, size_t n) {
    struct file_map map;
    if (file_map_open(&map, path, NULL) != KITH_OK) return false;
    bool same = map.size == n && memcmp(map.bytes, bytes, n) == 0;
    file_map_close(&map);
    return same;
}

static int remove_all(void) {
    int n = 0;
    DIR *open_folder = opendir(folder);
    for (struct dirent *entry; open_folder && (entry = readdir(open_folder)) != NULL;)
        if (entry->d_name[0] != '.') {
            n++;
            unlinkat(dirfd(open_folder), entry->d_name, 0);
        }
    if (open_folder) closedir(open_folder);
    return n;
}

static int entries(void) {
    int n = 0;
    DIR *open_folder = opendir(folder);
    for (struct dirent *entry; open_folder && (entry = readdir(open_folder)) != NULL;)
        n += entry->d_name[0] != '.';
    if (open_folder) closedir(open_folder);
    return n;
}

static int set_up(void **state) {
    (void)state;
    watch = mmap(NULL, sizeof *watch, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    strcpy(folder, "/tmp/kith-crash-XXXXXX");
    if (watch == MAP_FAILED || !mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/file", folder);
    old_bytes = malloc(OLD_BYTES);
    new_bytes = malloc(NEW_BYTES);
    memset(old_bytes, 'o', OLD_BYTES);
    for (size_t i = 0; i < NEW_BYTES; i++) new_bytes[i] = (uint8_t)(1 + i % 251);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    remove_all();
    munmap(watch, sizeof *watch);
    watch = NULL;
    free(old_bytes);
    free(new_bytes);
    return rmdir(folder);
}

/* Replace the file in a child that is killed at a moment (-1: never); true if it was. */
static bool replace_and_die(int kill_at) {
    memset(watch, 0, sizeof *watch);
    watch->kill_at = kill_at;
    pid_t child = fork();
    if (child == 0) {
        watching = true;
        int code = write_bytes(new_bytes, NEW_BYTES);
        watching = false;
        watch->committed = code == KITH_OK;
        _exit(code);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return true;
    }
    assert_int_equal(status, 0);
    return false;
}

/* ---- the cases ---------------------------------------------------------------------------------- */

static void killed_at_every_call(void **state) {
    (void)state;
    int with_old = 0, with_new = 0, moments = 0;
    for (;; moments++) {
        assert_int_equal(write_bytes(old_bytes, OLD_BYTES), KITH_OK);
        assert_int_equal(entries(), 1); /* nothing of those that were killed before */
        bool killed = replace_and_die(moments);
        bool is_old = holds(old_bytes, OLD_BYTES), is_new = holds(new_bytes, NEW_BYTES);
        assert_true(is_old != is_new);
        with_old += is_old;
        with_new += is_new;
        if (!killed) {
            assert_true(watch->committed && is_new);
            break;
        }
        assert_false(watch->committed);
    }
    assert_in_range(moments, 16, 200); /* open, writes, syncs, rename, closes: two moments each */
    assert_true(with_old > 8 && with_new > 4);
    remove_all();
}

static void killed_where_there_was_no_file(void **state) {
    (void)state;
    for (int moments = 0;; moments++) {
        bool killed = replace_and_die(moments);
        bool is_there = access(path, F_OK) == 0;
        if (is_there) assert_true(holds(new_bytes, NEW_BYTES));
        assert_true(killed || is_there);
        assert_true(remove_all() <= 1); /* the file, or what was to become it */
        if (!killed) break;
    }
}

static void temp_name(char name[200], int n) { snprintf(name, 200, "%s.kith-tmp-%d", path, n); }

/* What is no regular file of ours stays, and hinders nobody. */
static void only_leftovers_are_removed(void **state) {
    (void)state;
    char name[4][200], target[200];
    for (int n = 0; n < 4; n++) temp_name(name[n], n);
    snprintf(target, sizeof target, "%s/other", folder);
    assert_int_equal(write_bytes(old_bytes, OLD_BYTES), KITH_OK);
    assert_int_equal(rename(path, target), 0);
    assert_int_equal(mkdir(name[0], 0700), 0);
    assert_int_equal(symlink(target, name[1]), 0);
    assert_int_equal(mkfifo(name[2], 0600), 0);
    int fd = open(name[3], O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(write_bytes(new_bytes, NEW_BYTES), KITH_OK);
    assert_true(holds(new_bytes, NEW_BYTES));
    assert_int_equal(entries(), 5);
    assert_int_not_equal(access(name[3], F_OK), 0);
    assert_int_equal(access(target, F_OK), 0);
    assert_int_equal(rmdir(name[0]), 0);
    remove_all();
}

/* Two writers of one file at once, one of them in another process, and both after a third was killed. */
static void living_writers_keep_theirs(void **state) {
    (void)state;
    struct file_writer *writer;
    assert_true(replace_and_die(6)); /* amid its writes */
    assert_int_equal(entries(), 1);
    assert_int_equal(file_writer_open(&writer, path, NULL), KITH_OK);
    assert_int_equal(entries(), 1); /* its own, not that of the killed */
    assert_false(replace_and_die(-1));
    assert_true(holds(new_bytes, NEW_BYTES));
    assert_int_equal(entries(), 2);
    assert_int_equal(file_writer_put(writer, old_bytes, OLD_BYTES, NULL), KITH_OK);
    assert_int_equal(file_writer_commit(writer, NULL), KITH_OK);
    assert_true(holds(old_bytes, OLD_BYTES));
    assert_int_equal(entries(), 1);
    remove_all();
}

/* Many writers of one file at once, half of them killed: each that committed was whole, and one more leaves no trace. */
static void writers_and_the_killed_at_once(void **state) {
    (void)state;
    enum { WRITERS = 12 };
    pid_t child[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        child[i] = fork();
        if (child[i] != 0) continue;
        for (int round = 0; round < 10; round++)
            if (write_bytes(new_bytes, NEW_BYTES) != KITH_OK) _exit(1);
        _exit(0);
    }
    for (int i = 0; i < WRITERS; i += 2) {
        usleep(3000);
        kill(child[i], SIGKILL);
    }
    for (int i = 0; i < WRITERS; i++) {
        int status = -1;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        if (i % 2) assert_int_equal(status, 0);
    }
    assert_true(holds(new_bytes, NEW_BYTES));
    assert_int_equal(write_bytes(old_bytes, OLD_BYTES), KITH_OK);
    assert_int_equal(entries(), 1);
    remove_all();
}

static void synced_in_the_order_that_power_loss_asks_for(void **state) {
    (void)state;
    assert_false(replace_and_die(-1));
    const char *record = watch->record;
    const char *renamed = strchr(record, 'r');
    assert_non_null(renamed);
    assert_null(strchr(renamed + 1, 'r'));
    assert_int_equal(renamed[-1], 's'); /* all is safe before the name points to it */
    assert_null(strchr(renamed, 'w'));  /* and nothing is written after */
    const char *folder_synced = strchr(renamed, 's');
    assert_non_null(folder_synced);    /* the name itself is made safe */
    assert_int_equal(renamed[1], 'o'); /* by opening the folder it is in */
    assert_ptr_equal(folder_synced, renamed + 2);
    assert_null(strchr(record, 'u'));
    remove_all();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_every_call),
        cmocka_unit_test(killed_where_there_was_no_file),
        cmocka_unit_test(only_leftovers_are_removed),
        cmocka_unit_test(living_writers_keep_theirs),
        cmocka_unit_test(writers_and_the_killed_at_once),
        cmocka_unit_test(synced_in_the_order_that_power_loss_asks_for),
    };
    return cmocka_run_group_tests_name("crash_file_writer", tests, set_up, tear_down);
}
