/* live: which slots hold points, and which of them have a vector in each field, at one batch. Never changed once published.
 *
 *     row 0: bits of the points; row 1 + f: bits of those with a vector in field f of the collection */
#ifndef KITH_DB_LIVE_H
#define KITH_DB_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "store/points.h"

struct live {
    struct live *next; /* of those that wait to be freed */
    uint64_t stamp;    /* when it was replaced */
    uint64_t seq;      /* the batch it is of */
    uint32_t n_slots, n_rows;
    size_t words; /* of a row */
    size_t bytes;
    uint64_t bits[];
};

struct live *live_new(struct mem_account *owner, uint32_t n_slots, uint32_t n_rows);
void live_free(struct mem_account *owner, struct live *live);
/* From what a view sees. store_field[f]: the store's number of field f. */
int live_read(struct live **out, const struct points_view *view, const uint32_t *store_field,
              uint32_t n_fields, struct mem_account *owner, kith_error *err);
/* A slot's bits, from the mask of its vectors (by the collection's numbers); there false: none. */
void live_set(struct live *live, uint32_t slot, bool there, uint64_t fields);

static inline const uint64_t *live_row(const struct live *live, uint32_t row) {
    return live->bits + row * live->words;
}

#endif
