/* What this machine gives Kith: the instruction set in use, and the text that `kith info` prints. */
#include <kith/vector.h>

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kern/cpu.h"
#include "kern/kern.h"

const char *kith_isa(void) { return kern_get()->name; }

struct text {
    char *at;
    size_t left; /* with room for the NUL */
};

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text->at, text->left, format, args);
    va_end(args);
    size_t written = n < 0 ? 0 : (size_t)n < text->left ? (size_t)n : text->left - 1;
    text->at += written;
    text->left -= written;
}

/* The word in brackets of the kernel's setting: "always [madvise] never". */
static void huge_page_mode(char mode[32]) {
    char line[128];
    snprintf(mode, 32, "unknown");
    int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t n = read(fd, line, sizeof line - 1);
    close(fd);
    if (n <= 0) return;
    line[n] = 0;
    const char *from = strchr(line, '['), *to = from ? strchr(from, ']') : NULL;
    if (to) snprintf(mode, 32, "%.*s", (int)(to - from - 1 < 31 ? to - from - 1 : 31), from + 1);
}

static void put_features(struct text *text) {
    const struct cpu *cpu = cpu_get();
    const struct {
        bool has;
        const char *name;
    } features[] = {{cpu->avx2, "AVX2 FMA F16C"}, {cpu->avx512, "AVX-512 F BW DQ VL"},
                    {cpu->vnni, "VNNI"},          {cpu->bf16, "AVX512-BF16"},
                    {cpu->fp16, "AVX512-FP16"},   {cpu->amx_cpu, "AMX-INT8"},
                    {cpu->neon, "NEON"}};
    put(text, "features:");
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        if (features[i].has) put(text, " %s", features[i].name);
    put(text, "\n");
    put(text, "AMX tiles: %s\n",
        cpu_amx()      ? "granted"
        : cpu->amx_cpu ? "refused by the kernel"
                       : "not in this processor");
}

void kith_describe_machine(char *text, size_t size) {
    const struct kern *level[8];
    struct text out = {text, size};
    char huge[32];
    if (size == 0) return;
    *text = 0;
    size_t n_levels = kern_levels(level, 8);
    put(&out, "processor: %s\n", cpu_get()->model[0] ? cpu_get()->model : "unknown");
    put(&out, "cores: %ld online\n", sysconf(_SC_NPROCESSORS_ONLN));
    put(&out, "instruction set: %s\n", kith_isa());
    if (*kern_isa_note()) put(&out, "note: %s\n", kern_isa_note());
    put(&out, "levels:");
    for (size_t i = 0; i < n_levels; i++) put(&out, " %s", level[i]->name);
    put(&out, "\n");
    put_features(&out);
    put(&out, "caches: L1d %zu KiB, L2 %zu KiB, L3 %zu KiB\n", cpu_cache(1) >> 10,
        cpu_cache(2) >> 10, cpu_cache(3) >> 10);
    huge_page_mode(huge);
    put(&out, "huge pages: %s\n", huge);
}
