/* Grace periods without locks for readers.
 *
 * A reader claims a slot before it looks at shared rows and releases it after; a writer that has made something
 * unreachable calls epoch_wait before it frees or reuses it: when that returns, every reader that might have seen the
 * thing is gone. Slots number EPOCH_SLOTS; owners keep their per-reader scratch in arrays beside, indexed by slot.
 *
 * Invariants
 *   1. A slot is claimed by at most one reader.
 *   2. epoch_wait returns only after each slot was seen free or claimed after the wait began.
 * Claim prefers the slot this thread used last, so that warm scratch is found again. */
#ifndef KITH_BASE_EPOCH_H
#define KITH_BASE_EPOCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define EPOCH_SLOTS 256u

struct epoch_slot {
    _Alignas(64) _Atomic uint64_t since; /* 0 free, else the clock at the claim */
};

struct epoch {
    _Alignas(64) _Atomic uint64_t clock; /* starts at 1 */
    struct epoch_slot slot[EPOCH_SLOTS];
};

void epoch_init(struct epoch *epoch);
/* A slot number; spins (with sched_yield) while all are claimed. */
uint32_t epoch_enter(struct epoch *epoch);
/* One more slot, for a thread that helps this one, if one is free: never waits, and is not preferred by later claims. */
bool epoch_try_enter(struct epoch *epoch, uint32_t *slot);
void epoch_leave(struct epoch *epoch, uint32_t slot);
void epoch_wait(struct epoch *epoch);
/* The same in two steps, for who need not wait: a stamp, taken after the thing was made unreachable, has passed once every
 * reader that might have seen the thing is gone. */
uint64_t epoch_stamp(struct epoch *epoch);
bool epoch_passed(const struct epoch *epoch, uint64_t stamp);

#endif
