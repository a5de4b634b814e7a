/* Runs: sorting by digits, the tree of bits, and the life of an entry from fresh to main to gone. */
#include "filter/run.h"

#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"

enum { TREE_MIN = 8192, FRESH_MIN = 4096 };

/* ---- sorting ------------------------------------------------------------------------------------ */

static unsigned digit_of(const struct run_entry *entry, int digit) {
    return digit < 4 ? entry->row >> (8 * digit) & 0xff
                     : (unsigned)(entry->key >> (8 * (digit - 4)) & 0xff);
}

static bool before(const struct run_entry *a, const struct run_entry *b) {
    return a->key < b->key || (a->key == b->key && a->row < b->row);
}

static bool is_sorted(const struct run_entry *entries, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (before(&entries[i], &entries[i - 1])) return false;
    return true;
}

/* From the least digit of the row to the greatest of the key, each pass stable; digits that all share are passed over. */
void run_sort(struct run_entry *entries, struct run_entry *scratch, size_t n) {
    struct run_entry *from = entries, *to = scratch;
    if (is_sorted(entries, n)) return;
    for (int digit = 0; digit < 12; digit++) {
        size_t place[256] = {0}, sum = 0;
        for (size_t i = 0; i < n; i++) place[digit_of(&from[i], digit)]++;
        if (n == 0 || place[digit_of(&from[0], digit)] == n) continue;
        for (int value = 0; value < 256; value++) {
            size_t count = place[value];
            place[value] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++) to[place[digit_of(&from[i], digit)]++] = from[i];
        struct run_entry *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != entries) memcpy(entries, from, n * sizeof *entries);
}

/* ---- nodes -------------------------------------------------------------------------------------- */

static int depth_of(size_t node) { return 63 - __builtin_clzll(node); }

void run_stretch(const struct run_main *main, size_t node, size_t *from, size_t *to) {
    int depth = depth_of(node);
    size_t span = (main->n_leaves >> depth) * RUN_LEAF;
    *from = (node - ((size_t)1 << depth)) * span;
    *to = *from + span;
    if (*from > main->n) *from = main->n;
    if (*to > main->n) *to = main->n;
}

/* The lowest level from entries, each node above from its halves. */
static void fill_tree(struct run_main *main) {
    for (size_t node = main->n_nodes - 1; node > 0; node--) {
        uint64_t *bits = main->tree + node * main->n_words;
        size_t from, to;
        if (2 * node < main->n_nodes) {
            const uint64_t *half = main->tree + 2 * node * main->n_words;
            for (size_t i = 0; i < main->n_words; i++) bits[i] = half[i] | half[i + main->n_words];
            continue;
        }
        run_stretch(main, node, &from, &to);
        for (; from < to; from++) bits_set(bits, main->rows[from]);
    }
}

static void fill_boxes(struct run_main *main) {
    for (size_t node = 2 * main->n_leaves - 1; node > 0; node--) {
        struct geo_bounds box = {INFINITY, -INFINITY, INFINITY, -INFINITY};
        if (node < main->n_leaves) {
            const struct geo_bounds *half = &main->boxes[2 * node];
            box = (struct geo_bounds){
                fmin(half[0].west, half[1].west), fmax(half[0].east, half[1].east),
                fmin(half[0].south, half[1].south), fmax(half[0].north, half[1].north)};
        } else {
            size_t from, to;
            run_stretch(main, node, &from, &to);
            struct geo_ring ring = {to - from, main->places + from};
            if (from < to) box = geo_ring_bounds(&ring);
        }
        main->boxes[node] = box;
    }
}

/* As many levels of bits as cost 16 bytes an entry. */
static size_t count_nodes(size_t n, size_t n_words) {
    size_t n_nodes = (size_t)1 << RUN_LEVELS;
    if (n < TREE_MIN) return 0;
    while (n_nodes > 1 && n_nodes * n_words * 8 > n * 16) n_nodes /= 2;
    return n_nodes > 1 ? n_nodes : 0;
}

/* ---- mains -------------------------------------------------------------------------------------- */

void run_main_deinit(struct run_main *main, struct mem_account *owner) {
    mem_free(owner, main->keys, main->n * sizeof *main->keys);
    mem_free(owner, main->rows, main->n * sizeof *main->rows);
    mem_free(owner, main->places, main->n * sizeof *main->places);
    mem_free(owner, main->boxes, 2 * main->n_leaves * sizeof *main->boxes);
    mem_free(owner, main->tree, main->n_nodes * main->n_words * sizeof *main->tree);
    *main = (struct run_main){0};
}

bool run_main_from(struct run_main *made, struct mem_account *owner, struct run_entry *entries,
                   size_t n, bool has_places) {
    struct run_main main = {.n = n, .n_leaves = 1};
    uint32_t last_row = 0;
    *made = (struct run_main){0};
    if (n == 0) return true;
    struct run_entry *scratch = mem_new(owner, n * sizeof *scratch);
    if (!scratch) return false;
    run_sort(entries, scratch, n);
    mem_free(owner, scratch, n * sizeof *scratch);
    for (size_t i = 0; i < n; i++)
        if (entries[i].row > last_row) last_row = entries[i].row;
    while (main.n_leaves * RUN_LEAF < n) main.n_leaves *= 2;
    main.n_words = bits_words((uint64_t)last_row + 1);
    main.n_nodes = count_nodes(n, main.n_words);
    main.keys = mem_new(owner, n * sizeof *main.keys);
    main.rows = mem_new(owner, n * sizeof *main.rows);
    if (has_places) main.places = mem_new(owner, n * sizeof *main.places);
    if (has_places) main.boxes = mem_new(owner, 2 * main.n_leaves * sizeof *main.boxes);
    if (main.n_nodes) main.tree = mem_new(owner, main.n_nodes * main.n_words * sizeof *main.tree);
    if (!main.keys || !main.rows || (has_places && (!main.places || !main.boxes)) ||
        (main.n_nodes && !main.tree)) {
        run_main_deinit(&main, owner);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        main.keys[i] = entries[i].key;
        main.rows[i] = entries[i].row;
        if (has_places) main.places[i] = entries[i].place;
    }
    if (main.tree) fill_tree(&main);
    if (has_places) fill_boxes(&main);
    *made = main;
    return true;
}

/* ---- changes ------------------------------------------------------------------------------------ */

static bool same_entry(const struct run_entry *a, const struct run_entry *b) {
    return a->key == b->key && a->place.lon == b->place.lon && a->place.lat == b->place.lat;
}

static size_t drop_twice(struct run_entry *entries, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        size_t j = 0;
        while (j < kept && !same_entry(&entries[i], &entries[j])) j++;
        if (j == kept) entries[kept++] = entries[i];
    }
    return kept;
}

bool run_add(struct run *run, struct run_entry *entries, size_t n) {
    if (n == 0) return true;
    if (n > 1 && n <= 64) {
        n = drop_twice(entries, n);
    } else if (n > 64) {
        struct run_entry *scratch = mem_new(run->owner, n * sizeof *scratch);
        if (!scratch) return false;
        run_sort(entries, scratch, n);
        mem_free(run->owner, scratch, n * sizeof *scratch);
        size_t kept = 1;
        for (size_t i = 1; i < n; i++)
            if (!same_entry(&entries[i], &entries[kept - 1])) entries[kept++] = entries[i];
        n = kept;
    }
    if (run->fresh_capacity - run->n_fresh < n) {
        size_t capacity = run->fresh_capacity + run->fresh_capacity / 2 + n + 16;
        void *fresh = mem_resize(run->owner, run->fresh, run->fresh_capacity * sizeof *run->fresh,
                                 capacity * sizeof *run->fresh);
        if (!fresh) return false;
        run->fresh = fresh;
        run->fresh_capacity = capacity;
    }
    if (!posting_add(&run->fresh_rows, run->owner, entries[0].row)) return false;
    memcpy(run->fresh + run->n_fresh, entries, n * sizeof *entries);
    run->n_fresh += n;
    return true;
}

bool run_remove(struct run *run, uint32_t row) {
    size_t kept = 0;
    if (!posting_has(&run->fresh_rows, row)) return posting_add(&run->gone, run->owner, row);
    for (size_t i = 0; i < run->n_fresh; i++)
        if (run->fresh[i].row != row) run->fresh[kept++] = run->fresh[i];
    run->n_fresh = kept;
    posting_remove(&run->fresh_rows, run->owner, row);
    return true;
}

void run_deinit(struct run *run) {
    run_main_deinit(&run->main, run->owner);
    posting_deinit(&run->gone, run->owner);
    posting_deinit(&run->fresh_rows, run->owner);
    mem_free(run->owner, run->fresh, run->fresh_capacity * sizeof *run->fresh);
    *run = (struct run){.owner = run->owner, .has_places = run->has_places};
}

bool run_wants_merge(const struct run *run) {
    size_t changes = run->n_fresh + run->gone.n;
    return changes > FRESH_MIN && changes > run->main.n / 16;
}

/* Those of main that are not gone, then fresh. */
static struct run_entry *gather(const struct run *run, size_t *n) {
    size_t kept = 0;
    struct run_entry *entries = mem_new(run->owner, (run->main.n + run->n_fresh) * sizeof *entries);
    if (!entries) return NULL;
    for (size_t i = 0; i < run->main.n; i++) {
        if (run->gone.n && posting_has(&run->gone, run->main.rows[i])) continue;
        entries[kept].key = run->main.keys[i];
        entries[kept].row = run->main.rows[i];
        if (run->has_places) entries[kept].place = run->main.places[i];
        kept++;
    }
    if (run->n_fresh) memcpy(entries + kept, run->fresh, run->n_fresh * sizeof *entries);
    *n = kept + run->n_fresh;
    return entries;
}

bool run_make_main(const struct run *run, struct run_main *made) {
    size_t n = 0, room = run->main.n + run->n_fresh;
    struct run_entry *entries = gather(run, &n);
    if (!entries) return false;
    bool done = run_main_from(made, run->owner, entries, n, run->has_places);
    mem_free(run->owner, entries, room * sizeof *entries);
    return done;
}

void run_take_main(struct run *run, struct run_main *made) {
    run_deinit(run);
    run->main = *made;
    *made = (struct run_main){0};
}

struct run_entry *run_list(const struct run *run, size_t *n) {
    size_t n_all = 0, room = run->main.n + run->n_fresh;
    struct run_entry *all = gather(run, &n_all), *list = NULL, *scratch = NULL;
    if (all) list = mem_new(run->owner, n_all * sizeof *list);
    if (list) scratch = mem_new(run->owner, n_all * sizeof *scratch);
    if (scratch) {
        memcpy(list, all, n_all * sizeof *list);
        run_sort(list, scratch, n_all);
        mem_free(run->owner, scratch, n_all * sizeof *scratch);
        *n = n_all;
    } else if (list) {
        mem_free(run->owner, list, n_all * sizeof *list);
        list = NULL;
    }
    if (all) mem_free(run->owner, all, room * sizeof *all);
    return list;
}

/* ---- stretches ---------------------------------------------------------------------------------- */

size_t run_find(const struct run *run, uint64_t key) {
    size_t low = 0, n = run->main.n;
    while (n > 0) {
        size_t half = n / 2;
        if (run->main.keys[low + half] < key)
            low += half + 1, n -= half + 1;
        else
            n = half;
    }
    return low;
}

static void or_node(const struct run_main *main, size_t node, size_t from, size_t to,
                    uint64_t *bits) {
    size_t first, end;
    run_stretch(main, node, &first, &end);
    if (from < first) from = first;
    if (to > end) to = end;
    if (from >= to) return;
    if (node < main->n_nodes && from == first && to == end) {
        const uint64_t *of_node = main->tree + node * main->n_words;
        for (size_t i = 0; i < main->n_words; i++) bits[i] |= of_node[i];
    } else if (2 * node < main->n_nodes) {
        or_node(main, 2 * node, from, to, bits);
        or_node(main, 2 * node + 1, from, to, bits);
    } else {
        for (; from < to; from++) bits_set(bits, main->rows[from]);
    }
}

void run_or(const struct run *run, size_t from, size_t to, uint64_t *bits) {
    if (run->main.n) or_node(&run->main, 1, from, to, bits);
}

/* ---- walks -------------------------------------------------------------------------------------- */

/* Two ascending sequences, from either end: main, passing over what is gone, and sorted fresh. */
struct merge {
    const struct run *run;
    const struct run_entry *fresh;
    size_t main_at, main_left, fresh_at, fresh_left;
    bool backwards;
};

static bool main_head(struct merge *m, struct run_entry *head) {
    for (; m->main_left > 0; m->main_left--, m->main_at += m->backwards ? (size_t)-1 : 1) {
        *head = (struct run_entry){.key = m->run->main.keys[m->main_at],
                                   .row = m->run->main.rows[m->main_at]};
        if (!posting_has(&m->run->gone, head->row)) return true;
    }
    return false;
}

static bool next_entry(struct merge *m, struct run_entry *out) {
    struct run_entry head;
    bool has_main = main_head(m, &head), has_fresh = m->fresh_left > 0;
    if (!has_main && !has_fresh) return false;
    const struct run_entry *fresh = &m->fresh[has_fresh ? m->fresh_at : 0];
    size_t step = m->backwards ? (size_t)-1 : 1;
    if (has_main && (!has_fresh || before(&head, fresh) != m->backwards)) {
        *out = head;
        m->main_at += step;
        m->main_left--;
    } else {
        *out = *fresh;
        m->fresh_at += step;
        m->fresh_left--;
    }
    return true;
}

static void merge_init(struct merge *m, const struct run *run, const struct run_entry *fresh,
                       uint64_t from, bool backwards) {
    bool all = backwards && from == UINT64_MAX;
    size_t main_at = all ? run->main.n : run_find(run, from + backwards), fresh_at = 0;
    while (fresh_at < run->n_fresh && (all || fresh[fresh_at].key < from + backwards)) fresh_at++;
    *m = (struct merge){.run = run, .fresh = fresh, .backwards = backwards};
    m->main_left = backwards ? main_at : run->main.n - main_at;
    m->fresh_left = backwards ? fresh_at : run->n_fresh - fresh_at;
    m->main_at = main_at - backwards;
    m->fresh_at = fresh_at - backwards;
}

bool run_walk(const struct run *run, uint64_t from, bool backwards, run_visit visit,
              void *context) {
    size_t bytes = (run->n_fresh + 1) * sizeof(struct run_entry);
    struct run_entry entry, *fresh = mem_new(run->owner, bytes);
    struct run_entry *scratch = fresh ? mem_new(run->owner, bytes) : NULL;
    if (scratch) {
        struct merge merge;
        if (run->n_fresh) memcpy(fresh, run->fresh, run->n_fresh * sizeof *fresh);
        run_sort(fresh, scratch, run->n_fresh);
        merge_init(&merge, run, fresh, from, backwards);
        while (next_entry(&merge, &entry))
            if (visit(context, entry.key, entry.row)) break;
    }
    bool walked = scratch != NULL;
    mem_free(run->owner, scratch, bytes);
    mem_free(run->owner, fresh, bytes);
    return walked;
}
