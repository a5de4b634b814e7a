/* One FAISS index on its way in: what its tree says, taken apart. Private to import_faiss.c and import_lists.c. */
#ifndef KITH_CONVERT_IMPORT_FAISS_H
#define KITH_CONVERT_IMPORT_FAISS_H

#include "convert/convert.h"

struct faiss_plan {
    struct importing *importing;
    const struct faiss_node *map, *chain, *refine; /* around the core; or NULL */
    const struct faiss_node *core, *stored;        /* stored: whose rows or lists hold codes */
    kith_metric metric;
    struct storage storage;   /* of `stored` */
    struct storage originals; /* of the refinement, where there is one */
    bool refines;             /* codes, and originals beside */
    bool refines_around;      /* originals are beside the transforms, not behind them */
    /* What rows or lists are filled with: the storage, or the originals where these are searched themselves. */
    const struct storage *filling;
    int64_t *ids; /* by row number; NULL: numbers are ids */
    uint64_t n_ids;
};

/* IVF: index made, filled and given its lists. */
int import_lists(struct kith_index **out, struct faiss_plan *plan, kith_error *err);
/* Codes without lists: one list around the origin. */
int import_lone(struct kith_index **out, struct faiss_plan *plan, kith_error *err);
/* The transforms around a core that is made, and what is around them; the index becomes the whole. import_transforms.c */
int import_wrapped(struct kith_index **index, struct faiss_plan *plan, kith_error *err);
struct transform_chain;
int import_chain(struct transform_chain *out, const struct faiss_node *node,
                 struct importing *importing, kith_error *err);
/* ",Refine" and the like, or "". */
const char *plan_refine_word(const struct faiss_plan *plan);
/* Rows into the index: vectors, or ids alone where lists hold the codes. */
int plan_fill_rows(struct kith_index *index, struct faiss_plan *plan, kith_error *err);

#endif
