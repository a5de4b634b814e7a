/* Rows that are not held: their vectors come from the caller again, block by block, each time something is made of them.
 * What builds an index file within a memory limit. Private to rows*.c and the indexes that can be built so.
 *
 *     begin   one pass: values checked, ranges learnt, an even sample kept; then rows have a trained store, numbers, ids
 *     hold    one pass, where the index works on codes: walk rows, and residual norms, into memory
 *     put     one pass for each section that a save writes and memory does not hold
 *
 * Invariants
 *   1. Whatever is written is what rows_add of all rows in one call would have: the same codes, from the same ranges and
 *      the same sample (but for a sample that was made smaller to fit a limit).
 *   2. Blocks are read in rising order, by one thread; coding is done by several. */
#ifndef KITH_INDEX_ROWS_STREAM_H
#define KITH_INDEX_ROWS_STREAM_H

#include "index/rows.h"

struct file_sections;

struct rows_stream {
    const kith_rows *from;
    const kith_work *work;
    struct mem_account *owner;
    uint32_t block;    /* rows read at a time */
    uint32_t n_sample; /* rows wanted, and kept in: */
    float *sample;     /* n_sample x dim; rows_stream_drop_sample frees it early */
    float *x;          /* block x dim */
    uint8_t *codes;    /* block rows of the widest section */
    size_t codes_bytes;
    bool integral; /* all values are, 0..255 */
};

/* Set from, work, owner, block and n_sample first. */
int rows_stream_begin(struct rows *rows, struct rows_stream *stream, kith_error *err);
void rows_stream_drop_sample(struct rows_stream *stream);
void rows_stream_deinit(struct rows_stream *stream);

/* Rows [first, first + n) into stream->x; n at most block. */
int rows_stream_read(struct rows_stream *stream, uint64_t first, size_t n, kith_error *err);
int rows_stream_hold(struct rows *rows, struct rows_stream *stream, kith_error *err);
/* Whether a save has to put this array of the store, for memory does not hold it. */
bool rows_stream_has(const struct rows *rows, const struct segs *segs);
/* The section of one of the store's arrays. */
int rows_stream_put(const struct rows *rows, uint32_t tag, const struct segs *segs,
                    struct file_sections *out, kith_error *err);

#endif
