/* Which format some bytes have.
 *
 * Content decides: magics first (npy, HDF5), then text by its first lines, then the binary layouts
 * whose lengths add up. The ending of the name only breaks ties that content cannot (fvecs or ivecs,
 * u8bin or i8bin, all lengths that fit two layouts), and tells what a damaged file was meant to be. */
#include "private.h"

#include <string.h>

static bool is_text(blob bytes) {
    size_t n = bytes.n < 4096 ? bytes.n : 4096;
    if (n == 0) return false;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = bytes.data[i];
        if ((c < 32 && c != '\t' && c != '\n' && c != '\r') || c == 127) return false;
    }
    return true;
}

/* A word and numbers, between spaces: the words are what most first fields are. */
static bool is_words(blob bytes) {
    size_t n;
    size_t dim;
    if (words_header(bytes, &n, &dim)) return true;
    line_reader lines = {(const char *)bytes.data, (const char *)bytes.data + bytes.n, 0};
    for (field line; lines.number < 100 && line_next(&lines, &line);) {
        field f;
        float value;
        bool more = true;
        if (lines.number == 1 && csv_delimiter(line) != ' ') return false;
        if (csv_field(&line, ' ', &f, &more) && !number_parse(f.begin, f.n, &value)) return true;
    }
    return false;
}

static format recognise_text(blob bytes) {
    size_t i = 0;
    while (i < bytes.n && memchr(" \t\r\n", bytes.data[i], 4)) i++;
    if (i + 3 <= bytes.n && memcmp(bytes.data + i, "\xef\xbb\xbf", 3) == 0) i += 3;
    if (i < bytes.n && (bytes.data[i] == '{' || bytes.data[i] == '[')) return FORMAT_JSONL;
    if (is_words(bytes)) return FORMAT_WORDS;
    const void *stop = memchr(bytes.data, '\n', bytes.n);
    size_t n = stop ? (size_t)((const uint8_t *)stop - bytes.data) : bytes.n;
    return memchr(bytes.data, '\t', n) ? FORMAT_TSV : FORMAT_CSV;
}

/* Whether every row is led by the same dimension; looks at the first 1000 rows. */
static bool fits_vecs(blob bytes, size_t width) {
    if (bytes.n < 4) return false;
    size_t dim = load_u32(bytes.data);
    if (dim == 0 || dim > INT32_MAX) return false;
    size_t record = 4 + dim * width;
    if (blob_whole(bytes) % record) return false;
    for (size_t row = 0; row < 1000 && row * record + 4 <= bytes.n; row++)
        if (load_u32(bytes.data + row * record) != dim) return false;
    return true;
}

/* Small whole numbers are denormal or negative-NaN floats, which no file of vectors is full of. */
static bool looks_integral(const uint8_t *data, size_t n_bytes, size_t skip) {
    size_t n = (n_bytes < 40000 ? n_bytes : 40000) / 4;
    size_t n_zero = 0;
    for (size_t i = skip; i < n; i++) {
        int32_t value = (int32_t)load_u32(data + 4 * i);
        if (value >= 1 << 23 || value < -(1 << 22)) return false;
        n_zero += value == 0;
    }
    return n > skip && n_zero < n - skip;
}

static format recognise_binary(blob bytes, format hint) {
    struct candidate {
        format format;
        bool fits;
    } all[] = {
        {FORMAT_FVECS, fits_vecs(bytes, 4)}, {FORMAT_IVECS, fits_vecs(bytes, 4)},
        {FORMAT_BVECS, fits_vecs(bytes, 1)}, {FORMAT_FBIN, bin_fits(bytes, 4)},
        {FORMAT_IBIN, bin_fits(bytes, 4)},   {FORMAT_U8BIN, bin_fits(bytes, 1)},
        {FORMAT_I8BIN, bin_fits(bytes, 1)},
    };
    format first = FORMAT_AUTO;
    bool binary_hint = false;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        binary_hint |= all[i].format == hint;
        if (all[i].fits && all[i].format == hint) return hint;
        if (all[i].fits && first == FORMAT_AUTO) first = all[i].format;
    }
    if (first == FORMAT_FVECS && looks_integral(bytes.data, bytes.n, 0)) return FORMAT_IVECS;
    if (first == FORMAT_FBIN && looks_integral(bytes.data, bytes.n, 2)) return FORMAT_IBIN;
    if (first == FORMAT_U8BIN) return FORMAT_AUTO;
    if (first == FORMAT_AUTO && binary_hint) return hint;
    return first;
}

format format_recognise(blob bytes, const char *name) {
    format hint = name ? format_of_path(name) : FORMAT_AUTO;
    if (bytes.n >= 6 && memcmp(bytes.data, "\x93NUMPY", 6) == 0) return FORMAT_NPY;
    if (hdf5_magic(bytes)) return FORMAT_HDF5;
    if (is_text(bytes)) return recognise_text(bytes);
    return recognise_binary(bytes, hint);
}
