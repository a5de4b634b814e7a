/* Plans: from a program and the field indexes that there are to sets of rows.
 *
 * A row in `may` may match, a row in `does` does; for those in between the payload decides (filter_matches). Where every condition
 * has an index that can tell, both are one. A condition without an index takes all rows into may and none into does. */
#ifndef KITH_FILTER_FILTER_PLAN_H
#define KITH_FILTER_FILTER_PLAN_H

#include "filter/field.h"

/* What is known of the rows of a collection; borrowed. */
struct filter_source {
    uint64_t n_rows; /* above every row */
    /* rows that are points: bits_words(n_rows) words, no bit from n_rows on */
    const uint64_t *live;
    uint64_t n_live;
    struct field *const *fields;
    size_t n_fields;
    const uint64_t *const
        *vectors; /* rows with the vector of that bit of filter_bind_vectors; NULL: not known */
    size_t n_vectors;
    bool (*find_row)(void *context, const kith_id *id, uint32_t *row); /* NULL: not known */
    void *context;
};

/* Sets of rows and the room to make them, kept from query to query; for one thread at a time. */
struct filter_rows {
    struct mem_account *owner;
    const uint64_t *may, *does; /* out: until the next plan; the same when exact */
    size_t n_words;
    bool exact;
    uint64_t n_may, n_does;
    uint64_t *room; /* private */
    size_t room_words;
};
void filter_rows_deinit(struct filter_rows *rows);

/* Cost: per condition with an index a few passes over n_rows bits. KITH_ENOMEM; KITH_EINVAL a field with rows beyond n_rows. */
int filter_plan(const struct filter *filter, const struct filter_source *source,
                struct filter_rows *rows, kith_error *err);

/* How many rows to expect, without making sets: as if conditions were independent, and half of all for one that no index knows.
 * Microseconds; texts in a keyword index that are not asked for by name count as unknown. */
double filter_estimate(const struct filter *filter, const struct filter_source *source);

#endif
