/* Inverted lists as FAISS's: centres as a Flat index, and list by list codes and ids. One list alone is written as the codes
 * that it holds, its centre added to what they stand for. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "convert/export.h"
#include "index/ivf.h"

/* Lists on their way out. */
struct listing {
    struct exporting *exporting;
    const struct ivf *ivf;
    const struct ivf_model *model;
    struct layout layout;
    float *centre;
    uint8_t *row;              /* room for a code of Kith's */
    bool by_place;             /* ids in lists are places, for originals beside */
    bool add_centre;           /* residuals are written as vectors */
    const struct store *store; /* originals are written in place of codes; or NULL */
};

/* ---- centres -------------------------------------------------------------------------------------- */

static int put_centres(struct exporting *exporting, const struct ivf_model *model,
                       struct faiss_node **out, kith_error *err) {
    struct faiss_node *node;
    size_t dim = exporting->dim;
    float *centres = export_new(exporting, model->nlist * dim, sizeof *centres);
    if (!centres) return FAIL(err, KITH_ENOMEM, "no memory for %" PRIu32 " centres", model->nlist);
    TRY(export_node(exporting, FAISS_FLAT, &node, err));
    for (uint32_t i = 0; i < model->nlist; i++) ivf_centre(model, i, centres + i * dim);
    node->ntotal = model->nlist;
    node->codes = (struct faiss_codes){(const uint8_t *)centres, model->nlist, dim * sizeof(float)};
    *out = node;
    return KITH_OK;
}

/* ---- codes ---------------------------------------------------------------------------------------- */

/* How lists' codes are laid out; where FAISS has no such code, that of originals, if there are any. */
static int find_layout(struct listing *listing, const float *centre, kith_error *err) {
    struct exporting *exporting = listing->exporting;
    const struct ivf_code *code = &listing->model->code;
    const struct store *store = rows_store(&exporting->index->rows);
    listing->row = export_new(exporting, code->row_bytes, 1);
    if (!listing->row) return FAIL(err, KITH_ENOMEM, "no memory for a code");
    int result = layout_init(&listing->layout, exporting, code->quantizer ? NULL : &code->plain,
                             code->quantizer, centre, err);
    if (result == KITH_EUNSUPPORTED && listing->ivf->refine) {
        listing->store = store;
        tell(exporting->what, "vectors: FAISS has no code as Kith's %s; originals are in the lists",
             code->quantizer->ops->name);
        exporting->what->vectors = KITH_FATE_RECODED;
        return layout_init(&listing->layout, exporting, store_exact_code(store), NULL, NULL, err);
    }
    listing->add_centre = listing->layout.kind == FAISS_FLAT && code->quantizer && code->residual;
    return result;
}

/* Row i of a chunk to FAISS's bytes; its place, or ROW_NONE where it is not there any more. */
static uint32_t write_row(const struct listing *listing, const struct ivf_chunk *chunk, uint32_t i,
                          uint8_t *out) {
    const struct exporting *exporting = listing->exporting;
    uint32_t used = atomic_load_explicit(&exporting->index->rows.n, memory_order_acquire);
    uint32_t place = chunk->row[i] < used ? exporting->place[chunk->row[i]] : ROW_NONE;
    if (place == ROW_NONE) return place;
    if (listing->store) {
        layout_write(&listing->layout, store_exact_row(listing->store, chunk->row[i]), out);
        return place;
    }
    ivf_code_unpack(&listing->model->code, chunk->codes, i, listing->row);
    layout_write(&listing->layout, listing->row, out);
    float *x = (float *)(void *)out;
    for (uint32_t j = 0; listing->add_centre && j < exporting->dim; j++) x[j] += listing->centre[j];
    return place;
}

static int64_t id_of(const struct listing *listing, uint32_t place) {
    const struct exporting *exporting = listing->exporting;
    return listing->by_place || !exporting->ids ? (int64_t)place : exporting->ids[place];
}

static int put_list(struct listing *listing, uint32_t number, struct faiss_list *out,
                    kith_error *err) {
    struct exporting *exporting = listing->exporting;
    const struct ivf_list *list = ivf_list_of(listing->model, number);
    uint64_t size = listing->layout.code_size;
    if (!list || list->n == 0) return KITH_OK;
    uint8_t *codes = export_new(exporting, list->n, size);
    int64_t *ids = export_new(exporting, list->n, sizeof *ids);
    if (!codes || !ids) return FAIL(err, KITH_ENOMEM, "no memory for a list of %u rows", list->n);
    ivf_centre(listing->model, number, listing->centre);
    for (uint32_t c = 0; c < list->n_chunks; c++)
        for (uint32_t i = 0; i < list->chunk[c].n; i++) {
            uint32_t place = write_row(listing, &list->chunk[c], i, codes + out->n * size);
            if (place != ROW_NONE) ids[out->n++] = id_of(listing, place);
        }
    out->codes = codes;
    out->ids = (const uint8_t *)ids;
    return KITH_OK;
}

/* All lists hold all rows once: a mapped file may be damaged. */
static int put_lists(struct listing *listing, struct faiss_ivf *ivf, kith_error *err) {
    struct exporting *exporting = listing->exporting;
    uint64_t total = 0;
    ivf->lists = export_new(exporting, ivf->nlist, sizeof *ivf->lists);
    if (!ivf->lists) return FAIL(err, KITH_ENOMEM, "no memory for %" PRIu64 " lists", ivf->nlist);
    for (uint32_t i = 0; i < ivf->nlist; i++) {
        TRY(put_list(listing, i, &ivf->lists[i], err));
        total += ivf->lists[i].n;
    }
    if (total != exporting->n)
        return FAIL(err, KITH_ECORRUPT, "%" PRIu64 " rows in lists, %u in the index", total,
                    exporting->n);
    if (total == 0) ivf->lists = NULL;
    return KITH_OK;
}

static enum faiss_kind lists_kind(enum faiss_kind kind) {
    return kind == FAISS_SQ ? FAISS_IVF_SQ : kind == FAISS_PQ ? FAISS_IVF_PQ : FAISS_IVF_FLAT;
}

static int export_ivf(struct listing *listing, struct faiss_node **out, kith_error *err) {
    struct exporting *exporting = listing->exporting;
    const struct ivf_model *model = listing->model;
    struct faiss_node *node;
    TRY(find_layout(listing, NULL, err));
    TRY(export_node(exporting, lists_kind(listing->layout.kind), &node, err));
    layout_describe(&listing->layout, node);
    node->ivf.nlist = model->nlist;
    node->ivf.nprobe =
        (uint64_t)ceil(sqrt((double)model->nlist)); /* Kith's, where none is asked for */
    node->ivf.code_size = listing->layout.code_size;
    node->ivf.by_residual = listing->layout.kind != FAISS_FLAT && !listing->store &&
                            model->code.quantizer && model->code.residual;
    exporting->what->nprobe = (uint32_t)node->ivf.nprobe;
    exporting->what->lists = KITH_FATE_KEPT;
    tell(exporting->what, "lists: centres and rows of lists are kept%s",
         listing->ivf->coarse_m ? "; FAISS compares queries with all centres" : "");
    TRY(put_centres(exporting, model, &node->ivf.quantizer, err));
    *out = node;
    return put_lists(listing, &node->ivf, err);
}

/* ---- one list ------------------------------------------------------------------------------------- */

static int export_codes(struct listing *listing, struct faiss_node **out, kith_error *err) {
    struct exporting *exporting = listing->exporting;
    const struct ivf_list *list = ivf_list_of(listing->model, 0);
    struct faiss_node *node;
    ivf_centre(listing->model, 0, listing->centre);
    TRY(find_layout(listing, listing->model->code.residual ? listing->centre : NULL, err));
    TRY(export_node(exporting, listing->layout.kind, &node, err));
    uint64_t size = listing->layout.code_size;
    uint8_t *codes = export_new(exporting, exporting->n, size),
            *one = export_new(exporting, 1, size);
    if (!codes || !one) return FAIL(err, KITH_ENOMEM, "no memory for %u codes", exporting->n);
    uint32_t n = 0;
    for (uint32_t c = 0; list && c < list->n_chunks; c++)
        for (uint32_t i = 0; i < list->chunk[c].n; i++) {
            uint32_t place = write_row(listing, &list->chunk[c], i, one);
            if (place == ROW_NONE) continue;
            memcpy(codes + place * size, one, size);
            n++;
        }
    if (n != exporting->n)
        return FAIL(err, KITH_ECORRUPT, "%u rows in lists, %u in the index", n, exporting->n);
    layout_describe(&listing->layout, node);
    node->codes = (struct faiss_codes){codes, exporting->n, size};
    *out = node;
    return KITH_OK;
}

int export_lists(struct exporting *exporting, struct faiss_node **out, bool *has_ids,
                 kith_error *err) {
    const struct ivf *ivf = ivf_of(exporting->index);
    struct listing listing = {.exporting = exporting,
                              .ivf = ivf,
                              .model = ivf_model_of(ivf),
                              .by_place = ivf->refine || exporting->by_place,
                              .centre = export_new(exporting, exporting->dim, sizeof(float))};
    if (!listing.centre) return FAIL(err, KITH_ENOMEM, "no memory for a centre");
    TRY(ivf->lone ? export_codes(&listing, out, err) : export_ivf(&listing, out, err));
    if (listing.model->code.quantizer && !ivf->refine)
        tell(exporting->what,
             "distances: FAISS's are those of the codes, Kith's may be estimates of them");
    *has_ids = !ivf->lone && !listing.by_place;
    bool coded = listing.model->code.quantizer != NULL && !listing.store;
    return ivf->refine && coded ? export_refined(exporting, *out, out, err) : KITH_OK;
}
