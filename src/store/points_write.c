/* Writers: who leads, and what a commit is.
 *
 *     writer A ---- apply A, B, C ---- sync vectors ---- commit ---- committed A, B, C ---- return
 *     writer B      waits ...................................................................return
 *     writer C      waits ...................................................................return
 *     writer D                 waits ................. leads the next group
 *
 * The first that comes leads: it applies, on its own thread, the batches of all that wait, in the order they came, in one
 * LMDB transaction, and one sync of each field and one commit make them durable. Those that come meanwhile are the next
 * group, led by the first of them.
 *
 * A batch that fails after it changed something takes the transaction with it; the others are applied again without it.
 *
 * After a commit or sync that failed for another reason than room, nobody knows what of it is on the disk: the store takes no
 * batch any more until it is opened anew (Rebello et al. 2020, "Can Applications Recover from fsync Failures?"). */
#include <string.h>

#include "store/batch.h"

struct request {
    const struct points_work *work;
    struct batch batch;
    kith_error error;
    int code;
    bool done, lead;
    struct request *next;
};

static int refuse(const struct points *store, kith_error *err) {
    if (!store->writable) return FAIL(err, KITH_EREADONLY, "%s is open for reading", store->folder);
    int failed = store->failed;
    return failed ? FAIL(err, failed, "%s: a commit has failed before; open it anew", store->folder)
                  : KITH_OK;
}

/* Apply every batch of the group that has not failed, in one transaction. KITH_OK with *txn, NULL when none is left; any
 * other code is every batch's. */
static int apply_group(struct points *store, struct request *group, MDB_txn **txn,
                       kith_error *err) {
again:
    *txn = NULL;
    int said = mdb_txn_begin(store->env, NULL, 0, txn);
    if (said) return lmdb_fail(store, said, "write to", err);
    struct points_state state;
    int code = state_read(&state, *txn, store, err);
    bool any = false;
    for (struct request *r = group; r && code == KITH_OK; r = r->next) {
        if (r->code != KITH_OK) continue;
        batch_begin(&r->batch, store, *txn, &state);
        r->code = r->work->apply(&r->batch, r->work->context, &r->error);
        if (r->code == KITH_OK) r->code = batch_end(&r->batch, &r->error);
        if (r->code == KITH_OK) {
            state = r->batch.view.state;
            any = true;
            continue;
        }
        bool dirty = r->batch.dirty;
        batch_deinit(&r->batch, true); /* now: the others may free and take the same slots */
        if (dirty) {
            mdb_txn_abort(*txn);
            goto again;
        }
    }
    if (code == KITH_OK && any) code = state_write(&state, *txn, store, err);
    if (code != KITH_OK || !any) {
        mdb_txn_abort(*txn);
        *txn = NULL;
    }
    return code;
}

static int commit_group(struct points *store, struct request *group, MDB_txn *txn,
                        kith_error *err) {
    uint64_t touched = 0;
    int code = KITH_OK;
    for (const struct request *r = group; r; r = r->next)
        if (r->code == KITH_OK) touched |= r->batch.touched;
    for (uint32_t i = 0; i < POINTS_FIELDS && code == KITH_OK; i++)
        if (touched >> i & 1) code = row_file_sync(store->field[i], err);
    if (code != KITH_OK) {
        mdb_txn_abort(txn);
    } else {
        int said = mdb_txn_commit(txn);
        if (said) code = lmdb_fail(store, said, "commit to", err);
    }
    if (code == KITH_EIO) store->failed = code;
    return code;
}

/* All batches of a group, from their applying to their being known. */
static void run_group(struct points *store, struct request *group) {
    MDB_txn *txn;
    kith_error error = {0};
    pending_release(store);
    int code = refuse(store, &error);
    if (code == KITH_OK) code = apply_group(store, group, &txn, &error);
    if (code == KITH_OK && txn) code = commit_group(store, group, txn, &error);
    for (struct request *r = group; r; r = r->next) {
        if (r->code == KITH_OK && code != KITH_OK) {
            r->code = code;
            r->error = error;
        }
        if (r->code == KITH_OK) pending_add(store, &r->batch.freed);
    }
    for (struct request *r = group; r; r = r->next) {
        if (r->code == KITH_OK && r->work->committed)
            r->work->committed(&r->batch, r->work->context);
        batch_deinit(&r->batch, r->code != KITH_OK);
    }
}

static void lead(struct points *store) {
    struct request *group = store->first;
    store->first = store->last = NULL;
    pthread_mutex_unlock(&store->lock);
    run_group(store, group);
    pthread_mutex_lock(&store->lock);
    for (struct request *r = group, *next; r; r = next) {
        next = r->next; /* r is its writer's, who may leave once it is done */
        r->done = true;
    }
    store->leading = store->first != NULL;
    if (store->first) store->first->lead = true;
    pthread_cond_broadcast(&store->turn);
}

int points_write(struct points *store, const struct points_work *work, kith_error *err) {
    TRY(refuse(store, err));
    struct request request = {.work = work};
    pthread_mutex_lock(&store->lock);
    if (store->last)
        store->last->next = &request;
    else
        store->first = &request;
    store->last = &request;
    if (!store->leading) store->leading = request.lead = true;
    while (!request.done && !request.lead) pthread_cond_wait(&store->turn, &store->lock);
    if (!request.done) lead(store);
    pthread_mutex_unlock(&store->lock);
    if (request.code != KITH_OK && err) *err = request.error;
    return request.code;
}
