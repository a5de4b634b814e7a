/* Every promise of store.h that can be seen in one view: ids and records answer each other, every checksum holds, and the
 * counts are those of what is there. */
#include <string.h>

#include "base/bits.h"
#include "base/file.h"
#include "store/inside.h"

struct check {
    const struct points_view *view;
    uint64_t *seen; /* a bit a slot: in use, by its record */
    uint64_t n_vectors[POINTS_FIELDS];
};

static int tree_entries(const struct points_view *view, MDB_dbi tree, uint64_t *n,
                        kith_error *err) {
    MDB_stat stat;
    int said = mdb_stat(view->txn, tree, &stat);
    if (said) return lmdb_fail(view->store, said, "read", err);
    *n = stat.ms_entries;
    return KITH_OK;
}

/* Called with each entry of a tree, by rising key. */
typedef int (*check_entry)(struct check *check, const MDB_val *key, const MDB_val *value,
                           kith_error *err);

static int each(struct check *check, MDB_dbi tree, check_entry body, kith_error *err) {
    MDB_cursor *cursor;
    MDB_val key, value;
    int said = mdb_cursor_open(check->view->txn, tree, &cursor), code = KITH_OK;
    if (said) return lmdb_fail(check->view->store, said, "read", err);
    while (code == KITH_OK && !(said = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)))
        code = body(check, &key, &value, err);
    mdb_cursor_close(cursor);
    if (code != KITH_OK) return code;
    return said == MDB_NOTFOUND ? KITH_OK : lmdb_fail(check->view->store, said, "read", err);
}

static int slot_of(const struct check *check, const MDB_val *key, uint32_t *slot, kith_error *err) {
    if (key->mv_size != sizeof *slot)
        return FAIL(err, KITH_ECORRUPT, "a slot's key has %zu bytes", key->mv_size);
    memcpy(slot, key->mv_data, sizeof *slot);
    uint32_t end = check->view->state.next_slot;
    return *slot < end ? KITH_OK : FAIL_AT(err, KITH_ECORRUPT, *slot, "slot %u of %u", *slot, end);
}

static int check_vectors(struct check *check, const struct point *point, kith_error *err) {
    const struct points_state *state = &check->view->state;
    if (point->fields & ~state->fields)
        return FAIL_AT(err, KITH_ECORRUPT, point->slot, "slot %u has vectors in unknown fields",
                       point->slot);
    for (uint32_t i = 0; i < POINTS_FIELDS; i++) {
        const void *vector;
        if (!(point->fields >> i & 1)) continue;
        TRY(points_vector_of(check->view, point, i, &vector, err));
        check->n_vectors[i]++;
    }
    return KITH_OK;
}

static int check_record(struct check *check, const MDB_val *key, const MDB_val *value,
                        kith_error *err) {
    uint32_t slot = 0, found = 0;
    struct point point;
    (void)value;
    TRY(slot_of(check, key, &slot, err));
    TRY(points_get(check->view, slot, &point, err));
    if (point.version > check->view->state.seq)
        return FAIL_AT(err, KITH_ECORRUPT, slot, "slot %u was written by batch %llu of %llu", slot,
                       (unsigned long long)point.version,
                       (unsigned long long)check->view->state.seq);
    int code = points_find(check->view, &point.id, &found, err);
    if (code != KITH_OK && code != KITH_ENOTFOUND) return code;
    if (code == KITH_ENOTFOUND || found != slot)
        return FAIL_AT(err, KITH_ECORRUPT, slot, "slot %u holds an id that leads elsewhere", slot);
    bits_set(check->seen, slot);
    return check_vectors(check, &point, err);
}

static int check_free(struct check *check, const MDB_val *key, const MDB_val *value,
                      kith_error *err) {
    uint32_t slot = 0;
    (void)value;
    TRY(slot_of(check, key, &slot, err));
    return bits_test(check->seen, slot)
               ? FAIL_AT(err, KITH_ECORRUPT, slot, "slot %u is free and in use", slot)
               : KITH_OK;
}

static int check_blob(struct check *check, const MDB_val *key, const MDB_val *value,
                      kith_error *err) {
    uint32_t at[2], slot;
    const void *bytes;
    size_t n;
    (void)value;
    if (key->mv_size != sizeof at)
        return FAIL(err, KITH_ECORRUPT, "a blob's key has %zu bytes", key->mv_size);
    memcpy(at, key->mv_data, sizeof at);
    slot = __builtin_bswap32(at[0]);
    if (slot >= check->view->state.next_slot || !bits_test(check->seen, slot))
        return FAIL_AT(err, KITH_ECORRUPT, slot, "slot %u has a blob and no point", slot);
    return points_blob(check->view, __builtin_bswap32(at[1]), slot, &bytes, &n, err);
}

static int check_change(struct check *check, const MDB_val *key, const MDB_val *value,
                        kith_error *err) {
    struct points_change change;
    uint64_t seq;
    (void)value;
    if (key->mv_size != sizeof seq)
        return FAIL(err, KITH_ECORRUPT, "a change's key has %zu bytes", key->mv_size);
    memcpy(&seq, key->mv_data, sizeof seq);
    if (!seq || seq > check->view->state.seq)
        return FAIL(err, KITH_ECORRUPT, "change %llu of %llu", (unsigned long long)seq,
                    (unsigned long long)check->view->state.seq);
    return points_change_of(check->view, seq, &change, err);
}

/* Every id entry is sound, and there are as many as points: with check_record's look-ups, one a point. */
static int check_ids(struct check *check, kith_error *err) {
    struct points_cursor cursor;
    uint64_t n = 0;
    uint32_t slot = 0;
    TRY(points_cursor_open(&cursor, check->view, NULL, err));
    int code;
    while ((code = points_cursor_next(&cursor, &slot, err)) == KITH_OK) n++;
    points_cursor_close(&cursor);
    if (code != KITH_ENOTFOUND) return code;
    return n == check->view->state.n_points
               ? KITH_OK
               : FAIL(err, KITH_ECORRUPT, "%llu ids, but %llu points", (unsigned long long)n,
                      (unsigned long long)check->view->state.n_points);
}

static int check_counts(const struct check *check, kith_error *err) {
    const struct points_view *view = check->view;
    const struct points_state *state = &view->state;
    uint64_t points = 0, free = 0;
    TRY(tree_entries(view, view->store->points, &points, err));
    TRY(tree_entries(view, view->store->free, &free, err));
    if (points != state->n_points || free != state->n_free || points + free != state->next_slot)
        return FAIL(err, KITH_ECORRUPT,
                    "%llu records and %llu free slots; the state says %llu and %u of %u",
                    (unsigned long long)points, (unsigned long long)free,
                    (unsigned long long)state->n_points, state->n_free, state->next_slot);
    for (uint32_t i = 0; i < POINTS_FIELDS; i++)
        if (check->n_vectors[i] != state->n_vectors[i])
            return FAIL_AT(err, KITH_ECORRUPT, i, "field %u has %llu vectors; the state says %llu",
                           i, (unsigned long long)check->n_vectors[i],
                           (unsigned long long)state->n_vectors[i]);
    return KITH_OK;
}

int points_check(const struct points_view *view, kith_error *err) {
    struct points *store = view->store;
    size_t bytes = bits_words(view->state.next_slot) * sizeof(uint64_t);
    struct check check = {.view = view, .seen = mem_new(store->owner, bytes)};
    if (!check.seen) return FAIL(err, KITH_ENOMEM, "no memory to check %zu bytes of slots", bytes);
    int code = each(&check, store->points, check_record, err);
    if (code == KITH_OK) code = check_ids(&check, err);
    if (code == KITH_OK) code = each(&check, store->free, check_free, err);
    if (code == KITH_OK) code = each(&check, store->blobs, check_blob, err);
    if (code == KITH_OK) code = each(&check, store->changes, check_change, err);
    if (code == KITH_OK) code = check_counts(&check, err);
    mem_free(store->owner, check.seen, bytes);
    return code;
}
