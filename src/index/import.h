/* Import: an index put together from parts that another engine made: rows with their codes, links, lists.
 *
 * All of it works on an index that index_new has just made and that nobody else knows yet; where it fails the index is to
 * be freed. rows_import_* come first: the rows' stores, ids and life. Then the structure: a graph takes in links, lists take
 * in their codes. Nothing is trusted but what the comments say: row numbers below n. index_check is true afterwards.
 *
 * A model that was learnt elsewhere must be one that training could have made. Rows are handed over as the vectors that
 * their codes stand for (for lists: residuals), and coded by the model; what does not come back as it was is refused with
 * KITH_EUNSUPPORTED, so that a code is kept as it was or not at all. */
#ifndef KITH_INDEX_IMPORT_H
#define KITH_INDEX_IMPORT_H

#include "index/index.h"

/* What a code stands for is what it stood for. */
static inline bool import_is_same(size_t dim, const float *a, const float *b) {
    size_t i = 0;
    while (i < dim && a[i] == b[i]) i++;
    return i == dim;
}

/* What a code learnt elsewhere; all NULL where nothing is learnt. Borrowed. */
struct code_model {
    const float *low, *step; /* CODE_SQ8: dim each, steps of 16 significant bits */
    const uint8_t *bytes;    /* a quantizer's, as its model_read takes it */
    size_t n_bytes;
};

/* ---- rows_import.c -------------------------------------------------------------------------------- */

/* Room for n rows, numbered from 0. integral: all their values are whole, 0 to 255. Rows that are bare stay so.
 *   Errors   KITH_ENOMEM; KITH_EUNSUPPORTED a model that cannot be. */
int rows_import_open(struct rows *rows, uint32_t n, bool integral, const struct code_model *model,
                     kith_error *err);
/* n rows. coded: what their codes stand for, where that is not x because x is an original that is kept beside; else NULL. */
struct row_values {
    size_t n;
    const float *x, *coded;
    uint32_t threads;
};
/* Rows first to first + n - 1.
 *   Errors   KITH_ENONFINITE, KITH_ERANGE (err->at: row of x); KITH_EUNSUPPORTED. */
int rows_import_put(struct rows *rows, uint32_t first, const struct row_values *values,
                    kith_error *err);
/* The same check of any n vectors. */
int rows_import_check(const struct rows *rows, size_t n, const float *x, kith_error *err);
/* All n rows are live. ids NULL: their numbers.
 *   Errors   KITH_EINVAL a negative id, KITH_EDUPLICATE, KITH_ENOMEM. */
int rows_import_close(struct rows *rows, uint32_t n, const int64_t *ids, kith_error *err);

/* ---- graph_import.c ------------------------------------------------------------------------------- */

/* Where links of level 0 come from. */
struct link_source {
    void *context;
    /* A row's links into out, at most `most`; each below n. */
    uint32_t (*links)(void *context, uint32_t row, uint32_t *out, uint32_t most);
    uint32_t entry; /* taken where no row is on a higher level */
};

/* Take in the links of level 0, but for those to a row itself and those that are there twice. Levels above follow from the
 * seed (graph.h, invariant 3), so that they are linked anew; and what no link leads to is linked too: *connected rows.
 *   Cost     a build of the share of 1/m of the rows that are on higher levels. */
int graph_import(struct kith_index *index, const struct link_source *source, const kith_work *work,
                 uint64_t *connected, kith_error *err);
/* Link all rows anew. */
int graph_import_anew(struct kith_index *index, kith_error *err);

/* ---- ivf_import.c --------------------------------------------------------------------------------- */

/* Where lists come from. The lists hold rows 0 to n - 1, each once. */
struct list_source {
    const float *centres; /* as many as the index has lists, of dim floats */
    const struct code_model *model;
    bool residual; /* a quantizer codes x less its centre */
    bool exact;    /* its scores are to be exact */
    bool integral; /* plain codes: all values are whole, 0 to 255 */
    void *context;
    uint32_t (*length)(void *context, uint32_t list);
    /* Rows first to first + n - 1 of a list: their numbers, and the vectors that their codes stand for, without centre. */
    void (*read)(void *context, uint32_t list, uint32_t first, uint32_t n, uint32_t *row, float *x);
    /* In its place, where not NULL: the rows' codes, as the quantizer lays them out. */
    void (*read_codes)(void *context, const struct quantizer *quantizer, uint32_t list,
                       uint32_t first, uint32_t n, uint32_t *row, uint8_t *codes);
};

/* The index's model and lists; its rows are bare, or hold originals.
 *   Errors   KITH_EUNSUPPORTED a model or codes that cannot be kept as they are; KITH_ENONFINITE, KITH_ERANGE a centre or
 *            vector that cannot be; KITH_ENOMEM. */
int ivf_import(struct kith_index *index, const struct list_source *source, kith_error *err);
/* The rows of lists without originals have no vectors of their own: to be said before rows_import_open. */
int ivf_import_bare(struct kith_index *index, kith_error *err);

#endif
