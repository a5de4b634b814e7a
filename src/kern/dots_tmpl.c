/* Dots of coded rows with an s8 query, for one kind of code. Included by int_tmpl.c with CODE (its name), QUERY (the
 * type of a line of the query made ready), LINE (bytes of a row's line), QUERY_LINE (s8 of the query that meet them),
 * and, where a row may end in half a line, QUERY_HALF (its type); all are undefined here.
 *
 *   1. Exactly `bytes` bytes of a row are read, line by line, in unmasked loads.
 *   2. Four listed rows go together; later ones are prefetched line by line (level.h). Consecutive rows are one stream. */
#define DOTS(name)   KERN_NAME(dot, CODE, name)
#define DOT          KERN_NAME2(i32x16_dot, CODE)
#define DOT_HALF     KERN_NAME2(i32x16_half, CODE)
#define LOAD(p)      KERN_NAME2(QUERY, load)(p)
#define LOAD_HALF(p) KERN_NAME2(QUERY_HALF, load)(p)

VEC void DOTS(ahead)(const uint8_t *const next[4], size_t at) {
    kern_prefetch(next[0] + at);
    kern_prefetch(next[1] + at);
    kern_prefetch(next[2] + at);
    kern_prefetch(next[3] + at);
}

VEC void DOTS(four)(const int8_t *query, const uint8_t *const row[4], const uint8_t *const next[4],
                    size_t bytes, int32_t *out) {
    const uint8_t *r0 = row[0], *r1 = row[1], *r2 = row[2], *r3 = row[3];
    const uint8_t *n[4] = {next[0], next[1], next[2], next[3]};
    i32x16 a0 = i32x16_zero(), a1 = a0, a2 = a0, a3 = a0;
    size_t i = 0;
    for (; i + LINE <= bytes; i += LINE, query += QUERY_LINE) {
        if (LINE > 32 || i % 64 == 0) DOTS(ahead)(n, i);
#if LINE > 64
        DOTS(ahead)(n, i + 64);
#endif
        QUERY q = LOAD(query);
        a0 = DOT(a0, r0 + i, q);
        a1 = DOT(a1, r1 + i, q);
        a2 = DOT(a2, r2 + i, q);
        a3 = DOT(a3, r3 + i, q);
    }
#if defined(QUERY_HALF) || LINE < 64
    DOTS(ahead)(n, bytes - 1); /* rows may start and end inside a line of memory */
#endif
#ifdef QUERY_HALF
    if (i < bytes) {
        QUERY_HALF q = LOAD_HALF(query);
        a0 = DOT_HALF(a0, r0 + i, q);
        a1 = DOT_HALF(a1, r1 + i, q);
        a2 = DOT_HALF(a2, r2 + i, q);
        a3 = DOT_HALF(a3, r3 + i, q);
    }
#endif
    i32x16_reduce4(a0, a1, a2, a3, out);
}

VEC i32x16 DOTS(sum)(const int8_t *query, const uint8_t *row, size_t bytes) {
    i32x16 a = i32x16_zero(), b = a;
    size_t i = 0;
    for (; i + 2 * LINE <= bytes; i += 2 * LINE, query += 2 * QUERY_LINE) {
        a = DOT(a, row + i, LOAD(query));
        b = DOT(b, row + i + LINE, LOAD(query + QUERY_LINE));
    }
    if (i + LINE <= bytes) {
        a = DOT(a, row + i, LOAD(query));
        i += LINE;
        query += QUERY_LINE;
    }
#ifdef QUERY_HALF
    if (i < bytes) b = DOT_HALF(b, row + i, LOAD_HALF(query));
#endif
    return i32x16_add(a, b);
}

/* One row after the other: one stream of memory, which the hardware's prefetcher follows. */
static void DOTS(rows)(const int8_t *query, const uint8_t *rows, size_t stride, size_t n,
                       size_t bytes, int32_t *out) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4, rows += 4 * stride) {
        i32x16 a0 = DOTS(sum)(query, rows, bytes), a1 = DOTS(sum)(query, rows + stride, bytes);
        i32x16 a2 = DOTS(sum)(query, rows + 2 * stride, bytes);
        i32x16 a3 = DOTS(sum)(query, rows + 3 * stride, bytes);
        i32x16_reduce4(a0, a1, a2, a3, out + i);
    }
    if (i < n) {
        const uint8_t *row[4];
        int32_t rest[4];
        for (size_t r = 0; r < 4; r++) row[r] = rows + (i + r < n ? r : n - i - 1) * stride;
        DOTS(four)(query, row, row, bytes, rest);
        for (size_t r = 0; i + r < n; r++) out[i + r] = rest[r];
    }
}

static void DOTS(list)(const int8_t *query, const uint8_t *const *rows, size_t n, size_t bytes,
                       int32_t *out) {
    const uint8_t *row[4], *next[4];
    size_t ahead = kern_list_start((const void *const *)rows, n, bytes), i = 0;
    for (; i + 4 <= n; i += 4) {
        for (size_t r = 0; r < 4; r++) {
            row[r] = rows[i + r];
            next[r] = rows[i + ahead + r < n ? i + ahead + r : i + r];
        }
        DOTS(four)(query, row, next, bytes, out + i);
    }
    if (i < n) {
        int32_t rest[4];
        for (size_t r = 0; r < 4; r++) row[r] = rows[i + r < n ? i + r : n - 1];
        DOTS(four)(query, row, row, bytes, rest);
        for (size_t r = 0; i + r < n; r++) out[i + r] = rest[r];
    }
}

#undef DOTS
#undef DOT
#undef DOT_HALF
#undef LOAD
#undef LOAD_HALF
#undef CODE
#undef LINE
#undef QUERY
#undef QUERY_LINE
#undef QUERY_HALF
