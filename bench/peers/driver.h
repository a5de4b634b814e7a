/* The one timing loop that every engine with a C or C++ interface is measured by.
 *
 * An engine is a table of functions (struct peer_engine); driver_main does everything else: it reads
 * the vectors, builds the index or loads it from the cache, announces itself in one line of JSON, and
 * then answers one command a line on stdin:
 *
 *   run KEY=VALUE ...   set the parameters, search every query once to warm up a tenth of them and then in whole
 *                       passes for at least `seconds`; answer recall, CPU and wall seconds, percentiles
 *   quit                leave
 *
 * What is timed is the call of `search` and nothing else: queries are normalised beforehand where the
 * engine wants that, recall is computed afterwards. faiss_driver.py speaks the same protocol.
 */
#ifndef KITH_PEERS_DRIVER_H
#define KITH_PEERS_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A mapped .fvecs or .ivecs file; row i lies behind its own dimension word. */
struct vecs {
    const unsigned char *bytes;
    size_t n_bytes;
    size_t n_rows;
    size_t dim;
};

struct peer_job {
    struct vecs base, queries, truth;
    const char *metric; /* "l2", "cosine" or "ip" */
    const char *spec;   /* the engine's own words, KEY=VALUE separated by commas */
    const char *cache;  /* folder of built indexes, or NULL */
    const char *set;    /* name of the data set, part of the cache's file name */
    int k;
    int n_threads; /* for building only */
    uint64_t seed;
};

struct peer_engine {
    const char *name;
    const char *(*version)(void);
    int normalise; /* 1: under cosine the engine is given unit vectors */
    /* Build from rows[n_rows][dim]; NULL on failure, after a message on stderr. */
    void *(*build)(const struct peer_job *job, const float *rows);
    void *(*load)(const struct peer_job *job, const char *path);
    int (*save)(void *index, const char *path);
    /* Take one parameter of a run; return 0, or -1 if the key is unknown. */
    int (*set)(void *index, const char *key, double value);
    /* Write the k nearest rows to ids, -1 where there are fewer. */
    void (*search)(void *index, const float *query, int k, int64_t *ids);
    /* Optional: all queries[n_queries][dim] in one call. */
    void (*search_batch)(void *index, const float *queries, size_t n_queries, int k, int64_t *ids);
    /* Optional: bytes in memory; otherwise the size of the saved file is reported. */
    size_t (*bytes)(void *index);
};

int driver_main(int argc, char **argv, const struct peer_engine *engine);

/* --- vecs.c ------------------------------------------------------------------------------- */

int vecs_open(struct vecs *v, const char *path);
const float *vecs_row(const struct vecs *v, size_t row);
/* All rows without their dimension words, scaled to unit length if asked; the caller frees. */
float *vecs_copy(const struct vecs *v, int normalise);

/* Value of KEY in "KEY=VALUE,KEY=VALUE", or `otherwise`. Copies text values into buf. */
long spec_long(const char *spec, const char *key, long otherwise);
const char *spec_text(const char *spec, const char *key, const char *otherwise, char buf[64]);

struct recall {
    double by_ties; /* a hit is as near as the k-th true neighbour; the figure to report */
    double by_ids;  /* a hit is one of the first k ids of the ground truth */
    double p5;      /* 5th percentile over the queries of by_ties */
};

struct recall recall_of(const struct peer_job *job, const int64_t *ids);

#ifdef __cplusplus
}
#endif
#endif
