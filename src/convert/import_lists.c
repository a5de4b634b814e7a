/* FAISS's inverted files, and codes without lists, as lists of Kith.
 *
 * A row's number is its id where the lists' ids are 0 to n - 1, each once, as they are unless ids were given; else rows are
 * numbered list by list. Centres are the rows of the coarse quantiser, whatever index that is; Kith compares queries with
 * all of them, or finds them through a graph of its own. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "convert/import_faiss.h"
#include "foreign/bytes.h"

/* Lists, as list_source asks for them. */
struct lists {
    struct faiss_plan *plan;
    const struct faiss_ivf *ivf; /* NULL: one list of all rows */
    const float *centres;
    bool residual;    /* codes are of x less its centre */
    bool numbered;    /* ids are row numbers */
    uint32_t *start;  /* else the first row of each list; owned */
    uint8_t *numbers; /* RaBitQ: room for those of a code; owned */
};

static int64_t list_id(const struct lists *lists, uint32_t list, uint64_t i) {
    return bytes_i64(lists->ivf->lists[list].ids + 8 * i);
}

static uint32_t list_length(void *context, uint32_t list) {
    const struct lists *lists = context;
    if (!lists->ivf) return (uint32_t)lists->plan->storage.n;
    return lists->ivf->lists ? (uint32_t)lists->ivf->lists[list].n : 0;
}

static uint32_t list_row(const struct lists *lists, uint32_t list, uint32_t i) {
    if (!lists->ivf) return i;
    return lists->numbered ? (uint32_t)list_id(lists, list, i) : lists->start[list] + i;
}

static void list_read(void *context, uint32_t list, uint32_t first, uint32_t n, uint32_t *row,
                      float *x) {
    const struct lists *lists = context;
    const struct faiss_plan *plan = lists->plan;
    const struct storage *filling = plan->filling;
    uint32_t dim = filling->dim;
    for (uint32_t i = 0; i < n; i++, x += dim) {
        row[i] = list_row(lists, list, first + i);
        if (filling->codes) { /* originals, or codes without lists */
            storage_read(filling, filling->codes, row[i], x);
            continue;
        }
        storage_read(filling, lists->ivf->lists[list].codes, first + i, x);
        for (uint32_t j = 0; filling->plain && lists->residual && j < dim; j++)
            x[j] += lists->centres[(size_t)list * dim + j];
    }
}

/* RaBitQ's codes, which have no vectors. */
static void list_read_codes(void *context, const struct quantizer *quantizer, uint32_t list,
                            uint32_t first, uint32_t n, uint32_t *row, uint8_t *codes) {
    const struct lists *lists = context;
    const struct storage *storage = &lists->plan->storage;
    const float *centre = lists->centres + (size_t)list * storage->dim;
    const uint8_t *from = lists->ivf ? lists->ivf->lists[list].codes : storage->codes;
    from += first * storage->code_size;
    for (uint32_t i = 0; i < n; i++, from += storage->code_size, codes += quantizer->bytes) {
        row[i] = list_row(lists, list, first + i);
        storage_compose(storage, quantizer, from, centre, lists->numbers, codes);
    }
}

/* ---- ids ------------------------------------------------------------------------------------------ */

/* Whether the ids are 0 to n - 1, each once. */
static int find_numbered(struct lists *lists, uint64_t n, kith_error *err) {
    struct mem_account *owner = &lists->plan->importing->owner;
    size_t bytes = bits_words(n) * sizeof(uint64_t);
    uint64_t *seen = mem_new(owner, bytes);
    if (!seen) return FAIL(err, KITH_ENOMEM, "no memory to look at %" PRIu64 " ids", n);
    lists->numbered = true;
    for (uint32_t l = 0; lists->ivf->lists && l < lists->ivf->nlist; l++)
        for (uint64_t i = 0; i < lists->ivf->lists[l].n && lists->numbered; i++) {
            int64_t id = list_id(lists, l, i);
            lists->numbered = id >= 0 && (uint64_t)id < n && !bits_test(seen, (uint64_t)id);
            if (lists->numbered) bits_set(seen, (uint64_t)id);
        }
    mem_free(owner, seen, bytes);
    return KITH_OK;
}

/* Rows numbered list by list, their ids those of the lists, by way of an IDMap where one is around. */
static int number_rows(struct lists *lists, uint64_t n, kith_error *err) {
    struct faiss_plan *plan = lists->plan;
    struct mem_account *owner = &plan->importing->owner;
    uint64_t nlist = lists->ivf->nlist;
    if (plan->refine || plan->map) /* which ask by row number */
        return FAIL_AT(err, KITH_EUNSUPPORTED, plan->core->at, "ids in lists that %s does not know",
                       plan->map ? "the IDMap" : "Refine");
    mem_free(owner, plan->ids, plan->n_ids * sizeof *plan->ids); /* of a first try */
    lists->start = mem_new(owner, nlist * sizeof *lists->start);
    plan->ids = mem_new(owner, n * sizeof *plan->ids);
    plan->n_ids = plan->ids ? n : 0;
    if (!lists->start || !plan->ids)
        return FAIL(err, KITH_ENOMEM, "no memory for the ids of %" PRIu64 " rows", n);
    uint32_t row = 0;
    for (uint32_t l = 0; l < nlist; l++) {
        lists->start[l] = row;
        for (uint64_t i = 0; lists->ivf->lists && i < lists->ivf->lists[l].n; i++)
            plan->ids[row++] = list_id(lists, l, i);
    }
    return KITH_OK;
}

/* ---- centres -------------------------------------------------------------------------------------- */

static int read_centres(const struct faiss_node *node, uint64_t dim, float *centres,
                        struct mem_account *owner, kith_error *err) {
    const struct faiss_node *stored = node->kind == FAISS_HNSW ? node->inner : node;
    struct storage storage;
    if (stored->kind > FAISS_PQ_FAST)
        return FAIL_AT(err, KITH_EUNSUPPORTED, node->at, "%s as a coarse quantiser",
                       faiss_kind_name(node->kind));
    if ((uint64_t)node->d != dim)
        return FAIL_AT(err, KITH_ECORRUPT, node->at, "centres of %d dimensions for %" PRIu64,
                       node->d, dim);
    TRY(storage_of_node(&storage, stored, true, owner, err));
    for (uint64_t i = 0; i < storage.n; i++)
        storage_read(&storage, storage.codes, i, centres + i * dim);
    storage_deinit(&storage);
    return KITH_OK;
}

/* ---- the index ------------------------------------------------------------------------------------ */

static int put_lists(struct kith_index *index, struct lists *lists, kith_error *err) {
    struct faiss_plan *plan = lists->plan;
    const struct storage *filling = plan->filling;
    bool integral = filling->kind == STORAGE_U8;
    const struct list_source source = {
        .centres = lists->centres,
        .model = &plan->storage.model,
        .residual = lists->residual,
        .exact = plan->storage.block == 0,
        .integral = integral && !filling->plain,
        .context = lists,
        .length = list_length,
        .read = list_read,
        .read_codes = filling->kind == STORAGE_RABITQ ? list_read_codes : NULL,
    };
    if (!plan->refines) TRY(ivf_import_bare(index, err));
    TRY(plan_fill_rows(index, plan, err));
    if (!source.read_codes) return ivf_import(index, &source, err);
    lists->numbers = mem_new(&plan->importing->owner, filling->dim);
    if (!lists->numbers) return FAIL(err, KITH_ENOMEM, "no memory for a code");
    int code = ivf_import(index, &source, err);
    mem_free(&plan->importing->owner, lists->numbers, filling->dim);
    return code;
}

static int make_lists(struct kith_index **out, struct lists *lists, kith_error *err) {
    struct faiss_plan *plan = lists->plan;
    const struct faiss_node *coarse = lists->ivf->quantizer;
    const struct storage *filling = plan->filling;
    kith_conversion *what = plan->importing->what;
    char word[24], spec[64], graph[24] = "";
    uint64_t most = coarse->kind == FAISS_HNSW && coarse->graph.cum_nneighbor_per_level.n > 1
                        ? (uint64_t)bytes_i32(coarse->graph.cum_nneighbor_per_level.bytes + 4)
                        : 0;
    if (most) snprintf(graph, sizeof graph, "_HNSW%u", graph_links_for(most));
    storage_word(filling, word);
    snprintf(spec, sizeof spec, "IVF%" PRIu64 "%s,%s%s", lists->ivf->nlist, graph, word,
             plan_refine_word(plan));
    what->nprobe = lists->ivf->nprobe > UINT32_MAX ? UINT32_MAX : (uint32_t)lists->ivf->nprobe;
    TRY(import_new(out, filling->dim, filling->n, plan->metric, spec, plan->importing, err));
    if (!plan->core->is_trained || coarse->ntotal == 0) {
        tell(what, "lists: not trained yet");
        return filling->n == 0 ? KITH_OK
                               : FAIL_AT(err, KITH_ECORRUPT, plan->core->at,
                                         "rows in lists that were never trained");
    }
    what->lists = KITH_FATE_KEPT;
    tell(what, "lists: centres and rows of lists are kept%s",
         most ? "; the graph over the centres is made anew" : "");
    if (coarse->metric != plan->core->metric)
        tell(what, "lists: FAISS chooses them by %s, Kith by %s: equal at nprobe = nlist alone",
             faiss_metric_name(coarse->metric), faiss_metric_name(plan->core->metric));
    if (plan->storage.block)
        tell(what, "distances: estimates by tables in 8 bits, as in FAISS, but rounded otherwise");
    return put_lists(*out, lists, err);
}

int import_lists(struct kith_index **out, struct faiss_plan *plan, kith_error *err) {
    const struct faiss_ivf *ivf = &plan->core->ivf;
    struct mem_account *owner = &plan->importing->owner;
    struct lists lists = {.plan = plan, .ivf = ivf, .residual = ivf->by_residual};
    size_t dim = (size_t)plan->core->d, n = (size_t)ivf->quantizer->ntotal, bytes = 0;
    float *centres = NULL;
    if (plan->core->kind == FAISS_IVF_FLAT) lists.residual = false;
    int code = find_numbered(&lists, (uint64_t)plan->core->ntotal, err);
    if (code == KITH_OK && !lists.numbered)
        code = number_rows(&lists, (uint64_t)plan->core->ntotal, err);
    if (code == KITH_OK &&
        (!mem_mul(n, dim * sizeof(float), &bytes) || !(centres = mem_new(owner, bytes))))
        code = FAIL(err, KITH_ENOMEM, "no memory for %zu centres", n);
    if (code == KITH_OK) code = read_centres(ivf->quantizer, dim, centres, owner, err);
    lists.centres = centres;
    if (code == KITH_OK) code = make_lists(out, &lists, err);
    if (centres) mem_free(owner, centres, bytes);
    if (lists.start) mem_free(owner, lists.start, ivf->nlist * sizeof *lists.start);
    return code;
}

int import_lone(struct kith_index **out, struct faiss_plan *plan, kith_error *err) {
    struct mem_account *owner = &plan->importing->owner;
    const struct storage *storage = plan->filling;
    size_t bytes = storage->dim * sizeof(float);
    char word[24], spec[64];
    storage_word(storage, word);
    snprintf(spec, sizeof spec, "%s%s", word, plan_refine_word(plan));
    TRY(import_new(out, storage->dim, storage->n, plan->metric, spec, plan->importing, err));
    float *origin = mem_new(owner, bytes);
    if (!origin) return FAIL(err, KITH_ENOMEM, "no memory for a centre");
    const struct faiss_array *center = &plan->stored->rabitq.center;
    if (storage->kind == STORAGE_RABITQ && center->n == storage->dim)
        memcpy(origin, center->bytes, bytes);
    struct lists lists = {.plan = plan, .centres = origin, .residual = true};
    int code = put_lists(*out, &lists, err);
    mem_free(owner, origin, bytes);
    return code;
}
