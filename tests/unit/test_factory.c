/* The factory: each description means what FAISS's grammar says, has one canonical text, and a bad one is refused at the
 * offset of the word that is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "index/index.h"

static void test_canonical(void **state) {
    static const struct {
        const char *given, *canonical;
        enum code_kind walk, orig;
        bool graph, keep_orig, keep_err;
        uint32_t m;
    } cases[] = {
        {"Flat", "Flat", CODE_F32, CODE_F32, false, true, false, 0},
        {"flat", "Flat", CODE_F32, CODE_F32, false, true, false, 0},
        {"Flat,SQ8", "Flat,SQ8", CODE_SQ8, CODE_F32, false, true, true, 0},
        {"SQ8,RFlat", "Flat,SQ8", CODE_SQ8, CODE_F32, false, true, true, 0},
        {"SQ8,Refine(SQfp16)", "SQ8,Refine(SQfp16)", CODE_SQ8, CODE_F16, false, true, true, 0},
        {"SQ8", "SQ8", CODE_SQ8, CODE_F32, false, false, false, 0},
        {"sqFP16", "SQfp16", CODE_F16, CODE_F32, false, false, false, 0},
        {"SQbf16", "SQbf16", CODE_BF16, CODE_F32, false, false, false, 0},
        {"HNSW16", "HNSW16", CODE_F32, CODE_F32, true, true, false, 16},
        {"hnsw2,flat", "HNSW2", CODE_F32, CODE_F32, true, true, false, 2},
        {"HNSW128,Refine", "HNSW128", CODE_F32, CODE_F32, true, true, false, 128},
        {"HNSW32,SQ8", "HNSW32,SQ8", CODE_SQ8, CODE_F32, true, false, false, 32},
        {"HNSW32,SQ8,Refine(Flat)", "HNSW32,SQ8,Refine", CODE_SQ8, CODE_F32, true, true, true, 32},
        {"HNSW32,SQ8,Refine(SQfp16)", "HNSW32,SQ8,Refine(SQfp16)", CODE_SQ8, CODE_F16, true, true,
         true, 32},
        {"HNSW8,SQfp16", "HNSW8,SQfp16", CODE_F16, CODE_F32, true, false, false, 8},
        {"HNSW8,SQfp16,RFlat", "HNSW8,SQfp16,Refine", CODE_F16, CODE_F32, true, true, false, 8},
        {"HNSW", "HNSW32", CODE_F32, CODE_F32, true, true, false, 32},
        {"HNSW16_SQ8", "HNSW16,SQ8", CODE_SQ8, CODE_F32, true, false, false, 16},
        {"IDMap,HNSW16", "HNSW16", CODE_F32, CODE_F32, true, true, false, 16},
        {"Flat,idmap2", "Flat", CODE_F32, CODE_F32, false, true, false, 0},
        {"HNSW16,PQ8", "HNSW16,PQ8", CODE_QUANTIZED, CODE_F32, true, false, false, 16},
        {"SQ4", "SQ4", CODE_F32, CODE_F32, false, true, false, 0},
        {"RaBitQ,RFlat", "RaBitQ,Refine", CODE_F32, CODE_F32, false, true, false, 0},
        {"IVF1k,Flat", "IVF1024,Flat", CODE_F32, CODE_F32, false, true, false, 0},
        {"IVF64_HNSW,SQ8", "IVF64_HNSW32,SQ8", CODE_F32, CODE_F32, false, true, false, 32},
        {"IVF64(HNSW8),PQ16x4fsr,RFlat", "IVF64_HNSW8,PQ16x4fs,Refine", CODE_F32, CODE_F32, false,
         true, false, 8},
        {"IVF64,PQ16np", "IVF64,PQ16", CODE_F32, CODE_F32, false, true, false, 0},
        {"IVF64,RaBitQfs4,Refine(SQfp16)", "IVF64,RaBitQ4,Refine(SQfp16)", CODE_F16, CODE_F16,
         false, true, false, 0},
        {"HNSW16,SQ4,refine(sq8)", "HNSW16,SQ4,Refine(SQ8)", CODE_QUANTIZED, CODE_SQ8, true, true,
         false, 16},
        {"HNSW16,SQ8,Refine(SQ8)", "HNSW16,SQ8,Refine(SQ8)", CODE_SQ8, CODE_SQ8, true, true, false,
         16},
        {"HNSW8,Refine(SQ8)", "HNSW8", CODE_F32, CODE_F32, true, true, false, 8},
        {"HNSW8,PQ4,Refine(PQ16x8)", "HNSW8,PQ4,Refine(PQ16)", CODE_QUANTIZED, CODE_QUANTIZED, true,
         true, false, 8},
        {"IVF256,PQ16x4fs,Refine(SQ8)", "IVF256,PQ16x4fs,Refine(SQ8)", CODE_SQ8, CODE_SQ8, false,
         true, false, 0},
        {"RaBitQ,Refine(SQ4_Uniform)", "RaBitQ,Refine(SQ4_uniform)", CODE_QUANTIZED, CODE_QUANTIZED,
         false, true, false, 0},
        {"SQ8_uniform", "SQ8_uniform", CODE_F32, CODE_F32, false, true, false, 0},
        {"IVF8,SQ4_uniform,Refine(SQbf16)", "IVF8,SQ4_uniform,Refine(SQbf16)", CODE_BF16, CODE_BF16,
         false, true, false, 0},
        {"Auto", "Auto", CODE_F32, CODE_F32, false, true, false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct index_spec spec, again;
        kith_error err;
        char text[FACTORY_TEXT], twice[FACTORY_TEXT];
        if (factory_parse(cases[i].given, &spec, &err) != KITH_OK) fail_msg("%s", err.text);
        factory_print(&spec, text, sizeof text);
        assert_string_equal(text, cases[i].canonical);
        assert_int_equal(factory_parse(text, &again, &err), KITH_OK);
        factory_print(&again, twice, sizeof twice);
        assert_string_equal(text, twice);
        assert_int_equal(spec.rows.walk, cases[i].walk);
        assert_int_equal(spec.rows.orig, cases[i].orig);
        assert_int_equal(spec.rows.keep_orig, cases[i].keep_orig);
        assert_int_equal(spec.rows.keep_err, cases[i].keep_err);
        assert_int_equal(spec.structure == INDEX_GRAPH, cases[i].graph);
        assert_int_equal(spec.m, cases[i].m);
        assert_int_equal(spec.chooses, strcmp(text, "Auto") == 0);
    }
}

static void test_bad(void **state) {
    static const struct {
        const char *spec;
        int64_t at;
    } cases[] = {
        {"", 0},
        {"Flatt", 0},
        {"Flat,", 5},
        {",Flat", 0},
        {"Flat,SQ8,SQ8", 9},
        {"Flat,SQfp16", 5},
        {"HNSW1", 0},
        {"HNSW129", 0},
        {"HNSWx", 0},
        {"HNSW16x", 0},
        {"HNSW16,PQ", 7},
        {"HNSW16_", 0},
        {"HNSW16_SQ8_SQ8", 7},
        {"HNSW16,SQ8,SQ8", 11},
        {"Refine", 0},
        {"HNSW16,HNSW16", 7},
        {"Auto,SQ8", 5},
        {"HNSW16,Refine,SQ8", 14},
        {"SQfp16,Refine", 7},
        {"Flat ", 0},
        {"HNSW99999999999999999999", 0},
        {"Flat,Refine", 5},
        {"IVF", 0},
        {"IVF0,Flat", 0},
        {"IVF17M,Flat", 0},
        {"IVF16", 5},
        {"IVF16,Refine", 6},
        {"IVF16_NSG8,Flat", 0},
        {"IVF16(HNSW8,Flat", 0},
        {"IVF16,PQ8x5", 6},
        {"IVF16,PQ0", 6},
        {"IVF16,RaBitQ9", 6},
        {"IVF16,Flat,Flat", 11},
        {"IDMap", 5},
        {"IDMap,Flat,IDMap", 11},
        {"HNSW16,,SQ8", 7},
        {"HNSW16,SQ8,Refine(SQ4)", 11},
        {"IVF8,SQfp16,Refine(SQ8)", 12},
        {"SQfp16,Refine(SQ8)", 7},
        {"HNSW16,SQ4,Refine(SQ8", 11},
        {"HNSW16,SQ4,Refine()", 11},
        {"HNSW16,SQ4,Refine(IVF4)", 11},
        {"HNSW16,SQ4,Refine(SQ8)x", 11},
        {"SQ4_unifor", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct index_spec spec, before;
        kith_error err;
        memset(&spec, 0x5a, sizeof spec);
        before = spec;
        if (factory_parse(cases[i].spec, &spec, &err) != KITH_ESPEC)
            fail_msg("\"%s\" was accepted", cases[i].spec);
        if (err.at != cases[i].at)
            fail_msg("\"%s\": at %lld: %s", cases[i].spec, (long long)err.at, err.text);
        assert_memory_equal(&spec, &before, sizeof spec);
        assert_int_equal(factory_parse(cases[i].spec, &spec, NULL), KITH_ESPEC);
    }
}

/* ---- transforms --------------------------------------------------------------------------------- */

static void test_transforms(void **state) {
    static const struct {
        const char *given, *canonical;
        enum transform_kind kind; /* of the last */
        uint32_t n, d_out, m;
        bool whiten, rotate, keeps;
        enum code_kind kept;
    } cases[] = {
        {"PCA64,Flat", "PCA64,Flat", TRANSFORM_PCA, 1, 64, 0, false, false, false, CODE_F32},
        {"pcaw64,flat", "PCAW64,Flat", TRANSFORM_PCA, 1, 64, 0, true, false, false, CODE_F32},
        {"PCAR9,SQ8", "PCAR9,SQ8", TRANSFORM_PCA, 1, 9, 0, false, true, false, CODE_F32},
        {"PCAWR9,HNSW", "PCAWR9,HNSW32", TRANSFORM_PCA, 1, 9, 0, true, true, false, CODE_F32},
        {"OPQ16,IVF256,PQ16x4fs,RFlat", "OPQ16,IVF256,PQ16x4fs,Refine", TRANSFORM_OPQ, 1, 0, 16,
         false, false, true, CODE_F32},
        {"OPQ16_64,PQ16", "OPQ16_64,PQ16", TRANSFORM_OPQ, 1, 64, 16, false, false, false, CODE_F32},
        {"RR,Flat,SQ8", "RR,Flat,SQ8", TRANSFORM_ROTATION, 1, 0, 0, false, false, false, CODE_F32},
        {"RR64,SQ8,Refine(SQfp16)", "RR64,SQ8,Refine(SQfp16)", TRANSFORM_ROTATION, 1, 64, 0, false,
         false, true, CODE_F16},
        {"hr,RaBitQ", "HR,RaBitQ", TRANSFORM_HADAMARD, 1, 0, 0, false, false, false, CODE_F32},
        {"L2norm,Flat", "L2norm,Flat", TRANSFORM_NORMALISE, 1, 0, 0, false, false, false, CODE_F32},
        {"L2Norm,Flat,Refine", "L2norm,Flat,Refine", TRANSFORM_NORMALISE, 1, 0, 0, false, false,
         true, CODE_F32},
        {"Pad128,IVF4_HNSW8,SQ4", "Pad128,IVF4_HNSW8,SQ4", TRANSFORM_PAD, 1, 128, 0, false, false,
         false, CODE_F32},
        {"Center,Flat", "Centre,Flat", TRANSFORM_CENTRE, 1, 0, 0, false, false, false, CODE_F32},
        {"L2norm,PCA8,HR,Linear7,Flat", "L2norm,PCA8,HR,Linear7,Flat", TRANSFORM_LINEAR, 4, 7, 0,
         false, false, false, CODE_F32},
        {"IDMap,PCA8,Flat", "PCA8,Flat", TRANSFORM_PCA, 1, 8, 0, false, false, false, CODE_F32},
        {"PCA8,IDMap2,Flat,Refine", "PCA8,Flat,Refine", TRANSFORM_PCA, 1, 8, 0, false, false, true,
         CODE_F32},
        {"PCA8,Flat,Refine,IDMap", "PCA8,Flat,Refine", TRANSFORM_PCA, 1, 8, 0, false, false, true,
         CODE_F32},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct index_spec spec;
        char text[FACTORY_TEXT];
        kith_error err;
        if (factory_parse(cases[i].given, &spec, &err) != KITH_OK) fail_msg("%s", err.text);
        factory_print(&spec, text, sizeof text);
        assert_string_equal(text, cases[i].canonical);
        assert_int_equal(spec.n_transforms, cases[i].n);
        const struct transform_spec *last = &spec.transform[spec.n_transforms - 1];
        assert_int_equal(last->kind, cases[i].kind);
        assert_int_equal(last->d_out, cases[i].d_out);
        assert_int_equal(last->m, cases[i].m);
        assert_int_equal(last->whiten, cases[i].whiten);
        assert_int_equal(last->rotate, cases[i].rotate);
        assert_int_equal(spec.keeps, cases[i].keeps);
        if (spec.keeps) assert_int_equal(spec.kept, cases[i].kept);
        assert_int_equal(factory_check(&spec, NULL),
                         last->kind == TRANSFORM_LINEAR ? KITH_ESPEC : KITH_OK);
    }
}

static void test_bad_transforms(void **state) {
    static const struct {
        const char *spec;
        int64_t at;
    } cases[] = {
        {"PCA,Flat", 0},
        {"PCA0,Flat", 0},
        {"PCA8193,Flat", 0},
        {"PCAV8,Flat", 0},
        {"PCA8x,Flat", 0},
        {"OPQ,Flat", 0},
        {"OPQ16_,Flat", 0},
        {"OPQ16_0,Flat", 0},
        {"OPQ0,Flat", 0},
        {"RR0,Flat", 0},
        {"RRx,Flat", 0},
        {"Pad,Flat", 0},
        {"Pad65537,Flat", 0},
        {"HR64,Flat", 0},
        {"ITQ64,Flat", 0},
        {"PCA64", 5},
        {"PCA64,", 6},
        {"PCA64,Refine", 6},
        {"PCA64,Auto", 6},
        {"Flat,PCA64", 5},
        {"HNSW16,L2norm", 7},
        {"PCA64,Flat,Flat", 11},
        {"PCA64,Flat,Refine(HR)", 11},
        {"IDMap,PCA64,IDMap,Flat", 12},
        {"PCA64,IDMap,Flat,IDMap", 17},
        {"RR,RR,RR,RR,RR,RR,RR,RR,RR,Flat", 24},
        {"PCAWR1000,PCAWR1000,PCAWR1000,PCAWR1000,PCAWR1000,PCAWR1000,OPQ1000_1000,OPQ1000_1000,"
         "IVF16000000_HNSW128,PQ1000x4fs,Refine(SQfp16)",
         -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct index_spec spec;
        kith_error err;
        if (factory_parse(cases[i].spec, &spec, &err) != KITH_ESPEC)
            fail_msg("\"%s\" was accepted", cases[i].spec);
        if (cases[i].at >= 0 && err.at != cases[i].at)
            fail_msg("\"%s\": at %lld: %s", cases[i].spec, (long long)err.at, err.text);
    }
}

/* Any chain before any index: its text parses to the same, and is its own canonical text. */
static void test_any_chain_comes_back(void **state) {
    static const char *const words[] = {"PCA%u", "PCAW%u", "PCAR%u", "PCAWR%u", "OPQ%u", "OPQ%u_64",
                                        "RR",    "RR%u",   "HR",     "L2norm",  "Pad%u", "Centre"};
    static const char *const cores[] = {"Flat",      "Flat,SQ8",     "SQ4",
                                        "HNSW8,PQ4", "IVF9,RaBitQ2", "IVF9_HNSW4,PQ4x4fs",
                                        "RaBitQ",    "SQ8_uniform"};
    static const char *const tails[] = {"", ",Refine", ",Refine(SQ8)", ",Refine(SQfp16)"};
    uint64_t random = 5;
    (void)state;
    for (int round = 0; round < 3000; round++) {
        char given[256] = "", text[FACTORY_TEXT], again[FACTORY_TEXT];
        struct index_spec spec, other;
        kith_error err;
        for (uint64_t n = 1 + bits_random(&random) % 5; n > 0; n--) {
            size_t at = strlen(given);
            snprintf(given + at, sizeof given - at, words[bits_random(&random) % 12],
                     1 + (unsigned)(bits_random(&random) % 999));
            strcat(given, ",");
        }
        strcat(given, cores[bits_random(&random) % 8]);
        strcat(given, tails[bits_random(&random) % 4]);
        if (factory_parse(given, &spec, &err) != KITH_OK) fail_msg("%s", err.text);
        factory_print(&spec, text, sizeof text);
        assert_string_equal(text, given);
        assert_int_equal(factory_parse(text, &other, &err), KITH_OK);
        factory_print(&other, again, sizeof again);
        assert_string_equal(text, again);
        assert_memory_equal(spec.transform, other.transform, sizeof spec.transform);
        assert_memory_equal(&spec.rows, &other.rows, sizeof spec.rows);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_transforms),
        cmocka_unit_test(test_bad_transforms),
        cmocka_unit_test(test_any_chain_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
