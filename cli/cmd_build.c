/* kith build: make an index of a file of vectors. */
#include "cli.h"

#include <stdlib.h>

#include "clock.h"
#include "print.h"
#include "progress.h"

#define SPARE_BYTES ((uint64_t)3 << 20) /* stacks, streams, and what the allocator keeps */

enum {
    KEY_EF_CONSTRUCTION = KEY_OWN,
    KEY_ALPHA,
    KEY_BALANCE,
    KEY_SEED,
    KEY_IDS,
    KEY_MEMORY_LIMIT,
    KEY_CALIBRATE
};

static const struct argp_option options[] = {
    {"index", 'i', "SPEC", 0,
     "What to build: Flat, HNSW16, HNSW16,SQ8,Refine and more (default: Auto)", 1},
    OPTION_METRIC,
    {"output", 'o', "FILE", 0, "Write the index to FILE", 10},
    {"ids", KEY_IDS, "FILE", 0, "Take the ids of the rows from FILE", 11},
    {"ef-construction", KEY_EF_CONSTRUCTION, "N", 0,
     "Graph: pool size while inserting (default: 128)", 12},
    {"alpha", KEY_ALPHA, "X", 0, "Graph: slack of the pruning rule, 1 to 2 (default: 1.1)", 12},
    {"balance", KEY_BALANCE, "X", 0,
     "Lists: while learning at most 1 + X times the mean (default: as they fall)", 12},
    {"seed", KEY_SEED, "S", 0, "Seed of all that is drawn by chance (default: 42)", 12},
    {"calibrate", KEY_CALIBRATE, NULL, 0,
     "Measure what recall each effort gives, for `kith search --recall'", 13},
    {"memory-limit", KEY_MEMORY_LIMIT, "BYTES", 0,
     "Build within so much memory, such as 500M: BASE is read in blocks, originals and lists go to the disk",
     13},
    OPTION_THREADS,
    OPTION_FROM,
    OPTION_JSON,
    {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[1];
    const char *spec, *output, *ids;
    bool calibrate;
    kith_index_options index;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case 'i': a->spec = arg; return 0;
    case 'o': a->output = arg; return 0;
    case KEY_IDS: a->ids = arg; return 0;
    case KEY_EF_CONSTRUCTION:
        a->index.ef_construction =
            (uint32_t)argument_count(state, "--ef-construction", arg, 1, 65536);
        return 0;
    case KEY_ALPHA:
        a->index.alpha = (float)argument_number(state, "--alpha", arg, 1.0, 2.0);
        return 0;
    case KEY_BALANCE:
        a->index.balance = (float)argument_number(state, "--balance", arg, 0.0, 1000.0);
        return 0;
    case KEY_SEED: a->index.seed = argument_count(state, "--seed", arg, 0, UINT64_MAX); return 0;
    case KEY_CALIBRATE: a->calibrate = true; return 0;
    case KEY_MEMORY_LIMIT:
        a->index.memory_limit = argument_bytes(state, "--memory-limit", arg);
        return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 1);
    case ARGP_KEY_END:
        if (state->arg_num < 1) argp_error(state, "BASE is missing: the file of vectors to index");
        if (!a->output) argp_error(state, "-o FILE is missing: where to write the index");
        if (a->index.memory_limit && a->output && is_stream(a->output))
            argp_error(state, "--memory-limit needs a file to write, not -o -");
        if (a->index.memory_limit && a->calibrate)
            argp_error(state,
                       "--calibrate holds the vectors: run kith calibrate after --memory-limit");
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {.options = options,
                                 .help_filter = help_filter,
                                 .parser = parse,
                                 .args_doc = "BASE -o FILE",
                                 .doc = "Make an index of the vectors in BASE."};

/* What the work took: seconds, and the most memory that the process had. */
typedef struct cost {
    double wall_s, cpu_s;
    uint64_t peak_bytes;
} cost;

static void report(FILE *file, const arguments *a, const kith_index_stats *stats, cost built) {
    char wall[32];
    char cpu[32];
    char peak[32];
    if (a->shared.json) {
        struct json_object *o = json_index_stats(stats);
        json_add(o, "threads", json_object_new_uint64(a->shared.threads));
        json_add(o, "build_wall_s", json_number(built.wall_s, 6));
        json_add(o, "build_cpu_s", json_number(built.cpu_s, 6));
        json_add(o, "build_peak_bytes", json_object_new_uint64(built.peak_bytes));
        json_print(o, file, true);
        return;
    }
    fact_list f = facts_new();
    print_index_facts(f, stats);
    facts_add(f, "built in", "%s, %s of CPU, %u thread%s", print_seconds(wall, built.wall_s),
              print_seconds(cpu, built.cpu_s), a->shared.threads,
              a->shared.threads == 1 ? "" : "s");
    facts_add(f, "memory", "%s at most", print_bytes(peak, (double)built.peak_bytes));
    facts_print(f, file);
    fputc('\n', file);
    print_memory_table(stats, file);
}

static cost cost_begin(void) { return (cost){.wall_s = wall_s(), .cpu_s = process_cpu_s()}; }

static void cost_end(cost *c) {
    *c = (cost){wall_s() - c->wall_s, process_cpu_s() - c->cpu_s, residence_get().most};
}

/* The ids to give n rows: of --ids, of the file itself, or none. */
static int choose_ids(const arguments *a, size_t n, id_table *list, const int64_t **ids,
                      failure *f) {
    if (!a->ids) return KITH_OK;
    int code = failure_about(f, a->ids, id_list_read(list, a->ids, NULL, &f->err));
    if (code) return code;
    if (list->n != n) {
        f->subject = a->ids;
        return failure_set(f, KITH_EINVAL, "%zu ids for %zu rows", list->n, n);
    }
    *ids = list->ids;
    return KITH_OK;
}

/* The base knows what an index of codes alone does not. */
static int calibrate(const vectors *base, const int64_t *ids, uint32_t threads, kith_index *index,
                     kith_error *err) {
    kith_calibrate_options how = KITH_CALIBRATE_OPTIONS_INIT;
    kith_work work = KITH_WORK_INIT;
    progress bar;
    work.threads = threads;
    work.progress = progress_update;
    work.context = &bar;
    how.base = base->data;
    how.n_base = base->n;
    how.base_ids = ids;
    progress_start(&bar, "calibrate", "tables");
    int code = kith_index_calibrate(index, &how, &work, err);
    progress_finish(&bar);
    return code;
}

/* In memory: read, add, save. */
static int build_held(const arguments *a, const kith_work *work, kith_index **index, cost *built,
                      failure *f) {
    vectors base = {0};
    id_table list = {0};
    int code;
    TRY_DONE(
        failure_about(f, a->names[0], vectors_read(&base, a->names[0], &a->shared.read, &f->err)));
    const int64_t *ids = base.ids;
    TRY_DONE(choose_ids(a, base.n, &list, &ids, f));
    TRY_DONE(kith_index_new(index, base.dim, a->shared.metric, a->spec, &a->index, &f->err));
    *built = cost_begin();
    TRY_DONE(failure_about(f, a->names[0],
                           kith_index_add(*index, base.n, base.data, ids, work, &f->err)));
    cost_end(built);
    if (a->calibrate) TRY_DONE(calibrate(&base, ids, work->threads, *index, &f->err));
    TRY_DONE(failure_writing(f, a->output, index_file_save(*index, a->output, &f->err)));
done:
    id_table_free(&list);
    vectors_free(&base);
    return code;
}

/* Of the limit, what is left to the library: less what the process has already, and will have beside it. */
static int share_of_library(const arguments *a, kith_index_options *within, failure *f) {
    uint64_t taken = residence_get().now + SPARE_BYTES;
    if (within->memory_limit <= taken)
        return failure_set(f, KITH_ENOMEM,
                           "--memory-limit is %.1f MiB, the program and its input have %.1f MiB",
                           (double)a->index.memory_limit / (1 << 20), (double)taken / (1 << 20));
    within->memory_limit -= taken;
    return KITH_OK;
}

/* Within a limit: block by block, straight to the file, which is then opened to tell about it. */
static int build_within(const arguments *a, const kith_work *work, kith_index **index, cost *built,
                        failure *f) {
    row_stream base = {.fd = -1};
    id_table list = {0};
    kith_index_options within = a->index;
    kith_build how = KITH_BUILD_INIT;
    int code;
    TRY_DONE(failure_about(f, a->names[0],
                           row_stream_open(&base, a->names[0], &a->shared.read, &f->err)));
    kith_rows rows = {base.n, base.dim, row_stream_read, &base, base.held.ids};
    TRY_DONE(choose_ids(a, base.n, &list, &rows.ids, f));
    TRY_DONE(share_of_library(a, &within, f));
    how.metric = a->shared.metric;
    how.spec = a->spec;
    how.options = &within;
    how.work = work;
    *built = cost_begin();
    TRY_DONE(kith_index_build(a->output, &rows, &how, &f->err));
    cost_end(built);
    TRY_DONE(
        failure_about(f, a->output, kith_index_open(index, a->output, KITH_OPEN_MAP, &f->err)));
done:
    id_table_free(&list);
    row_stream_close(&base);
    return code;
}

static int run(int argc, char **argv) {
    arguments a = {.spec = "Auto", .index = KITH_INDEX_OPTIONS_INIT};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    kith_index *index = NULL;
    progress bar;
    progress_start(&bar, "build", "rows");
    kith_work work = KITH_WORK_INIT;
    work.threads = a.shared.threads;
    work.progress = progress_update;
    work.context = &bar;
    cost built = {0};
    int code = (a.index.memory_limit ? build_within : build_held)(&a, &work, &index, &built, &f);
    progress_finish(&bar);
    if (code == KITH_OK) {
        kith_index_stats stats;
        kith_index_stats_get(index, &stats);
        report(is_stream(a.output) ? stderr : stdout, &a, &stats, built);
    }
    kith_index_free(index);
    return failure_exit(&f, code);
}

const command cmd_build = {"build", "make an index of a file of vectors", run};
