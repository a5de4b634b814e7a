/* Recall, MAP, nDCG and MRR of k nearest neighbours.
 *
 * The relevant ids of a query are the R <= k ids of its truth that are not missing; the i-th of them (from 1) has the
 * gain k - i + 1. An answer is a list of places 1..k, some of which may be missing.
 *
 *     recall       hits / R
 *     recall_ties  places that hit, or are as near as the R-th relevant id, at most R of them, / R
 *     AP           sum over hits at place p of (hits up to p) / p, / R
 *     nDCG         sum over hits at p of gain / log2(p + 1), / the same sum of the truth itself
 *     RR           1 / place of the truth's first id
 *
 * Invariants
 *   1. An id that an answer gives twice counts once, at its first place.
 *   2. recall <= recall_ties <= 1: a hit by id is a hit by distance too, so that distances that another program
 *      rounded otherwise cannot make a true neighbour wrong.
 *   3. A query without relevant ids is answered perfectly by any answer: 1 everywhere.
 *
 * Sources: Järvelin & Kekäläinen 2002 (nDCG); Manning, Raghavan & Schütze 2008, ch. 8 (AP, MRR). */
#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

/* An id and its place, from 0. */
struct placed {
    int64_t id;
    size_t place;
};

struct eval_scratch {
    size_t bytes, k, n;
    struct placed *truth; /* k, by id */
    struct placed *got;   /* k, by id */
    size_t *rank;         /* k: the truth's place of each place of the answer; RANK_* */
    double *recall;       /* n: a figure a query */
};

#define RANK_NONE  SIZE_MAX       /* not among the truth */
#define RANK_AGAIN (SIZE_MAX - 1) /* missing, or given at an earlier place */

struct eval_scratch *eval_scratch_new(size_t k, size_t n) {
    size_t a_place = 2 * sizeof(struct placed) + sizeof(size_t);
    size_t places, figures, bytes;
    if (!mem_mul(k, a_place, &places) || !mem_mul(n, sizeof(double), &figures) ||
        !mem_add(places, figures, &bytes) || !mem_add(bytes, sizeof(struct eval_scratch), &bytes))
        return NULL;
    struct eval_scratch *scratch = mem_new(NULL, bytes);
    if (!scratch) return NULL;
    scratch->bytes = bytes;
    scratch->k = k;
    scratch->n = n;
    scratch->truth = (struct placed *)(scratch + 1);
    scratch->got = scratch->truth + k;
    scratch->recall = (double *)(void *)(scratch->got + k);
    scratch->rank = (size_t *)(void *)(scratch->recall + n);
    return scratch;
}

void eval_scratch_free(struct eval_scratch *scratch) {
    if (scratch) mem_free(NULL, scratch, scratch->bytes);
}

static int compare_placed(const void *a, const void *b) {
    const struct placed *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static int compare_double(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The ids of a list that are not missing, by id; their number. */
static size_t sort_ids(const int64_t *ids, size_t n, struct placed *out) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= 0) out[count++] = (struct placed){ids[i], i};
    qsort(out, count, sizeof *out, compare_placed);
    return count;
}

/* Fill scratch->rank; R. Both lists are sorted by id, so one pass joins them. */
static size_t join(struct eval_scratch *scratch, const struct eval_answer *answer) {
    size_t n_truth = sort_ids(answer->truth, scratch->k, scratch->truth);
    size_t n_got = sort_ids(answer->got, answer->n_got, scratch->got);
    size_t relevant = 0, t = 0;
    for (size_t i = 0; i < n_truth; i++)
        relevant += i == 0 || scratch->truth[i].id != scratch->truth[i - 1].id;
    for (size_t i = 0; i < scratch->k; i++) scratch->rank[i] = RANK_AGAIN;
    for (size_t i = 0; i < n_got; i++) {
        const struct placed *got = &scratch->got[i];
        if (i > 0 && got->id == got[-1].id) continue;
        while (t < n_truth && scratch->truth[t].id < got->id) t++;
        bool hit = t < n_truth && scratch->truth[t].id == got->id;
        scratch->rank[got->place] = hit ? scratch->truth[t].place : RANK_NONE;
    }
    return relevant;
}

/* The distance of the last relevant id. */
static float worst_relevant(const struct eval_answer *answer, size_t k) {
    while (k > 1 && answer->truth[k - 1] < 0) k--;
    return answer->truth_dists[k - 1];
}

static double tied_recall(const struct eval_scratch *scratch, const struct eval_answer *answer,
                          size_t relevant) {
    if (!answer->got_dists) return (double)NAN;
    float worst = worst_relevant(answer, scratch->k);
    size_t hits = 0;
    for (size_t p = 0; p < answer->n_got; p++) {
        if (scratch->rank[p] == RANK_AGAIN) continue;
        float dist = answer->got_dists[p];
        bool near = answer->similarity ? dist >= worst : dist <= worst;
        hits += scratch->rank[p] != RANK_NONE || near;
    }
    return (double)(hits < relevant ? hits : relevant) / (double)relevant;
}

void eval_query(struct eval_scratch *scratch, const struct eval_answer *answer, kith_eval *out) {
    size_t relevant = join(scratch, answer);
    if (relevant == 0) {
        double ties = answer->got_dists ? 1.0 : (double)NAN;
        *out = (kith_eval){1.0, ties, 1.0, 1.0, 1.0, 1.0};
        return;
    }
    size_t hits = 0, first = 0;
    double precision = 0, gained = 0, ideal = 0, reciprocal = 0;
    while (answer->truth[first] < 0) first++;
    for (size_t p = 0; p < answer->n_got; p++) {
        size_t rank = scratch->rank[p];
        if (rank == RANK_NONE || rank == RANK_AGAIN) continue;
        double place = (double)p + 1;
        hits++;
        precision += (double)hits / place;
        gained += (double)(scratch->k - rank) / log2(place + 1);
        if (rank == first) reciprocal = 1 / place;
    }
    for (size_t i = 0; i < scratch->k; i++)
        if (answer->truth[i] >= 0) ideal += (double)(scratch->k - i) / log2((double)i + 2);
    *out = (kith_eval){.recall = (double)hits / (double)relevant,
                       .recall_ties = tied_recall(scratch, answer, relevant),
                       .map = precision / (double)relevant,
                       .ndcg = gained / ideal,
                       .mrr = reciprocal};
}

void eval_all(struct eval_scratch *scratch, const struct eval_run *run, kith_eval *out) {
    kith_eval sum = {0};
    for (size_t i = 0; i < run->n; i++) {
        struct eval_answer answer = {
            .got = run->got ? run->got + i * run->got_k : NULL,
            .got_dists = run->got_dists ? run->got_dists + i * run->got_k : NULL,
            .n_got = run->got_k < run->k ? run->got_k : run->k,
            .truth = run->truth + i * run->truth_k,
            .truth_dists = run->truth_dists ? run->truth_dists + i * run->truth_k : NULL,
            .similarity = run->similarity};
        kith_eval one;
        eval_query(scratch, &answer, &one);
        sum.recall += one.recall;
        sum.recall_ties += one.recall_ties;
        sum.map += one.map;
        sum.ndcg += one.ndcg;
        sum.mrr += one.mrr;
        scratch->recall[i] = run->got_dists ? one.recall_ties : one.recall;
    }
    double n = (double)run->n;
    qsort(scratch->recall, run->n, sizeof *scratch->recall, compare_double);
    size_t rank = run->n / 20 + (run->n % 20 != 0); /* ceil(n * 5 / 100), from 1 */
    *out = (kith_eval){sum.recall / n, sum.recall_ties / n, scratch->recall[rank - 1],
                       sum.map / n,    sum.ndcg / n,        sum.mrr / n};
}
