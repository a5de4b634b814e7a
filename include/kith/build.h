/* Building an index file within a memory limit: the rows are never all in memory, and neither are the originals that the
 * file keeps, nor inverted lists. Codes and links of a graph are.
 *
 *     kith_rows rows = {.n = n, .dim = 128, .read = read_rows, .context = file};
 *     kith_index_options options = KITH_INDEX_OPTIONS_INIT;
 *     options.memory_limit = 500 << 20;
 *     kith_build how = KITH_BUILD_INIT;
 *     how.spec = "IVF4096,SQ8,Refine";
 *     how.options = &options;
 *     kith_index_build("big.kith", &rows, &how, &err);
 *
 * The file is the one that kith_index_add of all rows in one call, and kith_index_save, would have written, but that inverted
 * lists learn from an even sample of the rows (as after kith_index_train on it), which a limit makes smaller. */
#ifndef KITH_BUILD_H
#define KITH_BUILD_H

#include <kith/index.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Rows that are asked for block by block, some three times from the first to the last.
 *   read     write rows [first, first + n) to out[n][dim]; KITH_OK, or a code, with err filled, that ends the build.
 *            Called by one thread, the caller's.
 *   ids      n of them, 0 or more and none twice, or NULL: row numbers. Borrowed until the call returns. */
typedef struct kith_rows {
    uint64_t n;
    size_t dim;
    int (*read)(void *context, uint64_t first, size_t n, float *out, kith_error *err);
    void *context;
    const int64_t *ids;
} kith_rows;

typedef struct kith_build {
    uint32_t size;
    kith_metric metric;
    const char *spec; /* NULL: "Auto" */
    /* NULL: defaults; memory_limit 0: no limit, blocks of 32 MiB */
    const kith_index_options *options;
    const kith_work *work; /* NULL: one thread */
} kith_build;
#define KITH_BUILD_INIT \
    { (uint32_t)sizeof(kith_build), KITH_METRIC_L2, NULL, NULL, NULL }

/* Build an index file.
 *   Owns     nothing; a spill without a name lies in the folder of path until the call returns (codes of lists only).
 *   Threads  as work says.
 *   Cost     reads the rows two to five times; time otherwise as kith_index_add and kith_index_save. Memory within the limit:
 *            all that the library takes, but not what `read`, the caller's ids and the code itself do, some 8 MiB.
 *   Errors   KITH_ENOMEM, with what it would need and what fits instead, before anything is read; what read answers; those
 *            of kith_index_new, kith_index_add (err->at: row) and kith_index_save; KITH_EEMPTY. The file at path is as it was. */
KITH_API int kith_index_build(const char *path, const kith_rows *rows, const kith_build *how,
                              kith_error *err);

/* What an index of n rows would take, estimated to within 15 % for values that are not all whole numbers in 0..255 (those
 * take less). All in bytes. */
typedef struct kith_plan {
    uint32_t size;
    uint64_t add_bytes; /* kith_index_add of all rows in one call, these included: the peak */
    /* kith_index_build: the peak under options->memory_limit, or without one */
    uint64_t build_bytes;
    uint64_t least_bytes; /* the least memory_limit under which kith_index_build is possible */
    uint64_t file_bytes;  /* the file */
    uint64_t read_bytes;  /* open, KITH_OPEN_READ */
    uint64_t codes_bytes; /* open, KITH_OPEN_CODES, without what is mapped */
} kith_plan;
#define KITH_PLAN_INIT \
    { (uint32_t)sizeof(kith_plan), 0u, 0u, 0u, 0u, 0u, 0u }

/* Estimate; how->work counts by its threads.
 *   Errors   those of kith_index_new; KITH_EEMPTY n is 0; KITH_EUNSUPPORTED a description that is not estimated (transforms). */
KITH_API int kith_index_plan(kith_plan *out, uint64_t n, size_t dim, const kith_build *how,
                             kith_error *err);

#ifdef __cplusplus
}
#endif
#endif
