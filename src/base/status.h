/* How errors travel: FAIL at the origin, TRY on the way up, one done: exit in whatever acquires. */
#ifndef KITH_BASE_STATUS_H
#define KITH_BASE_STATUS_H

#include <kith/error.h>

/* Fill err (nullable) with code, place and sentence; returns code, so that `return FAIL(...)` reads well. */
int status_fail(kith_error *err, int code, int64_t at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define FAIL(err, code, ...)        status_fail((err), (code), -1, __VA_ARGS__)
#define FAIL_AT(err, code, at, ...) status_fail((err), (code), (int64_t)(at), __VA_ARGS__)

#define TRY(expr)                                 \
    do {                                          \
        int try_code = (expr);                    \
        if (try_code != KITH_OK) return try_code; \
    } while (0)

/* The same inside a function that cleans up at done: with its code in `int code`. */
#define TRY_DONE(expr)                  \
    do {                                \
        code = (expr);                  \
        if (code != KITH_OK) goto done; \
    } while (0)

#endif
