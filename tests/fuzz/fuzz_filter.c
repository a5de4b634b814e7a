/* Any filter text and payload, a line feed between them: refused with its byte, or a program whose opposite says the
 * opposite of every payload. */
#include <string.h>

#include "filter/filter.h"

#include "fuzz.h"

static void check_payload(struct filter *filter, const char *text, size_t n) {
    struct json_parser *parser;
    kith_id id = kith_id_number(7);
    struct filter_point point = {.id = &id, .vectors = 1};
    if (json_parser_new(&parser, NULL, NULL) != KITH_OK) abort();
    if (json_parse(parser, text, n, JSON_CHECKED, &point.payload, NULL) == KITH_OK) {
        struct filter_condition *whole = filter_new_condition(filter, FILTER_GROUP);
        struct filter_group *opposite = filter_new_group(filter);
        if (!whole || !opposite) abort();
        whole->group = filter->root;
        filter_add(opposite, FILTER_MUST_NOT, whole);
        if (filter_matches(filter, &point) == filter_group_matches(opposite, &point))
            fuzz_broken("a filter and its opposite agree");
    }
    json_parser_free(parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct filter *filter;
    struct json_text vector = {"image", 5};
    kith_error err = {0};
    const char *text = (const char *)data, *end = memchr(text, '\n', size);
    size_t n = end ? (size_t)(end - text) : size;
    int code = filter_parse(&filter, text, n, NULL, &err);
    if (code == KITH_OK) {
        filter_bind_vectors(filter, &vector, 1);
        if (filter_check(filter, &err) != KITH_OK) fuzz_broken("%s", err.text);
        if (end) check_payload(filter, end + 1, size - n - 1);
        filter_free(filter);
    } else if (code != KITH_EFILTER || err.at < 0 || (size_t)err.at > n) {
        fuzz_broken("refused with code %d at %d: %s", code, (int)err.at, err.text);
    }
    return 0;
}
