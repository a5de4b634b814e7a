/* A chunk against many queries at once, by register tiles of whole-number dots. Private to ivf_*.c. */
#ifndef KITH_INDEX_IVF_TILE_H
#define KITH_INDEX_IVF_TILE_H

#include "index/ivf_probe.h"

/* Scratch, and the queries as tiles want them. */
struct tile {
    const struct ivf_model *model;
    uint32_t bytes;             /* of a row of byte codes; 0: these lists have no tiles */
    uint32_t codes;             /* of them, that a query may have other than 0 */
    int8_t *queries;            /* bytes each */
    float *scale, *bias, *room; /* one a query; room: between a tile's estimate and the scorer's */
    uint8_t *wide;              /* a chunk's codes as bytes, where they are not */
    uint8_t *panels;
    float *term, term_most; /* a chunk's; the largest size of one */
    int8_t *gathered;       /* TILE_QUERIES */
    struct kern_hit *hits;  /* TILE_QUERIES x IVF_CHUNK */
};
#define TILE_QUERIES 48u

/* Which of a batch's queries wants a list, and the distance of its centre. */
struct tile_pair {
    uint32_t query;
    float centre;
};

/* Whether lists of this model are read so, for n queries; scratch of so many bytes, 64-byte aligned, is the caller's. */
void tile_open(struct tile *tile, const struct ivf_model *model);
size_t tile_bytes(const struct tile *tile, size_t n);
void tile_begin(struct tile *tile, size_t n, uint8_t *memory);
/* Query number i, after probe_begin. */
void tile_set_query(struct tile *tile, size_t i, const struct probe *probe);
/* Offer the rows of a chunk to n probes' heaps, the same rows as probe_scan does. */
void tile_scan(struct tile *tile, const struct ivf_chunk *chunk, struct probe *probes,
               const struct tile_pair *pairs, size_t n);

#endif
