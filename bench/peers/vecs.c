/* Vector files, engine descriptions, and recall against the ground truth.
 *
 * Recall is counted by distance: a returned row is a hit when it is as near as the k-th row of the
 * ground truth, computed here in double precision from the original vectors, and was not returned
 * before. Sets with duplicate rows have more than one right list of ids.
 */
#include "driver.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int vecs_open(struct vecs *v, const char *path) {
    struct stat st;
    int32_t dim;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size < 8) {
        fprintf(stderr, "%s: cannot open, or empty\n", path);
        if (fd >= 0) close(fd);
        return -1;
    }
    v->n_bytes = (size_t)st.st_size;
    v->bytes = mmap(NULL, v->n_bytes, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (v->bytes == MAP_FAILED) {
        perror(path);
        return -1;
    }
    memcpy(&dim, v->bytes, sizeof dim);
    if (dim <= 0 || v->n_bytes % (4 + 4 * (size_t)dim) != 0) {
        fprintf(stderr, "%s: %zu bytes are no whole rows of dimension %d\n", path, v->n_bytes, dim);
        return -1;
    }
    v->dim = (size_t)dim;
    v->n_rows = v->n_bytes / (4 + 4 * v->dim);
    return 0;
}

const float *vecs_row(const struct vecs *v, size_t row) {
    return (const float *)(const void *)(v->bytes + row * (4 + 4 * v->dim) + 4);
}

float *vecs_copy(const struct vecs *v, int normalise) {
    float *rows = malloc(v->n_rows * v->dim * sizeof(float));
    if (!rows) return NULL;
    for (size_t i = 0; i < v->n_rows; i++) {
        const float *from = vecs_row(v, i);
        float *to = rows + i * v->dim;
        double sum = 0;
        for (size_t j = 0; j < v->dim; j++) sum += (double)from[j] * (double)from[j];
        double scale = normalise && sum > 0 ? 1 / sqrt(sum) : 1;
        for (size_t j = 0; j < v->dim; j++) to[j] = (float)((double)from[j] * scale);
    }
    return rows;
}

const char *spec_text(const char *spec, const char *key, const char *otherwise, char buf[64]) {
    size_t n_key = strlen(key);
    for (const char *at = spec; at && *at; at = strchr(at, ','), at = at ? at + 1 : NULL) {
        if (strncmp(at, key, n_key) != 0 || at[n_key] != '=') continue;
        size_t n = strcspn(at + n_key + 1, ",");
        if (n > 63) n = 63;
        memcpy(buf, at + n_key + 1, n);
        buf[n] = 0;
        return buf;
    }
    return otherwise;
}

long spec_long(const char *spec, const char *key, long otherwise) {
    char buf[64];
    const char *text = spec_text(spec, key, NULL, buf);
    return text ? strtol(text, NULL, 10) : otherwise;
}

/* Smaller is nearer; the same bits for the same pair of vectors. */
static double true_dist(const struct peer_job *job, const float *query, size_t row) {
    const float *x = vecs_row(&job->base, row);
    double dot = 0, xx = 0, qq = 0, l2sq = 0;
    for (size_t j = 0; j < job->base.dim; j++) {
        double a = (double)query[j], b = (double)x[j];
        dot += a * b;
        xx += b * b;
        qq += a * a;
        l2sq += (a - b) * (a - b);
    }
    if (strcmp(job->metric, "l2") == 0) return l2sq;
    if (strcmp(job->metric, "ip") == 0) return -dot;
    return xx > 0 && qq > 0 ? 1 - dot / sqrt(xx * qq) : 1;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int contains(const int64_t *ids, int n, int64_t id) {
    for (int i = 0; i < n; i++)
        if (ids[i] == id) return 1;
    return 0;
}

struct recall recall_of(const struct peer_job *job, const int64_t *ids) {
    size_t n = job->queries.n_rows;
    int k = job->k;
    struct recall r = {0, 0, 0};
    double *each = malloc(n * sizeof *each);
    if (!each) abort();
    for (size_t q = 0; q < n; q++) {
        const int32_t *truth = (const int32_t *)(const void *)vecs_row(&job->truth, q);
        const float *query = vecs_row(&job->queries, q);
        const int64_t *got = ids + q * (size_t)k;
        double bound = true_dist(job, query, (size_t)truth[k - 1]);
        int hits = 0, id_hits = 0;
        bound += 1e-9 * fabs(bound);
        for (int i = 0; i < k; i++) {
            if (got[i] < 0 || (size_t)got[i] >= job->base.n_rows || contains(got, i, got[i]))
                continue;
            hits += true_dist(job, query, (size_t)got[i]) <= bound;
            for (int j = 0; j < k; j++) id_hits += truth[j] == got[i];
        }
        each[q] = (double)hits / k;
        r.by_ties += each[q] / (double)n;
        r.by_ids += (double)id_hits / k / (double)n;
    }
    qsort(each, n, sizeof *each, by_value);
    r.p5 = each[n / 20];
    free(each);
    return r;
}
