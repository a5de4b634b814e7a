/* Sign bits: learning cuts and what the two sides stand for, Hamming distances, and models; the rest is linear.h's.
 *
 * Means are sums of doubles over all rows in their order, dimension by dimension, so that threads change nothing. The
 * median is that of at most SAMPLE rows, spread evenly. */
#include "quant/binary.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/thread.h"
#include "kern/kern.h"
#include "quant/folding.h"
#include "quant/linear.h"

enum { GRAIN = 16, SAMPLE = 4096 };

/* Large enough to turn any difference from the cut into a bit, and no NaN with 0. */
#define SHARP 0x1p127f

struct training {
    struct linear *linear;
    const float *rows;
    size_t n;
    float *scratch; /* SAMPLE floats a worker */
};

static int compare(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static float median(const struct training *t, size_t i, float *values) {
    const size_t n = t->n < SAMPLE ? t->n : SAMPLE;
    for (size_t s = 0; s < n; s++) values[s] = t->rows[s * t->n / n * t->linear->base.dim + i];
    qsort(values, n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : 0.5f * values[n / 2 - 1] + 0.5f * values[n / 2];
}

/* Means of dimensions [begin, end), no more than GRAIN of them. */
static void find_means(const struct training *t, size_t begin, size_t end) {
    double sum[GRAIN] = {0};
    const size_t dim = t->linear->base.dim;
    for (size_t r = 0; r < t->n; r++)
        for (size_t i = begin; i < end; i++) sum[i - begin] += (double)t->rows[r * dim + i];
    for (size_t i = begin; i < end; i++)
        t->linear->cut[i] = t->n ? (float)(sum[i - begin] / (double)t->n) : 0;
}

/* What the two sides of each cut stand for: the mean of the values there; a side without values, the cut. */
static void find_sides(const struct training *t, size_t begin, size_t end) {
    double sum[2][GRAIN] = {{0}};
    size_t n[2][GRAIN] = {{0}};
    struct linear *linear = t->linear;
    const size_t dim = linear->base.dim;
    for (size_t r = 0; r < t->n; r++)
        for (size_t i = begin; i < end; i++) {
            const float x = t->rows[r * dim + i];
            const int side = x > linear->cut[i];
            sum[side][i - begin] += (double)x;
            n[side][i - begin]++;
        }
    for (size_t i = begin; i < end; i++) {
        double mean[2] = {(double)linear->cut[i], (double)linear->cut[i]};
        for (int side = 0; side < 2; side++)
            if (n[side][i - begin]) mean[side] = sum[side][i - begin] / (double)n[side][i - begin];
        linear->low[i] = (float)mean[0];
        linear->step[i] = folding_step(mean[1] - mean[0]);
    }
}

static void train_dimensions(void *context, uint32_t worker, size_t begin, size_t end) {
    const struct training *t = context;
    for (size_t from = begin, to; from < end; from = to) {
        to = end - from < GRAIN ? end : from + GRAIN;
        find_means(t, from, to);
        for (size_t i = from; i < to && t->n && t->linear->base.spec.median; i++)
            t->linear->cut[i] = median(t, i, t->scratch + (size_t)worker * SAMPLE);
        find_sides(t, from, to);
    }
}

/* After cut, low and step are known: the rest. */
static void make_ready(struct linear *linear) {
    for (uint32_t i = 0; i < linear->base.dim; i++) linear->inverse[i] = SHARP;
    linear_ready(linear);
}

static int binary_train(struct quantizer *quantizer, size_t n, const float *rows,
                        const struct quantizer_training *how, kith_error *err) {
    const uint32_t threads = how->threads ? how->threads : 1;
    const size_t bytes = threads * (size_t)SAMPLE * sizeof(float);
    struct training t = {.linear = (struct linear *)quantizer, .rows = rows, .n = n};
    t.scratch = mem_new(quantizer->owner, bytes);
    if (!t.scratch) return FAIL(err, KITH_ENOMEM, "no memory for samples of %d values", SAMPLE);
    thread_for(threads, quantizer->dim, GRAIN, train_dimensions, &t);
    mem_free(quantizer->owner, t.scratch, bytes);
    make_ready(t.linear);
    return KITH_OK;
}

static int binary_init(struct quantizer *quantizer, kith_error *err) {
    if (quantizer->spec.bits > 1)
        return FAIL(err, KITH_ESPEC, "sign bits of %u bits: there is 1 a dimension",
                    quantizer->spec.bits);
    return linear_init((struct linear *)quantizer, 1, err);
}

void binary_hamming_list(const struct quantizer *quantizer, const uint8_t *query,
                         const uint8_t *const *codes, size_t n, uint32_t *out) {
    kern_get()->hamming_list(query, codes, n, ((const struct linear *)quantizer)->code_bytes, out);
}

void binary_hamming_rows(const struct quantizer *quantizer, const uint8_t *query,
                         const uint8_t *codes, size_t stride, size_t n, uint32_t *out) {
    const size_t bytes = ((const struct linear *)quantizer)->code_bytes;
    kern_get()->hamming_rows(query, codes, stride, n, bytes, out);
}

static size_t model_bytes(const struct quantizer *quantizer) {
    return 3 * quantizer->dim * sizeof(float);
}

static void model_write(const struct quantizer *quantizer, uint8_t *out) {
    const struct linear *linear = (const struct linear *)quantizer;
    const size_t bytes = quantizer->dim * sizeof(float);
    memcpy(out, linear->cut, bytes);
    memcpy(out + bytes, linear->low, bytes);
    memcpy(out + 2 * bytes, linear->step, bytes);
}

static int model_read(struct quantizer *quantizer, const uint8_t *in, size_t n, kith_error *err) {
    struct linear *linear = (struct linear *)quantizer;
    const size_t bytes = quantizer->dim * sizeof(float);
    if (n != 3 * bytes)
        return FAIL(err, KITH_ECORRUPT, "a model of sign bits of %zu bytes: must have %zu", n,
                    3 * bytes);
    memcpy(linear->cut, in, bytes);
    memcpy(linear->low, in + bytes, bytes);
    memcpy(linear->step, in + 2 * bytes, bytes);
    bool sound = linear_sound(linear);
    for (uint32_t i = 0; i < quantizer->dim; i++) sound &= fabsf(linear->cut[i]) <= FLT_MAX;
    if (!sound)
        return FAIL(err, KITH_ECORRUPT, "a model of sign bits is not one that training makes");
    make_ready(linear);
    return KITH_OK;
}

const struct quantizer_ops binary_ops = {.name = "binary",
                                         .object_bytes = sizeof(struct linear),
                                         .init = binary_init,
                                         .deinit = linear_deinit,
                                         .train = binary_train,
                                         .encode = linear_encode,
                                         .decode = linear_decode,
                                         .scorer_bytes = linear_scorer_bytes,
                                         .scorer_init = linear_scorer_init,
                                         .set_query = linear_set_query,
                                         .list = linear_list,
                                         .rows = linear_rows,
                                         .score = linear_score,
                                         .wide_bytes = linear_wide_bytes,
                                         .widen = linear_widen,
                                         .wide_query = linear_wide_query,
                                         .model_bytes = model_bytes,
                                         .model_write = model_write,
                                         .model_read = model_read};
