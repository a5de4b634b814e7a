/* HDF5 as ann-benchmarks writes it: two-dimensional data sets "train", "test", "neighbors", "distances".
 *
 * HDF5 converts the values to what is asked for: float32 for vectors, int64 for ids. A file is read
 * in place, standard input and gzip'ed files from memory. The library's own messages are silenced;
 * what went wrong is told in one sentence, as everywhere. */
#include "private.h"

#include <stdlib.h>
#include <string.h>

bool hdf5_magic(blob bytes) {
    return bytes.n >= 8 && memcmp(bytes.data, "\x89HDF\r\n\x1a\n", 8) == 0;
}

#ifndef KITH_HAVE_HDF5

int hdf5_read(blob bytes, const char *path, const char *dataset, bool flat, element type,
              matrix *out, blob *storage, kith_error *err) {
    (void)bytes, (void)path, (void)dataset, (void)flat, (void)type, (void)out, (void)storage;
    return FAIL(err, KITH_EUNSUPPORTED, "is HDF5, and this kith was built without -Dhdf5=enabled");
}

#else

#include <hdf5.h>

/* What a damaged file may tell of, and the library would believe. */
#define ELEMENT_BYTES_MAX 16u
#define COMPRESSION_MAX   1100u /* deflate's best, rounded up */

static hid_t open_file(blob bytes, const char *path) {
    if (path) return H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0) return -1;
    hid_t file = -1;
    if (H5Pset_fapl_core(access, 1 << 20, 0) >= 0 &&
        H5Pset_file_image(access, (void *)(uintptr_t)bytes.data, bytes.n) >= 0)
        file = H5Fopen("memory", H5F_ACC_RDONLY, access);
    H5Pclose(access);
    return file;
}

/* Names of the data sets at the top of the file, for an error message. */
static herr_t list_name(hid_t group, const char *name, const H5L_info_t *info, void *context) {
    (void)group, (void)info;
    char *list = context;
    size_t used = strlen(list);
    if (used + strlen(name) + 3 < 120) {
        if (used) strcat(list, ", ");
        strcat(list, name);
    }
    return 0;
}

static int fail_missing(hid_t file, const char *dataset, kith_error *err) {
    char names[128] = "";
    H5Literate(file, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, list_name, names);
    return FAIL(err, KITH_ENOTFOUND, "has no data set \"%s\"; it has: %s", dataset,
                names[0] ? names : "none");
}

static int read_shape(hid_t set, bool flat, matrix *out, kith_error *err) {
    hid_t space = H5Dget_space(set);
    int n_sizes = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    hsize_t sizes[2] = {0, 1};
    bool usable = n_sizes == 2 || (n_sizes == 1 && flat);
    if (usable) H5Sget_simple_extent_dims(space, sizes, NULL);
    if (space >= 0) H5Sclose(space);
    if (!usable)
        return FAIL(err, KITH_EDIM, "data set of %d dimensions; rows by columns are needed",
                    n_sizes);
    out->n = (size_t)sizes[0];
    out->dim = (size_t)sizes[1];
    return KITH_OK;
}

static int check_class(hid_t set, bool want_ids, kith_error *err) {
    hid_t type = H5Dget_type(set);
    H5T_class_t class = type < 0 ? H5T_NO_CLASS : H5Tget_class(type);
    size_t bytes = type < 0 ? 0 : H5Tget_size(type);
    if (type >= 0) H5Tclose(type);
    if (bytes > ELEMENT_BYTES_MAX)
        return FAIL(err, KITH_EFORMAT, "data set of elements of %zu bytes, at most %u", bytes,
                    ELEMENT_BYTES_MAX);
    if (class == H5T_INTEGER || (class == H5T_FLOAT && !want_ids)) return KITH_OK;
    return FAIL(err, KITH_EFORMAT,
                want_ids ? "data set does not hold whole numbers"
                         : "data set does not hold numbers");
}

static int read_set(hid_t set, bool flat, matrix *m, blob *storage, kith_error *err) {
    bool ids = m->type == ELEMENT_I64;
    TRY(check_class(set, ids, err));
    TRY(read_shape(set, flat, m, err));
    size_t n_bytes;
    if (!multiply_sizes(m->dim, element_bytes(m->type), &m->stride) ||
        !multiply_sizes(m->n, m->stride, &n_bytes))
        return FAIL(err, KITH_EFORMAT, "data set of %zu by %zu overflows", m->n, m->dim);
    if (n_bytes == 0)
        return FAIL(err, KITH_EEMPTY, "data set of %zu by %zu is empty", m->n, m->dim);
    size_t stored = (size_t)H5Dget_storage_size(set);
    if (m->n * m->dim / COMPRESSION_MAX > stored)
        return FAIL(err, KITH_ECORRUPT, "data set of %zu by %zu in %zu bytes", m->n, m->dim,
                    stored);
    uint8_t *data = malloc(n_bytes);
    if (!data) return FAIL(err, KITH_ENOMEM, "no memory for %zu bytes of a data set", n_bytes);
    hid_t as = ids ? H5T_NATIVE_INT64 : H5T_NATIVE_FLOAT;
    if (H5Dread(set, as, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) {
        free(data);
        return FAIL(err, KITH_ECORRUPT, "data set cannot be read: the HDF5 file is damaged");
    }
    m->data = data;
    *storage = (blob){.data = data, .n = n_bytes, .owner = BLOB_HEAP};
    return KITH_OK;
}

int hdf5_read(blob bytes, const char *path, const char *dataset, bool flat, element type,
              matrix *out, blob *storage, kith_error *err) {
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t file = open_file(bytes, path);
    if (file < 0) return FAIL(err, KITH_ECORRUPT, "cannot be opened: the HDF5 file is damaged");
    hid_t set = H5Dopen2(file, dataset, H5P_DEFAULT);
    *out = (matrix){.type = type};
    int code = set < 0 ? fail_missing(file, dataset, err) : read_set(set, flat, out, storage, err);
    if (set >= 0) H5Dclose(set);
    H5Fclose(file);
    return code;
}

#endif
