/* Payloads: what may be one, what is shown of it, and how it is changed.
 *
 * A payload is a JSON object. Each operation is a function of text (or a tree) to text: the old one is never changed.
 * Members keep their order; what was not touched keeps type and value. */
#ifndef KITH_FILTER_PAYLOAD_H
#define KITH_FILTER_PAYLOAD_H

#include "filter/path.h"

struct mem_account;

/* ---- selection ---------------------------------------------------------------------------------- */

enum payload_rule { PAYLOAD_NONE, PAYLOAD_ALL, PAYLOAD_INCLUDE, PAYLOAD_EXCLUDE };

/* What of a payload is shown. INCLUDE keeps a place when one of the paths leads to it, through it, or begins at it; EXCLUDE
 * drops the places that a path leads to. Elements of arrays are matched by [] alone: a path with [N] finds none. */
struct payload_selector {
    enum payload_rule rule;
    size_t n;
    const struct path *paths;
};

/* From true | false | [path, …] | {"include": [path, …]} | {"exclude": [path, …]}; paths from the arena.
 * KITH_EINVAL, or KITH_ESYNTAX for a path. */
int payload_selector_parse(struct payload_selector *out, struct json_value value,
                           struct arena *arena, kith_error *err);
/* Writes the object that is left. */
void payload_select(const struct payload_selector *selector, struct json_value payload,
                    struct json_writer *out);

/* ---- changes ------------------------------------------------------------------------------------ */

/* Parsers and a writer, for one thread at a time. What it returns is borrowed until its next call. */
struct payload_editor;
int payload_editor_new(struct payload_editor **out, struct mem_account *owner, kith_error *err);
void payload_editor_free(struct payload_editor *editor); /* NULL is fine */

/* The payload as it is stored: without space. No text and null are {}. KITH_EINVAL what is no object, KITH_ESYNTAX what is
 * no JSON. This is also "overwrite" (of the patch) and "clear" (of nothing). */
int payload_store(struct payload_editor *editor, struct json_text text, struct json_text *out,
                  kith_error *err);
/* Put the patch's members in place of old ones of their names, at the root or (at not NULL) at a path; a member that is null
 * removes. Objects on the way are made; [] goes to every element, [N] to that one if there is one; what is neither object nor
 * array where one is wanted is replaced by an empty one. */
int payload_merge(struct payload_editor *editor, struct json_text old, struct json_text patch,
                  const struct path *at, struct json_text *out, kith_error *err);
/* Remove what the paths lead to. A path that ends in [] empties the array, one that ends in [N] removes nothing. */
int payload_remove(struct payload_editor *editor, struct json_text old, const struct path *paths,
                   size_t n, struct json_text *out, kith_error *err);

#endif
