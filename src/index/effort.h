/* The calibration of an index: recall by effort, for some k.
 *
 *     curve of k = 10:   ef 10  recall 0.71 | ef 15  0.80 | ef 20  0.86 | … | ef 480  0.9997
 *
 * Invariants
 *   1. k rises from curve to curve; a curve has a point at least.
 *   2. Along a curve recall rises strictly, and no setting falls.
 *   3. Settings that an index does not have are 0 everywhere.
 * Between two points log(effort) is taken as a line over -log(1 - recall), which is what beams and lists look like
 * (docs/decisions/0029). */
#ifndef KITH_INDEX_EFFORT_H
#define KITH_INDEX_EFFORT_H

#include <stdbool.h>
#include <stdint.h>

#include <kith/calibrate.h>

#include "index/file.h"

#define EFFORT_MAX_POINTS 40u

struct effort {
    uint32_t ef, nprobe; /* 0: the index has none */
    float oversample;    /* 0: has none */
    float recall;
};

struct effort_curve {
    uint32_t k, n;
    struct effort point[EFFORT_MAX_POINTS];
};

struct effort_table {
    uint64_t rows;       /* live ones when it was measured */
    uint32_t n_queries;  /* that it was measured on */
    uint32_t of_queries; /* 1: queries that were given, 0: rows */
    uint32_t keeps;      /* 1: originals are kept, and an exact search has recall 1 */
    uint32_t n_curves;
    struct effort_curve curve[KITH_MAX_CALIBRATED_K];
};

/* The effort for k and a recall above 0. False: the table has no such recall; *out is then its best. out->recall is what
 * the effort gives by the table. */
bool effort_choose(const struct effort_table *table, uint32_t k, double recall, struct effort *out);
/* Append a point unless it breaks invariant 2 or the curve is full. */
void effort_append(struct effort_curve *curve, const struct effort *point);

/* Section CALB; changed is how many rows have changed since the table was measured. */
int effort_save(const struct effort_table *table, uint64_t changed, struct file_sections *out,
                kith_error *err);
/* KITH_ECORRUPT where an invariant does not hold. Only for files that have the section. */
int effort_load(struct effort_table *table, uint64_t *changed, const struct index_file *file,
                kith_error *err);

#define TAG_EFFORT FILE_TAG('C', 'A', 'L', 'B')

#endif
