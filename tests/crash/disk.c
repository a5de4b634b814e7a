/* A disk that forgets. See disk.h. */
/* Both names of each function are defined here, whichever a library was compiled to call. */
#undef _FILE_OFFSET_BITS
#include "disk.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"

enum { FILES = 8, SECTOR = 512 };
enum what { WRITE, LENGTH, SYNC };

struct event {
    enum what what;
    int file;
    bool synced;     /* at once: O_DSYNC */
    uint64_t offset; /* of a write; the length */
    size_t n;
    uint8_t *bytes;
};

static struct {
    char folder[PATH_MAX];
    bool recording;
    struct event *event;
    uint32_t n_events, room;
    int n_files;
    struct {
        char name[64];
        ino_t inode;
        uint8_t *bytes; /* when the recording began */
        size_t n;
    } file[FILES];
    uint32_t fail_in;
    int fail_number;
    bool lasting, failed;
} disk;

static void *real(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) abort();
    return function;
}

static int file_of(int fd) {
    struct stat status;
    if (!disk.recording || fstat(fd, &status) != 0) return -1;
    for (int i = 0; i < disk.n_files; i++)
        if (disk.file[i].inode == status.st_ino) return i;
    return -1;
}

static bool fails(int fd) {
    struct stat status;
    if (!disk.fail_in || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return false;
    if (disk.fail_in > 1) {
        disk.fail_in--;
        return false;
    }
    if (!disk.lasting) disk.fail_in = 0;
    disk.failed = true;
    errno = disk.fail_number;
    return true;
}

static void note(enum what what, int fd, uint64_t offset, const void *bytes, size_t n) {
    int file = file_of(fd);
    if (file < 0) return;
    if (disk.n_events == disk.room) {
        disk.room = disk.room ? 2 * disk.room : 1024;
        disk.event = realloc(disk.event, disk.room * sizeof disk.event[0]);
    }
    struct event event = {what, file, (fcntl(fd, F_GETFL) & O_DSYNC) != 0, offset, n, NULL};
    if (n) {
        event.bytes = malloc(n);
        memcpy(event.bytes, bytes, n);
    }
    disk.event[disk.n_events++] = event;
}

/* ---- in place of the C library's ---------------------------------------------------------------- */

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset) {
    static ssize_t (*next)(int, const void *, size_t, off_t);
    if (!next) next = (ssize_t(*)(int, const void *, size_t, off_t))real("pwrite");
    if (fails(fd)) return -1;
    ssize_t wrote = next(fd, bytes, n, offset);
    if (wrote > 0) note(WRITE, fd, (uint64_t)offset, bytes, (size_t)wrote);
    return wrote;
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t offset) {
    return pwrite(fd, bytes, n, offset);
}

ssize_t write(int fd, const void *bytes, size_t n) {
    static ssize_t (*next)(int, const void *, size_t);
    if (!next) next = (ssize_t(*)(int, const void *, size_t))real("write");
    off_t offset = disk.recording ? lseek(fd, 0, SEEK_CUR) : 0;
    if (fails(fd)) return -1;
    ssize_t wrote = next(fd, bytes, n);
    if (wrote > 0) note(WRITE, fd, (uint64_t)offset, bytes, (size_t)wrote);
    return wrote;
}

struct iovec;
ssize_t writev(int fd, const struct iovec *parts, int n_parts);
/* LMDB writes runs of pages so: one write a part. */
ssize_t writev(int fd, const struct iovec *parts, int n_parts) {
    const struct {
        void *bytes;
        size_t n;
    } *part = (const void *)parts;
    ssize_t all = 0;
    for (int i = 0; i < n_parts; i++) {
        ssize_t wrote = write(fd, part[i].bytes, part[i].n);
        if (wrote < 0) return all ? all : wrote;
        all += wrote;
        if ((size_t)wrote < part[i].n) break;
    }
    return all;
}

int ftruncate(int fd, off_t length) {
    static int (*next)(int, off_t);
    if (!next) next = (int (*)(int, off_t))real("ftruncate");
    if (fails(fd)) return -1;
    int result = next(fd, length);
    if (result == 0) note(LENGTH, fd, (uint64_t)length, NULL, 0);
    return result;
}

int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

int fdatasync(int fd) {
    if (fails(fd)) return -1;
    note(SYNC, fd, 0, NULL, 0); /* what is synced here is not this machine's disk */
    return 0;
}

int fsync(int fd) { return fdatasync(fd); }

/* ---- recording ---------------------------------------------------------------------------------- */

void disk_record(const char *folder) {
    disk_stop();
    for (uint32_t i = 0; i < disk.n_events; i++) free(disk.event[i].bytes);
    for (int i = 0; i < disk.n_files; i++) free(disk.file[i].bytes);
    disk.n_events = 0;
    disk.n_files = 0;
    snprintf(disk.folder, sizeof disk.folder, "%s", folder);
    DIR *list = opendir(folder);
    struct dirent *entry;
    while ((entry = readdir(list))) {
        char path[2 * PATH_MAX];
        struct stat status;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (stat(path, &status) != 0 || !S_ISREG(status.st_mode) || strstr(entry->d_name, "-lock"))
            continue; /* LMDB makes its lock file anew */
        if (disk.n_files == FILES) abort();
        snprintf(disk.file[disk.n_files].name, sizeof disk.file[0].name, "%.63s", entry->d_name);
        disk.file[disk.n_files].inode = status.st_ino;
        disk.file[disk.n_files].n = (size_t)status.st_size;
        disk.file[disk.n_files].bytes = malloc((size_t)status.st_size + 1);
        FILE *file = fopen(path, "r");
        if (fread(disk.file[disk.n_files].bytes, 1, (size_t)status.st_size, file) !=
            (size_t)status.st_size)
            abort();
        fclose(file);
        disk.n_files++;
    }
    closedir(list);
    disk.recording = true;
}

uint32_t disk_stop(void) {
    disk.recording = false;
    return disk.n_events;
}

uint32_t disk_now(void) { return disk.n_events; }

void disk_fail(uint32_t n, int number, bool lasting) {
    disk.fail_in = n;
    disk.fail_number = number;
    disk.lasting = lasting;
    disk.failed = false;
}

bool disk_failed(void) { return disk.failed; }

/* ---- crashing ----------------------------------------------------------------------------------- */

struct image {
    uint8_t *bytes;
    size_t n, room;
};

static void set_length(struct image *image, size_t n) {
    if (n > image->room) {
        image->room = n + n / 2;
        image->bytes = realloc(image->bytes, image->room);
    }
    if (n > image->n) memset(image->bytes + image->n, 0, n - image->n);
    image->n = n;
}

/* keep: of every sector, else of some. */
static void apply(struct image *image, const struct event *event, bool keep, uint64_t *seed) {
    if (event->what == LENGTH) {
        set_length(image, (size_t)event->offset);
        return;
    }
    if (event->offset + event->n > image->n) set_length(image, (size_t)event->offset + event->n);
    for (size_t at = 0; at < event->n;) {
        size_t piece = SECTOR - (size_t)((event->offset + at) % SECTOR);
        if (piece > event->n - at) piece = event->n - at;
        if (keep || bits_random(seed) % 2)
            memcpy(image->bytes + event->offset + at, event->bytes + at, piece);
        at += piece;
    }
}

void disk_crash(const char *folder, uint32_t moment, uint64_t seed) {
    for (int f = 0; f < disk.n_files; f++) {
        struct image image = {0};
        set_length(&image, disk.file[f].n);
        memcpy(image.bytes, disk.file[f].bytes, disk.file[f].n);
        uint32_t synced = 0;
        for (uint32_t i = 0; i < moment; i++)
            if (disk.event[i].file == f && disk.event[i].what == SYNC) synced = i;
        for (uint32_t i = 0; i < moment; i++) {
            const struct event *event = &disk.event[i];
            if (event->file != f || event->what == SYNC) continue;
            bool sure = i < synced || event->synced;
            uint64_t luck = bits_random(&seed) % 4;
            if (sure || luck >= 2)
                apply(&image, event, true, &seed);
            else if (luck == 1)
                apply(&image, event, false, &seed);
        }
        char path[2 * PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", folder, disk.file[f].name);
        FILE *file = fopen(path, "w");
        if (fwrite(image.bytes, 1, image.n, file) != image.n) abort();
        fclose(file);
        free(image.bytes);
    }
}
