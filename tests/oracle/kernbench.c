/* kernbench: how fast every kernel of every level is, through the same table that the oracles check.
 *
 *   kernbench [-l LEVEL] [-k KERNEL] [-d DIM] [-m MIB] [-t MS]
 *
 * Rows lie in a working set of 16 KiB (first cache), 512 KiB (second) or MIB mebibytes (memory; choose more than the
 * last cache has). rows goes through the set in order; list takes batches of 32 rows in random order, as a walk over a
 * graph does; tile has 64 queries, scan 96; fastscan's rows are blocks of 32 rows of DIM / 4 nibbles. Figures are the best of repeated passes, in CPU time of the thread: GB/s of
 * row bytes and millions of rows a second, or G multiply-adds a second. The first lines are what the machine gives a
 * plain loop: reading, and multiply-adds in registers (16 lanes of f32, 64 of int8). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "kern/cpu.h"
#include "kern/kern.h"

#define BATCH   32u
#define TILE_Q  64u
#define SCAN_Q  96u
#define QUERIES 96u

static const char *const type_names[KERN_TYPES] = {"f32", "f16", "bf16", "i8", "u8"};
static const char *const metric_names[KERN_METRICS] = {"l2sq", "dot", "l1"};
static const size_t type_bytes[KERN_TYPES] = {4, 2, 2, 1, 1};

struct bench {
    const struct kern *kern;
    kith_type type;
    int metric;
    size_t dim, bytes, stride, n; /* n rows of the set, `bytes` of each are read */
    const char *rows;
    const void **list; /* the same rows in random order */
    float *queries;    /* QUERIES x dim */
    int8_t *codes;     /* QUERIES x bytes */
    float *out;
    uint8_t *panels;
    struct kern_scan scan;
};

static const char *only_level, *only_kernel;
static double slice_ms = 60;
static size_t memory_mib = 512;
static volatile uint64_t sink;

static double thread_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Nanoseconds of one run: the best of batches of runs that last a millisecond or more. */
static double best_ns(void (*run)(struct bench *), struct bench *b) {
    run(b);
    size_t times = 1;
    double best = 1e30, start = thread_ns();
    for (int round = 0; round < 4 || thread_ns() - start < slice_ms * 1e6; round++) {
        double from = thread_ns();
        for (size_t i = 0; i < times; i++) run(b);
        double took = thread_ns() - from;
        if (took / (double)times < best) best = took / (double)times;
        if (took < 1e6) times *= 2;
        if (thread_ns() - start > 8 * slice_ms * 1e6) break;
    }
    return best;
}

/* ---- what is timed ----------------------------------------------------------------------------- */

static void run_rows(struct bench *b) {
    for (size_t i = 0; i < b->n; i += 256)
        b->kern->rows[b->type][b->metric](b->queries, b->rows + i * b->stride, b->stride,
                                          b->n - i < 256 ? b->n - i : 256, b->dim, b->out);
}
static void run_list(struct bench *b) {
    for (size_t i = 0; i < b->n; i += BATCH)
        b->kern->list[b->type][b->metric](b->queries, b->list + i,
                                          b->n - i < BATCH ? b->n - i : BATCH, b->dim, b->out);
}
static void run_tile(struct bench *b) {
    b->kern->tile[b->type][b->metric](b->queries, b->dim, TILE_Q, b->rows, b->stride, b->n, b->dim,
                                      b->out, b->n);
}
#define RUN_BITS(bits)                                                                          \
    static void run_u##bits##_rows(struct bench *b) {                                           \
        for (size_t i = 0; i < b->n; i += 256)                                                  \
            b->kern->dot_u##bits##s8_rows(b->codes, (const uint8_t *)b->rows + i * b->stride,   \
                                          b->stride, b->n - i < 256 ? b->n - i : 256, b->bytes, \
                                          (int32_t *)b->out);                                   \
    }                                                                                           \
    static void run_u##bits##_list(struct bench *b) {                                           \
        for (size_t i = 0; i < b->n; i += BATCH)                                                \
            b->kern->dot_u##bits##s8_list(b->codes, (const uint8_t *const *)(b->list + i),      \
                                          b->n - i < BATCH ? b->n - i : BATCH, b->bytes,        \
                                          (int32_t *)b->out);                                   \
    }
RUN_BITS(8)
RUN_BITS(6)
RUN_BITS(4)
RUN_BITS(2)
RUN_BITS(1)
static void run_hamming_rows(struct bench *b) {
    for (size_t i = 0; i < b->n; i += 256)
        b->kern->hamming_rows((const uint8_t *)b->codes, (const uint8_t *)b->rows + i * b->stride,
                              b->stride, b->n - i < 256 ? b->n - i : 256, b->bytes,
                              (uint32_t *)b->out);
}
static void run_hamming_list(struct bench *b) {
    for (size_t i = 0; i < b->n; i += BATCH)
        b->kern->hamming_list((const uint8_t *)b->codes, (const uint8_t *const *)(b->list + i),
                              b->n - i < BATCH ? b->n - i : BATCH, b->bytes, (uint32_t *)b->out);
}
static void run_pack(struct bench *b) {
    b->kern->pack_u8((const uint8_t *)b->rows, b->stride, b->n, b->bytes, b->panels);
}
static void run_scan(struct bench *b) { b->kern->scan_u8s8(&b->scan); }
/* Blocks of 32 rows take the place of rows; nibbles are all of a block. */
static void run_fastscan_sums(struct bench *b) {
    uint8_t *lut = (uint8_t *)b->codes;
    for (size_t i = 0; i < b->n; i += 64)
        b->kern->fastscan_sums(lut, b->bytes / 16, (const uint8_t *)b->rows + i * b->stride,
                               b->stride, b->n - i < 64 ? b->n - i : 64, (uint32_t *)b->out);
}
static void run_fastscan(struct bench *b) {
    static uint32_t mask[64];
    struct kern_fastscan scan = {.lut = (uint8_t *)b->codes,
                                 .m = b->bytes / 16,
                                 .stride = b->stride,
                                 .scale = 1,
                                 .dist = b->out,
                                 .mask = mask};
    for (size_t i = 0; i < b->n; i += 64) {
        scan.blocks = (const uint8_t *)b->rows + i * b->stride;
        scan.n = b->n - i < 64 ? b->n - i : 64;
        b->kern->fastscan(&scan);
    }
}
static void run_to_f32(struct bench *b) { b->kern->to_f32[b->type](b->rows, b->dim, b->out); }
static void run_lattice_fit(struct bench *b) {
    static const float scales[4] = {1, 1.1f, 1.2f, 1.3f};
    float sums[8];
    b->kern->lattice_fit(b->queries, b->dim / 16 * 16, scales, 7, sums, sums + 4);
    sink += (uint64_t)(sums[0] > sums[1]);
}
static void run_subset_tables(struct bench *b) {
    b->kern->subset_tables(b->queries, b->dim / 4 * 4, 1, b->queries + b->dim, b->panels);
}
static void run_encode_u8(struct bench *b) {
    b->kern->encode_u8(b->queries, b->queries + b->dim, b->queries + 2 * b->dim, b->dim,
                       (uint8_t *)b->out);
}

/* ---- what the machine gives -------------------------------------------------------------------- */

#if defined(__x86_64__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif
typedef uint64_t line __attribute__((vector_size(64)));

CLONES static void run_read(struct bench *b) {
    line a = {0}, c = a, d = a, e = a, x;
    const char *p = b->rows, *end = p + b->n * b->stride;
    for (; p + 256 <= end; p += 256) {
        memcpy(&x, p, 64), a |= x;
        memcpy(&x, p + 64, 64), c |= x;
        memcpy(&x, p + 128, 64), d |= x;
        memcpy(&x, p + 192, 64), e |= x;
    }
    a |= c | d | e;
    sink += a[0] | a[3] | a[7];
}

#if defined(__x86_64__)
#include <immintrin.h>
#define PEAK_STEPS 100000
#define PEAK_SUMS  10

/* Ten sums in registers, each step in place: STEP(sum) adds one product; asm keeps gcc from knowing the result. */
#define PEAK(name, isa, type, zero, one, STEP)                                                  \
    __attribute__((target(isa))) static void name(struct bench *b) {                            \
        (void)b;                                                                                \
        type x = one, a0 = zero, a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0, \
             a8 = a0, a9 = a0;                                                                  \
        for (int s = 0; s < PEAK_STEPS; s++) {                                                  \
            a0 = STEP(a0), a1 = STEP(a1), a2 = STEP(a2), a3 = STEP(a3), a4 = STEP(a4);          \
            a5 = STEP(a5), a6 = STEP(a6), a7 = STEP(a7), a8 = STEP(a8), a9 = STEP(a9);          \
            __asm__ volatile("" : "+x"(a0), "+x"(a1), "+x"(a2), "+x"(a3), "+x"(a4), "+x"(x));   \
            __asm__ volatile("" : "+x"(a5), "+x"(a6), "+x"(a7), "+x"(a8), "+x"(a9));            \
        }                                                                                       \
    }
#define FMA8(a)   _mm256_fmadd_ps(a, x, x)
#define FMA16(a)  _mm512_fmadd_ps(a, x, x)
#define MADD(a)   ((a) + (__v8si)_mm256_madd_epi16((__m256i)(a), (__m256i)x))
#define DPBUSD(a) ((__v16si)_mm512_dpbusd_epi32((__m512i)(a), (__m512i)x, (__m512i)x))
#define DPBF16(a) _mm512_dpbf16_ps(a, (__m512bh)x, (__m512bh)x)
PEAK(run_fma_avx2, "avx2,fma", __m256, _mm256_setzero_ps(), _mm256_set1_ps(0.5f), FMA8)
PEAK(run_fma_avx512, "avx512f", __m512, _mm512_setzero_ps(), _mm512_set1_ps(0.5f), FMA16)
PEAK(run_madd, "avx2", __v8si, {0}, {1}, MADD)
PEAK(run_vnni, "avx512f,avx512vnni", __v16si, {0}, {1}, DPBUSD)
PEAK(run_bf16, "avx512f,avx512bf16", __m512, _mm512_setzero_ps(), _mm512_set1_ps(0.5f), DPBF16)

static void peaks(void) {
    const struct cpu *cpu = cpu_get();
    const struct {
        bool has;
        const char *name;
        void (*run)(struct bench *);
        int lanes;
    } peak[] = {{cpu->avx2, "fma, 8 lanes of f32", run_fma_avx2, 8},
                {cpu->avx512, "fma, 16 lanes of f32", run_fma_avx512, 16},
                {cpu->avx2, "madd, 16 lanes of int16", run_madd, 16},
                {cpu->vnni, "dpbusd, 64 lanes of int8", run_vnni, 64},
                {cpu->bf16, "dpbf16, 32 lanes of bf16", run_bf16, 32}};
    for (size_t i = 0; i < sizeof peak / sizeof *peak; i++)
        if (peak[i].has)
            printf("peak in registers: %-26s %8.1f G multiply-adds/s\n", peak[i].name,
                   (double)PEAK_SUMS * PEAK_STEPS * peak[i].lanes / best_ns(peak[i].run, NULL));
}
#else
static void peaks(void) {}
#endif

/* ---- the table --------------------------------------------------------------------------------- */

static size_t set_bytes(int set) {
    return set == 0 ? 16u << 10 : set == 1 ? 512u << 10 : memory_mib << 20;
}

/* Rows of `bytes` at `stride` filling a set. */
static void choose_set(struct bench *b, int set, size_t bytes, size_t stride) {
    b->bytes = bytes;
    b->stride = stride;
    b->n = set_bytes(set) / stride;
    if (b->n < 4) b->n = 4;
    uint64_t state = 1;
    for (size_t i = 0; i < b->n; i++) b->list[i] = b->rows + i * stride;
    for (size_t i = b->n; i > 1; i--) {
        size_t other = (size_t)(bits_random(&state) % i);
        const void *swap = b->list[i - 1];
        b->list[i - 1] = b->list[other];
        b->list[other] = swap;
    }
}

static bool wanted(const char *name) { return !only_kernel || strstr(name, only_kernel); }

/* One line: three sets for the streaming kernels. */
static void line_sets(struct bench *b, const char *name, void (*run)(struct bench *), size_t bytes,
                      size_t stride) {
    if (!wanted(name)) return;
    printf("%-16s %-11s", name, b->kern->name);
    double ns = 0;
    for (int set = 0; set < 3; set++) {
        choose_set(b, set, bytes, stride);
        ns = best_ns(run, b) / (double)b->n;
        printf(" %8.1f", (double)bytes / ns);
    }
    printf(" %9.2f\n", 1e3 / ns);
    fflush(stdout);
}

static void line_rate(struct bench *b, const char *name, void (*run)(struct bench *), double amount,
                      const char *unit) {
    if (!wanted(name)) return;
    printf("%-16s %-11s %8.1f %s\n", name, b->kern->name, amount / best_ns(run, b), unit);
    fflush(stdout);
}

static void bench_floats(struct bench *b) {
    char name[40];
    for (int type = 0; type < KERN_TYPES; type++)
        for (int metric = 0; metric < KERN_METRICS; metric++) {
            b->type = (kith_type)type;
            b->metric = metric;
            size_t bytes = b->dim * type_bytes[type];
            snprintf(name, sizeof name, "rows %s %s", type_names[type], metric_names[metric]);
            line_sets(b, name, run_rows, bytes, bytes);
            snprintf(name, sizeof name, "list %s %s", type_names[type], metric_names[metric]);
            line_sets(b, name, run_list, bytes, bytes);
            snprintf(name, sizeof name, "tile %s %s", type_names[type], metric_names[metric]);
            b->stride = bytes;
            b->n = 128;
            line_rate(b, name, run_tile, (double)(TILE_Q * b->n * b->dim), "G multiply-adds/s");
        }
}

static void bench_codes(struct bench *b) {
    size_t bytes = bits_round_up(b->dim + 8, 64);
    size_t half_lines = (b->dim + 63) / 64;
    line_sets(b, "rows u8s8", run_u8_rows, bytes, bytes);
    line_sets(b, "list u8s8", run_u8_list, bytes, bytes);
    line_sets(b, "rows u6s8", run_u6_rows, half_lines * 48, half_lines * 48 + 4);
    line_sets(b, "list u6s8", run_u6_list, half_lines * 48, half_lines * 48 + 4);
    line_sets(b, "rows u4s8", run_u4_rows, half_lines * 32, half_lines * 32);
    line_sets(b, "list u4s8", run_u4_list, half_lines * 32, half_lines * 32);
    line_sets(b, "rows u2s8", run_u2_rows, half_lines * 16, half_lines * 16);
    line_sets(b, "list u2s8", run_u2_list, half_lines * 16, half_lines * 16);
    line_sets(b, "rows u1s8", run_u1_rows, half_lines * 8, half_lines * 8);
    line_sets(b, "list u1s8", run_u1_list, half_lines * 8, half_lines * 8);
    line_sets(b, "rows hamming", run_hamming_rows, half_lines * 8, half_lines * 8 + 4);
    line_sets(b, "list hamming", run_hamming_list, half_lines * 8, half_lines * 8 + 4);
    size_t nibbles =
        bits_round_up(b->dim, 16) / 4; /* of PQ with four dimensions each, or of RaBitQ */
    line_sets(b, "fastscan sums", run_fastscan_sums, 16 * nibbles, 16 * nibbles);
    line_sets(b, "fastscan", run_fastscan, 16 * nibbles, 16 * nibbles + 64);
    b->bytes = b->stride = bytes;
    b->n = (256u << 10) / bytes / 16 * 16;
    if (b->n < 16) b->n = 16;
    line_rate(b, "pack_u8", run_pack, (double)(b->n * bytes), "GB/s of codes");
    static float one[SCAN_Q], zero[SCAN_Q], limit[SCAN_Q];
    static uint32_t n_hits[SCAN_Q];
    static struct kern_hit hits[1];
    for (size_t q = 0; q < SCAN_Q; q++) one[q] = 1, limit[q] = -1e30f;
    b->scan = (struct kern_scan){.panels = b->panels,
                                 .term = b->queries,
                                 .n = (uint32_t)b->n,
                                 .bytes = bytes,
                                 .queries = b->codes,
                                 .n_q = SCAN_Q,
                                 .scale = one,
                                 .bias = zero,
                                 .limit = limit,
                                 .hits = hits,
                                 .n_hits = n_hits};
    run_pack(b);
    line_rate(b, "scan_u8s8", run_scan, (double)(SCAN_Q * b->n * bytes), "G multiply-adds/s");
    for (int type = 0; type < KERN_TYPES; type++) {
        char name[40];
        b->type = (kith_type)type;
        snprintf(name, sizeof name, "to_f32 %s", type_names[type]);
        line_rate(b, name, run_to_f32, (double)b->dim, "G elements/s");
    }
    line_rate(b, "encode_u8", run_encode_u8, (double)b->dim, "G elements/s");
    line_rate(b, "lattice_fit", run_lattice_fit, 4 * (double)b->dim, "G elements and scales/s");
    line_rate(b, "subset_tables", run_subset_tables, (double)b->dim / 4, "G tables/s");
}

static void *slab(size_t bytes) {
    void *p = mem_slab(NULL, bytes);
    if (p) return p;
    fprintf(stderr, "kernbench: no memory for %zu bytes\n", bytes);
    exit(1);
}

static void setup(struct bench *b) {
    size_t most = memory_mib << 20, rows = most / 64 + 4;
    if (most < 8 * b->dim * 4) most = 8 * b->dim * 4;
    uint64_t state = 7;
    char *bytes = slab(most + 4096);
    for (size_t i = 0; i + 8 <= most; i += 8) { /* finite in every type: small exponents */
        uint64_t x = bits_random(&state) & 0x3dff3dff3dff3dffu;
        memcpy(bytes + i, &x, 8);
    }
    b->rows = bytes;
    b->list = slab(rows * sizeof *b->list);
    b->queries = slab(QUERIES * (b->dim + 64) * 4);
    b->codes = slab(QUERIES * (b->dim + 128));
    b->out = slab((TILE_Q * 256 + b->dim + 4096) * 4);
    b->panels = slab((512u << 10) + 2 * 16 * (b->dim + 128));
    for (size_t i = 0; i < QUERIES * b->dim; i++)
        b->queries[i] = (float)(bits_random(&state) % 1000) / 500 - 1;
    for (size_t i = 0; i < QUERIES * (b->dim + 128); i++)
        b->codes[i] = (int8_t)(bits_random(&state) % 255);
}

int main(int argc, char **argv) {
    struct bench b = {.dim = 784};
    for (int c; (c = getopt(argc, argv, "l:k:d:m:t:")) != -1;) switch (c) {
        case 'l': only_level = optarg; break;
        case 'k': only_kernel = optarg; break;
        case 'd': b.dim = strtoul(optarg, NULL, 10); break;
        case 'm': memory_mib = strtoul(optarg, NULL, 10); break;
        case 't': slice_ms = strtod(optarg, NULL); break;
        default:
            fprintf(stderr, "usage: kernbench [-l LEVEL] [-k KERNEL] [-d DIM] [-m MIB] [-t MS]\n");
            return 2;
        }
    if (b.dim == 0 || b.dim > 65536 || memory_mib == 0) {
        fprintf(stderr, "kernbench: dim %zu must be 1 to 65536, and memory at least 1 MiB\n",
                b.dim);
        return 2;
    }
    setup(&b);
    const struct kern *level[8];
    size_t n_levels = kern_levels(level, 8);
    printf("%s, dim %zu, memory set %zu MiB\n", cpu_get()->model, b.dim, memory_mib);
    peaks();
    b.kern = &(struct kern){.name = "-"};
    printf("%-16s %-11s %8s %8s %8s %9s\n", "kernel", "level", "L1 GB/s", "L2 GB/s", "mem GB/s",
           "mem Mrow/s");
    line_sets(&b, "read", run_read, b.dim * 4, b.dim * 4);
    for (size_t i = 0; i < n_levels; i++) {
        if (only_level && strcmp(only_level, level[i]->name) != 0) continue;
        b.kern = level[i];
        bench_floats(&b);
        bench_codes(&b);
    }
    return 0;
}
