/* Epochs: no slot twice, no grace period that ends early, none that waits for readers who came later. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/epoch.h"

static void nap(long milliseconds) {
    nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000}, NULL);
}

static void every_slot_is_given_once(void **state) {
    (void)state;
    static struct epoch epoch;
    uint8_t taken[EPOCH_SLOTS] = {0};
    epoch_init(&epoch);
    for (uint32_t i = 0; i < EPOCH_SLOTS; i++) {
        uint32_t slot = epoch_enter(&epoch);
        assert_true(slot < EPOCH_SLOTS);
        assert_int_equal(taken[slot], 0);
        taken[slot] = 1;
    }
    for (uint32_t i = 0; i < EPOCH_SLOTS; i++) epoch_leave(&epoch, i);
    epoch_wait(&epoch);
}

static void a_thread_finds_its_slot_again(void **state) {
    (void)state;
    static struct epoch epoch;
    epoch_init(&epoch);
    uint32_t slot = epoch_enter(&epoch);
    epoch_leave(&epoch, slot);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(epoch_enter(&epoch), slot);
        epoch_leave(&epoch, slot);
    }
    uint32_t outer = epoch_enter(&epoch), inner = epoch_enter(&epoch);
    assert_int_not_equal(outer, inner);
    epoch_leave(&epoch, inner);
    epoch_leave(&epoch, outer);
    assert_int_equal(epoch_enter(&epoch), inner); /* the last one it used */
    epoch_leave(&epoch, inner);
}

struct waiting {
    struct epoch epoch;
    _Atomic int done;
};

static void *wait_once(void *context) {
    struct waiting *waiting = context;
    epoch_wait(&waiting->epoch);
    atomic_store(&waiting->done, 1);
    return NULL;
}

static void begin_waiting(struct waiting *waiting, pthread_t *thread) {
    uint64_t before = atomic_load(&waiting->epoch.clock);
    assert_int_equal(pthread_create(thread, NULL, wait_once, waiting), 0);
    while (atomic_load(&waiting->epoch.clock) == before) nap(1);
}

static void grace_lasts_while_a_reader_is_in(void **state) {
    (void)state;
    static struct waiting waiting;
    const uint32_t slots[] = {0, 1, 100, EPOCH_SLOTS - 1};
    for (int s = 0; s < 4; s++) {
        pthread_t thread;
        epoch_init(&waiting.epoch);
        atomic_store(&waiting.done, 0);
        for (uint32_t i = 0; i < EPOCH_SLOTS; i++) epoch_enter(&waiting.epoch);
        for (uint32_t i = 0; i < EPOCH_SLOTS; i++)
            if (i != slots[s]) epoch_leave(&waiting.epoch, i);
        begin_waiting(&waiting, &thread);
        nap(20);
        assert_int_equal(atomic_load(&waiting.done), 0);
        epoch_leave(&waiting.epoch, slots[s]);
        pthread_join(thread, NULL);
        assert_int_equal(atomic_load(&waiting.done), 1);
    }
}

static void a_later_reader_is_not_waited_for(void **state) {
    (void)state;
    static struct waiting waiting;
    pthread_t thread;
    epoch_init(&waiting.epoch);
    uint32_t early = epoch_enter(&waiting.epoch);
    begin_waiting(&waiting, &thread);
    uint32_t late = epoch_enter(&waiting.epoch);
    epoch_leave(&waiting.epoch, early);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&waiting.done), 1);
    epoch_leave(&waiting.epoch, late);
}

/* More readers at once than slots: the last ones wait for a slot and get one. */
static void *enter_and_leave(void *context) {
    struct waiting *waiting = context;
    uint32_t slot = epoch_enter(&waiting->epoch);
    atomic_store(&waiting->done, 1);
    epoch_leave(&waiting->epoch, slot);
    return NULL;
}

static void a_reader_waits_for_a_free_slot(void **state) {
    (void)state;
    static struct waiting waiting;
    pthread_t thread;
    epoch_init(&waiting.epoch);
    for (uint32_t i = 0; i < EPOCH_SLOTS; i++) epoch_enter(&waiting.epoch);
    assert_int_equal(pthread_create(&thread, NULL, enter_and_leave, &waiting), 0);
    nap(10);
    assert_int_equal(atomic_load(&waiting.done), 0);
    epoch_leave(&waiting.epoch, 17);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&waiting.done), 1);
}

/* A box is replaced, waited for, then written over without any other care: a reader that sees the writing, or a race
 * that the thread sanitizer sees, is a grace period that ended early. */
struct box {
    uint64_t whole[8];
};
static struct {
    struct epoch epoch;
    _Atomic(struct box *) box;
    _Atomic int stop;
    _Atomic uint64_t wrong, reads;
} shared;

static void *read_boxes(void *unused) {
    (void)unused;
    while (!atomic_load_explicit(&shared.stop, memory_order_relaxed)) {
        uint32_t slot = epoch_enter(&shared.epoch);
        const struct box *box = atomic_load_explicit(&shared.box, memory_order_acquire);
        uint64_t first = box->whole[0], bad = first == 0;
        for (int i = 1; i < 8; i++) bad |= box->whole[i] != first;
        epoch_leave(&shared.epoch, slot);
        atomic_fetch_add_explicit(&shared.wrong, bad, memory_order_relaxed);
        atomic_fetch_add_explicit(&shared.reads, 1, memory_order_relaxed);
    }
    return NULL;
}

static void readers_never_see_what_is_reused(void **state) {
    (void)state;
    static struct box boxes[2];
    pthread_t reader[3];
    epoch_init(&shared.epoch);
    for (int i = 0; i < 8; i++) boxes[0].whole[i] = 1;
    atomic_store(&shared.box, &boxes[0]);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&reader[i], NULL, read_boxes, NULL), 0);
    for (uint64_t round = 1; round <= 3000 || atomic_load(&shared.reads) < 3000; round++) {
        struct box *old = &boxes[(round + 1) % 2], *fresh = &boxes[round % 2];
        for (int i = 0; i < 8; i++) fresh->whole[i] = round + 1;
        atomic_store_explicit(&shared.box, fresh, memory_order_release);
        epoch_wait(&shared.epoch);
        memset(old, 0, sizeof *old);
    }
    atomic_store(&shared.stop, 1);
    for (int i = 0; i < 3; i++) pthread_join(reader[i], NULL);
    assert_true(shared.reads >= 3000);
    assert_int_equal(shared.wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_slot_is_given_once),
        cmocka_unit_test(a_thread_finds_its_slot_again),
        cmocka_unit_test(grace_lasts_while_a_reader_is_in),
        cmocka_unit_test(a_later_reader_is_not_waited_for),
        cmocka_unit_test(a_reader_waits_for_a_free_slot),
        cmocka_unit_test(readers_never_see_what_is_reused),
    };
    return cmocka_run_group_tests_name("unit_epoch", tests, NULL, NULL);
}
