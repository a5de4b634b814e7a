/* Recall by effort: a climb along the settings of an index.
 *
 * The climb begins at the least effort (ef = k, or one list; nothing scored twice), and from each point takes the
 * setting whose next step gains more recall a byte that is read, by a model of what searches read: times would differ
 * from run to run, and an index's file may not. The gain is measured on a part of the queries, the recall of the points that are
 * kept on all of them. It ends at recall ENOUGH, at the end of the settings, or where more effort has stopped to help. */
#include "index/calibrate.h"

#include <math.h>
#include <string.h>

#include "base/status.h"
#include "base/thread.h"
#include "index/pretransform.h"
#include "index/scan.h"

#define ENOUGH      0.999
#define WIDER       1.4 /* a step of ef and nprobe */
#define DEEPER      1.5 /* a step of oversampling */
#define EF_FIRST    4u  /* the least ef, where k is not more */
#define EF_LAST     8192u
#define OVER_LAST   256.0
#define IDLE_GAIN   0.0003 /* a step that gains less is idle, */
#define IDLE_STEPS  4u     /* and so many of them end the climb */
#define FEWEST_PART 0.25   /* of the queries, at high recall */
#define TRIAL_PART  4u     /* of the queries choose the next step, */
#define TRIAL_LEAST 250u   /* at least so many */
#define SEEK        192.0  /* a row somewhere costs as many bytes more as one in a run */

struct climb {
    struct kith_index *index;
    const struct calibrate_truth *truth;
    uint32_t k, threads;
    uint32_t *hits; /* one a query */
    kith_error *err;
    _Atomic int code;
    /* The settings the index has. */
    bool walks, probes, refines;
    uint32_t nlist;
    double most_deep; /* the most oversampling; 0: what the pool of a walk holds */
    double walk_bytes, probe_bytes, refine_bytes; /* of one ef, one list, one candidate */
};

/* ---- one point ------------------------------------------------------------------------------------- */

struct trial {
    struct climb *climb;
    struct search_call call;
};

/* Of the truth's first places, those within the k-th neighbour's distance. */
static uint32_t places_of(const struct calibrate_truth *truth, size_t query, uint32_t k) {
    const float *dist = truth->dist + query * truth->n_near;
    uint32_t n = k;
    while (n < truth->n_near && dist[n] == dist[k - 1] && isfinite(dist[n])) n++;
    return n;
}

static uint32_t count_hits(const struct calibrate_truth *truth, size_t query, uint32_t k,
                           const int64_t *found, uint32_t n_found) {
    const int64_t *id = truth->id + query * truth->n_near;
    uint32_t places = places_of(truth, query, k), hits = 0;
    for (uint32_t i = 0; i < n_found && hits < k; i++) {
        uint32_t at = 0;
        while (at < places && id[at] != found[i]) at++;
        hits += at < places && found[i] != KITH_NO_ID;
    }
    return hits;
}

static void trial_part(void *context, uint32_t worker, size_t begin, size_t end) {
    struct trial *trial = context;
    struct climb *climb = trial->climb;
    const struct calibrate_truth *truth = climb->truth;
    struct search_call call = trial->call;
    int64_t id[CALIBRATE_MAX_K + 1];
    float dist[CALIBRATE_MAX_K + 1];
    kith_error failed;
    int none = KITH_OK;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        if (truth->hidden) call.hidden = truth->hidden[i];
        int code = climb->index->ops->search(climb->index, &call, 1,
                                             truth->queries + i * truth->dim, id, dist, &failed);
        if (code == KITH_OK) {
            climb->hits[i] = count_hits(truth, i, climb->k, id, call.k);
        } else if (atomic_compare_exchange_strong(&climb->code, &none, code) && climb->err) {
            *climb->err = failed;
        }
    }
}

/* A flat index cannot hide a row: it gives one more, and the row itself is no hit. */
static struct search_call call_of(const struct climb *climb, const struct effort *at) {
    bool one_more = climb->truth->hidden && climb->index->ops == &flat_ops;
    return (struct search_call){
        .k = climb->k + one_more, .ef = at->ef, .nprobe = at->nprobe, .oversample = at->oversample};
}

static double mean_of(const struct climb *climb, size_t n) {
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += climb->hits[i];
    return (double)sum / ((double)n * climb->k);
}

/* Mean recall of the first n queries at a point. */
static int recall_at(struct climb *climb, const struct effort *at, size_t n, double *recall) {
    struct trial trial = {climb, call_of(climb, at)};
    thread_for(climb->threads, n, 16, trial_part, &trial);
    *recall = mean_of(climb, n);
    return atomic_load_explicit(&climb->code, memory_order_relaxed);
}

/* ---- steps ----------------------------------------------------------------------------------------- */

static uint32_t wider(uint32_t value, uint32_t last) {
    uint32_t next = (uint32_t)ceil(WIDER * value - 0.5);
    if (next <= value) next = value + 1;
    return next < last ? next : last;
}

/* Longer walks or more lists; false: there are none. */
static bool step_wider(const struct climb *climb, struct effort *at) {
    struct effort from = *at;
    uint32_t rows = atomic_load_explicit(&climb->index->rows.n_live, memory_order_relaxed);
    if (climb->walks) at->ef = wider(at->ef, rows < EF_LAST && rows > climb->k ? rows : EF_LAST);
    if (climb->probes) at->nprobe = wider(at->nprobe, climb->nlist);
    return at->ef > from.ef || at->nprobe > from.nprobe;
}

/* More candidates on the originals; false: there are no more, or none to score. */
static bool step_deeper(const struct climb *climb, struct effort *at) {
    double next = DEEPER * (double)at->oversample;
    double most = climb->most_deep > 0 ? climb->most_deep : (double)at->ef / climb->k;
    if (!climb->refines || (double)at->oversample >= most) return false;
    at->oversample = (float)(next < most ? next : most);
    return true;
}

static double cost_of(const struct climb *climb, const struct effort *at) {
    return climb->walk_bytes * at->ef + climb->probe_bytes * at->nprobe +
           climb->refine_bytes * (double)at->oversample * climb->k;
}

/* The better of the next steps; false: the climb is at its end. */
static bool next_step(struct climb *climb, size_t n, double recall, struct effort *at, int *code) {
    struct effort wide = *at, deep = *at;
    bool may_widen = step_wider(climb, &wide), may_deepen = step_deeper(climb, &deep);
    if (!may_widen && !may_deepen) return false;
    if (!may_widen || !may_deepen) {
        *at = may_widen ? wide : deep;
        return true;
    }
    double of_wide, of_deep, cost = cost_of(climb, at);
    *code = recall_at(climb, &wide, n, &of_wide);
    if (*code == KITH_OK) *code = recall_at(climb, &deep, n, &of_deep);
    if (*code != KITH_OK) return false;
    double gain_wide = (of_wide - recall) / (cost_of(climb, &wide) - cost);
    double gain_deep = (of_deep - recall) / (cost_of(climb, &deep) - cost);
    *at = gain_deep > gain_wide ? deep : wide;
    return true;
}

/* All that were given; of rows, of which there are many, fewer for a larger k, each of which tells more, and at a higher recall, where they differ less. */
static size_t queries_for(const struct calibrate_truth *truth, uint32_t k, double recall) {
    size_t n = truth->n;
    if (!truth->hidden) return n;
    double part = fmin(1.0, fmax(FEWEST_PART, 10.0 * (1.0 - recall)));
    size_t some = (size_t)ceil((double)n * pow(k, -0.3) * part);
    return some < n ? some : n;
}

static size_t trial_queries(size_t n) {
    size_t part = n / TRIAL_PART;
    return part >= TRIAL_LEAST ? part : n < TRIAL_LEAST ? n : TRIAL_LEAST;
}

static int climb_curve(struct climb *climb, struct effort_curve *curve) {
    struct effort at = {.ef = !climb->walks         ? 0
                              : climb->k > EF_FIRST ? climb->k
                                                    : EF_FIRST,
                        .nprobe = climb->probes,
                        .oversample = climb->refines};
    int code = KITH_OK;
    *curve = (struct effort_curve){.k = climb->k};
    for (uint32_t idle = 0; idle < IDLE_STEPS && curve->n < EFFORT_MAX_POINTS;) {
        double recall, before = curve->n ? (double)curve->point[curve->n - 1].recall : -1.0;
        size_t n = queries_for(climb->truth, climb->k, before), part = trial_queries(n);
        TRY(recall_at(climb, &at, n, &recall));
        idle = recall < before + IDLE_GAIN ? idle + 1 : 0;
        at.recall = (float)recall;
        effort_append(curve, &at);
        if (recall >= ENOUGH || !next_step(climb, part, mean_of(climb, part), &at, &code)) break;
    }
    return code;
}

/* ---- all ------------------------------------------------------------------------------------------- */

static bool is_float(const char *code) {
    return strcmp(code, "f32") == 0 || strcmp(code, "f16") == 0 || strcmp(code, "bf16") == 0 ||
           strcmp(code, "u8") == 0;
}

static void find_settings(struct climb *climb, const kith_index_stats *stats) {
    const struct kith_index *inner = index_pre_inner(climb->index);
    const struct store *store = rows_store(&climb->index->rows);
    const struct store *walked = inner ? rows_store(&inner->rows) : store;
    double rows = (double)stats->rows;
    climb->walks = stats->max_degree > 0;
    climb->probes = stats->lists > 0;
    climb->nlist = stats->lists;
    climb->refines = climb->index->ops != &flat_ops && strcmp(stats->stored, "none") != 0 &&
                     (inner || strcmp(stats->stored, stats->code) != 0);
    climb->most_deep = climb->walks && !inner ? 0 : OVER_LAST;
    if (climb->walks) climb->walk_bytes = stats->max_degree * (walked->walk.stride + SEEK) / 2;
    for (uint32_t i = 0; i < stats->n_components; i++)
        if (strcmp(stats->component[i].name, "lists") == 0)
            climb->probe_bytes = (double)stats->component[i].bytes / rows * stats->mean_list;
    if (climb->refines) climb->refine_bytes = store_exact_code(store)->stride + SEEK;
}

static int measure(struct climb *climb, const uint32_t *k, uint32_t n_k, const kith_work *work,
                   struct effort_table *table) {
    for (uint32_t i = 0; i < n_k; i++) {
        climb->k = k[i];
        TRY(climb_curve(climb, &table->curve[i]));
        if (work->progress) work->progress(work->context, i + 1, n_k);
    }
    table->n_curves = n_k;
    return KITH_OK;
}

static int check_truth_can_be_known(const struct kith_index *index, const kith_index_stats *stats,
                                    const kith_calibrate_options *options, kith_error *err) {
    bool known = is_float(stats->stored) ||
                 (stats->stored[0] == 'n' && is_float(stats->code) && !index_pre_inner(index));
    if (options->base && options->n_base != stats->rows)
        return FAIL(err, KITH_EINVAL, "the base has %zu rows, the index %llu", options->n_base,
                    (unsigned long long)stats->rows);
    if (!known && !options->base)
        return FAIL(err, KITH_EINVAL,
                    "%s keeps codes alone: its recall can be measured with the base it was made of",
                    stats->spec);
    return KITH_OK;
}

/* Writers are paused. */
static int calibrate(struct kith_index *index, const kith_calibrate_options *options,
                     const kith_work *work, kith_error *err) {
    kith_index_stats stats;
    struct calibrate_truth truth;
    struct effort_table table = {0};
    uint32_t n_k = 0;
    index_stats(index, &stats);
    if (index->ops->scans && index->ops->scans(index))
        return index_calibration_set(index, NULL, 0, err);
    TRY(check_truth_can_be_known(index, &stats, options, err));
    while (n_k < options->n_k && options->k[n_k] < stats.rows) n_k++;
    if (n_k == 0)
        return FAIL(err, KITH_EINVAL, "an index of %llu rows cannot be calibrated for k of %u",
                    (unsigned long long)stats.rows, options->k[0]);
    TRY(calibrate_truth_new(&truth, index, options, options->k[n_k - 1], work, err));
    struct climb climb = {
        .index = index, .truth = &truth, .threads = work->threads, .err = err, .code = KITH_OK};
    climb.hits = mem_new(NULL, truth.n * sizeof *climb.hits);
    int code = climb.hits ? KITH_OK : FAIL(err, KITH_ENOMEM, "no memory for %zu counts", truth.n);
    find_settings(&climb, &stats);
    table.rows = stats.rows;
    table.n_queries = (uint32_t)truth.n;
    table.of_queries = truth.hidden == NULL;
    table.keeps = is_float(stats.stored);
    if (code == KITH_OK) code = measure(&climb, options->k, n_k, work, &table);
    if (code == KITH_OK) code = index_calibration_set(index, &table, 0, err);
    mem_free(NULL, climb.hits, truth.n * sizeof *climb.hits);
    calibrate_truth_free(&truth);
    return code;
}

int index_calibrate(struct kith_index *index, const kith_calibrate_options *options,
                    const kith_work *work, kith_error *err) {
    index->ops->pause(index);
    int code = calibrate(index, options, work, err);
    index->ops->resume(index);
    return code;
}
