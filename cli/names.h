/* Names to print beside ids: item i is the name of id i. */
#ifndef KITH_CLI_NAMES_H
#define KITH_CLI_NAMES_H

#include "cli.h"

typedef struct names {
    char **items;
    size_t n, capacity;
} names;

/* The words of a file of vectors that has such; else the lines of a text, where of a JSON object its "name",
 * "title", "word" or "text" is taken. */
int names_read(names *out, const char *path, kith_error *err);
void names_free(names *n);
/* "" for ids without a name. */
const char *name_of(const names *n, int64_t id);

#endif
