/* codebench: what each code keeps of real vectors. Makes the tables of docs/codes.md.
 *
 *   codebench [-s SET] [-c CODE] [-x TRANSFORMS] [-q QUERIES] [-t THREADS]
 *
 * -s and -c: only sets, codes whose name contains the word. -x: codes of transformed vectors, as in -x PCA64 or
 * -x OPQ49,L2norm; truth and refinement stay those of the vectors themselves, bytes are of a transformed one, and the
 * relative error is of it too. Under cosine the transforms are those of inner products.
 *
 * For each set of vectors and each code: bytes a vector; compression, against f32; relative error, the sum of |x - x~|^2
 * over that of |x|^2; and recall@10 of a whole scan by codes: by the estimates alone, by the exact scores of the best 100
 * estimates, and by the true distances of the best 40 and 100 ("refined 4 x, 10 x"). ns is the time of one estimate, CPU
 * time of a thread. Everything that quantizer_new makes comes in by itself, as do the plain codes of code.h; where a code
 * has free parameters they are named in it. Under cosine, vectors are scaled to length 1 and scored by inner product.
 * "In lists": what is coded is the residual from the nearest of 256 centres (fewer, where a list would have fewer than 16
 * rows); all lists are scanned.
 *
 * Sets are the repository's samples and, where they are, those below KITH_DATA. Truth is the exact float scan; a result
 * counts when its true distance is not above the 10th true one, so that ties count rightly. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"
#include "index/pretransform.h"
#include "kern/kern.h"
#include "quant/code.h"
#include "quant/kmeans.h"
#include "quant/quantizer.h"
#include "quant/sq.h"
#include "vectors.h"

enum { K = 10, POOL = 100, CHUNK = 1024, LISTS = 256, LIST_ROWS = 16 };

static const struct set {
    const char *name, *base, *queries;
    bool source; /* of the repository, not of KITH_DATA */
    kith_metric metric;
} sets[] = {
    {"samples", "samples/glosses.f16.npy", "samples/queries.f16.npy", true, KITH_METRIC_COSINE},
    {"mnist-784", "mnist-784/base.u8.npy.gz", "mnist-784/queries.u8.npy.gz", false, KITH_METRIC_L2},
    {"wordnet-sg-100", "wordnet-sg-100/base.f32.npy", "wordnet-sg-100/queries.f32.npy", false,
     KITH_METRIC_COSINE},
    {"glove-twitter-25", "glove-twitter-25/base.f32.npy", "glove-twitter-25/queries.f32.npy", false,
     KITH_METRIC_L2},
    {"sift-5k", "sift-5k/base.fvecs", "sift-5k/queries.fvecs", false, KITH_METRIC_L2},
    {"bge-m3-1024", "bge-m3-1024/base.f32.npy", "bge-m3-1024/queries.f32.npy", false,
     KITH_METRIC_COSINE},
};

/* m counts sixteenths of dim: of the divisors of dim, the greatest not above. */
static const struct entry {
    const char *name;
    bool in_lists;
    struct quantizer_spec spec;
} entries[] = {
    {"SQ8", false, {.kind = QUANT_SQ, .bits = 8, .clip = SQ_CLIP_FIT}},
    {"SQ6", false, {.kind = QUANT_SQ, .bits = 6, .clip = SQ_CLIP_FIT}},
    {"SQ4", false, {.kind = QUANT_SQ, .bits = 4, .clip = SQ_CLIP_FIT}},
    {"SQ8, whole range", false, {.kind = QUANT_SQ, .bits = 8}},
    {"SQ4, whole range", false, {.kind = QUANT_SQ, .bits = 4}},
    {"SQ8, one range", false, {.kind = QUANT_SQ, .bits = 8, .uniform = true, .clip = SQ_CLIP_FIT}},
    {"SQ4, one range", false, {.kind = QUANT_SQ, .bits = 4, .uniform = true, .clip = SQ_CLIP_FIT}},
    {"PQ d/2 x 8", false, {.kind = QUANT_PQ, .bits = 8, .m = 8}},
    {"PQ d/4 x 8", false, {.kind = QUANT_PQ, .bits = 8, .m = 4}},
    {"PQ d/8 x 8", false, {.kind = QUANT_PQ, .bits = 8, .m = 2}},
    {"PQ d/2 x 4", false, {.kind = QUANT_PQ, .bits = 4, .m = 8}},
    {"PQ d/4 x 4", false, {.kind = QUANT_PQ, .bits = 4, .m = 4}},
    {"RaBitQ 8", false, {.kind = QUANT_RABITQ, .bits = 8}},
    {"RaBitQ 4", false, {.kind = QUANT_RABITQ, .bits = 4}},
    {"RaBitQ 3", false, {.kind = QUANT_RABITQ, .bits = 3}},
    {"RaBitQ 2", false, {.kind = QUANT_RABITQ, .bits = 2}},
    {"RaBitQ 1", false, {.kind = QUANT_RABITQ, .bits = 1}},
    {"Binary", false, {.kind = QUANT_BINARY}},
    {"SQ4 in lists", true, {.kind = QUANT_SQ, .bits = 4, .clip = SQ_CLIP_FIT}},
    {"PQ d/4 x 8 in lists", true, {.kind = QUANT_PQ, .bits = 8, .m = 4}},
    {"PQ d/2 x 4 in lists", true, {.kind = QUANT_PQ, .bits = 4, .m = 8}},
    {"RaBitQ 4 in lists", true, {.kind = QUANT_RABITQ, .bits = 4}},
    {"RaBitQ 1 in lists", true, {.kind = QUANT_RABITQ, .bits = 1}},
};

static const enum code_kind plain[] = {CODE_F16, CODE_BF16, CODE_SQ8, CODE_U8};

static const char *only_set = "", *only_code = "", *transforms = NULL;
static size_t most_queries = 1000;
static uint32_t threads = 1;

/* One set, read, and one code of it: a quantizer or a plain code. */
struct bench {
    struct vectors base, queries;
    struct vectors coded, asked; /* the same as they are coded: transformed, or just the same */
    kith_metric metric;          /* of the arithmetic: L2 or IP */
    float *kth;                  /* a query: its K-th true distance */
    struct quantizer *quantizer;
    struct code *code;
    size_t n_lists; /* 0: whole vectors are coded */
    float *centres;
    uint32_t *list; /* a row */
    uint8_t *codes;
    size_t stride;
    double *error;        /* a row */
    unsigned (*found)[4]; /* a query */
    double *score_ns;     /* a query */
};

static void *must(void *p) {
    if (p) return p;
    fprintf(stderr, "codebench: no memory\n");
    exit(1);
}

static double thread_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* ---- Sets -------------------------------------------------------------------------------------- */

/* .fvecs: a row is its dimension (i32) and as many f32. */
static bool read_fvecs(struct vectors *out, const char *path) {
    const char *root = getenv("KITH_DATA");
    char whole[512];
    snprintf(whole, sizeof whole, "%s/%s", root ? root : "../shared/data", path);
    FILE *file = fopen(whole, "rb");
    int32_t dim;
    if (!file) return false;
    if (fread(&dim, 4, 1, file) != 1 || dim < 1 || dim > 65536) exit(1);
    fseek(file, 0, SEEK_END);
    *out = vectors_new((size_t)ftell(file) / (4 + 4 * (size_t)dim), (size_t)dim);
    rewind(file);
    for (size_t i = 0; i < out->n; i++)
        if (fread(&dim, 4, 1, file) != 1 ||
            fread(out->x + i * out->dim, 4, out->dim, file) != out->dim)
            exit(1);
    fclose(file);
    return true;
}

static bool read_vectors(struct vectors *out, const struct set *set, const char *path,
                         size_t most) {
    if (strstr(path, ".fvecs")) return read_fvecs(out, path);
    return set->source ? vectors_read_source(out, path, most) : vectors_read_data(out, path, most);
}

static void scale_to_one(struct vectors *v) {
    for (size_t i = 0; i < v->n; i++) {
        float *x = v->x + i * v->dim, inv = kern_inv_length(kern_get(), KITH_TYPE_F32, x, v->dim);
        for (size_t j = 0; j < v->dim; j++) x[j] *= inv;
    }
}

static float distance(const struct bench *b, const float *query, size_t row) {
    const bool l2 = b->metric == KITH_METRIC_L2;
    float sum = kern_get()->pair[KITH_TYPE_F32][l2 ? KERN_L2SQ : KERN_DOT](
        query, vectors_at(&b->base, row), b->base.dim);
    return l2 ? sum : -sum;
}

/* ---- The nearest of a scan ---------------------------------------------------------------------- */

struct hit {
    float score;
    uint32_t row;
};

static int by_score(const void *a, const void *b) {
    const struct hit *x = a, *y = b;
    return x->score != y->score ? (x->score > y->score) - (x->score < y->score)
                                : (x->row > y->row) - (x->row < y->row);
}

/* The best POOL of what was offered; hits has room for twice as many. */
struct pool {
    struct hit hits[2 * POOL];
    size_t n;
    float limit;
};

static void pool_cut(struct pool *pool) {
    qsort(pool->hits, pool->n, sizeof *pool->hits, by_score);
    if (pool->n >= POOL) pool->n = POOL, pool->limit = pool->hits[POOL - 1].score;
}

static void pool_offer(struct pool *pool, size_t n, const float *scores, uint32_t row) {
    for (size_t i = 0; i < n; i++) {
        if (!(scores[i] < pool->limit)) continue;
        pool->hits[pool->n++] = (struct hit){scores[i], row + (uint32_t)i};
        if (pool->n == 2 * POOL) pool_cut(pool);
    }
}

static void find_truth(void *context, uint32_t worker, size_t begin, size_t end) {
    (void)worker;
    const struct bench *b = context;
    float dist[CHUNK];
    for (size_t q = begin; q < end; q++) {
        struct pool pool = {.limit = INFINITY};
        for (size_t at = 0, n; at < b->base.n; at += n) {
            n = b->base.n - at < CHUNK ? b->base.n - at : CHUNK;
            for (size_t i = 0; i < n; i++)
                dist[i] = distance(b, vectors_at(&b->queries, q), at + i);
            pool_offer(&pool, n, dist, (uint32_t)at);
        }
        pool_cut(&pool);
        b->kth[q] = pool.hits[(b->base.n < K ? b->base.n : K) - 1].score;
    }
}

/* ---- Codes ------------------------------------------------------------------------------------- */

static void encode_rows(void *context, uint32_t worker, size_t begin, size_t end) {
    (void)worker;
    const struct bench *b = context;
    const size_t dim = b->coded.dim;
    float *decoded = must(malloc(dim * sizeof(float)));
    for (size_t i = begin; i < end; i++) {
        const float *x = vectors_at(&b->coded, i);
        const float *centre = b->n_lists ? b->centres + b->list[i] * dim : NULL;
        uint8_t *code = b->codes + i * b->stride;
        if (b->quantizer) {
            b->quantizer->ops->encode(b->quantizer, 1, x, centre, code, NULL);
            b->quantizer->ops->decode(b->quantizer, code, decoded);
        } else {
            code_encode(b->code, x, code);
            code_decode(b->code, code, decoded);
        }
        double sum = 0;
        for (size_t j = 0; j < dim; j++) {
            double left = (double)x[j] - (double)decoded[j] - (centre ? (double)centre[j] : 0);
            sum += left * left;
        }
        b->error[i] = sum;
    }
    free(decoded);
}

/* A scorer of either kind. */
struct scoring {
    const struct bench *b;
    struct quantizer_scorer *of_quantizer;
    struct scorer of_code;
    float base[LISTS]; /* of each list: quantizer.h */
};

static void set_query(struct scoring *s, const float *query) {
    const struct bench *b = s->b;
    const bool l2 = b->metric == KITH_METRIC_L2;
    if (s->of_quantizer)
        b->quantizer->ops->set_query(s->of_quantizer, query);
    else
        scorer_set_query(&s->of_code, query);
    for (size_t c = 0; c < b->n_lists; c++) {
        float sum = kern_get()->pair[KITH_TYPE_F32][l2 ? KERN_L2SQ : KERN_DOT](
            query, b->centres + c * b->coded.dim, b->coded.dim);
        s->base[c] = l2 ? sum : -sum;
    }
}

static void score_rows(struct scoring *s, size_t at, size_t n, float *scores) {
    const uint8_t *codes = s->b->codes + at * s->b->stride;
    if (s->of_quantizer)
        s->b->quantizer->ops->rows(s->of_quantizer, codes, s->b->stride, n, scores);
    else
        scorer_rows(&s->of_code, codes, n, scores);
    for (size_t i = 0; i < n && s->b->n_lists; i++) scores[i] += s->base[s->b->list[at + i]];
}

static float exact_score(struct scoring *s, uint32_t row) {
    const uint8_t *code = s->b->codes + row * s->b->stride;
    const float base = s->b->n_lists ? s->base[s->b->list[row]] : 0;
    return base + (s->of_quantizer ? s->b->quantizer->ops->score(s->of_quantizer, code)
                                   : scorer_exact_one(&s->of_code, code));
}

/* How many of the best K of the first n hits are true, after these were given new scores (or not). */
static unsigned count_true(const struct bench *b, size_t q, struct hit *hits, size_t n) {
    unsigned found = 0;
    qsort(hits, n, sizeof *hits, by_score);
    for (size_t i = 0; i < K && i < n; i++)
        found += distance(b, vectors_at(&b->queries, q), hits[i].row) <= b->kth[q];
    return found;
}

static void search_one(struct scoring *s, size_t q) {
    const struct bench *b = s->b;
    const float *query = vectors_at(&b->queries, q);
    struct pool pool = {.limit = INFINITY};
    struct hit hits[POOL];
    float scores[CHUNK];
    double ns = 0;
    const float *asked = vectors_at(&b->asked, q);
    set_query(s, asked);
    for (size_t at = 0, n; at < b->base.n; at += n) {
        n = b->base.n - at < CHUNK ? b->base.n - at : CHUNK;
        double from = thread_ns();
        score_rows(s, at, n, scores);
        ns += thread_ns() - from;
        pool_offer(&pool, n, scores, (uint32_t)at);
    }
    pool_cut(&pool);
    const size_t depths[4] = {K, pool.n, 4 * K, POOL};
    for (int way = 0; way < 4; way++) {
        const size_t n = depths[way] < pool.n ? depths[way] : pool.n;
        memcpy(hits, pool.hits, n * sizeof *hits);
        for (size_t i = 0; i < n && way > 0; i++)
            hits[i].score =
                way == 1 ? exact_score(s, hits[i].row) : distance(b, query, hits[i].row);
        b->found[q][way] = count_true(b, q, hits, n);
    }
    b->score_ns[q] = ns / (double)b->base.n;
}

static void search_queries(void *context, uint32_t worker, size_t begin, size_t end) {
    (void)worker;
    const struct bench *b = context;
    struct scoring s = {.b = b};
    size_t bytes =
        b->quantizer ? b->quantizer->ops->scorer_bytes(b->quantizer) : scorer_bytes(b->code);
    void *scratch = must(aligned_alloc(64, (bytes + 63) / 64 * 64));
    if (b->quantizer) {
        s.of_quantizer = scratch;
        b->quantizer->ops->scorer_init(b->quantizer, scratch);
    } else {
        scorer_init(&s.of_code, b->code, scratch);
    }
    for (size_t q = begin; q < end; q++) search_one(&s, q);
    free(scratch);
}

/* ---- The table --------------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct bench *b, const char *name) {
    const size_t n = b->base.n, n_q = b->queries.n, dim = b->coded.dim;
    double error = 0, length = 0, found[4] = {0};
    b->codes = must(aligned_alloc(64, (n * b->stride + 127) / 64 * 64));
    thread_for(threads, n, 256, encode_rows, b);
    for (size_t i = 0; i < n; i++) error += b->error[i];
    for (size_t i = 0; i < n * dim; i++) length += (double)b->coded.x[i] * (double)b->coded.x[i];
    thread_for(threads, n_q, 16, search_queries, b);
    for (size_t q = 0; q < n_q; q++)
        for (int way = 0; way < 4; way++) found[way] += b->found[q][way];
    qsort(b->score_ns, n_q, sizeof *b->score_ns, compare_doubles);
    printf("| %s | %zu | %.1f | %.2e |", name, b->stride,
           4 * (double)b->base.dim / (double)b->stride, error / length);
    for (int way = 0; way < 4; way++) printf(" %.4f |", found[way] / (double)(K * n_q));
    printf(" %.1f |\n", b->score_ns[n_q / 2]);
    fflush(stdout);
    free(b->codes);
}

static void check(int code, const char *name, const kith_error *err) {
    if (code == KITH_OK) return;
    fprintf(stderr, "codebench: %s: %s\n", name, err->text);
    exit(1);
}

/* Centres, each row's list, and the residuals (the caller's to free). */
static float *make_lists(struct bench *b, const char *name) {
    const size_t n = b->coded.n, dim = b->coded.dim;
    const struct kmeans_rows rows = {.n = n, .dim = dim, .values = b->coded.x};
    struct kmeans_options options = {.threads = threads};
    struct kmeans_set *set;
    kith_error err;
    options.n_clusters = n / LIST_ROWS < LISTS ? n / LIST_ROWS : LISTS;
    b->centres = must(malloc(options.n_clusters * dim * sizeof(float)));
    b->list = must(malloc(n * sizeof *b->list));
    float *left = must(malloc(n * dim * sizeof(float)));
    check(kmeans_train(&options, &rows, b->centres, NULL, NULL, &err), name, &err);
    check(kmeans_set_new(&set, KITH_METRIC_L2, options.n_clusters, dim, b->centres, NULL, &err),
          name, &err);
    const struct kmeans_found found = {.most = 1, .which = b->list};
    check(kmeans_find(set, &rows, &found, threads, &err), name, &err);
    kmeans_set_free(set);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < dim; j++)
            left[i * dim + j] = b->coded.x[i * dim + j] - b->centres[b->list[i] * dim + j];
    b->n_lists = options.n_clusters;
    return left;
}

static void forget_lists(struct bench *b) {
    free(b->centres);
    free(b->list);
    b->n_lists = 0;
}

static void measure_quantizer(struct bench *b, const struct entry *entry) {
    const struct quantizer_training how = {.threads = threads};
    const uint32_t dim = (uint32_t)b->coded.dim;
    struct quantizer_spec spec = entry->spec;
    kith_error err;
    if (spec.m) {
        spec.m = spec.m * dim / 16;
        while (spec.m > 1 && dim % spec.m) spec.m--;
    }
    if (quantizer_new(&b->quantizer, &spec, b->metric, dim, NULL, &err) != KITH_OK) return;
    float *residuals = entry->in_lists ? make_lists(b, entry->name) : NULL;
    const float *learnt = residuals ? residuals : b->coded.x;
    check(b->quantizer->ops->train(b->quantizer, b->coded.n, learnt, &how, &err), entry->name,
          &err);
    free(residuals);
    b->stride = b->quantizer->bytes;
    measure(b, entry->name);
    if (entry->in_lists) forget_lists(b);
    quantizer_free(b->quantizer);
    b->quantizer = NULL;
}

static void measure_plain(struct bench *b, enum code_kind kind) {
    struct code code;
    kith_error err;
    if (!strstr(code_kind_name(kind), only_code)) return;
    if (kind == CODE_U8 && !code_is_integral(b->coded.n * b->coded.dim, b->coded.x)) return;
    if (code_init(&code, kind, b->metric, (uint32_t)b->coded.dim, NULL, &err) != KITH_OK) exit(1);
    code_train(&code, b->coded.n, b->coded.x);
    b->code = &code;
    b->stride = code.stride;
    measure(b, code_kind_name(kind));
    b->code = NULL;
    code_deinit(&code, NULL);
}

/* Vectors as an index of the description has them behind its transforms, which learn from the base. */
static void transform(struct bench *b) {
    const struct transform_chain *chain;
    char spec[256];
    kith_index *index;
    kith_error err;
    kith_work work = KITH_WORK_INIT;
    work.threads = threads;
    b->coded = b->base;
    b->asked = b->queries;
    if (!transforms) return;
    snprintf(spec, sizeof spec, "%s,Flat", transforms);
    if (kith_index_new(&index, b->base.dim, b->metric, spec, NULL, &err) != KITH_OK ||
        kith_index_train(index, b->base.n, b->base.x, &work, &err) != KITH_OK ||
        (chain = index_pre_chain(index)) == NULL) {
        fprintf(stderr, "codebench: %s\n", err.text);
        exit(1);
    }
    b->coded = vectors_new(b->base.n, chain->d_out);
    b->asked = vectors_new(b->queries.n, chain->d_out);
    float *scratch = must(malloc((transform_chain_scratch(chain, b->base.n) + 1) * sizeof(float)));
    transform_chain_apply(chain, threads, b->base.n, b->base.x, b->coded.x, scratch);
    transform_chain_apply(chain, threads, b->queries.n, b->queries.x, b->asked.x, scratch);
    free(scratch);
    kith_index_free(index);
}

static void measure_set(const struct set *set) {
    struct bench b = {.metric = KITH_METRIC_L2};
    if (!read_vectors(&b.base, set, set->base, SIZE_MAX) ||
        !read_vectors(&b.queries, set, set->queries, most_queries)) {
        printf("\n%s: not there\n", set->name);
        return;
    }
    if (b.queries.n > most_queries) b.queries.n = most_queries;
    if (set->metric == KITH_METRIC_COSINE) {
        b.metric = KITH_METRIC_IP;
        scale_to_one(&b.base);
        scale_to_one(&b.queries);
    }
    transform(&b);
    b.kth = must(calloc(b.queries.n, sizeof *b.kth));
    b.error = must(calloc(b.base.n, sizeof *b.error));
    b.found = must(calloc(b.queries.n, sizeof *b.found));
    b.score_ns = must(calloc(b.queries.n, sizeof *b.score_ns));
    thread_for(threads, b.queries.n, 4, find_truth, &b);
    printf("\n### %s: %zu x %zu, %s, %zu queries%s%s\n\n", set->name, b.base.n, b.base.dim,
           b.metric == KITH_METRIC_L2 ? "L2" : "cosine", b.queries.n, transforms ? ", behind " : "",
           transforms ? transforms : "");
    printf("| code | bytes | of f32 1/ | relative error | estimates | exact scores | refined 4 x "
           "| refined 10 x | ns |\n|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) measure_plain(&b, plain[i]);
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (strstr(entries[i].name, only_code)) measure_quantizer(&b, &entries[i]);
    free(b.kth);
    free(b.error);
    free(b.found);
    free(b.score_ns);
    if (transforms) {
        vectors_free(&b.coded);
        vectors_free(&b.asked);
    }
    vectors_free(&b.base);
    vectors_free(&b.queries);
}

int main(int argc, char **argv) {
    for (int c; (c = getopt(argc, argv, "s:c:x:q:t:")) != -1;) switch (c) {
        case 's': only_set = optarg; break;
        case 'c': only_code = optarg; break;
        case 'x': transforms = optarg; break;
        case 'q': most_queries = strtoul(optarg, NULL, 10); break;
        case 't': threads = (uint32_t)strtoul(optarg, NULL, 10); break;
        default:
            fprintf(
                stderr,
                "usage: codebench [-s SET] [-c CODE] [-x TRANSFORMS] [-q QUERIES] [-t THREADS]\n");
            return 2;
        }
    if (most_queries == 0 || threads == 0 || threads > THREAD_MAX) {
        fprintf(stderr, "codebench: at least one query, and 1 to %u threads\n", THREAD_MAX);
        return 2;
    }
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (strstr(sets[i].name, only_set)) measure_set(&sets[i]);
    return 0;
}
