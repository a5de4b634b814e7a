/* Indexes of other engines: their files become Kith indexes, and Kith indexes FAISS files.
 *
 *     kith_index *index;
 *     kith_conversion what = KITH_CONVERSION_INIT;
 *     kith_index_import(&index, "old.faiss", NULL, &what, &err);
 *     puts(what.text);      IVF-PQ of FAISS, 60,000 rows of 784: codes kept, lists kept ...
 *
 * Results are those of the other engine: the same ids, and distances but for the order of sums, in exact indexes always, in
 * inverted lists at equal nprobe. What cannot be had so is said in the conversion's text: never does a conversion change
 * results in silence. docs/faiss-files.md has the families and what becomes of each. */
#ifndef KITH_FOREIGN_H
#define KITH_FOREIGN_H

#include <kith/error.h>
#include <kith/index.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What became of a part of an index. */
typedef enum kith_fate {
    KITH_FATE_NONE,    /* there is no such part */
    KITH_FATE_KEPT,    /* as it was: same values, same links, same lists */
    KITH_FATE_RECODED, /* the same results out of another form */
    KITH_FATE_REBUILT  /* made anew from the vectors */
} kith_fate;

/* What a conversion did; filled in by it. */
typedef struct kith_conversion {
    uint32_t size;
    const char *engine;            /* "FAISS", "hnswlib", "usearch"; static */
    char family[64];               /* as that engine calls it: "PreTransform, IVF-PQ" */
    char spec[128];                /* the Kith index's description */
    kith_fate vectors;             /* rows, or the codes that stand for them */
    kith_fate links;               /* of a graph */
    kith_fate lists;               /* of an inverted file, centres included */
    uint32_t nprobe, ef, k_factor; /* search settings that the file carries, else 0 */
    char text[1024]; /* the same in sentences, and all else there is to know; one a line */
} kith_conversion;
#define KITH_CONVERSION_INIT                                                             \
    {                                                                                    \
        (uint32_t)sizeof(kith_conversion), NULL, "", "", KITH_FATE_NONE, KITH_FATE_NONE, \
            KITH_FATE_NONE, 0u, 0u, 0u, ""                                               \
    }

typedef struct kith_import_options {
    uint32_t size;
    int metric;       /* kith_metric, of files that do not tell (hnswlib); -1: not known */
    uint32_t threads; /* at most this many, the caller's included (1) */
} kith_import_options;
#define KITH_IMPORT_OPTIONS_INIT \
    { (uint32_t)sizeof(kith_import_options), -1, 1u }

/* Whose index file it is, by content: "Kith", "FAISS", "hnswlib", "usearch"; NULL for none of these.
 *   Owns     nothing; the strings are static.
 *   Threads  any.
 *   Cost     the head of the file; of one that may be usearch's, a look behind its vectors.
 *   Errors   KITH_EIO; *engine is NULL then. */
KITH_API int kith_index_engine(const char *path, const char **engine, kith_error *err);

/* Make a Kith index of another engine's file. options and what may be NULL.
 *   Owns     *out, freed by kith_index_free; the file is not needed after.
 *   Threads  any number at once.
 *   Cost     one pass over the file, mapped; coding where codes are kept in another layout; of a graph the links above the
 *            base level, a share of 1/m of a build. Memory: the index, and 8 bytes a row or list.
 *   Errors   KITH_EFORMAT none of these engines'; KITH_EUNSUPPORTED a family, code, metric or nesting that Kith has not, by
 *            name; KITH_ECORRUPT, KITH_ETRUNCATED (err->at: byte); KITH_EINVAL the metric has to be told, or an id is
 *            negative; KITH_EDUPLICATE an id comes twice; KITH_ENONFINITE, KITH_ERANGE (err->at: row); KITH_EDIM;
 *            KITH_EIO; KITH_ENOMEM. *out is untouched on error. */
KITH_API int kith_index_import(kith_index **out, const char *path,
                               const kith_import_options *options, kith_conversion *what,
                               kith_error *err);

/* Write an index as a FAISS file. what may be NULL.
 *   Owns     nothing; a file that is there is replaced, whole or not at all.
 *   Threads  searches go on; writers wait.
 *   Cost     the bytes of the file; memory of a code a row where codes are laid out anew.
 *   Errors   KITH_EUNSUPPORTED what FAISS has no family for (RaBitQ with Kith's rotation, Binary, an Auto without rows), by
 *            name; KITH_EIO, KITH_ENOSPC, KITH_ENOMEM; KITH_ECORRUPT lists of a damaged map. */
KITH_API int kith_index_export(const kith_index *index, const char *path, kith_conversion *what,
                               kith_error *err);

#ifdef __cplusplus
}
#endif
#endif
