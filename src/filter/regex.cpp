// Regular expressions: RE2 behind regex.h, the only file that knows it (decision 0041).
//
// RE2 throws nothing of its own. What `new` throws when memory is short is caught here: KITH_ENOMEM for a pattern, no match
// for a text. Its memory is bounded by REGEX_BYTES a pattern, comes from the C++ heap and is in no account.
#include "filter/regex.h"

#include <new>

#include <re2/re2.h>

extern "C" {
#include "base/status.h"
}

struct regex {
    re2::RE2 re2;
};

int regex_new(regex **out, const char *pattern, size_t n, kith_error *err) try {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(REGEX_BYTES);
    auto *made = new regex{{re2::StringPiece(pattern, n), options}};
    if (!made->re2.ok()) {
        int code = FAIL(err, KITH_EFILTER, "regex: %s", made->re2.error().c_str());
        delete made;
        return code;
    }
    *out = made;
    return KITH_OK;
} catch (...) {
    return FAIL(err, KITH_ENOMEM, "no memory for a regex of %zu bytes", n);
}

void regex_free(regex *made) { delete made; }

bool regex_matches(const regex *made, const char *text, size_t n) try {
    return re2::RE2::FullMatch(re2::StringPiece(text, n), made->re2);
} catch (...) {
    return false;
}
