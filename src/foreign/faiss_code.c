/* Codes on the wire: product, scalar and RaBitQ quantisers.
 *
 *     PQ       u64 d, u64 M, u64 nbits, counted f32 centroids
 *     SQ       i32 qtype, i32 rangestat, f32 rangestat_arg, u64 d, u64 code_size, counted f32 trained
 *     RaBitQ   u64 d, u64 code_size, i32 metric, and u64 nb_bits under the tags of more than one bit
 *
 * code_size is checked against what the kind of code and d ask for, so that a row of codes is what faiss.h says. */
#include "foreign/faiss_wire.h"

int wire_pq(struct wire *wire, struct faiss_pq *pq, const struct faiss_node *node) {
    TRY(wire_u64(wire, &pq->d));
    TRY(wire_u64(wire, &pq->M));
    TRY(wire_u64(wire, &pq->nbits));
    WIRE_CHECK(wire, pq->d == (uint64_t)node->d,
               "product quantiser of %llu dimensions in an index of %d", (unsigned long long)pq->d,
               node->d);
    WIRE_CHECK(wire, pq->M >= 1 && pq->M <= pq->d && pq->d % pq->M == 0,
               "product quantiser of %llu parts for %llu dimensions", (unsigned long long)pq->M,
               (unsigned long long)pq->d);
    WIRE_CHECK(wire, pq->nbits >= 1 && pq->nbits <= 24,
               "product quantiser of %llu bits a part, 1 to 24 are possible",
               (unsigned long long)pq->nbits);
    TRY(wire_array(wire, &pq->centroids, sizeof(float), "centroids"));
    WIRE_CHECK(wire, pq->centroids.n == pq->d << pq->nbits,
               "%llu numbers in the centroids of %llu x 2^%llu",
               (unsigned long long)pq->centroids.n, (unsigned long long)pq->d,
               (unsigned long long)pq->nbits);
    return KITH_OK;
}

/* Bytes of a code and numbers learnt, of the kinds that are read. */
static bool sq_sizes(int32_t qtype, uint64_t d, uint64_t *code_size, uint64_t *n_trained) {
    *n_trained = 0;
    switch (qtype) {
    case FAISS_SQ_8BIT: *n_trained = 2 * d; break;
    case FAISS_SQ_4BIT:
    case FAISS_SQ_6BIT: *n_trained = 2 * d; break;
    case FAISS_SQ_8BIT_UNIFORM:
    case FAISS_SQ_4BIT_UNIFORM: *n_trained = 2; break;
    default: break;
    }
    switch (qtype) {
    case FAISS_SQ_8BIT:
    case FAISS_SQ_8BIT_UNIFORM:
    case FAISS_SQ_8BIT_DIRECT:
    case FAISS_SQ_8BIT_DIRECT_SIGNED: *code_size = d; return true;
    case FAISS_SQ_4BIT:
    case FAISS_SQ_4BIT_UNIFORM: *code_size = (d + 1) / 2; return true;
    case FAISS_SQ_6BIT: *code_size = (6 * d + 7) / 8; return true;
    case FAISS_SQ_FP16:
    case FAISS_SQ_BF16: *code_size = 2 * d; return true;
    default: return false;
    }
}

static const char *sq_refused(int32_t qtype) {
    if (qtype == 9) return "0 bits";
    if (qtype >= 10 && qtype <= 18) return "TurboQuant";
    if (qtype >= 19 && qtype <= 26) return "EDEN";
    return "unknown";
}

int wire_sq(struct wire *wire, struct faiss_sq *sq, const struct faiss_node *node) {
    uint64_t code_size, n_trained;
    TRY(wire_i32(wire, &sq->qtype));
    if (!sq_sizes(sq->qtype, (uint64_t)node->d, &code_size, &n_trained))
        return WIRE_FAIL_AS(wire, KITH_EUNSUPPORTED,
                            "scalar quantiser type %d (%s) is not supported", sq->qtype,
                            sq_refused(sq->qtype));
    TRY(wire_i32(wire, &sq->rangestat));
    TRY(wire_f32(wire, &sq->rangestat_arg));
    TRY(wire_u64(wire, &sq->d));
    TRY(wire_u64(wire, &sq->code_size));
    WIRE_CHECK(wire, sq->d == (uint64_t)node->d && sq->code_size == code_size,
               "scalar quantiser of %llu dimensions in %llu bytes, of %d in %llu wanted",
               (unsigned long long)sq->d, (unsigned long long)sq->code_size, node->d,
               (unsigned long long)code_size);
    TRY(wire_array(wire, &sq->trained, sizeof(float), "scalar quantiser"));
    WIRE_CHECK(wire, sq->trained.n == n_trained || (sq->trained.n == 0 && !node->is_trained),
               "scalar quantiser type %d with %llu learnt numbers, %llu wanted", sq->qtype,
               (unsigned long long)sq->trained.n, (unsigned long long)n_trained);
    return KITH_OK;
}

static uint64_t rabitq_code_size(uint64_t d, uint64_t nb_bits) {
    uint64_t signs = (d + 7) / 8, f32 = sizeof(float);
    if (nb_bits == 1) return signs + 2 * f32;
    return signs + 3 * f32 + (d * (nb_bits - 1) + 7) / 8 + 2 * f32;
}

int wire_rabitq(struct wire *wire, struct faiss_rabitq *rabitq, const struct faiss_node *node,
                bool many_bits) {
    TRY(wire_u64(wire, &rabitq->d));
    TRY(wire_u64(wire, &rabitq->code_size));
    TRY(wire_i32(wire, &rabitq->metric));
    if (!wire->writing) rabitq->nb_bits = 1;
    if (many_bits) TRY(wire_u64(wire, &rabitq->nb_bits));
    WIRE_CHECK(wire, rabitq->nb_bits >= 1 && rabitq->nb_bits <= 9,
               "RaBitQ of %llu bits, 1 to 9 are possible", (unsigned long long)rabitq->nb_bits);
    WIRE_CHECK(wire, rabitq->metric == node->metric,
               "RaBitQ for metric %d in an index of metric %d", rabitq->metric, node->metric);
    uint64_t code_size = rabitq_code_size((uint64_t)node->d, rabitq->nb_bits);
    WIRE_CHECK(wire, rabitq->d == (uint64_t)node->d && rabitq->code_size == code_size,
               "RaBitQ of %llu dimensions in %llu bytes, of %d in %llu wanted",
               (unsigned long long)rabitq->d, (unsigned long long)rabitq->code_size, node->d,
               (unsigned long long)code_size);
    return KITH_OK;
}
