/* Clusters of bounded size: an auction for places.
 *
 * Every centroid has a price, at first 0, and every row takes the cheapest of its NEAR nearest centroids, by distance
 * plus price. In a round, each centroid with more rows than it has places lets the rows go that lose least by going
 * (equal: the smaller number) and raises its price by what the last of them loses, and a little more. So rows that stay
 * would lose more, and rows that come later pay as much: for the prices reached, no row would rather be elsewhere than
 * the little more is worth, but for prices that have become higher than they need be (Bertsekas 1988; as a penalty on
 * size inside k-means: Bradley, Bennett & Demiriz 2000, de Maeyer et al. 2023).
 *
 * Rows all of whose NEAR centroids stay full would bid for ever: after ROUNDS, what is still too much goes, row by row, to
 * the nearest centroid of all that has room. There always is one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "quant/kmeans_find.h"

#define NEAR   16u
#define ROUNDS 100u
#define LITTLE 1e-2 /* of the mean distance */

struct bid {
    double loss;
    uint32_t row;
};

struct auction {
    const struct kmeans_set *set;
    const struct kmeans_source *source;
    size_t n, k, near, capacity;
    const uint32_t *which; /* the nearest centroids of each row */
    const float *dist;
    uint8_t *place;    /* the one of them that a row is at */
    uint32_t *members; /* rows by centroid, as of the round's begin */
    size_t *start, *size;
    double *price, little;
    struct bid *bids;
    float *room; /* one row, decoded */
};

size_t kmeans_capacity(size_t n, size_t k, double slack) {
    double most = floor((1 + slack) * (double)n / (double)k);
    size_t least = (n + k - 1) / k;
    return most < (double)n ? (most > (double)least ? (size_t)most : least) : n;
}

static size_t centroid_of(const struct auction *auction, size_t row, size_t place) {
    return auction->which[row * auction->near + place];
}

static double cost(const struct auction *auction, size_t row, size_t place) {
    return (double)auction->dist[row * auction->near + place] +
           auction->price[centroid_of(auction, row, place)];
}

/* The cheapest place of a row but its own. */
static size_t alternative(const struct auction *auction, size_t row) {
    size_t own = auction->place[row], best = own == 0;
    for (size_t p = best + 1; p < auction->near; p++)
        if (p != own && cost(auction, row, p) < cost(auction, row, best)) best = p;
    return best;
}

static void group(struct auction *auction) {
    size_t *start = auction->start;
    memset(start, 0, (auction->k + 1) * sizeof *start);
    for (size_t i = 0; i < auction->n; i++) start[centroid_of(auction, i, auction->place[i]) + 1]++;
    for (size_t c = 0; c < auction->k; c++) {
        auction->size[c] = start[c + 1];
        start[c + 1] += start[c];
    }
    for (size_t i = 0; i < auction->n; i++)
        auction->members[start[centroid_of(auction, i, auction->place[i])]++] = (uint32_t)i;
    memmove(start + 1, start, auction->k * sizeof *start);
    start[0] = 0;
}

static int by_loss(const void *a, const void *b) {
    const struct bid *x = a, *y = b;
    if (x->loss != y->loss) return x->loss < y->loss ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* The members of c in the order in which they would rather go. Returns how many there are. */
static size_t rank_members(struct auction *auction, size_t c) {
    size_t n = 0;
    for (size_t m = auction->start[c]; m < auction->start[c + 1]; m++) {
        uint32_t row = auction->members[m];
        double loss =
            cost(auction, row, alternative(auction, row)) - cost(auction, row, auction->place[row]);
        auction->bids[n++] = (struct bid){loss, row};
    }
    qsort(auction->bids, n, sizeof *auction->bids, by_loss);
    return n;
}

/* True while a centroid has too many rows. */
static bool run_round(struct auction *auction) {
    bool over = false;
    group(auction);
    for (size_t c = 0; c < auction->k; c++) {
        if (auction->start[c + 1] - auction->start[c] <= auction->capacity) continue;
        size_t going = rank_members(auction, c) - auction->capacity;
        for (size_t b = 0; b < going; b++) {
            uint32_t row = auction->bids[b].row;
            auction->place[row] = (uint8_t)alternative(auction, row);
        }
        auction->price[c] += fmax(auction->bids[going - 1].loss, 0) + auction->little;
        over = true;
    }
    return over;
}

static float law(const struct auction *auction, const float *x, size_t c) {
    const struct kmeans_set *set = auction->set;
    float dist =
        set->kern->pair[KITH_TYPE_F32][set->law](x, set->centroids + c * set->dim, set->dim);
    return set->ip ? -dist : dist;
}

/* The nearest centroid with room. */
static void force(struct auction *auction, size_t row, uint32_t *which, float *dist) {
    const float *x = kmeans_row(auction->source, row, auction->room);
    float least = INFINITY;
    for (size_t c = 0; c < auction->k; c++) {
        if (auction->size[c] >= auction->capacity) continue;
        float here = law(auction, x, c);
        if (here >= least) continue;
        least = here;
        *which = (uint32_t)c;
    }
    *dist = least;
    auction->size[*which]++;
}

/* Write the outcome; what no round could place is forced, once all others are known. */
static void settle(struct auction *auction, const struct kmeans_found *found) {
    group(auction);
    for (size_t i = 0; i < auction->n; i++) {
        found->which[i] = (uint32_t)centroid_of(auction, i, auction->place[i]);
        found->dist[i] = auction->dist[i * auction->near + auction->place[i]];
    }
    for (size_t c = 0; c < auction->k; c++) {
        if (auction->start[c + 1] - auction->start[c] <= auction->capacity) continue;
        size_t n = rank_members(auction, c), going = n - auction->capacity;
        auction->size[c] -= going;
        for (size_t b = 0; b < going; b++) found->which[auction->bids[b].row] = UINT32_MAX;
    }
    for (size_t i = 0; i < auction->n; i++)
        if (found->which[i] == UINT32_MAX) force(auction, i, &found->which[i], &found->dist[i]);
}

static uintptr_t lay_out(struct auction *auction, struct kmeans_found *near, void *block) {
    const size_t n = auction->n, k = auction->k;
    uintptr_t at = (uintptr_t)block;
    near->which = kmeans_carve(&at, n * auction->near * sizeof *near->which);
    near->dist = kmeans_carve(&at, n * auction->near * sizeof *near->dist);
    auction->place = kmeans_carve(&at, n * sizeof *auction->place);
    auction->members = kmeans_carve(&at, n * sizeof *auction->members);
    auction->bids = kmeans_carve(&at, n * sizeof *auction->bids);
    auction->start = kmeans_carve(&at, (k + 1) * sizeof *auction->start);
    auction->size = kmeans_carve(&at, k * sizeof *auction->size);
    auction->price = kmeans_carve(&at, k * sizeof *auction->price);
    auction->room = kmeans_carve(&at, auction->set->dim * sizeof *auction->room);
    return at;
}

int kmeans_balance_source(const struct kmeans_set *set, const struct kmeans_source *source,
                          double slack, const struct kmeans_found *found, uint32_t threads,
                          kith_error *err) {
    if (!(slack >= 0)) return FAIL(err, KITH_EINVAL, "a slack of %g is below 0", slack);
    struct auction auction = {.set = set, .source = source, .n = source->n, .k = set->k};
    auction.near = set->k < NEAR ? set->k : NEAR;
    auction.capacity = kmeans_capacity(source->n, set->k, slack);
    struct kmeans_found near = {.most = auction.near};
    const size_t bytes = lay_out(&auction, &near, NULL);
    void *block = mem_slab(set->owner, bytes);
    if (!block) return FAIL(err, KITH_ENOMEM, "no memory to balance %zu rows", source->n);
    lay_out(&auction, &near, block);
    int code = kmeans_find_source(set, source, &near, threads, err);
    if (code == KITH_OK) {
        double sum = 0;
        auction.which = near.which;
        auction.dist = near.dist;
        for (size_t i = 0; i < auction.n; i++) sum += fabs((double)near.dist[i * auction.near]);
        auction.little = LITTLE * sum / (double)auction.n;
        for (uint32_t round = 0; round < ROUNDS && run_round(&auction); round++) continue;
        settle(&auction, found);
    }
    mem_slab_free(set->owner, block, bytes);
    return code;
}

int kmeans_balance(const struct kmeans_set *set, const struct kmeans_rows *rows, double slack,
                   uint32_t threads, uint32_t *which, float *dist, kith_error *err) {
    const struct kmeans_source source = {rows, NULL, rows->n};
    const struct kmeans_found found = {1, which, dist};
    return kmeans_balance_source(set, &source, slack, &found, threads, err);
}
