/* Estimates of memory, from the sizes that an empty index tells: strides of codes, links, centres.
 *
 * A build goes through stages, each with its own peak; the largest is the build's. Two things give way to a limit: the block
 * of rows that are read at a time, and the sample that lists learn from. So the estimate is made of what is fixed, and of
 * what a row of the block and a row of the sample cost; the plan takes as much of both as the limit leaves.
 *
 * Counted besides: the file writer's buffer, scratch of threads, what allocators round up. Not counted: the program and its
 * stacks. A sixteenth of a limit is kept free, for estimates are estimates and the limit is none. */
#include "index/plan.h"

#include <inttypes.h>
#include <math.h>

#include "base/status.h"
#include "base/thread.h"
#include "index/graph.h"
#include "index/ivf.h"
#include "index/rows_store.h"

#define BLOCK_BYTES   ((uint64_t)32 << 20) /* of floats, where no limit is tighter */
#define BLOCK_MIN     256u
#define WRITER_BYTES  ((uint64_t)1 << 20)
#define ROUNDED_BYTES ((uint64_t)1 << 20)
#define FREE_SHARE    16u /* of a limit */
#define BLOCK_SHARE   4u  /* of a limit, at most: the rest is the sample\'s, or the codes\' */
#define SAMPLE_BYTES  ((uint64_t)64 << 20) /* of a store's codes: rows_store.c */
#define SAMPLE_MIN    1024u
#define LIST_LEAST    32u /* below this, centres are too poor to be of use */
#define CODE_LEAST    4096u
#define KMEANS_ROW    160u                             /* and a byte a dimension: kmeans.h */
#define KMEANS_KEPT   64u                              /* up to this dimension rows are copied */
#define CHUNK_BYTES   (sizeof(struct ivf_chunk) + 16u) /* of a list, a chunk of IVF_CHUNK rows */

/* A stage: bytes = fixed + a row of the block, and of the sample. */
struct stage {
    uint64_t fixed, by_block, by_sample;
};
enum { STAGE_LEARN, STAGE_MAKE, STAGE_SAVE, N_STAGES };

struct estimate {
    struct stage stage[N_STAGES];
    uint64_t dim, n, threads;
    uint64_t walk, orig, err;      /* bytes a row, 0 where there is none */
    uint32_t sample, least_sample; /* wanted, and the least */
    uint64_t run;                  /* for each block that is spilled */
    uint64_t held, mapped;         /* an open index: what KITH_OPEN_CODES holds, and maps */
    uint64_t file, add;
};

static uint64_t floats(const struct estimate *e) { return 4 * e->dim; }

static uint64_t marks(const struct estimate *e, uint64_t bits) { return e->n * bits / 8; }

/* ---- rows ------------------------------------------------------------------------------------------- */

static void plan_rows(struct estimate *e, const struct store *store, bool learns) {
    bool apart = store->has_orig && !store->shared;
    e->walk = store_is_bare(store) ? 0 : store->walk.stride;
    e->orig = apart ? store->orig.stride : 0;
    e->err = store->has_err ? sizeof(float) : 0;
    uint64_t cap = SAMPLE_BYTES / floats(e);
    if (learns) e->sample = (uint32_t)(cap < SAMPLE_MIN ? SAMPLE_MIN : cap < e->n ? cap : e->n);
    e->least_sample = e->sample < CODE_LEAST ? e->sample : CODE_LEAST;
    uint64_t widest = e->walk > e->orig ? e->walk : e->orig;
    uint64_t scaled = store->walk.metric == KITH_METRIC_COSINE ? floats(e) : 0; /* a copy */
    e->stage[STAGE_LEARN] = (struct stage){0, floats(e), floats(e) + scaled};
    e->stage[STAGE_SAVE] = (struct stage){WRITER_BYTES + marks(e, 2), floats(e) + widest, 0};
    e->file = e->n * (e->walk + e->orig + e->err) + marks(e, 2);
    e->held = e->n * (e->walk + e->err) + marks(e, 3);
    e->mapped = e->n * e->orig;
    uint64_t kept = e->held + e->mapped, learnt = e->sample * (floats(e) + scaled);
    e->add = e->n * (floats(e) + sizeof(uint32_t)) + (kept > learnt ? kept : learnt);
}

/* ---- graph ------------------------------------------------------------------------------------------- */

static void plan_graph(struct estimate *e, const struct graph *graph) {
    uint64_t upper = graph->m * sizeof(uint32_t) / (graph->m > 1 ? graph->m - 1 : 1);
    uint64_t links = e->n * (graph->links.stride + 8 + upper);
    uint64_t batch = e->n / 50 < 4096 ? e->n / 50 + 1 : 4096;
    uint64_t batches = batch * graph->degree * (sizeof(uint32_t) + 2 * sizeof(uint64_t) + 4);
    /* row numbers twice, marks of a walker with room to grow, the tree's queue and sets */
    uint64_t scratch = e->n * (8 + 4) + e->n * 3 / 2 * e->threads + marks(e, 2) + batches;
    uint64_t codes = e->n * (e->walk + e->err) + marks(e, 2);
    e->stage[STAGE_MAKE] = (struct stage){codes + links + scratch, floats(e), 0};
    e->stage[STAGE_SAVE].fixed += codes + links + e->n * 3 / 2 * e->threads;
    e->stage[STAGE_SAVE].by_block = floats(e) + e->orig;
    e->file += links;
    e->held += links;
    e->add += links + scratch;
}

/* ---- lists ------------------------------------------------------------------------------------------- */

static uint64_t coarse_bytes(const struct estimate *e, const struct ivf *ivf) {
    uint64_t code = bits_round_up(e->dim + 4, 64);
    uint64_t links = ivf->coarse_m ? bits_round_up(ivf->coarse_m * 8, 64) + 12 + 3 * e->threads : 0;
    return ivf->nlist * (floats(e) + code + 4 + links + sizeof(struct ivf_list *));
}

/* Bytes that a list's code of a row has, its block's padding included. */
static uint64_t code_row(const struct ivf_code *code) {
    return code->blocks ? code->quantizer->block_bytes / QUANT_BLOCK : code->row_bytes;
}

static int plan_lists(struct estimate *e, const struct ivf *ivf, kith_error *err) {
    struct ivf_code code;
    TRY(ivf_code_init(&code, ivf, false, err));
    uint64_t row = code_row(&code), nlist = ivf->nlist, coarse = coarse_bytes(e, ivf);
    uint64_t by_centres = nlist * ivf_rows_a_list(ivf->nlist), by_code = 0;
    uint64_t least = nlist > 1 ? nlist * LIST_LEAST : 0;
    if (code.quantizer) by_code = ivf_rows_to_learn(code.quantizer);
    if (code.quantizer && least < CODE_LEAST) least = CODE_LEAST;
    bool scales = ivf_code_scales(&code);
    ivf_code_deinit(&code, (struct mem_account *)(uintptr_t)&ivf->index.mem);
    uint64_t sample = by_code > by_centres ? by_code : by_centres;
    e->sample = (uint32_t)(sample < e->n ? sample : e->n);
    e->least_sample = (uint32_t)(least < e->sample ? least : e->sample);

    uint64_t scratch = e->threads * (((uint64_t)1 << 20) + 2 * IVF_CHUNK * floats(e) + 384 * nlist);
    uint64_t copies = (e->dim <= KMEANS_KEPT) + (uint64_t)scales;
    uint64_t centres = (e->dim + KMEANS_ROW + copies * floats(e)) * by_centres / sample;
    uint64_t learn = floats(e) * by_code / sample;
    learn = learn > centres ? learn : centres; /* one after the other */
    uint64_t keeps = ivf->refine ? e->walk : 0;
    uint64_t chunks =
        e->n / IVF_CHUNK * CHUNK_BYTES + nlist * (sizeof(struct ivf_list) + CHUNK_BYTES);
    uint64_t list_of = e->n * sizeof(uint32_t);
    e->run = (nlist + 1) * sizeof(uint32_t);
    e->stage[STAGE_LEARN] =
        (struct stage){marks(e, 2) + nlist * (floats(e) + 9 * e->dim) + coarse + scratch, floats(e),
                       floats(e) + learn};
    e->stage[STAGE_MAKE] = (struct stage){marks(e, 2) + coarse + list_of + scratch +
                                              nlist * (sizeof(struct ivf_list) + CHUNK_BYTES),
                                          floats(e) + row + 4 + 4 + 8 + 4, 0};
    e->stage[STAGE_SAVE] =
        (struct stage){WRITER_BYTES + marks(e, 2) + coarse + 2 * list_of, floats(e) + keeps, 0};
    e->file = e->n * (keeps + row + 8) + marks(e, 2) + nlist * (floats(e) + 4);
    e->held = e->n * (row + 8) + marks(e, 3) + chunks + coarse;
    e->mapped = e->n * keeps;
    /* the caller's rows and the store's, with what learning takes, or lists and placing */
    uint64_t learnt = e->sample * learn;
    uint64_t placed = e->n * 12 + e->held;
    e->add = e->n * (2 * floats(e) + 4) + (learnt > placed ? learnt : placed);
    return KITH_OK;
}

/* ---- the plan ------------------------------------------------------------------------------------------ */

static uint64_t peak(const struct estimate *e, uint64_t block, uint64_t sample) {
    uint64_t most = 0, runs = (e->n / block + 1) * e->run;
    for (int i = 0; i < N_STAGES; i++) {
        const struct stage *at = &e->stage[i];
        uint64_t bytes = at->fixed + block * at->by_block + sample * at->by_sample;
        if (i != STAGE_LEARN) bytes += runs;
        most = bytes > most ? bytes : most;
    }
    return most + ROUNDED_BYTES;
}

/* The largest block, of at most `most` rows, that stays below the limit, or the one that comes nearest. */
static uint64_t fit_block(const struct estimate *e, uint64_t limit, uint64_t most) {
    uint64_t low = e->n < BLOCK_MIN ? e->n : BLOCK_MIN;
    uint64_t block = most > e->n ? e->n : most < low ? low : most, best = block;
    while (peak(e, block, e->least_sample) > limit && block > low) {
        block = block * 7 / 8 > low ? block * 7 / 8 : low;
        if (peak(e, block, e->least_sample) < peak(e, best, e->least_sample)) best = block;
    }
    return peak(e, block, e->least_sample) <= limit ? block : best;
}

static void fit(const struct estimate *e, uint64_t limit, struct index_plan *plan) {
    uint64_t most = BLOCK_BYTES / floats(e), sample = e->sample;
    uint64_t block = fit_block(e, 0, most);
    plan->bytes.least_bytes = peak(e, block, e->least_sample) * FREE_SHARE / (FREE_SHARE - 1);
    limit = limit ? limit - limit / FREE_SHARE : UINT64_MAX;
    if (most > limit / BLOCK_SHARE / floats(e)) most = limit / BLOCK_SHARE / floats(e);
    block = fit_block(e, limit, most);
    while (peak(e, block, sample) > limit && sample > e->least_sample)
        sample = sample * 7 / 8 > e->least_sample ? sample * 7 / 8 : e->least_sample;
    plan->block = (uint32_t)block;
    plan->n_sample = (uint32_t)sample;
    plan->bytes.build_bytes = peak(e, block, sample);
}

int index_plan(struct index_plan *plan, const struct kith_index *index, uint64_t n,
               uint32_t threads, kith_error *err) {
    const struct rows *rows = &index->rows;
    struct mem_account *owner = (struct mem_account *)(uintptr_t)&index->mem;
    struct estimate e = {.dim = rows->config.dim, .n = n, .threads = threads};
    struct store *store;
    if (!index->ops->stream)
        return FAIL(err, KITH_EUNSUPPORTED, "what a %s index takes is not estimated",
                    index->ops->kind);
    const struct store_batch batch = {.n = n};
    struct store_form form = store_form_next(rows, &batch);
    TRY(store_new(&store, &rows->config, form, owner, err));
    plan_rows(&e, store, form.quantized || store->orig.kind == CODE_QUANTIZED);
    store_free(store, owner);
    if (index->ops == &graph_ops) plan_graph(&e, (const struct graph *)index);
    if (index->ops == &ivf_ops && n >= ivf_rows_to_train(ivf_of(index)))
        TRY(plan_lists(&e, ivf_of(index), err));
    *plan = (struct index_plan){.bytes = {.size = sizeof(kith_plan)}};
    fit(&e, index->mem.limit, plan);
    plan->bytes.add_bytes = e.add;
    plan->bytes.file_bytes = e.file;
    plan->bytes.codes_bytes = e.held;
    plan->bytes.read_bytes = e.held + e.mapped;
    return KITH_OK;
}
