/* Payloads: selection and change, as walks over a tree that write what is left.
 *
 * Selection and removal are one walk: it keeps the steps to where it stands, and a rule says whether the place stays. A merge
 * goes along its path and copies everything beside it. */
#include "filter/payload.h"

#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/status.h"

/* ---- the walk ----------------------------------------------------------------------------------- */

struct walk {
    const struct path *paths;
    size_t n_paths;
    enum { KEEP_INCLUDED, DROP_EXCLUDED, DROP_REMOVED } rule;
    struct json_writer *out;
    size_t depth;
    struct path_step here[JSON_DEPTH]; /* PATH_KEY or PATH_INDEX */
};

static bool same_key(struct json_text a, struct json_text b) {
    return a.n == b.n && memcmp(a.bytes, b.bytes, a.n) == 0;
}

static bool step_fits(const struct walk *walk, const struct path_step *step,
                      const struct path_step *here) {
    if (step->kind == PATH_KEY) return here->kind == PATH_KEY && same_key(step->key, here->key);
    if (here->kind == PATH_KEY) return false;
    return step->kind == PATH_EACH || (walk->rule == DROP_REMOVED && step->index == here->index);
}

/* Whether the first n steps of the path fit those to here. */
static bool path_fits(const struct walk *walk, const struct path *path, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!step_fits(walk, &path->steps[i], &walk->here[i])) return false;
    return true;
}

static bool stays(const struct walk *walk) {
    for (size_t i = 0; i < walk->n_paths; i++) {
        const struct path *path = &walk->paths[i];
        if (walk->rule == KEEP_INCLUDED) {
            if (path_fits(walk, path, path->n < walk->depth ? path->n : walk->depth)) return true;
        } else if (path->n == walk->depth && path_fits(walk, path, path->n)) {
            if (walk->rule == DROP_EXCLUDED || path->steps[path->n - 1].kind != PATH_INDEX)
                return false;
        }
    }
    return walk->rule != KEEP_INCLUDED;
}

static void put_left(struct walk *walk, struct json_value value) {
    enum json_type type = json_type(value);
    if (type != JSON_OBJECT && type != JSON_ARRAY) {
        json_put_value(walk->out, value);
        return;
    }
    struct json_walk members;
    struct json_text name;
    struct path_step *here = &walk->here[walk->depth++];
    bool object = type == JSON_OBJECT;
    *here = (struct path_step){.kind = object ? PATH_KEY : PATH_INDEX};
    (object ? json_begin_object : json_begin_array)(walk->out);
    json_walk_init(&members, value);
    for (; json_next(&members, &name, &value); here->index++) {
        here->key = name;
        if (!stays(walk)) continue;
        if (object) json_put_name(walk->out, name.bytes, name.n);
        put_left(walk, value);
    }
    (object ? json_end_object : json_end_array)(walk->out);
    walk->depth--;
}

/* ---- selection ---------------------------------------------------------------------------------- */

static int parse_paths(struct payload_selector *out, struct json_value list, struct arena *arena,
                       kith_error *err) {
    struct json_walk walk;
    struct json_value value;
    size_t n = 0;
    if (json_type(list) != JSON_ARRAY)
        return FAIL(err, KITH_EINVAL, "a payload selector wants a list of paths");
    struct path *paths = arena_new(arena, json_count(list) * sizeof *paths);
    if (!paths) return FAIL(err, KITH_ENOMEM, "no memory for %zu paths", json_count(list));
    json_walk_init(&walk, list);
    while (json_next(&walk, NULL, &value)) {
        if (json_type(value) != JSON_STRING)
            return FAIL(err, KITH_EINVAL, "path %zu of a payload selector is no string", n);
        struct json_text text = json_string(value);
        TRY(path_parse(&paths[n++], text.bytes, text.n, arena, err));
    }
    out->paths = paths;
    out->n = n;
    return KITH_OK;
}

int payload_selector_parse(struct payload_selector *out, struct json_value value,
                           struct arena *arena, kith_error *err) {
    struct payload_selector made = {.rule = PAYLOAD_INCLUDE};
    enum json_type type = json_type(value);
    if (type == JSON_BOOL) {
        made.rule = json_bool(value) ? PAYLOAD_ALL : PAYLOAD_NONE;
    } else if (type == JSON_ARRAY) {
        TRY(parse_paths(&made, value, arena, err));
    } else {
        struct json_value list;
        if (json_count(value) == 1 && json_get(value, "exclude", 7, &list))
            made.rule = PAYLOAD_EXCLUDE;
        else if (json_count(value) != 1 || !json_get(value, "include", 7, &list))
            return FAIL(
                err, KITH_EINVAL,
                "a payload selector is true, false, a list of paths, {\"include\": paths} or "
                "{\"exclude\": paths}");
        TRY(parse_paths(&made, list, arena, err));
    }
    *out = made;
    return KITH_OK;
}

void payload_select(const struct payload_selector *selector, struct json_value payload,
                    struct json_writer *out) {
    struct walk walk;
    if (selector->rule == PAYLOAD_ALL) {
        json_put_value(out, payload);
        return;
    }
    walk.rule = selector->rule == PAYLOAD_EXCLUDE ? DROP_EXCLUDED : KEEP_INCLUDED;
    walk.paths = selector->paths;
    walk.n_paths = selector->rule == PAYLOAD_NONE ? 0 : selector->n;
    walk.out = out;
    walk.depth = 0;
    put_left(&walk, payload);
}

/* ---- merging ------------------------------------------------------------------------------------ */

/* The old value, which may be missing, with the patch's members in it. */
static void put_patched(struct json_writer *out, const struct json_value *old,
                        struct json_value patch) {
    struct json_walk walk;
    struct json_text name;
    struct json_value value, other;
    json_begin_object(out);
    if (old && json_type(*old) == JSON_OBJECT) {
        json_walk_init(&walk, *old);
        while (json_next(&walk, &name, &value)) {
            bool patched = json_get(patch, name.bytes, name.n, &other);
            if (patched && json_type(other) == JSON_NULL) continue;
            json_put_name(out, name.bytes, name.n);
            json_put_value(out, patched ? other : value);
        }
    }
    json_walk_init(&walk, patch);
    while (json_next(&walk, &name, &value)) {
        if (json_type(value) == JSON_NULL) continue;
        if (old && json_get(*old, name.bytes, name.n, &other)) continue;
        json_put_name(out, name.bytes, name.n);
        json_put_value(out, value);
    }
    json_end_object(out);
}

struct merge {
    struct json_writer *out;
    struct json_value patch;
};

static void put_merged(const struct merge *merge, const struct json_value *old,
                       const struct path_step *step, size_t n);

static void put_merged_object(const struct merge *merge, const struct json_value *old,
                              const struct path_step *step, size_t n) {
    bool found = false;
    json_begin_object(merge->out);
    if (old && json_type(*old) == JSON_OBJECT) {
        struct json_walk walk;
        struct json_text name;
        struct json_value value;
        json_walk_init(&walk, *old);
        while (json_next(&walk, &name, &value)) {
            bool here = same_key(name, step->key);
            json_put_name(merge->out, name.bytes, name.n);
            if (here)
                put_merged(merge, &value, step + 1, n - 1);
            else
                json_put_value(merge->out, value);
            found |= here;
        }
    }
    if (!found) {
        json_put_name(merge->out, step->key.bytes, step->key.n);
        put_merged(merge, NULL, step + 1, n - 1);
    }
    json_end_object(merge->out);
}

static void put_merged_array(const struct merge *merge, const struct json_value *old,
                             const struct path_step *step, size_t n) {
    json_begin_array(merge->out);
    if (old && json_type(*old) == JSON_ARRAY) {
        struct json_walk walk;
        struct json_value value;
        json_walk_init(&walk, *old);
        for (uint32_t i = 0; json_next(&walk, NULL, &value); i++) {
            if (step->kind == PATH_EACH || step->index == i)
                put_merged(merge, &value, step + 1, n - 1);
            else
                json_put_value(merge->out, value);
        }
    }
    json_end_array(merge->out);
}

static void put_merged(const struct merge *merge, const struct json_value *old,
                       const struct path_step *step, size_t n) {
    if (n == 0)
        put_patched(merge->out, old, merge->patch);
    else if (step->kind == PATH_KEY)
        put_merged_object(merge, old, step, n);
    else
        put_merged_array(merge, old, step, n);
}

/* ---- the editor --------------------------------------------------------------------------------- */

struct payload_editor {
    struct mem_account *owner;
    struct json_parser *old, *patch;
    struct json_writer *out;
};

int payload_editor_new(struct payload_editor **out, struct mem_account *owner, kith_error *err) {
    int code = KITH_OK;
    struct payload_editor *editor = mem_new(owner, sizeof *editor);
    if (!editor) return FAIL(err, KITH_ENOMEM, "no memory for a payload editor");
    editor->owner = owner;
    TRY_DONE(json_parser_new(&editor->old, owner, err));
    TRY_DONE(json_parser_new(&editor->patch, owner, err));
    TRY_DONE(json_writer_new(&editor->out, owner, err));
    *out = editor;
    return KITH_OK;
done:
    payload_editor_free(editor);
    return code;
}

void payload_editor_free(struct payload_editor *editor) {
    if (!editor) return;
    json_parser_free(editor->old);
    json_parser_free(editor->patch);
    json_writer_free(editor->out);
    mem_free(editor->owner, editor, sizeof *editor);
}

/* The root of a text, an object; no text and null are an empty one. */
static int parse_object(struct json_parser *parser, struct json_text text, enum json_trust trust,
                        struct json_value *root, kith_error *err) {
    if (text.n == 0) text = (struct json_text){"{}", 2};
    TRY(json_parse(parser, text.bytes, text.n, trust, root, err));
    if (json_type(*root) == JSON_NULL) return json_parse(parser, "{}", 2, JSON_TRUSTED, root, err);
    if (json_type(*root) != JSON_OBJECT)
        return FAIL(err, KITH_EINVAL, "a payload is a JSON object, not an array or a single value");
    return KITH_OK;
}

int payload_store(struct payload_editor *editor, struct json_text text, struct json_text *out,
                  kith_error *err) {
    struct json_value root;
    TRY(parse_object(editor->patch, text, JSON_CHECKED, &root, err));
    json_writer_reset(editor->out);
    json_put_value(editor->out, root);
    return json_writer_text(editor->out, out, err);
}

int payload_merge(struct payload_editor *editor, struct json_text old, struct json_text patch,
                  const struct path *at, struct json_text *out, kith_error *err) {
    struct json_value root;
    struct merge merge = {.out = editor->out};
    TRY(parse_object(editor->patch, patch, JSON_CHECKED, &merge.patch, err));
    TRY(parse_object(editor->old, old, JSON_TRUSTED, &root, err));
    json_writer_reset(editor->out);
    put_merged(&merge, &root, at ? at->steps : NULL, at ? at->n : 0);
    return json_writer_text(editor->out, out, err);
}

int payload_remove(struct payload_editor *editor, struct json_text old, const struct path *paths,
                   size_t n, struct json_text *out, kith_error *err) {
    struct json_value root;
    struct walk walk;
    TRY(parse_object(editor->old, old, JSON_TRUSTED, &root, err));
    json_writer_reset(editor->out);
    walk.paths = paths;
    walk.n_paths = n;
    walk.rule = DROP_REMOVED;
    walk.out = editor->out;
    walk.depth = 0;
    put_left(&walk, root);
    return json_writer_text(editor->out, out, err);
}
