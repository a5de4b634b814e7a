/* Tables of numbers as text: fields between commas, tabs, semicolons or spaces.
 *
 * 1. The first line is a header when a field of it is not a number where the second line's is; a
 *    column headed id, name, word, key or label (or not headed at all) names the rows.
 * 2. Without a header, a first column that is not numeric names the rows.
 * 3. Names that are whole numbers from 0 on are ids, others are words. RFC 4180 quotes are understood,
 *    except for ends of line inside of them. */
#include "private.h"

#include <string.h>
#include <strings.h>

typedef struct table {
    builder rows;
    char delimiter;
    bool header;
    size_t name_column; /* SIZE_MAX: none */
    bool names_are_ids;
} table;

char csv_delimiter(field line) {
    if (memchr(line.begin, '\t', line.n)) return '\t';
    if (memchr(line.begin, ',', line.n)) return ',';
    if (memchr(line.begin, ';', line.n)) return ';';
    return ' ';
}

static void trim(field *f) {
    while (f->n && (f->begin[0] == ' ' || f->begin[0] == '\t')) f->begin++, f->n--;
    while (f->n && (f->begin[f->n - 1] == ' ' || f->begin[f->n - 1] == '\t')) f->n--;
}

bool csv_field(field *line, char delimiter, field *out, bool *more) {
    if (!*more) return false;
    if (delimiter == ' ') {
        trim(line);
        if (line->n == 0) return false;
    }
    size_t n = 0;
    bool quoted = false;
    for (; n < line->n; n++) {
        if (line->begin[n] == '"') quoted = !quoted;
        if (line->begin[n] == delimiter && !quoted) break;
    }
    *out = (field){line->begin, n};
    *more = n < line->n;
    size_t skip = *more ? n + 1 : n;
    line->begin += skip;
    line->n -= skip;
    trim(out);
    if (out->n >= 2 && out->begin[0] == '"' && out->begin[out->n - 1] == '"')
        *out = (field){out->begin + 1, out->n - 2};
    return true;
}

static bool is_number(field f) {
    float value;
    return number_parse(f.begin, f.n, &value);
}

static bool names_rows(field f) {
    static const char *const names[] = {"", "id", "name", "word", "key", "label"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (f.n == strlen(names[i]) && strncasecmp(f.begin, names[i], f.n) == 0) return true;
    return false;
}

/* Line 1 against line 2, field by field. */
static void look_ahead(table *t, field first, field second, bool two_lines) {
    bool more_a = true;
    bool more_b = two_lines;
    field a;
    field b = {"", 0};
    t->name_column = SIZE_MAX;
    field scan_a = first;
    field scan_b = second;
    while (csv_field(&scan_a, t->delimiter, &a, &more_a))
        if (csv_field(&scan_b, t->delimiter, &b, &more_b) && !is_number(a) && is_number(b))
            t->header = true;
    more_a = true;
    for (size_t column = 0; csv_field(&first, t->delimiter, &a, &more_a); column++) {
        bool names = t->header ? names_rows(a) : column == 0 && !is_number(a);
        if (names && t->name_column == SIZE_MAX) t->name_column = column;
    }
    if (!t->header || t->name_column != SIZE_MAX) return;
    /* A header without such a name, and a first column of text. */
    more_b = true;
    if (csv_field(&second, t->delimiter, &b, &more_b) && !is_number(b)) t->name_column = 0;
}

static size_t count_fields(field line, char delimiter) {
    size_t n = 0;
    bool more = true;
    for (field f; csv_field(&line, delimiter, &f, &more);) n++;
    return n;
}

/* "" inside of quotes stands for ". */
static void merge_quotes(char *text) {
    char *out = text;
    for (; *text; text++) {
        if (text[0] == '"' && text[1] == '"') text++;
        *out++ = *text;
    }
    *out = '\0';
}

static int add_name(table *t, field name, int64_t line) {
    int64_t id;
    bool whole = integer_parse(name.begin, name.n, &id) && id >= 0;
    if (t->rows.n == 1) t->names_are_ids = whole;
    if (!t->names_are_ids) {
        TRY(builder_word(&t->rows, name.begin, name.n));
        merge_quotes(t->rows.words[t->rows.n - 1]);
        return KITH_OK;
    }
    if (whole) return builder_id(&t->rows, id);
    return FAIL_AT(t->rows.err, KITH_ESYNTAX, line,
                   "line %lld: id \"%.*s\" is not a whole number from 0 on", (long long)line,
                   (int)(name.n < 40 ? name.n : 40), name.begin);
}

static int parse_line(table *t, field line, int64_t number) {
    size_t n_fields = count_fields(line, t->delimiter);
    bool named = t->name_column != SIZE_MAX;
    if (named && n_fields <= t->name_column)
        return FAIL_AT(t->rows.err, KITH_EDIM, number,
                       "line %lld has %zu fields, the id is in field %zu", (long long)number,
                       n_fields, t->name_column + 1);
    TRY(builder_dim(&t->rows, n_fields - (named ? 1 : 0), number));
    float *row;
    TRY(builder_row(&t->rows, &row));
    bool more = true;
    field f;
    for (size_t column = 0; csv_field(&line, t->delimiter, &f, &more); column++) {
        if (column == t->name_column)
            TRY(add_name(t, f, number));
        else
            TRY(number_field(f, number, column + 1, row++, t->rows.err));
    }
    return KITH_OK;
}

static int parse_lines(table *t, blob bytes) {
    line_reader lines = {(const char *)bytes.data, (const char *)bytes.data + bytes.n, 0};
    field first = {"", 0};
    field second = {"", 0};
    line_reader ahead = lines;
    while (first.n == 0 && line_next(&ahead, &first)) {}
    bool two_lines = line_next(&ahead, &second);
    t->delimiter = csv_delimiter(first);
    look_ahead(t, first, second, two_lines);
    bool skip = t->header;
    for (field line; line_next(&lines, &line);) {
        field trimmed = line;
        trim(&trimmed);
        if (trimmed.n == 0) continue;
        if (!skip) TRY(parse_line(t, line, lines.number));
        skip = false;
    }
    return KITH_OK;
}

int csv_parse(blob bytes, vectors *out, kith_error *err) {
    table t = {.rows = {.err = err}};
    int code = parse_lines(&t, bytes);
    if (!code) code = builder_finish(&t.rows, out);
    builder_free(&t.rows);
    return code;
}
