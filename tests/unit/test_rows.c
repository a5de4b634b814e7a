/* Rows: numbers, ids, life, and stores that change under readers. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "index/rows.h"

enum { DIM = 12, MOST = 4096 };

struct fixture {
    struct rows rows;
    struct mem_account account;
    float x[MOST * DIM];
    uint32_t row[MOST], old[MOST];
    kith_error err;
};

static struct fixture *fixture_new(enum code_kind walk, enum code_kind orig, bool keep_orig,
                                   kith_metric metric) {
    struct fixture *f = calloc(1, sizeof *f);
    struct rows_config config = {.dim = DIM,
                                 .metric = metric,
                                 .walk = walk,
                                 .orig = orig,
                                 .keep_orig = keep_orig,
                                 .keep_err = keep_orig && walk == CODE_SQ8};
    uint64_t state = 11;
    assert_int_equal(rows_init(&f->rows, &config, &f->account, &f->err), KITH_OK);
    for (size_t i = 0; i < MOST * DIM; i++)
        f->x[i] = (float)(bits_random(&state) >> 40) * 0x1p-20f - 3;
    return f;
}

static void fixture_free(struct fixture *f) {
    assert_int_equal(rows_check(&f->rows, &f->err), KITH_OK);
    rows_deinit(&f->rows);
    assert_int_equal(f->account.bytes, 0);
    assert_int_equal(f->account.blocks, 0);
    free(f);
}

static int add(struct fixture *f, size_t n, const float *x, const int64_t *ids) {
    int code = rows_add_begin(&f->rows, n, x, ids, 1, f->row, &f->err);
    if (code == KITH_OK) rows_add_commit(&f->rows, n, f->row);
    return code;
}

static int drop(struct fixture *f, size_t n, const int64_t *ids) {
    int code = rows_remove(&f->rows, n, ids, f->old, &f->err);
    if (code == KITH_OK) code = rows_release(&f->rows, n, f->old, &f->err);
    return code;
}

static void check_vector(struct fixture *f, int64_t id, const float *x) {
    const struct store *store = rows_store(&f->rows);
    float decoded[DIM];
    uint32_t row = rows_find(&f->rows, id);
    assert_int_not_equal(row, ROW_NONE);
    assert_int_equal(rows_id(&f->rows, row), id);
    code_decode(store_exact_code(store), store_exact_row(store, row), decoded);
    assert_memory_equal(decoded, x, sizeof decoded);
}

/* ---- ids --------------------------------------------------------------------------------------- */

static void test_plain_ids_cost_nothing(void **state) {
    struct fixture *f = fixture_new(CODE_F32, CODE_F32, true, KITH_METRIC_L2);
    int64_t ids[] = {100, 101, 102, 7};
    (void)state;
    assert_int_equal(add(f, 100, f->x, NULL), KITH_OK);
    assert_int_equal(add(f, 3, f->x, ids), KITH_OK);
    assert_false(f->rows.explicit_ids);
    assert_int_equal(segs_bytes(&f->rows.id_of) + id_map_bytes(&f->rows.ids), 0);
    assert_int_equal(rows_find(&f->rows, 102), 102);
    assert_int_equal(rows_find(&f->rows, 103), ROW_NONE);
    assert_int_equal(rows_find(&f->rows, -1), ROW_NONE);
    /* A removed number that comes back to its own row is plain still; any other id is not. */
    assert_int_equal(drop(f, 1, ids + 3), KITH_OK);
    assert_int_equal(add(f, 1, f->x, ids + 3), KITH_OK);
    assert_false(f->rows.explicit_ids);
    ids[0] = 5000;
    assert_int_equal(add(f, 1, f->x + DIM, ids), KITH_OK);
    assert_true(f->rows.explicit_ids);
    check_vector(f, 5000, f->x + DIM);
    check_vector(f, 7, f->x);
    check_vector(f, 99, f->x + 99 * DIM);
    /* Numbers go on after the highest id ever used. */
    assert_int_equal(add(f, 2, f->x, NULL), KITH_OK);
    assert_int_equal(rows_id(&f->rows, f->row[1]), 5002);
    fixture_free(f);
}

static void test_refused_adds_change_nothing(void **state) {
    struct fixture *f = fixture_new(CODE_F32, CODE_F32, true, KITH_METRIC_L2);
    int64_t twice[] = {500, 501, 500}, present[] = {600, 601, 3}, negative[] = {1000, -5};
    float bad[2 * DIM];
    (void)state;
    assert_int_equal(add(f, 10, f->x, NULL), KITH_OK);
    assert_int_equal(add(f, 3, f->x, twice), KITH_EDUPLICATE);
    assert_int_equal(f->err.at, 2);
    assert_int_equal(add(f, 3, f->x, present), KITH_EDUPLICATE);
    assert_int_equal(f->err.at, 2);
    assert_int_equal(add(f, 2, f->x, negative), KITH_EINVAL);
    memcpy(bad, f->x, sizeof bad);
    bad[DIM + 4] = NAN;
    assert_int_equal(add(f, 2, bad, NULL), KITH_ENONFINITE);
    assert_int_equal(f->err.at, 1);
    bad[DIM + 4] = -INFINITY;
    assert_int_equal(add(f, 2, bad, NULL), KITH_ENONFINITE);
    bad[DIM + 4] = 1e19f;
    assert_int_equal(add(f, 2, bad, NULL), KITH_ERANGE);
    assert_int_equal(f->err.at, 1);
    assert_int_equal(f->rows.n, 10);
    assert_int_equal(f->rows.n_live, 10);
    assert_int_equal(f->rows.next_id, 10);
    for (int64_t id = 0; id < 10; id++) check_vector(f, id, f->x + id * DIM);
    for (int i = 0; i < 3; i++) assert_int_equal(rows_find(&f->rows, twice[i]), ROW_NONE);
    assert_int_equal(rows_find(&f->rows, 600), ROW_NONE);
    assert_int_equal(add(f, 1, f->x, NULL), KITH_OK);
    assert_int_equal(rows_find(&f->rows, 10), 10);
    fixture_free(f);
}

static void test_half_floats_refuse_what_they_cannot_hold(void **state) {
    struct fixture *f = fixture_new(CODE_F16, CODE_F32, false, KITH_METRIC_L2);
    float x[DIM] = {65504, -65504};
    (void)state;
    assert_int_equal(add(f, 1, x, NULL), KITH_OK);
    x[3] = 65505;
    assert_int_equal(add(f, 1, x, NULL), KITH_ERANGE);
    fixture_free(f);
}

static void test_highest_id(void **state) {
    struct fixture *f = fixture_new(CODE_F32, CODE_F32, true, KITH_METRIC_L2);
    int64_t id = INT64_MAX;
    (void)state;
    assert_int_equal(add(f, 1, f->x, &id), KITH_OK);
    assert_int_equal(add(f, 1, f->x, NULL), KITH_EFULL);
    id = 3;
    assert_int_equal(add(f, 1, f->x, &id), KITH_OK);
    check_vector(f, INT64_MAX, f->x);
    fixture_free(f);
}

/* ---- life -------------------------------------------------------------------------------------- */

static void test_freed_rows_come_back_in_rising_order(void **state) {
    struct fixture *f = fixture_new(CODE_F32, CODE_F32, true, KITH_METRIC_L2);
    int64_t ids[] = {70, 3, 150, 64, 9};
    static const uint32_t want[] = {3, 9, 64, 70, 150, 200, 201};
    (void)state;
    assert_int_equal(add(f, 200, f->x, NULL), KITH_OK);
    assert_int_equal(drop(f, 5, ids), KITH_OK);
    assert_int_equal(f->rows.n_free, 5);
    assert_int_equal(f->rows.n_live, 195);
    assert_int_equal(add(f, 2, f->x, NULL), KITH_OK);
    assert_memory_equal(f->row, want, 2 * sizeof *want);
    assert_int_equal(add(f, 5, f->x, NULL), KITH_OK);
    assert_memory_equal(f->row, want + 2, 5 * sizeof *want);
    assert_int_equal(f->rows.n, 202);
    fixture_free(f);
}

static void test_removal_is_all_or_nothing(void **state) {
    struct fixture *f = fixture_new(CODE_F32, CODE_F32, true, KITH_METRIC_L2);
    int64_t missing[] = {1, 2, 50}, twice[] = {4, 5, 4}, good[] = {1, 4};
    (void)state;
    assert_int_equal(add(f, 20, f->x, NULL), KITH_OK);
    assert_int_equal(drop(f, 3, missing), KITH_ENOTFOUND);
    assert_int_equal(f->err.at, 2);
    assert_int_equal(drop(f, 3, twice), KITH_EDUPLICATE);
    assert_int_equal(f->err.at, 2);
    assert_int_equal(f->rows.n_live, 20);
    assert_int_equal(rows_check(&f->rows, &f->err), KITH_OK);
    /* Dead, the id can come back at once, in another row; released, the row is free. */
    assert_int_equal(rows_remove(&f->rows, 2, good, f->old, &f->err), KITH_OK);
    assert_int_equal(rows_find(&f->rows, 4), ROW_NONE);
    assert_int_equal(add(f, 1, f->x + 30 * DIM, good + 1), KITH_OK);
    assert_int_equal(f->row[0], 20);
    assert_int_equal(rows_release(&f->rows, 2, f->old, &f->err), KITH_OK);
    check_vector(f, 4, f->x + 30 * DIM);
    assert_int_equal(drop(f, 1, good), KITH_ENOTFOUND);
    fixture_free(f);
}

static void test_abort_and_update(void **state) {
    struct fixture *f = fixture_new(CODE_F32, CODE_F32, true, KITH_METRIC_L2);
    int64_t ids[] = {3, 5, 3}, unknown = 99;
    (void)state;
    assert_int_equal(add(f, 8, f->x, NULL), KITH_OK);
    assert_int_equal(rows_add_begin(&f->rows, 4, f->x, NULL, 1, f->row, &f->err), KITH_OK);
    assert_int_equal(rows_find(&f->rows, 8), ROW_NONE); /* pending */
    rows_add_abort(&f->rows, 4, f->row);
    assert_int_equal(rows_check(&f->rows, &f->err), KITH_OK);
    assert_int_equal(f->rows.n_free, 4);
    assert_int_equal(rows_update_begin(&f->rows, 3, f->x, ids, 1, f->row, f->old, &f->err),
                     KITH_EDUPLICATE);
    assert_int_equal(rows_update_begin(&f->rows, 1, f->x, &unknown, 1, f->row, f->old, &f->err),
                     KITH_ENOTFOUND);
    assert_int_equal(
        rows_update_begin(&f->rows, 2, f->x + 20 * DIM, ids, 1, f->row, f->old, &f->err), KITH_OK);
    check_vector(f, 3, f->x + 3 * DIM); /* until commit */
    rows_update_abort(&f->rows, 2, f->row);
    check_vector(f, 5, f->x + 5 * DIM);
    assert_int_equal(
        rows_update_begin(&f->rows, 2, f->x + 20 * DIM, ids, 1, f->row, f->old, &f->err), KITH_OK);
    rows_update_commit(&f->rows, 2, f->row, f->old);
    assert_int_equal(rows_release(&f->rows, 2, f->old, &f->err), KITH_OK);
    check_vector(f, 3, f->x + 20 * DIM);
    check_vector(f, 5, f->x + 21 * DIM);
    assert_int_equal(f->rows.n_live, 8);
    fixture_free(f);
}

/* A thousand random adds, removals and updates against an array. */
static void test_against_a_model(void **state) {
    struct fixture *f = fixture_new(CODE_F32, CODE_F32, true, KITH_METRIC_L2);
    int32_t at[64]; /* the row of f->x that an id has; -1: none */
    uint64_t random = 3;
    (void)state;
    memset(at, 0xff, sizeof at);
    for (int step = 0; step < 3000; step++) {
        uint64_t draw = bits_random(&random);
        int64_t id = (int64_t)(draw % 64), big = id << 40;
        int32_t from = (int32_t)(draw >> 32 & (MOST - 1));
        const float *x = f->x + from * DIM;
        if (draw >> 20 & 1) {
            assert_int_equal(add(f, 1, x, &big), at[id] < 0 ? KITH_OK : KITH_EDUPLICATE);
            if (at[id] < 0) at[id] = from;
        } else if (draw >> 21 & 1) {
            assert_int_equal(drop(f, 1, &big), at[id] < 0 ? KITH_ENOTFOUND : KITH_OK);
            at[id] = -1;
        } else if (rows_update_begin(&f->rows, 1, x, &big, 1, f->row, f->old, &f->err) == KITH_OK) {
            assert_true(at[id] >= 0);
            rows_update_commit(&f->rows, 1, f->row, f->old);
            assert_int_equal(rows_release(&f->rows, 1, f->old, &f->err), KITH_OK);
            at[id] = from;
        } else {
            assert_true(at[id] < 0);
        }
        if (step % 100 == 0) assert_int_equal(rows_check(&f->rows, &f->err), KITH_OK);
    }
    for (int64_t id = 0; id < 64; id++) {
        if (at[id] >= 0)
            check_vector(f, id << 40, f->x + at[id] * DIM);
        else
            assert_int_equal(rows_find(&f->rows, id << 40), ROW_NONE);
    }
    assert_true(f->rows.n <= 65);
    fixture_free(f);
}

/* ---- stores ------------------------------------------------------------------------------------ */

static void test_bytes_are_found_and_left(void **state) {
    (void)state;
    for (int metric = 0; metric <= KITH_METRIC_L1; metric++) {
        struct fixture *f = fixture_new(CODE_SQ8, CODE_F32, true, (kith_metric)metric);
        float bytes[300 * DIM];
        for (size_t i = 0; i < 300 * DIM; i++) bytes[i] = (float)((i * 37) % 256);
        assert_int_equal(add(f, 300, bytes, NULL), KITH_OK);
        assert_int_equal(rows_store(&f->rows)->walk.kind, CODE_U8);
        assert_true(rows_store(&f->rows)->shared);
        check_vector(f, 123, bytes + 123 * DIM);
        assert_int_equal(add(f, 10, f->x, NULL), KITH_OK);
        assert_int_equal(rows_store(&f->rows)->walk.kind, CODE_SQ8);
        for (int64_t id = 0; id < 300; id += 17) check_vector(f, id, bytes + id * DIM);
        check_vector(f, 305, f->x + 5 * DIM);
        fixture_free(f);
    }
}

/* |x - decoded walk row| is never more than what is stored. */
static void test_residuals_are_bounds(void **state) {
    struct fixture *f = fixture_new(CODE_SQ8, CODE_F32, true, KITH_METRIC_L2);
    (void)state;
    for (size_t i = 0; i < 2000 * DIM; i++) f->x[i] *= 1 + (float)i / 5000; /* ranges that grow */
    for (size_t at = 0; at < 2000; at += 50)
        assert_int_equal(add(f, 50, f->x + at * DIM, NULL), KITH_OK);
    const struct store *store = rows_store(&f->rows);
    assert_true(store->has_err);
    for (uint32_t row = 0; row < 2000; row++) {
        float decoded[DIM], err = *(const float *)(const void *)segs_at(&store->err_of, row);
        double sum = 0;
        code_decode(&store->walk, store_walk_row(store, row), decoded);
        for (size_t i = 0; i < DIM; i++) {
            double left = (double)f->x[row * DIM + i] - (double)decoded[i];
            sum += left * left;
        }
        assert_true((double)err >= sqrt(sum));
        assert_true((double)err <= sqrt(sum) * 1.001 + 1e-6);
        check_vector(f, row, f->x + row * DIM);
    }
    fixture_free(f);
}

static void test_any_thread_count_gives_the_same_rows(void **state) {
    struct fixture *one = fixture_new(CODE_SQ8, CODE_F32, true, KITH_METRIC_COSINE);
    struct fixture *four = fixture_new(CODE_SQ8, CODE_F32, true, KITH_METRIC_COSINE);
    (void)state;
    assert_int_equal(rows_add_begin(&one->rows, 3000, one->x, NULL, 1, one->row, &one->err),
                     KITH_OK);
    rows_add_commit(&one->rows, 3000, one->row);
    assert_int_equal(rows_add_begin(&four->rows, 3000, four->x, NULL, 4, four->row, &four->err),
                     KITH_OK);
    rows_add_commit(&four->rows, 3000, four->row);
    const struct store *a = rows_store(&one->rows), *b = rows_store(&four->rows);
    for (uint32_t row = 0; row < 3000; row++)
        assert_memory_equal(store_walk_row(a, row), store_walk_row(b, row), a->walk.stride);
    fixture_free(one);
    fixture_free(four);
}

/* ---- threads ----------------------------------------------------------------------------------- */

struct worker {
    struct fixture *f;
    int64_t first;
    _Atomic bool *stop;
    int64_t looked;
    int failed; /* asserts belong to the main thread */
};

/* Adds and drops ids of its own; every third time a vector that is no byte. */
static void *churn(void *context) {
    struct worker *worker = context;
    struct rows *rows = &worker->f->rows;
    kith_error err;
    for (int round = 0; round < 60; round++) {
        float x[16 * DIM];
        int64_t ids[16];
        uint32_t row[16];
        for (int i = 0; i < 16 * DIM; i++)
            x[i] = (float)(i % 200) + (round > 30 && round % 3 == 0 ? 0.5f : 0);
        for (int i = 0; i < 16; i++) ids[i] = worker->first + i;
        if (rows_add_begin(rows, 16, x, ids, 1, row, &err) == KITH_OK)
            rows_add_commit(rows, 16, row);
        else
            worker->failed++;
        worker->failed += rows_remove(rows, 16, ids, row, &err) != KITH_OK;
        worker->failed += rows_release(rows, 16, row, &err) != KITH_OK;
    }
    return NULL;
}

/* Reads live rows as a search does. */
static void *look(void *context) {
    struct worker *worker = context;
    struct rows *rows = &worker->f->rows;
    do {
        uint32_t slot = epoch_enter(&rows->epoch);
        uint32_t n = atomic_load_explicit(&rows->n, memory_order_acquire);
        const struct store *store = rows_store(rows);
        float x[DIM];
        for (uint32_t row = 0; row < n; row++) {
            if (!rows_is_live(rows, row)) continue;
            code_decode(store_exact_code(store), store_exact_row(store, row), x);
            worker->failed += !(x[0] >= 0 && x[0] < 256) || rows_id(rows, row) < 0;
            worker->looked++;
        }
        epoch_leave(&rows->epoch, slot);
    } while (!*worker->stop);
    return NULL;
}

static void test_readers_beside_writers(void **state) {
    struct fixture *f = fixture_new(CODE_SQ8, CODE_F32, true, KITH_METRIC_L2);
    pthread_t thread[4];
    _Atomic bool stop = false;
    struct worker worker[4];
    float fixed[8 * DIM];
    int64_t ids[8];
    (void)state;
    for (int i = 0; i < 8 * DIM; i++) fixed[i] = (float)(i % 7);
    for (int i = 0; i < 8; i++) ids[i] = 1000000 + i;
    assert_int_equal(add(f, 8, fixed, ids), KITH_OK);
    for (int i = 0; i < 4; i++) {
        worker[i] = (struct worker){f, 1000 * i, &stop, 0, 0};
        pthread_create(&thread[i], NULL, i < 2 ? churn : look, &worker[i]);
    }
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    stop = true;
    for (int i = 2; i < 4; i++) pthread_join(thread[i], NULL);
    assert_true(worker[2].looked > 0 && worker[3].looked > 0);
    for (int i = 0; i < 4; i++) assert_int_equal(worker[i].failed, 0);
    assert_int_equal(f->rows.n_live, 8);
    assert_int_equal(rows_store(&f->rows)->walk.kind, CODE_SQ8);
    for (int i = 0; i < 8; i++) check_vector(f, ids[i], fixed + i * DIM);
    fixture_free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_ids_cost_nothing),
        cmocka_unit_test(test_refused_adds_change_nothing),
        cmocka_unit_test(test_half_floats_refuse_what_they_cannot_hold),
        cmocka_unit_test(test_highest_id),
        cmocka_unit_test(test_freed_rows_come_back_in_rising_order),
        cmocka_unit_test(test_removal_is_all_or_nothing),
        cmocka_unit_test(test_abort_and_update),
        cmocka_unit_test(test_against_a_model),
        cmocka_unit_test(test_bytes_are_found_and_left),
        cmocka_unit_test(test_residuals_are_bounds),
        cmocka_unit_test(test_any_thread_count_gives_the_same_rows),
        cmocka_unit_test(test_readers_beside_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
