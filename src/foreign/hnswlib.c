/* hnswlib index files: the head, the rows, the links above level 0. See hnswlib.h for the bytes. */
#include "foreign/hnswlib.h"

#include "base/mem.h"
#include "base/status.h"
#include "foreign/bytes.h"
#include "foreign/links.h"

enum {
    HEAD_BYTES = 96,
    COUNT_BYTES = 4, /* before links: how many, and flags */
    LABEL_BYTES = 8,
    LEVEL_MAX = 255, /* a level is drawn by chance, each M times rarer; none comes near */
};
#define LINKS_MAX 65535 /* counts are 16 bits */

/* ---- the head ---------------------------------------------------------------------------------- */

/* Fills the view; false when the numbers do not stand in the relations that hnswlib gives them. */
static bool read_head(struct hnswlib_view *view, const uint8_t *bytes, size_t n) {
    if (n < HEAD_BYTES) return false;
    uint64_t label_at = bytes_u64(bytes + 32), vector_at = bytes_u64(bytes + 40);
    *view = (struct hnswlib_view){
        .bytes = bytes,
        .n = bytes_u64(bytes + 16),
        .max_elements = bytes_u64(bytes + 8),
        .row_bytes = bytes_u64(bytes + 24),
        .max_level = bytes_i32(bytes + 48),
        .entry = bytes_u32(bytes + 52),
        .M = bytes_u64(bytes + 56),
        .M0 = bytes_u64(bytes + 64),
        .ef_construction = bytes_u64(bytes + 88),
    };
    if (bytes_u64(bytes) != 0 || view->M < 1 || view->M > LINKS_MAX || view->M0 < view->M ||
        view->M0 > LINKS_MAX || vector_at != COUNT_BYTES + 4 * view->M0 || label_at <= vector_at ||
        label_at > UINT32_MAX || view->row_bytes != label_at + LABEL_BYTES ||
        view->n > view->max_elements || view->n > UINT32_MAX)
        return false;
    view->vector_bytes = label_at - vector_at;
    return view->n > 0
               ? view->max_level >= 0 && view->max_level <= LEVEL_MAX && view->entry < view->n
               : view->max_level == -1;
}

bool hnswlib_recognise(const uint8_t *bytes, size_t n) {
    struct hnswlib_view view;
    return read_head(&view, bytes, n);
}

/* ---- rows -------------------------------------------------------------------------------------- */

static const uint8_t *row_at(const struct hnswlib_view *view, uint64_t row) {
    return view->bytes + HEAD_BYTES + row * view->row_bytes;
}

static uint64_t level_bytes(const struct hnswlib_view *view) { return COUNT_BYTES + 4 * view->M; }

const uint8_t *hnswlib_vector(const struct hnswlib_view *view, uint64_t row) {
    return row_at(view, row) + COUNT_BYTES + 4 * view->M0;
}

uint64_t hnswlib_label(const struct hnswlib_view *view, uint64_t row) {
    return bytes_u64(row_at(view, row) + view->row_bytes - LABEL_BYTES);
}

bool hnswlib_deleted(const struct hnswlib_view *view, uint64_t row) {
    return row_at(view, row)[2] & 1;
}

int32_t hnswlib_level(const struct hnswlib_view *view, uint64_t row) {
    return (int32_t)(bytes_u32(view->bytes + view->upper[row]) / level_bytes(view));
}

const uint8_t *hnswlib_links(const struct hnswlib_view *view, uint64_t row, int32_t level,
                             uint32_t *n) {
    const uint8_t *at = level == 0 ? row_at(view, row)
                                   : view->bytes + view->upper[row] + sizeof(uint32_t) +
                                         (uint64_t)(level - 1) * level_bytes(view);
    *n = bytes_u16(at);
    return at + COUNT_BYTES;
}

/* ---- reading ----------------------------------------------------------------------------------- */

static int truncated(const char *what, uint64_t at, kith_error *err) {
    return FAIL_AT(err, KITH_ETRUNCATED, at, "byte %llu: the hnswlib file ends within %s",
                   (unsigned long long)at, what);
}

/* Where each row's upper links are; they end with the file. */
static int find_upper(struct hnswlib_view *view, size_t n, kith_error *err) {
    uint64_t at = HEAD_BYTES + view->n * view->row_bytes;
    for (uint64_t row = 0; row < view->n; row++) {
        if (n - at < sizeof(uint32_t)) return truncated("its upper links", at, err);
        uint64_t size = bytes_u32(view->bytes + at);
        uint64_t level = size / level_bytes(view);
        if (size % level_bytes(view) != 0 || level > (uint64_t)view->max_level)
            return FAIL_AT(
                err, KITH_ECORRUPT, at,
                "byte %llu: row %llu has %llu bytes of upper links, of %llu a level, and "
                "the graph %d levels",
                (unsigned long long)at, (unsigned long long)row, (unsigned long long)size,
                (unsigned long long)level_bytes(view), view->max_level + 1);
        view->upper[row] = at;
        at += sizeof(uint32_t);
        if (n - at < size) return truncated("its upper links", at, err);
        at += size;
    }
    if (at < n)
        return FAIL_AT(err, KITH_ECORRUPT, at, "byte %llu: %llu bytes after the end of the index",
                       (unsigned long long)at, (unsigned long long)(n - at));
    return KITH_OK;
}

static int32_t level_of(const void *view, uint64_t row) { return hnswlib_level(view, row); }

static const uint8_t *links_of(const void *view, uint64_t row, int32_t level, uint32_t *n) {
    return hnswlib_links(view, row, level, n);
}

static int check_graph(const struct hnswlib_view *view, kith_error *err) {
    const struct foreign_links graph = {.view = view,
                                        .bytes = view->bytes,
                                        .n = view->n,
                                        .most0 = view->M0,
                                        .most = view->M,
                                        .level = level_of,
                                        .links = links_of};
    if (view->n > 0 && hnswlib_level(view, view->entry) != view->max_level)
        return FAIL_AT(err, KITH_ECORRUPT, 52, "byte 52: the entry, row %u, is on level %d, not %d",
                       view->entry, hnswlib_level(view, view->entry), view->max_level);
    for (uint64_t row = 0; row < view->n; row++) TRY(foreign_check_row(&graph, row, err));
    return KITH_OK;
}

int hnswlib_read(struct hnswlib_view *out, const uint8_t *bytes, size_t n,
                 struct mem_account *owner, kith_error *err) {
    struct hnswlib_view view = {0};
    int code = KITH_OK;
    *out = view;
    if (!read_head(&view, bytes, n))
        return FAIL_AT(err, KITH_EFORMAT, 0, "the numbers at its head are not those of hnswlib");
    if (view.n > (n - HEAD_BYTES) / view.row_bytes) return truncated("its rows", n, err);
    view.upper = mem_new(owner, view.n * sizeof *view.upper);
    if (!view.upper)
        return FAIL(err, KITH_ENOMEM, "no memory for the places of %llu rows",
                    (unsigned long long)view.n);
    TRY_DONE(find_upper(&view, n, err));
    TRY_DONE(check_graph(&view, err));
done:
    if (code == KITH_OK)
        *out = view;
    else
        hnswlib_deinit(&view, owner);
    return code;
}

void hnswlib_deinit(struct hnswlib_view *view, struct mem_account *owner) {
    if (view->upper) mem_free(owner, view->upper, view->n * sizeof *view->upper);
    *view = (struct hnswlib_view){0};
}
