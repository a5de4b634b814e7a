/* Queries beside writers: each sees whole batches, the number of points that every batch leaves, and what was acknowledged
 * before it began. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <kith/db.h>

enum { WRITERS = 2, READERS = 2, ROUNDS = 40, POINTS = 6, DIM = 4 };

static kith_db *db;
static _Atomic int writing;
static _Atomic uint64_t queries;
static _Atomic int done[WRITERS];

/* A writer's points all move to one place, far from where any round before was. */
static void write_round(int writer, int round) {
    float values[DIM] = {(float)writer, (float)round, 0, 0};
    kith_vector vector = {"", values, DIM};
    kith_point points[POINTS];
    char payload[48];
    snprintf(payload, sizeof payload, "{\"writer\": %d, \"round\": %d}", writer, round);
    for (int i = 0; i < POINTS; i++)
        points[i] = (kith_point){kith_id_number((uint64_t)(writer * 100 + i)), payload,
                                 strlen(payload), 1, &vector};
    kith_op op = {.kind = KITH_OP_UPSERT, .n_points = POINTS, .points = points};
    if (kith_db_write(db, "c", 1, &op, NULL, NULL) != KITH_OK) abort();
    done[writer] = round;
}

static void *write_all(void *context) {
    int writer = *(int *)context;
    for (int round = 2; round <= ROUNDS; round++) write_round(writer, round);
    writing--;
    return NULL;
}

static void *read_all(void *context) {
    (void)context;
    while (writing) {
        for (int writer = 0; writer < WRITERS; writer++) {
            int least = done[writer];
            char filter[96];
            float values[DIM] = {(float)writer, 0, 0, 0};
            kith_hits *hits;
            kith_query query = KITH_QUERY_INIT;
            snprintf(filter, sizeof filter,
                     "{\"must\": [{\"key\": \"writer\", \"match\": {\"value\": %d}}]}", writer);
            query.filter = filter;
            query.vector = values;
            query.dim = DIM;
            query.limit = 2 * POINTS;
            query.payload = "true";
            if (kith_db_query(db, "c", &query, &hits, NULL) != KITH_OK) abort();
            if (hits->n != POINTS) abort();
            for (size_t h = 0; h < hits->n; h++) {
                if (hits->hits[h].score != hits->hits[0].score) abort();
                if (strcmp(hits->hits[h].payload, hits->hits[0].payload) != 0) abort();
            }
            if (hits->hits[0].score < (float)(least * least)) abort();
            kith_hits_free(hits);
            queries++;
        }
    }
    return NULL;
}

static void batches_are_seen_whole(void **state) {
    (void)state;
    char folder[] = "/tmp/kith-db-XXXXXX", command[64];
    pthread_t thread[WRITERS + READERS];
    int number[WRITERS];
    const kith_vector_field field = {"", DIM, KITH_METRIC_L2};
    assert_non_null(mkdtemp(folder));
    assert_int_equal(kith_db_open(&db, folder, NULL, NULL), KITH_OK);
    assert_int_equal(kith_db_create(db, "c", 1, &field, NULL), KITH_OK);
    for (int w = 0; w < WRITERS; w++) write_round(w, 1);
    writing = WRITERS;
    for (int w = 0; w < WRITERS; w++) {
        number[w] = w;
        assert_int_equal(pthread_create(&thread[w], NULL, write_all, &number[w]), 0);
    }
    for (int r = WRITERS; r < WRITERS + READERS; r++)
        assert_int_equal(pthread_create(&thread[r], NULL, read_all, NULL), 0);
    for (int t = 0; t < WRITERS + READERS; t++) pthread_join(thread[t], NULL);
    assert_true(queries > 0);
    kith_db_close(db);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(batches_are_seen_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
