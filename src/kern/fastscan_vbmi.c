/* The fast scan by vpermb, which replaces that of the level below: fast_avx512.h. */
#include "kern/level.h"
#include "kern/vec_avx512.h"

#include "kern/fast_avx512.h"
#include "kern/fastscan_tmpl.c"

void kern_fill_avx512vbmi(struct kern *kern) {
    kern->name = "avx512vbmi";
    kern->fastscan_sums = fastscan_sums;
    kern->fastscan = fastscan;
}
