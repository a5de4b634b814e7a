/* Threads: one pool a process, and loops over it.
 *
 * A loop lies on its caller's stack. While it has seats left it stands in the queue; a pool thread takes a seat (and
 * with it a worker number), takes pieces till none is left, and gets up. The caller takes pieces as worker 0, then
 * takes its loop out of the queue and waits for those still seated.
 *
 * Invariants
 *   1. All of `pool` and each loop's seats, seated and queue links are read and written under pool.lock only.
 *   2. A loop is in the queue exactly while seats < seats_most; nobody touches it once seated is 0 and it is out.
 *   3. n_idle threads wait for work; n_wanted, the empty seats of the queue, is never more than they can come to fill,
 *      unless the system refused threads or THREAD_MAX is reached: the caller then does what is left.
 * Nothing spins. Pool threads take no signals, so that a program's handlers run where it expects them.
 *
 * fork: the child has none of the threads, so it forgets them, under the lock that the fork was made under.
 * exit or unload: idle threads are told to end and joined. When a loop is still running somewhere, nobody is waited for:
 * it may need a lock that the exiting thread holds. */
#include "base/thread.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)4 << 20)

struct loop {
    thread_body body;
    void *context;
    size_t n, grain, n_pieces;
    _Atomic size_t next_piece;
    uint32_t seats, seats_most; /* taken so far, of at most */
    uint32_t seated;            /* pool threads at work */
    pthread_cond_t all_up;
    struct loop *before, *after;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct loop *first, *last;
    uint32_t n_threads, n_idle, n_wanted;
    bool ending;
    pthread_t thread[THREAD_MAX];
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER};

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* ---- the queue, under the lock ------------------------------------------------------------------ */

static void queue_push(struct loop *loop) {
    loop->before = pool.last;
    loop->after = NULL;
    *(pool.last ? &pool.last->after : &pool.first) = loop;
    pool.last = loop;
    pool.n_wanted += loop->seats_most;
}

static void queue_remove(struct loop *loop) {
    *(loop->before ? &loop->before->after : &pool.first) = loop->after;
    *(loop->after ? &loop->after->before : &pool.last) = loop->before;
    pool.n_wanted -= loop->seats_most - loop->seats;
    loop->seats_most = loop->seats;
}

/* ---- working ------------------------------------------------------------------------------------ */

static void run_pieces(struct loop *loop, uint32_t worker) {
    for (;;) {
        size_t piece = atomic_fetch_add_explicit(&loop->next_piece, 1, memory_order_relaxed);
        if (piece >= loop->n_pieces) return;
        size_t begin = piece * loop->grain;
        size_t left = loop->n - begin;
        loop->body(loop->context, worker, begin, begin + (left < loop->grain ? left : loop->grain));
    }
}

/* Sit down at the first loop of the queue, work, get up. Called and returns with the lock held. */
static void serve(void) {
    struct loop *loop = pool.first;
    uint32_t worker = ++loop->seats;
    loop->seated++;
    pool.n_wanted--;
    if (loop->seats == loop->seats_most) queue_remove(loop);
    pthread_mutex_unlock(&pool.lock);
    run_pieces(loop, worker);
    pthread_mutex_lock(&pool.lock);
    if (--loop->seated == 0) pthread_cond_signal(&loop->all_up);
}

static void *thread_main(void *unused) {
    (void)unused;
    pthread_mutex_lock(&pool.lock);
    while (!pool.ending) {
        if (pool.first) {
            pool.n_idle--;
            serve();
            pool.n_idle++;
        } else {
            pthread_cond_wait(&pool.work, &pool.lock);
        }
    }
    pool.n_idle--;
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

/* ---- the pool's life ---------------------------------------------------------------------------- */

static void before_fork(void) { pthread_mutex_lock(&pool.lock); }

static void after_fork_parent(void) { pthread_mutex_unlock(&pool.lock); }

static void after_fork_child(void) {
    pool.first = pool.last = NULL;
    pool.n_threads = pool.n_idle = pool.n_wanted = 0;
    pool.work = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    pthread_mutex_unlock(&pool.lock);
}

static void watch_forks(void) { pthread_atfork(before_fork, after_fork_parent, after_fork_child); }

/* Start threads until every wanted seat has an idle one, or no more can be had. A new thread counts as idle at once. */
static void grow(void) {
    pthread_attr_t attr;
    if (pool.ending || pool.n_idle >= pool.n_wanted || pthread_attr_init(&attr) != 0) return;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (pool.n_idle < pool.n_wanted && pool.n_threads < THREAD_MAX) {
        pthread_t *thread = &pool.thread[pool.n_threads];
        if (pthread_create(thread, &attr, thread_main, NULL) != 0) break;
        pthread_setname_np(*thread, "kith");
        pool.n_threads++;
        pool.n_idle++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
}

__attribute__((destructor)) static void end_pool(void) {
    pthread_mutex_lock(&pool.lock);
    pool.ending = true;
    bool busy = pool.n_idle < pool.n_threads;
    pthread_cond_broadcast(&pool.work);
    pthread_mutex_unlock(&pool.lock);
    if (busy) return;
    for (uint32_t i = 0; i < pool.n_threads; i++) pthread_join(pool.thread[i], NULL);
}

/* ---- the interface ------------------------------------------------------------------------------ */

static void run_with_pool(struct loop *loop) {
    pthread_once(&fork_once, watch_forks);
    pthread_cond_init(&loop->all_up, NULL);
    pthread_mutex_lock(&pool.lock);
    queue_push(loop);
    grow();
    for (uint32_t i = 0; i < loop->seats_most; i++) pthread_cond_signal(&pool.work);
    pthread_mutex_unlock(&pool.lock);

    run_pieces(loop, 0);

    pthread_mutex_lock(&pool.lock);
    if (loop->seats < loop->seats_most) queue_remove(loop);
    while (loop->seated > 0) pthread_cond_wait(&loop->all_up, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
    pthread_cond_destroy(&loop->all_up);
}

void thread_for(uint32_t threads, size_t n, size_t grain, thread_body body, void *context) {
    if (n == 0) return;
    if (grain == 0) grain = 1;
    struct loop loop = {.body = body, .context = context, .n = n, .grain = grain};
    loop.n_pieces = n / grain + (n % grain != 0);
    if (threads > THREAD_MAX) threads = THREAD_MAX;
    if (threads > loop.n_pieces) threads = (uint32_t)loop.n_pieces;
    if (threads <= 1) {
        run_pieces(&loop, 0);
        return;
    }
    loop.seats_most = threads - 1;
    run_with_pool(&loop);
}

void thread_rwlock_init(pthread_rwlock_t *lock) {
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
#if defined(__GLIBC__)
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
    pthread_rwlock_init(lock, &attr);
    pthread_rwlockattr_destroy(&attr);
}

uint32_t thread_cpus(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (uint32_t)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1u;
}
