/* Children under limits, and rows that need no memory. */
#include "child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int child_can_measure(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 0;
#else
    return access("/proc/self/status", R_OK) == 0;
#endif
}

static uint64_t status_bytes(const char *name) {
    char line[128], format[32];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    snprintf(format, sizeof format, "%s: %%llu kB", name);
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, format, &kib) == 1) break;
    if (file) fclose(file);
    return kib << 10;
}

static void work_in_child(int (*work)(void *, uint64_t *, kith_error *), void *context,
                          uint64_t as_bytes, struct outcome *out) {
    kith_error err = {0};
    uint64_t begin = status_bytes("VmHWM"), space = status_bytes("VmSize");
    if (as_bytes) {
        struct rlimit limit = {space + as_bytes, space + as_bytes};
        if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(3);
    }
    out->code = work(context, &out->value, &err);
    memcpy(out->text, err.text, sizeof out->text);
    out->peak = status_bytes("VmHWM") - begin;
}

struct outcome child_run(int (*work)(void *, uint64_t *, kith_error *), void *context,
                         uint64_t as_bytes) {
    struct outcome out = {.code = -1, .text = "the child died"};
    int ends[2], status;
    fflush(NULL);
    if (pipe(ends) != 0) return out;
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        work_in_child(work, context, as_bytes, &out);
        _exit(write(ends[1], &out, sizeof out) == (ssize_t)sizeof out ? 0 : 1);
    }
    close(ends[1]);
    struct outcome told;
    if (child > 0 && read(ends[0], &told, sizeof told) == (ssize_t)sizeof told) out = told;
    close(ends[0]);
    if (child > 0) waitpid(child, &status, 0);
    return out;
}

/* ---- rows ----------------------------------------------------------------------------------------- */

#define N_CENTRES 64u

static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* About normal with deviation 1: the sum of four uniform ones. */
static float noise(uint64_t bits) {
    int32_t sum = 0;
    for (int i = 0; i < 4; i++) sum += (int32_t)(bits >> (16 * i) & 0xffff) - 0x8000;
    return (float)sum * (1.0f / 37837.0f);
}

static int read_rows(void *context, uint64_t first, size_t n, float *out, kith_error *err) {
    const struct generated *g = context;
    size_t dim = g->rows.dim;
    (void)err;
    for (size_t i = 0; i < n; i++) {
        uint64_t row = mix(g->seed ^ mix(first + i)), centre = mix(row % N_CENTRES);
        for (size_t j = 0; j < dim; j++)
            out[i * dim + j] = 3 * noise(mix(centre + j)) + noise(mix(row + j));
    }
    return KITH_OK;
}

void generate(struct generated *out, uint64_t n, size_t dim, uint64_t seed) {
    *out = (struct generated){.rows = {.n = n, .dim = dim, .read = read_rows}, .seed = seed};
    out->rows.context = out;
}

float *generate_all(const struct generated *from) {
    float *all = malloc(from->rows.n * from->rows.dim * sizeof *all);
    if (all) (void)read_rows((void *)(uintptr_t)from, 0, from->rows.n, all, NULL);
    return all;
}
