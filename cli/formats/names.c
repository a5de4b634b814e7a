/* Names of formats and of element types, and the error that readers and writers raise. */
#include "private.h"

#include <stdarg.h>
#include <string.h>
#include <strings.h>

int format_fail(kith_error *err, int code, int64_t at, const char *text, ...) {
    if (!err) return code;
    err->code = code;
    err->at = at;
    va_list args;
    va_start(args, text);
    vsnprintf(err->text, sizeof err->text, text, args);
    va_end(args);
    return code;
}

static const struct {
    const char *name;
    format format;
} format_names[] = {
#define FORMAT_ROW(constant, name, text) {name, constant},
    FORMATS(FORMAT_ROW)
#undef FORMAT_ROW
        {"h5", FORMAT_HDF5},
    {"hdf", FORMAT_HDF5},
    {"vec", FORMAT_WORDS},
    {"glove", FORMAT_WORDS},
    {"ndjson", FORMAT_JSONL},
    {"json", FORMAT_JSONL}};

format format_parse(const char *name) {
    for (size_t i = 0; i < sizeof format_names / sizeof *format_names; i++)
        if (strcasecmp(name, format_names[i].name) == 0) return format_names[i].format;
    return FORMAT_AUTO;
}

const char *format_name(format f) {
    for (size_t i = 0; i < sizeof format_names / sizeof *format_names; i++)
        if (format_names[i].format == f) return format_names[i].name;
    return "unknown";
}

format format_of_path(const char *path) {
    char ending[16];
    const char *end = path + strlen(path);
    if (end - path > 3 && strcasecmp(end - 3, ".gz") == 0) end -= 3;
    const char *dot = end > path ? end - 1 : path;
    while (dot > path && *dot != '.' && *dot != '/') dot--;
    if (end == path || *dot != '.' || (size_t)(end - dot) > sizeof ending) return FORMAT_AUTO;
    memcpy(ending, dot + 1, (size_t)(end - dot) - 1);
    ending[end - dot - 1] = '\0';
    return format_parse(ending);
}

static const struct {
    const char *name, *numpy;
    element type;
    size_t bytes;
} element_table[] = {
    {"f32", "f4", ELEMENT_F32, 4}, {"f16", "f2", ELEMENT_F16, 2}, {"f64", "f8", ELEMENT_F64, 8},
    {"u8", "u1", ELEMENT_U8, 1},   {"i8", "i1", ELEMENT_I8, 1},   {"u16", "u2", ELEMENT_U16, 2},
    {"i16", "i2", ELEMENT_I16, 2}, {"u32", "u4", ELEMENT_U32, 4}, {"i32", "i4", ELEMENT_I32, 4},
    {"u64", "u8", ELEMENT_U64, 8}, {"i64", "i8", ELEMENT_I64, 8}};

const char *element_name(element type) { return element_table[type].name; }
const char *element_numpy(element type) { return element_table[type].numpy; }
size_t element_bytes(element type) { return element_table[type].bytes; }

bool element_parse(const char *name, element *out) {
    for (size_t i = 0; i < sizeof element_table / sizeof *element_table; i++) {
        if (strcmp(name, element_table[i].name) != 0) continue;
        *out = element_table[i].type;
        return true;
    }
    return false;
}

bool element_of_numpy(const char *name, element *out) {
    for (size_t i = 0; i < sizeof element_table / sizeof *element_table; i++) {
        if (strcmp(name, element_table[i].numpy) != 0) continue;
        *out = element_table[i].type;
        return true;
    }
    return false;
}
