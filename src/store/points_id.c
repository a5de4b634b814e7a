/* Ids to slots, in the order of ids.
 *
 * LMDB's keys have at most 511 bytes, an id's key (base/point_id.h) up to 513. A key of at most 490 bytes stands as it is:
 *
 *     key -> u32 slot, u32 CRC-32C of key and slot
 *
 * Longer ones share an entry with all that begin with the same 490 bytes; one zero byte after these puts the entry behind
 * the id that has those bytes alone and before all that come after it:
 *
 *     first 490 bytes, 0 -> by rising tail: u16 bytes of the tail, tail, u32 slot, u32 CRC-32C of key and slot */
#include <string.h>

#include "base/file.h"
#include "base/point_id.h"
#include "store/inside.h"

#define PLAIN_BYTES 490u
#define PLACE_BYTES 8u /* slot, CRC */

/* A key in two parts: what LMDB looks for, and the tail within the entry. */
struct id_key {
    uint8_t bytes[POINT_ID_BYTES + 1];
    size_t n; /* of the whole key */
    uint8_t entry[PLAIN_BYTES + 1];
    MDB_val val;
};

static bool is_long(const struct id_key *key) { return key->n > PLAIN_BYTES; }
static size_t tail_bytes(const struct id_key *key) { return key->n - PLAIN_BYTES; }

static void key_of(struct id_key *key, const kith_id *id) {
    key->n = point_id_encode(id, key->bytes);
    key->val = (MDB_val){key->n, key->bytes};
    if (!is_long(key)) return;
    memcpy(key->entry, key->bytes, PLAIN_BYTES);
    key->entry[PLAIN_BYTES] = 0;
    key->val = (MDB_val){sizeof key->entry, key->entry};
}

static void place_write(uint8_t *out, const struct id_key *key, uint32_t slot) {
    uint32_t crc = file_crc32c(file_crc32c(0, key->bytes, key->n), &slot, 4);
    memcpy(out, &slot, 4);
    memcpy(out + 4, &crc, 4);
}

static int place_read(uint32_t *slot, const uint8_t *place, const uint8_t *head, size_t n_head,
                      const uint8_t *tail, size_t n_tail, kith_error *err) {
    uint32_t crc;
    memcpy(slot, place, 4);
    memcpy(&crc, place + 4, 4);
    uint32_t want = file_crc32c(0, head, n_head);
    if (n_tail) want = file_crc32c(want, tail, n_tail);
    if (crc == file_crc32c(want, slot, 4)) return KITH_OK;
    return FAIL_AT(err, KITH_ECORRUPT, *slot, "the entry of an id (slot %u) has a wrong checksum",
                   *slot);
}

/* One of the long strings of an entry. */
struct member {
    const uint8_t *tail;
    size_t n;
    const uint8_t *place;
    size_t at, end; /* bytes within the entry */
};

/* The member at `at`: KITH_ENOTFOUND at the end. */
static int member_at(struct member *out, const MDB_val *entry, size_t at, kith_error *err) {
    if (at == entry->mv_size) return KITH_ENOTFOUND;
    const uint8_t *bytes = entry->mv_data;
    uint16_t n = 0;
    if (entry->mv_size - at >= 2) memcpy(&n, bytes + at, 2);
    if (!n || entry->mv_size - at < 2u + n + PLACE_BYTES)
        return FAIL(err, KITH_ECORRUPT, "an entry of long ids ends early at byte %zu", at);
    *out = (struct member){bytes + at + 2, n, bytes + at + 2 + n, at, at + 2u + n + PLACE_BYTES};
    return KITH_OK;
}

static int tail_compare(const struct member *member, const struct id_key *key) {
    size_t n = tail_bytes(key), both = member->n < n ? member->n : n;
    int order = memcmp(member->tail, key->bytes + PLAIN_BYTES, both);
    return order ? order : (member->n > n) - (member->n < n);
}

/* The first member that is the key's tail or comes after it. KITH_ENOTFOUND: none, member->at is the end. *order as that of
 * tail_compare. */
static int member_from(struct member *member, int *order, const MDB_val *entry,
                       const struct id_key *key, kith_error *err) {
    *member = (struct member){0};
    for (size_t at = 0;;) {
        int code = member_at(member, entry, at, err);
        if (code == KITH_ENOTFOUND) member->at = member->end = at;
        if (code != KITH_OK) return code;
        *order = tail_compare(member, key);
        if (*order >= 0) return KITH_OK;
        at = member->end;
    }
}

int id_find(const struct points *store, MDB_txn *txn, const kith_id *id, uint32_t *slot,
            kith_error *err) {
    struct id_key key;
    MDB_val value;
    key_of(&key, id);
    *slot = POINTS_SLOT_NONE;
    int said = mdb_get(txn, store->ids, &key.val, &value);
    if (said == MDB_NOTFOUND) return KITH_ENOTFOUND;
    if (said) return lmdb_fail(store, said, "look up an id in", err);
    uint32_t found;
    const uint8_t *place = value.mv_data;
    if (is_long(&key)) {
        struct member member = {0};
        int order = 0;
        TRY(member_from(&member, &order, &value, &key, err));
        if (order != 0) return KITH_ENOTFOUND;
        place = member.place;
    } else if (value.mv_size != PLACE_BYTES) {
        return FAIL(err, KITH_ECORRUPT, "the entry of an id has %zu bytes, not %u", value.mv_size,
                    PLACE_BYTES);
    }
    TRY(place_read(&found, place, key.bytes, key.n, NULL, 0, err));
    *slot = found;
    return KITH_OK;
}

/* Put (slot not NONE) or take out one member: the entry is written anew. */
static int edit_entry(const struct points *store, MDB_txn *txn, struct id_key *key, uint32_t slot,
                      kith_error *err) {
    MDB_val old = {0, NULL};
    struct member member = {0};
    int order = 1;
    int said = mdb_get(txn, store->ids, &key->val, &old);
    if (said && said != MDB_NOTFOUND) return lmdb_fail(store, said, "look up an id in", err);
    int code = member_from(&member, &order, &old, key, err);
    if (code != KITH_OK && code != KITH_ENOTFOUND) return code;
    bool there = code == KITH_OK && order == 0, put = slot != POINTS_SLOT_NONE;
    if (!there && !put) return KITH_ENOTFOUND;
    size_t cut_end = there ? member.end : member.at;
    size_t piece = put ? 2 + tail_bytes(key) + PLACE_BYTES : 0;
    size_t bytes = old.mv_size - (cut_end - member.at) + piece;
    if (!bytes) {
        said = mdb_del(txn, store->ids, &key->val, NULL);
        return said ? lmdb_fail(store, said, "remove an id from", err) : KITH_OK;
    }
    uint8_t *entry = mem_new(store->owner, bytes);
    if (!entry) return FAIL(err, KITH_ENOMEM, "no memory for an entry of %zu bytes", bytes);
    if (member.at) memcpy(entry, old.mv_data, member.at);
    if (put) {
        uint16_t n = (uint16_t)tail_bytes(key);
        memcpy(entry + member.at, &n, 2);
        memcpy(entry + member.at + 2, key->bytes + PLAIN_BYTES, n);
        place_write(entry + member.at + 2 + n, key, slot);
    }
    if (old.mv_size > cut_end)
        memcpy(entry + member.at + piece, (const uint8_t *)old.mv_data + cut_end,
               old.mv_size - cut_end);
    MDB_val value = {bytes, entry};
    said = mdb_put(txn, store->ids, &key->val, &value, 0);
    mem_free(store->owner, entry, bytes);
    return said ? lmdb_fail(store, said, "enter an id in", err) : KITH_OK;
}

int id_put(const struct points *store, MDB_txn *txn, const kith_id *id, uint32_t slot,
           kith_error *err) {
    struct id_key key;
    key_of(&key, id);
    if (is_long(&key)) return edit_entry(store, txn, &key, slot, err);
    uint8_t place[PLACE_BYTES];
    place_write(place, &key, slot);
    MDB_val value = {sizeof place, place};
    int said = mdb_put(txn, store->ids, &key.val, &value, 0);
    return said ? lmdb_fail(store, said, "enter an id in", err) : KITH_OK;
}

int id_remove(const struct points *store, MDB_txn *txn, const kith_id *id, kith_error *err) {
    struct id_key key;
    key_of(&key, id);
    if (is_long(&key)) return edit_entry(store, txn, &key, POINTS_SLOT_NONE, err);
    int said = mdb_del(txn, store->ids, &key.val, NULL);
    if (said == MDB_NOTFOUND) return KITH_ENOTFOUND;
    return said ? lmdb_fail(store, said, "remove an id from", err) : KITH_OK;
}

/* ---- in order ----------------------------------------------------------------------------------- */

int points_cursor_open(struct points_cursor *out, const struct points_view *view,
                       const kith_id *from, kith_error *err) {
    const struct points *store = view->store;
    MDB_cursor *cursor;
    if (from) TRY(point_id_check(from, err));
    int said = mdb_cursor_open(view->txn, store->ids, &cursor);
    if (said) return lmdb_fail(store, said, "read the ids of", err);
    *out = (struct points_cursor){cursor, view, 0};
    struct id_key key;
    MDB_val at, value;
    if (from) {
        key_of(&key, from);
        at = key.val;
    }
    said = mdb_cursor_get(cursor, &at, &value, from ? MDB_SET_RANGE : MDB_FIRST);
    if (said && said != MDB_NOTFOUND) {
        points_cursor_close(out);
        return lmdb_fail(store, said, "read the ids of", err);
    }
    if (said == MDB_NOTFOUND) {
        out->next = POINTS_SLOT_NONE; /* nothing there */
    } else if (from && is_long(&key) && at.mv_size == key.val.mv_size &&
               memcmp(at.mv_data, key.val.mv_data, at.mv_size) == 0) {
        struct member member = {0};
        int order, code = member_from(&member, &order, &value, &key, err);
        if (code != KITH_OK && code != KITH_ENOTFOUND) {
            points_cursor_close(out);
            return code;
        }
        out->next = (uint32_t)member.at;
    }
    return KITH_OK;
}

int points_cursor_next(struct points_cursor *cursor, uint32_t *slot, kith_error *err) {
    const struct points *store = cursor->view->store;
    MDB_val key, value;
    *slot = POINTS_SLOT_NONE;
    if (cursor->next == POINTS_SLOT_NONE) return KITH_ENOTFOUND;
    int said = mdb_cursor_get(cursor->cursor, &key, &value, MDB_GET_CURRENT);
    while (!said && cursor->next >= value.mv_size) {
        said = mdb_cursor_get(cursor->cursor, &key, &value, MDB_NEXT);
        cursor->next = 0;
    }
    if (said == MDB_NOTFOUND) {
        cursor->next = POINTS_SLOT_NONE;
        return KITH_ENOTFOUND;
    }
    if (said) return lmdb_fail(store, said, "read the ids of", err);
    const uint8_t *place = value.mv_data;
    uint32_t found;
    if (key.mv_size == PLAIN_BYTES + 1) {
        struct member member = {0};
        TRY(member_at(&member, &value, cursor->next, err));
        TRY(place_read(&found, member.place, key.mv_data, PLAIN_BYTES, member.tail, member.n, err));
        cursor->next = (uint32_t)member.end;
    } else {
        if (value.mv_size != PLACE_BYTES)
            return FAIL(err, KITH_ECORRUPT, "the entry of an id has %zu bytes, not %u",
                        value.mv_size, PLACE_BYTES);
        TRY(place_read(&found, place, key.mv_data, key.mv_size, NULL, 0, err));
        cursor->next = PLACE_BYTES;
    }
    *slot = found;
    return KITH_OK;
}

void points_cursor_close(struct points_cursor *cursor) {
    if (cursor->cursor) mdb_cursor_close(cursor->cursor);
    cursor->cursor = NULL;
}
