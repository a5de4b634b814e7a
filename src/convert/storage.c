/* Storages: decoding what another engine coded, and the models of Kith's codes that stand for the same. */
#include "convert/storage.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/status.h"
#include "foreign/bytes.h"
#include "kern/half.h"
#include "quant/rabitq.h"

#define STEP_MIN 0x1p-100f /* below it a dimension does not vary */
#define GRID_MAX 0x1p62f   /* squares of such sums stay in f32 */

/* ---- decoding ------------------------------------------------------------------------------------- */

/* `bits` bits of a little-endian stream from bit i * bits on, at most 24. */
static uint32_t field(const uint8_t *code, uint64_t i, uint32_t bits) {
    uint64_t at = i * bits, end = (at + bits + 7) / 8;
    uint32_t value = 0;
    for (uint64_t byte = at / 8; byte < end; byte++)
        value |= (uint32_t)code[byte] << 8 * (byte - at / 8);
    return value >> at % 8 & ((1u << bits) - 1);
}

static bool is_uniform(const struct faiss_sq *sq) {
    return sq->qtype == FAISS_SQ_8BIT_UNIFORM || sq->qtype == FAISS_SQ_4BIT_UNIFORM;
}

/* The range of dimension i: vmin, and vdiff. */
static void range_of(const struct faiss_sq *sq, uint64_t i, float *least, float *width) {
    uint64_t at = is_uniform(sq) ? 0 : i, apart = is_uniform(sq) ? 1 : sq->d;
    *least = bytes_f32(sq->trained.bytes + 4 * at);
    *width = bytes_f32(sq->trained.bytes + 4 * (at + apart));
}

static void read_sq(const struct storage *storage, const uint8_t *code, float *x) {
    const float top = (float)((1u << storage->bits) - 1);
    for (uint32_t i = 0; i < storage->dim; i++) {
        float c = (float)field(code, i, storage->bits), least, width;
        if (!storage->plain) {
            x[i] = fmaf(c, storage->step[i], storage->low[i]);
            continue;
        }
        range_of(storage->sq, i, &least, &width);
        x[i] = least + width * ((c + 0.5f) / top);
    }
}

/* Number m of row i in blocks of the fast scan: docs/faiss-files.md has the order. */
static uint32_t block_field(const struct storage *storage, const uint8_t *blocks, uint64_t i,
                            uint64_t m) {
    uint64_t in = i % storage->block, lane = in % 16;
    uint64_t place = lane < 8 ? 2 * lane : 2 * (lane - 8) + 1;
    const uint8_t *at = blocks + i / storage->block * storage->code_size;
    uint8_t byte = at[m / 2 * storage->block + in / 32 * 32 + m % 2 * 16 + place];
    return in % 32 < 16 ? byte & 15u : byte >> 4;
}

static void read_pq(const struct storage *storage, const uint8_t *codes, uint64_t i, float *x) {
    const struct faiss_pq *pq = storage->pq;
    uint64_t part = pq->d / pq->M;
    for (uint64_t m = 0; m < pq->M; m++) {
        uint32_t c = storage->block ? block_field(storage, codes, i, m)
                                    : field(codes + i * storage->code_size, m, (uint32_t)pq->nbits);
        memcpy(x + m * part, pq->centroids.bytes + ((m << pq->nbits) + c) * part * sizeof *x,
               part * sizeof *x);
    }
}

void storage_read(const struct storage *storage, const uint8_t *codes, uint64_t i, float *x) {
    const uint8_t *code = codes + i * storage->code_size;
    switch (storage->kind) {
    case STORAGE_F32: memcpy(x, code, storage->dim * sizeof *x); return;
    case STORAGE_F16:
        for (uint32_t j = 0; j < storage->dim; j++) x[j] = half_from_f16(bytes_u16(code + 2 * j));
        return;
    case STORAGE_BF16:
        for (uint32_t j = 0; j < storage->dim; j++) x[j] = half_from_bf16(bytes_u16(code + 2 * j));
        return;
    case STORAGE_U8:
        for (uint32_t j = 0; j < storage->dim; j++) x[j] = code[j];
        return;
    case STORAGE_I8: /* FAISS's signed bytes are 128 too large */
        for (uint32_t j = 0; j < storage->dim; j++)
            x[j] = storage->sq ? (float)(code[j] - 128) : (float)(int8_t)code[j];
        return;
    case STORAGE_SQ: read_sq(storage, code, x); return;
    case STORAGE_PQ: read_pq(storage, codes, i, x); return;
    case STORAGE_RABITQ: return;
    }
}

/* ---- models --------------------------------------------------------------------------------------- */

/* The nearest float of 16 significant bits. */
static float cut_step(float width) {
    uint32_t bits;
    memcpy(&bits, &width, sizeof bits);
    bits = (bits + 0x80u) & ~0xffu;
    memcpy(&width, &bits, sizeof width);
    return width < STEP_MIN ? 0 : width;
}

/* Kith's grid of each dimension; false where it cannot be. */
static bool make_grid(struct storage *storage) {
    const double top = (1u << storage->bits) - 1;
    for (uint32_t i = 0; i < storage->dim; i++) {
        float least, width;
        range_of(storage->sq, i, &least, &width);
        if (!(width >= 0 && width < GRID_MAX && fabsf(least) < GRID_MAX)) return false;
        double exact = (double)width / top, step = (double)cut_step((float)exact);
        storage->step[i] = (float)step;
        storage->low[i] = (float)((double)least + exact / 2 + top / 2 * (exact - step));
    }
    return true;
}

static int model_sq(struct storage *storage, kith_error *err) {
    size_t bytes = 2 * (size_t)storage->dim * sizeof(float);
    storage->low = mem_new(storage->owner, bytes);
    if (!storage->low)
        return FAIL(err, KITH_ENOMEM, "no memory for the ranges of %u dimensions", storage->dim);
    storage->step = storage->low + storage->dim;
    storage->plain = storage->plain || !make_grid(storage);
    storage->model = (struct code_model){.low = storage->low,
                                         .step = storage->step,
                                         .bytes = (const uint8_t *)storage->low,
                                         .n_bytes = bytes};
    return KITH_OK;
}

/* pq.h's model, each part's centroids filled up with its first. */
static int model_pq(struct storage *storage, kith_error *err) {
    const struct faiss_pq *pq = storage->pq;
    uint32_t k = 1u << storage->bits, have = 1u << pq->nbits;
    size_t part = (size_t)(pq->d / pq->M) * sizeof(float), bytes = 16 + pq->M * k * part;
    const uint32_t head[3] = {storage->dim, (uint32_t)pq->M, storage->bits};
    uint8_t *model = mem_new(storage->owner, bytes), *at = model + 16;
    if (!model) return FAIL(err, KITH_ENOMEM, "no memory for a model of %zu bytes", bytes);
    memcpy(model, "KPQ1", 4);
    memcpy(model + 4, head, sizeof head);
    for (uint64_t m = 0; m < pq->M; m++, at += k * part) {
        const uint8_t *from = pq->centroids.bytes + m * have * part;
        memcpy(at, from, have * part);
        for (uint32_t c = have; c < k; c++) memcpy(at + c * part, from, part);
    }
    storage->model = (struct code_model){.bytes = model, .n_bytes = bytes};
    return KITH_OK;
}

/* ---- RaBitQ -------------------------------------------------------------------------------------- */

/* FAISS's factors of a code: of its signs, and of all its bits (bits 1: the same). With s = +-1, v half-integers, r = q - c,
 * its estimates are, to be negated under inner product,
 *
 *     signs, L2   |r|^2 + f0 - 2 f1 <r, s> / sqrt d           all bits, L2   |r|^2 + f0 + f1 <r, v>
 *     signs, IP   (|q|^2 - that) / 2                                    IP   <q, c> + f0 + f1 <r, v> */
struct factors {
    float sign[2], all[2];
};

static struct factors factors_of(const struct storage *storage, const uint8_t *code) {
    uint64_t d = storage->dim, bits = storage->bits - 1;
    const uint8_t *sign = code + (d + 7) / 8, *all = sign + 12 + (d * bits + 7) / 8;
    struct factors f = {{bytes_f32(sign), bytes_f32(sign + 4)}, {0, 0}};
    if (bits > 0) f.all[0] = bytes_f32(all), f.all[1] = bytes_f32(all + 4);
    return f;
}

/* What the signs' factors make of a row's distance: term + weight <q, s / 2>, given <c, s> and |c|^2. */
static void sign_score(const struct storage *storage, const struct factors *f, double centre_dot,
                       double centre_l2sq, float *term, float *weight) {
    double f0 = (double)f->sign[0], f1 = (double)f->sign[1] / sqrt((double)storage->dim);
    bool l2 = storage->rabitq->metric == FAISS_L2;
    double whole = f0 + 2 * f1 * centre_dot + (l2 ? 0 : centre_l2sq);
    *term = (float)(l2 ? whole : whole / 2);
    *weight = (float)((l2 ? -4 : -2) * f1);
}

void storage_compose(const struct storage *storage, const struct quantizer *quantizer,
                     const uint8_t *code, const float *centre, uint8_t *u, uint8_t *out) {
    uint32_t bits = storage->bits - 1, dim = storage->dim;
    const uint8_t *fine = code + (dim + 7) / 8 + 12;
    const struct factors f = factors_of(storage, code);
    const double middle = ((1u << storage->bits) - 1) / 2.0;
    double sign_dot = 0, dot = 0, l2sq = 0;
    for (uint32_t i = 0; i < dim; i++) {
        uint32_t sign = field(code, i, 1);
        u[i] = (uint8_t)(sign << bits | (bits ? field(fine, i, bits) : 0));
        sign_dot += sign ? (double)centre[i] : -(double)centre[i];
        dot += (double)centre[i] * (u[i] - middle);
        l2sq += (double)centre[i] * (double)centre[i];
    }
    struct rabitq_parts_of_code parts = {.u = u};
    sign_score(storage, &f, sign_dot, l2sq, &parts.sign_term, &parts.sign_weight);
    double way = storage->rabitq->metric == FAISS_L2 ? 1 : -1, rescale = (double)f.all[1];
    parts.term = bits ? (float)(way * ((double)f.all[0] - rescale * dot)) : parts.sign_term;
    parts.weight = bits ? (float)(way * rescale) : parts.sign_weight;
    rabitq_compose(quantizer, &parts, out);
}

static float heaviest(const struct storage *storage, const uint8_t *codes, uint64_t n) {
    float most = 0;
    for (uint64_t i = 0; i < n; i++) {
        const struct factors f = factors_of(storage, codes + i * storage->code_size);
        float weight = storage->bits > 1 ? f.all[1] : 4 * f.sign[1] / sqrtf((float)storage->dim);
        most = fmaxf(most, fabsf(weight));
    }
    return most;
}

/* rabitq.h's model, not rotated, of mean 0; `longest` bounds every row, so that estimates are bounded. */
static int model_rabitq(struct storage *storage, const struct faiss_node *node, kith_error *err) {
    size_t bytes = 24 + storage->dim * sizeof(float);
    uint32_t padded = (storage->dim + 63) / 64 * 64, as_they_are = 1;
    uint8_t *model = mem_new(storage->owner, bytes);
    if (!model) return FAIL(err, KITH_ENOMEM, "no memory for a model of %zu bytes", bytes);
    float weight = storage->codes ? heaviest(storage, storage->codes, storage->n) : 0;
    for (uint64_t l = 0; node->ivf.lists && l < node->ivf.nlist; l++)
        weight = fmaxf(weight, heaviest(storage, node->ivf.lists[l].codes, node->ivf.lists[l].n));
    float longest = weight * (float)((1u << storage->bits) - 1) / 2 * sqrtf((float)padded);
    memcpy(model, "RaBQ", 4);
    memcpy(model + 4, &storage->dim, 4);
    memcpy(model + 16, &longest, 4);
    memcpy(model + 20, &as_they_are, 4);
    storage->model = (struct code_model){.bytes = model, .n_bytes = bytes};
    return KITH_OK;
}

/* Nothing can be coded by what was never trained: a damaged file. */
static int untrained(struct storage *storage, const struct faiss_node *node, kith_error *err) {
    storage->plain = true;
    if (storage->n == 0) return KITH_OK;
    return FAIL_AT(err, KITH_ECORRUPT, node->at, "%s: %llu rows, coded by what was never trained",
                   faiss_kind_name(node->kind), (unsigned long long)storage->n);
}

static int finish_rabitq(struct storage *storage, const struct faiss_node *node, kith_error *err) {
    storage->kind = STORAGE_RABITQ;
    storage->rabitq = &node->rabitq;
    storage->bits = (uint32_t)node->rabitq.nb_bits;
    if (storage->plain || storage->bits > 8 || node->rabitq.metric != node->metric ||
        (node->metric != FAISS_L2 && node->metric != FAISS_IP))
        return FAIL_AT(err, KITH_EUNSUPPORTED, node->at,
                       "RaBitQ of %u bits by %s: Kith has 1 to 8 bits, by L2 and inner product",
                       storage->bits, faiss_metric_name(node->rabitq.metric));
    if (!node->is_trained && storage->n > 0) return untrained(storage, node, err);
    return model_rabitq(storage, node, err);
}

/* ---- which ---------------------------------------------------------------------------------------- */

static enum storage_kind kind_of_sq(const struct faiss_sq *sq, uint32_t *bits) {
    *bits = 0;
    switch (sq->qtype) {
    case FAISS_SQ_FP16: return STORAGE_F16;
    case FAISS_SQ_BF16: return STORAGE_BF16;
    case FAISS_SQ_8BIT_DIRECT: return STORAGE_U8;
    case FAISS_SQ_8BIT_DIRECT_SIGNED: return STORAGE_I8;
    case FAISS_SQ_4BIT:
    case FAISS_SQ_4BIT_UNIFORM: *bits = 4; return STORAGE_SQ;
    case FAISS_SQ_6BIT: *bits = 6; return STORAGE_SQ;
    default: *bits = 8; return STORAGE_SQ;
    }
}

static int finish_pq(struct storage *storage, const struct faiss_node *node, kith_error *err) {
    storage->kind = STORAGE_PQ;
    storage->pq = &node->pq;
    if (node->pq.centroids.n == 0) return untrained(storage, node, err);
    storage->bits = node->pq.nbits <= 4 ? 4 : 8;
    if (node->kind == FAISS_PQ_FAST || node->kind == FAISS_IVF_PQ_FAST) {
        storage->block = node->kind == FAISS_PQ_FAST ? (uint32_t)node->fast.bbs
                                                     : (uint32_t)node->ivf.n_per_block;
        storage->code_size = storage->block * node->fast.M2 / 2;
    }
    if (node->pq.nbits > 8) storage->plain = true;
    return storage->plain ? KITH_OK : model_pq(storage, err);
}

int storage_of_node(struct storage *out, const struct faiss_node *node, bool plain,
                    struct mem_account *owner, kith_error *err) {
    bool lists = faiss_kind_has_lists(node->kind);
    *out = (struct storage){.plain = plain,
                            .dim = (uint32_t)node->d,
                            .n = (uint64_t)node->ntotal,
                            .codes = lists ? NULL : node->codes.bytes,
                            .code_size = lists ? node->ivf.code_size : node->codes.code_size,
                            .owner = owner};
    switch (node->kind) {
    case FAISS_FLAT:
    case FAISS_IVF_FLAT: return KITH_OK;
    case FAISS_PQ:
    case FAISS_PQ_FAST:
    case FAISS_IVF_PQ:
    case FAISS_IVF_PQ_FAST: return finish_pq(out, node, err);
    case FAISS_SQ:
    case FAISS_IVF_SQ:
        out->sq = &node->sq;
        out->kind = kind_of_sq(&node->sq, &out->bits);
        /* Kith's lists hold halves and bytes of whole vectors alone. */
        if (lists && node->ivf.by_residual && out->kind != STORAGE_SQ) out->plain = true;
        if (out->kind != STORAGE_SQ) return KITH_OK;
        return node->sq.trained.n > 0 ? model_sq(out, err) : untrained(out, node, err);
    case FAISS_RABITQ:
    case FAISS_IVF_RABITQ: return finish_rabitq(out, node, err);
    default:
        return FAIL_AT(err, KITH_EUNSUPPORTED, node->at, "%s in the place of vectors",
                       faiss_kind_name(node->kind));
    }
}

void storage_of_rows(struct storage *out, enum storage_kind kind, uint32_t dim, uint64_t n,
                     const uint8_t *codes, uint64_t stride) {
    *out = (struct storage){.kind = kind, .dim = dim, .n = n, .codes = codes, .code_size = stride};
}

void storage_deinit(struct storage *storage) {
    if (storage->kind >= STORAGE_PQ && storage->model.bytes)
        mem_free(storage->owner, (void *)(uintptr_t)storage->model.bytes, storage->model.n_bytes);
    if (storage->low)
        mem_free(storage->owner, storage->low, 2 * (size_t)storage->dim * sizeof(float));
    *storage = (struct storage){.kind = STORAGE_F32};
}

/* ---- names ---------------------------------------------------------------------------------------- */

bool storage_is_flat(const struct storage *storage) {
    return storage->plain || storage->kind == STORAGE_F32 || storage->kind == STORAGE_U8;
}

void storage_word(const struct storage *storage, char text[24]) {
    if (storage_is_flat(storage))
        snprintf(text, 24, "Flat");
    else if (storage->kind == STORAGE_SQ)
        snprintf(text, 24, "SQ%u", storage->bits);
    else if (storage->kind == STORAGE_RABITQ)
        snprintf(text, 24, "RaBitQ%u", storage->bits);
    else if (storage->kind == STORAGE_PQ)
        snprintf(text, 24, "PQ%u%s", (unsigned)storage->pq->M, storage->bits == 4 ? "x4" : "");
    else
        snprintf(text, 24, "%s", storage->kind == STORAGE_BF16 ? "SQbf16" : "SQfp16");
}

bool storage_is_kept(const struct storage *storage) {
    switch (storage->kind) {
    case STORAGE_SQ: return false; /* a step is cut */
    case STORAGE_RABITQ: return true;
    case STORAGE_PQ: return !storage->plain && storage->bits == storage->pq->nbits;
    case STORAGE_F32: return true;
    default: return !storage->plain && storage->kind != STORAGE_I8;
    }
}

void storage_tell(const struct storage *storage, char *text, size_t size) {
    if (storage->plain && storage->kind != STORAGE_F32)
        snprintf(text, size, "codes are re-coded as the f32 vectors that they stand for");
    else if (storage->kind == STORAGE_SQ)
        snprintf(text, size,
                 "codes are kept; steps are cut to 16 bits, which moves a value by at "
                 "most a thousandth of a step");
    else if (storage->kind == STORAGE_PQ && storage->bits != storage->pq->nbits)
        snprintf(text, size, "codes of %u bits are re-coded in %u bits with the same centroids",
                 (unsigned)storage->pq->nbits, storage->bits);
    else if (storage->kind == STORAGE_RABITQ)
        snprintf(text, size,
                 "codes and their factors are kept; estimates below 0, which FAISS gives as 0, "
                 "stay as they are%s",
                 storage->rabitq->qb ? "; FAISS rounds queries to a few bits, Kith does not" : "");
    else if (storage->kind == STORAGE_PQ)
        snprintf(text, size, "codes and centroids are kept");
    else if (storage->kind == STORAGE_I8)
        snprintf(text, size, "signed bytes are re-coded as half floats, without loss");
    else
        snprintf(text, size, "vectors are kept");
}
