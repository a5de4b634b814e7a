/* A collection, open: its points, its fields, and which slots are live. And the database it is in.
 *
 * Invariants
 *   1. live is of the store's last committed batch, or about to be: whoever commits publishes it before anything else.
 *   2. A read is a view and a live of the same batch (collection_read).
 * Locks   db.lock guards the catalog and the list of collections, and is held for no longer than that; a collection that is
 *         used is counted in users, and one that was dropped goes with its last user. */
#ifndef KITH_DB_COLLECTION_H
#define KITH_DB_COLLECTION_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include <kith/db.h>

#include "base/mem.h"
#include "base/status.h"
#include "db/live.h"
#include "store/points.h"

#define COLLECTION_NAME 255u /* bytes of a name */

struct vector_field {
    char name[KITH_MAX_NAME + 1];
    uint32_t number; /* of the store */
    uint32_t dim;
    kith_metric metric;
};

struct collection {
    struct collection *next;
    struct kith_db *db;
    struct mem_account mem;
    char name[COLLECTION_NAME + 1];
    uint32_t number; /* of its folder */
    uint32_t users;  /* under db.lock */
    bool dropped;
    struct points *points;
    uint32_t n_fields;
    struct vector_field field[KITH_MAX_FIELDS];
    _Atomic(struct live *) live;
    struct live *retired; /* the writer's who leads: replaced, perhaps still looked at */
};

struct kith_db {
    struct mem_account mem;
    pthread_mutex_t lock;
    struct collection *collections; /* by name, ascending by bytes */
    uint32_t next_number;
    bool failed; /* nobody knows which catalog is on the disk */
    int lock_fd;
    char folder[PATH_MAX];
};

/* Make (fields given) or open the collection of a folder. */
int collection_create(struct collection **out, struct kith_db *db, const char *name,
                      uint32_t number, uint32_t n_fields, const kith_vector_field *fields,
                      kith_error *err);
int collection_open(struct collection **out, struct kith_db *db, const char *name, uint32_t number,
                    kith_error *err);
void collection_close(struct collection *collection);
void collection_folder(char path[PATH_MAX], const struct kith_db *db, uint32_t number);

/* db.c: the collection of a name, counted until collection_release. */
int collection_use(struct kith_db *db, const char *name, struct collection **out, kith_error *err);
void collection_release(struct collection *collection);

/* KITH_ENOTFOUND when there is none of that name. */
int collection_field(const struct collection *collection, const char *name, uint32_t *field,
                     kith_error *err);
/* The mask of a point's vectors by the collection's numbers. */
uint64_t collection_fields_of(const struct collection *collection, const struct point *point);

/* What a reader sees: one batch. */
struct snapshot {
    struct collection *collection;
    struct points_view view;
    const struct live *live;
};
int collection_read(struct snapshot *out, struct collection *collection, kith_error *err);
void collection_read_end(struct snapshot *snapshot);

/* A new live in place of the old, which is freed when nobody looks at it any more. By who leads the writers. */
void collection_publish(struct collection *collection, struct live *live);

#endif
