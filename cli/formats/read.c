/* From a path, or from bytes, to vectors or ids.
 *
 *     path -> blob -> inflate -> recognise -> view of the bytes, or a parser of text -> vectors, id_table */
#include "private.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_INFLATED ((size_t)PTRDIFF_MAX)

typedef enum want { WANT_VECTORS, WANT_ID_TABLE, WANT_ID_LIST } want;

/* Where the bytes came from. */
typedef struct source {
    const char *name; /* hint for recognition, or NULL */
    const char *file; /* a plain file that HDF5 can open itself, or NULL */
    const char *dataset;
    format format;
} source;

static int fail_unknown(blob bytes, kith_error *err) {
    if (bytes.n >= 8 && memcmp(bytes.data, "KITHIDX\n", 8) == 0)
        return FAIL(err, KITH_EFORMAT, "is a Kith index; a file of vectors is needed here");
    if (bin_fits(bytes, 1))
        return FAIL(err, KITH_EFORMAT, "can be u8bin or i8bin; name it so, or say --from");
    return FAIL(err, KITH_EFORMAT,
                "is not a file of vectors that kith knows (%zu bytes, first %02x %02x)", bytes.n,
                bytes.data[0], bytes.n > 1 ? bytes.data[1] : 0);
}

/* The view of a binary format, ids or vectors. storage holds what HDF5 gave. */
static int binary_view(source from, blob bytes, want what, matrix *out, blob *storage,
                       kith_error *err) {
    bool flat = what == WANT_ID_LIST;
    switch (from.format) {
    case FORMAT_FVECS: return vecs_view(bytes, ELEMENT_F32, out, err);
    case FORMAT_IVECS: return vecs_view(bytes, ELEMENT_I32, out, err);
    case FORMAT_BVECS: return vecs_view(bytes, ELEMENT_U8, out, err);
    case FORMAT_FBIN: return bin_view(bytes, ELEMENT_F32, out, err);
    case FORMAT_IBIN: return bin_view(bytes, ELEMENT_I32, out, err);
    case FORMAT_U8BIN: return bin_view(bytes, ELEMENT_U8, out, err);
    case FORMAT_I8BIN: return bin_view(bytes, ELEMENT_I8, out, err);
    case FORMAT_NPY: return npy_view(bytes, flat, out, err);
    case FORMAT_HDF5:
        return hdf5_read(bytes, from.file, from.dataset, flat,
                         what == WANT_VECTORS ? ELEMENT_F32 : ELEMENT_I64, out, storage, err);
    default: return fail_unknown(bytes, err);
    }
}

static bool is_text_format(format f) {
    return f == FORMAT_WORDS || f == FORMAT_CSV || f == FORMAT_TSV || f == FORMAT_JSONL;
}

static int parse_text(format f, blob bytes, vectors *out, kith_error *err) {
    if (f == FORMAT_WORDS) return words_parse(bytes, out, err);
    if (f == FORMAT_JSONL) return jsonl_parse(bytes, out, err);
    return csv_parse(bytes, out, err);
}

/* Inflate and recognise. */
static int prepare(source *from, blob *bytes, kith_error *err) {
    const uint8_t *before = bytes->data;
    TRY(blob_inflate(bytes, MAX_INFLATED, err));
    if (bytes->data != before) from->file = NULL;
    if (bytes->n == 0) return FAIL(err, KITH_EEMPTY, "is empty");
    if (from->format == FORMAT_AUTO) from->format = format_recognise(*bytes, from->name);
    return KITH_OK;
}

/* Takes the bytes: they are freed, or lie in out->backing. */
static int take_vectors(source from, blob bytes, vectors *out, kith_error *err) {
    *out = (vectors){0};
    blob storage = {0};
    matrix view = {0};
    int code = prepare(&from, &bytes, err);
    if (code) {
    } else if (is_text_format(from.format)) {
        code = parse_text(from.format, bytes, out, err);
    } else {
        if (!from.dataset) from.dataset = "train";
        code = binary_view(from, bytes, WANT_VECTORS, &view, &storage, err);
        if (!code) code = matrix_to_vectors(&view, storage.data ? &storage : &bytes, out, err);
    }
    out->format = from.format;
    blob_free(&storage);
    blob_free(&bytes);
    if (code) *out = (vectors){0};
    return code;
}

static int take_ids(source from, blob bytes, want what, id_table *out, kith_error *err) {
    *out = (id_table){0};
    blob storage = {0};
    matrix view = {0};
    int code = prepare(&from, &bytes, err);
    if (code) {
    } else if (is_text_format(from.format)) {
        code = what == WANT_ID_LIST ? id_text_parse(bytes, out, err)
                                    : FAIL(err, KITH_EFORMAT,
                                           "is text; rows of ids come as ivecs, npy, ibin or hdf5");
    } else {
        if (!from.dataset) from.dataset = "neighbors";
        code = binary_view(from, bytes, what, &view, &storage, err);
        if (!code) code = matrix_to_ids(&view, out, err);
    }
    if (!code && what == WANT_ID_LIST)
        *out = (id_table){.n = out->n * out->k, .k = 1, .ids = out->ids};
    blob_free(&storage);
    blob_free(&bytes);
    return code;
}

void vectors_free(vectors *v) {
    for (size_t i = 0; v->words && i < v->n; i++) free(v->words[i]);
    free(v->words);
    free(v->ids);
    if (v->backing.data)
        blob_free(&v->backing);
    else
        free((void *)(uintptr_t)v->data);
    *v = (vectors){0};
}

void id_table_free(id_table *t) {
    free(t->ids);
    *t = (id_table){0};
}

/* ---- memory ----------------------------------------------------------------------------------- */

static source source_of_memory(const char *name, const read_options *options) {
    return (source){.name = name,
                    .dataset = options ? options->dataset : NULL,
                    .format = options ? options->format : FORMAT_AUTO};
}

int vectors_parse(vectors *out, blob bytes, const char *name, const read_options *options,
                  kith_error *err) {
    bytes.owner = BLOB_BORROWED;
    return take_vectors(source_of_memory(name, options), bytes, out, err);
}

int id_table_parse(id_table *out, blob bytes, const char *name, const read_options *options,
                   kith_error *err) {
    bytes.owner = BLOB_BORROWED;
    return take_ids(source_of_memory(name, options), bytes, WANT_ID_TABLE, out, err);
}

int id_list_parse(id_table *out, blob bytes, const char *name, const read_options *options,
                  kith_error *err) {
    bytes.owner = BLOB_BORROWED;
    return take_ids(source_of_memory(name, options), bytes, WANT_ID_LIST, out, err);
}

/* ---- files -------------------------------------------------------------------------------------- */

/* Open a path, or the part of it before ":dataset". *copy is what from points into; the caller frees it. */
static int open_source(const char *path, const read_options *options, source *from, char **copy,
                       blob *bytes, kith_error *err) {
    *from = source_of_memory(path, options);
    *copy = strdup(path);
    if (!*copy) return FAIL(err, KITH_ENOMEM, "no memory for a path");
    char *colon = strrchr(*copy, ':');
    if (colon && access(path, F_OK) != 0) {
        *colon = '\0';
        from->dataset = colon + 1;
    }
    from->name = from->file = *copy;
    if (strcmp(*copy, "-") == 0) from->name = from->file = NULL;
    return blob_read(bytes, *copy, err);
}

int vectors_read(vectors *out, const char *path, const read_options *options, kith_error *err) {
    *out = (vectors){0};
    source from;
    char *copy;
    blob bytes = {0};
    int code = open_source(path, options, &from, &copy, &bytes, err);
    if (!code) code = take_vectors(from, bytes, out, err);
    free(copy);
    return code;
}

static int read_ids(id_table *out, const char *path, const read_options *options, want what,
                    kith_error *err) {
    *out = (id_table){0};
    source from;
    char *copy;
    blob bytes = {0};
    int code = open_source(path, options, &from, &copy, &bytes, err);
    if (!code) code = take_ids(from, bytes, what, out, err);
    free(copy);
    return code;
}

int id_table_read(id_table *out, const char *path, const read_options *options, kith_error *err) {
    return read_ids(out, path, options, WANT_ID_TABLE, err);
}

int id_list_read(id_table *out, const char *path, const read_options *options, kith_error *err) {
    return read_ids(out, path, options, WANT_ID_LIST, err);
}
