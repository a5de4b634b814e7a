/* Operations to batches. What can be checked without the store is checked, and turned into what will be stored, before any
 * other writer is kept waiting; the rest happens inside the store's transaction, on whichever writer's thread leads. */
#include <string.h>

#include "base/arena.h"
#include "db/collection.h"
#include "db/match.h"
#include "db/vector.h"
#include "filter/payload.h"

/* An operation, checked. */
struct prepared {
    struct new_point *points; /* of an upsert */
    struct filter *filter;    /* NULL: by ids */
    struct json_text payload; /* stored form */
    struct path *paths;
};

struct write {
    struct collection *collection;
    const kith_op *ops;
    struct prepared *prepared;
    size_t n;
    struct arena arena;
    struct payload_editor *editor;
    struct matcher matcher;
    /* of one attempt to apply it */
    struct live *live; /* room for the batch's, filled when it is committed */
    uint64_t *fields;  /* of the slots it took */
    uint32_t n_fields;
    uint32_t *chosen; /* slots, of one operation */
    size_t n_chosen, chosen_room;
    uint64_t seq;
};

static int no_memory(kith_error *err) { return FAIL(err, KITH_ENOMEM, "no memory for a batch"); }

/* ---- preparing ---------------------------------------------------------------------------------- */

/* The row that is stored: normalised under COSINE, where that is not so already. */
static int prepare_vector(struct write *write, const kith_vector *vector,
                          const struct vector_field *field, const void **row, kith_error *err) {
    double divisor = 1;
    TRY(vector_check(field, vector->values, vector->dim, &divisor, err));
    *row = vector->values;
    if (divisor == 1) return KITH_OK;
    float *unit = arena_new(&write->arena, field->dim * sizeof(float));
    if (!unit) return no_memory(err);
    vector_divide(unit, vector->values, field->dim, divisor);
    *row = unit;
    return KITH_OK;
}

static int prepare_vectors(struct write *write, const kith_point *point, struct new_point *out,
                           kith_error *err) {
    const struct collection *collection = write->collection;
    const void *row[POINTS_FIELDS];
    uint32_t n = 0;
    for (uint32_t i = 0; i < point->n_vectors; i++) {
        uint32_t f;
        const kith_vector *vector = &point->vectors[i];
        TRY(collection_field(collection, vector->field ? vector->field : "", &f, err));
        uint64_t bit = (uint64_t)1 << collection->field[f].number;
        if (out->fields & bit)
            return FAIL(err, KITH_EINVAL, "two vectors for field \"%.100s\" of one point",
                        collection->field[f].name);
        out->fields |= bit;
        TRY(prepare_vector(write, vector, &collection->field[f], &row[collection->field[f].number],
                           err));
        n++;
    }
    const void **rows = arena_new(&write->arena, n * sizeof *rows);
    if (!rows) return no_memory(err);
    out->vectors = rows;
    for (uint32_t i = 0; i < POINTS_FIELDS; i++)
        if (out->fields >> i & 1) *rows++ = row[i];
    return KITH_OK;
}

static int prepare_payload(struct write *write, const char *payload, size_t n,
                           struct json_text *out, kith_error *err) {
    struct json_text stored, given = {payload, payload ? n : 0};
    TRY(payload_store(write->editor, given, &stored, err));
    out->n = stored.n;
    out->bytes = arena_copy(&write->arena, stored.bytes, stored.n);
    return out->bytes ? KITH_OK : no_memory(err);
}

static int prepare_points(struct write *write, const kith_op *op, struct prepared *out,
                          kith_error *err) {
    if (op->n_points && !op->points) return FAIL(err, KITH_EINVAL, "points is NULL");
    out->points = arena_new(&write->arena, op->n_points * sizeof *out->points);
    if (!out->points) return no_memory(err);
    for (size_t i = 0; i < op->n_points; i++) {
        const kith_point *point = &op->points[i];
        struct json_text payload;
        if (point->n_vectors && !point->vectors)
            return FAIL_AT(err, KITH_EINVAL, i, "the vectors of point %zu are NULL", i);
        TRY(prepare_payload(write, point->payload, point->payload_bytes, &payload, err));
        out->points[i].id = point->id;
        out->points[i].payload = payload.bytes;
        out->points[i].payload_bytes = payload.n;
        TRY(prepare_vectors(write, point, &out->points[i], err));
    }
    return KITH_OK;
}

static int prepare_choice(struct write *write, const kith_op *op, struct prepared *out,
                          kith_error *err) {
    if (op->ids || (!op->filter && !op->n_ids)) return KITH_OK;
    if (!op->filter) return FAIL(err, KITH_EINVAL, "neither ids nor a filter choose the points");
    return matcher_parse(&out->filter, write->collection, op->filter, err);
}

static int prepare_paths(struct write *write, const kith_op *op, struct prepared *out,
                         kith_error *err) {
    out->paths = arena_new(&write->arena, op->n_paths * sizeof *out->paths);
    if (!out->paths) return no_memory(err);
    for (size_t i = 0; i < op->n_paths; i++) {
        if (!op->paths || !op->paths[i]) return FAIL(err, KITH_EINVAL, "path %zu is NULL", i);
        TRY(path_parse(&out->paths[i], op->paths[i], strlen(op->paths[i]), &write->arena, err));
    }
    return KITH_OK;
}

static int prepare(struct write *write, kith_error *err) {
    write->prepared = arena_new(&write->arena, write->n * sizeof write->prepared[0]);
    if (!write->prepared) return no_memory(err);
    for (size_t i = 0; i < write->n; i++) {
        const kith_op *op = &write->ops[i];
        struct prepared *out = &write->prepared[i];
        switch (op->kind) {
        case KITH_OP_UPSERT: TRY(prepare_points(write, op, out, err)); break;
        case KITH_OP_SET_PAYLOAD:
        case KITH_OP_OVERWRITE_PAYLOAD:
            TRY(prepare_payload(write, op->payload, op->payload_bytes, &out->payload, err));
            TRY(prepare_choice(write, op, out, err));
            break;
        case KITH_OP_DELETE_PAYLOAD: TRY(prepare_paths(write, op, out, err)); /* fall through */
        case KITH_OP_DELETE:
        case KITH_OP_CLEAR_PAYLOAD: TRY(prepare_choice(write, op, out, err)); break;
        default:
            return FAIL_AT(err, KITH_EINVAL, i, "operation %zu is of kind %d, which is none", i,
                           (int)op->kind);
        }
    }
    return KITH_OK;
}

/* ---- applying ----------------------------------------------------------------------------------- */

static int choose(struct write *write, uint32_t slot, kith_error *err) {
    if (write->n_chosen == write->chosen_room) {
        size_t room = write->chosen_room ? 2 * write->chosen_room : 256;
        void *more = mem_resize(&write->collection->mem, write->chosen,
                                write->chosen_room * sizeof(uint32_t), room * sizeof(uint32_t));
        if (!more) return no_memory(err);
        write->chosen = more;
        write->chosen_room = room;
    }
    write->chosen[write->n_chosen++] = slot;
    return KITH_OK;
}

static int choose_by_filter(struct write *write, const struct points_view *view,
                            const struct filter *filter, kith_error *err) {
    struct point point;
    uint32_t from = 0;
    int code;
    while ((code = points_next_slot(view, from, &point, err)) == KITH_OK) {
        bool passes;
        TRY(matcher_asks(&write->matcher, filter, &point, &passes, err));
        if (passes) TRY(choose(write, point.slot, err));
        from = point.slot + 1;
    }
    return code == KITH_ENOTFOUND ? KITH_OK : code;
}

/* The slots of the points that an operation is about. Ids that are not there: an error but for DELETE. */
static int choose_all(struct write *write, const struct points_view *view, const kith_op *op,
                      const struct prepared *prepared, kith_error *err) {
    write->n_chosen = 0;
    if (prepared->filter) return choose_by_filter(write, view, prepared->filter, err);
    for (size_t i = 0; i < op->n_ids; i++) {
        uint32_t slot;
        char text[KITH_ID_TEXT];
        int code = points_find(view, &op->ids[i], &slot, err);
        if (code == KITH_ENOTFOUND && op->kind != KITH_OP_DELETE) {
            kith_id_print(&op->ids[i], text);
            return FAIL_AT(err, KITH_ENOTFOUND, i, "there is no point with id %.100s", text);
        }
        if (code == KITH_ENOTFOUND) continue;
        TRY(code);
        TRY(choose(write, slot, err));
    }
    return KITH_OK;
}

static int change_payload(struct write *write, const struct point *point, const kith_op *op,
                          const struct prepared *prepared, struct json_text *out, kith_error *err) {
    struct json_text old = {point->payload, point->payload_bytes}, empty = {NULL, 0};
    switch (op->kind) {
    case KITH_OP_SET_PAYLOAD:
        return payload_merge(write->editor, old, prepared->payload, NULL, out, err);
    case KITH_OP_DELETE_PAYLOAD:
        return payload_remove(write->editor, old, prepared->paths, op->n_paths, out, err);
    case KITH_OP_OVERWRITE_PAYLOAD: *out = prepared->payload; return KITH_OK;
    default: return payload_store(write->editor, empty, out, err);
    }
}

static int apply_op(struct write *write, struct batch *batch, size_t i, kith_error *err) {
    const kith_op *op = &write->ops[i];
    const struct prepared *prepared = &write->prepared[i];
    uint32_t slot, old;
    for (size_t p = 0; op->kind == KITH_OP_UPSERT && p < op->n_points; p++)
        TRY(batch_put(batch, &prepared->points[p], &slot, &old, err));
    if (op->kind == KITH_OP_UPSERT) return KITH_OK;
    TRY(choose_all(write, batch_view(batch), op, prepared, err));
    for (size_t c = 0; c < write->n_chosen; c++) {
        struct point point;
        struct json_text payload;
        slot = write->chosen[c];
        int code = points_get(batch_view(batch), slot, &point, err);
        if (code == KITH_ENOTFOUND) continue; /* its id was given twice */
        TRY(code);
        if (op->kind == KITH_OP_DELETE) {
            TRY(batch_remove(batch, slot, err));
            continue;
        }
        TRY(change_payload(write, &point, op, prepared, &payload, err));
        TRY(batch_set_payload(batch, slot, payload.bytes, payload.n, point.expires_ms, err));
    }
    return KITH_OK;
}

/* Room for what has to be published once the batch is committed, when nothing may fail any more. */
static int make_room(struct write *write, struct batch *batch, kith_error *err) {
    struct collection *collection = write->collection;
    const struct points_view *view = batch_view(batch);
    struct points_change change = batch_change(batch);
    mem_free(&collection->mem, write->fields, write->n_fields * sizeof(uint64_t));
    live_free(&collection->mem, write->live);
    write->n_fields = change.n_taken;
    write->fields = mem_new(&collection->mem, change.n_taken * sizeof(uint64_t));
    write->live = live_new(&collection->mem, view->state.next_slot, 1 + collection->n_fields);
    if (!write->fields || !write->live) {
        if (!write->fields) write->n_fields = 0;
        return no_memory(err);
    }
    for (uint32_t i = 0; i < change.n_taken; i++) {
        struct point point;
        uint32_t slot;
        memcpy(&slot, (const uint8_t *)change.taken + 4u * i, sizeof slot);
        int code = points_get(view, slot, &point, err);
        if (code != KITH_OK && code != KITH_ENOTFOUND) return code;
        write->fields[i] = code == KITH_OK ? collection_fields_of(collection, &point) : 0;
    }
    write->live->seq = batch_seq(batch);
    return KITH_OK;
}

static int apply(struct batch *batch, void *context, kith_error *err) {
    struct write *write = context;
    for (size_t i = 0; i < write->n; i++) TRY(apply_op(write, batch, i, err));
    /* Nothing is derived from changes yet. */
    TRY(batch_forget_changes(batch, batch_seq(batch) - 1, err));
    return make_room(write, batch, err);
}

static void committed(struct batch *batch, void *context) {
    struct write *write = context;
    struct live *live = write->live;
    const struct live *old = atomic_load_explicit(&write->collection->live, memory_order_relaxed);
    struct points_change change = batch_change(batch);
    uint32_t slot;
    for (uint32_t row = 0; row < live->n_rows; row++)
        memcpy(live->bits + row * live->words, live_row(old, row), old->words * sizeof(uint64_t));
    for (uint32_t i = 0; i < change.n_taken; i++) {
        memcpy(&slot, (const uint8_t *)change.taken + 4u * i, sizeof slot);
        live_set(live, slot, true, write->fields[i]);
    }
    for (uint32_t i = 0; i < change.n_freed; i++) {
        memcpy(&slot, (const uint8_t *)change.freed + 4u * i, sizeof slot);
        live_set(live, slot, false, 0);
    }
    write->seq = live->seq;
    write->live = NULL;
    collection_publish(write->collection, live);
}

/* ---- the door ----------------------------------------------------------------------------------- */

static void write_deinit(struct write *write) {
    struct mem_account *owner = &write->collection->mem;
    for (size_t i = 0; write->prepared && i < write->n; i++) filter_free(write->prepared[i].filter);
    arena_deinit(&write->arena);
    payload_editor_free(write->editor);
    matcher_deinit(&write->matcher);
    live_free(owner, write->live);
    mem_free(owner, write->fields, write->n_fields * sizeof(uint64_t));
    mem_free(owner, write->chosen, write->chosen_room * sizeof(uint32_t));
}

int kith_db_write(kith_db *db, const char *name, size_t n, const kith_op *ops, uint64_t *seq,
                  kith_error *err) {
    if (n && !ops) return FAIL(err, KITH_EINVAL, "ops is NULL");
    struct write write = {.ops = ops, .n = n};
    TRY(collection_use(db, name, &write.collection, err));
    write.arena.owner = &write.collection->mem;
    int code = payload_editor_new(&write.editor, &write.collection->mem, err);
    if (code == KITH_OK) code = matcher_init(&write.matcher, write.collection, err);
    if (code == KITH_OK) code = prepare(&write, err);
    struct points_work work = {apply, committed, &write};
    if (code == KITH_OK) code = points_write(write.collection->points, &work, err);
    if (code == KITH_OK && seq) *seq = write.seq;
    write_deinit(&write);
    collection_release(write.collection);
    return code;
}
