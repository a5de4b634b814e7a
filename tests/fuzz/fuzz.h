/* What every fuzz target has: one function that takes any bytes and must not crash, leak or hang.
 *
 * Built by libFuzzer (scripts/fuzz), or with driver.c for the short tests. A target states its property in
 * its first lines and calls fuzz_broken() where it does not hold. */
#ifndef KITH_TESTS_FUZZ_H
#define KITH_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define fuzz_broken(...)                                  \
    do {                                                  \
        fprintf(stderr, "property broken: " __VA_ARGS__); \
        fputc('\n', stderr);                              \
        abort();                                          \
    } while (0)

/* Open the bytes as an index file, by reading and by mapping, and use whatever opens (exercise.c). */
void fuzz_exercise(const uint8_t *bytes, size_t size);
/* Use an index: searches of all kinds, and, but for maps, changes. */
struct kith_index;
void fuzz_use(struct kith_index *index, int mode);

/* An index file of these sections (container.c): "TAG " u32 length bytes, as often as they come; what is
 * past the end is missing. *size is its length; freed by free. */
uint8_t *fuzz_container(const uint8_t *sections, size_t n, size_t *size);
/* The other way. */
uint8_t *fuzz_sections(const uint8_t *file, size_t n, size_t *size);
/* Make all checksums right that can be found. */
void fuzz_mend_checksums(uint8_t *file, size_t size);

#endif
