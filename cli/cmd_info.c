/* kith info: this machine, an index, or a file of vectors. */
#include "cli.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"

static const struct argp_option options[] = {OPTION_OPEN, OPTION_FROM, OPTION_JSON, {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[1];
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    if (key == ARGP_KEY_ARG) return argument_positional(state, arg, a->names, 1);
    return shared_option(key, arg, state, &a->shared);
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "[FILE]",
    .doc = "Tell about FILE, an index or a file of vectors; without one, about "
           "this kith and this machine."};

static void machine_info(bool json) {
    char text[4096];
    kith_describe_machine(text, sizeof text);
    if (!json) {
        printf("kith %s\n%s", kith_version(), text);
        if (*text && text[strlen(text) - 1] != '\n') putchar('\n');
        return;
    }
    struct json_object *o = json_object_new_object();
    json_add(o, "version", json_text(kith_version()));
    json_add(o, "isa", json_text(kith_isa()));
    json_add(o, "cores", json_object_new_uint64(processor_count()));
    json_add(o, "machine", json_text(text));
    json_print(o, stdout, true);
}

static int index_info(const char *path, const arguments *a, failure *f) {
    kith_index *index = NULL;
    int code = failure_about(f, path, kith_index_open(&index, path, a->shared.open, &f->err));
    if (code) return code;
    kith_index_stats stats;
    kith_index_stats_get(index, &stats);
    if (a->shared.json) {
        json_print(json_index_stats(&stats), stdout, true);
    } else {
        fact_list facts = facts_new();
        print_index_facts(facts, &stats);
        facts_print(facts, stdout);
        putchar('\n');
        print_memory_table(&stats, stdout);
    }
    kith_index_free(index);
    return KITH_OK;
}

/* Extremes of the values and of the lengths of the rows. */
typedef struct ranges {
    double low, high, shortest, longest;
    bool integral;
} ranges;

static ranges measure(const vectors *v) {
    ranges r = {(double)INFINITY, -(double)INFINITY, (double)INFINITY, 0.0, true};
    for (size_t i = 0; i < v->n; i++) {
        double sum = 0.0;
        for (size_t j = 0; j < v->dim; j++) {
            double x = (double)v->data[i * v->dim + j];
            r.low = fmin(r.low, x);
            r.high = fmax(r.high, x);
            if (x != floor(x)) r.integral = false;
            sum += x * x;
        }
        r.shortest = fmin(r.shortest, sqrt(sum));
        r.longest = fmax(r.longest, sqrt(sum));
    }
    return r;
}

static int vectors_info(const char *path, const arguments *a, failure *f) {
    vectors v;
    int code = failure_about(f, path, vectors_read(&v, path, &a->shared.read, &f->err));
    if (code) return code;
    ranges r = measure(&v);
    const char *names = v.ids ? "ids" : v.words ? "words" : "row numbers";
    char text[32];
    if (a->shared.json) {
        struct json_object *o = json_object_new_object();
        json_add(o, "format", json_text(format_name(v.format)));
        json_add(o, "type", json_text(element_name(v.type)));
        json_add(o, "rows", json_object_new_uint64(v.n));
        json_add(o, "dim", json_object_new_uint64(v.dim));
        json_add(o, "names", json_text(names));
        json_add(o, "min", json_number(r.low, 9));
        json_add(o, "max", json_number(r.high, 9));
        json_add(o, "integral", json_object_new_boolean(r.integral));
        json_add(o, "min_length", json_number(r.shortest, 9));
        json_add(o, "max_length", json_number(r.longest, 9));
        json_print(o, stdout, true);
    } else {
        fact_list facts = facts_new();
        facts_add(facts, "format", "%s", format_name(v.format));
        facts_add(facts, "rows", "%s", print_count(text, (double)v.n));
        facts_add(facts, "dimensions", "%zu", v.dim);
        facts_add(facts, "type", "%s", element_name(v.type));
        facts_add(facts, "named by", "%s", names);
        facts_add(facts, "values", "%g to %g%s", r.low, r.high, r.integral ? ", all whole" : "");
        facts_add(facts, "lengths", "%.4g to %.4g", r.shortest, r.longest);
        facts_print(facts, stdout);
    }
    vectors_free(&v);
    return KITH_OK;
}

static int run(int argc, char **argv) {
    arguments a = {0};
    shared_options_init(&a.shared);
    a.shared.open = KITH_OPEN_MAP;
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    const char *path = a.names[0];
    int code = KITH_OK;
    if (!path)
        machine_info(a.shared.json);
    else if (is_index_file(path))
        code = index_info(path, &a, &f);
    else
        code = vectors_info(path, &a, &f);
    return failure_exit(&f, code);
}

const command cmd_info = {"info", "tell about an index, a file of vectors, or this machine", run};
