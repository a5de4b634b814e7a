/* What the kernel oracles share: guarded memory, random shapes and values, comparison by bits.
 *
 *   1. guard_new() gives memory whose last byte lies before a page that cannot be read: guard_end(g, n) returns the place
 *      of n bytes that end there, so that one byte read too many is a fault.
 *   2. Values come in classes; EDGES mixes NaN, infinities, denormals, zeros of both signs and huge numbers.
 *   3. Two floats are the same when their bits are, or when both are NaN. */
#ifndef KITH_TESTS_KERN_DATA_H
#define KITH_TESTS_KERN_DATA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "kern/kern.h"

static const char *const type_names[KERN_TYPES] = {"f32", "f16", "bf16", "i8", "u8"};
static const char *const metric_names[KERN_METRICS] = {"l2sq", "dot", "l1"};
static const size_t type_bytes[KERN_TYPES] = {4, 2, 2, 1, 1};

static uint64_t random_state = 20261122;

static inline size_t random_below(size_t n) { return (size_t)(bits_random(&random_state) % n); }
/* Uniform in -1..1. */
static inline float random_unit(void) {
    return (float)((double)(bits_random(&random_state) >> 11) * 0x1p-52 - 1.0);
}

struct guard {
    char *base;
    size_t bytes; /* readable */
};

static inline struct guard guard_new(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct guard g = {.bytes = bits_round_up(bytes, page)};
    g.base = mmap(NULL, g.bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.base != MAP_FAILED);
    assert_int_equal(mprotect(g.base + g.bytes, page, PROT_NONE), 0);
    return g;
}
static inline void *guard_end(const struct guard *g, size_t bytes) {
    assert_true(bytes <= g->bytes);
    return g->base + g->bytes - bytes;
}
static inline void guard_free(struct guard *g) {
    munmap(g->base, g->bytes + (size_t)sysconf(_SC_PAGESIZE));
}

enum values { UNIT, WHOLE, WIDE, EDGES, VALUE_CLASSES };

static inline float random_value(enum values class) {
    static const float edge[] = {0.0f,      -0.0f,    1.0f,      -1.0f,      0x1p-149f, -0x1p-140f,
                                 0x1p-126f, 0x1p127f, -0x1p127f, 0x1.8p-64f, 3.5f};
    switch (class) {
    case UNIT: return random_unit();
    case WHOLE: return (float)random_below(256);
    case WIDE: return ldexpf(random_unit(), (int)random_below(60) - 30);
    default: break;
    }
    size_t pick = random_below(60);
    if (pick == 0) return NAN;
    if (pick == 1) return INFINITY;
    if (pick == 2) return -INFINITY;
    return edge[random_below(sizeof edge / sizeof *edge)];
}

/* dim elements of a type at row, unaligned; f16 and bf16 also get patterns that no conversion gives. */
static inline void random_row(void *row, kith_type type, size_t dim, enum values class) {
    const struct kern *scalar;
    kern_levels(&scalar, 1);
    for (size_t i = 0; i < dim; i++) {
        char *at = (char *)row + i * type_bytes[type];
        float x = random_value(class);
        uint16_t half = (uint16_t)random_below(65536);
        if (type == KITH_TYPE_F32)
            memcpy(at, &x, 4);
        else if (type == KITH_TYPE_I8 || type == KITH_TYPE_U8)
            *at = (char)random_below(256);
        else if (class == EDGES)
            memcpy(at, &half, 2);
        else {
            scalar->from_f32[type](&x, 1, &half);
            memcpy(at, &half, 2);
        }
    }
}

static inline bool same_float(float a, float b) {
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

/* Mostly small, sometimes at a power of two or large. */
static inline size_t random_dim(void) {
    switch (random_below(8)) {
    case 0: return 1 + random_below(16);
    case 1: return 16 * (1 + random_below(40));
    case 2: return 64 * (1 + random_below(16)) + random_below(3) - 1;
    case 3: return 1 + random_below(1100);
    default: return 1 + random_below(200);
    }
}
static inline size_t random_count(void) {
    static const size_t counts[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 31};
    return counts[random_below(sizeof counts / sizeof *counts)];
}

/* Every level but scalar; scalar alone when there is no other, so that a test always has one. */
static inline size_t other_levels(const struct kern **out, size_t n) {
    size_t count = kern_levels(out, n);
    assert_true(count >= 1 && count <= n);
    assert_string_equal(out[0]->name, "scalar");
    if (count == 1) return 1;
    memmove(out, out + 1, (count - 1) * sizeof *out);
    return count - 1;
}

#endif
