/* usearch dense index files: the vectors, the head, the graph. See usearch.h for the bytes. */
#include "foreign/usearch.h"

#include "base/mem.h"
#include "base/status.h"
#include "foreign/bytes.h"
#include "foreign/links.h"

enum {
    HEAD_BYTES = 64,
    GRAPH_BYTES = 40,
    NODE_HEAD_BYTES = 10, /* key, level */
    COUNT_BYTES = 4,
    KEY_U64 = 14,
    SLOT_U32 = 15,
    FIRST_MINOR = 10, /* of version 2: until then types had other numbers */
};
#define DIM_MAX   (1 << 20)
#define LINKS_MAX (1 << 20)
#define KEY_FREE  UINT64_MAX

/* ---- the head ---------------------------------------------------------------------------------- */

static bool is_head(const uint8_t *bytes, size_t n, uint64_t at) {
    return n >= HEAD_BYTES && at <= n - HEAD_BYTES && memcmp(bytes + at, "usearch", 7) == 0;
}

/* The first two numbers tell where the head is: after so many vectors of so many bytes. 0 when it is not there. */
static uint64_t head_at(struct usearch_view *view, const uint8_t *bytes, size_t n) {
    for (uint64_t wide = 4; wide <= 8; wide += 4) {
        size_t size, at;
        if (n < 2 * wide) break;
        view->n = wide == 4 ? bytes_u32(bytes) : bytes_u64(bytes);
        view->vector_bytes = wide == 4 ? bytes_u32(bytes + 4) : bytes_u64(bytes + 8);
        view->vectors = bytes + 2 * wide;
        if (mem_mul(view->n, view->vector_bytes, &size) && mem_add(size, 2 * wide, &at) &&
            is_head(bytes, n, at))
            return at;
    }
    return 0;
}

bool usearch_recognise(const uint8_t *bytes, size_t n) {
    struct usearch_view view;
    return is_head(bytes, n, 0) || head_at(&view, bytes, n) > 0;
}

static uint64_t scalar_bytes(uint8_t scalar) {
    switch (scalar) {
    case USEARCH_F32: return 4;
    case USEARCH_F16:
    case USEARCH_BF16: return 2;
    case USEARCH_U8:
    case USEARCH_I8: return 1;
    default: return 0;
    }
}

static int check_kinds(const uint8_t *head, uint64_t at, kith_error *err) {
    uint8_t metric = head[13], scalar = head[14], key = head[15], slot = head[16];
    if (metric != USEARCH_IP && metric != USEARCH_COS && metric != USEARCH_L2SQ)
        return FAIL_AT(err, KITH_EUNSUPPORTED, at + 13,
                       "byte %llu: usearch metric %u is not supported, ip, cos and l2sq are",
                       (unsigned long long)at + 13, metric);
    if (scalar_bytes(scalar) == 0)
        return FAIL_AT(
            err, KITH_EUNSUPPORTED, at + 14,
            "byte %llu: usearch scalar %u is not supported, f32, f16, bf16, i8 and u8 are",
            (unsigned long long)at + 14, scalar);
    if (key != KEY_U64 || slot != SLOT_U32)
        return FAIL_AT(err, KITH_EUNSUPPORTED, at + 15,
                       "byte %llu: usearch keys of type %u and slots of type %u are not supported, "
                       "u64 and u32 are",
                       (unsigned long long)at + 15, key, slot);
    return KITH_OK;
}

static int read_head(struct usearch_view *view, uint64_t at, kith_error *err) {
    const uint8_t *head = view->bytes + at;
    for (size_t i = 0; i < 3; i++) view->version[i] = bytes_u16(head + 7 + 2 * i);
    if (view->version[0] != 2 || view->version[1] < FIRST_MINOR)
        return FAIL_AT(err, KITH_EVERSION, at + 7,
                       "byte %llu: usearch %u.%u, 2.%d or later 2.x wanted",
                       (unsigned long long)at + 7, view->version[0], view->version[1], FIRST_MINOR);
    TRY(check_kinds(head, at, err));
    view->metric = head[13];
    view->scalar = head[14];
    view->n_deleted = bytes_u64(head + 25);
    view->dim = bytes_u64(head + 33);
    view->multi = head[41] != 0;
    uint64_t present = bytes_u64(head + 17);
    if (view->dim < 1 || view->dim > DIM_MAX ||
        (view->n > 0 && view->vector_bytes != view->dim * scalar_bytes(view->scalar)))
        return FAIL_AT(err, KITH_ECORRUPT, at + 33,
                       "byte %llu: vectors of %llu bytes for %llu dimensions of %llu bytes",
                       (unsigned long long)at + 33, (unsigned long long)view->vector_bytes,
                       (unsigned long long)view->dim,
                       (unsigned long long)scalar_bytes(view->scalar));
    if (view->n_deleted > view->n || present != view->n - view->n_deleted)
        return FAIL_AT(err, KITH_ECORRUPT, at + 17,
                       "byte %llu: %llu rows present and %llu deleted of %llu",
                       (unsigned long long)at + 17, (unsigned long long)present,
                       (unsigned long long)view->n_deleted, (unsigned long long)view->n);
    return KITH_OK;
}

/* ---- rows -------------------------------------------------------------------------------------- */

const uint8_t *usearch_vector(const struct usearch_view *view, uint64_t row) {
    return view->vectors + row * view->vector_bytes;
}

uint64_t usearch_key(const struct usearch_view *view, uint64_t row) {
    return bytes_u64(view->bytes + view->node[row]);
}

bool usearch_deleted(const struct usearch_view *view, uint64_t row) {
    return usearch_key(view, row) == KEY_FREE;
}

int32_t usearch_level(const struct usearch_view *view, uint64_t row) {
    return bytes_i16(view->bytes + view->node[row] + 8);
}

const uint8_t *usearch_links(const struct usearch_view *view, uint64_t row, int32_t level,
                             uint32_t *n) {
    const uint8_t *at = view->bytes + view->node[row] + NODE_HEAD_BYTES;
    if (level > 0)
        at += COUNT_BYTES + 4 * view->M0 + (uint64_t)(level - 1) * (COUNT_BYTES + 4 * view->M);
    *n = bytes_u32(at);
    return at + COUNT_BYTES;
}

/* ---- the graph --------------------------------------------------------------------------------- */

static int read_graph(struct usearch_view *view, uint64_t at, kith_error *err) {
    const uint8_t *graph = view->bytes + at;
    uint64_t n = bytes_u64(graph), max_level = bytes_u64(graph + 24), entry = bytes_u64(graph + 32);
    view->M = bytes_u64(graph + 8);
    view->M0 = bytes_u64(graph + 16);
    if (n != view->n || n > UINT32_MAX)
        return FAIL_AT(err, KITH_ECORRUPT, at, "byte %llu: a graph of %llu rows over %llu vectors",
                       (unsigned long long)at, (unsigned long long)n, (unsigned long long)view->n);
    if (view->M < 1 || view->M0 < 1 || view->M > LINKS_MAX || view->M0 > LINKS_MAX)
        return FAIL_AT(err, KITH_ECORRUPT, at + 8, "byte %llu: room for %llu and %llu links",
                       (unsigned long long)at + 8, (unsigned long long)view->M,
                       (unsigned long long)view->M0);
    if (n == 0) {
        view->max_level = -1;
        return KITH_OK;
    }
    if (entry >= n || max_level > INT16_MAX)
        return FAIL_AT(err, KITH_ECORRUPT, at + 24,
                       "byte %llu: entry %llu of %llu rows, level %llu",
                       (unsigned long long)at + 24, (unsigned long long)entry,
                       (unsigned long long)n, (unsigned long long)max_level);
    view->max_level = (int32_t)max_level;
    view->entry = (uint32_t)entry;
    return KITH_OK;
}

/* Where each node is; they end with the file. levels: i16[n], at most n bytes of them there. */
static int find_nodes(struct usearch_view *view, uint64_t at, size_t n, kith_error *err) {
    const uint8_t *levels = view->bytes + at;
    at += 2 * view->n;
    for (uint64_t row = 0; row < view->n; row++) {
        int16_t level = bytes_i16(levels + 2 * row);
        uint64_t size = NODE_HEAD_BYTES + COUNT_BYTES + 4 * view->M0;
        if (level > 0) size += (uint64_t)level * (COUNT_BYTES + 4 * view->M);
        if (level < 0 || level > view->max_level)
            return FAIL_AT(err, KITH_ECORRUPT, at, "byte %llu: row %llu on level %d of %d",
                           (unsigned long long)at, (unsigned long long)row, level, view->max_level);
        if (n - at < size)
            return FAIL_AT(err, KITH_ETRUNCATED, at,
                           "byte %llu: the usearch file ends within row %llu",
                           (unsigned long long)at, (unsigned long long)row);
        view->node[row] = at;
        if (usearch_level(view, row) != level)
            return FAIL_AT(
                err, KITH_ECORRUPT, at, "byte %llu: row %llu on level %d and on level %d",
                (unsigned long long)at, (unsigned long long)row, level, usearch_level(view, row));
        at += size;
    }
    if (at < n)
        return FAIL_AT(err, KITH_ECORRUPT, at, "byte %llu: %llu bytes after the end of the index",
                       (unsigned long long)at, (unsigned long long)(n - at));
    return KITH_OK;
}

static int32_t level_of(const void *view, uint64_t row) { return usearch_level(view, row); }

static const uint8_t *links_of(const void *view, uint64_t row, int32_t level, uint32_t *n) {
    return usearch_links(view, row, level, n);
}

static int check_graph(const struct usearch_view *view, kith_error *err) {
    const struct foreign_links graph = {.view = view,
                                        .bytes = view->bytes,
                                        .n = view->n,
                                        .most0 = view->M0,
                                        .most = view->M,
                                        .level = level_of,
                                        .links = links_of};
    uint64_t n_deleted = 0;
    if (view->n > 0 && usearch_level(view, view->entry) != view->max_level)
        return FAIL(err, KITH_ECORRUPT, "the entry, row %u, is on level %d, not %d", view->entry,
                    usearch_level(view, view->entry), view->max_level);
    for (uint64_t row = 0; row < view->n; row++) {
        n_deleted += usearch_deleted(view, row);
        TRY(foreign_check_row(&graph, row, err));
    }
    if (n_deleted != view->n_deleted)
        return FAIL(err, KITH_ECORRUPT, "%llu rows deleted, %llu wanted",
                    (unsigned long long)n_deleted, (unsigned long long)view->n_deleted);
    return KITH_OK;
}

/* ---- the whole --------------------------------------------------------------------------------- */

static int read_parts(struct usearch_view *view, size_t n, struct mem_account *owner,
                      kith_error *err) {
    uint64_t at = head_at(view, view->bytes, n);
    if (at == 0 && is_head(view->bytes, n, 0))
        return FAIL_AT(err, KITH_EUNSUPPORTED, 0, "a usearch file without its vectors");
    if (at == 0) return FAIL_AT(err, KITH_EFORMAT, 0, "there is no usearch head in it");
    TRY(read_head(view, at, err));
    at += HEAD_BYTES;
    if (n - at < GRAPH_BYTES)
        return FAIL_AT(err, KITH_ETRUNCATED, n, "byte %zu: the usearch file ends before its graph",
                       n);
    TRY(read_graph(view, at, err));
    at += GRAPH_BYTES;
    if (view->n > (n - at) / 2)
        return FAIL_AT(err, KITH_ETRUNCATED, n, "byte %zu: the usearch file ends within its levels",
                       n);
    view->node = mem_new(owner, view->n * sizeof *view->node);
    if (!view->node)
        return FAIL(err, KITH_ENOMEM, "no memory for the places of %llu rows",
                    (unsigned long long)view->n);
    TRY(find_nodes(view, at, n, err));
    return check_graph(view, err);
}

int usearch_read(struct usearch_view *out, const uint8_t *bytes, size_t n,
                 struct mem_account *owner, kith_error *err) {
    struct usearch_view view = {.bytes = bytes};
    int code = read_parts(&view, n, owner, err);
    if (code != KITH_OK) usearch_deinit(&view, owner);
    *out = view;
    return code;
}

void usearch_deinit(struct usearch_view *view, struct mem_account *owner) {
    if (view->node) mem_free(owner, view->node, view->n * sizeof *view->node);
    *view = (struct usearch_view){0};
}
