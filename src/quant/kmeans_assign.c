/* Rows to their nearest centroids, with no more arithmetic than it takes to be sure.
 *
 * An iteration that scans everything makes lists as it goes: of each row, the centroids whose value is at most `margin`
 * above that of its own (the nearest KMEANS_LIST of them), and `rest`, which all others are above. Centroids then move.
 * As long as a row's own value is below rest, less what a centroid has moved since, that centroid cannot be the row's
 * nearest if it is not in the list. So a later iteration looks at
 *
 *     rows' lists            entries whose bound, less their drift, is not above the row's value
 *     fast centroids         the few that moved most are scanned for all rows, so that only the drift of the others,
 *                            the `slow` one, counts against rest
 *     rows not covered       by that are scanned against all centroids
 *
 * and when this no longer spares half of a scan, the lists are made anew. How many centroids count as fast is what costs
 * least. Whatever can be nearest is decided by law distances, so that none of these choices can change an assignment.
 *
 * Bounds on many centroids at once are Drake & Hamerly's 2012 (OPT workshop), the few that move far are set aside as in
 * Ding et al. 2015 (Yinyang k-means, ICML). Here estimates of one byte make the lists. */
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "quant/kmeans_find.h"
#include "quant/kmeans_run.h"

#define AHEAD       4.0 /* lists are made for so many times the drift of an iteration */
#define QUANTILE    0.9 /* of the centroids' drifts */
#define REFRESH     0.3 /* of the cost of a whole scan */
#define ONE_BY_ONE  1.3 /* what gathering a row for a scan costs more */
#define FAST_LEVELS 32u /* at most so many panels of fast centroids */

static struct kmeans_queries view(const struct kmeans_run *run, size_t begin, size_t n) {
    const struct kmeans_queries *all = &run->queries;
    return (struct kmeans_queries){.n = n,
                                   .codes = all->codes + begin * run->set.code.bytes,
                                   .scale = all->scale + begin,
                                   .bias = all->bias + begin,
                                   .slack = all->slack + begin,
                                   .reach = all->reach ? all->reach + begin : NULL};
}

/* ---- queries, and the first time --------------------------------------------------------------- */

static void prepare_part(void *context, uint32_t worker, size_t begin, size_t end) {
    struct kmeans_run *run = context;
    struct scorer scorer;
    scorer_init(&scorer, &run->set.code, run->worker[worker].scratch);
    for (size_t i = begin; i < end; i++)
        kmeans_set_query(&run->set, &scorer, kmeans_row(&run->source, i, run->worker[worker].room),
                         &run->queries, i);
}

void kmeans_prepare(struct kmeans_run *run) {
    thread_for(run->threads, run->n, KMEANS_BLOCK, prepare_part, run);
}

static void first_part(void *context, uint32_t worker, size_t begin, size_t end) {
    struct kmeans_run *run = context;
    const struct kmeans_worker *own = &run->worker[worker];
    const float *rows[KMEANS_BLOCK];
    struct kmeans_queries queries = view(run, begin, end - begin);
    struct kmeans_finder finder;
    for (size_t i = 0; i < queries.n; i++)
        rows[i] = kmeans_row(&run->source, begin + i, own->room + kmeans_room(run->source.rows, i));
    kmeans_finder_init(&finder, &run->set, KMEANS_BLOCK, 1, own->scratch);
    kmeans_finder_run(&finder, &queries, rows, run->assign + begin, run->dist + begin);
}

void kmeans_assign_first(struct kmeans_run *run) {
    thread_for(run->threads, run->n, KMEANS_BLOCK, first_part, run);
}

/* ---- one block of rows ------------------------------------------------------------------------- */

struct pass {
    struct kmeans_run *run;
    double slow; /* no centroid that is not fast has drifted farther */
    bool listing;
};

struct block {
    const struct pass *pass;
    struct kmeans_run *run;
    const struct kmeans_worker *own;
    size_t begin, n;
    struct kmeans_hits hits;
    double value[KMEANS_BLOCK];  /* of each row and its own centroid */
    uint32_t open[KMEANS_BLOCK]; /* rows to be scanned against all */
    size_t n_open;
    /* candidates of one row */
    size_t row;
    uint32_t which[KMEANS_LIST];
    size_t n_which;
};

/* Law distances of the row's candidates; the nearest takes it. */
static void decide(struct block *block) {
    struct kmeans_run *run = block->run;
    float dist[KMEANS_LIST];
    if (block->n_which == 0) return;
    const float *x = kmeans_row(&run->source, block->row, block->own->room);
    kmeans_set_law(&run->set, x, block->which, block->n_which, dist);
    for (size_t j = 0; j < block->n_which; j++) {
        uint32_t which = block->which[j], *now = &run->assign[block->row];
        float *least = &run->dist[block->row];
        if (dist[j] > *least || (dist[j] == *least && which >= *now)) continue;
        *least = dist[j];
        *now = which;
    }
    block->n_which = 0;
}

static void consider(struct block *block, uint32_t which) {
    if (which == block->run->assign[block->row]) return;
    block->which[block->n_which++] = which;
    if (block->n_which == KMEANS_LIST) decide(block);
}

/* ---- rows that their lists cover --------------------------------------------------------------- */

static void look_at_fast(struct block *block) {
    const struct kmeans_run *run = block->run;
    const struct kmeans_queries queries = view(run, block->begin, block->n);
    memset(block->hits.n_hits, 0, block->n * sizeof *block->hits.n_hits);
    if (run->fast.n == 0) return;
    for (size_t i = 0; i < block->n; i++)
        block->hits.limit[i] = kmeans_limit_of(&run->set, kmeans_reach(&queries, i),
                                               queries.slack[i], block->value[i]);
    for (size_t j = 0; j < block->n_open; j++) block->hits.limit[block->open[j]] = -INFINITY;
    kmeans_set_scan(&run->set, &run->fast, 0, run->fast.n, &queries, &block->hits);
}

static void look_at_list(struct block *block, size_t i) {
    const struct kmeans_run *run = block->run;
    const double reach = kmeans_reach(&run->queries, block->row), slow = block->pass->slow;
    const struct kmeans_near *near = run->near + block->row * KMEANS_LIST;
    const struct kern_hit *hits = block->hits.hits + i * block->hits.stride;
    for (uint32_t h = 0; h < block->hits.n_hits[i]; h++)
        consider(block, run->fast.which[hits[h].row]);
    for (size_t j = 0; j < run->n_near[block->row]; j++) {
        double drift = (double)run->drift[near[j].which];
        if (drift <= slow && (double)near[j].below - reach * drift <= block->value[i])
            consider(block, near[j].which);
    }
    decide(block);
}

static bool covered(const struct kmeans_run *run, size_t row, double value, double slow) {
    return value < (double)run->rest[row] - kmeans_reach(&run->queries, row) * slow;
}

static void assign_covered(struct block *block) {
    for (size_t i = 0; i < block->n; i++)
        if (!covered(block->run, block->begin + i, block->value[i], block->pass->slow))
            block->open[block->n_open++] = (uint32_t)i;
    if (block->n_open == block->n) return;
    look_at_fast(block);
    for (size_t i = 0, j = 0; i < block->n; i++) {
        if (j < block->n_open && block->open[j] == i) {
            j++;
            continue;
        }
        block->row = block->begin + i;
        look_at_list(block, i);
    }
}

/* ---- rows that they do not --------------------------------------------------------------------- */

static void enlist(struct kmeans_run *run, size_t row, struct kmeans_near entry) {
    struct kmeans_near *near = run->near + row * KMEANS_LIST;
    if (run->n_near[row] < KMEANS_LIST) {
        near[run->n_near[row]++] = entry;
        return;
    }
    size_t last = 0;
    for (size_t j = 1; j < KMEANS_LIST; j++)
        if (near[j].below > near[last].below) last = j;
    if (entry.below < near[last].below) {
        struct kmeans_near out = near[last];
        near[last] = entry;
        entry = out;
    }
    if (entry.below < run->rest[row]) run->rest[row] = entry.below;
}

static void take_hits(struct block *block, size_t j) {
    struct kmeans_run *run = block->run;
    const size_t i = block->open[j];
    const double reach = kmeans_reach(&run->queries, block->row), value = block->value[i];
    const float slack = run->queries.slack[block->row];
    const struct kern_hit *hits = block->hits.hits + j * block->hits.stride;
    if (block->pass->listing) {
        run->n_near[block->row] = 0;
        run->rest[block->row] = kmeans_down(value + reach * run->margin);
    }
    for (uint32_t h = 0; h < block->hits.n_hits[j]; h++) {
        double below = kmeans_below_est(&run->set, reach, slack, hits[h].dist);
        if (block->pass->listing)
            enlist(run, block->row, (struct kmeans_near){hits[h].row, kmeans_down(below)});
        if (below <= value) consider(block, hits[h].row);
    }
    decide(block);
}

/* The open rows as queries of their own. */
static struct kmeans_queries gather(const struct block *block, float numbers[4][KMEANS_BLOCK]) {
    const struct kmeans_queries *all = &block->run->queries;
    const size_t bytes = block->run->set.code.bytes;
    struct kmeans_queries out = {block->n_open, block->own->codes, numbers[0],
                                 numbers[1],    numbers[2],        all->reach ? numbers[3] : NULL};
    for (size_t j = 0; j < out.n; j++) {
        size_t row = block->begin + block->open[j];
        memcpy(out.codes + j * bytes, all->codes + row * bytes, bytes);
        out.scale[j] = all->scale[row];
        out.bias[j] = all->bias[row];
        out.slack[j] = all->slack[row];
        if (out.reach) out.reach[j] = all->reach[row];
    }
    return out;
}

/* Scan the open rows against all centroids, as far as `margin` beyond their values. */
static void scan_open(struct block *block, double margin) {
    const struct kmeans_run *run = block->run;
    const struct kmeans_set *set = &run->set;
    float numbers[4][KMEANS_BLOCK];
    const struct kmeans_queries queries = gather(block, numbers);
    for (size_t j = 0; j < queries.n; j++) {
        double reach = kmeans_reach(&queries, j);
        block->hits.limit[j] = kmeans_limit_of(set, reach, queries.slack[j],
                                               block->value[block->open[j]] + reach * margin);
    }
    memset(block->hits.n_hits, 0, queries.n * sizeof *block->hits.n_hits);
    for (size_t first = 0; first < set->k; first += set->group)
        kmeans_set_scan(set, &set->all, first,
                        set->k - first < set->group ? set->k - first : set->group, &queries,
                        &block->hits);
}

static void block_init(struct block *block, const struct pass *pass, uint32_t worker, size_t begin,
                       size_t end) {
    struct kmeans_run *run = pass->run;
    *block = (struct block){.pass = pass, .run = run, .begin = begin, .n = end - begin};
    block->own = &run->worker[worker];
    struct kmeans_finder finder;
    kmeans_finder_init(&finder, &run->set, KMEANS_BLOCK, 1, block->own->scratch);
    block->hits = finder.hits;
    for (size_t i = 0; i < block->n; i++)
        block->value[i] = kmeans_above_law(&run->set, kmeans_reach(&run->queries, begin + i),
                                           run->dist[begin + i]);
}

static void open_all(struct block *block) {
    for (size_t i = 0; i < block->n; i++) block->open[i] = (uint32_t)i;
    block->n_open = block->n;
}

static void assign_part(void *context, uint32_t worker, size_t begin, size_t end) {
    const struct pass *pass = context;
    struct block block;
    block_init(&block, pass, worker, begin, end);
    if (pass->listing)
        open_all(&block);
    else
        assign_covered(&block);
    if (block.n_open == 0) return;
    scan_open(&block, pass->listing ? pass->run->margin : 0);
    for (size_t j = 0; j < block.n_open; j++) {
        block.row = begin + block.open[j];
        take_hits(&block, j);
    }
}

/* ---- what an iteration does -------------------------------------------------------------------- */

static int descending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* Choose the fast centroids: pass->slow and run->fast. False when making new lists is as good. */
static bool choose_fast(struct pass *pass) {
    struct kmeans_run *run = pass->run;
    const size_t k = run->k;
    size_t open[FAST_LEVELS + 1] = {0}, levels = k / KERN_PANEL / 2;
    if (levels > FAST_LEVELS - 1) levels = FAST_LEVELS - 1;
    float *sorted = (float *)run->worker[0].scratch;
    memcpy(sorted, run->drift, k * sizeof *sorted);
    qsort(sorted, k, sizeof *sorted, descending);
    /* open[l]: rows that are covered with l panels of fast centroids, but not with fewer */
    for (size_t i = 0; i < run->n; i++) {
        double value = kmeans_above_law(&run->set, kmeans_reach(&run->queries, i), run->dist[i]);
        size_t l = 0;
        while (l <= levels && !covered(run, i, value, (double)sorted[l * KERN_PANEL])) l++;
        open[l]++;
    }
    size_t best = 0, left = run->n;
    double least = INFINITY;
    for (size_t l = 0; l <= levels; l++) {
        left -= open[l];
        double cost =
            (double)(l * KERN_PANEL) * (double)run->n + ONE_BY_ONE * (double)k * (double)left;
        if (cost >= least) continue;
        least = cost;
        best = l;
    }
    pass->slow = (double)sorted[best * KERN_PANEL];
    run->fast.n = 0;
    for (size_t c = 0; c < k; c++)
        if ((double)run->drift[c] > pass->slow) run->fast.which[run->fast.n++] = (uint32_t)c;
    return least < REFRESH * (double)k * (double)run->n;
}

/* A margin that lists outlast a few iterations with, as long as they are not too short for it. */
static void choose_margin(struct pass *pass) {
    struct kmeans_run *run = pass->run;
    float *sorted = (float *)run->worker[0].scratch;
    memcpy(sorted, run->step, run->k * sizeof *sorted);
    qsort(sorted, run->k, sizeof *sorted, descending);
    run->margin = AHEAD * (double)sorted[(size_t)((1 - QUANTILE) * (double)run->k)];
    for (int tries = 0; tries < 8; tries++, run->margin /= 2) {
        struct block block;
        size_t n_hits = 0;
        block_init(&block, pass, 0, 0, run->n < KMEANS_BLOCK ? run->n : KMEANS_BLOCK);
        open_all(&block);
        scan_open(&block, run->margin);
        for (size_t i = 0; i < block.n; i++) n_hits += block.hits.n_hits[i];
        if (n_hits <= KMEANS_LIST * block.n) break;
    }
}

static void measure_drift(struct kmeans_run *run) {
    kern_pair_fn l2sq = run->set.kern->pair[KITH_TYPE_F32][KERN_L2SQ];
    for (size_t c = 0; c < run->k; c++) {
        double far =
            (double)l2sq(run->centroids + c * run->dim, run->listed_at + c * run->dim, run->dim);
        run->drift[c] = kmeans_up(sqrt(far * (1 + 2 * run->set.rho) + KMEANS_TINY));
    }
}

void kmeans_assign(struct kmeans_run *run) {
    struct pass pass = {.run = run};
    if (run->listed) measure_drift(run);
    pass.listing = !run->listed || !choose_fast(&pass);
    if (pass.listing) {
        choose_margin(&pass);
        memcpy(run->listed_at, run->centroids, run->k * run->dim * sizeof *run->centroids);
        run->listed = true;
    } else if (run->fast.n) {
        kmeans_panels_pick(&run->fast, &run->set);
    }
    thread_for(run->threads, run->n, KMEANS_BLOCK, assign_part, &pass);
}
