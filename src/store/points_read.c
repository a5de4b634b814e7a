/* Views: what readers see. A view is an LMDB read transaction and a place in the store's epoch: the first keeps records as they
 * were, the second the vectors of slots that were freed since. Transactions are kept, one an epoch slot, and renewed, so that
 * a view allocates nothing and takes no lock. */
#include <string.h>

#include "base/file.h"
#include "base/point_id.h"
#include "store/inside.h"
#include "store/record.h"

/* Beside a writing process: files that it made or made longer since. */
static int follow(struct points *store, const struct points_state *state, kith_error *err) {
    pthread_mutex_lock(&store->lock);
    int code = vectors_open(store, state, err);
    for (uint32_t i = 0; i < POINTS_FIELDS && code == KITH_OK; i++)
        if (state->fields >> i & 1 && row_file_capacity(store->field[i]) < state->next_slot)
            code = row_file_refresh(store->field[i], err);
    pthread_mutex_unlock(&store->lock);
    return code;
}

int points_view_begin(struct points *store, struct points_view *out, kith_error *err) {
    uint32_t reader = epoch_enter(&store->readers);
    MDB_txn **txn = &store->reader[reader];
    int said = *txn ? mdb_txn_renew(*txn) : mdb_txn_begin(store->env, NULL, MDB_RDONLY, txn);
    if (said) {
        epoch_leave(&store->readers, reader);
        return lmdb_fail(store, said, "read", err);
    }
    struct points_view view = {store, *txn, reader, {0}};
    int code = state_read(&view.state, *txn, store, err);
    if (code == KITH_OK && !store->writable) code = follow(store, &view.state, err);
    if (code != KITH_OK) {
        points_view_end(&view);
        return code;
    }
    *out = view;
    return KITH_OK;
}

void points_view_end(struct points_view *view) {
    mdb_txn_reset(view->txn);
    epoch_leave(&view->store->readers, view->reader);
    view->txn = NULL;
}

int points_find(const struct points_view *view, const kith_id *id, uint32_t *slot,
                kith_error *err) {
    *slot = POINTS_SLOT_NONE;
    TRY(point_id_check(id, err));
    return id_find(view->store, view->txn, id, slot, err);
}

int points_get(const struct points_view *view, uint32_t slot, struct point *out, kith_error *err) {
    MDB_val key = {sizeof slot, &slot}, value;
    int said = mdb_get(view->txn, view->store->points, &key, &value);
    if (said == MDB_NOTFOUND) return KITH_ENOTFOUND;
    if (said) return lmdb_fail(view->store, said, "read a point of", err);
    return record_read(out, slot, value.mv_data, value.mv_size, err);
}

int points_next_slot(const struct points_view *view, uint32_t from, struct point *out,
                     kith_error *err) {
    MDB_cursor *cursor;
    MDB_val key = {sizeof from, &from}, value;
    int said = mdb_cursor_open(view->txn, view->store->points, &cursor);
    if (said) return lmdb_fail(view->store, said, "read the points of", err);
    said = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    uint32_t slot = 0;
    if (!said) memcpy(&slot, key.mv_data, sizeof slot);
    mdb_cursor_close(cursor);
    if (said == MDB_NOTFOUND) return KITH_ENOTFOUND;
    if (said) return lmdb_fail(view->store, said, "read the points of", err);
    return record_read(out, slot, value.mv_data, value.mv_size, err);
}

/* Bytes behind a CRC of them. */
static int checked(const MDB_val *value, const char *what, const void **bytes, size_t *n,
                   kith_error *err) {
    uint32_t crc;
    const uint8_t *at = value->mv_data;
    if (value->mv_size < sizeof crc)
        return FAIL(err, KITH_ECORRUPT, "%s has %zu bytes", what, value->mv_size);
    memcpy(&crc, at, sizeof crc);
    if (crc != file_crc32c(0, at + sizeof crc, value->mv_size - sizeof crc))
        return FAIL(err, KITH_ECORRUPT, "%s has a wrong checksum", what);
    *bytes = at + sizeof crc;
    *n = value->mv_size - sizeof crc;
    return KITH_OK;
}

static int get_checked(const struct points_view *view, MDB_dbi tree, MDB_val key, const char *what,
                       MDB_val *out, kith_error *err) {
    MDB_val value = {0, NULL};
    int said = mdb_get(view->txn, tree, &key, &value);
    if (said == MDB_NOTFOUND) return KITH_ENOTFOUND;
    if (said) return lmdb_fail(view->store, said, "read", err);
    const void *bytes = NULL;
    TRY(checked(&value, what, &bytes, &out->mv_size, err));
    out->mv_data = (void *)(uintptr_t)bytes;
    return KITH_OK;
}

int points_vector_of(const struct points_view *view, const struct point *point, uint32_t field,
                     const void **out, kith_error *err) {
    uint64_t before = point->fields & (((uint64_t)1 << field) - 1);
    uint32_t crc, at = (uint32_t)__builtin_popcountll(before);
    const void *vector = points_vector(view->store, field, point->slot);
    memcpy(&crc, (const uint8_t *)point->vector_crc + 4u * at, sizeof crc);
    if (!vector || crc != file_crc32c(0, vector, view->state.row_bytes[field]))
        return FAIL_AT(err, KITH_ECORRUPT, point->slot, "the vector of slot %u in field %u %s",
                       point->slot, field,
                       vector ? "has a wrong checksum" : "is past the end of its file");
    *out = vector;
    return KITH_OK;
}

int points_blob(const struct points_view *view, uint32_t field, uint32_t slot, const void **bytes,
                size_t *n, kith_error *err) {
    uint32_t key[2] = {__builtin_bswap32(slot), __builtin_bswap32(field)};
    MDB_val value = {0, NULL};
    TRY(get_checked(view, view->store->blobs, (MDB_val){sizeof key, key}, "a blob", &value, err));
    *bytes = value.mv_data;
    *n = value.mv_size;
    return KITH_OK;
}

int points_meta(const struct points_view *view, const char *name, const void **bytes, size_t *n,
                kith_error *err) {
    MDB_val value = {0, NULL}, key = {strlen(name), (void *)(uintptr_t)name};
    TRY(get_checked(view, view->store->meta, key, name, &value, err));
    *bytes = value.mv_data;
    *n = value.mv_size;
    return KITH_OK;
}

int points_change_of(const struct points_view *view, uint64_t seq, struct points_change *out,
                     kith_error *err) {
    MDB_val value = {0, NULL};
    TRY(get_checked(view, view->store->changes, (MDB_val){sizeof seq, &seq}, "a change", &value,
                    err));
    uint32_t count[3];
    const uint8_t *at = value.mv_data;
    if (value.mv_size < sizeof count)
        return FAIL(err, KITH_ECORRUPT, "change %llu has %zu bytes", (unsigned long long)seq,
                    value.mv_size);
    memcpy(count, at, sizeof count);
    if (value.mv_size != sizeof count + ((uint64_t)count[0] + count[1] + count[2]) * 4)
        return FAIL(err, KITH_ECORRUPT, "change %llu has %zu bytes for %u, %u and %u slots",
                    (unsigned long long)seq, value.mv_size, count[0], count[1], count[2]);
    at += sizeof count;
    *out = (struct points_change){at,       at + 4u * count[0], at + 4u * (count[0] + count[1]),
                                  count[0], count[1],           count[2]};
    return KITH_OK;
}

uint64_t points_stamp(struct points *store) { return epoch_stamp(&store->readers); }

bool points_passed(const struct points *store, uint64_t stamp) {
    return epoch_passed(&store->readers, stamp);
}

int points_free_slots(const struct points_view *view, void (*body)(void *context, uint32_t slot),
                      void *context, kith_error *err) {
    MDB_cursor *cursor;
    MDB_val key, value;
    int said = mdb_cursor_open(view->txn, view->store->free, &cursor);
    if (said) return lmdb_fail(view->store, said, "read", err);
    while (!(said = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))) {
        uint32_t slot;
        memcpy(&slot, key.mv_data, sizeof slot);
        body(context, slot);
    }
    mdb_cursor_close(cursor);
    return said == MDB_NOTFOUND ? KITH_OK : lmdb_fail(view->store, said, "read", err);
}
