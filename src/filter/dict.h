/* Dictionaries: a posting for each distinct key of bytes. Keywords, UUIDs, booleans. */
#ifndef KITH_FILTER_DICT_H
#define KITH_FILTER_DICT_H

#include "filter/posting.h"
#include "json/json.h"

struct dict_entry {
    size_t key; /* where its bytes begin in keys */
    uint32_t key_n, hash;
    struct posting rows; /* empty: nobody has the key any more */
};

/* All zero but for owner is an empty one. Entries in no order that means anything. */
struct dict {
    struct mem_account *owner;
    char *keys;
    size_t keys_n, keys_capacity;
    struct dict_entry *entries;
    uint32_t n, capacity;
    uint32_t n_empty;
    uint32_t *table;  /* entry + 1, or 0; by hash, then the next places */
    uint32_t table_n; /* a power of two, or 0 */
};

/* False when memory is short, and nothing has changed. */
bool dict_add(struct dict *dict, struct json_text key, uint32_t row);
void dict_remove(struct dict *dict, struct json_text key, uint32_t row);
void dict_deinit(struct dict *dict);
/* NULL when there is none. */
const struct posting *dict_find(const struct dict *dict, struct json_text key);

static inline struct json_text dict_key(const struct dict *dict, const struct dict_entry *entry) {
    return (struct json_text){dict->keys + entry->key, entry->key_n};
}

#endif
