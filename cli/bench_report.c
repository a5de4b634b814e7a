/* What kith bench prints: the table, and the JSON that docs/man/kith-bench.1 describes. */
#include "bench.h"

#include <math.h>
#include <string.h>
#include <sys/utsname.h>

#include "print.h"

const char *const bench_target_names[BENCH_N_TARGETS] = {"0.90", "0.95", "0.99", "0.999"};

void bench_machine_get(bench_machine *m) {
    *m = (bench_machine){.isa = kith_isa(), .version = kith_version(), .cores = processor_count()};
    struct utsname name;
    if (uname(&name) == 0) {
        snprintf(m->kernel, sizeof m->kernel, "%.40s %.80s", name.sysname, name.release);
        snprintf(m->cpu, sizeof m->cpu, "%s", name.machine);
    }
#if defined(__clang__)
    snprintf(m->compiler, sizeof m->compiler, "clang %s", __clang_version__);
#else
    snprintf(m->compiler, sizeof m->compiler, "gcc %s", __VERSION__);
#endif
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "model name", 10) != 0) continue;
        const char *value = strchr(line, ':');
        if (value)
            snprintf(m->cpu, sizeof m->cpu, "%.*s", (int)strcspn(value + 2, "\n"), value + 2);
        break;
    }
    if (file) fclose(file);
}

/* ---- table --------------------------------------------------------------------------------------- */

static void point_row(table *t, const bench_run *run, size_t i) {
    const bench_point *p = &run->points[i];
    const summary *l = &p->median.latency;
    enum { N_FIGURES = 15 };
    char texts[N_FIGURES][32] = {{0}};
    const char *cells[N_FIGURES + 1];
    if (p->target > 0)
        snprintf(texts[0], 32, "recall %g (%.4f)", (double)p->target, p->expected);
    else if (run->setting)
        snprintf(texts[0], 32, "%s %u", run->setting, p->effort);
    else
        strcpy(texts[0], "-");
    snprintf(texts[1], 32, "%.4f", p->quality.recall_ties);
    snprintf(texts[2], 32, "%.3f", p->quality.recall_p5);
    print_count(texts[3], p->median.qps_cpu);
    print_count(texts[4], p->median.qps_wall);
    const double latencies[] = {l->mean, l->min, l->max, l->sd, l->p50, l->p95, l->p99};
    for (size_t j = 0; j < 7; j++) {
        if (isnan(latencies[j]))
            strcpy(texts[5 + j], "-");
        else
            snprintf(texts[5 + j], 32, "%.1f", latencies[j]);
    }
    if (i == 0) {
        snprintf(texts[12], 32, "%.2f", run->build_wall_s);
        snprintf(texts[13], 32, "%.2f", run->build_cpu_s);
        snprintf(texts[14], 32, "%.1f", (double)run->stats.bytes / (double)run->stats.rows);
    }
    cells[0] = i == 0 ? run->spec : "";
    for (int j = 0; j < N_FIGURES; j++) cells[j + 1] = texts[j];
    table_row(t, cells);
}

const char *bench_target_text(char *text, const bench_run *run, int target) {
    if (isnan(run->at[target])) return "-";
    strcpy(text, run->above[target] ? ">=" : "");
    print_count(text + strlen(text), run->at[target]);
    return text;
}

static void print_targets(const bench_run *runs, size_t n_runs, FILE *file) {
    static const char *const columns[] = {
        "QPS/CPU at recall", ">0.90", ">0.95", ">0.99", ">0.999", NULL};
    table *t = table_new(columns);
    for (size_t i = 0; i < n_runs; i++) {
        char texts[BENCH_N_TARGETS][32];
        const char *cells[BENCH_N_TARGETS + 1] = {runs[i].spec};
        for (int j = 0; j < BENCH_N_TARGETS; j++)
            cells[j + 1] = bench_target_text(texts[j], &runs[i], j);
        table_row(t, cells);
    }
    table_print(t, file);
    table_free(t);
}

void bench_print(const bench_setup *s, const bench_run *runs, size_t n_runs, FILE *file) {
    static const char *const columns[] = {
        "index",    ">setting", ">recall", ">p5",           ">QPS/CPU", ">QPS",
        ">mean us", ">min",     ">max",    ">sd",           ">p50",     ">p95",
        ">p99",     ">build s", ">CPU s",  ">bytes/vector", NULL};
    bench_machine m;
    bench_machine_get(&m);
    char texts[3][32];
    fprintf(
        file,
        "%s rows of %zu, %s queries, %s, k %u, %u thread%s%s, median of %u\n%s, %s, kith %s\n\n",
        print_count(texts[0], (double)s->base.n), s->base.dim, print_count(texts[1], (double)s->n),
        kith_metric_name(s->metric), s->k, s->threads, s->threads == 1 ? "" : "s",
        s->batch ? ", one batch" : "", s->repeats, m.cpu, m.isa, m.version);
    table *t = table_new(columns);
    for (size_t i = 0; i < n_runs; i++)
        for (size_t j = 0; j < runs[i].n_points; j++) point_row(t, &runs[i], j);
    table_print(t, file);
    table_free(t);
    fputc('\n', file);
    print_targets(runs, n_runs, file);
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

static struct json_object *json_machine(void) {
    bench_machine m;
    bench_machine_get(&m);
    struct json_object *o = json_object_new_object();
    json_add(o, "cpu", json_text(m.cpu));
    json_add(o, "isa", json_text(m.isa));
    json_add(o, "cores", json_object_new_uint64(m.cores));
    json_add(o, "kernel", json_text(m.kernel));
    json_add(o, "compiler", json_text(m.compiler));
    json_add(o, "version", json_text(m.version));
    return o;
}

static struct json_object *json_setup(const bench_setup *s) {
    struct json_object *o = json_object_new_object();
    json_add(o, "base", json_text(s->base_name));
    json_add(o, "rows", json_object_new_uint64(s->base.n));
    json_add(o, "dim", json_object_new_uint64(s->base.dim));
    json_add(o, "queries", json_object_new_uint64(s->n));
    json_add(o, "metric", json_text(kith_metric_name(s->metric)));
    json_add(o, "k", json_object_new_uint64(s->k));
    json_add(o, "batch", json_object_new_boolean(s->batch));
    json_add(o, "repeats", json_object_new_uint64(s->repeats));
    return o;
}

static struct json_object *json_point(const bench_run *run, const bench_point *p) {
    struct json_object *o = json_object_new_object();
    struct json_object *params = json_object_new_object();
    if (p->target > 0) json_add(params, "recall", json_float(p->target));
    if (p->target > 0) json_add(o, "expected", json_number(p->expected, 6));
    if (run->setting && p->effort)
        json_add(params, run->setting, json_object_new_uint64(p->effort));
    json_add(o, "params", params);
    json_add(o, "recall", json_number(p->quality.recall_ties, 6));
    json_add(o, "recall_ids", json_number(p->quality.recall, 6));
    json_add(o, "recall_p5", json_number(p->quality.recall_p5, 6));
    json_add(o, "qps_wall", json_number(p->median.qps_wall, 6));
    json_add(o, "qps_cpu", json_number(p->median.qps_cpu, 6));
    const summary *l = &p->median.latency;
    json_add(o, "mean_us", json_number(l->mean, 5));
    json_add(o, "min_us", json_number(l->min, 5));
    json_add(o, "max_us", json_number(l->max, 5));
    json_add(o, "sd_us", json_number(l->sd, 5));
    json_add(o, "p50_us", json_number(l->p50, 5));
    json_add(o, "p95_us", json_number(l->p95, 5));
    json_add(o, "p99_us", json_number(l->p99, 5));
    return o;
}

static struct json_object *json_run(const bench_setup *s, const bench_run *run) {
    struct json_object *o = json_object_new_object();
    json_add(o, "spec", json_text(run->spec));
    json_add(o, "threads", json_object_new_uint64(s->threads));
    json_add(o, "build_threads", json_object_new_uint64(s->build_threads));
    json_add(o, "build_wall_s", json_number(run->build_wall_s, 6));
    json_add(o, "build_cpu_s", json_number(run->build_cpu_s, 6));
    json_add(o, "bytes_per_vector",
             json_number((double)run->stats.bytes / (double)run->stats.rows, 6));
    struct json_object *points = json_object_new_array();
    for (size_t i = 0; i < run->n_points; i++)
        json_object_array_add(points, json_point(run, &run->points[i]));
    json_add(o, "points", points);
    struct json_object *at = json_object_new_object();
    for (int i = 0; i < BENCH_N_TARGETS; i++)
        json_add(at, bench_target_names[i], json_number(run->at[i], 6));
    json_add(o, "at", at);
    return o;
}

bool bench_print_json(const bench_setup *s, const bench_run *runs, size_t n_runs, FILE *file) {
    struct json_object *o = json_object_new_object();
    json_add(o, "machine", json_machine());
    json_add(o, "setup", json_setup(s));
    struct json_object *array = json_object_new_array();
    for (size_t i = 0; i < n_runs; i++) json_object_array_add(array, json_run(s, &runs[i]));
    json_add(o, "runs", array);
    return json_print(o, file, true);
}
