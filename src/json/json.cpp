// JSON: simdjson's tree and rapidjson's writer behind json.h. The only file that knows them (decision 0040).
//
// Reading. A parser keeps a padded copy of the text (simdjson reads up to 64 bytes past its end), simdjson's parser, and in
// it the tree: a "tape" of 64-bit words and a buffer of unescaped strings, a layout that simdjson documents. A json_value is
// a tree and a word; everything asked of it is answered by simdjson's tape_ref.
//
// Writing. rapidjson escapes, checks UTF-8 and sets commas; it writes to `Sink`, bytes of ours that fail without a crash,
// and keeps its levels in `Levels`, an array as deep as JSON_DEPTH allows. Numbers with a point are std::to_chars's.
//
// Invariants
//   1. Nothing here throws: simdjson is used through its error codes, its `new` is nothrow, and this file is compiled
//      without exceptions.
//   2. What simdjson takes from the heap is charged to the owner by the sizes that its source gives (`tree_bytes`).
//   3. rapidjson sees only sequences of calls that it allows: `admit` and `close` stop others.
#include "json/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <new>

#define RAPIDJSON_ASSERT(condition) static_cast<void>(condition)
#include <rapidjson/writer.h>
#include <simdjson.h>

extern "C" {
#include "base/status.h"
}
#include "json/json_room.h"
#include "json/json_text.h"

using simdjson::internal::tape_ref;
using simdjson::internal::tape_type;

// ---- reading --------------------------------------------------------------------------------------

struct json_parser {
    json_room room; // the text and its padding
    json_room names;
    size_t n;       // bytes of text
    size_t charged; // of simdjson's own memory
    simdjson::dom::parser simd;
};

namespace {

// What simdjson takes for texts of up to `capacity` bytes: tape, strings, structural indexes, levels.
size_t tree_bytes(size_t capacity) {
    return (capacity + 67) * 8 + capacity / 3 * 5 + 128 + (capacity + 73) * 4 + JSON_DEPTH * 16;
}

int no_memory(kith_error *err, size_t n) {
    return FAIL(err, KITH_ENOMEM, "no memory to parse %zu bytes of JSON", n);
}

void drop_tree(json_parser *parser) {
    parser->simd.~parser();
    new (&parser->simd) simdjson::dom::parser();
    json_room_charge(parser->room.owner, parser->charged, 0);
    parser->charged = 0;
}

// Room for a text of n bytes, and half as much again, so that texts of varying length settle.
int reserve(json_parser *parser, size_t n, kith_error *err) {
    if (n >= simdjson::SIMDJSON_MAXSIZE_BYTES)
        return FAIL(err, KITH_ESYNTAX, "%zu bytes of JSON, at most %zu are read", n,
                    static_cast<size_t>(simdjson::SIMDJSON_MAXSIZE_BYTES) - 1);
    if (!json_room_grow(&parser->room, n + simdjson::SIMDJSON_PADDING)) return no_memory(err, n);
    if (parser->charged && n <= parser->simd.capacity()) return KITH_OK;
    size_t capacity = n < 1024 ? 1024 : std::min(n + n / 2, simdjson::SIMDJSON_MAXSIZE_BYTES);
    size_t bytes = tree_bytes(capacity);
    drop_tree(parser);
    if (!json_room_charge(parser->room.owner, 0, bytes)) return no_memory(err, n);
    parser->charged = bytes;
    if (parser->simd.allocate(capacity, JSON_DEPTH) || parser->simd.doc.allocate(capacity)) {
        drop_tree(parser);
        return no_memory(err, n);
    }
    return KITH_OK;
}

const simdjson::dom::document *tree_of(json_value value) {
    return static_cast<const simdjson::dom::document *>(value.tree);
}

tape_ref ref(json_value value) { return {tree_of(value), value.word}; }

json_text text_at(const simdjson::dom::document *tree, size_t word) {
    std::string_view view = tape_ref(tree, word).get_string_view();
    return {view.data(), view.size()};
}

int fault(const json_parser *parser, kith_error *err) {
    const char *what = nullptr;
    size_t at = json_text_fault(parser->room.bytes, parser->n, &what);
    return FAIL_AT(err, KITH_ESYNTAX, at, "JSON, byte %zu: %s", at, what ? what : "not JSON");
}

// Names by length, then bytes: any order that puts equals side by side, and that nobody can slow down.
int compare(json_text a, json_text b) {
    return a.n != b.n ? (a.n < b.n ? -1 : 1) : std::memcmp(a.bytes, b.bytes, a.n);
}

// The words of the names of an object's members; how many.
size_t names_of(json_value object, uint64_t *words) {
    json_walk walk;
    json_value value;
    size_t n = 0;
    json_walk_init(&walk, object);
    for (size_t word = walk.next.word; json_next(&walk, nullptr, &value); word = walk.next.word)
        words[n++] = word;
    return n;
}

// The word of a name that stands twice in the object, 0 when none does; words has room for all.
size_t name_twice(json_value object, uint64_t *words) {
    auto *tree = tree_of(object);
    size_t n = names_of(object, words);
    if (n <= 12) {
        for (size_t i = 1; i < n; i++)
            for (size_t j = 0; j < i; j++)
                if (compare(text_at(tree, words[i]), text_at(tree, words[j])) == 0) return words[i];
        return 0;
    }
    std::sort(words, words + n, [tree](uint64_t a, uint64_t b) {
        int order = compare(text_at(tree, a), text_at(tree, b));
        return order ? order < 0 : a < b;
    });
    for (size_t i = 1; i < n; i++)
        if (compare(text_at(tree, words[i - 1]), text_at(tree, words[i])) == 0) return words[i];
    return 0;
}

// Invariant 3 of json.h, for every object of the tree.
int check_names(json_parser *parser, kith_error *err) {
    auto *tree = &parser->simd.doc;
    size_t end = tape_ref(tree, 0).matching_brace_index(), twice = 0;
    for (size_t word = 1; word < end && !twice;) {
        tape_type type = tape_ref(tree, word).tape_ref_type();
        json_value object = {tree, word};
        if (type == tape_type::START_OBJECT) {
            if (!json_room_grow(&parser->names, json_count(object) * sizeof(uint64_t)))
                return no_memory(err, parser->n);
            twice = name_twice(object, reinterpret_cast<uint64_t *>(parser->names.bytes));
        }
        bool number =
            type == tape_type::INT64 || type == tape_type::UINT64 || type == tape_type::DOUBLE;
        word += number ? 2 : 1;
    }
    if (!twice) return KITH_OK;
    size_t at = json_offset(parser, {tree, twice});
    json_text name = text_at(tree, twice);
    return FAIL_AT(err, KITH_ESYNTAX, at,
                   "JSON, byte %zu: the name \"%.*s\" stands twice in one object", at,
                   static_cast<int>(std::min<size_t>(name.n, 80)), name.bytes);
}

} // namespace

int json_parser_new(json_parser **out, mem_account *owner, kith_error *err) {
    auto *parser = static_cast<json_parser *>(json_room_new(owner, sizeof(json_parser)));
    if (!parser) return FAIL(err, KITH_ENOMEM, "no memory for a JSON parser");
    new (&parser->simd) simdjson::dom::parser();
    parser->room.owner = parser->names.owner = owner;
    *out = parser;
    return KITH_OK;
}

void json_parser_free(json_parser *parser) {
    if (!parser) return;
    mem_account *owner = parser->room.owner;
    drop_tree(parser);
    parser->simd.~parser();
    json_room_deinit(&parser->room);
    json_room_deinit(&parser->names);
    json_room_free(owner, parser, sizeof *parser);
}

void json_parser_shrink(json_parser *parser, size_t bytes) {
    if (parser->room.capacity <= bytes + simdjson::SIMDJSON_PADDING) return;
    drop_tree(parser);
    json_room_deinit(&parser->room);
    json_room_deinit(&parser->names);
    parser->n = 0;
}

int json_parse(json_parser *parser, const char *text, size_t n, json_trust trust, json_value *root,
               kith_error *err) {
    TRY(reserve(parser, n, err));
    std::memcpy(parser->room.bytes, text, n);
    std::memset(parser->room.bytes + n, 0, simdjson::SIMDJSON_PADDING);
    parser->n = n;
    simdjson::dom::element element;
    auto failed = parser->simd.parse(parser->room.bytes, n, false).get(element);
    if (failed == simdjson::MEMALLOC) return no_memory(err, n);
    if (failed) return fault(parser, err);
    if (trust == JSON_CHECKED) TRY(check_names(parser, err));
    *root = {&parser->simd.doc, 1};
    return KITH_OK;
}

size_t json_offset(const json_parser *parser, json_value value) {
    return json_text_place(parser->room.bytes, parser->n, value.word);
}

enum json_type json_type(json_value value) {
    switch (ref(value).tape_ref_type()) {
    case tape_type::TRUE_VALUE:
    case tape_type::FALSE_VALUE: return JSON_BOOL;
    case tape_type::INT64: return JSON_INT;
    case tape_type::UINT64: return JSON_UINT;
    case tape_type::DOUBLE: return JSON_DOUBLE;
    case tape_type::STRING: return JSON_STRING;
    case tape_type::START_ARRAY: return JSON_ARRAY;
    case tape_type::START_OBJECT: return JSON_OBJECT;
    default: return JSON_NULL;
    }
}

bool json_bool(json_value value) { return ref(value).is_true(); }
int64_t json_int(json_value value) { return ref(value).next_tape_value<int64_t>(); }
uint64_t json_uint(json_value value) { return ref(value).next_tape_value<uint64_t>(); }

double json_double(json_value value) {
    switch (ref(value).tape_ref_type()) {
    case tape_type::INT64: return static_cast<double>(json_int(value));
    case tape_type::UINT64: return static_cast<double>(json_uint(value));
    default: return ref(value).next_tape_value<double>();
    }
}

json_text json_string(json_value value) { return text_at(tree_of(value), value.word); }

void json_walk_init(json_walk *walk, json_value value) {
    tape_type type = ref(value).tape_ref_type();
    walk->next = {value.tree, value.word + 1};
    walk->end = value.word + 1;
    walk->named = type == tape_type::START_OBJECT;
    if (walk->named || type == tape_type::START_ARRAY) walk->end = ref(value).after_element() - 1;
}

bool json_next(json_walk *walk, json_text *name, json_value *value) {
    if (walk->next.word == walk->end) return false;
    if (name) *name = walk->named ? json_string(walk->next) : json_text{"", 0};
    walk->next.word += walk->named;
    *value = walk->next;
    walk->next.word = ref(*value).after_element();
    return true;
}

// The tape counts up to 2^24 - 1, and says so for all that have more.
size_t json_count(json_value value) {
    tape_type type = ref(value).tape_ref_type();
    if (type != tape_type::START_ARRAY && type != tape_type::START_OBJECT) return 0;
    size_t n = ref(value).scope_count();
    if (n < simdjson::internal::JSON_COUNT_MASK) return n;
    json_walk walk;
    json_walk_init(&walk, value);
    for (n = 0; json_next(&walk, nullptr, &value);) n++;
    return n;
}

bool json_get(json_value object, const char *name, size_t n, json_value *out) {
    json_walk walk;
    json_text here;
    json_value value;
    json_walk_init(&walk, object);
    if (!walk.named) return false;
    while (json_next(&walk, &here, &value)) {
        if (here.n == n && std::memcmp(here.bytes, name, n) == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}

bool json_at(json_value array, size_t i, json_value *out) {
    json_walk walk;
    json_value value;
    json_walk_init(&walk, array);
    if (walk.named) return false;
    while (json_next(&walk, nullptr, &value)) {
        if (i-- == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}

bool json_floats(json_value array, float *out, size_t max, size_t *n, json_value *bad) {
    json_walk walk;
    json_value value;
    size_t at = 0;
    json_walk_init(&walk, array);
    while (json_next(&walk, nullptr, &value)) {
        enum json_type type = json_type(value);
        auto number = type == JSON_INT || type == JSON_UINT || type == JSON_DOUBLE
                          ? static_cast<float>(json_double(value))
                          : NAN;
        if (!std::isfinite(number)) {
            *bad = value;
            return false;
        }
        if (at < max) out[at] = number;
        at++;
    }
    *n = at;
    return true;
}

size_t json_minify(const char *text, size_t n, char *out) {
    size_t n_out = 0;
    return simdjson::minify(text, n, out, n_out) ? 0 : n_out;
}

// ---- writing --------------------------------------------------------------------------------------

namespace {

// A rapidjson output stream over bytes that may fail to grow.
class Sink {
  public:
    using Ch = char;
    json_room room;
    size_t n;
    bool short_of_memory;

    void reserve(size_t more) {
        if (short_of_memory || room.capacity - n >= more) return;
        short_of_memory = n + more < n || !json_room_grow(&room, n + more);
    }
    void Put(char c) {
        if (n == room.capacity) reserve(1);
        if (!short_of_memory) room.bytes[n++] = c;
    }
    void append(const char *bytes, size_t length) {
        reserve(length);
        if (short_of_memory) return;
        std::memcpy(room.bytes + n, bytes, length);
        n += length;
    }
    void Flush() {}
};

inline void PutReserve(Sink &sink, size_t more) { sink.reserve(more); }
inline void PutUnsafe(Sink &sink, char c) { sink.Put(c); }

// The allocator of rapidjson's levels: one array, given once.
class Levels {
  public:
    static const bool kNeedFree = false;
    alignas(16) char bytes[(JSON_DEPTH + 1) * 16];
    void *Malloc(size_t) { return bytes; }
    void *Realloc(void *, size_t, size_t) { return bytes; }
    static void Free(void *) {}
};

using Writer = rapidjson::Writer<Sink, rapidjson::UTF8<>, rapidjson::UTF8<>, Levels,
                                 rapidjson::kWriteValidateEncodingFlag>;

} // namespace

struct json_writer {
    mem_account *owner;
    Sink sink;
    Levels levels;
    Writer writer;
    int code; // the first failure
    const char *what;
    size_t depth;
    bool named;                 // a name waits for its value
    bool in_object[JSON_DEPTH]; // of each open level
};

namespace {

void fail(json_writer *w, int code, const char *what) {
    if (w->code == KITH_OK) {
        w->code = code;
        w->what = what;
    }
}

bool in_object(const json_writer *w) { return w->depth > 0 && w->in_object[w->depth - 1]; }

// Whether a value may stand here; takes the waiting name.
bool admit(json_writer *w) {
    if (w->code != KITH_OK) return false;
    if (w->depth == 0 && w->writer.IsComplete())
        fail(w, KITH_EINVAL, "a second value was written after the whole");
    else if (in_object(w) && !w->named)
        fail(w, KITH_EINVAL, "a value without a name was written into an object");
    w->named = false;
    return w->code == KITH_OK;
}

bool open(json_writer *w, bool object) {
    if (!admit(w)) return false;
    if (w->depth == JSON_DEPTH) {
        fail(w, KITH_EINVAL, "arrays and objects more than 256 deep were written");
        return false;
    }
    w->in_object[w->depth++] = object;
    return true;
}

bool close(json_writer *w, bool object) {
    if (w->code != KITH_OK) return false;
    if (w->depth == 0 || in_object(w) != object || w->named) {
        fail(w, KITH_EINVAL, "an end was written that nothing began, or before a value");
        return false;
    }
    w->depth--;
    return true;
}

template <typename Number> void put_number(json_writer *w, Number value) {
    if (!admit(w)) return;
    if (!std::isfinite(value)) return fail(w, KITH_ENONFINITE, "a number is not finite");
    char digits[32];
    char *end = std::to_chars(digits, digits + sizeof digits - 2, value).ptr;
    if (std::find_if(digits, end, [](char c) { return c == '.' || c == 'e'; }) == end) {
        *end++ = '.';
        *end++ = '0';
    }
    w->writer.RawValue(digits, static_cast<size_t>(end - digits), rapidjson::kNumberType);
}

} // namespace

int json_writer_new(json_writer **out, mem_account *owner, kith_error *err) {
    auto *w = static_cast<json_writer *>(json_room_new(owner, sizeof(json_writer)));
    if (!w) return FAIL(err, KITH_ENOMEM, "no memory for a JSON writer");
    w->owner = w->sink.room.owner = owner;
    new (&w->writer) Writer(w->sink, &w->levels, JSON_DEPTH + 1);
    *out = w;
    return KITH_OK;
}

void json_writer_free(json_writer *w) {
    if (!w) return;
    w->writer.~Writer();
    json_room_deinit(&w->sink.room);
    json_room_free(w->owner, w, sizeof *w);
}

void json_writer_reset(json_writer *w) {
    w->writer.Reset(w->sink);
    w->sink.n = 0;
    w->sink.short_of_memory = false;
    w->code = KITH_OK;
    w->depth = 0;
    w->named = false;
}

int json_writer_text(json_writer *w, json_text *out, kith_error *err) {
    if (w->sink.short_of_memory)
        return FAIL(err, KITH_ENOMEM, "no memory for more than %zu bytes of JSON", w->sink.n);
    if (w->code != KITH_OK) return FAIL(err, w->code, "JSON: %s", w->what);
    if (!w->writer.IsComplete()) return FAIL(err, KITH_EINVAL, "JSON: the value was not ended");
    *out = {w->sink.room.bytes, w->sink.n};
    return KITH_OK;
}

void json_begin_object(json_writer *w) {
    if (open(w, true)) w->writer.StartObject();
}

void json_end_object(json_writer *w) {
    if (close(w, true)) w->writer.EndObject();
}

void json_begin_array(json_writer *w) {
    if (open(w, false)) w->writer.StartArray();
}

void json_end_array(json_writer *w) {
    if (close(w, false)) w->writer.EndArray();
}

static void put_text(json_writer *w, const char *bytes, size_t n) {
    if (n >= UINT32_MAX / 8) return fail(w, KITH_EINVAL, "a string of more than 512 MiB");
    if (!w->writer.String(bytes, static_cast<rapidjson::SizeType>(n)))
        fail(w, KITH_EINVAL, "a string is not UTF-8");
}

void json_put_name(json_writer *w, const char *name, size_t n) {
    if (w->code != KITH_OK) return;
    if (!in_object(w) || w->named)
        return fail(w, KITH_EINVAL, "a name was written where no name may stand");
    put_text(w, name, n);
    w->named = true;
}

void json_put_null(json_writer *w) {
    if (admit(w)) w->writer.Null();
}

void json_put_bool(json_writer *w, bool value) {
    if (admit(w)) w->writer.Bool(value);
}

void json_put_int(json_writer *w, int64_t value) {
    if (admit(w)) w->writer.Int64(value);
}

void json_put_uint(json_writer *w, uint64_t value) {
    if (admit(w)) w->writer.Uint64(value);
}

void json_put_double(json_writer *w, double value) { put_number(w, value); }
void json_put_float(json_writer *w, float value) { put_number(w, value); }

void json_put_string(json_writer *w, const char *bytes, size_t n) {
    if (admit(w)) put_text(w, bytes, n);
}

// rapidjson is told of a value of no bytes, for its commas; the bytes go past it.
void json_put_raw(json_writer *w, const char *text, size_t n) {
    if (!admit(w)) return;
    w->writer.RawValue("", 0, rapidjson::kObjectType);
    w->sink.append(text, n);
}

static void put_all(json_writer *w, json_value value, bool object) {
    json_walk walk;
    json_text name;
    object ? json_begin_object(w) : json_begin_array(w);
    json_walk_init(&walk, value);
    while (w->code == KITH_OK && json_next(&walk, &name, &value)) {
        if (object) json_put_name(w, name.bytes, name.n);
        json_put_value(w, value);
    }
    object ? json_end_object(w) : json_end_array(w);
}

void json_put_value(json_writer *w, json_value value) {
    json_text text;
    switch (json_type(value)) {
    case JSON_NULL: return json_put_null(w);
    case JSON_BOOL: return json_put_bool(w, json_bool(value));
    case JSON_INT: return json_put_int(w, json_int(value));
    case JSON_UINT: return json_put_uint(w, json_uint(value));
    case JSON_DOUBLE: return json_put_double(w, json_double(value));
    case JSON_STRING: text = json_string(value); return json_put_string(w, text.bytes, text.n);
    case JSON_ARRAY: return put_all(w, value, false);
    case JSON_OBJECT: return put_all(w, value, true);
    }
}
