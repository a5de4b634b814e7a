/* JSON lines: an array of numbers, or an object with a vector and an id, on every line.
 *
 *     {"id": 7, "vector": [0.1, 0.2]}        {"id": "apple", "embedding": [0.1, 0.2]}        [0.1, 0.2]
 *
 * The vector may be called vector, embedding or values; other keys are passed over. A whole number is
 * an id, a string a word. A file that is one array of such items is read as well.
 * Parsing is json-c's, strict: docs/decisions/0004-cli-json.md. */
#include "private.h"

#include <math.h>
#include <string.h>

#include <json-c/json.h>

#define MAX_DEPTH 32

/* The array in an object, by the names in use. */
static struct json_object *vector_of(struct json_object *object) {
    static const char *const names[] = {"vector", "embedding", "values"};
    struct json_object *found;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_object_get_ex(object, names[i], &found)) return found;
    return NULL;
}

static int add_id(builder *b, struct json_object *id, int64_t line) {
    if (json_object_is_type(id, json_type_string))
        return builder_word(b, json_object_get_string(id), (size_t)json_object_get_string_len(id));
    int64_t value = json_object_get_int64(id);
    bool fits = json_object_is_type(id, json_type_int) && value >= 0 &&
                json_object_get_uint64(id) <= INT64_MAX;
    if (fits) return builder_id(b, value);
    return FAIL_AT(b->err, KITH_ESYNTAX, line,
                   "line %lld: id %.40s is neither a string nor a whole number from 0 to 2^63 - 1",
                   (long long)line, json_object_to_json_string(id));
}

static int add_values(builder *b, struct json_object *array, int64_t line) {
    size_t dim = json_object_array_length(array);
    TRY(builder_dim(b, dim, line));
    float *row;
    TRY(builder_row(b, &row));
    for (size_t i = 0; i < dim; i++) {
        struct json_object *item = json_object_array_get_idx(array, i);
        if (!json_object_is_type(item, json_type_double) &&
            !json_object_is_type(item, json_type_int))
            return FAIL_AT(b->err, KITH_ESYNTAX, line,
                           "line %lld, value %zu: %.40s is not a number", (long long)line, i + 1,
                           json_object_to_json_string(item));
        row[i] = (float)json_object_get_double(item);
        if (!isfinite(row[i]))
            return FAIL_AT(b->err, KITH_ENONFINITE, line,
                           "line %lld, value %zu: %.40s is not finite in float32", (long long)line,
                           i + 1, json_object_to_json_string(item));
    }
    return KITH_OK;
}

static int add_item(builder *b, struct json_object *item, int64_t line) {
    if (json_object_is_type(item, json_type_array)) return add_values(b, item, line);
    struct json_object *vector =
        json_object_is_type(item, json_type_object) ? vector_of(item) : NULL;
    if (!vector || !json_object_is_type(vector, json_type_array))
        return FAIL_AT(
            b->err, KITH_ESYNTAX, line,
            "line %lld is neither an array of numbers nor an object with a \"vector\" array",
            (long long)line);
    TRY(add_values(b, vector, line));
    struct json_object *id;
    if (!json_object_object_get_ex(item, "id", &id)) {
        if (!b->ids && !b->words) return KITH_OK;
        return FAIL_AT(b->err, KITH_ESYNTAX, line, "line %lld has no \"id\", the first row has one",
                       (long long)line);
    }
    return add_id(b, id, line);
}

static int parse_lines(builder *b, json_tokener *parser, blob bytes) {
    line_reader lines = {(const char *)bytes.data, (const char *)bytes.data + bytes.n, 0};
    for (field line; line_next(&lines, &line);) {
        size_t spaces = 0;
        while (spaces < line.n && (line.begin[spaces] == ' ' || line.begin[spaces] == '\t'))
            spaces++;
        if (spaces == line.n) continue;
        struct json_object *value;
        TRY(json_value_parse(parser, line, lines.number, &value, b->err));
        int code = add_item(b, value, lines.number);
        json_object_put(value);
        TRY(code);
    }
    return KITH_OK;
}

/* The whole file as one array: item i stands for line i + 1. */
static int parse_document(builder *b, json_tokener *parser, blob bytes) {
    struct json_object *all;
    TRY(json_value_parse(parser, (field){(const char *)bytes.data, bytes.n}, 1, &all, b->err));
    int code = KITH_OK;
    size_t n = json_object_array_length(all);
    for (size_t i = 0; i < n && !code; i++)
        code = add_item(b, json_object_array_get_idx(all, i), (int64_t)i + 1);
    json_object_put(all);
    return code;
}

/* An array whose first item is an array or an object. */
static bool is_document(blob bytes) {
    size_t i = 0;
    int n_open = 0;
    for (; i < bytes.n && n_open < 2; i++) {
        if (memchr(" \t\r\n", bytes.data[i], 4)) continue;
        if (bytes.data[i] != '[' && (bytes.data[i] != '{' || n_open == 0)) return false;
        n_open++;
    }
    return n_open == 2;
}

int jsonl_parse(blob bytes, vectors *out, kith_error *err) {
    json_tokener *parser = json_tokener_new_ex(MAX_DEPTH);
    if (!parser) return FAIL(err, KITH_ENOMEM, "no memory for a JSON parser");
    json_tokener_set_flags(parser, JSON_TOKENER_STRICT);
    builder b = {.err = err};
    int code =
        is_document(bytes) ? parse_document(&b, parser, bytes) : parse_lines(&b, parser, bytes);
    if (!code) code = builder_finish(&b, out);
    builder_free(&b);
    json_tokener_free(parser);
    return code;
}
