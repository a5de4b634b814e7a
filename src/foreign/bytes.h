/* Bytes: loads of little-endian numbers at any address. Header only; Kith runs on little-endian machines. */
#ifndef KITH_FOREIGN_BYTES_H
#define KITH_FOREIGN_BYTES_H

#include <stdint.h>
#include <string.h>

#define BYTES_LOAD(name, type)                          \
    static inline type bytes_##name(const uint8_t *p) { \
        type value;                                     \
        memcpy(&value, p, sizeof value);                \
        return value;                                   \
    }

BYTES_LOAD(u16, uint16_t)
BYTES_LOAD(i16, int16_t)
BYTES_LOAD(u32, uint32_t)
BYTES_LOAD(i32, int32_t)
BYTES_LOAD(u64, uint64_t)
BYTES_LOAD(i64, int64_t)
BYTES_LOAD(f32, float)
BYTES_LOAD(f64, double)

#undef BYTES_LOAD

#endif
