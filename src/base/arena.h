/* Arena: many small pieces that live and die together. */
#ifndef KITH_BASE_ARENA_H
#define KITH_BASE_ARENA_H

#include <stddef.h>

struct mem_account;

struct arena_block;
/* All zero but for owner is an empty one. */
struct arena {
    struct mem_account *owner;
    struct arena_block *blocks; /* the newest first */
};

/* Zeroed, aligned to 16; NULL when memory is short. Lives until arena_deinit. */
void *arena_new(struct arena *arena, size_t bytes);
/* A copy of n bytes and a zero after them. */
char *arena_copy(struct arena *arena, const char *bytes, size_t n);
/* Frees every piece; the arena is empty again. */
void arena_deinit(struct arena *arena);

#endif
