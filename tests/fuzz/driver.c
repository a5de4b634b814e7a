/* A fuzz target without libFuzzer, for the short tests: each file of the folders is run as it is, then
 * changed in as many ways as the first argument says, from a fixed seed. Reports TAP, a test a folder. */
#include <dirent.h>
#include <string.h>

#include "fuzz.h"

enum { GROWTH = 64 };

static uint64_t state;

static uint64_t draw(void) {
    uint64_t x = state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static const uint64_t telling[] = {0,      1,          0x7f,       0xff,       0x7fff,
                                   0xffff, 0x7fffffff, 0xffffffff, UINT64_MAX, UINT64_MAX / 2};

/* One change to the bytes, which have room for GROWTH more. */
static size_t change(uint8_t *bytes, size_t n) {
    size_t at = n ? (size_t)(draw() % n) : 0, length = 1 + (size_t)(draw() % 16);
    uint64_t value = telling[draw() % (sizeof telling / sizeof *telling)];
    if (length > n - at) length = n - at;
    switch (draw() % 7) {
    case 0:
        if (n) bytes[at] ^= (uint8_t)(1u << (draw() % 8));
        return n;
    case 1:
        if (n) bytes[at] = (uint8_t)draw();
        return n;
    case 2: memcpy(bytes + at, &value, length < 8 ? length : 8); return n;
    case 3: return at;
    case 4: memmove(bytes + at, bytes + at + length, n - at - length); return n - length;
    case 5: memmove(bytes + at + length, bytes + at, n - at); return n + length;
    default:
        if (n) memmove(bytes + at, bytes + draw() % (n - length + 1), length);
        return n;
    }
}

static void run_file(const char *path, int n_changes) {
    FILE *file = fopen(path, "rb");
    static uint8_t bytes[1 << 20], changed[(1 << 20) + 8 * GROWTH];
    if (!file) fuzz_broken("%s cannot be read", path);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, n);
    for (int i = 0; i < n_changes; i++) {
        state = (uint64_t)i * 1000003u + n;
        memcpy(changed, bytes, n);
        size_t n_now = n;
        for (uint64_t times = 1 + draw() % 4; times--;) n_now = change(changed, n_now);
        LLVMFuzzerTestOneInput(changed, n_now);
    }
}

static int run_folder(const char *folder, int n_changes) {
    struct dirent **entry;
    char path[4096];
    int n_files = 0, n = scandir(folder, &entry, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (entry[i]->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", folder, entry[i]->d_name);
            run_file(path, n_changes);
            n_files++;
        }
        free(entry[i]);
    }
    if (n >= 0) free(entry);
    return n_files;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    printf("1..%d\n", argc - 2);
    for (int i = 2; i < argc; i++) {
        int n_files = run_folder(argv[i], atoi(argv[1]));
        printf("%s %d - %s: %d files\n", n_files ? "ok" : "not ok", i - 1, argv[i], n_files);
    }
    return 0;
}
