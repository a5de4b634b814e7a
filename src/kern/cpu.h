/* What this machine is: instruction sets that both processor and kernel of the operating system support, caches.
 *
 * On x86 CPUID tells what the processor has and XGETBV which registers the system saves; the tiles of AMX must also be
 * asked for, once per process (arch_prctl ARCH_REQ_XCOMP_PERM), which cpu_amx() does. */
#ifndef KITH_KERN_CPU_H
#define KITH_KERN_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu {
    bool avx2;   /* AVX2, FMA, F16C */
    bool avx512; /* F, BW, DQ, VL */
    bool vnni;   /* AVX512-VNNI */
    bool vbmi;   /* AVX512-VBMI, VPOPCNTDQ and VNNI */
    bool bf16,
        fp16; /* AVX512-BF16, AVX512-FP16: reported; docs/decisions/0003 says why no kernel uses them */
    bool amx_cpu; /* AMX-TILE, AMX-INT8, and the system can save the tiles */
    bool neon;
    char model[64]; /* "AMD EPYC ..."; "" unknown */
};

/* Read once; constant afterwards. */
const struct cpu *cpu_get(void);

/* True if the tiles were granted to this process. The first call asks. */
bool cpu_amx(void);

/* Bytes of the data cache of a level (1..3) as the system tells; 0 unknown. */
size_t cpu_cache(int level);

#endif
