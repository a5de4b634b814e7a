/* What the levels share: how their names are put together, and which levels there are.
 *
 * A level's file defines kern_fill_<level>(), which writes its functions into a table that already holds those of the
 * level below it; kern.c builds the tables of the levels that run on this machine. */
#ifndef KITH_KERN_LEVEL_H
#define KITH_KERN_LEVEL_H

#include <stdatomic.h>

#include "kern/kern.h"

#define KERN_PASTE2(a, b)    a##_##b
#define KERN_PASTE3(a, b, c) a##_##b##_##c
#define KERN_NAME2(a, b)     KERN_PASTE2(a, b)
#define KERN_NAME(a, b, c)   KERN_PASTE3(a, b, c)
#define KERN_QUOTE(a)        #a
#define KERN_TEXT(a)         KERN_QUOTE(a)

#define VEC static inline __attribute__((always_inline, unused))

/* Into the second cache: into the first, a core can await only a few lines at once (docs/kernels.md). */
static inline void kern_prefetch(const void *p) { __builtin_prefetch(p, 0, 2); }

/* Lists of rows are fetched before they are read: LIST_LONG bytes of each of the first `ahead` rows at once, and then, as
 * each line of a row is read, the same line of the row `ahead` places on. Returns ahead: 12 short rows or 4 long ones. */
#define LIST_LONG 1024u
static inline size_t kern_list_start(const void *const *rows, size_t n, size_t bytes) {
    size_t ahead = bytes <= LIST_LONG ? 12 : 4, most = bytes <= LIST_LONG ? bytes : LIST_LONG;
    for (size_t i = 0; i < ahead && i < n; i++) {
        const char *row = rows[i];
        for (size_t at = 0; at < most; at += 64) {
            kern_prefetch(row + at);
            atomic_signal_fence(
                memory_order_seq_cst); /* else gcc 12 keeps only the first prefetch of the loop */
        }
        kern_prefetch(row + most - 1);
    }
    return ahead;
}

void kern_fill_scalar(struct kern *kern);
void kern_fill_avx2(struct kern *kern);
void kern_fill_avx512(struct kern *kern);
void kern_fill_avx512vnni(struct kern *kern);
void kern_fill_avx512vbmi(struct kern *kern);
void kern_fill_amx(struct kern *kern);
void kern_fill_neon(struct kern *kern);

#endif
