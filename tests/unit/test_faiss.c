/* FAISS files: trees that are made by hand are written and read; what is not a sound FAISS file is refused, with the
 * byte where, and without a leak; what cannot be written is not. (That what is read means what FAISS means is shown in
 * tests/oracle/test_foreign.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "foreign/bytes.h"
#include "foreign/faiss.h"

enum { HEADER = 37, ROOM = 1 << 16 };

struct bytes {
    size_t n, fail_at; /* 0: never */
    uint8_t at[ROOM];
};

static int put(void *context, const void *piece, size_t n, kith_error *err) {
    struct bytes *to = context;
    if (to->fail_at && to->n + n >= to->fail_at) {
        err->code = KITH_ENOSPC;
        return KITH_ENOSPC;
    }
    assert_true(n <= ROOM - to->n);
    memcpy(to->at + to->n, piece, n);
    to->n += n;
    return KITH_OK;
}

static void golden(const char *name, struct bytes *out) {
    char path[4096];
    const char *root = getenv("KITH_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/golden/foreign/%s", root ? root : ".", name);
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s is missing", path);
    out->n = fread(out->at, 1, ROOM, file);
    out->fail_at = 0;
    fclose(file);
}

/* Read, expecting an error; it must say where and leave nothing. */
static void refuse(const struct bytes *file, int want, int64_t at) {
    uint64_t blocks = mem_live_blocks();
    uint8_t *copy = malloc(file->n + 1);
    struct faiss_node *root = (struct faiss_node *)copy;
    kith_error err = {0};
    memcpy(copy, file->at, file->n);
    int code = faiss_read(&root, copy, file->n, NULL, &err);
    if (code != want || (at >= 0 && err.at != at))
        fail_msg("code %d at %d, %d at %d wanted: %s", code, (int)err.at, want, (int)at, err.text);
    assert_int_equal(err.code, code);
    assert_null(root);
    assert_true(err.at >= 0 && (size_t)err.at <= file->n);
    assert_int_equal(mem_live_blocks(), blocks);
    free(copy);
}

/* ---- what is not sound --------------------------------------------------------------------------- */

static const char *const files[] = {
    "faiss/flat-ip.faiss",
    "faiss/idmap2.faiss",
    "faiss/pq.faiss",
    "faiss/hnsw-sq8.faiss",
    "faiss/ivf-pq.faiss",
    "faiss/ivf-hnsw-sq4.faiss",
    "faiss/ivf-pq-fast.faiss",
    "faiss/rabitq-4-bit.faiss",
    "faiss/ivf-rabitq.faiss",
    "faiss/opq-ivf-pq.faiss",
    "faiss/pca.faiss",
    "faiss/refine-sq.faiss",
    "faiss/old-ivf-flat-words.faiss",
};

static void test_truncated(void **state) {
    static struct bytes file, cut;
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        golden(files[i], &file);
        cut = file;
        for (cut.n = 0; cut.n < file.n; cut.n++) {
            struct faiss_node *root;
            kith_error err = {0};
            int code = faiss_read(&root, cut.at, cut.n, NULL, &err);
            assert_int_equal(code, KITH_ETRUNCATED);
            assert_true((size_t)err.at <= cut.n);
        }
        file.at[file.n++] = 0;
        refuse(&file, KITH_ECORRUPT, (int64_t)file.n - 1);
    }
}

/* One place of a golden file overwritten. */
static const struct {
    const char *name;
    size_t at, n;
    uint64_t value;
    int code;
} damages[] = {
    {"faiss/flat-ip.faiss", 0, 4, 0x41424344, KITH_EFORMAT},
    {"faiss/flat-ip.faiss", 4, 4, 0, KITH_ECORRUPT},             /* d */
    {"faiss/flat-ip.faiss", 4, 4, (1 << 20) + 1, KITH_ECORRUPT}, /* d */
    {"faiss/flat-ip.faiss", 4, 4, 9, KITH_ECORRUPT},             /* d against codes */
    {"faiss/flat-ip.faiss", 8, 8, UINT64_MAX, KITH_ECORRUPT},    /* ntotal */
    {"faiss/flat-ip.faiss", 8, 8, INT64_MAX, KITH_ECORRUPT},     /* ntotal */
    {"faiss/flat-ip.faiss", 8, 8, 51, KITH_ECORRUPT},            /* ntotal against codes */
    {"faiss/flat-ip.faiss", 32, 1, 2, KITH_ECORRUPT},            /* is_trained */
    {"faiss/flat-ip.faiss", 33, 4, 7, KITH_ECORRUPT},            /* metric */
    {"faiss/flat-ip.faiss", 37, 8, UINT64_MAX, KITH_ECORRUPT},   /* codes */
    {"faiss/pq.faiss", 37, 8, 16, KITH_ECORRUPT},                /* pq.d */
    {"faiss/pq.faiss", 45, 8, 0, KITH_ECORRUPT},                 /* pq.M */
    {"faiss/pq.faiss", 45, 8, 3, KITH_ECORRUPT},                 /* pq.M */
    {"faiss/pq.faiss", 53, 8, 0, KITH_ECORRUPT},                 /* pq.nbits */
    {"faiss/pq.faiss", 53, 8, 25, KITH_ECORRUPT},                /* pq.nbits */
    {"faiss/pq.faiss", 53, 8, 5, KITH_ECORRUPT},                 /* pq.nbits against centroids */
    {"faiss/pq.faiss", 61, 8, UINT64_MAX / 4, KITH_ETRUNCATED},  /* centroids */
    {"faiss/sq8.faiss", 37, 4, 9, KITH_EUNSUPPORTED},            /* 0 bits */
    {"faiss/sq8.faiss", 37, 4, 12, KITH_EUNSUPPORTED},           /* TurboQuant */
    {"faiss/sq8.faiss", 37, 4, 20, KITH_EUNSUPPORTED},           /* EDEN */
    {"faiss/sq8.faiss", 37, 4, 99, KITH_EUNSUPPORTED},
    {"faiss/sq8.faiss", 37, 4, FAISS_SQ_4BIT, KITH_ECORRUPT},         /* against code_size */
    {"faiss/sq8.faiss", 37, 4, FAISS_SQ_8BIT_UNIFORM, KITH_ECORRUPT}, /* against trained */
    {"faiss/sq8.faiss", 57, 8, 7, KITH_ECORRUPT},                     /* sq.code_size */
    {"faiss/idmap2.faiss", 41, 4, 4, KITH_ECORRUPT},                  /* inner d */
    {"faiss/ivf-pq.faiss", 37, 8, 5, KITH_ECORRUPT},                  /* nlist */
    {"faiss/ivf-pq.faiss", 37, 8, UINT64_MAX, KITH_ECORRUPT},         /* nlist */
    {"faiss/ivf-pq.faiss", 8, 8, 49, KITH_ECORRUPT},                  /* ntotal against lists */
    {"faiss/ivf-pq.faiss", 53, 4, 0x6c6c756e, KITH_EUNSUPPORTED},     /* quantizer: null */
    {"faiss/ivf-pq.faiss", 226, 1, 3, KITH_ECORRUPT},                 /* direct map */
    {"faiss/ivf-pq.faiss", 235, 1, 2, KITH_ECORRUPT},                 /* by_residual */
    {"faiss/ivf-pq.faiss", 236, 8, 3, KITH_ECORRUPT},                 /* code_size */
    {"faiss/rabitq.faiss", 37, 8, 9, KITH_ECORRUPT},                  /* rabitq.d */
    {"faiss/rabitq.faiss", 45, 8, 10, KITH_ECORRUPT},                 /* rabitq.code_size */
    {"faiss/rabitq.faiss", 53, 4, 0, KITH_ECORRUPT},                  /* rabitq.metric */
    {"faiss/rabitq-4-bit.faiss", 57, 8, 10, KITH_ECORRUPT},           /* nb_bits */
    {"faiss/norm.faiss", 37, 4, UINT32_MAX, KITH_ECORRUPT},           /* chain */
    {"faiss/norm.faiss", 37, 4, INT32_MAX, KITH_ETRUNCATED},          /* chain */
    {"faiss/norm.faiss", 41, 4, 0x6d716956, KITH_EUNSUPPORTED},       /* Viqm */
    {"faiss/norm.faiss", 41, 4, 0x41424344, KITH_EFORMAT},
    {"faiss/norm.faiss", 49, 4, 9, KITH_ECORRUPT}, /* d_in */
    {"faiss/norm.faiss", 53, 4, 0, KITH_ECORRUPT}, /* d_out */
};

static void test_damages(void **state) {
    static struct bytes file;
    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        golden(damages[i].name, &file);
        memcpy(file.at + damages[i].at, &damages[i].value, damages[i].n);
        refuse(&file, damages[i].code, -1);
    }
}

static size_t find(const struct bytes *file, const char *tag) {
    for (size_t at = 0; at + 4 <= file->n; at++)
        if (memcmp(file->at + at, tag, 4) == 0) return at;
    fail_msg("no %s", tag);
    return 0;
}

static void test_list_kinds(void **state) {
    static struct bytes file;
    static const char *const kinds[] = {"il00", "ilod", "ilp2", "ilpn", "ilbl", "il??"};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        golden("faiss/ivf-pq.faiss", &file);
        size_t at = find(&file, "ilar");
        memcpy(file.at + at, kinds[i], 4);
        refuse(&file, KITH_EUNSUPPORTED, (int64_t)at);
    }
    golden("faiss/ivf-pq.faiss", &file);
    memcpy(file.at + find(&file, "full"), "none", 4);
    refuse(&file, KITH_ECORRUPT, -1);
}

/* Graphs: each claim of faiss_graph.c broken once. Places in hnsw-flat: cum, levels, offsets and neighbours follow the
 * header as counted arrays. */
static void break_graph(size_t array, uint64_t i, size_t item, int64_t value) {
    static struct bytes file;
    static const size_t items[] = {8, 4, 4, 8, 4};
    golden("faiss/hnsw-flat.faiss", &file);
    size_t at = HEADER;
    for (size_t a = 0; a < array; a++) at += 8 + bytes_u64(file.at + at) * items[a];
    memcpy(file.at + at + 8 + i * item, &value, item);
    refuse(&file, KITH_ECORRUPT, -1);
}

static void test_graphs(void **state) {
    enum { PROBAS, CUM, LEVELS, OFFSETS, NEIGHBORS, ENTRY };
    (void)state;
    break_graph(CUM, 0, 4, 1);
    break_graph(CUM, 2, 4, 3);
    break_graph(CUM, 1, 4, 7);
    break_graph(LEVELS, 5, 4, 0);
    break_graph(LEVELS, 5, 4, 100);
    break_graph(LEVELS, 5, 4, INT32_MIN);
    break_graph(OFFSETS, 0, 8, 1);
    break_graph(OFFSETS, 7, 8, -1);
    break_graph(NEIGHBORS, 0, 4, 50);
    break_graph(NEIGHBORS, 0, 4, -2);
    break_graph(NEIGHBORS, 3, 4, INT32_MAX);
    /* behind the neighbours, at "item -2": entry_point and max_level */
    static struct bytes file;
    static const int32_t entries[] = {-1, 50, INT32_MIN};
    for (int i = 0; i < 3; i++) {
        golden("faiss/hnsw-flat.faiss", &file);
        size_t at = find(&file, "IxF2") - 20;
        memcpy(file.at + at, &entries[i], 4);
        refuse(&file, KITH_ECORRUPT, -1);
        golden("faiss/hnsw-flat.faiss", &file);
        memcpy(file.at + at + 4, &entries[i], 4);
        refuse(&file, KITH_ECORRUPT, -1);
    }
}

static void test_families_refused(void **state) {
    static const char *const tags[] = {"IH00", "IHN2", "IHc2", "IwFd", "IwQR", "IxHe", "INSf",
                                       "Imiq", "Ix2L", "IxRq", "Irfn", "Iwrn", "IBxF", "IBwF",
                                       "IBHf", "ISVD", "IxEe", "IRMf", "null"};
    static struct bytes file;
    (void)state;
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        struct faiss_node *root;
        kith_error err;
        golden("faiss/flat-ip.faiss", &file);
        memcpy(file.at, tags[i], 4);
        refuse(&file, KITH_EUNSUPPORTED, 0);
        faiss_read(&root, file.at, file.n, NULL, &err);
        if (i + 1 < sizeof tags / sizeof *tags) {
            assert_non_null(strstr(err.text, tags[i]));
            assert_true(faiss_recognise(file.at, file.n));
        }
    }
    memcpy(file.at, "NUMP", 4);
    refuse(&file, KITH_EFORMAT, 0);
    assert_false(faiss_recognise(file.at, file.n));
    assert_false(faiss_recognise(file.at, 3));
}

/* ---- trees made by hand --------------------------------------------------------------------------- */

static const float numbers[64] = {1, 2, 3, 4, -5, 6, 7, 8, 0.5f, 1, 1, 2};
static const int64_t ids[4] = {7, -1, 1000000000000, 7};

static struct faiss_node flat(int32_t d, int64_t n) {
    return (struct faiss_node){.kind = FAISS_FLAT,
                               .d = d,
                               .ntotal = n,
                               .is_trained = true,
                               .metric = FAISS_L2,
                               .codes = {.bytes = (const uint8_t *)numbers}};
}

static struct faiss_node *write_and_read(const struct faiss_node *root, struct bytes *file) {
    static struct bytes again;
    struct faiss_node *read;
    kith_error err;
    file->n = again.n = file->fail_at = 0;
    if (faiss_write(root, put, file, &err) != KITH_OK) fail_msg("%s", err.text);
    if (faiss_read(&read, file->at, file->n, NULL, &err) != KITH_OK) fail_msg("%s", err.text);
    assert_int_equal(read->kind, root->kind);
    assert_int_equal(faiss_write(read, put, &again, &err), KITH_OK);
    assert_int_equal(file->n, again.n);
    assert_memory_equal(file->at, again.at, again.n);
    return read;
}

static void test_flat(void **state) {
    static struct bytes file;
    (void)state;
    struct faiss_node made = flat(3, 4);
    struct faiss_node *read = write_and_read(&made, &file);
    assert_int_equal(read->codes.n, 4);
    assert_int_equal(read->codes.code_size, 12);
    assert_memory_equal(read->codes.bytes, numbers, 48);
    faiss_free(read, NULL);

    made.metric = FAISS_LP;
    made.metric_arg = 3;
    read = write_and_read(&made, &file);
    assert_memory_equal(file.at, "IxFl", 4);
    assert_true(read->metric_arg > 2.9f && read->metric_arg < 3.1f);
    faiss_free(read, NULL);

    golden("base.f32", &file);
    uint8_t *base = malloc(file.n);
    size_t base_bytes = file.n;
    memcpy(base, file.at, file.n);
    golden("faiss/flat-ip.faiss", &file);
    kith_error err;
    assert_int_equal(faiss_read(&read, file.at, file.n, NULL, &err), KITH_OK);
    assert_int_equal(base_bytes, 50 * 9 * 4); /* a dimension more than the files have */
    for (size_t i = 0; i < 50; i++)
        assert_memory_equal(read->codes.bytes + 32 * i, base + 36 * i, 32);
    faiss_free(read, NULL);
    free(base);
}

static void test_lists(void **state) {
    static struct bytes file;
    (void)state;
    struct faiss_node quantizer = flat(2, 3);
    struct faiss_list lists[3] = {
        {0, NULL, NULL}, {2, (const uint8_t *)numbers, (const uint8_t *)ids}, {0, NULL, NULL}};
    struct faiss_node made = {
        .kind = FAISS_IVF_FLAT,
        .d = 2,
        .ntotal = 2,
        .is_trained = true,
        .metric = FAISS_L2,
        .ivf = {.nlist = 3, .nprobe = 2, .quantizer = &quantizer, .lists = lists}};
    struct faiss_node *read = write_and_read(&made, &file);
    find(&file, "sprs");
    assert_int_equal(read->ivf.nprobe, 2);
    assert_int_equal(read->ivf.lists[0].n, 0);
    assert_int_equal(read->ivf.lists[1].n, 2);
    assert_memory_equal(read->ivf.lists[1].codes, numbers, 16);
    assert_memory_equal(read->ivf.lists[1].ids, ids, 16);
    faiss_free(read, NULL);

    lists[0] = lists[1];
    made.ntotal = 4;
    made.ivf.map_type = 2;
    made.ivf.map_pairs = (struct faiss_array){(const uint8_t *)ids, 2};
    read = write_and_read(&made, &file);
    find(&file, "full");
    assert_int_equal(read->ivf.map_pairs.n, 2);
    assert_memory_equal(read->ivf.map_pairs.bytes, ids, 32);
    faiss_free(read, NULL);

    quantizer.ntotal = made.ntotal = 0; /* not trained */
    made.is_trained = quantizer.is_trained = false;
    made.ivf.lists = NULL;
    made.ivf.nlist = UINT64_MAX;
    read = write_and_read(&made, &file);
    assert_null(read->ivf.lists);
    faiss_free(read, NULL);
}

/* A size in `sprs` that is past the lists, and sizes that add up to 2^64. */
static void test_list_sizes(void **state) {
    static struct bytes file;
    (void)state;
    struct faiss_node quantizer = flat(2, 3);
    struct faiss_list lists[3] = {{2, (const uint8_t *)numbers, (const uint8_t *)ids}};
    struct faiss_node made = {
        .kind = FAISS_IVF_FLAT,
        .d = 2,
        .ntotal = 2,
        .is_trained = true,
        .metric = FAISS_L2,
        .ivf = {.nlist = 3, .nprobe = 1, .quantizer = &quantizer, .lists = lists}};
    faiss_free(write_and_read(&made, &file), NULL);
    size_t at = find(&file, "sprs") + 12;
    uint64_t three = 3, huge = UINT64_MAX / 8 + 1;
    memcpy(file.at + at, &three, 8);
    refuse(&file, KITH_ECORRUPT, -1);
    memset(file.at + at, 0, 8);
    memcpy(file.at + at + 8, &huge, 8);
    refuse(&file, KITH_ECORRUPT, -1);
}

/* An index with one of each kind that holds others: IDMap(Refine(PreTransform(Flat), Flat)). */
struct wrapped {
    struct faiss_node made, refine, transformed, vectors, refined;
    struct faiss_transform chain[4];
};

static void wrap(struct wrapped *all) {
    static const int32_t dims[4] = {1, -1, 0, 0};
    struct faiss_array matrix = {(const uint8_t *)numbers, 16};
    struct faiss_transform chain[4] = {
        {.kind = FAISS_CENTER, .d_in = 2, .d_out = 2, .mean = {matrix.bytes, 2}},
        {.kind = FAISS_REMAP, .d_in = 2, .d_out = 4, .map = {(const uint8_t *)dims, 4}},
        {.kind = FAISS_HADAMARD, .d_in = 4, .d_out = 4, .seed = 9},
        {.kind = FAISS_ROTATION, .d_in = 4, .d_out = 4, .A = matrix},
    };
    struct faiss_node around = {.d = 2, .ntotal = 3, .is_trained = true, .metric = FAISS_L2};
    memcpy(all->chain, chain, sizeof chain);
    for (int i = 0; i < 4; i++) all->chain[i].is_trained = true;
    all->vectors = flat(4, 3);
    all->refined = flat(2, 3);
    all->made = all->refine = all->transformed = around;
    all->transformed.kind = FAISS_PRE_TRANSFORM;
    all->transformed.chain = all->chain;
    all->transformed.n_chain = 4;
    all->transformed.inner = &all->vectors;
    all->refine.kind = FAISS_REFINE;
    all->refine.inner = &all->transformed;
    all->refine.refine = &all->refined;
    all->refine.k_factor = 4;
    all->made.kind = FAISS_ID_MAP;
    all->made.inner = &all->refine;
    all->made.ids = (struct faiss_array){(const uint8_t *)ids, 3};
}

static void test_wrappers(void **state) {
    static struct bytes file;
    struct wrapped all;
    (void)state;
    wrap(&all);
    struct faiss_node *read = write_and_read(&all.made, &file);
    assert_false(read->map_both_ways);
    assert_memory_equal(read->ids.bytes, ids, 24);
    assert_int_equal(read->inner->kind, FAISS_REFINE);
    assert_int_equal(read->inner->inner->n_chain, 4);
    assert_int_equal(read->inner->inner->chain[2].seed, 9);
    assert_int_equal(read->inner->inner->inner->d, 4);
    faiss_free(read, NULL);
}

/* Each thing wrong once. */
static void test_made_wrong(void **state) {
    static struct bytes file;
    struct wrapped all;
    kith_error err;
    (void)state;
#define WRONG(field, value)                                                      \
    do {                                                                         \
        wrap(&all);                                                              \
        all.field = value;                                                       \
        file.n = 0;                                                              \
        assert_int_equal(faiss_write(&all.made, put, &file, &err), KITH_EINVAL); \
        assert_int_equal(err.code, KITH_EINVAL);                                 \
    } while (0)
    WRONG(made.ids.n, 2);
    WRONG(made.inner, NULL);
    WRONG(made.d, 3);
    WRONG(refine.refine, NULL);
    WRONG(refine.k_factor, 0.5f);
    WRONG(refined.ntotal, 2);
    WRONG(transformed.n_chain, 1);
    WRONG(transformed.n_chain, -1);
    WRONG(transformed.chain, NULL);
    WRONG(chain[1].map.n, 3);
    WRONG(chain[2].d_out, 8);
    WRONG(chain[3].A.n, 15);
    WRONG(vectors.metric, 5);
    WRONG(vectors.kind, (enum faiss_kind)99);
    WRONG(refine.inner, &all.made); /* a ring */
#undef WRONG
}

static void test_depth(void **state) {
    static struct faiss_node nodes[FAISS_DEPTH + 1];
    static struct bytes file;
    kith_error err;
    (void)state;
    nodes[0] = flat(2, 1);
    for (int i = 1; i <= FAISS_DEPTH; i++)
        nodes[i] = (struct faiss_node){
            .kind = FAISS_PRE_TRANSFORM, .d = 2, .ntotal = 1, .inner = &nodes[i - 1]};
    faiss_free(write_and_read(&nodes[FAISS_DEPTH - 1], &file), NULL);
    memmove(file.at + HEADER + 4, file.at, file.n); /* once more around */
    file.n += HEADER + 4;
    refuse(&file, KITH_ECORRUPT, -1);
    file.n = 0;
    assert_int_equal(faiss_write(&nodes[FAISS_DEPTH], put, &file, &err), KITH_EINVAL);
}

static void test_put_fails(void **state) {
    static struct bytes file, out;
    struct faiss_node *root;
    kith_error err;
    (void)state;
    golden("faiss/opq-ivf-pq.faiss", &file);
    assert_int_equal(faiss_read(&root, file.at, file.n, NULL, &err), KITH_OK);
    for (size_t at = 1; at <= file.n; at++) {
        out.n = 0;
        out.fail_at = at;
        assert_int_equal(faiss_write(root, put, &out, &err), KITH_ENOSPC);
    }
    faiss_free(root, NULL);
}

static void test_save(void **state) {
    char folder[] = "/tmp/kith-faiss-XXXXXX", path[64];
    struct faiss_node made = flat(3, 4);
    struct faiss_file file;
    kith_error err;
    (void)state;
    uint64_t blocks = mem_live_blocks();
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/index", folder);
    assert_int_equal(faiss_open(&file, path, NULL, &err), KITH_EIO);
    assert_int_equal(faiss_save(&made, path, &err), KITH_OK);
    made.metric = 5; /* refused, and the old file stands */
    assert_int_equal(faiss_save(&made, path, &err), KITH_EINVAL);
    assert_int_equal(faiss_open(&file, path, NULL, &err), KITH_OK);
    assert_int_equal(file.root->ntotal, 4);
    assert_memory_equal(file.root->codes.bytes, numbers, 48);
    faiss_close(&file, NULL);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(faiss_open(&file, path, NULL, &err), KITH_ETRUNCATED);
    unlink(path);
    rmdir(folder);
    assert_int_equal(mem_live_blocks(), blocks);
}

static void test_names(void **state) {
    (void)state;
    assert_string_equal(faiss_kind_name(FAISS_IVF_PQ), "IVF-PQ");
    assert_string_equal(faiss_kind_name((enum faiss_kind)99), "?");
    assert_string_equal(faiss_metric_name(FAISS_IP), "INNER_PRODUCT");
    assert_string_equal(faiss_metric_name(5), "?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_damages),
        cmocka_unit_test(test_list_kinds),
        cmocka_unit_test(test_graphs),
        cmocka_unit_test(test_families_refused),
        cmocka_unit_test(test_flat),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_list_sizes),
        cmocka_unit_test(test_wrappers),
        cmocka_unit_test(test_made_wrong),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_put_fails),
        cmocka_unit_test(test_save),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
