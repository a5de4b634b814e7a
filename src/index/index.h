/* The one interface behind kith_index: a table of operations, and what all indexes share.
 *
 * index.c (public doors in src/api/) checks arguments, splits queries over threads, turns distances into the user's
 * values, and calls the table. An implementation embeds struct kith_index as its first member. */
#ifndef KITH_INDEX_INDEX_H
#define KITH_INDEX_INDEX_H

#include <kith/index.h>

#include "base/file.h"
#include "base/mem.h"
#include "index/rows.h"

struct search_call;
struct scan_scratch;
struct index_file;   /* sections of an open file, index/file.h */
struct file_sections;/* sections being written, index/file.h */

struct index_ops {
    const char *kind; /* "flat", "hnsw" */
    /* Frees what the implementation added; rows, spec, and the object itself are freed by index_free. */
    void (*deinit)(struct kith_index *index);
    int (*add)(struct kith_index *index, size_t n, const float *x, const int64_t *ids, const kith_work *work,
               kith_error *err);
    int (*remove)(struct kith_index *index, size_t n, const int64_t *ids, kith_error *err);
    /* One thread, n queries; inside distances out. */
    int (*search)(struct kith_index *index, const struct search_call *call, size_t n, const float *queries,
                  int64_t *ids, float *dists, kith_error *err);
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
    struct mem_account mem; /* everything the index holds, the object included */
    struct rows rows;
    struct scan_scratch *scratch; /* scan.c's, one block a reader slot, made on first use */
    kith_index_options options;
    char spec[64];      /* canonical */
    size_t object_bytes;
    struct file_map map; /* when mapped */
};

extern const struct index_ops flat_ops;  /* flat.c */
extern const struct index_ops graph_ops; /* graph.c */

/* What a SPEC means (factory.c). */
struct index_spec {
    bool graph;
    bool chooses;          /* Auto: decided at the first add */
    uint32_t m;            /* graph: links a row */
    struct rows_config rows; /* dim and metric filled in by the caller of factory_parse */
};
int factory_parse(const char *spec, struct index_spec *out, kith_error *err);
/* The canonical text of a spec ("HNSW16,SQ8,Refine"). */
void factory_print(const struct index_spec *spec, char *text, size_t size);

/* Make an index for a parsed spec: the implementation's object, rows initialised. */
int index_new_flat(struct kith_index **out, const struct index_spec *spec, const kith_index_options *options,
                   kith_error *err);
int index_new_graph(struct kith_index **out, const struct index_spec *spec, const kith_index_options *options,
                    kith_error *err);

#endif
