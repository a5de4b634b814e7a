/* JSON values, a line each, from a file that is read as far as is asked: plain or gzip'ed. Parsing is json-c's, strict. */
#include "private.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>
#include <zlib.h>

#define MAX_DEPTH 256 /* that of payloads */
#define ROOM      ((size_t)1 << 16)

int json_value_parse(json_tokener *parser, field text, int64_t line, struct json_object **out,
                     kith_error *err) {
    if (text.n > INT_MAX)
        return FAIL_AT(err, KITH_ERANGE, line, "line %lld has %zu bytes, %d are possible",
                       (long long)line, text.n, INT_MAX);
    json_tokener_reset(parser);
    *out = json_tokener_parse_ex(parser, text.begin, (int)text.n);
    enum json_tokener_error state = json_tokener_get_error(parser);
    size_t at = json_tokener_get_parse_end(parser);
    if (state == json_tokener_continue) {
        /* A number ends only where something follows it. */
        *out = json_tokener_parse_ex(parser, " ", 1);
        state = json_tokener_get_error(parser);
    }
    if (state == json_tokener_success) return KITH_OK;
    return FAIL_AT(err, KITH_ESYNTAX, line, "line %lld, column %zu: %s", (long long)line, at + 1,
                   state == json_tokener_continue ? "the JSON value does not end"
                                                  : json_tokener_error_desc(state));
}

int json_lines_open(json_lines *out, const char *path, kith_error *err) {
    *out = (json_lines){.path = path};
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : -1;
    gzFile file = fd >= 0 ? gzdopen(fd, "rb") : gzopen(path, "rb");
    struct stat status;
    out->file = file;
    if (!file) return FAIL(err, KITH_EIO, "cannot be opened: %s", strerror(errno ? errno : ENOMEM));
    if (fd < 0 && stat(path, &status) == 0) out->n_bytes = (uint64_t)status.st_size;
    out->parser = json_tokener_new_ex(MAX_DEPTH);
    out->text = malloc(ROOM);
    out->room = ROOM;
    if (!out->parser || !out->text) return FAIL(err, KITH_ENOMEM, "no memory for lines of JSON");
    json_tokener_set_flags(out->parser, JSON_TOKENER_STRICT);
    return KITH_OK;
}

void json_lines_close(json_lines *lines) {
    if (lines->file) gzclose(lines->file);
    if (lines->parser) json_tokener_free(lines->parser);
    free(lines->text);
    *lines = (json_lines){0};
}

uint64_t json_lines_done(const json_lines *lines) {
    z_off_t at = gzoffset(lines->file);
    return at > 0 ? (uint64_t)at : 0;
}

/* More of the file behind what is held, which moves to the front. */
static int refill(json_lines *lines, kith_error *err) {
    size_t held = lines->end - lines->begin;
    memmove(lines->text, lines->text + lines->begin, held);
    lines->begin = 0;
    lines->end = held;
    if (held == lines->room) {
        char *more = realloc(lines->text, 2 * lines->room);
        if (!more) return FAIL(err, KITH_ENOMEM, "no memory for a line of %zu bytes", held);
        lines->text = more;
        lines->room *= 2;
    }
    size_t wanted = lines->room - held;
    int got =
        gzread(lines->file, lines->text + held, wanted < INT_MAX ? (unsigned)wanted : INT_MAX);
    int number;
    if (got < 0) return FAIL(err, KITH_EIO, "cannot be read: %s", gzerror(lines->file, &number));
    lines->ended = got == 0;
    lines->end += (size_t)got;
    return KITH_OK;
}

static int next_line(json_lines *lines, field *line, kith_error *err) {
    for (size_t looked = 0;;) {
        const char *begin = lines->text + lines->begin;
        size_t held = lines->end - lines->begin;
        const char *newline = memchr(begin + looked, '\n', held - looked);
        if (newline || lines->ended) {
            *line = (field){begin, newline ? (size_t)(newline - begin) : held};
            lines->begin += line->n + (newline ? 1 : 0);
            lines->number++;
            return KITH_OK;
        }
        looked = held;
        TRY(refill(lines, err));
    }
}

int json_lines_next(json_lines *lines, struct json_object **out, kith_error *err) {
    *out = NULL;
    while (!lines->ended || lines->begin < lines->end) {
        field line;
        TRY(next_line(lines, &line, err));
        size_t spaces = 0;
        while (spaces < line.n && memchr(" \t\r", line.begin[spaces], 3)) spaces++;
        if (spaces == line.n) continue;
        TRY(json_value_parse(lines->parser, line, lines->number, out, err));
        if (*out) return KITH_OK;
        return FAIL_AT(err, KITH_ESYNTAX, lines->number, "line %lld is null",
                       (long long)lines->number);
    }
    return KITH_OK;
}
