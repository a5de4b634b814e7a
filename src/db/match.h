/* Points asked whether a filter lets them pass. A matcher belongs to one thread at a time. */
#ifndef KITH_DB_MATCH_H
#define KITH_DB_MATCH_H

#include "db/collection.h"
#include "filter/filter.h"

struct matcher {
    struct collection *collection;
    struct json_parser *parser;
};

int matcher_init(struct matcher *out, struct collection *collection, kith_error *err);
void matcher_deinit(struct matcher *matcher);
/* A filter over a collection's points. */
int matcher_parse(struct filter **out, struct collection *collection, const char *text,
                  kith_error *err);
/* filter NULL: every point passes. KITH_ENOMEM, KITH_ECORRUPT. */
int matcher_asks(struct matcher *matcher, const struct filter *filter, const struct point *point,
                 bool *passes, kith_error *err);

#endif
