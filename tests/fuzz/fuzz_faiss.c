/* Any bytes read as a FAISS file: refused with a reason, or a tree all of whose arrays are there, and which, written, is a
 * file that reads and is written as it was. */
#include <string.h>

#include <kith/kith.h>

#include "foreign/faiss.h"
#include "fuzz.h"

struct sink {
    uint8_t *bytes;
    size_t n, room;
};

static int put(void *context, const void *bytes, size_t n, kith_error *err) {
    struct sink *sink = context;
    (void)err;
    if (n > sink->room - sink->n) fuzz_broken("%zu bytes, and %zu more", sink->n, n);
    memcpy(sink->bytes + sink->n, bytes, n);
    sink->n += n;
    return KITH_OK;
}

/* What is written is as long as what was read, but for list sizes and the fields that old families lack. */
static struct sink write_tree(const struct faiss_node *root, size_t size) {
    struct sink sink = {malloc(2 * size + 4096), 0, 2 * size + 4096};
    kith_error err = {0};
    if (faiss_write(root, put, &sink, &err) != KITH_OK)
        fuzz_broken("read, but not written: %s", err.text);
    return sink;
}

static volatile unsigned byte_sink;

static void touch(const uint8_t *bytes, uint64_t n, uint64_t item) {
    unsigned sum = 0;
    for (uint64_t i = 0; i < n * item; i++) sum += bytes[i];
    byte_sink = sum;
}

static void touch_tree(const struct faiss_node *node) {
    touch(node->codes.bytes, node->codes.n, node->codes.code_size);
    touch(node->pq.centroids.bytes, node->pq.centroids.n, 4);
    touch(node->sq.trained.bytes, node->sq.trained.n, 4);
    touch(node->rabitq.center.bytes, node->rabitq.center.n, 4);
    touch(node->graph.neighbors.bytes, node->graph.neighbors.n, 4);
    touch(node->ids.bytes, node->ids.n, 8);
    for (uint64_t i = 0; node->ivf.lists && i < node->ivf.nlist; i++) {
        const struct faiss_list *list = &node->ivf.lists[i];
        uint64_t per = node->ivf.n_per_block, n_blocks = per ? (list->n + per - 1) / per : list->n;
        touch(list->ids, list->n, 8);
        touch(list->codes, n_blocks, per ? node->ivf.block_size : node->ivf.code_size);
    }
    for (int i = 0; i < node->n_chain; i++) {
        touch(node->chain[i].A.bytes, node->chain[i].A.n, 4);
        touch(node->chain[i].map.bytes, node->chain[i].map.n, 4);
    }
    if (node->ivf.quantizer) touch_tree(node->ivf.quantizer);
    if (node->inner) touch_tree(node->inner);
    if (node->refine) touch_tree(node->refine);
}

static void check_written(const struct faiss_node *root, size_t size) {
    struct sink once = write_tree(root, size);
    struct faiss_node *again = NULL;
    kith_error err = {0};
    if (faiss_read(&again, once.bytes, once.n, NULL, &err) != KITH_OK)
        fuzz_broken("written, but not read: %s", err.text);
    struct sink twice = write_tree(again, once.n);
    if (twice.n != once.n || memcmp(twice.bytes, once.bytes, once.n) != 0)
        fuzz_broken("written again, it differs");
    faiss_free(again, NULL);
    free(once.bytes);
    free(twice.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct faiss_node *root = NULL;
    kith_error err = {0};
    uint8_t *copy = malloc(size + 1); /* ends where the file ends */
    uint8_t *bytes = copy + 1;        /* and is not aligned */
    memcpy(bytes, data, size);
    int code = faiss_read(&root, bytes, size, NULL, &err);
    if (code == KITH_OK) {
        touch_tree(root);
        check_written(root, size);
        faiss_free(root, NULL);
    } else if (err.code != code || err.text[0] == '\0' || root || err.at < 0 ||
               (size_t)err.at > size) {
        fuzz_broken("code %d at %lld: %s", code, (long long)err.at, err.text);
    }
    free(copy);
    return 0;
}
