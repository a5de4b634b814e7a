/* Tuning, inside: a candidate is a family, a code and a size that goes with the rows.
 *
 *     held out: queries | the rest, shuffled: |-- rung 0 --|
 *                                             |---------- rung 1 ----------|
 *                                             |------------------------- rung 2 -------------------------| */
#ifndef KITH_TUNE_TUNE_H
#define KITH_TUNE_TUNE_H

#include <stdbool.h>

#include <kith/calibrate.h>
#include <kith/tune.h>

enum family { FAMILY_SCAN, FAMILY_GRAPH, FAMILY_LISTS, FAMILY_GIVEN };

struct candidate {
    enum family family;
    const char *
        code; /* what follows the first word, "" or ",SQ8,Refine"; for a scan the whole description */
    double size; /* graph: m; lists: lists over the root of the rows */
};

#define MAX_CANDIDATES 64u

struct candidates {
    uint32_t n;
    struct candidate at[MAX_CANDIDATES];
};

struct tune {
    kith_tune_options options;
    kith_work work;
    kith_metric metric;
    size_t dim, n; /* rows that are left */
    float *rows;   /* n of dim, shuffled */
    float *queries;
    size_t n_queries; /* the first half calibrates, the second measures */
    uint32_t near;    /* true neighbours known of each measured query */
    int64_t *true_id; /* of the rung */
    float *true_dist;
    kith_tune_result *result;
};

/* candidates.c: what to begin with; bytes: all values are whole numbers in 0..255. */
void candidates_first(struct candidates *all, size_t dim, bool bytes, bool memory_is_short);
/* Neighbours of one: fewer and more links or lists. */
void candidates_around(struct candidates *all, const struct candidate *one);
void candidate_print(const struct candidate *one, size_t rows, char *spec);
/* Seconds on n rows of what took `seconds` on `rows`. */
double candidate_grow(const struct candidate *one, double seconds, size_t rows, size_t n);

/* trial.c: build, calibrate and measure one candidate on the first n rows. */
int trial_run(struct tune *tune, const struct candidate *one, size_t n, kith_tune_trial *trial,
              kith_error *err);
/* CPU seconds: of this thread, or of the process where more are at work. */
double tune_clock(const struct tune *tune);

#endif
