/* Dictionaries: entries in an array, found through an open table of their numbers.
 *
 * Invariants
 *   1. The table is at most two thirds full, and every entry is in it.
 *   2. An entry whose posting is empty stays until half of them are; then all are dropped in place, which needs no memory. */
#include "filter/dict.h"

#include <string.h>

#include "base/bits.h"
#include "base/mem.h"

static uint32_t hash_of(struct json_text key) {
    uint64_t h = key.n;
    for (size_t i = 0; i < key.n; i += 8) {
        uint64_t word = 0;
        memcpy(&word, key.bytes + i, key.n - i < 8 ? key.n - i : 8);
        h = bits_mix(h ^ word);
    }
    return (uint32_t)h;
}

/* Where the key's entry, or the free place for it, is in the table. */
static uint32_t *probe(const struct dict *dict, struct json_text key, uint32_t hash) {
    for (uint32_t at = hash & (dict->table_n - 1);; at = (at + 1) & (dict->table_n - 1)) {
        uint32_t *place = &dict->table[at];
        if (*place == 0) return place;
        const struct dict_entry *entry = &dict->entries[*place - 1];
        if (entry->hash == hash && entry->key_n == key.n &&
            memcmp(dict->keys + entry->key, key.bytes, key.n) == 0)
            return place;
    }
}

static struct dict_entry *find(const struct dict *dict, struct json_text key) {
    if (dict->table_n == 0) return NULL;
    uint32_t place = *probe(dict, key, hash_of(key));
    return place ? &dict->entries[place - 1] : NULL;
}

const struct posting *dict_find(const struct dict *dict, struct json_text key) {
    const struct dict_entry *entry = find(dict, key);
    return entry ? &entry->rows : NULL;
}

static void fill_table(struct dict *dict) {
    for (uint32_t i = 0; i < dict->n; i++) {
        uint32_t at = dict->entries[i].hash & (dict->table_n - 1);
        while (dict->table[at]) at = (at + 1) & (dict->table_n - 1);
        dict->table[at] = i + 1;
    }
}

/* Invariant 2. */
static void drop_empty(struct dict *dict) {
    uint32_t n = 0;
    size_t keys_n = 0;
    for (uint32_t i = 0; i < dict->n; i++) { /* keys lie in the order of entries */
        struct dict_entry entry = dict->entries[i];
        if (entry.rows.n == 0) continue;
        memmove(dict->keys + keys_n, dict->keys + entry.key, entry.key_n);
        entry.key = keys_n;
        keys_n += entry.key_n;
        dict->entries[n++] = entry;
    }
    dict->n = n;
    dict->n_empty = 0;
    dict->keys_n = keys_n;
    memset(dict->table, 0, dict->table_n * sizeof *dict->table);
    fill_table(dict);
}

static bool grow_table(struct dict *dict) {
    if (dict->n < dict->table_n / 3 * 2) return true;
    uint32_t table_n = dict->table_n ? dict->table_n * 2 : 16;
    uint32_t *table = mem_new(dict->owner, table_n * sizeof *table);
    if (!table) return false;
    mem_free(dict->owner, dict->table, dict->table_n * sizeof *dict->table);
    dict->table = table;
    dict->table_n = table_n;
    fill_table(dict);
    return true;
}

static bool grow_entries(struct dict *dict) {
    if (dict->n < dict->capacity) return true;
    uint32_t capacity = dict->capacity + dict->capacity / 2 + 8;
    void *entries = mem_resize(dict->owner, dict->entries, dict->capacity * sizeof *dict->entries,
                               capacity * sizeof *dict->entries);
    if (!entries) return false;
    dict->entries = entries;
    dict->capacity = capacity;
    return true;
}

static bool grow_keys(struct dict *dict, size_t more) {
    if (dict->keys && dict->keys_capacity - dict->keys_n >= more) return true;
    size_t capacity = dict->keys_capacity + dict->keys_capacity / 2 + more + 64;
    void *keys = mem_resize(dict->owner, dict->keys, dict->keys_capacity, capacity);
    if (!keys) return false;
    dict->keys = keys;
    dict->keys_capacity = capacity;
    return true;
}

bool dict_add(struct dict *dict, struct json_text key, uint32_t row) {
    struct dict_entry *entry = find(dict, key);
    if (entry) {
        bool was_empty = entry->rows.n == 0;
        if (!posting_add(&entry->rows, dict->owner, row)) return false;
        dict->n_empty -= was_empty;
        return true;
    }
    if (dict->n_empty > 64 && dict->n_empty > dict->n / 2) drop_empty(dict);
    if (!grow_table(dict) || !grow_entries(dict) || !grow_keys(dict, key.n)) return false;
    uint32_t hash = hash_of(key);
    struct dict_entry made = {.key = dict->keys_n, .key_n = (uint32_t)key.n, .hash = hash};
    posting_add(&made.rows, dict->owner, row); /* the first is in the struct */
    memcpy(dict->keys + dict->keys_n, key.bytes, key.n);
    *probe(dict, key, hash) = dict->n + 1;
    dict->keys_n += key.n;
    dict->entries[dict->n++] = made;
    return true;
}

void dict_remove(struct dict *dict, struct json_text key, uint32_t row) {
    struct dict_entry *entry = find(dict, key);
    if (!entry || entry->rows.n == 0) return;
    posting_remove(&entry->rows, dict->owner, row);
    dict->n_empty += entry->rows.n == 0;
}

void dict_deinit(struct dict *dict) {
    for (uint32_t i = 0; i < dict->n; i++) posting_deinit(&dict->entries[i].rows, dict->owner);
    mem_free(dict->owner, dict->entries, dict->capacity * sizeof *dict->entries);
    mem_free(dict->owner, dict->keys, dict->keys_capacity);
    mem_free(dict->owner, dict->table, dict->table_n * sizeof *dict->table);
    *dict = (struct dict){.owner = dict->owner};
}
