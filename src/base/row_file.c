/* Files of rows of one size. See row_file.h for the bytes and the invariants.
 *
 * A chunk is a power of two of rows, at least 4,096 and 64 MiB, so that each begins at a page. */
#include "base/row_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"

#define HEADER_BYTES   4096u
#define VERSION        1u
#define MIN_CHUNK_ROWS 4096u
#define MIN_CHUNK      ((uint64_t)64 << 20)
#define MIN_GROWTH     ((uint64_t)1 << 20)

static const char magic[8] = {'K', 'I', 'T', 'H', 'R', 'O', 'W', 'S'};

struct header {
    char magic[8];
    uint32_t version, row_bytes, crc;
};

struct row_file {
    struct mem_account *owner;
    int fd;
    int failed; /* the code of the first failure to write or sync */
    bool writable;
    uint32_t row_bytes, chunk_log2, n_chunks;
    _Atomic uint32_t capacity;
    uint64_t size; /* of the file */
    _Atomic(uint8_t *) *chunk;
    char path[PATH_MAX];
};

static uint64_t chunk_bytes(const struct row_file *file) {
    return (uint64_t)file->row_bytes << file->chunk_log2;
}

void row_file_close(struct row_file *file) {
    if (!file) return;
    for (uint32_t i = 0; file->chunk && i < file->n_chunks; i++)
        if (file->chunk[i]) munmap(file->chunk[i], (size_t)chunk_bytes(file));
    if (file->chunk)
        mem_slab_free(file->owner, file->chunk, file->n_chunks * sizeof file->chunk[0]);
    if (file->fd >= 0) close(file->fd);
    mem_free(file->owner, file, sizeof *file);
}

static int file_new(struct row_file **out, const char *path, uint32_t row_bytes,
                    struct mem_account *owner, kith_error *err) {
    if (!row_bytes) return FAIL(err, KITH_EINVAL, "rows of 0 bytes in %s", path);
    struct row_file *file = mem_new(owner, sizeof *file);
    if (!file) return FAIL(err, KITH_ENOMEM, "no memory to open %s", path);
    file->owner = owner;
    file->fd = -1;
    file->row_bytes = row_bytes;
    while ((MIN_CHUNK_ROWS << file->chunk_log2) < ROW_FILE_ROWS &&
           (uint64_t)row_bytes * MIN_CHUNK_ROWS << file->chunk_log2 < MIN_CHUNK)
        file->chunk_log2++;
    file->chunk_log2 += 12;
    file->n_chunks = ROW_FILE_ROWS >> file->chunk_log2;
    if (snprintf(file->path, sizeof file->path, "%s", path) >= PATH_MAX) {
        row_file_close(file);
        return FAIL(err, KITH_EINVAL, "a path of %zu bytes is too long", strlen(path));
    }
    file->chunk = mem_slab(owner, file->n_chunks * sizeof file->chunk[0]);
    if (!file->chunk) {
        row_file_close(file);
        return FAIL(err, KITH_ENOMEM, "no memory to open %s", path);
    }
    *out = file;
    return KITH_OK;
}

/* Map what the file has and is not mapped yet; then let readers have it. */
static int reach(struct row_file *file, kith_error *err) {
    uint64_t rows = (file->size - HEADER_BYTES) / file->row_bytes;
    if (rows > ROW_FILE_ROWS) rows = ROW_FILE_ROWS;
    uint64_t chunks = (rows + (1u << file->chunk_log2) - 1) >> file->chunk_log2;
    for (uint64_t i = 0; i < chunks; i++) {
        if (file->chunk[i]) continue;
        void *bytes = mmap(NULL, (size_t)chunk_bytes(file), PROT_READ, MAP_SHARED, file->fd,
                           (off_t)(HEADER_BYTES + i * chunk_bytes(file)));
        if (bytes == MAP_FAILED) return file_fail(err, "map", file->path, errno);
        file->chunk[i] = bytes;
    }
    atomic_store_explicit(&file->capacity, (uint32_t)rows, memory_order_release);
    return KITH_OK;
}

static int read_size(struct row_file *file, kith_error *err) {
    struct stat status;
    if (fstat(file->fd, &status) != 0) return file_fail(err, "examine", file->path, errno);
    file->size = (uint64_t)status.st_size;
    return file->size >= HEADER_BYTES
               ? KITH_OK
               : FAIL(err, KITH_ETRUNCATED, "%s has %llu bytes, its header alone %u", file->path,
                      (unsigned long long)file->size, HEADER_BYTES);
}

static int open_fd(struct row_file *file, int flags, kith_error *err) {
    do file->fd = open(file->path, flags | O_CLOEXEC, 0666);
    while (file->fd < 0 && errno == EINTR);
    return file->fd < 0 ? file_fail(err, "open", file->path, errno) : KITH_OK;
}

static int write_header(struct row_file *file, kith_error *err) {
    uint8_t page[HEADER_BYTES] = {0};
    struct header header = {{0}, VERSION, file->row_bytes, 0};
    memcpy(header.magic, magic, sizeof magic);
    header.crc = file_crc32c(0, &header, offsetof(struct header, crc));
    memcpy(page, &header, sizeof header);
    TRY(file_write_at(file->fd, file->path, 0, page, sizeof page, err));
    return file_sync_data(file->fd, file->path, err);
}

static int read_header(struct row_file *file, kith_error *err) {
    struct header header;
    ssize_t got;
    do got = pread(file->fd, &header, sizeof header, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0) return file_fail(err, "read", file->path, errno);
    if ((size_t)got < sizeof header || memcmp(header.magic, magic, sizeof magic) != 0)
        return FAIL(err, KITH_EFORMAT, "%s is not a file of rows", file->path);
    if (header.crc != file_crc32c(0, &header, offsetof(struct header, crc)))
        return FAIL_AT(err, KITH_ECORRUPT, 0, "the header of %s has a wrong checksum", file->path);
    if (header.version != VERSION)
        return FAIL(err, KITH_EVERSION, "%s is of version %u; this is version %u", file->path,
                    header.version, VERSION);
    if (header.row_bytes != file->row_bytes)
        return FAIL(err, KITH_EFORMAT, "%s has rows of %u bytes, not %u", file->path,
                    header.row_bytes, file->row_bytes);
    return KITH_OK;
}

int row_file_create(struct row_file **out, const char *path, uint32_t row_bytes,
                    struct mem_account *owner, kith_error *err) {
    struct row_file *file = NULL;
    int code;
    TRY(file_new(&file, path, row_bytes, owner, err));
    file->writable = true;
    TRY_DONE(open_fd(file, O_RDWR | O_CREAT | O_TRUNC, err));
    TRY_DONE(write_header(file, err));
    TRY_DONE(read_size(file, err));
    *out = file;
done:
    if (code != KITH_OK) row_file_close(file);
    return code;
}

int row_file_open(struct row_file **out, const char *path, uint32_t row_bytes, bool writable,
                  struct mem_account *owner, kith_error *err) {
    struct row_file *file = NULL;
    int code;
    TRY(file_new(&file, path, row_bytes, owner, err));
    file->writable = writable;
    TRY_DONE(open_fd(file, writable ? O_RDWR : O_RDONLY, err));
    TRY_DONE(read_header(file, err));
    TRY_DONE(read_size(file, err));
    TRY_DONE(reach(file, err));
    *out = file;
done:
    if (code != KITH_OK) row_file_close(file);
    return code;
}

static int usable(const struct row_file *file, kith_error *err) {
    if (!file->writable) return FAIL(err, KITH_EREADONLY, "%s is open for reading", file->path);
    if (file->failed) return FAIL(err, file->failed, "writing %s has failed before", file->path);
    return KITH_OK;
}

/* Make the file at least `end` bytes long. */
static int grow(struct row_file *file, uint64_t end, kith_error *err) {
    if (end <= file->size) return KITH_OK;
    uint64_t growth = file->size / 8 > MIN_GROWTH ? file->size / 8 : MIN_GROWTH;
    uint64_t size = file->size + growth > end ? file->size + growth : end;
    if (ftruncate(file->fd, (off_t)size) != 0) return file_fail(err, "grow", file->path, errno);
    uint64_t before = file->size;
    file->size = size;
    int code = reach(file, err);
    if (code != KITH_OK) file->size = before; /* to be reached by the next */
    return code;
}

int row_file_write(struct row_file *file, uint32_t row, uint32_t n, const void *rows,
                   kith_error *err) {
    TRY(usable(file, err));
    uint64_t end_row = (uint64_t)row + n;
    if (end_row > ROW_FILE_ROWS)
        return FAIL(err, KITH_EFULL, "row %llu of %s; the last has number %u",
                    (unsigned long long)end_row - 1, file->path, ROW_FILE_ROWS - 1);
    uint64_t offset = HEADER_BYTES + (uint64_t)row * file->row_bytes;
    int code = grow(file, HEADER_BYTES + end_row * file->row_bytes, err);
    if (code == KITH_OK)
        code = file_write_at(file->fd, file->path, offset, rows, (size_t)n * file->row_bytes, err);
    /* A full disk, or memory, is found before anything is lost, and may have room again. */
    if (code != KITH_OK && code != KITH_ENOSPC && code != KITH_ENOMEM) file->failed = code;
    return code;
}

int row_file_sync(struct row_file *file, kith_error *err) {
    TRY(usable(file, err));
    return file->failed = file_sync_data(file->fd, file->path, err);
}

void row_file_punch(struct row_file *file, uint32_t row, uint32_t n) {
    if (!file->writable || row >= file->capacity) return;
    (void)fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    (off_t)(HEADER_BYTES + (uint64_t)row * file->row_bytes),
                    (off_t)((uint64_t)n * file->row_bytes));
}

int row_file_refresh(struct row_file *file, kith_error *err) {
    TRY(read_size(file, err));
    return reach(file, err);
}

uint32_t row_file_capacity(const struct row_file *file) {
    return atomic_load_explicit(&file->capacity, memory_order_acquire);
}

const void *row_file_at(const struct row_file *file, uint32_t row) {
    if (row >= row_file_capacity(file)) return NULL;
    const uint8_t *chunk = file->chunk[row >> file->chunk_log2];
    return chunk + (size_t)(row & ((1u << file->chunk_log2) - 1)) * file->row_bytes;
}

uint64_t row_file_bytes(const struct row_file *file) {
    struct stat status;
    return fstat(file->fd, &status) == 0 ? (uint64_t)status.st_blocks * 512 : 0;
}
