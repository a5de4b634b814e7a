/* The factory: words to a spec, and a spec to its canonical text. The grammar is in factory.h. */
#include "index/factory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "quant/sq.h"

struct parser {
    const char *spec;
    struct word word;
    bool ended; /* the word is past the end */
    kith_error *err;
};

static int fail_word(const struct parser *parser, const char *why) {
    return factory_fail(parser->spec, &parser->word, parser->err, why);
}

static int next_word(struct parser *parser) {
    parser->word.at += parser->word.length;
    parser->ended = parser->spec[parser->word.at] == '\0';
    if (parser->ended) return KITH_OK;
    parser->word.at++;
    return factory_word(parser->spec, &parser->word, parser->err);
}

static bool at_word(const struct parser *parser, enum word_kind kind) {
    return !parser->ended && parser->word.kind == kind;
}

static void set_code(const struct word *word, struct rows_config *rows) {
    rows->walk = word->code;
    rows->quantizer = word->quantizer;
}

/* A quantizer's codes are kept as one list is: in blocks, less the mean. */
static int read_lone(struct parser *parser, struct index_spec *made) {
    made->structure = INDEX_IVF;
    made->rows.may_forget = true;
    made->nlist = 1;
    made->lone = true;
    made->list = CODE_QUANTIZED;
    made->quantizer = parser->word.quantizer;
    made->code_at = parser->word.at;
    return next_word(parser);
}

/* Flat, or a code that is all there is, or a code beside Flat. */
static int read_flat(struct parser *parser, struct index_spec *made) {
    struct rows_config *rows = &made->rows;
    bool flat = parser->word.code == CODE_F32;
    if (parser->word.code == CODE_QUANTIZED) return read_lone(parser, made);
    set_code(&parser->word, rows);
    rows->keep_orig = flat;
    TRY(next_word(parser));
    if (!flat || !at_word(parser, WORD_CODE)) return KITH_OK;
    if (parser->word.code != CODE_SQ8)
        return fail_word(parser, "Flat takes SQ8 beside it, not the word");
    set_code(&parser->word, rows);
    return next_word(parser);
}

static int read_graph(struct parser *parser, struct index_spec *made) {
    made->structure = INDEX_GRAPH;
    made->m = parser->word.m;
    TRY(next_word(parser));
    if (!at_word(parser, WORD_CODE)) return KITH_OK;
    set_code(&parser->word, &made->rows);
    made->code_at = parser->word.at;
    made->rows.keep_orig = parser->word.code == CODE_F32;
    return next_word(parser);
}

static int read_lists(struct parser *parser, struct index_spec *made) {
    made->structure = INDEX_IVF;
    made->rows.may_forget = true;
    made->m = parser->word.m;
    made->nlist = parser->word.nlist;
    TRY(next_word(parser));
    if (!at_word(parser, WORD_CODE))
        return fail_word(parser,
                         "IVF wants the code of its lists, as in IVF1024,Flat, not the word");
    made->list = parser->word.code;
    made->quantizer = parser->word.quantizer;
    made->code_at = parser->word.at;
    if (made->list == CODE_SQ8) { /* in lists, residuals are coded */
        made->list = CODE_QUANTIZED;
        made->quantizer = (struct quantizer_spec){.kind = QUANT_SQ, .bits = 8, .clip = SQ_CLIP_FIT};
    }
    return next_word(parser);
}

/* Bits that a code keeps of an element, as far as words tell: those of PQ depend on the dimension. */
static uint32_t bits_of(enum code_kind kind, const struct quantizer_spec *quantizer,
                        uint32_t of_pq) {
    static const uint32_t bits[] = {
        [CODE_F32] = 32, [CODE_F16] = 16, [CODE_BF16] = 16, [CODE_U8] = 8, [CODE_SQ8] = 8};
    if (kind != CODE_QUANTIZED) return bits[kind];
    return quantizer->kind == QUANT_PQ ? of_pq : quantizer->bits;
}

/* What may be refined: something coarser than the originals, or than the code that stands for them. */
static int read_refine(struct parser *parser, struct index_spec *made) {
    const struct word *word = &parser->word;
    struct rows_config *rows = &made->rows;
    bool lists = made->structure == INDEX_IVF;
    enum code_kind kind = lists ? made->list : rows->walk;
    if (made->structure == INDEX_FLAT && (rows->keep_orig || rows->walk < CODE_SQ8))
        return fail_word(parser, "there is nothing to refine for the word");
    if (kind == CODE_F32) return next_word(parser);
    if (bits_of(word->code, &word->quantizer, UINT32_MAX) <
        bits_of(kind, lists ? &made->quantizer : &rows->quantizer, 0))
        return fail_word(parser, "a refinement keeps no less than what it refines, not the word");
    rows->orig = word->code;
    rows->orig_quantizer = word->quantizer;
    rows->keep_orig = true;
    if (lists) { /* the rows are what is refined on, and nothing else */
        made->refine = true;
        rows->may_forget = false;
        rows->walk = rows->orig;
        rows->quantizer = rows->orig_quantizer;
    }
    return next_word(parser);
}

/* What goes into the transforms, kept beside: as given, or as a code. */
static int read_outer_refine(struct parser *parser, struct index_spec *made) {
    made->keeps = true;
    made->kept = parser->word.code;
    made->kept_quantizer = parser->word.quantizer;
    return next_word(parser);
}

static int read_transforms(struct parser *parser, struct index_spec *made) {
    while (at_word(parser, WORD_TRANSFORM)) {
        if (made->n_transforms == TRANSFORM_CHAIN_MAX)
            return fail_word(parser, "one transform too many, eight are the most,");
        made->transform_at[made->n_transforms] = parser->word.at;
        made->transform[made->n_transforms++] = parser->word.transform;
        TRY(next_word(parser));
        if (parser->ended) return fail_word(parser, "transforms want an index after them");
    }
    return KITH_OK;
}

static int read_core(struct parser *parser, struct index_spec *made) {
    if (made->n_transforms && parser->word.kind == WORD_AUTO)
        return fail_word(parser, "Auto does not choose behind transforms, the word");
    switch (parser->word.kind) {
    case WORD_AUTO: made->chooses = true; return next_word(parser);
    case WORD_CODE: return read_flat(parser, made);
    case WORD_HNSW: return read_graph(parser, made);
    case WORD_IVF: return read_lists(parser, made);
    default: return fail_word(parser, "no index begins with the word");
    }
}

/* Only chains of many steps are as long as that. */
static int check_length(const struct index_spec *made, const struct parser *parser) {
    char text[2 * FACTORY_TEXT];
    if (made->n_transforms == 0) return KITH_OK;
    factory_print(made, text, sizeof text);
    return strlen(text) < FACTORY_TEXT ? KITH_OK : fail_word(parser, "the description is too long");
}

int factory_parse(const char *spec, struct index_spec *out, kith_error *err) {
    struct parser parser = {.spec = spec, .err = err};
    struct index_spec made = {.rows = {.walk = CODE_F32, .orig = CODE_F32, .keep_orig = true}};
    TRY(factory_word(spec, &parser.word, err));
    bool mapped = at_word(&parser, WORD_IDMAP);
    if (mapped) {
        TRY(next_word(&parser));
        if (parser.ended) return fail_word(&parser, "IDMap wants an index after it");
    }
    TRY(read_transforms(&parser, &made));
    if (made.n_transforms && at_word(&parser, WORD_IDMAP) && !mapped) {
        mapped = true;
        TRY(next_word(&parser));
        if (parser.ended) return fail_word(&parser, "IDMap wants an index after it");
    }
    TRY(read_core(&parser, &made));
    if (at_word(&parser, WORD_REFINE) && !made.chooses)
        TRY((made.n_transforms ? read_outer_refine : read_refine)(&parser, &made));
    if (at_word(&parser, WORD_IDMAP) && !mapped) TRY(next_word(&parser));
    if (!parser.ended) return fail_word(&parser, "this word cannot stand here,");
    TRY(check_length(&made, &parser));
    made.rows.keep_err =
        made.rows.keep_orig && made.rows.walk == CODE_SQ8 && made.rows.orig != CODE_SQ8;
    *out = made;
    return KITH_OK;
}

/* ---- the canonical text ------------------------------------------------------------------------ */

static void print_code(enum code_kind kind, const struct quantizer_spec *quantizer, char *text,
                       size_t size) {
    static const char *const word[] = {[CODE_F32] = "Flat",
                                       [CODE_F16] = "SQfp16",
                                       [CODE_BF16] = "SQbf16",
                                       [CODE_U8] = "SQ8",
                                       [CODE_SQ8] = "SQ8"};
    if (kind != CODE_QUANTIZED)
        snprintf(text, size, "%s", word[kind]);
    else if (quantizer->kind == QUANT_PQ)
        snprintf(text, size, "PQ%" PRIu32 "%s", quantizer->m, quantizer->bits == 4 ? "x4fs" : "");
    else if (quantizer->kind == QUANT_RABITQ && quantizer->bits == 1)
        snprintf(text, size, "RaBitQ");
    else if (quantizer->kind == QUANT_RABITQ)
        snprintf(text, size, "RaBitQ%" PRIu32, quantizer->bits);
    else if (quantizer->kind == QUANT_SQ)
        snprintf(text, size, "SQ%" PRIu32 "%s", quantizer->bits,
                 quantizer->uniform ? "_uniform" : "");
    else
        snprintf(text, size, "Binary");
}

static void print_index(const struct index_spec *spec, char *text, size_t size) {
    const struct rows_config *rows = &spec->rows;
    char code[24], second[24], coarse[16] = "", refine[40] = "";
    if (spec->refine || (rows->keep_orig && rows->walk != CODE_F32)) {
        print_code(rows->orig, &rows->orig_quantizer, second, sizeof second);
        if (rows->orig == CODE_F32)
            snprintf(refine, sizeof refine, ",Refine");
        else
            snprintf(refine, sizeof refine, ",Refine(%s)", second);
    }
    if (spec->structure == INDEX_IVF) {
        if (spec->m) snprintf(coarse, sizeof coarse, "_HNSW%" PRIu32, spec->m);
        print_code(spec->list, &spec->quantizer, code, sizeof code);
        if (spec->lone)
            snprintf(text, size, "%s%s", code, refine);
        else
            snprintf(text, size, "IVF%" PRIu32 "%s,%s%s", spec->nlist, coarse, code, refine);
        return;
    }
    bool coded = rows->walk != CODE_F32;
    print_code(rows->walk, &rows->quantizer, code, sizeof code);
    if (spec->chooses)
        snprintf(text, size, "Auto");
    else if (spec->structure == INDEX_GRAPH)
        snprintf(text, size, "HNSW%" PRIu32 "%s%s%s", spec->m, coded ? "," : "", coded ? code : "",
                 refine);
    else if (rows->walk == CODE_SQ8 && rows->keep_orig && rows->orig == CODE_F32)
        snprintf(text, size, "Flat,%s", code);
    else
        snprintf(text, size, "%s%s", code, refine);
}

static void print_transform(const struct transform_spec *t, char *text, size_t size) {
    static const char *const word[] = {
        [TRANSFORM_LINEAR] = "Linear",    [TRANSFORM_PCA] = "PCA",      [TRANSFORM_OPQ] = "OPQ",
        [TRANSFORM_ROTATION] = "RR",      [TRANSFORM_PAD] = "Pad",      [TRANSFORM_HADAMARD] = "HR",
        [TRANSFORM_NORMALISE] = "L2norm", [TRANSFORM_CENTRE] = "Centre"};
    char number[24] = "";
    bool sized = t->kind != TRANSFORM_HADAMARD && t->kind != TRANSFORM_NORMALISE &&
                 t->kind != TRANSFORM_CENTRE && t->d_out > 0;
    if (t->kind == TRANSFORM_OPQ)
        snprintf(number, sizeof number, "%" PRIu32 "%s", t->m, sized ? "_" : "");
    size_t n = strlen(number);
    if (sized) snprintf(number + n, sizeof number - n, "%" PRIu32, t->d_out);
    snprintf(text, size, "%s%s%s%s,", word[t->kind], t->whiten ? "W" : "", t->rotate ? "R" : "",
             number);
}

void factory_print_transforms(const struct index_spec *spec, char *text, size_t size) {
    text[0] = '\0';
    for (uint32_t i = 0; i < spec->n_transforms; i++) {
        size_t n = strlen(text);
        print_transform(&spec->transform[i], text + n, size - n);
    }
}

void factory_print(const struct index_spec *spec, char *text, size_t size) {
    factory_print_transforms(spec, text, size);
    size_t n = strlen(text);
    print_index(spec, text + n, size - n);
    if (!spec->keeps) return;
    n = strlen(text);
    char code[24];
    print_code(spec->kept, &spec->kept_quantizer, code, sizeof code);
    bool coded = spec->kept != CODE_F32;
    snprintf(text + n, size - n, ",Refine%s%s%s", coded ? "(" : "", coded ? code : "",
             coded ? ")" : "");
}

int factory_check(const struct index_spec *spec, kith_error *err) {
    for (uint32_t i = 0; i < spec->n_transforms; i++)
        if (spec->transform[i].kind == TRANSFORM_LINEAR)
            return FAIL_AT(err, KITH_ESPEC, spec->transform_at[i],
                           "Linear at offset %zu is a matrix from a file, and cannot be made",
                           spec->transform_at[i]);
    return KITH_OK;
}
