/* Write FILE as ann-benchmarks does: train 6 x 2, test 2 x 2, neighbors and distances 2 x 3; and "words", of text. */
#include <hdf5.h>
#include <stdio.h>

static void put(hid_t file, const char *name, hid_t type, hsize_t columns, hsize_t rows,
                const void *values) {
    hsize_t sizes[2] = {rows, columns};
    hid_t space = H5Screate_simple(2, sizes, NULL);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(set);
    H5Sclose(space);
}

int main(int argc, char **argv) {
    static const float train[] = {0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0};
    static const double test[] = {0.1, 0, 4.9, 0};
    static const int neighbors[] = {0, 1, 2, 5, 4, 3};
    static const float distances[] = {0.01f, 0.81f, 3.61f, 0.01f, 0.81f, 3.61f};
    if (argc != 2) {
        fputs("usage: make_hdf5 FILE\n", stderr);
        return 2;
    }
    hid_t file = H5Fcreate(argv[1], H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put(file, "train", H5T_NATIVE_FLOAT, 2, 6, train);
    put(file, "test", H5T_NATIVE_DOUBLE, 2, 2, test);
    put(file, "neighbors", H5T_NATIVE_INT, 3, 2, neighbors);
    put(file, "distances", H5T_NATIVE_FLOAT, 3, 2, distances);
    hid_t text = H5Tcopy(H5T_C_S1);
    put(file, "words", text, 1, 2, "ab");
    H5Tclose(text);
    return H5Fclose(file) < 0;
}
