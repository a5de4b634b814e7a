/* kith build: make an index of a file of vectors. */
#include "cli.h"

#include <stdlib.h>

#include "clock.h"
#include "print.h"
#include "progress.h"

enum { KEY_EF_CONSTRUCTION = KEY_OWN, KEY_ALPHA, KEY_SEED, KEY_IDS };

static const struct argp_option options[] = {
    {"index", 'i', "SPEC", 0,
     "What to build: Flat, HNSW16, HNSW16,SQ8,Refine and more (default: Auto)", 1},
    OPTION_METRIC,
    {"output", 'o', "FILE", 0, "Write the index to FILE", 10},
    {"ids", KEY_IDS, "FILE", 0, "Take the ids of the rows from FILE", 11},
    {"ef-construction", KEY_EF_CONSTRUCTION, "N", 0,
     "Graph: pool size while inserting (default: 128)", 12},
    {"alpha", KEY_ALPHA, "X", 0, "Graph: slack of the pruning rule, 1 to 2 (default: 1.1)", 12},
    {"seed", KEY_SEED, "S", 0, "Seed of all that is drawn by chance (default: 42)", 12},
    OPTION_THREADS,
    OPTION_FROM,
    OPTION_JSON,
    {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[1];
    const char *spec, *output, *ids;
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
    case KEY_SEED: a->index.seed = argument_count(state, "--seed", arg, 0, UINT64_MAX); return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 1);
    case ARGP_KEY_END:
        if (state->arg_num < 1) argp_error(state, "BASE is missing: the file of vectors to index");
        if (!a->output) argp_error(state, "-o FILE is missing: where to write the index");
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {.options = options,
                                 .help_filter = help_filter,
                                 .parser = parse,
                                 .args_doc = "BASE -o FILE",
                                 .doc = "Make an index of the vectors in BASE."};

/* Seconds that the work took. */
typedef struct cost {
    double wall_s, cpu_s;
} cost;

static void report(FILE *file, const arguments *a, const kith_index_stats *stats, cost built) {
    char wall[32];
    char cpu[32];
    if (a->shared.json) {
        struct json_object *o = json_index_stats(stats);
        json_add(o, "threads", json_object_new_uint64(a->shared.threads));
        json_add(o, "build_wall_s", json_number(built.wall_s, 6));
        json_add(o, "build_cpu_s", json_number(built.cpu_s, 6));
        json_print(o, file, true);
        return;
    }
    fact_list f = facts_new();
    print_index_facts(f, stats);
    facts_add(f, "built in", "%s, %s of CPU, %u thread%s", print_seconds(wall, built.wall_s),
              print_seconds(cpu, built.cpu_s), a->shared.threads,
              a->shared.threads == 1 ? "" : "s");
    facts_print(f, file);
    fputc('\n', file);
    print_memory_table(stats, file);
}

/* The ids to give: of --ids, of the file itself, or none. */
static int choose_ids(const arguments *a, const vectors *base, id_table *list, const int64_t **ids,
                      failure *f) {
    *ids = base->ids;
    if (!a->ids) return KITH_OK;
    int code = failure_about(f, a->ids, id_list_read(list, a->ids, NULL, &f->err));
    if (code) return code;
    if (list->n != base->n) {
        f->subject = a->ids;
        return failure_set(f, KITH_EINVAL, "%zu ids for %zu rows", list->n, base->n);
    }
    *ids = list->ids;
    return KITH_OK;
}

static int run(int argc, char **argv) {
    arguments a = {.spec = "Auto", .index = KITH_INDEX_OPTIONS_INIT};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    vectors base = {0};
    id_table list = {0};
    kith_index *index = NULL;
    const int64_t *ids;
    int code;
    TRY_DONE(
        failure_about(&f, a.names[0], vectors_read(&base, a.names[0], &a.shared.read, &f.err)));
    TRY_DONE(choose_ids(&a, &base, &list, &ids, &f));
    TRY_DONE(kith_index_new(&index, base.dim, a.shared.metric, a.spec, &a.index, &f.err));
    progress bar;
    progress_start(&bar, "build", "rows");
    kith_work work = KITH_WORK_INIT;
    work.threads = a.shared.threads;
    work.progress = progress_update;
    work.context = &bar;
    cost built = {wall_s(), process_cpu_s()};
    code = kith_index_add(index, base.n, base.data, ids, &work, &f.err);
    built = (cost){wall_s() - built.wall_s, process_cpu_s() - built.cpu_s};
    progress_finish(&bar);
    TRY_DONE(failure_about(&f, a.names[0], code));
    TRY_DONE(failure_writing(&f, a.output, index_file_save(index, a.output, &f.err)));
    kith_index_stats stats;
    kith_index_stats_get(index, &stats);
    report(is_stream(a.output) ? stderr : stdout, &a, &stats, built);
done:
    kith_index_free(index);
    id_table_free(&list);
    vectors_free(&base);
    return failure_exit(&f, code);
}

const command cmd_build = {"build", "make an index of a file of vectors", run};
