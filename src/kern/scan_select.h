/* Selection of a scan: 16 dots of one query with one panel become distances; those within the limit are appended.
 *
 *     dist = fmaf(scale, (float)dot, term + bias)     at every instruction set
 *
 * Hits are rare once the limits are tight, so that the usual path is one compare and one branch not taken. */
#ifndef KITH_KERN_SCAN_SELECT_H
#define KITH_KERN_SCAN_SELECT_H

/* Append the lanes of mask: queries[q], rows first..first+15 of the scan. */
static __attribute__((noinline)) void scan_append(const struct kern_scan *scan, size_t q,
                                                  uint32_t first, unsigned mask,
                                                  const float dist[16]) {
    uint32_t count = scan->n_hits[q];
    struct kern_hit *hits = scan->hits + q * scan->hits_stride;
    for (; mask != 0; mask &= mask - 1) {
        unsigned lane = (unsigned)__builtin_ctz(mask);
        hits[count++] = (struct kern_hit){.row = scan->row0 + first + lane, .dist = dist[lane]};
    }
    scan->n_hits[q] = count;
}

VEC void scan_select(const struct kern_scan *scan, size_t q, uint32_t first, i32x16 dot) {
    f32x16 term = f32x16_load_f32(scan->term + first);
    f32x16 dist = f32x16_fma(f32x16_set1(scan->scale[q]), i32x16_to_f32(dot),
                             f32x16_add(term, f32x16_set1(scan->bias[q])));
    unsigned mask = f32x16_le(dist, f32x16_set1(scan->limit[q]));
    if (__builtin_expect(mask != 0, 0)) {
        if (scan->n - first < 16) mask &= (1u << (scan->n - first)) - 1;
        float each[16];
        f32x16_store(each, dist);
        scan_append(scan, q, first, mask, each);
    }
}

#endif
