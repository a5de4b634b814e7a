/* What the files of this folder share: the open store, its trees, and the names of their calls. */
#ifndef KITH_STORE_INSIDE_H
#define KITH_STORE_INSIDE_H

#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/epoch.h"
#include "base/mem.h"
#include "base/row_file.h"
#include "base/status.h"
#include "store/points.h"

#define POINTS_PATH (PATH_MAX + 32)

/* Slots that were freed, in the order of their commits, until nobody can see them. */
struct pending {
    uint64_t *bits; /* a bit a slot: not to be taken yet */
    size_t words;
    struct pending_run {
        uint64_t stamp; /* of readers */
        uint32_t *slot;
        uint32_t n;
    } * run;
    uint32_t n_runs, room;
};

struct points {
    struct mem_account *owner;
    bool writable;
    /* the code of a commit or sync after which nothing can be said of the disk */
    _Atomic int failed;
    MDB_env *env;
    MDB_dbi ids, points, blobs, free, changes, meta;
    _Atomic(struct row_file *) field[POINTS_FIELDS];
    struct epoch readers;
    MDB_txn *reader[EPOCH_SLOTS]; /* each used by who holds the slot */
    struct pending pending;       /* the leading writer's */
    pthread_mutex_t lock;         /* of what follows */
    pthread_cond_t turn;
    struct request *first, *last; /* writers that wait */
    bool leading;                 /* somebody is at work */
    char folder[PATH_MAX];
};

/* ---- points.c ------------------------------------------------------------------------------------ */

/* What LMDB said about a store, as one of our codes. */
int lmdb_fail(const struct points *store, int said, const char *what, kith_error *err);
int state_read(struct points_state *out, MDB_txn *txn, const struct points *store, kith_error *err);
int state_write(const struct points_state *state, MDB_txn *txn, const struct points *store,
                kith_error *err);
void vectors_path(char path[POINTS_PATH], const struct points *store, uint32_t field);
/* Files of the fields that state has and that are not open yet, for who reads beside a writing process. */
int vectors_open(struct points *store, const struct points_state *state, kith_error *err);

/* ---- points_id.c --------------------------------------------------------------------------------- */

/* KITH_ENOTFOUND, KITH_ECORRUPT. */
int id_find(const struct points *store, MDB_txn *txn, const kith_id *id, uint32_t *slot,
            kith_error *err);
/* Enter an id, or move it to another slot. */
int id_put(const struct points *store, MDB_txn *txn, const kith_id *id, uint32_t slot,
           kith_error *err);
int id_remove(const struct points *store, MDB_txn *txn, const kith_id *id, kith_error *err);

#endif
