/* Which slots are live. Opening reads the free slots and, only where some points lack a vector, the records. */
#include "db/live.h"

#include <string.h>

#include "base/bits.h"
#include "base/status.h"

struct live *live_new(struct mem_account *owner, uint32_t n_slots, uint32_t n_rows) {
    size_t words = bits_words(n_slots);
    size_t bytes = sizeof(struct live) + n_rows * words * sizeof(uint64_t);
    struct live *live = mem_new(owner, bytes);
    if (!live) return NULL;
    live->n_slots = n_slots;
    live->n_rows = n_rows;
    live->words = words;
    live->bytes = bytes;
    return live;
}

void live_free(struct mem_account *owner, struct live *live) {
    if (live) mem_free(owner, live, live->bytes);
}

void live_set(struct live *live, uint32_t slot, bool there, uint64_t fields) {
    for (uint32_t row = 0; row < live->n_rows; row++) {
        uint64_t *bits = live->bits + row * live->words;
        bool set = there && (row == 0 || (fields >> (row - 1) & 1));
        if (set)
            bits_set(bits, slot);
        else
            bits_clear(bits, slot);
    }
}

static void clear_slot(void *context, uint32_t slot) { live_set(context, slot, false, 0); }

/* Every point has a vector in every field. */
static bool is_full(const struct points_view *view, const uint32_t *store_field,
                    uint32_t n_fields) {
    for (uint32_t f = 0; f < n_fields; f++)
        if (view->state.n_vectors[store_field[f]] != view->state.n_points) return false;
    return true;
}

static int read_records(struct live *live, const struct points_view *view,
                        const uint32_t *store_field, uint32_t n_fields, kith_error *err) {
    struct point point;
    uint32_t from = 0;
    int code;
    while ((code = points_next_slot(view, from, &point, err)) == KITH_OK) {
        uint64_t fields = 0;
        for (uint32_t f = 0; f < n_fields; f++) fields |= (point.fields >> store_field[f] & 1) << f;
        live_set(live, point.slot, true, fields);
        from = point.slot + 1;
    }
    return code == KITH_ENOTFOUND ? KITH_OK : code;
}

int live_read(struct live **out, const struct points_view *view, const uint32_t *store_field,
              uint32_t n_fields, struct mem_account *owner, kith_error *err) {
    uint32_t n_slots = view->state.next_slot;
    struct live *live = live_new(owner, n_slots, 1 + n_fields);
    if (!live) return FAIL(err, KITH_ENOMEM, "no memory for the bits of %u slots", n_slots);
    int code = KITH_OK;
    if (is_full(view, store_field, n_fields)) {
        for (uint32_t slot = 0; slot < n_slots; slot++) live_set(live, slot, true, UINT64_MAX);
        code = points_free_slots(view, clear_slot, live, err);
    } else {
        code = read_records(live, view, store_field, n_fields, err);
    }
    live->seq = view->state.seq;
    if (code == KITH_OK)
        *out = live;
    else
        live_free(owner, live);
    return code;
}
