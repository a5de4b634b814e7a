/* Words of a description: text to kind and numbers. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/status.h"
#include "index/factory.h"
#include "quant/sq.h"

#define M_MIN     2u
#define M_MAX     128u
#define M_DEFAULT 32u /* FAISS's */
#define NLIST_MAX (1u << 24)
#define PQ_MAX    KITH_MAX_DIM

static const struct {
    const char *text;
    enum word_kind kind;
    enum code_kind code;
    uint32_t bits;
    bool uniform;
} plain[] = {
    {"Auto", WORD_AUTO, CODE_F32, 0, false},
    {"IDMap", WORD_IDMAP, CODE_F32, 0, false},
    {"IDMap2", WORD_IDMAP, CODE_F32, 0, false},
    {"Flat", WORD_CODE, CODE_F32, 0, false},
    {"SQfp16", WORD_CODE, CODE_F16, 0, false},
    {"SQbf16", WORD_CODE, CODE_BF16, 0, false},
    {"SQ8", WORD_CODE, CODE_SQ8, 0, false},
    {"SQ6", WORD_CODE, CODE_QUANTIZED, 6, false},
    {"SQ4", WORD_CODE, CODE_QUANTIZED, 4, false},
    {"SQ8_uniform", WORD_CODE, CODE_QUANTIZED, 8, true},
    {"SQ6_uniform", WORD_CODE, CODE_QUANTIZED, 6, true},
    {"SQ4_uniform", WORD_CODE, CODE_QUANTIZED, 4, true},
    {"Refine", WORD_REFINE, CODE_F32, 0, false},
    {"RFlat", WORD_REFINE, CODE_F32, 0, false},
};

int factory_fail(const char *spec, const struct word *word, kith_error *err, const char *why) {
    return FAIL_AT(err, KITH_ESPEC, word->at, "description \"%.80s\": %s at offset %zu", spec, why,
                   word->at);
}

/* A word being read: what is left of it. */
struct rest {
    const char *text;
    size_t n;
};

static bool take_text(struct rest *rest, const char *text) {
    size_t n = strlen(text);
    if (rest->n < n || strncasecmp(rest->text, text, n) != 0) return false;
    rest->text += n;
    rest->n -= n;
    return true;
}

/* Digits; false where there are none. A number over `most` is given as most + 1. */
static bool take_number(struct rest *rest, uint32_t most, uint32_t *number) {
    uint64_t value = 0;
    size_t digits = 0;
    for (; digits < rest->n && rest->text[digits] >= '0' && rest->text[digits] <= '9'; digits++)
        if (value <= most) value = value * 10 + (uint64_t)(rest->text[digits] - '0');
    rest->text += digits;
    rest->n -= digits;
    *number = value > most ? most + 1 : (uint32_t)value;
    return digits > 0;
}

static const char *read_links(struct rest *rest, uint32_t *m) {
    if (!take_number(rest, M_MAX, m)) *m = M_DEFAULT;
    return *m < M_MIN || *m > M_MAX ? "links of HNSW are 2 to 128," : NULL;
}

static const char *read_hnsw(struct rest *rest, struct word *word) {
    word->kind = WORD_HNSW;
    const char *fault = read_links(rest, &word->m);
    if (fault || rest->n == 0) return fault;
    if (*rest->text != '_' || rest->n == 1) return "HNSW wants a number of links";
    word->length -= rest->n;
    rest->n = 0;
    return NULL;
}

static const char *read_ivf(struct rest *rest, struct word *word) {
    static const char size[] = "the lists of IVF are 1 to 16777216,";
    word->kind = WORD_IVF;
    if (!take_number(rest, NLIST_MAX, &word->nlist))
        return "IVF wants its number of lists, as in IVF1024,";
    uint64_t nlist = word->nlist;
    if (take_text(rest, "k"))
        nlist <<= 10;
    else if (take_text(rest, "M"))
        nlist <<= 20;
    if (nlist < 1 || nlist > NLIST_MAX) return size;
    word->nlist = (uint32_t)nlist;
    if (rest->n == 0) return NULL;
    bool bracket = take_text(rest, "(HNSW");
    if (!bracket && !take_text(rest, "_HNSW"))
        return "lists are found through HNSW or all compared,";
    const char *fault = read_links(rest, &word->m);
    return fault || !bracket || take_text(rest, ")") ? fault : "a bracket is not closed";
}

static const char *read_size(struct rest *rest, struct transform_spec *transform,
                             const char *fault) {
    uint32_t most = transform->kind == TRANSFORM_PAD ? KITH_MAX_DIM : TRANSFORM_MATRIX_MAX;
    bool given = take_number(rest, most, &transform->d_out);
    return given && transform->d_out >= 1 && transform->d_out <= most ? NULL : fault;
}

static const char *read_pq(struct rest *rest, struct word *word) {
    uint32_t bits = 8;
    word->kind = WORD_CODE;
    word->code = CODE_QUANTIZED;
    if (!take_number(rest, PQ_MAX, &word->quantizer.m) || word->quantizer.m == 0 ||
        word->quantizer.m > PQ_MAX)
        return "PQ wants its number of sub-quantisers, as in PQ16,";
    if (take_text(rest, "x") && (!take_number(rest, 16, &bits) || (bits != 4 && bits != 8)))
        return "a sub-quantiser has 4 or 8 bits,";
    if (bits == 4 && take_text(rest, "fs")) (void)take_text(rest, "r");
    (void)take_text(rest, "np");
    word->quantizer.kind = QUANT_PQ;
    word->quantizer.bits = bits;
    return NULL;
}

static const char *read_rabitq(struct rest *rest, struct word *word) {
    uint32_t bits = 1;
    word->kind = WORD_CODE;
    word->code = CODE_QUANTIZED;
    (void)take_text(rest, "fs");
    if (rest->n && take_number(rest, 8, &bits) && (bits < 1 || bits > 8))
        return "RaBitQ has 1 to 8 bits,";
    word->quantizer = (struct quantizer_spec){.kind = QUANT_RABITQ, .bits = bits};
    return NULL;
}

static const char *read_pca(struct rest *rest, struct word *word) {
    word->kind = WORD_TRANSFORM;
    word->transform.kind = TRANSFORM_PCA;
    word->transform.whiten = take_text(rest, "W");
    word->transform.rotate = take_text(rest, "R");
    return read_size(rest, &word->transform, "PCA wants its number of dimensions, as in PCA64,");
}

static const char *read_opq(struct rest *rest, struct word *word) {
    struct transform_spec *transform = &word->transform;
    word->kind = WORD_TRANSFORM;
    transform->kind = TRANSFORM_OPQ;
    if (!take_number(rest, TRANSFORM_MATRIX_MAX, &transform->m) || transform->m == 0 ||
        transform->m > TRANSFORM_MATRIX_MAX)
        return "OPQ wants its number of parts, as in OPQ16 or OPQ16_64,";
    if (!take_text(rest, "_")) return NULL;
    return read_size(rest, transform, "OPQ wants a number of dimensions after the bar,");
}

static const char *read_rotation(struct rest *rest, struct word *word) {
    word->kind = WORD_TRANSFORM;
    word->transform.kind = TRANSFORM_ROTATION;
    if (rest->n == 0) return NULL;
    return read_size(rest, &word->transform, "RR takes a number of dimensions, as in RR64,");
}

static const char *read_pad(struct rest *rest, struct word *word) {
    word->kind = WORD_TRANSFORM;
    word->transform.kind = TRANSFORM_PAD;
    return read_size(rest, &word->transform, "Pad wants its number of dimensions, as in Pad128,");
}

static const char *read_linear(struct rest *rest, struct word *word) {
    word->kind = WORD_TRANSFORM;
    word->transform.kind = TRANSFORM_LINEAR;
    return read_size(rest, &word->transform, "Linear wants its number of dimensions,");
}

static const char *read_itq(struct rest *rest, struct word *word) {
    (void)rest, (void)word;
    return "ITQ is not known, nearest to it are PCARd and OPQM_d,";
}

static const char *read_binary(struct rest *rest, struct word *word) {
    (void)rest;
    word->kind = WORD_CODE;
    word->code = CODE_QUANTIZED;
    word->quantizer = (struct quantizer_spec){.kind = QUANT_BINARY, .bits = 1};
    return NULL;
}

static const struct {
    const char *head;
    const char *(*read)(struct rest *rest, struct word *word); /* what is wrong, or NULL */
} headed[] = {
    {"HNSW", read_hnsw},     {"IVF", read_ivf},       {"PQ", read_pq},   {"RaBitQ", read_rabitq},
    {"Binary", read_binary}, {"PCA", read_pca},       {"OPQ", read_opq}, {"RR", read_rotation},
    {"Pad", read_pad},       {"Linear", read_linear}, {"ITQ", read_itq},
};

static const struct {
    const char *text;
    enum transform_kind kind;
} transforms[] = {
    {"HR", TRANSFORM_HADAMARD},
    {"L2norm", TRANSFORM_NORMALISE},
    {"Centre", TRANSFORM_CENTRE},
    {"Center", TRANSFORM_CENTRE},
};

/* What is wrong with the n characters of a word, or NULL. */
static const char *read_word(const char *text, size_t n, struct word *word) {
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (n != strlen(plain[i].text) || strncasecmp(text, plain[i].text, n) != 0) continue;
        word->kind = plain[i].kind;
        word->code = plain[i].code;
        word->quantizer = (struct quantizer_spec){.kind = QUANT_SQ,
                                                  .bits = plain[i].bits,
                                                  .uniform = plain[i].uniform,
                                                  .clip = SQ_CLIP_FIT};
        return NULL;
    }
    for (size_t i = 0; i < sizeof transforms / sizeof *transforms; i++) {
        const char *named = transforms[i].text;
        if (n != strlen(named) || strncasecmp(text, named, n) != 0) continue;
        word->kind = WORD_TRANSFORM;
        word->transform.kind = transforms[i].kind;
        return NULL;
    }
    for (size_t i = 0; i < sizeof headed / sizeof *headed; i++) {
        struct rest rest = {text, n};
        if (!take_text(&rest, headed[i].head)) continue;
        const char *fault = headed[i].read(&rest, word);
        return fault || rest.n == 0 ? fault : "this word goes on too long";
    }
    return "unknown word (known: Auto Flat SQ4 SQ6 SQ8 SQfp16 SQbf16 PQm RaBitQ Binary "
           "HNSWm IVFn Refine RFlat IDMap PCAd OPQM RR HR L2norm Padd)";
}

/* "Refine(" is read: the code that stands for originals, and the bracket. */
static const char *read_second(const struct rest *rest, struct word *word) {
    if (rest->n == 0 || rest->text[rest->n - 1] != ')') return "a bracket is not closed";
    const char *fault = read_word(rest->text, rest->n - 1, word);
    if (!fault && word->kind != WORD_CODE) fault = "Refine takes a code in its brackets";
    word->kind = WORD_REFINE;
    return fault;
}

int factory_word(const char *spec, struct word *word, kith_error *err) {
    size_t at = word->at, n = strcspn(spec + at, ",");
    struct rest rest = {spec + at, n};
    *word = (struct word){.at = at, .length = n};
    if (n == 0) return factory_fail(spec, word, err, "a word is missing");
    const char *fault =
        take_text(&rest, "Refine(") ? read_second(&rest, word) : read_word(spec + at, n, word);
    return fault ? factory_fail(spec, word, err, fault) : KITH_OK;
}
