/* How a command says that something went wrong: one line, with the file, the sentence and the code. */
#include "cli.h"

#include <stdarg.h>
#include <string.h>

int failure_about(failure *f, const char *subject, int code) {
    if (code != KITH_OK) f->subject = is_stream(subject) ? "standard input" : subject;
    return code;
}

int failure_writing(failure *f, const char *subject, int code) {
    if (code != KITH_OK) f->subject = is_stream(subject) ? "standard output" : subject;
    return code;
}

int failure_set(failure *f, int code, const char *text, ...) {
    va_list args;
    va_start(args, text);
    vsnprintf(f->err.text, sizeof f->err.text, text, args);
    va_end(args);
    f->err.code = code;
    f->err.at = -1;
    return code;
}

int failure_exit(const failure *f, int code) {
    if (code == KITH_OK) return EXIT_OK;
    const char *text = f->err.text[0] ? f->err.text : kith_code_text(code);
    fflush(stdout);
    fprintf(stderr, "kith: %s%s%s (%s)\n", f->subject ? f->subject : "", f->subject ? ": " : "",
            text, kith_code_name(code));
    return EXIT_FAILED;
}

void note(const char *text, ...) {
    va_list args;
    va_start(args, text);
    fputs("kith: note: ", stderr);
    vfprintf(stderr, text, args);
    fputc('\n', stderr);
    va_end(args);
}
