/* Building a file of rows that are not held: the plan, the stream, the index over it, the save. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/status.h"
#include "index/plan.h"
#include "index/rows_stream.h"

#define LISTS_MIN 64u

/* Descriptions that take less and less, for whoever asked for too much. %u: lists. */
static const char *const instead[] = {
    "HNSW16,SQ8",    "IVF%u,SQ8,Refine", "HNSW16,SQ4", "IVF%u,RaBitQ,Refine",
    "IVF%u,RaBitQ4", "SQfp16",           "Flat"};

/* Some four times the root of n, a power of two. */
static uint32_t lists_for(uint64_t n) {
    uint32_t lists = LISTS_MIN;
    while ((double)lists * 2 <= 4 * sqrt((double)n) && lists < 65536) lists *= 2;
    return lists;
}

static bool fits(const char *spec, const struct kith_index *wanted, uint64_t n, uint32_t threads,
                 uint64_t *least) {
    const struct rows_config *config = &wanted->rows.config;
    kith_index_options options = wanted->options;
    struct kith_index *index;
    struct index_plan plan;
    options.memory_limit = 0;
    if (index_new(&index, config->dim, config->metric, spec, &options, NULL) != KITH_OK)
        return false;
    index->mem.limit = wanted->mem.limit;
    bool made = index_plan(&plan, index, n, threads, NULL) == KITH_OK;
    index_free(index);
    *least = made ? plan.bytes.least_bytes : 0;
    return made && plan.bytes.least_bytes <= wanted->mem.limit;
}

static double mib(uint64_t bytes) { return (double)bytes / (1 << 20); }

/* What was asked for needs more than the limit: how much, and up to two descriptions that do not. */
static int fail_limit(const struct kith_index *index, uint64_t n, uint32_t threads,
                      const struct index_plan *plan, kith_error *err) {
    char text[160] = "", spec[32];
    size_t length = 0, found = 0;
    for (size_t i = 0; i < sizeof instead / sizeof *instead && found < 2; i++) {
        uint64_t least;
        snprintf(spec, sizeof spec, instead[i], lists_for(n));
        if (!fits(spec, index, n, threads, &least)) continue;
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s (%.0f MiB)",
                                   found++ ? " or " : ": ", spec, mib(least));
    }
    return FAIL(err, KITH_ENOMEM,
                "%s of %" PRIu64 " x %" PRIu32 " needs %.1f MiB, memory_limit is %.1f MiB; %s%s%s",
                index->spec, n, index->rows.config.dim, mib(plan->bytes.least_bytes),
                mib(index->mem.limit), found ? "within it" : "nothing known fits", text,
                found ? "" : " it");
}

static int build(struct kith_index *index, const char *path, struct rows_stream *stream,
                 kith_error *err) {
    struct index_plan plan;
    uint64_t n = stream->from->n;
    TRY(index_plan(&plan, index, n, stream->work->threads, err));
    if (index->mem.limit && plan.bytes.least_bytes > index->mem.limit)
        return fail_limit(index, n, stream->work->threads, &plan, err);
    stream->block = plan.block;
    stream->n_sample = plan.n_sample;
    stream->owner = &index->mem;
    int code = rows_stream_begin(&index->rows, stream, err);
    if (code == KITH_OK) code = index->ops->stream(index, stream, path, err);
    if (code == KITH_OK) code = index_save(index, path, err);
    rows_stream_deinit(stream);
    return code;
}

/* An empty index as described; *real is what an Auto chooses for n rows. */
static int open_empty(struct kith_index **index, struct kith_index **real, uint64_t n, size_t dim,
                      const kith_build *how, kith_error *err) {
    struct kith_index *fresh;
    TRY(index_new(index, (uint32_t)dim, how->metric, how->spec, how->options, err));
    int code = index_choose(*index, n, real, &fresh, err);
    if (fresh) index_chose(*index, fresh, true);
    if (code != KITH_OK) index_free(*index);
    return code;
}

int index_estimate(kith_plan *out, uint64_t n, size_t dim, const kith_build *how, uint32_t threads,
                   kith_error *err) {
    struct kith_index *index, *real;
    struct index_plan plan;
    TRY(open_empty(&index, &real, n, dim, how, err));
    int code = index_plan(&plan, real, n, threads, err);
    if (code == KITH_OK) *out = plan.bytes;
    index_free(index);
    return code;
}

int index_build(const char *path, const kith_rows *rows, const kith_build *how,
                const kith_work *work, kith_error *err) {
    struct kith_index *index, *real;
    struct rows_stream stream = {.from = rows, .work = work};
    TRY(open_empty(&index, &real, rows->n, rows->dim, how, err));
    int code = build(real, path, &stream, err);
    index_free(index);
    return code;
}
