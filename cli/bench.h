/* What kith bench measures: a run is an index, a point one setting of its search, measured again and again. */
#ifndef KITH_CLI_BENCH_H
#define KITH_CLI_BENCH_H

#include "cli.h"
#include "statistics.h"

#define BENCH_MAX_RUNS    64
#define BENCH_MAX_POINTS  64
#define BENCH_MAX_REPEATS 99
#define BENCH_MIN_S       0.05
enum { BENCH_N_TARGETS = 4 };
extern const char *const bench_target_names[BENCH_N_TARGETS]; /* "0.90" … */

/* Data and settings, the same for all runs. */
typedef struct bench_setup {
    vectors base, queries;
    size_t n;       /* queries that the truth covers */
    int64_t *truth; /* n rows of k ids */
    float *dists;   /* their distances */
    uint32_t k, threads, build_threads, repeats;
    kith_metric metric;
    bool batch;
    int open; /* search the index as it is opened from a file; KITH_OPEN_READ: as it was built */
    const char *base_name;
} bench_setup;

/* One pass over all queries, or several rounds of them where one is over too soon. Latencies in microseconds; NAN in a batch. */
typedef struct bench_pass {
    double qps_wall, qps_cpu;
    summary latency;
} bench_pass;

typedef struct bench_point {
    uint32_t effort; /* value of the run's setting; 0: the index has none */
    float target;    /* the recall asked for in place of a setting, or 0 */
    double expected; /* what the calibration tells for it */
    uint32_t
        rounds; /* a pass goes round all queries this many times, so that it lasts BENCH_MIN_S */
    kith_eval quality;
    bench_pass *passes; /* one a repeat */
    bench_pass median;  /* of each figure; minimum and maximum over all passes */
} bench_point;

typedef struct bench_run {
    const char *spec;
    const char *setting; /* "ef", "nprobe", or NULL */
    kith_index *index;
    double build_wall_s, build_cpu_s;
    kith_index_stats stats;
    size_t n_points;
    bench_point points[BENCH_MAX_POINTS];
    double at[BENCH_N_TARGETS]; /* CPU-time QPS at the targets; NAN: not reached */
    bool above
        [BENCH_N_TARGETS]; /* even the fastest of several points has more recall: a lower bound */
} bench_run;

typedef struct bench_machine {
    char cpu[128], kernel[128], compiler[64];
    const char *isa, *version;
    uint32_t cores;
} bench_machine;

/* bench_measure.c */
int bench_prepare(bench_setup *s, const id_table *truth, kith_error *err);
int bench_build(const bench_setup *s, bench_run *run, const kith_index_options *options,
                kith_error *err);
/* Make the index able to answer for a recall. */
int bench_calibrate(const bench_setup *s, const bench_run *run, kith_error *err);
/* The quality of a point, which also warms it up and tells how many rounds a pass needs. */
int bench_quality(const bench_setup *s, const bench_run *run, bench_point *point, kith_error *err);
int bench_measure(const bench_setup *s, const bench_run *run, const bench_point *point,
                  bench_pass *out, kith_error *err);
/* Medians over the repeats, and the speed at the targets. */
void bench_conclude(const bench_setup *s, bench_run *run);

/* bench_report.c, bench_html.c */
void bench_machine_get(bench_machine *m);
/* Speed at a target for people: "-" not reached, ">=" a lower bound; text has room for 32 bytes. */
const char *bench_target_text(char *text, const bench_run *run, int target);
void bench_print(const bench_setup *s, const bench_run *runs, size_t n_runs, FILE *file);
bool bench_print_json(const bench_setup *s, const bench_run *runs, size_t n_runs, FILE *file);
bool bench_print_html(const bench_setup *s, const bench_run *runs, size_t n_runs, FILE *file);

#endif
