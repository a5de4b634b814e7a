/* Searches beside adds, removals, updates, saves, checks and repairs: every answer is one that some moment between its
 * beginning and its end allows (crowd.h), and what is left at the end is what a model says.
 *
 * Under the thread sanitizer this is the test that finds races. A thread that fails says so in the crowd; cmocka hears of
 * it when all threads have ended. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "crowd.h"
#include "index/graph.h"

#define TRY_CROWD(crowd, call)                                                      \
    do {                                                                            \
        kith_error call_err;                                                        \
        (void)call_err;                                                             \
        if ((call) != KITH_OK) crowd_fail((crowd), "%s: %s", #call, call_err.text); \
    } while (0)

enum { K = 20, TOGETHER = 20 };

/* ---- writers ----------------------------------------------------------------------------------- */

struct adder {
    struct crowd *crowd;
    int number;
};

/* One row, a few, and now and then so many that they are linked as a bulk. */
static void *add_rows(void *context) {
    const struct adder *adder = context;
    struct crowd *crowd = adder->crowd;
    int t = adder->number;
    uint64_t seed = (uint64_t)t;
    kith_work work = KITH_WORK_INIT;
    int64_t ids[300];
    for (size_t i = 0, n; i < COMING; i += n) {
        n = draw(&seed) % 8 == 0 ? 260 + draw(&seed) % 40 : 1 + draw(&seed) % 12;
        n = n < COMING - i ? n : COMING - i;
        for (size_t j = 0; j < n; j++) ids[j] = COMING_AT(t) + (int64_t)(i + j);
        work.threads = 1 + (uint32_t)(draw(&seed) % 2);
        crowd->adding[t] = i + n;
        TRY_CROWD(crowd, kith_index_add(crowd->index, n, crowd->coming[t] + i * DIM, ids, &work,
                                        &call_err));
        crowd->added[t] = i + n;
    }
    crowd->writers--;
    return NULL;
}

static void *remove_rows(void *context) {
    struct crowd *crowd = context;
    uint64_t seed = 7;
    int64_t ids[8];
    for (size_t i = 0, n; i < GOING; i += n) {
        n = 1 + draw(&seed) % 8;
        n = n < GOING - i ? n : GOING - i;
        for (size_t j = 0; j < n; j++) ids[j] = (int64_t)(GOING_AT + i + j);
        crowd->removing = i + n;
        TRY_CROWD(crowd, kith_index_remove(crowd->index, n, ids, &call_err));
        crowd->removed = i + n;
    }
    crowd->writers--;
    return NULL;
}

static void *move_rows(void *context) {
    struct crowd *crowd = context;
    int64_t ids[MOVED];
    float x[MOVED * DIM];
    for (uint32_t version = 1; version <= 10 + FEWER(60); version++) {
        for (size_t i = 0; i < MOVED; i++) {
            ids[i] = (int64_t)(KEPT + i);
            crowd_vector(crowd, ids[i], version, x + i * DIM);
        }
        crowd->moving = version;
        TRY_CROWD(crowd, kith_index_update(crowd->index, MOVED, x, ids, NULL, &call_err));
        crowd->moved = version;
    }
    crowd->writers--;
    return NULL;
}

static void *come_and_go(void *context) {
    struct crowd *crowd = context;
    int64_t ids[BACK];
    float x[BACK * DIM];
    for (size_t i = 0; i < BACK; i++) {
        ids[i] = BACK_AT + (int64_t)i;
        crowd_vector(crowd, ids[i], 0, x + i * DIM);
    }
    for (int round = 0; round < 10 + FEWER(100); round++) {
        TRY_CROWD(crowd, kith_index_add(crowd->index, BACK, x, ids, NULL, &call_err));
        TRY_CROWD(crowd, kith_index_remove(crowd->index, BACK, ids, &call_err));
    }
    crowd->writers--;
    return NULL;
}

/* ---- searchers --------------------------------------------------------------------------------- */

static void make_queries(const struct crowd *crowd, uint64_t *seed, size_t n, float *x) {
    for (size_t i = 0; i < n; i++) { /* near those that come, go and change, more often than not */
        uint64_t id = draw(seed) % 8 ? draw(seed) % (2 * FIRST) : BACK_AT + draw(seed) % BACK;
        crowd_vector(crowd, (int64_t)id, (uint32_t)(draw(seed) % 8) * (id < BACK_AT), x + i * DIM);
    }
}

/* One call of up to TOGETHER queries on the index (of the crowd, or what was read from a file of it). */
static void search(struct crowd *crowd, const kith_index *index, uint64_t *seed,
                   const struct moment *done, const struct moment *begun, const char *what) {
    static const uint32_t counts[] = {1, 1, 3, TOGETHER};
    float x[TOGETHER * DIM], dists[TOGETHER * K];
    int64_t ids[TOGETHER * K];
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    size_t n = counts[draw(seed) % 4];
    uint64_t bits[(GOING_AT + 63) / 64] = {0};
    bool flat = strcmp(index_real(index)->ops->kind, "flat") == 0;
    make_queries(crowd, seed, n, x);
    params.exact = draw(seed) % 2 == 0;
    params.threads = 1 + (uint32_t)(draw(seed) % 2);
    params.k = K;
    bool only_moved = draw(seed) % 4 == 0;
    if (only_moved) {
        for (size_t i = KEPT; i < GOING_AT; i++) bits[i / 64] |= (uint64_t)1 << i % 64;
        params.k = MOVED;
        params.filter = (kith_filter){.bits = bits, .n_bits = GOING_AT};
    }
    struct moment before = done ? *done : crowd_done(crowd);
    TRY_CROWD(crowd, kith_index_search(index, n, x, &params, ids, dists, &call_err));
    struct moment after = begun ? *begun : crowd_begun(crowd);
    for (size_t i = 0; i < n; i++) {
        struct answer answer = {.query = x + i * DIM,
                                .n = params.k,
                                .ids = ids + i * params.k,
                                .dists = dists + i * params.k};
        answer.limit = answer.dists[params.k - 1];
        answer.limit_id = answer.ids[params.k - 1];
        for (size_t j = 0; only_moved && j < params.k; j++)
            if (answer.ids[j] < KEPT || answer.ids[j] >= GOING_AT)
                crowd_fail(crowd, "id %lld passed the filter", (long long)answer.ids[j]);
        crowd_judge(crowd, &answer, &before, &after, !only_moved && (flat || params.exact), what);
    }
}

static void *search_rows(void *context) {
    struct crowd *crowd = context;
    uint64_t seed = (uintptr_t)&seed;
    do search(crowd, crowd->index, &seed, NULL, NULL, "search");
    while (crowd->writers > 0);
    return NULL;
}

/* All rows about as near as the 30th of those that stay. */
static void search_range(struct crowd *crowd, uint64_t *seed) {
    float x[DIM];
    kith_range_result *result;
    kith_error err;
    make_queries(crowd, seed, 1, x);
    float radius = kith_metric_is_similarity(crowd->metric) ? (crowd->whole ? 0.85f : 0.5f)
                                                            : (crowd->whole ? 6e4f : 5.0f);
    struct moment before = crowd_done(crowd);
    int code = kith_index_range_search(crowd->index, 1, x, radius, NULL, &result, &err);
    struct moment after = crowd_begun(crowd);
    if (code != KITH_OK) {
        crowd_fail(crowd, "range search: %s", err.text);
        return;
    }
    struct answer answer = {.query = x,
                            .n = result->start[1],
                            .ids = result->ids,
                            .dists = result->dists,
                            .limit = radius,
                            .limit_id = INT64_MAX};
    crowd_judge(crowd, &answer, &before, &after, true, "range search");
    kith_range_result_free(result);
}

static void *search_ranges(void *context) {
    struct crowd *crowd = context;
    uint64_t seed = 3;
    do search_range(crowd, &seed);
    while (crowd->writers > 0);
    return NULL;
}

/* ---- keepers ----------------------------------------------------------------------------------- */

/* A file is the index as it was at one moment of the save. */
static void save_and_open(struct crowd *crowd, const char *path, uint64_t *seed) {
    kith_index *read;
    kith_error err;
    int mode = draw(seed) % 2 ? KITH_OPEN_READ : KITH_OPEN_MAP;
    struct moment before = crowd_done(crowd);
    TRY_CROWD(crowd, kith_index_save(crowd->index, path, &call_err));
    struct moment after = crowd_begun(crowd);
    if (kith_index_open(&read, path, mode, &err) != KITH_OK) {
        crowd_fail(crowd, "open: %s", err.text);
        return;
    }
    TRY_CROWD(crowd, kith_index_check(read, &call_err));
    search(crowd, read, seed, &before, &after, "search of a file");
    kith_index_free(read);
}

static void look_at_figures(struct crowd *crowd) {
    kith_index_stats stats;
    uint64_t sum = 0;
    kith_index_stats_get(crowd->index, &stats);
    for (uint32_t i = 0; i < stats.n_components; i++) sum += stats.component[i].bytes;
    if (stats.rows < GOING_AT || stats.rows > FIRST + ADDERS * COMING + BACK)
        crowd_fail(crowd, "%llu rows", (unsigned long long)stats.rows);
    if (sum != stats.bytes) crowd_fail(crowd, "components do not add up");
}

static void *keep(void *context) {
    struct crowd *crowd = context;
    uint64_t seed = 5, mended = 0;
    char path[] = "/tmp/kith-concurrent-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) crowd_fail(crowd, "no temporary file");
    close(fd);
    do {
        float x[DIM];
        look_at_figures(crowd);
        save_and_open(crowd, path, &seed);
        TRY_CROWD(crowd, kith_index_check(crowd->index, &call_err));
        TRY_CROWD(crowd, kith_index_repair(crowd->index, &mended, &call_err));
        if (mended) crowd_fail(crowd, "%llu mended", (unsigned long long)mended);
        TRY_CROWD(crowd, kith_index_reconstruct(crowd->index, 5, x, &call_err));
        if (memcmp(x, crowd->first + 5 * DIM, sizeof x)) crowd_fail(crowd, "id 5 has changed");
        if (!kith_index_contains(crowd->index, KEPT)) crowd_fail(crowd, "a moved id is absent");
    } while (crowd->writers > 0);
    unlink(path);
    return NULL;
}

/* ---- at once ----------------------------------------------------------------------------------- */

static void expect_no_failures(struct crowd *crowd, const char *spec) {
    if (crowd->failures > 0)
        fail_msg("%s, %s%s: %d failures, the first: %s", spec, kith_metric_name(crowd->metric),
                 crowd->whole ? ", whole numbers" : "", crowd->failures, crowd->text);
}

static void begin(struct crowd *crowd, const char *spec, kith_metric metric, bool whole) {
    kith_error err;
    crowd_init(crowd, metric, whole);
    if (kith_index_new(&crowd->index, DIM, metric, spec, NULL, &err) != KITH_OK ||
        (strstr(spec, "PCA") &&
         kith_index_train(crowd->index, FIRST, crowd->first, NULL, &err) != KITH_OK) ||
        kith_index_add(crowd->index, FIRST, crowd->first, NULL, NULL, &err) != KITH_OK)
        fail_msg("%s: %s", spec, err.text);
}

/* What is left is known: exact answers are the model's, and a graph finds nearly all of them. */
static void expect_the_model(struct crowd *crowd, const char *spec) {
    struct vectors queries = vectors_new(50, DIM);
    uint64_t seed = 11;
    kith_error err;
    for (int i = 0; i < 100; i++) search(crowd, crowd->index, &seed, NULL, NULL, "at the end");
    for (int i = 0; i < 10; i++) search_range(crowd, &seed);
    expect_no_failures(crowd, spec);
    assert_int_equal(kith_index_rows(crowd->index), GOING_AT + ADDERS * COMING);
    if (kith_index_check(crowd->index, &err) != KITH_OK) fail_msg("%s: %s", spec, err.text);
    make_queries(crowd, &seed, queries.n, queries.x);
    assert_true(recall_of(crowd->index, &queries, 10, 100, NULL) > 0.95);
    vectors_free(&queries);
}

static void run_crowd(const char *spec, kith_metric metric, bool whole) {
    struct crowd crowd;
    begin(&crowd, spec, metric, whole);
    struct adder adders[ADDERS] = {{&crowd, 0}, {&crowd, 1}};
    const struct {
        void *(*body)(void *);
        void *context;
    } who[] = {{add_rows, &adders[0]}, {add_rows, &adders[1]},  {remove_rows, &crowd},
               {move_rows, &crowd},    {come_and_go, &crowd},   {search_rows, &crowd},
               {search_rows, &crowd},  {search_ranges, &crowd}, {keep, &crowd}};
    enum { WHO = sizeof who / sizeof who[0] };
    pthread_t thread[WHO];
    crowd.writers = 5;
    for (int i = 0; i < WHO; i++) pthread_create(&thread[i], NULL, who[i].body, who[i].context);
    for (int i = 0; i < WHO; i++) pthread_join(thread[i], NULL);
    expect_no_failures(&crowd, spec);
    expect_the_model(&crowd, spec);
    crowd_deinit(&crowd);
}

static void test_flat(void **state) {
    (void)state;
    run_crowd("Flat", KITH_METRIC_L2, false);
    run_crowd("Flat", KITH_METRIC_COSINE, true);
    run_crowd("Flat,SQ8", KITH_METRIC_L2, false);
    run_crowd("Flat,SQ8", KITH_METRIC_COSINE, false);
}

static void test_graph(void **state) {
    (void)state;
    run_crowd("HNSW8", KITH_METRIC_L2, false);
    run_crowd("HNSW8", KITH_METRIC_COSINE, false);
    run_crowd("HNSW8", KITH_METRIC_L2, true);
}

static void test_graph_of_codes(void **state) {
    (void)state;
    run_crowd("HNSW16,SQ8,Refine", KITH_METRIC_L2, false);
    run_crowd("HNSW16,SQ8,Refine", KITH_METRIC_COSINE, false);
}

static void test_lists(void **state) {
    (void)state;
    run_crowd("IVF16,Flat", KITH_METRIC_L2, false);
    run_crowd("IVF16,SQ8,Refine", KITH_METRIC_COSINE, false);
}

static void test_transforms(void **state) {
    (void)state;
    run_crowd("Pad20,Flat", KITH_METRIC_L2, false);
    run_crowd("PCA16,HNSW8,Refine", KITH_METRIC_COSINE, false);
}

/* ---- nobody waits for ever --------------------------------------------------------------------- */

static void *add_and_remove(void *context) {
    struct crowd *crowd = context;
    static _Atomic int64_t next_id = 2 * BACK_AT;
    kith_work work = KITH_WORK_INIT;
    work.threads =
        64; /* as many as a build may have: more than there are slots, of all adders together */
    while (crowd->writers > 0) {
        int64_t ids[8], first = atomic_fetch_add(&next_id, 8);
        for (int i = 0; i < 8; i++) ids[i] = first + i;
        TRY_CROWD(crowd, kith_index_add(crowd->index, 8, crowd->first, ids, &work, &call_err));
        TRY_CROWD(crowd, kith_index_remove(crowd->index, 8, ids, &call_err));
    }
    return NULL;
}

/* Adds without end, by more workers than there are reader slots, and yet who wants the index for itself gets it. */
static void test_endless_adds(void **state) {
    enum { ADDING = 6 };
    static const char *const kinds[] = {"Flat", "HNSW8"};
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct crowd crowd;
        pthread_t thread[ADDING];
        begin(&crowd, kinds[kind], KITH_METRIC_L2, false);
        crowd.writers = 1;
        for (int i = 0; i < ADDING; i++) pthread_create(&thread[i], NULL, add_and_remove, &crowd);
        for (int i = 0; i < 5; i++) TRY_CROWD(&crowd, kith_index_check(crowd.index, &call_err));
        crowd.writers = 0;
        for (int i = 0; i < ADDING; i++) pthread_join(thread[i], NULL);
        expect_no_failures(&crowd, kinds[kind]);
        assert_int_equal(kith_index_rows(crowd.index), FIRST);
        crowd_deinit(&crowd);
    }
}

/* What adds need is found again by the next: scratch does not spread over all slots. */
static void test_scratch_is_used_again(void **state) {
    struct crowd crowd;
    uint64_t first = 0;
    kith_work work = KITH_WORK_INIT;
    kith_error err;
    (void)state;
    begin(&crowd, "HNSW8", KITH_METRIC_L2, false);
    work.threads = 4;
    for (size_t i = 0; i < 40; i++) {
        int64_t id = BACK_AT;
        assert_int_equal(kith_index_add(crowd.index, 1, crowd.first, &id, &work, &err), KITH_OK);
        assert_int_equal(kith_index_remove(crowd.index, 1, &id, &err), KITH_OK);
        uint64_t bytes = graph_of(crowd.index)->context_bytes;
        if (i == 0) first = bytes;
        assert_true(bytes <= 2 * first);
    }
    crowd_deinit(&crowd);
}

/* ---- repair ------------------------------------------------------------------------------------ */

/* Break the links of many rows, and have them mended: with so many the graph is linked anew. */
static void *wreck_and_repair(void *context) {
    struct crowd *crowd = context;
    struct graph *graph = graph_of(crowd->index);
    for (int round = 0; round < 4; round++) {
        uint64_t mended = 0;
        graph_pause(crowd->index);
        for (uint32_t row = 0; row < KEPT; row += round % 2 ? 2 : 97) {
            uint32_t fault = round < 2 ? row : KITH_MAX_ROWS;
            link_row_write(graph, row, 0, &fault, 1);
        }
        graph_resume(crowd->index);
        TRY_CROWD(crowd, kith_index_repair(crowd->index, &mended, &call_err));
        if (mended == 0) crowd_fail(crowd, "nothing mended");
        TRY_CROWD(crowd, kith_index_check(crowd->index, &call_err));
    }
    crowd->writers--;
    return NULL;
}

static void test_repair(void **state) {
    struct crowd crowd;
    (void)state;
    begin(&crowd, "HNSW8,SQ8,Refine", KITH_METRIC_L2, false);
    void *(*const who[])(void *) = {wreck_and_repair, remove_rows, search_rows, search_rows};
    enum { WHO = sizeof who / sizeof who[0] };
    pthread_t thread[WHO];
    crowd.writers = 2;
    for (int i = 0; i < WHO; i++) pthread_create(&thread[i], NULL, who[i], &crowd);
    for (int i = 0; i < WHO; i++) pthread_join(thread[i], NULL);
    expect_no_failures(&crowd, "repair");
    assert_int_equal(kith_index_rows(crowd.index), GOING_AT);
    crowd_deinit(&crowd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flat),
        cmocka_unit_test(test_graph),
        cmocka_unit_test(test_graph_of_codes),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_transforms),
        cmocka_unit_test(test_endless_adds),
        cmocka_unit_test(test_scratch_is_used_again),
        cmocka_unit_test(test_repair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
