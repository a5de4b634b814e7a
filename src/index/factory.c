/* The factory: what a description means. FAISS's grammar for what exists; words in any case, no blanks.
 *
 *     spec    = "Auto" | store | graph
 *     store   = "Flat" [",SQ8"] | "SQ8" [refine] | "SQfp16" | "SQbf16"
 *     graph   = "HNSW" m [",Flat" | ",SQ8" | ",SQfp16" | ",SQbf16"] [refine]
 *     refine  = ",Refine" | ",Refine(Flat)" | ",RFlat" | ",Refine(SQfp16)"
 *
 * A refinement of what is not coarser than itself ("HNSW16,Refine") says nothing and is accepted. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/status.h"
#include "index/index.h"

#define M_MIN 2u
#define M_MAX 128u

enum word {
    WORD_AUTO,
    WORD_FLAT,
    WORD_SQ8,
    WORD_SQFP16,
    WORD_SQBF16,
    WORD_HNSW,
    WORD_REFINE,
    WORD_REFINE_F16,
    WORDS
};

static const struct {
    const char *text;
    enum word word;
} words[] = {
    {"Auto", WORD_AUTO},           {"Flat", WORD_FLAT},     {"SQ8", WORD_SQ8},
    {"SQfp16", WORD_SQFP16},       {"SQbf16", WORD_SQBF16}, {"Refine", WORD_REFINE},
    {"Refine(Flat)", WORD_REFINE}, {"RFlat", WORD_REFINE},  {"Refine(SQfp16)", WORD_REFINE_F16},
};

struct parser {
    const char *spec;
    size_t at, length; /* of the word being looked at */
    uint32_t m;
    kith_error *err;
};

static int fail_word(const struct parser *parser, const char *why) {
    return FAIL_AT(parser->err, KITH_ESPEC, parser->at, "description \"%.80s\": %s at offset %zu",
                   parser->spec, why, parser->at);
}

static int read_m(struct parser *parser) {
    const char *digits = parser->spec + parser->at + 4;
    size_t n = parser->length - 4;
    uint32_t m = 0;
    if (n == 0) return fail_word(parser, "HNSW wants its number of links, as in HNSW16,");
    for (size_t i = 0; i < n; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return fail_word(parser, "HNSW wants a number of links");
        m = m * 10 + (uint32_t)(digits[i] - '0');
        if (m > M_MAX) break;
    }
    if (m < M_MIN || m > M_MAX) return fail_word(parser, "links of HNSW are 2 to 128,");
    parser->m = m;
    return KITH_OK;
}

/* The word at parser->at, up to a comma or the end. */
static int read_word(struct parser *parser, enum word *word) {
    const char *text = parser->spec + parser->at;
    size_t n = parser->length = strcspn(text, ",");
    if (n == 0) return fail_word(parser, "a word is missing");
    if (n >= 4 && strncasecmp(text, "HNSW", 4) == 0) {
        *word = WORD_HNSW;
        return read_m(parser);
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (n == strlen(words[i].text) && strncasecmp(text, words[i].text, n) == 0) {
            *word = words[i].word;
            return KITH_OK;
        }
    }
    return fail_word(parser,
                     "unknown word (known: Flat SQ8 SQfp16 SQbf16 HNSWm Refine RFlat Auto)");
}

static bool next_word(struct parser *parser) {
    const char *end = parser->spec + parser->at + parser->length;
    if (*end == '\0') return false;
    parser->at += parser->length + 1;
    return true;
}

static enum code_kind kind_of(enum word word) {
    return word == WORD_SQ8      ? CODE_SQ8
           : word == WORD_SQFP16 ? CODE_F16
           : word == WORD_SQBF16 ? CODE_BF16
                                 : CODE_F32;
}

static bool is_code(enum word word) {
    return word == WORD_FLAT || word == WORD_SQ8 || word == WORD_SQFP16 || word == WORD_SQBF16;
}

/* After the first word: a code (for a graph, or SQ8 beside Flat), then a refinement. */
static int read_rest(struct parser *parser, enum word first, struct rows_config *rows) {
    bool coded = first != WORD_HNSW;
    while (next_word(parser)) {
        enum word word;
        TRY(read_word(parser, &word));
        bool beside_flat = first == WORD_FLAT && word == WORD_SQ8 && rows->walk == CODE_F32;
        if (beside_flat || (!coded && is_code(word))) {
            rows->walk = kind_of(word);
            rows->keep_orig = beside_flat || word == WORD_FLAT;
            coded = true;
        } else if ((word == WORD_REFINE || word == WORD_REFINE_F16) && first != WORD_FLAT &&
                   (first == WORD_HNSW || first == WORD_SQ8)) {
            if (rows->walk != CODE_F32) {
                rows->orig = word == WORD_REFINE ? CODE_F32 : CODE_F16;
                rows->keep_orig = true;
            }
            if (next_word(parser))
                return fail_word(parser, "nothing may follow a refinement, but there is more");
            return KITH_OK;
        } else {
            return fail_word(parser, "this word cannot stand here,");
        }
    }
    return KITH_OK;
}

int factory_parse(const char *spec, struct index_spec *out, kith_error *err) {
    struct parser parser = {.spec = spec, .err = err};
    struct index_spec made = {.rows = {.walk = CODE_F32, .orig = CODE_F32, .keep_orig = true}};
    enum word first;
    TRY(read_word(&parser, &first));
    if (first == WORD_REFINE || first == WORD_REFINE_F16)
        return fail_word(&parser, "nothing to refine");
    made.graph = first == WORD_HNSW;
    made.chooses = first == WORD_AUTO;
    made.m = parser.m;
    if (is_code(first) && first != WORD_FLAT) {
        made.rows.walk = kind_of(first);
        made.rows.keep_orig = false;
    }
    TRY(read_rest(&parser, first, &made.rows));
    made.rows.keep_err = made.rows.keep_orig && made.rows.walk == CODE_SQ8;
    *out = made;
    return KITH_OK;
}

void factory_print(const struct index_spec *spec, char *text, size_t size) {
    const struct rows_config *rows = &spec->rows;
    static const char *const code_word[CODE_KINDS] = {"Flat", "SQfp16", "SQbf16", "SQ8", "SQ8"};
    char head[16] = "Flat";
    if (spec->graph) snprintf(head, sizeof head, "HNSW%" PRIu32, spec->m);
    if (spec->chooses)
        snprintf(text, size, "Auto");
    else if (rows->walk == CODE_F32)
        snprintf(text, size, "%s", head);
    else if (!spec->graph && !rows->keep_orig)
        snprintf(text, size, "%s", code_word[rows->walk]);
    else if (!spec->graph && rows->orig == CODE_F32)
        snprintf(text, size, "Flat,%s", code_word[rows->walk]);
    else
        snprintf(text, size, "%s%s%s%s", spec->graph ? head : "", spec->graph ? "," : "",
                 code_word[rows->walk],
                 !rows->keep_orig         ? ""
                 : rows->orig == CODE_F32 ? ",Refine"
                                          : ",Refine(SQfp16)");
}
