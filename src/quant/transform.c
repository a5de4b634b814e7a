/* Transforms: making, applying, and the way back. */
#include "quant/transform.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/thread.h"
#include "quant/matrix.h"
#include "quant/sums.h"
#include "quant/transform_parts.h"

#define ROWS_PART 64u

static const char *const names[TRANSFORM_KINDS] = {
    "linear", "pca", "opq", "rotation", "normalise", "centre", "pad", "hadamard",
};

const char *transform_name(enum transform_kind kind) {
    return (unsigned)kind < TRANSFORM_KINDS ? names[kind] : "unknown";
}

bool transform_is_linear(enum transform_kind kind) { return kind <= TRANSFORM_ROTATION; }

uint32_t transform_hadamard_dim(uint32_t d_in) { return (uint32_t)bits_round_up(d_in, 64); }

/* ---- making ------------------------------------------------------------------------------------------ */

int transform_check(const struct transform_spec *spec, kith_error *err) {
    uint32_t in = spec->d_in, out = spec->d_out;
    if ((unsigned)spec->kind >= TRANSFORM_KINDS)
        return FAIL(err, KITH_ESPEC, "no transform of kind %d", (int)spec->kind);
    bool narrow = transform_is_linear(spec->kind) || spec->kind == TRANSFORM_HADAMARD;
    uint32_t most = narrow ? TRANSFORM_MATRIX_MAX : KITH_MAX_DIM;
    if (in == 0 || out == 0 || in > most || out > most)
        return FAIL(err, KITH_EDIM, "%s from dim %" PRIu32 " to %" PRIu32 ", must be 1 to %" PRIu32,
                    names[spec->kind], in, out, most);
    if (spec->kind == TRANSFORM_PCA && out > in)
        return FAIL(err, KITH_ESPEC, "pca to dim %" PRIu32 " of only %" PRIu32, out, in);
    if (spec->kind == TRANSFORM_OPQ && (spec->m == 0 || out % spec->m != 0))
        return FAIL(err, KITH_ESPEC, "opq of %" PRIu32 " parts, which do not divide dim %" PRIu32,
                    spec->m, out);
    bool keeps = spec->kind == TRANSFORM_NORMALISE || spec->kind == TRANSFORM_CENTRE;
    if (keeps && in != out)
        return FAIL(err, KITH_ESPEC, "%s from dim %" PRIu32 " to another, %" PRIu32,
                    names[spec->kind], in, out);
    if (spec->kind == TRANSFORM_PAD && out < in)
        return FAIL(err, KITH_ESPEC, "pad to dim %" PRIu32 " of already %" PRIu32, out, in);
    if (spec->kind == TRANSFORM_HADAMARD && out != transform_hadamard_dim(in))
        return FAIL(err, KITH_ESPEC,
                    "hadamard from dim %" PRIu32 " to %" PRIu32 ", must be %" PRIu32, in, out,
                    transform_hadamard_dim(in));
    return KITH_OK;
}

size_t transform_a_bytes(const struct transform *t) {
    return (size_t)t->spec.d_in * t->spec.d_out * sizeof(float);
}

int transform_init(struct transform *t, const struct transform_spec *spec,
                   struct mem_account *owner, kith_error *err) {
    *t = (struct transform){.owner = owner};
    TRY(transform_check(spec, err));
    t->spec = *spec;
    t->trained = spec->kind == TRANSFORM_NORMALISE || spec->kind == TRANSFORM_PAD;
    if (spec->kind == TRANSFORM_ROTATION) {
        int code = transform_make_rotation(t, err);
        if (code != KITH_OK) transform_deinit(t);
        return code;
    }
    return t->spec.kind == TRANSFORM_HADAMARD ? transform_make_hadamard(t, err) : KITH_OK;
}

int transform_make_hadamard(struct transform *t, kith_error *err) {
    int code = rotation_init(&t->rotation, t->spec.d_in, t->spec.seed, t->owner, err);
    t->trained = code == KITH_OK;
    return code;
}

void transform_drop(struct transform *t) {
    if (t->a) mem_free(t->owner, t->a, transform_a_bytes(t));
    transform_drop_back(t);
    if (t->b) mem_free(t->owner, t->b, t->spec.d_out * sizeof(float));
    if (t->values) mem_free(t->owner, t->values, t->spec.d_in * sizeof(float));
    rotation_deinit(&t->rotation, t->owner);
    t->a = t->b = t->values = NULL;
    t->trained = false;
}

void transform_deinit(struct transform *t) {
    transform_drop(t);
    *t = (struct transform){0};
}

int transform_alloc(struct transform *t, unsigned what, kith_error *err) {
    size_t in = t->spec.d_in * sizeof(float), out = t->spec.d_out * sizeof(float);
    if (what & TRANSFORM_A) t->a = mem_new(t->owner, transform_a_bytes(t));
    if (what & TRANSFORM_BACK) t->back = mem_new(t->owner, transform_a_bytes(t));
    if (what & TRANSFORM_B) t->b = mem_new(t->owner, out);
    if (what & TRANSFORM_ORIGIN) t->origin = mem_new(t->owner, in);
    if (what & TRANSFORM_VALUES) t->values = mem_new(t->owner, in);
    unsigned got = (t->a ? TRANSFORM_A : 0u) | (t->back ? TRANSFORM_BACK : 0u) |
                   (t->b ? TRANSFORM_B : 0u) | (t->origin ? TRANSFORM_ORIGIN : 0u) |
                   (t->values ? TRANSFORM_VALUES : 0u);
    if ((got & what) == what) return KITH_OK;
    transform_drop(t);
    return FAIL(err, KITH_ENOMEM, "no memory for a transform from dim %" PRIu32 " to %" PRIu32,
                t->spec.d_in, t->spec.d_out);
}

void transform_drop_back(struct transform *t) {
    if (t->back) mem_free(t->owner, t->back, transform_a_bytes(t));
    if (t->origin) mem_free(t->owner, t->origin, t->spec.d_in * sizeof(float));
    t->back = t->origin = NULL;
}

/* Whether the dot products of n rows of dim floats are those of unit vectors; *out: 1 yes, 0 no. */
static int is_orthonormal(size_t n, size_t dim, const float *rows, struct mem_account *owner,
                          bool *out, kith_error *err) {
    float *dots = mem_new(owner, n * n * sizeof *dots);
    if (!dots) return FAIL(err, KITH_ENOMEM, "no memory to compare %zu rows", n);
    matrix_multiply(&(struct matrix_product){n, n, dim, rows, rows}, 1, dots);
    *out = true;
    for (size_t i = 0; i < n * n; i++)
        *out &= fabsf(dots[i] - (i % (n + 1) == 0 ? 1.0f : 0.0f)) <= 0x1p-14f;
    mem_free(owner, dots, n * n * sizeof *dots);
    return KITH_OK;
}

/* A and b are there: the way back, if there is one. */
int transform_find_back(struct transform *t, kith_error *err) {
    size_t in = t->spec.d_in, out = t->spec.d_out;
    bool wide = out <= in, orthonormal = false;
    TRY(transform_alloc(t, TRANSFORM_BACK | (t->b ? TRANSFORM_ORIGIN : 0u), err));
    matrix_transpose(out, in, t->a, t->back);
    int code = is_orthonormal(wide ? out : in, wide ? in : out, wide ? t->a : t->back, t->owner,
                              &orthonormal, err);
    if (code != KITH_OK) return code;
    if (!orthonormal) {
        transform_drop_back(t);
    } else if (t->b) {
        matrix_multiply(&(struct matrix_product){1, in, out, t->b, t->back}, 1, t->origin);
        for (size_t i = 0; i < in; i++) t->origin[i] = -t->origin[i];
    }
    return KITH_OK;
}

static bool all_finite(size_t n, const float *x) {
    float zero = 0;
    for (size_t i = 0; i < n; i++) zero += x[i] - x[i];
    return zero == 0;
}

int transform_set(struct transform *t, const float *a, const float *b, kith_error *err) {
    size_t n_a = a ? (size_t)t->spec.d_in * t->spec.d_out : 0, n_b = b ? t->spec.d_out : 0;
    if (!all_finite(n_a, a) || !all_finite(n_b, b))
        return FAIL(err, KITH_ENONFINITE, "the matrix of a transform is not finite");
    struct transform made = {.spec = t->spec, .owner = t->owner};
    TRY(transform_alloc(&made, (a ? TRANSFORM_A : 0u) | (b ? TRANSFORM_B : 0u), err));
    if (a) memcpy(made.a, a, n_a * sizeof *a);
    if (b) memcpy(made.b, b, n_b * sizeof *b);
    int code = a ? transform_find_back(&made, err) : KITH_OK;
    if (code != KITH_OK) {
        transform_drop(&made);
        return code;
    }
    transform_drop(t);
    *t = made;
    t->trained = true;
    return KITH_OK;
}

/* ---- applying ---------------------------------------------------------------------------------------- */

struct rows_work {
    const struct transform *t;
    const float *rows;
    float *out;
};

static void normalise(size_t dim, const float *row, float *out) {
    double squares = sums_squares(dim, row);
    sums_scale(dim, row, squares > 0 ? 1 / sqrt(squares) : 0, out);
}

/* What is not a matrix: one row of n elements, or b after the matrix. */
static void apply_row(const struct transform *t, const float *row, float *out) {
    size_t in = t->spec.d_in, n_out = t->spec.d_out;
    if (t->spec.kind == TRANSFORM_NORMALISE) {
        normalise(in, row, out);
    } else if (t->spec.kind == TRANSFORM_PAD) {
        memcpy(out, row, in * sizeof *out);
        memset(out + in, 0, (n_out - in) * sizeof *out);
    } else if (t->spec.kind == TRANSFORM_HADAMARD) {
        rotation_apply(&t->rotation, row, out);
    } else {
        const float *from = t->a ? out : row;
        for (size_t i = 0; i < n_out; i++) out[i] = from[i] + t->b[i];
    }
}

static void apply_part(void *context, uint32_t worker, size_t begin, size_t end) {
    (void)worker;
    const struct rows_work *work = context;
    const struct transform_spec *spec = &work->t->spec;
    for (size_t i = begin; i < end; i++)
        apply_row(work->t, work->rows + i * spec->d_in, work->out + i * spec->d_out);
}

void transform_apply(const struct transform *t, uint32_t threads, size_t n, const float *rows,
                     float *out) {
    struct matrix_product product = {n, t->spec.d_out, t->spec.d_in, rows, t->a};
    if (t->a) matrix_multiply(&product, threads, out);
    if (t->a && !t->b) return;
    thread_for(threads, n, ROWS_PART, apply_part, &(struct rows_work){t, rows, out});
}

bool transform_reversible(const struct transform *t) {
    return t->trained && (t->back || !transform_is_linear(t->spec.kind));
}

static void reverse_rotation(const struct rotation *rotation, const float *row, float *out) {
    float turned[TRANSFORM_MATRIX_MAX];
    memcpy(turned, row, rotation->padded * sizeof *turned);
    rotation_reverse(rotation, turned);
    memcpy(out, turned, rotation->dim * sizeof *out);
}

static void reverse_row(const struct transform *t, const float *row, float *out) {
    size_t in = t->spec.d_in;
    if (t->spec.kind == TRANSFORM_HADAMARD)
        reverse_rotation(&t->rotation, row, out);
    else if (t->spec.kind == TRANSFORM_CENTRE)
        for (size_t i = 0; i < in; i++) out[i] = row[i] - t->b[i];
    else if (t->a)
        for (size_t i = 0; i < in; i++) out[i] += t->origin[i];
    else
        memcpy(out, row, in * sizeof *out);
}

static void reverse_part(void *context, uint32_t worker, size_t begin, size_t end) {
    (void)worker;
    const struct rows_work *work = context;
    const struct transform_spec *spec = &work->t->spec;
    for (size_t i = begin; i < end; i++)
        reverse_row(work->t, work->rows + i * spec->d_out, work->out + i * spec->d_in);
}

void transform_reverse(const struct transform *t, uint32_t threads, size_t n, const float *rows,
                       float *out) {
    struct matrix_product product = {n, t->spec.d_in, t->spec.d_out, rows, t->back};
    if (t->a) matrix_multiply(&product, threads, out);
    if (t->a && !t->origin) return;
    thread_for(threads, n, ROWS_PART, reverse_part, &(struct rows_work){t, rows, out});
}
