/* An index as a file: the section INDX (what the index is), the rows' sections, and those of its kind.
 *
 * INDX: u32 dim, u32 metric, u32 ef_construction, f32 alpha, u64 seed, and the canonical spec, filled up with zeros, at
 * least one, to 64 bytes, or where it is longer to 128.
 * Saving keeps writers out (pause) but no search. Opening by map reads the header, the table and small sections, so that
 * it costs the same at any size; searches of a map guard themselves. Opening by reading verifies every checksum, and
 * then the structure too: writes trust it, and a checksum only tells that nobody changed the file by accident. */
#include <stddef.h>
#include <string.h>

#include "base/bits.h"
#include "base/status.h"
#include "foreign/foreign.h"
#include "index/calibrate.h"
#include "index/file.h"
#include "index/index.h"

#define TAG_INDEX FILE_TAG('I', 'N', 'D', 'X')

struct meta {
    uint32_t dim, metric, ef_construction;
    float alpha;
    uint64_t seed;
    char spec[FACTORY_TEXT];
};

#define SPEC_PART 64u

_Static_assert(FACTORY_TEXT % SPEC_PART == 0, "INDX ends with whole parts");

static size_t meta_bytes(const struct meta *meta) {
    return offsetof(struct meta, spec) + bits_round_up(strlen(meta->spec) + 1, SPEC_PART);
}

int index_put_sections(const struct kith_index *index, struct file_sections *out, kith_error *err) {
    struct meta meta = {.dim = index->rows.config.dim,
                        .metric = (uint32_t)index->rows.config.metric,
                        .ef_construction = index->options.ef_construction,
                        .alpha = index->options.alpha,
                        .seed = index->options.seed};
    memcpy(meta.spec, index->spec, sizeof meta.spec);
    TRY(file_sections_put(out, TAG_INDEX, &meta, meta_bytes(&meta), err));
    TRY(rows_save(&index->rows, out, err));
    TRY(index->ops->save(index, out, err));
    return index_calibration_save(index, out, err);
}

int index_save(const struct kith_index *index, const char *path, kith_error *err) {
    struct kith_index *paused = (struct kith_index *)(uintptr_t)index;
    struct file_sections *out;
    TRY(file_sections_open(&out, path, err));
    index->ops->pause(paused);
    int code = index_put_sections(index, out, err);
    index->ops->resume(paused);
    if (code != KITH_OK) {
        file_sections_abort(out);
        return code;
    }
    return file_sections_commit(out, err);
}

static int read_meta(const struct index_file *file, struct meta *meta, kith_error *err) {
    const void *bytes;
    size_t n;
    TRY(index_file_section(file, TAG_INDEX, SIZE_MAX, &bytes, &n, err));
    *meta = (struct meta){0};
    memcpy(meta, bytes, n < sizeof *meta ? n : sizeof *meta);
    if (memchr(meta->spec, '\0', sizeof meta->spec) == NULL || n != meta_bytes(meta))
        return FAIL(err, KITH_ECORRUPT, "section INDX of %zu bytes has no whole description", n);
    if (meta->dim == 0 || meta->dim > KITH_MAX_DIM || meta->metric > KITH_METRIC_L1)
        return FAIL(err, KITH_ECORRUPT, "section INDX tells of dimension %u and metric %u",
                    meta->dim, meta->metric);
    return KITH_OK;
}

static int make_described(struct kith_index **out, const struct meta *meta,
                          const kith_index_options *options, kith_error *err) {
    struct index_spec spec;
    TRY(factory_parse(meta->spec, &spec, err));
    spec.rows.dim = meta->dim;
    spec.rows.metric = (kith_metric)meta->metric;
    return index_make(out, &spec, options, err);
}

/* The description and the options were accepted when the index was made, so that a refusal now is the file's fault. */
int index_load_sections(struct kith_index **out, const struct index_file *file, bool check,
                        kith_error *err) {
    struct meta meta;
    kith_index_options options = KITH_INDEX_OPTIONS_INIT;
    struct kith_index *index;
    TRY(read_meta(file, &meta, err));
    options.ef_construction = meta.ef_construction;
    options.alpha = meta.alpha;
    options.seed = meta.seed;
    int code = make_described(&index, &meta, &options, err);
    if (code == KITH_ENOMEM) return code;
    if (code != KITH_OK)
        return FAIL(err, KITH_ECORRUPT, "section INDX describes no index: \"%s\"", meta.spec);
    code = rows_load(&index->rows, file, err);
    if (code == KITH_OK) code = index->ops->load(index, file, err);
    if (code == KITH_OK) code = index_calibration_load(index, file, err);
    if (code == KITH_OK && check) code = index->ops->check(index, err);
    if (code != KITH_OK) {
        index_free(index);
        return code;
    }
    *out = index;
    return KITH_OK;
}

/* A file that is not Kith's, by name where it is another engine's. */
static int fail_foreign(const struct file_map *map, kith_error *err) {
    enum foreign_engine engine = foreign_recognise(map->bytes, map->size);
    if (engine == FOREIGN_NONE) return KITH_EFORMAT;
    return FAIL_AT(err, KITH_EFORMAT, 0,
                   "an index file of %s: kith_index_import reads it, and so does kith convert",
                   foreign_engine_name(engine));
}

int index_open(struct kith_index **out, const char *path, int mode, kith_error *err) {
    bool map = mode == KITH_OPEN_MAP, codes = mode == KITH_OPEN_CODES;
    struct file_map opened;
    struct kith_index *index = NULL;
    TRY(file_map_open(&opened, path, err));
    struct index_file file = {
        .bytes = opened.bytes, .size = opened.size, .mapped = map, .originals = codes};
    int code = index_file_verify(&file,
                                 map                        ? FILE_VERIFY_SMALL
                                 : codes                    ? FILE_VERIFY_CODES
                                 : mode == KITH_OPEN_REPAIR ? FILE_VERIFY_TRUTH
                                                            : FILE_VERIFY_ALL,
                                 err);
    if (code == KITH_EFORMAT) code = fail_foreign(&opened, err);
    if (code == KITH_OK) code = index_load_sections(&index, &file, mode == KITH_OPEN_READ, err);
    if (code == KITH_OK && (map || codes))
        index->map = opened;
    else
        file_map_close(&opened);
    if (code == KITH_OK) *out = index;
    return code;
}

int index_check_file(const struct kith_index *index, kith_error *err) {
    struct index_file file = {
        .bytes = index->map.bytes, .size = index->map.size, .mapped = !index->rows.fetches};
    return index_file_verify(&file, FILE_VERIFY_ALL, err);
}
