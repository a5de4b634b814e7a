/* Calibrating an index: queries with their true neighbours, recall by effort, and the table in use.
 *
 *     rows or queries --exact search--> true neighbours --searches of rising effort--> struct effort_table
 *
 * A row that stands for a query is hidden from its search: the walk of a graph does not see it, lists do not return it.
 * It is as if the row had never been added, but for the few links and the share of a centre that it left behind. */
#ifndef KITH_INDEX_CALIBRATE_H
#define KITH_INDEX_CALIBRATE_H

#include "index/effort.h"
#include "index/index.h"

/* Queries and what they should find. */
struct calibrate_truth {
    uint32_t dim, n_near;
    size_t n, room;       /* queries; those that memory was had for */
    const float *queries; /* n of dim; owned where hidden is set */
    uint32_t *hidden;     /* 1 + the row that a query is; NULL: queries were given */
    int64_t *id;          /* n of n_near, nearest first, KITH_NO_ID where there are no more */
    float *dist;          /* inside distances */
};

/* Neighbours beyond the k-th that are known, so that those as near as it count. */
#define CALIBRATE_TIES  32u
#define CALIBRATE_MAX_K 1024u

/* calibrate_truth.c: queries and their neighbours up to most_k, hidden rows left out; writers are paused. */
int calibrate_truth_new(struct calibrate_truth *truth, const struct kith_index *index,
                        const kith_calibrate_options *options, uint32_t most_k,
                        const kith_work *work, kith_error *err);
void calibrate_truth_free(struct calibrate_truth *truth);

/* calibrate.c: what kith_index_calibrate does; options are complete. */
int index_calibrate(struct kith_index *index, const kith_calibrate_options *options,
                    const kith_work *work, kith_error *err);

/* calibration.c: the table that an index holds. */
/* Put a copy of a table (NULL: none) in place of the one before. */
int index_calibration_set(struct kith_index *index, const struct effort_table *table,
                          uint64_t changed, kith_error *err);
/* The effort of a search; *exact: all rows are to be scanned. KITH_ERECALL. */
int index_effort(const struct kith_index *index, uint32_t k, double recall, struct effort *out,
                 bool *exact, kith_error *err);
int index_calibration_save(const struct kith_index *index, struct file_sections *out,
                           kith_error *err);
int index_calibration_load(struct kith_index *index, const struct index_file *file,
                           kith_error *err);

#endif
