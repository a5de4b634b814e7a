/* The report of kith tune. The page is kith bench's, over the indexes of the whole base: each with the recall asked for and some
 * around it. */
#include "tune_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "print.h"

#define SIMPLE_QUERIES 1000.0 /* whose time is added to that of the build */

static const char *const verdicts[] = {"", "too much memory", "builds too long",
                                       "recall not reached", "cannot be built"};

const kith_tune_trial *tune_pick_simple(const tune_report *r, const char *word) {
    const kith_tune_trial *best = NULL;
    double least = (double)INFINITY;
    for (size_t i = 0; r->simple && i < r->simple->n_trials; i++) {
        const kith_tune_trial *t = &r->simple->trial[i];
        if (t->verdict != KITH_TUNE_FINE || strncmp(t->spec, word, strlen(word)) != 0) continue;
        double cost = t->build_seconds + SIMPLE_QUERIES * t->point[0].seconds;
        if (cost < least) best = t;
        if (cost < least) least = cost;
    }
    return best;
}

/* ---- for people -------------------------------------------------------------------------------- */

static void trial_row(table *t, const kith_tune_trial *trial, bool is_best) {
    char texts[8][32] = {{0}};
    const kith_tune_point *p = &trial->point[0];
    print_count(texts[0], (double)trial->rows);
    snprintf(texts[1], 32, "%.2f", trial->build_seconds);
    snprintf(texts[2], 32, "%.0f", trial->bytes);
    for (int i = 3; i < 7; i++) strcpy(texts[i], "-");
    if (trial->n_points) {
        snprintf(texts[3], 32, "%.4f", p->expected);
        snprintf(texts[4], 32, "%.4f", p->recall);
        print_count(texts[5], 1 / p->seconds);
        print_count(texts[6], 1 / trial->predicted);
    }
    const char *cells[] = {trial->spec, texts[0], texts[1],
                           texts[2],    texts[3], texts[4],
                           texts[5],    texts[6], is_best ? "chosen" : verdicts[trial->verdict]};
    table_row(t, cells);
}

static void print_settings(const kith_search_params *params, FILE *file) {
    if (params->exact) fputs(" --exact", file);
    if (params->ef) fprintf(file, " --ef %u", params->ef);
    if (params->nprobe) fprintf(file, " --nprobe %u", params->nprobe);
    if (params->oversample > 0) fprintf(file, " --oversample %.4g", (double)params->oversample);
}

static void print_simple(const tune_report *r, FILE *file) {
    static const char *const words[] = {"IVF", "HNSW"};
    for (int i = 0; i < 2; i++) {
        const kith_tune_trial *t = tune_pick_simple(r, words[i]);
        char qps[32];
        if (!t) {
            fprintf(file, "simple strategy %s: none reaches it\n", words[i]);
            continue;
        }
        fprintf(file, "simple strategy %s: %s, %s queries/s, build %.2f s, %.0f bytes/vector\n",
                words[i], t->spec, print_count(qps, 1 / t->point[0].seconds), t->build_seconds,
                t->bytes);
    }
}

void tune_print(const tune_report *r, FILE *file) {
    static const char *const columns[] = {"index",     ">rows",   ">build s", ">bytes/vector",
                                          ">expected", ">recall", ">QPS/CPU", ">on all rows",
                                          "",          NULL};
    char texts[3][32];
    const kith_tune_result *result = r->result;
    table *t = table_new(columns);
    for (size_t i = 0; i < result->n_trials; i++)
        trial_row(t, &result->trial[i], &result->trial[i] == result->best);
    for (size_t i = 0; r->simple && i < r->simple->n_trials; i++)
        trial_row(t, &r->simple->trial[i], false);
    table_print(t, file);
    table_free(t);
    fprintf(file, "\n%s rows, %s of them held out, %s of CPU\n",
            print_count(texts[0], (double)r->rows), print_count(texts[1], (double)result->queries),
            print_seconds(texts[2], result->seconds));
    if (r->simple) print_simple(r, file);
    if (!result->best) {
        fputs("nothing meets what was asked for\n", file);
        return;
    }
    const kith_tune_point *p = &result->best->point[0];
    fprintf(file, "\nkith build %s -i '%s' -m %s --calibrate -o FILE\n", r->base_name,
            result->best->full, kith_metric_name(r->metric));
    fprintf(file, "kith search FILE QUERIES -k %u --recall %g\n", r->options->k,
            r->options->recall);
    fprintf(file, "kith search FILE QUERIES -k %u", r->options->k);
    print_settings(&p->params, file);
    fputc('\n', file);
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

static struct json_object *json_point(const kith_tune_point *p) {
    struct json_object *o = json_object_new_object();
    if (p->params.ef) json_add(o, "ef", json_object_new_uint64(p->params.ef));
    if (p->params.nprobe) json_add(o, "nprobe", json_object_new_uint64(p->params.nprobe));
    if (p->params.oversample > 0)
        json_add(o, "oversample", json_number((double)p->params.oversample, 6));
    if (p->params.exact) json_add(o, "exact", json_object_new_boolean(true));
    json_add(o, "expected", json_number(p->expected, 6));
    json_add(o, "recall", json_number(p->recall, 6));
    json_add(o, "qps_cpu", json_number(1 / p->seconds, 6));
    return o;
}

static struct json_object *json_trial(const kith_tune_trial *t) {
    struct json_object *o = json_object_new_object(), *points = json_object_new_array();
    json_add(o, "spec", json_text(t->spec));
    json_add(o, "spec_on_all_rows", json_text(t->full));
    json_add(o, "rung", json_object_new_uint64(t->rung));
    json_add(o, "rows", json_object_new_uint64(t->rows));
    json_add(o, "verdict", json_text(t->verdict ? verdicts[t->verdict] : "fine"));
    json_add(o, "build_cpu_s", json_number(t->build_seconds, 6));
    json_add(o, "bytes_per_vector", json_number(t->bytes, 6));
    json_add(o, "qps_on_all_rows", t->n_points ? json_number(1 / t->predicted, 6) : NULL);
    for (uint32_t i = 0; i < t->n_points; i++)
        json_object_array_add(points, json_point(&t->point[i]));
    json_add(o, "points", points);
    return o;
}

static struct json_object *json_trials(const kith_tune_result *result) {
    struct json_object *array = json_object_new_array();
    for (size_t i = 0; i < result->n_trials; i++)
        json_object_array_add(array, json_trial(&result->trial[i]));
    return array;
}

bool tune_print_json(const tune_report *r, FILE *file) {
    struct json_object *o = json_object_new_object();
    json_add(o, "base", json_text(r->base_name));
    json_add(o, "rows", json_object_new_uint64(r->rows));
    json_add(o, "dim", json_object_new_uint64(r->dim));
    json_add(o, "metric", json_text(kith_metric_name(r->metric)));
    json_add(o, "k", json_object_new_uint64(r->options->k));
    json_add(o, "recall", json_number(r->options->recall, 6));
    json_add(o, "queries", json_object_new_uint64(r->result->queries));
    json_add(o, "cpu_s", json_number(r->result->seconds, 6));
    json_add(o, "spec", r->result->best ? json_text(r->result->best->full) : NULL);
    json_add(o, "search", r->result->best ? json_point(&r->result->best->point[0]) : NULL);
    json_add(o, "trials", json_trials(r->result));
    if (r->simple) {
        const kith_tune_trial *lists = tune_pick_simple(r, "IVF");
        const kith_tune_trial *graph = tune_pick_simple(r, "HNSW");
        json_add(o, "simple_lists", lists ? json_text(lists->spec) : NULL);
        json_add(o, "simple_graph", graph ? json_text(graph->spec) : NULL);
        json_add(o, "simple_trials", json_trials(r->simple));
    }
    return json_print(o, file, true);
}

/* ---- the page ------------------------------------------------------------------------------------ */

static int by_recall(const void *a, const void *b) {
    double x = ((const bench_point *)a)->quality.recall_ties;
    double y = ((const bench_point *)b)->quality.recall_ties;
    return (x > y) - (x < y);
}

static void to_run(const kith_tune_trial *t, bench_run *run) {
    double recall[KITH_TUNE_POINTS];
    double qps[KITH_TUNE_POINTS];
    *run = (bench_run){.spec = t->spec,
                       .build_wall_s = t->build_seconds,
                       .build_cpu_s = t->build_seconds,
                       .n_points = t->n_points};
    run->stats.rows = t->rows;
    run->stats.bytes = (uint64_t)(t->bytes * (double)t->rows);
    for (uint32_t i = 0; i < t->n_points; i++) {
        bench_point *p = &run->points[i];
        p->quality.recall_ties = p->quality.recall = t->point[i].recall;
        p->quality.recall_p5 = (double)NAN;
        p->median.qps_cpu = 1 / t->point[i].seconds;
        p->median.latency.p50 = (double)NAN;
    }
    qsort(run->points, run->n_points, sizeof *run->points, by_recall);
    for (size_t i = 0; i < run->n_points; i++) {
        recall[i] = run->points[i].quality.recall_ties;
        qps[i] = run->points[i].median.qps_cpu;
    }
    for (int i = 0; i < BENCH_N_TARGETS; i++)
        run->at[i] = qps_at(recall, qps, run->n_points, strtod(bench_target_names[i], NULL));
}

static size_t to_runs(const kith_tune_result *result, bench_run *runs, size_t n) {
    for (size_t i = 0; result && i < result->n_trials && n < BENCH_MAX_RUNS; i++)
        if (result->trial[i].rows == result->rows && result->trial[i].n_points)
            to_run(&result->trial[i], &runs[n++]);
    return n;
}

bool tune_print_html(const tune_report *r, FILE *file) {
    bench_run *runs = calloc(BENCH_MAX_RUNS, sizeof *runs);
    if (!runs) return false;
    size_t n = to_runs(r->simple, runs, to_runs(r->result, runs, 0));
    bench_setup s = {.n = r->result->queries / 2,
                     .k = r->options->k,
                     .threads = 1,
                     .repeats = 1,
                     .metric = r->metric,
                     .base_name = r->base_name};
    s.base.n = r->rows;
    s.base.dim = r->dim;
    bool done = n > 0 && bench_print_html(&s, runs, n, file);
    fputs("<h2>What was tried</h2>\n<pre>\n", file);
    tune_print(r, file);
    fputs("</pre>\n", file);
    free(runs);
    return done && !ferror(file);
}
