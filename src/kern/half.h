/* Half precision in plain C: IEEE binary16 and bfloat16, to and from f32.
 *
 * To f32 is exact. From f32 rounds to nearest even, overflows to infinity, keeps denormals; a NaN stays a quiet NaN with
 * the upper bits of its payload, as the instructions of x86 and ARM do. */
#ifndef KITH_KERN_HALF_H
#define KITH_KERN_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t half_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float half_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float half_from_bf16(uint16_t half) { return half_float((uint32_t)half << 16); }

static inline float half_from_f16(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t size = half & 0x7fffu;
    if (size < 0x0400u) /* zero or denormal: size units of 2^-24 */
        return half_float(sign | half_bits((float)size * 0x1p-24f));
    uint32_t bias = size < 0x7c00u ? 0x38000000u : 0x70000000u;
    return half_float(sign | ((size << 13) + bias));
}

static inline uint16_t half_to_bf16(float x) {
    uint32_t bits = half_bits(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

static inline uint16_t half_to_f16(float x) {
    uint32_t bits = half_bits(x);
    uint32_t sign = (bits >> 16) & 0x8000u;
    uint32_t size = bits & 0x7fffffffu;
    if (size > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((size >> 13) & 0x3ffu));
    if (size >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and more */
    if (size < 0x38800000u) /* under 2^-14: adding 0.5 rounds to units of 2^-24 */
        return (uint16_t)(sign | (half_bits(half_float(size) + 0.5f) - half_bits(0.5f)));
    size += 0xfffu + ((size >> 13) & 1u);
    return (uint16_t)(sign | ((size - 0x38000000u) >> 13));
}

#endif
