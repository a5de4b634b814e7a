/* points: which points there are. Ids to slots, slots to records and vectors, in one folder, durably.
 *
 *     points.mdb     LMDB: ids       key of point_id.h -> u32 slot                   (see points_id.c for long strings)
 *                          points    slot -> record.h: version, expiry, id, payload, checksums of the vectors
 *                          blobs     (slot, field) -> CRC, bytes: sparse and multi-vectors
 *                          free      slots that may be used again
 *                          changes   seq -> the slots that batch took, freed, and gave a new payload
 *                          meta      "state", and whatever the owner keeps under other names
 *     vectors-N      rows of field N by slot, base/row_file.h
 *
 * Invariants
 *   1. A point has one slot; its vectors are written to a slot that no view can see, and never change there. Giving a
 *      point other vectors moves it to another slot. A payload changes in place.
 *   2. A batch is one LMDB transaction, committed after the vectors it refers to were synced: after a crash it is there
 *      whole, or not at all, with all of its vectors.
 *   3. A slot that a batch frees is taken again only by a later batch, and only when every view that began before the
 *      freeing commit has ended.
 *   4. Every record, id entry and blob carries a CRC-32C, and each record those of its vectors.
 *   5. State's counts are those of the trees; seq rises by one with every batch.
 * Threads   any number of views, and any number of writers, whose batches are applied one at a time by whichever of their
 *           threads leads; a commit and its sync are shared by all that waited for it. A view takes no lock.
 * Processes one that writes (the owner holds a lock above), any number that read. */
#ifndef KITH_STORE_POINTS_H
#define KITH_STORE_POINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kith/id.h>

#define POINTS_FIELDS    64u /* vector fields of fixed size: a bit of a mask each */
#define POINTS_SLOT_NONE UINT32_MAX

struct mem_account;
struct row_file;
struct points;

struct points_options {
    bool create; /* the folder is there and empty; else it holds a store */
    bool writable;
    /* address space for points.mdb, its largest size (0: a quarter of what the process may have, at most 128 GiB) */
    uint64_t map_bytes;
    struct mem_account *owner;
};

int points_open(struct points **out, const char *folder, const struct points_options *options,
                kith_error *err);
/* No call on it may be running. */
void points_close(struct points *store);

struct points_state {
    uint64_t seq; /* batches so far */
    uint64_t n_points;
    uint32_t next_slot; /* slots are below */
    uint32_t n_free;    /* of these, not in use */
    uint64_t fields;    /* the fields that exist */
    uint32_t row_bytes[POINTS_FIELDS];
    uint64_t n_vectors[POINTS_FIELDS];
};

/* ---- reading ------------------------------------------------------------------------------------ */

/* All that a view gives stays as it is until the view ends, whatever is written meanwhile. */
struct points_view {
    struct points *store;
    void *txn;
    uint32_t reader;
    struct points_state state;
};

/* A point as it is stored; all it points to is borrowed until the view ends. */
struct point {
    uint32_t slot;
    kith_id id;
    uint64_t version;    /* the batch that wrote it last */
    int64_t expires_ms;  /* Unix time; 0: never */
    uint64_t fields;     /* those it has a vector in */
    const char *payload; /* JSON text, not ended by a zero */
    size_t payload_bytes;
    const void *vector_crc; /* u32 a vector, by rising field, at any address */
};

int points_view_begin(struct points *store, struct points_view *out, kith_error *err);
void points_view_end(struct points_view *view);

/* KITH_ENOTFOUND, *slot POINTS_SLOT_NONE, when there is no such point. */
int points_find(const struct points_view *view, const kith_id *id, uint32_t *slot, kith_error *err);
/* The point in a slot; KITH_ENOTFOUND when the slot is free. */
int points_get(const struct points_view *view, uint32_t slot, struct point *out, kith_error *err);
/* The vector of a field that the point in a slot has: address constant while the field exists. NULL past the end of a damaged
 * file. */
const void *points_vector(const struct points *store, uint32_t field, uint32_t slot);
/* The same, looked at: KITH_ECORRUPT where it is past the end of its file, or not what the point's record says. */
int points_vector_of(const struct points_view *view, const struct point *point, uint32_t field,
                     const void **out, kith_error *err);
/* KITH_ENOTFOUND when there is none. Field numbers of blobs are the owner's. */
int points_blob(const struct points_view *view, uint32_t field, uint32_t slot, const void **bytes,
                size_t *n, kith_error *err);
int points_meta(const struct points_view *view, const char *name, const void **bytes, size_t *n,
                kith_error *err);

/* Points by rising id, from the first that is `from` or comes after it (NULL: the first of all). */
struct points_cursor {
    void *cursor;
    const struct points_view *view;
    uint32_t next; /* within one entry of several long strings */
};
int points_cursor_open(struct points_cursor *out, const struct points_view *view,
                       const kith_id *from, kith_error *err);
/* KITH_ENOTFOUND, *slot POINTS_SLOT_NONE, after the last. */
int points_cursor_next(struct points_cursor *cursor, uint32_t *slot, kith_error *err);
void points_cursor_close(struct points_cursor *cursor);

/* Points by rising slot, from `slot` on: the next that is in use. KITH_ENOTFOUND after the last. */
int points_next_slot(const struct points_view *view, uint32_t from, struct point *out,
                     kith_error *err);

/* What batch `seq` did. KITH_ENOTFOUND when that is not remembered (any more). */
struct points_change {
    const void *taken, *freed, *payload; /* u32 each, at any address */
    uint32_t n_taken, n_freed, n_payload;
};
int points_change_of(const struct points_view *view, uint64_t seq, struct points_change *out,
                     kith_error *err);

/* ---- writing ------------------------------------------------------------------------------------ */

struct batch;

/* A point to be stored. vectors[i] are the row_bytes of the i-th field of the mask, by rising number. */
struct new_point {
    kith_id id;
    int64_t expires_ms;
    uint64_t fields;
    const void *const *vectors;
    const char *payload;
    size_t payload_bytes;
};

/* What a writer wants done: apply is called with an empty batch, sees through batch_view what was committed and what the
 * batch has done so far, and calls batch_…. It may be called again from the beginning (another writer's batch, which shares
 * the transaction, failed), with all that it did undone. When the transaction is committed, committed (may be NULL) is
 * called before any later batch is applied and before points_write returns; it cannot fail.
 * Both are called from whichever writer's thread leads. */
struct points_work {
    int (*apply)(struct batch *batch, void *context, kith_error *err);
    void (*committed)(struct batch *batch, void *context);
    void *context;
};
/* All of it or nothing, and when KITH_OK durable.
 *   Errors   what apply answered; KITH_ENOSPC, KITH_EIO; KITH_EREADONLY. After KITH_EIO the store takes no batch any more. */
int points_write(struct points *store, const struct points_work *work, kith_error *err);

/* The view of a batch: its own doings included. Ends with the batch. What it gives is good until the next batch_ call. */
const struct points_view *batch_view(const struct batch *batch);
uint64_t batch_seq(const struct batch *batch);
/* Put a point in a slot of its own, in place of the point that has its id, if any. *old: where that was, or
 * POINTS_SLOT_NONE. Blobs of the old are not carried over. Id and payload must not be borrowed from the view of this batch;
 * vectors may be points_vector's. */
int batch_put(struct batch *batch, const struct new_point *point, uint32_t *slot, uint32_t *old,
              kith_error *err);
/* Remove the point in a slot, its vectors and its blobs. */
int batch_remove(struct batch *batch, uint32_t slot, kith_error *err);
/* Another payload and expiry for the point in a slot. */
int batch_set_payload(struct batch *batch, uint32_t slot, const char *payload, size_t n,
                      int64_t expires_ms, kith_error *err);
int batch_put_blob(struct batch *batch, uint32_t field, uint32_t slot, const void *bytes, size_t n,
                   kith_error *err);
/* n 0 with bytes NULL: remove. */
int batch_put_meta(struct batch *batch, const char *name, const void *bytes, size_t n,
                   kith_error *err);
/* A new field of the lowest number that is not in use; its file is made anew. */
int batch_add_field(struct batch *batch, uint32_t row_bytes, uint32_t *field, kith_error *err);
/* No point may have a vector in it any more. */
int batch_drop_field(struct batch *batch, uint32_t field, kith_error *err);
/* What this batch has done so far, or did, in committed. */
struct points_change batch_change(const struct batch *batch);
/* Forget the changes of batches up to and including seq. */
int batch_forget_changes(struct batch *batch, uint64_t seq, kith_error *err);

/* For what an owner derives and frees: a stamp taken after the thing was made unreachable has passed when every view that began
 * before has ended. */
uint64_t points_stamp(struct points *store);
bool points_passed(const struct points *store, uint64_t stamp);
/* The free slots, as a view sees them. */
int points_free_slots(const struct points_view *view, void (*body)(void *context, uint32_t slot),
                      void *context, kith_error *err);

/* ---- maintenance -------------------------------------------------------------------------------- */

/* Verify every invariant and checksum that can be seen: KITH_ECORRUPT with the first violation.
 *   Cost     every record and every vector is read. */
int points_check(const struct points_view *view, kith_error *err);
/* Bytes on the disk, all files. */
uint64_t points_bytes(const struct points *store);

#endif
