/* hnswlib index files (saveIndex of hnswlib 0.8): a typed view of the bytes. Read only.
 *
 *       0  u64 offsetLevel0 (0), u64 max_elements, u64 cur_element_count, u64 size_data_per_element, u64 label_offset,
 *          u64 offsetData, i32 maxlevel, u32 enterpoint_node, u64 maxM, u64 maxM0, u64 M, f64 mult, u64 ef_construction
 *      96  rows: cur_element_count x size_data_per_element; a row is u16 n_links, u8 flags (1: deleted), u8 unused,
 *          u32 links[maxM0], the vector, u64 label
 *          then of each row u32 bytes, and, level by level from 1, u16 n_links, u16 unused, u32 links[maxM]
 *
 * The file tells neither metric nor type: vector_bytes is all there is. hnswlib's cosine space stores unit vectors.
 *
 * Invariants of a view: everything points into the bytes; every link leads to a row that has the level; the entry is a
 * row of max_level; upper[i] is where row i's links above level 0 begin. */
#ifndef KITH_FOREIGN_HNSWLIB_H
#define KITH_FOREIGN_HNSWLIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>

struct mem_account;

struct hnswlib_view {
    const uint8_t *bytes;
    uint64_t n, max_elements, row_bytes, vector_bytes;
    int32_t max_level; /* -1 when empty */
    uint32_t entry;
    uint64_t M, M0; /* links a row above and on level 0, at most */
    uint64_t ef_construction;
    uint64_t *upper; /* [n] offsets into bytes of the u32 that counts a row's bytes above level 0 */
};

/* out is filled, or left zero on error: KITH_EFORMAT, KITH_ETRUNCATED, KITH_ECORRUPT, KITH_ENOMEM, with err->at the byte.
 *   Owns     upper, freed by hnswlib_deinit with the same owner; bytes must outlive the view.
 *   Cost     reads all links, no vectors; 8 bytes a row. */
int hnswlib_read(struct hnswlib_view *out, const uint8_t *bytes, size_t n,
                 struct mem_account *owner, kith_error *err);
void hnswlib_deinit(struct hnswlib_view *view, struct mem_account *owner);

/* Does the file's head hold together? (It has no magic number.) */
bool hnswlib_recognise(const uint8_t *bytes, size_t n);

/* A row; all at any alignment. Links: *n of them, u32, on a level that the row has. */
const uint8_t *hnswlib_vector(const struct hnswlib_view *view, uint64_t row);
uint64_t hnswlib_label(const struct hnswlib_view *view, uint64_t row);
bool hnswlib_deleted(const struct hnswlib_view *view, uint64_t row);
int32_t hnswlib_level(const struct hnswlib_view *view, uint64_t row);
const uint8_t *hnswlib_links(const struct hnswlib_view *view, uint64_t row, int32_t level,
                             uint32_t *n);

#endif
