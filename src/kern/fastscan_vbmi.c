/* The fast scan by vpermb (fast_avx512.h) and Hamming distances by vpopcntd, which replace those of the level below. */
#include "kern/level.h"
#include "kern/vec_avx512.h"

#include "kern/fast_avx512.h"
#include "kern/fastscan_tmpl.c"
#include "kern/hamming_tmpl.c"

void kern_fill_avx512vbmi(struct kern *kern) {
    kern->name = "avx512vbmi";
    kern->fastscan_sums = fastscan_sums;
    kern->fastscan = fastscan;
    kern->hamming_rows = hamming_rows;
    kern->hamming_list = hamming_list;
}
