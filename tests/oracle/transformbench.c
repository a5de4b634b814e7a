/* How fast transforms are, and what they keep, in CPU time of one thread: the figures of docs/decisions/0021.
 *
 *     transformbench                   fast rotations at some dimensions; eigen solutions of 784 and 1,024 rows
 *     transformbench BASE.fvecs M      and of these rows: PCA to 64 dimensions, OPQ of M parts; and the share of the
 *                                      variance that 256 centroids a part lose as the rows come, and after OPQ */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "quant/eigen.h"
#include "quant/kmeans.h"
#include "quant/rotation.h"
#include "quant/transform.h"

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void *need(size_t bytes) {
    void *p = aligned_alloc(64, bits_round_up(bytes, 64));
    if (!p) exit(1);
    return p;
}

static void bench_rotation(uint32_t dim) {
    struct rotation r;
    if (rotation_init(&r, dim, 1, NULL, NULL) != KITH_OK) exit(1);
    float *x = need(dim * sizeof *x), *y = need(r.padded * sizeof *y);
    double best = 1e9;
    for (uint32_t i = 0; i < dim; i++) x[i] = (float)(i % 7);
    for (int round = 0; round < 20; round++) {
        double start = cpu_seconds();
        for (int i = 0; i < 2000; i++) {
            rotation_apply(&r, x, y);
            x[0] = y[0];
        }
        best = fmin(best, (cpu_seconds() - start) / 2000);
    }
    printf("rotation of dim %4u: %5.0f ns\n", dim, best * 1e9);
    free(x);
    free(y);
    rotation_deinit(&r, NULL);
}

/* A covariance of 2 n random rows. */
static void bench_eigen(size_t n) {
    double *a = need(n * n * sizeof *a), *vectors = need(n * n * sizeof *a);
    double *values = need(n * sizeof *values);
    float *rows = need(2 * n * n * sizeof *rows);
    uint64_t state = 1;
    for (size_t i = 0; i < 2 * n * n; i++)
        rows[i] = (float)((double)(bits_random(&state) >> 11) * 0x1p-52 - 1);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t k = 0; k < 2 * n; k++)
                sum += (double)rows[i * 2 * n + k] * (double)rows[j * 2 * n + k];
            a[i * n + j] = a[j * n + i] = sum;
        }
    double start = cpu_seconds();
    if (eigen_symmetric(n, a, values, n, vectors, 1, NULL, NULL) != KITH_OK) exit(1);
    printf("eigenvalues and vectors of %zu rows: %.2f s\n", n, cpu_seconds() - start);
    free(a);
    free(vectors);
    free(values);
    free(rows);
}

static float *read_fvecs(const char *path, size_t *n, size_t *dim) {
    FILE *file = fopen(path, "rb");
    uint32_t d;
    if (!file || fread(&d, 4, 1, file) != 1 || d == 0) exit(1);
    fseek(file, 0, SEEK_END);
    *dim = d;
    *n = (size_t)ftell(file) / (4 * ((size_t)d + 1));
    rewind(file);
    float *rows = need(*n * d * sizeof *rows);
    for (size_t i = 0; i < *n; i++)
        if (fread(&d, 4, 1, file) != 1 || fread(rows + i * d, 4, d, file) != d) exit(1);
    fclose(file);
    return rows;
}

static struct transform train(struct transform_spec spec, size_t n, const float *rows) {
    struct transform t;
    struct quantizer_training how = {.threads = 1};
    double start = cpu_seconds();
    if (transform_init(&t, &spec, NULL, NULL) || transform_train(&t, n, rows, &how, NULL)) exit(1);
    printf("%s from %u to %u dimensions: %.2f s\n", transform_name(spec.kind), spec.d_in,
           spec.d_out, cpu_seconds() - start);
    return t;
}

/* What 256 centroids of each of m parts lose. */
static double loss(size_t n, size_t dim, size_t m, const float *x) {
    size_t part = dim / m;
    float *centroids = need(256 * part * sizeof *centroids);
    double sum = 0;
    for (size_t p = 0; p < m; p++) {
        struct kmeans_rows view = {.n = n, .dim = part, .values = x + p * part, .stride = dim};
        struct kmeans_report report;
        struct kmeans_options options = {.n_clusters = 256, .n_iterations = 10, .seed = p};
        if (kmeans_train(&options, &view, centroids, &report, NULL, NULL) != KITH_OK) exit(1);
        sum += report.objective / (double)report.n_rows;
    }
    free(centroids);
    return sum;
}

static void bench_rows(const char *path, uint32_t m) {
    size_t n, dim;
    float *rows = read_fvecs(path, &n, &dim), *out = need(n * dim * sizeof *out);
    uint32_t d = (uint32_t)dim;
    double all = 0, kept = 0;
    struct transform pca =
        train((struct transform_spec){.kind = TRANSFORM_PCA, .d_in = d, .d_out = d < 64 ? d : 64},
              n, rows);
    for (uint32_t i = 0; i < d; i++) all += (double)pca.values[i];
    for (uint32_t i = 0; i < pca.spec.d_out; i++) kept += (double)pca.values[i];
    printf("    keeps %.5f of the variance\n", kept / all);
    struct transform opq = train(
        (struct transform_spec){.kind = TRANSFORM_OPQ, .d_in = d, .d_out = d, .m = m}, n, rows);
    transform_apply(&opq, 1, n, rows, out);
    printf("    lost as they come %.5f, after it %.5f of the variance\n", loss(n, d, m, rows) / all,
           loss(n, d, m, out) / all);
    transform_deinit(&pca);
    transform_deinit(&opq);
    free(rows);
    free(out);
}

int main(int n_args, char **args) {
    static const uint32_t dims[] = {64, 100, 128, 384, 768, 784, 960, 1024, 1536, 3072};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) bench_rotation(dims[i]);
    bench_eigen(784);
    bench_eigen(1024);
    if (n_args == 3) bench_rows(args[1], (uint32_t)atoi(args[2]));
    return 0;
}
