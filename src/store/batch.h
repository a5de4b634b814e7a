/* A batch while it is being applied, and the slots that nobody may take yet. */
#ifndef KITH_STORE_BATCH_H
#define KITH_STORE_BATCH_H

#include "store/inside.h"

struct slots {
    uint32_t *slot;
    uint32_t n, room;
};

struct batch {
    struct points_view view; /* of the transaction; state is as the batch leaves it */
    bool dirty;              /* something was written */
    uint64_t touched;        /* fields whose files were written to */
    uint64_t added;          /* fields that this batch made */
    struct slots taken, freed, payload;
    uint32_t free_from; /* no free slot below may be taken */
};

void batch_begin(struct batch *batch, struct points *store, MDB_txn *txn,
                 const struct points_state *state);
/* The batch has succeeded: its change and its number. */
int batch_end(struct batch *batch, kith_error *err);
/* undo: the batch, or its commit, failed. */
void batch_deinit(struct batch *batch, bool undo);

/* ---- points_pending.c ---------------------------------------------------------------------------- */

/* A slot is being freed: it is not taken from now on. */
int pending_mark(struct points *store, uint32_t slot, kith_error *err);
/* It was not, after all. */
void pending_unmark(struct points *store, const struct slots *slots);
/* A batch was committed: what it freed may be taken when its readers have gone. Without memory to remember that it waits
 * for them. */
void pending_add(struct points *store, const struct slots *freed);
/* Let go of what no view can see any more. */
void pending_release(struct points *store);
bool pending_has(const struct points *store, uint32_t slot);

#endif
