/* The inverted lists' sections of an index file (docs/format.md): IVFM, and where the index is trained CENT, QNTZ, LSTN,
 * LROW, LCOD, LIOF.
 *
 * IVFM: u32 nlist, u32 state, u32 plain code kind or that a quantizer codes, u32 bytes of a code, u64 rows trained on; how worn
 * lists are (ivf_wear.c): f64 loss, f64 imbalance, f64 rows written, f64 sum of their losses, u32 rows since the last look; f32 balance.
 * CENT: nlist x dim f32. QNTZ: the quantizer's model. LSTN: u32 rows a list. LROW: their numbers, list by list. LCOD: their
 * codes, list by list, each list at a multiple of 64 and chunk behind chunk. LIOF: u32 a row, its list.
 * A map borrows row numbers and codes, so that opening costs by lists and chunks, not by rows; row numbers are looked at
 * when they are used.
 * A graph over the centres has its own sections in place of CENT (ivf_coarse.c). */
#include <inttypes.h>
#include <string.h>

#include "index/file.h"
#include "index/ivf.h"
#include "index/ivf_stream.h"

#define TAG_META    FILE_TAG('I', 'V', 'F', 'M')
#define TAG_LENGTHS FILE_TAG('L', 'S', 'T', 'N')
#define TAG_ROWS    FILE_TAG('L', 'R', 'O', 'W')
#define TAG_CODES   FILE_TAG('L', 'C', 'O', 'D')
#define TAG_LIST_OF FILE_TAG('L', 'I', 'O', 'F')
#define ALIGN       64u

struct meta {
    uint32_t nlist, state, kind, row_bytes;
    uint64_t trained_n;
    double loss, imbalance, n_written, written; /* struct ivf_wear */
    uint32_t n_recent;
    float balance;
};
/* WHOLE: codes are of whole vectors, not of residuals; EXACT: they are scored exactly, and not kept in blocks. */
enum { STATE_TRAINED = 1, STATE_WHOLE = 2, STATE_EXACT = 4, STATE_ALL = 7 };

/* ---- saving --------------------------------------------------------------------------------------- */

static uint32_t length_of(const struct ivf *ivf, const struct ivf_model *model, uint32_t i) {
    const struct ivf_list *list = ivf_list_of(model, i);
    return ivf->spill ? ivf_spill_length(ivf->spill, i) : list ? list->n : 0;
}

static int save_lengths(const struct ivf *ivf, const struct ivf_model *model,
                        struct file_sections *out, kith_error *err) {
    TRY(file_sections_begin(out, TAG_LENGTHS, err));
    for (uint32_t i = 0; i < model->nlist; i++) {
        uint32_t n = length_of(ivf, model, i);
        TRY(file_sections_more(out, &n, sizeof n, err));
    }
    file_sections_end(out);
    return KITH_OK;
}

static int save_rows(const struct ivf *ivf, const struct ivf_model *model,
                     struct file_sections *out, kith_error *err) {
    uint32_t n = atomic_load_explicit(&ivf->index.rows.n, memory_order_relaxed);
    TRY(file_sections_begin(out, TAG_ROWS, err));
    if (ivf->spill) TRY(ivf_spill_save_rows(ivf->spill, &ivf->list_of, n, out, err));
    for (uint32_t i = 0; i < model->nlist; i++) {
        const struct ivf_list *list = ivf_list_of(model, i);
        for (uint32_t c = 0; list && c < list->n_chunks; c++)
            TRY(file_sections_more(out, list->chunk[c].row, list->chunk[c].n * sizeof(uint32_t),
                                   err));
    }
    file_sections_end(out);
    return KITH_OK;
}

/* Bytes of a list's codes, chunk behind chunk, without the padding after them. */
static size_t codes_bytes(const struct ivf_code *code, uint32_t length) {
    return length / IVF_CHUNK * ivf_code_bytes(code, IVF_CHUNK) +
           ivf_code_bytes(code, length % IVF_CHUNK);
}

static int save_codes(const struct ivf *ivf, const struct ivf_model *model,
                      struct file_sections *out, kith_error *err) {
    static const uint8_t zeros[ALIGN];
    TRY(file_sections_begin(out, TAG_CODES, err));
    for (uint32_t i = 0; i < model->nlist; i++) {
        const struct ivf_list *list = ivf_list_of(model, i);
        size_t bytes = codes_bytes(&model->code, length_of(ivf, model, i));
        if (ivf->spill) TRY(ivf_spill_save_list(ivf->spill, i, out, err));
        for (uint32_t c = 0; list && c < list->n_chunks; c++)
            TRY(file_sections_more(out, list->chunk[c].codes,
                                   ivf_code_bytes(&model->code, list->chunk[c].n), err));
        TRY(file_sections_more(out, zeros, bits_round_up(bytes, ALIGN) - bytes, err));
    }
    file_sections_end(out);
    return KITH_OK;
}

static void put_wear(const struct ivf_wear *wear, struct meta *meta) {
    meta->loss = wear->loss;
    meta->imbalance = wear->imbalance;
    meta->n_written = wear->n_written;
    meta->written = wear->written;
    meta->n_recent = wear->n_recent;
}

int ivf_save(const struct kith_index *index, struct file_sections *out, kith_error *err) {
    const struct ivf *ivf = ivf_of(index);
    const struct ivf_model *model = ivf_model_of(ivf);
    struct meta meta = {.nlist = ivf->nlist, .balance = index->options.balance};
    if (model) {
        const struct ivf_code *code = &model->code;
        meta.state = STATE_TRAINED;
        if (ivf_code_is_whole(code)) meta.state |= STATE_WHOLE;
        if (code->exact) meta.state |= STATE_EXACT;
        meta.kind = code->quantizer ? CODE_QUANTIZED : (uint32_t)code->plain.kind;
        meta.row_bytes = (uint32_t)code->row_bytes;
        meta.trained_n = model->trained_n;
        put_wear(&model->wear, &meta);
    }
    TRY(file_sections_put(out, TAG_META, &meta, sizeof meta, err));
    if (!model) return KITH_OK;
    TRY(ivf_coarse_save(&model->coarse, out, err));
    if (model->code.quantizer)
        TRY(quantizer_save(model->code.quantizer, FILE_TAG_QUANTIZER, out, err));
    TRY(save_lengths(ivf, model, out, err));
    TRY(save_rows(ivf, model, out, err));
    TRY(save_codes(ivf, model, out, err));
    return file_sections_put_segs(out, TAG_LIST_OF, &ivf->list_of,
                                  atomic_load_explicit(&index->rows.n, memory_order_acquire), err);
}

/* ---- loading -------------------------------------------------------------------------------------- */

static int read_meta(const struct ivf *ivf, const struct index_file *file, struct meta *meta,
                     kith_error *err) {
    const void *bytes;
    size_t n;
    TRY(index_file_section(file, TAG_META, sizeof *meta, &bytes, &n, err));
    memcpy(meta, bytes, sizeof *meta);
    if (meta->nlist != ivf->nlist || (meta->state & ~(uint32_t)STATE_ALL) ||
        (meta->state && !(meta->state & STATE_TRAINED)))
        return FAIL(err, KITH_ECORRUPT,
                    "section IVFM tells of %" PRIu32 " lists, the description of %" PRIu32,
                    meta->nlist, ivf->nlist);
    if (!ivf_balance_is_valid(meta->balance))
        return FAIL(err, KITH_ECORRUPT, "section IVFM tells of balance %g", (double)meta->balance);
    return KITH_OK;
}

static int load_code(struct ivf_code *code, const struct ivf *ivf, const struct meta *meta,
                     const struct index_file *file, kith_error *err) {
    TRY(ivf_code_init(code, ivf, meta->kind == CODE_U8, err));
    uint32_t kind = code->quantizer ? CODE_QUANTIZED : (uint32_t)code->plain.kind;
    int result = KITH_OK;
    if (kind != meta->kind || code->row_bytes != meta->row_bytes)
        result = FAIL(err, KITH_ECORRUPT,
                      "section IVFM tells of codes of kind %" PRIu32 " and %" PRIu32
                      " bytes, the description of kind %" PRIu32 " and %zu",
                      meta->kind, meta->row_bytes, kind, code->row_bytes);
    if (result == KITH_OK && (meta->state & STATE_WHOLE)) code->residual = false;
    if (result == KITH_OK && (meta->state & STATE_EXACT)) ivf_code_be_exact(code);
    if (result == KITH_OK && code->quantizer)
        result = quantizer_load(code->quantizer, FILE_TAG_QUANTIZER, file, err);
    if (result != KITH_OK) ivf_code_deinit(code, (struct mem_account *)(uintptr_t)&ivf->index.mem);
    return result;
}

/* Sections of lists, and how far they are used up. */
struct lists_file {
    const uint32_t *length, *row;
    const uint8_t *codes;
    uint64_t n_rows, codes_bytes;
    const struct index_file *file;
};

static int read_lists(const struct ivf_model *model, const struct index_file *file,
                      struct lists_file *lists, kith_error *err) {
    const void *bytes;
    size_t n;
    *lists = (struct lists_file){.file = file};
    TRY(index_file_section(file, TAG_LENGTHS, model->nlist * sizeof(uint32_t), &bytes, &n, err));
    lists->length = bytes;
    for (uint32_t i = 0; i < model->nlist; i++) {
        uint32_t length = lists->length[i];
        lists->n_rows += length;
        lists->codes_bytes += bits_round_up(codes_bytes(&model->code, length), ALIGN);
        if (lists->n_rows > KITH_MAX_ROWS)
            return FAIL(err, KITH_ECORRUPT, "section LSTN tells of more than %u rows",
                        KITH_MAX_ROWS);
    }
    TRY(index_file_section(file, TAG_ROWS, lists->n_rows * sizeof(uint32_t), &bytes, &n, err));
    lists->row = bytes;
    TRY(index_file_section(file, TAG_CODES, lists->codes_bytes, &bytes, &n, err));
    lists->codes = bytes;
    return KITH_OK;
}

static int load_list(const struct ivf_code *code, const struct lists_file *file, uint32_t length,
                     const uint32_t *row, const uint8_t *codes, struct ivf_list **out,
                     struct mem_account *owner, kith_error *err) {
    struct ivf_list *list;
    TRY(ivf_list_borrow(&list, code, length, row, codes, owner, err));
    if (!file->file->mapped) {
        struct ivf_list *copy;
        int made = ivf_list_copy(&copy, list, code, owner, err);
        ivf_list_free(list, NULL, code, owner);
        index_file_copied(file->file, codes, codes_bytes(code, length));
        if (made != KITH_OK) return made;
        list = copy;
    }
    *out = list;
    return KITH_OK;
}

static int load_lists(struct ivf *ivf, struct ivf_model *model, const struct index_file *file,
                      kith_error *err) {
    struct lists_file lists;
    TRY(read_lists(model, file, &lists, err));
    const uint32_t *row = lists.row;
    const uint8_t *codes = lists.codes;
    for (uint32_t i = 0; i < model->nlist; i++) {
        uint32_t length = lists.length[i];
        struct ivf_list *list;
        if (length == 0) continue;
        TRY(load_list(&model->code, &lists, length, row, codes, &list, &ivf->index.mem, err));
        atomic_store_explicit(&model->list[i], list, memory_order_relaxed);
        row += length;
        codes += bits_round_up(codes_bytes(&model->code, length), ALIGN);
    }
    return index_file_segs(file, TAG_LIST_OF, &ivf->list_of,
                           atomic_load_explicit(&ivf->index.rows.n, memory_order_acquire),
                           &ivf->index.mem, err);
}

int ivf_load(struct kith_index *index, const struct index_file *file, kith_error *err) {
    struct ivf *ivf = ivf_of(index);
    struct meta meta;
    struct ivf_code how;
    struct ivf_model *model;
    TRY(read_meta(ivf, file, &meta, err));
    index->options.balance = meta.balance;
    if (!meta.state && store_is_bare(rows_store(&index->rows)))
        return FAIL(err, KITH_ECORRUPT, "the index is not trained, and its rows have no vectors");
    if (!meta.state) return KITH_OK;
    TRY(load_code(&how, ivf, &meta, file, err));
    int code = ivf_model_load(&model, ivf, meta.nlist, file, err);
    if (code != KITH_OK) {
        ivf_code_deinit(&how, &index->mem);
        return code;
    }
    model->code = how;
    model->trained_n = meta.trained_n;
    model->wear = (struct ivf_wear){.loss = meta.loss,
                                    .imbalance = meta.imbalance,
                                    .n_written = meta.n_written,
                                    .written = meta.written,
                                    .n_recent = meta.n_recent};
    atomic_store_explicit(&ivf->model, model, memory_order_release); /* freed with the index */
    ivf->stale = index->rows.n_dead > 0; /* they leave their lists before the next write */
    return load_lists(ivf, model, file, err);
}
