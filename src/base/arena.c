/* Arena: pieces cut one after another from blocks that double.
 *
 *     blocks -> [newest: used | free] -> [older: used | left over] -> ...
 *
 * Invariants
 *   1. A piece never moves, and is zeroed: the blocks of base/mem are, and no byte is given twice.
 *   2. The first block is small, so that a small arena costs little; a piece larger than the next block has its own. */
#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"

enum { PIECE_ALIGN = 16, FIRST_BYTES = 512, MOST_BYTES = 1 << 16 };

struct arena_block {
    struct arena_block *next;
    size_t bytes, used; /* both with this head */
};

static const size_t head_bytes =
    (sizeof(struct arena_block) + PIECE_ALIGN - 1) / PIECE_ALIGN * PIECE_ALIGN;

static struct arena_block *grow(struct arena *arena, size_t piece) {
    size_t bytes = arena->blocks ? arena->blocks->bytes * 2 : FIRST_BYTES;
    if (bytes > MOST_BYTES) bytes = MOST_BYTES;
    if (bytes < head_bytes + piece) bytes = head_bytes + piece;
    struct arena_block *block = mem_new(arena->owner, bytes);
    if (!block) return NULL;
    *block = (struct arena_block){.next = arena->blocks, .bytes = bytes, .used = head_bytes};
    arena->blocks = block;
    return block;
}

void *arena_new(struct arena *arena, size_t bytes) {
    struct arena_block *block = arena->blocks;
    if (bytes > SIZE_MAX / 2) return NULL;
    bytes = bits_round_up(bytes ? bytes : 1, PIECE_ALIGN);
    if ((!block || block->bytes - block->used < bytes) && !(block = grow(arena, bytes)))
        return NULL;
    void *piece = (char *)block + block->used;
    block->used += bytes;
    return piece;
}

char *arena_copy(struct arena *arena, const char *bytes, size_t n) {
    char *copy = n < SIZE_MAX ? arena_new(arena, n + 1) : NULL;
    if (copy) memcpy(copy, bytes, n);
    return copy;
}

void arena_deinit(struct arena *arena) {
    for (struct arena_block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        mem_free(arena->owner, block, block->bytes);
    }
    arena->blocks = NULL;
}
