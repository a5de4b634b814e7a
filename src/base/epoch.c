/* Grace periods: why the memory orders are what they are.
 *
 *     reader                                   writer
 *     R1  now = clock            (acquire)     W1  make the thing unreachable
 *     R2  slot: 0 -> now         (seq_cst)     W2  fence, clock + 1        (seq_cst)
 *     R3  fence                  (seq_cst)     W3  for each slot: wait till it is 0 or >= clock
 *     R4  look at shared things                W4  free the thing
 *     R5  slot = 0               (release)
 *
 * A slot that W3 sees as 0 either was left before (R5 synchronises with W3: what the reader did is over), or will be
 * claimed after: R2 and W1 are each followed by a full fence before the other side's variable is read, so not both
 * can miss the other, and R4 finds what W1 left. A slot that W3 sees at clock or above was claimed by a reader whose
 * R1 read what W2 wrote, so R4 comes after W1. A reader whose R1 was just before W2 is waited for without need: late,
 * never early. The fences matter on ARM, where R4 may otherwise pass the store of R2; the thread sanitizer does not
 * know fences, and its x86 compare-and-swap is one already. */
#include "base/epoch.h"

#include <sched.h>
#include <time.h>

#define SPINS_BEFORE_SLEEP 64u

/* The slot that this thread used last, in whatever epoch; EPOCH_SLOTS: none yet. */
static _Thread_local uint32_t preferred = EPOCH_SLOTS;
static _Atomic uint32_t next_preferred;

static void full_fence(void) {
#if defined(__SANITIZE_THREAD__)
    atomic_signal_fence(memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

void epoch_init(struct epoch *epoch) {
    atomic_init(&epoch->clock, 1);
    for (uint32_t i = 0; i < EPOCH_SLOTS; i++) atomic_init(&epoch->slot[i].since, 0);
}

static bool claim(struct epoch *epoch, uint32_t i) {
    uint64_t free_slot = 0;
    if (atomic_load_explicit(&epoch->slot[i].since, memory_order_relaxed) != 0) return false;
    uint64_t now = atomic_load_explicit(&epoch->clock, memory_order_acquire);
    return atomic_compare_exchange_strong_explicit(&epoch->slot[i].since, &free_slot, now,
                                                   memory_order_seq_cst, memory_order_relaxed);
}

uint32_t epoch_enter(struct epoch *epoch) {
    if (preferred == EPOCH_SLOTS)
        preferred =
            atomic_fetch_add_explicit(&next_preferred, 1, memory_order_relaxed) % EPOCH_SLOTS;
    uint32_t i = preferred;
    for (uint32_t tries = 1; !claim(epoch, i); tries++) {
        i = (i + 1) % EPOCH_SLOTS;
        if (tries % EPOCH_SLOTS == 0) sched_yield();
    }
    full_fence();
    preferred = i;
    return i;
}

bool epoch_try_enter(struct epoch *epoch, uint32_t *slot) {
    uint32_t begin = preferred == EPOCH_SLOTS ? 0 : preferred;
    for (uint32_t i = 0; i < EPOCH_SLOTS; i++) {
        *slot = (begin + i) % EPOCH_SLOTS;
        if (!claim(epoch, *slot)) continue;
        full_fence();
        return true;
    }
    return false;
}

void epoch_leave(struct epoch *epoch, uint32_t slot) {
    atomic_store_explicit(&epoch->slot[slot].since, 0, memory_order_release);
}

uint64_t epoch_stamp(struct epoch *epoch) {
    full_fence();
    uint64_t stamp = atomic_fetch_add_explicit(&epoch->clock, 1, memory_order_seq_cst) + 1;
    full_fence();
    return stamp;
}

static bool slot_passed(const struct epoch *epoch, uint32_t i, uint64_t stamp) {
    uint64_t since = atomic_load_explicit(&epoch->slot[i].since, memory_order_seq_cst);
    return since == 0 || since >= stamp;
}

bool epoch_passed(const struct epoch *epoch, uint64_t stamp) {
    for (uint32_t i = 0; i < EPOCH_SLOTS; i++)
        if (!slot_passed(epoch, i, stamp)) return false;
    return true;
}

void epoch_wait(struct epoch *epoch) {
    uint64_t stamp = epoch_stamp(epoch);
    for (uint32_t i = 0; i < EPOCH_SLOTS; i++) {
        for (uint32_t spins = 0; !slot_passed(epoch, i, stamp); spins++) {
            if (spins < SPINS_BEFORE_SLEEP)
                sched_yield();
            else
                nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
        }
    }
}
