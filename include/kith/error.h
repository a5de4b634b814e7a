/* Errors: one table gives every code its name, its text, its HTTP status and its Python exception.
 *
 * Every function of Kith that can fail returns an int: KITH_OK (0) or one of these codes, and, where the
 * caller passed a kith_error, a sentence with the numbers in it. An error changes nothing: outputs and
 * the object are as they were before the call, unless the function's comment says otherwise. */
#ifndef KITH_ERROR_H
#define KITH_ERROR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define KITH_API
#else
#define KITH_API __attribute__((visibility("default")))
#endif

/*   X(name, number, text, HTTP status, Python exception) */
#define KITH_ERRORS(X)                                                                  \
    X(KITH_OK, 0, "no error", 200, "None")                                              \
    X(KITH_EINVAL, 1, "invalid argument", 400, "ValueError")                            \
    X(KITH_EDIM, 2, "wrong dimension", 400, "ValueError")                               \
    X(KITH_ENONFINITE, 3, "not a finite number", 400, "ValueError")                     \
    X(KITH_EK, 4, "k out of range", 400, "ValueError")                                  \
    X(KITH_EEMPTY, 5, "the index is empty", 409, "ValueError")                          \
    X(KITH_EDUPLICATE, 6, "id already present", 409, "KeyError")                        \
    X(KITH_ENOTFOUND, 7, "id not present", 404, "KeyError")                             \
    X(KITH_ESPEC, 8, "bad index description", 400, "ValueError")                        \
    X(KITH_EFILTER, 9, "bad filter", 400, "ValueError")                                 \
    X(KITH_ERANGE, 10, "value out of range", 400, "OverflowError")                      \
    X(KITH_EUNSUPPORTED, 11, "not supported by this index", 400, "NotImplementedError") \
    X(KITH_EREADONLY, 12, "opened read-only", 403, "PermissionError")                   \
    X(KITH_EDEADLINE, 13, "deadline passed", 408, "TimeoutError")                       \
    X(KITH_ENOMEM, 14, "out of memory", 507, "MemoryError")                             \
    X(KITH_ENOSPC, 15, "no space left", 507, "OSError")                                 \
    X(KITH_EIO, 16, "input or output failed", 500, "OSError")                           \
    X(KITH_EFORMAT, 17, "not a file of this kind", 400, "ValueError")                   \
    X(KITH_EVERSION, 18, "file version not known", 400, "ValueError")                   \
    X(KITH_ETRUNCATED, 19, "file is truncated", 500, "OSError")                         \
    X(KITH_ECORRUPT, 20, "data is corrupt", 500, "OSError")                             \
    X(KITH_ESYNTAX, 21, "malformed input", 400, "ValueError")                           \
    X(KITH_EFULL, 22, "the index is full", 507, "OverflowError")                        \
    X(KITH_ERECALL, 23, "recall cannot be promised", 409, "ValueError")                 \
    X(KITH_ELOCKED, 24, "another process has it", 423, "BlockingIOError")

typedef enum kith_code {
#define KITH_ERROR_ENUM(name, number, text, http, python) name = number,
    KITH_ERRORS(KITH_ERROR_ENUM)
#undef KITH_ERROR_ENUM
} kith_code;

/* What went wrong, owned by the caller, who may pass NULL wherever one is asked for.
 *   code   the same as the returned code.
 *   at     offset in a spec or filter, line of a text file, byte of a binary file, row of an array; else -1.
 *   text   a sentence with the numbers in it, ended by a NUL. */
typedef struct kith_error {
    int code;
    int64_t at;
    char text[240];
} kith_error;

/* The name ("KITH_EDIM") and the general text of a code; "KITH_?" for numbers that are none.
 *   Owns     nothing; the strings are static.     Threads  any.     Cost  constant. */
KITH_API const char *kith_code_name(int code);
KITH_API const char *kith_code_text(int code);

/* The HTTP status that the server answers for a code, and the Python exception it becomes. */
KITH_API int kith_code_http(int code);
KITH_API const char *kith_code_python(int code);

#ifdef __cplusplus
}
#endif
#endif
