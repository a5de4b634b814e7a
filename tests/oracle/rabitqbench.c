/* RaBitQ over real vectors: recall of full scans by codes alone and re-ranked, speed of coding and of block scans.
 *
 *     rabitqbench [SET [QUERIES]]      SET mnist-784 (default) or wordnet-sg-100, below $KITH_DATA
 *
 * A row of the table per number of bits: bytes of a code; rows coded a second; mean deviation of scores over mean squared
 * distance (r.m.s.); recall@10 of the ten best estimates of rows(), of the ten best by score() among the 100 best
 * estimates, of blocks() under the limit that it keeps itself, and of the originals of the 100 best estimates; a scan by
 * rows() and by blocks() in microseconds a query, and its GB/s of codes; one set_query. One thread, its CPU time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../recall/vectors.h"
#include "base/mem.h"
#include "kern/kern.h"
#include "quant/quantizer.h"

enum { K = 10, OVER = 100 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct best {
    size_t n, room;
    float dist[OVER];
    uint32_t row[OVER];
};

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

struct bench {
    struct vectors base, queries;
    bool cosine;
    float *truth; /* distance of the K-th, a query */
};

static float real(const struct bench *bench, const float *query, size_t row) {
    const struct kern *kern = kern_get();
    const float *x = vectors_at(&bench->base, row);
    return bench->cosine ? -kern->pair[KITH_TYPE_F32][KERN_DOT](query, x, bench->base.dim)
                         : kern->pair[KITH_TYPE_F32][KERN_L2SQ](query, x, bench->base.dim);
}

static double found(const struct bench *bench, size_t q, const struct best *best) {
    size_t hits = 0;
    for (size_t i = 0; i < best->n && i < K; i++) {
        float dist = real(bench, vectors_at(&bench->queries, q), best->row[i]);
        hits += dist <= bench->truth[q] + 1e-6f * fabsf(bench->truth[q]);
    }
    return (double)hits / K;
}

struct result {
    double encode, error, rows, scored, blocks, refined, rows_s, blocks_s, query_s;
};

static struct result run(const struct bench *bench, unsigned bits) {
    const size_t n = bench->base.n, n_q = bench->queries.n;
    const size_t n_blocks = (n + QUANT_BLOCK - 1) / QUANT_BLOCK;
    struct quantizer *quantizer;
    struct quantizer_spec spec = {.kind = QUANT_RABITQ, .bits = bits, .seed = 7};
    if (quantizer_new(&quantizer, &spec, bench->cosine ? KITH_METRIC_IP : KITH_METRIC_L2,
                      (uint32_t)bench->base.dim, NULL, NULL))
        exit(1);
    const struct quantizer_ops *ops = quantizer->ops;
    const struct quantizer_training how = {.threads = 1};
    struct result result = {0};
    ops->train(quantizer, n, bench->base.x, &how, NULL);
    uint8_t *codes = mem_slab(NULL, n_blocks * QUANT_BLOCK * quantizer->bytes);
    uint8_t *blocks = mem_slab(NULL, n_blocks * quantizer->block_bytes);
    float *scores = mem_new(NULL, n_blocks * QUANT_BLOCK * sizeof *scores);
    double start = now();
    ops->encode(quantizer, n, bench->base.x, NULL, codes, NULL);
    result.encode = (double)n / (now() - start);
    for (size_t b = 0; b < n_blocks; b++)
        ops->pack(quantizer, codes + b * QUANT_BLOCK * quantizer->bytes,
                  n - b * QUANT_BLOCK < QUANT_BLOCK ? n - b * QUANT_BLOCK : QUANT_BLOCK,
                  blocks + b * quantizer->block_bytes);
    struct quantizer_scorer *scorer = mem_new(NULL, ops->scorer_bytes(quantizer));
    ops->scorer_init(quantizer, scorer);
    double error = 0, size = 0;
    for (size_t q = 0; q < n_q; q++) {
        const float *query = vectors_at(&bench->queries, q);
        start = now();
        ops->set_query(scorer, query);
        result.query_s += now() - start;
        start = now();
        ops->rows(scorer, codes, quantizer->bytes, n, scores);
        result.rows_s += now() - start;
        struct best first = {.room = OVER}, scored = {.room = K}, refined = {.room = K};
        struct best scan = {.room = K};
        for (size_t i = 0; i < n; i++) offer(&first, scores[i], (uint32_t)i);
        const double base =
            bench->cosine ? 0 : (double)kern_get()->dot_self[KITH_TYPE_F32](query, bench->base.dim);
        for (size_t i = 0; i < n; i += 97) {
            double wanted = (double)real(bench, query, i), off = base + (double)scores[i] - wanted;
            error += off * off;
            size += bench->cosine ? 1 : wanted * wanted;
        }
        for (size_t i = 0; i < first.n; i++) {
            const uint32_t row = first.row[i];
            offer(&scored, ops->score(scorer, codes + row * (size_t)quantizer->bytes), row);
            offer(&refined, real(bench, query, row), row);
        }
        result.scored += found(bench, q, &scored) / (double)n_q;
        result.refined += found(bench, q, &refined) / (double)n_q;
        result.rows += found(bench, q, &first) / (double)n_q;
        start = now();
        for (size_t b = 0, run; b < n_blocks; b += run) {
            float part[32 * QUANT_BLOCK];
            run = b ? 32 : 1; /* the first block finds a limit */
            const size_t left = n - b * QUANT_BLOCK;
            const size_t count = left < run * QUANT_BLOCK ? left : run * QUANT_BLOCK;
            const float limit = scan.n == K ? scan.dist[K - 1] : INFINITY;
            ops->blocks(scorer, blocks + b * quantizer->block_bytes, count, limit, part);
            for (size_t i = 0; i < count; i++)
                offer(&scan, part[i], (uint32_t)(b * QUANT_BLOCK + i));
        }
        result.blocks_s += now() - start;
        result.blocks += found(bench, q, &scan) / (double)n_q;
    }
    result.error = sqrt(error / size);
    const double gb = (double)n * quantizer->bytes * 1e-9 * (double)n_q;
    printf("%4u %6u %9.0f %8.5f   %.4f %.4f %.4f %.4f  %8.0f %5.1f  %8.0f %5.1f  %6.2f\n", bits,
           quantizer->bytes, result.encode, result.error, result.rows, result.scored, result.blocks,
           result.refined, result.rows_s / (double)n_q * 1e6, gb / result.rows_s,
           result.blocks_s / (double)n_q * 1e6, gb / result.blocks_s,
           result.query_s / (double)n_q * 1e6);
    mem_free(NULL, scorer, ops->scorer_bytes(quantizer));
    mem_free(NULL, scores, n_blocks * QUANT_BLOCK * sizeof *scores);
    mem_slab_free(NULL, codes, n_blocks * QUANT_BLOCK * quantizer->bytes);
    mem_slab_free(NULL, blocks, n_blocks * quantizer->block_bytes);
    quantizer_free(quantizer);
    return result;
}

static bool read_set(struct bench *bench, const char *name, size_t n_q) {
    char path[256];
    bench->cosine = strstr(name, "wordnet") != NULL;
    const char *type = bench->cosine ? "f32.npy" : "u8.npy.gz";
    snprintf(path, sizeof path, "%.100s/base.%s", name, type);
    if (!vectors_read_data(&bench->base, path, SIZE_MAX)) return false;
    snprintf(path, sizeof path, "%.100s/queries.%s", name, type);
    if (!vectors_read_data(&bench->queries, path, n_q)) return false;
    if (bench->cosine) {
        kith_normalize(bench->base.dim, bench->base.n, bench->base.x, bench->base.x, NULL);
        kith_normalize(bench->base.dim, bench->queries.n, bench->queries.x, bench->queries.x, NULL);
    }
    bench->truth = mem_new(NULL, bench->queries.n * sizeof *bench->truth);
    for (size_t q = 0; q < bench->queries.n; q++) {
        struct best best = {.room = K};
        for (size_t i = 0; i < bench->base.n; i++)
            offer(&best, real(bench, vectors_at(&bench->queries, q), i), (uint32_t)i);
        bench->truth[q] = best.dist[K - 1];
    }
    return true;
}

int main(int n, char **arg) {
    struct bench bench;
    const char *set = n > 1 ? arg[1] : "mnist-784";
    if (!read_set(&bench, set, n > 2 ? strtoul(arg[2], NULL, 10) : 500)) {
        fprintf(stderr, "no %s below KITH_DATA\n", set);
        return 1;
    }
    printf("%s: %zu x %zu, %zu queries, %s\n", set, bench.base.n, bench.base.dim, bench.queries.n,
           kern_get()->name);
    printf(
        "bits  bytes    rows/s    error     rows  score blocks refine   us rows  GB/s  us block  GB/s   query\n");
    for (unsigned bits = 1; bits <= 8; bits++) run(&bench, bits);
    vectors_free(&bench.base);
    vectors_free(&bench.queries);
    mem_free(NULL, bench.truth, bench.queries.n * sizeof *bench.truth);
    return 0;
}
