/* Status: the one place where an error's sentence is written.
 *
 * Invariant: a filled kith_error has the code that the function returns, and its text ends in a NUL. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

int status_fail(kith_error *err, int code, int64_t at, const char *format, ...) {
    if (err) {
        err->code = code;
        err->at = at;
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return code;
}
