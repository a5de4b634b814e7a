/* What a search beside writers may answer; crowd.h says how that is known. */
#include "crowd.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

enum presence { ABSENT, PERHAPS, PRESENT };

/* ---- vectors ----------------------------------------------------------------------------------- */

/* Some of the late come from farther away, so that ranges of codes have to grow. */
static float spread_of(int64_t id) {
    int64_t late = id >= BACK_AT ? 0 : id % 100000;
    return id >= COMING_AT(0) && late % 3 == 0 ? 1.0f + 4.0f * (float)late / (float)COMING : 1.0f;
}

void crowd_vector(const struct crowd *crowd, int64_t id, uint32_t version, float *x) {
    uint64_t seed = bits_mix((uint64_t)id * 1000003 + version);
    bool late = id >= COMING_AT(0) && id < BACK_AT && id % 100000 >= (int64_t)COMING / 2;
    bool whole = crowd->whole && !late;
    for (size_t i = 0; i < DIM; i++) {
        float unit = draw_unit(&seed);
        x[i] =
            whole ? floorf(unit * 256) : (2 * unit - 1) * spread_of(id) * (crowd->whole ? 99 : 1);
    }
}

void crowd_init(struct crowd *crowd, kith_metric metric, bool whole) {
    *crowd = (struct crowd){.metric = metric, .whole = whole};
    crowd->first = malloc(FIRST * DIM * sizeof(float));
    for (size_t i = 0; i < FIRST; i++) crowd_vector(crowd, (int64_t)i, 0, crowd->first + i * DIM);
    for (int t = 0; t < ADDERS; t++) {
        crowd->coming[t] = malloc(COMING * DIM * sizeof(float));
        for (size_t i = 0; i < COMING; i++)
            crowd_vector(crowd, COMING_AT(t) + (int64_t)i, 0, crowd->coming[t] + i * DIM);
    }
}

void crowd_deinit(struct crowd *crowd) {
    kith_index_free(crowd->index);
    free(crowd->first);
    for (int t = 0; t < ADDERS; t++) free(crowd->coming[t]);
}

void crowd_fail(struct crowd *crowd, const char *format, ...) {
    va_list args;
    if (atomic_fetch_add(&crowd->failures, 1) > 0) return;
    va_start(args, format);
    vsnprintf(crowd->text, sizeof crowd->text, format, args);
    va_end(args);
}

/* ---- moments ----------------------------------------------------------------------------------- */

struct moment crowd_done(const struct crowd *crowd) {
    struct moment moment = {.removed = crowd->removed, .moved = crowd->moved};
    for (int t = 0; t < ADDERS; t++) moment.added[t] = crowd->added[t];
    return moment;
}

struct moment crowd_begun(const struct crowd *crowd) {
    struct moment moment = {.removed = crowd->removing, .moved = crowd->moving};
    for (int t = 0; t < ADDERS; t++) moment.added[t] = crowd->adding[t];
    return moment;
}

static enum presence presence_of(int64_t id, const struct moment *done,
                                 const struct moment *begun) {
    if (id < 0) return ABSENT;
    if (id < GOING_AT) return PRESENT;
    if (id < (int64_t)FIRST) {
        size_t place = (size_t)id - GOING_AT;
        return place < done->removed ? ABSENT : place < begun->removed ? PERHAPS : PRESENT;
    }
    for (int t = 0; t < ADDERS; t++) {
        if (id < COMING_AT(t) || id >= COMING_AT(t) + (int64_t)COMING) continue;
        size_t place = (size_t)(id - COMING_AT(t));
        return place < done->added[t] ? PRESENT : place < begun->added[t] ? PERHAPS : ABSENT;
    }
    return id >= BACK_AT && id < BACK_AT + BACK ? PERHAPS : ABSENT;
}

/* ---- answers ----------------------------------------------------------------------------------- */

static float dist_of(const struct crowd *crowd, const float *query, int64_t id, uint32_t version) {
    float made[DIM], dist = NAN;
    const float *x = made;
    if (version == 0 && id < (int64_t)FIRST)
        x = crowd->first + id * DIM;
    else if (id >= COMING_AT(0) && id < BACK_AT)
        x = crowd->coming[id / COMING_AT(0) - 1] + id % COMING_AT(0) * DIM;
    else
        crowd_vector(crowd, id, version, made);
    kith_distance(crowd->metric, KITH_TYPE_F32, DIM, query, x, &dist, NULL);
    return dist;
}

static bool is_nearer(const struct crowd *crowd, float dist, int64_t id, float than,
                      int64_t than_id) {
    if (dist == than) return id < than_id;
    return kith_metric_is_similarity(crowd->metric) ? dist > than : dist < than;
}

static bool is_moved(int64_t id) { return id >= KEPT && id < GOING_AT; }

static bool is_in(const struct answer *answer, int64_t id) {
    for (size_t i = 0; i < answer->n; i++)
        if (answer->ids[i] == id) return true;
    return false;
}

/* Every hit is allowed, once, in order, at its distance; NULL, or what is wrong with the hit at *at. */
static const char *hits_fault(const struct crowd *crowd, const struct answer *answer,
                              const struct moment *done, const struct moment *begun,
                              uint32_t version, size_t *at) {
    for (size_t i = *at = 0; i < answer->n; *at = ++i) {
        int64_t id = answer->ids[i];
        if (id == KITH_NO_ID) return "is missing";
        if (presence_of(id, done, begun) == ABSENT) return "is not there";
        float dist = dist_of(crowd, answer->query, id, is_moved(id) ? version : 0);
        if (dist != answer->dists[i]) return "is at another distance";
        if (i > 0 && !is_nearer(crowd, answer->dists[i - 1], answer->ids[i - 1], dist, id))
            return "is out of order";
        for (size_t j = 0; j < i; j++)
            if (answer->ids[j] == id) return "is there twice";
    }
    return NULL;
}

/* The first id that should be among the hits and is not, or KITH_NO_ID. */
static int64_t find_missing(const struct crowd *crowd, const struct answer *answer,
                            const struct moment *done, const struct moment *begun,
                            uint32_t version) {
    size_t total = FIRST + ADDERS * COMING;
    for (size_t i = 0; i < total; i++) {
        size_t late = i < FIRST ? 0 : i - FIRST;
        int64_t id = i < FIRST ? (int64_t)i : COMING_AT(late / COMING) + (int64_t)(late % COMING);
        if (presence_of(id, done, begun) != PRESENT) continue;
        float dist = dist_of(crowd, answer->query, id, is_moved(id) ? version : 0);
        if (is_nearer(crowd, dist, id, answer->limit, answer->limit_id) && !is_in(answer, id))
            return id;
    }
    return KITH_NO_ID;
}

void crowd_judge(struct crowd *crowd, const struct answer *answer, const struct moment *done,
                 const struct moment *begun, bool complete, const char *what) {
    const char *fault = NULL;
    int64_t missing = KITH_NO_ID;
    size_t at = 0;
    for (uint32_t version = done->moved; version <= begun->moved; version++) {
        fault = hits_fault(crowd, answer, done, begun, version, &at);
        if (fault) continue;
        missing = complete ? find_missing(crowd, answer, done, begun, version) : KITH_NO_ID;
        if (missing == KITH_NO_ID) return;
    }
    if (fault)
        crowd_fail(crowd, "%s, versions %u to %u: hit %zu of %zu, id %lld, %s", what, done->moved,
                   begun->moved, at, answer->n, (long long)answer->ids[at], fault);
    else
        crowd_fail(crowd, "%s, versions %u to %u: id %lld is missing among %zu hits", what,
                   done->moved, begun->moved, (long long)missing, answer->n);
}
