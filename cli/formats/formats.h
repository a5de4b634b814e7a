/* Vector files: readers that recognise a file by its content, and writers.
 *
 *     path or "-"  ->  blob (mapped, read or inflated bytes)  ->  matrix (a view) or text  ->  vectors, id_table
 *
 * 1. A reader never trusts a length: every product is checked, every byte is inside the blob.
 * 2. What it refuses it names: a sentence with the numbers in it, and in err->at the byte (binary files), the
 *    line (text files) or the row (values). The caller adds the name of the file.
 * 3. Vectors that a reader hands out are finite, have at least one row, and one dimension from 1 to KITH_MAX_DIM.
 * 4. On an error the output is empty, and nothing is left to free.
 *
 * The *_parse functions work on memory alone and are what the fuzz targets call. */
#ifndef KITH_CLI_FORMATS_H
#define KITH_CLI_FORMATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <kith/error.h>

/*   X(constant, name, what it is) */
#define FORMATS(X)                                                                        \
    X(FORMAT_FVECS, "fvecs", "int32 dimension, then float32 values, a row after another") \
    X(FORMAT_IVECS, "ivecs", "the same with int32 values")                                \
    X(FORMAT_BVECS, "bvecs", "the same with uint8 values")                                \
    X(FORMAT_NPY, "npy", "NumPy array")                                                   \
    X(FORMAT_FBIN, "fbin", "uint32 rows, uint32 dimension, then float32 values")          \
    X(FORMAT_IBIN, "ibin", "the same with int32 values")                                  \
    X(FORMAT_U8BIN, "u8bin", "the same with uint8 values")                                \
    X(FORMAT_I8BIN, "i8bin", "the same with int8 values")                                 \
    X(FORMAT_HDF5, "hdf5", "HDF5 with data sets train, test, neighbors, distances")       \
    X(FORMAT_WORDS, "words", "word2vec or GloVe text: a word and its values a line")      \
    X(FORMAT_CSV, "csv", "comma-separated values")                                        \
    X(FORMAT_TSV, "tsv", "tab-separated values")                                          \
    X(FORMAT_JSONL, "jsonl", "a JSON array or object a line")

typedef enum format {
    FORMAT_AUTO = 0, /* recognise by content */
#define FORMAT_ENUM(constant, name, text) constant,
    FORMATS(FORMAT_ENUM)
#undef FORMAT_ENUM
} format;

/* Element types of binary files. */
typedef enum element {
    ELEMENT_F32,
    ELEMENT_F16,
    ELEMENT_F64,
    ELEMENT_U8,
    ELEMENT_I8,
    ELEMENT_U16,
    ELEMENT_I16,
    ELEMENT_U32,
    ELEMENT_I32,
    ELEMENT_U64,
    ELEMENT_I64
} element;

/* Bytes of a file, and who frees them. */
typedef struct blob {
    const uint8_t *data;
    size_t n;
    enum { BLOB_BORROWED, BLOB_HEAP, BLOB_MAP } owner;
    size_t whole; /* these are the first n bytes of so many; 0: they are all */
} blob;

/* A view of a binary array: row i begins at data + i * stride. */
typedef struct matrix {
    element type;
    size_t n, dim, stride;
    const uint8_t *data;
} matrix;

/* Rows of float32, with the ids or the words that the file gave them. */
typedef struct vectors {
    size_t n, dim;
    const float *data; /* n rows of dim */
    int64_t *ids;      /* n, or NULL */
    char **words;      /* n, or NULL */
    format format;     /* what the file was */
    element type;      /* what its elements were */
    blob backing;      /* where data lies when it was not copied, else empty */
} vectors;

/* Rows of k ids: the answers to queries, or with k = 1 a list. */
typedef struct id_table {
    size_t n, k;
    int64_t *ids;
} id_table;

/* How to read. All zero: recognise by content, data set "train". */
typedef struct read_options {
    format format;
    const char *dataset; /* HDF5: the data set to take when the path names none */
} read_options;

/* ---- names ---------------------------------------------------------------------------------- */

/* The format that a name ("fvecs") means; FORMAT_AUTO for none. */
format format_parse(const char *name);
const char *format_name(format f);
/* The format that a file name ends in, ".gz" set aside; FORMAT_AUTO for none. */
format format_of_path(const char *path);
const char *element_name(element type);
size_t element_bytes(element type);
/* The element that a name ("f32") means; false for none. */
bool element_parse(const char *name, element *out);

/* Fill err (nullable); returns code. */
int format_fail(kith_error *err, int code, int64_t at, const char *text, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- reading files: "-" is standard input, "x.hdf5:test" a data set ----------------------------- */

int vectors_read(vectors *out, const char *path, const read_options *options, kith_error *err);
int id_table_read(id_table *out, const char *path, const read_options *options, kith_error *err);
/* A flat list of ids, from any file of ids or a text of numbers: n ids in a table of k = 1. */
int id_list_read(id_table *out, const char *path, const read_options *options, kith_error *err);
void vectors_free(vectors *v);
void id_table_free(id_table *t);

/* ---- reading rows block by block ------------------------------------------------------------------ */

/* Rows of a file, of which only what is asked for is read: npy, vecs and bin files that are not gzip'ed. Others are read whole
 * when they are opened, and `held` has them. */
typedef struct row_stream {
    size_t n, dim;
    format format;
    vectors held;
    matrix shape; /* of the file; its data are not there */
    size_t rows_at;
    int fd;
    uint8_t *raw; /* a piece of the file */
} row_stream;

int row_stream_open(row_stream *out, const char *path, const read_options *options,
                    kith_error *err);
void row_stream_close(row_stream *stream);
/* Rows [first, first + n) to out[n][dim]; the context of a kith_rows. Values are not looked at: they may be anything that a
 * float can be. */
int row_stream_read(void *stream, uint64_t first, size_t n, float *out, kith_error *err);

/* ---- reading JSON line by line -------------------------------------------------------------------- */

struct json_object;
struct json_tokener;
struct gzFile_s;

/* A file of JSON values, one a line, of which a piece is in memory. Closed also when it could not be opened. */
typedef struct json_lines {
    const char *path;
    struct gzFile_s *file;
    struct json_tokener *parser;
    char *text;
    size_t begin, end, room; /* of text: what was read and not yet given */
    bool ended;
    int64_t number;   /* of the line given last, from 1 */
    uint64_t n_bytes; /* of the file; 0 where unknown */
} json_lines;

int json_lines_open(json_lines *out, const char *path, kith_error *err);
/* The next value, which the caller puts; NULL at the end. Empty lines are passed over. A `null` is an error. */
int json_lines_next(json_lines *lines, struct json_object **out, kith_error *err);
/* Bytes of the file that were read. */
uint64_t json_lines_done(const json_lines *lines);
void json_lines_close(json_lines *lines);

/* ---- reading memory, gzip'ed or plain. name is a hint for ties of content, and may be NULL ------ */

int vectors_parse(vectors *out, blob bytes, const char *name, const read_options *options,
                  kith_error *err);
int id_table_parse(id_table *out, blob bytes, const char *name, const read_options *options,
                   kith_error *err);
int id_list_parse(id_table *out, blob bytes, const char *name, const read_options *options,
                  kith_error *err);
/* The format of these bytes; FORMAT_AUTO when it is none of them or cannot be told. */
format format_recognise(blob bytes, const char *name);

/* ---- writing: "-" is standard output ------------------------------------------------------------ */

typedef struct write_options {
    format format; /* FORMAT_AUTO: by the ending of the path */
    bool typed;    /* npy: write elements of this type, else float32 */
    element type;
} write_options;

int vectors_write(const vectors *v, const char *path, const write_options *options,
                  kith_error *err);
/* .ivecs, .ibin (ids below 2^31) and .npy (int64). */
int id_table_write(const id_table *t, const char *path, const write_options *options,
                   kith_error *err);

#endif
