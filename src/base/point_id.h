/* Ids of points as bytes: encodings that compare (memcmp, then the shorter first) as the ids do.
 *
 *     01 | u64, big-endian        02 | 16 bytes        03 | the string
 *
 * The public side, parsing, printing and comparing, is <kith/id.h>; point_id.c implements both. */
#ifndef KITH_BASE_POINT_ID_H
#define KITH_BASE_POINT_ID_H

#include <kith/id.h>

#define POINT_ID_BYTES (1u + KITH_ID_STRING_BYTES)

/* What a caller of ours has to show before an id is taken: kind, and for strings length, UTF-8, no NUL. A string that spells
 * a UUID is an error here, for it would be found under another key than the UUID it means. */
int point_id_check(const kith_id *id, kith_error *err);
/* Bytes written to key. */
size_t point_id_encode(const kith_id *id, uint8_t key[POINT_ID_BYTES]);
/* The id of a key that encode wrote; a string borrows the key. KITH_ECORRUPT for other bytes. */
int point_id_decode(kith_id *out, const uint8_t *key, size_t n, kith_error *err);

#endif
