/* One instruction set's kernels: the vocabulary, then every template over it. Compiled once per level (meson.build)
 * with that level's flags and KERN_LEVEL naming it; the only symbol that leaves is kern_fill_<level>().
 *
 *   KERN_BASE   "vec_....h" is chosen by what the compiler may use, so that a level cannot use more than its flags.
 *   KERN_ADDS   the level only replaces the one-byte kernels of the level below it (avx512vnni over avx512). */
#include "kern/level.h"

#if defined(KERN_PLAIN)
#include "kern/vec_scalar.h"
#elif defined(__AVX512F__)
#include "kern/vec_avx512.h"
#elif defined(__AVX2__)
#include "kern/vec_avx2.h"
#elif defined(__aarch64__)
#include "kern/vec_neon.h"
#else
#error "no vocabulary for this level"
#endif

#include "kern/scan_select.h"
#include "kern/hamming_tmpl.c"
#include "kern/int_tmpl.c"
#include "kern/scan_tmpl.c"

#ifndef KERN_ADDS

/* What a pair of elements adds to its lane: kern.h's law. */
#define STEPS(vec)                                                                 \
    VEC vec vec##_step_dot(vec acc, vec a, vec b) { return vec##_fma(a, b, acc); } \
    VEC vec vec##_step_l2sq(vec acc, vec a, vec b) {                               \
        vec diff = vec##_sub(a, b);                                                \
        return vec##_fma(diff, diff, acc);                                         \
    }                                                                              \
    VEC vec vec##_step_l1(vec acc, vec a, vec b) {                                 \
        return vec##_add(acc, vec##_abs(vec##_sub(a, b)));                         \
    }
#define STEPS_OF(vec) STEPS(vec)
STEPS(f32x16)
#ifndef PART
#define PART  f32x16
#define PARTS 1
VEC f32x16 part_query(const float *p) { return f32x16_load_f32(p); }
VEC f32x16 *part_of(f32x16 *whole, size_t part) {
    (void)part;
    return whole;
}
#else
STEPS_OF(PART)
#endif

/* Rows that stay in the second cache while the queries of a tile pass over them. */
#define TILE_BYTES (256u << 10)

#define ELEM float
#define TYPE f32
#include "kern/dist_type.h"
#define ELEM uint16_t
#define TYPE f16
#include "kern/dist_type.h"
#define ELEM uint16_t
#define TYPE bf16
#include "kern/dist_type.h"
#define ELEM int8_t
#define TYPE i8
#include "kern/dist_type.h"
#define ELEM uint8_t
#define TYPE u8
#include "kern/dist_type.h"

#include "kern/convert_tmpl.c"
#include "kern/fold_tmpl.c"
#include "kern/hadamard_tmpl.c"

#if defined(KERN_PLAIN)
#include "kern/fast_scalar.h"
#elif defined(__AVX512F__)
#include "kern/fast_avx512.h"
#elif defined(__AVX2__)
#include "kern/fast_avx2.h"
#else
#include "kern/fast_neon.h"
#endif
#include "kern/fastscan_tmpl.c"
#include "kern/columns_tmpl.c"
#include "kern/lookup_tmpl.c"
#include "kern/lattice_tmpl.c"

#define FILL_DIST(kern, index, type)                     \
    do {                                                 \
        FILL_METRIC(kern, index, type, KERN_L2SQ, l2sq); \
        FILL_METRIC(kern, index, type, KERN_DOT, dot);   \
        FILL_METRIC(kern, index, type, KERN_L1, l1);     \
        (kern)->to_f32[index] = to_f32_##type;           \
        (kern)->dot_self[index] = dot_self_##type;       \
    } while (0)
#define FILL_METRIC(kern, index, type, number, metric)        \
    do {                                                      \
        (kern)->pair[index][number] = pair_##type##_##metric; \
        (kern)->rows[index][number] = rows_##type##_##metric; \
        (kern)->list[index][number] = list_##type##_##metric; \
        (kern)->tile[index][number] = tile_##type##_##metric; \
    } while (0)

static void fill_floats(struct kern *kern) {
    FILL_DIST(kern, KITH_TYPE_F32, f32);
    FILL_DIST(kern, KITH_TYPE_F16, f16);
    FILL_DIST(kern, KITH_TYPE_BF16, bf16);
    FILL_DIST(kern, KITH_TYPE_I8, i8);
    FILL_DIST(kern, KITH_TYPE_U8, u8);
    kern->from_f32[KITH_TYPE_F32] = from_f32_f32;
    kern->from_f32[KITH_TYPE_F16] = from_f32_f16;
    kern->from_f32[KITH_TYPE_BF16] = from_f32_bf16;
    kern->encode_u8 = encode_u8;
    kern->decode_u8 = decode_u8;
    kern->encode_s8 = encode_s8;
    kern->max_abs = max_abs;
    kern->fold_l2 = fold_l2;
    kern->fold_dot = fold_dot;
    kern->quantise = quantise;
    kern->fold_row = fold_row;
    kern->multiply = multiply;
    kern->hadamard = hadamard;
    kern->butterfly = butterfly;
    kern->fastscan_sums = fastscan_sums;
    kern->fastscan = fastscan;
    kern->columns_dot = columns_dot;
    kern->columns_l1 = columns_l1;
    kern->largest = largest;
    kern->lookup8_rows = lookup8_rows;
    kern->lookup4_rows = lookup4_rows;
    kern->lookup8_list = lookup8_list;
    kern->lookup4_list = lookup4_list;
    kern->table_span = table_span;
    kern->table_narrow = table_narrow;
    kern->lattice_fit = lattice_fit;
    kern->lattice_code = lattice_code;
    kern->subset_tables = subset_tables;
}

#else

static void fill_floats(struct kern *kern) { (void)kern; }

#endif

void KERN_NAME2(kern_fill, KERN_LEVEL)(struct kern *kern) {
    kern->name = KERN_TEXT(KERN_LEVEL);
    fill_floats(kern);
    kern->int_pair[0][KERN_L2SQ] = int_i8_l2sq;
    kern->int_pair[0][KERN_DOT] = int_i8_dot;
    kern->int_pair[0][KERN_L1] = int_i8_l1;
    kern->int_pair[1][KERN_L2SQ] = int_u8_l2sq;
    kern->int_pair[1][KERN_DOT] = int_u8_dot;
    kern->int_pair[1][KERN_L1] = int_u8_l1;
    kern->dot_u8s8_rows = dot_u8_rows;
    kern->dot_u8s8_list = dot_u8_list;
    kern->dot_u6s8_rows = dot_u6_rows;
    kern->dot_u6s8_list = dot_u6_list;
    kern->dot_u4s8_rows = dot_u4_rows;
    kern->dot_u4s8_list = dot_u4_list;
    kern->dot_u2s8_rows = dot_u2_rows;
    kern->dot_u2s8_list = dot_u2_list;
    kern->dot_u1s8_rows = dot_u1_rows;
    kern->dot_u1s8_list = dot_u1_list;
    kern->hamming_rows = hamming_rows;
    kern->hamming_list = hamming_list;
    kern->panel_bytes = panel_bytes;
    kern->pack_u8 = pack_u8;
    kern->scan_u8s8 = scan_u8s8;
}
