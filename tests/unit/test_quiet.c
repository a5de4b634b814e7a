/* The promise "no allocation, lock or system call a query after warm-up": every kind of index, every way to search it.
 *
 *     test_quiet            counts calls of malloc and its family, whoever makes them (this program defines them), and
 *                           those of the library to pthread's locks (wrapped by the linker)
 *     test_quiet system     counts system calls: in a child, a seccomp filter turns each into a signal, and its handler
 *                           counts. What the filter lets through are the signal's return and the exit.
 *
 * The queries that are counted are others than those that warmed up. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <kith/kith.h>

#include "../recall/vectors.h"
#include "base/clock.h"

enum { DIM = 20, N = 3000, WARM = 40, COUNTED = 40, MANY = 100 };

/* ---- counting ---------------------------------------------------------------------------------- */

static _Atomic int n_allocations, n_locks;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);
void *__libc_memalign(size_t power, size_t bytes);

void *malloc(size_t bytes) {
    n_allocations++;
    return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes) {
    n_allocations++;
    return __libc_calloc(n, bytes);
}

void *realloc(void *p, size_t bytes) {
    n_allocations++;
    return __libc_realloc(p, bytes);
}

void *aligned_alloc(size_t power, size_t bytes) {
    n_allocations++;
    return __libc_memalign(power, bytes);
}

int posix_memalign(void **out, size_t power, size_t bytes) {
    n_allocations++;
    *out = __libc_memalign(power, bytes);
    return *out ? 0 : ENOMEM;
}
#endif

#define COUNT_LOCK(name, type)    \
    int __real_##name(type *);    \
    int __wrap_##name(type *);    \
    int __wrap_##name(type *it) { \
        n_locks++;                \
        return __real_##name(it); \
    }
COUNT_LOCK(pthread_mutex_lock, pthread_mutex_t)
COUNT_LOCK(pthread_mutex_trylock, pthread_mutex_t)
COUNT_LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
COUNT_LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)
COUNT_LOCK(pthread_cond_signal, pthread_cond_t)
COUNT_LOCK(pthread_cond_broadcast, pthread_cond_t)

/* ---- what is searched, and how ----------------------------------------------------------------- */

static const char *const specs[] = {"Flat",
                                    "Flat,SQ8",
                                    "SQ8",
                                    "SQfp16",
                                    "SQbf16",
                                    "HNSW8",
                                    "HNSW8,SQ8",
                                    "HNSW8,SQfp16",
                                    "HNSW8,SQ8,Refine",
                                    "HNSW8,SQ8,Refine(SQfp16)",
                                    "IVF16,Flat",
                                    "IVF16,PQ5x4fs,Refine",
                                    "IVF16_HNSW4,SQ4",
                                    "IVF16,PQ5x4fs,Refine(SQ8)",
                                    "Pad24,Flat",
                                    "L2norm,HNSW8,SQ8,Refine",
                                    "PCA12,IVF16,Flat",
                                    "OPQ5,IVF16,PQ5x4fs,Refine",
                                    "HR,HNSW8,SQ8",
                                    "Auto"};
static const kith_metric metrics[] = {KITH_METRIC_L2, KITH_METRIC_COSINE, KITH_METRIC_IP,
                                      KITH_METRIC_L1};
enum { SPECS = sizeof specs / sizeof *specs, METRICS = sizeof metrics / sizeof *metrics };
/* AGED: after removals and updates, not all of them swept. MAPPED: opened as a map. */
enum state { FRESH, WHOLE, AGED, MAPPED, STATES };

static struct vectors rows, whole, queries;
static uint64_t few[(N + 63) / 64], most[(N + 63) / 64];

static int passes_odd(void *context, int64_t id) {
    (void)context;
    return id % 2 == 1;
}

static int passes_few(void *context, int64_t id) {
    (void)context;
    return id % 100 == 1;
}

static kith_search_params way_of(size_t way) {
    kith_search_params params = KITH_SEARCH_PARAMS_INIT;
    switch (way) {
    case 1: params.exact = 1; break;
    case 2: params.k = 100; break;
    case 3: params.ef = 300; break;
    case 4: params.oversample = 5; break;
    case 5: params.filter = (kith_filter){.bits = few, .n_bits = N}; break;
    case 6: params.filter = (kith_filter){.bits = most, .n_bits = N}; break;
    case 7: params.filter = (kith_filter){.pass = passes_odd}; break;
    case 8: params.filter = (kith_filter){.pass = passes_few}; break;
    case 9: params.deadline_ns = UINT64_MAX; break;
    default: break;
    }
    return params;
}
enum { WAYS = 10, DEADLINE = 9 };

static int make(void **state) {
    (void)state;
    rows = vectors_clustered(N, DIM, 20, 0.3f, 5);
    whole = vectors_integral(N, DIM, 6);
    queries = vectors_clustered(WARM + COUNTED + MANY, DIM, 20, 0.5f, 5);
    for (uint64_t i = 0; i < N; i++) {
        few[i / 64] |= (uint64_t)(i % 150 == 0) << i % 64;
        most[i / 64] |= (uint64_t)(i % 7 != 0) << i % 64;
    }
    return 0;
}

static void age(kith_index *index) {
    int64_t ids[60];
    for (int i = 0; i < 60; i++) ids[i] = 40 * i;
    assert_int_equal(kith_index_update(index, 60, rows.x, ids, NULL, NULL), KITH_OK);
    for (int i = 0; i < 30; i++) ids[i] = 40 * i + 3;
    assert_int_equal(kith_index_remove(index, 30, ids, NULL), KITH_OK);
}

/* Trained, where that is something: N rows are not enough for all kinds to do it by themselves. */
static kith_index *trained_index(const struct vectors *vectors, kith_metric metric,
                                 const char *spec) {
    kith_index *index;
    assert_int_equal(kith_index_new(&index, DIM, metric, spec, NULL, NULL), KITH_OK);
    assert_int_equal(kith_index_train(index, N, vectors->x, NULL, NULL), KITH_OK);
    assert_int_equal(kith_index_add(index, N, vectors->x, NULL, NULL, NULL), KITH_OK);
    return index;
}

/* What rotates does not keep Manhattan distances. */
static kith_metric metric_for(const char *spec, kith_metric metric) {
    bool turns = strstr(spec, "PCA") || strstr(spec, "OPQ") || strstr(spec, "HR,");
    return turns && metric == KITH_METRIC_L1 ? KITH_METRIC_EUCLID : metric;
}

static kith_index *index_in(enum state state, const char *spec, kith_metric metric) {
    kith_index *index = trained_index(state == WHOLE ? &whole : &rows, metric, spec);
    if (state == AGED) age(index);
    if (state != MAPPED) return index;
    char path[] = "/tmp/kith-quiet-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(kith_index_save(index, path, NULL), KITH_OK);
    kith_index_free(index);
    assert_int_equal(kith_index_open(&index, path, KITH_OPEN_MAP, NULL), KITH_OK);
    unlink(path);
    return index;
}

/* One by one, then MANY in one call; false where a search failed. */
static bool search_all(const kith_index *index, size_t way, size_t first, size_t n) {
    static int64_t ids[MANY * 100];
    static float dists[MANY * 100];
    kith_search_params params = way_of(way);
    bool ok = true;
    for (size_t i = first; i < first + n; i++)
        ok &= kith_index_search(index, 1, vectors_at(&queries, i), &params, ids,
                                i % 2 ? dists : NULL, NULL) == KITH_OK;
    const float *many = vectors_at(&queries, WARM + COUNTED);
    return ok & (kith_index_search(index, MANY, many, &params, ids, dists, NULL) == KITH_OK);
}

static void warm_up(const kith_index *index, size_t way) {
    for (int round = 0; round < 2; round++) assert_true(search_all(index, way, 0, WARM));
}

/* ---- allocations and locks --------------------------------------------------------------------- */

static void test_counters_count(void **state) {
    (void)state;
    kith_index *index = index_of(&rows, KITH_METRIC_L2, "Flat", 1);
    int allocations = n_allocations, locks = n_locks;
    assert_true(search_all(index, 0, 0, 1)); /* not warm */
    assert_true(n_allocations > allocations);
    kith_index_contains(index, 1);
    assert_true(n_locks > locks);
    kith_index_free(index);
}

static void test_no_allocation_no_lock(void **state) {
    (void)state;
    for (size_t s = 0; s < SPECS; s++)
        for (size_t m = 0; m < METRICS; m++) {
            enum state kept = (enum state)((s + m) % STATES); /* each spec in each state */
            kith_index *index = index_in(kept, specs[s], metric_for(specs[s], metrics[m]));
            for (size_t way = 0; way < WAYS; way++) {
                warm_up(index, way);
                int allocations = n_allocations, locks = n_locks;
                assert_true(search_all(index, way, WARM, COUNTED));
                allocations = n_allocations - allocations;
                locks = n_locks - locks;
                if (allocations > 0 || locks > 0)
                    fail_msg("%s, %s, state %d, way %zu: %d allocations, %d locks", specs[s],
                             kith_metric_name(metrics[m]), (int)kept, way, allocations, locks);
            }
            kith_index_free(index);
        }
}

/* ---- system calls ------------------------------------------------------------------------------ */

/* Written by the child. */
struct report {
    volatile int n, number; /* system calls, the first one's number */
    volatile int clock;     /* of them, by looking at the clock alone */
    volatile bool ready, failed;
};
static struct report *report;

static void on_system_call(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    if (report->n++ == 0) report->number = info->si_syscall;
}

/* From here on every system call but the exit and the return of signals is a signal. False where that is refused. */
static bool trap_system_calls(void) {
    struct sigaction action = {.sa_sigaction = on_system_call, .sa_flags = SA_SIGINFO};
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof program / sizeof *program, program};
    sigaction(SIGSYS, &action, NULL);
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/* Run body in a child that counts; its report is there when this returns. */
static void in_child(void (*body)(const kith_index *index, size_t way), const kith_index *index,
                     size_t way) {
    memset(report, 0, sizeof *report);
    pid_t child = fork();
    if (child == 0) {
        body(index, way);
        _exit(0);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) report->failed = true;
}

static void look_at_the_clock(const kith_index *index, size_t way) {
    (void)index, (void)way;
    (void)clock_ns();
    report->ready = trap_system_calls();
    (void)clock_ns();
}

static void call_once(const kith_index *index, size_t way) {
    (void)index, (void)way;
    report->ready = trap_system_calls();
    syscall(SYS_getppid);
}

static void search_trapped(const kith_index *index, size_t way) {
    for (int round = 0; round < 2; round++) (void)search_all(index, way, 0, WARM);
    report->ready = trap_system_calls();
    report->failed = !search_all(index, way, WARM, COUNTED);
}

static void test_traps_count(void **state) {
    (void)state;
    in_child(call_once, NULL, 0);
    assert_true(report->ready && !report->failed);
    assert_int_equal(report->n, 1);
    assert_int_equal(report->number, SYS_getppid);
}

static void test_no_system_call(void **state) {
    (void)state;
    in_child(look_at_the_clock, NULL, 0);
    bool silent_clock = report->n == 0; /* else the deadline's look at it is not counted */
    for (size_t s = 0; s < SPECS; s++) {
        enum state kept = (enum state)(s % STATES);
        kith_metric metric = metric_for(specs[s], metrics[s / STATES % METRICS]);
        kith_index *index = index_in(kept, specs[s], metric);
        for (size_t way = 0; way < WAYS; way++) {
            if (way == DEADLINE && !silent_clock) continue;
            in_child(search_trapped, index, way);
            if (!report->ready || report->failed || report->n > 0)
                fail_msg("%s, %s, state %d, way %zu: %s, %d system calls, the first number %d",
                         specs[s], kith_metric_name(metric), (int)kept, way,
                         report->failed ? "failed" : "searched", report->n, report->number);
        }
        kith_index_free(index);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest counted[] = {
        cmocka_unit_test(test_counters_count),
        cmocka_unit_test(test_no_allocation_no_lock),
    };
    const struct CMUnitTest trapped[] = {
        cmocka_unit_test(test_traps_count),
        cmocka_unit_test(test_no_system_call),
    };
    if (argc < 2 || strcmp(argv[1], "system") != 0)
        return cmocka_run_group_tests(counted, make, NULL);
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED) return 1;
    in_child(call_once, NULL, 0);
    if (!report->ready) {
        printf("1..0 # SKIP this system refuses seccomp filters\n");
        return 0;
    }
    return cmocka_run_group_tests(trapped, make, NULL);
}
