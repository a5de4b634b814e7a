/* IVF: inverted lists. k-means centres, and for each the rows that are nearest to it, coded in runs that are scanned.
 *
 *     rows ---> coarse index over the centres ---> lists ---> chunks of 256: row numbers, codes
 *       \--------------------------------- originals, where they are kept, for re-ranking
 *
 * Until it is trained the index is its rows, scanned: results are exact. It is trained by kith_index_train, or by the add
 * that makes it IVF_TRAIN_POINTS rows a list (and IVF_QUANTIZE_ROWS where lists are quantised). Then the vectors leave the rows where no refinement was asked for.
 *
 * What a list version says never changes once a reader can see it. A writer builds new versions of the lists it touches, which
 * share the chunks that stay as they are, publishes them, and frees what was replaced after a grace period. Where codes lie
 * row by row it may write past what the versions say of a chunk (ivf_list.c). Lists that no longer fit their rows are learnt
 * anew as a whole (ivf_wear.c).
 *
 * Invariants
 *   1. Every live row is in exactly one list, once: list_of[row] names it. Dead and pending rows may be in lists; a
 *      reader asks whether a row is live.
 *   2. All chunks of a list but the last hold IVF_CHUNK rows.
 *   3. A row's code is that of its vector less its list's centre (under cosine: of the unit vector), or for plain codes
 *      of the vector itself.
 *   4. The centres are finite; list i is that of centre i.
 *   5. The model is published once complete and replaced as a whole; readers hold an epoch slot of the rows.
 * Locks   `writers` (one add, update, removal, training or save at a time), then those of rows.h.
 *
 * Metrics. Lists of plain codes score the index's own metric, by the float law. Quantised lists score L2 (also for EUCLID),
 * L1, or IP (also for cosine, over unit vectors). Centres: L2, L1, or unit vectors by IP for IP and cosine.
 * Source: Jégou, Douze & Schmid 2011 (IVFADC); Sivic & Zisserman 2003. */
#ifndef KITH_INDEX_IVF_H
#define KITH_INDEX_IVF_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/bits.h"
#include "base/status.h"
#include "index/index.h"
#include "index/scan.h"
#include "quant/kmeans.h"

#define IVF_CHUNK         256u
#define IVF_TRAIN_POINTS  16u   /* a list */
#define IVF_QUANTIZE_ROWS 4096u /* at least, where a quantizer learns too */

/* How the rows of lists are coded. */
struct ivf_code {
    kith_metric metric; /* of scores */
    bool unit;          /* vectors are scaled to length 1 first */
    bool residual;      /* centres are subtracted */
    bool exact;         /* scores are exact, not estimates: what files of other engines promise */
    struct code plain;  /* where quantizer is NULL */
    struct quantizer *quantizer;
    bool blocks;      /* the quantizer's block form is kept, else codes; never if `exact` */
    size_t row_bytes; /* of a code */
};

struct ivf_chunk {
    uint32_t n, capacity; /* rows; bytes were asked for so many; capacity 0: in a mapped file */
    const uint32_t *row;
    const uint8_t *codes;
};

struct ivf_list {
    uint32_t n, n_chunks;
    struct ivf_chunk chunk[];
};

/* The centres, and what finds the nearest: a set for k-means' scan, or an index. */
struct ivf_coarse {
    uint32_t nlist;
    size_t dim;
    float *centres; /* nlist x dim, of the set; else NULL */
    struct kmeans_set *set;
    struct kith_index *index;
};

/* How well lists fit what is in them (ivf_wear.c). Written by writers. */
struct ivf_wear {
    double loss, imbalance;    /* of what was learnt from */
    double n_written, written; /* rows since, and the sum of their losses; halved now and then */
    double placed;             /* the sum of the last ivf_place_rows */
    uint32_t n_recent;         /* rows written since the lists were looked at */
};

struct ivf_model {
    uint32_t nlist;
    struct ivf_coarse coarse;
    struct ivf_code code;
    uint64_t trained_n; /* rows it was trained on */
    struct ivf_wear wear;
    _Atomic(struct ivf_list *) list[];
};

struct ivf {
    struct kith_index index;
    uint32_t nlist, coarse_m;
    enum code_kind list_code;
    bool lone, refine;
    struct quantizer_spec quantizer;
    _Atomic(struct ivf_model *) model; /* NULL until trained */
    struct segs list_of;               /* uint32_t a row; ROW_NONE while it leaves */
    struct ivf_spill *spill;           /* lists of rows that are not held: ivf_stream.h */
    bool stale;                        /* memory was short: dead rows are in lists */
    pthread_mutex_t writers;
};

static inline struct ivf *ivf_of(const struct kith_index *index) {
    return (struct ivf *)(uintptr_t)index;
}

static inline struct ivf_model *ivf_model_of(const struct ivf *ivf) {
    return atomic_load_explicit(&ivf->model, memory_order_acquire);
}

static inline struct ivf_list *ivf_list_of(const struct ivf_model *model, uint32_t list) {
    return atomic_load_explicit(&model->list[list], memory_order_acquire);
}

static inline bool ivf_balance_is_valid(float balance) { return balance >= 0 && balance <= 1000; }

/* Where a row's list is written. */
static inline _Atomic uint32_t *ivf_place(const struct ivf *ivf, uint32_t row) {
    return (_Atomic uint32_t *)(void *)segs_at(&ivf->list_of, row);
}

/* ---- ivf_code.c: vectors to codes, codes to scores ---------------------------------------------- */

/* For integral data (all values whole, 0 to 255) a code of floats or SQ8 becomes u8, without loss. */
int ivf_code_init(struct ivf_code *code, const struct ivf *ivf, bool integral, kith_error *err);
void ivf_code_deinit(struct ivf_code *code, struct mem_account *owner);
/* From estimates to exact scores, before anything is coded. */
void ivf_code_be_exact(struct ivf_code *code);
/* Whether a quantizer that could code residuals codes whole vectors, as some lists of FAISS do. */
static inline bool ivf_code_is_whole(const struct ivf_code *code) {
    return code->quantizer && code->metric != KITH_METRIC_L1 && !code->residual;
}
/* Learn from n vectors as ivf_code_vector leaves them, less their centres where `residual`. */
int ivf_code_train(struct ivf_code *code, size_t n, const float *residuals, const kith_work *work,
                   kith_error *err);
/* The vector that is compared with centres, and that a quantizer codes: x, or x at length 1. out may be x. */
void ivf_code_vector(const struct ivf_code *code, size_t dim, const float *x, float *out);
/* Whether that is not x as it is. */
static inline bool ivf_code_scales(const struct ivf_code *code) {
    return code->metric == KITH_METRIC_COSINE || code->unit;
}
/* n vectors near one centre to codes, row_bytes apart: as the user gave them for plain codes, as ivf_code_vector leaves
 * them for a quantizer. */
void ivf_code_encode(const struct ivf_code *code, size_t dim, size_t n, const float *x,
                     const float *centre, uint8_t *codes);
/* Bytes of the codes of n rows in a chunk. */
size_t ivf_code_bytes(const struct ivf_code *code, uint32_t n);
/* n codes into a chunk's bytes, and code i of a chunk back. */
void ivf_code_pack(const struct ivf_code *code, const uint8_t *codes, uint32_t n, uint8_t *chunk);
void ivf_code_unpack(const struct ivf_code *code, const uint8_t *chunk, uint32_t i, uint8_t *out);
/* The vector of a code, its centre added: x within the code's error (under cosine with a quantizer: the unit vector). */
void ivf_code_decode(const struct ivf_code *code, size_t dim, const uint8_t *row,
                     const float *centre, float *out);

/* ---- ivf_coarse.c: the nearest lists -------------------------------------------------------------- */

/* Centres as vectors are that are compared with them; copied.
 *   Errors   KITH_ENONFINITE, KITH_ERANGE; KITH_ENOMEM. Nothing is kept then. */
int ivf_coarse_init(struct ivf_coarse *coarse, const struct ivf *ivf, uint32_t nlist,
                    const float *centres, kith_error *err);
void ivf_coarse_deinit(struct ivf_coarse *coarse, struct mem_account *owner);
/* In files: a graph's own sections, else CENT. */
int ivf_coarse_save(const struct ivf_coarse *coarse, struct file_sections *out, kith_error *err);
int ivf_coarse_load(struct ivf_coarse *coarse, const struct ivf *ivf, uint32_t nlist,
                    const struct index_file *file, kith_error *err);
/* Its bytes, and how many of them are in a mapped file. */
uint64_t ivf_coarse_memory(const struct ivf_coarse *coarse, uint64_t *mapped);
kith_metric ivf_coarse_metric(kith_metric metric);
/* A centre, exact. */
void ivf_coarse_centre(const struct ivf_coarse *coarse, uint32_t list, float *out);
/* The found->most nearest lists of n vectors as ivf_code_vector leaves them, dim floats apart, with the distances of their
 * centres. n is at most ivf_coarse_block; scratch of ivf_coarse_bytes, 64-byte aligned, is the caller's. Any thread. */
size_t ivf_coarse_block(const struct ivf_coarse *coarse, uint32_t most);
size_t ivf_coarse_bytes(const struct ivf_coarse *coarse, size_t n, uint32_t most);
int ivf_coarse_find(const struct ivf_coarse *coarse, size_t n, const float *x,
                    const struct kmeans_found *found, void *scratch, kith_error *err);
static inline void ivf_centre(const struct ivf_model *model, uint32_t list, float *out) {
    ivf_coarse_centre(&model->coarse, list, out);
}

/* ---- ivf_list.c: versions of lists --------------------------------------------------------------- */

/* A list without its rows that are `dead` (positions ascending, n_dead), then n more rows. Shares unchanged chunks. */
int ivf_list_new(struct ivf_list **out, const struct ivf_code *code, const struct ivf_list *old,
                 const uint32_t *dead, uint32_t n_dead, const uint32_t *row, const uint8_t *codes,
                 uint32_t n, struct mem_account *owner, kith_error *err);
/* Free a version; the chunks that `keeper` (NULL: none) has too are left to it. */
void ivf_list_free(struct ivf_list *list, const struct ivf_list *keeper,
                   const struct ivf_code *code, struct mem_account *owner);
/* A list whose rows lie elsewhere, chunk behind chunk, and one with a copy of them. */
int ivf_list_borrow(struct ivf_list **out, const struct ivf_code *code, uint32_t n,
                    const uint32_t *row, const uint8_t *codes, struct mem_account *owner,
                    kith_error *err);
int ivf_list_copy(struct ivf_list **out, const struct ivf_list *list, const struct ivf_code *code,
                  struct mem_account *owner, kith_error *err);
uint64_t ivf_list_bytes(const struct ivf_list *list, const struct ivf_code *code);
/* Of these, the chunks that lie in a mapped file. */
uint64_t ivf_list_mapped_bytes(const struct ivf_list *list, const struct ivf_code *code);

/* ---- ivf_model.c: centres and codes --------------------------------------------------------------- */

/* Room for nlist empty lists around as many centres; the code is the caller's to set. */
int ivf_model_new(struct ivf_model **out, const struct ivf *ivf, uint32_t nlist,
                  const float *centres, kith_error *err);
/* The same with centres from a file. */
int ivf_model_load(struct ivf_model **out, const struct ivf *ivf, uint32_t nlist,
                   const struct index_file *file, kith_error *err);
void ivf_model_free(struct ivf_model *model, struct mem_account *owner);
/* Learn centres (those of `old`, where it is not NULL) and codes from vectors as the user gave them; lists are empty. The
 * rows that will be placed need not be those that are learnt from, and only if both are whole are bytes the code. */
struct ivf_lesson {
    const struct kmeans_rows *x, *placed;
    const struct ivf_model *old;
};
/* Rows that this looks at: of each list for centres, and of all for a quantizer. */
uint32_t ivf_rows_a_list(uint32_t nlist);
size_t ivf_rows_to_learn(const struct quantizer *quantizer);
int ivf_model_train(struct ivf_model **out, const struct ivf *ivf, const struct ivf_lesson *lesson,
                    const kith_work *work, kith_error *err);

/* ---- ivf_place.c: rows into lists and out of them --------------------------------------------------- */

/* Put rows (numbers row[x->n], vectors as the user gave them) into the model's lists and list_of; all or nothing.
 * Replaced versions are freed after a grace period where readers can see the model. */
int ivf_place_rows(struct ivf *ivf, struct ivf_model *model, const struct kmeans_rows *x,
                   const uint32_t *row, const kith_work *work, kith_error *err);
/* Where a row is, in one version of its list; its vector decoded (KITH_ENOMEM). */
struct ivf_spot {
    const struct ivf_list *version;
    uint32_t list, i;
};
int ivf_decode_spot(const struct ivf_model *model, size_t dim, const struct ivf_spot *spot,
                    float *out, kith_error *err);
/* The vector of a live row, which is in a list or in the rows' store. In an epoch.
 *   Errors   KITH_ECORRUPT in neither, as a damaged map may have it; KITH_ENOMEM. */
int ivf_read_row(const struct ivf *ivf, uint32_t row, float *out, kith_error *err);
/* Of these rows, those that are in no list after all have none from now on: lists may have been learnt anew without them. */
void ivf_forget_strays(struct ivf *ivf, const struct ivf_model *model, size_t n,
                       const uint32_t *row);
/* Take rows out of their lists; all or nothing. */
int ivf_displace_rows(struct ivf *ivf, struct ivf_model *model, size_t n, const uint32_t *row,
                      kith_error *err);

/* ---- ivf_wear.c: when lists are to be learnt anew ---------------------------------------------------- */

/* How far x, as it is coded, is from the centre that was found at `dist`: 0 for a row on its centre. */
double ivf_loss(kith_metric coarse, size_t dim, const float *x, float dist);
/* Figures of a new model, from rows as they are coded. */
int ivf_wear_learn(struct ivf_model *model, const struct ivf *ivf, const struct kmeans_rows *coded,
                   kith_error *err);
/* Count n rows that ivf_place_rows just placed, beside n_live others, and look at the lists if it is time: whether they are
 * to be learnt anew. */
bool ivf_is_worn(const struct ivf *ivf, size_t n, uint32_t n_live);
/* n rows, all there are, were placed in lists that had learnt from others; the sum of their losses. */
void ivf_wear_fill(struct ivf_model *model, double losses, uint32_t n);

/* ---- operations ---------------------------------------------------------------------------------- */

int ivf_train(struct kith_index *index, size_t n, const float *x, const kith_work *work,
              kith_error *err);
/* How many rows an untrained index waits for. */
size_t ivf_rows_to_train(const struct ivf *ivf);
int ivf_stream(struct kith_index *index, struct rows_stream *stream, const char *path,
               kith_error *err);
int ivf_add(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
            const kith_work *work, kith_error *err);
int ivf_update(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
               const kith_work *work, kith_error *err);
int ivf_remove(struct kith_index *index, size_t n, const int64_t *ids, kith_error *err);
int ivf_search(struct kith_index *index, const struct search_call *call, size_t n,
               const float *queries, int64_t *ids, float *dists, kith_error *err);
int ivf_range(struct kith_index *index, const struct search_call *call, const float *query,
              float radius, struct scan_hits *hits, kith_error *err);
int ivf_reconstruct(const struct kith_index *index, uint32_t row, float *out, kith_error *err);
int ivf_check(const struct kith_index *index, kith_error *err);
int ivf_repair(struct kith_index *index, uint64_t *mended, kith_error *err);
/* Make the lists anew from the originals, around the same centres. */
int ivf_rebuild(struct kith_index *index, kith_error *err);
int ivf_save(const struct kith_index *index, struct file_sections *out, kith_error *err);
int ivf_load(struct kith_index *index, const struct index_file *file, kith_error *err);

#endif
