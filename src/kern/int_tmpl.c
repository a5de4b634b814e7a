/* Integer sums: u8, u6, u4, u2 and u1 codes with s8 queries, and exact i8 or u8 pairs. Included once by level.c.
 *
 *   1. Whole numbers modulo 2^32: any order of the additions gives the same result.
 *   2. Exactly the bytes of a row are read. */

#define CODE       u8
#define QUERY      s8x64
#define LINE       64
#define QUERY_LINE 64
#define QUERY_HALF s8x32
#include "kern/dots_tmpl.c"

#define CODE       u4
#define QUERY      s8x128
#define LINE       64
#define QUERY_LINE 128
#define QUERY_HALF s8x64h
#include "kern/dots_tmpl.c"

#define CODE       u6
#define QUERY      s8x128
#define LINE       96
#define QUERY_LINE 128
#define QUERY_HALF s8x64h
#include "kern/dots_tmpl.c"

#define CODE       u2
#define QUERY      s8x128
#define LINE       32
#define QUERY_LINE 128
#define QUERY_HALF s8x64h
#include "kern/dots_tmpl.c"

#define CODE       u1
#define QUERY      s8x64h
#define LINE       8
#define QUERY_LINE 64
#include "kern/dots_tmpl.c"

VEC uint32_t int_sum(const void *a, const void *b, size_t dim, int is_u8, int metric) {
    const char *x = a, *y = b;
    i32x16 acc = i32x16_zero();
    size_t i = 0;
    for (; i + INT_STEP <= dim; i += INT_STEP)
        acc = i32x16_step(acc, x + i, y + i, INT_STEP, is_u8, metric);
    if (i < dim) acc = i32x16_step(acc, x + i, y + i, dim - i, is_u8, metric);
    return i32x16_reduce(acc);
}

#define INT_PAIR(name, is_u8, metric)                                \
    static uint32_t name(const void *a, const void *b, size_t dim) { \
        return int_sum(a, b, dim, is_u8, metric);                    \
    }
INT_PAIR(int_i8_l2sq, 0, KERN_L2SQ)
INT_PAIR(int_i8_dot, 0, KERN_DOT)
INT_PAIR(int_i8_l1, 0, KERN_L1)
INT_PAIR(int_u8_l2sq, 1, KERN_L2SQ)
INT_PAIR(int_u8_dot, 1, KERN_DOT)
INT_PAIR(int_u8_l1, 1, KERN_L1)
#undef INT_PAIR
