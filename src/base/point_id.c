/* Ids of points: spellings, order, bytes. UUIDs are RFC 4122's 16 octets in the order they are written. */
#include "base/point_id.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"

/* 0 to 15, or -1. */
static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool starts_with(const char *text, size_t length, const char *prefix) {
    size_t n = strlen(prefix);
    if (length < n) return false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
        if (c != prefix[i]) return false;
    }
    return true;
}

/* 32 digits, or 8-4-4-4-12. */
static bool read_digits(uint8_t out[16], const char *text, size_t length) {
    bool hyphens = length == 36;
    if (!hyphens && length != 32) return false;
    size_t at = 0;
    for (int i = 0; i < 16; i++) {
        if (hyphens && (i == 4 || i == 6 || i == 8 || i == 10) && text[at++] != '-') return false;
        int high = hex_digit(text[at]), low = hex_digit(text[at + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    return true;
}

static bool read_uuid(uint8_t out[16], const char *text, size_t length) {
    if (starts_with(text, length, "urn:uuid:")) return read_digits(out, text + 9, length - 9);
    if (length >= 2 && text[0] == '{' && text[length - 1] == '}')
        return read_digits(out, text + 1, length - 2);
    return read_digits(out, text, length);
}

/* Bytes of the well-formed UTF-8 sequence (Unicode 15, table 3-7) at text, or 0. */
static size_t utf8_length(const uint8_t *text, size_t left) {
    uint8_t first = text[0], low = 0x80, high = 0xbf;
    if (first < 0x80) return 1;
    size_t n = first >= 0xc2 && first <= 0xdf ? 2 : first >> 4 == 0xe ? 3 : 4;
    if (first < 0xc2 || first > 0xf4 || n > left) return 0;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
    if (text[1] < low || text[1] > high) return 0;
    for (size_t i = 2; i < n; i++)
        if (text[i] >> 6 != 2) return 0;
    return n;
}

static int check_string(const char *text, size_t length, kith_error *err) {
    if (!length) return FAIL_AT(err, KITH_EINVAL, 0, "an id may not be an empty string");
    if (length > KITH_ID_STRING_BYTES)
        return FAIL_AT(err, KITH_EINVAL, KITH_ID_STRING_BYTES,
                       "an id of %zu bytes; the longest allowed has %u", length,
                       KITH_ID_STRING_BYTES);
    for (size_t at = 0; at < length;) {
        size_t n = utf8_length((const uint8_t *)text + at, length - at);
        if (!n || !text[at])
            return FAIL_AT(err, KITH_EINVAL, at, "byte %zu of an id is %s", at,
                           n ? "zero" : "not UTF-8");
        at += n;
    }
    return KITH_OK;
}

int kith_id_from_text(kith_id *out, const char *text, size_t length, kith_error *err) {
    if (!out || (!text && length)) return FAIL(err, KITH_EINVAL, "an id or its text is NULL");
    kith_id id = {KITH_ID_UUID, 0, {0}};
    if (!read_uuid(id.uuid, text, length)) {
        TRY(check_string(text, length, err));
        id.kind = KITH_ID_STRING;
        id.length = (uint32_t)length;
        id.string = text;
    }
    *out = id;
    return KITH_OK;
}

size_t kith_id_print(const kith_id *id, char text[KITH_ID_TEXT]) {
    if (id->kind == KITH_ID_NUMBER)
        return (size_t)snprintf(text, KITH_ID_TEXT, "%" PRIu64, id->number);
    if (id->kind == KITH_ID_UUID) {
        char *at = text;
        for (int i = 0; i < 16; i++) {
            if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
            *at++ = "0123456789abcdef"[id->uuid[i] >> 4];
            *at++ = "0123456789abcdef"[id->uuid[i] & 15];
        }
        *at = 0;
        return (size_t)(at - text);
    }
    memcpy(text, id->string, id->length);
    text[id->length] = 0;
    return id->length;
}

int kith_id_compare(const kith_id *a, const kith_id *b) {
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    if (a->kind == KITH_ID_NUMBER) return (a->number > b->number) - (a->number < b->number);
    if (a->kind == KITH_ID_UUID) return memcmp(a->uuid, b->uuid, sizeof a->uuid);
    uint32_t both = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->string, b->string, both);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

int point_id_check(const kith_id *id, kith_error *err) {
    if (id->kind == KITH_ID_NUMBER || id->kind == KITH_ID_UUID) return KITH_OK;
    if (id->kind != KITH_ID_STRING)
        return FAIL(err, KITH_EINVAL, "an id of kind %" PRIu32 "; there are 1, 2 and 3", id->kind);
    if (!id->string) return FAIL(err, KITH_EINVAL, "an id whose string is NULL");
    TRY(check_string(id->string, id->length, err));
    uint8_t uuid[16];
    if (read_uuid(uuid, id->string, id->length))
        return FAIL(err, KITH_EINVAL, "the string \"%.*s\" is a UUID: give it as one",
                    (int)id->length, id->string);
    return KITH_OK;
}

size_t point_id_encode(const kith_id *id, uint8_t key[POINT_ID_BYTES]) {
    key[0] = (uint8_t)id->kind;
    if (id->kind == KITH_ID_NUMBER) {
        for (int i = 0; i < 8; i++) key[1 + i] = (uint8_t)(id->number >> (56 - 8 * i));
        return 9;
    }
    if (id->kind == KITH_ID_UUID) {
        memcpy(key + 1, id->uuid, 16);
        return 17;
    }
    memcpy(key + 1, id->string, id->length);
    return 1u + id->length;
}

int point_id_decode(kith_id *out, const uint8_t *key, size_t n, kith_error *err) {
    kith_id id = {n ? key[0] : 0, 0, {0}};
    if (id.kind == KITH_ID_NUMBER && n == 9) {
        for (int i = 0; i < 8; i++) id.number = id.number << 8 | key[1 + i];
    } else if (id.kind == KITH_ID_UUID && n == 17) {
        memcpy(id.uuid, key + 1, 16);
    } else if (id.kind == KITH_ID_STRING && n > 1 && n <= POINT_ID_BYTES) {
        id.length = (uint32_t)(n - 1);
        id.string = (const char *)key + 1;
    } else {
        return FAIL(err, KITH_ECORRUPT, "%zu bytes that begin with %u are no id", n, id.kind);
    }
    *out = id;
    return KITH_OK;
}
