/* A crowd around one index: who may come, go and change while others search, and what a search may then answer.
 *
 *     id                      what happens to it
 *     0 .. KEPT               nothing: present from beginning to end
 *     KEPT .. +MOVED          all replaced together, again and again: version v of each, v = 0, 1, ...
 *     then .. +GOING          removed, in this order
 *     COMING_AT(t) .. +COMING added, in this order, by adder t
 *     BACK_AT .. +BACK        added and removed again and again
 *
 * Whoever writes says so before the call and after it; whoever searches looks at that before and after. From both
 * moments follows which ids must be in an answer, which may, and which must not:
 *   1. Removed before the search began: absent. Not being removed when it ended: present.
 *   2. Added before it began: present. Not begun to be added when it ended: absent.
 *   3. The moved ids are all present, all in one version, that of some time between.
 * Vectors follow from id and version, so that every distance can be checked to the bit. */
#ifndef TESTS_UNIT_CROWD_H
#define TESTS_UNIT_CROWD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kith/kith.h>

#include "../recall/vectors.h"

enum { DIM = 16, KEPT = 1100, MOVED = 16, BACK = 4, ADDERS = 2 };
#define GOING            ((size_t)(40 + FEWER(320)))
#define COMING           ((size_t)(100 + FEWER(800)))
#define GOING_AT         (KEPT + MOVED)
#define FIRST            (GOING_AT + GOING) /* ids at the beginning */
#define COMING_AT(adder) (100000 * ((int64_t)(adder) + 1))
#define BACK_AT          1000000

struct crowd {
    kith_index *index;
    kith_metric metric;
    bool whole; /* numbers in 0..255, until half of the coming have come */
    float *first, *coming[ADDERS];
    _Atomic size_t removing, removed; /* of the going: begun, done */
    _Atomic size_t adding[ADDERS], added[ADDERS];
    _Atomic uint32_t moving, moved; /* versions */
    _Atomic int writers;            /* not done yet */
    _Atomic int failures;
    char text[240]; /* of the first failure */
};

/* What was done, or begun, when it was looked at. */
struct moment {
    size_t removed, added[ADDERS];
    uint32_t moved;
};

/* What came back for one query: sorted, n hits, and how far it must be complete. */
struct answer {
    const float *query;
    size_t n;
    const int64_t *ids;
    const float *dists;
    float limit;      /* user's value: every id that is nearer is there */
    int64_t limit_id; /* and, at just this distance, every smaller id */
};

void crowd_init(struct crowd *crowd, kith_metric metric, bool whole);
void crowd_deinit(struct crowd *crowd);
void crowd_vector(const struct crowd *crowd, int64_t id, uint32_t version, float *x);
/* Note a failure; the first one's text is kept. */
void crowd_fail(struct crowd *crowd, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct moment crowd_done(const struct crowd *crowd);
struct moment crowd_begun(const struct crowd *crowd);
/* Whether an answer to a search that began after `done` and ended before `begun` is right. `complete`: it must hold
 * every id up to its limit. */
void crowd_judge(struct crowd *crowd, const struct answer *answer, const struct moment *done,
                 const struct moment *begun, bool complete, const char *what);

#endif
