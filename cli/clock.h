/* Clocks: wall time, and CPU time of the process and of this thread, in seconds and nanoseconds. */
#ifndef KITH_CLI_CLOCK_H
#define KITH_CLI_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline double wall_s(void) { return (double)clock_ns(CLOCK_MONOTONIC) * 1e-9; }
static inline double process_cpu_s(void) {
    return (double)clock_ns(CLOCK_PROCESS_CPUTIME_ID) * 1e-9;
}

#endif
