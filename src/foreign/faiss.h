/* FAISS index files: a tree of typed views of the bytes, read from a file, or made by us and written to one.
 *
 * A FAISS file is one index: four letters (fourcc) that name its family, a header, a body, and in the body other
 * whole indexes. A node of the tree is one index. Fields have FAISS's names and FAISS's meaning.
 *
 * Invariants of a node that faiss_read made, and that faiss_write asks for
 *   1. Arrays and codes point into the bytes that were read (or whatever the maker of the tree lent), at any
 *      alignment: load from them with bytes.h. They live as long as those bytes; the tree owns only its nodes, lists
 *      and transforms.
 *   2. d is in 1..2^20; ntotal is at least 0, and that of a node equals that of the indexes that hold its rows.
 *   3. Every count agrees with the others: codes.n and code_size with ntotal and the code; lists with nlist and
 *      ntotal; a graph's offsets with its levels, its links with ntotal; transforms with each other and with d.
 *   4. `inner` is there (never NULL, never a FAISS `null`) where the kind has one; nesting is at most FAISS_DEPTH.
 *
 * Layout facts were taken from FAISS 1.15.1's files and sources; docs/faiss-files.md says what is read and written. */
#ifndef KITH_FOREIGN_FAISS_H
#define KITH_FOREIGN_FAISS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>

#include "base/file.h"

struct mem_account;

#define FAISS_DEPTH   50
#define FAISS_DIM_MAX (1 << 20)

/* Four letters in the order of the file. */
#define FAISS_TAG(a, b, c, d) \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

enum faiss_kind {
    FAISS_FLAT,          /* codes: f32[ntotal][d] */
    FAISS_PQ,            /* pq, codes, search settings */
    FAISS_SQ,            /* sq, codes */
    FAISS_PQ_FAST,       /* pq (4 bit), fast, codes in blocks */
    FAISS_RABITQ,        /* rabitq with center, codes */
    FAISS_ID_MAP,        /* inner, ids */
    FAISS_HNSW,          /* graph, inner: the vectors (Flat, PQ or SQ) */
    FAISS_IVF_FLAT,      /* ivf, lists of f32[d], never residual */
    FAISS_IVF_PQ,        /* ivf, pq, by_residual */
    FAISS_IVF_SQ,        /* ivf, sq, by_residual */
    FAISS_IVF_PQ_FAST,   /* ivf with lists in blocks, pq (4 bit), fast, by_residual */
    FAISS_IVF_RABITQ,    /* ivf, rabitq, by_residual */
    FAISS_PRE_TRANSFORM, /* chain, inner: what the transformed vectors are put into */
    FAISS_REFINE /* inner: searched first; refine: then asked for exact distances; k_factor */
};

static inline bool faiss_kind_has_lists(enum faiss_kind kind) {
    return kind >= FAISS_IVF_FLAT && kind <= FAISS_IVF_RABITQ;
}

enum faiss_metric {
    FAISS_IP = 0,
    FAISS_L2 = 1, /* squared */
    FAISS_L1 = 2,
    FAISS_LINF = 3,
    FAISS_LP = 4, /* metric_arg is p */
    FAISS_CANBERRA = 20,
    FAISS_BRAY_CURTIS = 21,
    FAISS_JENSEN_SHANNON = 22,
    FAISS_JACCARD = 23,
    FAISS_NAN_EUCLIDEAN = 24,
    FAISS_GOWER = 25
};

/* n elements of the type that the member's comment gives. */
struct faiss_array {
    const uint8_t *bytes;
    uint64_t n;
};

/* n codes of code_size bytes. Under FAISS_PQ_FAST a "code" is a block of bbs rows. */
struct faiss_codes {
    const uint8_t *bytes;
    uint64_t n, code_size;
};

/* Product quantiser: a code is M numbers of nbits, packed little-endian from bit 0. */
struct faiss_pq {
    uint64_t d, M, nbits;
    struct faiss_array centroids; /* f32[M][2^nbits][d / M] */
};
static inline uint64_t faiss_pq_code_size(const struct faiss_pq *pq) {
    return (pq->M * pq->nbits + 7) / 8;
}

/* Scalar quantiser: the kinds that are read. `trained` is vmin[d], vdiff[d], or two numbers when uniform. */
enum faiss_sq_type {
    FAISS_SQ_8BIT,
    FAISS_SQ_4BIT, /* component i in the low half of its byte when i is even */
    FAISS_SQ_8BIT_UNIFORM,
    FAISS_SQ_4BIT_UNIFORM,
    FAISS_SQ_FP16,
    FAISS_SQ_8BIT_DIRECT, /* the byte is the value */
    FAISS_SQ_6BIT,        /* four components in three bytes, from bit 0 */
    FAISS_SQ_BF16,
    FAISS_SQ_8BIT_DIRECT_SIGNED /* the byte less 128 */
};
struct faiss_sq {
    int32_t qtype, rangestat;
    float rangestat_arg;
    uint64_t d, code_size;
    struct faiss_array trained; /* f32 */
};

/* RaBitQ: a code is d sign bits (from bit 0), the factors of its estimate (two f32, or three when nb_bits > 1), and
 * when nb_bits > 1 d numbers of nb_bits - 1 bits and two f32 more. */
struct faiss_rabitq {
    uint64_t d, code_size;
    int32_t metric;
    uint64_t nb_bits;          /* 1..9 */
    struct faiss_array center; /* f32[d]; FAISS_RABITQ only */
    uint8_t qb;                /* bits of the quantised query; 0: not quantised */
};

/* 4-bit codes in blocks for in-register tables: bbs rows a block, M2 (M rounded up to even) numbers a row. In a block,
 * 32 bytes a pair of numbers: byte j holds row p(j) in its low and row p(j) + 16 in its high half, p being
 * 0 8 1 9 … 7 15; the first 16 bytes are the even number's, the others the odd one's. */
struct faiss_fast {
    int32_t bbs, implem;
    int64_t qbs; /* 32 bits in FAISS_PQ_FAST */
    uint64_t M2;
};

/* HNSW. Row i has levels[i] levels (1: only the lowest); its links on level l are neighbors[offsets[i] + cum[l]] up to
 * offsets[i] + cum[l + 1], ended early by -1. */
struct faiss_graph {
    struct faiss_array assign_probas;           /* f64 */
    struct faiss_array cum_nneighbor_per_level; /* i32: 0, 2M, 3M, 4M, … */
    struct faiss_array levels;                  /* i32[ntotal] */
    struct faiss_array offsets;                 /* u64[ntotal + 1] */
    struct faiss_array neighbors;               /* i32, each -1 or a row */
    int32_t entry_point, max_level; /* -1, -1 when empty; else the level counted from 0 */
    int32_t ef_construction, ef_search, upper_beam;
};

struct faiss_list {
    uint64_t n;
    const uint8_t *codes; /* n x code_size, or whole blocks */
    const uint8_t *ids;   /* i64[n] */
};

/* Inverted file. */
struct faiss_ivf {
    uint64_t nlist, nprobe;
    struct faiss_node *quantizer; /* nlist centroids as its rows; 0 rows when untrained */
    uint8_t map_type;             /* direct map: 0 none, 1 array, 2 hash table */
    struct faiss_array map;       /* i64: list << 32 | place, or -1; map_type 1 */
    struct faiss_array map_pairs; /* i64[2]: id, place; map_type 2 */
    bool by_residual;             /* codes are of x less its list's centroid */
    uint64_t code_size;
    struct faiss_list *lists;         /* [nlist], or NULL when all are empty */
    uint64_t n_per_block, block_size; /* rows and bytes a block under FAISS_IVF_PQ_FAST, else 0 */
};

enum faiss_transform_kind {
    FAISS_LINEAR,   /* y = A x + b: OPQ and any matrix; b only when have_bias */
    FAISS_ROTATION, /* the same, A orthonormal */
    FAISS_PCA,      /* the same; mean, whitening and rotation are in A and b already */
    FAISS_HADAMARD, /* y = D3 H D2 H D1 x / d_out, signs D from the seed, x padded by zeros */
    FAISS_REMAP,    /* y[i] = x[map[i]], or 0 where map[i] is -1 */
    FAISS_NORMALIZE,
    FAISS_CENTER /* y = x - mean */
};
struct faiss_transform {
    enum faiss_transform_kind kind;
    uint32_t tag;
    int32_t d_in, d_out;
    bool is_trained, have_bias;
    struct faiss_array A, b; /* f32[d_out][d_in], f32[d_out]; they may be longer */
    /* FAISS_PCA, as trained; only A and b matter for using it */
    float eigen_power, epsilon;
    bool random_rotation;
    int32_t balanced_bins;
    struct faiss_array mean;                /* f32[d_in]; also FAISS_CENTER */
    struct faiss_array eigenvalues, PCAMat; /* f32 */
    uint32_t seed;                          /* FAISS_HADAMARD */
    struct faiss_array map;                 /* i32[d_out]; FAISS_REMAP */
    float norm;                             /* FAISS_NORMALIZE: 2 */
};

struct faiss_node {
    enum faiss_kind kind;
    uint32_t tag; /* as in the file; not used in writing */
    uint64_t at;  /* where in the file; not used in writing */
    int32_t d;
    int64_t ntotal;
    bool is_trained;
    int32_t metric;
    float metric_arg; /* 0 under IP and L2 */

    struct faiss_codes codes;
    struct faiss_pq pq;
    struct faiss_sq sq;
    struct faiss_rabitq rabitq;
    struct faiss_fast fast;
    struct faiss_ivf ivf;
    struct faiss_graph graph;

    int32_t search_type, polysemous_ht; /* FAISS_PQ; 0 and M*nbits + 1 by default */
    bool encode_signs;

    bool map_both_ways;     /* FAISS_ID_MAP: IDMap2 */
    struct faiss_array ids; /* i64[ntotal] */

    struct faiss_transform *chain; /* in the order of application */
    int32_t n_chain;

    struct faiss_node *inner, *refine;
    float k_factor; /* FAISS_REFINE: 1..1000 */
};

/* The tree of an index file's bytes, which it borrows.
 *   Owns     *out, freed by faiss_free with the same owner; bytes must outlive it.
 *   Cost     reads headers, sizes, and all links of graphs; not codes. About 24 bytes an inverted list, 500 an index.
 *   Errors   KITH_EFORMAT not a FAISS file; KITH_ETRUNCATED; KITH_ECORRUPT counts that contradict each other, bytes
 *            left over; KITH_EUNSUPPORTED a family, code or way of storing that Kith does not read; KITH_ENOMEM.
 *            err->at is the byte; *out is NULL on error. */
int faiss_read(struct faiss_node **out, const uint8_t *bytes, size_t n, struct mem_account *owner,
               kith_error *err);
void faiss_free(struct faiss_node *root, struct mem_account *owner);

/* The same of a file, mapped. */
struct faiss_file {
    struct file_map map;
    struct faiss_node *root;
};
int faiss_open(struct faiss_file *out, const char *path, struct mem_account *owner,
               kith_error *err);
void faiss_close(struct faiss_file *file, struct mem_account *owner);

/* Put the tree's file piece by piece, in order. The tree is checked like one that is read (invariants 2 to 4), so that
 * what is written can be read; KITH_EINVAL where it is not so. Old families are written as what replaced them. */
typedef int faiss_put(void *context, const void *bytes, size_t n, kith_error *err);
int faiss_write(const struct faiss_node *root, faiss_put *put, void *context, kith_error *err);
/* The same to a file, whole or not at all. */
int faiss_save(const struct faiss_node *root, const char *path, kith_error *err);

/* Do the bytes begin as an index family of FAISS does, whether or not it is read? */
bool faiss_recognise(const uint8_t *bytes, size_t n);

/* "IVF-PQ" and the like; metric names as FAISS spells them, "?" for none. */
const char *faiss_kind_name(enum faiss_kind kind);
const char *faiss_metric_name(int32_t metric);

#endif
