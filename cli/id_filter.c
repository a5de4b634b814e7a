/* Filters from files of ids.
 *
 * Ids that lie close together become a bit view; those that are spread widely (a bit view of 10^12 would take
 * 116 GiB) stay a sorted list that a callback searches. */
#include "cli.h"

#include <stdlib.h>

/* A bit view may take this many bytes for each id that is listed, or BITS_FREE in all. */
#define BITS_BYTES_PER_ID 64
#define BITS_FREE         ((uint64_t)64 << 20)

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int is_listed(void *context, int64_t id) {
    const id_table *list = context;
    return bsearch(&id, list->ids, list->n, sizeof id, by_value) != NULL;
}

static int make_bits(id_filter *f, uint64_t n_bits, kith_error *err) {
    f->bits = calloc((size_t)(n_bits / 64 + 1), sizeof *f->bits);
    if (!f->bits)
        return format_fail(err, KITH_ENOMEM, -1, "no memory for ids below %llu",
                           (unsigned long long)n_bits);
    for (size_t i = 0; i < f->list.n; i++)
        f->bits[f->list.ids[i] / 64] |= (uint64_t)1 << (f->list.ids[i] % 64);
    f->filter = (kith_filter){.bits = f->bits, .n_bits = n_bits};
    return KITH_OK;
}

int id_filter_read(id_filter *f, const char *path, kith_error *err) {
    int code = id_list_read(&f->list, path, NULL, err);
    if (code) return code;
    qsort(f->list.ids, f->list.n, sizeof *f->list.ids, by_value);
    if (f->list.ids[0] < 0)
        return format_fail(err, KITH_EFILTER, -1, "id %lld is negative", (long long)f->list.ids[0]);
    uint64_t n_bits = (uint64_t)f->list.ids[f->list.n - 1] + 1;
    if (n_bits / 8 <= BITS_FREE || n_bits / 8 / f->list.n <= BITS_BYTES_PER_ID)
        return make_bits(f, n_bits, err);
    f->filter = (kith_filter){.pass = is_listed, .context = &f->list};
    return KITH_OK;
}

void id_filter_free(id_filter *f) {
    id_table_free(&f->list);
    free(f->bits);
    *f = (id_filter){0};
}
