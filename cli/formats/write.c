/* Writers: every binary format is a layout (a prefix for the file or for each row) and an element type.
 *
 * 1. What does not fit the element type is refused with its row and value; nothing is rounded to integers.
 * 2. A file is written aside and renamed, so that an error leaves the old one. Standard output cannot be
 *    taken back: there an error leaves a short stream and an exit status. */
#include "private.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)1 << 20)

typedef struct writer {
    FILE *file;
    char *temporary; /* path to rename, or NULL on standard output */
    const char *path;
    format format;
    element type;
    size_t n, dim;
    kith_error *err;
} writer;

static int fail_write(const writer *w) {
    int code = errno == ENOSPC || errno == EDQUOT ? KITH_ENOSPC : KITH_EIO;
    return FAIL(w->err, code, "cannot be written: %s", strerror(errno));
}

static int writer_open(writer *w, const char *path) {
    w->path = path;
    if (strcmp(path, "-") == 0) {
        w->file = stdout;
        return KITH_OK;
    }
    if (asprintf(&w->temporary, "%s.XXXXXX", path) < 0) {
        w->temporary = NULL;
        return FAIL(w->err, KITH_ENOMEM, "no memory for a path");
    }
    int fd = mkstemp(w->temporary);
    w->file = fd < 0 ? NULL : fdopen(fd, "wb");
    if (!w->file) {
        int code = fail_write(w);
        free(w->temporary);
        w->temporary = NULL;
        return code;
    }
    setvbuf(w->file, NULL, _IOFBF, BUFFER_BYTES);
    mode_t mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask);
    return KITH_OK;
}

/* Flush, and put the file in its place unless there was an error. */
static int writer_close(writer *w, int code) {
    if (!w->file) return code;
    if (!code && (ferror(w->file) || fflush(w->file))) code = fail_write(w);
    if (!w->temporary) return code;
    if (fclose(w->file) && !code) code = fail_write(w);
    if (!code && rename(w->temporary, w->path)) code = fail_write(w);
    if (code) unlink(w->temporary);
    free(w->temporary);
    return code;
}

static int put(const writer *w, const void *bytes, size_t n) {
    return fwrite(bytes, 1, n, w->file) == n ? KITH_OK : fail_write(w);
}

/* ---- layouts --------------------------------------------------------------------------------- */

static size_t store(uint8_t *p, uint64_t bits, size_t width) {
    for (size_t i = 0; i < width; i++) p[i] = (uint8_t)(bits >> (8 * i));
    return width;
}

static int put_u32(const writer *w, size_t value) {
    uint8_t bytes[4];
    return put(w, bytes, store(bytes, value, 4));
}

static int put_npy_header(const writer *w) {
    char text[128];
    const char *numpy = element_numpy(w->type);
    int n = snprintf(text, sizeof text,
                     "{'descr': '%c%s', 'fortran_order': False, 'shape': (%zu, %zu), }",
                     element_bytes(w->type) == 1 ? '|' : '<', numpy, w->n, w->dim);
    size_t padded = ((size_t)n + 11 + 63) / 64 * 64 - 10;
    memset(text + n, ' ', padded - (size_t)n - 1);
    text[padded - 1] = '\n';
    uint8_t head[10] = "\x93NUMPY\x01\x00";
    store(head + 8, padded, 2);
    TRY(put(w, head, sizeof head));
    return put(w, text, padded);
}

static bool is_vecs(format f) {
    return f == FORMAT_FVECS || f == FORMAT_IVECS || f == FORMAT_BVECS;
}

static int put_header(const writer *w) {
    if (w->format == FORMAT_NPY) return put_npy_header(w);
    if (is_vecs(w->format)) return KITH_OK;
    if (w->n > UINT32_MAX)
        return FAIL(w->err, KITH_ERANGE, "%zu rows; %s can tell 2^32 - 1", w->n,
                    format_name(w->format));
    TRY(put_u32(w, w->n));
    return put_u32(w, w->dim);
}

/* ---- values ------------------------------------------------------------------------------------ */

static bool integer_range(element type, double *low, double *high) {
    switch (type) {
    case ELEMENT_U8: *low = 0, *high = UINT8_MAX; return true;
    case ELEMENT_I8: *low = INT8_MIN, *high = INT8_MAX; return true;
    case ELEMENT_U16: *low = 0, *high = UINT16_MAX; return true;
    case ELEMENT_I16: *low = INT16_MIN, *high = INT16_MAX; return true;
    case ELEMENT_U32: *low = 0, *high = UINT32_MAX; return true;
    case ELEMENT_I32: *low = INT32_MIN, *high = INT32_MAX; return true;
    case ELEMENT_U64: *low = 0, *high = 0x1p63; return true;
    case ELEMENT_I64: *low = -0x1p63, *high = 0x1p62; return true;
    default: return false;
    }
}

/* binary16, rounded to nearest even; beyond its range the result is infinite. */
static uint16_t half_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x38800000) { /* below 2^-14: a multiple of 2^-24 */
        float scaled = fabsf(value) * 0x1p24f;
        return (uint16_t)(sign | (uint32_t)nearbyintf(scaled));
    }
    uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | (rounded - 0x38000000) >> 13);
}

static int encode(const writer *w, size_t row, size_t column, float value, uint8_t *p) {
    uint64_t bits = 0;
    double wide = (double)value;
    uint32_t word;
    double low;
    double high;
    if (integer_range(w->type, &low, &high)) {
        if (wide != floor(wide) || wide < low || wide > high)
            return FAIL_AT(w->err, KITH_ERANGE, row,
                           "row %zu, column %zu: %.9g is not a whole number that %s holds", row,
                           column, wide, element_name(w->type));
        bits = wide < 0 ? (uint64_t)(int64_t)wide : (uint64_t)wide;
    } else if (w->type == ELEMENT_F64) {
        memcpy(&bits, &wide, sizeof bits);
    } else if (w->type == ELEMENT_F16) {
        bits = half_bits(value);
        if ((bits & 0x7c00) == 0x7c00)
            return FAIL_AT(w->err, KITH_ERANGE, row, "row %zu, column %zu: %.9g is beyond f16", row,
                           column, wide);
    } else {
        memcpy(&word, &value, sizeof word);
        bits = word;
    }
    store(p, bits, element_bytes(w->type));
    return KITH_OK;
}

static int put_rows(const writer *w, const float *data) {
    size_t width = element_bytes(w->type);
    uint8_t *row_bytes = malloc(w->dim * width);
    if (!row_bytes) return FAIL(w->err, KITH_ENOMEM, "no memory for a row");
    int code = put_header(w);
    for (size_t row = 0; row < w->n && !code; row++) {
        for (size_t i = 0; i < w->dim && !code; i++)
            code = encode(w, row, i, data[row * w->dim + i], row_bytes + i * width);
        if (!code && is_vecs(w->format)) code = put_u32(w, w->dim);
        if (!code) code = put(w, row_bytes, w->dim * width);
    }
    free(row_bytes);
    return code;
}

/* ---- text ---------------------------------------------------------------------------------------- */

static void put_json_string(FILE *file, const char *text) {
    putc('"', file);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') putc('\\', file);
        if ((unsigned char)*text < 32)
            fprintf(file, "\\u%04x", (unsigned)*text);
        else
            putc(*text, file);
    }
    putc('"', file);
}

static void put_quoted(FILE *file, const char *text) {
    putc('"', file);
    for (; *text; text++) {
        if (*text == '"') putc('"', file);
        putc(*text, file);
    }
    putc('"', file);
}

static void put_name(const writer *w, const vectors *v, size_t row) {
    bool json = w->format == FORMAT_JSONL;
    if (v->ids)
        fprintf(w->file, "%lld", (long long)v->ids[row]);
    else if (v->words && json)
        put_json_string(w->file, v->words[row]);
    else if (v->words && w->format != FORMAT_WORDS && strpbrk(v->words[row], "\",\t"))
        put_quoted(w->file, v->words[row]);
    else if (v->words)
        fputs(v->words[row], w->file);
    else
        fprintf(w->file, "%zu", row);
}

static int put_text(const writer *w, const vectors *v) {
    bool json = w->format == FORMAT_JSONL;
    bool named = v->ids || v->words || w->format == FORMAT_WORDS;
    char separator = w->format == FORMAT_TSV ? '\t' : w->format == FORMAT_WORDS ? ' ' : ',';
    if (w->format == FORMAT_WORDS) fprintf(w->file, "%zu %zu\n", v->n, v->dim);
    if (named && (w->format == FORMAT_CSV || w->format == FORMAT_TSV)) {
        fputs("id", w->file);
        for (size_t i = 0; i < v->dim; i++) fprintf(w->file, "%cx%zu", separator, i);
        putc('\n', w->file);
    }
    for (size_t row = 0; row < v->n && !ferror(w->file); row++) {
        if (json) fputs(named ? "{\"id\":" : "", w->file);
        if (named) put_name(w, v, row);
        if (json) fputs(named ? ",\"vector\":[" : "[", w->file);
        for (size_t i = 0; i < v->dim; i++) {
            if (i || (named && !json)) putc(separator, w->file);
            fprintf(w->file, "%.9g", (double)v->data[row * v->dim + i]);
        }
        fputs(json ? named ? "]}\n" : "]\n" : "\n", w->file);
    }
    return ferror(w->file) ? fail_write(w) : KITH_OK;
}

/* ---- doors ------------------------------------------------------------------------------------- */

static int settle_format(writer *w, const char *path, const write_options *options) {
    w->format = options ? options->format : FORMAT_AUTO;
    if (w->format == FORMAT_AUTO) w->format = format_of_path(path);
    if (w->format == FORMAT_AUTO && strcmp(path, "-") == 0)
        return FAIL(w->err, KITH_EINVAL,
                    "standard output has no ending to tell the format; say --to");
    size_t n = strlen(path);
    if (n > 3 && strcasecmp(path + n - 3, ".gz") == 0)
        return FAIL(w->err, KITH_EUNSUPPORTED, "gzip is not written; write to - and pipe to gzip");
    return KITH_OK;
}

int vectors_write(const vectors *v, const char *path, const write_options *options,
                  kith_error *err) {
    writer w = {.n = v->n, .dim = v->dim, .err = err, .type = ELEMENT_F32};
    TRY(settle_format(&w, path, options));
    bool text = false;
    switch (w.format) {
    case FORMAT_FVECS:
    case FORMAT_FBIN: break;
    case FORMAT_NPY: w.type = options && options->typed ? options->type : ELEMENT_F32; break;
    case FORMAT_IVECS:
    case FORMAT_IBIN: w.type = ELEMENT_I32; break;
    case FORMAT_BVECS:
    case FORMAT_U8BIN: w.type = ELEMENT_U8; break;
    case FORMAT_I8BIN: w.type = ELEMENT_I8; break;
    case FORMAT_CSV:
    case FORMAT_TSV:
    case FORMAT_WORDS:
    case FORMAT_JSONL: text = true; break;
    default:
        return FAIL(err, KITH_EUNSUPPORTED,
                    "is of no format that is written: fvecs ivecs bvecs npy fbin ibin u8bin i8bin "
                    "csv tsv jsonl words");
    }
    TRY(writer_open(&w, path));
    return writer_close(&w, text ? put_text(&w, v) : put_rows(&w, v->data));
}

static int put_ids(const writer *w, const id_table *t) {
    size_t width = element_bytes(w->type);
    TRY(put_header(w));
    for (size_t row = 0; row < t->n; row++) {
        if (is_vecs(w->format)) TRY(put_u32(w, t->k));
        for (size_t i = 0; i < t->k; i++) {
            uint8_t bytes[8];
            int64_t id = t->ids[row * t->k + i];
            if (w->type == ELEMENT_I32 && (id > INT32_MAX || id < INT32_MIN))
                return FAIL_AT(w->err, KITH_ERANGE, row, "id %lld is beyond %s; write .npy",
                               (long long)id, format_name(w->format));
            TRY(put(w, bytes, store(bytes, (uint64_t)id, width)));
        }
    }
    return KITH_OK;
}

int id_table_write(const id_table *t, const char *path, const write_options *options,
                   kith_error *err) {
    writer w = {.n = t->n, .dim = t->k, .err = err, .type = ELEMENT_I32};
    TRY(settle_format(&w, path, options));
    if (w.format == FORMAT_NPY) w.type = ELEMENT_I64;
    if (w.format != FORMAT_NPY && w.format != FORMAT_IVECS && w.format != FORMAT_IBIN)
        return FAIL(err, KITH_EUNSUPPORTED, "ids are written as .ivecs, .ibin or .npy");
    TRY(writer_open(&w, path));
    return writer_close(&w, put_ids(&w, t));
}
