/* Transforms on the wire: what is done to vectors before an index sees them.
 *
 *     LTra rrot   bool have_bias, counted f32 A, counted f32 b
 *     Pcam        f32 eigen_power, f32 epsilon, bool random_rotation, i32 balanced_bins, counted f32 mean, eigenvalues
 *                 and PCAMat, then as LTra;  PcAm (older) has no epsilon, PCAm (oldest) no balanced_bins either
 *     HRot        u32 seed
 *     RmDT        counted i32 map
 *     VNrm        f32 norm
 *     VCnt        counted f32 mean
 *     each ends   i32 d_in, i32 d_out, bool is_trained */
#include "foreign/faiss_wire.h"

#define TAG(s) FAISS_TAG((s)[0], (s)[1], (s)[2], (s)[3])

static const struct {
    char tag[5];
    enum faiss_transform_kind kind;
} transforms[] = {
    /* first of a kind: what is written */
    {"LTra", FAISS_LINEAR}, {"rrot", FAISS_ROTATION},  {"Pcam", FAISS_PCA},
    {"PcAm", FAISS_PCA},    {"PCAm", FAISS_PCA},       {"HRot", FAISS_HADAMARD},
    {"RmDT", FAISS_REMAP},  {"VNrm", FAISS_NORMALIZE}, {"VCnt", FAISS_CENTER},
};
#define N_TRANSFORMS (sizeof transforms / sizeof *transforms)

static uint32_t tag_of(enum faiss_transform_kind kind) {
    for (size_t i = 0; i < N_TRANSFORMS; i++)
        if (transforms[i].kind == kind) return TAG(transforms[i].tag);
    return 0;
}

static int kind_of(const struct wire *wire, struct faiss_transform *transform) {
    struct tag_text letters = family_tag_text(transform->tag);
    for (size_t i = 0; i < N_TRANSFORMS; i++)
        if (transform->tag == TAG(transforms[i].tag)) {
            transform->kind = transforms[i].kind;
            return KITH_OK;
        }
    if (transform->tag == TAG("Viqm") || transform->tag == TAG("Viqt"))
        return WIRE_FAIL_AS(wire, KITH_EUNSUPPORTED, "transform \"%s\", ITQ, is not supported",
                            letters.text);
    return WIRE_FAIL_AS(wire, KITH_EFORMAT, "\"%s\" is not a transform of FAISS", letters.text);
}

static int walk_matrix(struct wire *wire, struct faiss_transform *transform) {
    TRY(wire_bool(wire, &transform->have_bias));
    TRY(wire_array(wire, &transform->A, sizeof(float), "matrix"));
    return wire_array(wire, &transform->b, sizeof(float), "bias");
}

static int walk_pca(struct wire *wire, struct faiss_transform *transform) {
    TRY(wire_f32(wire, &transform->eigen_power));
    if (transform->tag == TAG("Pcam")) TRY(wire_f32(wire, &transform->epsilon));
    TRY(wire_bool(wire, &transform->random_rotation));
    if (transform->tag != TAG("PCAm")) TRY(wire_i32(wire, &transform->balanced_bins));
    TRY(wire_array(wire, &transform->mean, sizeof(float), "mean"));
    TRY(wire_array(wire, &transform->eigenvalues, sizeof(float), "eigenvalues"));
    TRY(wire_array(wire, &transform->PCAMat, sizeof(float), "principal components"));
    return walk_matrix(wire, transform);
}

static int walk_fields(struct wire *wire, struct faiss_transform *transform) {
    switch (transform->kind) {
    case FAISS_LINEAR:
    case FAISS_ROTATION: return walk_matrix(wire, transform);
    case FAISS_PCA: return walk_pca(wire, transform);
    case FAISS_HADAMARD: return wire_u32(wire, &transform->seed);
    case FAISS_REMAP: return wire_array(wire, &transform->map, sizeof(int32_t), "dimension map");
    case FAISS_NORMALIZE: return wire_f32(wire, &transform->norm);
    case FAISS_CENTER: return wire_array(wire, &transform->mean, sizeof(float), "mean");
    }
    return WIRE_FAIL(wire, "transform kind %d", (int)transform->kind);
}

static int check_remap(struct wire *wire, const struct faiss_transform *transform) {
    WIRE_CHECK(wire, transform->map.n >= (uint64_t)transform->d_out,
               "a map of %llu dimensions for %d", (unsigned long long)transform->map.n,
               transform->d_out);
    for (int32_t i = 0; i < transform->d_out; i++) {
        int32_t from = bytes_i32(transform->map.bytes + 4 * (size_t)i);
        wire_blame(wire, transform->map.bytes + 4 * (size_t)i);
        WIRE_CHECK(wire, from >= -1 && from < transform->d_in, "dimension %d comes from %d of %d",
                   i, from, transform->d_in);
    }
    return KITH_OK;
}

/* Sizes against dimensions; a transform that is not trained has no matrix yet. */
static int check_sizes(struct wire *wire, const struct faiss_transform *transform) {
    uint64_t d_in = (uint64_t)transform->d_in, d_out = (uint64_t)transform->d_out;
    bool square = false, holds = true;
    switch (transform->kind) {
    case FAISS_LINEAR:
    case FAISS_ROTATION:
    case FAISS_PCA:
        holds = !transform->is_trained || (transform->A.n >= d_in * d_out &&
                                           (!transform->have_bias || transform->b.n >= d_out));
        break;
    case FAISS_HADAMARD:
        holds = d_out >= d_in && d_out / 2 < d_in && (d_out & (d_out - 1)) == 0;
        break;
    case FAISS_REMAP: return check_remap(wire, transform);
    case FAISS_NORMALIZE: square = true; break;
    case FAISS_CENTER:
        square = true;
        holds = !transform->is_trained || transform->mean.n >= d_in;
        break;
    }
    WIRE_CHECK(wire, holds && (!square || d_in == d_out),
               "transform \"%s\" from %d to %d dimensions does not fit its numbers",
               family_tag_text(transform->tag).text, transform->d_in, transform->d_out);
    return KITH_OK;
}

int wire_transform(struct wire *wire, struct faiss_transform *transform) {
    if (wire->writing) transform->tag = tag_of(transform->kind);
    TRY(wire_u32(wire, &transform->tag));
    if (!wire->writing) TRY(kind_of(wire, transform));
    TRY(walk_fields(wire, transform));
    TRY(wire_i32(wire, &transform->d_in));
    TRY(wire_i32(wire, &transform->d_out));
    TRY(wire_bool(wire, &transform->is_trained));
    WIRE_CHECK(wire,
               transform->d_in >= 1 && transform->d_in <= FAISS_DIM_MAX && transform->d_out >= 1 &&
                   transform->d_out <= FAISS_DIM_MAX,
               "transform from %d to %d dimensions", transform->d_in, transform->d_out);
    return check_sizes(wire, transform);
}
