/* FAISS files: reading into a tree, writing from one, freeing. The layouts are in faiss_body.c and what it calls. */
#include "foreign/faiss_wire.h"

int faiss_read(struct faiss_node **out, const uint8_t *bytes, size_t n, struct mem_account *owner,
               kith_error *err) {
    struct wire wire = {.err = err, .bytes = bytes, .n = n, .owner = owner};
    struct faiss_node *root = NULL;
    int code = wire_index(&wire, &root);
    if (code == KITH_OK && wire.at < n)
        code =
            FAIL_AT(err, KITH_ECORRUPT, wire.at, "byte %llu: %llu bytes after the end of the index",
                    (unsigned long long)wire.at, (unsigned long long)(n - wire.at));
    if (code != KITH_OK) {
        faiss_free(root, owner);
        root = NULL;
    }
    *out = root;
    return code;
}

void faiss_free(struct faiss_node *root, struct mem_account *owner) {
    if (!root) return;
    faiss_free(root->ivf.quantizer, owner);
    faiss_free(root->inner, owner);
    faiss_free(root->refine, owner);
    if (root->ivf.lists)
        mem_free(owner, root->ivf.lists, root->ivf.nlist * sizeof *root->ivf.lists);
    if (root->chain) mem_free(owner, root->chain, (size_t)root->n_chain * sizeof *root->chain);
    mem_free(owner, root, sizeof *root);
}

int faiss_open(struct faiss_file *out, const char *path, struct mem_account *owner,
               kith_error *err) {
    struct faiss_file file = {.root = NULL};
    TRY(file_map_open(&file.map, path, err));
    int code = faiss_read(&file.root, file.map.bytes, file.map.size, owner, err);
    if (code != KITH_OK)
        file_map_close(&file.map);
    else
        *out = file;
    return code;
}

void faiss_close(struct faiss_file *file, struct mem_account *owner) {
    faiss_free(file->root, owner);
    file->root = NULL;
    file_map_close(&file->map);
}

int faiss_write(const struct faiss_node *root, faiss_put *put, void *context, kith_error *err) {
    struct wire wire = {.writing = true, .err = err, .put = put, .context = context};
    struct faiss_node copy = *root, *slot = &copy;
    return wire_index(&wire, &slot);
}

static int put_file(void *context, const void *bytes, size_t n, kith_error *err) {
    return file_writer_put(context, bytes, n, err);
}

int faiss_save(const struct faiss_node *root, const char *path, kith_error *err) {
    struct file_writer *writer;
    TRY(file_writer_open(&writer, path, err));
    int code = faiss_write(root, put_file, writer, err);
    if (code != KITH_OK) {
        file_writer_abort(writer);
        return code;
    }
    return file_writer_commit(writer, err);
}
