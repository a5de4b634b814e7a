/* What several doors check and copy of their arguments. */
#ifndef KITH_API_ARGUMENTS_H
#define KITH_API_ARGUMENTS_H

#include <stddef.h>

#include <kith/index.h>

/* Copy a caller's struct that begins with its size, which may be NULL, over the defaults: an older caller's is shorter, and the
 * rest keeps them. */
int api_copy_sized(void *to, size_t to_bytes, const void *from, const char *what, kith_error *err);
/* The same for how work is done. */
int api_read_work(const kith_work *given, kith_work *work, kith_error *err);
/* n vectors x are finite, and short enough for every distance to be finite. */
int api_check_vectors(size_t dim, size_t n, const float *x, const char *what, kith_error *err);

#endif
