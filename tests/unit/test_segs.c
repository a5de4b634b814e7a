/* Segmented arrays: elements stay where they are, do not overlap, and all are given back. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/segs.h"

static uint64_t seed;

static uint32_t below(uint32_t n) { return (uint32_t)(bits_random(&seed) % n); }

static void write_element(struct segs *segs, uint32_t i) {
    memset(segs_at(segs, i), (int)(bits_mix(i) & 255), segs->stride);
}

static bool element_is(const struct segs *segs, uint32_t i) {
    const uint8_t *p = segs_at(segs, i);
    for (size_t b = 0; b < segs->stride; b++)
        if (p[b] != (bits_mix(i) & 255)) return false;
    return true;
}

/* Grow by random steps; whatever was written is found where it was. */
static void grow(size_t stride, uint32_t first, uint32_t last) {
    enum { SAMPLES = 64 };
    struct mem_account owner = {0};
    struct segs segs;
    const uint8_t *at[SAMPLES];
    uint32_t sample[SAMPLES], n_samples = 0, written = 0;
    segs_init(&segs, stride);
    assert_int_equal(segs_capacity(&segs), 0);
    assert_int_equal(segs_bytes(&segs), 0);
    for (uint32_t n = first; written < last; n += 1 + below(n)) {
        assert_true(segs_reserve(&segs, n, &owner));
        assert_true(segs_capacity(&segs) >= n);
        assert_int_equal(owner.bytes, segs_bytes(&segs));
        assert_int_equal(segs_bytes(&segs), (uint64_t)segs_capacity(&segs) * stride);
        for (uint32_t i = written; i < n; i++) {
            for (size_t b = 0; b < stride; b++) assert_int_equal(segs_at(&segs, i)[b], 0);
            write_element(&segs, i);
        }
        if (n_samples < SAMPLES) {
            sample[n_samples] = below(n);
            at[n_samples] = segs_at(&segs, sample[n_samples]);
            n_samples++;
        }
        written = n;
    }
    for (uint32_t i = 0; i < written; i++) assert_true(element_is(&segs, i));
    for (uint32_t s = 0; s < n_samples; s++) assert_ptr_equal(segs_at(&segs, sample[s]), at[s]);
    segs_deinit(&segs, &owner);
    assert_int_equal(owner.bytes + owner.blocks, 0);
}

static void elements_never_move(void **state) {
    (void)state;
    const size_t strides[] = {1, 3, 8, 24, 64, 100, 400};
    seed = 11;
    for (int s = 0; s < 7; s++) {
        grow(strides[s], 1, 9000);
        grow(strides[s], 1024, 9000);
        grow(strides[s], 1025, 9000);
        for (int round = 0; round < 4; round++) grow(strides[s], 1 + below(3000), 9000);
    }
}

/* capacity = n0 + t0 * (2^n_tail - 1), t0 = n0 up to a power of two, at least 1,024. */
static void capacity_is_as_written(void **state) {
    (void)state;
    struct segs segs;
    segs_init(&segs, 1);
    assert_true(segs_reserve(&segs, 1, NULL));
    assert_int_equal(segs_capacity(&segs), 1);
    assert_true(segs_reserve(&segs, 2, NULL));
    assert_int_equal(segs_capacity(&segs), 1 + 1024);
    assert_true(segs_reserve(&segs, 1026, NULL));
    assert_int_equal(segs_capacity(&segs), 1 + 1024 + 2048);
    assert_true(segs_reserve(&segs, 5, NULL));
    assert_true(segs_reserve(&segs, 0, NULL));
    assert_int_equal(segs_capacity(&segs), 1 + 1024 + 2048);
    segs_deinit(&segs, NULL);
    assert_int_equal(segs_capacity(&segs), 0);
    assert_true(segs_reserve(&segs, 5000, NULL));
    assert_int_equal(segs_capacity(&segs), 5000);
    assert_true(segs_reserve(&segs, 5000 + 8192 + 1, NULL));
    assert_int_equal(segs_capacity(&segs), 5000 + 8192 + 16384);
    segs_deinit(&segs, NULL);
}

/* Runs cover the array once, in order, and lie in one piece. */
static void runs_are_contiguous(void **state) {
    (void)state;
    seed = 12;
    for (int round = 0; round < 30; round++) {
        struct segs segs;
        segs_init(&segs, 4);
        uint32_t n = 1 + below(2000);
        assert_true(segs_reserve(&segs, n, NULL) && segs_reserve(&segs, n + below(30000), NULL));
        uint32_t max = 1 + below(5000), capacity = segs_capacity(&segs);
        for (uint32_t i = 0; i < capacity;) {
            uint32_t run = segs_run(&segs, i, max);
            assert_in_range(run, 1, max);
            assert_true(i + run <= capacity);
            for (uint32_t j = 0; j < run; j++)
                assert_ptr_equal(segs_at(&segs, i + j), segs_at(&segs, i) + (size_t)j * 4);
            i += run;
        }
        assert_int_equal(segs_run(&segs, capacity - 1, UINT32_MAX), 1);
        segs_deinit(&segs, NULL);
    }
}

static void a_borrowed_base_is_left_alone(void **state) {
    (void)state;
    struct mem_account owner = {0};
    uint8_t theirs[300] = {0};
    struct segs segs;
    segs_init(&segs, 3);
    segs_borrow(&segs, theirs, 100);
    assert_int_equal(segs_capacity(&segs), 100);
    assert_int_equal(segs_bytes(&segs), 300);
    assert_ptr_equal(segs_at(&segs, 99), theirs + 297);
    assert_true(segs_reserve(&segs, 101, &owner));
    assert_int_equal(segs_capacity(&segs), 100 + 1024);
    assert_int_equal(owner.bytes, 1024 * 3);
    write_element(&segs, 100);
    segs_deinit(&segs, &owner);
    assert_int_equal(owner.bytes, 0);
    segs_borrow(&segs, theirs, 0);
    assert_int_equal(segs_capacity(&segs), 0);
}

static void without_memory_nothing_is_lost(void **state) {
    (void)state;
    struct mem_account owner = {0};
    struct segs segs;
    segs_init(&segs, 8);
    mem_test_fail_at(1);
    assert_false(segs_reserve(&segs, 10, &owner));
    assert_int_equal(segs_capacity(&segs), 0);
    assert_true(segs_reserve(&segs, 10, &owner));
    write_element(&segs, 9);
    mem_test_fail_at(2);
    assert_false(segs_reserve(&segs, 100000, &owner));
    mem_test_fail_at(0);
    assert_true(element_is(&segs, 9));
    assert_int_equal(owner.bytes, segs_bytes(&segs));
    assert_true(segs_reserve(&segs, 100000, &owner));
    assert_true(element_is(&segs, 9));
    assert_false(segs_reserve(&segs, UINT32_MAX, &owner));
    segs_deinit(&segs, &owner);
    assert_int_equal(owner.bytes + owner.blocks, 0);
    segs_init(&segs, SIZE_MAX / 4);
    assert_false(segs_reserve(&segs, 5, &owner));
}

/* As many rows as an index may have, of one byte each; untouched, they cost nothing. */
static void two_thousand_million_elements(void **state) {
    (void)state;
    const uint32_t most = 2147483646u;
    struct segs segs;
    segs_init(&segs, 1);
    assert_true(segs_reserve(&segs, 1000, NULL) && segs_reserve(&segs, most, NULL));
    assert_true(segs_capacity(&segs) >= most);
    *segs_at(&segs, most - 1) = 1;
    assert_int_equal(*segs_at(&segs, most - 1), 1);
    assert_int_equal(segs_run(&segs, most - 1, 1), 1);
    segs_deinit(&segs, NULL);
}

struct shared {
    struct segs segs;
    _Atomic uint32_t n;
    _Atomic uint32_t wrong;
};
enum { LAST = 40000 };

static void *read_while_it_grows(void *context) {
    struct shared *shared = context;
    uint64_t mine = 5;
    for (uint32_t n = 0; n < LAST;) {
        n = atomic_load_explicit(&shared->n, memory_order_acquire);
        if (n == 0) continue;
        uint32_t i = (uint32_t)(bits_random(&mine) % n);
        uint32_t run = segs_run(&shared->segs, i, n - i);
        if (!element_is(&shared->segs, i) || run == 0 || !element_is(&shared->segs, i + run - 1))
            atomic_fetch_add(&shared->wrong, 1);
    }
    return NULL;
}

static void readers_need_no_lock(void **state) {
    (void)state;
    static struct shared shared;
    pthread_t reader[2];
    segs_init(&shared.segs, 16);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&reader[i], NULL, read_while_it_grows, &shared), 0);
    for (uint32_t n = 1; n <= LAST; n++) {
        assert_true(segs_reserve(&shared.segs, n, NULL));
        write_element(&shared.segs, n - 1);
        atomic_store_explicit(&shared.n, n, memory_order_release);
    }
    for (int i = 0; i < 2; i++) pthread_join(reader[i], NULL);
    assert_int_equal(shared.wrong, 0);
    segs_deinit(&shared.segs, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_never_move),
        cmocka_unit_test(capacity_is_as_written),
        cmocka_unit_test(runs_are_contiguous),
        cmocka_unit_test(a_borrowed_base_is_left_alone),
        cmocka_unit_test(without_memory_nothing_is_lost),
        cmocka_unit_test(two_thousand_million_elements),
        cmocka_unit_test(readers_need_no_lock),
    };
    return cmocka_run_group_tests_name("unit_segs", tests, NULL, NULL);
}
