/* The Walsh-Hadamard transform and what else a fast rotation is made of. Included by level.c.
 *
 * A pass reads each element once and does log2(RADIX) stages on RADIX registers, or fewer stages where few are left; the
 * first pass also does the four stages inside a register. Which stages share a pass does not change a bit: each element
 * meets its partners in the order of kern.h whatever the radix. */

static void multiply(const float *a, const float *b, size_t n, float *out) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        f32x16_store(out + i, f32x16_mul(f32x16_load_f32(a + i), f32x16_load_f32(b + i)));
    if (i < n) {
        float rest[16];
        f32x16_store(rest, f32x16_mul(f32x16_load_tail_f32(a + i, n - i),
                                      f32x16_load_tail_f32(b + i, n - i)));
        memcpy(out + i, rest, (n - i) * sizeof *out);
    }
}

static void butterfly(float *x, size_t half) {
    for (size_t i = 0; i < half; i += 16) {
        f32x16 a = f32x16_load_f32(x + i), b = f32x16_load_f32(x + half + i);
        f32x16_store(x + i, f32x16_add(a, b));
        f32x16_store(x + half + i, f32x16_sub(a, b));
    }
}

/* The stages of stride, 2 stride, ... radix / 2 * stride on n elements; `lanes`: those below 16 first (stride is 16). */
VEC void hadamard_pass(float *x, size_t n, size_t stride, const size_t radix, const int lanes) {
    for (size_t first = 0; first < n; first += radix * stride)
        for (size_t at = first; at < first + stride; at += 16) {
            f32x16 v[8];
            for (size_t r = 0; r < radix; r++) {
                v[r] = f32x16_load_f32(x + at + r * stride);
                if (lanes) v[r] = f32x16_hadamard(v[r]);
            }
            for (size_t apart = 1; apart < radix; apart *= 2)
                for (size_t r = 0; r < radix; r++) {
                    if (r & apart) continue;
                    f32x16 a = v[r], b = v[r + apart];
                    v[r] = f32x16_add(a, b);
                    v[r + apart] = f32x16_sub(a, b);
                }
            for (size_t r = 0; r < radix; r++) f32x16_store(x + at + r * stride, v[r]);
        }
}

#ifndef HADAMARD_RADIX
#define HADAMARD_RADIX 4 /* as many as there are registers for */
#endif

VEC void hadamard_passes(float *x, size_t n, size_t stride, const size_t radix) {
    if (stride == 16)
        hadamard_pass(x, n, 16, radix, 1);
    else
        hadamard_pass(x, n, stride, radix, 0);
}

static void hadamard(float *x, size_t n) {
    for (size_t stride = 16, left; stride < n; stride *= HADAMARD_RADIX) {
        left = n / stride;
        if (left >= HADAMARD_RADIX)
            hadamard_passes(x, n, stride, HADAMARD_RADIX);
        else if (left == 4)
            hadamard_passes(x, n, stride, 4);
        else
            hadamard_pass(x, n, stride, 2, 0);
    }
}
