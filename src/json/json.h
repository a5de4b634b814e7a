/* JSON: text to a tree of values, and values to text.
 *
 *     struct json_parser *parser;  json_parser_new(&parser, owner, err);
 *     struct json_value root;      json_parse(parser, text, n, JSON_CHECKED, &root, err);
 *     struct json_value city;      if (json_get(root, "city", 4, &city)) ...
 *
 * The reading is simdjson's, the writing rapidjson's; json.cpp is the only file that knows either (decision 0040).
 *
 * Invariants
 *   1. A tree is valid until its parser parses again or is freed; the text may go at once.
 *   2. A whole number keeps its 64 bits and stays whole: 1 is JSON_INT, 1.0 is JSON_DOUBLE, 2^63 to 2^64-1 JSON_UINT. Whole
 *      numbers beyond 64 bits and numbers beyond a double are errors.
 *   3. A name stands once in an object: text in which one comes twice is an error, never a silent choice.
 *   4. Text is UTF-8; strings may hold NUL, so every string has its length. No depth beyond JSON_DEPTH.
 *   5. What a writer wrote parses to the same tree: the same type, the same 64 bits of every number.
 * A parser and a writer belong to one thread at a time. Nothing throws; memory that is missing is KITH_ENOMEM. */
#ifndef KITH_JSON_JSON_H
#define KITH_JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kith/error.h>

struct mem_account;

#ifdef __cplusplus
extern "C" {
#endif

/* Arrays and objects in one another, at most; of text and of what is written. */
#define JSON_DEPTH 256

enum json_type {
    JSON_NULL,
    JSON_BOOL,
    JSON_INT,  /* fits int64_t */
    JSON_UINT, /* above INT64_MAX */
    JSON_DOUBLE,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

/* A place in a tree; copied freely. Private: the tree and the number of its word. */
struct json_value {
    const void *tree;
    size_t word;
};

/* Bytes that someone else owns; not ended by a NUL. */
struct json_text {
    const char *bytes;
    size_t n;
};

/* ---- reading ------------------------------------------------------------------------------------ */

struct json_parser; /* keeps its room for the next text */

int json_parser_new(struct json_parser **out, struct mem_account *owner, kith_error *err);
void json_parser_free(struct json_parser *parser); /* NULL is fine */
/* Give room beyond `bytes` of text back; the tree goes with it. */
void json_parser_shrink(struct json_parser *parser, size_t bytes);

enum json_trust {
    JSON_CHECKED, /* names that come twice are looked for, and an error says which byte */
    JSON_TRUSTED  /* text that has been checked before */
};
/* KITH_ESYNTAX with the offending byte in err->at, KITH_ENOMEM; the parser's earlier tree is gone either way. */
int json_parse(struct json_parser *parser, const char *text, size_t n, enum json_trust trust,
               struct json_value *root, kith_error *err);
/* Where in the text the value begins; for errors, since it reads the text again. Only the parser's last tree. */
size_t json_offset(const struct json_parser *parser, struct json_value value);

enum json_type json_type(struct json_value value);
/* Each only of a value of its type; json_double also of JSON_INT and JSON_UINT, rounded to nearest. */
bool json_bool(struct json_value value);
int64_t json_int(struct json_value value);
uint64_t json_uint(struct json_value value);
double json_double(struct json_value value);
struct json_text json_string(struct json_value value);

/* Elements of an array, members of an object. */
size_t json_count(struct json_value value);
/* The member of that name; false when there is none or the value is no object. */
bool json_get(struct json_value object, const char *name, size_t n, struct json_value *out);
/* Element i; false past the end or when the value is no array. Walks: i steps. */
bool json_at(struct json_value array, size_t i, struct json_value *out);

/* The elements or members in order; of a scalar, none. *name may be NULL; of an element it is empty.
 *     struct json_walk walk;
 *     json_walk_init(&walk, array);
 *     while (json_next(&walk, NULL, &value)) ... */
struct json_walk {
    struct json_value next;
    size_t end; /* the word after the last */
    bool named;
};
void json_walk_init(struct json_walk *walk, struct json_value value);
bool json_next(struct json_walk *walk, struct json_text *name, struct json_value *value);

/* An array of numbers as floats: at most max are written to out, *n is how many there are.
 * False where an element is no number or does not fit a float: *bad is that element. */
bool json_floats(struct json_value array, float *out, size_t max, size_t *n,
                 struct json_value *bad);

/* Without space between tokens, numbers and strings as they stand. Text that has been parsed before; out has room for n
 * bytes. Returns how many. */
size_t json_minify(const char *text, size_t n, char *out);

/* ---- writing ------------------------------------------------------------------------------------ */

/* Commas and colons come by themselves. A failure (memory, a number that is not finite, too deep, ends that do not match)
 * is kept until json_writer_text tells it, and calls after it do nothing. */
struct json_writer;

int json_writer_new(struct json_writer **out, struct mem_account *owner, kith_error *err);
void json_writer_free(struct json_writer *writer); /* NULL is fine */
/* Begin anew, with the room it has. */
void json_writer_reset(struct json_writer *writer);
/* What was written, one whole value; borrowed until the next call. */
int json_writer_text(struct json_writer *writer, struct json_text *out, kith_error *err);

void json_begin_object(struct json_writer *writer);
void json_end_object(struct json_writer *writer);
void json_begin_array(struct json_writer *writer);
void json_end_array(struct json_writer *writer);
void json_put_name(struct json_writer *writer, const char *name, size_t n);
void json_put_null(struct json_writer *writer);
void json_put_bool(struct json_writer *writer, bool value);
void json_put_int(struct json_writer *writer, int64_t value);
void json_put_uint(struct json_writer *writer, uint64_t value);
/* The fewest digits that read back as the same double, or float, always with a point or an exponent. */
void json_put_double(struct json_writer *writer, double value);
void json_put_float(struct json_writer *writer, float value);
void json_put_string(struct json_writer *writer, const char *bytes, size_t n);
/* Text of one whole value, as it is. */
void json_put_raw(struct json_writer *writer, const char *text, size_t n);
/* A value of any tree, with all that is in it. */
void json_put_value(struct json_writer *writer, struct json_value value);

#ifdef __cplusplus
}
#endif

#endif
