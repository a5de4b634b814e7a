/* The progress bar: rate and time left, on standard error, only on a terminal and only after two seconds. */
#ifndef KITH_CLI_PROGRESS_H
#define KITH_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct progress {
    const char *label, *unit; /* "build", "rows" */
    double start_s, drawn_s;
    bool terminal, visible;
} progress;

void progress_start(progress *p, const char *label, const char *unit);
/* A kith_progress_fn; context is the progress. */
void progress_update(void *context, uint64_t done, uint64_t total);
/* Wipe the bar away. */
void progress_finish(progress *p);

#endif
