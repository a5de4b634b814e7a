/* Links of a row, level by level; see links.h. */
#include "foreign/links.h"

#include "base/status.h"
#include "foreign/bytes.h"

static int check_level(const struct foreign_links *graph, uint64_t row, int32_t level,
                       kith_error *err) {
    uint32_t n;
    const uint8_t *links = graph->links(graph->view, row, level, &n);
    int64_t at = links - graph->bytes;
    if (n > (level == 0 ? graph->most0 : graph->most))
        return FAIL_AT(err, KITH_ECORRUPT, at, "byte %lld: row %llu has %u links on level %d",
                       (long long)at, (unsigned long long)row, n, level);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t to = bytes_u32(links + 4 * (size_t)i);
        if (to >= graph->n || graph->level(graph->view, to) < level)
            return FAIL_AT(err, KITH_ECORRUPT, at + 4 * (int64_t)i,
                           "byte %lld: row %llu leads to row %u on level %d, where it is not",
                           (long long)at + 4 * (int64_t)i, (unsigned long long)row, to, level);
    }
    return KITH_OK;
}

int foreign_check_row(const struct foreign_links *graph, uint64_t row, kith_error *err) {
    for (int32_t level = 0; level <= graph->level(graph->view, row); level++)
        TRY(check_level(graph, row, level, err));
    return KITH_OK;
}
