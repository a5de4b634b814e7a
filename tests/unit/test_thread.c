/* Parallel loops: each item once, each worker number held by one thread, never more threads than asked. */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/clock.h"
#include "base/thread.h"

/* The system refuses threads while this is set (the linker sends calls here). */
static _Atomic bool refuse;
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
                          void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
                          void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
                          void *context) {
    return refuse ? 11 : __real_pthread_create(thread, attr, main, context);
}

static int n_tasks(void) {
    int n = 0;
    DIR *folder = opendir("/proc/self/task");
    if (!folder) return -1;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) n += entry->d_name[0] != '.';
    closedir(folder);
    return n;
}

struct work {
    uint32_t threads;
    size_t n, grain;
    uint8_t *count; /* an item each; no atomics: a thread that got an item twice is a race */
    _Atomic int held[THREAD_MAX];
    _Atomic uint32_t at_work, wrong;
};

static void count_items(void *context, uint32_t worker, size_t begin, size_t end) {
    struct work *work = context;
    bool bad =
        worker >= work->threads || begin >= end || end > work->n || end - begin > work->grain;
    bad |= begin % work->grain != 0;
    bad |= worker < THREAD_MAX && atomic_exchange(&work->held[worker], 1) != 0;
    bad |= atomic_fetch_add(&work->at_work, 1) >= work->threads;
    for (size_t i = begin; i < end; i++) work->count[i]++;
    atomic_fetch_sub(&work->at_work, 1);
    if (worker < THREAD_MAX) atomic_store(&work->held[worker], 0);
    if (bad) atomic_fetch_add(&work->wrong, 1);
}

/* Run one loop; how many things were wrong with it. */
static size_t run_one(uint32_t threads, size_t n, size_t grain) {
    struct work work = {.threads = threads, .n = n, .grain = grain, .count = calloc(n + 1, 1)};
    thread_for(threads, n, grain, count_items, &work);
    size_t wrong = work.wrong + (work.count[n] != 0);
    for (size_t i = 0; i < n; i++) wrong += work.count[i] != 1;
    free(work.count);
    return wrong;
}

static void without_threads_the_caller_does_it(void **state) {
    (void)state;
    int before = n_tasks();
    refuse = true;
    assert_int_equal(run_one(8, 1000, 7), 0);
    refuse = false;
    assert_int_equal(n_tasks(), before);
}

static void one_thread_is_a_plain_loop(void **state) {
    (void)state;
    int before = n_tasks();
    assert_int_equal(run_one(1, 1000, 7), 0);
    assert_int_equal(run_one(8, 7, 7), 0); /* one piece */
    assert_int_equal(run_one(0 + 1, 0, 7), 0);
    assert_int_equal(n_tasks(), before);
}

static void each_item_once(void **state) {
    (void)state;
    uint64_t seed = 21;
    for (int round = 0; round < 300; round++) {
        size_t n = (size_t)(bits_random(&seed) % 3000);
        size_t grain = 1 + (size_t)(bits_random(&seed) % 100);
        assert_int_equal(run_one(1 + (uint32_t)(bits_random(&seed) % 6), n, grain), 0);
    }
    assert_int_equal(run_one(3, 5, SIZE_MAX), 0);
}

static void no_more_threads_than_asked_for(void **state) {
    (void)state;
    assert_in_range(n_tasks(), 1, 1 + 5 + 1); /* the sanitizer may have one of its own */
}

static void strange_arguments_are_taken(void **state) {
    (void)state;
    struct work work = {.threads = 2, .n = 10, .grain = 1, .count = calloc(10, 1)};
    thread_for(2, 10, 0, count_items, &work); /* grain 0 is 1 */
    thread_for(0, 0, 1, count_items, &work);
    for (int i = 0; i < 10; i++) assert_int_equal(work.count[i], 1);
    thread_for(0, 10, 1, count_items, &work); /* 0 threads is the caller */
    for (int i = 0; i < 10; i++) assert_int_equal(work.count[i], 2);
    assert_int_equal(work.wrong, 0);
    free(work.count);
}

/* Every worker waits for all others, so the loop ends only if they do run at once. */
struct meeting {
    uint32_t threads;
    _Atomic uint32_t here;
    _Atomic bool late;
};

static void meet(void *context, uint32_t worker, size_t begin, size_t end) {
    (void)worker, (void)begin, (void)end;
    struct meeting *meeting = context;
    uint64_t give_up = clock_ns() + 20000000000u;
    atomic_fetch_add(&meeting->here, 1);
    while (atomic_load(&meeting->here) < meeting->threads) {
        if (clock_ns() > give_up) {
            atomic_store(&meeting->late, true);
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
}

static bool all_meet(uint32_t threads) {
    struct meeting meeting = {.threads = threads};
    thread_for(threads, threads, 1, meet, &meeting);
    return !meeting.late;
}

static void workers_run_at_once(void **state) {
    (void)state;
    assert_true(all_meet(2));
    assert_true(all_meet(6));
    assert_true(all_meet(3));
}

static void *call_often(void *context) {
    uint64_t seed = (uint64_t)(uintptr_t)context;
    size_t wrong = 0;
    for (int round = 0; round < 100; round++)
        wrong +=
            run_one(1 + (uint32_t)(bits_random(&seed) % 5), (size_t)(bits_random(&seed) % 1000),
                    1 + (size_t)(bits_random(&seed) % 40));
    wrong += !all_meet(3);
    return (void *)(uintptr_t)wrong;
}

static void several_callers_at_once(void **state) {
    (void)state;
    pthread_t caller[8];
    for (uintptr_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&caller[i], NULL, call_often, (void *)(i + 1)), 0);
    for (int i = 0; i < 8; i++) {
        void *wrong;
        pthread_join(caller[i], &wrong);
        assert_null(wrong);
    }
}

static void nest(void *context, uint32_t worker, size_t begin, size_t end) {
    (void)worker, (void)begin, (void)end;
    atomic_fetch_add((_Atomic size_t *)context, run_one(3, 200, 3));
}

/* Not promised, but a mistake should cost speed, not hang. */
static void nested_loops_end(void **state) {
    (void)state;
    _Atomic size_t wrong = 0;
    thread_for(4, 20, 1, nest, &wrong);
    assert_int_equal(wrong, 0);
}

/* The others wait for what only worker 0 could do, which leaves the process instead. */
static void exits(void *context, uint32_t worker, size_t begin, size_t end) {
    _Atomic int *waiting = context;
    (void)begin, (void)end;
    if (worker != 0) {
        atomic_fetch_add(waiting, 1);
        for (;;) pause();
    }
    while (atomic_load(waiting) < 2) nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    exit(0);
}

/* The thread sanitizer does not let a child of a threaded process start threads. */
#if !defined(__SANITIZE_THREAD__)
static void a_forked_child_has_its_own_pool(void **state) {
    (void)state;
    assert_true(all_meet(4));
    for (int round = 0; round < 5; round++) {
        pid_t child = fork();
        if (child == 0) _exit(all_meet(4) && run_one(4, 1000, 3) == 0 ? 0 : 1);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    assert_true(all_meet(4));
}

static void *loop_for_a_while(void *stop) {
    size_t wrong = 0;
    while (!atomic_load((_Atomic bool *)stop)) wrong += run_one(3, 500, 5);
    return (void *)(uintptr_t)wrong;
}

/* fork while the pool is busy: whatever its locks were doing, the child can go on. */
static void forking_beside_busy_loops(void **state) {
    (void)state;
    _Atomic bool stop = false;
    pthread_t busy;
    assert_int_equal(pthread_create(&busy, NULL, loop_for_a_while, &stop), 0);
    for (int round = 0; round < 30; round++) {
        pid_t child = fork();
        if (child == 0) _exit(all_meet(2) ? 0 : 1);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    atomic_store(&stop, true);
    void *wrong;
    pthread_join(busy, &wrong);
    assert_null(wrong);
}
/* exit() inside a loop ends the process instead of waiting for the loop that waits for it. The program is started
 * afresh with an argument, so that it has no threads but those of that loop. */
static void a_program_may_exit_within_a_loop(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "test_thread", "exit", (char *)NULL);
        _exit(8);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}
#endif

static void processors_are_counted(void **state) {
    (void)state;
    assert_in_range(thread_cpus(), 1, 1 << 16);
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) {
        static _Atomic int waiting;
        alarm(20);
        thread_for(3, 3, 1, exits, &waiting);
        return 9;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_threads_the_caller_does_it),
        cmocka_unit_test(one_thread_is_a_plain_loop),
        cmocka_unit_test(each_item_once),
        cmocka_unit_test(no_more_threads_than_asked_for),
        cmocka_unit_test(strange_arguments_are_taken),
        cmocka_unit_test(workers_run_at_once),
        cmocka_unit_test(several_callers_at_once),
        cmocka_unit_test(nested_loops_end),
#if !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(a_forked_child_has_its_own_pool),
        cmocka_unit_test(forking_beside_busy_loops),
        cmocka_unit_test(a_program_may_exit_within_a_loop),
#endif
        cmocka_unit_test(processors_are_counted),
    };
    return cmocka_run_group_tests_name("unit_thread", tests, NULL, NULL);
}
