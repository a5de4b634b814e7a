/* Spills: temporary files that never have a name for long, so that nobody has to clean up after a process that died. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/status.h"

#define WRITE_MOST ((size_t)1 << 30)

static void folder_of(const char *path, char *folder, size_t size) {
    const char *slash = strrchr(path, '/');
    int length = !slash ? 1 : slash == path ? 1 : (int)(slash - path);
    snprintf(folder, size, "%.*s", length, slash ? path : ".");
}

int file_spill_open(struct file_spill *spill, const char *path, kith_error *err) {
    char name[PATH_MAX];
    folder_of(path, name, sizeof name);
    spill->bytes = 0;
    spill->fd = open(name, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (spill->fd >= 0) return KITH_OK;
    size_t length = strlen(name); /* not every file system can */
    if (length + sizeof "/kith-spill-XXXXXX" > sizeof name)
        return file_fail(err, "spill beside", path, ENAMETOOLONG);
    memcpy(name + length, "/kith-spill-XXXXXX", sizeof "/kith-spill-XXXXXX");
    spill->fd = mkostemp(name, O_CLOEXEC);
    if (spill->fd < 0) return file_fail(err, "spill beside", path, errno);
    unlink(name);
    return KITH_OK;
}

int file_spill_put(struct file_spill *spill, const void *bytes, size_t n, kith_error *err) {
    const uint8_t *p = bytes;
    while (n > 0) {
        ssize_t wrote = pwrite(spill->fd, p, n < WRITE_MOST ? n : WRITE_MOST, (off_t)spill->bytes);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return file_fail(err, "write", "a spill", wrote < 0 ? errno : EIO);
        spill->bytes += (uint64_t)wrote;
        p += wrote;
        n -= (size_t)wrote;
    }
    return KITH_OK;
}

int file_spill_get(const struct file_spill *spill, uint64_t offset, void *bytes, size_t n,
                   kith_error *err) {
    uint8_t *p = bytes;
    while (n > 0) {
        ssize_t got = pread(spill->fd, p, n < WRITE_MOST ? n : WRITE_MOST, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return file_fail(err, "read", "a spill", got < 0 ? errno : EIO);
        offset += (uint64_t)got;
        p += got;
        n -= (size_t)got;
    }
    return KITH_OK;
}

void file_spill_close(struct file_spill *spill) {
    if (spill->fd >= 0) close(spill->fd);
    spill->fd = -1;
}
