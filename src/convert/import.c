/* The door of imports, and what all of them share: reports, rows, links. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "base/thread.h"
#include "convert/convert.h"
#include "foreign/foreign.h"
#include "index/file.h"
#include "index/graph.h"

#define PIECE 256u /* rows decoded at a time */

/* ---- reports -------------------------------------------------------------------------------------- */

void tell(kith_conversion *what, const char *format, ...) {
    size_t n = strlen(what->text), room = sizeof what->text - n;
    va_list args;
    va_start(args, format);
    int put = vsnprintf(what->text + n, room, format, args);
    va_end(args);
    if (put < 0 || (size_t)put + 1 >= room)
        what->text[n] = '\0'; /* a whole line or none */
    else
        memcpy(what->text + n + put, "\n", 2);
}

/* ---- rows ----------------------------------------------------------------------------------------- */

int import_new(struct kith_index **out, uint64_t dim, uint64_t n, kith_metric metric,
               const char *spec, struct importing *importing, kith_error *err) {
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    if (dim == 0 || dim > KITH_MAX_DIM)
        return FAIL(err, KITH_EDIM, "dimension %" PRIu64 ", must be 1 to %u", dim, KITH_MAX_DIM);
    if (n > KITH_MAX_ROWS)
        return FAIL(err, KITH_EFULL, "%" PRIu64 " rows, at most %u fit", n, KITH_MAX_ROWS);
    int code = index_new(out, (uint32_t)dim, metric, spec, &options, err);
    if (code == KITH_ESPEC)
        return FAIL(err, KITH_EUNSUPPORTED, "there is no index %s of dimension %" PRIu64, spec,
                    dim);
    if (code == KITH_OK)
        snprintf(importing->what->spec, sizeof importing->what->spec, "%s", (*out)->spec);
    return code;
}

int source_is_integral(const struct storage *storage, bool *integral, struct mem_account *owner,
                       kith_error *err) {
    size_t bytes = storage->dim * sizeof(float);
    *integral = storage->kind == STORAGE_U8;
    if (storage->kind != STORAGE_F32 || storage->n == 0) return KITH_OK;
    float *x = mem_new(owner, bytes);
    if (!x) return FAIL(err, KITH_ENOMEM, "no memory for a row of %u dimensions", storage->dim);
    *integral = true;
    for (uint64_t i = 0; i < storage->n && *integral; i++) {
        storage_read(storage, storage->codes, i, x);
        *integral = code_is_integral(storage->dim, x);
    }
    mem_free(owner, x, bytes);
    return KITH_OK;
}

/* One piece after the other; coded has as many places as x, or is NULL. */
static int put_rows(struct kith_index *index, const struct row_source *source, float *x,
                    float *coded, uint32_t threads, kith_error *err) {
    const struct storage *rows = source->rows,
                         *first = source->originals ? source->originals : rows;
    for (uint64_t i = 0, n; i < rows->n; i += n) {
        n = rows->n - i < PIECE ? rows->n - i : PIECE;
        for (uint64_t j = 0; j < n; j++) {
            storage_read(first, first->codes, i + j, x + j * rows->dim);
            if (coded) storage_read(rows, rows->codes, i + j, coded + j * rows->dim);
        }
        const struct row_values values = {.n = n, .x = x, .coded = coded, .threads = threads};
        TRY(rows_import_put(&index->rows, (uint32_t)i, &values, err));
    }
    return KITH_OK;
}

int import_rows(struct kith_index *index, const struct row_source *source,
                struct importing *importing, kith_error *err) {
    const struct storage *rows = source->rows;
    struct mem_account *owner = &importing->owner;
    uint32_t n = (uint32_t)rows->n;
    bool both = source->originals && rows->codes, integral = false;
    size_t piece = (size_t)PIECE * rows->dim;
    size_t bytes = (both ? 2 : 1) * piece * sizeof(float);
    bool bare = store_is_bare(rows_store(&index->rows)); /* lists hold the codes */
    if (!bare && !source->originals) TRY(source_is_integral(rows, &integral, owner, err));
    TRY(rows_import_open(&index->rows, n, integral, &rows->model, err));
    if (!bare) {
        float *x = mem_new(owner, bytes);
        if (!x) return FAIL(err, KITH_ENOMEM, "no memory for %u rows", PIECE);
        int code =
            put_rows(index, source, x, both ? x + piece : NULL, importing->options.threads, err);
        mem_free(owner, x, bytes);
        TRY(code);
    }
    return rows_import_close(&index->rows, n, source->ids, err);
}

/* ---- links ---------------------------------------------------------------------------------------- */

uint32_t graph_links_for(uint64_t most) {
    uint64_t m = (most + 1) / 2;
    return m < 2 ? 2 : m > GRAPH_MAX_M ? GRAPH_MAX_M : (uint32_t)m;
}

int import_links(struct kith_index *index, const struct link_source *source, uint64_t most,
                 struct importing *importing, kith_error *err) {
    kith_conversion *what = importing->what;
    kith_work work = KITH_WORK_INIT;
    uint64_t connected;
    work.threads = importing->options.threads;
    if (most > 2 * GRAPH_MAX_M) {
        what->links = KITH_FATE_REBUILT;
        tell(what, "links: %" PRIu64 " a row are more than the %u that fit; made anew", most,
             2 * GRAPH_MAX_M);
        return graph_import_anew(index, err);
    }
    what->links = KITH_FATE_KEPT;
    TRY(graph_import(index, source, &work, &connected, err));
    tell(what, "links: those of the base level are kept, the levels above are made anew");
    if (connected > 0)
        tell(what, "links: %" PRIu64 " rows that no link led to are linked", connected);
    return KITH_OK;
}

/* ---- the door ------------------------------------------------------------------------------------- */

static int import(struct kith_index **out, const struct file_map *map, struct importing *importing,
                  kith_error *err) {
    enum foreign_engine engine = foreign_recognise(map->bytes, map->size);
    importing->what->engine = engine == FOREIGN_NONE ? NULL : foreign_engine_name(engine);
    switch (engine) {
    case FOREIGN_FAISS: return import_faiss(out, map->bytes, map->size, importing, err);
    case FOREIGN_HNSWLIB: return import_hnswlib(out, map->bytes, map->size, importing, err);
    case FOREIGN_USEARCH: return import_usearch(out, map->bytes, map->size, importing, err);
    default:
        return FAIL_AT(err, KITH_EFORMAT, 0, "%s",
                       index_file_is_ours(map->bytes, map->size)
                           ? "an index file of Kith: kith_index_open reads it"
                           : "no index file of FAISS, hnswlib or usearch");
    }
}

static int read_options(const kith_import_options *given, kith_import_options *options,
                        kith_error *err) {
    *options = (kith_import_options)KITH_IMPORT_OPTIONS_INIT;
    if (given && (given->size < sizeof given->size || given->size > sizeof *options))
        return FAIL(err, KITH_EINVAL, "kith_import_options.size is %u, must be %zu", given->size,
                    sizeof *options);
    if (given) memcpy(options, given, given->size);
    if (options->metric < -1 || options->metric > KITH_METRIC_L1)
        return FAIL(err, KITH_EINVAL, "metric %d is not known", options->metric);
    if (options->threads == 0) options->threads = 1;
    if (options->threads > THREAD_MAX) options->threads = THREAD_MAX;
    return KITH_OK;
}

/* The report's head is filled in whatever the caller's size is; the rest is the caller's. */
static int read_report(const kith_conversion *given, kith_error *err) {
    if (given && given->size != sizeof *given)
        return FAIL(err, KITH_EINVAL,
                    "kith_conversion.size is %u, must be %zu: use its _INIT macro", given->size,
                    sizeof *given);
    return KITH_OK;
}

int kith_index_import(kith_index **out, const char *path, const kith_import_options *given,
                      kith_conversion *what, kith_error *err) {
    kith_conversion done = KITH_CONVERSION_INIT;
    struct importing importing = {.what = &done};
    struct kith_index *index = NULL;
    struct file_map map;
    if (!out || !path) return FAIL(err, KITH_EINVAL, "%s is NULL", out ? "path" : "out");
    TRY(read_report(what, err));
    TRY(read_options(given, &importing.options, err));
    TRY(file_map_open(&map, path, err));
    int code = import(&index, &map, &importing, err);
    if (code == KITH_OK) code = index_check(index, err);
    file_map_close(&map);
    if (code != KITH_OK) {
        index_free(index);
        return code;
    }
    if (what) *what = done;
    *out = index;
    return KITH_OK;
}

int kith_index_engine(const char *path, const char **engine, kith_error *err) {
    struct file_map map;
    if (!path || !engine) return FAIL(err, KITH_EINVAL, "%s is NULL", path ? "engine" : "path");
    *engine = NULL;
    TRY(file_map_open(&map, path, err));
    enum foreign_engine found = foreign_recognise(map.bytes, map.size);
    if (found != FOREIGN_NONE)
        *engine = foreign_engine_name(found);
    else if (index_file_is_ours(map.bytes, map.size))
        *engine = "Kith";
    file_map_close(&map);
    return KITH_OK;
}
