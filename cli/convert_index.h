/* kith convert where IN is an index. */
#ifndef KITH_CLI_CONVERT_INDEX_H
#define KITH_CLI_CONVERT_INDEX_H

#include "cli.h"

typedef enum index_target { INDEX_TO_NOTHING, INDEX_TO_KITH, INDEX_TO_FAISS } index_target;

typedef struct index_conversion {
    const char *in, *out;
    index_target to; /* INDEX_TO_NOTHING: the ending of `out` tells, or that `in` is Kith's */
    const shared_options *shared;
} index_conversion;

/* "kith", "faiss"; INDEX_TO_NOTHING for others. */
index_target index_target_parse(const char *text);
/* Whether IN is an index file, or --to says that it is to be one. */
bool index_is_converted(const char *path, index_target to);
int convert_index(const index_conversion *c, failure *f);

#endif
