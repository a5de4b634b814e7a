/* Codes: how a vector becomes the bytes of a row, and scorers: a query made ready for such rows.
 *
 * Inside, every distance is smaller-is-nearer: L2 and EUCLID: squared Euclidean; IP: minus the dot
 * product; COSINE: minus the cosine; L1: Manhattan. code_score() turns it into what the user sees.
 * EUCLID differs from L2 only there.
 *
 * A row of a code:
 *   f32 f16 bf16   dim elements; COSINE: + f32 inverse length (of the decoded row) at inv_at
 *   u8             dim bytes, the vector itself (all integers in 0..255)
 *   sq8            dim bytes c[i] = round((x[i] - low[i]) / step[i])
 * u8 and sq8 rows have stride a multiple of 64, so that a scan reads whole lines; in the last 4 bytes
 * of it the f32 term (L2, EUCLID) or the f32 inverse length (COSINE over u8); where neither is needed
 * the row is dim bytes and their padding alone. Float rows are packed (stride = bytes, COSINE: the
 * next multiple of 4, + 4). COSINE encodes x/|x| in sq8, and x itself in all
 * others; a decoded sq8 row is not scaled again: its distance is minus its dot with the unit query.
 *
 * Estimates. u8 and sq8 are scored through whole-number dots of row codes with a query quantised
 * to s8:
 *     dist = fmaf(scale, (float)dot, term + bias)        all but COSINE over u8
 *     dist = scale * (float)dot * inverse length         COSINE over u8: not for kern.scan_u8s8
 * (without a term where rows have none) within `slack` of the distance to the decoded row. For u8 rows and an integral query in 0..255
 * under L2 every number is whole, and the estimate exact where none passes 2^24; slack is 0 where
 * that is sure for all rows. Float rows are scored exactly (kern.h's law). L1 has no one-byte
 * estimate: u8 rows are scored by the u8 float kernels, sq8 rows decoded and scored in f32.
 *
 * scorer_refine quantises what the s8 query left over to a second s8 vector: the _fine functions
 * then cost two dots and come with a slack some 200 times smaller. A scan that waits for memory
 * anyway wants them; a graph walk does not.
 *
 * Thread safety: a trained code is constant; a scorer belongs to one thread. */
#ifndef KITH_QUANT_CODE_H
#define KITH_QUANT_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>
#include <kith/vector.h>

#include "kern/kern.h"

struct mem_account;
struct quantizer;
struct quantizer_scorer;
struct quantizer_spec;

enum code_kind {
    CODE_F32,
    CODE_F16,
    CODE_BF16,
    CODE_U8,
    CODE_SQ8,
    CODE_KINDS,                  /* how many struct code knows */
    CODE_QUANTIZED = CODE_KINDS, /* a quantizer's (quantizer.h) */
    CODE_NONE                    /* rows keep no vectors: an index keeps them elsewhere */
};

struct code {
    enum code_kind kind;
    kith_metric metric;
    uint32_t dim;
    uint32_t bytes;   /* what kernels read: dim elements, or padded to 64 for u8, sq8 */
    uint32_t stride;  /* from row to row */
    uint32_t term_at; /* u8, sq8 under L2, EUCLID: byte offset of the f32 row term; else 0 */
    uint32_t inv_at;  /* COSINE, but for sq8: byte offset of the f32 inverse length; else 0 */
    /* sq8 only: dim floats each, owned. Dimensions whose training values are all equal have step
     * and inv_step 0. Steps have 16 significant bits, so that step * c is exact. */
    float *low, *step, *inv_step;
    struct quantizer *quantizer; /* CODE_QUANTIZED only, owned: code_init_quantized */
};

const char *code_kind_name(enum code_kind kind); /* "f32", "f16", "bf16", "u8", "sq8"; "none" */

/* An untrained code (sq8 must be trained before use). */
int code_init(struct code *code, enum code_kind kind, kith_metric metric, uint32_t dim,
              struct mem_account *owner, kith_error *err);
void code_deinit(struct code *code, struct mem_account *owner);

/* A code that a quantizer makes of whole vectors (COSINE: of unit vectors), which quantizer.h describes: rows have the
 * stride of its codes, up to a multiple of 4. Estimates are within slack of the exact score, which is the distance as the
 * code has it. Errors as quantizer_new. */
int code_init_quantized(struct code *code, const struct quantizer_spec *spec, kith_metric metric,
                        uint32_t dim, struct mem_account *owner, kith_error *err);
/* Let the quantizer learn from n rows.   Errors   KITH_ENOMEM and the quantizer's. */
int code_train_quantized(struct code *code, size_t n, const float *rows, uint32_t threads,
                         struct mem_account *owner, kith_error *err);

/* What users call a code: its kind's name, or its quantizer's. */
const char *code_name(const struct code *code);
/* Bytes that a code has beside its rows. */
uint64_t code_bytes(const struct code *code);

/* Learn sq8's ranges (minimum and maximum of each dimension of n rows; COSINE: of the scaled rows).
 * Others: nothing. */
void code_train(struct code *code, size_t n, const float *rows);
/* The same of rows that come in parts: begin, any number of takes, end. */
void code_ranges_begin(struct code *code);
void code_ranges_take(struct code *code, size_t n, const float *rows);
void code_ranges_end(struct code *code);
/* True if a row lies in the trained ranges, so that no element is clipped. */
bool code_covers(const struct code *code, const float *row);

/* True if all values are integers in 0..255. */
bool code_is_integral(size_t n, const float *values);

/* Encode one row (all stride bytes are written). Returns the residual norm |x - decoded| (COSINE: of
 * the unit vectors), rounded up; 0 for f32 and u8; INFINITY where an f16 or bf16 overflowed. */
float code_encode(const struct code *code, const float *row, uint8_t *out);
/* Decode one row to dim floats. sq8 under COSINE gives the unit vector's approximation. */
void code_decode(const struct code *code, const uint8_t *row, float *out);

/* The inverse length of a vector by kern.h's law, 0 for the zero vector. The cosine of two vectors is
 * dot * (inverse of one * inverse of the other), in f32. */
float code_inverse_length(size_t dim, const float *x);

/* The user's value of an inside distance. */
float code_score(kith_metric metric, float dist);
/* The largest inside distance whose score is not farther than a user's value (a radius). */
float code_unscore(kith_metric metric, float score);

/* A query made ready for the rows of one code. Scratch is the caller's: scorer_bytes(code) bytes,
 * 64-byte aligned, reused from query to query. */
struct scorer {
    const struct code *code;
    const struct kern *kern;
    float *query;      /* dim floats (COSINE with sq8: the unit query), in scratch */
    float inv;         /* COSINE: the query's inverse length */
    int8_t *quantised; /* u8, sq8: code->bytes of s8, zero padded, in scratch */
    float scale, bias; /* of the estimate */
    float slack;       /* |estimate - distance to the decoded row| <= slack, a real-number bound; 0
                        * where scores are exact; INFINITY where values are too large to estimate */
    /* estimates below it are kern.h's law distance, to the bit; -INFINITY: none */
    float exact_below;
    int8_t *fine;     /* after scorer_refine: the second s8 vector, in scratch */
    float scale_fine; /* 0: no second vector, the _fine functions are the plain ones */
    float bias_fine, slack_fine;
    float *folded;   /* what was quantised: dim floats, in scratch; refine leaves the remainder */
    bool settled;    /* nothing is left over that scorer_refine could quantise */
    double base;     /* bias, not yet rounded */
    double rounding; /* the part of slack that is not the query's own quantisation */
    float *decoded;  /* exact scores of sq8 rows: dim floats, in scratch */
    int32_t *dots;   /* 2 * SCORER_BLOCK partial results, in scratch */
    struct quantizer_scorer *quantized; /* CODE_QUANTIZED: in scratch */
    float offset;                       /* CODE_QUANTIZED: what its scores lack to be distances */
    /* scorer_set_row on sq8 rows, made at its first call */
    bool row_ready;
    float *row_weight, *row_offset; /* dim floats each, in scratch */
    float row_scale;
    double row_fixed, row_rounding, row_slack, row_reach;
};
#define SCORER_BLOCK 256u

size_t scorer_bytes(const struct code *code);
void scorer_init(struct scorer *scorer, const struct code *code, void *scratch);
/* Make ready for a query of dim finite floats (copied; for COSINE not yet scaled). */
void scorer_set_query(struct scorer *scorer, const float *query);
/* Make ready for a stored row, as if its decoded vector were the query. Cheap on u8 and sq8 rows:
 * slack is then a coarser bound, and scorer->query is not written, so that only scorer_list, _rows
 * and _one may follow, not the _exact functions. */
void scorer_set_row(struct scorer *scorer, const uint8_t *row);
/* After scorer_set_query, on u8 and sq8: prepare the _fine functions. */
void scorer_refine(struct scorer *scorer);

/* Inside distances (estimates where slack > 0) to n rows by address, to n consecutive rows, and to
 * one. */
void scorer_list(const struct scorer *scorer, const uint8_t *const *rows, size_t n, float *dist);
void scorer_rows(const struct scorer *scorer, const uint8_t *rows, size_t n, float *dist);
float scorer_one(const struct scorer *scorer, const uint8_t *row);

/* The same within slack_fine. */
void scorer_list_fine(const struct scorer *scorer, const uint8_t *const *rows, size_t n,
                      float *dist);
void scorer_rows_fine(const struct scorer *scorer, const uint8_t *rows, size_t n, float *dist);

/* The same to the decoded rows by kern.h's float law, never an estimate: what is returned to users.
 * sq8 rows are decoded, u8 rows scored by the u8 float kernels. */
void scorer_exact_list(const struct scorer *scorer, const uint8_t *const *rows, size_t n,
                       float *dist);
void scorer_exact_rows(const struct scorer *scorer, const uint8_t *rows, size_t n, float *dist);
float scorer_exact_one(const struct scorer *scorer, const uint8_t *row);

#endif
