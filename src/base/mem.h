/* Memory: every byte is asked for here, with its size and an owner, so that reports are exact.
 *
 * Invariants
 *   1. account.bytes is the sum of the sizes of its live blocks, as given to mem_new / mem_slab, and of the accounts that
 *      joined it.
 *   2. Every block is 64-byte aligned; mem_new and mem_slab return zeroed bytes.
 *   3. A failed call returns NULL and changes nothing but `refused`.
 *   4. Where there is a limit, account.bytes is never above it but for the moment in which a call is refused. Two calls at
 *      once that fit one by one may both be refused; none that does not fit is let through.
 * mem_slab maps whole pages and asks for huge ones from 2 MiB up; untouched pages cost no physical memory. */
#ifndef KITH_BASE_MEM_H
#define KITH_BASE_MEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem_account {
    _Atomic uint64_t bytes;
    _Atomic uint64_t blocks;
    uint64_t limit; /* 0: none; set before the account has other threads */
    /* bytes of the call that a limit refused last, here or further up; 0: none */
    _Atomic uint64_t refused;
    struct mem_account *parent; /* what is counted here is counted there too */
};

/* From here on the parent counts what the child does, and `more` beside it (the object that holds the child).
 * False where the parent's limit forbids. leave gives all of it back; a child without a parent may leave. */
bool mem_account_join(struct mem_account *child, struct mem_account *parent, uint64_t more);
void mem_account_leave(struct mem_account *child, uint64_t more);

/* Zeroed, 64-byte aligned; bytes 0 gives a block of one byte. owner may be NULL (not counted). */
void *mem_new(struct mem_account *owner, size_t bytes);
/* Grow or shrink; new bytes are zeroed; p NULL: mem_new. On failure p stays valid. */
void *mem_resize(struct mem_account *owner, void *p, size_t old_bytes, size_t new_bytes);
void mem_free(struct mem_account *owner, void *p, size_t bytes);

void *mem_slab(struct mem_account *owner, size_t bytes);
void mem_slab_free(struct mem_account *owner, void *p, size_t bytes);

/* a*b, a+b; false on overflow. */
bool mem_mul(size_t a, size_t b, size_t *out);
bool mem_add(size_t a, size_t b, size_t *out);

/* Tests only: the nth call from now (1 = next) of mem_new, mem_resize or mem_slab fails once; 0 turns it off.
 * mem_test_calls counts the calls since the last mem_test_fail_at. */
void mem_test_fail_at(uint64_t nth);
uint64_t mem_test_calls(void);
/* All live blocks of the process, whatever the owner: leak checks and "no allocation per query" tests. */
uint64_t mem_live_blocks(void);
uint64_t mem_total_calls(void);

#endif
