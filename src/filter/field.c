/* Field indexes: rows come and go.
 *
 * A payload's values are first gathered into keys (`gather`), then entered. If memory ends half-way, what was entered is taken
 * out again, which needs none. */
#include "filter/field.h"

#include <string.h>

#include "base/status.h"
#include "filter/datetime.h"
#include "filter/field_inside.h"

/* ---- keys --------------------------------------------------------------------------------------- */

static const char *const type_names[FIELD_TYPES] = {"keyword",  "integer", "float", "bool",
                                                    "datetime", "uuid",    "geo"};

const char *field_type_name(enum field_type type) {
    return (unsigned)type < FIELD_TYPES ? type_names[type] : NULL;
}

bool field_type_of(enum field_type *out, struct json_text name) {
    for (int type = 0; type < FIELD_TYPES; type++) {
        if (strlen(type_names[type]) == name.n &&
            memcmp(type_names[type], name.bytes, name.n) == 0) {
            *out = (enum field_type)type;
            return true;
        }
    }
    return false;
}

uint64_t field_key_double(double d) {
    uint64_t bits;
    d += 0.0; /* -0 and 0 are one */
    memcpy(&bits, &d, sizeof bits);
    return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

double field_double_of(uint64_t key) {
    uint64_t bits = key >> 63 ? key & ~((uint64_t)1 << 63) : ~key;
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

struct number field_number_of(enum field_type type, uint64_t key) {
    if (type != FIELD_FLOAT) return number_int(field_int_of(key));
    return (struct number){.type = JSON_DOUBLE, .d = field_double_of(key)};
}

static int hex_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool field_uuid_of(uint8_t uuid[16], struct json_text text) {
    if (text.n != 36) return false;
    for (size_t i = 0, n = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text.bytes[i] != '-') return false;
            continue;
        }
        int digit = hex_of(text.bytes[i]);
        if (digit < 0) return false;
        uuid[n / 2] = (uint8_t)(n % 2 ? uuid[n / 2] | digit : digit << 4);
        n++;
    }
    return true;
}

void field_uuid_print(const char uuid[16], char text[36]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0, at = 0; i < 16; i++) {
        unsigned char byte = (unsigned char)uuid[i];
        if (at == 8 || at == 13 || at == 18 || at == 23) text[at++] = '-';
        text[at++] = digits[byte >> 4];
        text[at++] = digits[byte & 15];
    }
}

/* 32 bits of a share of 1 to every second bit, from the lowest. */
static uint64_t spread(double share) {
    double scaled = share * 0x1p32;
    uint64_t x = scaled >= 0x1p32 ? UINT32_MAX : (uint64_t)scaled;
    x = (x | x << 16) & 0x0000ffff0000ffffu;
    x = (x | x << 8) & 0x00ff00ff00ff00ffu;
    x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fu;
    x = (x | x << 2) & 0x3333333333333333u;
    return (x | x << 1) & 0x5555555555555555u;
}

/* Places by Morton's order (1966), so that those side by side are mostly near. */
static uint64_t key_of_place(struct geo_point place) {
    return spread((place.lon + 180) / 360) | spread((place.lat + 90) / 180) << 1;
}

/* ---- gathering ---------------------------------------------------------------------------------- */

struct gathering {
    struct field *field;
    uint32_t row;
    bool some, null, odd, failed;
    size_t n_valued;
};

static struct field_key *new_key(struct gathering *g) {
    struct field *field = g->field;
    if (field->n_keys == field->keys_capacity) {
        size_t capacity = field->keys_capacity * 2 + 4;
        void *keys =
            mem_resize(&field->account, field->keys, field->keys_capacity * sizeof *field->keys,
                       capacity * sizeof *field->keys);
        if (!keys) {
            g->failed = true;
            return NULL;
        }
        field->keys = keys;
        field->keys_capacity = capacity;
    }
    return &field->keys[field->n_keys++];
}

static void put_entry(struct gathering *g, uint64_t number, struct geo_point place) {
    struct field_key *key = new_key(g);
    if (key) key->entry = (struct run_entry){.key = number, .place = place, .row = g->row};
}

static void put_text(struct gathering *g, struct json_text text) {
    struct field_key *key = new_key(g);
    if (key) key->text = text;
}

static void take_string(struct gathering *g, struct json_text text) {
    static const struct geo_point nowhere;
    uint8_t uuid[16];
    int64_t us;
    if (g->field->type == FIELD_KEYWORD) {
        put_text(g, text);
    } else if (g->field->type == FIELD_DATETIME) {
        if (datetime_parse(text.bytes, text.n, &us)) put_entry(g, field_key_int(us), nowhere);
    } else if (g->field->type == FIELD_UUID) {
        if (field_uuid_of(uuid, text)) {
            struct field_key *key = new_key(g);
            if (key) memcpy(key->uuid, uuid, 16), key->text = (struct json_text){NULL, 16};
        } else {
            g->odd = true;
        }
    }
}

static void take_number(struct gathering *g, struct number number) {
    static const struct geo_point nowhere;
    const int64_t most = (int64_t)1 << 53; /* up to which a double holds every whole number */
    if (g->field->type == FIELD_INTEGER) {
        if (number.type == JSON_INT)
            put_entry(g, field_key_int(number.i), nowhere);
        else
            g->odd = true;
    } else if (g->field->type == FIELD_FLOAT) {
        if (number.type == JSON_DOUBLE)
            put_entry(g, field_key_double(number.d), nowhere);
        else if (number.type == JSON_INT && number.i >= -most && number.i <= most)
            put_entry(g, field_key_double((double)number.i), nowhere);
        else
            g->odd = true;
    }
}

static void take_scalar(struct gathering *g, struct json_value value) {
    struct number number;
    struct geo_point place;
    enum json_type type = json_type(value);
    if (type == JSON_NULL) return;
    g->n_valued++;
    if (type == JSON_STRING)
        take_string(g, json_string(value));
    else if (type == JSON_BOOL && g->field->type == FIELD_BOOL)
        put_text(g, (struct json_text){json_bool(value) ? "\1" : "\0", 1});
    else if (type == JSON_OBJECT && g->field->type == FIELD_GEO && geo_point_of(&place, value))
        put_entry(g, key_of_place(place), place);
    else if (number_of(&number, value))
        take_number(g, number);
}

static bool take_value(void *context, struct json_value value) {
    struct gathering *g = context;
    enum json_type type = json_type(value);
    if (type == JSON_NULL) {
        g->null = true;
    } else if (type == JSON_ARRAY) {
        struct json_walk walk;
        json_walk_init(&walk, value);
        while (json_next(&walk, NULL, &value)) {
            g->some = true;
            take_scalar(g, value);
        }
    } else {
        g->some = true;
        take_scalar(g, value);
    }
    return g->failed;
}

static int gather(struct gathering *g, struct json_value payload, kith_error *err) {
    struct field *field = g->field;
    field->n_keys = 0;
    path_each(&field->path, payload, take_value, g);
    if (g->failed) return FAIL(err, KITH_ENOMEM, "no memory to index row %u", g->row);
    for (size_t i = 0; i < field->n_keys; i++) /* the array may have moved */
        if (field->type == FIELD_UUID) field->keys[i].text.bytes = (char *)field->keys[i].uuid;
    return KITH_OK;
}

/* ---- changes ------------------------------------------------------------------------------------ */

static void leave(struct field *field, const struct gathering *g, size_t n_keys) {
    struct mem_account *account = &field->account;
    for (size_t i = 0; i < n_keys && !field_is_run(field->type); i++)
        dict_remove(&field->dict, field->keys[i].text, g->row);
    posting_remove(&field->some, account, g->row);
    posting_remove(&field->nulls, account, g->row);
    posting_remove(&field->valued, account, g->row);
    posting_remove(&field->plural, account, g->row);
    posting_remove(&field->odd, account, g->row);
    posting_remove(&field->indexed, account, g->row);
}

static bool enter_run(struct field *field) {
    struct run_entry few[8], *entries = few;
    size_t n = field->n_keys, bytes = n * sizeof *entries;
    if (n > 8 && !(entries = mem_new(&field->account, bytes))) return false;
    for (size_t i = 0; i < n; i++) entries[i] = field->keys[i].entry;
    bool done = run_add(&field->run, entries, n);
    if (n > 8) mem_free(&field->account, entries, bytes);
    return done;
}

/* How far it came is in *n_keys. */
static bool enter(struct field *field, const struct gathering *g, size_t *n_keys) {
    struct mem_account *account = &field->account;
    *n_keys = 0;
    if ((g->some && !posting_add(&field->some, account, g->row)) ||
        (g->null && !posting_add(&field->nulls, account, g->row)) ||
        (g->n_valued > 0 && !posting_add(&field->valued, account, g->row)) ||
        (g->n_valued > 1 && !posting_add(&field->plural, account, g->row)) ||
        (g->odd && !posting_add(&field->odd, account, g->row)) ||
        (field->n_keys > 0 && !posting_add(&field->indexed, account, g->row)))
        return false;
    if (field_is_run(field->type)) return enter_run(field);
    for (; *n_keys < field->n_keys; ++*n_keys)
        if (!dict_add(&field->dict, field->keys[*n_keys].text, g->row)) return false;
    return true;
}

int field_add(struct field *field, uint32_t row, struct json_value payload, kith_error *err) {
    struct gathering g = {.field = field, .row = row};
    size_t n_keys;
    TRY(gather(&g, payload, err));
    if (!enter(field, &g, &n_keys)) {
        leave(field, &g, n_keys);
        return FAIL(err, KITH_ENOMEM, "no memory to index row %u", row);
    }
    if (row >= field->n_rows) field->n_rows = (uint64_t)row + 1;
    return KITH_OK;
}

int field_remove(struct field *field, uint32_t row, struct json_value payload, kith_error *err) {
    struct gathering g = {.field = field, .row = row};
    TRY(gather(&g, payload, err));
    if (field_is_run(field->type) && field->n_keys > 0 && !run_remove(&field->run, row))
        return FAIL(err, KITH_ENOMEM, "no memory to take row %u out of an index", row);
    leave(field, &g, field->n_keys);
    return KITH_OK;
}

struct field_merge {
    struct run_main main;
};

bool field_wants_merge(const struct field *field) { return run_wants_merge(&field->run); }

int field_merge_make(const struct field *field, struct field_merge **out, kith_error *err) {
    struct mem_account *owner = field->run.owner;
    struct field_merge *merge = mem_new(owner, sizeof *merge);
    if (merge && run_make_main(&field->run, &merge->main)) {
        *out = merge;
        return KITH_OK;
    }
    if (merge) mem_free(owner, merge, sizeof *merge);
    return FAIL(err, KITH_ENOMEM, "no memory to merge an index of %zu values",
                field->run.main.n + field->run.n_fresh);
}

void field_merge_take(struct field *field, struct field_merge *merge) {
    run_take_main(&field->run, &merge->main);
    mem_free(field->run.owner, merge, sizeof *merge);
}

/* ---- the whole ---------------------------------------------------------------------------------- */

int field_make(struct field **out, enum field_type type, struct json_text path,
               struct mem_account *owner, kith_error *err) {
    struct field *field = mem_new(owner, sizeof *field);
    if (!field) return FAIL(err, KITH_ENOMEM, "no memory for a field index");
    field->owner = owner;
    field->type = type;
    mem_account_join(&field->account, owner, 0);
    field->arena.owner = field->dict.owner = field->run.owner = &field->account;
    field->run.has_places = type == FIELD_GEO;
    int code = path_parse(&field->path, path.bytes, path.n, &field->arena, err);
    if (code == KITH_OK)
        *out = field;
    else
        field_free(field);
    return code;
}

int field_new(struct field **out, enum field_type type, const struct path *path,
              struct mem_account *owner, kith_error *err) {
    return field_make(out, type, path->text, owner, err);
}

void field_free(struct field *field) {
    if (!field) return;
    struct mem_account *account = &field->account, *owner = field->owner;
    dict_deinit(&field->dict);
    run_deinit(&field->run);
    posting_deinit(&field->some, account);
    posting_deinit(&field->nulls, account);
    posting_deinit(&field->valued, account);
    posting_deinit(&field->plural, account);
    posting_deinit(&field->odd, account);
    posting_deinit(&field->indexed, account);
    mem_free(account, field->keys, field->keys_capacity * sizeof *field->keys);
    arena_deinit(&field->arena);
    mem_account_leave(account, 0);
    mem_free(owner, field, sizeof *field);
}

enum field_type field_type(const struct field *field) { return field->type; }
const struct path *field_path(const struct field *field) { return &field->path; }
uint64_t field_bytes(const struct field *field) { return field->account.bytes + sizeof *field; }
uint64_t field_points(const struct field *field) { return field->indexed.n; }
uint64_t field_rows(const struct field *field) { return field->n_rows; }
