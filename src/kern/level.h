/* What the levels share: how their names are put together, and which levels there are.
 *
 * A level's file defines kern_fill_<level>(), which writes its functions into a table that already holds those of the
 * level below it; kern.c builds the tables of the levels that run on this machine. */
#ifndef KITH_KERN_LEVEL_H
#define KITH_KERN_LEVEL_H

#include "kern/kern.h"

#define KERN_PASTE2(a, b)    a##_##b
#define KERN_PASTE3(a, b, c) a##_##b##_##c
#define KERN_NAME2(a, b)     KERN_PASTE2(a, b)
#define KERN_NAME(a, b, c)   KERN_PASTE3(a, b, c)
#define KERN_QUOTE(a)        #a
#define KERN_TEXT(a)         KERN_QUOTE(a)

#define VEC static inline __attribute__((always_inline, unused))

/* Into all caches, for reading. */
static inline void kern_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }

void kern_fill_scalar(struct kern *kern);
void kern_fill_avx2(struct kern *kern);
void kern_fill_avx512(struct kern *kern);
void kern_fill_avx512vnni(struct kern *kern);
void kern_fill_amx(struct kern *kern);
void kern_fill_neon(struct kern *kern);

#endif
