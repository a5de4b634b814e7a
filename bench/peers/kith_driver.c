/* Kith through its public header, measured by the same loop as its peers.
 *
 * Spec: Kith's own grammar, then options: HNSW32,SQ8,Refine,efc=200,alpha=1.1 | Flat | Flat,SQ8 | IVF256,SQ4,Refine,over=4
 * (over: the oversample of a refinement).
 * Run parameters: ef, oversample, exact. Vectors are given as they are; Kith normalises by itself.
 */
#include "driver.h"

#include <kith/kith.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kith_peer {
    kith_index *index;
    kith_search_params params;
};

static int complain(const char *what, const kith_error *err) {
    fprintf(stderr, "kith: %s: %s: %s\n", what, kith_code_name(err->code), err->text);
    return -1;
}

/* The words of the spec without "=": what Kith itself is given. */
static void description(const char *spec, char *out, size_t size) {
    size_t n_out = 0;
    for (const char *at = spec; *at;) {
        size_t n = strcspn(at, ",");
        if (!memchr(at, '=', n) && n_out + n + 2 < size) {
            if (n_out) out[n_out++] = ',';
            memcpy(out + n_out, at, n);
            n_out += n;
        }
        at += n + (at[n] == ',');
    }
    out[n_out] = 0;
}

static void *build(const struct peer_job *job, const float *rows) {
    kith_error err = {0};
    kith_metric metric;
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    kith_work work = KITH_WORK_INIT;
    char words[128], buf[64];
    struct kith_peer *peer = calloc(1, sizeof *peer);
    if (!peer) return NULL;
    description(job->spec, words, sizeof words);
    options.ef_construction = (uint32_t)spec_long(job->spec, "efc", 200);
    options.alpha = strtof(spec_text(job->spec, "alpha", "0", buf), NULL);
    options.seed = job->seed;
    work.threads = (uint32_t)job->n_threads;
    peer->params = (kith_search_params)KITH_SEARCH_PARAMS_INIT;
    peer->params.oversample = strtof(spec_text(job->spec, "over", "0", buf), NULL);
    if (kith_metric_parse(job->metric, &metric, &err) ||
        kith_index_new(&peer->index, job->base.dim, metric, words, &options, &err) ||
        kith_index_add(peer->index, job->base.n_rows, rows, NULL, &work, &err)) {
        complain(job->spec, &err);
        kith_index_free(peer->index);
        free(peer);
        return NULL;
    }
    return peer;
}

static void *load(const struct peer_job *job, const char *path) {
    kith_error err = {0};
    struct kith_peer *peer = calloc(1, sizeof *peer);
    (void)job;
    if (!peer) return NULL;
    peer->params = (kith_search_params)KITH_SEARCH_PARAMS_INIT;
    if (kith_index_open(&peer->index, path, KITH_OPEN_READ, &err) == KITH_OK) return peer;
    complain(path, &err);
    free(peer);
    return NULL;
}

static int save(void *index, const char *path) {
    kith_error err = {0};
    struct kith_peer *peer = index;
    return kith_index_save(peer->index, path, &err) ? complain(path, &err) : 0;
}

static int set(void *index, const char *key, double value) {
    struct kith_peer *peer = index;
    if (strcmp(key, "ef") == 0)
        peer->params.ef = peer->params.nprobe = (uint32_t)value; /* the effort, whichever it is */
    else if (strcmp(key, "oversample") == 0)
        peer->params.oversample = (float)value;
    else if (strcmp(key, "exact") == 0)
        peer->params.exact = value != 0;
    else
        return -1;
    return 0;
}

static void search_batch(void *index, const float *queries, size_t n_queries, int k, int64_t *ids) {
    kith_error err = {0};
    struct kith_peer *peer = index;
    peer->params.k = (uint32_t)k;
    if (kith_index_search(peer->index, n_queries, queries, &peer->params, ids, NULL, &err)) {
        complain("search", &err);
        exit(1);
    }
}

static void search(void *index, const float *query, int k, int64_t *ids) {
    search_batch(index, query, 1, k, ids);
}

static size_t bytes(void *index) {
    kith_index_stats stats;
    kith_index_stats_get(((struct kith_peer *)index)->index, &stats);
    return (size_t)stats.bytes;
}

int main(int argc, char **argv) {
    static const struct peer_engine engine = {
        .name = "kith",
        .version = kith_version,
        .build = build,
        .load = load,
        .save = save,
        .set = set,
        .search = search,
        .search_batch = search_batch,
        .bytes = bytes,
    };
    return driver_main(argc, argv, &engine);
}
