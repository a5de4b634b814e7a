/* Index files as commands meet them: by path, or through a standard stream.
 *
 * The library opens and saves paths. A stream goes through a temporary file in $TMPDIR that nobody
 * else sees: it is unlinked as soon as it is open. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail_io(kith_error *err, const char *what) {
    int code = errno == ENOSPC || errno == EDQUOT ? KITH_ENOSPC : KITH_EIO;
    return format_fail(err, code, -1, "%s: %s", what, strerror(errno));
}

static int copy_fd(int from, int to, kith_error *err) {
    char buffer[1 << 16];
    for (;;) {
        ssize_t got = read(from, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_io(err, "cannot be read");
        if (got == 0) return KITH_OK;
        for (ssize_t done = 0; done < got;) {
            ssize_t put = write(to, buffer + done, (size_t)(got - done));
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) return fail_io(err, "cannot be written");
            done += put;
        }
    }
}

/* A new file in $TMPDIR; path has room for 4096 bytes. */
static int temporary_file(char *path, int *fd, kith_error *err) {
    const char *folder = getenv("TMPDIR");
    snprintf(path, 4096, "%s/kith.XXXXXX", folder && *folder ? folder : "/tmp");
    *fd = mkstemp(path);
    return *fd < 0 ? fail_io(err, "no temporary file") : KITH_OK;
}

int index_file_open(kith_index **out, const char *path, int mode, kith_error *err) {
    if (strcmp(path, "-") != 0) return kith_index_open(out, path, mode, err);
    char temporary[4096];
    int fd;
    int code = temporary_file(temporary, &fd, err);
    if (code) return code;
    code = copy_fd(STDIN_FILENO, fd, err);
    close(fd);
    if (!code) code = kith_index_open(out, temporary, mode, err);
    unlink(temporary);
    return code;
}

int index_file_save(const kith_index *index, const char *path, kith_error *err) {
    if (strcmp(path, "-") != 0) return kith_index_save(index, path, err);
    char temporary[4096];
    int fd;
    int code = temporary_file(temporary, &fd, err);
    if (code) return code;
    close(fd);
    code = kith_index_save(index, temporary, err);
    fd = code ? -1 : open(temporary, O_RDONLY | O_CLOEXEC);
    unlink(temporary);
    if (code) return code;
    if (fd < 0) return fail_io(err, "temporary file");
    fflush(stdout);
    code = copy_fd(fd, STDOUT_FILENO, err);
    close(fd);
    return code;
}

int index_file_reopen(kith_index **index, int mode, kith_error *err) {
    char temporary[4096];
    int fd;
    int code = temporary_file(temporary, &fd, err);
    if (code == KITH_OK) {
        close(fd);
        code = kith_index_save(*index, temporary, err);
    }
    kith_index_free(*index);
    *index = NULL;
    if (code == KITH_OK) code = kith_index_open(index, temporary, mode, err);
    if (fd >= 0) unlink(temporary); /* a map outlives the name */
    return code;
}

bool is_index_file(const char *path) {
    char magic[8] = "";
    FILE *file = strcmp(path, "-") == 0 ? NULL : fopen(path, "rb");
    if (!file) return false;
    size_t n = fread(magic, 1, sizeof magic, file);
    fclose(file);
    return n == sizeof magic && memcmp(magic, "KITHIDX\n", sizeof magic) == 0;
}

int check_dim(const vectors *v, size_t dim, const char *what, kith_error *err) {
    if (v->dim == dim) return KITH_OK;
    return format_fail(err, KITH_EDIM, -1, "%zu dimensions, %s has %zu", v->dim, what, dim);
}
