/* Field indexes as bytes. All numbers little-endian; docs/format.md has the table.
 *
 *     "KFLD" | version | CRC-32C of all that follows | type | n_rows | path | six postings | dict | run
 *
 * A posting is n, n_blocks, and rows, or blocks of high, n, form, and lows or 1,024 words. What is read is believed only after the
 * checksum, and checked for all that memory depends on: order, bounds, counts. */
#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "base/file.h"
#include "base/status.h"
#include "filter/field.h"
#include "filter/field_inside.h"

enum { VERSION = 1, HEAD_BYTES = 12, BLOCK_WORDS = 1024 };
static const char magic[4] = {'K', 'F', 'L', 'D'};

static struct posting *posting_of(struct field *field, int which) {
    struct posting *all[] = {&field->some,   &field->nulls, &field->valued,
                             &field->plural, &field->odd,   &field->indexed};
    return all[which];
}
enum { POSTINGS = 6 };

/* ---- writing ------------------------------------------------------------------------------------ */

struct sink {
    struct mem_account *owner;
    uint8_t *bytes;
    size_t n, capacity;
    bool failed;
};

static void put(struct sink *sink, const void *bytes, size_t n) {
    if (sink->failed || n == 0) return;
    if (sink->capacity - sink->n < n) {
        size_t capacity = sink->capacity + sink->capacity / 2 + n;
        void *grown = mem_resize(sink->owner, sink->bytes, sink->capacity, capacity);
        if (!grown) {
            sink->failed = true;
            return;
        }
        sink->bytes = grown;
        sink->capacity = capacity;
    }
    memcpy(sink->bytes + sink->n, bytes, n);
    sink->n += n;
}

static void put_u32(struct sink *sink, uint32_t x) { put(sink, &x, sizeof x); }
static void put_u64(struct sink *sink, uint64_t x) { put(sink, &x, sizeof x); }

static void put_posting(struct sink *sink, const struct posting *posting) {
    put_u32(sink, posting->n);
    put_u32(sink, posting->n_blocks);
    if (!posting->n_blocks) {
        put(sink, posting->capacity ? posting->rows : &posting->one, posting->n * sizeof(uint32_t));
        return;
    }
    for (uint32_t i = 0; i < posting->n_blocks; i++) {
        const struct posting_block *block = &posting->blocks[i];
        put_u32(sink, block->high);
        put_u32(sink, block->n);
        put_u32(sink, block->capacity == 0);
        if (block->capacity)
            put(sink, block->lows, block->n * sizeof *block->lows);
        else
            put(sink, block->bits, BLOCK_WORDS * sizeof *block->bits);
    }
}

static void put_dict(struct sink *sink, const struct dict *dict) {
    put_u32(sink, dict->n - dict->n_empty);
    for (uint32_t i = 0; i < dict->n; i++) {
        const struct dict_entry *entry = &dict->entries[i];
        if (entry->rows.n == 0) continue;
        put_u32(sink, entry->key_n);
        put(sink, dict->keys + entry->key, entry->key_n);
        put_posting(sink, &entry->rows);
    }
}

static void put_run(struct sink *sink, const struct run *run) {
    size_t n = 0;
    struct run_entry *list = run_list(run, &n);
    if (!list) {
        sink->failed = true;
        return;
    }
    put_u64(sink, n);
    for (size_t i = 0; i < n; i++) {
        put_u64(sink, list[i].key);
        put_u32(sink, list[i].row);
        if (run->has_places) put(sink, &list[i].place, sizeof list[i].place);
    }
    mem_free(run->owner, list, n * sizeof *list);
}

int field_save(const struct field *field, uint8_t **bytes, size_t *n, kith_error *err) {
    struct sink sink = {.owner = field->owner};
    put(&sink, magic, sizeof magic);
    put_u32(&sink, VERSION);
    put_u32(&sink, 0);
    put_u32(&sink, field->type);
    put_u64(&sink, field->n_rows);
    put_u64(&sink, field->path.text.n);
    put(&sink, field->path.text.bytes, field->path.text.n);
    for (int i = 0; i < POSTINGS; i++) put_posting(&sink, posting_of((struct field *)field, i));
    if (field_is_run(field->type))
        put_run(&sink, &field->run);
    else
        put_dict(&sink, &field->dict);
    void *fitted = sink.failed ? NULL : mem_resize(sink.owner, sink.bytes, sink.capacity, sink.n);
    if (!fitted) {
        mem_free(sink.owner, sink.bytes, sink.capacity);
        return FAIL(err, KITH_ENOMEM, "no memory to save an index of more than %zu bytes", sink.n);
    }
    *bytes = fitted;
    *n = sink.n;
    uint32_t crc = file_crc32c(0, *bytes + HEAD_BYTES, *n - HEAD_BYTES);
    memcpy(*bytes + 8, &crc, sizeof crc);
    return KITH_OK;
}

/* ---- reading ------------------------------------------------------------------------------------ */

struct source {
    const uint8_t *bytes;
    size_t n, at;
    struct field *field;
    kith_error *err;
};

static int corrupt(const struct source *s, const char *what) {
    return FAIL_AT(s->err, KITH_ECORRUPT, s->at, "field index, byte %zu: %s", s->at, what);
}

static int no_memory(const struct source *s) {
    return FAIL(s->err, KITH_ENOMEM, "no memory to load an index of %zu bytes", s->n);
}

static int get(struct source *s, void *out, size_t n) {
    if (s->n - s->at < n) return corrupt(s, "it ends too soon");
    memcpy(out, s->bytes + s->at, n);
    s->at += n;
    return KITH_OK;
}

static int get_u32(struct source *s, uint32_t *out) { return get(s, out, sizeof *out); }
static int get_u64(struct source *s, uint64_t *out) { return get(s, out, sizeof *out); }

static int get_rows(struct source *s, struct posting *posting, uint32_t n) {
    uint32_t *rows = &posting->one;
    if (n > 1) {
        if (s->n - s->at < n * sizeof *rows) return corrupt(s, "it ends too soon");
        rows = mem_new(&s->field->account, n * sizeof *rows);
        if (!rows) return no_memory(s);
        posting->rows = rows;
        posting->capacity = n;
    }
    TRY(get(s, rows, n * sizeof *rows));
    for (uint32_t i = 0; i < n; i++)
        if (rows[i] >= s->field->n_rows || (i > 0 && rows[i] <= rows[i - 1]))
            return corrupt(s, "rows out of order or beyond the last");
    posting->n = n;
    return KITH_OK;
}

static int get_lows(struct source *s, struct posting_block *block, uint32_t n) {
    if (n == 0 || n > BLOCK_WORDS * 64) return corrupt(s, "a block of no rows, or of too many");
    if (s->n - s->at < n * sizeof *block->lows) return corrupt(s, "it ends too soon");
    block->lows = mem_new(&s->field->account, n * sizeof *block->lows);
    if (!block->lows) return no_memory(s);
    block->n = block->capacity = n;
    TRY(get(s, block->lows, n * sizeof *block->lows));
    for (uint32_t i = 1; i < n; i++)
        if (block->lows[i] <= block->lows[i - 1]) return corrupt(s, "rows out of order");
    return KITH_OK;
}

static int get_bits(struct source *s, struct posting_block *block, uint32_t n) {
    uint64_t count = 0;
    block->bits = mem_new(&s->field->account, BLOCK_WORDS * sizeof *block->bits);
    if (!block->bits) return no_memory(s);
    TRY(get(s, block->bits, BLOCK_WORDS * sizeof *block->bits));
    for (int i = 0; i < BLOCK_WORDS; i++) count += (uint64_t)__builtin_popcountll(block->bits[i]);
    block->n = n;
    return count == n && n > 0 ? KITH_OK : corrupt(s, "a block of another number of rows");
}

static uint64_t last_row(const struct posting_block *block) {
    uint32_t low = 0;
    for (uint32_t i = 0; i < BLOCK_WORDS && !block->capacity; i++)
        if (block->bits[i]) low = i * 64 + 63 - (uint32_t)__builtin_clzll(block->bits[i]);
    if (block->capacity) low = block->lows[block->n - 1];
    return (uint64_t)block->high << 16 | low;
}

static int get_blocks(struct source *s, struct posting *posting, uint32_t n_blocks) {
    if (n_blocks > (s->n - s->at) / 14) return corrupt(s, "more blocks than bytes");
    posting->blocks = mem_new(&s->field->account, n_blocks * sizeof *posting->blocks);
    if (!posting->blocks) return no_memory(s);
    posting->capacity = n_blocks;
    for (uint32_t i = 0; i < n_blocks; i++) {
        struct posting_block *block = &posting->blocks[i];
        uint32_t n = 0, form = 0;
        TRY(get_u32(s, &block->high));
        TRY(get_u32(s, &n));
        TRY(get_u32(s, &form));
        int code = form ? get_bits(s, block, n) : get_lows(s, block, n);
        if (block->lows) posting->n_blocks = i + 1; /* what a failure has to free */
        TRY(code);
        if ((i > 0 && block->high <= posting->blocks[i - 1].high) || block->high > UINT16_MAX ||
            last_row(block) >= s->field->n_rows)
            return corrupt(s, "blocks out of order, or beyond the last row");
        posting->n += n;
    }
    return KITH_OK;
}

static int get_posting(struct source *s, struct posting *posting) {
    uint32_t n = 0, n_blocks = 0;
    TRY(get_u32(s, &n));
    TRY(get_u32(s, &n_blocks));
    if (n_blocks == 0) return get_rows(s, posting, n);
    int code = get_blocks(s, posting, n_blocks);
    if (code != KITH_OK && posting->n_blocks == 0) { /* not even one to be freed by */
        mem_free(&s->field->account, posting->blocks, posting->capacity * sizeof *posting->blocks);
        *posting = (struct posting){0};
    }
    TRY(code);
    return posting->n == n ? KITH_OK : corrupt(s, "blocks of another number of rows");
}

static bool key_fits(enum field_type type, struct json_text key) {
    if (type == FIELD_BOOL) return key.n == 1 && (key.bytes[0] == 0 || key.bytes[0] == 1);
    return type != FIELD_UUID || key.n == 16;
}

static int get_dict(struct source *s) {
    struct field *field = s->field;
    uint32_t n = 0, key_n = 0;
    TRY(get_u32(s, &n));
    for (uint32_t i = 0; i < n; i++) {
        struct posting rows = {0};
        TRY(get_u32(s, &key_n));
        struct json_text key = {(const char *)s->bytes + s->at, key_n};
        if (s->n - s->at < key_n) return corrupt(s, "it ends too soon");
        if (!key_fits(field->type, key)) return corrupt(s, "a key of another type");
        s->at += key_n;
        int code = get_posting(s, &rows);
        if (code == KITH_OK && (rows.n == 0 || dict_find(&field->dict, key)))
            code = corrupt(s, "a key without rows, or twice");
        if (code == KITH_OK && !dict_add(&field->dict, key, 0)) code = no_memory(s);
        if (code != KITH_OK) {
            posting_deinit(&rows, &field->account);
            return code;
        }
        field->dict.entries[field->dict.n - 1].rows =
            rows; /* in place of row 0, which took no memory */
    }
    return KITH_OK;
}

static int get_entries(struct source *s, struct run_entry *entries, size_t n) {
    bool places = s->field->run.has_places;
    for (size_t i = 0; i < n; i++) {
        struct run_entry *entry = &entries[i];
        TRY(get_u64(s, &entry->key));
        TRY(get_u32(s, &entry->row));
        if (places) TRY(get(s, &entry->place, sizeof entry->place));
        if (entry->row >= s->field->n_rows) return corrupt(s, "a row beyond the last");
        if (places && !geo_is_place(entry->place)) return corrupt(s, "no place");
        if (s->field->type == FIELD_FLOAT && !isfinite(field_double_of(entry->key)))
            return corrupt(s, "no number");
        if (i > 0 && (entry->key < entry[-1].key ||
                      (entry->key == entry[-1].key && entry->row < entry[-1].row)))
            return corrupt(s, "entries out of order");
    }
    return KITH_OK;
}

static int get_run(struct source *s) {
    struct field *field = s->field;
    size_t each = field->run.has_places ? 28 : 12;
    uint64_t n = 0;
    TRY(get_u64(s, &n));
    if (n > (s->n - s->at) / each) return corrupt(s, "more entries than bytes");
    struct run_entry *entries = mem_new(&field->account, n * sizeof *entries);
    if (!entries) return no_memory(s);
    int code = get_entries(s, entries, n);
    if (code == KITH_OK &&
        !run_main_from(&field->run.main, &field->account, entries, n, field->run.has_places))
        code = no_memory(s);
    mem_free(&field->account, entries, n * sizeof *entries);
    return code;
}

static int get_all(struct source *s) {
    for (int i = 0; i < POSTINGS; i++) TRY(get_posting(s, posting_of(s->field, i)));
    TRY(field_is_run(s->field->type) ? get_run(s) : get_dict(s));
    return s->at == s->n ? KITH_OK : corrupt(s, "something after the end");
}

static int check_head(struct source *s) {
    uint32_t version = 0, crc = 0;
    char found[4];
    if (s->n < HEAD_BYTES || memcmp(s->bytes, magic, sizeof magic) != 0)
        return FAIL_AT(s->err, KITH_EFORMAT, 0, "not a field index");
    TRY(get(s, found, sizeof found));
    TRY(get_u32(s, &version));
    if (version != VERSION)
        return FAIL_AT(s->err, KITH_EVERSION, 4, "field index of version %u, this reads %d",
                       version, VERSION);
    TRY(get_u32(s, &crc));
    if (crc != file_crc32c(0, s->bytes + HEAD_BYTES, s->n - HEAD_BYTES))
        return FAIL_AT(s->err, KITH_ECORRUPT, 8, "field index: the checksum is another");
    return KITH_OK;
}

int field_load(struct field **out, const uint8_t *bytes, size_t n, struct mem_account *owner,
               kith_error *err) {
    struct source s = {.bytes = bytes, .n = n, .err = err};
    uint32_t type = 0;
    uint64_t n_rows = 0, path_n = 0;
    TRY(check_head(&s));
    TRY(get_u32(&s, &type));
    TRY(get_u64(&s, &n_rows));
    TRY(get_u64(&s, &path_n));
    if (type >= FIELD_TYPES || n_rows > (uint64_t)UINT32_MAX + 1 || path_n > n - s.at)
        return corrupt(&s, "no such type, or more rows or a longer path than there can be");
    struct json_text path = {(const char *)bytes + s.at, path_n};
    int code = field_make(&s.field, (enum field_type)type, path, owner, err);
    if (code == KITH_ESYNTAX) return corrupt(&s, "no path");
    TRY(code);
    s.at += path_n;
    s.field->n_rows = n_rows;
    code = get_all(&s);
    if (code == KITH_OK)
        *out = s.field;
    else
        field_free(s.field);
    return code;
}
