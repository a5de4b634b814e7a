/* Work done in a child process under hard limits of its own: how it ended, and what memory it had at most.
 *
 * The address space is limited by RLIMIT_AS, which counts what is mapped, touched or not; residence is VmHWM of
 * /proc/self/status, which the child resets by being new: a fork starts with what it shares with its parent. */
#ifndef TESTS_LIMIT_CHILD_H
#define TESTS_LIMIT_CHILD_H

#include <stddef.h>
#include <stdint.h>

#include <kith/kith.h>

#define MIB ((uint64_t)1 << 20)

struct outcome {
    int code;
    uint64_t peak;  /* bytes resident at most, above what the child began with */
    uint64_t value; /* what the work wants to tell */
    char text[240]; /* of the error */
};

/* Run work in a child whose address space may grow by as_bytes (0: unlimited). */
struct outcome child_run(int (*work)(void *context, uint64_t *value, kith_error *err),
                         void *context, uint64_t as_bytes);

/* Whether this build measures what users have: sanitizers map terabytes and keep shadows. */
int child_can_measure(void);

/* Generated rows: n x dim around 64 centres, the same for a row number always. */
struct generated {
    kith_rows rows;
    uint64_t seed;
};
void generate(struct generated *out, uint64_t n, size_t dim, uint64_t seed);
/* All of them, malloc'ed. */
float *generate_all(const struct generated *from);

#endif
