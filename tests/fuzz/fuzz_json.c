/* Any JSON text: parser and plain reader agree whether it is any, and where it goes wrong; what was parsed, written and
 * parsed again is the same text; each value is found again at its byte. */
#include <string.h>

#include "json/json.h"
#include "json/json_text.h"

#include "fuzz.h"

/* Values begin with what their type begins with. */
static void check_places(const struct json_parser *parser, const uint8_t *data, size_t size,
                         struct json_value value) {
    static const char *const begins[] = {"n",           "tf", "-0123456789", "123456789",
                                         "-0123456789", "\"", "[",           "{"};
    struct json_walk walk;
    struct json_value inner;
    size_t at = json_offset(parser, value);
    if (at >= size || !strchr(begins[json_type(value)], data[at]))
        fuzz_broken("a value of type %d at byte %zu of %zu", json_type(value), at, size);
    json_walk_init(&walk, value);
    while (json_next(&walk, NULL, &inner)) check_places(parser, data, size, inner);
}

static struct json_text write(struct json_writer *writer, struct json_value root) {
    struct json_text text;
    kith_error err;
    json_writer_reset(writer);
    json_put_value(writer, root);
    if (json_writer_text(writer, &text, &err) != KITH_OK) fuzz_broken("not written: %s", err.text);
    return text;
}

static void check_again(struct json_parser *parser, struct json_value root, const char *data,
                        size_t size) {
    struct json_writer *first, *second;
    struct json_text one, two;
    kith_error err;
    if (json_writer_new(&first, NULL, NULL) || json_writer_new(&second, NULL, NULL)) abort();
    one = write(first, root);
    if (json_parse(parser, one.bytes, one.n, JSON_CHECKED, &root, &err) != KITH_OK)
        fuzz_broken("what was written: %s", err.text);
    two = write(second, root);
    if (one.n != two.n || memcmp(one.bytes, two.bytes, one.n)) fuzz_broken("written twice");
    char *small = malloc(size + 1);
    size_t n = json_minify(data, size, small);
    if (json_parse(parser, small, n, JSON_CHECKED, &root, &err) != KITH_OK)
        fuzz_broken("minified: %s", err.text);
    two = write(second, root);
    if (one.n != two.n || memcmp(one.bytes, two.bytes, one.n)) fuzz_broken("minified is another");
    free(small);
    json_writer_free(first);
    json_writer_free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct json_parser *parser;
    struct json_value root;
    kith_error err = {0};
    const char *what = NULL;
    size_t at = json_text_fault((const char *)data, size, &what);
    if (json_parser_new(&parser, NULL, NULL) != KITH_OK) abort();
    int code = json_parse(parser, (const char *)data, size, JSON_TRUSTED, &root, &err);
    if ((code == KITH_OK) != (what == NULL))
        fuzz_broken("parsed with code %d, read: %s at byte %zu", code, what ? what : "no fault",
                    at);
    if (code != KITH_OK && (code != KITH_ESYNTAX || err.at < 0 || (size_t)err.at > size))
        fuzz_broken("refused with code %d at %d", code, (int)err.at);
    if (code == KITH_OK) {
        check_places(parser, data, size, root);
        if (json_parse(parser, (const char *)data, size, JSON_CHECKED, &root, &err) == KITH_OK)
            check_again(parser, root, (const char *)data, size);
        else if (code = err.code, code != KITH_ESYNTAX || !strstr(err.text, "twice"))
            fuzz_broken("checked: %s", err.text);
    }
    json_parser_free(parser);
    return 0;
}
