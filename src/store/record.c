/* A point as bytes. Values in the trees are at odd addresses, so that all numbers are copied. */
#include "store/record.h"

#include <string.h>

#include "base/file.h"
#include "base/point_id.h"
#include "base/status.h"

static uint32_t n_fields(uint64_t fields) { return (uint32_t)__builtin_popcountll(fields); }

size_t record_size(const struct point *point) {
    uint8_t key[POINT_ID_BYTES];
    return RECORD_HEAD + 4u * n_fields(point->fields) + point_id_encode(&point->id, key) +
           point->payload_bytes;
}

void record_write(const struct point *point, const uint32_t *vector_crc, uint8_t *out) {
    uint8_t key[POINT_ID_BYTES];
    uint32_t key_bytes = (uint32_t)point_id_encode(&point->id, key);
    uint32_t crc_bytes = 4u * n_fields(point->fields);
    memcpy(out + 4, &key_bytes, 4);
    memcpy(out + 8, &point->version, 8);
    memcpy(out + 16, &point->expires_ms, 8);
    memcpy(out + 24, &point->fields, 8);
    uint8_t *at = out + RECORD_HEAD;
    if (crc_bytes) memcpy(at, vector_crc, crc_bytes);
    memcpy(at + crc_bytes, key, key_bytes);
    at += crc_bytes + key_bytes;
    if (point->payload_bytes) memcpy(at, point->payload, point->payload_bytes);
    uint32_t crc = file_crc32c(0, out + 4, (size_t)(at - out) - 4 + point->payload_bytes);
    memcpy(out, &crc, 4);
}

int record_read(struct point *out, uint32_t slot, const void *bytes, size_t n, kith_error *err) {
    const uint8_t *record = bytes;
    uint32_t crc, key_bytes;
    if (n < RECORD_HEAD)
        return FAIL_AT(err, KITH_ECORRUPT, slot, "the record of slot %u has %zu bytes", slot, n);
    memcpy(&crc, record, 4);
    if (crc != file_crc32c(0, record + 4, n - 4))
        return FAIL_AT(err, KITH_ECORRUPT, slot, "the record of slot %u has a wrong checksum",
                       slot);
    struct point point = {.slot = slot};
    memcpy(&key_bytes, record + 4, 4);
    memcpy(&point.version, record + 8, 8);
    memcpy(&point.expires_ms, record + 16, 8);
    memcpy(&point.fields, record + 24, 8);
    size_t crc_bytes = 4u * n_fields(point.fields), at = RECORD_HEAD + crc_bytes;
    if (n < at || n - at < key_bytes)
        return FAIL_AT(err, KITH_ECORRUPT, slot, "the record of slot %u ends early", slot);
    point.vector_crc = record + RECORD_HEAD;
    TRY(point_id_decode(&point.id, record + at, key_bytes, err));
    at += key_bytes;
    point.payload = (const char *)record + at;
    point.payload_bytes = n - at;
    *out = point;
    return KITH_OK;
}
