/* Inverted lists and direct maps on the wire.
 *
 *     ilar    u64 nlist, u64 code_size, then `full` and counted u64 sizes[nlist], or `sprs` and counted u64 pairs
 *             (list, size); then of each list that is not empty, in order: codes, i64 ids
 *     ilbl    u64 nlist, u64 code_size, u64 n_per_block, u64 block_size; of each list: counted i64 ids, counted u8 codes
 *             (blocks have no code_size: all bits are set, in older files it is that of the index)
 *     map     u8 type, counted i64 places; under type 2 counted pairs of i64 (id, place)
 *
 * `full` is written when more than half of the lists are not empty, as FAISS does. Lists of old files (Iv..) are nlist
 * counted arrays of ids, and later nlist counted arrays of codes.
 *
 * Memory: the lists are allocated only when one is not empty; then the quantiser has nlist rows, each of which takes
 * bytes of the file, so that a small file cannot ask for much. */
#include "foreign/faiss_wire.h"

#define TAG(s)         FAISS_TAG((s)[0], (s)[1], (s)[2], (s)[3])
#define CODE_SIZE_NONE UINT64_MAX

int wire_direct_map(struct wire *wire, struct faiss_ivf *ivf) {
    TRY(wire_u8(wire, &ivf->map_type));
    WIRE_CHECK(wire, ivf->map_type <= 2, "direct map of type %u", ivf->map_type);
    TRY(wire_array(wire, &ivf->map, sizeof(int64_t), "direct map"));
    if (ivf->map_type == 2)
        TRY(wire_array(wire, &ivf->map_pairs, 2 * sizeof(int64_t), "direct map"));
    return KITH_OK;
}

static int lists_new(struct wire *wire, struct faiss_ivf *ivf) {
    WIRE_CHECK(wire, (uint64_t)ivf->quantizer->ntotal == ivf->nlist,
               "%llu lists, but %lld centroids", (unsigned long long)ivf->nlist,
               (long long)ivf->quantizer->ntotal);
    return wire_new(wire, &ivf->lists, ivf->nlist, sizeof *ivf->lists);
}

/* The lists' rows are the index's. */
static int check_total(struct wire *wire, const struct faiss_node *node) {
    const struct faiss_ivf *ivf = &node->ivf;
    uint64_t total = 0;
    for (uint64_t i = 0; ivf->lists && i < ivf->nlist; i++) total += ivf->lists[i].n;
    WIRE_CHECK(wire, total == (uint64_t)node->ntotal, "lists of %llu rows in an index of %lld",
               (unsigned long long)total, (long long)node->ntotal);
    return KITH_OK;
}

/* ---- ilar -------------------------------------------------------------------------------------- */

static uint64_t count_nonempty(const struct faiss_ivf *ivf) {
    uint64_t n = 0;
    for (uint64_t i = 0; ivf->lists && i < ivf->nlist; i++) n += ivf->lists[i].n > 0;
    return n;
}

static int put_sizes(struct wire *wire, struct faiss_ivf *ivf) {
    uint64_t nonempty = count_nonempty(ivf);
    bool full = nonempty > ivf->nlist / 2;
    uint32_t how = full ? TAG("full") : TAG("sprs");
    uint64_t count = full ? ivf->nlist : 2 * nonempty;
    TRY(wire_u32(wire, &how));
    TRY(wire_u64(wire, &count));
    for (uint64_t i = 0; ivf->lists && i < ivf->nlist; i++) {
        uint64_t n = ivf->lists[i].n;
        if (!full && n == 0) continue;
        if (!full) TRY(wire_u64(wire, &i));
        TRY(wire_u64(wire, &n));
    }
    return KITH_OK;
}

static int get_sizes(struct wire *wire, struct faiss_ivf *ivf) {
    uint32_t how;
    struct faiss_array sizes;
    TRY(wire_u32(wire, &how));
    WIRE_CHECK(wire, how == TAG("full") || how == TAG("sprs"), "list sizes are of kind \"%s\"",
               family_tag_text(how).text);
    TRY(wire_array(wire, &sizes, sizeof(uint64_t), "list sizes"));
    bool full = how == TAG("full");
    WIRE_CHECK(wire, full ? sizes.n == ivf->nlist : sizes.n % 2 == 0,
               "%llu list sizes for %llu lists", (unsigned long long)sizes.n,
               (unsigned long long)ivf->nlist);
    if (sizes.n == 0) return KITH_OK;
    TRY(lists_new(wire, ivf));
    uint64_t step = full ? 1 : 2;
    for (uint64_t i = 0; i < sizes.n; i += step) {
        uint64_t list = full ? i : bytes_u64(sizes.bytes + 8 * i);
        WIRE_CHECK(wire, list < ivf->nlist, "the size of list %llu of %llu",
                   (unsigned long long)list, (unsigned long long)ivf->nlist);
        ivf->lists[list].n = bytes_u64(sizes.bytes + 8 * (i + step - 1));
    }
    return KITH_OK;
}

static int walk_arrays(struct wire *wire, struct faiss_ivf *ivf) {
    TRY(wire->writing ? put_sizes(wire, ivf) : get_sizes(wire, ivf));
    for (uint64_t i = 0; ivf->lists && i < ivf->nlist; i++) {
        struct faiss_list *list = &ivf->lists[i];
        TRY(wire_lend(wire, &list->codes, list->n, ivf->code_size, "list codes"));
        TRY(wire_lend(wire, &list->ids, list->n, sizeof(int64_t), "list ids"));
    }
    return KITH_OK;
}

/* ---- ilbl -------------------------------------------------------------------------------------- */

static int walk_block_list(struct wire *wire, const struct faiss_ivf *ivf,
                           struct faiss_list *list) {
    struct faiss_array ids = {list->ids, list->n};
    TRY(wire_array(wire, &ids, sizeof(int64_t), "list ids"));
    uint64_t n_blocks = ids.n / ivf->n_per_block + (ids.n % ivf->n_per_block != 0);
    struct faiss_codes codes = {list->codes, n_blocks, ivf->block_size};
    TRY(wire_codes(wire, &codes, 1));
    *list = (struct faiss_list){ids.n, codes.bytes, ids.bytes};
    return KITH_OK;
}

static int walk_blocks(struct wire *wire, struct faiss_ivf *ivf) {
    TRY(wire_u64(wire, &ivf->n_per_block));
    TRY(wire_u64(wire, &ivf->block_size));
    WIRE_CHECK(wire, ivf->n_per_block > 0 && ivf->block_size > 0,
               "blocks of %llu rows and %llu bytes", (unsigned long long)ivf->n_per_block,
               (unsigned long long)ivf->block_size);
    if (!wire->writing) {
        TRY(wire_room(wire, ivf->nlist, 2 * sizeof(uint64_t), "lists"));
        if (ivf->quantizer->ntotal > 0) TRY(lists_new(wire, ivf));
    }
    for (uint64_t i = 0; i < ivf->nlist; i++) {
        struct faiss_list empty = {0}, *list = ivf->lists ? &ivf->lists[i] : &empty;
        struct faiss_list copy = *list;
        TRY(walk_block_list(wire, ivf, &copy));
        WIRE_CHECK(wire, ivf->lists || copy.n == 0, "a list of %llu rows, no centroids",
                   (unsigned long long)copy.n);
        if (!wire->writing) *list = copy;
    }
    return KITH_OK;
}

/* ---- either ------------------------------------------------------------------------------------ */

static int lists_kind(struct wire *wire, const struct faiss_node *node, uint32_t *kind) {
    bool blocks = node->kind == FAISS_IVF_PQ_FAST;
    uint32_t want = blocks ? TAG("ilbl") : TAG("ilar");
    *kind = want;
    TRY(wire_u32(wire, kind));
    if (*kind == want) return KITH_OK;
    const char *what = *kind == TAG("il00")                           ? "left out of the file"
                       : *kind == TAG("ilod")                         ? "in another file"
                       : *kind == TAG("ilp2") || *kind == TAG("ilpn") ? "stored for Panorama"
                       : *kind == TAG("ilbl") || *kind == TAG("ilar") ? "stored for another family"
                                                                      : "of an unknown kind";
    return WIRE_FAIL_AS(wire, KITH_EUNSUPPORTED, "inverted lists \"%s\" are %s",
                        family_tag_text(*kind).text, what);
}

int wire_lists(struct wire *wire, struct faiss_node *node) {
    struct faiss_ivf *ivf = &node->ivf;
    uint64_t nlist = ivf->nlist, code_size = ivf->code_size;
    uint32_t kind;
    TRY(lists_kind(wire, node, &kind));
    bool blocks = kind == TAG("ilbl");
    if (blocks) code_size = CODE_SIZE_NONE;
    TRY(wire_u64(wire, &nlist));
    TRY(wire_u64(wire, &code_size));
    WIRE_CHECK(wire,
               nlist == ivf->nlist &&
                   (code_size == ivf->code_size || (blocks && code_size == CODE_SIZE_NONE)),
               "%llu lists of %llu-byte codes in an index of %llu and %llu",
               (unsigned long long)nlist, (unsigned long long)code_size,
               (unsigned long long)ivf->nlist, (unsigned long long)ivf->code_size);
    TRY(blocks ? walk_blocks(wire, ivf) : walk_arrays(wire, ivf));
    return check_total(wire, node);
}

/* ---- old files, reading only ------------------------------------------------------------------- */

int wire_old_ids(struct wire *wire, struct faiss_ivf *ivf) {
    TRY(lists_new(wire, ivf));
    for (uint64_t i = 0; i < ivf->nlist; i++) {
        struct faiss_array ids;
        TRY(wire_array(wire, &ids, sizeof(int64_t), "list ids"));
        ivf->lists[i] = (struct faiss_list){ids.n, NULL, ids.bytes};
    }
    return KITH_OK;
}

int wire_old_codes(struct wire *wire, struct faiss_node *node, size_t unit) {
    for (uint64_t i = 0; i < node->ivf.nlist; i++) {
        struct faiss_list *list = &node->ivf.lists[i];
        struct faiss_codes codes = {NULL, list->n, node->ivf.code_size};
        TRY(wire_codes(wire, &codes, unit));
        list->codes = codes.bytes;
    }
    return check_total(wire, node);
}
