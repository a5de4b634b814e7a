/* Storages: rows of another engine's vectors or codes, what they stand for, and which code of Kith holds them.
 *
 *     engine's bytes --storage_read--> the vector a code stands for --an index's code--> Kith's bytes
 *
 *     theirs                          Kith's                     kept?
 *     f32, f16, bf16                  the same                   yes
 *     SQ 8 bit direct; u8             Flat, as u8                yes
 *     SQ 8 bit direct signed; i8      SQfp16                     yes, in two bytes
 *     SQ of 8, 6, 4 bits              SQ8, SQ6, SQ4              yes, but that steps are cut to 16 bits (see below)
 *     PQ of 4, 8 bits                 PQmx4, PQm                 yes
 *     PQ of 1 to 3, 5 to 7 bits       the same, wider            yes, in 4 or 8 bits; spare centroids repeat the first
 *     PQ of more than 8 bits          Flat                       as the vectors that they stand for
 *     RaBitQ of 1 to 8 bits           RaBitQ, not rotated        yes
 *
 * FAISS's SQ decodes code c to vmin + vdiff (c + 1/2) / M, M = 2^bits - 1; Kith's to low + step c, where step has 16
 * significant bits. With step the nearest such to vdiff / M, and low chosen so that both agree at c = M / 2, a value is off
 * by at most M 2^-18 steps: a thousandth of one.
 *
 * A storage that is asked to be `plain` stands for the same vectors, decoded as its engine does, in f32. */
#ifndef KITH_CONVERT_STORAGE_H
#define KITH_CONVERT_STORAGE_H

#include "foreign/faiss.h"
#include "index/import.h"

enum storage_kind {
    STORAGE_F32,
    STORAGE_F16,
    STORAGE_BF16,
    STORAGE_U8,
    STORAGE_I8,
    STORAGE_SQ,
    STORAGE_PQ,
    STORAGE_RABITQ /* in lists; has no vectors */
};

struct storage {
    enum storage_kind kind;
    bool plain; /* kept as f32, whatever it is */
    uint32_t dim;
    uint64_t n;
    const uint8_t *codes; /* NULL: in lists */
    uint64_t code_size;   /* bytes from row to row; in blocks from block to block */
    uint32_t block;       /* rows a block of the fast scan; 0: no blocks */
    const struct faiss_sq *sq;
    const struct faiss_pq *pq;
    const struct faiss_rabitq *rabitq;
    uint32_t bits;           /* SQ, PQ: of Kith's code */
    float *low, *step;       /* SQ: dim each, owned */
    struct code_model model; /* of SQ, PQ and RaBitQ; bytes owned */
    struct mem_account *owner;
};

/* The storage of a FAISS node: of its rows (Flat, PQ, SQ, fast scan) or of its lists.
 *   Errors   KITH_EUNSUPPORTED, KITH_EDIM, KITH_ENOMEM. out is then empty, and deinit allowed. */
int storage_of_node(struct storage *out, const struct faiss_node *node, bool plain,
                    struct mem_account *owner, kith_error *err);
/* Rows of one type, `stride` bytes apart. */
void storage_of_rows(struct storage *out, enum storage_kind kind, uint32_t dim, uint64_t n,
                     const uint8_t *codes, uint64_t stride);
void storage_deinit(struct storage *storage);

/* What row i of an array of codes stands for (codes: storage->codes, or a list's). */
void storage_read(const struct storage *storage, const uint8_t *codes, uint64_t i, float *x);
/* RaBitQ: the code at `code` of a row near a centre, as Kith's quantizer lays it out; u has room for dim numbers. */
void storage_compose(const struct storage *storage, const struct quantizer *quantizer,
                     const uint8_t *code, const float *centre, uint8_t *u, uint8_t *out);
/* Kith's word for it ("SQ8", "PQ16x4"), into text. Flat where that is all. */
void storage_word(const struct storage *storage, char text[24]);
/* Whether plain Flat rows hold it. */
bool storage_is_flat(const struct storage *storage);
/* Whether Kith's form of it says just what it said. */
bool storage_is_kept(const struct storage *storage);
/* The same in words, for a report. */
void storage_tell(const struct storage *storage, char *text, size_t size);

#endif
