/* Writers that share commits, and readers beside them: every view sees each batch whole, vectors included, and what a write
 * that returned has done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pthread.h>

#include <cmocka.h>

#include "base/bits.h"
#include "store/points.h"

enum { WRITERS = 3, READERS = 2, BATCHES = 60, POINTS = 8, DIM = 16 };

struct world {
    struct points *store;
    uint32_t field;
    _Atomic int writing;
    _Atomic uint32_t done[WRITERS]; /* batches of a writer that have returned */
    _Atomic uint32_t seen;          /* by readers, to the end */
};

struct writer {
    struct world *world;
    uint32_t number, round;
};

static int add_field(struct batch *batch, void *context, kith_error *err) {
    struct world *world = context;
    return batch_add_field(batch, DIM * sizeof(float), &world->field, err);
}

/* All points of a writer say the same: the round, in payload and vector. Every fifth batch fails half-way. */
static int put_round(struct batch *batch, void *context, kith_error *err) {
    struct writer *writer = context;
    float vector[DIM];
    const void *vectors[] = {vector};
    for (int d = 0; d < DIM; d++) vector[d] = (float)writer->round;
    for (uint32_t i = 0; i < POINTS; i++) {
        if (writer->round % 5 == 4 && i == POINTS / 2) return KITH_ESYNTAX;
        struct new_point point = {kith_id_number(writer->number * 100 + i),
                                  0,
                                  (uint64_t)1 << writer->world->field,
                                  vectors,
                                  (const char *)&writer->round,
                                  sizeof writer->round};
        uint32_t slot, old;
        int code = batch_put(batch, &point, &slot, &old, err);
        if (code != KITH_OK) return code;
    }
    return KITH_OK;
}

static void *write_all(void *context) {
    struct writer *writer = context;
    struct points_work work = {put_round, NULL, writer};
    for (writer->round = 1; writer->round <= BATCHES; writer->round++) {
        int code = points_write(writer->world->store, &work, NULL);
        if (code != (writer->round % 5 == 4 ? KITH_ESYNTAX : KITH_OK)) abort();
        if (code == KITH_OK) writer->world->done[writer->number] = writer->round;
    }
    writer->world->writing--;
    return NULL;
}

static uint32_t round_of(struct points_view *view, uint32_t field, uint32_t number) {
    uint32_t slot, round;
    float vector[DIM];
    struct point point;
    kith_id id = kith_id_number(number);
    if (points_find(view, &id, &slot, NULL) != KITH_OK) return 0;
    if (points_get(view, slot, &point, NULL) != KITH_OK) abort();
    memcpy(&round, point.payload, sizeof round);
    memcpy(vector, points_vector(view->store, field, slot), sizeof vector);
    for (int d = 0; d < DIM; d++)
        if (vector[d] != (float)round) abort();
    return round;
}

static void *read_all(void *context) {
    struct world *world = context;
    while (world->writing) {
        struct points_view view;
        uint32_t least[WRITERS];
        for (uint32_t w = 0; w < WRITERS; w++) least[w] = world->done[w];
        if (points_view_begin(world->store, &view, NULL) != KITH_OK) abort();
        for (uint32_t w = 0; w < WRITERS; w++) {
            uint32_t round = round_of(&view, world->field, w * 100);
            if (round < least[w]) abort();
            for (uint32_t i = 1; i < POINTS; i++)
                if (round_of(&view, world->field, w * 100 + i) != round) abort();
        }
        points_view_end(&view);
        world->seen++;
    }
    return NULL;
}

static void batches_are_seen_whole(void **state) {
    (void)state;
    char folder[] = "/tmp/kith-points-XXXXXX", command[64];
    struct world world = {.writing = WRITERS};
    struct writer writer[WRITERS];
    pthread_t thread[WRITERS + READERS];
    assert_non_null(mkdtemp(folder));
    struct points_options options = {.create = true, .map_bytes = 64u << 20};
    assert_int_equal(points_open(&world.store, folder, &options, NULL), KITH_OK);
    struct points_work field = {add_field, NULL, &world};
    assert_int_equal(points_write(world.store, &field, NULL), KITH_OK);
    for (uint32_t i = 0; i < WRITERS; i++) {
        writer[i] = (struct writer){&world, i, 0};
        assert_int_equal(pthread_create(&thread[i], NULL, write_all, &writer[i]), 0);
    }
    for (uint32_t i = WRITERS; i < WRITERS + READERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_all, &world), 0);
    for (uint32_t i = 0; i < WRITERS + READERS; i++) pthread_join(thread[i], NULL);
    assert_true(world.seen > 0);
    struct points_view view;
    assert_int_equal(points_view_begin(world.store, &view, NULL), KITH_OK);
    assert_int_equal(points_check(&view, NULL), KITH_OK);
    assert_int_equal(view.state.n_points, WRITERS * POINTS);
    assert_int_equal(view.state.seq, 1 + WRITERS * BATCHES * 4 / 5);
    points_view_end(&view);
    points_close(world.store);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

/* ---- one of a group fails ------------------------------------------------------------------------- */

struct step {
    struct world *world;
    float value; /* of point 7's vector; negative: the batch fails after it put it */
    _Atomic bool *hold;
};

static int put_seven(struct batch *batch, void *context, kith_error *err) {
    const struct step *step = context;
    float vector[DIM];
    const void *vectors[] = {vector};
    uint32_t slot, old;
    while (step->hold && *step->hold) usleep(1000);
    for (int d = 0; d < DIM; d++) vector[d] = step->value;
    struct new_point point = {kith_id_number(7), 0,    (uint64_t)1 << step->world->field,
                              vectors,           "{}", 2};
    int code = batch_put(batch, &point, &slot, &old, err);
    return code == KITH_OK && step->value < 0 ? KITH_ESYNTAX : code;
}

static void *write_step(void *context) {
    struct step *step = context;
    struct points_work work = {put_seven, NULL, step};
    int code = points_write(step->world->store, &work, NULL);
    if (code != (step->value < 0 ? KITH_ESYNTAX : KITH_OK)) abort();
    return NULL;
}

/* The batch that failed had freed the slot that the next of its group then freed: that slot still waits for its readers. */
static void a_failure_frees_nothing_of_others(void **state) {
    (void)state;
    char folder[] = "/tmp/kith-points-XXXXXX", command[64];
    struct world world = {0};
    _Atomic bool hold = true;
    pthread_t thread[3];
    assert_non_null(mkdtemp(folder));
    struct points_options options = {.create = true, .map_bytes = 64u << 20};
    assert_int_equal(points_open(&world.store, folder, &options, NULL), KITH_OK);
    struct points_work field = {add_field, NULL, &world};
    assert_int_equal(points_write(world.store, &field, NULL), KITH_OK);
    write_step(&(struct step){&world, 1, NULL});
    write_step(&(struct step){&world, 2, NULL});
    struct points_view old;
    assert_int_equal(points_view_begin(world.store, &old, NULL), KITH_OK);
    struct step steps[3] = {{&world, 3, &hold}, {&world, -1, NULL}, {&world, 4, NULL}};
    for (int i = 0; i < 3; i++) { /* the first leads, and is held until the others wait */
        assert_int_equal(pthread_create(&thread[i], NULL, write_step, &steps[i]), 0);
        usleep(50000);
    }
    struct points_view between;
    hold = false;
    pthread_join(thread[0], NULL);
    assert_int_equal(points_view_begin(world.store, &between, NULL), KITH_OK);
    for (int i = 1; i < 3; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < 20; i++) write_step(&(struct step){&world, (float)(10 + i), NULL});
    struct points_view *views[] = {&old, &between};
    for (int v = 0; v < 2; v++) {
        struct point point;
        const void *vector;
        kith_id id = kith_id_number(7);
        uint32_t slot;
        assert_int_equal(points_find(views[v], &id, &slot, NULL), KITH_OK);
        assert_int_equal(points_get(views[v], slot, &point, NULL), KITH_OK);
        assert_int_equal(points_vector_of(views[v], &point, world.field, &vector, NULL), KITH_OK);
        points_view_end(views[v]);
    }
    points_close(world.store);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(batches_are_seen_whole),
                                       cmocka_unit_test(a_failure_frees_nothing_of_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
