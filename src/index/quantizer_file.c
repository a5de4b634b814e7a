/* A section with the model of a quantizer, as its kind writes it. */
#include "base/mem.h"
#include "base/status.h"
#include "index/file.h"
#include "quant/quantizer.h"

int quantizer_save(const struct quantizer *quantizer, uint32_t tag, struct file_sections *out,
                   kith_error *err) {
    size_t bytes = quantizer->ops->model_bytes(quantizer);
    uint8_t *model = mem_new(NULL, bytes);
    if (!model) return FAIL(err, KITH_ENOMEM, "no memory for a model of %zu bytes", bytes);
    quantizer->ops->model_write(quantizer, model);
    int code = file_sections_put(out, tag, model, bytes, err);
    mem_free(NULL, model, bytes);
    return code;
}

int quantizer_load(struct quantizer *quantizer, uint32_t tag, const struct index_file *file,
                   kith_error *err) {
    const void *bytes;
    size_t n;
    TRY(index_file_section(file, tag, SIZE_MAX, &bytes, &n, err));
    return quantizer->ops->model_read(quantizer, bytes, n, err);
}
