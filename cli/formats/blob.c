/* Bytes of a file: mapped where that is possible, read where it is a pipe, inflated where it is gzip.
 *
 * 1. A blob owns its bytes until blob_free, whatever they came from.
 * 2. The end of the bytes is the end of what may be read: nothing is padded, no NUL is promised. */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define FIRST_CHUNK ((size_t)1 << 16)

void blob_free(blob *b) {
    if (b->owner == BLOB_HEAP) free((void *)(uintptr_t)b->data);
    if (b->owner == BLOB_MAP) munmap((void *)(uintptr_t)b->data, b->n);
    *b = (blob){0};
}

/* Make room for at least one more byte, doubling. */
static int grow(uint8_t **data, size_t n, size_t *capacity, kith_error *err) {
    if (n < *capacity) return KITH_OK;
    size_t wanted = *capacity ? *capacity * 2 : FIRST_CHUNK;
    uint8_t *more = wanted > n && wanted < (size_t)PTRDIFF_MAX ? realloc(*data, wanted) : NULL;
    if (!more) return FAIL(err, KITH_ENOMEM, "no memory for %zu bytes of input", wanted);
    *data = more;
    *capacity = wanted;
    return KITH_OK;
}

static int read_all(int fd, blob *out, kith_error *err) {
    uint8_t *data = NULL;
    size_t n = 0;
    size_t capacity = 0;
    for (;;) {
        int code = grow(&data, n, &capacity, err);
        ssize_t got = code ? -1 : read(fd, data + n, capacity - n);
        if (!code && got < 0 && errno == EINTR) continue;
        if (!code && got < 0) code = FAIL(err, KITH_EIO, "cannot be read: %s", strerror(errno));
        if (code) {
            free(data);
            return code;
        }
        if (got == 0) break;
        n += (size_t)got;
    }
    *out = (blob){.data = data, .n = n, .owner = BLOB_HEAP};
    return KITH_OK;
}

static int map_or_read(int fd, blob *out, kith_error *err) {
    struct stat st;
    if (fstat(fd, &st)) return FAIL(err, KITH_EIO, "cannot be read: %s", strerror(errno));
    if (S_ISDIR(st.st_mode)) return FAIL(err, KITH_EIO, "is a folder, not a file");
    if (!S_ISREG(st.st_mode) || st.st_size == 0) return read_all(fd, out, err);
    size_t n = (size_t)st.st_size;
    void *map = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) return read_all(fd, out, err);
    madvise(map, n, MADV_SEQUENTIAL);
    *out = (blob){.data = map, .n = n, .owner = BLOB_MAP};
    return KITH_OK;
}

int blob_read(blob *out, const char *path, kith_error *err) {
    *out = (blob){0};
    if (strcmp(path, "-") == 0) return read_all(STDIN_FILENO, out, err);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return FAIL(err, KITH_EIO, "cannot be opened: %s", strerror(errno));
    int code = map_or_read(fd, out, err);
    close(fd);
    return code;
}

/* ---- gzip -------------------------------------------------------------------------------------- */

/* Feed the stream from bytes, which may be longer than its 32-bit counter. */
static void refill(z_stream *stream, blob bytes, size_t *used) {
    if (stream->avail_in) return;
    size_t left = bytes.n - *used;
    stream->next_in = (Bytef *)(uintptr_t)(bytes.data + *used);
    stream->avail_in = left > UINT_MAX ? UINT_MAX : (uInt)left;
    *used += stream->avail_in;
}

/* The stream's members (a .gz may hold several), one after another. */
static int inflate_members(z_stream *stream, blob bytes, size_t max_bytes, blob *out,
                           kith_error *err) {
    uint8_t *data = NULL;
    size_t n = 0;
    size_t capacity = 0;
    size_t used = 0;
    int code = KITH_OK;
    for (;;) {
        refill(stream, bytes, &used);
        if ((code = grow(&data, n, &capacity, err))) break;
        size_t room = capacity - n > UINT_MAX ? UINT_MAX : capacity - n;
        stream->next_out = data + n;
        stream->avail_out = (uInt)room;
        int state = inflate(stream, Z_NO_FLUSH);
        n += room - stream->avail_out;
        size_t at = used - stream->avail_in;
        if (n > max_bytes) {
            code = FAIL(err, KITH_EFULL, "gzip data holds more than %zu bytes", max_bytes);
        } else if (state == Z_STREAM_END) {
            if (at == bytes.n) break;
            /* Anything but a further member is padding, which gzip(1) ignores as well. */
            if (bytes.n - at < 2 || bytes.data[at] != 0x1f || bytes.data[at + 1] != 0x8b) break;
            inflateReset(stream);
        } else if (state == Z_BUF_ERROR || (state == Z_OK && at == bytes.n && stream->avail_out)) {
            code = FAIL_AT(err, KITH_ETRUNCATED, at, "gzip data ends early, at byte %zu", at);
        } else if (state == Z_MEM_ERROR) {
            code = FAIL(err, KITH_ENOMEM, "no memory to inflate gzip data");
        } else if (state != Z_OK) {
            code = FAIL_AT(err, KITH_ECORRUPT, at, "gzip data is corrupt near byte %zu: %s", at,
                           stream->msg ? stream->msg : "no reason given");
        }
        if (code) break;
    }
    if (code) {
        free(data);
        return code;
    }
    *out = (blob){.data = data, .n = n, .owner = BLOB_HEAP};
    return KITH_OK;
}

int blob_inflate(blob *b, size_t max_bytes, kith_error *err) {
    if (b->n < 2 || b->data[0] != 0x1f || b->data[1] != 0x8b) return KITH_OK;
    z_stream stream = {0};
    if (inflateInit2(&stream, 15 + 16) != Z_OK)
        return FAIL(err, KITH_ENOMEM, "no memory to inflate gzip data");
    blob plain;
    int code = inflate_members(&stream, *b, max_bytes, &plain, err);
    inflateEnd(&stream);
    if (code) return code;
    blob_free(b);
    *b = plain;
    return KITH_OK;
}
