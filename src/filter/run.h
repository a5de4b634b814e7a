/* Runs: values of rows in the order of their keys, and quick sets of the rows of any stretch of them. Numbers, times, places.
 *
 *     main    entries ascending by (key, row), with a tree over them: each node has the bits of its stretch's rows
 *     gone    rows whose entries in main no longer count
 *     fresh   entries that came since main was made, in no order
 *
 * Changes go to gone and fresh; a merge makes a new main of all three. Making it only reads, so that searches go on meanwhile;
 * putting it in place takes a moment.
 *
 * Invariants
 *   1. A row's entries are all in main, and then it is not in gone, or all in fresh.
 *   2. A (key, row) is there once.
 *   3. A node's bits are those of the rows of entries [i, i + span) of main, gone or not. */
#ifndef KITH_FILTER_RUN_H
#define KITH_FILTER_RUN_H

#include "filter/geo.h"
#include "filter/posting.h"

#define RUN_LEVELS 6  /* of nodes with bits: the lowest has 32 */
#define RUN_LEAF   64 /* entries of the lowest nodes */

struct run_entry {
    uint64_t key;
    struct geo_point place; /* of runs of places */
    uint32_t row;
};

/* Entries in columns, and nodes over them: node 1 is all, 2i and 2i + 1 are the halves of i, and the lowest have 64 entries.
 * The upper nodes have bits, all have boxes where there are places. */
struct run_main {
    size_t n, n_leaves; /* a power of two; 64 n_leaves >= n */
    uint64_t *keys;
    uint32_t *rows;
    struct geo_point *places; /* NULL: no places */
    struct geo_bounds *boxes; /* of nodes 1 to 2 n_leaves - 1; NULL: no places */
    uint64_t *tree; /* node i at i * n_words, of nodes 1 to n_nodes - 1; NULL: too few entries */
    size_t n_words, n_nodes;
};

struct run {
    struct mem_account *owner;
    bool has_places;
    struct run_main main;
    struct posting gone, fresh_rows;
    struct run_entry *fresh;
    size_t n_fresh, fresh_capacity;
};

/* All of a row at once; it has no entries yet. Drops what comes twice. False when memory is short, nothing changed. */
bool run_add(struct run *run, struct run_entry *entries, size_t n);
/* All of a row's entries. False when memory is short, nothing changed. */
bool run_remove(struct run *run, uint32_t row);
void run_deinit(struct run *run);

/* Whether a merge is worth its time. */
bool run_wants_merge(const struct run *run);
/* Make a main of all that counts; reads only. False when memory is short. */
bool run_make_main(const struct run *run, struct run_main *made);
/* From entries in any order, each once; they are sorted. */
bool run_main_from(struct run_main *made, struct mem_account *owner, struct run_entry *entries,
                   size_t n, bool has_places);
/* Put it in place of main, gone and fresh; the run has not changed since it was made. */
void run_take_main(struct run *run, struct run_main *made);
void run_main_deinit(struct run_main *main, struct mem_account *owner);

/* How many entries of main are below the key. */
size_t run_find(const struct run *run, uint64_t key);
/* bits |= rows of entries [from, to) of main, gone or not. */
void run_or(const struct run *run, size_t from, size_t to, uint64_t *bits);
/* The first entry of a node and the one after its last. */
void run_stretch(const struct run_main *main, size_t node, size_t *from, size_t *to);
/* Shows each (key, row) that counts, ascending, or all of it backwards, from `from` on, until one call returns true. False when
 * memory (for a sorted copy of fresh) is short. */
typedef bool (*run_visit)(void *context, uint64_t key, uint32_t row);
bool run_walk(const struct run *run, uint64_t from, bool backwards, run_visit visit, void *context);
/* All entries that count, in the order of (key, row) for the caller to free as run_entry[*n]; NULL when memory is short. */
struct run_entry *run_list(const struct run *run, size_t *n);
void run_sort(struct run_entry *entries, struct run_entry *scratch, size_t n);

#endif
