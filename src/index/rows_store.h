/* A store: the codes of one moment and the rows written in them. Private to rows*.c.
 *
 * Which codes: data that are integers in 0..255 throughout are one u8 store, walk and original at once. All other data
 * get what rows_config says, a quantizer's code only once there are rows enough to learn from: one shared store where walk and original are the same kind, else two. */
#ifndef KITH_INDEX_ROWS_STORE_H
#define KITH_INDEX_ROWS_STORE_H

#include "index/rows.h"

/* Rows being added: x[n][dim], to be written at row[n]. */
struct store_batch {
    size_t n;
    const float *x;
    uint32_t threads;
    bool integral;      /* of all values */
    uint32_t n_clipped; /* rows outside the ranges, as store_suits found */
    uint64_t first;     /* the number of x[0] among what the user gave, for errors */
};

/* What decides the codes, beside rows_config: whether all values are integers in 0..255, and whether a quantizer has
 * learnt. */
struct store_form {
    bool integral, quantized;
};
struct store_form store_form_of(const struct store *store);
/* The form that suits what is there and a batch, of which only n and integral are read. */
struct store_form store_form_next(const struct rows *rows, const struct store_batch *batch);

/* Whether there can be a quantizer as config asks; it is made only once there are rows. */
int store_try(const struct rows_config *config, struct mem_account *owner, kith_error *err);
/* The code whose ranges were learnt from rows and may be left by others: sq8's, NULL where there is none. */
const struct code *store_ranged_code(const struct store *store);
/* An empty store of untrained codes. */
int store_new(struct store **out, const struct rows_config *config, struct store_form form,
              struct mem_account *owner, kith_error *err);
void store_free(struct store *store, struct mem_account *owner);
bool store_reserve(struct store *store, uint32_t n, struct mem_account *owner);
/* Whether a batch can go into the store that rows has: right kind, and ranges that are good enough. */
bool store_suits(const struct rows *rows, struct store_batch *batch);
/* Build the store that suits what is there and the batch, with room for n rows in all, write what is there into it,
 * publish it, and free the old one after a grace period. `layout` is held exclusively. */
int store_change(struct rows *rows, const struct store_batch *batch, uint32_t n, kith_error *err);
/* One row coded, to walk and orig (either may be NULL; orig only where originals are apart). Returns the residual norm of the
 * walk row, which is right where both were written that the store has. */
float store_encode(const struct store *store, const float *x, uint8_t *walk, uint8_t *orig);
/* Raise the largest squared length to l2sq. */
void store_note_length(struct store *store, float l2sq);
/* Encode a batch into rows that no reader can see. */
void store_write(struct store *store, const struct store_batch *batch, const uint32_t *row);
/* Bits a row, in words, under ids_lock (freed, held). */
static inline uint64_t *row_word(const struct segs *bits, uint32_t row) {
    return (uint64_t *)(void *)segs_at(bits, row >> 6);
}

static inline bool row_bit(const struct segs *bits, uint32_t row) {
    return (*row_word(bits, row) >> (row & 63)) & 1u;
}

static inline void row_bit_set(const struct segs *bits, uint32_t row) {
    *row_word(bits, row) |= (uint64_t)1 << (row & 63);
}

static inline void row_bit_clear(const struct segs *bits, uint32_t row) {
    *row_word(bits, row) &= ~((uint64_t)1 << (row & 63));
}

/* rows_add.c: every value is finite, and no distance of two such rows is not. Errors name the row. */
int store_check_values(const struct rows_config *config, const struct store_batch *batch,
                       kith_error *err);

/* rows.c, all under ids_lock but the live bits. */
uint32_t rows_lookup(const struct rows *rows,
                     int64_t id); /* the held row of an id, live or not, or ROW_NONE */
void rows_free_one(struct rows *rows, uint32_t row);
void rows_set_live(struct rows *rows, uint32_t row);
void rows_set_dead(struct rows *rows, uint32_t row);

#endif
