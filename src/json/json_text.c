/* JSON text read for its places: the byte at which it goes wrong, the byte at which a value begins.
 *
 * simdjson tells that a text is wrong and not where, and its tree has no way back into the text. Both are wanted only for
 * errors, so this reader is plain: it follows RFC 8259 byte by byte, keeps open brackets in an array, and builds nothing.
 *
 * Invariants
 *   1. It refuses exactly what json_parse refuses for its syntax (tests/fuzz/fuzz_json.c).
 *   2. It counts the words of simdjson's tape as it passes tokens: the root and each bracket, string and literal one, a
 *      number two. A value is known by the word it stands at. */
#include "json/json_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "json/json.h"

struct reader {
    const uint8_t *text;
    size_t n, at;
    const char *what; /* of the fault at `at` */
};

static bool fault(struct reader *r, size_t at, const char *what) {
    r->at = at;
    r->what = what;
    return false;
}

static void skip_space(struct reader *r) {
    while (r->at < r->n && (r->text[r->at] == ' ' || r->text[r->at] == '\n' ||
                            r->text[r->at] == '\r' || r->text[r->at] == '\t'))
        r->at++;
}

static int peek(const struct reader *r) { return r->at < r->n ? r->text[r->at] : -1; }

/* ---- tokens ------------------------------------------------------------------------------------- */

/* Four hexadecimal digits at `at`; -1 when they are not there. */
static int32_t hex4(const struct reader *r, size_t at) {
    int32_t value = 0;
    if (r->n - at < 4) return -1;
    for (size_t i = at; i < at + 4; i++) {
        int c = r->text[i], letter = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (letter >= 'a' && letter <= 'f')
            value = value * 16 + (letter - 'a' + 10);
        else
            return -1;
    }
    return value;
}

/* After a backslash at r->at. */
static bool read_escape(struct reader *r) {
    size_t start = r->at++;
    int c = peek(r);
    if (c >= 0 && strchr("\"\\/bfnrt", c) && c != 0) {
        r->at++;
        return true;
    }
    if (c != 'u') return fault(r, start, "no such escape");
    int32_t unit = hex4(r, r->at + 1);
    if (unit < 0) return fault(r, start, "\\u without four hexadecimal digits");
    r->at += 5;
    if (unit >= 0xdc00 && unit < 0xe000) return fault(r, start, "half of a surrogate pair");
    if (unit < 0xd800 || unit >= 0xdc00) return true;
    if (r->n - r->at < 6 || r->text[r->at] != '\\' || r->text[r->at + 1] != 'u')
        return fault(r, start, "half of a surrogate pair");
    int32_t low = hex4(r, r->at + 2);
    if (low < 0xdc00 || low >= 0xe000) return fault(r, start, "half of a surrogate pair");
    r->at += 6;
    return true;
}

/* The length of the UTF-8 sequence at r->at, 0 when it is none (RFC 3629). */
static size_t utf8_length(const struct reader *r) {
    const uint8_t *p = r->text + r->at;
    size_t left = r->n - r->at, n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (n == 1) return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < n) return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return n;
}

static bool read_string(struct reader *r) {
    size_t start = r->at++;
    for (;;) {
        int c = peek(r);
        if (c < 0) return fault(r, start, "a string without its end");
        if (c == '"') {
            r->at++;
            return true;
        }
        if (c == '\\') {
            if (!read_escape(r)) return false;
            continue;
        }
        if (c < 0x20) return fault(r, r->at, "a control character in a string");
        size_t length = utf8_length(r);
        if (length == 0) return fault(r, r->at, "not UTF-8");
        r->at += length;
    }
}

static size_t read_digits(struct reader *r) {
    size_t start = r->at;
    while (r->at < r->n && r->text[r->at] >= '0' && r->text[r->at] <= '9') r->at++;
    return r->at - start;
}

/* Digits without leading zeros beside those of a limit of as many digits. */
static bool digits_above(const uint8_t *digits, size_t n, const char *limit) {
    size_t n_limit = strlen(limit);
    return n != n_limit ? n > n_limit : memcmp(digits, limit, n) > 0;
}

/* Whether a number with point or exponent rounds to infinity: its first digits and the power of ten they stand at. */
static bool overflows(const uint8_t *p, const uint8_t *end) {
    static const char limit[] = "17976931348623158079"; /* times 10^289, and a half unit is in it */
    char lead[sizeof limit] = "00000000000000000000";
    size_t n_lead = 0;
    int64_t power = -1, exponent = 0;
    bool point = false, negative = false;
    for (; p < end && (*p | 0x20) != 'e'; p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        if (n_lead > 0 || *p != '0') {
            if (n_lead < sizeof limit - 1) lead[n_lead++] = (char)*p;
            power += !point;
        } else {
            power -= point;
        }
    }
    if (n_lead == 0) return false;
    if (p < end) p++;
    if (p < end && (*p == '+' || *p == '-')) negative = *p++ == '-';
    for (; p < end; p++)
        if (exponent < INT64_MAX / 100) exponent = exponent * 10 + (*p - '0');
    power += negative ? -exponent : exponent;
    return power > 308 || (power == 308 && memcmp(lead, limit, sizeof limit - 1) >= 0);
}

static bool read_number(struct reader *r) {
    size_t start = r->at;
    bool whole = true, negative = peek(r) == '-';
    r->at += negative;
    size_t first = r->at, n_digits = read_digits(r), n_whole = n_digits;
    if (n_digits == 0) return fault(r, start, "not a value");
    if (n_digits > 1 && r->text[first] == '0')
        return fault(r, start, "a number that begins with 0");
    if (peek(r) == '.') {
        whole = false;
        r->at++;
        if (read_digits(r) == 0) return fault(r, start, "no digit after the point");
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        whole = false;
        r->at++;
        if (peek(r) == '+' || peek(r) == '-') r->at++;
        if (read_digits(r) == 0) return fault(r, start, "no digit in the exponent");
    }
    const char *most = negative ? "9223372036854775808" : "18446744073709551615";
    if (whole && digits_above(r->text + first, n_whole, most))
        return fault(r, start, "a whole number beyond 64 bits");
    if (!whole && overflows(r->text + first, r->text + r->at))
        return fault(r, start, "a number beyond a double");
    return true;
}

static bool read_literal(struct reader *r) {
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if (r->n - r->at >= n && memcmp(r->text + r->at, words[i], n) == 0) {
            r->at += n;
            return true;
        }
    }
    return fault(r, r->at, "not a value");
}

static bool read_scalar(struct reader *r) {
    int c = peek(r);
    if (c == '"') return read_string(r);
    if (c == '-' || (c >= '0' && c <= '9')) return read_number(r);
    return read_literal(r);
}

/* ---- the whole ---------------------------------------------------------------------------------- */

/* A member's name and its colon. */
static bool read_name(struct reader *r) {
    if (peek(r) != '"') return fault(r, r->at, "a name is missing");
    if (!read_string(r)) return false;
    skip_space(r);
    if (peek(r) != ':') return fault(r, r->at, "a colon is missing");
    r->at++;
    skip_space(r);
    return true;
}

/* After a value: the brackets that close here, and a comma with what must stand between it and the next value.
 * *depth is 0 when the root has ended. */
static bool read_ends(struct reader *r, const char *open, size_t *depth) {
    for (;;) {
        skip_space(r);
        if (*depth == 0) return true;
        char close = open[*depth - 1] == '{' ? '}' : ']';
        int c = peek(r);
        if (c == close) {
            r->at++;
            --*depth;
            continue;
        }
        if (c != ',') return fault(r, r->at, "a comma or the end of an array or object is missing");
        r->at++;
        skip_space(r);
        return close == ']' || read_name(r);
    }
}

/* A bracket that opens, and what stands between it and its first value; *empty when it closes at once. */
static bool read_begin(struct reader *r, char *open, size_t *depth, bool *empty) {
    char bracket = (char)peek(r);
    if (*depth == JSON_DEPTH) return fault(r, r->at, "arrays and objects more than 256 deep");
    open[(*depth)++] = bracket;
    r->at++;
    skip_space(r);
    *empty = peek(r) == (bracket == '{' ? '}' : ']');
    return *empty || bracket == '[' || read_name(r);
}

static bool read_all(struct reader *r) {
    char open[JSON_DEPTH];
    size_t depth = 0;
    skip_space(r);
    if (r->at == r->n) return fault(r, r->at, "no value");
    for (;;) {
        bool empty = false;
        int c = peek(r);
        if (c < 0) return fault(r, r->at, "the end, and a value is missing");
        if (c == '{' || c == '[') {
            if (!read_begin(r, open, &depth, &empty)) return false;
            if (!empty) continue;
        } else if (!read_scalar(r)) {
            return false;
        }
        if (!read_ends(r, open, &depth)) return false;
        if (depth == 0) break;
    }
    return r->at == r->n || fault(r, r->at, "something after the value");
}

size_t json_text_fault(const char *text, size_t n, const char **what) {
    struct reader r = {.text = (const uint8_t *)text, .n = n};
    read_all(&r);
    *what = r.what;
    return r.at;
}

size_t json_text_place(const char *text, size_t n, size_t word) {
    struct reader r = {.text = (const uint8_t *)text, .n = n};
    size_t here = 1; /* word 0 is the root's */
    while (r.at < n) {
        int c = peek(&r);
        if (strchr(" \n\r\t:,", c) && c != 0) {
            r.at++;
            continue;
        }
        if (here >= word) return r.at;
        here += c == '-' || (c >= '0' && c <= '9') ? 2 : 1;
        if (strchr("{}[]", c))
            r.at++;
        else if (!read_scalar(&r))
            return n;
    }
    return n;
}
