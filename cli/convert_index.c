/* kith convert of an index: another engine's file to one of Kith's, and either to FAISS's. */
#include "convert_index.h"

#include <stdlib.h>
#include <string.h>

#include <kith/foreign.h>

#include "print.h"

static const char *fate_name(kith_fate fate) {
    static const char *const names[] = {"none", "kept", "recoded", "rebuilt"};
    return (unsigned)fate < 4 ? names[fate] : "?";
}

static bool ends_with(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    return n >= m && strcmp(path + n - m, ending) == 0;
}

index_target index_target_parse(const char *text) {
    if (strcmp(text, "kith") == 0) return INDEX_TO_KITH;
    return strcmp(text, "faiss") == 0 ? INDEX_TO_FAISS : INDEX_TO_NOTHING;
}

bool index_is_converted(const char *path, index_target to) {
    const char *engine = NULL;
    if (to != INDEX_TO_NOTHING) return true;
    return !is_stream(path) && kith_index_engine(path, &engine, NULL) == KITH_OK && engine;
}

/* ---- in ---------------------------------------------------------------------------------------- */

/* A Kith file is mapped and checked, so that only what is written takes memory. */
static int open_kith(kith_index **index, const char *path, kith_conversion *what, kith_error *err) {
    kith_index_stats stats;
    int code = kith_index_open(index, path, KITH_OPEN_MAP, err);
    if (code == KITH_OK) code = kith_index_check(*index, err);
    if (code != KITH_OK) return code;
    kith_index_stats_get(*index, &stats);
    what->engine = "Kith";
    snprintf(what->spec, sizeof what->spec, "%s", stats.spec);
    return KITH_OK;
}

static int open_any(kith_index **index, const index_conversion *c, kith_conversion *what,
                    kith_error *err) {
    const char *engine;
    kith_import_options options = KITH_IMPORT_OPTIONS_INIT;
    options.threads = c->shared->threads;
    if (c->shared->metric_given) options.metric = (int)c->shared->metric;
    int code = kith_index_engine(c->in, &engine, err);
    if (code != KITH_OK) return code;
    if (engine && strcmp(engine, "Kith") == 0) return open_kith(index, c->in, what, err);
    return kith_index_import(index, c->in, &options, what, err);
}

/* ---- out --------------------------------------------------------------------------------------- */

static void print_text(const index_conversion *c, const kith_index *index,
                       const kith_conversion *from, const kith_conversion *to) {
    char text[32];
    const char *notes[] = {from->text, to->text};
    printf("%s: %s of %s, %s rows of %zu, from %s%s%s\n", c->out, from->spec,
           to->engine ? to->engine : "Kith", print_count(text, (double)kith_index_rows(index)),
           kith_index_dim(index), from->engine, from->family[0] ? ", " : "", from->family);
    for (size_t i = 0; i < 2; i++)
        for (const char *at = notes[i]; *at; at += strcspn(at, "\n") + 1)
            printf("  %.*s\n", (int)strcspn(at, "\n"), at);
}

static void add_notes(struct json_object *list, const char *text) {
    for (; *text; text += strcspn(text, "\n") + 1)
        json_object_array_add(list, json_object_new_string_len(text, (int)strcspn(text, "\n")));
}

static void print_json(const kith_index *index, const kith_conversion *from,
                       const kith_conversion *to) {
    struct json_object *o = json_object_new_object(), *notes = json_object_new_array();
    const kith_conversion *told = to->engine ? to : from;
    json_add(o, "from", json_text(from->engine));
    json_add(o, "to", json_text(to->engine ? to->engine : "Kith"));
    json_add(o, "family", json_text(told->family));
    json_add(o, "spec", json_text(from->spec));
    json_add(o, "rows", json_object_new_uint64(kith_index_rows(index)));
    json_add(o, "dim", json_object_new_uint64(kith_index_dim(index)));
    json_add(o, "vectors", json_text(fate_name(told->vectors)));
    json_add(o, "links", json_text(fate_name(told->links)));
    json_add(o, "lists", json_text(fate_name(told->lists)));
    add_notes(notes, from->text);
    add_notes(notes, to->text);
    json_add(o, "notes", notes);
    json_print(o, stdout, true);
}

int convert_index(const index_conversion *c, failure *f) {
    kith_index *index = NULL;
    kith_conversion from = KITH_CONVERSION_INIT, to = KITH_CONVERSION_INIT;
    index_target target = c->to;
    int code;
    if (is_stream(c->in) || is_stream(c->out))
        return failure_set(f, KITH_EINVAL, "an index is converted from a file to a file");
    TRY_DONE(failure_about(f, c->in, open_any(&index, c, &from, &f->err)));
    if (target == INDEX_TO_NOTHING)
        target = ends_with(c->out, ".faiss") || strcmp(from.engine, "Kith") == 0 ? INDEX_TO_FAISS
                                                                                 : INDEX_TO_KITH;
    if (target == INDEX_TO_KITH && strcmp(from.engine, "Kith") == 0) {
        code = failure_about(f, c->in,
                             format_fail(&f->err, KITH_EINVAL, -1, "an index of Kith already"));
        goto done;
    }
    if (target == INDEX_TO_FAISS)
        TRY_DONE(failure_writing(f, c->out, kith_index_export(index, c->out, &to, &f->err)));
    else
        TRY_DONE(failure_writing(f, c->out, kith_index_save(index, c->out, &f->err)));
    if (c->shared->json)
        print_json(index, &from, &to);
    else
        print_text(c, index, &from, &to);
done:
    kith_index_free(index);
    return code;
}
