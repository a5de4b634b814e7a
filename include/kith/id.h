/* Ids of points in collections: a number, a UUID or a string.
 *
 *     kind      written                                   read
 *     number    decimal                                   0 to 2^64 - 1
 *     UUID      lower case, with hyphens                  with or without hyphens, in braces, after urn:uuid:, any case
 *     string    as it is                                  UTF-8, 1 to 512 bytes, no NUL
 *
 * Order and equality, the same everywhere: numbers by value, then UUIDs by their bytes, then strings by their bytes. Ids of
 * different kinds are different: the number 7 is not the string "7". A string in the spelling of a UUID is that UUID. */
#ifndef KITH_ID_H
#define KITH_ID_H

#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KITH_ID_STRING_BYTES 512u                        /* the longest string that is an id */
#define KITH_ID_TEXT         (KITH_ID_STRING_BYTES + 1u) /* room for any id's text, with its zero */

enum { KITH_ID_NUMBER = 1, KITH_ID_UUID = 2, KITH_ID_STRING = 3 };

typedef struct kith_id {
    uint32_t kind;   /* KITH_ID_… */
    uint32_t length; /* of a string, in bytes */
    union {
        uint64_t number;
        uint8_t uuid[16];
        const char
            *string; /* need not end with a zero; the comment of each call says whose it is */
    };
} kith_id;

static inline kith_id kith_id_number(uint64_t number) {
    kith_id id = {KITH_ID_NUMBER, 0, {number}};
    return id;
}

/* The id that a string means: a UUID in any of its spellings, else the string itself.
 *   Owns     nothing: a string id borrows text.     Threads  any.     Cost  a look at each byte.
 *   Errors   KITH_EINVAL empty, over KITH_ID_STRING_BYTES, a NUL, or not UTF-8 (err->at: byte). */
KITH_API int kith_id_from_text(kith_id *out, const char *text, size_t length, kith_error *err);

/* The text of an id: decimal, hyphenated lower case, or the string. Writes at most KITH_ID_TEXT bytes; returns the length
 * without the zero. */
KITH_API size_t kith_id_print(const kith_id *id, char text[KITH_ID_TEXT]);

/* Less than, equal to, greater than 0 as a comes before, is, comes after b. */
KITH_API int kith_id_compare(const kith_id *a, const kith_id *b);

#ifdef __cplusplus
}
#endif
#endif
