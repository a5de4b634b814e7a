/* Memory: zeroed, aligned, counted to the byte, and failing when told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/thread.h"

#define MIB ((size_t)1 << 20)

/* A refused allocation is an answer here, not the sanitizer's business. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}
__attribute__((visibility("default"))) const char *__tsan_default_options(void) {
    return "allocator_may_return_null=1";
}

static const size_t sizes[] = {
    0,     1,       63,  64,      65,          4095,    4096,        4097,
    99999, MIB - 1, MIB, MIB + 1, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 5 * MIB + 12345};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

static bool all_zero(const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i]) return false;
    return true;
}

static void blocks_are_aligned_zeroed_counted(void **state) {
    (void)state;
    uint64_t before = mem_live_blocks();
    for (int slab = 0; slab < 2; slab++)
        for (int i = 0; i < N_SIZES; i++) {
            struct mem_account owner = {0};
            uint8_t *p = slab ? mem_slab(&owner, sizes[i]) : mem_new(&owner, sizes[i]);
            assert_non_null(p);
            size_t align = !slab ? 64 : sizes[i] >= 2 * MIB ? 2 * MIB : 4096;
            assert_int_equal((uintptr_t)p % align, 0);
            assert_true(all_zero(p, sizes[i] ? sizes[i] : 1));
            memset(p, 0xee, sizes[i] ? sizes[i] : 1);
            assert_int_equal(owner.bytes, sizes[i]);
            assert_int_equal(owner.blocks, 1);
            assert_int_equal(mem_live_blocks(), before + 1);
            if (slab)
                mem_slab_free(&owner, p, sizes[i]);
            else
                mem_free(&owner, p, sizes[i]);
            assert_int_equal(owner.bytes, 0);
            assert_int_equal(owner.blocks, 0);
        }
    mem_free(NULL, NULL, 10);
    mem_slab_free(NULL, NULL, 10);
    assert_int_equal(mem_live_blocks(), before);
}

static void resize_keeps_the_head_and_zeroes_the_rest(void **state) {
    (void)state;
    for (int i = 0; i < N_SIZES; i++)
        for (int j = 0; j < N_SIZES; j++) {
            struct mem_account owner = {0};
            size_t kept = sizes[i] < sizes[j] ? sizes[i] : sizes[j];
            uint8_t *p = mem_new(&owner, sizes[i]);
            memset(p, 0x5a, sizes[i]);
            p = mem_resize(&owner, p, sizes[i], sizes[j]);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 64, 0);
            if (kept) assert_true(p[0] == 0x5a && p[kept / 2] == 0x5a && p[kept - 1] == 0x5a);
            assert_true(all_zero(p + kept, sizes[j] - kept));
            assert_int_equal(owner.bytes, sizes[j]);
            p = mem_resize(&owner, p, sizes[j],
                           sizes[i]); /* what a shrink left must not come back */
            assert_true(all_zero(p + kept, sizes[i] - kept));
            mem_free(&owner, p, sizes[i]);
            assert_int_equal(owner.bytes + owner.blocks, 0);
        }
}

/* Any sequence of calls: the account is the sum of what is alive. */
static void the_account_is_the_sum(void **state) {
    (void)state;
    enum { N = 40 };
    struct mem_account owner = {0};
    uint8_t *p[N] = {NULL};
    size_t bytes[N] = {0};
    uint64_t seed = 3, sum = 0, count = 0;
    for (int step = 0; step < 3000; step++) {
        size_t i = bits_random(&seed) % N;
        size_t want = bits_random(&seed) % (step % 50 == 0 ? 3 * MIB : 3000);
        if (p[i] && bits_random(&seed) % 3 == 0) {
            mem_free(&owner, p[i], bytes[i]);
            p[i] = NULL;
            sum -= bytes[i];
            count--;
        } else {
            count += p[i] == NULL;
            sum += want - (p[i] ? bytes[i] : 0);
            p[i] = mem_resize(&owner, p[i], bytes[i], want);
            assert_non_null(p[i]);
            bytes[i] = want;
        }
        assert_int_equal(owner.bytes, sum);
        assert_int_equal(owner.blocks, count);
    }
    for (int i = 0; i < N; i++) mem_free(&owner, p[i], bytes[i]);
    assert_int_equal(owner.blocks, 0);
}

static void the_nth_call_fails_once(void **state) {
    (void)state;
    struct mem_account owner = {0};
    mem_test_fail_at(2);
    uint8_t *p = mem_new(&owner, 100);
    assert_non_null(p);
    p[99] = 7;
    assert_null(mem_resize(&owner, p, 100, 200));
    assert_int_equal(owner.bytes, 100);
    assert_int_equal(p[99], 7);
    void *slab = mem_slab(&owner, 100);
    assert_non_null(slab);
    assert_int_equal(mem_test_calls(), 3);
    mem_test_fail_at(1);
    assert_int_equal(mem_test_calls(), 0);
    assert_null(mem_slab(&owner, 10));
    mem_test_fail_at(1);
    assert_null(mem_new(&owner, 10));
    mem_test_fail_at(1);
    mem_test_fail_at(0);
    uint64_t calls = mem_total_calls();
    void *q = mem_new(&owner, 10);
    assert_non_null(q);
    assert_int_equal(mem_total_calls(), calls + 1);
    mem_free(&owner, p, 100);
    mem_free(&owner, q, 10);
    mem_slab_free(&owner, slab, 100);
    assert_int_equal(owner.blocks, 0);
}

static void an_impossible_size_is_refused(void **state) {
    (void)state;
    struct mem_account owner = {0};
    const size_t huge[] = {SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX / 2};
    uint8_t *p = mem_new(&owner, 3 * MIB);
    p[3 * MIB - 1] = 9;
    for (int i = 0; i < 3; i++) {
        assert_null(mem_new(&owner, huge[i]));
        assert_null(mem_slab(&owner, huge[i]));
        assert_null(mem_resize(&owner, p, 3 * MIB, huge[i]));
        assert_int_equal(owner.bytes, 3 * MIB);
        assert_int_equal(p[3 * MIB - 1], 9);
    }
    mem_free(&owner, p, 3 * MIB);
    size_t out = 5;
    assert_false(mem_mul(SIZE_MAX, 2, &out));
    assert_false(mem_add(SIZE_MAX, 1, &out));
    assert_true(mem_mul(1 << 16, 1 << 10, &out));
    assert_int_equal(out, 1 << 26);
    assert_true(mem_add(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static size_t address_space(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu", &pages) != 1) pages = 0;
    if (file) fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Aligning a slab maps more than is kept; all of it goes back. */
static void slabs_leave_no_address_space_behind(void **state) {
    (void)state;
    size_t before = address_space();
    assert_true(before > 0);
    for (size_t bytes = 2 * MIB; bytes < 20 * MIB; bytes += MIB / 2 + 4096) {
        void *p = mem_slab(NULL, bytes);
        assert_non_null(p);
        assert_in_range(address_space(), before + bytes, before + bytes + 4096);
        mem_slab_free(NULL, p, bytes);
        assert_int_equal(address_space(), before);
    }
}

/* In a child: 0 when all is as it should be, else the number of the step that was not. */
static int live_under_a_limit(void) {
    struct mem_account owner = {0};
    size_t used = address_space();
    struct rlimit limit = {used + 16 * MIB, used + 16 * MIB};
    if (used == 0 || setrlimit(RLIMIT_AS, &limit) != 0) return 1;
    if (mem_slab(&owner, 64 * MIB) || mem_new(&owner, 64 * MIB)) return 2;
    if (owner.bytes != 0 || owner.blocks != 0) return 3;
    uint8_t *p = mem_slab(&owner, 15 * MIB); /* no room to over-map: unaligned, but there */
    if (!p || !all_zero(p, 15 * MIB)) return 4;
    mem_slab_free(&owner, p, 15 * MIB);
    p = mem_new(&owner, 4 * MIB);
    if (!p) return 5;
    p[0] = 1;
    if (mem_resize(&owner, p, 4 * MIB, 64 * MIB) || p[0] != 1 || owner.bytes != 4 * MIB) return 6;
    mem_free(&owner, p, 4 * MIB);
    return owner.bytes == 0 ? 0 : 7;
}

static void a_limit_on_address_space_gives_null(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) _exit(live_under_a_limit());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}
#endif

static void churn(void *context, uint32_t worker, size_t begin, size_t end) {
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        void *p = mem_new(context, i), *q = mem_slab(context, i);
        p = p ? mem_resize(context, p, i, 2 * i) : NULL;
        mem_free(context, p, 2 * i);
        mem_slab_free(context, q, i);
    }
}

static void threads_share_an_account(void **state) {
    (void)state;
    struct mem_account owner = {0};
    uint64_t before = mem_live_blocks();
    thread_for(4, 2000, 10, churn, &owner);
    assert_int_equal(owner.bytes, 0);
    assert_int_equal(owner.blocks, 0);
    assert_int_equal(mem_live_blocks(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_aligned_zeroed_counted),
        cmocka_unit_test(resize_keeps_the_head_and_zeroes_the_rest),
        cmocka_unit_test(the_account_is_the_sum),
        cmocka_unit_test(the_nth_call_fails_once),
        cmocka_unit_test(an_impossible_size_is_refused),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(slabs_leave_no_address_space_behind),
        cmocka_unit_test(a_limit_on_address_space_gives_null),
#endif
        cmocka_unit_test(threads_share_an_account),
    };
    return cmocka_run_group_tests_name("unit_mem", tests, NULL, NULL);
}
