/* What a batch does: points into slots and out of them. Every call checks before it changes; what LMDB or a file refuses
 * half-way makes the batch fail, and with it everything it did is undone. */
#include "store/batch.h"

#include <string.h>

#include "base/file.h"
#include "base/point_id.h"
#include "store/record.h"

#define N_LISTS 3u

const struct points_view *batch_view(const struct batch *batch) { return &batch->view; }
uint64_t batch_seq(const struct batch *batch) { return batch->view.state.seq + 1; }

struct points_change batch_change(const struct batch *batch) {
    return (struct points_change){batch->taken.slot, batch->freed.slot, batch->payload.slot,
                                  batch->taken.n,    batch->freed.n,    batch->payload.n};
}

static int fail(const struct batch *batch, int said, const char *what, kith_error *err) {
    return lmdb_fail(batch->view.store, said, what, err);
}

static int push(struct batch *batch, struct slots *slots, uint32_t slot, kith_error *err) {
    struct mem_account *owner = batch->view.store->owner;
    if (slots->n == slots->room) {
        uint32_t room = slots->room ? 2 * slots->room : 64;
        uint32_t *more =
            mem_resize(owner, slots->slot, slots->room * sizeof *more, room * sizeof *more);
        if (!more) return FAIL(err, KITH_ENOMEM, "no memory for a batch of %u points", room);
        slots->slot = more;
        slots->room = room;
    }
    slots->slot[slots->n++] = slot;
    return KITH_OK;
}

/* ---- begin and end ------------------------------------------------------------------------------ */

void batch_begin(struct batch *batch, struct points *store, MDB_txn *txn,
                 const struct points_state *state) {
    batch_deinit(batch, true); /* of an attempt before */
    *batch = (struct batch){.view = {store, txn, 0, *state}};
}

int batch_end(struct batch *batch, kith_error *err) {
    struct points *store = batch->view.store;
    uint64_t seq = ++batch->view.state.seq;
    const struct slots *list[N_LISTS] = {&batch->taken, &batch->freed, &batch->payload};
    uint32_t head[1 + N_LISTS] = {0};
    size_t bytes = sizeof head;
    for (uint32_t i = 0; i < N_LISTS; i++) {
        head[1 + i] = list[i]->n;
        bytes += (size_t)list[i]->n * 4;
    }
    MDB_val key = {sizeof seq, &seq}, value = {bytes, NULL};
    batch->dirty = true;
    int said = mdb_put(batch->view.txn, store->changes, &key, &value, MDB_RESERVE | MDB_APPEND);
    if (said) return fail(batch, said, "write to", err);
    uint8_t *at = (uint8_t *)value.mv_data + sizeof head;
    for (uint32_t i = 0; i < N_LISTS; i++) {
        if (list[i]->n) memcpy(at, list[i]->slot, (size_t)list[i]->n * 4);
        at += (size_t)list[i]->n * 4;
    }
    head[0] = file_crc32c(0, head + 1, sizeof head - 4);
    head[0] = file_crc32c(head[0], (uint8_t *)value.mv_data + sizeof head, bytes - sizeof head);
    memcpy(value.mv_data, head, sizeof head);
    return KITH_OK;
}

void batch_deinit(struct batch *batch, bool undo) {
    struct points *store = batch->view.store;
    if (!store) return;
    struct slots *list[N_LISTS] = {&batch->taken, &batch->freed, &batch->payload};
    if (undo) pending_unmark(store, &batch->freed);
    for (uint32_t i = 0; i < N_LISTS; i++) {
        mem_free(store->owner, list[i]->slot, list[i]->room * sizeof(uint32_t));
        *list[i] = (struct slots){0};
    }
    for (uint32_t i = 0; undo && i < POINTS_FIELDS; i++)
        if (batch->added >> i & 1) {
            row_file_close(store->field[i]);
            store->field[i] = NULL;
        }
    batch->added = 0;
}

/* ---- slots -------------------------------------------------------------------------------------- */

/* The lowest free slot that no view can see, else a new one. */
static int slot_take(struct batch *batch, uint32_t *slot, kith_error *err) {
    struct points *store = batch->view.store;
    struct points_state *state = &batch->view.state;
    uint32_t from = batch->free_from;
    MDB_cursor *cursor;
    MDB_val key = {sizeof from, &from}, value;
    int said = MDB_NOTFOUND;
    if (state->n_free) {
        said = mdb_cursor_open(batch->view.txn, store->free, &cursor);
        if (said) return fail(batch, said, "write to", err);
        said = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        while (!said) {
            memcpy(slot, key.mv_data, sizeof *slot);
            if (!pending_has(store, *slot)) break;
            said = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
        if (!said) said = mdb_cursor_del(cursor, 0);
        mdb_cursor_close(cursor);
        if (said && said != MDB_NOTFOUND) return fail(batch, said, "write to", err);
    }
    if (said == MDB_NOTFOUND) {
        if (state->next_slot == ROW_FILE_ROWS)
            return FAIL(err, KITH_EFULL, "%s has %u points, and no room for more", store->folder,
                        ROW_FILE_ROWS);
        *slot = state->next_slot++;
        batch->free_from = UINT32_MAX;
    } else {
        batch->free_from = *slot + 1;
        state->n_free--;
    }
    return push(batch, &batch->taken, *slot, err);
}

static int blobs_free(struct batch *batch, uint32_t slot, kith_error *err) {
    uint32_t from[2] = {__builtin_bswap32(slot), 0};
    MDB_dbi tree = batch->view.store->blobs;
    MDB_val key = {sizeof from, from}, value;
    MDB_cursor *cursor;
    MDB_stat stat;
    int said = mdb_stat(batch->view.txn, tree, &stat);
    if (said || !stat.ms_entries) return said ? fail(batch, said, "write to", err) : KITH_OK;
    said = mdb_cursor_open(batch->view.txn, tree, &cursor);
    if (said) return fail(batch, said, "write to", err);
    while (!(said = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE))) {
        if (memcmp(key.mv_data, from, sizeof from[0]) != 0) break;
        said = mdb_cursor_del(cursor, 0);
        if (said) break;
        key = (MDB_val){sizeof from, from};
    }
    mdb_cursor_close(cursor);
    return said && said != MDB_NOTFOUND ? fail(batch, said, "write to", err) : KITH_OK;
}

/* The slot's vectors stay until it is taken again, and that is after this batch. */
static int slot_free(struct batch *batch, const struct point *point, kith_error *err) {
    struct points *store = batch->view.store;
    struct points_state *state = &batch->view.state;
    uint32_t slot = point->slot;
    uint64_t fields = point->fields;
    MDB_val key = {sizeof slot, &slot}, nothing = {0, NULL};
    TRY(push(batch, &batch->freed, slot, err));
    TRY(pending_mark(store, slot, err));
    int said = mdb_del(batch->view.txn, store->points, &key, NULL);
    if (!said) said = mdb_put(batch->view.txn, store->free, &key, &nothing, 0);
    if (said) return fail(batch, said, "write to", err);
    TRY(blobs_free(batch, slot, err));
    state->n_points--;
    state->n_free++;
    for (uint32_t i = 0; i < POINTS_FIELDS; i++) state->n_vectors[i] -= fields >> i & 1;
    return KITH_OK;
}

/* ---- points ------------------------------------------------------------------------------------- */

static int record_put(struct batch *batch, const struct point *point, const uint32_t *vector_crc,
                      kith_error *err) {
    uint32_t slot = point->slot;
    MDB_val key = {sizeof slot, &slot}, value = {record_size(point), NULL};
    int said = mdb_put(batch->view.txn, batch->view.store->points, &key, &value, MDB_RESERVE);
    if (said) return fail(batch, said, "write a point to", err);
    record_write(point, vector_crc, value.mv_data);
    return KITH_OK;
}

static int vectors_put(struct batch *batch, const struct new_point *point, uint32_t slot,
                       uint32_t crc[POINTS_FIELDS], kith_error *err) {
    struct points *store = batch->view.store;
    uint32_t n = 0;
    for (uint32_t i = 0; i < POINTS_FIELDS; i++) {
        if (!(point->fields >> i & 1)) continue;
        const void *vector = point->vectors[n];
        TRY(row_file_write(store->field[i], slot, 1, vector, err));
        crc[n++] = file_crc32c(0, vector, batch->view.state.row_bytes[i]);
        batch->view.state.n_vectors[i]++;
    }
    batch->touched |= point->fields;
    return KITH_OK;
}

int batch_put(struct batch *batch, const struct new_point *point, uint32_t *slot, uint32_t *old,
              kith_error *err) {
    struct points *store = batch->view.store;
    TRY(point_id_check(&point->id, err));
    if (point->fields & ~batch->view.state.fields)
        return FAIL(err, KITH_EINVAL, "fields %llx of a point do not exist",
                    (unsigned long long)(point->fields & ~batch->view.state.fields));
    int code = id_find(store, batch->view.txn, &point->id, old, err);
    if (code != KITH_OK && code != KITH_ENOTFOUND) return code;
    batch->dirty = true;
    TRY(slot_take(batch, slot, err));
    if (*old != POINTS_SLOT_NONE) {
        struct point before;
        TRY(points_get(&batch->view, *old, &before, err));
        TRY(slot_free(batch, &before, err));
    }
    uint32_t crc[POINTS_FIELDS];
    TRY(vectors_put(batch, point, *slot, crc, err));
    struct point record = {.slot = *slot,
                           .id = point->id,
                           .version = batch_seq(batch),
                           .expires_ms = point->expires_ms,
                           .fields = point->fields,
                           .payload = point->payload,
                           .payload_bytes = point->payload_bytes};
    TRY(record_put(batch, &record, crc, err));
    TRY(id_put(store, batch->view.txn, &point->id, *slot, err));
    batch->view.state.n_points++;
    return KITH_OK;
}

int batch_remove(struct batch *batch, uint32_t slot, kith_error *err) {
    struct point point;
    TRY(points_get(&batch->view, slot, &point, err));
    batch->dirty = true;
    TRY(id_remove(batch->view.store, batch->view.txn, &point.id, err));
    TRY(points_get(&batch->view, slot, &point, err)); /* pages may have moved */
    return slot_free(batch, &point, err);
}

int batch_set_payload(struct batch *batch, uint32_t slot, const char *payload, size_t n,
                      int64_t expires_ms, kith_error *err) {
    struct point point;
    struct mem_account *owner = batch->view.store->owner;
    TRY(points_get(&batch->view, slot, &point, err));
    batch->dirty = true;
    /* LMDB may move or reuse the old record while it makes room for the new one. */
    uint8_t key[POINT_ID_BYTES];
    uint32_t crc[POINTS_FIELDS];
    size_t key_bytes = point_id_encode(&point.id, key);
    memcpy(crc, point.vector_crc, 4u * (uint32_t)__builtin_popcountll(point.fields));
    TRY(point_id_decode(&point.id, key, key_bytes, err));
    char *copy = mem_new(owner, n);
    if (!copy) return FAIL(err, KITH_ENOMEM, "no memory for a payload of %zu bytes", n);
    if (n) memcpy(copy, payload, n);
    point.payload = copy;
    point.payload_bytes = n;
    point.expires_ms = expires_ms;
    point.version = batch_seq(batch);
    int code = record_put(batch, &point, crc, err);
    mem_free(owner, copy, n);
    return code == KITH_OK ? push(batch, &batch->payload, slot, err) : code;
}

/* ---- blobs and meta ----------------------------------------------------------------------------- */

static int put_checked(struct batch *batch, MDB_dbi tree, MDB_val key, const void *bytes, size_t n,
                       kith_error *err) {
    MDB_val value = {n + 4, NULL};
    batch->dirty = true;
    if (!bytes && !n) {
        int gone = mdb_del(batch->view.txn, tree, &key, NULL);
        return gone && gone != MDB_NOTFOUND ? fail(batch, gone, "write to", err) : KITH_OK;
    }
    int said = mdb_put(batch->view.txn, tree, &key, &value, MDB_RESERVE);
    if (said) return fail(batch, said, "write to", err);
    uint32_t crc = file_crc32c(0, bytes, n);
    memcpy(value.mv_data, &crc, 4);
    if (n) memcpy((uint8_t *)value.mv_data + 4, bytes, n);
    return KITH_OK;
}

int batch_put_blob(struct batch *batch, uint32_t field, uint32_t slot, const void *bytes, size_t n,
                   kith_error *err) {
    uint32_t key[2] = {__builtin_bswap32(slot), __builtin_bswap32(field)};
    return put_checked(batch, batch->view.store->blobs, (MDB_val){sizeof key, key}, bytes, n, err);
}

int batch_put_meta(struct batch *batch, const char *name, const void *bytes, size_t n,
                   kith_error *err) {
    size_t length = strlen(name);
    if (!length || length > 400 || strcmp(name, "state") == 0)
        return FAIL(err, KITH_EINVAL, "\"%s\" is no name to keep something under", name);
    return put_checked(batch, batch->view.store->meta, (MDB_val){length, (void *)(uintptr_t)name},
                       bytes, n, err);
}

int batch_forget_changes(struct batch *batch, uint64_t seq, kith_error *err) {
    MDB_cursor *cursor;
    MDB_val key, value;
    int said = mdb_cursor_open(batch->view.txn, batch->view.store->changes, &cursor);
    if (said) return fail(batch, said, "write to", err);
    batch->dirty = true;
    while (!(said = mdb_cursor_get(cursor, &key, &value, MDB_FIRST))) {
        uint64_t first;
        memcpy(&first, key.mv_data, sizeof first);
        if (first > seq) break;
        said = mdb_cursor_del(cursor, 0);
        if (said) break;
    }
    mdb_cursor_close(cursor);
    return said && said != MDB_NOTFOUND ? fail(batch, said, "write to", err) : KITH_OK;
}

/* ---- fields ------------------------------------------------------------------------------------- */

int batch_add_field(struct batch *batch, uint32_t row_bytes, uint32_t *field, kith_error *err) {
    struct points *store = batch->view.store;
    struct points_state *state = &batch->view.state;
    uint32_t i = 0;
    while (i < POINTS_FIELDS && (state->fields >> i & 1 || store->field[i])) i++;
    if (i == POINTS_FIELDS)
        return FAIL(err, KITH_EFULL, "%s has %u fields already", store->folder, POINTS_FIELDS);
    struct row_file *file;
    char path[POINTS_PATH];
    vectors_path(path, store, i);
    TRY(row_file_create(&file, path, row_bytes, store->owner, err));
    int code = file_sync_folder(path, err);
    if (code != KITH_OK) {
        row_file_close(file);
        return code;
    }
    batch->dirty = true;
    store->field[i] = file;
    batch->added |= (uint64_t)1 << i;
    state->fields |= (uint64_t)1 << i;
    state->row_bytes[i] = row_bytes;
    state->n_vectors[i] = 0;
    *field = i;
    return KITH_OK;
}

int batch_drop_field(struct batch *batch, uint32_t field, kith_error *err) {
    struct points_state *state = &batch->view.state;
    if (field >= POINTS_FIELDS || !(state->fields >> field & 1))
        return FAIL(err, KITH_ENOTFOUND, "there is no field %u", field);
    if (state->n_vectors[field])
        return FAIL(err, KITH_EINVAL, "%llu points have a vector in field %u",
                    (unsigned long long)state->n_vectors[field], field);
    batch->dirty = true;
    state->fields &= ~((uint64_t)1 << field);
    state->row_bytes[field] = 0;
    return KITH_OK;
}
