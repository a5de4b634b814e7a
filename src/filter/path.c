/* Paths: parsing, and reading along them. path.h has the grammar. */
#include "filter/path.h"

#include <string.h>

#include "base/arena.h"
#include "base/status.h"

/* ---- parsing ------------------------------------------------------------------------------------ */

struct reader {
    const char *text;
    size_t n, at;
    kith_error *err;
};

static int refuse(const struct reader *r, const char *what) {
    int shown = r->n < 100 ? (int)r->n : 100;
    return FAIL_AT(r->err, KITH_ESYNTAX, r->at, "Invalid json path: '%.*s': %s at byte %zu", shown,
                   r->text, what, r->at);
}

static bool is_bare(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || (unsigned char)c >= 0x80;
}

static int read_key(struct reader *r, struct path_step *step) {
    bool quoted = r->at < r->n && r->text[r->at] == '"';
    size_t start = r->at += quoted;
    step->kind = PATH_KEY;
    if (quoted) {
        while (r->at < r->n && r->text[r->at] != '"') {
            if (r->text[r->at] == '\\') return refuse(r, "a backslash");
            r->at++;
        }
        if (r->at == r->n) return refuse(r, "a quote without its end");
    } else {
        while (r->at < r->n && is_bare(r->text[r->at])) r->at++;
        if (r->at == start) return refuse(r, "a key is missing");
    }
    step->key = (struct json_text){r->text + start, r->at - start};
    r->at += quoted;
    return KITH_OK;
}

/* After the bracket that opens. */
static int read_index(struct reader *r, struct path_step *step) {
    size_t start = ++r->at;
    uint64_t index = 0;
    for (; r->at < r->n && r->text[r->at] >= '0' && r->text[r->at] <= '9'; r->at++) {
        index = index * 10 + (uint64_t)(r->text[r->at] - '0');
        if (index > UINT32_MAX) return refuse(r, "a place beyond 4294967295");
    }
    if (r->at == r->n || r->text[r->at] != ']') return refuse(r, "digits or ] wanted");
    step->kind = r->at == start ? PATH_EACH : PATH_INDEX;
    step->index = (uint32_t)index;
    r->at++;
    return KITH_OK;
}

static int read_steps(struct reader *r, struct path_step steps[PATH_STEPS], size_t *n) {
    TRY(read_key(r, &steps[(*n)++]));
    while (r->at < r->n) {
        if (*n == PATH_STEPS) return refuse(r, "more than 64 steps");
        struct path_step *step = &steps[(*n)++];
        *step = (struct path_step){0};
        if (r->text[r->at] == '.') {
            r->at++;
            TRY(read_key(r, step));
        } else if (r->text[r->at] == '[') {
            TRY(read_index(r, step));
        } else {
            return refuse(r, "., [ or the end wanted");
        }
    }
    return KITH_OK;
}

int path_parse(struct path *out, const char *text, size_t n, struct arena *arena, kith_error *err) {
    struct path_step steps[PATH_STEPS];
    size_t n_steps = 0;
    struct path path = {0};
    char *copy = arena_copy(arena, text, n);
    if (!copy) return FAIL(err, KITH_ENOMEM, "no memory for a path of %zu bytes", n);
    struct reader r = {.text = copy, .n = n, .err = err};
    TRY(read_steps(&r, steps, &n_steps));
    path.steps = arena_new(arena, n_steps * sizeof *steps);
    if (!path.steps) return FAIL(err, KITH_ENOMEM, "no memory for a path of %zu bytes", n);
    memcpy(path.steps, steps, n_steps * sizeof *steps);
    path.n = n_steps;
    path.text = (struct json_text){copy, n};
    *out = path;
    return KITH_OK;
}

static bool steps_equal(const struct path_step *a, const struct path_step *b) {
    if (a->kind != b->kind) return false;
    if (a->kind == PATH_INDEX) return a->index == b->index;
    return a->kind == PATH_EACH ||
           (a->key.n == b->key.n && memcmp(a->key.bytes, b->key.bytes, a->key.n) == 0);
}

bool path_equal(const struct path *a, const struct path *b) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++)
        if (!steps_equal(&a->steps[i], &b->steps[i])) return false;
    return true;
}

/* ---- reading ------------------------------------------------------------------------------------ */

struct search {
    path_visit visit;
    void *context;
};

static bool read_from(const struct search *s, const struct path_step *step, size_t n,
                      struct json_value value) {
    for (; n > 0; step++, n--) {
        enum json_type type = json_type(value);
        if (step->kind == PATH_KEY) {
            if (!json_get(value, step->key.bytes, step->key.n, &value)) return false;
        } else if (type != JSON_ARRAY) {
            return false;
        } else if (step->kind == PATH_INDEX) {
            if (!json_at(value, step->index, &value)) return false;
        } else {
            struct json_walk walk;
            struct json_value element;
            json_walk_init(&walk, value);
            while (json_next(&walk, NULL, &element))
                if (read_from(s, step + 1, n - 1, element)) return true;
            return false;
        }
    }
    return s->visit(s->context, value);
}

bool path_each(const struct path *path, struct json_value root, path_visit visit, void *context) {
    struct search s = {visit, context};
    return read_from(&s, path->steps, path->n, root);
}
