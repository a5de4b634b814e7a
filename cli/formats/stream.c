/* Rows of a file block by block, so that a file of any size is read in little memory.
 *
 *     first HEAD_BYTES -> recognised, a view of the head -> shape -> pread of the rows that are asked for -> floats
 *
 * 1. No more than HEAD_BYTES and one piece of the file are in memory, and nothing is mapped: a limit of the address space
 *    is as good as one of memory.
 * 2. A file that is not rows of one size (text, gzip, HDF5) and a pipe are read whole instead. */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kith/vector.h>

#define HEAD_BYTES  ((size_t)64 << 10)
#define PIECE_BYTES ((size_t)1 << 20) /* at least a row */

static int read_at(int fd, uint8_t *out, size_t n, size_t offset, kith_error *err) {
    while (n > 0) {
        ssize_t got = pread(fd, out, n, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return FAIL(err, KITH_EIO, "cannot be read: %s", strerror(errno));
        if (got == 0)
            return FAIL_AT(err, KITH_ETRUNCATED, offset, "ends at byte %zu, while it is read",
                           offset);
        out += got;
        offset += (size_t)got;
        n -= (size_t)got;
    }
    return KITH_OK;
}

/* The view of a head; FORMAT_AUTO in *f where rows are not all of one size. */
static int view_head(blob head, const char *path, format *f, matrix *out, kith_error *err) {
    bool zipped = head.n >= 2 && head.data[0] == 0x1f && head.data[1] == 0x8b;
    if (*f == FORMAT_AUTO && !zipped) *f = format_recognise(head, path);
    switch (zipped ? FORMAT_AUTO : *f) {
    case FORMAT_FVECS: return vecs_view(head, ELEMENT_F32, out, err);
    case FORMAT_IVECS: return vecs_view(head, ELEMENT_I32, out, err);
    case FORMAT_BVECS: return vecs_view(head, ELEMENT_U8, out, err);
    case FORMAT_FBIN: return bin_view(head, ELEMENT_F32, out, err);
    case FORMAT_IBIN: return bin_view(head, ELEMENT_I32, out, err);
    case FORMAT_U8BIN: return bin_view(head, ELEMENT_U8, out, err);
    case FORMAT_I8BIN: return bin_view(head, ELEMENT_I8, out, err);
    case FORMAT_NPY: return npy_view(head, false, out, err);
    default: *f = FORMAT_AUTO; return KITH_OK;
    }
}

/* Learn the shape from the head of a regular file, which `raw` has room for. */
static int open_shape(row_stream *s, const char *path, format wanted, size_t size,
                      kith_error *err) {
    size_t n = size < HEAD_BYTES ? size : HEAD_BYTES;
    TRY(read_at(s->fd, s->raw, n, 0, err));
    const blob head = {.data = s->raw, .n = n, .owner = BLOB_BORROWED, .whole = size};
    s->format = wanted;
    TRY(view_head(head, path, &s->format, &s->shape, err));
    if (s->format == FORMAT_AUTO) return KITH_OK;
    if (s->shape.n == 0) return FAIL(err, KITH_EEMPTY, "holds no rows");
    if (s->shape.dim == 0 || s->shape.dim > KITH_MAX_DIM)
        return FAIL(err, KITH_EDIM, "rows have %zu dimensions, 1 to %u are possible", s->shape.dim,
                    KITH_MAX_DIM);
    s->n = s->shape.n;
    s->dim = s->shape.dim;
    s->rows_at = (size_t)(s->shape.data - s->raw);
    return KITH_OK;
}

/* Rows of one size lie `lead` bytes apart from their dimensions. */
static size_t lead_of(const row_stream *s) {
    return s->shape.stride - s->dim * element_bytes(s->shape.type);
}

static size_t piece_rows(const row_stream *s) {
    size_t n = PIECE_BYTES / s->shape.stride;
    return n > 0 ? n : 1;
}

static int open_rows(row_stream *s, const char *path, const read_options *options,
                     kith_error *err) {
    struct stat st;
    s->fd = strcmp(path, "-") == 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0 || fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return KITH_OK; /* the whole reader knows what to say */
    s->raw = malloc(HEAD_BYTES);
    if (!s->raw) return FAIL(err, KITH_ENOMEM, "no memory for %zu bytes of input", HEAD_BYTES);
    TRY(open_shape(s, path, options ? options->format : FORMAT_AUTO, (size_t)st.st_size, err));
    if (s->format == FORMAT_AUTO) return KITH_OK;
    uint8_t *raw = realloc(s->raw, piece_rows(s) * s->shape.stride);
    if (!raw) return FAIL(err, KITH_ENOMEM, "no memory for a row of %zu bytes", s->shape.stride);
    s->raw = raw;
    return KITH_OK;
}

int row_stream_open(row_stream *out, const char *path, const read_options *options,
                    kith_error *err) {
    row_stream s = {.fd = -1};
    int code = open_rows(&s, path, options, err);
    if (code == KITH_OK && s.format == FORMAT_AUTO) {
        code = vectors_read(&s.held, path, options, err);
        s.n = s.held.n;
        s.dim = s.held.dim;
        s.format = s.held.format;
    }
    if (code != KITH_OK) row_stream_close(&s);
    *out = s;
    return code;
}

void row_stream_close(row_stream *s) {
    if (s->fd >= 0) close(s->fd);
    free(s->raw);
    vectors_free(&s->held);
    *s = (row_stream){.fd = -1};
}

/* Rows [first, first + n) that are in raw. */
static int convert(const row_stream *s, uint64_t first, size_t n, float *out, kith_error *err) {
    matrix piece = s->shape;
    size_t lead = lead_of(s);
    piece.n = n;
    piece.data = s->raw + lead;
    for (size_t i = 0; i < n; i++) {
        if (lead && load_u32(s->raw + i * s->shape.stride) != s->dim)
            return FAIL_AT(err, KITH_EFORMAT, first + i,
                           "row %zu has dimension %d, the first has %zu", (size_t)first + i,
                           (int32_t)load_u32(s->raw + i * s->shape.stride), s->dim);
        TRY(matrix_row(&piece, i, (size_t)first + i, out + i * s->dim, err));
    }
    return KITH_OK;
}

int row_stream_read(void *stream, uint64_t first, size_t n, float *out, kith_error *err) {
    const row_stream *s = stream;
    if (s->held.data) {
        memcpy(out, s->held.data + first * s->dim, n * s->dim * sizeof *out);
        return KITH_OK;
    }
    size_t begin = s->rows_at - lead_of(s), most = piece_rows(s);
    for (size_t i = 0, some; i < n; i += some) {
        some = n - i < most ? n - i : most;
        TRY(read_at(s->fd, s->raw, some * s->shape.stride,
                    begin + ((size_t)first + i) * s->shape.stride, err));
        TRY(convert(s, first + i, some, out + i * s->dim, err));
    }
    return KITH_OK;
}
