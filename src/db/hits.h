/* What queries give back: points with what was asked for of each, in one arena that goes with them. */
#ifndef KITH_DB_HITS_H
#define KITH_DB_HITS_H

#include "base/arena.h"
#include "db/collection.h"
#include "filter/payload.h"

/* What is shown of each point. */
struct shown {
    struct payload_selector payload;
    bool with_vectors;
};

struct result {
    kith_hits hits; /* the caller's; the rest is behind it */
    size_t room;
    struct shown shown;
    struct arena arena;
    struct json_parser *parser;
    struct json_writer *writer;
};

/* payload: a selector's text, or NULL. */
int result_new(struct result **out, const char *payload, bool with_vectors, kith_error *err);
/* One more, of a point as the snapshot sees it. */
int result_add(struct result *result, const struct snapshot *snapshot, const struct point *point,
               float score, kith_error *err);
/* The point that would have been next. */
int result_more(struct result *result, const struct point *point, kith_error *err);
/* Nothing more comes. */
kith_hits *result_finish(struct result *result);
void result_free(struct result *result);

#endif
