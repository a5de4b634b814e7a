/* Models: centres by k-means, the coarse index over them, and the code of the lists.
 *
 * k-means runs over the vectors as they are compared with centres (under cosine, of length 1) and is spherical for inner
 * products. The code learns from an even sample of at most TRAIN_BYTES, less the centres. */
#include <stdio.h>
#include <string.h>

#include "index/ivf.h"

#define TRAIN_BYTES    ((size_t)128 << 20)
#define TRAIN_ROWS_MIN 4096u
#define TRAIN_ROWS_MAX 65536u
#define N_ITERATIONS   10u
#define GRAPH_SPEC     "HNSW%u,SQ8,Refine"

kith_metric ivf_coarse_metric(kith_metric metric) {
    switch (metric) {
    case KITH_METRIC_COSINE: return KITH_METRIC_IP;
    case KITH_METRIC_EUCLID: return KITH_METRIC_L2;
    default: return metric;
    }
}

/* ---- life ---------------------------------------------------------------------------------------- */

static size_t model_bytes(uint32_t nlist) {
    return sizeof(struct ivf_model) + nlist * sizeof(struct ivf_list *);
}

int ivf_model_new(struct ivf_model **out, const struct ivf *ivf, uint32_t nlist,
                  const float *centres, kith_error *err) {
    const struct rows_config *rows = &ivf->index.rows.config;
    struct mem_account *owner = (struct mem_account *)(uintptr_t)&ivf->index.mem;
    const kith_work work = KITH_WORK_INIT;
    char spec[FACTORY_TEXT] = "Flat,SQ8";
    if (ivf->coarse_m) snprintf(spec, sizeof spec, GRAPH_SPEC, ivf->coarse_m);
    struct ivf_model *model = mem_new(owner, model_bytes(nlist));
    if (!model) return FAIL(err, KITH_ENOMEM, "no memory for %u lists", nlist);
    model->nlist = nlist;
    kith_index_options options = ivf->index.options;
    options.ef_construction = 0;
    options.memory_limit = 0; /* the account that it joins has one */
    int code =
        index_new(&model->coarse, rows->dim, ivf_coarse_metric(rows->metric), spec, &options, err);
    if (code == KITH_OK &&
        !mem_account_join(&model->coarse->mem, owner, model->coarse->object_bytes))
        code = FAIL(err, KITH_ENOMEM, "no memory for an index of %u centres", nlist);
    if (code == KITH_OK)
        code = model->coarse->ops->add(model->coarse, nlist, centres, NULL, &work, err);
    if (code != KITH_OK) {
        ivf_model_free(model, owner);
        return code;
    }
    *out = model;
    return KITH_OK;
}

void ivf_model_free(struct ivf_model *model, struct mem_account *owner) {
    if (!model) return;
    for (uint32_t i = 0; i < model->nlist; i++)
        ivf_list_free(ivf_list_of(model, i), NULL, &model->code, owner);
    ivf_code_deinit(&model->code, owner);
    index_free(model->coarse);
    mem_free(owner, model, model_bytes(model->nlist));
}

void ivf_centre(const struct ivf_model *model, uint32_t list, float *out) {
    const struct store *store = rows_store(&model->coarse->rows);
    code_decode(store_exact_code(store), store_exact_row(store, list), out);
}

/* ---- training ------------------------------------------------------------------------------------- */

/* Vectors as they are coded. */
struct coded_rows {
    const struct ivf_code *code;
    const struct kmeans_rows *x;
};

static void read_coded(void *context, size_t i, float *out) {
    const struct coded_rows *coded = context;
    size_t dim = coded->x->dim, stride = coded->x->stride ? coded->x->stride : dim;
    if (coded->x->read)
        coded->x->read(coded->x->context, i, out);
    else
        memcpy(out, coded->x->values + i * stride, dim * sizeof *out);
    ivf_code_vector(coded->code, dim, out, out);
}

static int learn_centres(const struct ivf *ivf, const struct kmeans_rows *coded, float *centres,
                         const kith_work *work, kith_error *err) {
    const struct kmeans_options options = {
        .n_clusters = ivf->nlist,
        .n_iterations = N_ITERATIONS,
        .spherical = ivf_coarse_metric(ivf->index.rows.config.metric) == KITH_METRIC_IP,
        .seed = ivf->index.options.seed,
        .threads = work->threads};
    struct mem_account *owner = (struct mem_account *)(uintptr_t)&ivf->index.mem;
    return kmeans_train(&options, coded, centres, NULL, owner, err);
}

/* An even sample of what the code will see. */
static int learn_code(struct ivf_model *model, const struct kmeans_rows *coded,
                      const kith_work *work, struct mem_account *owner, kith_error *err) {
    size_t dim = coded->dim, n = TRAIN_BYTES / (dim * sizeof(float));
    n = n < TRAIN_ROWS_MIN ? TRAIN_ROWS_MIN : n > TRAIN_ROWS_MAX ? TRAIN_ROWS_MAX : n;
    n = n < coded->n ? n : coded->n;
    size_t bytes = (n + 1) * dim * sizeof(float);
    float *sample = mem_new(owner, bytes), *centre = sample + n * dim, dist;
    if (!sample) return FAIL(err, KITH_ENOMEM, "no memory to train on %zu rows", n);
    const struct search_call nearest = {.k = 1};
    int code = KITH_OK;
    int64_t list;
    for (size_t i = 0; i < n; i++) {
        float *x = sample + i * dim;
        coded->read(coded->context, i * coded->n / n, x);
        if (!model->code.residual) continue;
        TRY_DONE(model->coarse->ops->search(model->coarse, &nearest, 1, x, &list, &dist, err));
        ivf_centre(model, (uint32_t)list, centre);
        for (size_t j = 0; j < dim; j++) x[j] -= centre[j];
    }
    code = ivf_code_train(&model->code, n, sample, work, err);
done:
    mem_free(owner, sample, bytes);
    return code;
}

static bool all_integral(const struct kmeans_rows *x, float *row) {
    for (size_t i = 0; i < x->n; i++) {
        if (x->read) x->read(x->context, i, row);
        if (!code_is_integral(x->dim, x->read ? row : x->values + i * x->dim)) return false;
    }
    return true;
}

static int find_centres(const struct ivf *ivf, const struct kmeans_rows *coded,
                        const struct ivf_model *old, float *centres, const kith_work *work,
                        kith_error *err) {
    if (!old) return learn_centres(ivf, coded, centres, work, err);
    for (uint32_t i = 0; i < ivf->nlist; i++) ivf_centre(old, i, centres + i * coded->dim);
    return KITH_OK;
}

int ivf_model_train(struct ivf_model **out, const struct ivf *ivf, const struct ivf_lesson *lesson,
                    const kith_work *work, kith_error *err) {
    const struct kmeans_rows *x = lesson->x;
    struct mem_account *owner = (struct mem_account *)(uintptr_t)&ivf->index.mem;
    size_t bytes = ivf->nlist * x->dim * sizeof(float);
    struct ivf_model *model = NULL;
    struct ivf_code how;
    if (x->n < ivf->nlist)
        return FAIL(err, KITH_EINVAL, "%zu rows to train %u lists on, at least as many are needed",
                    x->n, ivf->nlist);
    float *centres = mem_new(owner, bytes);
    if (!centres) return FAIL(err, KITH_ENOMEM, "no memory for %u centres", ivf->nlist);
    int code = ivf_code_init(
        &how, ivf, all_integral(x, centres) && all_integral(lesson->placed, centres), err);
    if (code != KITH_OK) {
        mem_free(owner, centres, bytes);
        return code;
    }
    struct coded_rows coded = {&how, x};
    const struct kmeans_rows rows = {
        .n = x->n, .dim = x->dim, .read = read_coded, .context = &coded};
    TRY_DONE(find_centres(ivf, &rows, lesson->old, centres, work, err));
    TRY_DONE(ivf_model_new(&model, ivf, ivf->nlist, centres, err));
    model->code = how;
    model->trained_n = x->n;
    TRY_DONE(how.quantizer ? learn_code(model, &rows, work, owner, err) : KITH_OK);
    *out = model;
done:
    mem_free(owner, centres, bytes);
    if (code != KITH_OK && model) ivf_model_free(model, owner);
    if (code != KITH_OK && !model) ivf_code_deinit(&how, owner);
    return code;
}
