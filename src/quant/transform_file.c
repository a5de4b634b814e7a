/* Transforms as bytes, for files (docs/format.md). Little-endian:
 *
 *     one transform   u32 kind, d_in, d_out, m; u32 flags; u32 zero; u64 seed; then, where the flag is set, f32
 *                       1 A          d_out x d_in
 *                       2 back       d_in x d_out     only what A does not tell: after whitening
 *                       4 b          d_out
 *                       8 origin     d_in             PCA
 *                      16 variances  d_in             PCA
 *                      32 PCA with whitening    64 PCA with rotation    128 trained    256 PCA through 0, without b and origin; OPQ through 0
 *     a chain         u32 n, u32 d, then n transforms
 *
 * A way back that is A's transpose is made again, not kept; so is one that transform_set found. ROTATION keeps its matrix,
 * not only its seed: other programs read it. HADAMARD is its seed. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "quant/transform_parts.h"

#define HEAD_BYTES   32u
#define FLAG_WHITEN  32u
#define FLAG_ROTATE  64u
#define FLAG_TRAINED 128u
#define FLAG_0       256u
#define FLAGS_ALL    511u

static size_t array_floats(const struct transform_spec *spec, unsigned flag) {
    if (flag == TRANSFORM_B) return spec->d_out;
    if (flag == TRANSFORM_ORIGIN || flag == TRANSFORM_VALUES) return spec->d_in;
    return (size_t)spec->d_in * spec->d_out;
}

static size_t arrays_bytes(const struct transform_spec *spec, unsigned flags) {
    size_t floats = 0;
    for (unsigned flag = TRANSFORM_A; flag <= TRANSFORM_VALUES; flag *= 2)
        if (flags & flag) floats += array_floats(spec, flag);
    return floats * sizeof(float);
}

static float *array_of(const struct transform *t, unsigned flag) {
    switch (flag) {
    case TRANSFORM_A: return t->a;
    case TRANSFORM_BACK: return t->back;
    case TRANSFORM_B: return t->b;
    case TRANSFORM_ORIGIN: return t->origin;
    default: return t->values;
    }
}

/* The arrays that a trained transform of this spec keeps in a file, but for LINEAR's b, which is as it is. */
static unsigned arrays_kept(const struct transform_spec *spec) {
    switch (spec->kind) {
    case TRANSFORM_PCA:
        return TRANSFORM_A | TRANSFORM_VALUES |
               (spec->through_0 ? 0u : TRANSFORM_B | (unsigned)TRANSFORM_ORIGIN) |
               (spec->whiten ? (unsigned)TRANSFORM_BACK : 0u);
    case TRANSFORM_CENTRE: return TRANSFORM_B;
    case TRANSFORM_NORMALISE:
    case TRANSFORM_HADAMARD:
    case TRANSFORM_PAD: return 0;
    default: return TRANSFORM_A;
    }
}

static unsigned flags_of(const struct transform *t) {
    unsigned flags = (t->spec.whiten ? FLAG_WHITEN : 0u) | (t->spec.rotate ? FLAG_ROTATE : 0u) |
                     (t->spec.through_0 ? FLAG_0 : 0u);
    if (!t->trained) return flags;
    return flags | FLAG_TRAINED | arrays_kept(&t->spec) | (t->b ? TRANSFORM_B : 0u);
}

size_t transform_bytes(const struct transform *t) {
    return HEAD_BYTES + arrays_bytes(&t->spec, flags_of(t));
}

void transform_write(const struct transform *t, uint8_t *out) {
    unsigned flags = flags_of(t);
    uint32_t head[6] = {(uint32_t)t->spec.kind, t->spec.d_in, t->spec.d_out, t->spec.m, flags, 0};
    memcpy(out, head, sizeof head);
    memcpy(out + sizeof head, &t->spec.seed, sizeof t->spec.seed);
    out += HEAD_BYTES;
    for (unsigned flag = TRANSFORM_A; flag <= TRANSFORM_VALUES; flag *= 2) {
        if (!(flags & flag)) continue;
        size_t bytes = array_floats(&t->spec, flag) * sizeof(float);
        memcpy(out, array_of(t, flag), bytes);
        out += bytes;
    }
}

static int read_head(struct transform_spec *spec, unsigned *flags, const uint8_t *bytes, size_t n,
                     kith_error *err) {
    uint32_t head[6];
    if (n < HEAD_BYTES)
        return FAIL(err, KITH_ECORRUPT, "a transform of %zu bytes, at least %u", n, HEAD_BYTES);
    memcpy(head, bytes, sizeof head);
    *flags = head[4];
    *spec = (struct transform_spec){.kind = (enum transform_kind)head[0],
                                    .d_in = head[1],
                                    .d_out = head[2],
                                    .m = head[3],
                                    .whiten = (*flags & FLAG_WHITEN) != 0,
                                    .rotate = (*flags & FLAG_ROTATE) != 0,
                                    .through_0 = (*flags & FLAG_0) != 0};
    memcpy(&spec->seed, bytes + sizeof head, sizeof spec->seed);
    unsigned arrays = *flags & (2 * TRANSFORM_VALUES - 1), kept = 0;
    if (transform_check(spec, NULL) != KITH_OK)
        return FAIL(err, KITH_ECORRUPT,
                    "a transform of kind %" PRIu32 " from dim %" PRIu32 " to %" PRIu32
                    " of %" PRIu32 " parts",
                    head[0], head[1], head[2], head[3]);
    if (*flags & FLAG_TRAINED) kept = arrays_kept(spec);
    if (spec->kind == TRANSFORM_LINEAR && kept) kept |= arrays & TRANSFORM_B;
    bool pca_only = spec->kind == TRANSFORM_PCA || !(*flags & (FLAG_WHITEN | FLAG_ROTATE));
    pca_only &= spec->kind == TRANSFORM_PCA || spec->kind == TRANSFORM_OPQ || !spec->through_0;
    if (*flags > FLAGS_ALL || head[5] != 0 || arrays != kept || !pca_only)
        return FAIL(err, KITH_ECORRUPT, "a transform of kind %s with flags 0x%x",
                    transform_name(spec->kind), *flags);
    return KITH_OK;
}

/* What follows from the arrays that a file keeps, or from the seed. */
static int complete(struct transform *t, kith_error *err) {
    if (t->spec.kind == TRANSFORM_HADAMARD) return transform_make_hadamard(t, err);
    if (!t->a || t->back) return KITH_OK;
    if (t->spec.kind == TRANSFORM_LINEAR) return transform_find_back(t, err);
    TRY(transform_alloc(t, TRANSFORM_BACK, err));
    matrix_transpose(t->spec.d_out, t->spec.d_in, t->a, t->back);
    return KITH_OK;
}

static int read_arrays(struct transform *t, unsigned flags, const uint8_t *bytes, kith_error *err) {
    TRY(transform_alloc(t, flags & (2 * TRANSFORM_VALUES - 1), err));
    for (unsigned flag = TRANSFORM_A; flag <= TRANSFORM_VALUES; flag *= 2) {
        if (!(flags & flag)) continue;
        size_t floats = array_floats(&t->spec, flag);
        float *to = array_of(t, flag);
        memcpy(to, bytes, floats * sizeof *to);
        bytes += floats * sizeof *to;
        for (size_t i = 0; i < floats; i++)
            if (!isfinite(to[i]))
                return FAIL(err, KITH_ECORRUPT, "a %s transform is not finite",
                            transform_name(t->spec.kind));
    }
    t->trained = (flags & FLAG_TRAINED) != 0;
    return complete(t, err);
}

int transform_read(struct transform *t, const uint8_t *bytes, size_t n, size_t *taken,
                   struct mem_account *owner, kith_error *err) {
    struct transform_spec spec;
    unsigned flags = 0;
    *t = (struct transform){.owner = owner};
    TRY(read_head(&spec, &flags, bytes, n, err));
    size_t want = arrays_bytes(&spec, flags);
    if (n - HEAD_BYTES < want)
        return FAIL(err, KITH_ECORRUPT, "a %s transform of %zu bytes, must be %zu",
                    transform_name(spec.kind), n, want + HEAD_BYTES);
    t->spec = spec;
    int code = read_arrays(t, flags, bytes + HEAD_BYTES, err);
    if (code != KITH_OK) transform_deinit(t);
    if (taken) *taken = HEAD_BYTES + want;
    return code;
}
