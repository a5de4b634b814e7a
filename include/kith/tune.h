/* kith_tune: choose index, parameters, code, refinement and search effort for a set of vectors, by measuring.
 *
 *     kith_tune_options options = KITH_TUNE_OPTIONS_INIT;
 *     options.recall = 0.95;
 *     kith_tune_result *found;
 *     kith_tune(n, dim, base, KITH_METRIC_COSINE, &options, NULL, &found, &err);
 *     printf("%s\n", found->best->spec);
 *     kith_tune_result_free(found);
 *
 * A part of the base, drawn by chance, is held out and stands for queries; what is chosen never sees others. Candidates
 * are measured on a small sample of the rest, the better ones and their neighbours on a larger one, and the last few on all of it
 * (successive halving, Jamieson & Talwalkar 2016; docs/decisions/0030-tuning.md). All times are CPU time of one thread, so that
 * a busy machine does not choose. */
#ifndef KITH_TUNE_H
#define KITH_TUNE_H

#include <kith/index.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KITH_TUNE_SPEC   128u /* room for a description, with its zero */
#define KITH_TUNE_POINTS 8u

typedef struct kith_tune_options {
    uint32_t size;
    uint32_t k;    /* results a query (10) */
    double recall; /* the mean share of true neighbours that a query is to find (0.95) */
    double memory; /* most bytes a vector that the index may take, originals included; 0: any */
    double build_seconds; /* most CPU seconds of a build; 0: any */
    /* measure these descriptions instead of choosing some; all of them on the whole base */
    uint32_t n_candidates;
    const char *const *candidates;
    uint64_t seed;    /* what is held out, and the builds (42) */
    uint32_t queries; /* rows held out, 2 at least and at most a tenth (0: 1,000) */
} kith_tune_options;
#define KITH_TUNE_OPTIONS_INIT \
    { (uint32_t)sizeof(kith_tune_options), 10u, 0.95, 0.0, 0.0, 0u, NULL, 42u, 0u }

/* A search at one effort. */
typedef struct kith_tune_point {
    kith_search_params params; /* ef, nprobe, oversample, exact */
    double expected;           /* recall by one half of what was held out */
    double recall;             /* of the other half */
    double seconds;            /* CPU seconds a query */
} kith_tune_point;

enum {
    KITH_TUNE_FINE = 0,
    KITH_TUNE_MEMORY,
    KITH_TUNE_BUILD,
    KITH_TUNE_RECALL,
    KITH_TUNE_SPEC_REFUSED
};

/* One index of a sample. */
typedef struct kith_tune_trial {
    char spec[KITH_TUNE_SPEC]; /* on this sample */
    char full[KITH_TUNE_SPEC]; /* on the whole base: more lists */
    uint32_t rung;             /* 0, 1, …; the last is the whole base */
    uint64_t rows;             /* of the sample */
    int verdict;               /* fine, or what keeps it from being chosen: KITH_TUNE_ */
    double build_seconds;      /* CPU */
    double bytes;              /* a vector */
    double predicted;          /* seconds a query on the whole base, at the recall asked for */
    uint32_t n_points;         /* the recall asked for first; around it on the last rung */
    kith_tune_point point[KITH_TUNE_POINTS];
} kith_tune_trial;

typedef struct kith_tune_result {
    size_t n_trials;
    kith_tune_trial *trial;
    const kith_tune_trial *best; /* of these; NULL: nothing meets what was asked for */
    uint64_t queries, rows;      /* held out, and the rest */
    double seconds;              /* CPU, all of it */
} kith_tune_result;

/* Choose.
 *   Shape    base[n][dim] f32, n at least 100.
 *   Owns     *out, freed by kith_tune_result_free; borrows base until return.
 *   Threads  builds use work->threads; progress is called after each trial, which the total can only guess.
 *   Cost     a copy of the base, and on it some three builds, searches and calibrations; the samples cost about as much.
 *   Errors   KITH_EINVAL recall outside (0, 1], too few rows; KITH_EK; KITH_ENONFINITE, KITH_ERANGE (err->at: row);
 *            KITH_ESPEC a candidate of the caller's; KITH_ENOMEM. *out is untouched. */
KITH_API int kith_tune(size_t n, size_t dim, const float *base, kith_metric metric,
                       const kith_tune_options *options, const kith_work *work,
                       kith_tune_result **out, kith_error *err);
KITH_API void kith_tune_result_free(kith_tune_result *result);

#ifdef __cplusplus
}
#endif
#endif
