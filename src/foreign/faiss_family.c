/* Families: what the four letters at the head of an index name.
 *
 * Some kinds have several tags: by metric (Flat), by what they hold (HNSW), by generation. family_of_tag knows all that
 * were ever written and are read; family_tag gives the one that is written today. The rest of FAISS's letters are
 * known by name, so that a refusal can say what the file is. */
#include "foreign/faiss_wire.h"

#define TAG(s) FAISS_TAG((s)[0], (s)[1], (s)[2], (s)[3])

static const struct {
    char tag[5];
    enum faiss_kind kind;
} families[] = {
    {"IxFI", FAISS_FLAT},       {"IxF2", FAISS_FLAT},       {"IxFl", FAISS_FLAT},
    {"IxPq", FAISS_PQ},         {"IxPQ", FAISS_PQ},         {"IxPo", FAISS_PQ},
    {"IxSQ", FAISS_SQ},         {"IPfs", FAISS_PQ_FAST},    {"Ixrq", FAISS_RABITQ},
    {"Ixrr", FAISS_RABITQ},     {"IxMp", FAISS_ID_MAP},     {"IxM2", FAISS_ID_MAP},
    {"IHNf", FAISS_HNSW},       {"IHNp", FAISS_HNSW},       {"IHNs", FAISS_HNSW},
    {"IwFl", FAISS_IVF_FLAT},   {"IvFl", FAISS_IVF_FLAT},   {"IvFL", FAISS_IVF_FLAT},
    {"IwPQ", FAISS_IVF_PQ},     {"IvPQ", FAISS_IVF_PQ},     {"IwSq", FAISS_IVF_SQ},
    {"IwSQ", FAISS_IVF_SQ},     {"IvSQ", FAISS_IVF_SQ},     {"IwPf", FAISS_IVF_PQ_FAST},
    {"Iwrq", FAISS_IVF_RABITQ}, {"Iwrr", FAISS_IVF_RABITQ}, {"IxPT", FAISS_PRE_TRANSFORM},
    {"IxRF", FAISS_REFINE},
};

static const struct {
    char tag[5];
    const char *name;
} refused[] = {
    {"IH00", "a bare HNSW"},
    {"IHN2", "an HNSW over two-layer codes"},
    {"IHNc", "a CAGRA graph"},
    {"IHc2", "a CAGRA graph"},
    {"IHfP", "an HNSW with Panorama"},
    {"IwFd", "an IVF without duplicates"},
    {"IwQR", "an IVF-PQ with refinement codes"},
    {"IvQR", "an IVF-PQ with refinement codes"},
    {"IwPn", "an IVF with Panorama"},
    {"IwP2", "an IVF with Panorama"},
    {"IxFP", "a Flat with Panorama"},
    {"IxFp", "a Flat with Panorama"},
    {"IxRP", "a refinement with Panorama"},
    {"IwIQ", "an IVF of independent quantisers"},
    {"IwSh", "an IVF of spectral hashes"},
    {"Imiq", "a multi-index quantiser"},
    {"ImRQ", "a residual coarse quantiser"},
    {"Ix2L", "a two-layer index"},
    {"IxHe", "an LSH"},
    {"IxHE", "an LSH"},
    {"IxLa", "a lattice"},
    {"IRMf", "a row-wise min-max index"},
    {"IRMh", "a row-wise min-max index"},
    {"INSf", "an NSG"},
    {"INSp", "an NSG"},
    {"INSs", "an NSG"},
    {"INNf", "an NN-descent graph"},
    {"IxRq", "an additive quantiser"},
    {"IxRQ", "an additive quantiser"},
    {"IxLS", "an additive quantiser"},
    {"IxPR", "an additive quantiser"},
    {"IxPL", "an additive quantiser"},
    {"IwLS", "an IVF of an additive quantiser"},
    {"IwRQ", "an IVF of an additive quantiser"},
    {"IwPL", "an IVF of an additive quantiser"},
    {"IwPR", "an IVF of an additive quantiser"},
    {"ILfs", "a fast scan of an additive quantiser"},
    {"IRfs", "a fast scan of an additive quantiser"},
    {"IPLf", "a fast scan of an additive quantiser"},
    {"IPRf", "a fast scan of an additive quantiser"},
    {"IVLf", "an IVF fast scan of an additive quantiser"},
    {"IVRf", "an IVF fast scan of an additive quantiser"},
    {"NPLf", "an IVF fast scan of an additive quantiser"},
    {"NPRf", "an IVF fast scan of an additive quantiser"},
    {"Irfn", "a RaBitQ fast scan"},
    {"Irfs", "a RaBitQ fast scan"},
    {"Iwrn", "an IVF RaBitQ fast scan"},
    {"Iwrf", "an IVF RaBitQ fast scan"},
    {"IxEe", "an EDEN code"},
    {"IxEd", "an EDEN code"},
    {"IwEe", "an IVF of EDEN codes"},
    {"IwEd", "an IVF of EDEN codes"},
    {"ILVQ", "an Intel SVS index"},
    {"ISVL", "an Intel SVS index"},
    {"ISVD", "an Intel SVS index"},
    {"ISV2", "an Intel SVS index"},
    {"ISVF", "an Intel SVS index"},
    {"ISIQ", "an Intel SVS index"},
    {"ISIL", "an Intel SVS index"},
    {"ISID", "an Intel SVS index"},
    {"IBxF", "a binary Flat"},
    {"IBwF", "a binary IVF"},
    {"IBHf", "a binary HNSW"},
    {"IBHc", "a binary CAGRA graph"},
    {"IBFf", "a binary index made of a float one"},
    {"IBMp", "a binary index with ids"},
    {"IBM2", "a binary index with ids"},
    {"IBHh", "a binary hash"},
    {"IBHm", "a binary multi-hash"},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct tag_text family_tag_text(uint32_t tag) {
    struct tag_text out = {{0}};
    for (int i = 0; i < 4; i++) {
        char letter = (char)(tag >> (8 * i));
        out.text[i] = letter >= ' ' && letter <= '~' ? letter : '.';
    }
    return out;
}

int family_of_tag(const struct wire *wire, uint32_t tag, enum faiss_kind *kind) {
    struct tag_text letters = family_tag_text(tag);
    for (size_t i = 0; i < COUNT(families); i++)
        if (tag == TAG(families[i].tag)) {
            *kind = families[i].kind;
            return KITH_OK;
        }
    for (size_t i = 0; i < COUNT(refused); i++)
        if (tag == TAG(refused[i].tag))
            return WIRE_FAIL_AS(wire, KITH_EUNSUPPORTED,
                                "FAISS family \"%s\", %s, is not supported", letters.text,
                                refused[i].name);
    if (tag == TAG("null"))
        return WIRE_FAIL_AS(wire, KITH_EUNSUPPORTED,
                            "an index was left out when the file was written");
    return WIRE_FAIL_AS(wire, KITH_EFORMAT, "\"%s\" is not a family of FAISS", letters.text);
}

uint32_t family_tag(const struct faiss_node *node) {
    switch (node->kind) {
    case FAISS_FLAT:
        return node->metric == FAISS_IP   ? TAG("IxFI")
               : node->metric == FAISS_L2 ? TAG("IxF2")
                                          : TAG("IxFl");
    case FAISS_PQ: return TAG("IxPq");
    case FAISS_SQ: return TAG("IxSQ");
    case FAISS_PQ_FAST: return TAG("IPfs");
    case FAISS_RABITQ: return node->rabitq.nb_bits == 1 ? TAG("Ixrq") : TAG("Ixrr");
    case FAISS_ID_MAP: return node->map_both_ways ? TAG("IxM2") : TAG("IxMp");
    case FAISS_HNSW:
        return node->inner->kind == FAISS_PQ   ? TAG("IHNp")
               : node->inner->kind == FAISS_SQ ? TAG("IHNs")
                                               : TAG("IHNf");
    case FAISS_IVF_FLAT: return TAG("IwFl");
    case FAISS_IVF_PQ: return TAG("IwPQ");
    case FAISS_IVF_SQ: return TAG("IwSq");
    case FAISS_IVF_PQ_FAST: return TAG("IwPf");
    case FAISS_IVF_RABITQ: return node->rabitq.nb_bits == 1 ? TAG("Iwrq") : TAG("Iwrr");
    case FAISS_PRE_TRANSFORM: return TAG("IxPT");
    case FAISS_REFINE: return TAG("IxRF");
    }
    return 0;
}

bool faiss_recognise(const uint8_t *bytes, size_t n) {
    if (n < sizeof(uint32_t)) return false;
    uint32_t tag = bytes_u32(bytes);
    for (size_t i = 0; i < COUNT(families); i++)
        if (tag == TAG(families[i].tag)) return true;
    for (size_t i = 0; i < COUNT(refused); i++)
        if (tag == TAG(refused[i].tag)) return true;
    return false;
}

/* ---- names ------------------------------------------------------------------------------------- */

const char *faiss_kind_name(enum faiss_kind kind) {
    static const char *const names[] = {
        [FAISS_FLAT] = "Flat",
        [FAISS_PQ] = "PQ",
        [FAISS_SQ] = "SQ",
        [FAISS_PQ_FAST] = "PQ fast scan",
        [FAISS_RABITQ] = "RaBitQ",
        [FAISS_ID_MAP] = "IDMap",
        [FAISS_HNSW] = "HNSW",
        [FAISS_IVF_FLAT] = "IVF-Flat",
        [FAISS_IVF_PQ] = "IVF-PQ",
        [FAISS_IVF_SQ] = "IVF-SQ",
        [FAISS_IVF_PQ_FAST] = "IVF-PQ fast scan",
        [FAISS_IVF_RABITQ] = "IVF-RaBitQ",
        [FAISS_PRE_TRANSFORM] = "PreTransform",
        [FAISS_REFINE] = "Refine",
    };
    return (size_t)kind < COUNT(names) ? names[kind] : "?";
}

static const struct {
    int32_t metric;
    const char *name;
} metrics[] = {
    {FAISS_IP, "INNER_PRODUCT"},
    {FAISS_L2, "L2"},
    {FAISS_L1, "L1"},
    {FAISS_LINF, "Linf"},
    {FAISS_LP, "Lp"},
    {FAISS_CANBERRA, "Canberra"},
    {FAISS_BRAY_CURTIS, "BrayCurtis"},
    {FAISS_JENSEN_SHANNON, "JensenShannon"},
    {FAISS_JACCARD, "Jaccard"},
    {FAISS_NAN_EUCLIDEAN, "NaNEuclidean"},
    {FAISS_GOWER, "GOWER"},
};

const char *faiss_metric_name(int32_t metric) {
    for (size_t i = 0; i < COUNT(metrics); i++)
        if (metrics[i].metric == metric) return metrics[i].name;
    return "?";
}

bool family_metric_known(int32_t metric) {
    for (size_t i = 0; i < COUNT(metrics); i++)
        if (metrics[i].metric == metric) return true;
    return false;
}
