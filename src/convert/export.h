/* An index on its way out: rows in the order of the file, and nodes of FAISS's made of them. Private to export*.c.
 *
 * Nodes point to memory that the exporting holds until the file is written. Rows of the file are the live rows, in the order
 * of their numbers. Under cosine, which FAISS lacks, vectors are written at length 1 and compared by inner product, behind a
 * transform that does the same to queries. Under L1, for which FAISS has no codes, vectors are written. */
#ifndef KITH_CONVERT_EXPORT_H
#define KITH_CONVERT_EXPORT_H

#include <kith/foreign.h>

#include "convert/convert.h"
#include "foreign/faiss.h"
#include "index/index.h"

struct held; /* a block of memory, in a list of such */

struct exporting {
    kith_conversion *what; /* never NULL */
    struct mem_account owner;
    struct held *held;
    const struct kith_index *index;
    kith_metric metric;
    uint32_t dim, n;
    uint32_t *row;   /* [n] row numbers */
    uint32_t *place; /* by row number: its place, or ROW_NONE */
    int64_t *ids;    /* [n], or NULL where they are 0 to n - 1 */
    bool by_place;   /* labels are places: something around asks by them */
};

/* Zeroed memory, freed with the exporting; NULL when memory is short. */
void *export_new(struct exporting *exporting, size_t n, size_t item_bytes);
/* An empty node of the index's dimension, metric and rows. */
int export_node(struct exporting *exporting, enum faiss_kind kind, struct faiss_node **out,
                kith_error *err);

/* ---- export_storage.c: vectors and codes ------------------------------------------------------------ */

/* What FAISS calls a code, and how its rows are laid out there. */
struct layout {
    enum faiss_kind kind; /* FAISS_FLAT, FAISS_SQ, FAISS_PQ */
    struct faiss_sq sq;
    struct faiss_pq pq;
    uint64_t code_size;
    const struct code *code;           /* of rows; or */
    const struct quantizer *quantizer; /* of lists' codes */
    float *low, *step;                 /* SQ of a quantizer: dim each */
    float *x;                          /* room for a vector */
    bool unit;                         /* vectors are written at length 1 */
};
/* Either code or quantizer. centre: added to what codes stand for; or NULL. bytes: bytes (u8) are written as such and not as
 * floats.
 *   Errors   KITH_EUNSUPPORTED what FAISS has no code for, by name; KITH_ENOMEM. */
int layout_init(struct layout *out, struct exporting *exporting, const struct code *code,
                const struct quantizer *quantizer, const float *centre, kith_error *err);
/* A row or code of Kith's to code_size bytes of FAISS's. */
void layout_write(const struct layout *layout, const uint8_t *row, uint8_t *out);
/* Fill a node (SQ, PQ or Flat part) with it. */
void layout_describe(const struct layout *layout, struct faiss_node *node);
/* All rows of a store's code as a node.
 *   Errors   those of layout_init. */
int export_rows(struct exporting *exporting, const struct code *code, const struct segs *rows,
                struct faiss_node **out, kith_error *err);

/* ---- structures ----------------------------------------------------------------------------------------- */

/* Each: the node of the index, without ids and without the transform of cosine. */
int export_graph(struct exporting *exporting, struct faiss_node **out, kith_error *err);
int export_lists(struct exporting *exporting, struct faiss_node **out, bool *has_ids,
                 kith_error *err);
/* Transforms around an inner index, whose rows these become. */
int export_wrapped(struct exporting *exporting, struct faiss_node **out, bool *has_ids,
                   kith_error *err);
/* Rows, a graph or lists: what an index is without ids and what is around. */
int export_core(struct exporting *exporting, struct faiss_node **out, bool *has_ids,
                kith_error *err);
/* Which rows there are, and their ids. */
int export_list_rows(struct exporting *exporting, kith_error *err);
/* L2norm around a node, where the metric is cosine. */
int export_normalised(struct exporting *exporting, struct faiss_node **root, kith_error *err);
/* A node that refines another by the store's originals. */
int export_refined(struct exporting *exporting, struct faiss_node *base, struct faiss_node **out,
                   kith_error *err);

#endif
