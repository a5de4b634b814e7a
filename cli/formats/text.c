/* What text formats share: lines, fields, numbers, and rows that arrive one by one.
 *
 * Numbers are read as strtof reads them, to the last bit. Nearly all take a short way: up to 2^53 as digits
 * and a power of ten up to 22 are one exact division or product of doubles (Clinger 1990), and rounding
 * that to float32 is right unless it lies half-way between two; those go to strtof. */
#include "private.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <kith/vector.h>

/* ---- lines and fields ------------------------------------------------------------------------ */

bool line_next(line_reader *lines, field *line) {
    if (lines->next >= lines->end) return false;
    const char *begin = lines->next;
    const char *stop = memchr(begin, '\n', (size_t)(lines->end - begin));
    lines->next = stop ? stop + 1 : lines->end;
    size_t n = (size_t)((stop ? stop : lines->end) - begin);
    if (n && begin[n - 1] == '\r') n--;
    if (lines->number == 0 && n >= 3 && memcmp(begin, "\xef\xbb\xbf", 3) == 0) begin += 3, n -= 3;
    lines->number++;
    *line = (field){begin, n};
    return true;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static bool number_slow(const char *text, size_t n, float *out) {
    char copy[128];
    if (n == 0 || n >= sizeof copy) return false;
    if (text[0] == ' ' || memchr(text, 'x', n) || memchr(text, 'X', n)) return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    char *stop;
    *out = strtof(copy, &stop);
    return stop == copy + n;
}

/* Digits and a point into an integer and a power of ten; the number of characters used, 0 to give up. */
static size_t scan_decimal(const char *text, size_t n, uint64_t *mantissa, int *power) {
    size_t i = 0;
    int n_digits = 0;
    bool point = false;
    *mantissa = 0;
    *power = 0;
    for (; i < n; i++) {
        if (text[i] == '.' && !point) {
            point = true;
            continue;
        }
        unsigned digit = (unsigned)(text[i] - '0');
        if (digit > 9) break;
        if (*mantissa || digit) n_digits++;
        if (n_digits > 18) return 0;
        *mantissa = *mantissa * 10 + digit;
        if (point) (*power)--;
    }
    return i > (point ? 1u : 0u) ? i : 0;
}

bool number_parse(const char *text, size_t n, float *out) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    size_t i = n && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    uint64_t mantissa;
    int power;
    size_t used = scan_decimal(text + i, n - i, &mantissa, &power);
    if (used == 0) return number_slow(text, n, out);
    i += used;
    if (i < n && (text[i] == 'e' || text[i] == 'E')) {
        bool minus = i + 1 < n && text[i + 1] == '-';
        size_t digits = i + 1 + (i + 1 < n && (minus || text[i + 1] == '+') ? 1 : 0);
        int value = 0;
        if (digits == n || n - digits > 3) return number_slow(text, n, out);
        for (i = digits; i < n && text[i] >= '0' && text[i] <= '9'; i++)
            value = value * 10 + (text[i] - '0');
        power += minus ? -value : value;
    }
    if (i != n) return number_slow(text, n, out);
    if (mantissa >> 53 || power < -22 || power > 22) return number_slow(text, n, out);
    double value = power < 0 ? (double)mantissa / powers[-power] : (double)mantissa * powers[power];
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bool halfway = (bits & 0x1fffffff) == 0x10000000;
    if (halfway || (value != 0.0 && (value < 1e-37 || value > 1e38)))
        return number_slow(text, n, out);
    *out = (float)(text[0] == '-' ? -value : value);
    return true;
}

bool integer_parse(const char *text, size_t n, int64_t *out) {
    size_t i = n && text[0] == '-' ? 1 : 0;
    if (i == n) return false;
    int64_t value = 0;
    for (; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
            __builtin_sub_overflow(value, (int64_t)(text[i] - '0'), &value))
            return false;
    }
    if (text[0] != '-' && value == INT64_MIN) return false;
    *out = text[0] == '-' ? value : -value;
    return true;
}

int number_field(field f, int64_t line, size_t column, float *out, kith_error *err) {
    int shown = (int)(f.n < 40 ? f.n : 40);
    if (!number_parse(f.begin, f.n, out))
        return FAIL_AT(err, KITH_ESYNTAX, line, "line %lld, field %zu: \"%.*s\" is not a number",
                       (long long)line, column, shown, f.begin);
    if (!isfinite(*out))
        return FAIL_AT(err, KITH_ENONFINITE, line,
                       "line %lld, field %zu: %.*s is not finite in float32", (long long)line,
                       column, shown, f.begin);
    return KITH_OK;
}

int id_text_parse(blob bytes, id_table *out, kith_error *err) {
    line_reader lines = {(const char *)bytes.data, (const char *)bytes.data + bytes.n, 0};
    id_table t = {.k = 1};
    size_t capacity = 0;
    for (field line; line_next(&lines, &line);) {
        for (size_t i = 0; i < line.n;) {
            if (memchr(" \t,;", line.begin[i], 4)) {
                i++;
                continue;
            }
            size_t n = 0;
            while (i + n < line.n && !memchr(" \t,;", line.begin[i + n], 4)) n++;
            if (t.n == capacity) {
                capacity = capacity ? capacity * 2 : 1024;
                int64_t *more = realloc(t.ids, capacity * sizeof *more);
                if (!more) {
                    id_table_free(&t);
                    return FAIL(err, KITH_ENOMEM, "no memory for %zu ids", capacity);
                }
                t.ids = more;
            }
            if (!integer_parse(line.begin + i, n, &t.ids[t.n++])) {
                id_table_free(&t);
                return FAIL_AT(err, KITH_ESYNTAX, lines.number, "line %lld: \"%.*s\" is not an id",
                               (long long)lines.number, (int)(n < 40 ? n : 40), line.begin + i);
            }
            i += n;
        }
    }
    if (t.n == 0) return FAIL(err, KITH_EEMPTY, "holds no ids");
    *out = t;
    return KITH_OK;
}

/* ---- rows that arrive one by one --------------------------------------------------------------- */

int builder_dim(builder *b, size_t dim, int64_t line) {
    if (b->dim == 0 && (dim == 0 || dim > KITH_MAX_DIM))
        return FAIL_AT(b->err, KITH_EDIM, line, "line %lld has %zu values, 1 to %u are possible",
                       (long long)line, dim, KITH_MAX_DIM);
    if (b->dim == 0) b->dim = dim;
    if (dim != b->dim)
        return FAIL_AT(b->err, KITH_EDIM, line, "line %lld has %zu values, the first row has %zu",
                       (long long)line, dim, b->dim);
    return KITH_OK;
}

static bool resize(void *array, size_t n, size_t width) {
    void *old;
    memcpy(&old, array, sizeof old);
    size_t n_bytes;
    void *more = multiply_sizes(n, width, &n_bytes) ? realloc(old, n_bytes) : NULL;
    if (more) memcpy(array, &more, sizeof more);
    return more;
}

int builder_row(builder *b, float **row) {
    if (b->n == b->capacity) {
        size_t wanted = b->capacity ? b->capacity * 2 : 256;
        bool done = resize(&b->data, wanted, b->dim * sizeof(float));
        if (done && b->ids) done = resize(&b->ids, wanted, sizeof *b->ids);
        if (done && b->words) done = resize(&b->words, wanted, sizeof *b->words);
        if (!done)
            return FAIL(b->err, KITH_ENOMEM, "no memory for %zu rows of %zu", wanted, b->dim);
        b->capacity = wanted;
    }
    *row = b->data + b->n * b->dim;
    if (b->words) b->words[b->n] = NULL;
    b->n++;
    return KITH_OK;
}

int builder_id(builder *b, int64_t id) {
    if (!b->ids && b->n == 1 && !resize(&b->ids, b->capacity, sizeof *b->ids))
        return FAIL(b->err, KITH_ENOMEM, "no memory for ids");
    if (!b->ids)
        return FAIL(b->err, KITH_ESYNTAX, "row %zu has the id %lld, the first has %s", b->n - 1,
                    (long long)id, b->words ? "a word" : "none");
    b->ids[b->n - 1] = id;
    return KITH_OK;
}

int builder_word(builder *b, const char *text, size_t n) {
    if (!b->words && b->n == 1 && !b->ids) {
        if (!resize(&b->words, b->capacity, sizeof *b->words))
            return FAIL(b->err, KITH_ENOMEM, "no memory for words");
    }
    if (!b->words)
        return FAIL(b->err, KITH_ESYNTAX, "row %zu has the name \"%.*s\", the first has %s",
                    b->n - 1, (int)(n < 40 ? n : 40), text, b->ids ? "a number" : "none");
    char *word = malloc(n + 1);
    if (!word) return FAIL(b->err, KITH_ENOMEM, "no memory for words");
    memcpy(word, text, n);
    word[n] = '\0';
    b->words[b->n - 1] = word;
    return KITH_OK;
}

int builder_finish(builder *b, vectors *out) {
    if (b->n == 0) return FAIL(b->err, KITH_EEMPTY, "holds no rows");
    *out = (vectors){.n = b->n,
                     .dim = b->dim,
                     .data = b->data,
                     .ids = b->ids,
                     .words = b->words,
                     .type = ELEMENT_F32};
    *b = (builder){0};
    return KITH_OK;
}

void builder_free(builder *b) {
    for (size_t i = 0; b->words && i < b->n; i++) free(b->words[i]);
    free(b->words);
    free(b->ids);
    free(b->data);
    *b = (builder){0};
}
