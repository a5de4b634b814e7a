/* Codes: how a vector becomes the bytes of a row, and scorers: a query made ready for such rows.
 *
 * Inside, every distance is smaller-is-nearer: L2 and EUCLID: squared Euclidean; IP: minus the dot product; COSINE:
 * minus the cosine; L1: Manhattan. code_score() turns it into what the user sees. EUCLID differs from L2 only there.
 *
 * A row of a code:
 *   f32 f16 bf16   dim elements                                                     COSINE: + f32 inverse length
 *   u8             dim bytes, the vector itself (all integers in 0..255); pad; f32 term at term_at
 *   sq8            dim bytes c[i] = round((x[i] - low[i]) / step[i]); pad; f32 term at term_at
 * u8 and sq8 rows have stride a multiple of 64 with term_at = stride - 4 (and the inverse length of COSINE, for u8, at
 * stride - 8), so that a scan reads whole lines. Float rows are packed (stride = bytes). COSINE encodes x/|x| in sq8,
 * and x itself in all others.
 *
 * Estimates. u8 and sq8 are scored through whole-number dots of row codes with a query quantised to s8:
 *     dist = fmaf(scale, (float)dot, term + bias).
 * For u8 rows and an integral query in 0..255 under L2 it is exact as long as it is below 2^24; else it is within
 * `slack` of the distance to the decoded row, see scorer. Float rows are scored exactly (kern.h's law). L1 has no
 * one-byte estimate: u8 and sq8 rows are decoded and scored in f32.
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

enum code_kind { CODE_F32, CODE_F16, CODE_BF16, CODE_U8, CODE_SQ8, CODE_KINDS };

struct code {
    enum code_kind kind;
    kith_metric metric;
    uint32_t dim;
    uint32_t bytes;   /* what kernels read: dim elements, or padded to 64 for u8, sq8 */
    uint32_t stride;  /* from row to row */
    uint32_t term_at; /* u8, sq8: byte offset of the f32 row term; else 0 */
    uint32_t inv_at;  /* COSINE, but for sq8: byte offset of the f32 inverse length; else 0 */
    /* sq8 only: dim floats each, owned. Dimensions whose training values are all equal have step 0. */
    float *low, *step, *inv_step;
};

const char *code_kind_name(enum code_kind kind); /* "f32", "f16", "bf16", "u8", "sq8" */

/* An untrained code (sq8 must be trained before use). */
int code_init(struct code *code, enum code_kind kind, kith_metric metric, uint32_t dim, struct mem_account *owner,
              kith_error *err);
void code_deinit(struct code *code, struct mem_account *owner);

/* Learn sq8's ranges (minimum and maximum of each dimension of n rows; COSINE: of the scaled rows). Others: nothing. */
void code_train(struct code *code, size_t n, const float *rows);
/* True if a row lies in the trained ranges, so that no element is clipped. */
bool code_covers(const struct code *code, const float *row);

/* True if all values are integers in 0..255. */
bool code_is_integral(size_t n, const float *values);

/* Encode one row (all stride bytes are written). Returns the residual norm |x - decoded| (COSINE: of the unit vector),
 * rounded up; 0 for f32 and u8. */
float code_encode(const struct code *code, const float *row, uint8_t *out);
/* Decode one row to dim floats. sq8 under COSINE gives the unit vector's approximation. */
void code_decode(const struct code *code, const uint8_t *row, float *out);

/* The user's value of an inside distance. */
float code_score(kith_metric metric, float dist);
/* The inside distance of a user's value (a radius). */
float code_unscore(kith_metric metric, float score);

/* A query made ready for the rows of one code. Scratch is the caller's: scorer_bytes(code) bytes, 64-byte aligned,
 * reused from query to query. */
struct scorer {
    const struct code *code;
    const struct kern *kern;
    const float *query;  /* dim floats (COSINE with sq8: the unit query), in scratch */
    float inv;           /* COSINE: the query's inverse length */
    int8_t *quantised;   /* u8, sq8: code->bytes of s8, zero padded, in scratch */
    float scale, bias;   /* of the estimate */
    float slack;         /* |estimate - distance to the decoded row| <= slack; 0 where scores are exact */
    float *decoded;      /* L1 on one-byte rows: dim floats, in scratch */
    int32_t *dots;       /* SCORER_BLOCK partial results, in scratch */
};
#define SCORER_BLOCK 256u

size_t scorer_bytes(const struct code *code);
void scorer_init(struct scorer *scorer, const struct code *code, void *scratch);
/* Make ready for a query of dim finite floats (copied; for COSINE not yet scaled). */
void scorer_set_query(struct scorer *scorer, const float *query);
/* Make ready for a stored row, as if its decoded vector were the query. */
void scorer_set_row(struct scorer *scorer, const uint8_t *row);

/* Inside distances (estimates where slack > 0) to n rows by address, to n consecutive rows, and to one. */
void scorer_list(const struct scorer *scorer, const uint8_t *const *rows, size_t n, float *dist);
void scorer_rows(const struct scorer *scorer, const uint8_t *rows, size_t n, float *dist);
float scorer_one(const struct scorer *scorer, const uint8_t *row);

/* The same to the decoded rows by kern.h's float law, never an estimate: what is returned to users. One-byte rows are
 * decoded (sq8) or scored by the u8 float kernels. */
void scorer_exact_list(const struct scorer *scorer, const uint8_t *const *rows, size_t n, float *dist);
void scorer_exact_rows(const struct scorer *scorer, const uint8_t *rows, size_t n, float *dist);
float scorer_exact_one(const struct scorer *scorer, const uint8_t *row);

#endif
