/* How near a single exact search comes to the memory's speed: rows read by a plain sum of words, and by a search of a flat
 * index over them, in turn. 1,000,000 rows of 256 float32, a gigabyte, which no cache holds. CPU time.
 *
 *     streambench [ROWS [DIM]]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <kith/kith.h>

enum { REPEATS = 9, K = 10 };

static double cpu_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static uint64_t sum_words(const uint64_t *words, size_t n) {
    uint64_t sum[8] = {0};
    for (size_t i = 0; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++) sum[j] += words[i + j];
    return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000,
           dim = argc > 2 ? strtoul(argv[2], NULL, 10) : 256, bytes = n * dim * sizeof(float);
    float *rows = aligned_alloc(64, (bytes + 63) / 64 * 64);
    kith_index *index;
    kith_error err;
    uint32_t state = 1;
    for (size_t i = 0; rows && i < n * dim; i++) {
        state = state * 1664525u + 1013904223u;
        rows[i] = (float)(state >> 8) * 0x1p-24f;
    }
    if (!rows || kith_index_new(&index, dim, KITH_METRIC_L2, "Flat", NULL, &err) ||
        kith_index_add(index, n, rows, NULL, NULL, &err))
        return fprintf(stderr, "%s\n", rows ? err.text : "no memory"), 1;
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    double stream[REPEATS], flat[REPEATS];
    uint64_t sum = 0;
    params.k = K;
    for (int r = 0; r < REPEATS; r++) {
        int64_t ids[K];
        double begin = cpu_s();
        sum += sum_words((const uint64_t *)(const void *)rows, bytes / 8);
        stream[r] = cpu_s() - begin;
        begin = cpu_s();
        if (kith_index_search(index, 1, rows + (size_t)r * dim, &params, ids, NULL, &err)) return 1;
        flat[r] = cpu_s() - begin;
    }
    qsort(stream, REPEATS, sizeof *stream, compare);
    qsort(flat, REPEATS, sizeof *flat, compare);
    double gb = (double)bytes * 1e-9;
    printf("medians of %d (sum %016llx)\nstream %6.2f GB/s\nsearch %6.2f GB/s, %.3f of it\n",
           REPEATS, (unsigned long long)sum, gb / stream[REPEATS / 2], gb / flat[REPEATS / 2],
           stream[REPEATS / 2] / flat[REPEATS / 2]);
    kith_index_free(index);
    free(rows);
    return 0;
}
