/* Kernels: the arithmetic that everything else waits for, once per instruction set, chosen once per process.
 *
 * The law (scalar is the law, STYLE 3.8). A float sum over dim elements has 16 lanes; element i is added into lane
 * i % 16 in rising order of i, by one fma (DOT: fma(a,b,lane); L2SQ: d=a-b, fma(d,d,lane); L1: lane + |a-b|); missing
 * elements of the last group of 16 count as zeros in both operands. Lanes are then added as a tree: 8 upper to 8 lower,
 * then 4, 2, 1. Any two kernels below that compute a distance of the same two vectors give the same bits, at every
 * instruction set, blocking and alignment. f16, bf16, i8, u8 rows are converted to f32 (exactly) on load.
 * Integer kernels are exact modulo 2^32.
 *
 * Row addresses need no alignment. dim is 1..65536. No kernel allocates, locks or fails. */
#ifndef KITH_KERN_H
#define KITH_KERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kith/vector.h> /* kith_type */

enum kern_metric { KERN_L2SQ = 0, KERN_DOT = 1, KERN_L1 = 2, KERN_METRICS = 3 };
enum { KERN_TYPES = 5 };

/* query is always f32; row elements have the table's type. All distances "as computed": DOT is not negated. */
typedef float (*kern_pair_fn)(const float *query, const void *row, size_t dim);
/* n consecutive rows, stride bytes apart. */
typedef void (*kern_rows_fn)(const float *query, const void *rows, size_t stride, size_t n,
                             size_t dim, float *out);
/* n rows by address: the first ones are fetched at once, later ones while earlier ones are scored. */
typedef void (*kern_list_fn)(const float *query, const void *const *rows, size_t n, size_t dim,
                             float *out);
/* n_q queries (f32, q_stride FLOATS apart) against n rows, blocked in registers: out[i*out_stride + j]. */
typedef void (*kern_tile_fn)(const float *queries, size_t q_stride, size_t n_q, const void *rows,
                             size_t stride, size_t n, size_t dim, float *out, size_t out_stride);

/* One byte codes: rows are u8 codes, queries are s8. bytes is a multiple of 32 (rows and queries are padded; the
 * query's padding is zero, so the row's padding may hold anything, e.g. the row term). Result: sum(row[i]*query[i]). */
typedef void (*kern_dot_u8s8_rows_fn)(const int8_t *query, const uint8_t *rows, size_t stride,
                                      size_t n, size_t bytes, int32_t *out);
typedef void (*kern_dot_u8s8_list_fn)(const int8_t *query, const uint8_t *const *rows, size_t n,
                                      size_t bytes, int32_t *out);
/* Codes of 1, 2, 4 and 6 bits: the same functions, other bytes. A line of a row holds 128 codes (u1: 64):
 *   u1   8 bytes: code j is bit j % 8 of byte j / 8
 *   u2   32 bytes: codes j, 32 + j, 64 + j, 96 + j are bits 0-1, 2-3, 4-5, 6-7 of byte j, j < 32
 *   u4   64 bytes: code j in the lower half of byte j, code 64 + j in the upper half, j < 64
 *   u6   96 bytes: the lower 4 bits as in u4, then 32 bytes: the upper 2 bits of codes j, 32 + j, 64 + j, 96 + j are bits
 *        0-1, 2-3, 4-5, 6-7 of byte 64 + j, j < 32
 * A row of u2, u4 or u6 may end in half a line, which is the same with every count above halved. The query has one
 * s8 a code, in the order of codes; where it is zero, the row may hold anything. */

/* Bits in which rows differ from a query, both of `bytes` bytes, a multiple of 8. */
typedef void (*kern_hamming_rows_fn)(const uint8_t *query, const uint8_t *rows, size_t stride,
                                     size_t n, size_t bytes, uint32_t *out);
typedef void (*kern_hamming_list_fn)(const uint8_t *query, const uint8_t *const *rows, size_t n,
                                     size_t bytes, uint32_t *out);

/* Batch scan of one-byte codes with the selection fused in. Rows are first packed in panels of KERN_PANEL rows
 * (kern.pack_u8; the layout is private to the instruction set: panel_bytes(bytes) bytes a panel, rows missing from
 * the last panel read as zero codes). scan_u8s8 then computes, for each query i and packed row j,
 *     dist = fmaf(scale[i], (float)dot, term[j] + bias[i])
 * (one rounding for term+bias, one for the fma: the same bits at every instruction set) and for each dist <= limit[i]
 * appends {row0 + j, dist} to hits + i*hits_stride, counting in n_hits[i] (rising j; the caller leaves room for n rows
 * a query). Nothing else is written. */
#define KERN_PANEL 16u
struct kern_hit {
    uint32_t row;
    float dist;
};
struct kern_scan {
    const uint8_t *panels; /* ceil(n / 16) packed panels */
    const float *term;     /* n row terms, readable up to a multiple of 16 */
    uint32_t row0;         /* number of the first packed row */
    uint32_t n;            /* packed rows */
    size_t bytes;          /* code bytes a row, a multiple of 64 */
    size_t codes; /* of a query only the first so many may be other than 0; 0: no promise */
    const int8_t *queries; /* n_q queries, bytes apart */
    size_t n_q;
    const float *scale, *bias, *limit; /* one a query */
    struct kern_hit *hits;
    size_t hits_stride;
    uint32_t *n_hits;
};

/* In-register scan of 4-bit codes ("fast scan"). A block holds m nibbles of each of KERN_BLOCK rows, m a multiple of 4,
 * in lines of 64 bytes: line g, byte 4 r + k has nibble 4 g + k of row r in its lower half and of row r + 16 in its
 * upper half, r < 16, k < 4. This layout is the same at every instruction set and goes into files. lut[m][16] has a table
 * for each nibble; the sum of a row is that of lut[i][nibble i] over all i < m, exactly, below 2^24: m is at most 65536.
 * Blocks lie `stride` bytes apart, at least 16 m; what else they hold is the caller's. No address need be aligned. */
#define KERN_BLOCK 32u
typedef void (*kern_fastscan_sums_fn)(const uint8_t *lut, size_t m, const uint8_t *blocks,
                                      size_t stride, size_t n, uint32_t *sums);
/* The same with distances and selection fused in. At offsets `term`, `factor` and `error` of a block lie 32 f32, one a
 * row; each may be 0, which is: none (a term of 0).
 *     dist = fma(factor[row], fma(scale, sum, shift), term[row] + bias)    or, where there is no factor,
 *     dist = fma(scale, sum, term[row] + bias)
 *     bit row of mask = (error ? fma(-margin, error[row], dist) : dist) <= limit
 * each sum and fma being one rounding, the same bits at every instruction set. Rows that a last block lacks are
 * computed like others. */
struct kern_fastscan {
    const uint8_t *lut, *blocks;
    size_t m, stride, n; /* nibbles a row, bytes from block to block, blocks */
    size_t term, factor, error;
    float scale, shift, bias, margin, limit;
    float *dist;    /* n x 32 */
    uint32_t *mask; /* n */
};

/* n rows with k vectors of dim elements stored by columns: element d of vector j at columns[d * k + j], k a multiple of
 * 16. out[i * k + j] begins as start[j], or, start NULL, goes on from what it holds, for d = 0, 1, ...: dot  fma(x[i][d], element, out), l1  out +
 * |x[i][d] - element|, one after the other, the same bits at every instruction set. */
struct kern_columns {
    const float *x; /* n rows, stride floats apart */
    size_t stride, n;
    const float *columns, *start;
    size_t k, dim;
    float *out; /* n x k */
};

/* Sums of m table entries that a code names: entry i, of tables[i][256] by byte i or of tables[i][16] by nibble i (byte
 * i / 2, lower half first), is added to lane i % 16, then the lanes as above. Codes need no alignment. */
typedef void (*kern_lookup_rows_fn)(const float *tables, size_t m, const uint8_t *codes,
                                    size_t stride, size_t n, float *out);
typedef void (*kern_lookup_list_fn)(const float *tables, size_t m, const uint8_t *const *codes,
                                    size_t n, float *out);

/* Exact integer pairs for the public arithmetic: both vectors i8 or both u8. Sums modulo 2^32 (they fit: at most
 * 65536*255*255); DOT of i8 is to be read as int32_t. */
typedef uint32_t (*kern_int_fn)(const void *a, const void *b, size_t dim);

struct kern {
    const char *name; /* "scalar", "avx2", "avx512", "avx512vnni", "avx512vbmi", "amx", "neon" */
    kern_pair_fn pair[KERN_TYPES][KERN_METRICS];
    kern_rows_fn rows[KERN_TYPES][KERN_METRICS];
    kern_list_fn list[KERN_TYPES][KERN_METRICS];
    kern_tile_fn tile[KERN_TYPES][KERN_METRICS];
    kern_dot_u8s8_rows_fn dot_u8s8_rows, dot_u6s8_rows, dot_u4s8_rows, dot_u2s8_rows, dot_u1s8_rows;
    kern_dot_u8s8_list_fn dot_u8s8_list, dot_u6s8_list, dot_u4s8_list, dot_u2s8_list, dot_u1s8_list;
    kern_hamming_rows_fn hamming_rows;
    kern_hamming_list_fn hamming_list;
    size_t (*panel_bytes)(size_t bytes);
    void (*pack_u8)(const uint8_t *rows, size_t stride, size_t n, size_t bytes, uint8_t *panels);
    void (*scan_u8s8)(const struct kern_scan *scan);
    kern_fastscan_sums_fn fastscan_sums;
    void (*fastscan)(const struct kern_fastscan *scan);
    void (*columns_dot)(const struct kern_columns *columns);
    void (*columns_l1)(const struct kern_columns *columns);
    /* Number of the first of the largest of n floats, n a multiple of 16, at most 2^24; any below n where one is NaN. */
    size_t (*largest)(const float *x, size_t n);
    kern_lookup_rows_fn lookup8_rows, lookup4_rows;
    kern_lookup_list_fn lookup8_list, lookup4_list;
    /* Of m tables of 16: low[i] = the least entry; returns the widest span, the largest max - min. */
    float (*table_span)(const float *tables, size_t m, float *low);
    /* out[i][j] = round((tables[i][j] - low[i]) * inverse), held within 0 and 255. */
    void (*table_narrow)(const float *tables, size_t m, const float *low, float inverse,
                         uint8_t *out);
    kern_int_fn int_pair[2][KERN_METRICS]; /* [0] i8, [1] u8 */
    /* n elements from or to f32; f16 and bf16 round to nearest even, overflow to infinity. */
    void (*to_f32[KERN_TYPES])(const void *in, size_t n, float *out);
    void (*from_f32[3])(const float *in, size_t n, void *out); /* f32, f16, bf16 */
    /* Code one row: out[i] = clamp(round_to_even((in[i] - low[i]) * inv_step[i]), 0, 255). */
    void (*encode_u8)(const float *in, const float *low, const float *inv_step, size_t n,
                      uint8_t *out);
    /* Back: out[i] = fma(row[i], step[i], low[i]). */
    void (*decode_u8)(const uint8_t *row, const float *low, const float *step, size_t n,
                      float *out);
    /* Quantise a query: out[i] = clamp(round_to_even(in[i] * scale), -127, 127). */
    void (*encode_s8)(const float *in, float scale, size_t n, int8_t *out);
    /* Sum of squares of a row, by the law: the bits of pair[][KERN_DOT] of the decoded row with itself. */
    float (*dot_self[KERN_TYPES])(const void *row, size_t dim);
    /* Largest |in[i]|; 0 for n = 0. NaN gives NaN or any value (callers have refused it). */
    float (*max_abs)(const float *in, size_t n);
    /* Steps of making a query ready for one-byte codes (quant/scorer_query.c), for at most KERN_FOLD_MAX elements at
     * a time, with four sums by the law's lanes and tree; h = 128 step, large = |low| + 2 h. Products and sums are
     * single roundings, but for fold_row's v and quantise's left, which are one fma.
     *   fold_l2   out = far * step, far = query - (low + h)   sums: far^2, large (|far| + h), large^2, h^2
     *   fold_dot  out = query * step                          sums: query (low + h), large |query|, large^2, 0
     *   quantise  out = round(values * inverse) within 127, values = left = values - scale * out
     *                                                         sums: values, |values|, |left|, out
     *   fold_row  c = row - 128, v = c * weight + offset, out = round(v), |v| < 128.5
     *                                                         sums: v, out, c * offset, c * (c * weight);
     *             offset NULL: all zeros, and the last two sums are left out */
    void (*fold_l2)(const float *query, const float *low, const float *step, size_t n, float *out,
                    float *sums);
    void (*fold_dot)(const float *query, const float *low, const float *step, size_t n, float *out,
                     float *sums);
    void (*quantise)(float *values, float scale, float inverse, size_t n, int8_t *out, float *sums);
    void (*fold_row)(const uint8_t *row, const float *weight, const float *offset, size_t n,
                     int8_t *out, float *sums);
    /* Codes on a grid of half-integers (quant/rabitq.h), n a multiple of 16, top at most 127.
     *   lattice_fit    for each of four scales t, v = min(round(|x| t - 0.5), top) + 0.5: dots = sum v |x|,
     *                  squares = sum v^2, by the law's lanes and tree, v |x| and v^2 being added by one fma
     *   lattice_code   out = round(fma(x, scale, top + 0.5)), held within 0 and 2 top + 1
     *   subset_tables  n a multiple of 4; out[4 g + i], i < 16, is round(scale (s - low[g])) within 0 and 255, s the sum
     *                  of those x[4 g + b] for which bit b of i is set: from -low on, one fma each, lowest b first */
    void (*lattice_fit)(const float *x, size_t n, const float *scales, float top, float *dots,
                        float *squares);
    void (*lattice_code)(const float *x, size_t n, float scale, float top, uint8_t *out);
    void (*subset_tables)(const float *x, size_t n, float scale, const float *low, uint8_t *out);
    /* Steps of a fast rotation (quant/rotation.h).
     *   multiply   out[i] = a[i] * b[i]; out may be a or b
     *   hadamard   in place, n a power of two, at least 64: for stride 1, 2, 4, ... n / 2, elements a, b that lie
     *              stride apart become a + b, a - b, each rounded once. Not scaled: lengths grow by sqrt(n).
     *   butterfly  x[i], x[i + half] become their sum and difference, i < half; half a multiple of 16 */
    void (*multiply)(const float *a, const float *b, size_t n, float *out);
    void (*hadamard)(float *x, size_t n);
    void (*butterfly)(float *x, size_t half);
};
#define KERN_FOLD_MAX 256u

/* The kernels of this machine: the best level that runs here, or the one that KITH_ISA names. Constant after the first
 * call; cheap. An unknown or unusable KITH_ISA falls back to the best; kern_isa_note() then says so, else "". */
const struct kern *kern_get(void);
const char *kern_isa_note(void);

/* All levels that run on this machine, for the oracle tests: fills at most n, returns how many there are. */
size_t kern_levels(const struct kern **out, size_t n);

/* Cosine is dot * (inv_a * inv_b) everywhere in Kith, where inv = 1 / |x|, and 0 for a zero vector. */
float kern_inv_length(const struct kern *kern, kith_type type, const void *row, size_t dim);

#endif
