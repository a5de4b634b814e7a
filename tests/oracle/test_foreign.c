/* Files of other engines say what their engines say: each file of a manifest is read, searched by a naive oracle that
 * walks what was read, and must give the ids and distances that the engine itself gave; and a FAISS file that is
 * written again has the bytes it had.
 *
 *     tests/golden/foreign         small files of ours, of FAISS, hnswlib and usearch (make.py there)
 *     $KITH_DATA/faiss-golden      38 more of FAISS, when they are there */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <cmocka.h>

#include "faiss_oracle.h"
#include "foreign_manifest.h"
#include "foreign/bytes.h"
#include "foreign/foreign.h"
#include "foreign/hnswlib.h"
#include "foreign/usearch.h"
#include "kern/half.h"

static struct folder ours, theirs;

static void open_file(const struct folder *folder, const struct want *want, struct file_map *map) {
    char path[4096];
    kith_error err;
    snprintf(path, sizeof path, "%s/%s", folder->path, want->file);
    if (file_map_open(map, path, &err) != KITH_OK) fail_msg("%s", err.text);
}

/* ---- comparison -------------------------------------------------------------------------------- */

static int near(float a, float b) { return fabsf(a - b) <= 2e-5f * fmaxf(1, fabsf(b)); }

/* Distances are the same at each place; so are ids, but for those of equal distance. */
static void compare(const struct want *want, int q, const struct oracle_hits *hits) {
    for (int i = 0; i < K; i++) {
        long long id = want->ids[q][i];
        float dist = want->dists[q][i];
        if (i >= hits->n) {
            assert_int_equal(id, -1);
            continue;
        }
        if (!near(hits->dist[i], dist))
            fail_msg("%s (%s): query %d, place %d: %lld at %g, found %lld at %g", want->file,
                     want->what, q, i, id, (double)dist, (long long)hits->id[i],
                     (double)hits->dist[i]);
        int found = 0;
        for (int j = 0; j < hits->n; j++) found |= hits->id[j] == id && near(hits->dist[j], dist);
        if (!found && near(hits->dist[hits->n - 1], dist)) continue; /* a tie at the end */
        if (!found)
            fail_msg("%s (%s): query %d, place %d: %lld at %g not found", want->file, want->what, q,
                     i, id, (double)dist);
    }
}

/* ---- FAISS ------------------------------------------------------------------------------------- */

struct bytes {
    uint8_t *at;
    size_t n;
};

static int put(void *context, const void *bytes, size_t n, kith_error *err) {
    struct bytes *to = context;
    (void)err;
    to->at = realloc(to->at, to->n + n);
    memcpy(to->at + to->n, bytes, n);
    to->n += n;
    return KITH_OK;
}

/* Old families are written as new ones, which must be read as the same. */
static void check_written(const struct want *want, const struct file_map *map,
                          const struct faiss_node *root) {
    struct bytes written = {NULL, 0};
    kith_error err;
    if (faiss_write(root, put, &written, &err) != KITH_OK) fail_msg("%s: %s", want->file, err.text);
    if (strstr(want->file, "old-") == NULL) {
        assert_int_equal(written.n, map->size);
        assert_memory_equal(written.at, map->bytes, map->size);
    }
    free(written.at);
}

static void check_faiss(const struct folder *folder, const struct want *want,
                        const struct file_map *map) {
    struct faiss_node *root;
    struct oracle_hits hits;
    kith_error err;
    bool bare = strncmp(want->what, "IVF", 3) == 0 && strstr(want->what, "RFlat") == NULL;
    bool old = strncmp(want->what, "old-ivf", 7) == 0;
    if (faiss_read(&root, map->bytes, map->size, NULL, &err) != KITH_OK)
        fail_msg("%s: %s", want->file, err.text);
    assert_int_equal(root->ntotal, want->ntotal);
    assert_int_equal(root->metric, atoi(want->metric));
    assert_true((size_t)root->d <= folder->query_dim);
    for (int q = 0; q < N_Q; q++) {
        oracle_search(root, folder->queries + (size_t)q * folder->query_dim, K, bare || old, &hits);
        compare(want, q, &hits);
    }
    check_written(want, map, root);
    faiss_free(root, NULL);
}

/* ---- hnswlib and usearch: all rows that are not deleted ------------------------------------------ */

static void hits_add(struct oracle_hits *hits, int64_t id, float dist) {
    int at = hits->n < K ? hits->n++ : K;
    for (; at > 0 && hits->dist[at - 1] > dist; at--)
        if (at < K) {
            hits->id[at] = hits->id[at - 1];
            hits->dist[at] = hits->dist[at - 1];
        }
    if (at < K) {
        hits->id[at] = id;
        hits->dist[at] = dist;
    }
}

struct sums {
    double dot, l2sq, a_l2sq, b_l2sq;
};

static struct sums sum_up(const float *a, const float *b, size_t dim) {
    struct sums sums = {0, 0, 0, 0};
    for (size_t i = 0; i < dim; i++) {
        double x = (double)a[i], y = (double)b[i];
        sums.dot += x * y;
        sums.l2sq += (x - y) * (x - y);
        sums.a_l2sq += x * x;
        sums.b_l2sq += y * y;
    }
    return sums;
}

static void check_hnswlib(const struct folder *folder, const struct want *want,
                          const struct file_map *map) {
    struct hnswlib_view view;
    kith_error err;
    if (hnswlib_read(&view, map->bytes, map->size, NULL, &err) != KITH_OK)
        fail_msg("%s: %s", want->file, err.text);
    size_t dim = view.vector_bytes / sizeof(float), n_deleted = 0;
    assert_int_equal(view.n, want->ntotal);
    for (int q = 0; q < N_Q; q++) {
        struct oracle_hits hits = {.n = 0};
        for (uint64_t row = 0; row < view.n; row++) {
            float x[DIM_MAX];
            memcpy(x, hnswlib_vector(&view, row), view.vector_bytes);
            n_deleted += hnswlib_deleted(&view, row);
            struct sums sums = sum_up(folder->queries + (size_t)q * folder->query_dim, x, dim);
            double dist = atoi(want->metric) == FAISS_IP ? 1 - sums.dot : sums.l2sq;
            if (!hnswlib_deleted(&view, row))
                hits_add(&hits, (int64_t)hnswlib_label(&view, row), (float)dist);
        }
        compare(want, q, &hits);
    }
    assert_int_equal(n_deleted, N_Q * 3);
    hnswlib_deinit(&view, NULL);
}

static float usearch_value(const struct usearch_view *view, const uint8_t *vector, size_t i) {
    switch (view->scalar) {
    case USEARCH_F32: return bytes_f32(vector + 4 * i);
    case USEARCH_F16: return half_from_f16(bytes_u16(vector + 2 * i));
    case USEARCH_BF16: return half_from_bf16(bytes_u16(vector + 2 * i));
    case USEARCH_U8: return vector[i];
    case USEARCH_I8: return (float)(int8_t)vector[i];
    }
    return NAN;
}

/* The query as usearch stores vectors: as i8, at length 127 and cut off. */
static void usearch_query(const struct usearch_view *view, const float *query, float *q) {
    double length = sqrt(sum_up(query, query, view->dim).a_l2sq);
    for (size_t i = 0; i < view->dim; i++) {
        q[i] = query[i];
        if (view->scalar == USEARCH_I8) q[i] = (float)trunc((double)query[i] * 127 / length);
        if (view->scalar == USEARCH_F16) q[i] = half_from_f16(half_to_f16(query[i]));
    }
}

static void check_usearch(const struct folder *folder, const struct want *want,
                          const struct file_map *map) {
    struct usearch_view view;
    kith_error err;
    if (usearch_read(&view, map->bytes, map->size, NULL, &err) != KITH_OK)
        fail_msg("%s: %s", want->file, err.text);
    assert_int_equal(view.n, want->ntotal);
    assert_int_equal(view.n_deleted, 3);
    for (int q = 0; q < N_Q; q++) {
        struct oracle_hits hits = {.n = 0};
        float asked[DIM_MAX], x[DIM_MAX];
        usearch_query(&view, folder->queries + (size_t)q * folder->query_dim, asked);
        for (uint64_t row = 0; row < view.n; row++) {
            for (size_t i = 0; i < view.dim; i++)
                x[i] = usearch_value(&view, usearch_vector(&view, row), i);
            struct sums sums = sum_up(asked, x, view.dim);
            double dist = view.metric == USEARCH_L2SQ ? sums.l2sq
                          : view.metric == USEARCH_IP
                              ? 1 - sums.dot
                              : 1 - sums.dot / sqrt(sums.a_l2sq * sums.b_l2sq);
            if (!usearch_deleted(&view, row))
                hits_add(&hits, (int64_t)usearch_key(&view, row), (float)dist);
        }
        compare(want, q, &hits);
    }
    usearch_deinit(&view, NULL);
}

/* ---- all --------------------------------------------------------------------------------------- */

static void check_folder(const struct folder *folder) {
    for (int i = 0; i < folder->n_want; i++) {
        const struct want *want = &folder->want[i];
        struct file_map map;
        open_file(folder, want, &map);
        switch (foreign_recognise(map.bytes, map.size)) {
        case FOREIGN_FAISS: check_faiss(folder, want, &map); break;
        case FOREIGN_HNSWLIB: check_hnswlib(folder, want, &map); break;
        case FOREIGN_USEARCH: check_usearch(folder, want, &map); break;
        case FOREIGN_NONE: fail_msg("%s is not recognised", want->file);
        }
        file_map_close(&map);
    }
}

static void test_ours(void **state) {
    (void)state;
    assert_int_equal(ours.n_want, 48);
    check_folder(&ours);
}

static void test_theirs(void **state) {
    (void)state;
    assert_int_equal(theirs.n_want, 38);
    check_folder(&theirs);
}

int main(void) {
    static char our_path[4096], their_path[4096];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ours), cmocka_unit_test(test_theirs)};
    const struct CMUnitTest alone[] = {cmocka_unit_test(test_ours)};
    folder_paths(our_path, their_path);
    folder_load(&ours, our_path);
    if (folder_load(&theirs, their_path)) return cmocka_run_group_tests(tests, NULL, NULL);
    return cmocka_run_group_tests(alone, NULL, NULL);
}
