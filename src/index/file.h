/* The index file: a header, a table of sections, and the sections. docs/format.md gives every byte.
 *
 *     0    64  header: magic "KITHIDX\n", u32 version, u32 n_sections, u64 file bytes, u64 table offset,
 *              u32 table crc32c, u32 header crc32c (of the 64 bytes with this field 0), zeros
 *     64   …   sections, each at a multiple of 64, in the order written
 *     …        table: n_sections x 32 bytes: u32 tag, u32 crc32c, u64 offset, u64 bytes, u64 zero
 *
 * All numbers little-endian. Gaps are zeros and are checked too. Tags are four letters or digits, the letters small where
 * a section is of an index inside the index. */
#ifndef KITH_INDEX_FILE_H
#define KITH_INDEX_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/segs.h"

#define FILE_VERSION 1u
#define FILE_TAG(a, b, c, d) \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

struct file_sections;
int file_sections_open(struct file_sections **out, const char *path, kith_error *err);
int file_sections_put(struct file_sections *out, uint32_t tag, const void *bytes, size_t n,
                      kith_error *err);
/* The same in parts: begin, any number of more, end. */
int file_sections_begin(struct file_sections *out, uint32_t tag, kith_error *err);
int file_sections_more(struct file_sections *out, const void *bytes, size_t n, kith_error *err);
void file_sections_end(struct file_sections *out);
/* Tags of what is put from here on are in small letters, or in capitals again: an index inside another's file. */
void file_sections_nest(struct file_sections *out, bool nested);
/* The same with the letters of the tags backwards: an index over the centres of lists. Both may be. */
void file_sections_reverse(struct file_sections *out, bool reversed);
/* The first n elements of a segmented array, as one run. */
int file_sections_put_segs(struct file_sections *out, uint32_t tag, const struct segs *segs,
                           uint32_t n, kith_error *err);
int file_sections_commit(struct file_sections *out,
                         kith_error *err); /* frees, whatever it returns */
void file_sections_abort(struct file_sections *out);

struct index_file {
    const uint8_t *bytes; /* the whole file, mapped */
    size_t size;
    bool mapped;    /* keep pointing into it (KITH_OPEN_MAP); else sections are copied out */
    bool originals; /* keep pointing at originals only (KITH_OPEN_CODES) */
    bool nested;    /* sections are those with tags in small letters */
    bool reversed;  /* sections are those with tags backwards */
};
/* A section's bytes, or an error naming it. want_bytes SIZE_MAX: any length. */
int index_file_section(const struct index_file *file, uint32_t tag, size_t want_bytes,
                       const void **bytes, size_t *n, kith_error *err);
bool index_file_has(const struct index_file *file, uint32_t tag);
/* Whether a section holds what only re-ranking reads: originals apart from codes, and rows beside lists or before
 * transforms. */
bool index_file_is_original(const struct index_file *file, uint32_t tag);
/* A section's bytes have been copied: the map's pages leave memory. For any but KITH_OPEN_MAP. */
void index_file_copied(const struct index_file *file, const void *bytes, size_t n);
#define FILE_TAG_ORIGINALS  FILE_TAG('O', 'R', 'I', 'G')
#define FILE_TAG_WALK       FILE_TAG('W', 'A', 'L', 'K')
#define FILE_TAG_LISTS      FILE_TAG('I', 'V', 'F', 'M')
#define FILE_TAG_TRANSFORMS FILE_TAG('T', 'R', 'N', 'S')
/* Fill a segmented array (initialised, empty) with the n elements of a section: borrowed when mapped, else copied. */
int index_file_segs(const struct index_file *file, uint32_t tag, struct segs *segs, uint32_t n,
                    struct mem_account *owner, kith_error *err);
/* Sections of a graph that repair can make anew from the rows. */
#define FILE_TAG_LINKS    FILE_TAG('L', 'N', 'K', '0')
#define FILE_TAG_PARENT   FILE_TAG('P', 'R', 'N', 'T')
#define FILE_TAG_UPPER_AT FILE_TAG('U', 'P', 'A', 'T')
#define FILE_TAG_UPPER    FILE_TAG('U', 'P', 'L', 'K')
#define FILE_TAG_DEAD     FILE_TAG('D', 'E', 'A', 'D')

/* Does it begin as an index file of Kith does? */
bool index_file_is_ours(const uint8_t *bytes, size_t n);
/* How much of a file is verified: header, table and small sections (whatever the file's size), all but what can be made
 * anew, all but originals, or every section and every gap. */
enum file_verify { FILE_VERIFY_SMALL, FILE_VERIFY_TRUTH, FILE_VERIFY_CODES, FILE_VERIFY_ALL };
/* err->at is the first bad byte's section offset. */
int index_file_verify(const struct index_file *file, enum file_verify how, kith_error *err);

/* The model of a quantizer (quantizer_file.c), in a section of its own. */
#define FILE_TAG_QUANTIZER FILE_TAG('Q', 'N', 'T', 'Z') /* codes rows or lists */
struct quantizer;
int quantizer_save(const struct quantizer *quantizer, uint32_t tag, struct file_sections *out,
                   kith_error *err);
int quantizer_load(struct quantizer *quantizer, uint32_t tag, const struct index_file *file,
                   kith_error *err);

/* The rows' own sections (rows_file.c). */
struct rows;
int rows_save(const struct rows *rows, struct file_sections *out, kith_error *err);
int rows_load(struct rows *rows, const struct index_file *file, kith_error *err);

#endif
