/* Pretransform: an index behind a chain of transforms (FAISS's IndexPreTransform, and its refinement around that).
 *
 *     rows ---> chain (PCA, OPQ, rotation, ...) ---> inner index, its ids being row numbers ---> candidates
 *       \------ originals, where they are kept (Refine): scored again by the float law -------> results
 *
 * The outer rows hold ids and life, and vectors as they were given: for ever where the description refines, else only
 * until there is an inner index. A chain that learns nothing has one from the start; another learns by kith_index_train,
 * or from its own rows once they are PRE_TRAIN_ROWS and four a dimension. Until then rows are scanned: results are exact,
 * and distances those of the vectors as given.
 *
 * Invariants
 *   1. The model (chain and inner index) is published complete, and replaced as a whole; readers hold an epoch slot of the
 *      outer rows.
 *   2. Every live row is in the inner index under its row number, once. Rows that are being added, or are on their way
 *      out, may be there too: a reader asks the outer rows whether a candidate is live.
 *   3. A row number is reused only once the inner index has forgotten it.
 * Locks   `writers` (one add, update, removal, training or save at a time), then those of the inner index and of rows.h.
 *
 * Metrics. Distances without a refinement are the inner index's, of transformed vectors. L2 and EUCLID: of every chain. IP
 * and COSINE: principal components are taken through 0, since a mean that is taken away changes products. COSINE, where a
 * step keeps only a part of a vector (fewer dimensions, without whitening): vectors are scaled to length 1 first and
 * compared by inner product, so that scores estimate the cosine of the originals. L1: only L2norm and Pad, rotations not
 * keeping it. decisions/0025. */
#ifndef KITH_INDEX_PRETRANSFORM_H
#define KITH_INDEX_PRETRANSFORM_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/status.h"
#include "index/index.h"
#include "index/scan.h"
#include "quant/transform.h"

#define PRE_TRAIN_ROWS 4096u

struct pre_model {
    struct transform_chain chain; /* trained */
    struct kith_index *inner;
};

struct pre {
    struct kith_index index;
    struct index_spec inner; /* what is behind the chain: dimension and metric set */
    uint32_t n_steps;
    struct transform_spec step[TRANSFORM_CHAIN_MAX];
    bool keeps;                        /* originals, to refine on */
    _Atomic(struct pre_model *) model; /* NULL until trained */
    bool stale;                        /* memory was short: dead rows are in the inner index */
    pthread_mutex_t writers;
};

static inline struct pre *pre_of(const struct kith_index *index) {
    return (struct pre *)(uintptr_t)index;
}

static inline struct pre_model *pre_model_of(const struct pre *pre) {
    return atomic_load_explicit(&pre->model, memory_order_acquire);
}

/* ---- for whoever has the parts, as files of other engines do ------------------------------------------------ */

/* Parts of an index that was built elsewhere. The inner index is taken where the call succeeds, else it stays the caller's;
 * all others are borrowed, and copied. */
struct pre_parts {
    /* trained, of at least one; of kinds that factory.h has words for */
    const struct transform_chain *chain;
    /* of chain->d_out dimensions, ids 0 ... n - 1; neither COSINE nor Auto */
    struct kith_index *inner;
    size_t n;               /* live rows of inner */
    const int64_t *ids;     /* the user's, by the inner index's; NULL: the same */
    const float *originals; /* n rows of chain->d_in, to refine on; NULL: none */
};
/* An index of chain->d_in dimensions and the inner index's metric.
 *   Errors   KITH_EINVAL parts that do not fit; KITH_EDUPLICATE; KITH_ENONFINITE; KITH_ENOMEM. */
int index_pre_wrap(struct kith_index **out, const struct pre_parts *parts, kith_error *err);
/* The parts of an index that is one of these and has learnt: they stay the index's, and as they are while nothing is
 * written. Ids of inner are row numbers of index. NULL for other indexes. */
const struct transform_chain *index_pre_chain(const struct kith_index *index);
const struct kith_index *index_pre_inner(const struct kith_index *index);

/* ---- pretransform_chain.c: from words to a chain ------------------------------------------------------------- */

/* The steps for a dimension and a metric, and what the inner index is compared by.
 *   Errors   KITH_ESPEC, err->at the offset of the word that cannot be. */
int pre_plan(struct pre *pre, const struct index_spec *spec, const kith_index_options *options,
             kith_error *err);
/* The words of a chain, each with a comma after it. */
void pre_print_chain(const struct transform_chain *chain, char *text, size_t size);

/* ---- pretransform.c: models --------------------------------------------------------------------------------------- */

/* An untrained chain around an empty inner index. */
int pre_model_new(struct pre_model **out, const struct pre *pre, kith_error *err);
void pre_model_free(struct pre_model *model, struct mem_account *owner);
bool pre_learns(const struct pre *pre);
/* Vectors that nobody needs any more leave the rows. Short memory: another time. */
void pre_let_go(struct pre *pre);
/* The inner index counts as this one's memory. */
int pre_join(const struct pre *pre, struct kith_index *inner, kith_error *err);

/* ---- operations ------------------------------------------------------------------------------------------------ */

int pre_train(struct kith_index *index, size_t n, const float *x, const kith_work *work,
              kith_error *err);
int pre_add(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
            const kith_work *work, kith_error *err);
int pre_update(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
               const kith_work *work, kith_error *err);
int pre_remove(struct kith_index *index, size_t n, const int64_t *ids, kith_error *err);
/* Make the inner index anew from the originals, behind the same chain. */
int pre_rebuild(struct kith_index *index, kith_error *err);
int pre_search(struct kith_index *index, const struct search_call *call, size_t n,
               const float *queries, int64_t *ids, float *dists, kith_error *err);
int pre_range(struct kith_index *index, const struct search_call *call, const float *query,
              float radius, struct scan_hits *hits, kith_error *err);
int pre_reconstruct(const struct kith_index *index, uint32_t row, float *out, kith_error *err);
int pre_check(const struct kith_index *index, kith_error *err);
int pre_repair(struct kith_index *index, uint64_t *mended, kith_error *err);
int pre_save(const struct kith_index *index, struct file_sections *out, kith_error *err);
int pre_load(struct kith_index *index, const struct index_file *file, kith_error *err);

#endif
