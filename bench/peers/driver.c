/* Command line, cache, and the timing loop of a driver; see driver.h for the protocol. */
#include "driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct session {
    const struct peer_engine *engine;
    struct peer_job job;
    void *index;
    float *queries;
    int64_t *ids;    /* [n_queries][k] of the last pass */
    double *latency; /* [n_latency] seconds of every single call of this run */
    size_t n_latency, latency_cap;
};

/* One pass over all queries, one call each; keeps the time of each call. */
static void pass_single(struct session *s, size_t n_queries) {
    size_t dim = s->job.queries.dim;
    double before = seconds(CLOCK_MONOTONIC);
    for (size_t q = 0; q < n_queries; q++) {
        s->engine->search(s->index, s->queries + q * dim, s->job.k, s->ids + q * (size_t)s->job.k);
        double now = seconds(CLOCK_MONOTONIC);
        if (s->n_latency < s->latency_cap) s->latency[s->n_latency++] = now - before;
        before = now;
    }
}

static void run(struct session *s, double min_seconds, size_t n_queries, int batch) {
    size_t n_passes = 0;
    pass_single(s, batch ? 1 : n_queries / 10 + 1);
    s->n_latency = 0;
    double cpu = -seconds(CLOCK_PROCESS_CPUTIME_ID), wall = -seconds(CLOCK_MONOTONIC);
    do {
        if (batch)
            s->engine->search_batch(s->index, s->queries, n_queries, s->job.k, s->ids);
        else
            pass_single(s, n_queries);
        n_passes++;
    } while (wall + seconds(CLOCK_MONOTONIC) < min_seconds);
    wall += seconds(CLOCK_MONOTONIC);
    cpu += seconds(CLOCK_PROCESS_CPUTIME_ID);

    struct peer_job seen = s->job;
    seen.queries.n_rows = n_queries;
    struct recall r = recall_of(&seen, s->ids);
    double n = (double)(n_passes * n_queries), p50 = wall / n, p99 = wall / n;
    if (s->n_latency) {
        qsort(s->latency, s->n_latency, sizeof *s->latency, by_value);
        p50 = s->latency[s->n_latency / 2];
        p99 = s->latency[s->n_latency * 99 / 100];
    }
    printf(
        "{\"recall\":%.6f,\"recall_ids\":%.6f,\"recall_p5\":%.4f,\"queries\":%.0f,\"wall_s\":%.6f,\"cpu_s\":%.6f,"
        "\"p50_us\":%.2f,\"p99_us\":%.2f}\n",
        r.by_ties, r.by_ids, r.p5, n, wall, cpu, 1e6 * p50, 1e6 * p99);
    fflush(stdout);
}

/* "run ef=64 seconds=0.3 queries=200 batch=1": the last three are the loop's own. */
static void command_run(struct session *s, char *words) {
    double min_seconds = 0.25;
    size_t n_queries = s->job.queries.n_rows;
    int batch = 0;
    for (char *word = strtok(words, " \n"); word; word = strtok(NULL, " \n")) {
        char *value = strchr(word, '=');
        double number = value ? strtod(value + 1, NULL) : 0;
        if (value) *value = 0;
        if (value && strcmp(word, "seconds") == 0)
            min_seconds = number;
        else if (value && strcmp(word, "queries") == 0 && number >= 1)
            n_queries = number < (double)n_queries ? (size_t)number : n_queries;
        else if (value && strcmp(word, "batch") == 0 && s->engine->search_batch)
            batch = number != 0;
        else if (!value || s->engine->set(s->index, word, number) != 0) {
            printf("{\"error\":\"%s does not know the parameter %s\"}\n", s->engine->name, word);
            fflush(stdout);
            return;
        }
    }
    run(s, min_seconds, n_queries, batch);
}

static size_t file_bytes(const char *path) {
    struct stat st;
    return path[0] && stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

/* The cost of a build is kept beside the built index: "CPU WALL". */
static int read_cost(const char *index_path, double *cpu, double *wall) {
    char path[1100];
    snprintf(path, sizeof path, "%s.cost", index_path);
    FILE *f = fopen(path, "r");
    int n = f ? fscanf(f, "%lf %lf", cpu, wall) : 0;
    if (f) fclose(f);
    return n == 2 ? 0 : -1;
}

static void write_cost(const char *index_path, double cpu, double wall) {
    char path[1100];
    snprintf(path, sizeof path, "%s.cost", index_path);
    FILE *f = fopen(path, "w");
    if (!f) return;
    fprintf(f, "%.3f %.3f\n", cpu, wall);
    fclose(f);
}

/* Load the index from the cache, or build and save it. */
static int obtain(struct session *s) {
    const struct peer_job *job = &s->job;
    char path[1024] = "";
    double cpu = 0, wall = 0;
    int cached = 0;
    if (job->cache)
        snprintf(path, sizeof path, "%s/%s-%s-%s-%s-s%llu.index", job->cache, s->engine->name,
                 s->engine->version(), job->set, job->spec, (unsigned long long)job->seed);
    if (file_bytes(path) && read_cost(path, &cpu, &wall) == 0) {
        s->index = s->engine->load(job, path);
        cached = s->index != NULL;
    }
    if (!cached) {
        float *rows =
            vecs_copy(&job->base, s->engine->normalise && strcmp(job->metric, "cosine") == 0);
        if (!rows) return -1;
        cpu = -seconds(CLOCK_PROCESS_CPUTIME_ID), wall = -seconds(CLOCK_MONOTONIC);
        s->index = s->engine->build(job, rows);
        cpu += seconds(CLOCK_PROCESS_CPUTIME_ID), wall += seconds(CLOCK_MONOTONIC);
        free(rows);
        if (s->index && path[0] && s->engine->save(s->index, path) == 0)
            write_cost(path, cpu, wall);
    }
    if (!s->index) return -1;
    printf(
        "{\"engine\":\"%s\",\"version\":\"%s\",\"spec\":\"%s\",\"set\":\"%s\",\"threads\":%d,\"cached\":%d,"
        "\"build_cpu_s\":%.3f,\"build_wall_s\":%.3f,\"index_bytes\":%zu,\"rows\":%zu,\"dim\":%zu,\"queries\":%zu}\n",
        s->engine->name, s->engine->version(), job->spec, job->set, job->n_threads, cached, cpu,
        wall, s->engine->bytes ? s->engine->bytes(s->index) : file_bytes(path), job->base.n_rows,
        job->base.dim, job->queries.n_rows);
    fflush(stdout);
    return 0;
}

static int read_arguments(struct peer_job *job, int argc, char **argv) {
    const char *base = NULL, *queries = NULL, *truth = NULL;
    *job = (struct peer_job){
        .metric = "l2", .spec = "", .set = "set", .k = 10, .n_threads = 1, .seed = 1};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *key = argv[i], *value = argv[i + 1];
        if (strcmp(key, "--base") == 0)
            base = value;
        else if (strcmp(key, "--queries") == 0)
            queries = value;
        else if (strcmp(key, "--gt") == 0)
            truth = value;
        else if (strcmp(key, "--metric") == 0)
            job->metric = value;
        else if (strcmp(key, "--spec") == 0)
            job->spec = value;
        else if (strcmp(key, "--set") == 0)
            job->set = value;
        else if (strcmp(key, "--cache") == 0)
            job->cache = value;
        else if (strcmp(key, "--k") == 0)
            job->k = (int)strtol(value, NULL, 10);
        else if (strcmp(key, "--threads") == 0)
            job->n_threads = (int)strtol(value, NULL, 10);
        else if (strcmp(key, "--seed") == 0)
            job->seed = strtoull(value, NULL, 10);
        else {
            fprintf(stderr, "unknown argument %s\n", key);
            return -1;
        }
    }
    if (!base || !queries || !truth) {
        fprintf(
            stderr,
            "wanted: --base F --queries F --gt F [--metric M --spec S --set N --k K --threads N --cache DIR]\n");
        return -1;
    }
    if (vecs_open(&job->base, base) || vecs_open(&job->queries, queries) ||
        vecs_open(&job->truth, truth))
        return -1;
    if (job->queries.dim != job->base.dim || job->truth.n_rows < job->queries.n_rows ||
        job->k < 1 || (size_t)job->k > job->truth.dim) {
        fprintf(stderr, "base, queries and ground truth do not belong together\n");
        return -1;
    }
    return 0;
}

int driver_main(int argc, char **argv, const struct peer_engine *engine) {
    struct session s = {.engine = engine};
    char line[1024];
    if (read_arguments(&s.job, argc, argv) != 0) return 2;
    size_t n_queries = s.job.queries.n_rows;
    s.latency_cap = 64 * n_queries;
    s.queries = vecs_copy(&s.job.queries, engine->normalise && strcmp(s.job.metric, "cosine") == 0);
    s.ids = calloc(n_queries * (size_t)s.job.k, sizeof *s.ids);
    s.latency = calloc(s.latency_cap, sizeof *s.latency);
    if (!s.queries || !s.ids || !s.latency || obtain(&s) != 0) {
        fprintf(stderr, "%s: no index from %s: %s\n", engine->name, s.job.spec, strerror(errno));
        return 1;
    }
    while (fgets(line, sizeof line, stdin)) {
        if (strncmp(line, "run", 3) == 0)
            command_run(&s, line + 3);
        else if (strncmp(line, "quit", 4) == 0)
            break;
    }
    return 0;
}
