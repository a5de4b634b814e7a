/* usearch dense index files (2.10 and later): a typed view of the bytes. Read only.
 *
 *       0  rows and bytes a vector, both u32 or both u64, then the vectors
 *       .  head, 64 bytes: "usearch", u16 version[3], u8 metric, u8 scalar, u8 key, u8 slot, u64 present, u64 deleted,
 *          u64 dimensions, bool multi, zeros
 *       .  u64 size, u64 connectivity, u64 connectivity_base, u64 max_level, u64 entry_slot
 *       .  i16 levels[size]
 *       .  nodes: u64 key, i16 level, u32 n_links, u32 links[connectivity_base], and, level by level from 1,
 *          u32 n_links, u32 links[connectivity]
 *
 * What is read: keys of 64 bits, slots of 32, vectors in the file; metrics ip, cos and l2sq; scalars f32, f16, bf16, i8
 * and u8. A removed row has the key of all bits.
 *
 * Invariants of a view: everything points into the bytes; every link leads to a row that has the level; the entry is a
 * row of max_level or above; node[i] is where row i's node begins. */
#ifndef KITH_FOREIGN_USEARCH_H
#define KITH_FOREIGN_USEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>

struct mem_account;

enum usearch_metric { USEARCH_IP = 'i', USEARCH_COS = 'c', USEARCH_L2SQ = 'e' };
enum usearch_scalar {
    USEARCH_BF16 = 4,
    USEARCH_F32 = 11,
    USEARCH_F16 = 12,
    USEARCH_U8 = 17,
    USEARCH_I8 = 23
};

struct usearch_view {
    const uint8_t *bytes;
    uint16_t version[3];
    enum usearch_metric metric;
    enum usearch_scalar scalar;
    bool multi; /* a key may stand for several rows */
    uint64_t n, n_deleted, dim;
    const uint8_t *vectors; /* [n][dim] scalars */
    uint64_t vector_bytes;
    uint64_t M, M0; /* links a row above and on level 0, at most */
    int32_t max_level;
    uint32_t entry;
    uint64_t *node; /* [n] offsets into bytes */
};

/* out is filled, or left zero on error: KITH_EFORMAT, KITH_ETRUNCATED, KITH_ECORRUPT, KITH_EVERSION, KITH_EUNSUPPORTED,
 * KITH_ENOMEM, with err->at the byte.
 *   Owns     node, freed by usearch_deinit with the same owner; bytes must outlive the view.
 *   Cost     reads all links, no vectors; 8 bytes a row. */
int usearch_read(struct usearch_view *out, const uint8_t *bytes, size_t n,
                 struct mem_account *owner, kith_error *err);
void usearch_deinit(struct usearch_view *view, struct mem_account *owner);

/* Is there a usearch head where the first numbers say? */
bool usearch_recognise(const uint8_t *bytes, size_t n);

/* A row; all at any alignment. Links: *n of them, u32, on a level that the row has. */
const uint8_t *usearch_vector(const struct usearch_view *view, uint64_t row);
uint64_t usearch_key(const struct usearch_view *view, uint64_t row);
bool usearch_deleted(const struct usearch_view *view, uint64_t row);
int32_t usearch_level(const struct usearch_view *view, uint64_t row);
const uint8_t *usearch_links(const struct usearch_view *view, uint64_t row, int32_t level,
                             uint32_t *n);

#endif
