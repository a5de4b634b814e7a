/* kith bench: build indexes, sweep their settings, measure recall and speed. */
#include "cli.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "progress.h"

enum {
    KEY_SWEEP = KEY_OWN,
    KEY_RECALL,
    KEY_BATCH,
    KEY_BUILD_THREADS,
    KEY_REPEAT,
    KEY_PIN,
    KEY_HTML,
    KEY_JSON_OUT,
    KEY_EF_CONSTRUCTION,
    KEY_ALPHA,
    KEY_BALANCE,
    KEY_SEED
};

static const struct argp_option options[] = {
    {"index", 'i', "SPEC", 0, "Index to measure; may be given many times (default: HNSW16)", 1},
    OPTION_METRIC,
    {NULL, 'k', "K", 0, "Results a query (default: 10)", 10},
    {"sweep", KEY_SWEEP, "ef=LOW:HIGH", 0,
     "Settings to measure, doubling with a step between; or ef=A,B,… (default: ef=16:512); for "
     "inverted lists nprobe=LOW:HIGH (default: nprobe=1:256)",
     10},
    {"recall", KEY_RECALL, "R,…", 0,
     "Instead of a sweep, calibrate and ask for these recalls; expected beside measured", 10},
    {"repeat", KEY_REPEAT, "N", 0,
     "Measure every setting N times, in turn; medians are reported (default: 5)", 10},
    {"batch", KEY_BATCH, NULL, 0, "Search all queries in one call instead of one by one", 10},
    {"threads", KEY_THREADS, "N", 0, "Search in N threads (default: 1)", 20},
    {"build-threads", KEY_BUILD_THREADS, "N", 0, "Build with N threads (default: as --threads)",
     20},
    {"pin", KEY_PIN, "CPU", 0, "Run on processor CPU only", 20},
    {"ef-construction", KEY_EF_CONSTRUCTION, "N", 0,
     "Graph: pool size while inserting (default: 128)", 30},
    {"alpha", KEY_ALPHA, "X", 0, "Graph: slack of the pruning rule, 1 to 2 (default: 1.1)", 30},
    {"balance", KEY_BALANCE, "X", 0,
     "Lists: while learning at most 1 + X times the mean (default: as they fall)", 30},
    {"seed", KEY_SEED, "S", 0, "Seed of all that is drawn by chance (default: 42)", 30},
    {"json", KEY_JSON_OUT, "OUT", 0, "Write JSON to OUT; - writes it instead of the table", 90},
    {"html", KEY_HTML, "OUT", 0, "Draw recall against QPS as a page to OUT", 90},
    OPTION_OPEN,
    OPTION_FROM,
    {0}};

/* Values of one setting. */
typedef struct sweep {
    uint32_t value[BENCH_MAX_POINTS];
    size_t n;
} sweep;

enum { SWEEP_EF, SWEEP_NPROBE, N_SWEEPS };
static const char *const sweep_names[N_SWEEPS] = {"ef", "nprobe"};

typedef struct arguments {
    shared_options shared;
    const char *names[3];
    const char *specs[BENCH_MAX_RUNS];
    size_t n_specs;
    sweep sweeps[N_SWEEPS];
    float recalls[BENCH_MAX_POINTS];
    size_t n_recalls;
    const char *json, *html;
    uint32_t k, threads, build_threads, repeats;
    int pin; /* -1: no */
    bool batch;
    kith_index_options index;
} arguments;

/* ---- arguments ------------------------------------------------------------------------------------- */

static void add_setting(struct argp_state *state, sweep *s, uint32_t value) {
    if (s->n == BENCH_MAX_POINTS)
        argp_error(state, "--sweep: more than %d settings", BENCH_MAX_POINTS);
    if (s->n && value <= s->value[s->n - 1]) argp_error(state, "--sweep: settings must rise");
    s->value[s->n++] = value;
}

/* The sweep that a text names, emptied, and the text after its "=". */
static sweep *named_sweep(struct argp_state *state, arguments *a, const char *text,
                          const char **values) {
    for (int i = 0; i < N_SWEEPS; i++) {
        size_t n = strlen(sweep_names[i]);
        if (strncmp(text, sweep_names[i], n) != 0 || text[n] != '=') continue;
        *values = text + n + 1;
        a->sweeps[i].n = 0;
        return &a->sweeps[i];
    }
    argp_error(state, "--sweep: \"%s\" does not begin with ef= or nprobe=", text);
    return NULL;
}

/* LOW, 1.5 LOW, 2 LOW, 3 LOW, … HIGH; or a list. */
static void parse_sweep(struct argp_state *state, arguments *a, const char *text) {
    const char *values = text;
    char *end;
    sweep *s = named_sweep(state, a, text, &values);
    unsigned long value = strtoul(values, &end, 10);
    if (value < 1 || value > KITH_MAX_ROWS || end == values)
        argp_error(state, "--sweep: \"%s\" has no setting of 1 or more", text);
    if (*end == ':') {
        uint32_t high = (uint32_t)argument_count(state, "--sweep", end + 1, value, KITH_MAX_ROWS);
        for (uint64_t low = value; low <= high; low *= 2) {
            add_setting(state, s, (uint32_t)low);
            if (low > 1 && low + low / 2 <= high) add_setting(state, s, (uint32_t)(low + low / 2));
        }
        if (s->value[s->n - 1] < high) add_setting(state, s, high);
        return;
    }
    add_setting(state, s, (uint32_t)value);
    while (*end == ',') {
        const char *next = end + 1;
        value = strtoul(next, &end, 10);
        if (value < 1 || value > KITH_MAX_ROWS || end == next) break;
        add_setting(state, s, (uint32_t)value);
    }
    if (*end) argp_error(state, "--sweep: \"%s\" is neither NAME=LOW:HIGH nor NAME=A,B,…", text);
}

static void parse_recalls(struct argp_state *state, arguments *a, const char *text) {
    char *end;
    for (const char *at = text;; at = end + 1) {
        double value = strtod(at, &end);
        if (end == at || !(value >= 0.01 && value <= 1) || (*end && *end != ',') ||
            a->n_recalls == BENCH_MAX_POINTS)
            argp_error(state, "--recall: \"%s\" is no list of numbers from 0.01 to 1", text);
        a->recalls[a->n_recalls++] = (float)value;
        if (!*end) return;
    }
}

static void check_arguments(struct argp_state *state, arguments *a) {
    if (state->arg_num < 1) argp_error(state, "BASE is missing: the vectors to index");
    bool hdf5 = state->arg_num == 1 && format_of_path(a->names[0]) == FORMAT_HDF5;
    if (hdf5) a->names[1] = a->names[2] = a->names[0];
    if (!a->names[1]) argp_error(state, "QUERIES is missing: the vectors to search for");
    if (!a->names[2]) argp_error(state, "GT is missing: the true ids, as kith exact writes them");
    if (!a->n_specs) a->specs[a->n_specs++] = "HNSW16";
    if (!a->sweeps[SWEEP_EF].n) parse_sweep(state, a, "ef=16:512");
    if (!a->sweeps[SWEEP_NPROBE].n) parse_sweep(state, a, "nprobe=1:256");
    if (!a->build_threads) a->build_threads = a->threads;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case 'i':
        if (a->n_specs == BENCH_MAX_RUNS)
            argp_error(state, "-i: more than %d indexes", BENCH_MAX_RUNS);
        a->specs[a->n_specs++] = arg;
        return 0;
    case 'k': a->k = (uint32_t)argument_count(state, "-k", arg, 1, KITH_MAX_K); return 0;
    case KEY_SWEEP: parse_sweep(state, a, arg); return 0;
    case KEY_RECALL: parse_recalls(state, a, arg); return 0;
    case KEY_REPEAT:
        a->repeats = (uint32_t)argument_count(state, "--repeat", arg, 1, BENCH_MAX_REPEATS);
        return 0;
    case KEY_BATCH: a->batch = true; return 0;
    case KEY_THREADS:
        a->threads = (uint32_t)argument_count(state, "--threads", arg, 1, 4096);
        return 0;
    case KEY_BUILD_THREADS:
        a->build_threads = (uint32_t)argument_count(state, "--build-threads", arg, 1, 4096);
        return 0;
    case KEY_PIN: a->pin = (int)argument_count(state, "--pin", arg, 0, CPU_SETSIZE - 1); return 0;
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
    case KEY_JSON_OUT: a->json = arg; return 0;
    case KEY_HTML: a->html = arg; return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 3);
    case ARGP_KEY_END: check_arguments(state, a); return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "BASE QUERIES GT\nFILE.hdf5",
    .doc = "Build each index SPEC over BASE once, search it for QUERIES at every "
           "setting, compare with the true ids in GT, and report recall, speed, "
           "build time and memory."};

/* ---- work ------------------------------------------------------------------------------------------ */

static int read_inputs(const arguments *a, bench_setup *s, failure *f) {
    id_table truth = {0};
    read_options as = a->shared.read;
    int code;
    TRY_DONE(failure_about(f, a->names[0], vectors_read(&s->base, a->names[0], &as, &f->err)));
    as.dataset = "test";
    TRY_DONE(failure_about(f, a->names[1], vectors_read(&s->queries, a->names[1], &as, &f->err)));
    TRY_DONE(
        failure_about(f, a->names[1], check_dim(&s->queries, s->base.dim, "the base", &f->err)));
    TRY_DONE(failure_about(f, a->names[2], id_table_read(&truth, a->names[2], NULL, &f->err)));
    if (s->k > truth.k) {
        f->subject = a->names[2];
        code = failure_set(f, KITH_EK, "k of %u; a row has %zu true ids", s->k, truth.k);
        goto done;
    }
    TRY_DONE(failure_about(f, a->names[2], bench_prepare(s, &truth, &f->err)));
    if (s->queries.n != truth.n)
        note("%zu queries, true ids for %zu; the first %zu are used", s->queries.n, truth.n, s->n);
done:
    id_table_free(&truth);
    return code;
}

static int add_point(const arguments *a, bench_run *run, uint32_t effort, kith_error *err) {
    bench_point *p = &run->points[run->n_points];
    p->effort = effort;
    p->passes = calloc(a->repeats, sizeof *p->passes);
    if (!p->passes) return format_fail(err, KITH_ENOMEM, -1, "no memory for %u passes", a->repeats);
    run->n_points++;
    return KITH_OK;
}

/* Points of a run that is asked for recalls; those that the index cannot have are told and left out. */
static int plan_recalls(const arguments *a, const bench_setup *s, bench_run *run, kith_error *err) {
    int code = bench_calibrate(s, run, err);
    for (size_t i = 0; i < a->n_recalls && !code; i++) {
        kith_search_params params = KITH_SEARCH_PARAMS_INIT;
        kith_error why;
        double expected;
        params.k = s->k;
        params.recall = a->recalls[i];
        if (kith_index_effort(run->index, &params, &expected, &why)) {
            note("%s: %s", run->spec, why.text);
            continue;
        }
        code = add_point(a, run, 0, err);
        if (code) break;
        run->points[run->n_points - 1].target = a->recalls[i];
        run->points[run->n_points - 1].expected = expected;
    }
    return code;
}

/* Points of a run: the sweep of its setting, one where it has none. Pools below k and more lists than there are would
 * only repeat a point. */
static int plan_points(const arguments *a, bench_run *run, kith_error *err) {
    int which = run->stats.max_degree ? SWEEP_EF : SWEEP_NPROBE;
    if (!run->stats.max_degree && !run->stats.lists) return add_point(a, run, 0, err);
    const sweep *s = &a->sweeps[which];
    run->setting = sweep_names[which];
    int code = KITH_OK;
    for (size_t i = 0; i < s->n && !code; i++) {
        bool last = i + 1 == s->n;
        bool low = which == SWEEP_EF && s->value[i] < a->k && !(last && run->n_points == 0);
        bool high = which == SWEEP_NPROBE && i > 0 && s->value[i - 1] >= run->stats.lists;
        if (!low && !high) code = add_point(a, run, s->value[i], err);
    }
    return code;
}

static int measure_all(const bench_setup *s, bench_run *runs, size_t n_runs, kith_error *err) {
    size_t n_points = 0;
    size_t done = 0;
    for (size_t i = 0; i < n_runs; i++) n_points += runs[i].n_points;
    progress bar;
    progress_start(&bar, "measure", "passes");
    int code = KITH_OK;
    for (uint32_t repeat = 0; repeat < s->repeats && !code; repeat++) {
        for (size_t i = 0; i < n_runs && !code; i++) {
            for (size_t j = 0; j < runs[i].n_points && !code; j++) {
                bench_point *p = &runs[i].points[j];
                if (repeat == 0) code = bench_quality(s, &runs[i], p, err);
                if (!code) code = bench_measure(s, &runs[i], p, &p->passes[repeat], err);
                progress_update(&bar, ++done, n_points * s->repeats);
            }
        }
    }
    progress_finish(&bar);
    for (size_t i = 0; i < n_runs && !code; i++) bench_conclude(s, &runs[i]);
    return code;
}

typedef bool (*printer)(const bench_setup *s, const bench_run *runs, size_t n_runs, FILE *file);

static int write_file(const char *path, printer print, const bench_setup *s, const bench_run *runs,
                      size_t n_runs, failure *f) {
    FILE *file = is_stream(path) ? stdout : fopen(path, "w");
    bool done = file && print(s, runs, n_runs, file);
    if (file && file != stdout && fclose(file)) done = false;
    if (done) return KITH_OK;
    f->subject = path;
    return failure_set(f, KITH_EIO, "cannot be written: %s", strerror(errno));
}

/* With several build threads, only searches are pinned. */
static int pin(int cpu, failure *f) {
    cpu_set_t set;
    if (cpu < 0) return KITH_OK;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) == 0) return KITH_OK;
    return failure_set(f, KITH_EINVAL, "--pin %d: %s", cpu, strerror(errno));
}

static int run_bench(const arguments *a, bench_setup *s, bench_run *runs, failure *f) {
    int code;
    TRY_DONE(read_inputs(a, s, f));
    for (size_t i = 0; i < a->n_specs; i++) {
        runs[i].spec = a->specs[i];
        TRY_DONE(bench_build(s, &runs[i], &a->index, &f->err));
        TRY_DONE(a->n_recalls ? plan_recalls(a, s, &runs[i], &f->err)
                              : plan_points(a, &runs[i], &f->err));
    }
    if (a->build_threads > 1) TRY_DONE(pin(a->pin, f));
    TRY_DONE(measure_all(s, runs, a->n_specs, &f->err));
    bool busy = (a->json && is_stream(a->json)) || (a->html && is_stream(a->html));
    if (!busy) bench_print(s, runs, a->n_specs, stdout);
    if (a->json) TRY_DONE(write_file(a->json, bench_print_json, s, runs, a->n_specs, f));
    if (a->html) TRY_DONE(write_file(a->html, bench_print_html, s, runs, a->n_specs, f));
done:
    return code;
}

static int run(int argc, char **argv) {
    arguments a = {
        .k = 10, .threads = 1, .repeats = 5, .pin = -1, .index = KITH_INDEX_OPTIONS_INIT};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    bench_setup s = {.k = a.k,
                     .threads = a.threads,
                     .build_threads = a.build_threads,
                     .repeats = a.repeats,
                     .metric = a.shared.metric,
                     .open = a.shared.open,
                     .batch = a.batch,
                     .base_name = a.names[0]};
    bench_run *runs = calloc(a.n_specs, sizeof *runs);
    int code = runs ? KITH_OK : failure_set(&f, KITH_ENOMEM, "no memory for %zu runs", a.n_specs);
    if (!code && a.build_threads == 1) code = pin(a.pin, &f);
    if (!code) code = run_bench(&a, &s, runs, &f);
    for (size_t i = 0; runs && i < a.n_specs; i++) {
        kith_index_free(runs[i].index);
        for (size_t j = 0; j < runs[i].n_points; j++) free(runs[i].points[j].passes);
    }
    free(runs);
    free(s.truth);
    free(s.dists);
    vectors_free(&s.queries);
    vectors_free(&s.base);
    return failure_exit(&f, code);
}

const command cmd_bench = {"bench", "measure recall, speed, build time and memory of indexes", run};
