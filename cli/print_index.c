/* What a command tells about an index: its shape, and its bytes by component. */
#include "print.h"

#include <string.h>

void print_index_facts(fact_list f, const kith_index_stats *stats) {
    char text[32];
    facts_add(f, "index", "%s", stats->spec);
    facts_add(f, "rows", "%s", print_count(text, (double)stats->rows));
    if (stats->removed) facts_add(f, "removed", "%s", print_count(text, (double)stats->removed));
    facts_add(f, "dimensions", "%u", stats->dim);
    facts_add(f, "metric", "%s", kith_metric_name(stats->metric));
    if (strcmp(stats->stored, stats->code) == 0)
        facts_add(f, "vectors", "%s", stats->stored);
    else
        facts_add(f, "vectors", "%s, searched as %s", stats->stored, stats->code);
    if (stats->levels)
        facts_add(f, "graph", "%u level%s, %.1f links a row, %u at most", stats->levels,
                  stats->levels == 1 ? "" : "s", stats->mean_degree, stats->max_degree);
    if (stats->lists)
        facts_add(f, "lists", "%u of %.1f rows, %s at most", stats->lists, stats->mean_list,
                  print_count(text, (double)stats->largest_list));
    if (stats->calibrated_rows) {
        char changed[32];
        facts_add(f, "calibrated", "at %s rows, %s changed since",
                  print_count(text, (double)stats->calibrated_rows),
                  print_count(changed, (double)stats->changed_rows));
    }
}

struct json_object *json_index_stats(const kith_index_stats *stats) {
    struct json_object *o = json_object_new_object();
    json_add(o, "spec", json_text(stats->spec));
    json_add(o, "rows", json_object_new_uint64(stats->rows));
    json_add(o, "removed", json_object_new_uint64(stats->removed));
    json_add(o, "capacity", json_object_new_uint64(stats->capacity));
    json_add(o, "dim", json_object_new_uint64(stats->dim));
    json_add(o, "metric", json_text(kith_metric_name(stats->metric)));
    json_add(o, "stored", json_text(stats->stored));
    json_add(o, "code", json_text(stats->code));
    if (stats->levels) {
        json_add(o, "levels", json_object_new_uint64(stats->levels));
        json_add(o, "max_degree", json_object_new_uint64(stats->max_degree));
        json_add(o, "mean_degree", json_number(stats->mean_degree, 5));
    }
    if (stats->lists) {
        json_add(o, "lists", json_object_new_uint64(stats->lists));
        json_add(o, "mean_list", json_number(stats->mean_list, 6));
        json_add(o, "largest_list", json_object_new_uint64(stats->largest_list));
    }
    if (stats->calibrated_rows) {
        json_add(o, "calibrated_rows", json_object_new_uint64(stats->calibrated_rows));
        json_add(o, "changed_rows", json_object_new_uint64(stats->changed_rows));
    }
    json_add(o, "bytes", json_object_new_uint64(stats->bytes));
    json_add(o, "mapped_bytes", json_object_new_uint64(stats->mapped_bytes));
    json_add(o, "heap_bytes", json_object_new_uint64(stats->heap_bytes));
    double rows = (double)stats->rows;
    json_add(o, "bytes_per_vector",
             stats->rows ? json_number((double)stats->bytes / rows, 6) : NULL);
    struct json_object *components = json_object_new_object();
    for (uint32_t i = 0; i < stats->n_components; i++)
        json_add(components, stats->component[i].name,
                 json_object_new_uint64(stats->component[i].bytes));
    json_add(o, "components", components);
    return o;
}

static void memory_row(table *t, const char *name, uint64_t bytes, uint64_t rows, uint64_t all) {
    char size[32];
    char each[32] = "-";
    char share[32];
    if (rows) snprintf(each, sizeof each, "%.1f", (double)bytes / (double)rows);
    snprintf(share, sizeof share, "%.1f %%", all ? 100.0 * (double)bytes / (double)all : 0.0);
    const char *cells[] = {name, print_bytes(size, (double)bytes), each, share};
    table_row(t, cells);
}

void print_memory_table(const kith_index_stats *stats, FILE *file) {
    static const char *const columns[] = {"memory", ">size", ">bytes/vector", ">share", NULL};
    table *t = table_new(columns);
    for (uint32_t i = 0; i < stats->n_components; i++)
        if (stats->component[i].bytes)
            memory_row(t, stats->component[i].name, stats->component[i].bytes, stats->rows,
                       stats->bytes);
    memory_row(t, "all", stats->bytes, stats->rows, stats->bytes);
    if (stats->mapped_bytes) {
        memory_row(t, "of this mapped", stats->mapped_bytes, stats->rows, stats->bytes);
        memory_row(t, "heap", stats->heap_bytes, stats->rows, stats->bytes);
    }
    table_print(t, file);
    table_free(t);
}
