/* Any bytes read as hnswlib's file: refused with a reason, or a view all of whose rows and links are there. */
#include <string.h>

#include <kith/kith.h>

#include "foreign/hnswlib.h"
#include "fuzz.h"

static volatile uint64_t sink;

static void touch_row(const struct hnswlib_view *view, uint64_t row) {
    const uint8_t *vector = hnswlib_vector(view, row);
    for (uint64_t i = 0; i < view->vector_bytes; i++) sink += vector[i];
    sink += hnswlib_label(view, row) + (uint64_t)hnswlib_deleted(view, row);
    for (int32_t level = 0; level <= hnswlib_level(view, row); level++) {
        uint32_t n;
        const uint8_t *links = hnswlib_links(view, row, level, &n);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t to;
            memcpy(&to, links + 4 * i, sizeof to);
            if (to >= view->n || hnswlib_level(view, to) < level)
                fuzz_broken("row %d leads to row %u on level %d", (int)row, to, level);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct hnswlib_view view;
    kith_error err = {0};
    uint8_t *copy = malloc(size + 1); /* ends where the file ends */
    uint8_t *bytes = copy + 1;        /* and is not aligned */
    memcpy(bytes, data, size);
    int code = hnswlib_read(&view, bytes, size, NULL, &err);
    if (code == KITH_OK) {
        if (view.n > 0 && hnswlib_level(&view, view.entry) != view.max_level)
            fuzz_broken("the entry is not on level %d", view.max_level);
        for (uint64_t row = 0; row < view.n; row++) touch_row(&view, row);
        hnswlib_deinit(&view, NULL);
    } else if (err.code != code || err.text[0] == '\0' || (err.at >= 0 && (size_t)err.at > size)) {
        fuzz_broken("code %d at %lld: %s", code, (long long)err.at, err.text);
    }
    free(copy);
    return 0;
}
