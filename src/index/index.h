/* The one interface behind kith_index: a table of operations, and what all indexes share.
 *
 * index.c (public doors in src/api/) checks arguments, splits queries over threads, turns distances into the user's
 * values, and calls the table. An implementation embeds struct kith_index as its first member. */
#ifndef KITH_INDEX_INDEX_H
#define KITH_INDEX_INDEX_H

#include <kith/build.h>
#include <kith/index.h>

#include "base/file.h"
#include "base/mem.h"
#include "index/factory.h"
#include "index/rows.h"

struct search_call;
struct scan_hits;
struct rows_stream;
struct effort_table;  /* a calibration, index/effort.h */
struct index_file;    /* sections of an open file, index/file.h */
struct file_sections; /* sections being written, index/file.h */

struct index_ops {
    const char *kind; /* "flat", "hnsw" */
    /* Frees what the implementation added; rows, spec, and the object itself are freed by index_free. */
    void (*deinit)(struct kith_index *index);
    int (*add)(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
               const kith_work *work, kith_error *err);
    /* Replace the vectors of ids that are present: rows_update_begin … commit, old rows to rows_release. */
    int (*update)(struct kith_index *index, size_t n, const float *x, const int64_t *ids,
                  const kith_work *work, kith_error *err);
    int (*remove)(struct kith_index *index, size_t n, const int64_t *ids, kith_error *err);
    /* Keep writers out (searches go on) from pause to resume, by the same thread: save runs rows_save and save in between.
     * Taken before any lock of rows.h. */
    void (*pause)(struct kith_index *index);
    void (*resume)(struct kith_index *index);
    /* One thread, n queries; inside distances out. */
    int (*search)(struct kith_index *index, const struct search_call *call, size_t n,
                  const float *queries, int64_t *ids, float *dists, kith_error *err);
    /* Every search scans originals, so that its recall is 1. NULL: no. */
    bool (*scans)(const struct kith_index *index);
    /* NULL: scan_range over the rows. */
    int (*range)(struct kith_index *index, const struct search_call *call, const float *query,
                 float radius, struct scan_hits *hits, kith_error *err);
    /* The vector of a live row, in an epoch. NULL: what the rows' store has. */
    int (*reconstruct)(const struct kith_index *index, uint32_t row, float *out, kith_error *err);
    /* NULL: nothing is learnt but from the rows that are added. */
    int (*train)(struct kith_index *index, size_t n, const float *x, const kith_work *work,
                 kith_error *err);
    /* Make what the index is beside its rows of rows that are not held (rows_stream.h), but for save; `path` is where that
     * will write. NULL: cannot. */
    int (*stream)(struct kith_index *index, struct rows_stream *stream, const char *path,
                  kith_error *err);
    /* Adds its components and figures to what index.c filled in for the rows. */
    void (*stats)(const struct kith_index *index, kith_index_stats *stats);
    int (*check)(const struct kith_index *index, kith_error *err);
    int (*repair)(struct kith_index *index, uint64_t *mended, kith_error *err);
    int (*save)(const struct kith_index *index, struct file_sections *out, kith_error *err);
    /* Attach to an open file whose rows are loaded already. */
    int (*load)(struct kith_index *index, const struct index_file *file, kith_error *err);
};

struct kith_index {
    const struct index_ops *ops;
    struct mem_account mem; /* everything the index holds but the object itself */
    struct rows rows;
    kith_index_options options;
    char spec[FACTORY_TEXT]; /* canonical */
    size_t object_bytes;
    /* the calibration, or NULL; read in an epoch of the rows */
    _Atomic(struct effort_table *) efforts;
    _Atomic uint64_t changed; /* rows added, removed or replaced since */
    struct file_map map;      /* when mapped */
    /* Auto: an empty flat index that at the first add makes `chosen` and from then on stands for it */
    bool chooses;
    _Atomic(struct kith_index *) chosen;
    pthread_mutex_t choosing;
};

extern const struct index_ops flat_ops;  /* flat.c */
extern const struct index_ops graph_ops; /* graph.c */
extern const struct index_ops ivf_ops;   /* ivf.c */
extern const struct index_ops pre_ops;   /* pretransform.c */

/* Make an index for a parsed spec: the implementation's object (mem_new without an owner), rows initialised. */
int index_new_flat(struct kith_index **out, const struct index_spec *spec,
                   const kith_index_options *options, kith_error *err);
int index_new_graph(struct kith_index **out, const struct index_spec *spec,
                    const kith_index_options *options, kith_error *err);
int index_new_ivf(struct kith_index **out, const struct index_spec *spec,
                  const kith_index_options *options, kith_error *err);
int index_new_pre(struct kith_index **out, const struct index_spec *spec,
                  const kith_index_options *options, kith_error *err);

/* index.c: the whole object, whatever it is; made from a parsed spec with dimension and metric, or from a description. */
int index_make(struct kith_index **out, const struct index_spec *spec,
               const kith_index_options *options, kith_error *err);
int index_new(struct kith_index **out, uint32_t dim, kith_metric metric, const char *spec,
              const kith_index_options *options, kith_error *err);
void index_free(struct kith_index *index);
/* The index that answers: the chosen one of an Auto that has chosen, else the index itself. */
struct kith_index *index_real(const struct kith_index *index);
/* The same for an add of n rows: an Auto chooses now, and *fresh is what it chose, to be published by index_chose after
 * the add went well, or freed. index_choose returns with `choosing` locked where *fresh is not NULL. */
int index_choose(struct kith_index *index, size_t n, struct kith_index **real,
                 struct kith_index **fresh, kith_error *err);
/* index_auto.c: the description that Auto stands for, by rules, into FACTORY_TEXT bytes. */
void index_auto(uint32_t dim, size_t n, const kith_index_options *wanted, char *spec);
void index_chose(struct kith_index *index, struct kith_index *fresh, bool publish);
void index_stats(const struct kith_index *index, kith_index_stats *stats);
/* More bytes of a component. */
void index_put_component(kith_index_stats *stats, const char *name, uint64_t bytes);
int index_check(const struct kith_index *index, kith_error *err);
int index_check_file(const struct kith_index *index,
                     kith_error *err); /* of a map: every checksum */
int index_save(const struct kith_index *index, const char *path, kith_error *err);
/* index_file.c: all sections of an index that is paused, and an index from its sections; check: its structure too. */
int index_put_sections(const struct kith_index *index, struct file_sections *out, kith_error *err);
int index_load_sections(struct kith_index **out, const struct index_file *file, bool check,
                        kith_error *err);
/* build.c: the file of an index of rows that are never all in memory. `how` is complete. */
int index_build(const char *path, const kith_rows *rows, const kith_build *how,
                const kith_work *work, kith_error *err);
int index_open(struct kith_index **out, const char *path, int mode, kith_error *err);

#endif
