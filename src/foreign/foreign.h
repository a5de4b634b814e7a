/* Whose file is it? */
#ifndef KITH_FOREIGN_FOREIGN_H
#define KITH_FOREIGN_FOREIGN_H

#include <stddef.h>
#include <stdint.h>

enum foreign_engine { FOREIGN_NONE, FOREIGN_FAISS, FOREIGN_HNSWLIB, FOREIGN_USEARCH };

/* By content, from the whole file: FAISS by its first letters, usearch by its head behind the vectors, hnswlib, which
 * has no mark, by the numbers at its head. */
enum foreign_engine foreign_recognise(const uint8_t *bytes, size_t n);
/* "FAISS" and so on; "none". */
const char *foreign_engine_name(enum foreign_engine engine);

#endif
