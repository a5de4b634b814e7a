/* The factory: what a description (SPEC) means, in FAISS's grammar. Words in any case, no blanks.
 *
 *     spec      = [idmap ","] {transform ","} [idmap ","] core ["," refine] ["," idmap]          one idmap at most
 *     transform = "PCA" ["W"] ["R"] d | "OPQ" M ["_" d] | "RR" [d] | "HR" | "L2norm" | "Pad" d | "Centre" | "Linear" d
 *     core      = "Auto" | code | "Flat" [",SQ8"] | "HNSW" [m] [("," | "_") code] | coarse "," code
 *     coarse    = "IVF" nlist ["_HNSW" [m] | "(HNSW" [m] ")"]          nlist = digits ["k" | "M"]
 *     code      = "Flat" | "SQfp16" | "SQbf16" | "SQ8" | "SQ6" | "SQ4"
 *               | "SQ8_uniform" | "SQ6_uniform" | "SQ4_uniform"
 *               | "PQ" M ["x" bits] ["fs"] ["r"] ["np"] | "RaBitQ" ["fs"] [bits] | "Binary"
 *     refine    = "RFlat" | "Refine" ["(" code ")"]
 *     idmap     = "IDMap" | "IDMap2"
 *
 * Words that FAISS needs and Kith does not are accepted and forgotten: IDMap (every index keeps ids), fs and r (4-bit
 * codes in lists are always laid out for the fast scan, and always of residuals where the metric has them), np. A
 * refinement of what is not coarser than itself ("HNSW16,Refine") says nothing; one that is coarser than what it refines
 * ("HNSW16,SQ8,Refine(SQ4)") is refused.
 *
 * Transforms: at most eight; with them the refinement is on what was given, before the first of them. HR (the fast random
 * rotation by Hadamard transforms, quant/rotation.h) and Centre are words of ours, FAISS has the transforms in files only;
 * so is Linear, a matrix that comes from a file and from nowhere else (factory_check). FAISS's ITQ is refused. */
#ifndef KITH_INDEX_FACTORY_H
#define KITH_INDEX_FACTORY_H

#include "index/rows.h"
#include "quant/transform.h"

enum index_structure { INDEX_FLAT, INDEX_GRAPH, INDEX_IVF };

struct index_spec {
    enum index_structure structure;
    bool chooses; /* Auto: decided at the first add */
    /* graph: links a row; inverted lists: links of the coarse graph, 0 where it is flat */
    uint32_t m;
    uint32_t nlist;      /* inverted lists; 1 for a quantizer's codes without any ("PQ16") */
    bool lone;           /* inverted lists: there is one, and the description names none */
    enum code_kind list; /* inverted lists: what they hold */
    struct quantizer_spec quantizer; /* inverted lists: of CODE_QUANTIZED ones */
    bool refine;                     /* inverted lists: originals are kept */
    size_t code_at;                  /* offset in the description of the word that names the code */
    struct rows_config rows;         /* dim and metric are filled in by the caller */

    /* In front of the index. */
    uint32_t n_transforms;
    struct transform_spec transform[TRANSFORM_CHAIN_MAX]; /* d_in 0; d_out 0: as the kind has it */
    size_t transform_at[TRANSFORM_CHAIN_MAX];             /* offsets of their words */
    bool keeps; /* what goes into the first of them is kept, to refine on, as: */
    enum code_kind kept;
    struct quantizer_spec kept_quantizer;
};

#define FACTORY_TEXT 128u /* room for any canonical text, with its zero: longer ones are refused */

/* Errors   KITH_ESPEC, err->at the offset of the word at fault; out is then as it was. */
int factory_parse(const char *spec, struct index_spec *out, kith_error *err);
/* The canonical text of a spec ("HNSW16,SQ8,Refine"), which parses to it. */
void factory_print(const struct index_spec *spec, char *text, size_t size);
/* Its transforms alone, each with a comma after it. */
void factory_print_transforms(const struct index_spec *spec, char *text, size_t size);
/* Whether an index can be made from a description alone.   Errors   KITH_ESPEC, as above. */
int factory_check(const struct index_spec *spec, kith_error *err);

/* ---- words, factory_word.c --------------------------------------------------------------------- */

enum word_kind {
    WORD_AUTO,
    WORD_IDMAP,
    WORD_TRANSFORM,
    WORD_CODE,
    WORD_HNSW,
    WORD_IVF,
    WORD_REFINE
};

struct word {
    size_t at, length; /* in the spec */
    enum word_kind kind;
    enum code_kind code; /* CODE, REFINE */
    struct quantizer_spec quantizer;
    struct transform_spec transform;
    uint32_t m, nlist;
};

/* Read the word at word->at, whose end is a comma, the end, or an underscore after HNSW's number. */
int factory_word(const char *spec, struct word *word, kith_error *err);
int factory_fail(const char *spec, const struct word *word, kith_error *err, const char *why);

#endif
