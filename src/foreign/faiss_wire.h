/* The wire: one cursor over a FAISS file for both directions, so that each layout is told once.
 *
 * A layout function calls wire_* on the fields of a node in the order of the file. Reading, that fills the fields;
 * writing, it puts them. So a file that was read is written as it was, and both directions make the same checks.
 *
 * Invariants
 *   1. Reading never goes past `n`: each call first compares what it wants with what is left, without overflow.
 *   2. `at` is the number of bytes read or put; `last` where the last number, or run of bytes, begins.
 *   3. Writing changes no field of the tree. */
#ifndef KITH_FOREIGN_FAISS_WIRE_H
#define KITH_FOREIGN_FAISS_WIRE_H

#include "base/mem.h"
#include "base/status.h"
#include "foreign/bytes.h"
#include "foreign/faiss.h"

struct wire {
    bool writing;
    uint64_t at, last;
    int depth; /* of the index at hand; the outermost is 1 */
    kith_error *err;
    /* reading */
    const uint8_t *bytes;
    uint64_t n;
    struct mem_account *owner;
    /* writing */
    faiss_put *put;
    void *context;
};

static inline uint64_t wire_left(const struct wire *wire) { return wire->n - wire->at; }

/* Every error says where: at what was last read or put. */
#define WIRE_FAIL_AS(wire, code, format, ...)                        \
    FAIL_AT((wire)->err, (code), (wire)->last, "byte %llu: " format, \
            (unsigned long long)(wire)->last, ##__VA_ARGS__)
/* Counts that contradict each other: a damaged file, or a tree that was made wrong. */
#define WIRE_FAIL(wire, ...) \
    WIRE_FAIL_AS(wire, (wire)->writing ? KITH_EINVAL : KITH_ECORRUPT, __VA_ARGS__)
#define WIRE_CHECK(wire, holds, ...)                       \
    do {                                                   \
        if (!(holds)) return WIRE_FAIL(wire, __VA_ARGS__); \
    } while (0)

/* Reading, what is said next is of a byte that was lent before. */
static inline void wire_blame(struct wire *wire, const uint8_t *lent) {
    if (!wire->writing) wire->last = (uint64_t)(lent - wire->bytes);
}

/* Plain bytes, copied. */
int wire_copy(struct wire *wire, void *value, size_t n);
/* One byte, 0 or 1. */
int wire_bool(struct wire *wire, bool *value);

#define WIRE_NUMBER(name, type)                                     \
    static inline int wire_##name(struct wire *wire, type *value) { \
        return wire_copy(wire, value, sizeof *value);               \
    }
WIRE_NUMBER(u8, uint8_t)
WIRE_NUMBER(i32, int32_t)
WIRE_NUMBER(u32, uint32_t)
WIRE_NUMBER(i64, int64_t)
WIRE_NUMBER(u64, uint64_t)
WIRE_NUMBER(f32, float)
#undef WIRE_NUMBER

/* count x item_bytes bytes, lent; what names them when they are missing. */
int wire_lend(struct wire *wire, const uint8_t **bytes, uint64_t count, uint64_t item_bytes,
              const char *what);
/* A counted array: u64 n, then n items. */
int wire_array(struct wire *wire, struct faiss_array *array, size_t item_bytes, const char *what);
/* Codes as a counted array, counted in units of 1 or 4 bytes; it must hold codes->n codes of code_size. */
int wire_codes(struct wire *wire, struct faiss_codes *codes, size_t unit);

/* Is there room for count things of at least so many bytes each? Reading only; what names them when there is none. */
int wire_room(const struct wire *wire, uint64_t count, uint64_t item_bytes, const char *what);
/* Zeroed memory of the tree, n items; reading only. */
int wire_new(struct wire *wire, void *out, uint64_t n, size_t item_bytes);

/* ---- layouts, by file; each reads or writes one structure ---------------------------------------- */

/* faiss_family.c: which kind four letters name (KITH_EUNSUPPORTED, KITH_EFORMAT for others), and the other way. */
int family_of_tag(const struct wire *wire, uint32_t tag, enum faiss_kind *kind);
uint32_t family_tag(const struct faiss_node *node);
/* Four letters as text; '.' for what cannot be printed. */
struct tag_text {
    char text[5];
};
struct tag_text family_tag_text(uint32_t tag);
bool family_metric_known(int32_t metric);

/* faiss_body.c: a whole index. Reading, *slot gets the node, also when it fails midway. */
int wire_index(struct wire *wire, struct faiss_node **slot);

/* faiss_code.c */
int wire_pq(struct wire *wire, struct faiss_pq *pq, const struct faiss_node *node);
int wire_sq(struct wire *wire, struct faiss_sq *sq, const struct faiss_node *node);
int wire_rabitq(struct wire *wire, struct faiss_rabitq *rabitq, const struct faiss_node *node,
                bool many_bits);

/* faiss_graph.c */
int wire_graph(struct wire *wire, struct faiss_graph *graph, int64_t ntotal);

/* faiss_lists.c. What old files have between quantiser and direct map is read by wire_old_ids, and their codes, in
 * units of 1 or 4 bytes, by wire_old_codes. */
int wire_direct_map(struct wire *wire, struct faiss_ivf *ivf);
int wire_lists(struct wire *wire, struct faiss_node *node);
int wire_old_ids(struct wire *wire, struct faiss_ivf *ivf);
int wire_old_codes(struct wire *wire, struct faiss_node *node, size_t unit);

/* faiss_transform.c */
int wire_transform(struct wire *wire, struct faiss_transform *transform);

#endif
