/* What this machine is (cpu.h). */
#include "kern/cpu.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

static struct cpu the_cpu;
static bool amx_granted;
static pthread_once_t cpu_once = PTHREAD_ONCE_INIT;
static pthread_once_t amx_once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)

#include <cpuid.h>
#include <sys/syscall.h>

#define BIT(word, n) (((word) >> (n)) & 1u)

/* XCR0: the register files that the system saves. */
#define XCR0_AVX    0x06u /* SSE, AVX */
#define XCR0_AVX512 0xe6u /* and masks, upper halves, registers 16..31 */
#define XCR0_TILES  0x60000u

static uint64_t read_xcr0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static void read_model(char model[64]) {
    uint32_t word[12];
    if (__get_cpuid_max(0x80000000u, NULL) < 0x80000004u) return;
    for (uint32_t i = 0; i < 3; i++)
        __cpuid(0x80000002u + i, word[4 * i], word[4 * i + 1], word[4 * i + 2], word[4 * i + 3]);
    const char *text = (const char *)word;
    size_t n = strnlen(text, sizeof word), from = 0;
    while (from < n && text[from] == ' ') from++;
    while (n > from && text[n - 1] == ' ') n--;
    memcpy(model, text + from, n - from);
    model[n - from] = 0;
}

static void read_cpu(void) {
    uint32_t a, b, c, d;
    struct cpu *cpu = &the_cpu;
    read_model(cpu->model);
    if (!__get_cpuid(1, &a, &b, &c, &d) || !BIT(c, 27)) return; /* no XGETBV */
    uint64_t saved = read_xcr0();
    bool fma = BIT(c, 12) && BIT(c, 28) && BIT(c, 29); /* FMA, AVX, F16C */
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    uint32_t subleaves = a;
    cpu->avx2 = fma && BIT(b, 5) && (saved & XCR0_AVX) == XCR0_AVX;
    cpu->avx512 = cpu->avx2 && (saved & XCR0_AVX512) == XCR0_AVX512 && BIT(b, 16) && BIT(b, 17) &&
                  BIT(b, 30) && BIT(b, 31);
    cpu->vnni = cpu->avx512 && BIT(c, 11);
    cpu->vbmi = cpu->vnni && BIT(c, 1) && BIT(c, 14);
    cpu->fp16 = cpu->avx512 && BIT(d, 23);
    cpu->amx_cpu = cpu->vnni && BIT(d, 24) && BIT(d, 25) && (saved & XCR0_TILES) == XCR0_TILES;
    if (subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
        cpu->bf16 = cpu->avx512 && BIT(a, 5);
}

#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_TILEDATA   18

static void ask_amx(void) {
    amx_granted =
        cpu_get()->amx_cpu && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_TILEDATA) == 0;
}

#else

static void read_cpu(void) {
#if defined(__aarch64__)
    the_cpu.neon = true;
    strcpy(the_cpu.model, "aarch64");
#endif
}

static void ask_amx(void) { amx_granted = false; }

#endif

const struct cpu *cpu_get(void) {
    pthread_once(&cpu_once, read_cpu);
    return &the_cpu;
}

bool cpu_amx(void) {
    pthread_once(&amx_once, ask_amx);
    return amx_granted;
}

size_t cpu_cache(int level) {
    static const int name[4] = {0, _SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE,
                                _SC_LEVEL3_CACHE_SIZE};
    if (level < 1 || level > 3) return 0;
    long bytes = sysconf(name[level]);
    return bytes > 0 ? (size_t)bytes : 0;
}
