/* Threads: one pool per process, started on first need, and parallel loops over it.
 *
 * A loop never uses more threads than asked, the caller's own included; with threads = 1 it is a plain loop in the
 * caller. Loops may run at once from several callers and may not nest. After fork the child starts a pool of its own. */
#ifndef KITH_BASE_THREAD_H
#define KITH_BASE_THREAD_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define THREAD_MAX 256u

/* Called with worker in 0..threads-1 (each number used by one thread at a time) and a range of items. */
typedef void (*thread_body)(void *context, uint32_t worker, size_t begin, size_t end);

/* Run body over [0, n) in pieces of at most grain items, handed out in order; returns when all are done. If pool
 * threads cannot be had, the caller does the work alone: it always completes. */
void thread_for(uint32_t threads, size_t n, size_t grain, thread_body body, void *context);

/* Make a lock whose writers go before readers that come later, so that readers without end do not keep them out. A thread
 * that holds it as a reader may not take it again. */
void thread_rwlock_init(pthread_rwlock_t *lock);

/* Online processors that this process may use, at least 1. */
uint32_t thread_cpus(void);

#endif
