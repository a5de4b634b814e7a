/* Float distances of one element type and one metric: pair, rows, list, tile. Included by level.c with ELEM (the type of
 * a row's elements), TYPE (its name) and METRIC (l2sq, dot or l1) defined; all four undefine nothing but those.
 *
 *   1. Each sum has one f32x16 accumulator, filled in rising order, so that every kernel gives the same bits (kern.h).
 *   2. Four listed rows go together: their accumulators are independent chains, and they share the query's loads.
 *   3. While four listed rows are scored, the same lines of later ones are prefetched (level.h). Consecutive rows are
 *      read in one stream instead. */
#define DIST(name) KERN_NAME(name, TYPE, METRIC)
#define LOAD(p)    KERN_NAME(f32x16, load, TYPE)(p)
#define TAIL(p, n) KERN_NAME(f32x16, load_tail, TYPE)((p), (n))
#define STEP       KERN_NAME(f32x16, step, METRIC)
#define PART_LOAD  KERN_NAME(PART, load, TYPE)
#define PART_STEP  KERN_NAME(PART, step, METRIC)
#define LINE_ELEMS (64 / sizeof(ELEM))

VEC f32x16 DIST(sum)(const float *query, const ELEM *row, size_t dim) {
    f32x16 acc = f32x16_zero();
    size_t i = 0;
    for (; i + 16 <= dim; i += 16) acc = STEP(acc, f32x16_load_f32(query + i), LOAD(row + i));
    if (i < dim) acc = STEP(acc, f32x16_load_tail_f32(query + i, dim - i), TAIL(row + i, dim - i));
    return acc;
}

static float DIST(pair)(const float *query, const void *row, size_t dim) {
    return f32x16_reduce(DIST(sum)(query, row, dim));
}

/* out[0..3]: four rows; the four `next` are prefetched. */
VEC void DIST(four)(const float *query, const ELEM *const row[4], const ELEM *const next[4],
                    size_t dim, float *out) {
    const ELEM *r0 = row[0], *r1 = row[1], *r2 = row[2], *r3 = row[3];
    const ELEM *n0 = next[0], *n1 = next[1], *n2 = next[2], *n3 = next[3];
    f32x16 a0 = f32x16_zero(), a1 = a0, a2 = a0, a3 = a0;
    size_t i = 0;
    for (; i + LINE_ELEMS <= dim; i += LINE_ELEMS) {
        kern_prefetch(n0 + i);
        kern_prefetch(n1 + i);
        kern_prefetch(n2 + i);
        kern_prefetch(n3 + i);
        for (size_t end = i + LINE_ELEMS, j = i; j < end; j += 16) {
            f32x16 q = f32x16_load_f32(query + j);
            a0 = STEP(a0, q, LOAD(r0 + j));
            a1 = STEP(a1, q, LOAD(r1 + j));
            a2 = STEP(a2, q, LOAD(r2 + j));
            a3 = STEP(a3, q, LOAD(r3 + j));
        }
    }
    if (i < dim) { /* the last line of rows that start or end inside one */
        kern_prefetch(n0 + dim - 1);
        kern_prefetch(n1 + dim - 1);
        kern_prefetch(n2 + dim - 1);
        kern_prefetch(n3 + dim - 1);
    }
    for (; i + 16 <= dim; i += 16) {
        f32x16 q = f32x16_load_f32(query + i);
        a0 = STEP(a0, q, LOAD(r0 + i));
        a1 = STEP(a1, q, LOAD(r1 + i));
        a2 = STEP(a2, q, LOAD(r2 + i));
        a3 = STEP(a3, q, LOAD(r3 + i));
    }
    if (i < dim) {
        size_t n = dim - i;
        f32x16 q = f32x16_load_tail_f32(query + i, n);
        a0 = STEP(a0, q, TAIL(r0 + i, n));
        a1 = STEP(a1, q, TAIL(r1 + i, n));
        a2 = STEP(a2, q, TAIL(r2 + i, n));
        a3 = STEP(a3, q, TAIL(r3 + i, n));
    }
    f32x16_reduce4(a0, a1, a2, a3, out);
}

/* One row after the other, so that memory is read in one stream: the hardware's prefetcher follows it at full speed,
 * but not four rows side by side. The chains of neighbours overlap all the same. */
static void DIST(rows)(const float *query, const void *rows, size_t stride, size_t n, size_t dim,
                       float *out) {
    const char *at = rows;
    size_t i = 0;
    for (; i + 4 <= n; i += 4, at += 4 * stride) {
        f32x16 a0 = DIST(sum)(query, (const ELEM *)at, dim);
        f32x16 a1 = DIST(sum)(query, (const ELEM *)(at + stride), dim);
        f32x16 a2 = DIST(sum)(query, (const ELEM *)(at + 2 * stride), dim);
        f32x16 a3 = DIST(sum)(query, (const ELEM *)(at + 3 * stride), dim);
        f32x16_reduce4(a0, a1, a2, a3, out + i);
    }
    for (; i < n; i++, at += stride) out[i] = DIST(pair)(query, at, dim);
}

static void DIST(list)(const float *query, const void *const *rows, size_t n, size_t dim,
                       float *out) {
    const ELEM *row[4], *next[4];
    size_t ahead = kern_list_start(rows, n, dim * sizeof(ELEM)), i = 0;
    for (; i + 4 <= n; i += 4) {
        for (size_t r = 0; r < 4; r++) {
            row[r] = rows[i + r];
            next[r] = rows[i + ahead + r < n ? i + ahead + r : i + r];
        }
        DIST(four)(query, row, next, dim, out + i);
    }
    if (i < n) { /* 1..3 rows: the last one fills up */
        float rest[4];
        for (size_t r = 0; r < 4; r++) row[r] = rows[i + r < n ? i + r : n - 1];
        DIST(four)(query, row, row, dim, rest);
        for (size_t r = 0; i + r < n; r++) out[i + r] = rest[r];
    }
}

/* TILE_Q queries against TILE_R rows, every pair with its own accumulator; a step of 16 elements goes part by part. */
VEC void DIST(block)(const float *const query[TILE_Q], const ELEM *const row[TILE_R], size_t dim,
                     float *out, size_t out_stride) {
    f32x16 acc[TILE_Q * TILE_R];
    for (int c = 0; c < TILE_Q * TILE_R; c++) acc[c] = f32x16_zero();
    size_t i = 0;
    for (; i + 16 <= dim; i += 16)
        for (size_t part = 0; part < PARTS; part++) {
            size_t at = i + 16 / PARTS * part;
            PART x[TILE_R];
            for (int r = 0; r < TILE_R; r++) x[r] = PART_LOAD(row[r] + at);
            for (int q = 0; q < TILE_Q; q++) {
                PART y = part_query(query[q] + at);
                for (int r = 0; r < TILE_R; r++) {
                    PART *sum = part_of(&acc[q * TILE_R + r], part);
                    *sum = PART_STEP(*sum, y, x[r]);
                }
            }
        }
    if (i < dim) {
        f32x16 x[TILE_R];
        for (int r = 0; r < TILE_R; r++) x[r] = TAIL(row[r] + i, dim - i);
        for (int q = 0; q < TILE_Q; q++) {
            f32x16 y = f32x16_load_tail_f32(query[q] + i, dim - i);
            for (int r = 0; r < TILE_R; r++)
                acc[q * TILE_R + r] = STEP(acc[q * TILE_R + r], y, x[r]);
        }
    }
    tile_store(acc, out, out_stride);
}

/* Rows in chunks that stay in the second cache while all queries pass over them, TILE_Q at a time. */
static void DIST(tile)(const float *queries, size_t q_stride, size_t n_q, const void *rows,
                       size_t stride, size_t n, size_t dim, float *out, size_t out_stride) {
    size_t chunk = TILE_BYTES / (dim * sizeof(ELEM)) / TILE_R * TILE_R;
    if (chunk < TILE_R) chunk = TILE_R;
    const char *at = rows;
    for (size_t from = 0; from < n; from += chunk) {
        size_t to = n - from < chunk ? n : from + chunk;
        size_t whole = from + (to - from) / TILE_R * TILE_R;
        size_t q = 0;
        for (; q + TILE_Q <= n_q; q += TILE_Q) {
            const float *query[TILE_Q];
            for (size_t c = 0; c < TILE_Q; c++) query[c] = queries + (q + c) * q_stride;
            for (size_t j = from; j < whole; j += TILE_R) {
                const ELEM *row[TILE_R];
                for (size_t r = 0; r < TILE_R; r++) row[r] = (const ELEM *)(at + (j + r) * stride);
                DIST(block)(query, row, dim, out + q * out_stride + j, out_stride);
            }
            for (size_t c = 0; c < TILE_Q && whole < to; c++) {
                float *rest = out + (q + c) * out_stride + whole;
                DIST(rows)(query[c], at + whole * stride, stride, to - whole, dim, rest);
            }
        }
        for (; q < n_q; q++) {
            const float *query = queries + q * q_stride;
            float *all = out + q * out_stride + from;
            DIST(rows)(query, at + from * stride, stride, to - from, dim, all);
        }
    }
}

#undef DIST
#undef LOAD
#undef TAIL
#undef STEP
#undef PART_LOAD
#undef PART_STEP
#undef LINE_ELEMS
#undef METRIC
