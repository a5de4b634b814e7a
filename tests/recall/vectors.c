/* Vectors for tests that search, see vectors.h. */
#include "vectors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p) {
    if (p) return p;
    fprintf(stderr, "no memory for a test\n");
    exit(1);
}

uint64_t draw(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

float draw_unit(uint64_t *state) { return (float)(draw(state) >> 40) * 0x1p-24f; }

struct vectors vectors_new(size_t n, size_t dim) {
    return (struct vectors){n, dim, must(calloc(n * dim + 1, sizeof(float)))};
}

void vectors_free(struct vectors *vectors) {
    free(vectors->x);
    *vectors = (struct vectors){0};
}

struct vectors vectors_uniform(size_t n, size_t dim, uint64_t seed) {
    struct vectors made = vectors_new(n, dim);
    for (size_t i = 0; i < n * dim; i++) made.x[i] = 2 * draw_unit(&seed) - 1;
    return made;
}

struct vectors vectors_clustered(size_t n, size_t dim, size_t clusters, float spread,
                                 uint64_t seed) {
    struct vectors centres = vectors_uniform(clusters, dim, seed), made = vectors_new(n, dim);
    for (size_t i = 0; i < n * dim; i++) {
        float centre = vectors_at(&centres, i / dim % clusters)[i % dim];
        made.x[i] = centre + spread * (2 * draw_unit(&seed) - 1);
    }
    vectors_free(&centres);
    return made;
}

struct vectors vectors_integral(size_t n, size_t dim, uint64_t seed) {
    struct vectors made = vectors_new(n, dim);
    for (size_t i = 0; i < n * dim; i++) made.x[i] = (float)(draw(&seed) % 256);
    return made;
}

struct vectors vectors_view(const struct vectors *vectors, size_t first, size_t n) {
    return (struct vectors){n, vectors->dim, vectors->x + first * vectors->dim};
}

/* ---- .npy -------------------------------------------------------------------------------------- */

static float half_to_float(uint16_t half) {
    int exponent = (half >> 10) & 31, fraction = half & 1023;
    float x = exponent == 0    ? ldexpf((float)fraction, -24)
              : exponent == 31 ? (fraction ? NAN : INFINITY)
                               : ldexpf((float)(fraction + 1024), exponent - 25);
    return half & 0x8000 ? -x : x;
}

/* The file's bytes, unpacked; read through gzip, which passes on what is not packed. */
static FILE *open_npy(const char *path) {
    char command[1200];
    FILE *there = fopen(path, "rb");
    if (!there) return NULL;
    size_t length = strlen(path);
    if (length < 3 || strcmp(path + length - 3, ".gz") != 0) return there;
    fclose(there);
    snprintf(command, sizeof command, "gzip -dc '%s'", path);
    return popen(command, "r");
}

static void close_npy(FILE *file, const char *path) {
    if (strcmp(path + strlen(path) - 3, ".gz") == 0)
        pclose(file);
    else
        fclose(file);
}

/* The header's text: magic, version, length, then a Python dictionary. */
static bool read_header(FILE *file, char *type, size_t *n, size_t *dim) {
    unsigned char start[10];
    char text[4096];
    if (fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY\x01", 7) != 0) return false;
    size_t length = start[8] + 256u * start[9];
    if (length >= sizeof text || fread(text, 1, length, file) != length) return false;
    text[length] = '\0';
    const char *descr = strstr(text, "'descr': '"), *shape = strstr(text, "'shape': (");
    return descr && shape && strstr(text, "'fortran_order': False") &&
           sscanf(descr, "'descr': '%3[^']'", type) == 1 &&
           sscanf(shape, "'shape': (%zu, %zu)", n, dim) == 2;
}

static bool read_rows(FILE *file, const char *type, struct vectors *vectors) {
    size_t width = (size_t)(type[2] - '0'), dim = vectors->dim;
    unsigned char *row = must(malloc(dim * width));
    bool whole = true;
    for (size_t i = 0; i < vectors->n && whole; i++) {
        float *x = vectors->x + i * dim;
        whole = fread(row, width, dim, file) == dim;
        for (size_t j = 0; j < dim && whole; j++) {
            uint16_t half;
            memcpy(&half, row + 2 * j * (width == 2), sizeof half);
            if (width == 1) x[j] = row[j];
            if (width == 2) x[j] = half_to_float(half);
            if (width == 4) memcpy(&x[j], row + 4 * j, sizeof(float));
        }
    }
    free(row);
    return whole;
}

bool vectors_read(struct vectors *vectors, const char *path, size_t most) {
    char type[4] = "";
    size_t n, dim;
    FILE *file = open_npy(path);
    if (!file) return false;
    bool read = read_header(file, type, &n, &dim) &&
                (!strcmp(type, "<f2") || !strcmp(type, "<f4") || !strcmp(type, "|u1"));
    if (read) {
        *vectors = vectors_new(n < most ? n : most, dim);
        read = read_rows(file, type, vectors);
        if (!read) vectors_free(vectors);
    }
    close_npy(file, path);
    return read;
}

static bool read_below(const char *variable, const char *otherwise, const char *path,
                       struct vectors *vectors, size_t most) {
    char whole[1024];
    const char *root = getenv(variable), *source = getenv("KITH_SOURCE_ROOT");
    if (root && *root)
        snprintf(whole, sizeof whole, "%s/%s", root, path);
    else
        snprintf(whole, sizeof whole, "%s%s/%s", source ? source : ".", otherwise, path);
    return vectors_read(vectors, whole, most);
}

bool vectors_read_source(struct vectors *vectors, const char *path, size_t most) {
    return read_below("KITH_SOURCE_ROOT", "", path, vectors, most);
}

bool vectors_read_data(struct vectors *vectors, const char *path, size_t most) {
    return read_below("KITH_DATA", "/../shared/data", path, vectors, most);
}

/* ---- searching --------------------------------------------------------------------------------- */

static void need(int code, const kith_error *err) {
    if (code == KITH_OK) return;
    fprintf(stderr, "%s: %s\n", kith_code_name(code), err->text);
    exit(1);
}

kith_index *index_of(const struct vectors *vectors, kith_metric metric, const char *spec,
                     uint32_t threads) {
    kith_index *index;
    kith_work work = KITH_WORK_INIT;
    kith_error err;
    work.threads = threads;
    need(kith_index_new(&index, vectors->dim, metric, spec, NULL, &err), &err);
    need(kith_index_add(index, vectors->n, vectors->x, NULL, &work, &err), &err);
    return index;
}

static double share_found(const int64_t *ids, const float *dists, const int64_t *true_ids,
                          const float *true_dists, uint32_t k, bool similar) {
    uint32_t there = 0, found = 0;
    while (there < k && true_ids[there] != KITH_NO_ID) there++;
    if (there == 0) return 1;
    float last = true_dists[there - 1];
    for (uint32_t i = 0; i < k; i++)
        found += ids[i] != KITH_NO_ID && (similar ? dists[i] >= last : dists[i] <= last);
    return (double)found / (double)there;
}

double recall_of(const kith_index *index, const struct vectors *queries, uint32_t k, uint32_t ef,
                 const kith_filter *filter) {
    size_t n = queries->n * k;
    int64_t *ids = must(malloc(2 * n * sizeof *ids));
    float *dists = must(malloc(2 * n * sizeof *dists));
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_error err;
    params.k = k;
    params.ef = params.nprobe = ef;
    if (filter) params.filter = *filter;
    need(kith_index_search(index, queries->n, queries->x, &params, ids, dists, &err), &err);
    params.exact = 1;
    need(kith_index_search(index, queries->n, queries->x, &params, ids + n, dists + n, &err), &err);
    double sum = 0;
    for (size_t i = 0; i < n; i += k)
        sum += share_found(ids + i, dists + i, ids + n + i, dists + n + i, k,
                           kith_metric_is_similarity(kith_index_metric(index)));
    free(ids);
    free(dists);
    return sum / (double)queries->n;
}
