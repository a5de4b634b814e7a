/* Seeds for the fuzz targets, written into DIR/TARGET/: small and valid, one of each kind there is. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include <kith/kith.h>

#include "fuzz.h"
#include "seeds_field.h"

enum { DIM = 4, ROWS = 40 };

static const char *const specs[] = {"Flat",         "Flat,SQ8",
                                    "SQ8",          "SQfp16",
                                    "SQbf16",       "HNSW4",
                                    "HNSW4,SQ8",    "HNSW4,SQ8,Refine",
                                    "HNSW4,SQfp16", "HNSW4,SQ8,Refine(SQfp16)",
                                    "Auto",         "IVF3,Flat",
                                    "IVF2,PQ2x4fs", "IVF3_HNSW2,SQ4,Refine",
                                    "SQ6",          "IVF2,SQ4_uniform,Refine(SQ8)",
                                    "PCA2,Flat",    "OPQ2,IVF2,PQ2x4fs,Refine",
                                    "HR,HNSW4,SQ8", "PCAWR3,RR2,L2norm,Pad5,SQ4,Refine(SQfp16)"};

static char root[3500];

static void put(const char *target, const char *name, const void *bytes, size_t n) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", root, target);
    if (mkdir(path, 0777) != 0 && errno != EEXIST) fuzz_broken("cannot make %s", path);
    snprintf(path, sizeof path, "%s/%s/%s", root, target, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, n, file) != n || fclose(file) != 0)
        fuzz_broken("cannot write %s", path);
}

static int calibrate(kith_index *index, kith_error *err) {
    static const uint32_t k[] = {1, 3};
    kith_calibrate_options how = KITH_CALIBRATE_OPTIONS_INIT;
    how.k = k;
    how.n_k = 2;
    how.n_rows = 8;
    return kith_index_calibrate(index, &how, NULL, err);
}

static void put_index(const char *spec, kith_metric metric, int whole, int named) {
    float rows[ROWS * DIM];
    int64_t ids[ROWS];
    bool turns = strstr(spec, "PCA") || strstr(spec, "OPQ") || strstr(spec, "HR,");
    char path[4096], name[64];
    kith_index *index;
    kith_error err = {0};
    static uint8_t bytes[1 << 20];
    if (turns && metric == KITH_METRIC_L1) metric = KITH_METRIC_EUCLID;
    for (int i = 0; i < ROWS * DIM; i++)
        rows[i] = whole ? (float)(i * 37 % 256) : (float)(i * 37 % 101) * 0.25f - 9;
    for (int i = 0; i < ROWS; i++) ids[i] = i * 3 % 50 + i / 50 * 100 + (i * 3 >= 50) * 60 + i;
    snprintf(path, sizeof path, "%s/seed.kith", root);
    if (kith_index_new(&index, DIM, metric, spec, NULL, &err) != KITH_OK ||
        kith_index_train(index, ROWS, rows, NULL, &err) != KITH_OK ||
        kith_index_add(index, ROWS, rows, named ? ids : NULL, NULL, &err) != KITH_OK ||
        kith_index_remove(index, 2, named ? ids + 3 : (const int64_t[]){3, 9}, &err) != KITH_OK ||
        (calibrate(index, &err) != KITH_OK &&
         err.code != KITH_EINVAL) || /* codes alone: no table */
        kith_index_save(index, path, &err) != KITH_OK)
        fuzz_broken("%s: %s", spec, err.text);
    kith_index_free(index);
    FILE *file = fopen(path, "rb");
    if (!file) fuzz_broken("cannot read %s", path);
    size_t n = fread(bytes, 1, sizeof bytes, file), n_sections;
    fclose(file);
    remove(path);
    snprintf(name, sizeof name, "%s-%s%s%s", spec, kith_metric_name(metric), whole ? "-whole" : "",
             named ? "-named" : "");
    put("index_file", name, bytes, n);
    uint8_t *sections = fuzz_sections(bytes, n, &n_sections);
    put("index_sections", name, sections, n_sections);
    free(sections);
}

static const struct {
    const char *name;
    unsigned char
        format; /* as enum format counts them: 1 fvecs, 2 ivecs, 3 bvecs, 4 npy, 5 fbin, … */
    const char *bytes;
    size_t n;
} files[] = {
#define BYTES(text) text, sizeof(text) - 1
    {"fvecs", 1, BYTES("\2\0\0\0\0\0\200?\0\0\0@\2\0\0\0\0\0\200?\0\0\0@")},
    {"ivecs", 2, BYTES("\2\0\0\0\1\0\0\0\2\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0")},
    {"bvecs", 3, BYTES("\3\0\0\0\1\2\3\3\0\0\0\4\5\6")},
    {"npy", 4,
     BYTES("\223NUMPY\1\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }"
           "                                                           \n"
           "\0\0\200?\0\0\0@\0\0\200?\0\0\0@")},
    {"npy-columns", 4,
     BYTES("\223NUMPY\1\0v\0{'descr': '<i8', 'fortran_order': True, 'shape': (1, 2), }"
           "                                                           \n "
           "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0")},
    {"fbin", 5, BYTES("\2\0\0\0\2\0\0\0\0\0\200?\0\0\0@\0\0\200?\0\0\0@")},
    {"ibin", 6, BYTES("\2\0\0\0\2\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0")},
    {"u8bin", 7, BYTES("\2\0\0\0\3\0\0\0\1\2\3\4\5\6")},
    {"i8bin", 8, BYTES("\2\0\0\0\3\0\0\0\1\2\377\4\5\200")},
    {"word2vec", 10, BYTES("2 3\nking 1 2 3.5\nqueen -1e-3 .5 0x1p3\n")},
    {"glove", 10, BYTES("the 0.1 0.2 -0.3\nof 1 2 3\n")},
    {"csv", 11, BYTES("id,a,b\n7,1.5,-2\n9,\"3\",4e1\n")},
    {"csv-bare", 11, BYTES("1,2,3\r\n4,5,6\r\n")},
    {"tsv", 12, BYTES("1\t2\t3\n4\t5\t6\n")},
    {"jsonl", 13, BYTES("[1, 2.5, -3e2]\n[4,5,6]\n")},
    {"jsonl-objects", 13,
     BYTES("{\"id\": 3, \"vector\": [1, 2]}\n{\"id\":4,\"vector\":[0.5,1]}\n")},
    {"ids", 0, BYTES("1\n2\n3\n")},
    {"gzip", 0,
     BYTES("\37\213\10\0\0\0\0\0\2\3\63\324\61\322\61\346\62\321\61\325\61\343\2\0\236\170\176\266"
           "\14\0\0\0")},
};

/* Targets that take text. */
static const struct {
    const char *target, *name, *text;
} texts[] = {
    {"json", "values",
     "{\"a\":[1,-2.5e3,18446744073709551615,\"x\\u00e9\\n\"],\"b\":{\"c\":null,\"d\":[true,false]}}"},
    {"filter", "clauses",
     "{\"must\":{\"key\":\"a\",\"match\":{\"any\":[1,\"x\"]}},\"should\":[],\"must_not\":[{\"has_id\":[1,\"b\"]}],"
     "\"min_should\":{\"conditions\":[{\"is_null\":{\"key\":\"b\"}}],\"min_count\":1}}\n{\"a\":[1],\"b\":null}"},
    {"filter", "ranges",
     "{\"must\":[{\"key\":\"a[]\",\"range\":{\"lt\":1.5}},{\"key\":\"t\",\"range\":{\"gte\":\"2024-01-01\"}},"
     "{\"key\":\"a\",\"values_count\":{\"gt\":0}},{\"key\":\"a\",\"compare\":{\"lte\":\"b.c\"}}]}\n"
     "{\"a\":[1,2.5],\"t\":\"2024-05-06T07:08:09Z\",\"b\":{\"c\":3}}"},
    {"filter", "texts",
     "{\"should\":[{\"key\":\"a\",\"match\":{\"regex\":\"[ab]+c?\"}},{\"key\":\"a\",\"match\":{\"text_any\":\"x y\"}},"
     "{\"key\":\"a\",\"match\":{\"prefix\":\"ab\"}},{\"nested\":{\"key\":\"n\",\"filter\":{}}},{\"has_vector\":\"image\"}]}"
     "\n{\"a\":\"abc\",\"n\":[{}]}"},
    {"filter", "places",
     "{\"must\":[{\"key\":\"g\",\"geo_radius\":{\"center\":{\"lon\":1,\"lat\":2},\"radius\":1e6}},{\"key\":\"g\","
     "\"geo_bounding_box\":{\"top_left\":{\"lon\":0,\"lat\":3},\"bottom_right\":{\"lon\":3,\"lat\":0}}},"
     "{\"slice\":{\"total\":2,\"index\":1}}]}\n{\"g\":{\"lon\":1,\"lat\":2}}"},
    {"json", "deep", "[[],{},\"\",0,{\"k\":\"v\",\"l\":{\"m\":[{\"n\":1e308}]}}]"},
};

int main(int argc, char **argv) {
    if (argc != 2 || strlen(argv[1]) >= sizeof root) return 2;
    snprintf(root, sizeof root, "%s", argv[1]);
    if (mkdir(root, 0777) != 0 && errno != EEXIST) fuzz_broken("cannot make %s", root);
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        put("spec", specs[i], specs[i], strlen(specs[i]));
        for (int kind = 0; kind < 3; kind++)
            put_index(specs[i], (kith_metric)((i + (size_t)kind) % 5), kind == 1, kind == 2);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char bytes[512];
        for (int by_content = 0; by_content < 2; by_content++) {
            char name[64];
            bytes[0] = (char)(by_content ? 0 : files[i].format);
            memcpy(bytes + 1, files[i].bytes, files[i].n);
            snprintf(name, sizeof name, "%s%s", files[i].name, by_content ? "-recognised" : "");
            put("vectors", name, bytes, files[i].n + 1);
        }
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        put(texts[i].target, texts[i].name, texts[i].text, strlen(texts[i].text));
#ifdef HAVE_DB
    fuzz_put_fields(put);
#endif
    return 0;
}
