/* Lists of rows that are not held (rows_stream.h): built block by block, spilled to disk, merged into the file.
 *
 *     block --ivf_place_rows--> lists of the block --spill--> run: codes by list      once a block
 *     runs  --list by list, run by run--> chunks, packed --> LCOD                     when it is saved
 *
 * A run's codes are by list, within a list by row; runs follow each other by row. So each list is the runs' parts one after
 * the other, in the order in which adding all rows in one call would have placed them: the file is the same.
 *
 * Held while it is built: the model, the lists of one block, 4 bytes a row (which list), and 4 bytes a list and run (where
 * the list begins in the run); while it is saved, 4 bytes a row more. */
#include "index/ivf_stream.h"

#include <inttypes.h>
#include <string.h>

#include "index/file.h"
#include "index/rows_stream.h"

struct ivf_spill {
    struct file_spill codes;
    const struct ivf_model *model;
    uint32_t n_runs, most_runs;
    uint32_t *start; /* most_runs x (nlist + 1): rows of the run before each list */
    uint64_t *at;    /* where each run's codes begin, in rows */
    uint8_t *chunk;  /* IVF_CHUNK codes, then as many packed */
};

static const uint32_t *starts_of(const struct ivf_spill *spill, uint32_t run) {
    return spill->start + (size_t)run * (spill->model->nlist + 1);
}

/* ---- a spill's life -------------------------------------------------------------------------------- */

static size_t start_bytes(const struct ivf_spill *spill) {
    return (size_t)spill->most_runs * (spill->model->nlist + 1) * sizeof(uint32_t);
}

static size_t chunk_bytes(const struct ivf_spill *spill) {
    const struct ivf_code *code = &spill->model->code;
    return bits_round_up(IVF_CHUNK * code->row_bytes, 64) + ivf_code_bytes(code, IVF_CHUNK);
}

void ivf_spill_free(struct ivf_spill *spill, struct mem_account *owner) {
    if (!spill) return;
    file_spill_close(&spill->codes);
    mem_free(owner, spill->start, start_bytes(spill));
    mem_free(owner, spill->at, spill->most_runs * sizeof *spill->at);
    mem_free(owner, spill->chunk, chunk_bytes(spill));
    mem_free(owner, spill, sizeof *spill);
}

static int spill_new(struct ivf_spill **out, const struct ivf_model *model, uint32_t most_runs,
                     const char *path, struct mem_account *owner, kith_error *err) {
    struct ivf_spill *spill = mem_new(owner, sizeof *spill);
    if (!spill) return FAIL(err, KITH_ENOMEM, "no memory to spill lists");
    *spill = (struct ivf_spill){.codes = {.fd = -1}, .model = model, .most_runs = most_runs};
    spill->start = mem_new(owner, start_bytes(spill));
    spill->at = mem_new(owner, most_runs * sizeof *spill->at);
    spill->chunk = mem_new(owner, chunk_bytes(spill));
    int code = spill->start && spill->at && spill->chunk
                   ? file_spill_open(&spill->codes, path, err)
                   : FAIL(err, KITH_ENOMEM,
                          "no memory for the places of %" PRIu32 " lists in %" PRIu32 " runs",
                          model->nlist, most_runs);
    if (code != KITH_OK) {
        ivf_spill_free(spill, owner);
        return code;
    }
    *out = spill;
    return KITH_OK;
}

/* ---- a run ------------------------------------------------------------------------------------------ */

/* The codes of a chunk, one after the other. */
static int spill_chunk(struct ivf_spill *spill, const struct ivf_chunk *chunk, kith_error *err) {
    const struct ivf_code *code = &spill->model->code;
    for (uint32_t i = 0; i < chunk->n; i++)
        ivf_code_unpack(code, chunk->codes, i, spill->chunk + i * code->row_bytes);
    return file_spill_put(&spill->codes, spill->chunk, chunk->n * code->row_bytes, err);
}

/* The model's lists become a run, and are empty again. */
static int spill_run(struct ivf_spill *spill, struct ivf_model *model, struct mem_account *owner,
                     kith_error *err) {
    uint32_t *start = spill->start + (size_t)spill->n_runs * (model->nlist + 1), n = 0;
    spill->at[spill->n_runs] = spill->codes.bytes / model->code.row_bytes;
    for (uint32_t i = 0; i < model->nlist; i++) {
        struct ivf_list *list = ivf_list_of(model, i);
        start[i] = n;
        for (uint32_t c = 0; list && c < list->n_chunks; c++)
            TRY(spill_chunk(spill, &list->chunk[c], err));
        n += list ? list->n : 0;
        ivf_list_free(list, NULL, &model->code, owner);
        atomic_store_explicit(&model->list[i], NULL, memory_order_relaxed);
    }
    start[model->nlist] = n;
    spill->n_runs++;
    return KITH_OK;
}

/* Each block into lists, and out to the disk. */
static int place_all(struct ivf *ivf, struct ivf_model *model, struct rows_stream *stream,
                     kith_error *err) {
    struct mem_account *owner = &ivf->index.mem;
    uint64_t n = stream->from->n;
    size_t bytes = stream->block * sizeof(uint32_t);
    uint32_t *row = mem_new(owner, bytes);
    if (!row || !segs_reserve(&ivf->list_of, (uint32_t)n, owner)) {
        mem_free(owner, row, bytes);
        return FAIL(err, KITH_ENOMEM, "no memory for the lists of %" PRIu64 " rows", n);
    }
    double losses = 0;
    int code = KITH_OK;
    for (uint64_t first = 0; first < n; first += stream->block) {
        struct kmeans_rows x = {.dim = stream->from->dim, .values = stream->x};
        x.n = n - first < stream->block ? (size_t)(n - first) : stream->block;
        for (size_t i = 0; i < x.n; i++) row[i] = (uint32_t)(first + i);
        TRY_DONE(rows_stream_read(stream, first, x.n, err));
        TRY_DONE(ivf_place_rows(ivf, model, &x, row, stream->work, err));
        TRY_DONE(spill_run(ivf->spill, model, owner, err));
        losses += model->wear.placed;
        if (stream->work->progress) stream->work->progress(stream->work->context, first + x.n, n);
    }
    ivf_wear_fill(model, losses, (uint32_t)n);
done:
    mem_free(owner, row, bytes);
    return code;
}

/* ---- the whole --------------------------------------------------------------------------------------- */

static int learn(struct ivf *ivf, const struct rows_stream *stream, struct ivf_model **out,
                 kith_error *err) {
    size_t dim = stream->from->dim;
    const struct kmeans_rows sample = {.n = stream->n_sample, .dim = dim, .values = stream->sample};
    const struct kmeans_rows other = {.n = 1, .dim = dim, .values = stream->x};
    stream->x[0] = 0.5f; /* stands for the rows that are not whole */
    const struct ivf_lesson lesson = {.x = &sample, .placed = stream->integral ? &sample : &other};
    return ivf_model_train(out, ivf, &lesson, stream->work, err);
}

int ivf_stream(struct kith_index *index, struct rows_stream *stream, const char *path,
               kith_error *err) {
    struct ivf *ivf = ivf_of(index);
    struct ivf_model *model;
    uint32_t n_runs = (uint32_t)((stream->from->n + stream->block - 1) / stream->block);
    if (stream->from->n < ivf_rows_to_train(ivf)) return KITH_OK; /* they stay rows */
    TRY(learn(ivf, stream, &model, err));
    rows_stream_drop_sample(stream);
    atomic_store_explicit(&ivf->model, model, memory_order_release); /* freed with the index */
    if (index->rows.config.may_forget) TRY(rows_forget(&index->rows, err));
    TRY(spill_new(&ivf->spill, model, n_runs, path, &index->mem, err));
    return place_all(ivf, model, stream, err);
}

/* ---- into the file ------------------------------------------------------------------------------------ */

uint32_t ivf_spill_length(const struct ivf_spill *spill, uint32_t list) {
    uint32_t n = 0;
    for (uint32_t run = 0; run < spill->n_runs; run++)
        n += starts_of(spill, run)[list + 1] - starts_of(spill, run)[list];
    return n;
}

int ivf_spill_save_rows(const struct ivf_spill *spill, const struct segs *list_of, uint32_t n,
                        struct file_sections *out, kith_error *err) {
    uint32_t nlist = spill->model->nlist, at = 0;
    size_t order_at = bits_round_up(nlist * sizeof(uint32_t), 64);
    size_t bytes = order_at + n * sizeof(uint32_t);
    uint8_t *memory = mem_new(NULL, bytes);
    if (!memory) return FAIL(err, KITH_ENOMEM, "no memory to sort %" PRIu32 " rows by list", n);
    uint32_t *start = (uint32_t *)(void *)memory, *order = (uint32_t *)(void *)(memory + order_at);
    for (uint32_t list = 0; list < nlist; list++) {
        start[list] = at;
        at += ivf_spill_length(spill, list);
    }
    for (uint32_t row = 0; row < n; row++)
        order[start[*(const uint32_t *)(const void *)segs_at(list_of, row)]++] = row;
    int code = file_sections_more(out, order, n * sizeof *order, err);
    mem_free(NULL, memory, bytes);
    return code;
}

/* What has been gathered of a list, packed and written. */
static int put_chunk(const struct ivf_spill *spill, uint32_t n, struct file_sections *out,
                     kith_error *err) {
    const struct ivf_code *code = &spill->model->code;
    uint8_t *packed = spill->chunk + bits_round_up(IVF_CHUNK * code->row_bytes, 64);
    memset(packed, 0, ivf_code_bytes(code, n));
    ivf_code_pack(code, spill->chunk, n, packed);
    return file_sections_more(out, packed, ivf_code_bytes(code, n), err);
}

int ivf_spill_save_list(const struct ivf_spill *spill, uint32_t list, struct file_sections *out,
                        kith_error *err) {
    size_t row_bytes = spill->model->code.row_bytes;
    uint32_t held = 0;
    for (uint32_t run = 0; run < spill->n_runs; run++) {
        const uint32_t *start = starts_of(spill, run);
        for (uint32_t i = start[list], some; i < start[list + 1]; i += some) {
            some = start[list + 1] - i < IVF_CHUNK - held ? start[list + 1] - i : IVF_CHUNK - held;
            TRY(file_spill_get(&spill->codes, (spill->at[run] + i) * row_bytes,
                               spill->chunk + held * row_bytes, some * row_bytes, err));
            held += some;
            if (held < IVF_CHUNK) continue;
            TRY(put_chunk(spill, held, out, err));
            held = 0;
        }
    }
    return held ? put_chunk(spill, held, out, err) : KITH_OK;
}
