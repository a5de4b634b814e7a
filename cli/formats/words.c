/* word2vec's and GloVe's text: a word and its values a line, between single spaces.
 *
 *     400000 50            (word2vec only: rows and dimension)
 *     the 0.418 0.24968 -0.41242 ...
 *
 * A word may hold spaces (GloVe 840B has such): the values are counted from the end of the line. The
 * dimension is the header's, or without one the number of numbers at the end of the first line. */
#include "private.h"

#include <string.h>

/* The last field of a line, cut off from it; leading and trailing spaces are skipped. */
static bool last_field(field *line, field *out) {
    while (line->n && (line->begin[line->n - 1] == ' ' || line->begin[line->n - 1] == '\t'))
        line->n--;
    if (line->n == 0) return false;
    size_t begin = line->n;
    while (begin && line->begin[begin - 1] != ' ' && line->begin[begin - 1] != '\t') begin--;
    *out = (field){line->begin + begin, line->n - begin};
    line->n = begin;
    return true;
}

static size_t count_numbers(field line) {
    size_t n = 0;
    float value;
    for (field f; last_field(&line, &f) && number_parse(f.begin, f.n, &value);) n++;
    return n;
}

static size_t count_fields(field line) {
    size_t n = 0;
    for (field f; last_field(&line, &f);) n++;
    return n;
}

bool words_header(blob bytes, size_t *n, size_t *dim) {
    line_reader lines = {(const char *)bytes.data, (const char *)bytes.data + bytes.n, 0};
    field line;
    field last;
    field first;
    int64_t a;
    int64_t b;
    if (!line_next(&lines, &line) || count_fields(line) != 2) return false;
    if (!last_field(&line, &last) || !last_field(&line, &first)) return false;
    if (!integer_parse(first.begin, first.n, &a) || !integer_parse(last.begin, last.n, &b))
        return false;
    if (a < 1 || b < 1 || !line_next(&lines, &line)) return false;
    *n = (size_t)a;
    *dim = (size_t)b;
    return count_fields(line) > *dim;
}

/* Values of a line: the numbers behind the word, which may be a number itself. */
static size_t count_values(field line) {
    size_t n_numbers = count_numbers(line);
    return n_numbers && n_numbers == count_fields(line) ? n_numbers - 1 : n_numbers;
}

static int parse_line(builder *b, field line, int64_t number) {
    float *row;
    TRY(builder_row(b, &row));
    size_t n_fields = count_fields(line);
    if (n_fields <= b->dim)
        return FAIL_AT(b->err, KITH_EDIM, number,
                       "line %lld has %zu fields; a word and %zu values are needed",
                       (long long)number, n_fields, b->dim);
    for (size_t i = b->dim; i > 0; i--) {
        field f;
        last_field(&line, &f);
        TRY(number_field(f, number, n_fields - b->dim + i, &row[i - 1], b->err));
    }
    while (line.n && line.begin[line.n - 1] == ' ') line.n--;
    float value;
    field rest = line;
    field f;
    if (last_field(&rest, &f) && rest.n && number_parse(f.begin, f.n, &value) &&
        count_numbers(line) == count_fields(line))
        return FAIL_AT(b->err, KITH_EDIM, number, "line %lld has more than a word and %zu values",
                       (long long)number, b->dim);
    return builder_word(b, line.begin, line.n);
}

static int parse_lines(builder *b, blob bytes) {
    line_reader lines = {(const char *)bytes.data, (const char *)bytes.data + bytes.n, 0};
    size_t n_told = 0;
    size_t dim = 0;
    field line;
    bool header = words_header(bytes, &n_told, &dim);
    if (header) {
        line_next(&lines, &line);
        TRY(builder_dim(b, dim, 1));
    }
    while (line_next(&lines, &line)) {
        if (count_fields((field){line.begin, line.n < 64 ? line.n : 64}) == 0) continue;
        if (b->dim == 0) TRY(builder_dim(b, count_values(line), lines.number));
        TRY(parse_line(b, line, lines.number));
    }
    if (header && n_told != b->n)
        return FAIL(b->err, b->n < n_told ? KITH_ETRUNCATED : KITH_EFORMAT,
                    "line 1 tells %zu words, %zu are there", n_told, b->n);
    return KITH_OK;
}

int words_parse(blob bytes, vectors *out, kith_error *err) {
    builder b = {.err = err};
    int code = parse_lines(&b, bytes);
    if (!code) code = builder_finish(&b, out);
    builder_free(&b);
    return code;
}
