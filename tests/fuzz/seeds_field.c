/* Seeds of fuzz_field: an index of each type, saved. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "filter/field.h"

#include "fuzz.h"
#include "seeds_field.h"

void fuzz_put_fields(void (*put)(const char *target, const char *name, const void *bytes,
                                 size_t n)) {
    static const char *const payloads[] = {
        "{\"a\":[\"x\",\"xy\",null,1,true]}",
        "{\"a\":[3,-2.5,18446744073709551615,4]}",
        "{\"a\":false}",
        "{\"a\":[\"2024-05-06\",\"550e8400-e29b-41d4-a716-446655440000\",\"550E8400-e29b-41d4-a716-446655440000\"]}",
        "{\"a\":[{\"lon\":1,\"lat\":1},{\"lon\":-170,\"lat\":80}]}",
        "{\"a\":null}",
        "{}"};
    enum { PAYLOADS = sizeof payloads / sizeof *payloads };
    struct json_parser *parser;
    if (json_parser_new(&parser, NULL, NULL) != KITH_OK) abort();
    for (int type = 0; type < FIELD_TYPES; type++) {
        struct arena arena = {0};
        struct path path;
        struct field *field;
        struct json_value root;
        uint8_t *bytes;
        size_t n;
        if (path_parse(&path, "a", 1, &arena, NULL) ||
            field_new(&field, (enum field_type)type, &path, NULL, NULL))
            abort();
        for (uint32_t row = 0; row < 300; row++) { /* beyond the small form of postings */
            const char *text = payloads[row % PAYLOADS];
            if (json_parse(parser, text, strlen(text), JSON_TRUSTED, &root, NULL) ||
                field_add(field, row, root, NULL))
                abort();
        }
        if (field_save(field, &bytes, &n, NULL)) abort();
        put("field", field_type_name((enum field_type)type), bytes, n);
        mem_free(NULL, bytes, n);
        field_free(field);
        arena_deinit(&arena);
    }
    json_parser_free(parser);
}
