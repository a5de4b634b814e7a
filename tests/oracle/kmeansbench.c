/* k-means over the rows of a file, asked by bench/peers/kmeans.py beside FAISS's.
 *
 *     kmeansbench ROWS.fvecs K ITERATIONS [random|++]
 *
 * Answers each line "train PATH" on stdin: trains on one thread, writes the centroids to PATH (.fvecs) and a line of JSON,
 * {"cpu_s", "objective", "iterations", "imbalance"}, to stdout. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "quant/kmeans.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *read_rows(const char *path, struct kmeans_rows *rows) {
    FILE *file = fopen(path, "rb");
    int32_t dim;
    if (!file || fread(&dim, sizeof dim, 1, file) != 1 || dim < 1 || fseek(file, 0, SEEK_END)) {
        fprintf(stderr, "kmeansbench: %s cannot be read\n", path);
        exit(1);
    }
    const size_t row_bytes = (size_t)dim * sizeof(float);
    rows->dim = (size_t)dim;
    rows->n = (size_t)ftell(file) / (row_bytes + sizeof dim);
    float *values = malloc(rows->n * row_bytes);
    rewind(file);
    for (size_t i = 0; values && i < rows->n; i++)
        if (fread(&dim, sizeof dim, 1, file) != 1 ||
            fread(values + i * rows->dim, row_bytes, 1, file) != 1)
            exit(1);
    fclose(file);
    rows->values = values;
    return values;
}

static void write_rows(const char *path, size_t n, size_t dim, const float *values) {
    FILE *file = fopen(path, "wb");
    const int32_t head = (int32_t)dim;
    for (size_t i = 0; file && i < n; i++) {
        fwrite(&head, sizeof head, 1, file);
        fwrite(values + i * dim, sizeof *values, dim, file);
    }
    if (!file || fclose(file)) exit(1);
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    struct kmeans_rows rows = {0};
    struct kmeans_options options = {.n_clusters = strtoul(argv[2], NULL, 10),
                                     .n_iterations = (uint32_t)strtoul(argv[3], NULL, 10),
                                     .threads = 1,
                                     .seed = 1};
    if (argc > 4 && strcmp(argv[4], "++") == 0) options.start = KMEANS_PLUS_PLUS;
    float *values = read_rows(argv[1], &rows);
    float *centroids = malloc(options.n_clusters * rows.dim * sizeof *centroids);
    char path[4096];
    while (values && centroids && scanf(" train %4095s", path) == 1) {
        struct kmeans_report report;
        kith_error err;
        double begin = now();
        if (kmeans_train(&options, &rows, centroids, &report, NULL, &err) != KITH_OK) {
            printf("{\"error\": \"%s\"}\n", err.text);
        } else {
            double cpu_s = now() - begin;
            write_rows(path, options.n_clusters, rows.dim, centroids);
            printf("{\"cpu_s\": %.6f, \"objective\": %.17g, \"iterations\": %" PRIu32
                   ", \"imbalance\": %.4f}\n",
                   cpu_s, report.objective, report.iterations, report.imbalance);
        }
        fflush(stdout);
        options.seed++;
    }
    free(centroids);
    free(values);
    return 0;
}
