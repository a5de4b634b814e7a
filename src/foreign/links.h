/* Links of a graph whose rows know their levels: what the views of hnswlib and usearch promise of theirs. */
#ifndef KITH_FOREIGN_LINKS_H
#define KITH_FOREIGN_LINKS_H

#include <stdint.h>

#include <kith/error.h>

struct foreign_links {
    const void *view;
    const uint8_t *bytes;    /* of the file, which errors count from */
    uint64_t n, most0, most; /* rows; links a row on level 0 and above, at most */
    int32_t (*level)(const void *view, uint64_t row);
    const uint8_t *(*links)(const void *view, uint64_t row, int32_t level, uint32_t *n);
};

/* Every link of a row leads to a row that has the link's level, and there are not too many.
 *   Errors   KITH_ECORRUPT, err->at the byte. */
int foreign_check_row(const struct foreign_links *graph, uint64_t row, kith_error *err);

#endif
