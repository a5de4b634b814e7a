/* What kith tune tells: a table, JSON, and a page drawn as kith bench draws. */
#ifndef KITH_CLI_TUNE_REPORT_H
#define KITH_CLI_TUNE_REPORT_H

#include "cli.h"

/* What was asked, and what came of it. */
typedef struct tune_report {
    const char *base_name;
    size_t rows, dim;
    kith_metric metric;
    const kith_tune_options *options;
    const kith_tune_result *result;
    const kith_tune_result *simple; /* the two simple strategies, or NULL */
} tune_report;

/* Of those of a word ("IVF", "HNSW") the one with the least build plus query time; NULL: none is fine. */
const kith_tune_trial *tune_pick_simple(const tune_report *r, const char *word);
void tune_print(const tune_report *r, FILE *file);
bool tune_print_json(const tune_report *r, FILE *file);
bool tune_print_html(const tune_report *r, FILE *file);

#endif
