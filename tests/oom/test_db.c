/* Every allocation of a database's life fails once: the call says so, the batch is there whole or not at all, nothing is left
 * behind, and the next call works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <kith/db.h>

#include "base/mem.h"

static char folder[64];

static int enter(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/kith-db-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int leave(void **state) {
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

/* Two operations on four points: n of them with 1.0 of the last round's value are there before, n or none after. */
static int write_round(kith_db *db, int round, kith_error *err) {
    float values[4][3];
    char payload[4][32];
    kith_vector vectors[4];
    kith_point points[4];
    for (int i = 0; i < 4; i++) {
        for (int d = 0; d < 3; d++) values[i][d] = (float)(round + i + d + 1);
        snprintf(payload[i], sizeof payload[i], "{\"round\": %d}", round);
        vectors[i] = (kith_vector){"", values[i], 3};
        points[i] = (kith_point){kith_id_number((uint64_t)i), payload[i], strlen(payload[i]), 1,
                                 &vectors[i]};
    }
    const char *const paths[] = {"gone.x"};
    kith_op ops[2] = {{.kind = KITH_OP_UPSERT, .n_points = 4, .points = points},
                      {.kind = KITH_OP_DELETE_PAYLOAD,
                       .filter = "{\"must\": [{\"key\": \"round\", \"range\": {\"gte\": 0}}]}",
                       .n_paths = 1,
                       .paths = paths}};
    return kith_db_write(db, "c", 2, ops, NULL, err);
}

/* How many points have a round's payload. */
static int count_round(kith_db *db, int round, uint64_t *count, kith_error *err) {
    char filter[100];
    snprintf(filter, sizeof filter,
             "{\"must\": [{\"key\": \"round\", \"match\": {\"value\": %d}}]}", round);
    return kith_db_count(db, "c", filter, count, err);
}

static int search(kith_db *db, kith_error *err) {
    const float values[] = {1, 2, 3};
    kith_hits *hits;
    kith_query query = KITH_QUERY_INIT;
    query.vector = values;
    query.dim = 3;
    query.payload = "[\"round\"]";
    query.with_vectors = true;
    query.filter = "{\"must\": [{\"key\": \"round\", \"range\": {\"gte\": 0}}]}";
    int code = kith_db_query(db, "c", &query, &hits, err);
    if (code == KITH_OK) {
        assert_int_equal(hits->n, 4);
        kith_hits_free(hits);
    }
    return code;
}

/* One call with its nth allocation failing; whether it had that many. */
static bool fails_at(uint64_t nth, int (*call)(kith_db *, int, kith_error *), kith_db *db,
                     int round) {
    kith_error err = {0};
    mem_test_fail_at(nth);
    int code = call(db, round, &err);
    uint64_t calls = mem_test_calls();
    mem_test_fail_at(0);
    if (code != KITH_OK) assert_int_equal(code, KITH_ENOMEM);
    if (code != KITH_OK) assert_true(strlen(err.text) > 0);
    return calls >= nth;
}

static int search_call(kith_db *db, int round, kith_error *err) {
    (void)round;
    return search(db, err);
}

static void writes_and_searches(void **state) {
    (void)state;
    kith_db *db;
    const kith_vector_field field = {"", 3, KITH_METRIC_COSINE};
    uint64_t before = mem_live_blocks(), count;
    assert_int_equal(kith_db_open(&db, folder, NULL, NULL), KITH_OK);
    assert_int_equal(kith_db_create(db, "c", 1, &field, NULL), KITH_OK);
    assert_int_equal(write_round(db, 0, NULL), KITH_OK);
    int round = 0;
    for (uint64_t nth = 1;; nth++) {
        bool more = fails_at(nth, write_round, db, round + 1);
        assert_int_equal(count_round(db, round + 1, &count, NULL), KITH_OK);
        assert_true(count == 0 || count == 4);
        if (count == 0) assert_int_equal(count_round(db, round, &count, NULL), KITH_OK);
        assert_int_equal(count, 4);
        assert_int_equal(write_round(db, ++round, NULL), KITH_OK);
        if (!more) break;
    }
    for (uint64_t nth = 1; fails_at(nth, search_call, db, 0); nth++)
        assert_int_equal(search(db, NULL), KITH_OK);
    kith_db_close(db);
    assert_int_equal(mem_live_blocks(), before);
}

static void opening_and_making(void **state) {
    (void)state;
    kith_db *db = NULL;
    kith_error err;
    const kith_vector_field field = {"", 3, KITH_METRIC_L2};
    uint64_t before = mem_live_blocks();
    for (uint64_t nth = 1, more = 1; more; nth++) {
        mem_test_fail_at(nth);
        int code = kith_db_open(&db, folder, NULL, &err);
        if (code == KITH_OK) {
            code = kith_db_create(db, "d", 1, &field, &err);
            if (code == KITH_OK) code = kith_db_drop(db, "d", &err);
            more = mem_test_calls() >= nth;
        }
        mem_test_fail_at(0);
        if (code != KITH_OK) assert_int_equal(code, KITH_ENOMEM);
        char *names;
        if (db) {
            assert_int_equal(kith_db_list(db, &names, NULL), KITH_OK);
            kith_text_free(names);
            if (code != KITH_OK) (void)kith_db_drop(db, "d", NULL);
        }
        kith_db_close(db);
        db = NULL;
        assert_int_equal(mem_live_blocks(), before);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_and_searches, enter, leave),
        cmocka_unit_test_setup_teardown(opening_and_making, enter, leave)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
