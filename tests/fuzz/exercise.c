/* Everything that can be asked of an opened index, whatever it says of itself. Nothing may crash; what
 * opens by reading and passes its check must answer searches without an error. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <kith/kith.h>

#include "fuzz.h"

enum { BATCH = 24 };

static float queries[BATCH * 65536];

static void fill_queries(size_t dim) {
    uint64_t state = dim;
    for (size_t i = 0; i < BATCH * dim; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        queries[i] = (float)(state >> 40) * 0x1p-20f - (float)(i % 3);
    }
}

static int even(void *context, int64_t id) {
    (void)context;
    return id % 2 == 0;
}

static void search(const kith_index *index, size_t n, int exact, int filtered, int sound) {
    int64_t ids[BATCH * 5];
    float dists[BATCH * 5];
    kith_error err = {0};
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    uint64_t rows = kith_index_rows(index);
    params.k = rows < 5 ? (uint32_t)rows : 5;
    params.ef = 20;
    params.exact = exact;
    if (filtered) params.filter.pass = even;
    int code = kith_index_search(index, n, queries, &params, ids, dists, &err);
    if (code != KITH_OK && sound && rows)
        fuzz_broken("a sound index cannot be searched: %s", err.text);
}

static void change(kith_index *index, size_t dim) {
    int64_t ids[2] = {7, 123456789};
    uint64_t mended = 0;
    (void)dim;
    kith_index_update(index, 1, queries, ids, NULL, NULL);
    kith_index_remove(index, 1, ids, NULL);
    kith_index_add(index, 2, queries, ids, NULL, NULL);
    kith_index_add(index, 3, queries, NULL, NULL, NULL);
    kith_index_repair(index, &mended, NULL);
    search(index, 1, 0, 0, 0);
}

void fuzz_use(kith_index *index, int mode) {
    size_t dim = kith_index_dim(index);
    kith_index_stats stats;
    kith_range_result *result = NULL;
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    float *row = malloc(dim * sizeof(float));
    if (dim == 0 || dim > 65536) fuzz_broken("an index of %zu dimensions", dim);
    fill_queries(dim);
    kith_index_stats_get(index, &stats);
    for (int64_t id = -1; id < 20; id++) {
        int present = kith_index_contains(index, id);
        int code = kith_index_reconstruct(index, id, row, NULL);
        int lies = code == KITH_ECORRUPT && mode == KITH_OPEN_MAP; /* lists of a map, unverified */
        if (code == KITH_EUNSUPPORTED && present) continue; /* transforms without a way back */
        if ((code == KITH_OK) != (present != 0) && !lies)
            fuzz_broken("id %d is and is not present", (int)id);
    }
    int sound = kith_index_check(index, NULL) == KITH_OK;
    search(index, 1, 0, 0, sound);
    search(index, 2, 0, 1, sound);
    search(index, 1, 1, 0, sound);
    search(index, BATCH, 0, 0, sound);
    if (kith_index_range_search(index, 1, queries, 3, &params, &result, NULL) == KITH_OK)
        kith_range_result_free(result);
    if (mode == KITH_OPEN_READ) change(index, dim);
    free(row);
}

void fuzz_exercise(const uint8_t *bytes, size_t size) {
    char path[32];
    int file = memfd_create("fuzz", 0);
    if (file < 0 || write(file, bytes, size) != (ssize_t)size) fuzz_broken("no memory file");
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    for (int mode = KITH_OPEN_READ; mode <= KITH_OPEN_MAP; mode++) {
        kith_index *index = NULL;
        kith_error err = {0};
        int code = kith_index_open(&index, path, mode, &err);
        if (code != KITH_OK && (err.code != code || err.text[0] == '\0' || index))
            fuzz_broken("a refusal without a reason");
        if (code != KITH_OK) continue;
        fuzz_use(index, mode);
        kith_index_free(index);
    }
    close(file);
}
