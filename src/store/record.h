/* record: a point as bytes.
 *
 *     0   u32 CRC-32C of all bytes after it
 *     4   u32 bytes of the id's key (point_id.h)          8   u64 version
 *     16  i64 expires_ms                                  24  u64 fields
 *     32  u32 CRC of each vector, by rising field; the id's key; the payload to the end
 *
 * Slots in id entries: u32 slot, u32 CRC-32C of the key and the slot. */
#ifndef KITH_STORE_RECORD_H
#define KITH_STORE_RECORD_H

#include "store/points.h"

#define RECORD_HEAD 32u

/* Bytes of the record of a point, whose vector_crc need not be set. */
size_t record_size(const struct point *point);
void record_write(const struct point *point, const uint32_t *vector_crc, uint8_t *out);
/* KITH_ECORRUPT for what record_write did not write. What out points to lies in bytes; slot is set. */
int record_read(struct point *out, uint32_t slot, const void *bytes, size_t n, kith_error *err);

#endif
