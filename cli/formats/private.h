/* What the readers and writers of this folder share, and nobody else needs. */
#ifndef KITH_CLI_FORMATS_PRIVATE_H
#define KITH_CLI_FORMATS_PRIVATE_H

#include "formats.h"

#define FAIL(err, code, ...)        format_fail((err), (code), -1, __VA_ARGS__)
#define FAIL_AT(err, code, at, ...) format_fail((err), (code), (int64_t)(at), __VA_ARGS__)
#define TRY(expr)                                 \
    do {                                          \
        int try_code = (expr);                    \
        if (try_code != KITH_OK) return try_code; \
    } while (0)

/* The names that NumPy gives to element types: "f4", "u1". */
const char *element_numpy(element type);
bool element_of_numpy(const char *name, element *out);

/* Bytes of the file that a blob is the head of, or the whole. */
static inline size_t blob_whole(blob b) { return b.whole ? b.whole : b.n; }

/* ---- blob.c --------------------------------------------------------------------------------- */

int blob_read(blob *out, const char *path, kith_error *err);
/* Replace gzip'ed bytes by what they hold, at most max_bytes; others stay as they are. */
int blob_inflate(blob *b, size_t max_bytes, kith_error *err);
void blob_free(blob *b);

/* ---- matrix.c: views of binary formats ---------------------------------------------------------- */

static inline uint32_t load_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

bool multiply_sizes(size_t a, size_t b, size_t *product);
/* vectors take over the bytes when the view can be used as it is (*bytes is then emptied). */
int matrix_to_vectors(const matrix *m, blob *bytes, vectors *out, kith_error *err);
int matrix_to_ids(const matrix *m, id_table *out, kith_error *err);
/* One row to floats; `name` is its number for errors. */
int matrix_row(const matrix *m, size_t row, size_t name, float *out, kith_error *err);
/* Refuse the first value that is not finite. */
int rows_check_finite(const float *data, size_t n, size_t dim, kith_error *err);

/* Views of a head tell the shape of the whole, and where its rows begin; what the head lacks of them is not looked at. */
/* Whether the header of a *bin file of elements of this width tells the file's length. */
bool bin_fits(blob bytes, size_t width);
int vecs_view(blob bytes, element type, matrix *out, kith_error *err);
int bin_view(blob bytes, element type, matrix *out, kith_error *err);
/* flat: an array of one dimension is a column (k = 1), else it is refused. */
int npy_view(blob bytes, bool flat, matrix *out, kith_error *err);

/* ---- hdf5.c: reads a data set into memory, of float32 or of int64 ------------------------------- */

bool hdf5_magic(blob bytes);
int hdf5_read(blob bytes, const char *path, const char *dataset, bool flat, element type,
              matrix *out, blob *storage, kith_error *err);

/* ---- text ------------------------------------------------------------------------------------ */

/* Rows that arrive one by one: the first fixes the dimension. */
typedef struct builder {
    size_t n, dim, capacity; /* rows */
    float *data;
    int64_t *ids;
    char **words;
    kith_error *err;
} builder;

/* The next line of a text: [begin, end) without its end of line. */
typedef struct line_reader {
    const char *next, *end;
    int64_t number;
} line_reader;

/* A field that a line has been cut to. */
typedef struct field {
    const char *begin;
    size_t n;
} field;

int builder_dim(builder *b, size_t dim, int64_t line);
/* A place for one more row, filled by the caller. */
int builder_row(builder *b, float **row);
/* Name the row added last. A file names all of its rows by id, or all by word, or none. */
int builder_id(builder *b, int64_t id);
int builder_word(builder *b, const char *text, size_t n);
int builder_finish(builder *b, vectors *out);
void builder_free(builder *b);

bool line_next(line_reader *lines, field *line);
/* A number and nothing else. */
bool number_parse(const char *text, size_t n, float *out);
bool integer_parse(const char *text, size_t n, int64_t *out);
/* The number of a field of a line, or an error that names both. */
int number_field(field f, int64_t line, size_t column, float *out, kith_error *err);

bool words_header(blob bytes, size_t *n, size_t *dim);
int words_parse(blob bytes, vectors *out, kith_error *err);
int csv_parse(blob bytes, vectors *out, kith_error *err);
char csv_delimiter(field line);
/* Cut the next field off a line; false when none is left. Quotes are taken off. */
bool csv_field(field *line, char delimiter, field *out, bool *more);
int jsonl_parse(blob bytes, vectors *out, kith_error *err);
/* One JSON value and nothing but spaces behind it; errors name the line. */
int json_value_parse(struct json_tokener *parser, field text, int64_t line,
                     struct json_object **out, kith_error *err);
/* Numbers between spaces, commas and ends of line. */
int id_text_parse(blob bytes, id_table *out, kith_error *err);

#endif
