/* Files: whole-file reading and mapping, and writing that is all or nothing.
 *
 * file_writer writes to PATH.kith-tmp-<n> in the same directory; file_writer_commit flushes, syncs the file, renames it over
 * PATH and syncs the directory; file_writer_abort (or a failure on the way) removes the temporary. A writer that is
 * killed leaves it, and the next writer of PATH removes it: living writers hold a lock on theirs (flock), which the system
 * takes from the dead. Every error names the path and what the system said; a full disk (or quota, or file size limit) is
 * KITH_ENOSPC.
 *
 * Invariants
 *   1. PATH is at every moment absent, the old file or the whole new one, also after kill -9 at any instruction.
 *   2. After commit returned KITH_OK the new file survives a loss of power.
 *   3. The first failure is final: later calls on the writer repeat its code, commit too.
 *   4. A temporary whose lock is held is removed or renamed by its writer alone; the name is given up before the lock.
 * A symbolic link is followed; a file that is replaced keeps its permissions; only regular files are replaced. */
#ifndef KITH_BASE_FILE_H
#define KITH_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>

struct mem_account;

struct file_writer; /* buffered; 1 MiB */

int file_writer_open(struct file_writer **out, const char *path, kith_error *err);
int file_writer_put(struct file_writer *writer, const void *bytes, size_t n, kith_error *err);
/* Zero bytes up to the next multiple of a power of two. */
int file_writer_align(struct file_writer *writer, size_t power, kith_error *err);
uint64_t file_writer_offset(const struct file_writer *writer);
/* Overwrite bytes already written (a header whose checksums are known last). */
int file_writer_patch(struct file_writer *writer, uint64_t offset, const void *bytes, size_t n,
                      kith_error *err);
/* Both free the writer, whatever they return. */
int file_writer_commit(struct file_writer *writer, kith_error *err);
void file_writer_abort(struct file_writer *writer);

struct file_map {
    const uint8_t *bytes;
    size_t size;
    void *handle; /* private */
};
/* Map a whole file read-only (MAP_SHARED, PROT_READ). An empty file gives bytes NULL, size 0. */
int file_map_open(struct file_map *map, const char *path, kith_error *err);
void file_map_close(struct file_map *map);
/* Advice about a part of a map: its whole pages leave memory, until they are touched again; it will be read here and there,
 * so that nothing around is read too; its pages will be wanted soon, and are fetched while the caller goes on. */
void file_map_drop(const void *bytes, size_t n);
void file_map_scatter(const void *bytes, size_t n);
void file_map_fetch(const void *bytes, size_t n);

/* For files that are not written whole. `path` is for the error; what they do is what their names say, to the end or not. */
int file_write_at(int fd, const char *path, uint64_t offset, const void *bytes, size_t n,
                  kith_error *err);
int file_sync_data(int fd, const char *path, kith_error *err); /* fdatasync */
/* Make what was created, renamed or removed beside path durable. */
int file_sync_folder(const char *path, kith_error *err);
/* "cannot WHAT PATH: what the system calls `number`", as one of our codes: KITH_ENOSPC, KITH_ENOMEM, KITH_EIO. */
int file_fail(kith_error *err, const char *what, const char *path, int number);

/* A spill: a temporary file without a name, written from front to back and then read anywhere; it goes when it is closed, or
 * with the process. It lies in the folder of a path that is going to be written, where there must be room anyway. */
struct file_spill {
    int fd;
    uint64_t bytes;
};
int file_spill_open(struct file_spill *spill, const char *path, kith_error *err);
int file_spill_put(struct file_spill *spill, const void *bytes, size_t n, kith_error *err);
int file_spill_get(const struct file_spill *spill, uint64_t offset, void *bytes, size_t n,
                   kith_error *err);
void file_spill_close(struct file_spill *spill);

/* CRC-32C (Castagnoli), of n bytes after crc (start with 0). */
uint32_t file_crc32c(uint32_t crc, const void *bytes, size_t n);
/* The same by tables alone; for machines and builds without ISA-L, and the oracle of the other. */
uint32_t file_crc32c_portable(uint32_t crc, const void *bytes, size_t n);

#endif
