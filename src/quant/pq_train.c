/* What a product quantizer learns: Lloyd's k-means of each part, on a sample of the rows; threads take parts.
 *
 *   start    k-means++ over up to 16 rows a centroid, evenly spaced in the sample: each start is drawn with chances in
 *            proportion to the squared distance from the nearest start so far
 *   repeat   each row to its nearest centroid (pq_encode.c's); centroids become means, in double, in rising order of rows;
 *            empty clusters take rows drawn in the same way. Ends early where no row changes its cluster.
 *
 * Not kmeans.h, whose one-byte estimates and bounds pay where vectors are long: a part of a few elements is compared with
 * a centroid in fewer operations than a bound takes (docs/performance.md has the times of both). A part's stream of random
 * numbers is its own, so that threads change nothing. */
#include <float.h>
#include <math.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/thread.h"
#include "kern/kern.h"
#include "quant/pq_code.h"

enum { ITERATIONS = 25, START_ROWS = 16 };

struct training {
    struct pq *pq;
    const float *rows;
    uint32_t *sample; /* numbers of the rows, rising */
    size_t n;         /* of them */
    const struct quantizer_training *how;
    struct worker *worker;
    pthread_mutex_t lock;
    uint32_t done; /* parts; under lock */
};

/* Scratch of a thread, for one part at a time. */
struct worker {
    float *x;    /* [n][part] */
    float *left; /* [n], squared distances */
    double *sum; /* [k][part] */
    uint32_t count[256];
    uint8_t *cluster; /* [n] */
    uint64_t random;
};

/* ---- one part -------------------------------------------------------------------------------------------------- */

/* Clusters of all rows; false when none changed. */
static bool assign(const struct training *t, uint32_t j, struct worker *w) {
    const size_t part = t->pq->part;
    bool changed = false;
    for (size_t i = 0; i < t->n; i += PQ_ROWS) {
        uint8_t index[PQ_ROWS];
        const struct pq_rows rows = {
            .n = t->n - i < PQ_ROWS ? t->n - i : PQ_ROWS, .x = w->x + i * part, .stride = part};
        pq_nearest(t->pq, j, &rows, index);
        changed |= memcmp(w->cluster + i, index, rows.n) != 0;
        memcpy(w->cluster + i, index, rows.n);
    }
    return changed;
}

static void means(const struct training *t, struct worker *w, float *centroids) {
    const size_t part = t->pq->part, k = t->pq->k;
    memset(w->count, 0, sizeof w->count);
    memset(w->sum, 0, k * part * sizeof *w->sum);
    for (size_t i = 0; i < t->n; i++) {
        double *sum = w->sum + w->cluster[i] * part;
        w->count[w->cluster[i]]++;
        for (size_t d = 0; d < part; d++) sum[d] += (double)w->x[i * part + d];
    }
    for (size_t c = 0; c < k; c++)
        for (size_t d = 0; d < part && w->count[c] > 0; d++)
            centroids[c * part + d] = (float)(w->sum[c * part + d] / w->count[c]);
}

/* left[i] = the square of row i's distance from `from`, or what it was if that is less. */
static double shorten(const struct training *t, struct worker *w, size_t i, const float *from) {
    const size_t part = t->pq->part;
    double square = 0;
    for (size_t d = 0; d < part; d++) {
        const double diff = (double)w->x[i * part + d] - (double)from[d];
        square += diff * diff;
    }
    w->left[i] = fminf(w->left[i], (float)square);
    return (double)w->left[i];
}

/* One of every step-th row, drawn in proportion to left[], whose sum is given. */
static size_t draw(const struct training *t, struct worker *w, size_t step, double sum) {
    double at = sum * ((double)(bits_random(&w->random) >> 11) * 0x1p-53);
    size_t last = 0;
    for (size_t i = 0; i < t->n; i += step) {
        if (w->left[i] > 0) last = i;
        at -= (double)w->left[i];
        if (at < 0 && w->left[i] > 0) return i;
    }
    return last;
}

/* Rows for clusters that have none. Rows that are all some centroid leave them as they are. */
static void mend(const struct training *t, struct worker *w, float *centroids) {
    const size_t part = t->pq->part, k = t->pq->k;
    double sum = -1; /* not known */
    for (size_t c = 0; c < k; c++) {
        if (w->count[c] > 0) continue;
        if (sum < 0) {
            sum = 0;
            for (size_t i = 0; i < t->n; i++) {
                w->left[i] = FLT_MAX;
                sum += shorten(t, w, i, centroids + w->cluster[i] * part);
            }
        }
        if (!(sum > 0)) return;
        const float *row = w->x + draw(t, w, 1, sum) * part;
        memcpy(centroids + c * part, row, part * sizeof *row);
        sum = 0;
        for (size_t i = 0; i < t->n; i++) sum += shorten(t, w, i, row);
    }
}

/* Where centroids begin. Once every row is one of them, the rest are the first, and are mended. */
static void start(const struct training *t, struct worker *w, float *centroids) {
    const size_t part = t->pq->part, k = t->pq->k, few = START_ROWS * k;
    const size_t step = t->n > few ? t->n / few : 1;
    const float *row = w->x + (size_t)(bits_random(&w->random) % t->n) * part;
    for (size_t i = 0; i < t->n; i += step) w->left[i] = FLT_MAX;
    for (size_t c = 0; c < k; c++) {
        double sum = 0;
        memcpy(centroids + c * part, row, part * sizeof *row);
        for (size_t i = 0; i < t->n; i += step) sum += shorten(t, w, i, row);
        row = sum > 0 ? w->x + draw(t, w, step, sum) * part : centroids;
    }
}

static void train_part(const struct training *t, uint32_t j, struct worker *w) {
    struct pq *pq = t->pq;
    const size_t part = pq->part;
    float *centroids = pq->centroids + (size_t)j * pq->k * part;
    w->random = bits_mix(pq->base.spec.seed + j);
    for (size_t i = 0; i < t->n; i++)
        memcpy(w->x + i * part, t->rows + (size_t)t->sample[i] * pq->base.dim + j * part,
               part * sizeof *w->x);
    start(t, w, centroids);
    for (int round = 0; round < ITERATIONS; round++) {
        pq_ready_part(pq, j);
        if (!assign(t, j, w) && round > 0) break;
        means(t, w, centroids);
        mend(t, w, centroids);
    }
}

static void train_parts(void *context, uint32_t worker, size_t begin, size_t end) {
    struct training *t = context;
    for (size_t j = begin; j < end; j++) {
        train_part(t, (uint32_t)j, t->worker + worker);
        if (!t->how->progress) continue;
        pthread_mutex_lock(&t->lock);
        t->how->progress(t->how->context, ++t->done, t->pq->base.spec.m);
        pthread_mutex_unlock(&t->lock);
    }
}

/* ---- all ------------------------------------------------------------------------------------------------------- */

/* t->n of n rows, each as likely. */
static void draw_sample(struct training *t, size_t n) {
    uint64_t random = bits_mix(~t->pq->base.spec.seed);
    for (size_t i = 0, got = 0; got < t->n; i++)
        if (bits_random(&random) % (n - i) < t->n - got) t->sample[got++] = (uint32_t)i;
}

static int check_rows(const struct training *t, kith_error *err) {
    const size_t dim = t->pq->base.dim;
    for (size_t i = 0; i < t->n; i++) {
        const float *row = t->rows + (size_t)t->sample[i] * dim;
        const float squares = kern_get()->dot_self[KITH_TYPE_F32](row, dim);
        if (squares <= FLT_MAX / 8) continue;
        for (size_t d = 0; d < dim; d++)
            if (!isfinite(row[d]))
                return FAIL_AT(err, KITH_ENONFINITE, t->sample[i],
                               "element %zu of row %u is not finite", d, t->sample[i]);
        return FAIL_AT(err, KITH_ERANGE, t->sample[i], "row %u is too long: its square is over %g",
                       t->sample[i], (double)(FLT_MAX / 8));
    }
    return KITH_OK;
}

/* Place a thread's arrays in a block of memory; with NULL only count its bytes. */
static size_t carve(const struct training *t, struct worker *w, char *block) {
    const size_t part = t->pq->part, x = bits_round_up(t->n * part * sizeof(float), 64);
    const size_t left = bits_round_up(t->n * sizeof(float), 64);
    const size_t sum = bits_round_up(t->pq->k * part * sizeof(double), 64);
    if (block)
        *w = (struct worker){.x = (float *)block,
                             .left = (float *)(block + x),
                             .sum = (double *)(block + x + left),
                             .cluster = (uint8_t *)block + x + left + sum};
    return x + left + sum + bits_round_up(t->n, 64);
}

/* Train with memory for `threads` workers, which follow one another in a slab behind the sample. */
static int train_sample(struct training *t, size_t n, uint32_t threads, kith_error *err) {
    struct mem_account *owner = t->pq->base.owner;
    const size_t head = bits_round_up(threads * sizeof(struct worker), 64);
    const size_t numbers = bits_round_up(t->n * sizeof *t->sample, 64);
    const size_t each = carve(t, NULL, NULL), bytes = head + numbers + threads * each;
    char *block = mem_slab(owner, bytes);
    if (!block) return FAIL(err, KITH_ENOMEM, "no memory to train on %zu rows", t->n);
    t->worker = (struct worker *)block;
    t->sample = (uint32_t *)(block + head);
    for (uint32_t i = 0; i < threads; i++)
        carve(t, t->worker + i, block + head + numbers + i * each);
    draw_sample(t, n);
    const int code = check_rows(t, err);
    if (code == KITH_OK) thread_for(threads, t->pq->base.spec.m, 1, train_parts, t);
    mem_slab_free(owner, block, bytes);
    return code;
}

int pq_train(struct quantizer *quantizer, size_t n, const float *rows,
             const struct quantizer_training *how, kith_error *err) {
    struct pq *pq = (struct pq *)quantizer;
    const uint32_t m = quantizer->spec.m, threads = how->threads < m ? how->threads : m;
    const size_t most = PQ_SAMPLE(quantizer->spec.bits);
    struct training t = {.pq = pq, .rows = rows, .how = how, .n = n < most ? n : most};
    if (n == 0) {
        memset(pq->centroids, 0, (size_t)pq->k * quantizer->dim * sizeof(float));
        pq_ready(pq);
        return KITH_OK;
    }
    pthread_mutex_init(&t.lock, NULL);
    const int code = train_sample(&t, n, threads ? threads : 1, err);
    pthread_mutex_destroy(&t.lock);
    if (code == KITH_OK) pq_ready(pq);
    return code;
}
