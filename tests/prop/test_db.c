/* Any sequence of operations on a collection leaves what a model of arrays and linear scans says, through openings too. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <kith/db.h>

#include "base/bits.h"

enum { N = 30, DIM = 4, ROUNDS = 250 };

/* ---- the model ---------------------------------------------------------------------------------- */

struct model_point {
    bool there, has_a, has_b, has_n, has_m;
    float a[DIM], b[DIM]; /* "" under cosine, "b" under L2 */
    int n, m;             /* of the payload */
    uint64_t version;
};

static struct model_point model[N], saved[N];
static uint64_t seed = 5, batches;
static kith_db *db;
static char folder[64];

static uint64_t below(uint64_t n) { return bits_random(&seed) % n; }

static kith_id id_of(uint32_t i) {
    static char text[N][16];
    kith_id id = kith_id_number(i);
    if (i % 3 == 1) {
        snprintf(text[i], sizeof text[i], "point %02u", i);
        assert_int_equal(kith_id_from_text(&id, text[i], strlen(text[i]), NULL), KITH_OK);
    }
    return id;
}

static int index_of(const kith_id *id) {
    for (uint32_t i = 0; i < N; i++) {
        kith_id other = id_of(i);
        if (kith_id_compare(id, &other) == 0) return (int)i;
    }
    return -1;
}

/* {"must": [{"key": "n", "range": {"gte": least}}]} */
static bool passes(const struct model_point *point, int least) {
    return point->there && (least < 0 || (point->has_n && point->n >= least));
}

static const char *filter_text(int least) {
    static char text[100];
    snprintf(text, sizeof text, "{\"must\": [{\"key\": \"n\", \"range\": {\"gte\": %d}}]}", least);
    return least < 0 ? NULL : text;
}

static const char *payload_text(const struct model_point *point, char *text) {
    char *at = text + sprintf(text, "{");
    if (point->has_n) at += sprintf(at, "\"n\":%d", point->n);
    if (point->has_m) at += sprintf(at, "%s\"m\":%d", point->has_n ? "," : "", point->m);
    sprintf(at, "}");
    return text;
}

/* ---- what the database says --------------------------------------------------------------------- */

static void expect_point(const kith_hit *hit, const struct model_point *want) {
    char text[64], other[64];
    assert_true(want->there);
    assert_int_equal(hit->version, want->version);
    struct model_point swapped = *want; /* members keep the order in which they came */
    payload_text(want, text);
    if (want->has_n && want->has_m)
        sprintf(other, "{\"m\":%d,\"n\":%d}", swapped.m, swapped.n);
    else
        strcpy(other, text);
    assert_true(strcmp(hit->payload, text) == 0 || strcmp(hit->payload, other) == 0);
    assert_int_equal(hit->n_vectors, want->has_a + want->has_b);
    for (uint32_t v = 0; v < hit->n_vectors; v++) {
        bool is_b = hit->vectors[v].field[0] == 'b';
        assert_true(is_b ? want->has_b : want->has_a);
        assert_memory_equal(hit->vectors[v].values, is_b ? want->b : want->a, sizeof want->a);
    }
}

static float score_of(const float *x, const float *y, bool cosine) {
    float score;
    kith_distance(cosine ? KITH_METRIC_IP : KITH_METRIC_L2, KITH_TYPE_F32, DIM, x, y, &score, NULL);
    return score;
}

static void normalise(float *x) {
    double sum = 0;
    for (int d = 0; d < DIM; d++) sum += (double)x[d] * (double)x[d];
    for (int d = 0; d < DIM && sum > 0; d++) x[d] = (float)((double)x[d] / sqrt(sum));
}

static void random_vector(float *x) {
    for (int d = 0; d < DIM; d++) x[d] = (float)below(9) - 4.0f; /* many ties */
}

/* The place of each hit is right: as many points that pass are nearer, or as near with a smaller id. */
static void expect_nearest(int least, bool cosine) {
    float vector[DIM], asked[DIM];
    random_vector(vector);
    memcpy(asked, vector, sizeof asked);
    if (cosine) normalise(asked);
    kith_query query = KITH_QUERY_INIT;
    kith_hits *hits;
    query.field = cosine ? "" : "b";
    query.vector = vector;
    query.dim = DIM;
    query.filter = filter_text(least);
    query.limit = 1 + below(12);
    query.offset = below(3);
    query.payload = "true";
    query.with_vectors = true;
    assert_int_equal(kith_db_query(db, "c", &query, &hits, NULL), KITH_OK);
    size_t n = 0;
    for (uint32_t i = 0; i < N; i++)
        n += passes(&model[i], least) && (cosine ? model[i].has_a : model[i].has_b);
    size_t want = n > query.offset ? n - query.offset : 0;
    assert_int_equal(hits->n, want < query.limit ? want : query.limit);
    for (size_t h = 0; h < hits->n; h++) {
        const kith_hit *hit = &hits->hits[h];
        int at = index_of(&hit->id);
        assert_true(at >= 0 && passes(&model[at], least));
        expect_point(hit, &model[at]);
        float score = score_of(asked, cosine ? model[at].a : model[at].b, cosine);
        assert_true(hit->score == score);
        size_t before = 0;
        for (uint32_t i = 0; i < N; i++) {
            if (!passes(&model[i], least) || !(cosine ? model[i].has_a : model[i].has_b)) continue;
            float other = score_of(asked, cosine ? model[i].a : model[i].b, cosine);
            kith_id id = id_of(i);
            if (other != score ? (cosine ? other > score : other < score)
                               : kith_id_compare(&id, &hit->id) < 0)
                before++;
        }
        assert_int_equal(before, h + query.offset);
    }
    kith_hits_free(hits);
}

static void expect_pages(int least) {
    kith_query query = KITH_QUERY_INIT;
    kith_hits *hits = NULL, *page;
    uint64_t n = 0, count, want = 0;
    kith_id last = {0};
    char text[KITH_ID_TEXT];
    query.filter = filter_text(least);
    query.payload = "true";
    query.with_vectors = true;
    for (;;) {
        query.limit = 1 + below(7);
        assert_int_equal(kith_db_scroll(db, "c", hits ? &hits->next : NULL, &query, &page, NULL),
                         KITH_OK);
        kith_hits_free(hits);
        hits = page;
        for (size_t h = 0; h < hits->n; h++, n++) {
            int at = index_of(&hits->hits[h].id);
            assert_true(at >= 0 && passes(&model[at], least));
            expect_point(&hits->hits[h], &model[at]);
            if (n) assert_true(kith_id_compare(&last, &hits->hits[h].id) < 0);
            last = hits->hits[h].id;
            if (last.kind == KITH_ID_STRING) last.string = memcpy(text, last.string, last.length);
        }
        if (!hits->more) break;
    }
    kith_hits_free(hits);
    for (uint32_t i = 0; i < N; i++) want += passes(&model[i], least);
    assert_int_equal(n, want);
    assert_int_equal(kith_db_count(db, "c", query.filter, &count, NULL), KITH_OK);
    assert_int_equal(count, want);
}

/* ---- operations --------------------------------------------------------------------------------- */

static void upsert(kith_op *op, kith_point *points, kith_vector vectors[][2], char text[][64]) {
    op->kind = KITH_OP_UPSERT;
    op->n_points = 1 + below(4);
    op->points = points;
    for (size_t p = 0; p < op->n_points; p++) {
        uint32_t i = (uint32_t)below(N);
        struct model_point *m = &model[i];
        *m = (struct model_point){true,  below(5) > 0, below(3) > 0, below(4) > 0,
                                  false, {0},          {0},          (int)below(10),
                                  0,     batches + 1};
        static float given[4][DIM];
        random_vector(given[p]);
        memcpy(m->a, given[p], sizeof m->a);
        normalise(m->a);
        random_vector(m->b);
        uint32_t n = 0;
        static float b[4][DIM];
        memcpy(b[p], m->b, sizeof m->b);
        if (m->has_b) vectors[p][n++] = (kith_vector){"b", b[p], DIM};
        if (m->has_a) vectors[p][n++] = (kith_vector){"", given[p], DIM};
        payload_text(m, text[p]);
        points[p] = (kith_point){id_of(i), text[p], strlen(text[p]), n, vectors[p]};
        if (below(9) == 0) points[p].payload = m->has_n ? text[p] : NULL;
        if (!points[p].payload) points[p].payload_bytes = 0;
    }
}

static void change(struct model_point *m, kith_op_kind kind, int value) {
    m->version = batches + 1;
    if (kind == KITH_OP_DELETE) m->there = false;
    if (kind == KITH_OP_SET_PAYLOAD) m->has_m = true, m->m = value;
    if (kind == KITH_OP_OVERWRITE_PAYLOAD) m->has_m = false, m->has_n = true, m->n = value;
    if (kind == KITH_OP_DELETE_PAYLOAD) m->has_n = false;
    if (kind == KITH_OP_CLEAR_PAYLOAD) m->has_n = m->has_m = false;
}

/* A change of points chosen by ids or filter. False: an id is missing, and all is to fail. */
static bool edit(kith_op *op, kith_id *ids, char *payload, char *filter) {
    static const char *const paths[] = {"n", "absent.x"};
    int value = (int)below(10);
    op->kind = (kith_op_kind)(KITH_OP_DELETE + below(5));
    sprintf(payload, op->kind == KITH_OP_SET_PAYLOAD ? "{\"m\": %d}" : "{\"n\": %d}", value);
    op->payload = payload;
    op->payload_bytes = strlen(payload);
    op->paths = paths;
    op->n_paths = 2;
    if (below(3) == 0) {
        int least = 5 + (int)below(6);
        op->filter = strcpy(filter, filter_text(least));
        for (uint32_t i = 0; i < N; i++)
            if (passes(&model[i], least)) change(&model[i], op->kind, value);
        return true;
    }
    op->ids = ids;
    op->n_ids = 1 + below(2);
    for (size_t k = 0; k < op->n_ids; k++) {
        uint32_t i = (uint32_t)below(N);
        ids[k] = id_of(i);
        if (!model[i].there && op->kind != KITH_OP_DELETE) return false;
        if (model[i].there) change(&model[i], op->kind, value);
    }
    return true;
}

static void random_batch(void) {
    kith_op ops[3] = {0};
    kith_point points[3][4];
    kith_vector vectors[3][4][2];
    kith_id ids[3][2];
    char text[3][4][64], filter[3][100];
    bool fine = true;
    size_t n = 1 + below(3);
    kith_error err = {0};
    uint64_t seq = 0;
    memcpy(saved, model, sizeof model);
    for (size_t o = 0; o < n && fine; o++) {
        if (o == 0 && below(2))
            upsert(&ops[o], points[o], vectors[o], text[o]);
        else
            fine = edit(&ops[o], ids[o], text[o][0], filter[o]);
    }
    if (below(12) == 0) {
        ops[n - 1].kind = (kith_op_kind)99;
        fine = false;
    }
    int code = kith_db_write(db, "c", n, ops, &seq, &err);
    if (fine) {
        if (code != KITH_OK) fail_msg("%s", err.text);
        assert_int_equal(seq, ++batches);
    } else {
        assert_int_not_equal(code, KITH_OK);
        memcpy(model, saved, sizeof model);
    }
}

static void matches_the_model(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/kith-db-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(kith_db_open(&db, folder, NULL, NULL), KITH_OK);
    const kith_vector_field fields[] = {{"", DIM, KITH_METRIC_COSINE}, {"b", DIM, KITH_METRIC_L2}};
    assert_int_equal(kith_db_create(db, "c", 2, fields, NULL), KITH_OK);
    batches = 1; /* making the fields is one */
    for (int round = 0; round < ROUNDS; round++) {
        random_batch();
        if (below(25) == 0) {
            kith_db_close(db);
            assert_int_equal(kith_db_open(&db, folder, NULL, NULL), KITH_OK);
        }
        int least = (int)below(12) - 2;
        expect_nearest(least, below(2));
        if (round % 5 == 0) expect_pages(least);
    }
    kith_collection_info info;
    assert_int_equal(kith_db_info(db, "c", &info, NULL), KITH_OK);
    assert_int_equal(info.seq, batches);
    kith_db_close(db);
    char command[80];
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(matches_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
