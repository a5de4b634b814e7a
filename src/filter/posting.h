/* Postings: sets of rows (uint32_t) that change one by one, small when they are sparse, quick when they are dense.
 *
 *     none, one row     in the struct
 *     up to 256         an ascending array
 *     more              blocks of 65,536 rows, each an ascending array of low halves (up to 4,096) or 1,024 words of bits
 *
 * The layout of blocks is that of Roaring bitmaps (Lemire et al. 2016), decision 0042 says why it is not that library. */
#ifndef KITH_FILTER_POSTING_H
#define KITH_FILTER_POSTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem_account;

struct posting_block {
    uint32_t high; /* of its rows, row >> 16 */
    uint32_t n;
    uint32_t capacity; /* of lows; 0: bits */
    union {
        uint16_t *lows;
        uint64_t *bits;
    };
};

/* All zero is the empty set. */
struct posting {
    uint32_t n;        /* rows */
    uint32_t capacity; /* of rows or blocks; 0: none, or the one in the struct */
    uint32_t n_blocks; /* 0: not in blocks */
    union {
        uint32_t one;
        uint32_t *rows;
        struct posting_block *blocks;
    };
};

/* False when memory is short, and the set is as it was. Adding what is there, removing what is not, changes nothing. */
bool posting_add(struct posting *posting, struct mem_account *owner, uint32_t row);
void posting_remove(struct posting *posting, struct mem_account *owner, uint32_t row);
void posting_deinit(struct posting *posting, struct mem_account *owner);
bool posting_has(const struct posting *posting, uint32_t row);

/* bits |= posting. The bits reach beyond its last row. About 0.5 ns a row where sparse, 6 ns for 1,000 rows where dense. */
void posting_or(const struct posting *posting, uint64_t *bits);
/* bits &= ~posting; the bits reach as far. */
void posting_and_not(const struct posting *posting, uint64_t *bits);
/* bits &= posting, over n_words. */
void posting_and(const struct posting *posting, uint64_t *bits, size_t n_words);
/* How many of the rows are set in bits. */
uint64_t posting_count_in(const struct posting *posting, const uint64_t *bits);
/* Writes n rows, ascending. */
void posting_list(const struct posting *posting, uint32_t *rows);

#endif
