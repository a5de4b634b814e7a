/* The power goes at every moment, disks fill up, writes and syncs fail: every batch that was acknowledged is there, none is
 * there in part, and the store says that it is sound. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bits.h"
#include "disk.h"
#include "store/points.h"

enum { N_IDS = 24, DIM = 200, BATCHES = 48 };

/* A point's life in numbers: payload and vector follow from its stamp. 0: not there. */
struct model {
    uint32_t stamp[N_IDS];
};

static struct {
    char folder[64], after[64];
    struct points *store;
    uint32_t field, stamps;
    struct model now, was[BATCHES + 1]; /* after each batch */
    uint32_t acknowledged[BATCHES + 1]; /* at which moment of the disk */
    uint64_t seed;
} world;

static void fill_vector(float vector[DIM], uint32_t stamp) {
    for (int d = 0; d < DIM; d++) vector[d] = (float)(stamp * 7 + (uint32_t)d);
}

static size_t fill_payload(char *payload, uint32_t stamp) {
    size_t n = stamp % 7 ? stamp % 300 : 6000 + stamp % 100; /* within a page, and over some */
    memset(payload, (char)('a' + stamp % 26), n);
    return n;
}

static int add_field(struct batch *batch, void *context, kith_error *err) {
    (void)context;
    return batch_add_field(batch, DIM * sizeof(float), &world.field, err);
}

static int put(struct batch *batch, uint32_t i, kith_error *err) {
    float vector[DIM];
    char payload[7000];
    const void *vectors[] = {vector};
    uint32_t slot, old, stamp = ++world.stamps;
    fill_vector(vector, stamp);
    struct new_point point = {kith_id_number(i), stamp,   (uint64_t)1 << world.field,
                              vectors,           payload, fill_payload(payload, stamp)};
    world.now.stamp[i] = stamp;
    return batch_put(batch, &point, &slot, &old, err);
}

static int change(struct batch *batch, void *context, kith_error *err) {
    struct model before = world.now;
    (void)context;
    for (uint64_t n = 1 + bits_random(&world.seed) % 5; n > 0; n--) {
        uint32_t slot, i = (uint32_t)(bits_random(&world.seed) % N_IDS);
        kith_id id = kith_id_number(i);
        int code = KITH_OK;
        if (!world.now.stamp[i] || bits_random(&world.seed) % 2) {
            code = put(batch, i, err);
        } else {
            world.now.stamp[i] = 0;
            code = points_find(batch_view(batch), &id, &slot, err);
            if (code == KITH_OK) code = batch_remove(batch, slot, err);
        }
        if (code != KITH_OK) {
            world.now = before;
            return code;
        }
    }
    return KITH_OK;
}

static int write_batch(kith_error *err) {
    struct points_work work = {change, NULL, NULL};
    struct model before = world.now;
    int code = points_write(world.store, &work, err);
    if (code != KITH_OK) world.now = before;
    return code;
}

static void open_store(const char *folder, bool create) {
    struct points_options options = {.create = create, .writable = true, .map_bytes = 32u << 20};
    kith_error err = {0};
    if (points_open(&world.store, folder, &options, &err) != KITH_OK) fail_msg("%s", err.text);
}

static bool is_model(struct points_view *view, const struct model *model) {
    for (uint32_t i = 0; i < N_IDS; i++) {
        uint32_t slot;
        kith_id id = kith_id_number(i);
        struct point point;
        bool there = points_find(view, &id, &slot, NULL) == KITH_OK;
        if (there != (model->stamp[i] != 0)) return false;
        if (!there) continue;
        assert_int_equal(points_get(view, slot, &point, NULL), KITH_OK);
        if (point.expires_ms != model->stamp[i]) return false;
        char payload[7000];
        float vector[DIM];
        fill_vector(vector, model->stamp[i]);
        assert_int_equal(point.payload_bytes, fill_payload(payload, model->stamp[i]));
        assert_memory_equal(point.payload, payload, point.payload_bytes);
        assert_memory_equal(points_vector(view->store, world.field, slot), vector, sizeof vector);
    }
    return true;
}

/* The store is sound and holds what some batch from `least` to `most` left; returns which. */
static uint32_t expect_between(uint32_t least, uint32_t most) {
    struct points_view view;
    kith_error err = {0};
    assert_int_equal(points_view_begin(world.store, &view, &err), KITH_OK);
    if (points_check(&view, &err) != KITH_OK) fail_msg("%s", err.text);
    uint32_t found = most + 1;
    while (found > least && !is_model(&view, &world.was[found - 1])) found--;
    points_view_end(&view);
    if (found == least) fail_msg("no state of batches %u to %u", least, most);
    return found - 1;
}

static int enter(void **state) {
    (void)state;
    memset(&world, 0, sizeof world);
    world.seed = 11;
    snprintf(world.folder, sizeof world.folder, "/tmp/kith-crash-XXXXXX");
    snprintf(world.after, sizeof world.after, "/tmp/kith-crash-XXXXXX");
    assert_non_null(mkdtemp(world.folder));
    assert_non_null(mkdtemp(world.after));
    open_store(world.folder, true);
    struct points_work field = {add_field, NULL, NULL};
    assert_int_equal(points_write(world.store, &field, NULL), KITH_OK);
    return 0;
}

static int leave(void **state) {
    (void)state;
    char command[200];
    disk_fail(0, 0, false);
    snprintf(command, sizeof command, "rm -r %s %s", world.folder, world.after);
    return system(command);
}

static void the_power_goes(void **state) {
    (void)state;
    points_close(world.store);
    disk_record(world.folder);
    open_store(world.folder, false);
    for (uint32_t b = 1; b <= BATCHES; b++) {
        assert_int_equal(write_batch(NULL), KITH_OK);
        world.was[b] = world.now;
        world.acknowledged[b] = disk_now();
    }
    points_close(world.store);
    uint32_t moments = disk_stop();
    assert_true(moments > BATCHES * 4);
    for (uint32_t moment = 0; moment <= moments; moment++) {
        uint32_t least = 0;
        while (least < BATCHES && world.acknowledged[least + 1] <= moment) least++;
        disk_crash(world.after, moment, moment);
        open_store(world.after, false);
        uint32_t found = expect_between(least, least < BATCHES ? least + 1 : least);
        world.now = world.was[found]; /* and it goes on */
        assert_int_equal(write_batch(NULL), KITH_OK);
        struct model after = world.was[0];
        world.was[0] = world.now;
        expect_between(0, 0);
        world.was[0] = after;
        points_close(world.store);
    }
}

/* Each call fails once, at each place; and, as on a full disk, all from some moment on. */
static void calls_fail(void **state) {
    (void)state;
    static const int numbers[] = {ENOSPC, EIO};
    uint32_t failures = 0;
    for (uint32_t n = 1; n < 120; n++) {
        int number = numbers[n % 2];
        kith_error err = {0};
        disk_fail(1 + n % 12, number, n % 3 == 0);
        for (int b = 0; b < 4; b++) {
            world.was[0] = world.now;
            int code = write_batch(&err);
            world.was[1] = world.now;
            if (code == KITH_OK) continue;
            if (!disk_failed()) fail_msg("%s", err.text);
            assert_true(code == KITH_ENOSPC || code == KITH_EIO);
            assert_true(strlen(err.text) > 0);
            failures++;
        }
        bool failed = disk_failed();
        disk_fail(0, 0, false);
        struct points_view
            view; /* LMDB does not read on after it could not write where the newest state is */
        int code = points_view_begin(world.store, &view, &err);
        assert_true(code == KITH_OK || (code == KITH_EIO && failed));
        if (code == KITH_OK) {
            points_view_end(&view);
            expect_between(0, 1);
        }
        points_close(world.store);
        open_store(world.folder, false);
        world.was[0] = world.was[1] = world.now;
        expect_between(0, 0);
    }
    assert_true(failures > 50);
    points_close(world.store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_power_goes, enter, leave),
        cmocka_unit_test_setup_teardown(calls_fail, enter, leave)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
