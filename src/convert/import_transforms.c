/* FAISS's transforms as a chain of Kith's. What is linear, but for normalising and centring, is kept as its matrix: that of
 * principal components, of OPQ and of rotations as it is; of a Hadamard rotation and of a map of dimensions as it is computed
 * here, by what the file says (docs/faiss-files.md). */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "base/status.h"
#include "convert/import_faiss.h"
#include "foreign/bytes.h"
#include "index/pretransform.h"

static float f32_at(struct faiss_array array, uint64_t i) { return bytes_f32(array.bytes + 4 * i); }

/* ---- matrices that files do not hold ------------------------------------------------------------------ */

static void hadamard(double *x, int32_t d) {
    for (int32_t step = 1; step < d; step *= 2)
        for (int32_t i = 0; i < d; i++) {
            if (i & step) continue;
            double a = x[i], b = x[i + step];
            x[i] = a + b;
            x[i + step] = a - b;
        }
}

/* Three times random signs and a Hadamard transform, scaled to keep lengths. */
static void rotate(const struct faiss_transform *transform, double *x) {
    int32_t d = transform->d_out;
    uint64_t state = transform->seed;
    for (int round = 0; round < 3; round++) {
        for (int32_t i = 0; i < d; i++) x[i] = bits_random(&state) & 1 ? x[i] : -x[i];
        hadamard(x, d);
    }
    for (int32_t i = 0; i < d; i++) x[i] /= (double)d * sqrt((double)d);
}

/* a[d_out][d_in] of a Hadamard rotation, column by column. */
static void fill_hadamard(const struct faiss_transform *transform, double *column, float *a) {
    for (int32_t j = 0; j < transform->d_in; j++) {
        for (int32_t i = 0; i < transform->d_out; i++) column[i] = i == j;
        rotate(transform, column);
        for (int32_t i = 0; i < transform->d_out; i++)
            a[(size_t)i * (size_t)transform->d_in + (size_t)j] = (float)column[i];
    }
}

static void fill_matrix(const struct faiss_transform *transform, double *column, float *a,
                        float *b) {
    size_t d_in = (size_t)transform->d_in, d_out = (size_t)transform->d_out;
    switch (transform->kind) {
    case FAISS_HADAMARD: fill_hadamard(transform, column, a); return;
    case FAISS_REMAP:
        for (size_t i = 0; i < d_out; i++) {
            int32_t from = bytes_i32(transform->map.bytes + 4 * i);
            if (from >= 0) a[i * d_in + (size_t)from] = 1;
        }
        return;
    case FAISS_CENTER:
        for (size_t i = 0; i < d_out; i++) {
            a[i * d_in + i] = 1;
            b[i] = -f32_at(transform->mean, i);
        }
        return;
    default:
        memcpy(a, transform->A.bytes, d_out * d_in * sizeof *a);
        if (transform->have_bias) memcpy(b, transform->b.bytes, d_out * sizeof *b);
    }
}

static bool has_bias(const struct faiss_transform *transform) {
    return transform->kind == FAISS_CENTER || transform->have_bias;
}

/* ---- chains ------------------------------------------------------------------------------------------------ */

/* A centre taken away changes inner products, which FAISS allows and Kith only of a matrix. */
static enum transform_kind kind_of(const struct faiss_transform *transform, int32_t metric) {
    if (transform->kind == FAISS_NORMALIZE) return TRANSFORM_NORMALISE;
    if (transform->kind == FAISS_CENTER && metric == FAISS_L2) return TRANSFORM_CENTRE;
    return TRANSFORM_LINEAR;
}

static int set_transform(struct transform *to, const struct faiss_transform *from,
                         struct mem_account *owner, kith_error *err) {
    size_t d_in = (size_t)from->d_in, d_out = (size_t)from->d_out;
    if (to->spec.kind == TRANSFORM_NORMALISE) return KITH_OK;
    size_t b_at = bits_round_up(d_in * d_out * sizeof(float), 64);
    size_t column_at = bits_round_up(b_at + d_out * sizeof(float), 64);
    size_t bytes = column_at + d_out * sizeof(double);
    uint8_t *memory = mem_new(owner, bytes);
    if (!memory) return FAIL(err, KITH_ENOMEM, "no memory for a matrix of %zu x %zu", d_out, d_in);
    float *a = (float *)(void *)memory, *b = (float *)(void *)(memory + b_at);
    fill_matrix(from, (double *)(void *)(memory + column_at), a, b);
    int code = transform_set(to, to->spec.kind == TRANSFORM_LINEAR ? a : NULL,
                             has_bias(from) ? b : NULL, err);
    mem_free(owner, memory, bytes);
    return code;
}

int import_chain(struct transform_chain *out, const struct faiss_node *node,
                 struct importing *importing, kith_error *err) {
    struct transform_spec specs[TRANSFORM_CHAIN_MAX] = {{0}};
    if (node->n_chain < 1 || node->n_chain > (int32_t)TRANSFORM_CHAIN_MAX)
        return FAIL_AT(err, KITH_EUNSUPPORTED, node->at, "%d transforms, 1 to %u can be had",
                       node->n_chain, TRANSFORM_CHAIN_MAX);
    for (int32_t i = 0; i < node->n_chain; i++) {
        const struct faiss_transform *from = &node->chain[i];
        if (!from->is_trained && from->kind != FAISS_NORMALIZE && from->kind != FAISS_REMAP)
            return FAIL_AT(err, KITH_EUNSUPPORTED, node->at, "transform %d is not trained", i);
        if ((uint32_t)from->d_in > TRANSFORM_MATRIX_MAX ||
            (uint32_t)from->d_out > TRANSFORM_MATRIX_MAX)
            return FAIL_AT(err, KITH_EUNSUPPORTED, node->at,
                           "a transform from %d to %d dimensions, at most %u can be had",
                           from->d_in, from->d_out, TRANSFORM_MATRIX_MAX);
        specs[i] = (struct transform_spec){.kind = kind_of(from, node->metric),
                                           .d_in = (uint32_t)from->d_in,
                                           .d_out = (uint32_t)from->d_out};
    }
    TRY(transform_chain_init(out, (uint32_t)node->d, (uint32_t)node->n_chain, specs,
                             &importing->owner, err));
    int code = KITH_OK;
    for (int32_t i = 0; i < node->n_chain && code == KITH_OK; i++)
        code = set_transform(&out->at[i], &node->chain[i], &importing->owner, err);
    if (code != KITH_OK) transform_chain_deinit(out);
    return code;
}

/* ---- around an index ----------------------------------------------------------------------------------------- */

/* Originals of a refinement around the transforms, as f32. */
static int read_originals(struct faiss_plan *plan, float **out, size_t *bytes, kith_error *err) {
    struct mem_account *owner = &plan->importing->owner;
    const struct faiss_node *node = plan->refine->refine;
    struct storage storage;
    *out = NULL;
    TRY(storage_of_node(&storage, node, true, owner, err));
    bool fits = mem_mul(storage.n, storage.dim * sizeof(float), bytes);
    *out = fits ? mem_new(owner, *bytes) : NULL;
    for (uint64_t i = 0; *out && i < storage.n; i++)
        storage_read(&storage, storage.codes, i, *out + i * storage.dim);
    uint64_t n = storage.n;
    storage_deinit(&storage);
    return *out ? KITH_OK
                : FAIL(err, KITH_ENOMEM, "no memory for the originals of %" PRIu64 " rows", n);
}

int import_wrapped(struct kith_index **index, struct faiss_plan *plan, kith_error *err) {
    struct importing *importing = plan->importing;
    struct transform_chain chain;
    struct kith_index *wrapped;
    float *originals = NULL;
    size_t bytes = 0;
    TRY(import_chain(&chain, plan->chain, importing, err));
    int code = plan->refines_around ? read_originals(plan, &originals, &bytes, err) : KITH_OK;
    const struct pre_parts parts = {.chain = &chain,
                                    .inner = *index,
                                    .n = (size_t)plan->chain->ntotal,
                                    .ids = plan->ids,
                                    .originals = originals};
    if (code == KITH_OK) code = index_pre_wrap(&wrapped, &parts, err);
    if (code == KITH_ESPEC && err) err->code = code = KITH_EUNSUPPORTED;
    if (code == KITH_OK) {
        *index = wrapped;
        memcpy(importing->what->spec, wrapped->spec, sizeof importing->what->spec);
        tell(importing->what, "transforms: kept, what is linear as its matrix");
    }
    if (originals) mem_free(&importing->owner, originals, bytes);
    transform_chain_deinit(&chain);
    return code;
}
