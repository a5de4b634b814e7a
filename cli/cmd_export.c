/* kith export: the points of a collection as JSON lines, by rising id, as kith import reads them. */
#include "cli.h"

#include "collection.h"
#include "print.h"
#include "progress.h"

#define PAGE ((size_t)1000) /* points in memory at once */

enum { KEY_FILTER = KEY_OWN };

static const struct argp_option options[] = {
    {"filter", KEY_FILTER, "JSON", 0, "Only the points that this filter takes", 1}, {0}};

typedef struct arguments {
    shared_options shared;
    const char *names[1];
    const char *filter;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state) {
    arguments *a = state->input;
    switch (key) {
    case KEY_FILTER: a->filter = arg; return 0;
    case ARGP_KEY_ARG: return argument_positional(state, arg, a->names, 1);
    case ARGP_KEY_END:
        if (state->arg_num < 1) argp_error(state, "DIR/NAME is missing: the collection");
        argument_collection(state, a->names[0]);
        return 0;
    default: return shared_option(key, arg, state, &a->shared);
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .help_filter = help_filter,
    .args_doc = "DIR/NAME",
    .doc = "Print the points of a collection, a line {\"id\": 7, \"vector\": [...], \"payload\": "
           "{...}} each, by rising id."};

/* Page by page; a page's next is a number, or borrowed from the page, which is kept until the next is there. */
static int export_points(const collection *c, const kith_query *page, uint64_t n_points,
                         kith_error *err) {
    kith_hits *hits = NULL, *before = NULL;
    uint64_t n_done = 0;
    progress bar;
    int code;
    progress_start(&bar, "export", "points");
    do {
        before = hits;
        hits = NULL;
        code = kith_db_scroll(c->db, c->name, before ? &before->next : NULL, page, &hits, err);
        kith_hits_free(before);
        for (size_t i = 0; !code && i < hits->n; i++)
            if (!json_print(json_point(&hits->hits[i], false), stdout, false))
                code = format_fail(err, KITH_EIO, -1, "standard output: cannot be written");
        if (!code) progress_update(&bar, n_done += hits->n, n_points);
    } while (!code && hits->more);
    kith_hits_free(hits);
    progress_finish(&bar);
    return code;
}

static int run(int argc, char **argv) {
    arguments a = {0};
    shared_options_init(&a.shared);
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    failure f = {0};
    collection c;
    kith_collection_info info;
    kith_query page = KITH_QUERY_INIT;
    page.filter = a.filter;
    page.limit = PAGE;
    page.payload = "true";
    page.with_vectors = true;
    int code;
    TRY_DONE(failure_about(&f, a.names[0], collection_open(&c, a.names[0], false, &f.err)));
    TRY_DONE(failure_about(&f, a.names[0], kith_db_info(c.db, c.name, &info, &f.err)));
    code = failure_about(&f, a.names[0], export_points(&c, &page, info.n_points, &f.err));
done:
    collection_close(&c);
    return failure_exit(&f, code);
}

const command cmd_export = {"export", "print the points of a collection", run};
