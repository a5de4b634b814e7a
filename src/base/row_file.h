/* Files of rows of one size, addressed by number: written with pwrite, read through a map.
 *
 *     0            4096              4096 + row_bytes
 *     header       row 0             row 1 …
 *
 * header: "KITHROWS", u32 version, u32 row_bytes, u32 CRC-32C of the bytes before it; the rest of the page is zero.
 *
 * Invariants
 *   1. Rows below capacity may be read: they were written, or are zero. Capacity only grows, the file never shrinks.
 *   2. A row's address never changes until the file is closed: the file is mapped in chunks of at least 64 MiB, of which
 *      only what the file has is touched.
 *   3. What was written before a row_file_sync that returned KITH_OK survives a loss of power. After a sync or a write that
 *      failed nobody knows what is on the disk: later writes and syncs repeat the failure until the file is opened anew.
 * One thread at a time writes; any number read meanwhile, rows that nobody writes. A row's bytes are the caller's to check. */
#ifndef KITH_BASE_ROW_FILE_H
#define KITH_BASE_ROW_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include <kith/error.h>

struct mem_account;
struct row_file;

#define ROW_FILE_ROWS ((uint32_t)1 << 31) /* row numbers are below */

/* A new file, in place of any that was there; its header is durable, its name once the folder is synced. */
int row_file_create(struct row_file **out, const char *path, uint32_t row_bytes,
                    struct mem_account *owner, kith_error *err);
/* KITH_EFORMAT, KITH_EVERSION, KITH_ECORRUPT, KITH_ETRUNCATED when it is not such a file of such rows. */
int row_file_open(struct row_file **out, const char *path, uint32_t row_bytes, bool writable,
                  struct mem_account *owner, kith_error *err);
void row_file_close(struct row_file *file);

/* Write n rows that follow each other, from `row` on. */
int row_file_write(struct row_file *file, uint32_t row, uint32_t n, const void *rows,
                   kith_error *err);
int row_file_sync(struct row_file *file, kith_error *err);
/* Give the blocks under n rows that nobody reads back to the file system, as far as it can; they read as zero. */
void row_file_punch(struct row_file *file, uint32_t row, uint32_t n);

/* A reader beside a writing process: look how far the file goes now. */
int row_file_refresh(struct row_file *file, kith_error *err);
uint32_t row_file_capacity(const struct row_file *file);
/* NULL at or past capacity. */
const void *row_file_at(const struct row_file *file, uint32_t row);
/* Bytes on the disk. */
uint64_t row_file_bytes(const struct row_file *file);

#endif
