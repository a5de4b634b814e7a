/* Recognition: the marks of each engine's files, the surest first. */
#include "foreign/faiss.h"
#include "foreign/foreign.h"
#include "foreign/hnswlib.h"
#include "foreign/usearch.h"

enum foreign_engine foreign_recognise(const uint8_t *bytes, size_t n) {
    if (faiss_recognise(bytes, n)) return FOREIGN_FAISS;
    if (usearch_recognise(bytes, n)) return FOREIGN_USEARCH;
    if (hnswlib_recognise(bytes, n)) return FOREIGN_HNSWLIB;
    return FOREIGN_NONE;
}

const char *foreign_engine_name(enum foreign_engine engine) {
    static const char *const names[] = {"none", "FAISS", "hnswlib", "usearch"};
    return (size_t)engine < sizeof names / sizeof *names ? names[engine] : "none";
}
