/* Names to print beside ids. */
#include "names.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

void names_free(names *n) {
    for (size_t i = 0; i < n->n; i++) free(n->items[i]);
    free(n->items);
    *n = (names){0};
}

const char *name_of(const names *n, int64_t id) {
    return id >= 0 && (uint64_t)id < n->n ? n->items[id] : "";
}

/* Takes the text; false when there is no memory. */
static bool append(names *out, char *text) {
    if (text && out->n == out->capacity) {
        size_t wanted = out->capacity ? out->capacity * 2 : 1024;
        char **more = realloc(out->items, wanted * sizeof *more);
        if (!more) {
            free(text);
            return false;
        }
        out->items = more;
        out->capacity = wanted;
    }
    if (text) out->items[out->n++] = text;
    return text;
}

/* What to call a line; NULL when there is no memory. */
static char *name_of_line(const char *line) {
    static const char *const keys[] = {"name", "title", "word", "text"};
    struct json_object *object = line[0] == '{' ? json_tokener_parse(line) : NULL;
    struct json_object *value = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !value; i++)
        json_object_object_get_ex(object, keys[i], &value);
    char *text = strdup(value ? json_object_get_string(value) : line);
    json_object_put(object);
    return text;
}

static int read_lines(names *out, const char *path, kith_error *err) {
    FILE *file = fopen(path, "rb");
    if (!file) return format_fail(err, KITH_EIO, -1, "cannot be opened: %s", strerror(errno));
    char *line = NULL;
    size_t capacity = 0;
    int code = KITH_OK;
    for (ssize_t n; !code && (n = getline(&line, &capacity, file)) >= 0;) {
        line[strcspn(line, "\r\n")] = '\0';
        if (!append(out, name_of_line(line)))
            code = format_fail(err, KITH_ENOMEM, -1, "no memory for %zu names", out->n);
    }
    if (!code && ferror(file)) code = format_fail(err, KITH_EIO, -1, "cannot be read");
    free(line);
    fclose(file);
    return code;
}

int names_read(names *out, const char *path, kith_error *err) {
    vectors v;
    if (vectors_read(&v, path, NULL, NULL) == KITH_OK) {
        if (v.words && v.dim > 1) { /* taken over */
            *out = (names){v.words, v.n, v.n};
            v.words = NULL;
        }
        vectors_free(&v);
        if (out->items) return KITH_OK;
    }
    int code = read_lines(out, path, err);
    if (code) names_free(out);
    return code;
}
