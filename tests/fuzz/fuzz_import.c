/* Any bytes imported as another engine's index: refused with a reason, or a sound index, which can be used and changed, and
 * which, written as a FAISS file, is read as an index of as many rows. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <kith/foreign.h>
#include <kith/kith.h>

#include "fuzz.h"

static void check_written(const kith_index *index) {
    char path[] = "/tmp/kith-fuzz-import-XXXXXX";
    kith_index *again = NULL;
    kith_error err = {0};
    int file = mkstemp(path);
    if (file < 0) fuzz_broken("no temporary file");
    close(file);
    int code = kith_index_export(index, path, NULL, &err);
    if (code != KITH_OK && code != KITH_EUNSUPPORTED) fuzz_broken("not written: %s", err.text);
    if (code == KITH_OK) code = kith_index_import(&again, path, NULL, NULL, &err);
    if (code != KITH_OK && code != KITH_EUNSUPPORTED && code != KITH_ERANGE)
        fuzz_broken("written, but not read: %s", err.text);
    if (code == KITH_OK && kith_index_rows(again) != kith_index_rows(index))
        fuzz_broken("written and read, there are other rows");
    kith_index_free(again);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[32];
    kith_index *index = NULL;
    kith_error err = {0};
    kith_conversion what = KITH_CONVERSION_INIT;
    kith_import_options options = KITH_IMPORT_OPTIONS_INIT;
    options.metric = (int)(size % 5);
    int file = memfd_create("fuzz", 0);
    if (file < 0 || write(file, data, size) != (ssize_t)size) fuzz_broken("no memory file");
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    int code = kith_index_import(&index, path, &options, &what, &err);
    if (code != KITH_OK && (err.code != code || err.text[0] == '\0' || index))
        fuzz_broken("code %d without a reason: %s", code, err.text);
    if (code == KITH_OK) {
        if (kith_index_check(index, &err) != KITH_OK) fuzz_broken("not sound: %s", err.text);
        if (!what.engine || !what.spec[0]) fuzz_broken("a conversion that is not told");
        check_written(index);
        fuzz_use(index, KITH_OPEN_READ);
        kith_index_free(index);
    }
    close(file);
    return 0;
}
