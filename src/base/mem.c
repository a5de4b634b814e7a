/* Memory: aligned, zeroed blocks with an owner, counted to the byte.
 *
 * Three kinds of block, told apart by their size alone, which every caller keeps anyway:
 *
 *     mem_new   < 1 MiB    the C library's heap
 *     mem_new   >= 1 MiB   a mapping of its own: zeroed without being touched, grown by mremap without a copy
 *     mem_slab             a mapping of its own; from 2 MiB up aligned to a huge page, with huge pages asked for
 *
 * Invariants
 *   1. A block of a given size is always of the same kind, so mem_free needs no header in front of it.
 *   2. Bytes are charged before they are asked for, so that a limit holds, and given back where the call fails; blocks
 *      are counted once it can no longer fail.
 * Under the address sanitizer every mem_new comes from the heap, so that each block has its red zones. */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"

#define MEM_ALIGN ((size_t)64)
#define MEM_HUGE  ((size_t)2 << 20)

#if defined(__SANITIZE_ADDRESS__)
#define MEM_MAP_MIN SIZE_MAX
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEM_MAP_MIN SIZE_MAX
#endif
#endif
#ifndef MEM_MAP_MIN
#define MEM_MAP_MIN ((size_t)1 << 20)
#endif

static _Atomic uint64_t live_blocks;
static _Atomic uint64_t total_calls;
static _Atomic uint64_t test_base; /* total_calls at the last mem_test_fail_at */
static _Atomic uint64_t test_fail; /* the value of total_calls that fails; 0 none */

/* ---- counting ---------------------------------------------------------------------------------- */

/* Count a call; true when this is the one that a test wants to fail. */
static bool call_fails(void) {
    uint64_t n = atomic_fetch_add_explicit(&total_calls, 1, memory_order_relaxed) + 1;
    return n == atomic_load_explicit(&test_fail, memory_order_relaxed);
}

/* Count bytes to an account and those above it, unless a limit forbids: then to none, and all below are told. */
static bool charge(struct mem_account *owner, uint64_t bytes) {
    for (struct mem_account *at = owner; at; at = at->parent) {
        uint64_t before = atomic_fetch_add_explicit(&at->bytes, bytes, memory_order_relaxed);
        if (at->limit == 0 || (before <= at->limit && bytes <= at->limit - before)) continue;
        for (struct mem_account *back = owner;; back = back->parent) {
            atomic_fetch_sub_explicit(&back->bytes, bytes, memory_order_relaxed);
            atomic_store_explicit(&back->refused, bytes, memory_order_relaxed);
            if (back == at) return false;
        }
    }
    return true;
}

static void discharge(struct mem_account *owner, uint64_t bytes) {
    for (; owner; owner = owner->parent)
        atomic_fetch_sub_explicit(&owner->bytes, bytes, memory_order_relaxed);
}

static void count_block(struct mem_account *owner) {
    atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
    for (; owner; owner = owner->parent)
        atomic_fetch_add_explicit(&owner->blocks, 1, memory_order_relaxed);
}

static void uncount_block(struct mem_account *owner, size_t bytes) {
    atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
    discharge(owner, bytes);
    for (; owner; owner = owner->parent)
        atomic_fetch_sub_explicit(&owner->blocks, 1, memory_order_relaxed);
}

bool mem_account_join(struct mem_account *child, struct mem_account *parent, uint64_t more) {
    uint64_t bytes = atomic_load_explicit(&child->bytes, memory_order_relaxed) + more;
    if (!charge(parent, bytes)) return false;
    uint64_t blocks = atomic_load_explicit(&child->blocks, memory_order_relaxed);
    for (struct mem_account *at = parent; at; at = at->parent)
        atomic_fetch_add_explicit(&at->blocks, blocks, memory_order_relaxed);
    child->parent = parent;
    return true;
}

void mem_account_leave(struct mem_account *child, uint64_t more) {
    if (!child->parent) return;
    uint64_t blocks = atomic_load_explicit(&child->blocks, memory_order_relaxed);
    discharge(child->parent, atomic_load_explicit(&child->bytes, memory_order_relaxed) + more);
    for (struct mem_account *at = child->parent; at; at = at->parent)
        atomic_fetch_sub_explicit(&at->blocks, blocks, memory_order_relaxed);
    child->parent = NULL;
}

/* ---- blocks, not counted ----------------------------------------------------------------------- */

static size_t page_bytes(void) {
    static _Atomic size_t page;
    size_t bytes = atomic_load_explicit(&page, memory_order_relaxed);
    if (bytes == 0) {
        bytes = (size_t)sysconf(_SC_PAGESIZE);
        atomic_store_explicit(&page, bytes, memory_order_relaxed);
    }
    return bytes;
}

/* bytes in whole pages, at least one; 0 when that does not fit a size. */
static size_t whole_pages(size_t bytes) {
    size_t page = page_bytes();
    if (bytes > SIZE_MAX - page) return 0;
    return bits_round_up(bytes ? bytes : 1, page);
}

static void *map_pages(size_t bytes) {
    size_t length = whole_pages(bytes);
    if (length == 0) return NULL;
    void *p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void unmap_pages(void *p, size_t bytes) { munmap(p, whole_pages(bytes)); }

/* Map bytes at a multiple of MEM_HUGE: map that much more, give back both ends. */
static void *map_huge(size_t bytes) {
    size_t length = whole_pages(bytes), wide;
    if (length == 0 || !mem_add(length, MEM_HUGE, &wide)) return NULL;
    uint8_t *raw = map_pages(wide);
    if (!raw) return map_pages(bytes); /* close to a limit: better unaligned than not at all */
    size_t head = (size_t)(-(uintptr_t)raw & (MEM_HUGE - 1));
    if (head) munmap(raw, head);
    if (wide - head - length) munmap(raw + head + length, wide - head - length);
#ifdef MADV_HUGEPAGE
    madvise(raw + head, length, MADV_HUGEPAGE); /* a hint: refused, small pages serve */
#endif
    return raw + head;
}

static void *heap_block(size_t bytes) {
    void *p = NULL;
    if (bytes > SIZE_MAX - MEM_ALIGN || posix_memalign(&p, MEM_ALIGN, bytes ? bytes : 1) != 0)
        return NULL;
    return memset(p, 0, bytes ? bytes : 1);
}

static void *block_new(size_t bytes) {
    return bytes >= MEM_MAP_MIN ? map_pages(bytes) : heap_block(bytes);
}

static void block_free(void *p, size_t bytes) {
    if (bytes >= MEM_MAP_MIN)
        unmap_pages(p, bytes);
    else
        free(p);
}

/* Both sizes are mapped: the kernel moves the pages. */
static void *block_remap(void *p, size_t old_bytes, size_t new_bytes) {
    size_t old_length = whole_pages(old_bytes), new_length = whole_pages(new_bytes);
    if (new_length == 0) return NULL;
    uint8_t *moved = mremap(p, old_length, new_length, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) return NULL;
    if (new_bytes > old_bytes) { /* the old last page may hold what a shrink left behind */
        size_t end = new_bytes < old_length ? new_bytes : old_length;
        memset(moved + old_bytes, 0, end - old_bytes);
    }
    return moved;
}

/* ---- the interface ----------------------------------------------------------------------------- */

/* A block that was charged before it was asked for: counted, or given back. */
static void *settle(struct mem_account *owner, void *p, size_t bytes) {
    if (p)
        count_block(owner);
    else
        discharge(owner, bytes);
    return p;
}

void *mem_new(struct mem_account *owner, size_t bytes) {
    if (call_fails() || !charge(owner, bytes)) return NULL;
    return settle(owner, block_new(bytes), bytes);
}

/* Both sizes are mapped: only the difference is asked for. */
static void *resize_mapped(struct mem_account *owner, void *p, size_t old_bytes, size_t new_bytes) {
    size_t more = new_bytes > old_bytes ? new_bytes - old_bytes : 0;
    size_t less = new_bytes < old_bytes ? old_bytes - new_bytes : 0;
    if (!charge(owner, more)) return NULL;
    void *moved = block_remap(p, old_bytes, new_bytes);
    discharge(owner, moved ? less : more);
    return moved;
}

void *mem_resize(struct mem_account *owner, void *p, size_t old_bytes, size_t new_bytes) {
    if (!p) return mem_new(owner, new_bytes);
    if (call_fails()) return NULL;
    if (old_bytes >= MEM_MAP_MIN && new_bytes >= MEM_MAP_MIN)
        return resize_mapped(owner, p, old_bytes, new_bytes);
    if (!charge(owner, new_bytes)) return NULL;
    void *moved = settle(owner, block_new(new_bytes), new_bytes);
    if (!moved) return NULL;
    memcpy(moved, p, old_bytes < new_bytes ? old_bytes : new_bytes);
    mem_free(owner, p, old_bytes);
    return moved;
}

void mem_free(struct mem_account *owner, void *p, size_t bytes) {
    if (!p) return;
    block_free(p, bytes);
    uncount_block(owner, bytes);
}

void *mem_slab(struct mem_account *owner, size_t bytes) {
    if (call_fails() || !charge(owner, bytes)) return NULL;
    return settle(owner, bytes >= MEM_HUGE ? map_huge(bytes) : map_pages(bytes), bytes);
}

void mem_slab_free(struct mem_account *owner, void *p, size_t bytes) {
    if (!p) return;
    unmap_pages(p, bytes);
    uncount_block(owner, bytes);
}

bool mem_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }

bool mem_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

/* ---- for tests --------------------------------------------------------------------------------- */

void mem_test_fail_at(uint64_t nth) {
    uint64_t now = atomic_load_explicit(&total_calls, memory_order_relaxed);
    atomic_store_explicit(&test_base, now, memory_order_relaxed);
    atomic_store_explicit(&test_fail, nth ? now + nth : 0, memory_order_relaxed);
}

uint64_t mem_test_calls(void) {
    return mem_total_calls() - atomic_load_explicit(&test_base, memory_order_relaxed);
}

uint64_t mem_live_blocks(void) { return atomic_load_explicit(&live_blocks, memory_order_relaxed); }

uint64_t mem_total_calls(void) { return atomic_load_explicit(&total_calls, memory_order_relaxed); }
