/* Opening a collection, and reading it. Its settings stand in the store, under "config":
 *
 *     {"fields": [{"name": "", "dim": 384, "metric": "cosine", "number": 0}, …]} */
#include "db/collection.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "json/json.h"

void collection_folder(char path[PATH_MAX], const struct kith_db *db, uint32_t number) {
    if (snprintf(path, PATH_MAX, "%s/collection-%u", db->folder, number) >= PATH_MAX)
        path[0] = 0; /* db_open has seen to it that this fits */
}

static int collection_new(struct collection **out, struct kith_db *db, const char *name,
                          uint32_t number, bool create, kith_error *err) {
    char folder[PATH_MAX];
    struct collection *collection = mem_new(&db->mem, sizeof *collection);
    if (!collection) return FAIL(err, KITH_ENOMEM, "no memory to open collection %s", name);
    collection->db = db;
    collection->number = number;
    snprintf(collection->name, sizeof collection->name, "%s", name);
    collection_folder(folder, db, number);
    struct points_options options = {.create = create, .writable = true, .owner = &collection->mem};
    int code = points_open(&collection->points, folder, &options, err);
    if (code == KITH_OK)
        *out = collection;
    else
        mem_free(&db->mem, collection, sizeof *collection);
    return code;
}

void collection_close(struct collection *collection) {
    if (!collection) return;
    points_close(collection->points);
    live_free(&collection->mem, collection->live);
    while (collection->retired) {
        struct live *live = collection->retired;
        collection->retired = live->next;
        live_free(&collection->mem, live);
    }
    mem_free(&collection->db->mem, collection, sizeof *collection);
}

/* ---- settings ----------------------------------------------------------------------------------- */

static int config_write(struct batch *batch, const struct collection *collection, kith_error *err) {
    struct json_writer *writer;
    struct json_text text;
    TRY(json_writer_new(&writer, (struct mem_account *)(uintptr_t)&collection->mem, err));
    json_begin_object(writer);
    json_put_name(writer, "fields", 6);
    json_begin_array(writer);
    for (uint32_t i = 0; i < collection->n_fields; i++) {
        const struct vector_field *field = &collection->field[i];
        const char *metric = kith_metric_name(field->metric);
        json_begin_object(writer);
        json_put_name(writer, "name", 4);
        json_put_string(writer, field->name, strlen(field->name));
        json_put_name(writer, "dim", 3);
        json_put_uint(writer, field->dim);
        json_put_name(writer, "metric", 6);
        json_put_string(writer, metric, strlen(metric));
        json_put_name(writer, "number", 6);
        json_put_uint(writer, field->number);
        json_end_object(writer);
    }
    json_end_array(writer);
    json_end_object(writer);
    int code = json_writer_text(writer, &text, err);
    if (code == KITH_OK) code = batch_put_meta(batch, "config", text.bytes, text.n, err);
    json_writer_free(writer);
    return code;
}

static bool get_number(struct json_value object, const char *name, uint64_t most, uint32_t *out) {
    struct json_value value;
    if (!json_get(object, name, strlen(name), &value) || json_type(value) != JSON_INT) return false;
    int64_t number = json_int(value);
    *out = (uint32_t)number;
    return number >= 0 && (uint64_t)number <= most;
}

static bool get_text(struct json_value object, const char *name, char *out, size_t size) {
    struct json_value value;
    if (!json_get(object, name, strlen(name), &value) || json_type(value) != JSON_STRING)
        return false;
    struct json_text text = json_string(value);
    if (text.n >= size) return false;
    memcpy(out, text.bytes, text.n);
    out[text.n] = 0;
    return true;
}

static bool field_read(struct vector_field *out, struct json_value value,
                       const struct points_view *view) {
    char metric[32];
    return get_text(value, "name", out->name, sizeof out->name) &&
           get_text(value, "metric", metric, sizeof metric) &&
           kith_metric_parse(metric, &out->metric, NULL) == KITH_OK &&
           get_number(value, "dim", KITH_MAX_DIM, &out->dim) &&
           get_number(value, "number", POINTS_FIELDS - 1, &out->number) &&
           view->state.row_bytes[out->number] == out->dim * sizeof(float);
}

static int config_read(struct collection *collection, const struct points_view *view,
                       kith_error *err) {
    const void *bytes;
    size_t n;
    struct json_parser *parser;
    struct json_value root, fields, value;
    int code = points_meta(view, "config", &bytes, &n, err);
    if (code == KITH_ENOTFOUND)
        return FAIL(err, KITH_ECORRUPT, "collection %s has no settings", collection->name);
    TRY(code);
    TRY(json_parser_new(&parser, &collection->mem, err));
    code = json_parse(parser, bytes, n, JSON_TRUSTED, &root, err);
    bool good = code == KITH_OK && json_get(root, "fields", 6, &fields);
    if (good) {
        struct json_walk walk;
        json_walk_init(&walk, fields);
        while (good && json_next(&walk, NULL, &value)) {
            good = collection->n_fields < KITH_MAX_FIELDS &&
                   field_read(&collection->field[collection->n_fields], value, view);
            collection->n_fields += good;
        }
    }
    json_parser_free(parser);
    if (code == KITH_ENOMEM) return code;
    return good ? KITH_OK
                : FAIL(err, KITH_ECORRUPT, "the settings of collection %s cannot be read",
                       collection->name);
}

/* ---- opening ------------------------------------------------------------------------------------ */

struct creation {
    struct collection *collection;
    const kith_vector_field *fields;
};

static int add_fields(struct batch *batch, void *context, kith_error *err) {
    const struct creation *creation = context;
    struct collection *collection = creation->collection;
    for (uint32_t i = 0; i < collection->n_fields; i++) {
        struct vector_field *field = &collection->field[i];
        snprintf(field->name, sizeof field->name, "%s", creation->fields[i].name);
        field->dim = (uint32_t)creation->fields[i].dim;
        field->metric = creation->fields[i].metric;
        TRY(batch_add_field(batch, field->dim * (uint32_t)sizeof(float), &field->number, err));
    }
    return config_write(batch, collection, err);
}

static int read_live(struct collection *collection, const struct points_view *view,
                     kith_error *err) {
    uint32_t number[KITH_MAX_FIELDS];
    struct live *live;
    for (uint32_t i = 0; i < collection->n_fields; i++) number[i] = collection->field[i].number;
    TRY(live_read(&live, view, number, collection->n_fields, &collection->mem, err));
    collection->live = live;
    return KITH_OK;
}

static int finish_open(struct collection *collection, bool created, kith_error *err) {
    struct points_view view;
    TRY(points_view_begin(collection->points, &view, err));
    int code = created ? KITH_OK : config_read(collection, &view, err);
    if (code == KITH_OK) code = read_live(collection, &view, err);
    points_view_end(&view);
    return code;
}

int collection_create(struct collection **out, struct kith_db *db, const char *name,
                      uint32_t number, uint32_t n_fields, const kith_vector_field *fields,
                      kith_error *err) {
    struct collection *collection;
    TRY(collection_new(&collection, db, name, number, true, err));
    collection->n_fields = n_fields;
    struct creation creation = {collection, fields};
    struct points_work work = {add_fields, NULL, &creation};
    int code = points_write(collection->points, &work, err);
    if (code == KITH_OK) code = finish_open(collection, true, err);
    if (code == KITH_OK)
        *out = collection;
    else
        collection_close(collection);
    return code;
}

int collection_open(struct collection **out, struct kith_db *db, const char *name, uint32_t number,
                    kith_error *err) {
    struct collection *collection;
    TRY(collection_new(&collection, db, name, number, false, err));
    int code = finish_open(collection, false, err);
    if (code == KITH_OK)
        *out = collection;
    else
        collection_close(collection);
    return code;
}

int collection_field(const struct collection *collection, const char *name, uint32_t *field,
                     kith_error *err) {
    for (uint32_t i = 0; i < collection->n_fields; i++)
        if (strcmp(collection->field[i].name, name) == 0) {
            *field = i;
            return KITH_OK;
        }
    return FAIL(err, KITH_ENOTFOUND,
                "there are no vectors named \"%.100s\"; the first are \"%.100s\"", name,
                collection->field[0].name);
}

uint64_t collection_fields_of(const struct collection *collection, const struct point *point) {
    uint64_t fields = 0;
    for (uint32_t i = 0; i < collection->n_fields; i++)
        fields |= (point->fields >> collection->field[i].number & 1) << i;
    return fields;
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* A commit and the publishing of its live are two steps, a few microseconds apart: between them the two differ. */
int collection_read(struct snapshot *out, struct collection *collection, kith_error *err) {
    out->collection = collection;
    for (;;) {
        TRY(points_view_begin(collection->points, &out->view, err));
        out->live = atomic_load_explicit(&collection->live, memory_order_acquire);
        if (out->live->seq == out->view.state.seq) return KITH_OK;
        points_view_end(&out->view);
        sched_yield();
    }
}

void collection_read_end(struct snapshot *snapshot) { points_view_end(&snapshot->view); }

void collection_publish(struct collection *collection, struct live *live) {
    struct live *old = atomic_load_explicit(&collection->live, memory_order_relaxed);
    atomic_store_explicit(&collection->live, live, memory_order_release);
    old->stamp = points_stamp(collection->points);
    old->next = collection->retired;
    collection->retired = old;
    for (struct live **at = &collection->retired; *at;) {
        struct live *one = *at;
        if (!points_passed(collection->points, one->stamp)) {
            at = &one->next;
            continue;
        }
        *at = one->next;
        live_free(&collection->mem, one);
    }
}
