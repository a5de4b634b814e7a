/* The rows' sections of an index file (docs/format.md):
 *
 *     ROWS  what there is          LIVE FREE  bits a row          IDOF IDSO  ids, and live rows by rising id
 *     WALK  walk rows    ORIG  originals    RERR  residual norms  RANG  sq8's low, step, 1/step
 *
 * A read copies everything and checks what could lead astray; a map borrows everything, and what could lead astray is
 * looked at when it is used (a row number in IDSO) or cannot (lengths are checked here). */
#include <inttypes.h>
#include <string.h>

#include "base/status.h"
#include "index/file.h"
#include "index/rows.h"
#include "index/rows_store.h"
#include "index/rows_stream.h"

#define TAG_ROWS   FILE_TAG('R', 'O', 'W', 'S')
#define TAG_LIVE   FILE_TAG('L', 'I', 'V', 'E')
#define TAG_FREE   FILE_TAG('F', 'R', 'E', 'E')
#define TAG_IDS    FILE_TAG('I', 'D', 'O', 'F')
#define TAG_SORTED FILE_TAG('I', 'D', 'S', 'O')
#define TAG_WALK   FILE_TAG('W', 'A', 'L', 'K')
#define TAG_ORIG   FILE_TAG('O', 'R', 'I', 'G')
#define TAG_ERRS   FILE_TAG('R', 'E', 'R', 'R')
#define TAG_RANGES FILE_TAG('R', 'A', 'N', 'G')
#define TAG_SECOND FILE_TAG('Q', 'N', 'T', 'O') /* of the code that stands for originals */

/* How rows are kept, where not as the description names: as bytes, not at all; and that a quantizer has learnt. */
enum { FORM_INTEGRAL = 1, FORM_BARE = 2, FORM_QUANTIZED = 4 };

struct meta {
    uint32_t n, n_live, n_free, form, explicit_ids, trained_n, l2sq_bits, n_clipped;
    int64_t next_id;
};

static uint32_t form_of(const struct store *store) {
    const struct store_form form = store_form_of(store);
    if (store_is_bare(store)) return FORM_BARE;
    return (form.integral ? FORM_INTEGRAL : 0u) | (form.quantized ? FORM_QUANTIZED : 0u);
}

static bool form_is_known(uint32_t form) {
    return form == FORM_BARE || (form & ~(uint32_t)(FORM_INTEGRAL | FORM_QUANTIZED)) == 0;
}

/* ---- saving ------------------------------------------------------------------------------------ */

/* Merge sort of rows by their ids; `spare` is as long. Usually they are in order already. */
static void sort_rows(const struct rows *rows, uint32_t *row, uint32_t *spare, uint32_t n) {
    bool sorted = true;
    for (uint32_t i = 1; i < n && sorted; i++)
        sorted = rows_id(rows, row[i - 1]) < rows_id(rows, row[i]);
    if (sorted) return;
    uint32_t *from = row, *to = spare;
    for (uint64_t width = 1; width < n; width *= 2) {
        for (uint64_t first = 0; first < n; first += 2 * width) {
            uint64_t middle = first + width < n ? first + width : n,
                     end = middle + width < n ? middle + width : n;
            for (uint64_t a = first, b = middle, at = first; at < end; at++) {
                bool left =
                    b == end || (a < middle && rows_id(rows, from[a]) <= rows_id(rows, from[b]));
                to[at] = left ? from[a++] : from[b++];
            }
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != row) memcpy(row, from, n * sizeof *row);
}

static int save_ids(const struct rows *rows, const struct meta *meta, struct file_sections *out,
                    kith_error *err) {
    TRY(file_sections_put_segs(out, TAG_IDS, &rows->id_of, meta->n, err));
    size_t bytes = 2 * (size_t)meta->n_live * sizeof(uint32_t);
    uint32_t *row = mem_new(NULL, bytes), n = 0;
    if (!row) return FAIL(err, KITH_ENOMEM, "no memory to sort %" PRIu32 " ids", meta->n_live);
    for (uint32_t i = 0; i < meta->n; i++)
        if (rows_is_live(rows, i)) row[n++] = i;
    sort_rows(rows, row, row + n, n);
    int code = file_sections_put(out, TAG_SORTED, row, n * sizeof *row, err);
    mem_free(NULL, row, bytes);
    return code;
}

static int save_quantizers(const struct store *store, struct file_sections *out, kith_error *err) {
    const struct code *exact = store_exact_code(store);
    if (store->walk.quantizer && !store->shared)
        TRY(quantizer_save(store->walk.quantizer, FILE_TAG_QUANTIZER, out, err));
    return store->has_orig && exact->quantizer
               ? quantizer_save(exact->quantizer, TAG_SECOND, out, err)
               : KITH_OK;
}

static int load_quantizers(struct store *store, const struct index_file *file, kith_error *err) {
    const struct code *exact = store_exact_code(store);
    if (store->walk.quantizer && !store->shared)
        TRY(quantizer_load(store->walk.quantizer, FILE_TAG_QUANTIZER, file, err));
    return store->has_orig && exact->quantizer
               ? quantizer_load(exact->quantizer, TAG_SECOND, file, err)
               : KITH_OK;
}

/* An array of the store, which memory holds, or a stream gives again. */
static int save_array(const struct rows *rows, uint32_t tag, const struct segs *segs,
                      struct file_sections *out, kith_error *err) {
    if (rows_stream_has(rows, segs)) return rows_stream_put(rows, tag, segs, out, err);
    uint32_t n = atomic_load_explicit(&rows->n, memory_order_relaxed);
    return file_sections_put_segs(out, tag, segs, n, err);
}

static int save_store(const struct rows *rows, struct file_sections *out, kith_error *err) {
    const struct store *store = rows_store(rows);
    if (store_is_bare(store)) return KITH_OK;
    TRY(save_array(rows, TAG_WALK, &store->walk_rows, out, err));
    if (store->has_orig && !store->shared)
        TRY(save_array(rows, TAG_ORIG, &store->orig_rows, out, err));
    if (store->has_err) TRY(save_array(rows, TAG_ERRS, &store->err_of, out, err));
    TRY(save_quantizers(store, out, err));
    const struct code *ranged = store_ranged_code(store);
    if (!ranged) return KITH_OK;
    size_t dim = ranged->dim, bytes = 3 * dim * sizeof(float);
    float *ranges = mem_new(NULL, bytes);
    if (!ranges) return FAIL(err, KITH_ENOMEM, "no memory for the ranges of %zu dimensions", dim);
    memcpy(ranges, ranged->low, dim * sizeof(float));
    memcpy(ranges + dim, ranged->step, dim * sizeof(float));
    memcpy(ranges + 2 * dim, ranged->inv_step, dim * sizeof(float));
    int code = file_sections_put(out, TAG_RANGES, ranges, bytes, err);
    mem_free(NULL, ranges, bytes);
    return code;
}

int rows_save(const struct rows *rows, struct file_sections *out, kith_error *err) {
    const struct store *store = rows_store(rows);
    struct meta meta = {.n = atomic_load_explicit(&rows->n, memory_order_acquire),
                        .n_live = atomic_load_explicit(&rows->n_live, memory_order_acquire),
                        .n_free = rows->n_free,
                        .form = form_of(store),
                        .explicit_ids =
                            atomic_load_explicit(&rows->explicit_ids, memory_order_acquire),
                        .trained_n = rows->trained_n,
                        .n_clipped = atomic_load_explicit(&rows->n_clipped, memory_order_relaxed),
                        .l2sq_bits = atomic_load_explicit(&store->l2sq_bits, memory_order_relaxed),
                        .next_id = rows->next_id};
    TRY(file_sections_put(out, TAG_ROWS, &meta, sizeof meta, err));
    TRY(file_sections_put_segs(out, TAG_LIVE, &rows->live, (uint32_t)bits_words(meta.n), err));
    TRY(file_sections_put_segs(out, TAG_FREE, &rows->freed, (uint32_t)bits_words(meta.n), err));
    if (meta.explicit_ids) TRY(save_ids(rows, &meta, out, err));
    return save_store(rows, out, err);
}

/* ---- loading ----------------------------------------------------------------------------------- */

static int read_meta(const struct index_file *file, struct meta *meta, kith_error *err) {
    const void *bytes;
    size_t n;
    TRY(index_file_section(file, TAG_ROWS, sizeof *meta, &bytes, &n, err));
    memcpy(meta, bytes, sizeof *meta);
    if (meta->n > KITH_MAX_ROWS || meta->n_live > meta->n ||
        meta->n_free > meta->n - meta->n_live || !form_is_known(meta->form) ||
        meta->explicit_ids > 1 || meta->next_id < 0)
        return FAIL(err, KITH_ECORRUPT,
                    "section ROWS tells of %" PRIu32 " rows, %" PRIu32 " live, %" PRIu32
                    " free, next id %" PRId64,
                    meta->n, meta->n_live, meta->n_free, meta->next_id);
    return KITH_OK;
}

static int load_store(struct rows *rows, const struct meta *meta, const struct index_file *file,
                      kith_error *err) {
    struct store *store;
    if (meta->form == FORM_BARE && !rows->config.may_forget)
        return FAIL(err, KITH_ECORRUPT, "section ROWS tells of rows without vectors");
    if (meta->form == FORM_BARE) {
        rows->config.walk = CODE_NONE;
        rows->config.keep_orig = rows->config.keep_err = false;
    }
    const struct store_form form = {.integral = meta->form & FORM_INTEGRAL,
                                    .quantized = meta->form & FORM_QUANTIZED};
    if (form.quantized && rows->config.walk != CODE_QUANTIZED)
        return FAIL(err, KITH_ECORRUPT,
                    "section ROWS tells of quantised rows, the description not");
    TRY(store_new(&store, &rows->config, form, rows->owner, err));
    store_free(atomic_load_explicit(&rows->store, memory_order_relaxed), rows->owner);
    atomic_store_explicit(&rows->store, store,
                          memory_order_relaxed); /* freed with the rows from here on */
    atomic_store_explicit(&store->l2sq_bits, meta->l2sq_bits, memory_order_relaxed);
    if (meta->form == FORM_BARE) return KITH_OK;
    TRY(index_file_segs(file, TAG_WALK, &store->walk_rows, meta->n, rows->owner, err));
    if (store->has_orig && !store->shared)
        TRY(index_file_segs(file, TAG_ORIG, &store->orig_rows, meta->n, rows->owner, err));
    if (store->has_err)
        TRY(index_file_segs(file, TAG_ERRS, &store->err_of, meta->n, rows->owner, err));
    TRY(load_quantizers(store, file, err));
    const struct code *ranged = store_ranged_code(store);
    if (!ranged) return KITH_OK;
    const void *bytes;
    size_t n, dim = ranged->dim, part = dim * sizeof(float);
    TRY(index_file_section(file, TAG_RANGES, 3 * part, &bytes, &n, err));
    memcpy(ranged->low, bytes, part);
    memcpy(ranged->step, (const uint8_t *)bytes + part, part);
    memcpy(ranged->inv_step, (const uint8_t *)bytes + 2 * part, part);
    return KITH_OK;
}

/* Words of bits below n only, and how many are set. */
static int count_bits(const struct segs *bits, uint32_t n, const char *what, uint32_t *count,
                      kith_error *err) {
    *count = 0;
    for (uint32_t first = 0; first < n; first += 64) {
        uint64_t word = *row_word(bits, first);
        if (n - first < 64 && word >> (n - first))
            return FAIL(err, KITH_ECORRUPT, "%s bits past row %" PRIu32, what, n);
        *count += (uint32_t)__builtin_popcountll(word);
    }
    return KITH_OK;
}

/* What a read makes beside the sections: held bits, and the map of the ids. */
static int load_life(struct rows *rows, const struct meta *meta, const struct index_file *file,
                     kith_error *err) {
    uint32_t words = (uint32_t)bits_words(meta->n), n_live, n_free;
    TRY(index_file_segs(file, TAG_FREE, &rows->freed, words, rows->owner, err));
    TRY(count_bits(&rows->live, meta->n, "live", &n_live, err));
    TRY(count_bits(&rows->freed, meta->n, "free", &n_free, err));
    if (n_live != meta->n_live || n_free != meta->n_free)
        return FAIL(err, KITH_ECORRUPT,
                    "%" PRIu32 " live and %" PRIu32 " free bits, must be %" PRIu32 " and %" PRIu32,
                    n_live, n_free, meta->n_live, meta->n_free);
    if (words && !segs_reserve(&rows->held, words, rows->owner))
        return FAIL(err, KITH_ENOMEM, "no memory for the marks of %" PRIu32 " rows", meta->n);
    for (uint32_t first = 0; first < meta->n; first += 64) {
        uint64_t live = *row_word(&rows->live, first);
        if (live & *row_word(&rows->freed, first))
            return FAIL(err, KITH_ECORRUPT, "a row past %" PRIu32 " is live and free", first);
        *row_word(&rows->held, first) = live;
    }
    if (!meta->explicit_ids) return KITH_OK;
    if (!id_map_reserve(&rows->ids, meta->n_live, &rows->id_of, rows->owner))
        return FAIL(err, KITH_ENOMEM, "no memory for %" PRIu32 " ids", meta->n_live);
    for (uint32_t row = 0; row < meta->n; row++) {
        if (!rows_is_live(rows, row)) continue;
        int64_t id = rows_id(rows, row);
        if (id < 0 || id_map_put(&rows->ids, &rows->id_of, row) != ROW_NONE)
            return FAIL_AT(err, KITH_ECORRUPT, row,
                           "row %" PRIu32 ": id %" PRId64 " is negative or comes twice", row, id);
    }
    return KITH_OK;
}

int rows_load(struct rows *rows, const struct index_file *file, kith_error *err) {
    struct meta meta;
    const void *bytes;
    size_t n;
    uint32_t words;
    TRY(read_meta(file, &meta, err));
    words = (uint32_t)bits_words(meta.n);
    TRY(load_store(rows, &meta, file, err));
    TRY(index_file_segs(file, TAG_LIVE, &rows->live, words, rows->owner, err));
    if (meta.explicit_ids)
        TRY(index_file_segs(file, TAG_IDS, &rows->id_of, meta.n, rows->owner, err));
    atomic_store_explicit(&rows->explicit_ids, meta.explicit_ids != 0, memory_order_relaxed);
    if (!file->mapped) {
        TRY(load_life(rows, &meta, file, err));
    } else {
        TRY(index_file_section(file, TAG_FREE, words * sizeof(uint64_t), &bytes, &n, err));
        segs_borrow(&rows->freed, bytes, words);
        if (meta.explicit_ids) {
            TRY(index_file_section(file, TAG_SORTED, meta.n_live * sizeof(uint32_t), &bytes, &n,
                                   err));
            rows->sorted = bytes;
        }
    }
    atomic_store_explicit(&rows->n, meta.n, memory_order_release);
    atomic_store_explicit(&rows->n_live, meta.n_live, memory_order_release);
    rows->n_free = meta.n_free;
    rows->n_dead = meta.n - meta.n_live - meta.n_free;
    rows->next_id = meta.next_id;
    rows->trained_n = meta.trained_n;
    atomic_store_explicit(&rows->n_clipped, meta.n_clipped, memory_order_relaxed);
    rows->read_only = file->mapped || file->originals;
    rows->fetches = file->originals;
    return KITH_OK;
}
