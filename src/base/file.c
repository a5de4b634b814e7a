/* Files: mapping whole ones, and writing that is all or nothing. See file.h for the invariants.
 *
 *     offset   0 ........................ written ............... written + fill
 *              on its way to the disk     in buffer (1 MiB)       file_writer_offset */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"

#define BUFFER_BYTES ((size_t)1 << 20)
#define WRITE_MOST   ((size_t)1 << 30)
#define TEMP_NAMES   64u /* writers of one file at once */

struct file_writer {
    int fd;
    int failed; /* the code of the first failure */
    uint64_t written;
    size_t fill;
    uint8_t *buffer;
    char path[PATH_MAX]; /* links resolved */
    char temp[PATH_MAX];
};

int file_fail(kith_error *err, const char *what, const char *path, int number) {
    char text[96];
    const char *said = strerror_r(number, text, sizeof text);
    int code = KITH_EIO;
    if (number == ENOSPC || number == EDQUOT || number == EFBIG)
        code = KITH_ENOSPC;
    else if (number == ENOMEM)
        code = KITH_ENOMEM;
    return FAIL(err, code, "cannot %s %s: %s", what, path, said);
}

/* ---- mapping ----------------------------------------------------------------------------------- */

int file_map_open(struct file_map *map, const char *path, kith_error *err) {
    int fd, code = KITH_OK;
    do fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return file_fail(err, "open", path, errno);

    struct file_map opened = {NULL, 0, NULL};
    struct stat status;
    if (fstat(fd, &status) != 0) {
        code = file_fail(err, "examine", path, errno);
    } else if (!S_ISREG(status.st_mode)) {
        code = FAIL(err, KITH_EIO, "cannot map %s: not a regular file", path);
    } else if ((uint64_t)status.st_size > SIZE_MAX) {
        code = FAIL(err, KITH_ENOMEM, "cannot map %s: %lld bytes do not fit the address space",
                    path, (long long)status.st_size);
    } else if (status.st_size > 0) {
        opened.size = (size_t)status.st_size;
        void *bytes = mmap(NULL, opened.size, PROT_READ, MAP_SHARED, fd, 0);
        if (bytes == MAP_FAILED)
            code = file_fail(err, "map", path, errno);
        else
            opened.bytes = bytes;
    }
    close(fd);
    if (code == KITH_OK) *map = opened;
    return code;
}

void file_map_close(struct file_map *map) {
    if (map->bytes) munmap((void *)(uintptr_t)map->bytes, map->size);
    *map = (struct file_map){NULL, 0, NULL};
}

static size_t page_of(void) { return (size_t)sysconf(_SC_PAGESIZE); }

void file_map_drop(const void *bytes, size_t n) {
    uintptr_t page = page_of(), from = ((uintptr_t)bytes + page - 1) / page * page,
              to = ((uintptr_t)bytes + n) / page * page;
    if (to > from) madvise((void *)from, to - from, MADV_DONTNEED);
}

/* Advice on all pages that a part touches. */
static void advise(const void *bytes, size_t n, int advice) {
    uintptr_t page = page_of(), from = (uintptr_t)bytes / page * page;
    if (n) madvise((void *)from, (uintptr_t)bytes + n - from, advice);
}

void file_map_scatter(const void *bytes, size_t n) {
    advise(bytes, n, MADV_RANDOM);
#ifdef MADV_NOHUGEPAGE
    advise(bytes, n, MADV_NOHUGEPAGE);
#endif
}

void file_map_fetch(const void *bytes, size_t n) { advise(bytes, n, MADV_WILLNEED); }

/* ---- the writer's temporary -------------------------------------------------------------------- */

/* Where to write: path with links followed; refuses what exists and is not a regular file. */
static int resolve(struct file_writer *writer, const char *path, mode_t *mode, kith_error *err) {
    struct stat status;
    *mode = 0;
    if (stat(path, &status) == 0) {
        if (!S_ISREG(status.st_mode))
            return FAIL(err, KITH_EIO, "cannot replace %s: not a regular file", path);
        *mode = status.st_mode & 07777;
        if (!realpath(path, writer->path)) return file_fail(err, "resolve", path, errno);
        return KITH_OK;
    }
    if (errno != ENOENT) return file_fail(err, "examine", path, errno);
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof writer->path)
        return file_fail(err, "create", path, length ? ENAMETOOLONG : ENOENT);
    memcpy(writer->path, path, length + 1);
    return KITH_OK;
}

/* Whether a name still leads to the open file: nobody may have it who did not hold its lock in between. */
static bool is_named(int fd, const char *name) {
    struct stat file, named;
    return fstat(fd, &file) == 0 && lstat(name, &named) == 0 && file.st_dev == named.st_dev &&
           file.st_ino == named.st_ino;
}

/* Remove a temporary that a killed writer left: a regular file of ours whose lock is free. Where the file system has no
 * locks it stays. */
static void temp_reclaim(const char *name) {
    struct stat status;
    int fd = open(name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
        flock(fd, LOCK_EX | LOCK_NB) == 0 && is_named(fd, name))
        unlink(name);
    close(fd);
}

/* Create a temporary and lock it; a descriptor, or -1 and errno, EEXIST where the name is another's. */
static int temp_create(const char *name) {
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return -1;
    bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (locked ? is_named(fd, name) : errno != EWOULDBLOCK) return fd;
    close(fd); /* another writer took it for a dead one's, before it was locked */
    errno = EEXIST;
    return -1;
}

static bool temp_name(struct file_writer *writer, uint32_t n) {
    int length = snprintf(writer->temp, sizeof writer->temp, "%s.kith-tmp-%u", writer->path, n);
    return length > 0 && (size_t)length < sizeof writer->temp;
}

/* The first name that is free, once what the dead left is gone. */
static int temp_open(struct file_writer *writer, mode_t mode, kith_error *err) {
    for (uint32_t n = TEMP_NAMES; n-- > 0;)
        if (temp_name(writer, n) && access(writer->temp, F_OK) == 0) temp_reclaim(writer->temp);
    for (uint32_t n = 0; n < TEMP_NAMES && writer->fd < 0; n++) {
        if (!temp_name(writer, n)) return file_fail(err, "create", writer->path, ENAMETOOLONG);
        do writer->fd = temp_create(writer->temp);
        while (writer->fd < 0 && errno == EINTR);
        if (writer->fd < 0 && errno != EEXIST) break;
    }
    if (writer->fd < 0) return file_fail(err, "create", writer->temp, errno);
    if (mode != 0)
        (void)!fchmod(writer->fd, mode); /* where refused, the default permissions stand */
    return KITH_OK;
}

static void temp_remove(struct file_writer *writer) {
    if (writer->fd >= 0) {
        unlink(writer->temp);
        close(writer->fd);
        writer->fd = -1;
    }
}

static void writer_free(struct file_writer *writer) {
    mem_free(NULL, writer->buffer, BUFFER_BYTES);
    mem_free(NULL, writer, sizeof *writer);
}

int file_writer_open(struct file_writer **out, const char *path, kith_error *err) {
    struct file_writer *writer = mem_new(NULL, sizeof *writer);
    if (!writer)
        return FAIL(err, KITH_ENOMEM, "no memory for %zu bytes to write %s", sizeof *writer, path);
    mode_t mode;
    int code = KITH_OK;
    writer->fd = -1;
    writer->buffer = mem_new(NULL, BUFFER_BYTES);
    if (!writer->buffer) {
        code = FAIL(err, KITH_ENOMEM, "no memory for %zu bytes to write %s", BUFFER_BYTES, path);
        goto done;
    }
    TRY_DONE(resolve(writer, path, &mode, err));
    TRY_DONE(temp_open(writer, mode, err));
    *out = writer;
done:
    if (code != KITH_OK) writer_free(writer);
    return code;
}

/* ---- writing ----------------------------------------------------------------------------------- */

/* The first failure ends it: the temporary goes at once, its space with it. */
static int writer_fail(struct file_writer *writer, int code) {
    writer->failed = code;
    temp_remove(writer);
    return code;
}

static int writer_failed(const struct file_writer *writer, kith_error *err) {
    return FAIL(err, writer->failed, "writing %s has failed before", writer->path);
}

int file_write_at(int fd, const char *path, uint64_t offset, const void *bytes, size_t n,
                  kith_error *err) {
    const uint8_t *left = bytes;
    while (n > 0) {
        ssize_t wrote = pwrite(fd, left, n < WRITE_MOST ? n : WRITE_MOST, (off_t)offset);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return file_fail(err, "write", path, wrote < 0 ? errno : EIO);
        left += wrote;
        offset += (uint64_t)wrote;
        n -= (size_t)wrote;
    }
    return KITH_OK;
}

static int write_at(struct file_writer *writer, uint64_t offset, const uint8_t *bytes, size_t n,
                    kith_error *err) {
    int code = file_write_at(writer->fd, writer->path, offset, bytes, n, err);
    return code == KITH_OK ? KITH_OK : writer_fail(writer, code);
}

static int flush(struct file_writer *writer, kith_error *err) {
    TRY(write_at(writer, writer->written, writer->buffer, writer->fill, err));
    writer->written += writer->fill;
    writer->fill = 0;
    return KITH_OK;
}

int file_writer_put(struct file_writer *writer, const void *bytes, size_t n, kith_error *err) {
    if (writer->failed) return writer_failed(writer, err);
    const uint8_t *p = bytes;
    if (n >= BUFFER_BYTES) { /* as much as the buffer holds gains nothing from it */
        TRY(flush(writer, err));
        TRY(write_at(writer, writer->written, p, n, err));
        writer->written += n;
        return KITH_OK;
    }
    while (n > 0) {
        size_t room = BUFFER_BYTES - writer->fill;
        size_t piece = n < room ? n : room;
        memcpy(writer->buffer + writer->fill, p, piece);
        writer->fill += piece;
        p += piece;
        n -= piece;
        if (writer->fill == BUFFER_BYTES) TRY(flush(writer, err));
    }
    return KITH_OK;
}

int file_writer_align(struct file_writer *writer, size_t power, kith_error *err) {
    static const uint8_t zeros[4096];
    uint64_t offset = file_writer_offset(writer);
    uint64_t left = -offset & ((uint64_t)power - 1);
    while (left > 0) {
        size_t piece = left < sizeof zeros ? (size_t)left : sizeof zeros;
        TRY(file_writer_put(writer, zeros, piece, err));
        left -= piece;
    }
    return writer->failed ? writer_failed(writer, err) : KITH_OK;
}

uint64_t file_writer_offset(const struct file_writer *writer) {
    return writer->written + writer->fill;
}

int file_writer_patch(struct file_writer *writer, uint64_t offset, const void *bytes, size_t n,
                      kith_error *err) {
    if (writer->failed) return writer_failed(writer, err);
    uint64_t end = file_writer_offset(writer);
    if (offset > end || n > end - offset)
        return FAIL(err, KITH_EINVAL, "cannot patch %zu bytes at %llu of %s: %llu bytes written", n,
                    (unsigned long long)offset, writer->path, (unsigned long long)end);
    const uint8_t *p = bytes;
    if (offset < writer->written) {
        uint64_t below = writer->written - offset;
        size_t piece = below < n ? (size_t)below : n;
        TRY(write_at(writer, offset, p, piece, err));
        p += piece;
        offset += piece;
        n -= piece;
    }
    if (n > 0) memcpy(writer->buffer + (offset - writer->written), p, n);
    return KITH_OK;
}

/* ---- the end ----------------------------------------------------------------------------------- */

static int sync_fd(int fd) {
    int result;
    do result = fsync(fd);
    while (result != 0 && errno == EINTR);
    return result;
}

int file_sync_data(int fd, const char *path, kith_error *err) {
    int result;
    do result = fdatasync(fd);
    while (result != 0 && errno == EINTR);
    return result == 0 ? KITH_OK : file_fail(err, "sync", path, errno);
}

int file_sync_folder(const char *path, kith_error *err) {
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash)
        memcpy(folder, ".", 2);
    else
        snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? KITH_OK /* writable, not readable: nothing more can be done */
                               : file_fail(err, "open", folder, errno);
    int code = KITH_OK;
    if (sync_fd(fd) != 0 && errno != EINVAL && errno != ENOTSUP) /* not every file system can */
        code = file_fail(err, "sync", folder, errno);
    close(fd);
    return code;
}

static int finish(struct file_writer *writer, kith_error *err) {
    if (writer->failed) return writer_failed(writer, err);
    TRY(flush(writer, err));
    if (sync_fd(writer->fd) != 0) return file_fail(err, "sync", writer->path, errno);
    if (rename(writer->temp, writer->path) != 0)
        return file_fail(err, "replace", writer->path, errno);
    writer->temp[0] = '\0'; /* from here on there is nothing to remove */
    return file_sync_folder(writer->path, err);
}

int file_writer_commit(struct file_writer *writer, kith_error *err) {
    int code = finish(writer, err);
    if (writer->temp[0] == '\0') {
        close(writer->fd);
        writer->fd = -1;
    }
    file_writer_abort(writer);
    return code;
}

void file_writer_abort(struct file_writer *writer) {
    if (!writer) return;
    temp_remove(writer);
    writer_free(writer);
}
