/* The points of a store against a model: arrays of what should be there. Any sequence of batches, failures and openings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/mem.h"
#include "store/points.h"

enum { N_IDS = 60, DIM = 3, MAX_PAYLOAD = 9000 };

/* What should be stored of one id. */
struct expected {
    bool there, has_vector, has_blob;
    float vector[DIM];
    char payload[MAX_PAYLOAD];
    size_t n_payload;
    int64_t expires;
};

struct world {
    char folder[64], text[N_IDS][KITH_ID_TEXT];
    kith_id id[N_IDS];
    struct expected now[N_IDS], before[N_IDS];
    struct points *store;
    struct mem_account owner;
    uint32_t field;
    uint64_t seed, batches;
};

/* Ids of every kind; strings of all lengths about the one where entries are shared, with common beginnings. */
static void make_ids(struct world *world) {
    for (uint32_t i = 0; i < N_IDS; i++) {
        kith_id *id = &world->id[i];
        *id = kith_id_number(i % 3 ? i : UINT64_MAX - i);
        if (i < 15) continue;
        if (i < 25) {
            id->kind = KITH_ID_UUID;
            memset(id->uuid, 0, 16);
            id->uuid[i % 16] = (uint8_t)i;
            continue;
        }
        char *text = world->text[i];
        uint32_t length = i < 35 ? i - 24 : i < 45 ? 484 + (i - 35) : 500 + i % 13;
        memset(text, 'a', length);
        text[length - 1] = (char)('a' + i % 26);
        id->kind = KITH_ID_STRING;
        id->length = length;
        id->string = text;
    }
}

static void points_up(struct world *world, bool create) {
    struct points_options options = {create, true, 256u << 20, &world->owner};
    kith_error err = {0};
    int code = points_open(&world->store, world->folder, &options, &err);
    if (code != KITH_OK) fail_msg("%s", err.text);
}

static int add_field(struct batch *batch, void *context, kith_error *err) {
    struct world *world = context;
    return batch_add_field(batch, DIM * sizeof(float), &world->field, err);
}

static void write_ok(struct world *world, int (*apply)(struct batch *, void *, kith_error *)) {
    kith_error err = {0};
    struct points_work work = {apply, NULL, world};
    if (points_write(world->store, &work, &err) != KITH_OK) fail_msg("%s", err.text);
    world->batches++;
}

static struct world *world_new(void) {
    struct world *world = calloc(1, sizeof *world);
    snprintf(world->folder, sizeof world->folder, "/tmp/kith-store-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    world->seed = 1;
    make_ids(world);
    points_up(world, true);
    write_ok(world, add_field);
    return world;
}

static void world_free(struct world *world) {
    char command[96];
    points_close(world->store);
    assert_int_equal(world->owner.bytes, 0);
    snprintf(command, sizeof command, "rm -r %s", world->folder);
    assert_int_equal(system(command), 0);
    free(world);
}

static uint64_t below(struct world *world, uint64_t n) { return bits_random(&world->seed) % n; }

static void expect(struct points_view *view, const kith_id *id, const struct expected *want,
                   uint32_t field) {
    uint32_t slot;
    struct point point;
    kith_error err = {0};
    int code = points_find(view, id, &slot, &err);
    assert_int_equal(code, want->there ? KITH_OK : KITH_ENOTFOUND);
    if (!want->there) return;
    assert_int_equal(points_get(view, slot, &point, &err), KITH_OK);
    assert_int_equal(kith_id_compare(&point.id, id), 0);
    assert_int_equal(point.payload_bytes, want->n_payload);
    assert_memory_equal(point.payload, want->payload, want->n_payload);
    assert_int_equal(point.expires_ms, want->expires);
    assert_int_equal(point.fields, want->has_vector ? 1u << field : 0);
    if (want->has_vector)
        assert_memory_equal(points_vector(view->store, field, slot), want->vector,
                            sizeof want->vector);
    const void *blob;
    size_t n;
    code = points_blob(view, 7, slot, &blob, &n, &err);
    assert_int_equal(code, want->has_blob ? KITH_OK : KITH_ENOTFOUND);
    if (want->has_blob) assert_memory_equal(blob, want->payload, n);
}

static void expect_all(struct world *world) {
    struct points_view view;
    kith_error err = {0};
    assert_int_equal(points_view_begin(world->store, &view, &err), KITH_OK);
    uint64_t n = 0;
    for (uint32_t i = 0; i < N_IDS; i++) {
        expect(&view, &world->id[i], &world->now[i], world->field);
        n += world->now[i].there;
    }
    assert_int_equal(view.state.n_points, n);
    assert_int_equal(view.state.seq, world->batches);
    if (points_check(&view, &err) != KITH_OK) fail_msg("%s", err.text);
    points_view_end(&view);
}

/* In order, from every id on. */
static void expect_order(struct world *world) {
    struct points_view view;
    struct points_cursor cursor;
    assert_int_equal(points_view_begin(world->store, &view, NULL), KITH_OK);
    for (uint32_t from = 0; from <= N_IDS; from++) {
        const kith_id *first = from < N_IDS ? &world->id[from] : NULL;
        uint32_t slot, n = 0, want = 0;
        kith_id last = {0};
        char last_text[KITH_ID_TEXT];
        for (uint32_t i = 0; i < N_IDS; i++)
            want += world->now[i].there && (!first || kith_id_compare(first, &world->id[i]) <= 0);
        assert_int_equal(points_cursor_open(&cursor, &view, first, NULL), KITH_OK);
        while (points_cursor_next(&cursor, &slot, NULL) == KITH_OK) {
            struct point point;
            assert_int_equal(points_get(&view, slot, &point, NULL), KITH_OK);
            if (n++) assert_true(kith_id_compare(&last, &point.id) < 0);
            last = point.id;
            if (last.kind == KITH_ID_STRING) {
                memcpy(last_text, last.string, last.length);
                last.string = last_text;
            }
        }
        assert_int_equal(slot, POINTS_SLOT_NONE);
        assert_int_equal(n, want);
        points_cursor_close(&cursor);
    }
    points_view_end(&view);
}

static int put_random(struct world *world, struct batch *batch, uint32_t i, kith_error *err) {
    struct expected *want = &world->now[i];
    memset(want, 0, sizeof *want);
    want->there = true;
    want->has_vector = below(world, 4) > 0;
    want->expires = (int64_t)below(world, 2) * 1000;
    want->n_payload = (size_t)below(world, below(world, 5) ? 300 : MAX_PAYLOAD);
    for (size_t b = 0; b < want->n_payload; b++) want->payload[b] = (char)below(world, 256);
    for (uint32_t d = 0; d < DIM; d++) want->vector[d] = (float)below(world, 1000);
    const void *vectors[] = {want->vector};
    struct new_point point = {
        world->id[i], want->expires, want->has_vector ? 1u << world->field : 0,
        vectors,      want->payload, want->n_payload};
    uint32_t slot, old;
    int code = batch_put(batch, &point, &slot, &old, err);
    if (code != KITH_OK || below(world, 3)) return code;
    want->has_blob = want->n_payload > 0;
    return batch_put_blob(batch, 7, slot, want->has_blob ? want->payload : NULL, want->n_payload,
                          err);
}

static int change_random(struct world *world, struct batch *batch, uint32_t i, kith_error *err) {
    struct expected *want = &world->now[i];
    uint32_t slot;
    int code = points_find(batch_view(batch), &world->id[i], &slot, err);
    assert_int_equal(code, want->there ? KITH_OK : KITH_ENOTFOUND);
    if (!want->there) return KITH_OK;
    if (below(world, 2)) {
        want->there = false;
        return batch_remove(batch, slot, err);
    }
    if (want->has_blob) { /* compared with the payload */
        want->has_blob = false;
        code = batch_put_blob(batch, 7, slot, NULL, 0, err);
        if (code != KITH_OK) return code;
    }
    want->expires++;
    want->n_payload = (size_t)below(world, 500);
    memset(want->payload, 'p', want->n_payload);
    return batch_set_payload(batch, slot, want->payload, want->n_payload, want->expires, err);
}

static int random_batch(struct batch *batch, void *context, kith_error *err) {
    struct world *world = context;
    for (uint64_t n = below(world, 12); n > 0; n--) {
        uint32_t i = (uint32_t)below(world, N_IDS);
        int code = below(world, 2) ? put_random(world, batch, i, err)
                                   : change_random(world, batch, i, err);
        if (code != KITH_OK) return code;
        expect((struct points_view *)(uintptr_t)batch_view(batch), &world->id[i], &world->now[i],
               world->field);
    }
    return KITH_OK;
}

static int failing_batch(struct batch *batch, void *context, kith_error *err) {
    int code = random_batch(batch, context, err);
    return code == KITH_OK ? KITH_ESYNTAX : code;
}

static void any_sequence_matches_the_model(void **state) {
    (void)state;
    struct world *world = world_new();
    for (int round = 0; round < 300; round++) {
        kith_error err = {0};
        uint64_t what = below(world, 10);
        if (what == 0) {
            memcpy(world->before, world->now, sizeof world->now);
            struct points_work work = {failing_batch, NULL, world};
            assert_int_equal(points_write(world->store, &work, &err), KITH_ESYNTAX);
            memcpy(world->now, world->before, sizeof world->now);
        } else if (what == 1) {
            points_close(world->store);
            points_up(world, false);
        } else {
            write_ok(world, random_batch);
        }
        if (round % 10 == 0) expect_all(world);
        if (round % 60 == 0) expect_order(world);
    }
    expect_all(world);
    world_free(world);
}

/* A view goes on seeing what was, vectors too, while every point is replaced time and again. */
static void a_view_stays_as_it_is(void **state) {
    (void)state;
    struct world *world = world_new();
    for (int i = 0; i < 20; i++) write_ok(world, random_batch);
    struct points_view old;
    assert_int_equal(points_view_begin(world->store, &old, NULL), KITH_OK);
    memcpy(world->before, world->now, sizeof world->now);
    for (int i = 0; i < 100; i++) write_ok(world, random_batch);
    for (uint32_t i = 0; i < N_IDS; i++)
        expect(&old, &world->id[i], &world->before[i], world->field);
    points_view_end(&old);
    struct points_view view;
    uint32_t slots = 0;
    for (int i = 0; i < 100; i++) {
        write_ok(world, random_batch);
        assert_int_equal(points_view_begin(world->store, &view, NULL), KITH_OK);
        if (i == 0) slots = view.state.next_slot;
        assert_int_equal(view.state.next_slot, slots); /* those it kept are taken again */
        points_view_end(&view);
    }
    expect_all(world);
    world_free(world);
}

static int nothing(struct batch *batch, void *context, kith_error *err) {
    (void)batch, (void)context, (void)err;
    return KITH_OK;
}

static int too_much(struct batch *batch, void *context, kith_error *err) {
    char *payload = calloc(1, 1 << 20);
    int code = KITH_OK;
    (void)context;
    for (uint64_t i = 0; i < 100 && code == KITH_OK; i++) {
        struct new_point point = {kith_id_number(1000 + i), 0, 0, NULL, payload, 1 << 20};
        uint32_t slot, old;
        code = batch_put(batch, &point, &slot, &old, err);
    }
    free(payload);
    return code;
}

static void what_is_refused(void **state) {
    (void)state;
    struct world *world = world_new();
    kith_error err = {0};
    struct points *other;
    for (int i = 0; i < 20; i++) write_ok(world, random_batch);
    points_close(world->store);
    struct points_options options = {true, true, 16u << 20, &world->owner};
    assert_int_equal(points_open(&other, world->folder, &options, &err), KITH_EINVAL);
    assert_int_equal(points_open(&other, "/tmp", &(struct points_options){0}, &err), KITH_EFORMAT);
    options.create = false;
    assert_int_equal(points_open(&world->store, world->folder, &options, &err), KITH_OK);
    struct points_work full = {too_much, NULL, world};
    assert_int_equal(points_write(world->store, &full, &err), KITH_ENOSPC);
    expect_all(world);
    write_ok(world, random_batch);
    expect_all(world);
    points_close(world->store);
    options.writable = false;
    assert_int_equal(points_open(&world->store, world->folder, &options, &err), KITH_OK);
    struct points_work work = {nothing, NULL, world};
    assert_int_equal(points_write(world->store, &work, &err), KITH_EREADONLY);
    expect_all(world);
    world_free(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_sequence_matches_the_model),
                                       cmocka_unit_test(a_view_stays_as_it_is),
                                       cmocka_unit_test(what_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
