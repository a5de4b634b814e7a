/* kith_db: collections of points, durable. Tier 2 of the library.
 *
 *     kith_db *db;
 *     kith_db_open(&db, "data", NULL, &err);
 *     kith_vector_field field = {.name = "", .dim = 384, .metric = KITH_METRIC_COSINE};
 *     kith_db_create(db, "notes", 1, &field, &err);
 *     kith_vector vector = {"", values, 384};
 *     kith_point point = {kith_id_number(7), "{\"topic\": \"cats\"}", 17, 1, &vector};
 *     kith_op op = {.kind = KITH_OP_UPSERT, .n_points = 1, .points = &point};
 *     kith_db_write(db, "notes", 1, &op, NULL, &err);
 *     kith_query query = KITH_QUERY_INIT;
 *     query.vector = values, query.dim = 384, query.filter = "{\"must\":[{\"key\":\"topic\",\"match\":{\"value\":\"cats\"}}]}";
 *     kith_hits *hits;
 *     kith_db_query(db, "notes", &query, &hits, &err);
 *
 * A database is a folder that one process writes. A collection is points: an id, a vector in each of some named fields, a
 * JSON payload. What a write did is durable when it returns, all of its operations or none, and every query that starts
 * after it sees it. Queries never wait for writes. Vectors travel as arrays, payloads, filters and selectors as JSON text
 * (docs/filters.md). Scores are exact, of the vectors as stored; an index only chooses which points are scored. There is none
 * yet: every query scans the vectors that pass its filter (docs/limits.md). */
#ifndef KITH_DB_H
#define KITH_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>
#include <kith/id.h>
#include <kith/vector.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KITH_MAX_NAME   200u /* bytes of a vector's name; of a collection's, 255 */
#define KITH_MAX_FIELDS 64u  /* vector fields of a collection */

typedef struct kith_db kith_db;

/* ---- databases and collections ------------------------------------------------------------------ */

typedef struct kith_db_options {
    uint32_t size;
    bool no_create; /* an error where there is no database yet */
} kith_db_options;
#define KITH_DB_OPTIONS_INIT \
    { (uint32_t)sizeof(kith_db_options), false }

/* Open the database in a folder; a folder that is missing or empty becomes one. options NULL: the defaults.
 *   Owns     *out, closed by kith_db_close.
 *   Errors   KITH_ELOCKED another process has it (which one, in the text); KITH_EFORMAT a folder that is not empty and holds no
 *            database, in which nothing has been touched; KITH_EVERSION, KITH_ECORRUPT; KITH_EIO, KITH_ENOSPC, KITH_ENOMEM. */
KITH_API int kith_db_open(kith_db **out, const char *path, const kith_db_options *options,
                          kith_error *err);
/* No call on it may be running. What was acknowledged is durable already. NULL is allowed. */
KITH_API void kith_db_close(kith_db *db);

/* A field of vectors. Strings are borrowed. */
typedef struct kith_vector_field {
    const char *name; /* "" for the one that needs none */
    size_t dim;
    /* L2, EUCLID, IP, COSINE or L1. COSINE: vectors are stored normalised, and given back so */
    kith_metric metric;
} kith_vector_field;

/* Make a collection.
 *   Errors   KITH_EDUPLICATE the name is taken; KITH_EINVAL a bad name, or none or two fields of one name; KITH_EDIM; KITH_EIO,
 *            KITH_ENOSPC, KITH_ENOMEM. */
KITH_API int kith_db_create(kith_db *db, const char *name, uint32_t n_fields,
                            const kith_vector_field *fields, kith_error *err);
/* Remove a collection and all that is in it. Calls on it that are running end as if before.
 *   Errors   KITH_ENOTFOUND. */
KITH_API int kith_db_drop(kith_db *db, const char *name, kith_error *err);
/* KITH_ENOTFOUND, KITH_EDUPLICATE. */
KITH_API int kith_db_rename(kith_db *db, const char *from, const char *to, kith_error *err);

/* The names of all collections, ascending by bytes, each ended by a zero, then an empty one. Freed by kith_text_free. */
KITH_API int kith_db_list(kith_db *db, char **out, kith_error *err);
KITH_API void kith_text_free(char *text);

typedef struct kith_collection_info {
    uint64_t n_points, seq; /* seq: batches that were written */
    uint32_t n_fields;
    struct {
        char name[KITH_MAX_NAME + 1];
        size_t dim;
        kith_metric metric;
        uint64_t n_vectors, n_indexed; /* those an index has; the others are scanned */
    } fields[KITH_MAX_FIELDS];
    uint64_t disk_bytes, memory_bytes;
} kith_collection_info;
KITH_API int kith_db_info(kith_db *db, const char *collection, kith_collection_info *out,
                          kith_error *err);

/* ---- writing ------------------------------------------------------------------------------------ */

typedef struct kith_vector {
    const char *field;
    const float *values;
    size_t dim;
} kith_vector;

typedef struct kith_point {
    kith_id id;
    const char *payload; /* a JSON object; NULL: {} */
    size_t payload_bytes;
    uint32_t n_vectors;
    const kith_vector *vectors;
} kith_point;

typedef enum kith_op_kind {
    KITH_OP_UPSERT = 1,  /* points, each in place of the one that has its id */
    KITH_OP_DELETE,      /* the points chosen; ids that are not there are no error */
    KITH_OP_SET_PAYLOAD, /* merge payload into those of the points chosen; null removes a member */
    KITH_OP_OVERWRITE_PAYLOAD, /* payload in place of those of the points chosen */
    KITH_OP_DELETE_PAYLOAD,    /* remove what the paths lead to */
    KITH_OP_CLEAR_PAYLOAD
} kith_op_kind;

/* One operation. Points are chosen by ids, or where ids is NULL by a filter (which may be "{}": all). */
typedef struct kith_op {
    kith_op_kind kind;
    size_t n_points;
    const kith_point *points;
    size_t n_ids;
    const kith_id *ids;
    const char *filter;
    const char *payload;
    size_t payload_bytes;
    size_t n_paths;
    const char *const *paths;
} kith_op;

/* Do n operations, in order, all of them or none, durably. *seq (may be NULL): the number of this batch, which is the version
 * of the points that it wrote.
 *   Owns     nothing; borrows all until it returns.
 *   Threads  any number at once, beside queries; writers of one collection share commits.
 *   Cost     two or three syncs of the disk, shared with other writers that wait; about a microsecond a point beside those.
 *   Errors   KITH_ENOTFOUND the collection, a field, or an id whose payload is to change; KITH_EDIM; KITH_ENONFINITE;
 *            KITH_ERANGE; KITH_EINVAL; KITH_EFILTER, KITH_ESYNTAX (err->at: byte); KITH_EIO, KITH_ENOSPC, KITH_ENOMEM,
 *            KITH_EFULL. Nothing has changed after any of them. */
KITH_API int kith_db_write(kith_db *db, const char *collection, size_t n, const kith_op *ops,
                           uint64_t *seq, kith_error *err);

/* ---- reading ------------------------------------------------------------------------------------ */

/* What to give of each point: payload a selector in JSON (true, false, ["a.b"], {"include": …}, {"exclude": …}); NULL: none. */
typedef struct kith_query {
    uint32_t size;
    const char *field;   /* whose vectors are searched ("") */
    const float *vector; /* the query; or NULL: */
    size_t dim;
    const kith_id *like; /* the vector of this point, which is not among the hits */
    const char *filter;  /* NULL: every point */
    size_t limit, offset;
    bool has_threshold;
    float threshold; /* only hits nearer than this */
    uint32_t ef;     /* effort of an index, 0: the default */
    bool exact;      /* every point that passes is scored */
    const char *payload;
    bool with_vectors;
} kith_query;
#define KITH_QUERY_INIT                                                                          \
    {                                                                                            \
        (uint32_t)sizeof(kith_query), "", NULL, 0u, NULL, NULL, 10u, 0u, false, 0.0f, 0u, false, \
            NULL, false                                                                          \
    }

typedef struct kith_hit {
    kith_id id;
    uint64_t version;
    /* of a query, by the field's metric; IP and COSINE are similarities. L2 is squared */
    float score;
    const char *payload; /* JSON, ended by a zero; NULL when none was asked for */
    size_t payload_bytes;
    uint32_t n_vectors;
    const kith_vector *vectors;
} kith_hit;

typedef struct kith_hits {
    size_t n;
    kith_hit *hits; /* nearest first, equal scores by ascending id */
    bool more;      /* of a scroll: there are more points, and the next is */
    kith_id next;
} kith_hits;

/* The nearest points.
 *   Owns     *out, freed by kith_hits_free, and everything in it.
 *   Threads  any number at once, beside writers.
 *   Cost     with an index about ef*M distances, else a scan; as many exact distances as are returned, twice.
 *   Errors   KITH_ENOTFOUND collection, field, or like; KITH_EDIM; KITH_ENONFINITE, KITH_ERANGE; KITH_EFILTER, KITH_ESYNTAX,
 *            KITH_EINVAL; KITH_ECORRUPT; KITH_ENOMEM. *out is untouched. */
KITH_API int kith_db_query(kith_db *db, const char *collection, const kith_query *query,
                           kith_hits **out, kith_error *err);
KITH_API void kith_hits_free(kith_hits *hits);

/* The points of given ids, in their order; those that are missing are left out. Scores are 0. */
KITH_API int kith_db_retrieve(kith_db *db, const char *collection, size_t n, const kith_id *ids,
                              const char *payload, bool with_vectors, kith_hits **out,
                              kith_error *err);
/* Points by rising id, from the first that is *from or comes after it (NULL: the first), that pass the filter, at most limit;
 * of the query, filter, limit, payload and with_vectors are read. To go on: from (*out)->next, where (*out)->more is set. */
KITH_API int kith_db_scroll(kith_db *db, const char *collection, const kith_id *from,
                            const kith_query *query, kith_hits **out, kith_error *err);
/* How many points pass a filter (NULL: all). Exact. */
KITH_API int kith_db_count(kith_db *db, const char *collection, const char *filter, uint64_t *count,
                           kith_error *err);

#ifdef __cplusplus
}
#endif
#endif
