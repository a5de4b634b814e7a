/* Models: centres by k-means, the coarse index over them, and the code of the lists.
 *
 * k-means runs over the vectors as they are compared with centres (under cosine, of length 1) and is spherical for inner
 * products; it sees ROWS_A_LIST rows a list, and TRAIN_ROWS at least, which are read once and kept where reading them is more than taking an address
 * (where there is memory for it). The code learns from an even sample of at most TRAIN_BYTES, less the centres. */
#include <string.h>

#include "base/thread.h"
#include "index/ivf.h"
#include "quant/quantizer.h"

#define TRAIN_BYTES    ((size_t)128 << 20)
#define TRAIN_ROWS_MIN 4096u
#define TRAIN_ROWS     16384u
#define N_ITERATIONS   10u
#define ROWS_A_LIST    64u                 /* that centres are learnt from: docs/decisions/0033 */
#define KEPT_BYTES     ((size_t)256 << 20) /* else they are read again and again */
#define KEPT_GRAIN     64u

/* ---- life ---------------------------------------------------------------------------------------- */

static size_t model_bytes(uint32_t nlist) {
    return sizeof(struct ivf_model) + nlist * sizeof(struct ivf_list *);
}

/* Its coarse index comes from centres or, where there are none, from a file. */
static int new_model(struct ivf_model **out, const struct ivf *ivf, uint32_t nlist,
                     const float *centres, const struct index_file *file, kith_error *err) {
    struct mem_account *owner = (struct mem_account *)(uintptr_t)&ivf->index.mem;
    struct ivf_model *model = mem_new(owner, model_bytes(nlist));
    if (!model) return FAIL(err, KITH_ENOMEM, "no memory for %u lists", nlist);
    model->nlist = nlist;
    int code = centres ? ivf_coarse_init(&model->coarse, ivf, nlist, centres, err)
                       : ivf_coarse_load(&model->coarse, ivf, nlist, file, err);
    if (code != KITH_OK) {
        ivf_model_free(model, owner);
        return code;
    }
    *out = model;
    return KITH_OK;
}

int ivf_model_new(struct ivf_model **out, const struct ivf *ivf, uint32_t nlist,
                  const float *centres, kith_error *err) {
    return new_model(out, ivf, nlist, centres, NULL, err);
}

int ivf_model_load(struct ivf_model **out, const struct ivf *ivf, uint32_t nlist,
                   const struct index_file *file, kith_error *err) {
    return new_model(out, ivf, nlist, NULL, file, err);
}

void ivf_model_free(struct ivf_model *model, struct mem_account *owner) {
    if (!model) return;
    for (uint32_t i = 0; i < model->nlist; i++)
        ivf_list_free(ivf_list_of(model, i), NULL, &model->code, owner);
    ivf_code_deinit(&model->code, owner);
    ivf_coarse_deinit(&model->coarse, owner);
    mem_free(owner, model, model_bytes(model->nlist));
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

static struct kmeans_rows coded_view(const struct coded_rows *coded) {
    return (struct kmeans_rows){.n = coded->x->n,
                                .dim = coded->x->dim,
                                .read = read_coded,
                                .context = (void *)(uintptr_t)coded};
}

/* Where rows are read through a function, or scaled: those that k-means learns from, read once. */
struct kept_rows {
    const struct kmeans_rows *coded;
    size_t n;
    uint64_t seed;
    float *x;
};

/* One at random of each n-th part. */
static void keep_part(void *context, uint32_t worker, size_t begin, size_t end) {
    const struct kept_rows *kept = context;
    const struct kmeans_rows *coded = kept->coded;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        size_t first = i * coded->n / kept->n, next = (i + 1) * coded->n / kept->n;
        size_t row = first + bits_mix(kept->seed + i) % (next - first);
        coded->read(coded->context, row, kept->x + i * coded->dim);
    }
}

/* Of a list: few lists learn from more rows each, which costs them little. */
uint32_t ivf_rows_a_list(uint32_t nlist) {
    return nlist < TRAIN_ROWS / ROWS_A_LIST ? (TRAIN_ROWS + nlist - 1) / nlist : ROWS_A_LIST;
}

static int learn_centres(const struct ivf *ivf, const struct coded_rows *coded, float *centres,
                         const kith_work *work, kith_error *err) {
    struct mem_account *owner = (struct mem_account *)(uintptr_t)&ivf->index.mem;
    const struct kmeans_options options = {
        .n_clusters = ivf->nlist,
        .n_iterations = N_ITERATIONS,
        .max_rows_per_centroid = ivf_rows_a_list(ivf->nlist),
        .spherical = ivf_coarse_metric(ivf->index.rows.config.metric) == KITH_METRIC_IP,
        .balance = (double)ivf->index.options.balance,
        .seed = ivf->index.options.seed,
        .threads = work->threads};
    if (!coded->x->read && !ivf_code_scales(coded->code))
        return kmeans_train(&options, coded->x, centres, NULL, owner, err);
    const struct kmeans_rows rows = coded_view(coded);
    struct kept_rows kept = {.coded = &rows,
                             .n = (size_t)options.max_rows_per_centroid * ivf->nlist,
                             .seed = options.seed};
    if (kept.n > rows.n) kept.n = rows.n;
    const size_t bytes = kept.n * rows.dim * sizeof(float);
    kept.x = bytes <= KEPT_BYTES ? mem_slab(owner, bytes) : NULL;
    if (!kept.x) return kmeans_train(&options, &rows, centres, NULL, owner, err);
    thread_for(work->threads, kept.n, KEPT_GRAIN, keep_part, &kept);
    const struct kmeans_rows values = {.n = kept.n, .dim = rows.dim, .values = kept.x};
    int code = kmeans_train(&options, &values, centres, NULL, owner, err);
    mem_slab_free(owner, kept.x, bytes);
    return code;
}

/* Sampled vectors on their way to residuals. */
struct sampled {
    const struct ivf_model *model;
    const struct kmeans_rows *coded;
    size_t n;
    float *x;
    uint8_t *scratch; /* scratch_bytes a worker: a search for lists, and at centre_at a centre */
    size_t scratch_bytes, centre_at;
    _Atomic int code;
};

static void subtract_centres(const struct sampled *sampled, const uint32_t *list, size_t n,
                             float *x, float *centre) {
    const size_t dim = sampled->coded->dim;
    for (size_t i = 0; i < n; i++, x += dim) {
        ivf_centre(sampled->model, list[i], centre);
        for (size_t j = 0; j < dim; j++) x[j] -= centre[j];
    }
}

static void read_sampled(void *context, uint32_t worker, size_t begin, size_t end) {
    struct sampled *sampled = context;
    const struct kmeans_rows *coded = sampled->coded;
    uint8_t *scratch = sampled->scratch + worker * sampled->scratch_bytes;
    float *x = sampled->x + begin * coded->dim, dist[KMEANS_BLOCK];
    uint32_t list[KMEANS_BLOCK];
    const struct kmeans_found found = {1, list, dist};
    for (size_t i = begin; i < end; i++)
        coded->read(coded->context, i * coded->n / sampled->n, sampled->x + i * coded->dim);
    if (!sampled->model->code.residual) return;
    int code = ivf_coarse_find(&sampled->model->coarse, end - begin, x, &found, scratch, NULL);
    if (code == KITH_OK)
        subtract_centres(sampled, list, end - begin, x,
                         (float *)(void *)(scratch + sampled->centre_at));
    else
        atomic_store_explicit(&sampled->code, code, memory_order_relaxed);
}

/* A parameter is learnt from some hundred rows: ranges of dimensions, 16 centroids a part, or 256. */
size_t ivf_rows_to_learn(const struct quantizer *quantizer) {
    bool many = quantizer->spec.kind == QUANT_PQ && quantizer->spec.bits == 8;
    return many ? 4 * TRAIN_ROWS : TRAIN_ROWS;
}

/* An even sample of what the code will see. */
static int learn_code(struct ivf_model *model, const struct kmeans_rows *coded,
                      const kith_work *work, struct mem_account *owner, kith_error *err) {
    const size_t row_bytes = coded->dim * sizeof(float);
    const size_t block = ivf_coarse_block(&model->coarse, 1);
    const uint32_t threads = work->threads > THREAD_MAX ? THREAD_MAX : work->threads;
    size_t n = TRAIN_BYTES / row_bytes;
    const size_t most = ivf_rows_to_learn(model->code.quantizer);
    n = n < TRAIN_ROWS_MIN ? TRAIN_ROWS_MIN : n > most ? most : n;
    n = n < coded->n ? n : coded->n;
    struct sampled sampled = {.model = model, .coded = coded, .n = n};
    sampled.centre_at = bits_round_up(ivf_coarse_bytes(&model->coarse, block, 1), 64);
    sampled.scratch_bytes = bits_round_up(sampled.centre_at + row_bytes, 64);
    const size_t x_bytes = bits_round_up(n * row_bytes, 64);
    const size_t bytes = x_bytes + threads * sampled.scratch_bytes;
    uint8_t *memory = mem_slab(owner, bytes);
    if (!memory) return FAIL(err, KITH_ENOMEM, "no memory to train on %zu rows", n);
    sampled.x = (float *)(void *)memory;
    sampled.scratch = memory + x_bytes;
    thread_for(threads, n, block, read_sampled, &sampled);
    int code = atomic_load_explicit(&sampled.code, memory_order_relaxed);
    code = code == KITH_OK ? ivf_code_train(&model->code, n, sampled.x, work, err)
                           : FAIL(err, code, "no memory to search the centres");
    mem_slab_free(owner, memory, bytes);
    return code;
}

static bool all_integral(const struct kmeans_rows *x, float *row) {
    for (size_t i = 0; i < x->n; i++) {
        if (x->read) x->read(x->context, i, row);
        if (!code_is_integral(x->dim, x->read ? row : x->values + i * x->dim)) return false;
    }
    return true;
}

static int find_centres(const struct ivf *ivf, const struct coded_rows *coded,
                        const struct ivf_model *old, float *centres, const kith_work *work,
                        kith_error *err) {
    if (!old) return learn_centres(ivf, coded, centres, work, err);
    for (uint32_t i = 0; i < ivf->nlist; i++) ivf_centre(old, i, centres + i * coded->x->dim);
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
    int code = ivf_code_init(&how, ivf,
                             all_integral(x, centres) &&
                                 (lesson->placed == x || all_integral(lesson->placed, centres)),
                             err);
    if (code != KITH_OK) {
        mem_free(owner, centres, bytes);
        return code;
    }
    struct coded_rows coded = {&how, x};
    const struct kmeans_rows rows = coded_view(&coded);
    TRY_DONE(find_centres(ivf, &coded, lesson->old, centres, work, err));
    TRY_DONE(ivf_model_new(&model, ivf, ivf->nlist, centres, err));
    model->code = how;
    model->trained_n = x->n;
    TRY_DONE(how.quantizer ? learn_code(model, &rows, work, owner, err) : KITH_OK);
    TRY_DONE(ivf_wear_learn(model, ivf, &rows, err));
    *out = model;
done:
    mem_free(owner, centres, bytes);
    if (code != KITH_OK && model) ivf_model_free(model, owner);
    if (code != KITH_OK && !model) ivf_code_deinit(&how, owner);
    return code;
}
