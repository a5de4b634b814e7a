/* Any description: it is refused with an offset inside it, or it makes an index whose canonical description
 * means the same. */
#include <string.h>

#include <kith/kith.h>

#include "fuzz.h"

static void check_again(const kith_index *index) {
    kith_index_stats first, second;
    kith_index *again = NULL;
    kith_error err = {0};
    kith_index_stats_get(index, &first);
    if (kith_index_new(&again, 5, KITH_METRIC_IP, first.spec, NULL, &err) != KITH_OK)
        fuzz_broken("canonical description %s: %s", first.spec, err.text);
    kith_index_stats_get(again, &second);
    if (strcmp(first.spec, second.spec) != 0) fuzz_broken("%s became %s", first.spec, second.spec);
    kith_index_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    float rows[3 * 5] = {1, 2, 3, 4, 5, -1, 0, 0, 0, 1, 0.5f};
    char *spec = malloc(size + 1);
    kith_index *index = NULL;
    kith_error err = {0};
    memcpy(spec, data, size);
    spec[size] = '\0';
    int code = kith_index_new(&index, 5, KITH_METRIC_IP, spec, NULL, &err);
    if (code == KITH_OK) {
        check_again(index);
        if (kith_index_add(index, 3, rows, NULL, NULL, &err) != KITH_OK ||
            kith_index_check(index, &err) != KITH_OK)
            fuzz_broken("%s: %s", spec, err.text);
        kith_index_free(index);
    } else if (code != KITH_ESPEC || err.at < 0 || (size_t)err.at > strlen(spec)) {
        fuzz_broken("refused with code %d at %d: %s", code, (int)err.at, err.text);
    }
    free(spec);
    return 0;
}
