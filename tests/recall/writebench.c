/* writebench: what writes cost. Makes the figures on writing in docs/performance.md and docs/limits.md.
 *
 *   writebench SPEC...         100-dimensional rows of wordnet-sg-100 under cosine: 50,000 in bulk, 10,000 one by one; then
 *                              10,000 removed one by one, and 10,000 by 100; rows a second of CPU time, bytes of lists a
 *                              row after each; at last saved, and opened by map: milliseconds of CPU time
 *   writebench -c SPEC...      glove-twitter-25 under cosine: CPU seconds of building all rows, and of replacing all of
 *                              them, 100 at a time by removal and add, in random order and cluster by cluster */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vectors.h"

enum { BULK = 50000, SINGLE = 10000, MANY = 100, CENTRES = 20 };

static double cpu_seconds(void) {
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

static void need(int code, const kith_error *err) {
    if (code == KITH_OK) return;
    fprintf(stderr, "%s: %s\n", kith_code_name(code), err->text);
    exit(1);
}

static void read_set(struct vectors *vectors, const char *path, size_t most) {
    if (vectors_read_data(vectors, path, most)) return;
    fprintf(stderr, "no %s below KITH_DATA\n", path);
    exit(1);
}

/* ---- adding and removing ------------------------------------------------------------------------- */

static double list_bytes(const kith_index *index) {
    kith_index_stats stats;
    kith_index_stats_get(index, &stats);
    for (uint32_t i = 0; i < stats.n_components; i++)
        if (strcmp(stats.component[i].name, "lists") == 0)
            return (double)stats.component[i].bytes / (double)stats.rows;
    return 0;
}

/* Every fifth row from `first` on, `together` at a time. */
static void remove_rows(kith_index *index, int64_t first, size_t together) {
    int64_t ids[MANY];
    kith_error err;
    for (size_t i = 0; i < SINGLE; i += together) {
        for (size_t j = 0; j < together; j++) ids[j] = (int64_t)(i + j) * 5 + first;
        need(kith_index_remove(index, together, ids, &err), &err);
    }
}

static double open_ms(const kith_index *index) {
    char path[64];
    kith_index *opened;
    kith_error err;
    snprintf(path, sizeof path, "writebench-%ld.kith", (long)getpid());
    need(kith_index_save(index, path, &err), &err);
    double begun = cpu_seconds();
    need(kith_index_open(&opened, path, KITH_OPEN_MAP, &err), &err);
    double took = cpu_seconds() - begun;
    kith_index_free(opened);
    unlink(path);
    return 1e3 * took;
}

static void run_writes(const char *spec) {
    struct vectors all;
    kith_error err;
    read_set(&all, "wordnet-sg-100/base.f32.npy", BULK + SINGLE);
    struct vectors bulk = vectors_view(&all, 0, BULK);
    kith_index *index = index_of(&bulk, KITH_METRIC_COSINE, spec, 1);
    double bytes = list_bytes(index), begun = cpu_seconds();
    for (size_t i = BULK; i < BULK + SINGLE; i++)
        need(kith_index_add(index, 1, vectors_at(&all, i), NULL, NULL, &err), &err);
    double added = cpu_seconds();
    double grown = list_bytes(index), resumed = cpu_seconds();
    remove_rows(index, 0, 1);
    double removed = cpu_seconds();
    remove_rows(index, 1, MANY);
    double ended = cpu_seconds();
    printf("%s: rows a second, one by one: added %.0f, removed %.0f; removed by %d: %.0f\n", spec,
           SINGLE / (added - begun), SINGLE / (removed - resumed), MANY,
           SINGLE / (ended - removed));
    printf("    bytes a row: bulk %.1f, grown %.1f, shrunk %.1f; open by map %.2f ms\n", bytes,
           grown, list_bytes(index), open_ms(index));
    kith_index_free(index);
    vectors_free(&all);
}

/* ---- replacing ------------------------------------------------------------------------------------ */

/* The number of the nearest of the first rows. */
static uint8_t cluster_of(const struct vectors *rows, size_t i) {
    float dist[CENTRES];
    uint8_t best = 0;
    kith_error err;
    need(kith_distances(KITH_METRIC_L2, KITH_TYPE_F32, rows->dim, vectors_at(rows, i), CENTRES,
                        rows->x, dist, &err),
         &err);
    for (uint8_t c = 1; c < CENTRES; c++) best = dist[c] < dist[best] ? c : best;
    return best;
}

static void order_rows(const struct vectors *rows, bool clustered, size_t *order) {
    uint64_t seed = 7;
    size_t n = rows->n, at = 0;
    for (size_t i = 0; i < n; i++) order[i] = i;
    for (size_t i = n; i > 1; i--) {
        size_t j = draw(&seed) % i, swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
    if (!clustered) return;
    size_t *placed = malloc(n * sizeof *placed);
    for (uint8_t c = 0; c < CENTRES; c++)
        for (size_t i = 0; i < n; i++)
            if (cluster_of(rows, order[i]) == c) placed[at++] = order[i];
    memcpy(order, placed, n * sizeof *order);
    free(placed);
}

static double replace_all(kith_index *index, const struct vectors *rows, const size_t *order) {
    struct vectors some = vectors_new(MANY, rows->dim);
    double begun = cpu_seconds();
    int64_t ids[MANY];
    kith_error err;
    for (size_t at = 0; at < rows->n; at += MANY) {
        size_t n = rows->n - at < MANY ? rows->n - at : MANY;
        for (size_t i = 0; i < n; i++) {
            ids[i] = (int64_t)order[at + i];
            memcpy(some.x + i * rows->dim, vectors_at(rows, order[at + i]),
                   rows->dim * sizeof(float));
        }
        need(kith_index_remove(index, n, ids, &err), &err);
        need(kith_index_add(index, n, some.x, ids, NULL, &err), &err);
    }
    vectors_free(&some);
    return cpu_seconds() - begun;
}

static void run_replacing(const char *spec) {
    struct vectors rows;
    read_set(&rows, "glove-twitter-25/base.f32.npy", SIZE_MAX);
    size_t *order = malloc(rows.n * sizeof *order);
    for (int clustered = 0; clustered < 2; clustered++) {
        double begun = cpu_seconds();
        kith_index *index = index_of(&rows, KITH_METRIC_COSINE, spec, 1);
        double built = cpu_seconds() - begun;
        order_rows(&rows, clustered, order);
        printf("%s: %zu rows built in %.2f s, replaced %s in %.2f s\n", spec, rows.n, built,
               clustered ? "by cluster" : "in random order", replace_all(index, &rows, order));
        kith_index_free(index);
    }
    free(order);
    vectors_free(&rows);
}

int main(int argc, char **argv) {
    bool replacing = argc > 1 && strcmp(argv[1], "-c") == 0;
    for (int i = 1 + replacing; i < argc; i++) (replacing ? run_replacing : run_writes)(argv[i]);
    return 0;
}
