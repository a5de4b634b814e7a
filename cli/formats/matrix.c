/* Views of binary arrays, and what becomes of them: float32 vectors or int64 ids.
 *
 * A format only says where the rows lie and of what type they are; this file turns any of them into
 * values. float32 rows that lie one after another are used in place, so that a large file is mapped
 * and not copied. All files are little-endian. */
#include "private.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <kith/vector.h>

bool multiply_sizes(size_t a, size_t b, size_t *product) {
    return !__builtin_mul_overflow(a, b, product) && *product <= (size_t)PTRDIFF_MAX;
}

static uint64_t load_bytes(const uint8_t *p, size_t n) {
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++) value |= (uint64_t)p[i] << (8 * i);
    return value;
}

/* IEEE 754 binary16, all values included. */
static double half_value(uint16_t h) {
    int exponent = h >> 10 & 31;
    int mantissa = h & 1023;
    double sign = h >> 15 ? -1.0 : 1.0;
    if (exponent == 31) return mantissa ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0) return sign * ldexp(mantissa, -24);
    return sign * ldexp(1024 + mantissa, exponent - 25);
}

static double load_double(const uint8_t *p, element type) {
    uint64_t bits = load_bytes(p, element_bytes(type));
    uint32_t word = (uint32_t)bits;
    float single;
    double value;
    switch (type) {
    case ELEMENT_F32: memcpy(&single, &word, sizeof single); return (double)single;
    case ELEMENT_F64: memcpy(&value, &bits, sizeof value); return value;
    case ELEMENT_F16: return half_value((uint16_t)bits);
    case ELEMENT_I8: return (int8_t)bits;
    case ELEMENT_I16: return (int16_t)bits;
    case ELEMENT_I32: return (int32_t)bits;
    case ELEMENT_I64: return (double)(int64_t)bits;
    case ELEMENT_U8:
    case ELEMENT_U16:
    case ELEMENT_U32:
    case ELEMENT_U64: return (double)bits;
    }
    return (double)NAN;
}

static bool is_integer_type(element type) {
    return type != ELEMENT_F32 && type != ELEMENT_F16 && type != ELEMENT_F64;
}

/* ---- vectors ----------------------------------------------------------------------------------- */

int rows_check_finite(const float *data, size_t n, size_t dim, kith_error *err) {
    for (size_t row = 0; row < n; row++) {
        const float *values = data + row * dim;
        float sum = 0.0f; /* x - x is 0 for finite x, else NaN */
        for (size_t i = 0; i < dim; i++) sum += values[i] - values[i];
        if (sum == 0.0f) continue;
        size_t i = 0;
        while (isfinite(values[i])) i++;
        return FAIL_AT(err, KITH_ENONFINITE, row, "row %zu, column %zu is %s", row, i,
                       isnan(values[i]) ? "NaN" : "infinite");
    }
    return KITH_OK;
}

static int check_shape(const matrix *m, kith_error *err) {
    if (m->n == 0) return FAIL(err, KITH_EEMPTY, "holds no rows");
    if (m->dim == 0 || m->dim > KITH_MAX_DIM)
        return FAIL(err, KITH_EDIM, "rows have %zu dimensions, 1 to %u are possible", m->dim,
                    KITH_MAX_DIM);
    return KITH_OK;
}

int matrix_row(const matrix *m, size_t row, size_t name, float *out, kith_error *err) {
    const uint8_t *p = m->data + row * m->stride;
    size_t width = element_bytes(m->type);
    if (m->type == ELEMENT_F32) {
        memcpy(out, p, m->dim * width);
        return KITH_OK;
    }
    for (size_t i = 0; i < m->dim; i++) {
        double value = load_double(p + i * width, m->type);
        if (isfinite(value) && fabs(value) > (double)FLT_MAX)
            return FAIL_AT(err, KITH_ERANGE, name, "row %zu, column %zu: %g is beyond float32",
                           name, i, value);
        out[i] = (float)value;
        if (is_integer_type(m->type) && (double)out[i] != value)
            return FAIL_AT(err, KITH_ERANGE, name,
                           "row %zu, column %zu: %.0f is not exact in float32", name, i, value);
    }
    return KITH_OK;
}

static bool usable_in_place(const matrix *m) {
    uint16_t probe = 1;
    return m->type == ELEMENT_F32 && m->stride == m->dim * sizeof(float) &&
           (uintptr_t)m->data % sizeof(float) == 0 && *(uint8_t *)&probe == 1;
}

int matrix_to_vectors(const matrix *m, blob *bytes, vectors *out, kith_error *err) {
    TRY(check_shape(m, err));
    *out = (vectors){.n = m->n, .dim = m->dim, .type = m->type};
    if (usable_in_place(m)) {
        out->data = (const float *)(const void *)m->data;
        TRY(rows_check_finite(out->data, out->n, out->dim, err));
        out->backing = *bytes;
        *bytes = (blob){0};
        return KITH_OK;
    }
    size_t n_values;
    size_t n_bytes;
    if (!multiply_sizes(m->n, m->dim, &n_values) ||
        !multiply_sizes(n_values, sizeof(float), &n_bytes))
        return FAIL(err, KITH_ENOMEM, "%zu rows of %zu values do not fit memory", m->n, m->dim);
    float *data = malloc(n_bytes);
    if (!data) return FAIL(err, KITH_ENOMEM, "no memory for %zu bytes of vectors", n_bytes);
    int code = KITH_OK;
    for (size_t row = 0; row < m->n && !code; row++)
        code = matrix_row(m, row, row, data + row * m->dim, err);
    if (!code) code = rows_check_finite(data, m->n, m->dim, err);
    if (code) {
        free(data);
        return code;
    }
    out->data = data;
    return KITH_OK;
}

/* ---- ids --------------------------------------------------------------------------------------- */

static int load_id(const matrix *m, size_t row, size_t i, int64_t *out, kith_error *err) {
    const uint8_t *p = m->data + row * m->stride + i * element_bytes(m->type);
    uint64_t bits = load_bytes(p, element_bytes(m->type));
    switch (m->type) {
    case ELEMENT_I8: *out = (int8_t)bits; break;
    case ELEMENT_I16: *out = (int16_t)bits; break;
    case ELEMENT_I32: *out = (int32_t)bits; break;
    default: *out = (int64_t)bits; break;
    }
    if (m->type == ELEMENT_U64 && bits > INT64_MAX)
        return FAIL_AT(err, KITH_ERANGE, row, "row %zu, column %zu: id %llu is beyond 2^63 - 1",
                       row, i, (unsigned long long)bits);
    return KITH_OK;
}

int matrix_to_ids(const matrix *m, id_table *out, kith_error *err) {
    if (!is_integer_type(m->type))
        return FAIL(err, KITH_EFORMAT, "holds %s values; ids are whole numbers",
                    element_name(m->type));
    if (m->n == 0 || m->dim == 0) return FAIL(err, KITH_EEMPTY, "holds no ids");
    size_t n_values;
    size_t n_bytes;
    if (!multiply_sizes(m->n, m->dim, &n_values) ||
        !multiply_sizes(n_values, sizeof(int64_t), &n_bytes))
        return FAIL(err, KITH_ENOMEM, "%zu rows of %zu ids do not fit memory", m->n, m->dim);
    int64_t *ids = malloc(n_bytes);
    if (!ids) return FAIL(err, KITH_ENOMEM, "no memory for %zu ids", n_values);
    for (size_t row = 0; row < m->n; row++) {
        for (size_t i = 0; i < m->dim; i++) {
            int code = load_id(m, row, i, &ids[row * m->dim + i], err);
            if (!code) continue;
            free(ids);
            return code;
        }
    }
    *out = (id_table){.n = m->n, .k = m->dim, .ids = ids};
    return KITH_OK;
}

/* ---- fvecs, ivecs, bvecs: every row is led by its dimension ---------------------------------------- */

int vecs_view(blob bytes, element type, matrix *out, kith_error *err) {
    if (bytes.n < 4)
        return FAIL_AT(err, KITH_ETRUNCATED, 0, "ends after %zu bytes, before the first dimension",
                       bytes.n);
    uint32_t dim = load_u32(bytes.data);
    if (dim == 0 || dim > INT32_MAX)
        return FAIL_AT(err, KITH_EFORMAT, 0, "byte 0: a row of %d values", (int32_t)dim);
    size_t record = 4 + (size_t)dim * element_bytes(type);
    size_t n = blob_whole(bytes) / record;
    for (size_t row = 0; row < n && row * record + 4 <= bytes.n; row++) {
        uint32_t here = load_u32(bytes.data + row * record);
        if (here != dim)
            return FAIL_AT(err, KITH_EFORMAT, row * record,
                           "row %zu at byte %zu has dimension %d, the first has %u", row,
                           row * record, (int32_t)here, dim);
    }
    size_t left = blob_whole(bytes) - n * record;
    if (left)
        return FAIL_AT(err, KITH_ETRUNCATED, n * record,
                       "row %zu at byte %zu needs %zu bytes, %zu are left", n, n * record, record,
                       left);
    *out = (matrix){.type = type, .n = n, .dim = dim, .stride = record, .data = bytes.data + 4};
    return KITH_OK;
}

/* ---- fbin, ibin, u8bin, i8bin: rows and dimension once, in front ---------------------------------------- */

bool bin_fits(blob bytes, size_t width) {
    size_t payload;
    if (bytes.n <= 8 || blob_whole(bytes) <= 8) return false;
    if (!multiply_sizes(load_u32(bytes.data), load_u32(bytes.data + 4), &payload)) return false;
    return multiply_sizes(payload, width, &payload) && payload == blob_whole(bytes) - 8;
}

int bin_view(blob bytes, element type, matrix *out, kith_error *err) {
    if (bytes.n < 8)
        return FAIL_AT(err, KITH_ETRUNCATED, 0, "ends after %zu bytes, in its header of 8",
                       bytes.n);
    size_t n = load_u32(bytes.data);
    size_t dim = load_u32(bytes.data + 4);
    size_t stride;
    size_t payload;
    if (!multiply_sizes(dim, element_bytes(type), &stride) || !multiply_sizes(n, stride, &payload))
        return FAIL_AT(err, KITH_EFORMAT, 0, "header tells %zu rows of %zu values", n, dim);
    size_t there = blob_whole(bytes) - 8;
    if (there < payload)
        return FAIL_AT(err, KITH_ETRUNCATED, there + 8,
                       "header tells %zu rows of %zu values, %zu bytes; %zu are there", n, dim,
                       payload, there);
    if (there > payload)
        return FAIL_AT(err, KITH_EFORMAT, 8 + payload,
                       "%zu bytes follow the %zu rows of %zu values that the header tells",
                       there - payload, n, dim);
    *out = (matrix){.type = type, .n = n, .dim = dim, .stride = stride, .data = bytes.data + 8};
    return KITH_OK;
}
