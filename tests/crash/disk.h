/* A disk that forgets: every write and sync of a folder's files is recorded, in order; then the folder is made again as it may
 * look after the power went at some moment.
 *
 * What was synced is there. Of each write that was not yet synced, none, all, or some of its 512-byte sectors are, whatever
 * came of those before and after it. A file's length is kept in its journal, and may be as of any moment since its last sync.
 * Writes to a file descriptor with O_DSYNC are synced when they return. The functions of the C library are replaced in this
 * executable, for the libraries it uses too. */
#ifndef KITH_TESTS_DISK_H
#define KITH_TESTS_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* Take the files of a folder as they are, and record what is done to them from now on. */
void disk_record(const char *folder);
/* Stop, and tell how many moments there were. */
uint32_t disk_stop(void);
/* How many there have been so far. */
uint32_t disk_now(void);
/* Make `folder` as it may look when the power went after `moment` of them. */
void disk_crash(const char *folder, uint32_t moment, uint64_t seed);
/* The call number n from now (1: the next) to write, change a length or sync fails with `number` (errno) without doing
 * anything, and so do all that follow it while `lasting`. 0: none. */
void disk_fail(uint32_t n, int number, bool lasting);
/* Whether it did. */
bool disk_failed(void);

#endif
