/* One index and many threads: the same answers at any thread count, and writers beside searches. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <kith/kith.h>

#include "base/bits.h"

enum { DIM = 16, N = 1200 };

static const char *const specs[] = {"Flat", "Flat,SQ8", "SQ8", "HNSW8", "HNSW8,SQ8,Refine"};
enum { N_SPECS = 5, N_FLAT = 3 };

static float rows[N * DIM];

static int make_rows(void **state) {
    uint64_t random = 21;
    (void)state;
    for (size_t i = 0; i < N * DIM; i++)
        rows[i] = (float)(bits_random(&random) >> 40) * 0x1p-23f - 1;
    return 0;
}

static kith_index *index_of(const char *spec, kith_metric metric, size_t n) {
    kith_index *index;
    kith_error err;
    assert_int_equal(kith_index_new(&index, DIM, metric, spec, NULL, &err), KITH_OK);
    assert_int_equal(kith_index_add(index, n, rows, NULL, NULL, &err), KITH_OK);
    return index;
}

static void test_threads_change_nothing(void **state) {
    static int64_t one[N * 10], many[N * 10];
    (void)state;
    for (size_t s = 0; s < N_SPECS; s++) {
        kith_index *index = index_of(specs[s], KITH_METRIC_COSINE, N);
        kith_search_params params = KITH_SEARCH_PARAMS_INIT;
        kith_error err;
        assert_int_equal(kith_index_search(index, N, rows, &params, one, NULL, &err), KITH_OK);
        params.threads = 4;
        assert_int_equal(kith_index_search(index, N, rows, &params, many, NULL, &err), KITH_OK);
        assert_memory_equal(one, many, sizeof one);
        kith_index_free(index);
    }
}

/* ---- at once ----------------------------------------------------------------------------------- */

struct crowd {
    kith_index *index;
    _Atomic bool stop;
    _Atomic int failed, searches;
};

static void *update_all_the_time(void *context) {
    struct crowd *crowd = context;
    kith_error err;
    for (int round = 0; round < 100; round++) {
        float x[20 * DIM];
        int64_t ids[20];
        for (int i = 0; i < 20; i++) {
            ids[i] = (round * 20 + i) % 200;
            memcpy(x + i * DIM, rows + (ids[i] + 200 * (round % 5)) * DIM, DIM * sizeof(float));
        }
        crowd->failed += kith_index_update(crowd->index, 20, x, ids, NULL, &err) != KITH_OK;
    }
    crowd->stop = true;
    return NULL;
}

static void *come_and_go(void *context) {
    struct crowd *crowd = context;
    kith_error err;
    while (!crowd->stop) {
        int64_t ids[10];
        for (int i = 0; i < 10; i++) ids[i] = 5000 + i;
        crowd->failed += kith_index_add(crowd->index, 10, rows, ids, NULL, &err) != KITH_OK;
        crowd->failed += kith_index_remove(crowd->index, 10, ids, &err) != KITH_OK;
    }
    return NULL;
}

/* Ids 0..199 are replaced all the time, but there is never a moment without them, nor one with two of one. */
static void *search_all(void *context) {
    struct crowd *crowd = context;
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    uint64_t bits[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, 0xff};
    params.k = 200;
    params.exact = 1;
    params.filter = (kith_filter){.bits = bits, .n_bits = 256};
    do {
        int64_t ids[200];
        uint8_t seen[200] = {0};
        kith_error err;
        crowd->failed +=
            kith_index_search(crowd->index, 1, rows, &params, ids, NULL, &err) != KITH_OK;
        for (int i = 0; i < 200; i++)
            crowd->failed += ids[i] < 0 || ids[i] >= 200 || seen[ids[i]]++;
        crowd->searches++;
    } while (!crowd->stop);
    return NULL;
}

static void test_updates_beside_searches(void **state) {
    (void)state;
    for (size_t s = 0; s < N_FLAT; s++) {
        struct crowd crowd = {.index = index_of(specs[s], KITH_METRIC_L2, 200)};
        pthread_t thread[4];
        void *(*const body[4])(void *) = {update_all_the_time, come_and_go, search_all, search_all};
        kith_error err;
        for (int i = 0; i < 4; i++) pthread_create(&thread[i], NULL, body[i], &crowd);
        for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
        assert_int_equal(crowd.failed, 0);
        assert_true(crowd.searches >= 2);
        assert_int_equal(kith_index_rows(crowd.index), 200);
        assert_int_equal(kith_index_check(crowd.index, &err), KITH_OK);
        kith_index_free(crowd.index);
    }
}

/* ---- removed and added again during one search -------------------------------------------------- */

enum { BACK = 3, GONE = 1150 }; /* ids */

struct back {
    kith_index *index;
    _Atomic int step; /* 1: the search has come by; 2: the id is back */
};

static void wait_for(struct back *back, int step) {
    while (back->step < step) sched_yield();
}

/* Lets the id be removed, and added again to a row farther on, as soon as it has been looked at. */
static int pass_and_replace(void *context, int64_t id) {
    struct back *back = context;
    if (id == BACK && back->step == 0) {
        back->step = 1;
        wait_for(back, 2);
    }
    return 1;
}

static void *remove_it(void *context) {
    struct back *back = context;
    int64_t id = BACK;
    wait_for(back, 1);
    assert_int_equal(kith_index_remove(back->index, 1, &id, NULL), KITH_OK);
    return NULL;
}

static void *add_it(void *context) {
    struct back *back = context;
    int64_t id = BACK;
    wait_for(back, 1);
    while (kith_index_add(back->index, 1, rows + BACK * DIM, &id, NULL, NULL) != KITH_OK)
        sched_yield();
    back->step = 2;
    return NULL;
}

static void expect_once(const int64_t *ids, size_t n) {
    int times = 0;
    for (size_t i = 0; i < n; i++) times += ids[i] == BACK;
    assert_int_equal(times, 1);
}

static void search_while_it_comes_back(struct back *back, int how) {
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    kith_range_result *range;
    int64_t ids[20 * 10];
    kith_error err;
    params.exact = 1;
    params.filter = (kith_filter){.pass = pass_and_replace, .context = back};
    size_t n = how == 1 ? 20 : 1;
    if (how < 2) {
        assert_int_equal(
            kith_index_search(back->index, n, rows + BACK * DIM, &params, ids, NULL, &err),
            KITH_OK);
        expect_once(ids, 10);
    } else {
        assert_int_equal(
            kith_index_range_search(back->index, 1, rows + BACK * DIM, 100, &params, &range, &err),
            KITH_OK);
        expect_once(range->ids, range->start[1]);
        assert_int_equal(range->start[1], N - 20);
        kith_range_result_free(range);
    }
}

static void test_an_id_comes_back(void **state) {
    static const char *const kinds[] = {"Flat", "Flat,SQ8", "HNSW8"};
    (void)state;
    for (size_t s = 0; s < 3; s++) {
        for (int how = 0; how < 3; how++) {
            struct back back = {.index = index_of(kinds[s], KITH_METRIC_L2, N)};
            pthread_t remover, adder;
            int64_t gone[20];
            for (int i = 0; i < 20; i++) gone[i] = GONE + i;
            assert_int_equal(kith_index_remove(back.index, 20, gone, NULL), KITH_OK);
            pthread_create(&remover, NULL, remove_it, &back);
            pthread_create(&adder, NULL, add_it, &back);
            search_while_it_comes_back(&back, how);
            pthread_join(remover, NULL);
            pthread_join(adder, NULL);
            kith_index_free(back.index);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_change_nothing),
        cmocka_unit_test(test_updates_beside_searches),
        cmocka_unit_test(test_an_id_comes_back),
    };
    return cmocka_run_group_tests(tests, make_rows, NULL);
}
