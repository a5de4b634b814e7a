/* Index files: writing sections and checking them; file.h has the picture, docs/format.md every byte. */
#include "index/file.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/status.h"

#define MAGIC        "KITHIDX\n"
#define ALIGN        64u
#define SECTIONS_MAX 64u
#define PIECE_BYTES  ((size_t)1 << 20) /* of a section that is gone through: what a copy has twice */
#define SMALL_BYTES  ((size_t)64 << 10) /* sections up to this are verified by every open */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "files are little-endian and are mapped as they are");

struct header {
    char magic[8];
    uint32_t version, n_sections;
    uint64_t file_bytes, table_offset;
    uint32_t table_crc, header_crc;
    uint8_t zeros[24];
};

struct entry {
    uint32_t tag, crc;
    uint64_t offset, bytes, zero;
};

_Static_assert(sizeof(struct header) == 64 && sizeof(struct entry) == 32, "as docs/format.md says");

/* ---- writing ----------------------------------------------------------------------------------- */

struct file_sections {
    struct file_writer *writer;
    bool nested, reversed;
    uint32_t n;
    struct entry table[SECTIONS_MAX];
};

int file_sections_open(struct file_sections **out, const char *path, kith_error *err) {
    static const struct header nothing;
    struct file_sections *made = mem_new(NULL, sizeof *made);
    if (!made) return FAIL(err, KITH_ENOMEM, "no memory to write %s", path);
    int code = file_writer_open(&made->writer, path, err);
    if (code == KITH_OK) {
        code = file_writer_put(made->writer, &nothing, sizeof nothing, err);
        if (code == KITH_OK) {
            *out = made;
            return KITH_OK;
        }
        file_writer_abort(made->writer);
    }
    mem_free(NULL, made, sizeof *made);
    return code;
}

/* Its letters small (digits are as they were), or backwards, or both. */
static uint32_t tag_of(uint32_t tag, bool nested, bool reversed) {
    tag = nested ? tag | 0x20202020u : tag;
    return reversed ? __builtin_bswap32(tag) : tag;
}

void file_sections_nest(struct file_sections *out, bool nested) { out->nested = nested; }

void file_sections_reverse(struct file_sections *out, bool reversed) { out->reversed = reversed; }

int file_sections_begin(struct file_sections *out, uint32_t tag, kith_error *err) {
    if (out->n == SECTIONS_MAX)
        return FAIL(err, KITH_ERANGE, "more than %u sections", SECTIONS_MAX);
    TRY(file_writer_align(out->writer, ALIGN, err));
    out->table[out->n] = (struct entry){.tag = tag_of(tag, out->nested, out->reversed),
                                        .offset = file_writer_offset(out->writer)};
    return KITH_OK;
}

int file_sections_more(struct file_sections *out, const void *bytes, size_t n, kith_error *err) {
    struct entry *entry = &out->table[out->n];
    if (n == 0) return KITH_OK;
    TRY(file_writer_put(out->writer, bytes, n, err));
    entry->crc = file_crc32c(entry->crc, bytes, n);
    entry->bytes += n;
    return KITH_OK;
}

void file_sections_end(struct file_sections *out) { out->n++; }

int file_sections_put(struct file_sections *out, uint32_t tag, const void *bytes, size_t n,
                      kith_error *err) {
    TRY(file_sections_begin(out, tag, err));
    TRY(file_sections_more(out, bytes, n, err));
    file_sections_end(out);
    return KITH_OK;
}

int file_sections_put_segs(struct file_sections *out, uint32_t tag, const struct segs *segs,
                           uint32_t n, kith_error *err) {
    TRY(file_sections_begin(out, tag, err));
    for (uint32_t i = 0, run; i < n; i += run) {
        run = segs_run(segs, i, n - i);
        TRY(file_sections_more(out, segs_at(segs, i), run * segs->stride, err));
    }
    file_sections_end(out);
    return KITH_OK;
}

static int put_end(struct file_sections *out, kith_error *err) {
    TRY(file_writer_align(out->writer, ALIGN, err));
    struct header header = {.magic = MAGIC, .version = FILE_VERSION, .n_sections = out->n};
    size_t table_bytes = out->n * sizeof *out->table;
    header.table_offset = file_writer_offset(out->writer);
    header.file_bytes = header.table_offset + table_bytes;
    header.table_crc = file_crc32c(0, out->table, table_bytes);
    header.header_crc = file_crc32c(0, &header, sizeof header);
    TRY(file_writer_put(out->writer, out->table, table_bytes, err));
    return file_writer_patch(out->writer, 0, &header, sizeof header, err);
}

int file_sections_commit(struct file_sections *out, kith_error *err) {
    int code = put_end(out, err);
    if (code != KITH_OK) {
        file_sections_abort(out);
        return code;
    }
    code = file_writer_commit(out->writer, err);
    mem_free(NULL, out, sizeof *out);
    return code;
}

void file_sections_abort(struct file_sections *out) {
    file_writer_abort(out->writer);
    mem_free(NULL, out, sizeof *out);
}

/* ---- reading ----------------------------------------------------------------------------------- */

static struct header header_of(const struct index_file *file) {
    struct header header;
    memcpy(&header, file->bytes, sizeof header);
    return header;
}

static struct entry entry_of(const struct index_file *file, uint32_t i) {
    struct entry entry;
    memcpy(&entry, file->bytes + header_of(file).table_offset + i * sizeof entry, sizeof entry);
    return entry;
}

static const char *tag_text(uint32_t tag, char text[5]) {
    for (int i = 0; i < 4; i++) {
        uint8_t letter = (uint8_t)(tag >> (8 * i));
        text[i] = letter >= 32 && letter < 127 ? (char)letter : '?';
    }
    text[4] = '\0';
    return text;
}

static bool find_section(const struct index_file *file, uint32_t tag, struct entry *entry) {
    uint32_t n = header_of(file).n_sections;
    for (uint32_t i = 0; i < n; i++) {
        *entry = entry_of(file, i);
        if (entry->tag == tag) return true;
    }
    return false;
}

bool index_file_has(const struct index_file *file, uint32_t tag) {
    struct entry entry;
    return find_section(file, tag_of(tag, file->nested, file->reversed), &entry);
}

/* Tags are compared as the whole file's, or as those of the index inside it. */
bool index_file_is_original(const struct index_file *file, uint32_t tag) {
    struct entry entry;
    bool inside = (tag & 0x20202020u) == 0x20202020u;
    tag &= ~0x20202020u;
    return tag == FILE_TAG_ORIGINALS ||
           (tag == FILE_TAG_WALK &&
            (find_section(file, tag_of(FILE_TAG_LISTS, inside || file->nested, false), &entry) ||
             (!inside && !file->nested && find_section(file, FILE_TAG_TRANSFORMS, &entry))));
}

void index_file_copied(const struct index_file *file, const void *bytes, size_t n) {
    if (!file->mapped) file_map_drop(bytes, n);
}

int index_file_section(const struct index_file *file, uint32_t tag, size_t want_bytes,
                       const void **bytes, size_t *n, kith_error *err) {
    struct entry entry;
    char text[5];
    tag = tag_of(tag, file->nested, file->reversed);
    if (!find_section(file, tag, &entry))
        return FAIL(err, KITH_ECORRUPT, "section %s is missing", tag_text(tag, text));
    if (want_bytes != SIZE_MAX && entry.bytes != want_bytes)
        return FAIL_AT(err, KITH_ECORRUPT, entry.offset,
                       "section %s has %" PRIu64 " bytes, must have %zu", tag_text(tag, text),
                       entry.bytes, want_bytes);
    *bytes = file->bytes + entry.offset;
    *n = (size_t)entry.bytes;
    return KITH_OK;
}

int index_file_segs(const struct index_file *file, uint32_t tag, struct segs *segs, uint32_t n,
                    struct mem_account *owner, kith_error *err) {
    const void *bytes;
    size_t got;
    TRY(index_file_section(file, tag, n * segs->stride, &bytes, &got, err));
    if (n == 0) return KITH_OK;
    bool original = file->originals && index_file_is_original(file, tag);
    if (file->mapped || original) {
        segs_borrow(segs, bytes, n);
        if (original) file_map_scatter(bytes, got);
        return KITH_OK;
    }
    if (!segs_reserve(segs, n, owner))
        return FAIL(err, KITH_ENOMEM, "no memory for %zu bytes", got);
    for (size_t at = 0, some; at < got; at += some) {
        some = got - at < PIECE_BYTES ? got - at : PIECE_BYTES;
        memcpy(segs->base + at, (const uint8_t *)bytes + at, some);
        index_file_copied(file, (const uint8_t *)bytes + at, some);
    }
    return KITH_OK;
}

/* ---- verifying --------------------------------------------------------------------------------- */

static int verify_header(const struct index_file *file, kith_error *err) {
    size_t letters = file->size < 8 ? file->size : 8;
    if (letters && memcmp(file->bytes, MAGIC, letters) != 0)
        return FAIL_AT(err, KITH_EFORMAT, 0, "not an index file: it does not begin with KITHIDX");
    if (file->size < sizeof(struct header))
        return FAIL_AT(err, KITH_ETRUNCATED, file->size, "%zu bytes, a header has %zu", file->size,
                       sizeof(struct header));
    struct header header = header_of(file);
    if (header.version != FILE_VERSION)
        return FAIL_AT(err, KITH_EVERSION, 8, "file version %" PRIu32 ", this library reads %u",
                       header.version, FILE_VERSION);
    uint32_t crc = header.header_crc;
    header.header_crc = 0;
    if (file_crc32c(0, &header, sizeof header) != crc)
        return FAIL_AT(err, KITH_ECORRUPT, 0, "the header's checksum is wrong");
    if (header.file_bytes > file->size)
        return FAIL_AT(err, KITH_ETRUNCATED, file->size, "%zu bytes of %" PRIu64, file->size,
                       header.file_bytes);
    if (header.file_bytes < file->size)
        return FAIL_AT(err, KITH_ECORRUPT, header.file_bytes,
                       "%zu bytes, the header tells of %" PRIu64, file->size, header.file_bytes);
    uint64_t table_bytes = (uint64_t)header.n_sections * sizeof(struct entry);
    if (header.n_sections > SECTIONS_MAX || header.table_offset < sizeof header ||
        header.table_offset > header.file_bytes ||
        header.file_bytes - header.table_offset != table_bytes)
        return FAIL_AT(err, KITH_ECORRUPT, 0,
                       "a table of %" PRIu32 " sections at %" PRIu64 " in %" PRIu64 " bytes",
                       header.n_sections, header.table_offset, header.file_bytes);
    if (file_crc32c(0, file->bytes + header.table_offset, (size_t)table_bytes) != header.table_crc)
        return FAIL_AT(err, KITH_ECORRUPT, header.table_offset,
                       "the section table's checksum is wrong");
    return KITH_OK;
}

/* Every section begins at the first multiple of 64 after the one before, the table after the last. */
static int verify_places(const struct index_file *file, kith_error *err) {
    struct header header = header_of(file);
    uint64_t at = sizeof header;
    char text[5];
    for (uint32_t i = 0; i < header.n_sections; i++) {
        struct entry entry = entry_of(file, i), first;
        if (entry.offset != at || entry.bytes > header.table_offset - at || entry.zero != 0)
            return FAIL_AT(err, KITH_ECORRUPT, entry.offset,
                           "section %s of %" PRIu64 " bytes is not at %" PRIu64,
                           tag_text(entry.tag, text), entry.bytes, at);
        if (!find_section(file, entry.tag, &first) || first.offset != entry.offset)
            return FAIL_AT(err, KITH_ECORRUPT, entry.offset, "section %s comes twice",
                           tag_text(entry.tag, text));
        at = bits_round_up((size_t)(at + entry.bytes), ALIGN);
        if (at > header.table_offset)
            return FAIL_AT(err, KITH_ECORRUPT, entry.offset, "section %s reaches into the table",
                           tag_text(entry.tag, text));
    }
    if (at != header.table_offset)
        return FAIL_AT(err, KITH_ECORRUPT, at, "the table is at %" PRIu64 ", must be at %" PRIu64,
                       header.table_offset, at);
    return KITH_OK;
}

static int verify_section(const struct index_file *file, const struct entry *entry,
                          kith_error *err) {
    char text[5];
    uint32_t crc = 0;
    for (uint64_t at = 0, some; at < entry->bytes; at += some) {
        const uint8_t *bytes = file->bytes + entry->offset + at;
        some = entry->bytes - at < PIECE_BYTES ? entry->bytes - at : PIECE_BYTES;
        crc = file_crc32c(crc, bytes, (size_t)some);
        index_file_copied(file, bytes, (size_t)some);
    }
    if (crc != entry->crc)
        return FAIL_AT(err, KITH_ECORRUPT, entry->offset,
                       "section %s of %" PRIu64 " bytes: its checksum is wrong",
                       tag_text(entry->tag, text), entry->bytes);
    uint64_t end = entry->offset + entry->bytes;
    for (uint64_t at = end; at % ALIGN != 0; at++)
        if (file->bytes[at] != 0)
            return FAIL_AT(err, KITH_ECORRUPT, at, "byte %" PRIu64 " of a gap is not 0", at);
    return KITH_OK;
}

static bool is_derived(uint32_t tag) {
    static const uint32_t derived[] = {FILE_TAG_LINKS, FILE_TAG_PARENT, FILE_TAG_UPPER_AT,
                                       FILE_TAG_UPPER, FILE_TAG_DEAD};
    bool is = false;
    for (size_t i = 0; i < sizeof derived / sizeof *derived; i++)
        for (int as = 0; as < 4; as++) is |= tag == tag_of(derived[i], as & 1, as & 2);
    return is;
}

bool index_file_is_ours(const uint8_t *bytes, size_t n) {
    return n >= 8 && memcmp(bytes, MAGIC, 8) == 0;
}

int index_file_verify(const struct index_file *file, enum file_verify how, kith_error *err) {
    TRY(verify_header(file, err));
    TRY(verify_places(file, err));
    uint32_t n = header_of(file).n_sections;
    for (uint32_t i = 0; i < n; i++) {
        struct entry entry = entry_of(file, i);
        bool wanted = how == FILE_VERIFY_ALL ||
                      (how == FILE_VERIFY_SMALL && entry.bytes <= SMALL_BYTES) ||
                      (how == FILE_VERIFY_TRUTH && !is_derived(entry.tag)) ||
                      (how == FILE_VERIFY_CODES && !index_file_is_original(file, entry.tag));
        if (wanted) TRY(verify_section(file, &entry, err));
    }
    return KITH_OK;
}
