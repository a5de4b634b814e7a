/* Product quantizers over real vectors: what they lose, what they cost.
 *
 *     pqbench [SET [QUERIES [MxBITS ...]]]      SET mnist-784 (default) or wordnet-sg-100, below $KITH_DATA
 *
 * A line per quantizer: bytes of a code; CPU seconds of training; microseconds of coding a row; mean |x - r~|^2; recall@10
 * of the ten best by rows(), by blocks(), and by score() among the 100 best by blocks(); then, in CPU time of the thread,
 * a set_query in microseconds, a row in nanoseconds by rows() and by list() in random order, and blocks() in nanoseconds a
 * row and GB/s. wordnet-sg-100 is normalised and scored by IP. bench/peers/pq.py measures FAISS on the same. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../recall/vectors.h"
#include "base/bits.h"
#include "base/mem.h"
#include "kern/kern.h"
#include "quant/quantizer.h"

enum { K = 10, OVER = 100, LIST = 32 };

struct best {
    size_t n, room;
    float dist[OVER];
    uint32_t row[OVER];
};

struct bench {
    struct vectors base, queries;
    bool cosine;
    float *truth; /* distance of the K-th, a query */
    /* Of one quantizer: */
    struct quantizer *quantizer;
    struct quantizer_scorer *scorer;
    uint8_t *codes, *blocks;
    const uint8_t **list; /* all codes in random order */
    float *scores;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Keep the `room` least, sorted. */
static void offer(struct best *best, float dist, uint32_t row) {
    if (best->n == best->room && !(dist < best->dist[best->n - 1])) return;
    size_t at = best->n < best->room ? best->n++ : best->n - 1;
    for (; at > 0 && best->dist[at - 1] > dist; at--) {
        best->dist[at] = best->dist[at - 1];
        best->row[at] = best->row[at - 1];
    }
    best->dist[at] = dist;
    best->row[at] = row;
}

static float real(const struct bench *bench, size_t q, size_t row) {
    const struct kern *kern = kern_get();
    const float *x = vectors_at(&bench->base, row), *query = vectors_at(&bench->queries, q);
    return bench->cosine ? -kern->pair[KITH_TYPE_F32][KERN_DOT](query, x, bench->base.dim)
                         : kern->pair[KITH_TYPE_F32][KERN_L2SQ](query, x, bench->base.dim);
}

/* Share of the K true ones among the K best. */
static double found(const struct bench *bench, size_t q, const struct best *best) {
    size_t hits = 0;
    for (size_t i = 0; i < best->n && i < K; i++)
        hits += real(bench, q, best->row[i]) <= bench->truth[q] + 1e-6f * fabsf(bench->truth[q]);
    return (double)hits / K;
}

static size_t n_blocks(const struct bench *bench) {
    return (bench->base.n + QUANT_BLOCK - 1) / QUANT_BLOCK;
}

static void train_and_encode(struct bench *bench, uint32_t m, uint32_t bits) {
    const size_t n = bench->base.n, dim = bench->base.dim;
    const struct quantizer_spec spec = {.kind = QUANT_PQ, .bits = bits, .m = m, .seed = 7};
    const struct quantizer_training how = {.threads = 1};
    kith_error err;
    double start = now();
    if (quantizer_new(&bench->quantizer, &spec, bench->cosine ? KITH_METRIC_IP : KITH_METRIC_L2,
                      (uint32_t)dim, NULL, &err) ||
        bench->quantizer->ops->train(bench->quantizer, n, bench->base.x, &how, &err)) {
        fprintf(stderr, "pqbench: %s\n", err.text);
        exit(1);
    }
    const struct quantizer *q = bench->quantizer;
    printf("%4u x%u %5u %8.1f", m, bits, q->bytes, now() - start);
    bench->codes = mem_slab(NULL, n_blocks(bench) * QUANT_BLOCK * q->bytes);
    bench->blocks = mem_slab(NULL, n_blocks(bench) * q->block_bytes + 1);
    bench->scorer = mem_new(NULL, q->ops->scorer_bytes(q));
    float *norms = bench->scores;
    start = now();
    q->ops->encode(q, n, bench->base.x, NULL, bench->codes, norms);
    double took = now() - start, error = 0;
    for (size_t i = 0; i < n; i++) error += (double)norms[i] * (double)norms[i];
    printf(" %8.2f %10.6g", took / (double)n * 1e6, error / (double)n);
    for (size_t b = 0; b < n_blocks(bench) && q->block_bytes; b++)
        q->ops->pack(q, bench->codes + b * QUANT_BLOCK * q->bytes,
                     n - b * QUANT_BLOCK < QUANT_BLOCK ? n - b * QUANT_BLOCK : QUANT_BLOCK,
                     bench->blocks + b * q->block_bytes);
    for (size_t i = 0; i < n; i++) bench->list[i] = bench->codes + i * q->bytes;
    uint64_t state = 1;
    for (size_t i = n; i > 1; i--) {
        const size_t other = (size_t)(bits_random(&state) % i);
        const uint8_t *swap = bench->list[i - 1];
        bench->list[i - 1] = bench->list[other];
        bench->list[other] = swap;
    }
    q->ops->scorer_init(q, bench->scorer);
}

static void measure(struct bench *bench) {
    const struct quantizer *q = bench->quantizer;
    const size_t n = bench->base.n, n_q = bench->queries.n;
    double recall[3] = {0}, seconds[4] = {0}, start;
    for (size_t i = 0; i < n_q; i++) {
        struct best rows = {.room = K}, blocks = {.room = OVER}, again = {.room = K};
        start = now();
        q->ops->set_query(bench->scorer, vectors_at(&bench->queries, i));
        seconds[0] += now() - start, start = now();
        for (size_t at = 0; at < n; at += LIST)
            q->ops->list(bench->scorer, bench->list + at, n - at < LIST ? n - at : LIST,
                         bench->scores);
        seconds[2] += now() - start, start = now();
        q->ops->rows(bench->scorer, bench->codes, q->bytes, n, bench->scores);
        seconds[1] += now() - start;
        for (size_t row = 0; row < n; row++) offer(&rows, bench->scores[row], (uint32_t)row);
        recall[0] += found(bench, i, &rows);
        if (!q->block_bytes) continue;
        start = now();
        q->ops->blocks(bench->scorer, bench->blocks, n, INFINITY, bench->scores);
        seconds[3] += now() - start;
        for (size_t row = 0; row < n; row++) offer(&blocks, bench->scores[row], (uint32_t)row);
        for (size_t j = 0; j < OVER; j++)
            offer(&again,
                  q->ops->score(bench->scorer, bench->codes + blocks.row[j] * (size_t)q->bytes),
                  blocks.row[j]);
        recall[1] += found(bench, i, &blocks);
        recall[2] += found(bench, i, &again);
    }
    const double each = 1e9 / (double)n_q / (double)n;
    for (int i = 0; i < 3; i++) printf(" %7.4f", recall[i] / (double)n_q);
    printf(" %8.1f %7.1f %7.1f", seconds[0] / (double)n_q * 1e6, seconds[1] * each,
           seconds[2] * each);
    if (q->block_bytes)
        printf(" %7.2f %6.1f", seconds[3] * each,
               (double)q->block_bytes / QUANT_BLOCK / (seconds[3] * each));
    printf("\n");
    fflush(stdout);
}

static void run(struct bench *bench, uint32_t m, uint32_t bits) {
    train_and_encode(bench, m, bits);
    measure(bench);
    const struct quantizer *q = bench->quantizer;
    mem_slab_free(NULL, bench->codes, n_blocks(bench) * QUANT_BLOCK * q->bytes);
    mem_slab_free(NULL, bench->blocks, n_blocks(bench) * q->block_bytes + 1);
    mem_free(NULL, bench->scorer, q->ops->scorer_bytes(q));
    quantizer_free(bench->quantizer);
}

static bool read_set(struct bench *bench, const char *name, size_t n_q) {
    char path[256];
    bench->cosine = strstr(name, "wordnet") != NULL;
    const char *type = bench->cosine ? "f32.npy" : "u8.npy.gz";
    snprintf(path, sizeof path, "%.100s/base.%s", name, type);
    if (!vectors_read_data(&bench->base, path, SIZE_MAX)) return false;
    snprintf(path, sizeof path, "%.100s/queries.%s", name, type);
    if (!vectors_read_data(&bench->queries, path, n_q)) return false;
    const size_t dim = bench->base.dim;
    if (bench->cosine) {
        kith_normalize(dim, bench->base.n, bench->base.x, bench->base.x, NULL);
        kith_normalize(dim, bench->queries.n, bench->queries.x, bench->queries.x, NULL);
    }
    bench->truth = mem_new(NULL, bench->queries.n * sizeof *bench->truth);
    bench->list = mem_slab(NULL, bench->base.n * sizeof *bench->list);
    bench->scores = mem_slab(NULL, n_blocks(bench) * QUANT_BLOCK * sizeof *bench->scores);
    for (size_t q = 0; q < bench->queries.n; q++) {
        struct best best = {.room = K};
        for (size_t i = 0; i < bench->base.n; i++) offer(&best, real(bench, q, i), (uint32_t)i);
        bench->truth[q] = best.dist[K - 1];
    }
    return true;
}

int main(int n, char **arg) {
    struct bench bench;
    const char *set = n > 1 ? arg[1] : "mnist-784";
    if (!read_set(&bench, set, n > 2 ? strtoul(arg[2], NULL, 10) : 100)) {
        fprintf(stderr, "no %s below KITH_DATA\n", set);
        return 1;
    }
    printf("%s: %zu x %zu, %zu queries, %s\n", set, bench.base.n, bench.base.dim, bench.queries.n,
           kern_get()->name);
    printf(
        "parts   bytes  train s encode us      error    rows  blocks   again query us ns row ns list"
        " ns block GB/s\n");
    for (int i = 3; i < n; i++) {
        unsigned m, bits;
        if (sscanf(arg[i], "%ux%u", &m, &bits) == 2) run(&bench, m, bits);
    }
    for (uint32_t bits = 4; bits <= 8 && n <= 3; bits += 4)
        for (uint32_t part = 8; part >= 2; part /= 2)
            if (bench.base.dim % part == 0) run(&bench, (uint32_t)bench.base.dim / part, bits);
    vectors_free(&bench.base);
    vectors_free(&bench.queries);
    mem_free(NULL, bench.truth, bench.queries.n * sizeof *bench.truth);
    mem_slab_free(NULL, bench.list, bench.base.n * sizeof *bench.list);
    mem_slab_free(NULL, bench.scores, n_blocks(&bench) * QUANT_BLOCK * sizeof *bench.scores);
    return 0;
}
