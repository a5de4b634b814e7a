/* NumPy's .npy, versions 1 to 3: a magic, the length of a header, a Python dictionary, the values.
 *
 *     \x93NUMPY  major  minor  u16 or u32 length  {'descr': '<f4', 'fortran_order': False, 'shape': (n, dim), }
 *
 * Only what NumPy itself writes is understood: the three keys in any order, a simple little-endian
 * type, C order. Anything else is refused by name.
 * Format: numpy.lib.format, NEP 1. */
#include "private.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC_BYTES 6

typedef struct header {
    char text[1024]; /* NUL-ended copy of the dictionary */
    size_t data_at;  /* byte where the values begin */
} header;

static int read_header(blob bytes, header *out, kith_error *err) {
    if (bytes.n < 10)
        return FAIL_AT(err, KITH_ETRUNCATED, bytes.n, "ends after %zu bytes, in the npy header",
                       bytes.n);
    unsigned major = bytes.data[MAGIC_BYTES];
    if (major < 1 || major > 3)
        return FAIL_AT(err, KITH_EVERSION, MAGIC_BYTES, "npy version %u.%u; 1 to 3 are known",
                       major, bytes.data[MAGIC_BYTES + 1]);
    size_t begin = major == 1 ? 10 : 12;
    if (bytes.n < begin)
        return FAIL_AT(err, KITH_ETRUNCATED, bytes.n, "ends after %zu bytes, in the npy header",
                       bytes.n);
    size_t length = major == 1 ? (size_t)(bytes.data[8] | bytes.data[9] << 8)
                               : (size_t)load_u32(bytes.data + 8);
    if (bytes.n - begin < length)
        return FAIL_AT(err, KITH_ETRUNCATED, bytes.n, "npy header has %zu bytes, %zu are there",
                       length, bytes.n - begin);
    if (length >= sizeof out->text && memchr(bytes.data + begin, '[', length))
        return FAIL_AT(err, KITH_EFORMAT, begin, "npy array of records; one simple type is needed");
    size_t kept = length < sizeof out->text ? length : sizeof out->text - 1;
    memcpy(out->text, bytes.data + begin, kept);
    out->text[kept] = '\0';
    out->data_at = begin + length;
    return KITH_OK;
}

/* What follows 'key': in the dictionary, spaces skipped; NULL when it is not there. */
static const char *value_of(const header *h, const char *key) {
    const char *at = strstr(h->text, key);
    if (!at) return NULL;
    at += strlen(key);
    if (*at != '\'' && *at != '"') return NULL;
    at++;
    at += strspn(at, " ");
    if (*at != ':') return NULL;
    at++;
    return at + strspn(at, " ");
}

static int read_type(const header *h, element *out, kith_error *err) {
    const char *at = value_of(h, "descr");
    if (!at || (*at != '\'' && *at != '"'))
        return FAIL(err, KITH_EFORMAT,
                    at && *at == '[' ? "npy array of records; one simple type is needed"
                                     : "npy header has no 'descr'");
    char text[8] = "";
    size_t n = strcspn(at + 1, "'\"");
    if (n < sizeof text) memcpy(text, at + 1, n);
    bool little = text[0] == '<' || text[0] == '|';
    if (text[0] == '>' && (text[2] == '1' || text[2] == '\0')) little = true;
    if (!little || !element_of_numpy(text + 1, out))
        return FAIL(err, KITH_EFORMAT,
                    "npy values of type '%.*s'; known are <f4 <f2 <f8 |u1 |i1 and <u2 to <i8",
                    (int)(n < 40 ? n : 40), at + 1);
    return KITH_OK;
}

/* Up to three sizes of "(a, b)"; returns how many there are, or -1. */
static int read_shape(const header *h, size_t sizes[3]) {
    const char *at = value_of(h, "shape");
    if (!at || *at != '(') return -1;
    at++;
    int n_sizes = 0;
    for (;;) {
        at += strspn(at, " ,");
        if (*at == ')') return n_sizes;
        if (*at < '0' || *at > '9') return -1;
        size_t value = 0;
        for (; *at >= '0' && *at <= '9'; at++)
            if (__builtin_mul_overflow(value, (size_t)10, &value) ||
                __builtin_add_overflow(value, (size_t)(*at - '0'), &value))
                return -1;
        if (n_sizes < 3) sizes[n_sizes] = value;
        n_sizes++;
    }
}

int npy_view(blob bytes, bool flat, matrix *out, kith_error *err) {
    header h;
    TRY(read_header(bytes, &h, err));
    matrix m = {0};
    TRY(read_type(&h, &m.type, err));
    const char *order = value_of(&h, "fortran_order");
    if (!order) return FAIL(err, KITH_EFORMAT, "npy header has no 'fortran_order'");
    size_t sizes[3] = {0};
    int n_sizes = read_shape(&h, sizes);
    if (n_sizes < 0) return FAIL(err, KITH_EFORMAT, "npy header has no readable 'shape'");
    if (n_sizes == 1 && flat) sizes[1] = 1;
    if (n_sizes != 2 && !(n_sizes == 1 && flat))
        return FAIL(err, KITH_EDIM, "npy array of %d dimension%s; rows by columns are needed",
                    n_sizes, n_sizes == 1 ? "" : "s");
    if (strncmp(order, "False", 5) != 0 && sizes[0] > 1 && sizes[1] > 1)
        return FAIL(err, KITH_EFORMAT,
                    "npy array in Fortran order; C order is needed "
                    "(numpy.ascontiguousarray)");
    m.n = sizes[0];
    m.dim = sizes[1];
    size_t payload;
    if (!multiply_sizes(m.dim, element_bytes(m.type), &m.stride) ||
        !multiply_sizes(m.n, m.stride, &payload))
        return FAIL(err, KITH_EFORMAT, "npy shape (%zu, %zu) overflows", m.n, m.dim);
    size_t there = blob_whole(bytes) - h.data_at;
    if (there < payload)
        return FAIL_AT(err, KITH_ETRUNCATED, h.data_at + there,
                       "npy shape (%zu, %zu) of %s needs %zu bytes, %zu are there", m.n, m.dim,
                       element_name(m.type), payload, there);
    if (there > payload)
        return FAIL_AT(err, KITH_EFORMAT, h.data_at + payload,
                       "%zu bytes follow the values of npy shape (%zu, %zu)", there - payload, m.n,
                       m.dim);
    m.data = bytes.data + h.data_at;
    *out = m;
    return KITH_OK;
}
