/* Field indexes: their values, each with its rows, or in order. */
#include "base/status.h"
#include "filter/field.h"
#include "filter/field_inside.h"

/* ---- facets ------------------------------------------------------------------------------------- */

static uint64_t count_rows(const struct posting *rows, const uint64_t *bits) {
    return bits ? posting_count_in(rows, bits) : rows->n;
}

static void facets_of_dict(const struct field *field, const uint64_t *bits, field_visit_facet visit,
                           void *context) {
    char uuid[36];
    for (uint32_t i = 0; i < field->dict.n; i++) {
        const struct dict_entry *entry = &field->dict.entries[i];
        uint64_t count = count_rows(&entry->rows, bits);
        struct field_value value = {.type = JSON_STRING, .text = dict_key(&field->dict, entry)};
        if (count == 0) continue;
        if (field->type == FIELD_BOOL) {
            value.type = JSON_BOOL;
            value.b = field->dict.keys[entry->key] != 0;
        } else if (field->type == FIELD_UUID) {
            field_uuid_print(value.text.bytes, uuid);
            value.text = (struct json_text){uuid, sizeof uuid};
        }
        if (visit(context, &value, count)) return;
    }
}

/* Entries of one number lie side by side. */
struct counting {
    const uint64_t *bits;
    field_visit_facet visit;
    void *context;
    uint64_t key, count;
    bool stopped;
};

static void tell(struct counting *counting) {
    struct field_value value = {.type = JSON_INT, .i = field_int_of(counting->key)};
    if (counting->count > 0)
        counting->stopped = counting->visit(counting->context, &value, counting->count);
    counting->count = 0;
}

static bool count_entry(void *context, uint64_t key, uint32_t row) {
    struct counting *counting = context;
    if (key != counting->key) tell(counting);
    counting->key = key;
    counting->count += !counting->bits || (counting->bits[row >> 6] >> (row & 63) & 1);
    return counting->stopped;
}

int field_facets(const struct field *field, const uint64_t *bits, field_visit_facet visit,
                 void *context, kith_error *err) {
    struct counting counting = {.bits = bits, .visit = visit, .context = context};
    if (field->type == FIELD_INTEGER) {
        if (!run_walk(&field->run, 0, false, count_entry, &counting))
            return FAIL(err, KITH_ENOMEM, "no memory to count %zu values", field->run.n_fresh);
        if (!counting.stopped) tell(&counting);
        return KITH_OK;
    }
    if (field_is_run(field->type))
        return FAIL(err, KITH_EUNSUPPORTED, "a %s index has no facets",
                    field_type_name(field->type));
    facets_of_dict(field, bits, visit, context);
    return KITH_OK;
}

/* ---- order -------------------------------------------------------------------------------------- */

struct ordering {
    enum field_type type;
    field_visit_row visit;
    void *context;
};

static bool show_entry(void *context, uint64_t key, uint32_t row) {
    struct ordering *ordering = context;
    struct field_value value = {.type = JSON_INT};
    if (ordering->type == FIELD_FLOAT) {
        value.type = JSON_DOUBLE;
        value.d = field_double_of(key);
    } else {
        value.i = field_int_of(key);
    }
    return ordering->visit(ordering->context, &value, row);
}

int field_order(const struct field *field, const struct field_value *from, bool backwards,
                field_visit_row visit, void *context, kith_error *err) {
    struct ordering ordering = {field->type, visit, context};
    uint64_t key = backwards ? UINT64_MAX : 0;
    if (!field_is_run(field->type) || field->type == FIELD_GEO)
        return FAIL(err, KITH_EUNSUPPORTED, "a %s index has no order",
                    field_type_name(field->type));
    if (from && field->type == FIELD_FLOAT)
        key = field_key_double(from->type == JSON_INT ? (double)from->i : from->d);
    else if (from && from->type != JSON_INT)
        return FAIL(err, KITH_EINVAL, "a %s index begins at whole numbers",
                    field_type_name(field->type));
    else if (from)
        key = field_key_int(from->i);
    if (!run_walk(&field->run, key, backwards, show_entry, &ordering))
        return FAIL(err, KITH_ENOMEM, "no memory to order %zu values", field->run.n_fresh);
    return KITH_OK;
}
