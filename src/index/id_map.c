/* Id map: linear probing with backward-shift deletion (Knuth, TAOCP 3, 6.4, Algorithm R), so that there are no
 * tombstones and a map that saw a million removals probes like a new one. */
#include "index/id_map.h"

#include <string.h>

#include "base/bits.h"

#define EMPTY    UINT32_MAX
#define BITS_MIN 4u

static int64_t id_at(const struct segs *id_of, uint32_t row) {
    return *(const int64_t *)(const void *)segs_at(id_of, row);
}

static uint32_t mask_of(const struct id_map *map) {
    return (uint32_t)(((uint64_t)1 << map->bits) - 1);
}

static uint32_t home_of(const struct id_map *map, int64_t id) {
    return (uint32_t)bits_mix((uint64_t)id) & mask_of(map);
}

static size_t bytes_of(uint32_t bits) { return bits ? sizeof(uint32_t) << bits : 0; }

/* The place of an id's row, or the empty place where it would be. */
static uint32_t place_of(const struct id_map *map, const struct segs *id_of, int64_t id) {
    uint32_t mask = mask_of(map), at = home_of(map, id);
    while (map->slots[at] != EMPTY && id_at(id_of, map->slots[at]) != id) at = (at + 1) & mask;
    return at;
}

bool id_map_reserve(struct id_map *map, uint32_t n, const struct segs *id_of,
                    struct mem_account *owner) {
    uint32_t bits = map->bits ? map->bits : BITS_MIN;
    while (((uint64_t)3 << bits) / 4 < n) bits++;
    if (bits == map->bits) return true;
    struct id_map wide = {.bits = bits, .n = map->n};
    wide.slots = mem_new(owner, bytes_of(bits));
    if (!wide.slots) return false;
    memset(wide.slots, 0xff, bytes_of(bits));
    for (uint64_t i = 0; map->bits && i >> map->bits == 0; i++) {
        uint32_t row = map->slots[i];
        if (row != EMPTY) wide.slots[place_of(&wide, id_of, id_at(id_of, row))] = row;
    }
    id_map_deinit(map, owner);
    *map = wide;
    return true;
}

void id_map_deinit(struct id_map *map, struct mem_account *owner) {
    mem_free(owner, map->slots, bytes_of(map->bits));
    *map = (struct id_map){0};
}

uint64_t id_map_bytes(const struct id_map *map) { return bytes_of(map->bits); }

uint32_t id_map_find(const struct id_map *map, const struct segs *id_of, int64_t id) {
    return map->bits ? map->slots[place_of(map, id_of, id)] : EMPTY;
}

uint32_t id_map_put(struct id_map *map, const struct segs *id_of, uint32_t row) {
    uint32_t at = place_of(map, id_of, id_at(id_of, row));
    if (map->slots[at] != EMPTY) return map->slots[at];
    map->slots[at] = row;
    map->n++;
    return EMPTY;
}

void id_map_replace(struct id_map *map, const struct segs *id_of, uint32_t old, uint32_t row) {
    map->slots[place_of(map, id_of, id_at(id_of, old))] = row;
}

void id_map_take(struct id_map *map, const struct segs *id_of, uint32_t row) {
    uint32_t mask = mask_of(map), hole = place_of(map, id_of, id_at(id_of, row));
    for (uint32_t at = (hole + 1) & mask; map->slots[at] != EMPTY; at = (at + 1) & mask) {
        uint32_t home = home_of(map, id_at(id_of, map->slots[at]));
        /* It may move to the hole unless its home lies cyclically in (hole, at]. */
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = EMPTY;
    map->n--;
}
