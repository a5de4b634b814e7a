/* Id map: the user's id (int64_t) to a row number, by open addressing.
 *
 *     slots: [ row | ROW_NONE | row | row | … ]     2^bits places of four bytes, linear probing
 *
 * A slot holds a row number only; its id is read from the array row -> id (id_of), which the caller keeps
 * right for every row in the map. So a row costs 5.3 to 10.7 bytes here, not three times that.
 *
 * Invariants
 *   1. n rows are in the map, no two with the same id; at most three quarters of the places are taken.
 *   2. From the home of an id (its hash) to the place of its row no place is empty.
 * Not safe for threads by itself. */
#ifndef KITH_INDEX_ID_MAP_H
#define KITH_INDEX_ID_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/segs.h"

struct id_map {
    uint32_t *slots;
    uint32_t bits; /* 2^bits places; 0: none yet */
    uint32_t n;
};

/* Room for n rows in all; false when memory is short (the map stays as it was). */
bool id_map_reserve(struct id_map *map, uint32_t n, const struct segs *id_of,
                    struct mem_account *owner);
void id_map_deinit(struct id_map *map, struct mem_account *owner);
uint64_t id_map_bytes(const struct id_map *map);

/* The row of an id, or UINT32_MAX. */
uint32_t id_map_find(const struct id_map *map, const struct segs *id_of, int64_t id);
/* Put a row under its id (id_of[row]): the row that was there already (and stays), or UINT32_MAX. Room has
 * been reserved. */
uint32_t id_map_put(struct id_map *map, const struct segs *id_of, uint32_t row);
/* Let the id of `old`, which is in the map, mean `row`, whose id is the same. */
void id_map_replace(struct id_map *map, const struct segs *id_of, uint32_t old, uint32_t row);
/* Take out a row that is in the map. */
void id_map_take(struct id_map *map, const struct segs *id_of, uint32_t row);

#endif
