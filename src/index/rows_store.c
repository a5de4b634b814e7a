/* Stores: choosing codes, training them, writing rows, and changing codes under readers' feet.
 *
 * A store changes when the first rows come, when data that were integers so far get a row that is not, and when rows
 * fall outside sq8's ranges: below RETRAIN_ROWS rows at once, later once the rows have doubled since the last training,
 * or once an eighth as many as were there then have been clipped: data that drift must not cost recall, and at eight
 * codings a row the drift pays for it. A clipped row's residual norm says by how much it is off.
 *
 * A quantizer learns once, from the rows there are when they are QUANTIZE_ROWS; until then rows are kept as they would be
 * without it, in floats where the originals are to be a code that learns too. It learns anew only where the originals change
 * their kind or their ranges.
 *
 * A change decodes every row and encodes it anew; originals that stay as they are are handed over, not copied. Where
 * none are kept, or a code in their place, an sq8 row is coded twice; each change costs it at most half a step of the new
 * ranges. */
#include "index/rows_store.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "base/thread.h"
#include "index/scan_bound.h"

#define RETRAIN_ROWS   1024u
#define QUANTIZE_ROWS  4096u
#define CLIPPED_SHARE  8u
#define TRAIN_BYTES    ((size_t)64 << 20) /* of a sample that has to be decoded */
#define TRAIN_ROWS_MIN 1024u
#define WRITE_GRAIN    64u

/* What a store for such data holds. */
struct choice {
    enum code_kind walk, orig;
    bool has_orig, shared;
};

static bool is_same_quantizer(const struct quantizer_spec *a, const struct quantizer_spec *b) {
    return a->kind == b->kind && a->bits == b->bits && a->m == b->m && a->uniform == b->uniform;
}

/* A code of learnt ranges or more, which cannot be written before it has seen rows. */
static bool learns(enum code_kind kind) { return kind == CODE_SQ8 || kind == CODE_QUANTIZED; }

static struct choice choose_codes(const struct rows_config *config, struct store_form form) {
    struct choice choice = {.walk = config->walk, .orig = config->orig};
    choice.has_orig = config->keep_orig;
    if (config->walk == CODE_NONE) {
        choice.has_orig = false;
    } else if (config->walk == CODE_QUANTIZED && form.quantized) {
        if (form.integral) choice.orig = CODE_U8;
    } else if (form.integral) {
        choice.walk = choice.orig = CODE_U8;
        choice.has_orig = true;
    } else if (config->walk == CODE_QUANTIZED) { /* waiting for rows to learn from */
        choice.walk = config->keep_orig && !learns(config->orig) ? config->orig : CODE_F32;
        choice.orig = choice.walk;
        choice.has_orig = true;
    }
    choice.shared = choice.has_orig && choice.walk == choice.orig &&
                    (choice.walk != CODE_QUANTIZED ||
                     is_same_quantizer(&config->quantizer, &config->orig_quantizer));
    return choice;
}

static int init_code(struct code *code, const struct rows_config *config, enum code_kind kind,
                     const struct quantizer_spec *quantizer, struct mem_account *owner,
                     kith_error *err) {
    if (kind == CODE_QUANTIZED)
        return code_init_quantized(code, quantizer, config->metric, config->dim, owner, err);
    if (kind != CODE_NONE) return code_init(code, kind, config->metric, config->dim, owner, err);
    *code = (struct code){.kind = kind, .metric = config->metric, .dim = config->dim, .stride = 1};
    return KITH_OK;
}

static int try_quantizer(const struct rows_config *config, const struct quantizer_spec *quantizer,
                         struct mem_account *owner, kith_error *err) {
    struct code tried;
    TRY(code_init_quantized(&tried, quantizer, config->metric, config->dim, owner, err));
    code_deinit(&tried, owner);
    return KITH_OK;
}

int store_try(const struct rows_config *config, struct mem_account *owner, kith_error *err) {
    if (config->walk == CODE_QUANTIZED) TRY(try_quantizer(config, &config->quantizer, owner, err));
    return config->keep_orig && config->orig == CODE_QUANTIZED
               ? try_quantizer(config, &config->orig_quantizer, owner, err)
               : KITH_OK;
}

int store_new(struct store **out, const struct rows_config *config, struct store_form form,
              struct mem_account *owner, kith_error *err) {
    struct store *store = mem_new(owner, sizeof *store);
    if (!store) return FAIL(err, KITH_ENOMEM, "no memory for a store of rows");
    struct choice choice = choose_codes(config, form);
    store->shared = choice.shared;
    store->has_orig = choice.has_orig;
    store->has_err =
        config->keep_err && choice.walk == CODE_SQ8 && store->has_orig && !store->shared;
    int code = init_code(&store->walk, config, choice.walk, &config->quantizer, owner, err);
    if (code == KITH_OK && store->has_orig && !store->shared) {
        code = init_code(&store->orig, config, choice.orig, &config->orig_quantizer, owner, err);
        if (code != KITH_OK) code_deinit(&store->walk, owner);
    }
    if (code != KITH_OK) {
        mem_free(owner, store, sizeof *store);
        return code;
    }
    segs_init(&store->walk_rows, store->walk.stride);
    segs_init(&store->orig_rows, store->has_orig && !store->shared ? store->orig.stride : 1);
    segs_init(&store->err_of, sizeof(float));
    *out = store;
    return KITH_OK;
}

void store_free(struct store *store, struct mem_account *owner) {
    if (!store) return;
    segs_deinit(&store->walk_rows, owner);
    segs_deinit(&store->orig_rows, owner);
    segs_deinit(&store->err_of, owner);
    code_deinit(&store->walk, owner);
    if (store->has_orig && !store->shared) code_deinit(&store->orig, owner);
    mem_free(owner, store, sizeof *store);
}

bool store_reserve(struct store *store, uint32_t n, struct mem_account *owner) {
    if (store_is_bare(store)) return true;
    if (!segs_reserve(&store->walk_rows, n, owner)) return false;
    if (store->has_orig && !store->shared && !segs_reserve(&store->orig_rows, n, owner))
        return false;
    return !store->has_err || segs_reserve(&store->err_of, n, owner);
}

/* ---- which store ------------------------------------------------------------------------------- */

struct store_form store_form_of(const struct store *store) {
    const struct code *exact = store_exact_code(store);
    return (struct store_form){.integral = exact->kind == CODE_U8,
                               .quantized = store->walk.kind == CODE_QUANTIZED};
}

struct store_form store_form_next(const struct rows *rows, const struct store_batch *batch) {
    const struct store *store = rows_store(rows);
    uint32_t n = atomic_load_explicit(&rows->n, memory_order_relaxed);
    struct store_form now = store_form_of(store), next = {.integral = batch->integral};
    if (n > 0 && !now.integral) next.integral = false;
    next.quantized =
        now.quantized || (rows->config.walk == CODE_QUANTIZED && n + batch->n >= QUANTIZE_ROWS);
    if (next.quantized && (!rows->config.keep_orig || rows->config.orig == CODE_QUANTIZED))
        next.integral = false;
    return next;
}

struct covering {
    const struct code *code;
    const float *x;
    _Atomic size_t missed;
};

static void find_missed(void *context, uint32_t worker, size_t begin, size_t end) {
    struct covering *covering = context;
    size_t missed = 0;
    (void)worker;
    for (size_t i = begin; i < end; i++)
        missed += !code_covers(covering->code, covering->x + i * covering->code->dim);
    atomic_fetch_add_explicit(&covering->missed, missed, memory_order_relaxed);
}

const struct code *store_ranged_code(const struct store *store) {
    const struct code *exact = store_exact_code(store);
    return store->walk.kind == CODE_SQ8 ? &store->walk : exact->kind == CODE_SQ8 ? exact : NULL;
}

bool store_suits(const struct rows *rows, struct store_batch *batch) {
    const struct store *store = rows_store(rows);
    batch->n_clipped = 0;
    uint32_t n = atomic_load_explicit(&rows->n, memory_order_relaxed);
    if (store_is_bare(store)) return true;
    if (n == 0) return false;
    if (rows->config.walk == CODE_QUANTIZED) {
        struct store_form form = store_form_next(rows, batch), now = store_form_of(store);
        if (form.quantized != now.quantized || form.integral != now.integral) return false;
    }
    if (store->walk.kind == CODE_U8) return batch->integral;
    struct covering covering = {.code = store_ranged_code(store), .x = batch->x};
    if (!covering.code) return true;
    thread_for(batch->threads, batch->n, WRITE_GRAIN, find_missed, &covering);
    size_t grown = n + batch->n;
    size_t clipped = atomic_load_explicit(&rows->n_clipped, memory_order_relaxed) + covering.missed;
    batch->n_clipped = (uint32_t)covering.missed;
    return covering.missed == 0 || (grown > RETRAIN_ROWS && grown < 2 * (size_t)rows->trained_n &&
                                    clipped <= rows->trained_n / CLIPPED_SHARE);
}

/* ---- training ---------------------------------------------------------------------------------- */

/* Train on the rows there are and on the batch: an evenly spaced sample of both, decoded. */
static int train_anew(struct code *code, const struct rows *rows, const struct store *old,
                      const struct store_batch *batch, kith_error *err) {
    uint32_t n_old = atomic_load_explicit(&rows->n, memory_order_relaxed);
    size_t dim = code->dim, total = n_old + batch->n;
    size_t cap = TRAIN_BYTES / (dim * sizeof(float));
    cap = cap < TRAIN_ROWS_MIN ? TRAIN_ROWS_MIN : cap;
    size_t n = total < cap ? total : cap;
    float *sample = mem_new(rows->owner, n * dim * sizeof(float));
    if (!sample) return FAIL(err, KITH_ENOMEM, "no memory to train on %zu rows", n);
    for (size_t i = 0; i < n; i++) {
        size_t from = i * total / n;
        float *to = sample + i * dim;
        if (from < n_old)
            code_decode(store_exact_code(old), store_exact_row(old, (uint32_t)from), to);
        else
            memcpy(to, batch->x + (from - n_old) * dim, dim * sizeof(float));
    }
    int result = KITH_OK;
    if (code->kind == CODE_QUANTIZED)
        result = code_train_quantized(code, n, sample, batch->threads, rows->owner, err);
    else
        code_train(code, n, sample);
    mem_free(rows->owner, sample, n * dim * sizeof(float));
    return result;
}

/* The first rows give ranges as they are, with nothing decoded in between. */
static int learn(struct code *code, const struct rows *rows, const struct store *old,
                 const struct store_batch *batch, kith_error *err) {
    if (!learns(code->kind)) return KITH_OK;
    if (code->kind == CODE_QUANTIZED || atomic_load_explicit(&rows->n, memory_order_relaxed) > 0)
        return train_anew(code, rows, old, batch, err);
    code_train(code, batch->n, batch->x);
    return KITH_OK;
}

/* ---- writing ----------------------------------------------------------------------------------- */

struct writing {
    struct store *store;
    const float *x;
    const uint32_t *row;
};

/* All are 0 or more, so that their bits are ordered as they are. */
void store_note_length(struct store *store, float l2sq) {
    uint32_t bits, seen = atomic_load_explicit(&store->l2sq_bits, memory_order_relaxed);
    memcpy(&bits, &l2sq, sizeof bits);
    while (bits > seen &&
           !atomic_compare_exchange_weak_explicit(&store->l2sq_bits, &seen, bits,
                                                  memory_order_relaxed, memory_order_relaxed)) {}
}

float store_encode(const struct store *store, const float *x, uint8_t *walk, uint8_t *orig) {
    float err = walk ? code_encode(&store->walk, x, walk) : 0;
    float orig_err = orig ? code_encode(&store->orig, x, orig) : 0;
    if (orig_err > 0) /* distances are to the original as it is kept */
        err = nextafterf(err + orig_err, INFINITY);
    if (store->has_err && scan_bound_is_short(store->walk.metric, store->walk.dim, x))
        err = INFINITY;
    return err;
}

static void write_row(struct store *store, const float *x, uint32_t row, bool orig) {
    const struct kern *kern = kern_get();
    if (store_is_bare(store)) return;
    bool apart = orig && store->has_orig && !store->shared;
    float err = store_encode(store, x, segs_at(&store->walk_rows, row),
                             apart ? segs_at(&store->orig_rows, row) : NULL);
    store_note_length(store, kern->pair[KITH_TYPE_F32][KERN_DOT](x, x, store->walk.dim));
    if (store->has_err) *(float *)(void *)segs_at(&store->err_of, row) = err;
}

static void write_rows(void *context, uint32_t worker, size_t begin, size_t end) {
    const struct writing *writing = context;
    (void)worker;
    for (size_t i = begin; i < end; i++)
        write_row(writing->store, writing->x + i * writing->store->walk.dim, writing->row[i], true);
}

void store_write(struct store *store, const struct store_batch *batch, const uint32_t *row) {
    struct writing writing = {store, batch->x, row};
    thread_for(batch->threads, batch->n, WRITE_GRAIN, write_rows, &writing);
}

/* ---- changing ---------------------------------------------------------------------------------- */

struct moving {
    const struct store *from;
    struct store *to;
    float *decoded; /* dim floats a worker */
    bool handed;    /* originals were handed over */
};

static void move_rows(void *context, uint32_t worker, size_t begin, size_t end) {
    const struct moving *moving = context;
    float *x = moving->decoded + (size_t)worker * moving->to->walk.dim;
    for (size_t i = begin; i < end; i++) {
        code_decode(store_exact_code(moving->from), store_exact_row(moving->from, (uint32_t)i), x);
        write_row(moving->to, x, (uint32_t)i, !moving->handed);
    }
}

/* Originals that stay as they are. */
static bool hands_over(const struct store *store, const struct store *old) {
    return store->has_orig && !store->shared && old->has_orig && !old->shared &&
           store->orig.kind == old->orig.kind && !learns(store->orig.kind);
}

/* Write every row of old into store. */
static int move_all(struct rows *rows, struct store *old, struct store *store, uint32_t threads,
                    kith_error *err) {
    uint32_t n_old = atomic_load_explicit(&rows->n, memory_order_relaxed);
    if (n_old == 0) return KITH_OK;
    bool apart = hands_over(store, old);
    threads = threads == 0 ? 1 : threads > THREAD_MAX ? THREAD_MAX : threads;
    size_t bytes = (size_t)threads * store->walk.dim * sizeof(float);
    struct moving moving = {.from = old, .to = store, .handed = apart};
    moving.decoded = mem_new(rows->owner, bytes);
    if (!moving.decoded) return FAIL(err, KITH_ENOMEM, "no memory to code %u rows anew", n_old);
    thread_for(threads, n_old, WRITE_GRAIN, move_rows, &moving);
    mem_free(rows->owner, moving.decoded, bytes);
    return KITH_OK;
}

static int store_build(struct rows *rows, struct store *old, struct store *store,
                       const struct store_batch *batch, uint32_t n, kith_error *err) {
    bool apart = store->has_orig && !store->shared;
    TRY(learn(&store->walk, rows, old, batch, err));
    if (apart) TRY(learn(&store->orig, rows, old, batch, err));
    if (hands_over(store, old)) {
        pthread_mutex_lock(&rows->ids_lock); /* figures are read under it */
        bool made = segs_reserve(&old->orig_rows, n, rows->owner);
        pthread_mutex_unlock(&rows->ids_lock);
        if (!made) return FAIL(err, KITH_ENOMEM, "no memory for %u rows", n);
        store->orig_rows =
            old->orig_rows; /* handed over once published; until then store_free must not see it */
    }
    if (!store_reserve(store, n, rows->owner))
        return FAIL(err, KITH_ENOMEM, "no memory for %u rows of %u bytes", n, store->walk.stride);
    return move_all(rows, old, store, batch->threads, err);
}

int store_change(struct rows *rows, const struct store_batch *batch, uint32_t n, kith_error *err) {
    struct store *old = atomic_load_explicit(&rows->store, memory_order_relaxed), *store = NULL;
    TRY(store_new(&store, &rows->config, store_form_next(rows, batch), rows->owner, err));
    bool hands = hands_over(store, old);
    int code = store_build(rows, old, store, batch, n, err);
    if (code != KITH_OK) {
        if (hands) segs_init(&store->orig_rows, store->orig.stride);
        store_free(store, rows->owner);
        return code;
    }
    rows->trained_n = store->walk.kind >= CODE_SQ8 ? n : rows->trained_n;
    atomic_store_explicit(&rows->n_clipped, 0, memory_order_relaxed);
    atomic_store_explicit(&rows->store, store, memory_order_release);
    epoch_wait(&rows->epoch);
    if (hands) segs_init(&old->orig_rows, old->orig.stride);
    store_free(old, rows->owner);
    return KITH_OK;
}

int rows_forget(struct rows *rows, kith_error *err) {
    struct rows_config bare = rows->config;
    struct store *old = atomic_load_explicit(&rows->store, memory_order_relaxed), *store;
    bare.walk = CODE_NONE;
    bare.keep_orig = bare.keep_err = false;
    TRY(store_new(&store, &bare, (struct store_form){0}, rows->owner, err));
    rows->config = bare;
    atomic_store_explicit(&rows->store, store, memory_order_release);
    epoch_wait(&rows->epoch);
    store_free(old, rows->owner);
    return KITH_OK;
}
