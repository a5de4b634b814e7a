/* Freed slots that a view may still look at. A slot is free in the tree from the commit on that freed it; until every view
 * that began before has ended it stands here too, and is not taken. After a crash there are no views, and nothing is here. */
#include <string.h>

#include "base/bits.h"
#include "store/batch.h"

bool pending_has(const struct points *store, uint32_t slot) {
    const struct pending *pending = &store->pending;
    return slot / 64 < pending->words && bits_test(pending->bits, slot);
}

int pending_mark(struct points *store, uint32_t slot, kith_error *err) {
    struct pending *pending = &store->pending;
    size_t words = bits_words((uint64_t)slot + 1);
    if (words > pending->words) {
        size_t more = bits_round_up(words + words / 4, 64);
        uint64_t *bits = mem_resize(store->owner, pending->bits, pending->words * 8, more * 8);
        if (!bits) return FAIL(err, KITH_ENOMEM, "no memory to free slot %u", slot);
        pending->bits = bits;
        pending->words = more;
    }
    bits_set(pending->bits, slot);
    return KITH_OK;
}

void pending_unmark(struct points *store, const struct slots *slots) {
    for (uint32_t i = 0; i < slots->n; i++)
        if (pending_has(store, slots->slot[i])) bits_clear(store->pending.bits, slots->slot[i]);
}

static bool run_add(struct points *store, const struct slots *freed) {
    struct pending *pending = &store->pending;
    if (pending->n_runs == pending->room) {
        uint32_t room = pending->room ? 2 * pending->room : 16;
        void *run = mem_resize(store->owner, pending->run, pending->room * sizeof pending->run[0],
                               room * sizeof pending->run[0]);
        if (!run) return false;
        pending->run = run;
        pending->room = room;
    }
    uint32_t *slot = mem_new(store->owner, freed->n * sizeof *slot);
    if (!slot) return false;
    memcpy(slot, freed->slot, freed->n * sizeof *slot);
    pending->run[pending->n_runs++] =
        (struct pending_run){epoch_stamp(&store->readers), slot, freed->n};
    return true;
}

void pending_add(struct points *store, const struct slots *freed) {
    if (!freed->n || run_add(store, freed)) return;
    epoch_wait(&store->readers);
    pending_unmark(store, freed);
}

void pending_release(struct points *store) {
    struct pending *pending = &store->pending;
    uint32_t gone = 0;
    while (gone < pending->n_runs && epoch_passed(&store->readers, pending->run[gone].stamp)) {
        struct pending_run *run = &pending->run[gone++];
        pending_unmark(store, &(struct slots){run->slot, run->n, run->n});
        mem_free(store->owner, run->slot, run->n * sizeof run->slot[0]);
    }
    pending->n_runs -= gone;
    if (gone) memmove(pending->run, pending->run + gone, pending->n_runs * sizeof pending->run[0]);
}
