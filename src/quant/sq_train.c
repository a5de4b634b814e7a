/* What a scalar quantizer learns: a grid a dimension, or one for all, as sq.h says.
 *
 * The ends of the values seen are taken over all rows, which costs one pass. Shares and errors are those of a sample:
 * the elements of rows spread evenly, and the two ends, sorted. A candidate's squared error is computed as coding
 * would make it, so that piles of equal values count for what they are; among equals the wider range wins. */
#include "quant/sq_train.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/thread.h"
#include "quant/folding.h"
#include "quant/sq.h"
#include "quant/sums.h"

enum { GRAIN = 16, MOST = SQ_SAMPLE + 2 };

/* Values sorted, the ends of all at both ends. */
struct sample {
    const float *values;
    size_t n;
};

struct grid {
    float low, step;
};

struct training {
    struct linear *linear;
    const float *rows;
    size_t n, sampled;
    float *scratch; /* MOST floats a worker */
};

static int compare(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The grid on [a, b] with points at both ends, or at the centres of its cells. */
static struct grid grid_of(uint32_t top, double a, double b, bool centres) {
    const float step = folding_step((b - a) / (top + (centres ? 1 : 0)));
    const double low = 0.5 * (a + b) - 0.5 * top * (double)step;
    return (struct grid){centres ? (float)low : (float)a, step};
}

static double error_of(const struct sample *sample, uint32_t top, const struct grid *grid) {
    const float inverse = grid->step > 0 ? 1 / grid->step : 0, most = (float)top;
    const float low = grid->low, step = grid->step;
    double sum[SUMS_LANES] = {0};
    SUMS_LOOP(sample->n, {
        float x = sample->values[i], c = (x - low) * inverse;
        c = c > 0 ? c : 0;
        c = c < most ? c : most;
        c = (c + 0x1.8p23f) - 0x1.8p23f;
        double left = (double)(x - (low + step * c));
        sum[lane] += left * left;
    });
    return sums_tree(sum);
}

/* The better of a range's two grids, if it is better than the best so far. */
static void try_range(const struct sample *sample, uint32_t top, double a, double b,
                      struct grid *best, double *least) {
    for (int centres = 0; centres < 2; centres++) {
        const struct grid grid = grid_of(top, a, b, centres);
        const double error = error_of(sample, top, &grid);
        if (error < *least) {
            *least = error;
            *best = grid;
        }
    }
}

static void try_share(const struct sample *sample, uint32_t top, double share, struct grid *best,
                      double *least) {
    const size_t outside = (size_t)(0.5 * share * (double)sample->n);
    const size_t first = outside < sample->n / 2 ? outside : (sample->n - 1) / 2;
    try_range(sample, top, (double)sample->values[first],
              (double)sample->values[sample->n - 1 - first], best, least);
}

static struct grid choose_grid(const struct linear *linear, float *values, size_t n) {
    static const double shares[] = {0,     0.0005, 0.001, 0.002, 0.004, 0.007,
                                    0.012, 0.02,   0.03,  0.045, 0.065, 0.09};
    const float clip = linear->base.spec.clip;
    struct grid best = {0, 0};
    double least = INFINITY;
    if (n == 0) return best;
    qsort(values, n, sizeof *values, compare);
    const struct sample sample = {values, n};
    best.low = values[0];
    if (clip != SQ_CLIP_FIT) {
        try_share(&sample, linear->top, (double)clip, &best, &least);
        return best;
    }
    for (size_t s = 0; s < sizeof shares / sizeof *shares; s++)
        try_share(&sample, linear->top, shares[s], &best, &least);
    return best;
}

/* Least and greatest of dimensions [begin, end) over all rows, to low and step. */
static void find_ends(const struct training *t, size_t begin, size_t end) {
    float *low = t->linear->low, *high = t->linear->step;
    const size_t dim = t->linear->base.dim;
    for (size_t i = begin; i < end; i++) low[i] = high[i] = t->n > 0 ? t->rows[i] : 0;
    for (size_t r = 1; r < t->n; r++) {
        const float *row = t->rows + r * dim;
        for (size_t i = begin; i < end; i++) {
            low[i] = row[i] < low[i] ? row[i] : low[i];
            high[i] = row[i] > high[i] ? row[i] : high[i];
        }
    }
}

static const float *sampled_row(const struct training *t, size_t s) {
    return t->rows + s * t->n / t->sampled * t->linear->base.dim;
}

static void train_dimensions(void *context, uint32_t worker, size_t begin, size_t end) {
    const struct training *t = context;
    float *values = t->scratch + (size_t)worker * MOST;
    find_ends(t, begin, end);
    if (t->linear->base.spec.uniform) return;
    for (size_t i = begin; i < end && t->n; i++) {
        for (size_t s = 0; s < t->sampled; s++) values[s] = sampled_row(t, s)[i];
        values[t->sampled] = t->linear->low[i];
        values[t->sampled + 1] = t->linear->step[i];
        const struct grid grid = choose_grid(t->linear, values, t->sampled + 2);
        t->linear->low[i] = grid.low;
        t->linear->step[i] = grid.step;
    }
}

/* One grid: a sample of all dimensions, and the ends of all. */
static void train_uniform(const struct training *t) {
    struct linear *linear = t->linear;
    const size_t dim = linear->base.dim;
    float low = linear->low[0], high = linear->step[0];
    for (size_t i = 1; i < dim; i++) {
        low = linear->low[i] < low ? linear->low[i] : low;
        high = linear->step[i] > high ? linear->step[i] : high;
    }
    for (size_t s = 0; s < SQ_SAMPLE; s++)
        t->scratch[s] =
            t->rows[(size_t)((double)s / SQ_SAMPLE * (double)t->n) * dim + s * 31 % dim];
    t->scratch[SQ_SAMPLE] = low;
    t->scratch[SQ_SAMPLE + 1] = high;
    const struct grid grid = choose_grid(linear, t->scratch, MOST);
    linear->low[0] = grid.low;
    linear->step[0] = grid.step;
    sq_spread(linear);
}

void sq_spread(struct linear *linear) {
    for (uint32_t i = 1; i < linear->base.dim; i++) {
        linear->low[i] = linear->low[0];
        linear->step[i] = linear->step[0];
    }
}

void sq_ready(struct linear *linear) {
    for (uint32_t i = 0; i < linear->base.dim; i++) {
        linear->cut[i] = linear->low[i];
        linear->inverse[i] = linear->step[i] > 0 ? 1 / linear->step[i] : 0;
    }
    linear_ready(linear);
}

int sq_train(struct quantizer *quantizer, size_t n, const float *rows,
             const struct quantizer_training *how, kith_error *err) {
    struct linear *linear = (struct linear *)quantizer;
    const uint32_t threads = how->threads ? how->threads : 1;
    const size_t bytes = threads * (size_t)MOST * sizeof(float);
    struct training t = {.linear = linear, .rows = rows, .n = n};
    t.sampled = n < SQ_SAMPLE ? n : SQ_SAMPLE;
    t.scratch = mem_new(quantizer->owner, bytes);
    if (!t.scratch) return FAIL(err, KITH_ENOMEM, "no memory for samples of %u values", SQ_SAMPLE);
    thread_for(threads, quantizer->dim, GRAIN, train_dimensions, &t);
    if (quantizer->spec.uniform && n) train_uniform(&t);
    mem_free(quantizer->owner, t.scratch, bytes);
    sq_ready(linear);
    return KITH_OK;
}
