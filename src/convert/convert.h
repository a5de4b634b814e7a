/* Conversion: other engines' files to indexes of Kith, and back. Private to this folder.
 *
 *     file --src/foreign--> views --storage.h, plans here--> rows, links, lists --index/import.h--> kith_index
 *     kith_index --rows, links, lists--> tree of FAISS nodes --src/foreign--> file
 *
 * Nothing that a file says is trusted beyond what the views promise. What was done goes into a kith_conversion. */
#ifndef KITH_CONVERT_CONVERT_H
#define KITH_CONVERT_CONVERT_H

#include <kith/foreign.h>

#include "convert/storage.h"

/* One line more for the report. */
void tell(kith_conversion *what, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What an import works with. */
struct importing {
    kith_import_options options;
    kith_conversion *what;    /* never NULL */
    struct mem_account owner; /* of scratch, not of the index */
};

/* Vectors from storages into an index's rows. */
struct row_source {
    const struct storage *rows;      /* what is searched first: vectors, or codes */
    const struct storage *originals; /* for re-ranking, beside; or NULL */
    const int64_t *ids;              /* NULL: row numbers */
};
/* All values whole, 0 to 255: then Kith keeps bytes.   Errors   KITH_ENOMEM. */
int source_is_integral(const struct storage *storage, bool *integral, struct mem_account *owner,
                       kith_error *err);
/* Fill the index's rows. Its description keeps originals where the source has them, and codes them as the storage says. */
int import_rows(struct kith_index *index, const struct row_source *source,
                struct importing *importing, kith_error *err);
/* The graph over them: links are taken where there is room for `most` of them, else made anew. */
int import_links(struct kith_index *index, const struct link_source *source, uint64_t most,
                 struct importing *importing, kith_error *err);
/* Links a row for a graph whose base level has room for so many. */
uint32_t graph_links_for(uint64_t most);
/* Make the index, checking dimension and rows first. */
int import_new(struct kith_index **out, uint64_t dim, uint64_t n, kith_metric metric,
               const char *spec, struct importing *importing, kith_error *err);

int import_faiss(struct kith_index **out, const uint8_t *bytes, size_t n,
                 struct importing *importing, kith_error *err); /* import_faiss.c */
int import_hnswlib(struct kith_index **out, const uint8_t *bytes, size_t n,
                   struct importing *importing, kith_error *err); /* import_graphs.c */
int import_usearch(struct kith_index **out, const uint8_t *bytes, size_t n,
                   struct importing *importing, kith_error *err); /* import_graphs.c */

#endif
