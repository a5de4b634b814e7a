/* Bits: sets of small integers as words, rounding, and the two hashes. Header only. */
#ifndef KITH_BASE_BITS_H
#define KITH_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool bits_test(const uint64_t *bits, uint64_t i) {
    return (bits[i >> 6] >> (i & 63)) & 1u;
}

static inline void bits_set(uint64_t *bits, uint64_t i) { bits[i >> 6] |= (uint64_t)1 << (i & 63); }

static inline void bits_clear(uint64_t *bits, uint64_t i) {
    bits[i >> 6] &= ~((uint64_t)1 << (i & 63));
}

static inline size_t bits_words(uint64_t n) { return (size_t)((n + 63) / 64); }

/* x up to the next multiple of a power of two. */
static inline size_t bits_round_up(size_t x, size_t power) {
    return (x + power - 1) & ~(power - 1);
}

/* splitmix64's finaliser (Steele, Lea & Flood 2014): a fixed, well mixed hash of 64 bits. */
static inline uint64_t bits_mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* The next number of a splitmix64 stream. */
static inline uint64_t bits_random(uint64_t *state) {
    uint64_t mixed = bits_mix(*state);
    *state += 0x9e3779b97f4a7c15u;
    return mixed;
}

#endif
