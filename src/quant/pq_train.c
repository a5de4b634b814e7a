/* What a product quantizer learns: k-means of each part by itself, one part after the other, each with all threads. */
#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"
#include "quant/kmeans.h"
#include "quant/pq_code.h"

/* Centroids of part j; those that rows are too few for repeat the first, and so are never the first of the nearest. */
static int train_part(struct pq *pq, uint32_t j, size_t n, const float *rows,
                      const struct quantizer_training *how, kith_error *err) {
    const size_t clusters = n < pq->k ? n : pq->k;
    float *centroids = pq->centroids + (size_t)j * pq->k * pq->part;
    const struct kmeans_rows part = {
        .n = n, .dim = pq->part, .values = rows + (size_t)j * pq->part, .stride = pq->base.dim};
    const struct kmeans_options options = {.n_clusters = clusters,
                                           .max_rows_per_centroid = PQ_SAMPLE / pq->k,
                                           .seed = bits_mix(pq->base.spec.seed + j),
                                           .threads = how->threads};
    TRY(kmeans_train(&options, &part, centroids, NULL, pq->base.owner, err));
    for (size_t i = clusters; i < pq->k; i++)
        memcpy(centroids + i * pq->part, centroids, pq->part * sizeof *centroids);
    return KITH_OK;
}

int pq_train(struct quantizer *quantizer, size_t n, const float *rows,
             const struct quantizer_training *how, kith_error *err) {
    struct pq *pq = (struct pq *)quantizer;
    const uint32_t m = quantizer->spec.m;
    if (n == 0) memset(pq->centroids, 0, (size_t)pq->k * quantizer->dim * sizeof(float));
    for (uint32_t j = 0; j < m && n > 0; j++) {
        TRY(train_part(pq, j, n, rows, how, err));
        if (how->progress) how->progress(how->context, j + 1, m);
    }
    pq_ready(pq);
    return KITH_OK;
}
