/* Choice of the kernels: builds the table of every level that runs here, then takes the best or the one KITH_ISA names.
 *
 *   1. Levels stand in rising order; each table starts as a copy of the one below and replaces what it does better.
 *   2. Tables and choice are written once, before the first kern_get() returns, and never again. */
#include "kern/kern.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kern/cpu.h"
#include "kern/level.h"

#define MAX_LEVELS 7

static struct kern levels[MAX_LEVELS];
static size_t n_levels;
static const struct kern *chosen;
static char note[160];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void add_level(void (*fill)(struct kern *)) {
    if (n_levels > 0) levels[n_levels] = levels[n_levels - 1];
    fill(&levels[n_levels++]);
}

static void add_levels(void) {
    add_level(kern_fill_scalar);
#if defined(__x86_64__)
    const struct cpu *cpu = cpu_get();
    if (cpu->avx2) add_level(kern_fill_avx2);
    if (cpu->avx512) add_level(kern_fill_avx512);
    if (cpu->vnni) add_level(kern_fill_avx512vnni);
    if (cpu->vbmi) add_level(kern_fill_avx512vbmi);
    if (cpu_amx()) add_level(kern_fill_amx);
#elif defined(__aarch64__)
    add_level(kern_fill_neon);
#endif
}

static void choose(void) {
    add_levels();
    const struct kern *best = &levels[n_levels - 1];
    const char *wanted = getenv("KITH_ISA");
    if (wanted != NULL && *wanted != 0) {
        for (size_t i = 0; i < n_levels && chosen == NULL; i++)
            if (strcmp(levels[i].name, wanted) == 0) chosen = &levels[i];
        if (chosen == NULL)
            snprintf(note, sizeof note, "KITH_ISA=%.60s is no level of this machine: %s is used",
                     wanted, best->name);
    }
    if (chosen == NULL) chosen = best;
}

const struct kern *kern_get(void) {
    pthread_once(&once, choose);
    return chosen;
}

const char *kern_isa_note(void) {
    pthread_once(&once, choose);
    return note;
}

size_t kern_levels(const struct kern **out, size_t n) {
    pthread_once(&once, choose);
    for (size_t i = 0; i < n_levels && i < n; i++) out[i] = &levels[i];
    return n_levels;
}

float kern_inv_length(const struct kern *kern, kith_type type, const void *row, size_t dim) {
    float squares = kern->dot_self[type](row, dim);
    return squares > 0 ? 1.0f / sqrtf(squares) : 0.0f;
}
