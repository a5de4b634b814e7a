/* Rows of k-means: where a row is, and which rows are trained on. Private to k-means. */
#ifndef KITH_QUANT_KMEANS_ROWS_H
#define KITH_QUANT_KMEANS_ROWS_H

#include "quant/kmeans.h"

/* n of the rows: row i is number sample[i] of them, or i itself where sample is NULL. */
struct kmeans_source {
    const struct kmeans_rows *rows;
    const uint32_t *sample;
    size_t n;
};

/* Row i, in place, or decoded to `room`. */
static inline const float *kmeans_row(const struct kmeans_source *source, size_t i, float *room) {
    const struct kmeans_rows *rows = source->rows;
    size_t row = source->sample ? source->sample[i] : i;
    if (!rows->read) return rows->values + row * (rows->stride ? rows->stride : rows->dim);
    rows->read(rows->context, row, room);
    return room;
}

/* Floats of room that decoding n rows takes. */
static inline size_t kmeans_room(const struct kmeans_rows *rows, size_t n) {
    return rows->read ? n * rows->dim : 0;
}

/* Finite, and short enough for every distance to be finite. room: one row's. */
int kmeans_rows_check(const struct kmeans_source *source, size_t begin, size_t end, float *room,
                      kith_error *err);

/* `most` of the numbers 0..n-1, each set as likely, rising. */
void kmeans_draw(uint64_t *state, size_t n, size_t most, uint32_t *out);

#endif
