/* When lists are to be learnt anew: centres that were right for the rows of their day may be wrong for those of today.
 *
 * The loss of a row is how far it is from its centre. Known are the mean loss and the imbalance of a sample of what was
 * learnt from, and the mean loss of the rows written since. Whenever a sixteenth as many rows were written as there are, the
 * lists are looked at. They are worn when
 *
 *     the mean loss of all rows must have grown by the share `excess`: rows come where there are no centres, or
 *     lists have become IMBALANCE_WORN times as uneven,
 *
 * but not before the share `rest` of all rows was written since they were learnt. So a row that is written pays at most for
 * 1 / rest rows that are placed anew, and that only while every part of what comes is unlike all before.
 *
 * Where codes are made from codes (no originals, and a code that is not near its vector) learning anew costs recall too, and
 * worn means more (decision 0039 has the measurements).
 *
 * Imbalance is nlist sum(s (s - 1)) / (n (n - 1)) over the lengths s: 1 for rows that fall into lists evenly at random,
 * however few they are.
 * SPFresh (Xu et al. 2023) splits and merges lists one by one as they grow and shrink; here all is learnt anew, so that what
 * an index becomes is what a fresh one is. */
#include "index/ivf.h"

#include <math.h>

#include "quant/sums.h"

#define SAMPLE         4096u
#define LOOK_SHARE     0.0625
#define IMBALANCE_WORN 1.25

/* When lists are worn, by whether coding a row anew costs it something. */
static const struct patience {
    double rest;   /* rows written first, as a share of all */
    double excess; /* of the mean loss */
} patience[] = {[false] = {0.125, 0.01}, [true] = {0.5, 0.2}};

double ivf_loss(kith_metric coarse, size_t dim, const float *x, float dist) {
    return (double)dist + (coarse == KITH_METRIC_IP ? sqrt(sums_squares(dim, x)) : 0);
}

static double imbalance(const uint32_t *length, uint32_t nlist) {
    double pairs = 0, n = 0;
    for (uint32_t i = 0; i < nlist; i++) {
        n += length[i];
        pairs += (double)length[i] * ((double)length[i] - 1);
    }
    return n > 1 ? pairs * nlist / (n * (n - 1)) : 1;
}

/* A sample's way through the coarse index: `block` vectors at a time. */
struct look {
    const struct ivf *ivf;
    const struct ivf_model *model;
    const struct kmeans_rows *coded;
    size_t n, block;
    float *x;
    uint8_t *scratch;
    uint32_t *length; /* a list */
    double loss;      /* the sum */
};

static int look_at(struct look *look, kith_error *err) {
    const struct kmeans_rows *coded = look->coded;
    const kith_metric metric = ivf_coarse_metric(look->ivf->index.rows.config.metric);
    uint32_t list[KMEANS_BLOCK];
    float dist[KMEANS_BLOCK];
    const struct kmeans_found found = {1, list, dist};
    for (size_t first = 0, some; first < look->n; first += some) {
        some = look->n - first < look->block ? look->n - first : look->block;
        for (size_t i = 0; i < some; i++)
            coded->read(coded->context, (first + i) * coded->n / look->n, look->x + i * coded->dim);
        TRY(ivf_coarse_find(&look->model->coarse, some, look->x, &found, look->scratch, err));
        for (size_t i = 0; i < some; i++) {
            look->loss += ivf_loss(metric, coded->dim, look->x + i * coded->dim, dist[i]);
            look->length[list[i]]++;
        }
    }
    return KITH_OK;
}

int ivf_wear_learn(struct ivf_model *model, const struct ivf *ivf, const struct kmeans_rows *coded,
                   kith_error *err) {
    struct mem_account *owner = (struct mem_account *)(uintptr_t)&ivf->index.mem;
    struct look look = {.ivf = ivf,
                        .model = model,
                        .coded = coded,
                        .n = coded->n < SAMPLE ? coded->n : SAMPLE,
                        .block = ivf_coarse_block(&model->coarse, 1)};
    size_t scratch_at = bits_round_up(look.block * coded->dim * sizeof(float), 64);
    size_t length_at = scratch_at + ivf_coarse_bytes(&model->coarse, look.block, 1);
    length_at = bits_round_up(length_at, 64);
    size_t bytes = length_at + model->nlist * sizeof(uint32_t);
    uint8_t *memory = mem_new(owner, bytes);
    if (!memory) return FAIL(err, KITH_ENOMEM, "no memory to look at %zu rows", look.n);
    look.x = (float *)(void *)memory;
    look.scratch = memory + scratch_at;
    look.length = (uint32_t *)(void *)(memory + length_at);
    int code = look_at(&look, err);
    if (code == KITH_OK)
        model->wear = (struct ivf_wear){.loss = look.loss / (double)look.n,
                                        .imbalance = imbalance(look.length, model->nlist)};
    mem_free(owner, memory, bytes);
    return code;
}

static double imbalance_now(const struct ivf_model *model) {
    double pairs = 0, n = 0;
    for (uint32_t i = 0; i < model->nlist; i++) {
        const struct ivf_list *list = ivf_list_of(model, i);
        double length = list ? list->n : 0;
        n += length;
        pairs += length * (length - 1);
    }
    return n > 1 ? pairs * model->nlist / (n * (n - 1)) : 1;
}

/* How much larger than when it was learnt the mean loss is, as a share, if the rows that were not written since are as they
 * were. */
static double excess(const struct ivf_wear *wear, double n_live) {
    double share = wear->n_written < n_live ? wear->n_written / n_live : 1;
    return (wear->written / (wear->n_written * wear->loss) - 1) * share;
}

/* As ivf_is_worn leaves it after the first write, which is never judged. */
void ivf_wear_fill(struct ivf_model *model, double losses, uint32_t n) {
    model->wear.written = losses;
    model->wear.n_written = n;
    model->wear.n_recent = n;
}

/* Codes are made from codes, and those are not near enough to what they are of. */
static bool loses(const struct ivf *ivf, const struct ivf_model *model) {
    const struct quantizer_spec *spec = &ivf->quantizer;
    bool near = spec->bits >= 8 && (spec->kind == QUANT_SQ || spec->kind == QUANT_RABITQ);
    return model->code.quantizer && !ivf->refine && !near;
}

bool ivf_is_worn(const struct ivf *ivf, size_t n, uint32_t n_live) {
    struct ivf_model *model = ivf_model_of(ivf);
    struct ivf_wear *wear = &model->wear;
    wear->written += wear->placed;
    wear->n_written += (double)n;
    wear->n_recent += (uint32_t)n;
    if (!(wear->loss > 0) || model->nlist == 1 || n_live < model->nlist ||
        wear->n_recent < LOOK_SHARE * n_live)
        return false;
    wear->n_recent = 0;
    const struct patience *limit = &patience[loses(ivf, model)];
    if (wear->n_written < limit->rest * n_live) return false;
    if (excess(wear, n_live) > limit->excess ||
        imbalance_now(model) > IMBALANCE_WORN * wear->imbalance)
        return true;
    if (wear->n_written > n_live) { /* what is long ago counts less */
        wear->n_written /= 2;
        wear->written /= 2;
    }
    return false;
}
