/* The answers to queries, and how they are shown. */
#include "answers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"

static int fail_memory(kith_error *err, size_t n, size_t k) {
    return format_fail(err, KITH_ENOMEM, -1, "no memory for %zu answers of %zu ids", n, k);
}

int answers_init(answers *a, size_t n, size_t k, kith_error *err) {
    a->n = n;
    a->k = k;
    a->start = k ? NULL : calloc(n + 1, sizeof *a->start);
    a->ids = k ? calloc(n, k * sizeof *a->ids) : NULL;
    a->dists = k ? calloc(n, k * sizeof *a->dists) : NULL;
    bool done = k ? a->ids && a->dists : a->start != NULL;
    return done ? KITH_OK : fail_memory(err, n, k);
}

void answers_free(answers *a) {
    free(a->start);
    free(a->ids);
    free(a->dists);
    *a = (answers){0};
}

static int reserve(answers *a, size_t n, kith_error *err) {
    if (n <= a->capacity) return KITH_OK;
    size_t wanted = a->capacity * 2 > n ? a->capacity * 2 : n;
    int64_t *ids = realloc(a->ids, wanted * sizeof *ids);
    if (ids) a->ids = ids;
    float *dists = realloc(a->dists, wanted * sizeof *dists);
    if (dists) a->dists = dists;
    if (!ids || !dists) return fail_memory(err, a->n, wanted);
    a->capacity = wanted;
    return KITH_OK;
}

int answers_range(answers *a, const kith_index *index, size_t first, size_t n, const float *queries,
                  float radius, const kith_search_params *params, kith_error *err) {
    kith_range_result *found;
    int code = kith_index_range_search(index, n, queries, radius, params, &found, err);
    if (code) return code;
    size_t used = (size_t)a->start[first];
    size_t n_found = (size_t)found->start[n];
    code = reserve(a, used + n_found, err);
    if (!code && n_found) {
        memcpy(a->ids + used, found->ids, n_found * sizeof *a->ids);
        memcpy(a->dists + used, found->dists, n_found * sizeof *a->dists);
    }
    for (size_t i = 0; i < n && !code; i++) a->start[first + i + 1] = used + found->start[i + 1];
    kith_range_result_free(found);
    return code;
}

int answers_pad(const answers *a, answers *out, kith_error *err) {
    size_t longest = 1;
    for (size_t i = 0; i < a->n; i++) {
        size_t n = (size_t)(a->start[i + 1] - a->start[i]);
        if (n > longest) longest = n;
    }
    *out = (answers){.metric = a->metric};
    int code = answers_init(out, a->n, longest, err);
    if (code) return code;
    float farthest = kith_metric_is_similarity(a->metric) ? -INFINITY : INFINITY;
    for (size_t i = 0; i < a->n; i++) {
        for (size_t j = 0; j < longest; j++) {
            bool there = a->start[i] + j < a->start[i + 1];
            out->ids[i * longest + j] = there ? a->ids[a->start[i] + j] : KITH_NO_ID;
            out->dists[i * longest + j] = there ? a->dists[a->start[i] + j] : farthest;
        }
    }
    return KITH_OK;
}

/* ---- output ----------------------------------------------------------------------------------------- */

/* Where the ids of query i lie; missing places at the end are left out. */
static size_t row_of(const answers *a, size_t i, const int64_t **ids, const float **dists) {
    size_t begin = a->k ? i * a->k : (size_t)a->start[i];
    size_t n = a->k ? a->k : (size_t)(a->start[i + 1] - a->start[i]);
    *ids = a->ids + begin;
    *dists = a->dists + begin;
    while (n && (*ids)[n - 1] == KITH_NO_ID) n--;
    return n;
}

void answers_print(const answers *a, const vectors *queries, const names *labels, FILE *file) {
    const char *value = kith_metric_is_similarity(a->metric) ? "similarity" : "distance";
    bool words = queries->words;
    fprintf(file, "%8s  %4s  %10s  %12s%s\n", "query", "rank", "id", value,
            labels->n ? "  name" : "");
    for (size_t i = 0; i < a->n; i++) {
        const int64_t *ids;
        const float *dists;
        size_t n = row_of(a, i, &ids, &dists);
        for (size_t j = 0; j < n; j++) {
            if (words)
                fprintf(file, "%8s", queries->words[i]);
            else
                fprintf(file, "%8lld", queries->ids ? (long long)queries->ids[i] : (long long)i);
            fprintf(file, "  %4zu  %10lld  %#12.6g%s%s\n", j + 1, (long long)ids[j],
                    (double)dists[j], labels->n ? "  " : "", name_of(labels, ids[j]));
        }
    }
}

void answers_print_json(const answers *a, const vectors *queries, const names *labels, FILE *file) {
    for (size_t i = 0; i < a->n; i++) {
        const int64_t *ids;
        const float *dists;
        size_t n = row_of(a, i, &ids, &dists);
        struct json_object *o = json_object_new_object();
        if (queries->words)
            json_add(o, "query", json_text(queries->words[i]));
        else
            json_add(o, "query",
                     json_object_new_int64(queries->ids ? queries->ids[i] : (int64_t)i));
        json_add(o, "ids", json_ids(ids, n));
        json_add(o, "distances", json_floats(dists, n));
        if (labels->n) {
            struct json_object *array = json_object_new_array();
            for (size_t j = 0; j < n; j++)
                json_object_array_add(array, json_text(name_of(labels, ids[j])));
            json_add(o, "names", array);
        }
        if (!json_print(o, file, false)) return;
    }
}

void answers_summary(const answers *a, size_t n_queries, double seconds, bool json, FILE *file) {
    size_t n_found = 0;
    for (size_t i = 0; i < a->n; i++) {
        const int64_t *ids;
        const float *dists;
        n_found += row_of(a, i, &ids, &dists);
    }
    double rate = seconds > 0 ? (double)n_queries / seconds : (double)NAN;
    if (json) {
        struct json_object *o = json_object_new_object();
        json_add(o, "queries", json_object_new_uint64(n_queries));
        json_add(o, "found", json_object_new_uint64(n_found));
        json_add(o, "wall_s", json_number(seconds, 6));
        json_add(o, "qps_wall", json_number(rate, 6));
        json_print(o, file, true);
        return;
    }
    char texts[4][32];
    fprintf(file, "%s queries, %s ids found in %s, %s queries/s\n",
            print_count(texts[0], (double)n_queries), print_count(texts[1], (double)n_found),
            print_seconds(texts[2], seconds), print_count(texts[3], rate));
}
