/* The error table, from code to words. <kith/error.h> holds the table itself. */
#include <kith/error.h>

const char *kith_code_name(int code) {
    switch (code) {
#define NAME(name, number, text, http, python) \
    case number: return #name;
        KITH_ERRORS(NAME)
#undef NAME
    default: return "KITH_?";
    }
}

const char *kith_code_text(int code) {
    switch (code) {
#define TEXT(name, number, text, http, python) \
    case number: return text;
        KITH_ERRORS(TEXT)
#undef TEXT
    default: return "KITH_?";
    }
}

int kith_code_http(int code) {
    switch (code) {
#define HTTP(name, number, text, http, python) \
    case number: return http;
        KITH_ERRORS(HTTP)
#undef HTTP
    default: return 500;
    }
}

const char *kith_code_python(int code) {
    switch (code) {
#define PYTHON(name, number, text, http, python) \
    case number: return python;
        KITH_ERRORS(PYTHON)
#undef PYTHON
    default: return "RuntimeError";
    }
}
