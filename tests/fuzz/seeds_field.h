/* Seeds that only a build with the database can make. */
#ifndef KITH_TESTS_FUZZ_SEEDS_FIELD_H
#define KITH_TESTS_FUZZ_SEEDS_FIELD_H

#include <stddef.h>

void fuzz_put_fields(void (*put)(const char *target, const char *name, const void *bytes,
                                 size_t n));

#endif
